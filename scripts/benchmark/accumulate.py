"""Memory and time of a training step for accumulate=k: at one batch size, and at one size of the
micro-batches.

Each line is a process of its own, with one thread. Memory is the highest resident size during three
steps less that before the first; time is the processor's.

    python scripts/benchmark/accumulate.py [batch=512] [micro=64] [ks=1,4,16] [encoder/image=vit
    ...]
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# for `arguments`, which knows where src is
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from arguments import key_values

STEPS = 3
EXACT = {"MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "0"}
"""What is freed goes back to the system at once, where malloc is glibc's: resident is what is in
use."""


def measure(k: int, overrides: list[str]) -> tuple[float, float]:
    """MiB and seconds of a step, in this process."""
    from polymodal.cli.overrides import as_hydra_arguments
    from polymodal.config.check import check_config
    from polymodal.config.compose import compose_config
    from polymodal.training.build import build
    from polymodal.training.grad_cache import in_parts
    from polymodal.training.process import prepare_process
    from training import Training

    with tempfile.TemporaryDirectory() as folder:
        config = check_config(
            compose_config(as_hydra_arguments([f"run_dir={folder}", "logger=none", *overrides]))
        )
        prepare_process(config)
        data, module, _ = build(config, config)
    data.prepare_data()
    data.setup()
    data.trainer = Training()
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    first = batch._map(lambda tensor: tensor[:8])
    module.objective(module.model(first), first).backward()  # gradients and kernels are there
    before, start = _highest(), time.process_time()
    for _ in range(STEPS):
        module.zero_grad()
        module.objective(in_parts(module.model, batch, k), batch).backward()
    return _highest() - before, (time.process_time() - start) / STEPS


def _highest() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    if sys.argv[1:2] == ["measure"]:
        print("metrics", *measure(int(sys.argv[2]), sys.argv[3:]))
        return
    given = key_values()
    batch, micro = int(given.pop("batch", 512)), int(given.pop("micro", 64))
    ks = [int(k) for k in given.pop("ks", "1,4,16").split(",")]
    overrides = [
        f"{key}={value}"
        for key, value in ({"encoder/image": "vit", "threads": "1"} | given).items()
    ]
    print(f"{'batch':>6} {'k':>3} {'micro-batch':>12} {'MiB':>8} {'s a step':>9} {'samples/s':>10}")
    for size, k in [*((batch, k) for k in ks), *((micro * k, k) for k in ks)]:
        command = [
            sys.executable,
            __file__,
            "measure",
            str(k),
            *overrides,
            f"data.batch_size={size}",
        ]
        out = subprocess.run(
            command, env={**os.environ, **EXACT}, capture_output=True, text=True, check=True
        ).stdout
        line = next(line for line in out.splitlines() if line.startswith("metrics"))
        memory, seconds = map(float, line.split()[1:])
        print(
            f"{size:6d} {k:3d} {size // k:12d} {memory:8.0f} {seconds:9.2f} {size / seconds:10.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
