"""Images of every odd kind come out as the same upright uint8 square, and broken ones are
named."""

import contextlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip import image_transform
from PIL import Image, ImageOps
from tests.data.manifests import bomb

from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.media import images
from polymodal.data.media.images import read_image

SMOOTH = np.stack(
    np.broadcast_arrays(
        np.linspace(0, 255, 60)[:, None], np.linspace(255, 0, 80)[None], np.full((60, 80), 90)
    ),
    axis=-1,
).astype(np.uint8)
"""60 rows, 80 columns: red grows downwards, green falls to the right."""


def saved(folder: Path, image: Image.Image, name: str, **options) -> Path:
    image.save(folder / name, **options)
    return folder / name


def close(a: np.ndarray, b: np.ndarray, tolerance: float = 4) -> bool:
    return float(np.abs(a.astype(float) - b).max()) <= tolerance


@pytest.fixture
def expected(tmp_path: Path) -> np.ndarray:
    return read_image(saved(tmp_path, Image.fromarray(SMOOTH), "plain.png"), 16, 3)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(60, 80, 16), (80, 60, 16), (33, 47, 32), (10, 12, 24)]
)
def test_it_is_open_clips_resize_and_centre_crop(
    height: int, width: int, size: int, tmp_path: Path
) -> None:
    image = Image.fromarray(SMOOTH).resize((width, height), Image.Resampling.BICUBIC)
    ours = read_image(saved(tmp_path, image, "a.png"), size, 3)
    theirs = (
        image_transform(size, is_train=False, mean=(0, 0, 0), std=(1, 1, 1))(image).numpy() * 255
    )
    assert ours.shape == (3, size, size)
    assert ours.dtype == np.uint8
    # theirs crops whole pixels of the resized image, ours fractions of one
    assert np.abs(ours - theirs).mean() < 255 / min(height, width, size) / 2


