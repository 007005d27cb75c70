"""Parameters, gradients and optimizer state shared out among processes (FSDP2, Zhao et al.
2023).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from polymodal.encoders.blocks import blocks_of
from polymodal.model import MultimodalModel
from polymodal.training.checkpoints.files import Origin, load_checkpoint, origin_of
from polymodal.training.checkpoints.sharded import Like, put, put_back, tensors_of


def shard(model: MultimodalModel, device: str) -> None:
    """Shares out each block of the encoders, and what is left of each encoder, of fusion, head and
    `missing`.

    Each of these is whole on a process only while it runs. Done once: again it changes nothing. The
    parameters of an objective, a few numbers that metrics need too, stay whole.

    Args:
        model: in which each process has the same weights.
        device: type of the devices.
    """
    if model.sharded:
        return
    for parameter in model.parameters():
        parameter.data = parameter.data.contiguous()  # channels_last cannot be cut up
    mesh = init_device_mesh(device, (dist.get_world_size(),))
    encoders = dict.fromkeys(model.encoders.values())  # two modalities may share one
    for encoder in encoders:
        for path in blocks_of(encoder):
            fully_shard(encoder.get_submodule(path), mesh=mesh)
    for part in (*encoders, model.fusion, model.head, model.missing):
        if part is not None and any(True for _ in part.parameters()):
            fully_shard(part, mesh=mesh, reshard_after_forward=True)
            if hasattr(part, "tokens"):
                register_fsdp_forward_method(part, "tokens")
    model.sharded = True


def average_whole(objective: nn.Module) -> None:
    """Averages the gradients of parameters that stayed whole, as is done with those of shards."""
    for parameter in objective.parameters():
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= dist.get_world_size()


def share_buffers(model: nn.Module) -> None:
    """Gives all processes the running statistics of the first one, as DDP does."""
    for buffer in model.buffers():
        dist.broadcast(buffer, src=0)


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float, algorithm: str | None) -> None:
    """Clips by the norm of all gradients, or by `value`, as torch.nn.utils does where nothing is
    sharded.
    """
    sharded, whole = [], []
    for parameter in parameters:
        if isinstance(parameter.grad, DTensor):
            sharded.append(parameter.grad.to_local())
        elif parameter.grad is not None:
            whole.append(parameter.grad)
    if algorithm == "value":
        for grad in [*sharded, *whole]:
            grad.clamp_(-limit, limit)
        return
    square = torch.nn.utils.get_total_norm(sharded) ** 2
    dist.all_reduce(square)
    norm = (square + torch.nn.utils.get_total_norm(whole) ** 2).sqrt()
    factor = (limit / (norm + 1e-6)).clamp(max=1)
    for grad in [*sharded, *whole]:
        grad.mul_(factor)


def share_out(checkpoint: dict[str, Any], like: Like) -> None:
    """Gives each process its shards of the whole tensors in a checkpoint, which all processes have.

    Args:
        checkpoint: as it was read; its tensors are replaced.
        like: the path of a tensor -> one that is shared out in the way that this one is to be; a
            whole one or None, and it stays whole.
    """
    for path, tensor in tensors_of(checkpoint).items():
        example = like(path)
        if (
            isinstance(example, DTensor)
            and not isinstance(tensor, DTensor)
            and example.shape == tensor.shape
        ):
            whole = tensor.to(example.device)
            put(
                checkpoint,
                path,
                distribute_tensor(
                    whole, example.device_mesh, example.placements, src_data_rank=None
                ),
            )


def load_weights(module: nn.Module, file: Path) -> Origin:
    """Gives a module the weights of a checkpoint, whether they are whole or in parts in one or in
    the other.
    """
    checkpoint = load_checkpoint(file, parts=False)
    weights = {f"state_dict/{name}": tensor for name, tensor in module.state_dict().items()}
    put_back(checkpoint, file, weights.get)
    share_out(checkpoint, weights.get)
    module.load_state_dict(checkpoint["state_dict"])
    return origin_of(checkpoint, file)
