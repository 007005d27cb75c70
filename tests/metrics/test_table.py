"""A table holds each sample once, in one order, whatever the batches were."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymodal.metrics.sample_table import SampleTable


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=5))
def test_each_sample_once_in_the_order_of_ids(batches: list[list[int]]) -> None:
    table = SampleTable("square")
    for batch in batches:
        id = torch.tensor(batch, dtype=torch.long)
        table.update(id, square=(id**2).double()[:, None].expand(-1, 2))
    columns = table.compute()
    expected = sorted({id for batch in batches for id in batch})
    assert columns["id"].tolist() == expected
    assert columns["square"].tolist() == [[id**2, id**2] for id in expected]


def test_no_batch_at_all_is_told() -> None:
    with pytest.raises(ValueError, match="empty"):
        SampleTable("square").compute()


def test_what_was_collected_can_be_forgotten() -> None:
    table = SampleTable("square")
    table.update(torch.tensor([1]), square=torch.tensor([1]))
    table.reset()
    table.update(torch.tensor([2]), square=torch.tensor([4]))
    assert table.compute()["id"].tolist() == [2]
