"""What the scripts make of Debian packages."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from pyarrow import parquet
from tests.conftest import ROOT
from tests.data.packages import NAMES, make_stamps

from polymodal.data.manifest import Manifest


def rows_of(file: Path) -> list[dict]:
    return parquet.read_table(file).to_pylist()


def test_a_stamp_has_a_row_a_language_with_what_there_is_of_it(stamps: Path) -> None:
    rows = {(row["stamp"], row["language"]): row for row in rows_of(stamps / "manifest.parquet")}
    assert len({name for name, _ in rows}) == len(NAMES) + 2  # the copy and the silent one
    french = rows["c/green_cat", "fr"]
    assert (french["text"], french["category"], french["group"]) == (
        "Une cat green qui est ici.",
        "c",
        "green cat",
    )
    assert rows["c/green_cat", "en"]["audio"] is None
    assert rows["b/red_boat", "da"]["text"] is None
    assert rows["b/red_boat", "da"]["noisy"] == []
    assert rows["a/copy", "en"]["group"] == rows["a/red_apple", "fr"]["group"] == "red apple"
    assert ("b/silent", "fr") not in rows  # neither its text nor its sound can be read
    assert rows["b/silent", "da"]["audio"] is None
    assert [row for row in rows.values() if row["audio"]] == rows_of(stamps / "spoken.parquet")


def test_pictures_are_square_on_white_and_sounds_without_silence(stamps: Path) -> None:
    for row in rows_of(stamps / "spoken.parquet"):
        with Image.open(stamps / row["image"]) as picture:
            assert picture.size == (16, 16)
            assert picture.mode == "RGB"
            assert picture.getpixel((15, 0)) == (255, 255, 255)
        sound, rate = soundfile.read(stamps / row["audio"])
        assert rate == 16000
        assert len(sound) / rate == pytest.approx(0.25, abs=0.06)


def test_words_are_lost_but_never_all_and_more_often_drawn_in_training(stamps: Path) -> None:
    kept = []
    for row in rows_of(stamps / "manifest.parquet"):
        words = (row["text"] or "").split()
        assert len(row["noisy"]) == (0 if not words else 8 if row["split"] == "train" else 1)
        for version in row["noisy"]:
            left = iter(words)
            assert version
            assert all(word in left for word in version.split())  # in their order
            kept.append(len(version.split()) / len(words))
    assert 0.35 < np.mean(kept) < 0.55


def test_no_group_is_in_two_splits_and_a_second_run_changes_nothing(
    stamps: Path, openclipart: Path, prepare
) -> None:
    for file in (stamps / "manifest.parquet", openclipart / "manifest.parquet"):
        splits: dict[str, set] = {}
        for row in rows_of(file):
            splits.setdefault(row["group"], set()).add(row["split"])
        assert all(len(split) == 1 for split in splits.values())
        assert len(set.union(*splits.values())) == 3
    before = {
        file: file.stat().st_mtime_ns for file in stamps.rglob("*.*") if file.suffix != ".parquet"
    }
    content = (stamps / "manifest.parquet").read_bytes()
    done = prepare("stamps", f"package={stamps.parent / 'package'}", f"folder={stamps}", "size=16")
    assert "bad image 1, bad sound 2" in done.replace("sound without a stamp 1, ", "")
    assert (stamps / "manifest.parquet").read_bytes() == content
    assert before == {
        file: file.stat().st_mtime_ns for file in stamps.rglob("*.*") if file.suffix != ".parquet"
    }


def test_drawings_are_told_by_title_or_file_name_and_keywords(openclipart: Path) -> None:
    rows = {row["id"]: row for row in rows_of(openclipart / "manifest.parquet")}
    assert rows["c/green_cat_ann_ex_01"]["text"] == ["Green Cat", "Green Cat: toy, bright colour"]
    assert {row["group"] for row in rows.values() if row["category"] == "icons"} == {
        "up",
        "down left",
    }
    # of 12; a collection, so the file tells
    assert sum(row["group"] == "star" for row in rows.values()) == 10
    assert {name for name in rows if name.startswith("x/")} == set()
    assert "secret" not in (openclipart / "manifest.parquet").read_bytes().decode("latin-1")


def test_samples_that_name_one_file_share_its_item(stamps: Path) -> None:
    columns = {"image": "image", "text": "text", "group": "group", "split": "split"}
    data = Manifest(str(stamps / "manifest.parquet"), columns, image_size=8, vocab_size=300)
    data.setup()
    batch = data.test_set[list(range(len(data.test_set)))]
    stamp = {row["image"] for row in rows_of(stamps / "manifest.parquet") if row["split"] == "test"}
    assert len(batch.items["image"].unique()) == len(stamp) < len(batch)
    first = {}
    for item, picture in zip(batch.items["image"].tolist(), batch.inputs["image"], strict=True):
        assert (first.setdefault(item, picture) == picture).all()


@pytest.fixture
def debian_packages(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "prepare"))
    import debian_packages

    return debian_packages


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")
def test_a_deb_is_unpacked_if_it_is_what_it_says(debian_packages, tmp_path: Path, capsys) -> None:
    root, name = make_stamps(tmp_path / "root"), "tuxpaint-stamps-default"
    (root / "DEBIAN").mkdir()
    control = f"Package: {name}\nVersion: 1-1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: stamps\n"
    (root / "DEBIAN/control").write_text(control)
    (root / "DEBIAN").chmod(0o755)
    archive = tmp_path / "stamps.deb"
    subprocess.run(
        ["dpkg-deb", "--build", str(root), str(archive)], check=True, capture_output=True
    )
    folder = debian_packages.unpacked(name, {"2-1": "0"}, str(archive), tmp_path)
    assert "1-1 is not a known version (2-1)" in capsys.readouterr().out
    assert (folder / "usr/share/tuxpaint/stamps/a/copy.png").is_file()
    with pytest.raises(SystemExit, match="damaged: SHA-256"):
        debian_packages.unpacked(name, {"1-1": "0"}, str(archive), tmp_path)
    with pytest.raises(SystemExit, match=f"is the package {name}, not other"):
        debian_packages.unpacked("other", {}, str(archive), tmp_path)
    archive.write_bytes(b"!<arch> broken")
    with pytest.raises(SystemExit, match="is no .deb"):
        debian_packages.unpacked(name, {}, str(archive), tmp_path)


def test_a_package_that_is_not_there_is_said(debian_packages, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(SystemExit, match="there is no such file or folder"):
        debian_packages.unpacked("p", {}, str(tmp_path / "p.deb"), tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="there is no apt-get here"):
        debian_packages.unpacked("p", {}, "", tmp_path)


def test_chance_is_that_of_a_random_order(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from control_retrieval import chance

    # none is right for 2
    assert chance(np.array([0, 1, 2]), np.array([0, 0, 1])) == pytest.approx([1 / 2, 1, 1])
    random = np.random.default_rng(0)
    target = random.integers(0, 6, 40)
    orders = np.stack([random.permutation(40)[:5] for _ in range(4000)])
    found = [(target[orders] == group).any(1).mean() for group in target]
    assert chance(target, target)[1] == pytest.approx(np.mean(found), abs=0.01)


@pytest.mark.slow
def test_the_controls_are_computed_for_prepared_data(stamps: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "scripts/control_retrieval.py"),
        f"manifest={stamps / 'spoken.parquet'}",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    assert all(
        f"{name}, control" in done.stdout
        for name in ("image_to_text", "audio_to_text", "text_to_noisy")
    )
