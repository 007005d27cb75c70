"""What a launcher says: of the machines of a run, and of the jobs that share one machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from polymodal.errors import ConfigError, PolymodalError

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK")
"""Variables in which a launcher gives each process of a run its number."""


def check_ranks() -> None:
    """Refuses numbers of processes that are left in the environment, though no launcher has started
    this one.

    A process that is not the first one waits for it, and writes nothing.

    Raises:
        PolymodalError: says which variables to unset.
    """
    variables = {name: os.environ[name] for name in (*RANKS, "WORLD_SIZE") if os.environ.get(name)}
    wrong = [name for name, value in variables.items() if not value.isdecimal()]
    launched_by = [
        name
        for name in ("MASTER_ADDR", "TORCHELASTIC_RUN_ID", "SLURM_PROCID")
        if name in os.environ
    ]
    further = [name for name in RANKS if variables.get(name, "0") != "0"]
    if wrong or (further and not launched_by):
        name = (wrong or further)[0]
        raise PolymodalError(
            f"{name}={variables[name]} is set in this shell, as for one of several processes of a "
            "run, and nothing says where the first one is (MASTER_ADDR).\n"
            f"If no launcher has set it: unset {' '.join(variables)}"
        )


def started_alike() -> bool:
    """Whether torchrun or Slurm have started this process, and the first one of the run in the same
    way.
    """
    return "TORCHELASTIC_RUN_ID" in os.environ or "SLURM_PROCID" in os.environ


def launched(what: Literal["nodes", "processes"]) -> int:
    """How many machines take part, or how many processes each of them has, as torchrun or Slurm
    say.

    Raises:
        ConfigError: neither of them started this process.
    """
    variables = os.environ
    if "LOCAL_WORLD_SIZE" in variables:
        processes = int(variables["LOCAL_WORLD_SIZE"])
        nodes = int(variables["WORLD_SIZE"]) // processes
    elif "SLURM_NTASKS" in variables:
        if "SLURM_NTASKS_PER_NODE" not in variables:
            raise ConfigError(
                "devices=multi_node: say how many processes each machine has, as in "
                "--ntasks-per-node=8."
            )
        nodes = int(variables["SLURM_NNODES"])
        processes = int(variables["SLURM_NTASKS"]) // nodes
    else:
        raise ConfigError(
            "devices=multi_node: nothing says which machines take part. On each of them start\n"
            "  torchrun --nnodes=2 --nproc-per-node=8 --rdzv-backend=c10d --rdzv-endpoint=<first "
            "machine>:29500 src/train.py devices=multi_node ...\n"
            "or, in a Slurm job with --nodes=2 --ntasks-per-node=8: srun python src/train.py "
            "devices=multi_node ..."
        )
    return nodes if what == "nodes" else processes


def check_started(trainer: Mapping[str, Any]) -> None:
    """Refuses a run of another number of processes than torchrun or Slurm have started: they would
    wait, or all train.

    Args:
        trainer: its settings.

    Raises:
        ConfigError: says how many there are, and what to choose.
    """
    devices = trainer.get("devices")
    devices = len(devices) if isinstance(devices, list) else devices
    # as Lightning, which has its own there
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    if "LOCAL_RANK" in os.environ and "WORLD_SIZE" not in os.environ and devices not in (1, "auto"):
        raise ConfigError(
            "LOCAL_RANK is set in this shell, so the other processes of the run would be waited "
            "for and not started.\n"
            "If no launcher has set it: unset LOCAL_RANK"
        )
    started = os.environ.get("WORLD_SIZE") or (
        None if interactive else os.environ.get("SLURM_NTASKS")
    )
    if started is None or not isinstance(devices, int) or devices < 0:
        return
    if (
        "WORLD_SIZE" not in os.environ
        and int(started) > 1
        and "SLURM_STEP_NUM_TASKS" not in os.environ
    ):
        raise ConfigError(
            f"This Slurm job has {started} processes: start them all by `srun python src/train.py "
            "...`."
        )
    if (wanted := devices * trainer.get("num_nodes", 1)) != int(started):
        raise ConfigError(
            f"{started} processes were started, by torchrun or Slurm, for a run of {wanted}: "
            "choose devices=multi_node."
            + ("\nIf none were: unset WORLD_SIZE RANK" if "WORLD_SIZE" in os.environ else "")
        )


def threads_each(jobs: int) -> int:
    """Threads of one of several jobs that run on this machine at a time, so that they do not fight
    for its cores.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, cores // jobs) if jobs > 0 else 1  # -1: as many jobs as there are cores


def threads_of_a_job() -> int | None:
    """Threads that a job of this sweep has, by its launcher's settings; None where it has the
    machine for itself.

    It stands in the job's config, so that a repetition on its own computes with as many, and gives
    the same metrics.
    """
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    launcher = HydraConfig.get().launcher
    if jobs := OmegaConf.select(launcher, "n_jobs"):  # joblib
        return threads_each(int(jobs))
    # submitit
    cores = OmegaConf.select(launcher, "ray.remote.num_cpus") or OmegaConf.select(
        launcher, "cpus_per_task"
    )
    return None if cores is None else max(1, int(cores))


def is_first_process() -> bool:
    """False in the further processes of a distributed run, whoever started them: Lightning,
    torchrun or Slurm.
    """
    if "RANK" in os.environ:
        return os.environ["RANK"] == "0"
    if "LOCAL_RANK" in os.environ:
        return (os.environ["LOCAL_RANK"], os.environ.get("NODE_RANK", "0")) == ("0", "0")
    return os.environ.get("SLURM_PROCID", "0") == "0"


OmegaConf.register_new_resolver("launched", launched, replace=True)
OmegaConf.register_new_resolver("threads_of_a_job", threads_of_a_job, replace=True)
