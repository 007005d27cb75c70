"""Checkpoints in parts: read on any number of processes, noticed where damaged, and nothing in them
is pickled."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from tests.processes import run_processes
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from polymodal.errors import ConfigError
from polymodal.training.checkpoints.atomic import AtomicCheckpointIO
from polymodal.training.checkpoints.files import load_checkpoint, newest_checkpoint
from polymodal.training.checkpoints.sharded import read_parts, remove_parts, tensors_of, write_parts
from polymodal.training.distributed.fsdp import load_weights

SHAPES = {"wide": (5, 3), "one row": (1, 4), "odd": (7, 2, 2)}


def content() -> dict[str, Any]:
    """What is to be sharded, in the places where a checkpoint has it, and a rest."""
    weights = {
        name: torch.randn(shape, generator=torch.Generator().manual_seed(1))
        for name, shape in SHAPES.items()
    }
    weights["odd"] = weights["odd"].bfloat16()
    state = {
        i: {"exp_avg": value + 1, "step": torch.tensor(3.0)}
        for i, value in enumerate(weights.values())
    }
    return {
        "config": {},
        **{name: {} for name in ("resume", "loops", "callbacks")},
        "state_dict": {**weights, "whole": torch.arange(3.0)},
        "global_step": 0,
        "optimizer_states": [
            {"state": state, "param_groups": [{"params": list(state), "betas": (0.9, 0.99)}]}
        ],
    }


def shared_out(node: Any) -> Any:
    """The same with each tensor of at least two dimensions divided among all processes."""
    if isinstance(node, Tensor) and node.ndim > 1:
        return distribute_tensor(
            node, init_device_mesh("cpu", (dist.get_world_size(),)), [Shard(0)]
        )
    if isinstance(node, dict):
        return {key: shared_out(value) for key, value in node.items()}
    return [shared_out(item) for item in node] if isinstance(node, list) else node


def save(rank: int, world_size: int, file: Path) -> str:
    """Saves twice, and once more when the second process cannot write; what each process says of
    that."""
    for _ in range(2):  # the second takes the place of the first
        checkpoint = write_parts(shared_out(content()), file)
        if rank == 0:
            AtomicCheckpointIO().save_checkpoint(checkpoint, file)
        dist.barrier()
    if rank == 1:

        def full(*arguments: Any, **options: Any) -> None:
            raise OSError(28, "No space left on device")

        torch.distributed.checkpoint.filesystem.os.fsync = full
    try:
        write_parts(shared_out(content()), file)
    except OSError as error:
        return str(error)
    return ""


def loaded(rank: int, world_size: int, file: Path) -> dict[str, Tensor]:
    """What the processes have when each has read its part alone, put together."""
    shards = {
        path: tensor
        for path, tensor in tensors_of(shared_out(content())).items()
        if isinstance(tensor, DTensor)
    }
    checkpoint = load_checkpoint(file, parts=False)
    read_parts(checkpoint, file, shards.get)
    assert all(isinstance(tensors_of(checkpoint)[path], DTensor) for path in shards)
    tensors = tensors_of(checkpoint)
    return {path: t.full_tensor() if isinstance(t, DTensor) else t for path, t in tensors.items()}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of two processes, after which there was no room for another one."""
    file = tmp_path_factory.mktemp("run") / "checkpoints" / "last.ckpt"
    file.parent.mkdir()
    assert all("No space left" in message for message in run_processes(save, 2, file))
    return file


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    """A run folder that a test may damage."""
    shutil.copytree(saved.parent, tmp_path / "checkpoints")
    return tmp_path / "checkpoints" / "last.ckpt"


def test_what_one_process_cannot_write_is_an_error_of_all_and_leaves_the_checkpoint_before(
    saved: Path,
) -> None:
    assert len(list(saved.parent.iterdir())) == 2
    assert newest_checkpoint(saved.parents[1]) == saved


def test_there_is_a_file_a_process_and_no_index_that_is_pickled(saved: Path) -> None:
    (folder,) = (path for path in saved.parent.iterdir() if path.is_dir())
    assert len(list(folder.iterdir())) == 2
    assert {file.suffix for file in folder.iterdir()} == {".safetensors"}
    plain = tensors_of(torch.load(saved, weights_only=True))
    assert all(tensor.ndim < 2 for tensor in plain.values())


def test_one_process_reads_the_whole(saved: Path) -> None:
    checkpoint, expected = load_checkpoint(saved), content()
    assert tensors_of(checkpoint).keys() == tensors_of(expected).keys()
    for path, tensor in tensors_of(expected).items():
        assert torch.equal(tensors_of(checkpoint)[path], tensor), path
    assert (
        checkpoint["optimizer_states"][0]["param_groups"]
        == expected["optimizer_states"][0]["param_groups"]
    )


@pytest.mark.slow
def test_another_number_of_processes_reads_what_each_has(saved: Path) -> None:
    for result in run_processes(loaded, 3, saved):
        for path, tensor in tensors_of(content()).items():
            assert torch.equal(result[path], tensor), path


def test_a_module_that_is_whole_takes_weights_in_parts(saved: Path) -> None:
    weights = content()["state_dict"]
    module = nn.Module()
    for name, value in weights.items():
        module.register_parameter(name, nn.Parameter(torch.zeros_like(value)))
    load_weights(module, saved)
    for name, value in weights.items():
        assert torch.equal(module.get_parameter(name), value)


@pytest.mark.parametrize("damage", ["flipped", "missing", "cut"])
def test_a_damaged_part_is_noticed_and_the_checkpoint_before_is_taken(
    copied: Path, damage: str
) -> None:
    torch.save(content(), copied.with_name("best.ckpt"))
    assert newest_checkpoint(copied.parents[1]) == copied
    part = sorted(copied.parent.glob("last.ckpt.parts-*/*"))[1]
    data = part.read_bytes()
    part.write_bytes(data[:-1] + (bytes([data[-1] ^ 1]) if damage == "flipped" else b""))
    if damage == "missing":
        part.unlink()
    with pytest.raises(ConfigError, match=f"{part}.*is (wrong|missing)|{part} is (wrong|missing)"):
        load_checkpoint(copied)
    assert newest_checkpoint(copied.parents[1]).name == "best.ckpt"


def test_a_name_leads_to_no_other_folder(copied: Path) -> None:
    checkpoint = torch.load(copied, weights_only=True)
    checkpoint["parts"]["folder"] = "../elsewhere"
    torch.save(checkpoint, copied)
    with pytest.raises((ConfigError, ValueError)):
        load_checkpoint(copied)


def test_what_belongs_to_a_checkpoint_goes_with_it(copied: Path) -> None:
    stray = copied.with_name("last.ckpt.parts-0")
    stray.mkdir()
    checkpoint = torch.load(copied, weights_only=True)
    files = AtomicCheckpointIO()
    files.save_checkpoint(checkpoint, copied)
    assert not stray.exists()
    assert newest_checkpoint(copied.parents[1]) == copied
    files.remove_checkpoint(copied)
    assert not list(copied.parent.iterdir())


def test_removing_without_parts_is_nothing(tmp_path: Path) -> None:
    remove_parts(tmp_path / "last.ckpt")
