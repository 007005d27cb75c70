"""Several processes on this machine, as distributed training has them."""

import os
import socket
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def run_processes(function: Callable[..., Any], world_size: int, *arguments: Any) -> list[Any]:
    """What `function(rank, world_size, *arguments)` returns on each of `world_size` gloo processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with mp.Manager() as manager:
        results = manager.dict()
        mp.spawn(_worker, (world_size, port, function, arguments, results), nprocs=world_size)
        return [results[rank] for rank in range(world_size)]


def _worker(rank: int, world_size: int, port: int, function: Callable[..., Any], arguments: Any, results: Any) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world_size)
    try:
        results[rank] = function(rank, world_size, *arguments)
        dist.barrier()
    finally:
        dist.destroy_process_group()
