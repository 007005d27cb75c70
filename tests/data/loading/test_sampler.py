"""Batches are the same set of samples on any number of processes."""

from hypothesis import given
from hypothesis import strategies as st

from polymodal.data.loading.sampler import BatchSampler

sizes = st.integers(1, 60)
batch_sizes = st.integers(1, 20)
worlds = st.integers(1, 4)


def all_ranks(world_size: int, **arguments: object) -> list[list[list[int]]]:
    return [
        list(BatchSampler(rank=rank, world_size=world_size, **arguments))
        for rank in range(world_size)
    ]


@given(sizes, batch_sizes, worlds)
def test_evaluation_sees_every_sample_once(size: int, batch_size: int, world_size: int) -> None:
    ranks = all_ranks(world_size, size=size, batch_size=batch_size)
    seen = sorted(index for batches in ranks for batch in batches for index in batch)
    assert seen == list(range(size)) if size >= world_size else set(seen) == set(range(size))
    assert all(
        0 < len(batch) <= batch_size + (world_size > 1) for batches in ranks for batch in batches
    )
    assert len({len(batches) for batches in ranks}) == 1  # collectives in a batch find everybody


@given(sizes, st.integers(4, 20), worlds)
def test_training_batches_are_shared_out(size: int, batch_size: int, world_size: int) -> None:
    alone = [*BatchSampler(size, batch_size, shuffle=True)]
    ranks = all_ranks(world_size, size=size, batch_size=batch_size, shuffle=True)
    # nobody waits for a step that does not come
    assert len({len(batches) for batches in ranks}) == 1
    for index, parts in enumerate(zip(*ranks, strict=True)):
        assert [sample for part in parts for sample in part] == alone[index]
        assert all(parts)


@given(sizes, batch_sizes, worlds, st.booleans())
def test_length_is_told_right(size: int, batch_size: int, world_size: int, shuffle: bool) -> None:
    for rank in range(world_size):
        sampler = BatchSampler(size, batch_size, shuffle, 0, rank, world_size)
        assert len(sampler) == len(list(sampler))


def test_an_epoch_has_its_own_order_and_a_seed_too() -> None:
    first, second = BatchSampler(50, 50, shuffle=True), BatchSampler(50, 50, shuffle=True)
    second.set_epoch(1)
    other = BatchSampler(50, 50, shuffle=True, seed=1)
    assert next(iter(first)) != next(iter(second))
    assert next(iter(first)) != next(iter(other))
    assert next(iter(first)) == next(iter(first))
    assert sorted(next(iter(second))) == list(range(50))
