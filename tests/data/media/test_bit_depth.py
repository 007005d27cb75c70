"""Images of any type of number come out with the grey levels that their type means, or are
refused."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, TiffImagePlugin
from tests.data.manifests import PAIR, ready, write_csv

from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.media.formats import MediaFormat
from polymodal.data.media.image_cache import ImageCache
from polymodal.data.media.images import read_image
from polymodal.data.media.video import read_video

GREY = np.tile(np.linspace(0, 255, 16).round().astype(np.uint8), (16, 1))
COLOUR = np.stack([GREY, GREY.T, 255 - GREY], axis=-1)


def stored(array: np.ndarray, format: str = "TIFF", **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format, **options)
    return stream.getvalue()


def raw_tiff(samples: bytes, bits: tuple[int, ...], photometric: int = 1, kind: int = 1) -> bytes:
    """A 16 x 16 TIFF of a kind that Pillow does not write."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[256], tags[257], tags[258], tags[259], tags[262] = 16, 16, bits, 1, photometric
    tags[277], tags[278], tags[279], tags[339] = len(bits), 16, len(samples), kind
    tags[273] = 0  # from the end of the tags on
    return b"II*\0\x08\0\0\0" + tags.tobytes(8) + samples


TWELVE = GREY.astype(np.uint32).ravel() * 4095 // 255
PACKED = bytes(
    part
    for a, b in TWELVE.reshape(-1, 2)
    for part in (int(a) >> 4, (int(a) & 15) << 4 | int(b) >> 8, int(b) & 255)
)
UNAMBIGUOUS = {
    "float 0 to 1": stored(GREY.astype(np.float32) / 255),
    "float 0 to 1, compressed": stored(GREY.astype(np.float32) / 255, compression="tiff_lzw"),
    "int32 0 to 255": stored(GREY.astype(np.int32)),
    "int16 0 to 255": raw_tiff(GREY.astype("<i2").tobytes(), (16,), kind=2),
    "16 bits, PNG": stored(GREY.astype(np.uint16) * 257, "PNG"),
    "16 bits, TIFF": stored(GREY.astype(np.uint16) * 257),
    "16 bits, 0 is white": raw_tiff(
        ((255 - GREY).astype("<u2") * 257).tobytes(), (16,), photometric=0
    ),
    "12 bits": raw_tiff(PACKED, (12,)),
    "PGM of 12 bits": b"P5 16 16 4095\n" + TWELVE.astype(">u2").tobytes(),
    "PGM of 16 bits": b"P5 16 16 65535\n" + (GREY.astype(">u2") * 257).tobytes(),
    "PFM": b"Pf\n16 16\n-1.0\n" + (GREY[::-1].astype("<f4") / 255).tobytes(),
    "dark PGM": b"P5 16 16 65535\n" + (GREY.astype(">u2") * 0).tobytes(),
    "1 bit": stored(GREY > 127, "PNG"),
    "float 0 and 1": stored((GREY > 127).astype(np.float32)),
    "16 bits of colour, TIFF": raw_tiff(
        (COLOUR.astype("<u2") * 257).tobytes(), (16, 16, 16), photometric=2
    ),
    "8 bits of dark": stored(GREY // 200, "PNG"),
}
MEANT = {
    "1 bit": np.where(GREY > 127, 255, 0),
    "float 0 and 1": np.where(GREY > 127, 255, 0),
    "16 bits of colour, TIFF": COLOUR,
    "dark PGM": GREY * 0,
    "8 bits of dark": GREY // 200,
}


@pytest.mark.parametrize("name", UNAMBIGUOUS)
def test_what_the_type_means_is_what_comes(name: str) -> None:
    picture = read_image(UNAMBIGUOUS[name], 16, 3).transpose(1, 2, 0).astype(int)
    meant = MEANT.get(name, GREY)
    assert np.abs(picture - (meant if meant.ndim == 3 else meant[..., None])).max() <= (
        1 if "12" in name else 0
    )


AMBIGUOUS = {
    "float 0 to 255": (
        stored(GREY.astype(np.float32)),
        255,
        "numbers from 0 to 255, and 0 to 1 is",
    ),
    "int32 0 to 65535": (
        stored(GREY.astype(np.int32) * 257),
        65535,
        "numbers from 0 to 65535, and 0 to 255 is",
    ),
    "12 in 16 bits": (
        stored(GREY.astype(np.uint16) * 4095 // 255),
        None,
        "16 bits, and its largest number is",
    ),
    "12 in 16 bits, PNG": (
        stored(TWELVE.reshape(16, 16).astype(np.uint16), "PNG"),
        4095,
        "largest number is 4095",
    ),
    "14 in 16 bits": (stored(GREY.astype(np.uint16) * 64), 255 * 64, "largest number is 16320"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_may_mean_several_things_is_refused_until_it_is_said(name: str) -> None:
    content, white, message = AMBIGUOUS[name]
    with pytest.raises(
        BadSampleError, match=rf"^a\.tif (has|holds) .*{message}.*data\.image_max="
    ) as caught:
        read_image(content, 16, 1, "a.tif")
    assert caught.value.reason == "bad value"
    if white:
        assert np.abs(read_image(content, 16, 1, image_max=white)[0].astype(int) - GREY).max() <= 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 1.5])
def test_a_number_that_is_no_grey_level_is_refused(value: float) -> None:
    pixels = GREY.astype(np.float32) / 255
    pixels[3, 4] = value
    with pytest.raises(BadSampleError, match=r"^a\.tif(:| holds)") as caught:
        read_image(stored(pixels), 16, 1, "a.tif")
    # it mends no number below black
    assert ("data.image_max" in str(caught.value)) == (value == 1.5)
    assert caught.value.reason == ("bad value" if np.isfinite(value) else "bad number")


def test_overshoot_of_less_than_a_grey_level_is_no_reason() -> None:
    pixels = GREY.astype(np.float32) / 255 * 1.003 - 0.001
    assert read_image(stored(pixels), 16, 1)[0, 0, [0, -1]].tolist() == [0, 255]


def test_two_images_of_a_set_stay_comparable() -> None:
    half = read_image(stored(GREY.astype(np.float32) / 510), 16, 1)
    assert half.max() == 127
    half = read_image(stored(GREY.astype(np.uint16) * 128, "PNG"), 16, 1)
    assert half.max() == 127


def test_colours_of_16_bits_that_do_not_fill_them_are_refused() -> None:
    content = raw_tiff((COLOUR.astype("<u2") * 16).tobytes(), (16, 16, 16), photometric=2)
    with pytest.raises(BadSampleError, match="colours of 16 bits that do not fill them"):
        read_image(content, 16, 3)
    with pytest.raises(BadSampleError, match="Save it with 8 bits"):
        read_image(content, 16, 3, image_max=4095)
    assert read_image(content, 16, 3, image_max=65535).max() == 15


def test_a_transparent_level_of_16_bits_shows_white() -> None:
    pixels = np.full((8, 8), 40_000, dtype=np.uint16)
    pixels[:, :4] = 20_000
    assert (
        read_image(stored(pixels, "PNG", transparency=20_000), 8, 1)[0, 0].tolist()
        == [255] * 4 + [155] * 4
    )


def test_an_array_is_told_apart_from_a_damaged_picture(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", GREY)
    for source in (tmp_path / "a.npy", (tmp_path / "a.npy").read_bytes()):
        with pytest.raises(
            BadSampleError, match=r"a\.npy is a NumPy array, no image: save it as PNG"
        ):
            read_image(source, 16, 1, "a.npy")


def test_a_table_says_what_is_white_once_for_all(tmp_path: Path) -> None:
    rows = []
    for number in range(20):
        (tmp_path / f"{number}.tif").write_bytes(
            stored(np.full((8, 8), 200 * number, dtype=np.uint16))
        )
        rows.append({"filepath": f"{number}.tif", "caption": f"number {number}"})
    table = write_csv(tmp_path / "p.csv", rows)
    refused = ready(table, PAIR, on_error="skip", max_bad_fraction=1.0)
    for number in range(20):
        if number:  # black is black
            with pytest.raises(BadSampleError, match="image_max"):
                refused.samples.contents["image"].read(number)
    data = ready(table, PAIR, image_max=4095, image_cache=str(tmp_path / "cache"))
    for _ in range(2):  # read, and from the cache
        images = [int(data.samples.contents["image"].read(number)[0, 0, 0]) for number in range(20)]
        assert images == [200 * number * 255 // 4095 for number in range(20)]
    assert data.formats()["image"]["image_max"] == 4095
    assert data.read("image", str(tmp_path / "10.tif"))[0, 0, 0] == 2000 * 255 // 4095


def test_the_cache_knows_what_is_white(tmp_path: Path) -> None:
    file, names = tmp_path / "a.tif", np.zeros(1, dtype=np.int64)
    file.write_bytes(stored(np.full((8, 8), 4000, dtype=np.uint16)))
    for white in (4095, 8000, 65535):
        cache = ImageCache(tmp_path / "cache", names, (1, 8, 8), 10**6, white)
        load = MediaFormat((1, 8, 8), None, 0.0, 1, 1.0, 1, white).reader("image")[0]
        assert cache.get(0, file, load)[0, 0, 0] == 4000 * 255 // white


def test_frames_of_a_video_follow_the_same_rule(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.tif").write_bytes(stored(np.full((8, 8), 2000, dtype=np.uint16)))
    assert torch.from_numpy(read_video(tmp_path, 2, 8, 1, image_max=4000)).unique().tolist() == [
        127
    ]
