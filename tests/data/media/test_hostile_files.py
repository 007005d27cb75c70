"""A small file that asks for hours or gigabytes is refused in seconds, and left out where bad
samples are."""

import io
import resource
import signal
import struct
import tarfile
import time
import tracemalloc
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from PIL import Image
from tests.data.manifests import PAIR, make_pairs, ready, write_csv
from tests.data.media.test_svg import drawing

from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.media import audio, svg_child
from polymodal.data.media.formats import read_sound, read_vector
from polymodal.data.media.images import MAX_SCANS, read_image
from polymodal.data.media.npy import read_array
from polymodal.data.media.video import read_video
from polymodal.data.stream.tar import TarShards

NOISE = (
    '<filter id="f"><feTurbulence baseFrequency="0.5" numOctaves="{}"/></filter>'
    '<rect width="40" height="40" filter="url(#f)"/>'
)
DASHES = '<path d="M0 0H1000000000" stroke="red" stroke-dasharray="0.000001"/>'
BLUR = '<filter id="f"><feMorphology operator="dilate" radius="{}"/></filter><rect width="9" height="9" filter="url(#f)"/>'
ENDLESS = {
    "octaves": drawing(NOISE.format(2_000_000_000)),
    "text": drawing(f'<text y="30">{"word " * 400_000}</text>'),
}
HARMLESS = {
    "a far path": drawing('<path d="M0 0L1e30 1e30L-1e30 0z"/>' * 50),
    "dashes": drawing(DASHES * 50),
    "radius": drawing(BLUR.format(1e9)),
    "patterns": drawing(
        "".join(
            f'<pattern id="p{n}" width="1" height="1"><rect width="40" height="40" fill="url(#p{n + 1})"/></pattern>'
            for n in range(40)
        )
        + '<rect width="40" height="40" fill="url(#p0)"/>'
    ),
}


@pytest.fixture
def traced() -> Iterator[Callable[[], int]]:
    """Says how many bytes were taken at most."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def seconds_of_children() -> float:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


@pytest.mark.parametrize("name", ENDLESS)
def test_a_drawing_that_takes_hours_is_refused_in_seconds(name: str, monkeypatch) -> None:
    monkeypatch.setattr(svg_child, "SECONDS", 1)
    before = seconds_of_children()
    with pytest.raises(
        BadSampleError, match=r"^a\.svg: it takes more than 1 seconds or 2 GB"
    ) as caught:
        read_image(ENDLESS[name], 32, 3, "a.svg")
    assert caught.value.reason == "too large"
    assert seconds_of_children() - before < 2.5


@pytest.mark.parametrize("name", HARMLESS)
def test_an_odd_drawing_comes_out(name: str) -> None:
    before = seconds_of_children()
    assert read_image(HARMLESS[name], 32, 3).shape == (3, 32, 32)
    assert seconds_of_children() - before < 3


def test_a_drawing_that_takes_hours_can_be_interrupted() -> None:
    """As Ctrl-C does it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before, start = signal.signal(signal.SIGALRM, interrupt), time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            read_image(ENDLESS["octaves"], 32, 3)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - start < svg_child.SECONDS


