"""Augmentation stays within its bounds, and depends on the sample and the step alone."""

import pytest
import torch

from polymodal.batch import PAD
from polymodal.data.loading.augment import drop_tokens, flip, shift_and_scale, uniform_of

IDS = torch.arange(64)


def test_nothing_asked_nothing_done() -> None:
    images = torch.rand(2, 1, 8, 8)
    assert shift_and_scale(images, 0, 0, torch.rand(2, 3)) is images


def test_a_dot_moves_by_at_most_the_shift_and_each_by_its_own() -> None:
    images = torch.zeros(64, 1, 32, 32)
    images[:, :, 15:17, 15:17] = 1
    moved = shift_and_scale(images, 0.25, 0, uniform_of(IDS, 3, 7))
    weight = moved.sum((1, 2, 3), keepdim=True)
    rows = (moved * torch.arange(32.0)[:, None] / weight).sum((1, 2, 3))
    columns = (moved * torch.arange(32.0) / weight).sum((1, 2, 3))
    for place in (rows, columns):
        assert (place - 15.5).abs().max() <= 8.01
        assert place.std() > 2


def test_zoom_changes_the_area_within_its_bounds() -> None:
    images = torch.zeros(64, 1, 32, 32)
    images[:, :, 8:24, 8:24] = 1
    areas = shift_and_scale(images, 0, 0.1, uniform_of(IDS, 3, 7)).sum((1, 2, 3)) / 256
    assert areas.min() > 1 / 1.1**2 - 0.02
    assert areas.max() < 1 / 0.9**2 + 0.02
    assert areas.std() > 0.05


def test_each_image_is_mirrored_by_its_own_chance() -> None:
    torch.manual_seed(0)
    images = torch.rand(400, 1, 2, 4)
    mirrored = flip(images, 0.3, torch.rand(400))
    changed = (mirrored != images).any(3).any(2).any(1)
    assert torch.equal(mirrored[changed], images[changed].flip(-1))
    assert 0.2 < changed.double().mean() < 0.4
    assert flip(images, 0, torch.rand(400)) is images
    assert torch.equal(flip(images, 1, torch.rand(400)), images.flip(-1))


def test_a_white_edge_stays_white() -> None:
    white = torch.ones(64, 1, 8, 8)
    torch.testing.assert_close(shift_and_scale(white, 0.5, 0.5, uniform_of(IDS, 3, 7)), white)


def test_a_sample_draws_the_same_in_every_batch_of_a_step() -> None:
    whole = uniform_of(IDS, 3, 7)
    assert torch.equal(uniform_of(IDS[20:30], 3, 7), whole[20:30])
    assert torch.equal(uniform_of(IDS, 2, 7), whole[:, :2])
    assert not torch.isin(uniform_of(IDS, 3, 2**31 + 8), whole).any()
    assert whole.unique().numel() == 192


def test_tokens_are_lost_at_their_rate_and_the_others_close_ranks() -> None:
    ids = torch.cat([torch.arange(1, 1001).expand(64, -1), torch.full((64, 9), PAD)], dim=1)
    left = drop_tokens(ids, 0.25, uniform_of(IDS, 1009, 7))
    count = (left != PAD).sum(1)
    assert count.double().mean() == pytest.approx(750, abs=5)
    for row, number in zip(left, count, strict=True):
        assert (row[:number].diff() > 0).all()  # in their order, padding after them
        assert (row[number:] == PAD).all()
    assert drop_tokens(ids, 0, torch.zeros(64, 1009)) is ids


def test_a_caption_never_becomes_empty() -> None:
    ids = torch.tensor([[3, 4, PAD], [5, PAD, PAD]])
    assert torch.equal(drop_tokens(ids, 0.5, torch.zeros(2, 3)), ids)
