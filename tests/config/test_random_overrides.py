"""Whatever is typed is refused with a message, or is a config that can be built: the check and the
parts agree."""

import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from tests.config.in_process import checked
from tests.data.manifests import write_csv

from polymodal.config.messages import explain, groups, in_our_words
from polymodal.config.signature import find_signature
from polymodal.errors import PolymodalError
from polymodal.training.build import build

BASES = [
    ["callbacks=[default,ema,throughput,lr_monitor]", "logger=csv"],
    [
        *(
            "data=manifest",
            "data.path=pairs.csv",
            "data.columns.image=a",
            "data.columns.text=b",
            "label=kind",
        ),
        *(
            "outputs=3",
            "objective=classification",
            "fusion=gated",
            "head=linear",
            "encoder/text=bow",
            "optimizer=sgd",
        ),
        *(
            "callbacks=[default,early_stopping,modality_dropout,modality_weights,skipped]",
            "missing=learned_token",
        ),
    ],
    [
        *(
            "data=synthetic",
            "objective=clip_and_classification",
            "label=digit",
            "outputs=10",
            "fusion=low_rank",
        ),
        *(
            "head=linear",
            "encoder/image=linear",
            "encoder/text=rnn",
            "callbacks=[default,probe,robustness,zero_shot]",
        ),
    ],
    [
        "data=webdataset",
        "data.path=a.tar",
        "data.epoch_samples=512",
        "objective=siglip",
        "encoder/image=vit",
    ],
]
QUIET = ["devices=cpu", "dim=16", "callbacks.progress_bar=null"]

VALUES = [
    *(
        "5",
        "-1",
        "0",
        "0.5",
        "1.5",
        "-0.5",
        "nan",
        "inf",
        "-inf",
        "true",
        "null",
        "text",
        "a,b",
        "''",
        "[]",
        "{}",
    ),
    *(
        "[1,2]",
        "[null]",
        "[nan]",
        "[[1,2],[3]]",
        "{nope: 0.5}",
        "{a: {b: 1}}",
        "[a,b]",
        "1e400",
        "[true]",
        "~/x",
    ),
    *(
        "数据/x#1",
        "it's",
        "a=b",
        "${seed}",
        "${name}",
        "${nope}",
        "${data}",
        "9" * 25,
        "x" * 300,
        "{_target_: 5}",
    ),
    *("1", "2", "3", "0.3", "false", "null", "1", "2", "8", "0.1"),  # some of which are right
    *(
        "{_target_: torch.nn.Nope}",
        "{_target_: torch.nn.ReLU}",
        "[0.2,0.2,0.6]",
        "1e-3",
        "???",
        "{_target_: nope}",
    ),
]
SPECIAL = ["_partial_", "_recursive_", "_convert_", "_args_", "_target_"]


@pytest.fixture(autouse=True)
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table that settings follow which are `auto`."""
    write_csv(
        tmp_path / "pairs.csv",
        [{"a": f"{i}.png", "b": f"word {i}", "kind": "xyz"[i % 3]} for i in range(40)],
    )
    monkeypatch.chdir(tmp_path)


def keys_of(node: Any, path: str = "") -> Iterator[str]:
    """Every key of a composed config, and every argument of a part that its file does not list."""
    if not isinstance(node, dict):
        return
    names = set(node)
    if "_target_" in node:
        names |= {*find_signature(node["_target_"]).types, *SPECIAL}
    for name in sorted(
        name for name in map(str, names) if name.isidentifier() and name != "run_dir"
    ):
        yield (key := f"{path}.{name}" if path else name)
        yield from keys_of(node.get(name), key)


def plain_values(node: Any, path: str = "") -> Iterator[tuple[str, float | bool]]:
    """Numbers and switches of a composed config."""
    for name, value in node.items():
        key = f"{path}.{name}" if path else str(name)
        if isinstance(value, dict):
            yield from plain_values(value, key)
        elif isinstance(value, int | float):
            yield key, value


def near(value: float | bool) -> list[Any]:
    """Values that may be right in its place."""
    if isinstance(value, bool):
        return [str(not value).lower()]
    return [0, 1, 2, value + 1, value * 2, value / 2, -value]


def overrides(seed: int, count: int) -> list[tuple[list[str], str]]:
    """Bases, each with one override that somebody may type by mistake."""
    random_ = random.Random(seed)
    configs = [checked(*QUIET, *base, look=False) for base in BASES]
    known = [list(keys_of(config)) for config in configs]
    values = [dict(plain_values(config)) for config in configs]
    result = []
    for _ in range(count):
        which = random_.randrange(len(BASES))
        key, value = random_.choice(known[which]), random_.choice(VALUES)
        kind = random_.random()
        if kind < 0.08:
            override = f"~{key}"
        elif kind < 0.14:
            override = f"{key}.deeper.still={value}"
        elif kind < 0.2:
            override = f"{random_.choice(sorted(groups()))}={value}"
        elif kind < 0.23:
            override = f"{key}x={value}"
        elif kind < 0.26:
            override = f"+{key}={value}"
        elif kind < 0.29:
            override = f"{key}.{random_.randrange(3)}={value}"
        elif kind < 0.55 and key in values[which]:
            override = f"{key}={random_.choice(near(values[which][key]))}"
        else:
            override = f"{key}={value}"
        result.append((BASES[which], override))
    return result


def message_of(arguments: list[str]) -> str | None:
    """What a person is told, or None for a config that can be built.

    Everything else that is raised is a stack trace.
    """
    try:
        config = checked(*arguments, look=False)
    except PolymodalError as error:
        return str(error)
    except (HydraException, OmegaConfBaseException) as error:
        return explain(error)
    except (TypeError, ValueError, IndexError) as error:
        if isinstance(told := in_our_words(error), PolymodalError):
            return str(told)
        raise
    config["run_dir"] = "."
    try:
        _, module, trainer = build(config, config)
    except PolymodalError as error:
        return str(error)
    assert 0 < (trainer.max_epochs or 1) < 1000
    assert math.isfinite(sum(float(p.detach().abs().sum()) for p in module.parameters()))
    return None


def faults(seed: int, count: int) -> Iterator[str]:
    """Overrides that end in a stack trace, or in a message that nobody would read."""
    for base, override in overrides(seed, count):
        key = override.partition("=")[0].lstrip("+")
        arguments = [argument for argument in [*QUIET, *base] if argument.partition("=")[0] != key]
        try:
            message = message_of([*arguments, override])
        except Exception as error:
            yield f"{base[0]} {override}: {type(error).__name__}: {str(error)[:200]}"
            continue
        if message is not None and not (
            len(message.splitlines()) <= 5 and 10 <= len(message) <= 1200
        ):
            yield f"{base[0]} {override}: a long message: {message}"


def test_a_random_override_is_refused_clearly_or_can_be_built() -> None:
    assert not list(faults(seed=0, count=25))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_hundreds_of_random_overrides_are_refused_clearly_or_can_be_built(seed: int) -> None:
    assert not list(faults(seed, count=150))
