"""Encoders as graphs that run without their Python code: ONNX, and torch.export's own format."""

from __future__ import annotations

import logging
import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from polymodal.batch import PAD
from polymodal.errors import ConfigError
from polymodal.export.model import ExportedModel

Run = Callable[[Tensor], Tensor]
ENDINGS = {"onnx": ".onnx", "torch_export": ".pt2"}
TOLERANCE = 1e-4
"""The largest difference of a vector's numbers from PyTorch's, relative to the largest of them."""

LENGTHS = {"text": 1, "audio": 1, "video": 1}
"""Kinds whose samples have lengths, and the axis of it; axis 0 is the batch in any case."""

SHORT = 0.2
"""Seconds of the shortest sound: encoders make one step of less, and graphs are made for two steps
and more."""

TIMED = 32
"""Samples in a timed batch."""


def write_graphs(model: ExportedModel, name: str, folder: Path) -> None:
    """One file an encoder, each compared with PyTorch, and a table of sizes, differences and times
    on one batch.

    Args:
        model: whose encoders are written.
        name: onnx or torch_export.
        folder: where `<modality>.onnx` or `<modality>.pt2` is written.

    Raises:
        ConfigError: an encoder cannot be written so, or its graph gives other vectors.
    """
    table = Table(
        "encoder",
        "MB",
        "difference",
        f"PyTorch, {TIMED} samples",
        name,
        "times as fast",
        title=f"format={name}",
    )

    # each graph is compared with PyTorch before it is given away
    encoders = list(model.model.encoders.items())
    for modality, encoder in track(encoders, f"Writing {name}", transient=True):
        file = folder / f"{modality}{ENDINGS[name]}"
        run, worst = _written(model, modality, encoder, name, file)

        # how much faster it is, side by side
        inputs = example(model, modality, TIMED, 1.0)
        seconds = timed([partial(encoder, inputs), partial(run, inputs)])
        megabytes = sum(part.stat().st_size for part in folder.glob(f"{file.name}*")) / 1e6
        ratio = f"{seconds[0] / seconds[1]:.2f}"
        table.add_row(
            modality,
            f"{megabytes:.2f}",
            f"{worst:.0e}",
            *(f"{1e3 * s:.1f} ms" for s in seconds),
            ratio,
        )
    Console().print(table)


def _written(
    model: ExportedModel, modality: str, encoder: nn.Module, name: str, file: Path
) -> tuple[Callable[..., Any], float]:
    """Writes the graph of one encoder: how it is run, and how far it is from PyTorch at most."""
    sizes = ((3, 0.5), (5, 1.0), (1, 0.25))
    examples = [example(model, modality, count, scale) for count, scale in sizes]
    try:
        with quiet():
            run = WRITERS[name](encoder, examples[0], model.formats[modality]["kind"], file)
        worst = max(difference(encoder, run, inputs) for inputs in examples)
    except ImportError as error:
        raise ConfigError(
            f"format={name} needs more packages: pip install 'polymodal[onnx]' ({error})"
        ) from error
    except Exception as error:  # both exporters fail in many ways
        raise ConfigError(
            f"format={name}: no graph can be made of encoder.{modality}, a "
            f"{type(encoder).__name__}: {_first(error)}\nformat=safetensors takes any model."
        ) from error
    if worst > TOLERANCE:
        raise ConfigError(f"{file.name} differs from PyTorch by {worst:.1e} of the largest number.")
    return run, worst


def example(model: ExportedModel, modality: str, count: int, share: float) -> Tensor:
    """Inputs of one modality, at random: captions, sounds and videos as long as a share of the
    longest, padded.

    Raises:
        ConfigError: nothing is known of what they look like.
    """
    # captions and sounds end in padding, as batches do
    about, nodes = model.formats[modality], model.about["model"]["encoder"]
    node = nodes[nodes[modality].get("of", modality)]  # of a shared encoder
    generator = torch.Generator().manual_seed(count)
    kind = about["kind"]
    if kind == "text":
        vocabulary = (
            model.tokenizer.vocab_size if model.tokenizer is not None else node["vocab_size"]
        )
        length = max(
            2,
            round(
                share
                * min(about["context_length"], node.get("context_length", about["context_length"]))
            ),
        )
        ids = torch.randint(1, vocabulary, (count, length), generator=generator)
        return ids.masked_fill(_padding(count, length), PAD)
    if kind in ("image", "video") and "size" in about:
        frames = [max(2, round(share * about.get("frames", 8)))] if kind == "video" else []
        return torch.randn(
            count, *frames, about["channels"], about["size"], about["size"], generator=generator
        )
    if kind == "audio" and "sample_rate" in about:
        length = round(
            about["sample_rate"] * max(SHORT, share * min(1.0, about.get("max_seconds", 1.0)))
        )
        return torch.randn(count, length, generator=generator).masked_fill(
            _padding(count, length), 0
        )
    if columns := node.get("in_features") or node.get("numeric", 0) + len(
        node.get("cardinalities") or []
    ):
        return torch.randn(count, columns, generator=generator)
    raise ConfigError(f"encoder.{modality}: the checkpoint does not say what its inputs look like.")


def _padding(count: int, length: int) -> Tensor:
    """(count, length) bool: each sample but the first is shorter than the one before."""
    lengths = torch.linspace(length, 1, count).long()
    return torch.arange(length) >= lengths[:, None]


def to_onnx(encoder: nn.Module, inputs: Tensor, kind: str, file: Path) -> Run:
    """Writes one file, and runs it in onnxruntime with as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    torch.onnx.export(
        encoder,
        (inputs,),
        file,
        dynamo=True,
        external_data=False,
        input_names=[kind],
        output_names=["vectors"],
        dynamic_shapes=(_axes(kind),),
        verbose=False,
    )
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda inputs: torch.from_numpy(np.asarray(session.run(None, {kind: inputs.numpy()})[0]))


def to_program(encoder: nn.Module, inputs: Tensor, kind: str, file: Path) -> Run:
    """Writes one file for `torch.export.load`, without the inputs that it was made with."""
    program: ExportedProgram = torch.export.export(
        encoder, (inputs,), dynamic_shapes=(_axes(kind),)
    )
    torch.export.save(program, file)
    return torch.export.load(file).module()


WRITERS = {"onnx": to_onnx, "torch_export": to_program}


def _axes(kind: str) -> dict[int, Any]:
    return dict.fromkeys((0, LENGTHS[kind]) if kind in LENGTHS else (0,), Dim.DYNAMIC)


@torch.no_grad()
def difference(encoder: nn.Module, run: Run, inputs: Tensor) -> float:
    """The largest one, relative to the largest number of PyTorch's vectors."""
    expected = encoder(inputs)
    found = float((run(inputs) - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
    return found if found == found else math.inf  # NaN is the largest


@torch.no_grad()
def timed(functions: Sequence[Callable[[], Any]], rounds: int = 7) -> list[float]:
    """The median seconds of each, in turns."""
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds + 1):
        for function, times in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
    return [statistics.median(times[1:]) for times in seconds]


def _first(error: BaseException) -> str:
    """What went wrong first, in a line: exporters wrap it in pages about themselves."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what the exporters say to those who develop them."""
    logs = [
        logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    ]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
