"""Missing numbers and unknown codes."""

import pytest
import torch

from polymodal.batch import PairedBatch
from polymodal.encoders.tabular.features import Features
from polymodal.encoders.tabular.mlp import MLP
from polymodal.errors import ConfigError
from polymodal.model import MultimodalModel


def encoder() -> MLP:
    torch.manual_seed(0)
    return MLP(8, numeric=2, cardinalities=[3, 2]).eval()


def test_a_missing_number_is_finite_and_not_the_same_as_zero() -> None:
    missing, zero = encoder()(torch.tensor([[torch.nan, 1, 0, 0], [0, 1, 0, 0]]))
    assert missing.isfinite().all()
    assert not torch.allclose(missing, zero)


def test_a_missing_number_spoils_no_gradient() -> None:
    mlp = encoder()
    mlp(torch.tensor([[torch.nan, 1, torch.nan, 0]])).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in mlp.parameters())


def test_every_unknown_code_is_the_same_and_no_known_one() -> None:
    codes = [-1, 3, 99, torch.nan, -torch.inf, 0, 1, 2]
    output = encoder()(torch.tensor([[0, 0, code, 0] for code in codes]))
    assert torch.unique(output.detach(), dim=0).shape[0] == 4  # unknown and three known
    for unknown in output[1:5]:
        torch.testing.assert_close(unknown, output[0])


def test_columns_do_not_share_their_codes_vectors() -> None:
    mlp = encoder()
    rows = mlp._rows(torch.tensor([[-1.0, -1.0], [0, 0], [2, 1]]))
    assert rows.tolist() == [[0, 4], [1, 5], [3, 6]]
    assert mlp.embedding.num_embeddings == 7


def test_a_table_of_another_width_and_codes_beyond_a_dtype_are_explained() -> None:
    with pytest.raises(ValueError, match="has 5 columns; numeric=2 .* make 4"):
        encoder()(torch.zeros(1, 5))
    wide = MLP(8, numeric=0, cardinalities=[300]).bfloat16()
    with pytest.raises(ValueError, match="bfloat16 cannot hold so many codes"):
        wide(torch.zeros(1, 1, dtype=torch.bfloat16))


def test_features_without_hidden_layers_are_one_linear_map() -> None:
    torch.manual_seed(0)
    features, x = Features(4, 3), torch.randn(5, 3)
    torch.testing.assert_close(
        features(2 * x) - features(0 * x), 2 * (features(x) - features(0 * x))
    )
    assert sum(p.numel() for p in features.parameters()) == 4 * 3 + 4
    assert (
        sum(p.numel() for p in Features(4, 3, hidden=[5, 6]).parameters())
        == 5 * 3 + 5 + 6 * 5 + 6 + 4 * 6 + 4
    )


def test_vectors_of_another_length_are_told() -> None:
    with pytest.raises(
        ConfigError, match="have 5 numbers: give this encoder in_features=5 instead of 4"
    ):
        Features(8, in_features=4)(torch.randn(3, 5))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_codes_are_not_rounded_with_the_weights(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = MultimodalModel({"tabular": MLP(8, numeric=1, cardinalities=[300])}).eval().to(dtype)
    rows = torch.arange(4)
    codes = torch.tensor([256.0, 257.0, 258.0, 259.0])  # bf16 has none of the odd ones
    table = torch.stack([torch.zeros(4), codes], dim=1)
    x = model(PairedBatch({"tabular": table}, {"tabular": rows}, rows, rows)).x[:, 0]
    encoder = model.encoders["tabular"]
    parts = torch.cat([torch.zeros(4, 2, dtype=dtype), encoder.embedding(codes.long() + 1)], dim=1)
    assert x.dtype == dtype
    assert torch.equal(x, encoder.layers(parts))
    assert len(x.unique(dim=0)) == 4
