"""A run that is sharded among processes, saved in parts or as a whole, goes on and is evaluated
anywhere."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.resumed import ENDLESS, differences, rows

from polymodal.training.checkpoints.files import load_checkpoint, newest_checkpoint
from polymodal.training.checkpoints.sharded import tensors_of

LEFT_OUT = (
    "encoder.image.widths=[8]",
    "devices=cpu",
    "test=false",
    "callbacks=[checkpoint,lr_monitor,throughput]",
)
CHOSEN = [
    *(argument for argument in ENDLESS if argument not in LEFT_OUT),
    "callbacks=[checkpoint,lr_monitor,ema]",
]
SHARDED = ["devices=fsdp", "trainer.accelerator=cpu", "trainer.devices=2"]


def state(folder: Path) -> dict[str, Any]:
    checkpoint = load_checkpoint(newest_checkpoint(folder))
    kept = (
        "state_dict",
        "current_model_state",
        "averaging_state",
        "optimizer_states",
        "lr_schedulers",
        "loops",
    )
    return {name: checkpoint[name] for name in kept}


def assert_close(found: Path, expected: Path) -> None:
    """Weights, averages and the state of the optimizer; all that is no tensor is equal."""
    one, other = tensors_of(state(found)), tensors_of(state(expected))
    assert one.keys() == other.keys()
    for path, tensor in other.items():
        torch.testing.assert_close(
            one[path], tensor, rtol=1e-6, atol=1e-6, msg=lambda m, p=path: f"{p}: {m}"
        )
    for name in ("lr_schedulers", "loops"):
        assert state(found)[name] == state(expected)[name]


@pytest.mark.slow
@pytest.mark.parametrize("parts", ["true", "false"])
def test_it_goes_on_with_as_many_processes_and_with_one_and_the_other_way(
    command, tmp_path: Path, parts: str
) -> None:
    whole, longer, alone, single = (
        tmp_path / name for name in ("whole", "longer", "alone", "single")
    )

    def train(*arguments: str) -> None:
        done = command("train.py", *arguments)
        assert done.returncode == 0, done.stderr

    sharded = [*SHARDED, f"trainer.strategy.save_distributed_checkpoint={parts}"]
    chosen = [*CHOSEN, "encoder/image=linear", "scheduler=none", "callbacks.last.every_steps=3"]
    train(*chosen, *sharded, "trainer.max_epochs=2", f"hydra.run.dir={whole}")
    train(*chosen, *sharded, "trainer.max_epochs=1", f"hydra.run.dir={longer}")
    kept = sorted(path.name.partition("-")[0] for path in (longer / "checkpoints").iterdir())
    assert (
        kept
        == ["best.ckpt", "best.ckpt.parts", "last.ckpt", "last.ckpt.parts"][
            :: 1 if parts == "true" else 2
        ]
    )
    shutil.copytree(longer, alone)
    done = command(
        "eval.py", f"checkpoint={longer}", "devices=cpu", f"run_dir={tmp_path / 'evaluated'}"
    )
    assert done.returncode == 0, done.stderr
    first, second = (
        json.loads((path / "metrics.json").read_text()) for path in (longer, tmp_path / "evaluated")
    )
    for name in (name for name in first if name.startswith("test/") and "/control/" not in name):
        assert second[name] == pytest.approx(first[name], rel=1e-6), name

    train(f"resume={longer}", "trainer.max_epochs=2")
    assert differences(state(whole), state(longer)) == []
    assert rows(whole) == rows(longer)

    train(f"resume={alone}", "trainer.max_epochs=2", "devices=cpu")
    assert_close(alone, whole)
    train(*chosen, "devices=cpu", "trainer.max_epochs=1", f"hydra.run.dir={single}")
    train(f"resume={single}", "trainer.max_epochs=2", *sharded)
    assert_close(single, whole)


@pytest.mark.slow
def test_micro_batches_give_the_weights_of_whole_ones(command, tmp_path: Path) -> None:
    chosen = [
        *CHOSEN,
        "trainer.max_epochs=3",
        *SHARDED,
        "encoder/image=vit",
        "encoder.image.width=32",
        "encoder.image.layers=2",
        "optimizer=sgd",
    ]
    weights = []
    for count in (1, 4):
        folder = tmp_path / str(count)
        done = command(
            "train.py", *chosen, "test=false", f"accumulate={count}", f"hydra.run.dir={folder}"
        )
        assert done.returncode == 0, done.stderr
        weights.append(load_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"])
    for name, value in weights[0].items():
        torch.testing.assert_close(
            weights[1][name], value, rtol=1e-5, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
        )
