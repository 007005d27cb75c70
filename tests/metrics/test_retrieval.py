"""Retrieval metrics against a loop over all pairs."""

import doctest

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.processes import run_processes
from torchmetrics import MetricCollection, SumMetric
from torchmetrics.retrieval import RetrievalHitRate, RetrievalRecall

import polymodal.metrics.ranking as ranking
import polymodal.metrics.retrieval as retrieval
from polymodal.metrics.ranking import positive_ranks
from polymodal.metrics.retrieval import Retrieval, direction_metrics


def ranks_by_loop(
    queries: torch.Tensor, gallery: torch.Tensor, qg: torch.Tensor, gg: torch.Tensor
) -> list[int]:
    result = []
    for i in range(len(queries)):
        scores = [float(queries[i] @ gallery[j]) for j in range(len(gallery))]
        right = [scores[j] for j in range(len(gallery)) if gg[j] == qg[i]]
        if right:
            result.append(
                1 + sum(scores[j] >= max(right) for j in range(len(gallery)) if gg[j] != qg[i])
            )
    return result


@given(
    st.integers(0, 10**6),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 5),
    st.sampled_from([1, 7, 2**24]),
)
@settings(max_examples=100, deadline=None)
def test_ranks_are_those_of_a_loop(
    seed: int, queries: int, gallery: int, groups: int, block: int
) -> None:
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
    """Images with several captions each; every sample is one caption and its image, all perfectly
    aligned."""
    image = torch.arange(count).repeat_interleave(captions)
    vectors = torch.eye(count)[image]
    items = torch.stack([image, torch.arange(count * captions)], dim=1)
    mask = torch.ones(count * captions, 2, dtype=torch.bool)
    return {
        "x": vectors[:, None].repeat(1, 2, 1),
        "items": items,
        "mask": mask,
        "group": image,
        "id": items[:, 1],
    }


def test_a_perfect_model_scores_one_with_five_captions_an_image() -> None:
    metric = Retrieval(["image", "text"])
    metric.update(**table(10, 5))
    metrics = metric.compute()
    assert metrics["image_to_text/recall@1"] == 1
    assert metrics["text_to_image/recall@1"] == 1
    assert metrics["text_to_image/mean_rank"] == 1


def test_equal_embeddings_score_nothing() -> None:
    metric = Retrieval(["image", "text"])
    metric.update(**(table(10, 1) | {"x": torch.ones(10, 2, 4)}))
    assert metric.compute()["image_to_text/recall@1"] == 0
    assert metric.compute()["image_to_text/median_rank"] == 10


def test_a_gallery_item_is_held_once() -> None:
    metric = Retrieval(["image", "text"])
    metric.update(**table(4, 3))
    rows = metric.compute()
    # the other captions of the image are right too, not rivals
    assert rows["image_to_text/mean_rank"] == 1


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


