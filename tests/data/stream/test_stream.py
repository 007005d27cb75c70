"""Which samples are in which batch: exact for any number of shards, processes and loading
processes."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.shards import PAIR, by_split, ready, write_shards

from polymodal.data.loading.columns import ColumnChoice
from polymodal.data.stream import batches as stream
from polymodal.data.stream.batches import EvaluationStream, TrainingStream
from polymodal.data.stream.reader import TURNS, RecordReader
from polymodal.data.stream.records import Entry, Record, number_of
from polymodal.data.stream.skips import ReadCounter
from polymodal.data.stream.splits import Split
from polymodal.errors import ConfigError, DataError

COLUMNS = ColumnChoice({"vector": "vector"}, {})


class Numbers:
    """A source of so many samples a shard, whose vector is their number."""

    def __init__(self, sizes) -> None:
        self.sizes = sizes

    def name(self, shard: int) -> str:
        return f"shard {shard}"

    def entries(self, shard: int):
        for position in range(self.sizes[shard]):
            number = number_of(shard, position)
            yield Entry(
                f"{shard}/{position}",
                str(number),
                lambda n=number: Record(n, "", "", {"vector": b"x"}),
            )


READER = RecordReader(COLUMNS, {"vector": lambda *_, **__: np.zeros(1)}, {}, None, 100)


def made(kind, sizes, rank=0, world_size=1, limit=None, **options):
    source = Numbers(sizes)
    split = Split("train", source, range(len(sizes)), limit=limit)
    result = kind(split, READER, ReadCounter("raise"), **options)
    result.rank, result.world_size = rank, world_size
    return result


def numbers(batch) -> list[int]:
    return (batch.id // TURNS).tolist()


def in_turn(monkeypatch, workers: int, make, start=None) -> list[list[int]]:
    """Batches in the order in which a loader with so many workers hands them on."""
    parts = []
    for worker in range(max(1, workers)):
        info = SimpleNamespace(id=worker, num_workers=workers) if workers else None
        monkeypatch.setattr(stream, "get_worker_info", lambda info=info: info)
        parts.append([numbers(batch) for batch in make().batches()])
    rounds = max(map(len, parts))
    return [part[index] for index in range(rounds) for part in parts if index < len(part)]


SIZES = st.lists(st.integers(0, 7), min_size=1, max_size=7)
PLACES = {
    "workers": st.integers(0, 4),
    "world_size": st.integers(1, 3),
    "batch_size": st.integers(1, 6),
}


def everything(sizes) -> list[int]:
    return [
        number_of(shard, position) for shard, size in enumerate(sizes) for position in range(size)
    ]


@settings(max_examples=150, deadline=None)
@given(sizes=SIZES, **PLACES)
def test_an_evaluation_sees_all_in_their_order_in_as_many_batches_on_each_process(
    sizes, workers: int, world_size: int, batch_size: int
) -> None:
    total = sum(sizes)
    with pytest.MonkeyPatch.context() as patch:
        ranks = [
            in_turn(
                patch,
                workers,
                lambda r=r: made(EvaluationStream, sizes, r, world_size, batch_size=batch_size),
            )
            for r in range(world_size)
        ]
    assert {len(batches) for batches in ranks} == {-(-total // (batch_size * world_size))}
    seen, repeated = [], 0
    for step in zip(*ranks, strict=True):
        longest = max(map(len, step))
        together = [batch[i] for i in range(longest) for batch in step if i < len(batch)]
        new = [number for number in dict.fromkeys(together) if number not in seen]
        repeated += len(together) - len(new)
        seen += new
    assert seen == everything(sizes)
    assert repeated < world_size  # only a process that would have none at the end repeats one


@settings(max_examples=150, deadline=None)
@given(
    sizes=SIZES,
    workers=PLACES["workers"],
    batch_size=PLACES["batch_size"],
    buffer=st.integers(1, 9),
)
def test_an_epoch_until_the_shards_end_has_every_sample_once(
    sizes, workers, batch_size, buffer
) -> None:
    options = {"batch_size": batch_size, "seed": 3, "buffer": buffer, "epoch_samples": None}
    with pytest.MonkeyPatch.context() as patch:
        batches = in_turn(patch, workers, lambda: made(TrainingStream, sizes, **options))
    assert sorted(number for batch in batches for number in batch) == everything(sizes)
    assert all(batches)
    assert sum(len(batch) < batch_size for batch in batches) <= max(1, workers)  # the last of each


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=7), rounds=st.integers(1, 3), **PLACES
)
def test_an_epoch_of_known_length_has_the_same_steps_on_each_process(
    sizes, rounds: int, workers: int, world_size: int, batch_size: int
) -> None:
    streams = world_size * max(1, workers)
    epoch = sum(sizes) * rounds
    options = {"batch_size": batch_size, "seed": 3, "buffer": 4, "epoch_samples": epoch}
    with pytest.MonkeyPatch.context() as patch:
        if batch_size < world_size or (len(sizes) < streams and sum(sizes) < streams):
            return
        ranks = [
            in_turn(
                patch, workers, lambda r=r: made(TrainingStream, sizes, r, world_size, **options)
            )
            for r in range(world_size)
        ]
    length = len(made(TrainingStream, sizes, world_size=world_size, **options))
    assert [len(batches) for batches in ranks] == [length] * world_size
    steps = [sum(map(len, step)) for step in zip(*ranks, strict=True)]
    assert all(step == batch_size for step in steps[:-1])
    assert sum(steps) == epoch or epoch - sum(steps) < world_size
    if streams == 1:
        counts = Counter(number for batches in ranks for batch in batches for number in batch)
        assert counts == dict.fromkeys(everything(sizes), rounds)


@settings(max_examples=80, deadline=None)
@given(sizes=SIZES, given=st.integers(0, 6), epoch=st.integers(0, 2), known=st.booleans())
def test_a_stream_goes_on_where_it_was(sizes, given: int, epoch: int, known: bool) -> None:
    options = {
        "batch_size": 2,
        "seed": 0,
        "buffer": 3,
        "epoch_samples": 15 if known and sum(sizes) else None,
    }
    whole = made(TrainingStream, sizes, **options)
    whole.set_epoch(epoch)
    expected = [numbers(batch) for batch in whole.batches()]
    rest = made(TrainingStream, sizes, **options)
    rest.set_epoch(epoch)
    rest.undecoded = given
    batches = list(rest.batches())
    assert batches[:given] == [None] * min(given, len(expected))
    assert [numbers(batch) for batch in batches[given:]] == expected[given:]


def test_the_order_is_of_the_seed_and_the_epoch_alone() -> None:
    sizes, options = [5] * 6, {"batch_size": 30, "buffer": 10, "epoch_samples": None}

    def order(seed: int, epoch: int) -> list[int]:
        one = made(TrainingStream, sizes, seed=seed, **options)
        one.set_epoch(epoch)
        return [number for batch in one.batches() for number in numbers(batch)]

    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4
    assert order(0, 0) != sorted(order(0, 0))


def test_a_limit_keeps_the_first_ones_on_any_number_of_workers(monkeypatch) -> None:
    training = {"batch_size": 2, "seed": 0, "buffer": 10, "epoch_samples": None}
    for workers in (0, 3):
        batches = in_turn(
            monkeypatch, workers, lambda: made(TrainingStream, [3] * 5, limit=7, **training)
        )
        assert sorted(sum(batches, [])) == everything([3] * 5)[:7]
        batches = in_turn(
            monkeypatch, workers, lambda: made(EvaluationStream, [3] * 5, limit=7, batch_size=2)
        )
        assert sum(batches, []) == everything([3] * 5)[:7]


def test_a_loading_process_without_samples_is_told(monkeypatch) -> None:
    monkeypatch.setattr(stream, "get_worker_info", lambda: SimpleNamespace(id=3, num_workers=4))
    empty = made(TrainingStream, [3], batch_size=2, seed=0, buffer=2, epoch_samples=100)
    with pytest.raises(
        DataError, match="One of 4 loading processes has no sample .* lower data.num_workers"
    ):
        next(empty.batches())


def test_the_caption_of_a_sample_is_of_the_epoch_not_of_the_batch(tmp_path: Path) -> None:
    columns = {"image": "png", "text": "json.captions"}
    files = write_shards(tmp_path, [20, 20])

    def chosen(epoch: int, **options) -> dict[int, int]:
        data = ready(by_split(files), columns, **options)
        loader = data.train_dataloader()
        data.train_set.set_epoch(epoch)
        batches = list(loader)
        return {i // TURNS: i % TURNS for batch in batches for i in batch.items["text"].tolist()}

    torch.manual_seed(0)
    first = chosen(0, batch_size=4)
    assert set(first.values()) == {0, 1, 2}
    assert chosen(0, batch_size=7, shuffle_buffer=3) == first
    assert chosen(1, batch_size=4) != first


def test_what_cannot_be_with_several_processes(tmp_path: Path) -> None:
    files = write_shards(tmp_path, [8])
    data = ready(by_split(files))
    data.trainer = SimpleNamespace(global_rank=1, world_size=2, training=True)
    with pytest.raises(
        ConfigError, match="2 processes need equally many steps.*data.epoch_samples="
    ):
        data.train_dataloader()
    assert len(list(data.val_dataloader())) == 1
    with pytest.raises(ConfigError, match="epoch_samples=3 is less than data.batch_size=4"):
        ready(by_split(files), PAIR, epoch_samples=3)
