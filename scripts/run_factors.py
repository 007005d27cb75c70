"""What a run is made of, as factors for pairwise covering: the options of the config folders, and
their rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from hydra.utils import get_class
from omegaconf import OmegaConf

from covering import Pair, Row, pairs_of
from polymodal.config.messages import CONFIGS

KINDS = ("image", "text", "audio", "video", "tabular")
NONE = "none"

FIRST = {
    "encoder/image": "linear",
    "encoder/text": "bow",
    "fusion": "sum",
    "head": "linear",
    "missing": "mask",
    "objective": "classification",
    "precision": "fp32",
    "debug": NONE,
}
"""Group -> the option that stands where nothing else is asked for; of others, none or the first
one."""

LABELS = {
    "classification": [
        "label=class outputs=10",
        "label=class outputs=12",
        "label=class outputs=2 ++data.classes=2",
        "label=class outputs=1 ++data.classes=1",
    ],
    "regression": ["label=value outputs=1", "label=values outputs=3"],
    "multilabel": ["label=tags outputs=3"],
}
"""Objective -> the labels that it is tried with; of others, the classes."""

EXTRA = {
    "callbacks/probe": ["++callbacks.probe.label=class", "++callbacks.probe.samples=16"],
    "callbacks/robustness": [
        "++callbacks.robustness.missing=[0.3]",
        "++callbacks.robustness.noise=[0.5]",
    ],
    "callbacks/zero_shot_names": [
        "++callbacks.zero_shot.label=class",
        "++callbacks.zero_shot.templates=['look at the {}']",
    ],
    "encoder/image/timm": ["encoder.image.name=test_convnext"],
    "fusion/tensor": ["++fusion.width=8"],
    "encoder/tabular/features": ["encoder.tabular.in_features=10"],
}
"""Option -> what else it needs."""

ENCODERS = ("encoder/", "twin of ")
MOST = 4
"""Modalities in a row at most."""

NEEDS = {
    **{f"twin of {kind}": [f"encoder/{kind}"] for kind in KINDS},
    "callbacks/zero_shot_names": ["encoder/image", "encoder/text"],
    "callbacks/robustness": ["fusion"],
}
"""Factor -> others that must not be none where it is chosen."""

SWITCHES = {
    "accumulate": ["accumulate=1", "accumulate=2"],
    "activation_checkpointing": ["activation_checkpointing=false", "activation_checkpointing=true"],
    "absent": ["++data.missing=0.0", "++data.missing=0.3"],
}
"""Settings that are no groups, with their values."""

TINY = [
    "data=synthetic",
    "++data.samples=80",
    "++data.batch_size=8",
    "++data.image_size=32",
    "++data.frames=2",
    "++data.cardinalities=[3,4]",
    "++data.vocab_size=300",
    "++data.context_length=16",
    "dim=16",
    "devices=cpu",
    "logger=csv",
    "++trainer.max_epochs=1",
    "++trainer.limit_train_batches=2",
    "++trainer.limit_val_batches=1",
    "++trainer.limit_test_batches=1",
    "++trainer.enable_progress_bar=false",
    "threads=1",
]


def factors_of(options: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Factor -> its options, the default first. An option is what is typed, without the group.

    Args:
        options: config group -> names of its files.
    """
    factors: dict[str, list[str]] = {}
    for kind in KINDS:
        names = options[f"encoder/{kind}"]
        factors[f"encoder/{kind}"] = [name for name in names if name not in ("shared", "auto")]
        if "shared" in names:
            factors[f"twin of {kind}"] = [NONE, "shared"]
    for group in ("fusion", "head", "missing", "precision", "optimizer", "scheduler", "debug"):
        factors[group] = [name for name in options[group] if name != "auto"]
    factors["objective"] = [
        f"{name} {labels}"
        for name in options["objective"]
        for labels in LABELS.get(name, LABELS["classification"][:1])
    ]
    for name in options["callbacks"]:
        if name not in (NONE, "default"):
            factors[f"callbacks/{name}"] = [NONE, name]
    factors |= {name: list(values) for name, values in SWITCHES.items()}
    return {factor: sorted(names, key=partial(_place, factor)) for factor, names in factors.items()}