def metrics_by_loop(rows: dict[str, torch.Tensor], source: int, target: int) -> list[int]:
    """Ranks from sets: an item is right if some sample of a group of the query has it."""
    there = rows["mask"].tolist()
    groups: list[dict[int, set[int]]] = [{}, {}]
    vector: list[dict[int, torch.Tensor]] = [{}, {}]
    for n, (group, items) in enumerate(
        zip(rows["group"].tolist(), rows["items"].tolist(), strict=True)
    ):
        for way in (source, target):
            if there[n][way]:
                groups[way].setdefault(items[way], set()).add(group)
                vector[way].setdefault(items[way], rows["x"][n, way])
    ranks = []
    for query in sorted(groups[source]):
        scores = {item: float(vector[source][query] @ x) for item, x in vector[target].items()}
        right = {item for item, own in groups[target].items() if own & groups[source][query]}
        if right:
            best = max(scores[item] for item in right)
            ranks.append(
                1 + sum(score >= best for item, score in scores.items() if item not in right)
            )
    return ranks


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 5), st.sampled_from([1, 7, 2**24]))
@settings(max_examples=150, deadline=None)
def test_an_item_of_several_groups_is_right_for_all_of_them(
    seed: int, count: int, few: int, block: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    items = torch.randint(few, (count, 2), generator=generator)
    of_item = torch.randint(-2, 3, (2, few, 3), generator=generator).float()
    rows = {
        "x": torch.stack([of_item[0][items[:, 0]], of_item[1][items[:, 1]]], 1),
        "items": items,
        "mask": torch.rand(count, 2, generator=generator) < 0.8,
        "group": torch.randint(few, (count,), generator=generator),
    }
    before, ranking.BLOCK = ranking.BLOCK, block
    try:
        for way in ((0, 1), (1, 0)):
            expected = torch.tensor(metrics_by_loop(rows, *way)).float()
            metrics = dict(direction_metrics(rows, *way))
            assert ("mean_rank" in metrics) == bool(len(expected))
            if len(expected):
                assert metrics["mean_rank"] == expected.mean()
                assert metrics["recall@1"] == (expected <= 1).float().mean()
    finally:
        ranking.BLOCK = before


def test_a_caption_of_many_pictures_is_one_answer() -> None:
    """60 images of three kinds with three captions: a perfect model is perfect, one that swaps
    two kinds is not."""
    kind = torch.arange(60) % 3
    x = torch.eye(3)[kind]
    rows = {
        "id": torch.arange(60),
        "group": torch.arange(60),
        "items": torch.stack([torch.arange(60), kind], 1),
    }
    rows |= {"x": torch.stack([x, x], 1), "mask": torch.ones(60, 2, dtype=torch.bool)}
    metric = Retrieval(["image", "text"])
    metric.update(**rows)
    assert {
        metric.compute()[f"{way}/recall@1"].item() for way in ("image_to_text", "text_to_image")
    } == {1.0}
    swapped = Retrieval(["image", "text"])
    swapped.update(**rows | {"x": torch.stack([torch.eye(3)[torch.tensor([1, 0, 2])][kind], x], 1)})
    assert swapped.compute()["image_to_text/recall@1"] == pytest.approx(1 / 3)
    assert swapped.compute()["image_to_text/mean_rank"] == pytest.approx((2 * 3 + 1) / 3)


def collected(rank: int, world_size: int, sizes: list[int]) -> list[dict[str, float]]:
    """The metrics of two processes, the second of which may have nothing, computed twice."""
    torch.manual_seed(0)
    rows = table(6, 2) | {"x": torch.randn(12, 2, 4)}
    metrics = MetricCollection({"retrieval": Retrieval(["image", "text"]), "count": SumMetric()})
    start = sum(sizes[:rank])
    end = start + sizes[rank] if world_size > 1 else 12
    for row in range(start, end):
        own = {name: value[row : row + 1] for name, value in rows.items()}
        metrics["retrieval"].update(**own)
        metrics["count"].update(1)
    return [{name: value.item() for name, value in metrics.compute().items()} for _ in range(2)]


@pytest.mark.parametrize("sizes", [[5, 7], [12, 0]])
@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_it_is_a_metric_of_torchmetrics_on_one_process_and_on_two(sizes: list[int]) -> None:
    alone = collected(0, 1, [12])
    assert alone[0]["count"] == 12
    assert len(alone[0]) == 11
    for together in run_processes(collected, 2, sizes):
        assert together == alone


def test_after_a_reset_nothing_is_left_and_a_batch_has_metrics_of_its_own() -> None:
    torch.manual_seed(0)
    rows = table(6, 2) | {"x": torch.randn(12, 2, 4)}
    halves = [
        {name: value[part] for name, value in rows.items()} for part in (slice(6), slice(6, 12))
    ]
    metric, whole = Retrieval(["image", "text"]), Retrieval(["image", "text"])
    whole.update(**rows)
    for half in halves:
        alone = Retrieval(["image", "text"])
        alone.update(**half)
        assert metric(**half) == alone.compute()
    assert metric.compute() == whole.compute()
    metric.reset()
    metric.update(**halves[0])
    alone.reset()
    alone.update(**halves[0])
    assert metric.compute() == alone.compute()


@pytest.mark.parametrize("captions", [1, 3])
def test_recall_and_rank_are_those_of_torchmetrics(captions: int) -> None:
    """Where both mean the same: one vector a query, and the best of its answers."""
    torch.manual_seed(1)
    rows = table(9, captions)
    rows["x"] = torch.randn(9 * captions, 2, 5)
    rows["x"][:, 0] = rows["x"][:, 0][rows["items"][:, 0] * captions]  # one image, one vector
    metric = Retrieval(["image", "text"], ks=(1, 3))
    metric.update(**rows)
    found = metric.compute()
    unit = torch.nn.functional.normalize(rows["x"], dim=-1)
    images = unit[::captions, 0]
    scores = images @ unit[:, 1].T
    right = torch.arange(9)[:, None] == rows["group"][None]
    query = torch.arange(9)[:, None].expand_as(scores)
    for k in (1, 3):
        theirs = RetrievalHitRate(top_k=k)(scores.flatten(), right.flatten(), query.flatten())
        assert found[f"image_to_text/recall@{k}"] == pytest.approx(theirs.item())
        one = RetrievalRecall(top_k=k)(
            scores.T.flatten(), right.T.flatten(), torch.arange(9 * captions).repeat_interleave(9)
        )
        assert found[f"text_to_image/recall@{k}"] == pytest.approx(one.item())


def test_the_example_of_the_docstring_runs() -> None:
    results = doctest.testmod(retrieval)
    assert results.attempted == 6
    assert not results.failed
