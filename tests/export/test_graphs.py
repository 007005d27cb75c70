"""Every encoder of configs/encoder becomes a graph that gives its vectors: a new one is tested by
being there."""

from pathlib import Path

import pytest
import torch
from tests.encoders.test_encoders import NAMES, build, inputs_of

from polymodal.encoders.recurrent import Recurrent
from polymodal.export.graphs import LENGTHS, TOLERANCE, WRITERS, difference, quiet

OF_OTHERS = {"efficientnet", "resnet", "timm", "open_clip", "bert"}
"""Encoders of other libraries, which take the exporters seconds each, as ONNX does of any
encoder."""
CASES = [
    pytest.param(
        *case, writer, marks=pytest.mark.slow if writer == "onnx" or case[1] in OF_OTHERS else ()
    )
    for case in NAMES
    for writer in WRITERS
]


@pytest.mark.parametrize(("modality", "name", "writer"), CASES)
def test_a_graph_gives_the_vectors_for_any_batch_and_length(
    modality: str, name: str, writer: str, tmp_path: Path
) -> None:
    if writer == "onnx":
        pytest.importorskip("onnxscript")
    encoder = build(modality, name).eval()
    with quiet():
        run = WRITERS[writer](encoder, inputs_of(modality), modality, tmp_path / "graph")
    six = inputs_of(modality)
    others = [six, six.repeat(2, *[1] * (six.ndim - 1)), six[:1]]
    if modality in LENGTHS:
        longer = torch.cat([torch.where(six == 0, 1, six), six], dim=1)  # padding stands at the end
        others += [longer, longer[2:3], six[1:4, : six.shape[1] // 2]]
    for inputs in others:
        assert difference(encoder, run, inputs) <= TOLERANCE


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_recurrent_network_needs_no_packing(cell: str, bidirectional: bool) -> None:
    network = Recurrent(5, 7, 3, cell, bidirectional, 0.0)
    sequence, lengths = torch.randn(6, 9, 5), torch.tensor([9, 1, 4, 7, 2, 9])
    real = torch.arange(9) < lengths[:, None]
    torch.testing.assert_close(network.mirrored(sequence, real), network(sequence, real))