def _place(factor: str, option: str) -> int:
    """The default first, and last what needs a value that only its user knows."""
    file = CONFIGS / factor / f"{option}.yaml"
    if file.is_file() and "???" in file.read_text():
        return 2
    return int(option.split()[0] != FIRST.get(factor, NONE))


def words_of(row: Row) -> list[str]:
    """A row -> the command line of its run."""
    words, callbacks, extra = list(TINY), [], []
    kinds = {kind: kind for kind in KINDS}
    for factor, option in row.items():
        group, _, name = factor.partition("/")
        extra += EXTRA.get(f"{factor.removesuffix(f'/{option}')}/{option}", [])
        if factor in SWITCHES:
            words.append(option)
        elif group == "callbacks":
            callbacks += [name] if option != NONE else []
        elif factor.startswith("twin of ") and option != NONE:
            kind = factor.removeprefix("twin of ")
            kinds[f"second_{kind}"] = kind
            words.append(f"+encoder/{kind}@encoder.second_{kind}=shared")
            extra.append(f"encoder.second_{kind}.of={kind}")
        elif not factor.startswith("twin of "):
            words += f"{factor}={option}".split()
    modalities = ",".join(f"{name}:{kind}" for name, kind in kinds.items())
    return [
        *words,
        f"callbacks=[{','.join(callbacks)}]" if callbacks else "callbacks=none",
        f"++data.modalities={{{modalities}}}",
        *extra,
    ]


class Rules:
    """What cannot stand together, by the objective and the fusion themselves, and what has been
    found out.

    Args:
        options: config group -> names of its files.
    """

    def __init__(self, options: Mapping[str, Sequence[str]]) -> None:
        self.compares = {name for name in options["objective"] if not _reads_y(name)}
        self.answers = {name for name in options["fusion"] if "outputs" in _node("fusion", name)}
        self.refused: set[Pair] = set()
        self.order: list[str] = []

    def fits(self, row: Row) -> bool:
        """Whether a row, or a part of one, can be."""
        # 1. an objective on X alone has none of the parts that make Y
        objective = row.get("objective", "").partition(" ")[0]
        if objective in self.compares or row.get("fusion") == NONE:
            nothing = {"fusion": NONE, "head": NONE, "missing": FIRST["missing"]}
            if any(row.get(group, value) != value for group, value in nothing.items()):
                return False
            if objective and objective not in self.compares:
                return False
        # 2. a fusion either gives the answer itself, or has a head
        elif "fusion" in row:
            head = NONE if row["fusion"] in self.answers else FIRST["head"]
            if row.get("head", head) != head:
                return False
        # 3. what is chosen has what it needs
        for factor, needed in NEEDS.items():
            if row.get(factor, NONE) != NONE and any(row.get(other) == NONE for other in needed):
                return False
        # 4. two modalities at least, and no more than train in a second
        absent = sum(row.get(f"encoder/{kind}") == NONE for kind in KINDS)
        there = sum(row.get(f"{start}{kind}", NONE) != NONE for kind in KINDS for start in ENCODERS)
        if absent > len(KINDS) - 2 or there > MOST:
            return False
        return not (self.refused and pairs_of(row, self.order) & self.refused)


def _node(group: str, name: str) -> Mapping[str, object]:
    loaded = OmegaConf.load(CONFIGS / group / f"{name}.yaml")
    return OmegaConf.to_container(loaded, resolve=False) or {}  # type: ignore[return-value]


def _reads_y(objective: str) -> bool:
    node = _node("objective", objective)["objective"]
    inner = node.get("objectives", {"": node}).values()  # type: ignore[attr-defined]
    return any(get_class(part["_target_"]).needs_fusion for part in inner)
