"""Retrieval metrics against the matrix product that they need, and against a sort of the whole N x
N matrix.

    python scripts/benchmark/retrieval.py [sizes=1000,4000,10000] [dim=256] [rounds=5]
    [plot=retrieval.png]

Both directions, one thread, fp32 vectors with noise, one right answer each. Product: a @ b.T and
its transpose, in the same blocks. Sort: both whole matrices argsorted, as open_clip 3.3.0 does;
left out above 10,000 samples. Memory is the peak of a process of its own that does this alone, the
vectors and all imports in it.
"""

from __future__ import annotations

import multiprocessing
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

# for `arguments`, which knows where src is
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch.nn.functional as F
from torch import Tensor

from arguments import arguments
from polymodal.metrics import ranking
from polymodal.metrics.retrieval import Retrieval
from polymodal.report.style import plot

WAYS = ("product", "ours", "sort")
MOST_TO_SORT = 10_000


def vectors(size: int, dim: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(size, dim, generator=generator) for _ in range(2))
    return F.normalize(a, dim=-1), F.normalize(a + 2 * b, dim=-1)


def product(a: Tensor, b: Tensor) -> None:
    rows = max(1, ranking.BLOCK // len(a))
    scores = a.new_empty(min(rows, len(a)), len(a))
    for queries, gallery in ((a, b), (b, a)):
        for block in queries.split(rows):
            torch.mm(block, gallery.T, out=scores[: len(block)])


def collected(a: Tensor, b: Tensor) -> Retrieval:
    """A metric that has seen the samples in batches, as an evaluation gives them."""
    metric, numbers = Retrieval(["a", "b"]), torch.arange(len(a))
    for rows in numbers.split(256):
        x = torch.stack([a[rows], b[rows]], dim=1)
        metric.update(
            x, rows[:, None].expand(-1, 2), torch.ones(len(rows), 2, dtype=torch.bool), rows, rows
        )
    return metric


def sort(a: Tensor, b: Tensor) -> None:
    scores, right = a @ b.T, torch.arange(len(a))[:, None]
    for matrix in (scores, scores.T):
        torch.where(matrix.argsort(descending=True) == right)[1].float().mean()


def job(way: str, a: Tensor, b: Tensor) -> Callable[[], object]:
    if way == "ours":
        return collected(a, b).compute
    return (lambda: product(a, b)) if way == "product" else (lambda: sort(a, b))


def peak(way: str, size: int, dim: int, result: multiprocessing.SimpleQueue) -> None:
    torch.set_num_threads(1)
    a, b = vectors(size, dim)
    if way == "ours":
        metric = collected(a, b)
        del a, b  # what an evaluation holds is the table
        metric.compute()
    else:
        job(way, a, b)()
    status = Path(
        "/proc/self/status"
    ).read_text()  # Linux; what `resource` tells begins with the parent's peak
    result.put(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 2**10)


def mebibytes(way: str, size: int, dim: int) -> float:
    """Peak memory of a new process."""
    context = multiprocessing.get_context("spawn")
    result = context.SimpleQueue()
    process = context.Process(target=peak, args=(way, size, dim, result))
    process.start()
    process.join()
    return result.get()


def seconds(size: int, dim: int, rounds: int) -> dict[str, float]:
    """The median of the rounds, in turns."""
    a, b = vectors(size, dim)
    ways = {way: job(way, a, b) for way in WAYS if way != "sort" or size <= MOST_TO_SORT}
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            start = time.perf_counter()
            run()
            times[way].append(time.perf_counter() - start)
    return {way: statistics.median(taken) for way, taken in times.items()}


def draw(results: dict[int, dict[str, tuple[float, float]]], dim: int, file: Path) -> None:
    with plot(file, size=(8, 3.5), ncols=2) as axes:
        for column, name in enumerate(("seconds", "MiB at the peak of the process")):
            for way in WAYS:
                points = {
                    size: result[way][column] for size, result in results.items() if way in result
                }
                axes[column].plot(list(points), list(points.values()), marker="o", label=way)
            axes[column].set(xscale="log", yscale="log", xlabel=f"samples, d = {dim}", ylabel=name)
        axes[0].legend()
    print(f"drawn in {file}")


def main() -> None:
    defaults = {"sizes": "1000,4000,10000", "dim": "256", "rounds": "5", "plot": ""}
    settings = arguments(__doc__, defaults)
    torch.set_num_threads(1)
    dim, rounds = int(settings["dim"]), int(settings["rounds"])
    results = {}
    print(f"{'N':>8}  {'way':10}{'seconds':>10}{'x product':>11}{'peak MiB':>10}")
    for size in map(int, settings["sizes"].split(",")):
        taken = seconds(size, dim, rounds)
        results[size] = {way: (value, mebibytes(way, size, dim)) for way, value in taken.items()}
        for way, (value, memory) in results[size].items():
            print(
                f"{size:8d}  {way:10}{value:10.3f}{value / taken['product']:11.2f}{memory:10.0f}",
                flush=True,
            )
    if settings["plot"]:
        draw(results, dim, Path(settings["plot"]))


if __name__ == "__main__":
    main()
