"""The attention block against torch's, and fusions over sequences against loops over what a sample
has."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from polymodal.fusion.layers.attention import Attention, Block
from tests.fusion.cases import DIM, build, masks, run, sequences


def torchs(ours: Attention) -> nn.MultiheadAttention:
    """Torch's attention with the same weights, no biases before the last map, and a key and a value
    of zeros."""
    reference = nn.MultiheadAttention(
        DIM, ours.heads, add_zero_attn=True, batch_first=True
    ).double()
    with torch.no_grad():
        reference.in_proj_weight.copy_(
            torch.cat([ours.query.weight, ours.key.weight, ours.value.weight])
        )
        reference.in_proj_bias.zero_()
    reference.out_proj = ours.out
    return reference


@pytest.mark.parametrize("heads", [1, 4])
def test_attention_is_torchs_with_a_zero_key(heads: int) -> None:
    ours = Attention(DIM, heads).double()
    queries, context, mask = (
        torch.randn(16, 3, DIM).double(),
        torch.randn(16, 5, DIM).double(),
        masks(5),
    )
    expected, weights = torchs(ours)(queries, context, context, ~mask, average_attn_weights=False)
    torch.testing.assert_close(ours(queries, context, mask), expected)
    of_tokens = weights[..., :-1]
    shares = (of_tokens / of_tokens.sum(3, keepdim=True).clamp(min=1e-30)).mean((1, 2))
    torch.testing.assert_close(ours.shares(queries, context, mask), shares)


def test_block_is_torchs_encoder_layer() -> None:
    ours = Block(DIM, 4, 0.0).double()
    reference = nn.TransformerEncoderLayer(
        DIM, 4, 4 * DIM, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    ).double()
    reference.self_attn, reference.norm1, reference.norm2 = (
        torchs(ours.attention),
        ours.norm1,
        ours.norm2,
    )
    reference.linear1, reference.linear2 = ours.mlp[0], ours.mlp[2]
    x, mask = torch.randn(16, 5, DIM).double(), masks(5)
    torch.testing.assert_close(ours(x, mask), reference(x, src_key_padding_mask=~mask))


Present = dict[int, Tensor]
"""Of one sample: modality -> its real tokens (1, n, d); what is absent is not a key."""


def look(block: nn.Module, x: Tensor, context: Tensor | None = None) -> Tensor:
    """A block without any mask."""
    context = x if context is None else context
    return block(x, torch.ones(1, context.shape[1], dtype=torch.bool), context)


def side_by_side(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts, dim=1) if parts else torch.zeros(1, 0, DIM).double()


def labelled(fusion: nn.Module, present: Present) -> Present:
    return {i: tokens + fusion.labelled.labels[i] for i, tokens in present.items()}


def transformer(fusion: nn.Module, present: Present) -> Tensor:
    x = side_by_side([fusion.class_token.view(1, 1, -1), *labelled(fusion, present).values()])
    for block in [*fusion.blocks, fusion.last]:
        x = look(block, x)
    return fusion.norm(x[0, 0])


def perceiver(fusion: nn.Module, present: Present) -> Tensor:
    x = look(fusion.read, fusion.latents[None], side_by_side([*labelled(fusion, present).values()]))
    for block in fusion.blocks:
        x = look(block, x)
    return fusion.norm(x[0].mean(0))


def cross_attention(fusion: nn.Module, present: Present) -> Tensor:
    x, context = fusion.query.view(1, 1, -1), side_by_side([*labelled(fusion, present).values()])
    for block in [*fusion.blocks, fusion.last]:
        x = look(block, x, context)
    return fusion.norm(x[0, 0])


def cross_attention_from_the_last(fusion: nn.Module, present: Present) -> Tensor:
    others = labelled(fusion, present)
    x = others.pop(2, fusion.query.view(1, 1, -1))
    for block in [*fusion.blocks, fusion.last]:
        x = look(block, x, side_by_side([*others.values()]))
    return fusion.norm(x[0].mean(0))


def mult(fusion: nn.Module, present: Present) -> Tensor:
    vectors = []
    for i in range(3):
        if i not in present:
            vectors.append(torch.zeros(DIM).double())
            continue
        read = []
        for j in {0, 1, 2} - {i}:
            x = present[i]
            for block in fusion.blocks[i][j]:
                x = look(block, x, present.get(j, side_by_side([])))
            read.append(x)
        x = (read[0] + read[1]) / 2
        for block in fusion.blocks[i][i]:
            x = look(block, x)
        vectors.append(fusion.norm(x[0]).mean(0))
    return fusion.out(torch.cat(vectors))


def bottleneck(fusion: nn.Module, present: Present) -> Tensor:
    if not present:
        return fusion.norm(torch.zeros(DIM).double())
    shared, present = fusion.shared[None], dict(present)
    for blocks in fusion.layers:
        copies = []
        for i, tokens in present.items():
            both = look(blocks[i], side_by_side([tokens, shared]))
            present[i] = both[:, : tokens.shape[1]]
            copies.append(both[:, tokens.shape[1] :])
        shared = torch.stack(copies).mean(0)
    return fusion.norm(torch.stack([tokens[0].mean(0) for tokens in present.values()]).mean(0))


@pytest.mark.parametrize(
    ("reference", "given"),
    [
        (transformer, {}),
        (perceiver, {}),
        (cross_attention, {}),
        (cross_attention_from_the_last, {"query": "m2"}),
        (mult, {"layers": 2}),
        (bottleneck, {}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_masks_leave_what_a_loop_over_the_present_tokens_sees(
    reference: Callable, given: dict
) -> None:
    fusion = build(reference.__name__.removesuffix("_from_the_last"), 3, **given)
    x, mask = torch.randn(16, 3, DIM).double(), masks(3)
    tokens = sequences(mask)
    y = run(fusion, x, mask, tokens).y
    as_rows = run(fusion, x, mask, None).y
    for i in range(16):
        there = mask[i].nonzero().flatten().tolist()
        torch.testing.assert_close(
            y[i],
            reference(fusion, {j: tokens[j].values[i, tokens[j].mask[i]][None] for j in there}),
        )
        torch.testing.assert_close(
            as_rows[i], reference(fusion, {j: x[i, j].view(1, 1, -1) for j in there})
        )
