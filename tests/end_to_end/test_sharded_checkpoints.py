"""A run that is shared out among processes, saved in parts or as a whole, goes on and is judged anywhere."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.resumed import TINY, differences, rows

from polymodal.checkpoint import load_checkpoint, newest_checkpoint
from polymodal.checkpoint_parts import tensors_of

CHOSEN = [argument for argument in TINY if argument not in ("encoder.image.widths=[8]", "devices=cpu", "test=false")]
SHARED = [*CHOSEN, "devices=fsdp", "trainer.accelerator=cpu", "trainer.devices=2"]


def state(folder: Path) -> dict[str, Any]:
    checkpoint = load_checkpoint(newest_checkpoint(folder))
    return {name: checkpoint[name] for name in ("state_dict", "optimizer_states", "loops")}


@pytest.mark.slow
@pytest.mark.parametrize("parts", ["true", "false"])
def test_it_goes_on_with_as_many_processes_and_with_one(command, tmp_path: Path, parts: str) -> None:
    whole, longer, alone = (tmp_path / name for name in ("whole", "longer", "alone"))
    chosen = [*SHARED, "encoder/image=linear", "scheduler=none", "callbacks.last.every_steps=3"]
    chosen.append(f"trainer.strategy.save_distributed_checkpoint={parts}")
    for folder, epochs in ((whole, 2), (longer, 1)):
        done = command("train.py", *chosen, f"trainer.max_epochs={epochs}", f"hydra.run.dir={folder}")
        assert done.returncode == 0, done.stderr
    kept = sorted(path.name.partition("-")[0] for path in (longer / "checkpoints").iterdir())
    assert kept == ["best.ckpt", "best.ckpt.parts", "last.ckpt", "last.ckpt.parts"][:: 1 if parts == "true" else 2]
    shutil.copytree(longer, alone)
    done = command("eval.py", f"checkpoint={longer}", "devices=cpu", f"run_dir={tmp_path / 'judged'}")
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((path / "metrics.json").read_text()) for path in (longer, tmp_path / "judged"))
    for name in (name for name in first if name.startswith("test/")):
        assert second[name] == pytest.approx(first[name], rel=1e-6), name

    done = command("train.py", f"resume={longer}", "trainer.max_epochs=2")
    assert done.returncode == 0, done.stderr
    assert differences(state(whole), state(longer)) == []
    assert rows(whole) == rows(longer)

    done = command("train.py", f"resume={alone}", "trainer.max_epochs=2", "trainer.devices=1")
    assert done.returncode == 0, done.stderr
    expected, found = tensors_of(state(whole)), tensors_of(state(alone))
    for path, tensor in expected.items():
        torch.testing.assert_close(found[path], tensor, rtol=1e-6, atol=1e-6, msg=lambda m, p=path: f"{p}: {m}")

    done = command("train.py", f"resume={alone}", "trainer.max_epochs=3", "devices=cpu")
    assert done.returncode == 2
    assert "a run that began with it goes on with it" in done.stderr


@pytest.mark.slow
def test_micro_batches_give_the_weights_of_whole_ones(command, tmp_path: Path) -> None:
    chosen = [*SHARED, "encoder/image=vit", "encoder.image.width=32", "encoder.image.layers=2", "optimizer=sgd"]
    weights = []
    for count in (1, 4):
        folder = tmp_path / str(count)
        done = command("train.py", *chosen, "test=false", f"accumulate={count}", f"hydra.run.dir={folder}")
        assert done.returncode == 0, done.stderr
        weights.append(load_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"])
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-5, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")
