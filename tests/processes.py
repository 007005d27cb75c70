"""Several processes on this machine, as distributed training has them."""

import os
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def run_processes(function: Callable[..., Any], world_size: int, *arguments: Any) -> list[Any]:
    """What `function(rank, world_size, *arguments)` returns on each of `world_size` gloo
    processes."""
    with mp.Manager() as manager, TemporaryDirectory() as folder:
        results = manager.dict()
        given = (
            world_size,
            f"file://{folder}/meeting",
            dict(os.environ),
            function,
            arguments,
            results,
        )
        mp.start_processes(_worker, given, nprocs=world_size, start_method="forkserver")
        return [results[rank] for rank in range(world_size)]


def _worker(
    rank: int,
    world_size: int,
    meeting: str,
    environment: dict[str, str],
    function: Callable[..., Any],
    arguments: Any,
    results: Any,
) -> None:
    os.environ |= environment  # the server that forks has that of its own start
    torch.set_num_threads(1)
    dist.init_process_group("gloo", meeting, rank=rank, world_size=world_size)
    try:
        results[rank] = function(rank, world_size, *arguments)
        dist.barrier()
    finally:
        dist.destroy_process_group()
