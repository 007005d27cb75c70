"""Videos of every form give the frames in the middle of equal parts, and broken ones are named."""

import contextlib
import io
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.data.manifests import ready, whole, write_csv

from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.media import video as video_module
from polymodal.data.media.images import read_image
from polymodal.data.media.video import evenly, frames_of, read_video
from polymodal.errors import ConfigError, DataError

FORMATS = {
    "mp4": "mpeg4",
    "mkv": "libx264",
    "webm": "libvpx",
    "avi": "mpeg4",
    "mov": "libx264",
    "gif": "gif",
}


def brightness(index: int, count: int) -> int:
    return 20 + 200 * index // max(1, count - 1)


def encoded(format: str, count: int, every: int = 12, frames: int = 2) -> bytes:
    """A video whose frames grow brighter, with a key frame now and then and frames that refer to
    later ones."""
    stream = io.BytesIO()
    with av.open(stream, "w", format={"mkv": "matroska"}.get(format, format)) as container:
        video = container.add_stream(FORMATS[format], rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "rgb8" if format == "gif" else "yuv420p"
        video.codec_context.gop_size = every
        video.codec_context.max_b_frames = (
            frames if FORMATS[format] == "libx264" or format == "mp4" else 0
        )
        for index in range(count):
            picture = np.full((48, 64, 3), brightness(index, count), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(video.encode(frame.reformat(format=video.pix_fmt)))
        container.mux(video.encode())
    return stream.getvalue()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("count", "every"), [(40, 12), (1, 12), (5, 12), (100, 1000), (100, 3)])
def test_a_file_gives_the_frames_that_a_folder_gives(
    format: str, count: int, every: int, tmp_path: Path
) -> None:
    content = encoded(format, count, every)
    (tmp_path / f"a.{format}").write_bytes(content)
    expected = [brightness(index, count) for index in evenly(count, 4)]
    for source in (content, tmp_path / f"a.{format}"):
        video = read_video(source, 4, 16, 3)
        assert video.shape == (4, 3, 16, 16)
        assert video.dtype == np.uint8
        # gif has 8 colours of a channel
        assert np.allclose(video.mean((1, 2, 3)), expected, atol=25 if format == "gif" else 4)
    assert read_video(content, 3, 8, 1).shape == (3, 1, 8, 8)


def test_a_folder_of_frames_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for index in (3, 0, 2, 1, 4, 5):
        Image.new("RGB", (20, 16), (40 * index,) * 3).save(tmp_path / f"{index:02}.png")
    (tmp_path / ".DS_Store").write_bytes(b"no frame")
    video = read_video(tmp_path, 3, 8, 3)
    assert video[:, 0, 0, 0].tolist() == [40, 120, 200]
    assert np.array_equal(video[1], read_image(tmp_path / "03.png", 8, 3))


@given(st.integers(1, 500), st.integers(1, 40))
def test_frames_are_spread_evenly(count: int, frames: int) -> None:
    chosen = evenly(count, frames)
    assert len(chosen) == frames
    assert chosen == sorted(chosen)
    assert (
        [count - 1 - index for index in reversed(chosen)] == chosen
        or count % 2 == 0
        or frames % 2 == 0
        or count < frames * 2
    )
    assert all(
        index <= (part + 0.5) * count / frames < index + 1 for part, index in enumerate(chosen)
    )


@pytest.mark.parametrize("format", ["mp4", "mkv", "mov"])
def test_a_damaged_file_is_named(format: str, tmp_path: Path) -> None:
    content = encoded(format, 60)
    sound = io.BytesIO()
    with av.open(sound, "w", format="wav") as container:
        container.add_stream("pcm_s16le", rate=8000)
    for broken in (content[: len(content) // 2], b"no video", bytes(1000), sound.getvalue()):
        (tmp_path / "a").write_bytes(broken)
        if format == "mkv" and len(broken) == len(content) // 2:
            continue  # what there is of a stream without an index is a shorter video
        with pytest.raises(BadSampleError, match=f"{tmp_path}/a is (damaged|no video)") as caught:
            read_video(tmp_path / "a", 4, 8, 3)
        assert caught.value.reason == "damaged file"


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["mp4", "mkv", "avi"]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=20),
)
def test_flipped_bytes_give_a_video_or_a_bad_sample(format: str, changes: list) -> None:
    content = bytearray(encoded(format, 12))
    for place, value in changes:
        content[int(place * (len(content) - 1))] = value
    with contextlib.suppress(BadSampleError):
        assert read_video(bytes(content), 3, 8, 3).shape == (3, 3, 8, 8)


def test_a_video_of_more_pixels_than_minutes_decode_is_refused(monkeypatch) -> None:
    content = encoded("mp4", 100, every=1000)
    monkeypatch.setattr(video_module, "MAX_DECODED", 64 * 48 * 5)
    with pytest.raises(
        BadSampleError, match="^a.mp4: its frames of 64 x 48 are too many"
    ) as caught:
        read_video(content, 4, 8, 3, "a.mp4")
    assert caught.value.reason == "too large"
    monkeypatch.setattr(video_module, "MAX_DECODED", 64 * 48 * 100)
    assert read_video(content, 4, 8, 3).shape == (4, 3, 8, 8)


def test_what_to_install_is_said(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(
        ConfigError, match=r"a\.mp4 is a video file.*pip install 'polymodal\[video\]'"
    ):
        read_video(tmp_path / "a.mp4", 4, 8, 3)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A table of files and folders."""
    rows = []
    for n in range(40):
        if n % 2:
            (tmp_path / f"{n}").mkdir()
            for index in range(3 + n % 4):
                Image.new("RGB", (20, 16), (5 * n,) * 3).save(tmp_path / f"{n}" / f"{index}.png")
        else:
            (tmp_path / f"{n}.mp4").write_bytes(encoded("mp4", 8 + n))
        rows.append(
            {"clip": "" if n == 6 else f"{n}" if n % 2 else f"{n}.mp4", "caption": f"clip {n}"}
        )
    return write_csv(tmp_path / "clips.csv", rows)


def test_clips_of_a_table(clips: Path) -> None:
    data = ready(
        clips,
        {"video": "clip", "text": "caption"},
        frames=4,
        flip=1.0,
        shift=0.2,
        mean=(0.1, 0.2, 0.3),
    )
    batch = whole(data.train_set)
    assert batch.inputs["video"].shape == (len(batch), 4, 3, 8, 8)
    assert batch.inputs["video"].dtype == torch.uint8
    for index, n in enumerate(batch.items["video"].tolist()):
        assert batch.present["video"][index] == (n != 6)
        if n % 2:
            assert (batch.inputs["video"][index] == 5 * n).all()
    assert data.describe("video", 1).shape == (8, 32, 3)
    assert data.varying == ["video"]
    before = batch.inputs["video"].clone()
    after = data.on_after_batch_transfer(batch, 0).inputs["video"]
    assert torch.allclose(
        after, (before / 255 - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / 0.25, atol=1e-6
    )


def test_all_frames_are_moved_alike(clips: Path) -> None:
    data = ready(clips, {"video": "clip", "text": "caption"}, frames=4, flip=0.5, shift=0.4)
    batch = whole(data.train_set)
    batch.inputs["video"] = batch.inputs["video"][:, :1].repeat(1, 4, 1, 1, 1)
    batch.inputs["video"][..., :4] = 255
    after = data.transform(batch, salt=7).inputs["video"]
    assert torch.allclose(after, after[:, :1].expand_as(after), atol=1e-5)
    assert after.flatten(1).std(0).max() > 0


def test_a_broken_clip_has_its_row(clips: Path) -> None:
    (clips.parent / "8.mp4").write_bytes(b"no video")
    for file in (clips.parent / "9").iterdir():
        file.unlink()
    data = ready(clips, {"video": "clip"})
    with pytest.raises(
        DataError, match=r"clips\.csv, row (9: .*8\.mp4 is damaged|10: .*9 has no frames)"
    ):
        [whole(part) for part in (data.train_set, data.val_set, data.test_set)]


def test_what_systems_leave_behind_is_no_frame(tmp_path: Path) -> None:
    for index in range(3):
        Image.new("L", (8, 8), 40 * index).save(tmp_path / f"{index}.png")
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "._0.png"):
        (tmp_path / name).write_bytes(b"x")
    assert [file.name for file in frames_of(tmp_path)] == ["0.png", "1.png", "2.png"]
    assert read_video(tmp_path, 3, 8, 1).mean((1, 2, 3)).tolist() == [0, 40, 80]
