"""Contrastive losses on one process: plain, in tiles and open_clip's, side by side in one run.

    python scripts/benchmark/losses.py [sizes=256,1024] [dim=512] [rounds=5] [plot=losses.png]

Forward and backward on unit vectors in memory, fp32, in turns, one thread; the median of the
rounds. Saved is what autograd keeps for backward beyond the two (B, d) features, each storage
counted once. `plot` draws both.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

# for `arguments`, which knows where src is
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch.nn.functional as F
from open_clip.loss import ClipLoss, SigLipLoss
from torch import Tensor

from arguments import key_values
from polymodal.losses.info_nce import info_nce
from polymodal.losses.sigmoid import sigmoid_loss
from polymodal.losses.tiled_info_nce import tiled_info_nce
from polymodal.losses.tiled_sigmoid import tiled_sigmoid_loss
from polymodal.report.style import plot

KINDS = ("CLIP", "SigLIP")
WAYS = ("plain", "tiled", "open_clip")
Losses = dict[tuple[str, str], Callable[[], Tensor]]


def losses(size: int, dim: int) -> tuple[Losses, list[Tensor]]:
    """Each loss by kind and way, and what it is derived by: two features, scale and bias."""
    generator = torch.Generator().manual_seed(0)
    a, b = (
        F.normalize(torch.randn(size, dim, generator=generator)).requires_grad_() for _ in range(2)
    )
    scale, bias = (torch.tensor(value, requires_grad=True) for value in (14.3, -10.0))
    group = own = torch.arange(size)

    def plain_clip() -> Tensor:
        positives = group[:, None] == group
        return (
            info_nce((scale * a) @ b.T, positives) + info_nce((scale * b) @ a.T, positives)
        ).mean() / 2

    return {
        ("CLIP", "plain"): plain_clip,
        ("CLIP", "tiled"): lambda: tiled_info_nce(a, b, group, own, scale).mean(),
        ("CLIP", "open_clip"): lambda: ClipLoss()(a, b, scale),
        ("SigLIP", "plain"): lambda: sigmoid_loss(
            (scale * a) @ b.T + bias, group[:, None] == group
        ).mean(),
        ("SigLIP", "tiled"): lambda: tiled_sigmoid_loss(a, b, group, group, scale, bias).mean(),
        ("SigLIP", "open_clip"): lambda: SigLipLoss()(a, b, scale, bias),
    }, [a, b, scale, bias]


def seconds(loss: Callable[[], Tensor], leaves: list[Tensor]) -> float:
    for leaf in leaves:
        leaf.grad = None
    start = time.perf_counter()
    loss().backward()
    return time.perf_counter() - start


def saved_mebibytes(loss: Callable[[], Tensor], features: list[Tensor]) -> float:
    kept: dict[
        int, Tensor
    ] = {}  # the tensors themselves: an address is not given away while they live

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        value = loss()
    for feature in features:
        kept.pop(feature.untyped_storage().data_ptr(), None)
    assert value.requires_grad
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) / 2**20


def measured(size: int, dim: int, rounds: int) -> dict[tuple[str, str], tuple[float, float]]:
    """Median seconds and saved MiB of each loss."""
    cases, leaves = losses(size, dim)
    times: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    for turn in range(rounds + 1):
        for case, loss in cases.items():
            duration = seconds(loss, leaves)
            if turn:  # the first round warms up
                times[case].append(duration)
    return {
        case: (statistics.median(times[case]), saved_mebibytes(cases[case], leaves[:2]))
        for case in cases
    }


def show(results: dict[int, dict[tuple[str, str], tuple[float, float]]]) -> None:
    print(f"{'loss':8}{'B':>6}  {'way':10}{'ms':>10}{'x plain':>10}{'saved MiB':>12}")
    for kind in KINDS:
        for size, result in results.items():
            for way in WAYS:
                duration, saved = result[kind, way]
                ratio = duration / result[kind, "plain"][0]
                print(
                    f"{kind:8}{size:6d}  {way:10}{1000 * duration:10.1f}{ratio:10.2f}{saved:12.2f}"
                )


def draw(
    results: dict[int, dict[tuple[str, str], tuple[float, float]]], dim: int, file: Path
) -> None:
    with plot(file, size=(8, 6), nrows=2, ncols=2, sharex=True, sharey="row") as axes:
        for column, kind in enumerate(KINDS):
            for row, name in enumerate(("seconds, forward and backward", "MiB saved for backward")):
                axis = axes[row, column]
                for way in WAYS:
                    values = [result[kind, way][row] for result in results.values()]
                    axis.plot(list(results), values, marker="o", label=way)
                axis.set_xscale("log", base=2)
                axis.set_yscale("log")
                if column == 0:
                    axis.set_ylabel(name)
            axes[0, column].set_title(kind)
            axes[1, column].set_xlabel(f"samples in a batch, d = {dim}")
        axes[0, 0].legend()
    print(f"drawn in {file}")


def main() -> None:
    settings = {"sizes": "256,1024", "dim": "512", "rounds": "5", "plot": ""}
    settings |= key_values()
    torch.set_num_threads(1)
    dim = int(settings["dim"])
    results = {
        int(size): measured(int(size), dim, int(settings["rounds"]))
        for size in settings["sizes"].split(",")
    }
    show(results)
    if settings["plot"]:
        draw(results, dim, Path(settings["plot"]))


if __name__ == "__main__":
    main()
