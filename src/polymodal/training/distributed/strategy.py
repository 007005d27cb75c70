"""The strategy of devices=fsdp: how a run that is shared out among processes is saved and goes
on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy, Strategy
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from polymodal.training.checkpoints.atomic import explained
from polymodal.training.checkpoints.sharded import put_back, write_parts
from polymodal.training.distributed.fsdp import average_whole, clip_gradients, share_out


class ShardedStrategy(ModelParallelStrategy):
    """FSDP2 as Lightning has it, with checkpoints that are data: Lightning's in parts have an index
    that is a pickle.

    A checkpoint holds what one of any other strategy holds, so that a run can go on with any other,
    and the other way.

    Args:
        save_distributed_checkpoint: each process writes its own part (`checkpoint_parts`), for
            models of which one machine cannot hold the whole; else the first process puts all
            together in one file.
    """

    def __init__(self, save_distributed_checkpoint: bool = False) -> None:
        super().__init__(save_distributed_checkpoint=save_distributed_checkpoint)

    lightning_module_state_dict = Strategy.lightning_module_state_dict
    optimizer_state = Strategy.optimizer_state
    load_model_state_dict = Strategy.load_model_state_dict
    load_optimizer_state_dict = Strategy.load_optimizer_state_dict
    lightning_restore_optimizer = True  # type: ignore[assignment]

    def setup(self, trainer: Trainer) -> None:
        """Clips by the norm of all shards, where Lightning would clip by that of one process."""
        super().setup(trainer)
        self.precision_plugin.clip_gradients = self._clip_gradients  # type: ignore[method-assign]

    def _clip_gradients(
        self,
        optimizer: Optimizer,
        clip_val: float = 0.0,
        gradient_clip_algorithm: Any = None,
    ) -> None:
        if clip_val > 0:
            groups = optimizer.param_groups
            parameters = [parameter for group in groups for parameter in group["params"]]
            clip_gradients(parameters, clip_val, gradient_clip_algorithm)

    def post_backward(self, closure_loss: Tensor) -> None:
        """Averages the gradients of what is not sharded: each process has its own of them."""
        super().post_backward(closure_loss)
        average_whole(self.lightning_module.objective)

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None
    ) -> None:
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
        else:
            checkpoint = whole(checkpoint, keep=self.is_global_zero)
        if self.is_global_zero:
            self.checkpoint_io.save_checkpoint(checkpoint, file)

    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """The checkpoint of any strategy, of which each process has its shards."""
        checkpoint: dict[str, Any] = torch.load(
            checkpoint_path, map_location="cpu", mmap=True, weights_only=True
        )
        weights = self.lightning_module_state_dict()
        trained = [
            [p for group in optimizer.param_groups for p in group["params"]]
            for optimizer in self.optimizers
        ]

        def like(path: str) -> Tensor | None:
            key, _, name = path.partition("/")
            if key == "optimizer_states":
                number, _, index, _ = name.split("/")
                return trained[int(number)][int(index)]
            return weights.get(name) if key in ("state_dict", "current_model_state") else None

        put_back(checkpoint, Path(checkpoint_path), like)
        share_out(checkpoint, like)
        return checkpoint


def whole(node: Any, keep: bool) -> Any:
    """The same containers with whole tensors in the place of shards; in processes that do not
    `keep` it, with None.

    Called by all processes.
    """
    if isinstance(node, DTensor):
        tensor = node.full_tensor()
        return tensor.cpu() if keep else None
    if isinstance(node, dict):
        return {key: whole(value, keep) for key, value in node.items()}
    return [whole(item, keep) for item in node] if isinstance(node, list) else node