def test_a_drawing_that_takes_hours_is_left_out(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(svg_child, "SECONDS", 1)
    rows = make_pairs(tmp_path, 20)
    (tmp_path / "images" / "a.svg").write_bytes(ENDLESS["octaves"])
    rows[0]["filepath"] = "images/a.svg"
    data = ready(write_csv(tmp_path / "p.csv", rows), PAIR, on_error="skip", max_bad_fraction=1.0)
    for part in (data.train_set, data.val_set, data.test_set):
        part[list(range(len(part)))]
    assert data.samples.skips.counts() == {"too large": 1}
    with pytest.raises(BadSampleError, match=r"a\.svg"):  # by hand, as the demo and predict.py do
        data.read("image", str(tmp_path / "images" / "a.svg"))


def test_a_drawing_of_gigabytes_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(svg_child, "MEMORY", svg_child.STACK + 2**28)
    content = drawing("<g/>" * 2_000_000)  # an object each
    with pytest.raises(BadSampleError, match=r"a\.svg") as caught:
        read_image(content, 8, 3, "a.svg")
    assert caught.value.reason == "too large"


def test_a_picture_of_a_thousand_scans_is_refused() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(stream, "JPEG", progressive=True)
    content = stream.getvalue()
    assert read_image(content, 8, 3)[0].min() > 240
    start = content.index(b"\xff\xda")
    scan = content[
        start : content.index(
            b"\xff", start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
        )
    ]
    with pytest.raises(
        BadSampleError, match=rf"^a\.jpg is drawn in \d+ scans; {MAX_SCANS} are allowed"
    ) as caught:
        read_image(content[:start] + scan * MAX_SCANS + content[start:], 8, 3, "a.jpg")
    assert caught.value.reason == "too large"


def test_a_program_is_no_picture() -> None:
    """Pillow has PostScript run by another program."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "EPS")
    with pytest.raises(BadSampleError, match="its format is unknown"):
        read_image(stream.getvalue(), 8, 3)


@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nseg.ts\n",
        "ffconcat version 1.0\nfile 'real.mkv'\n",
    ],
)
def test_a_list_of_videos_is_no_video(content: str, tmp_path: Path) -> None:
    """A live one never ends, and any one names other files."""
    (tmp_path / "a.m3u8").write_text(content)
    with pytest.raises(BadSampleError, match=r"a\.m3u8 is damaged or no video"):
        read_video(tmp_path / "a.m3u8", 2, 8, 3)


def wav(rate: int, samples: int = 20_000) -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(2 * samples))
    return stream.getvalue()


@pytest.mark.parametrize("rate", [1, 99, 1_000_001, 2**31 - 1])
def test_a_sample_rate_that_is_none_of_a_sound_is_refused(rate: int) -> None:
    with pytest.raises(BadSampleError, match=rf"^a\.wav: its sample rate is {rate:,} Hz") as caught:
        read_sound(wav(rate), 16_000, 30.0, "a.wav")
    assert caught.value.reason == "damaged file"


def test_a_sound_is_cut_before_it_is_resampled(monkeypatch) -> None:
    given = []
    resample = soxr.resample
    monkeypatch.setattr(
        audio.soxr, "resample", lambda x, *rates: given.append(len(x)) or resample(x, *rates)
    )
    assert len(read_sound(wav(100, 2_000_000), 16_000, 2.0)) == 32_000
    assert given == [300]


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
def test_what_is_cut_off_changes_nothing_before_it(rate: int) -> None:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (5 * rate, 2))
    soundfile.write(stream, noise, rate, format="WAV", subtype="FLOAT")
    whole = soxr.resample(noise.mean(1).astype(np.float32), rate, 16_000)
    np.testing.assert_allclose(
        read_sound(stream.getvalue(), 16_000, 2.0), whole[:32_000], atol=1e-5
    )
    np.testing.assert_allclose(read_sound(stream.getvalue(), 16_000, 30.0), whole, atol=1e-5)


def test_a_sound_that_says_it_lasts_for_days_takes_no_more_memory(traced) -> None:
    stream = io.BytesIO()
    soundfile.write(stream, np.full(8000, 0.25), 8000, format="FLAC")
    content = bytearray(stream.getvalue())
    content[21] |= 15  # the upper bits of the number of samples
    content[22:26] = b"\xff" * 4
    assert soundfile.info(io.BytesIO(content)).frames > 10**10
    with pytest.raises(BadSampleError, match="not a sound file that can be read"):
        read_sound(bytes(content), 8000, 1e6)
    stream = io.BytesIO()
    soundfile.write(stream, np.full(8000, 0.25), 8000, format="WAV")
    content = bytearray(stream.getvalue())
    content[4:8] = content[40:44] = b"\xff\xff\xff\x7f"
    np.testing.assert_allclose(
        read_sound(bytes(content), 8000, 1e6), np.full(8000, 0.25), atol=1e-3
    )
    assert traced() < 10**7


def npy(shape: str, numbers: bytes = bytes(40), descr: str = "<f4") -> bytes:
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + numbers


@pytest.mark.parametrize(
    "shape",
    ["(100000000000,)", "(1000000, 1000000)", "(11,)", "(-1,)", "(2**9,)", "(1" + "0" * 40 + ",)"],
)
def test_a_vector_that_says_more_numbers_than_it_has_is_damaged(
    shape: str, tmp_path: Path, traced
) -> None:
    (tmp_path / "a.npy").write_bytes(npy(shape))
    for source in (tmp_path / "a.npy", npy(shape)):
        with pytest.raises(BadSampleError, match=r"a\.npy is no \.npy file of numbers") as caught:
            read_vector(source, name="a.npy")
        assert caught.value.reason == "damaged file"
    assert traced() < 10**6


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "<i8", "|u1", "|b1", ">i2"])
@pytest.mark.parametrize("shape", [(5,), (2, 3), ()])
def test_arrays_are_those_of_numpy(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    for array in (
        np.arange(np.prod(shape)).reshape(shape).astype(dtype),
        np.ones(shape, dtype, order="F"),
    ):
        np.save(tmp_path / "a.npy", array)
        for source in (tmp_path / "a.npy", (tmp_path / "a.npy").read_bytes()):
            ours = read_array(source)
            assert ours.dtype == array.dtype
            assert np.array_equal(ours, np.load(tmp_path / "a.npy"))


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", npy("(1,)", descr="|O"), npy("(5,)", descr="<U2"), b"PK\x03\x04"]
)
def test_what_is_no_array_of_numbers_is_damaged(content: bytes) -> None:
    with pytest.raises(BadSampleError, match="is no .npy file of numbers"):
        read_vector(content)


def sample(tar: tarfile.TarFile, key: str, **headers: str) -> None:
    for ending in ("txt", "json"):
        member = tarfile.TarInfo(f"{key}.{ending}")
        member.pax_headers, member.size = headers, 2
        tar.addfile(member, io.BytesIO(b"{}"))


@pytest.mark.parametrize("packed", ["w", "w:gz"])
def test_headers_of_megabytes_are_a_damaged_shard(packed: str, tmp_path: Path, traced) -> None:
    with tarfile.open(tmp_path / "a.tar", packed, format=tarfile.PAX_FORMAT) as tar:
        for key in "01":
            sample(tar, key, comment="x" * 1000)
        sample(tar, "2", comment="x" * 30_000_000)
    del tar  # which keeps what it wrote
    tracemalloc.reset_peak()
    entries = TarShards([str(tmp_path / "a.tar")]).entries(0)
    assert next(entries).record.fields == {"txt": b"{}", "json": b"{}"}
    with pytest.raises(
        BadSampleError, match="a header of 30,000,0.. bytes; 262,144 are allowed"
    ) as caught:
        [entry.record for entry in entries]
    assert caught.value.reason == "damaged shard"
    assert traced() < 5 * 10**6


def test_headers_before_headers_are_a_damaged_shard(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type = tarfile.XGLTYPE
    (tmp_path / "a.tar").write_bytes(header.tobuf() * 5000 + bytes(1024))
    with pytest.raises(BadSampleError, match="cannot be read on") as caught:
        list(TarShards([str(tmp_path / "a.tar")]).entries(0))
    assert caught.value.reason == "damaged shard"


def test_headers_of_a_whole_shard_are_not_kept(tmp_path: Path, traced) -> None:
    with (tmp_path / "a.tar").open("wb") as file:
        for key in range(200):
            file.write(tarfile.TarInfo.create_pax_global_header({f"key{key}": "x" * 100_000}))
            member = tarfile.TarInfo(f"{key}.txt")
            member.size = 2
            file.write(member.tobuf() + b"{}".ljust(512, b"\0"))
        file.write(bytes(1024))
    tracemalloc.reset_peak()
    assert (
        sum(len(entry.record.fields) for entry in TarShards([str(tmp_path / "a.tar")]).entries(0))
        == 200
    )
    assert traced() < 5 * 10**6


def test_a_member_of_a_negative_size_is_a_damaged_shard(tmp_path: Path) -> None:
    """Older versions of Python read its header for ever."""
    member = tarfile.TarInfo("a.txt")
    content = bytearray(member.tobuf())
    content[124:136] = b"\xff" * 10 + b"\xfe\x00"  # -512, in base 256
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content)
    (tmp_path / "a.tar").write_bytes(
        tarfile.TarInfo("0.txt").tobuf() + bytes(content) + bytes(1024)
    )
    with pytest.raises(BadSampleError, match="a negative size") as caught:
        list(TarShards([str(tmp_path / "a.tar")]).entries(0))
    assert caught.value.reason == "damaged shard"
