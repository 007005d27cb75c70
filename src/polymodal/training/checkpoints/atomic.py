"""Checkpoints that are whole or not there."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from polymodal.errors import StorageError
from polymodal.files import replacing
from polymodal.training.checkpoints.sharded import read_parts, remove_parts, sync_folder, tensors_of

log = logging.getLogger(__name__)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside the old one, down to the disk, and then puts it in its place.

    Lightning writes to the folder for temporary files first, which may be on another disk: moving
    it from there is a copy, and a copy can be cut.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folders: set[Path] = set()

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """The file at `path` is the old one until it is the new one.

        Raises:
            StorageError: the disk is full, or the file cannot be written; the old one is still
                there.
        """
        file = Path(path)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self.folders.add(file.parent.resolve())
            with replacing(file) as part, part.open("wb") as stream:
                torch.save(checkpoint, stream)
                stream.flush()
                os.fsync(stream.fileno())
            sync_folder(file.parent)
            remove_parts(file, keep=checkpoint.get("parts", {}).get("folder"))
        except (
            OSError,
            RuntimeError,
        ) as error:  # torch's writer turns what the file says into a RuntimeError
            raise explained(error, checkpoint, file) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> Any:
        """The whole, what is in parts too; nothing is unpickled."""
        checkpoint = super().load_checkpoint(path, map_location, weights_only=True)
        read_parts(checkpoint, Path(path))
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        """Removes the file and, after it, what belongs to it; nothing outside of the folders that
        it has saved into.

        Which file it is to be may have come from the state in another checkpoint.
        """
        file = Path(path)
        if file.parent.resolve() not in self.folders or file.name in ("", ".."):
            log.warning("%s is not removed: this run has not saved it.", file)
        elif file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)
        else:
            file.unlink(missing_ok=True)
            remove_parts(file)


def explained(error: Exception, checkpoint: dict[str, Any], file: Path) -> StorageError:
    """The error for a checkpoint that could not be written."""
    needed = sum(tensor.nbytes for tensor in tensors_of(checkpoint).values())
    free = shutil.disk_usage(file.parent).free if file.parent.exists() else 0
    known = "the one from before is whole" if file.exists() else "there is none from before"
    if free < needed:
        problem = (
            f"the disk is full: {needed / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free"
        )
    else:
        problem = str(error).splitlines()[0]
    return StorageError(
        f"The checkpoint {file} cannot be written: {problem}. {known.capitalize()}."
    )
