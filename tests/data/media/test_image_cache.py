"""A cached image is the decoded one, is decoded once, and never is an old or a damaged one."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from polymodal.data.media.image_cache import ImageCache
from polymodal.errors import DataError

SHAPE = (3, 4, 4)


class Reader:
    """Counts how often it reads; the pixels are the file's only byte."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, file: Path) -> np.ndarray:
        self.calls += 1
        return np.full(SHAPE, file.read_bytes()[0], dtype=np.uint8)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a").write_bytes(bytes([7]))
    return tmp_path / "a"


def cache_in(
    folder: Path, names=(11, 12, 13), size: int = 10**6, shape: tuple[int, ...] = SHAPE
) -> ImageCache:
    return ImageCache(folder / "cache", np.array(names), shape, size)


def test_a_picture_is_read_once_by_all(file: Path) -> None:
    read = Reader()
    for cache in (cache_in(file.parent), cache_in(file.parent)):
        for _ in range(2):
            assert (cache.get(1, file, read) == 7).all()
    assert read.calls == 1


def test_a_changed_file_is_read_again(file: Path) -> None:
    cache, read = cache_in(file.parent), Reader()
    cache.get(0, file, read)
    file.write_bytes(bytes([9]))
    os.utime(file, ns=(1, 1))
    assert (cache.get(0, file, read) == 9).all()


def test_other_pictures_are_other_pictures(file: Path) -> None:
    read = Reader()
    cache_in(file.parent).get(0, file, read)
    cache_in(file.parent, names=(14,)).get(0, file, read)
    cache_in(file.parent).get(1, file, read)
    assert read.calls == 3
    small = cache_in(file.parent, shape=(1, 2, 2)).get(
        0, file, lambda _: np.zeros((1, 2, 2), dtype=np.uint8)
    )
    assert small.shape == (1, 2, 2)


def test_a_picture_keeps_its_place_when_the_list_changes(file: Path) -> None:
    read = Reader()
    first = cache_in(file.parent)
    for index in range(3):
        first.get(index, file, read)
    later = cache_in(file.parent, names=(13, 99, 11, 13))
    for index in (0, 2, 3):
        assert (later.get(index, file, read) == 7).all()
    assert read.calls == 3
    later.get(1, file, read)
    assert read.calls == 4
    assert (later.folder / "pixels").stat().st_size == 4 * np.prod(SHAPE)


def test_a_full_cache_gives_the_places_of_other_lists_to_a_new_one(file: Path) -> None:
    read, size = Reader(), 2 * int(np.prod(SHAPE))
    old = cache_in(file.parent, names=(1, 2), size=size)
    new = cache_in(file.parent, names=(2, 3), size=size)
    for _ in range(2):
        for cache in (old, new):
            for index in (0, 1):
                assert (cache.get(index, file, read) == 7).all()
    assert read.calls == 4  # 1 has lost its place to 3, and is read each time; 2 and 3 once
    assert (new.folder / "pixels").stat().st_size == size


def test_damaged_pixels_are_decoded_again(file: Path) -> None:
    cache, read = cache_in(file.parent), Reader()
    cache.get(0, file, read)
    cache.pixels[cache.places[0], 0, 0, 0] = 200
    assert (cache.get(0, file, read) == 7).all()
    assert (cache.get(0, file, read) == 7).all()
    assert read.calls == 2


def test_its_size_is_bounded(file: Path) -> None:
    read = Reader()
    cache = cache_in(file.parent, names=range(100), size=2 * int(np.prod(SHAPE)) + 1)
    for _ in range(2):
        for index in (1, 2):
            assert (cache.get(index, file, read) == 7).all()
    assert read.calls == 3  # the third image has no place
    assert (cache.folder / "pixels").stat().st_size == 2 * np.prod(SHAPE)
    assert (cache_in(file.parent / "none", names=range(100), size=0).get(0, file, read) == 7).all()


def _fill(cache: ImageCache, file: Path) -> None:
    cache.get(2, file, Reader())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_share_it(method: str, file: Path) -> None:
    cache = cache_in(file.parent)
    process = multiprocessing.get_context(method).Process(target=_fill, args=(cache, file))
    process.start()
    process.join()
    assert process.exitcode == 0
    read = Reader()
    assert (cache.get(2, file, read) == 7).all()
    assert read.calls == 0


def test_a_folder_that_cannot_be_is_said(file: Path) -> None:
    with pytest.raises(DataError, match="image_cache"):
        ImageCache(file, np.array([1]), SHAPE, 10**6)


def test_a_full_disk_is_said_before_training(file: Path, monkeypatch) -> None:
    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"No space left.*\n?.*image_cache_gb"):
        cache_in(file.parent)
