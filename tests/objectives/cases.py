"""Every contrastive objective in configs/objective, and its options: a new one is tested by being
there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from polymodal.batch import PairedBatch
from polymodal.config.auto import close
from polymodal.objectives.contrastive import Contrastive
from polymodal.outputs import ModelOutput

CONFIGS = Path(__file__).parents[2] / "configs" / "objective"
MODALITIES = ("a", "b", "c")
DIM = 4


def _config(name: str) -> DictConfig:
    """A config file, what its defaults bring (`/fusion@objective.fusion: concat`), and no data for
    `auto` to follow."""
    config = OmegaConf.load(CONFIGS / f"{name}.yaml")
    for default in config.get("defaults", []):
        for key, option in default.items():
            group, _, package = key.strip("/").partition("@")
            OmegaConf.update(
                config, package, OmegaConf.load(CONFIGS.parent / group / f"{option}.yaml")
            )
    close(config, {})
    return config


def _is_contrastive(name: str) -> bool:
    return issubclass(get_class(_config(name).objective._target_), Contrastive)


NAMES = [file.stem for file in sorted(CONFIGS.glob("*.yaml")) if _is_contrastive(file.stem)]
PAIRS = [["a", "b"], ["c", "a", 3.0]]
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("clip", {"pairs": PAIRS, "label_smoothing": 0.1}),
    ("clip", {"anchor": "b", "hard_beta": 0.5}),
    ("clip", {"decoupled": True, "hard_beta": 0.3, "learn_scale": False}),
    ("clip", {"cyclip_cross": 0.25, "cyclip_in": 0.5}),
    ("siglip", {"pairs": PAIRS}),
    ("siglip", {"anchor": "c"}),
    ("symile", {"negatives": "n_squared"}),
    ("gram", {"anchor": "b"}),
    ("supcon", {"label": "kind"}),
    ("vicreg", {"pairs": PAIRS}),
    ("fused", {"pairs": PAIRS, "rest_share": 0.8}),
    ("fused", {"anchor": "c"}),
]
CASES = [(name, {}) for name in NAMES] + OPTIONS
IDS = ["-".join([name, *options]) for name, options in CASES]


def build(
    name: str, modalities: Sequence[str] = MODALITIES, dim: int = DIM, **options: Any
) -> Contrastive:
    """The objective of a config file, in fp64."""
    torch.manual_seed(0)
    root = {"dim": dim, "encoder": {m: {} for m in modalities}, "data": {"batch_size": 512}}
    config = OmegaConf.merge(root, {"objective": _config(name).objective}, {"objective": options})
    return instantiate(config.objective, _convert_="all").double()


def samples(
    count: int, missing: bool = False, modalities: Sequence[str] = MODALITIES, groups: int = 5
) -> PairedBatch:
    """Random vectors; some samples share a group, most have a class, and the last four lack the
    last modality."""
    generator = torch.Generator().manual_seed(3)
    inputs = {name: torch.randn(count, 5, generator=generator).double() for name in modalities}
    number = torch.arange(count)
    present = (
        {name: torch.rand(count, generator=generator) > 0.3 for name in modalities}
        if missing
        else {}
    )
    if missing:
        present[modalities[-1]][-4:] = False
        # nothing at all cannot be encoded
        present[modalities[0]] |= ~torch.stack(list(present.values())).any(0)
    labels = {"kind": torch.randint(-1, 3, (count,), generator=generator)}
    labels["several"] = torch.randint(-1, 2, (count, 3), generator=generator)
    labels["value"] = labels["several"].double().masked_fill(labels["several"] < 0, torch.nan)
    return PairedBatch(
        inputs, dict.fromkeys(modalities, number), number // 2 % groups, number, present, labels
    )


def part(batch: PairedBatch, rows: torch.Tensor) -> PairedBatch:
    """Some samples of a batch."""
    return batch._map(lambda tensor: tensor[rows])


def encoders(modalities: Sequence[str] = MODALITIES) -> dict[str, nn.Module]:
    """Linear ones in fp64, (B, 5) -> (B, DIM)."""
    torch.manual_seed(0)
    return {name: nn.Linear(5, DIM).double() for name in modalities}


def output(x: torch.Tensor, mask: torch.Tensor | None = None) -> ModelOutput:
    """X (B, m, d) with zeros where it is absent, as the model gives it."""
    mask = torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
    return ModelOutput(x.masked_fill(~mask[:, :, None], 0), mask)


def batch_of(group: torch.Tensor, modalities: Sequence[str] = MODALITIES) -> PairedBatch:
    """What an objective asks of a batch, for embeddings that are given."""
    number = torch.arange(len(group))
    return PairedBatch(
        {}, dict.fromkeys(modalities, number), group, number, {}, {"kind": group % 3}
    )
