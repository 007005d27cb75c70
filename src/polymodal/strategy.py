"""The strategy of devices=fsdp: how a run that is shared out among processes is saved and goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer

from polymodal.checkpoint_io import explained
from polymodal.checkpoint_parts import put_back, tensors_of, write_parts


class ShardedStrategy(ModelParallelStrategy):
    """FSDP2 as Lightning has it, with checkpoints that are data: Lightning's in parts have an index that is a pickle.

    Either kind is read on any number of processes. The state of the optimizer goes by the names of the parameters,
    since their order depends on what is shared out.

    Args:
        save_distributed_checkpoint: each process writes its own part (`checkpoint_parts`), for models of
            which one machine cannot hold the whole; else the first process puts all together in one file.
    """

    def __init__(self, save_distributed_checkpoint: bool = False) -> None:
        super().__init__(save_distributed_checkpoint=save_distributed_checkpoint)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """By the names of the parameters; in a whole checkpoint on the first process only."""
        options = StateDictOptions(full_state_dict=not self._save_distributed_checkpoint, cpu_offload=True)
        return get_optimizer_state_dict(self.model, optimizer, options=options)  # type: ignore[arg-type]

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None) -> None:
        """Called by all processes.

        Raises:
            StorageError: it cannot be written; the one from before is still there.
        """
        file = Path(self.broadcast(filepath))
        if self._save_distributed_checkpoint:
            try:
                checkpoint = write_parts(checkpoint, file)
            except OSError as error:
                raise explained(error, checkpoint, file) from error
        if self.is_global_zero:
            self.checkpoint_io.save_checkpoint(checkpoint, file)

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Gives weights and state to the model and its optimizer, to each process its part; returns the rest."""
        file, model = Path(checkpoint_path), self.model
        assert model is not None
        checkpoint = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
        if "parts" in checkpoint:
            states = [get_optimizer_state_dict(model, optimizer) for optimizer in self.optimizers]
            into = {"state_dict": get_model_state_dict(model), "optimizer_states": states}
            put_back(checkpoint, file, tensors_of(into))
        whole = "parts" not in checkpoint
        set_model_state_dict(model, checkpoint.pop("state_dict"), options=StateDictOptions(full_state_dict=whole))
        # what is not trained yet has no state
        options = StateDictOptions(full_state_dict=whole, strict=False)
        for optimizer, state in zip(self.optimizers, checkpoint.pop("optimizer_states"), strict=True):
            set_optimizer_state_dict(model, optimizer, state, options=options)
        return checkpoint