def pillows(image: Image.Image, size: int, mode: str = "RGB") -> np.ndarray:
    """(C, size, size): the middle square of the whole decoded image, resized by Pillow."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.convert(mode).crop((left, top, left + side, top + side))
    return (
        np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))
        .reshape(size, size, -1)
        .transpose(2, 0, 1)
    )


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 150),
    st.integers(1, 150),
    st.integers(1, 70),
    st.sampled_from([("L", 1), ("RGB", 3)]),
)
def test_it_is_pillows_resize(height: int, width: int, size: int, colours: tuple[str, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(noise).convert(colours[0])
    stream = io.BytesIO()
    image.save(stream, "PNG")
    assert close(
        read_image(stream.getvalue(), size, colours[1]), pillows(image, size, colours[0]), 2
    )


@pytest.mark.parametrize(
    ("size", "tolerance"), [(224, 0.02), (112, 0.4), (64, 1.0), (16, 0.5)]
)  # 1/1, 1/2, 1/4, 1/8
def test_a_jpeg_decoded_small_differs_little(size: int, tolerance: float, tmp_path: Path) -> None:
    random, pixels = np.random.default_rng(0), np.full((512, 640, 3), 128.0)
    # as in photographs: the finer the weaker
    for cells, strength in ((4, 80), (16, 40), (64, 22), (256, 14)):
        layer = Image.fromarray(random.normal(size=(cells, cells)).astype(np.float32))
        pixels += (
            strength * np.asarray(layer.resize((640, 512), Image.Resampling.BICUBIC))[..., None]
        )
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    file = saved(tmp_path, image, "a.jpg", quality=90)
    with Image.open(file) as whole:
        assert (
            np.abs(read_image(file, size, 3) - pillows(whole, size).astype(float)).mean()
            < tolerance
        )


def test_bytes_are_read_as_a_file_is(tmp_path: Path) -> None:
    file = saved(tmp_path, Image.fromarray(SMOOTH), "a.png")
    assert np.array_equal(read_image(file.read_bytes(), 16, 3), read_image(file, 16, 3))
    with pytest.raises(BadSampleError, match=r"^x\.png is damaged"):
        read_image(b"no image", 16, 3, name="x.png")


@pytest.mark.parametrize(
    ("name", "options"), [("a.jpg", {"quality": 98}), ("a.webp", {"lossless": True}), ("a.bmp", {})]
)
def test_formats_agree(name: str, options: dict, expected: np.ndarray, tmp_path: Path) -> None:
    assert close(
        read_image(saved(tmp_path, Image.fromarray(SMOOTH), name, **options), 16, 3), expected, 6
    )


def test_a_large_jpeg_is_decoded_small_to_nearly_the_same(tmp_path: Path, monkeypatch) -> None:
    image = Image.fromarray(SMOOTH).resize((800, 600), Image.Resampling.BICUBIC)
    file = saved(tmp_path, image, "a.jpg", quality=95)
    assert close(read_image(file, 16, 3), read_image(saved(tmp_path, image, "a.png"), 16, 3), 6)
    sizes = []
    monkeypatch.setattr(images, "_turn_upright", lambda image: sizes.append(image.size))
    read_image(file, 16, 3)
    assert sizes == [(100, 75)]  # an eighth


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture(orientation: int, expected: np.ndarray, tmp_path: Path) -> None:
    stored = {  # how an upright image lies in the file
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation](SMOOTH)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = saved(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), "a.png", exif=exif)
    assert close(read_image(file, 16, 3), expected)


def test_damaged_exif_is_no_reason_to_lose_a_picture(
    expected: np.ndarray, tmp_path: Path, monkeypatch
) -> None:
    def fails(image: Image.Image) -> None:
        raise struct.error("as Pillow does where it writes odd tags back")

    monkeypatch.setattr(ImageOps, "exif_transpose", fails)
    assert close(
        read_image(saved(tmp_path, Image.fromarray(SMOOTH), "a.jpg", quality=98), 16, 3),
        expected,
        6,
    )


def test_alpha_shows_white(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 4), dtype=np.uint8)
    pixels[:, 4:, 3] = 255  # black on the right, nothing on the left
    picture = read_image(saved(tmp_path, Image.fromarray(pixels), "a.png"), 8, 3)
    assert (picture[:, :, :3] == 255).all()
    assert (picture[:, :, 5:] == 0).all()
    grey = Image.fromarray(pixels).convert("LA")
    assert read_image(saved(tmp_path, grey, "b.png"), 8, 1)[0, 0].tolist()[::7] == [255, 0]


def test_a_palette_with_a_transparent_colour_shows_white(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    assert read_image(saved(tmp_path, image, "a.png"), 4, 3)[:, 0, 0].tolist() == [200, 0, 0]
    assert (
        read_image(saved(tmp_path, image, "b.png", transparency=1), 4, 3)[:, 0, 0].tolist()
        == [255] * 3
    )


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(8, 8)
    picture = read_image(saved(tmp_path, Image.fromarray(deep), "a.png"), 8, 1)[0]
    assert np.array_equal(picture, deep // 257)
    assert read_image(tmp_path / "a.png", 8, 3).shape == (3, 8, 8)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 16), (200, 40, 90)).convert("CMYK")
    assert close(
        read_image(saved(tmp_path, image, "a.jpg", quality=98), 8, 3)[:, 4, 4],
        np.array([200, 40, 90]),
        6,
    )


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.gif", 4, 3)[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [30_000, 10_000])
def test_a_decompression_bomb_is_refused_unopened(side: int, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bomb(side, side))
    with pytest.raises(BadSampleError, match=r"a\.png.*pixels") as caught:
        read_image(tmp_path / "a.png", 8, 3)
    assert caught.value.reason == "too large"


def encoded(format: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(
        stream, format
    )
    return stream.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_truncated_picture_is_damaged(format: str, tmp_path: Path) -> None:
    content = encoded(format)
    (tmp_path / "a").write_bytes(content[: len(content) // 2])
    with pytest.raises(BadSampleError, match="damaged") as caught:
        read_image(tmp_path / "a", 8, 3)
    assert caught.value.reason == "damaged file"


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=5),
)
def test_flipped_bytes_give_a_picture_or_a_bad_sample(
    tmp_path_factory, format: str, changes: list
) -> None:
    content = bytearray(encoded(format))
    for place, value in changes:
        content[int(place * (len(content) - 1))] = value
    file = tmp_path_factory.mktemp("bytes") / "a"
    file.write_bytes(content)
    with contextlib.suppress(BadSampleError):
        assert read_image(file, 8, 3).shape == (3, 8, 8)


def test_bytes_are_read_as_their_file_is(tmp_path: Path) -> None:
    file = saved(tmp_path, Image.fromarray(SMOOTH), "a.jpg")
    assert np.array_equal(read_image(file.read_bytes(), 16, 3), read_image(file, 16, 3))
    with pytest.raises(BadSampleError, match="^drawing 7 is damaged"):
        read_image(b"no image", 16, 3, name="drawing 7")
