"""A training step of every fusion against `concat`, side by side.

    python scripts/benchmark/fusions.py [batch=256] [m=3] [dim=128] [steps=50] [rounds=5]

Forward and backward on vectors in memory, in turns, one thread; the median of the rounds.
Parameters are those of the fusion alone.
"""

import statistics
import sys
import time
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from arguments import arguments

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "fusion"


def build(name: str, m: int, dim: int) -> torch.nn.Module:
    torch.manual_seed(0)
    encoders = {f"m{index}": {} for index in range(m)}
    node = OmegaConf.load(CONFIGS / f"{name}.yaml")
    config = OmegaConf.create({"dim": dim, "outputs": dim, "encoder": encoders, "fusion": node})
    return instantiate(config.fusion, _convert_="all")


def seconds(fusion: torch.nn.Module, x: torch.Tensor, mask: torch.Tensor, steps: int) -> float:
    start = time.perf_counter()
    for _ in range(steps):
        x.grad = None
        fusion.zero_grad(set_to_none=True)
        output = fusion(x, mask)
        loss = output.y.square().mean()
        (loss if output.aux_loss is None else loss + output.aux_loss).backward()
    return (time.perf_counter() - start) / steps


def main() -> None:
    defaults = {"batch": "256", "m": "3", "dim": "128", "steps": "50", "rounds": "5"}
    settings = {key: int(value) for key, value in arguments(__doc__, defaults).items()}
    torch.set_num_threads(1)
    m, dim = settings["m"], settings["dim"]
    names = [file.stem for file in sorted(CONFIGS.glob("*.yaml")) if file.stem != "none"]
    fusions = {name: build(name, m, dim) for name in names}
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(settings["batch"], m, dim, generator=generator, requires_grad=True)
    mask = torch.rand(settings["batch"], m, generator=generator) > 0.2
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in track(range(settings["rounds"]), description="Rounds", transient=True):
        for name, fusion in fusions.items():
            times[name].append(seconds(fusion, x, mask, settings["steps"]))
    base = statistics.median(times["concat"])
    print(
        f"B={settings['batch']} m={m} d={dim}, one thread; concat takes {1000 * base:.2f} ms a step"
    )
    for name in sorted(names, key=lambda name: statistics.median(times[name])):
        count = sum(parameter.numel() for parameter in fusions[name].parameters())
        ratio = statistics.median(times[name]) / base
        print(f"{name:16} {ratio:7.2f} x the time of concat {count:12,d} parameters")


if __name__ == "__main__":
    main()
