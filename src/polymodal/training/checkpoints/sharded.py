"""Checkpoints of which each process writes its own part: safetensors beside the file, and nothing
that is pickled.

The file `last.ckpt` holds all but the tensors that are sharded, and names the folder beside it
that has those: one file a process, each with its sum. A new checkpoint comes with a new folder, and
counts from the moment that its file takes the place of the old one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor

from polymodal.config.secrets import members
from polymodal.errors import ConfigError

Like = Callable[[str], Tensor | None]


def write_parts(checkpoint: dict[str, Any], file: Path) -> dict[str, Any]:
    """Writes what is sharded, all processes together; gives the rest, which is for `file`.

    Raises:
        OSError: of any process, on all of them; the folder is gone then.
    """
    token = [uuid4().hex[:8]]
    dist.broadcast_object_list(token)
    folder = file.with_name(f"{file.name}.parts-{token[0]}")
    shared = {
        path: tensor
        for path, tensor in tensors_of(checkpoint).items()
        if isinstance(tensor, DTensor)
    }
    try:
        save(shared, storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))
        sync_folder(folder)
        sums: list[dict[str, str]] = [{} for _ in range(dist.get_world_size())]
        dist.all_gather_object(
            sums, {own.name: _sum(own) for own in folder.glob(f"shard-{dist.get_rank() + 1:05d}-*")}
        )
        together = {name: value for own in sums for name, value in own.items()}
        if {own.name for own in folder.iterdir()} != together.keys():
            raise OSError(
                f"{folder} is not the same folder for all processes: they need one file system"
            )
    except (CheckpointException, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise OSError(_words(error)) from error
    return _rest(checkpoint) | {"parts": {"folder": folder.name, "sums": together}}


def check_parts(checkpoint: dict[str, Any], file: Path) -> None:
    """Compares the parts of a checkpoint, if it has any, with their sums.

    Raises:
        ConfigError: one is not what was written, or is missing.
    """
    for name, value in checkpoint.get("parts", {}).get("sums", {}).items():
        part = _folder(checkpoint, file) / name
        if not part.is_file():
            raise ConfigError(f"checkpoint={file} is damaged: its part {part} is missing.")
        if _sum(part) != value:
            raise ConfigError(f"checkpoint={file} is damaged: the sum of its part {part} is wrong.")


def read_parts(checkpoint: dict[str, Any], file: Path, like: Like | None = None) -> None:
    """Reads tensors from the parts, and puts them where they were in the checkpoint.

    Args:
        checkpoint: what `file` holds; without parts, it stays as it is.
        file: beside which they are.
        like: the path of a tensor, as `tensors_of` gives it -> one that is sharded as this one
            is to be, or a whole one; None: it is not read. Without `like`, everything is, into
            whole tensors on the CPU.

    Raises:
        ConfigError: a part cannot be read.
    """
    if "parts" not in checkpoint:
        return
    reader = HuggingFaceStorageReader(str(_folder(checkpoint, file)))
    tensors = {}
    for path, about in reader.read_metadata().state_dict_metadata.items():
        example = torch.empty(0) if like is None else like(path)
        if example is not None and isinstance(about, TensorStorageMetadata):
            shared = isinstance(example, DTensor) and example.shape == about.size
            dtype = about.properties.dtype
            tensors[path] = (
                torch.empty_like(example, dtype=dtype)
                if shared
                else torch.empty(about.size, dtype=dtype)
            )
    try:
        # each process reads for itself, and torch is afraid for it
        with warnings.catch_warnings(action="ignore"):
            load(tensors, storage_reader=reader, no_dist=True)
    except CheckpointException as error:  # not an `Exception`
        raise ConfigError(
            f"checkpoint={file}: its parts cannot be read: {_words(error)}"
        ) from error
    for path, tensor in tensors.items():
        set_tensor(checkpoint, path, tensor)


def set_tensor(node: Any, path: str, tensor: Tensor) -> None:
    """Puts a tensor at its path, as `tensors_of` gives it, into nested dictionaries and lists."""
    *parents, last = (int(key) if key.isdecimal() else key for key in path.split("/"))
    for key in parents:
        node = node[key]
    node[last] = tensor


def remove_parts(file: Path, keep: str | None = None) -> None:
    """Removes the folders of parts beside a checkpoint, but for the one with the name `keep`."""
    for folder in file.parent.glob(f"{file.name}.parts-*"):
        if folder.name != keep:
            shutil.rmtree(folder)


def sync_folder(folder: Path) -> None:
    """Brings the names of new files down to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tensors_of(node: Any, path: str = "") -> dict[str, Tensor]:
    """All tensors in nested dictionaries and lists, by their path, such as
    `state_dict/model.head.weight`.
    """
    if isinstance(node, Tensor):
        return {path: node}
    start = f"{path}/" if path else ""
    return {
        name: tensor
        for key, item in members(node)
        for name, tensor in tensors_of(item, f"{start}{key}").items()
    }


def not_finite(state: Mapping[str, Any]) -> list[str]:
    """Names of the tensors of a model's state that hold NaN or infinity; of shards, those of this
    process.

    A buffer that holds -inf beside other numbers may be a mask of attention. Running statistics are
    none.
    """
    return [
        name
        for name, values in state.items()
        if isinstance(values, Tensor) and _is_spoilt(name, values)
    ]


def _is_spoilt(name: str, values: Tensor) -> bool:
    values = values.to_local() if isinstance(values, DTensor) else values
    if not values.is_floating_point() or bool(values.isfinite().all()):
        return False
    may_be_a_mask = (
        "running_" not in name and not values.isnan().any() and not values.isposinf().any()
    )
    return not (may_be_a_mask and bool(values.isfinite().any()))


def _rest(node: Any) -> Any:
    """The same containers without what is sharded, which only dictionaries hold."""
    if isinstance(node, dict):
        return {key: _rest(value) for key, value in node.items() if not isinstance(value, DTensor)}
    return [_rest(item) for item in node] if isinstance(node, list) else node


def _folder(checkpoint: dict[str, Any], file: Path) -> Path:
    return file.with_name(checkpoint["parts"]["folder"])  # nowhere else: a name has no separators


def _sum(part: Path) -> str:
    with part.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _words(error: BaseException) -> str:
    """What the first process that failed has said."""
    if isinstance(error, CheckpointException):
        error = next(iter(error.failures.values()))[0]
    return str(error)
