"""Shifts and zooms stay within their bounds."""

import torch

from polymodal.data.augment import flip, shift_and_scale


def test_nothing_asked_nothing_done() -> None:
    images = torch.rand(2, 1, 8, 8)
    assert shift_and_scale(images, 0, 0) is images


def test_a_dot_moves_by_at_most_the_shift_and_each_by_its_own() -> None:
    torch.manual_seed(0)
    images = torch.zeros(64, 1, 32, 32)
    images[:, :, 15:17, 15:17] = 1
    moved = shift_and_scale(images, 0.25, 0)
    weight = moved.sum((1, 2, 3), keepdim=True)
    rows = (moved * torch.arange(32.0)[:, None] / weight).sum((1, 2, 3))
    columns = (moved * torch.arange(32.0) / weight).sum((1, 2, 3))
    for place in (rows, columns):
        assert (place - 15.5).abs().max() <= 8.01
        assert place.std() > 2


def test_zoom_changes_the_area_within_its_bounds() -> None:
    torch.manual_seed(0)
    images = torch.zeros(64, 1, 32, 32)
    images[:, :, 8:24, 8:24] = 1
    areas = shift_and_scale(images, 0, 0.1).sum((1, 2, 3)) / 256
    assert areas.min() > 1 / 1.1**2 - 0.02
    assert areas.max() < 1 / 0.9**2 + 0.02
    assert areas.std() > 0.05


def test_each_image_is_mirrored_by_its_own_chance() -> None:
    torch.manual_seed(0)
    images = torch.rand(400, 1, 2, 4)
    mirrored = flip(images, 0.3)
    changed = (mirrored != images).any(3).any(2).any(1)
    assert torch.equal(mirrored[changed], images[changed].flip(-1))
    assert 0.2 < changed.double().mean() < 0.4
    assert flip(images, 0) is images
    assert torch.equal(flip(images, 1), images.flip(-1))
