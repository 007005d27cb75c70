"""What a launcher says: of the machines of a run, and of the jobs that share one machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
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
        if "SLURM_NTASKS_PER_NODE" not in told:
            raise ConfigError("devices=multi_node: say how many processes each machine has, as in --ntasks-per-node=8.")
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


def check_started(trainer: Mapping[str, Any]) -> None:
    """Refuses a run of another number of processes than torchrun or Slurm have started: they would wait, or all train.

    Args:
        trainer: its settings.

    Raises:
        ConfigError: says how many there are, and what to choose.
    """
    devices = trainer.get("devices")
    devices = len(devices) if isinstance(devices, list) else devices
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")  # as Lightning, which has its own there
    started = os.environ.get("WORLD_SIZE") or (None if interactive else os.environ.get("SLURM_NTASKS"))
    if started is None or not isinstance(devices, int) or devices < 0:
        return
    if "WORLD_SIZE" not in os.environ and int(started) > 1 and "SLURM_STEP_NUM_TASKS" not in os.environ:
        raise ConfigError(f"This Slurm job has {started} processes: start them all by `srun python src/train.py ...`.")
    if (wanted := devices * trainer.get("num_nodes", 1)) != int(started):
        raise ConfigError(
            f"{started} processes were started, by torchrun or Slurm, for a run of {wanted}: choose devices=multi_node."
        )


def threads_each(jobs: int) -> int:
    """Threads of one of several jobs that run on this machine at a time, so that they do not fight for its cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // jobs) if jobs > 0 else 1  # -1: as many jobs as there are cores


def threads_of_a_job() -> int | None:
    """Threads that a job of this sweep has, by its launcher's settings; None where it has the machine for itself.

    It stands in the job's config, so that a repetition on its own computes with as many, and gives the same figures.
    """
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    launcher = HydraConfig.get().launcher
    if jobs := OmegaConf.select(launcher, "n_jobs"):  # joblib
        return threads_each(int(jobs))
    cores = OmegaConf.select(launcher, "ray.remote.num_cpus") or OmegaConf.select(launcher, "cpus_per_task")  # submitit
    return None if cores is None else max(1, int(cores))


def is_first_process() -> bool:
    """False in the further processes of a distributed run, whoever started them: Lightning, torchrun or Slurm."""
    if "RANK" in os.environ:
        return os.environ["RANK"] == "0"
    if "LOCAL_RANK" in os.environ:
        return (os.environ["LOCAL_RANK"], os.environ.get("NODE_RANK", "0")) == ("0", "0")
    return os.environ.get("SLURM_PROCID", "0") == "0"


OmegaConf.register_new_resolver("launched", launched, replace=True)
OmegaConf.register_new_resolver("threads_of_a_job", threads_of_a_job, replace=True)
