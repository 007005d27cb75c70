"""Vectors of a frozen encoder, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from polymodal.files import replacing, writing

CHECKED = 8
"""Vectors that are computed again at the first use of a file, to see that it belongs to these
inputs."""


class FrozenCache:
    """Item -> vector of an encoder that is not trained and whose inputs do not change.

    The files are looked for when the first vector is asked for: by then the encoder has its final
    weights.

    Args:
        folder: for the vectors of all encoders and data.
        data: the settings of the data.
        rank: number of this process; each writes a file of its own and reads all of them.
    """

    def __init__(self, folder: Path, data: dict[str, Any], rank: int = 0) -> None:
        self.folder, self.data, self.rank = folder, data, rank
        self.file: Path | None = None
        self.items = torch.zeros(0, dtype=torch.long)
        self.vectors = torch.zeros(0, 0)
        self.new: list[tuple[Tensor, Tensor]] = []
        self.checked = False

    def _open(self, encoder: nn.Module) -> None:
        folder = self.folder / cache_key(encoder, self.data)
        self.file = folder / f"rank{self.rank}.safetensors"
        for file in sorted(folder.glob("rank*.safetensors")):
            table = load_file(file)
            self._merge([(table["items"], table["vectors"])])

    @torch.no_grad()
    def __call__(self, encoder: nn.Module, inputs: Tensor, items: Tensor) -> Tensor:
        """(B, ...) inputs, (B,) items -> (B, d) in the dtype of the weights; what is known is not
        encoded again.
        """
        if self.file is None:
            self._open(encoder)
        dtype = next((parameter.dtype for parameter in encoder.parameters()), torch.float32)
        return self._vectors(encoder, inputs, items).to(dtype)

    def _vectors(self, encoder: nn.Module, inputs: Tensor, items: Tensor) -> Tensor:
        wanted = items.cpu()
        place = torch.searchsorted(self.items, wanted)
        known = place < len(self.items)
        known[known.clone()] = self.items[place[known]] == wanted[known]
        if known.any() and not self.checked:
            self._check(encoder, inputs, known, place)
            if not self.checked:  # the file was of other inputs, and is forgotten
                return self._vectors(encoder, inputs, items)
        unknown = ~known
        fresh = encoder(inputs[unknown.to(inputs.device)]) if unknown.any() else None
        if fresh is None:
            return self.vectors[place].to(inputs.device)
        self.new.append((wanted[unknown], fresh.cpu()))
        result = fresh.new_zeros(len(items), fresh.shape[1])
        result[unknown.to(result.device)] = fresh
        if known.any():
            result[known.to(result.device)] = self.vectors[place[known]].to(result.device)
        return result

    def _check(self, encoder: nn.Module, inputs: Tensor, known: Tensor, place: Tensor) -> None:
        rows = known.nonzero().squeeze(1)[:CHECKED]
        again = encoder(inputs[rows.to(inputs.device)]).cpu()
        stored = self.vectors[place[rows]]
        # half precision, and kernels that differ with the size of a batch, are no other inputs
        self.checked = again.shape == stored.shape and bool(
            ((again - stored).norm() <= 0.05 * again.norm()).all()
        )
        if not self.checked:
            self.items, self.vectors, self.checked = self.items[:0], self.vectors[:0], False

    def save(self) -> None:
        """Keeps what is new: in memory from now on, and on disk, whole or not at all."""
        if not self.new or self.file is None:
            return
        self._merge(self.new)
        self.new, self.checked = [], True
        with writing(self.file, "cache"):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(
                self.file, f".{os.getpid()}"
            ) as part:  # another run may keep the same vectors
                save_file({"items": self.items, "vectors": self.vectors}, part)

    def _merge(self, tables: list[tuple[Tensor, Tensor]]) -> None:
        if len(self.items):
            tables = [(self.items, self.vectors), *tables]
        items = torch.cat([items for items, _ in tables])
        vectors = torch.cat([vectors for _, vectors in tables])
        items, order = items.sort(stable=True)
        first = torch.ones_like(items, dtype=torch.bool)
        first[1:] = items[1:] != items[:-1]
        self.items, self.vectors = items[first].contiguous(), vectors[order][first].contiguous()


def cache_key(encoder: nn.Module, data: dict[str, Any]) -> str:
    """A name for the vectors of an encoder with these weights on these data.

    Args:
        encoder: with its weights.
        data: the settings of the data; those that do not change an item are left out.
    """
    digest = hashlib.sha256()
    settings = {
        key: value
        for key, value in data.items()
        if key not in {"batch_size", "num_workers", "limit"}
    }
    device = next((parameter.device.type for parameter in encoder.parameters()), "cpu")
    half = str(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else ""
    digest.update(json.dumps([repr(encoder), half, settings], sort_keys=True, default=str).encode())
    for name, value in encoder.state_dict().items():
        digest.update(
            name.encode()
            + value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()[:24]
