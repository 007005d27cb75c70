"""Retrieval figures against a loop over all pairs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import polymodal.metrics.ranking as ranking
from polymodal.metrics.ranking import positive_ranks
from polymodal.metrics.retrieval import Retrieval


def ranks_by_loop(queries: torch.Tensor, gallery: torch.Tensor, qg: torch.Tensor, gg: torch.Tensor) -> list[int]:
    result = []
    for i in range(len(queries)):
        scores = [float(queries[i] @ gallery[j]) for j in range(len(gallery))]
        right = [scores[j] for j in range(len(gallery)) if gg[j] == qg[i]]
        if right:
            result.append(1 + sum(scores[j] >= max(right) for j in range(len(gallery)) if gg[j] != qg[i]))
    return result


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.sampled_from([1, 7, 2**24]))
@settings(max_examples=100, deadline=None)
def test_ranks_are_those_of_a_loop(seed: int, queries: int, gallery: int, groups: int, block: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # small integers: scores are exact in any order of summation, and there are many ties
    q, g = (torch.randint(-2, 3, (n, 3), generator=generator).float() for n in (queries, gallery))
    qg, gg = (torch.randint(groups, (n,), generator=generator) for n in (queries, gallery))
    before, ranking.BLOCK = ranking.BLOCK, block
    try:
        assert positive_ranks(q, g, qg, gg).tolist() == ranks_by_loop(q, g, qg, gg)
    finally:
        ranking.BLOCK = before


def table(count: int, captions: int) -> dict[str, torch.Tensor]:
    """Images with several captions each; every sample is one caption and its image, all perfectly aligned."""
    image = torch.arange(count).repeat_interleave(captions)
    vectors = torch.eye(count)[image]
    items = torch.stack([image, torch.arange(count * captions)], dim=1)
    mask = torch.ones(count * captions, 2, dtype=torch.bool)
    return {"x": vectors[:, None].repeat(1, 2, 1), "items": items, "mask": mask, "group": image, "id": items[:, 1]}


def test_a_perfect_model_scores_one_with_five_captions_an_image() -> None:
    metric = Retrieval(["image", "text"])
    metric.update(**table(10, 5))
    figures = metric.compute()
    assert figures["image_to_text/recall@1"] == 1
    assert figures["text_to_image/recall@1"] == 1
    assert figures["text_to_image/mean_rank"] == 1


def test_equal_embeddings_score_nothing() -> None:
    metric = Retrieval(["image", "text"])
    metric.update(**(table(10, 1) | {"x": torch.ones(10, 2, 4)}))
    assert metric.compute()["image_to_text/recall@1"] == 0
    assert metric.compute()["image_to_text/median_rank"] == 10


def test_a_gallery_item_is_held_once() -> None:
    metric = Retrieval(["image", "text"])
    metric.update(**table(4, 3))
    rows = metric.compute()
    assert rows["image_to_text/mean_rank"] == 1  # the other captions of the image are right too, not rivals


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_nan_is_an_error_and_not_a_score(bad: float) -> None:
    wrong = table(4, 1)
    wrong["x"][2, 1, 0] = bad
    with pytest.raises(ValueError, match="in 1 samples, the first with id 2"):
        Retrieval(["image", "text"]).update(**wrong)


def test_a_sample_seen_twice_counts_once_and_order_does_not_matter() -> None:
    torch.manual_seed(0)
    rows = table(6, 2) | {"x": torch.randn(12, 2, 4)}
    once, shuffled = Retrieval(["image", "text"]), Retrieval(["image", "text"])
    once.update(**rows)
    for index in [*torch.randperm(12).split(5), torch.tensor([3, 7])]:
        shuffled.update(**{name: value[index] for name, value in rows.items()})
    assert shuffled.compute() == once.compute()


def test_absent_modalities_are_neither_queries_nor_gallery() -> None:
    rows = table(4, 1)
    rows["mask"][0, 1] = False
    rows["x"][0, 1] = torch.nan  # whatever stands there
    metric = Retrieval(["image", "text"])
    metric.update(**rows)
    assert metric.compute()["image_to_text/recall@1"] == 1


def test_an_empty_split_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        Retrieval(["image", "text"]).compute()
