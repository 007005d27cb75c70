"""What the launcher of a run on several machines says of them."""

from __future__ import annotations

import os
from typing import Literal

from omegaconf import OmegaConf

from polymodal.errors import ConfigError


def launched(what: Literal["nodes", "processes"]) -> int:
    """How many machines take part, or how many processes each of them has, as torchrun or Slurm say.

    Raises:
        ConfigError: neither of them started this process.
    """
    told = os.environ
    if "LOCAL_WORLD_SIZE" in told:
        processes = int(told["LOCAL_WORLD_SIZE"])
        nodes = int(told["WORLD_SIZE"]) // processes
    elif "SLURM_NTASKS" in told:
        nodes = int(told["SLURM_NNODES"])
        processes = int(told["SLURM_NTASKS"]) // nodes
    else:
        raise ConfigError(
            "devices=multi_node: nothing says which machines take part. On each of them start\n"
            "  torchrun --nnodes=2 --nproc-per-node=8 --rdzv-backend=c10d --rdzv-endpoint=<first machine>:29500 "
            "src/train.py devices=multi_node ...\n"
            "or, in a Slurm job with --nodes=2 --ntasks-per-node=8: srun python src/train.py devices=multi_node ..."
        )
    return nodes if what == "nodes" else processes


OmegaConf.register_new_resolver("launched", launched, replace=True)
