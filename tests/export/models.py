"""Small untrained models, in checkpoints as a run writes them."""

from collections.abc import Sequence
from pathlib import Path

import torch

from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.module import MultimodalModule
from polymodal.training.build import build

TINY = ["debug=fast", "logger=none", "++data.families=[STIXGeneralBolIta]", "++data.vocab_size=400"]


def checkpoint_of(
    folder: Path, *overrides: str, tiny: Sequence[str] = TINY
) -> tuple[Path, MultimodalModule]:
    """`folder`/checkpoints/best.ckpt with random weights, and the module."""
    config = check_config(compose_config([*tiny, *overrides, f"++run_dir={folder}"]))
    torch.manual_seed(0)
    data, module, _ = build(config, config)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    data.prepare_data()
    data.setup()
    module.objective.prepare(data.training_labels)
    file = folder / "checkpoints" / "best.ckpt"
    file.parent.mkdir(parents=True)
    state = {
        "config": config,
        "state_dict": module.state_dict(),
        type(data).__qualname__: data.state_dict(),
    }
    torch.save(state, file)
    return file, module.eval()
