"""The bundled data: counts, splits, groups, and a cache that survives accidents."""

import multiprocessing
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch

from polymodal.data.bundled.glyph_cache import font_files, load_glyphs
from polymodal.data.bundled.glyph_kinds import KIND_NAMES, kind_of
from polymodal.data.glyphs import Glyphs
from polymodal.data.loading.dataset import BatchIndices
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.errors import ConfigError, DataError

FAMILY = ["STIXGeneralBolIta"]


@pytest.fixture(scope="module")
def everything(cache: Path) -> Glyphs:
    data = Glyphs(str(cache))
    data.prepare_data()
    data.setup()
    return data


def test_the_whole_set_has_the_size_that_the_readme_says(everything: Glyphs) -> None:
    splits = [everything.train_set, everything.val_set, everything.test_set]
    if unicodedata.unidata_version == "14.0.0":  # newer Pythons know more names
        assert sum(map(len, splits)) == 54_534
        assert len(everything.names) == 7_346
        assert [len(split) for split in splits] == [43_319, 5_845, 5_370]
    assert sum(map(len, splits)) > 54_000


def test_no_character_is_in_two_splits(everything: Glyphs) -> None:
    train, val, test = (
        set(split.character[torch.from_numpy(split.rows)].tolist())
        for split in (everything.train_set, everything.val_set, everything.test_set)
    )
    assert not train & val
    assert not train & test
    assert not val & test
    assert 700 < len(test) < 800


def test_the_tokenizer_has_seen_training_names_only(everything: Glyphs) -> None:
    places = everything.train_set.character[torch.from_numpy(everything.train_set.rows)]
    seen = [everything.names[index] for index in places.unique().tolist()]
    again = Tokenizer.train(seen, everything.vocab_size, everything.context_length)
    assert again.to_json() == everything.tokenizer.to_json()


def test_look_alikes_share_a_group_and_others_do_not(everything: Glyphs) -> None:
    group = {
        name: int(g) for name, g in zip(everything.names, everything.train_set.group, strict=True)
    }
    assert group["latin capital letter a"] == group["greek capital letter alpha"]
    assert group["latin capital letter a"] == group["cyrillic capital letter a"]
    assert group["latin capital letter a"] != group["latin small letter a"]
    assert group["latin capital letter i"] != group["latin capital letter i with breve"]
    assert len(set(group.values())) > 0.9 * len(group)


def test_a_batch_is_one_gather_with_all_that_a_sample_has(glyphs: Glyphs) -> None:
    indices = [5, 0, 9]
    batch = glyphs.train_set[indices]
    assert batch.inputs["image"].shape == (3, 1, 32, 32)
    assert batch.inputs["image"].dtype == torch.uint8
    assert batch.id.tolist() == glyphs.train_set.rows[indices].tolist()
    for position, character in enumerate(batch.items["text"].tolist()):
        tokens = batch.inputs["text"][position].tolist()
        assert glyphs.tokenizer.decode(tokens) == glyphs.names[character]
        assert batch.labels["kind"][position] == kind_of(
            unicodedata.lookup(glyphs.names[character])
        )
    assert (batch.inputs["text"] != 0).any(0).all()  # padded to the longest of this batch


def test_names_are_cut_in_several_ways_in_training_only(cache: Path) -> None:
    glyphs = Glyphs(str(cache), families=FAMILY, merge_levels=[20, 0])
    glyphs.setup()
    sets = (glyphs.train_set, glyphs.val_set)
    ways = [
        {
            tuple(data[BatchIndices([3], 0, number)].inputs["text"][0].tolist())
            for number in range(40)
        }
        for data in sets
    ]
    assert len(ways[0]) == 3
    assert len(ways[1]) == 1
    assert len({glyphs.tokenizer.decode(list(way)) for way in ways[0]}) == 1  # the same name


def test_pictures_are_normalised_on_the_device(everything: Glyphs) -> None:
    data = everything
    batch = data.on_after_batch_transfer(data.train_set[list(range(0, 43_000, 10))], 0)
    image = batch.inputs["image"]
    assert image.dtype == torch.float32
    assert abs(image.mean().item()) < 0.05
    assert abs(image.std().item() - 1) < 0.05


@pytest.mark.parametrize(
    ("character", "kind"),
    [
        ("é", "latin letter"), ("Ω", "greek letter"), ("ж", "cyrillic letter"), ("→", "arrow"),
        ("∑", "mathematical operator"), ("╬", "box drawing"), ("⠿", "braille pattern"), ("♞", "chess piece"),
        ("𝐀", "mathematical alphanumeric"), ("☺", "face"), ("①", "circled character"), ("א", "hebrew letter"),
    ],
)  # fmt: skip
def test_kinds(character: str, kind: str) -> None:
    assert KIND_NAMES[kind_of(character)] == kind


def test_a_character_without_a_kind_has_none() -> None:
    assert kind_of("!") == -1


def test_a_damaged_cache_is_noticed_and_built_again(tmp_path: Path) -> None:
    before = np.array(load_glyphs(tmp_path, FAMILY, 16).images)
    (folder,) = tmp_path.iterdir()
    content = bytearray((folder / "images.npy").read_bytes())
    content[-100] ^= 0xFF
    (folder / "images.npy").write_bytes(content)
    assert (np.array(load_glyphs(tmp_path, FAMILY, 16).images) == before).all()
    (folder / "codepoints.npy").unlink()
    assert (np.array(load_glyphs(tmp_path, FAMILY, 16).images) == before).all()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]  # nothing half-built is left


FILES = ("images.npy", "codepoints.npy", "fonts.npy", "checksums.json")


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "of zeros", "other"])
@pytest.mark.parametrize("name", FILES)
def test_whatever_is_damaged_in_a_cache_it_is_built_again(
    name: str, damage: str, whole_cache: Path, tmp_path: Path
) -> None:
    before = load_glyphs(whole_cache, FAMILY, 16)
    root = shutil.copytree(whole_cache, tmp_path / "cache")
    (folder,) = root.iterdir()
    content = (folder / name).read_bytes()
    half, zeros = content[: len(content) // 2], bytes(len(content))
    if damage == "gone":
        (folder / name).unlink()
    else:
        kinds = {"empty": b"", "cut": half, "of zeros": zeros, "other": b"{}"}
        (folder / name).write_bytes(kinds[damage])
    after = load_glyphs(root, FAMILY, 16)
    for column in ("images", "codepoints", "fonts"):
        assert (np.array(getattr(after, column)) == np.array(getattr(before, column))).all()
    assert all((folder / each).stat().st_size > 2 for each in FILES)
    assert [path.name for path in root.iterdir()] == [folder.name]


@pytest.fixture(scope="module")
def whole_cache(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    load_glyphs(root, FAMILY, 16)
    return root


def test_the_name_of_a_cache_tells_settings_apart(tmp_path: Path) -> None:
    for size, family in ((16, FAMILY), (20, FAMILY), (16, ["STIXGeneralItalic"])):
        assert load_glyphs(tmp_path, family, size).images.shape[1] == size
    assert len(list(tmp_path.iterdir())) == 3


def _count(folder: Path) -> int:
    return len(load_glyphs(folder, FAMILY, 16).images)


def test_processes_that_build_at_once_do_no_harm(tmp_path: Path) -> None:
    with multiprocessing.get_context("forkserver").Pool(3) as pool:
        counts = pool.map(_count, [tmp_path] * 3)
    assert len(set(counts)) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_no_pictures_are_empty_and_none_touch_the_next(tmp_path: Path) -> None:
    images = load_glyphs(tmp_path, FAMILY, 24).images
    assert images.reshape(len(images), -1).max(1).min() > 0


def test_an_unknown_family_and_a_folder_that_cannot_be_written_say_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No font file starts with 'Comic'"):
        font_files(["Comic"])
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        load_glyphs(tmp_path / "file", FAMILY, 16)


def test_shares_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="add up to 1"):
        Glyphs(str(tmp_path), splits=[0.8, 0.1, 0.2])


def test_a_limit_keeps_that_many_of_each_split(cache: Path) -> None:
    data = Glyphs(str(cache), families=FAMILY, limit=20)
    data.setup()
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    ids = [torch.cat([batch.id for batch in loader]).tolist() for loader in loaders]
    assert [len(set(each)) for each in ids] == [20, 20, 20]
    whole = [data.val_set[[row]].id.item() for row in (0, len(data.val_set) - 1)]
    assert [ids[1][0], ids[1][-1]] == whole  # spread over all of it


@pytest.mark.parametrize("rate", [0.0, 0.6])
def test_what_is_shown_of_a_sample_is_its_own(cache: Path, rate: float) -> None:
    fonts = ["STIXSizOneSymReg", "STIXSizTwoSymReg"]  # a character of both is two samples
    glyphs = Glyphs(str(cache), families=fonts, word_dropout=rate)
    glyphs.setup()
    table = load_glyphs(cache, fonts, 32)
    assert len(table.codepoints) > len(glyphs.names)
    for part in (glyphs.train_set, glyphs.val_set, glyphs.test_set):
        batch = part[list(range(len(part)))]
        official = [unicodedata.name(chr(table.codepoints[id])).lower() for id in batch.id.tolist()]
        shown = [glyphs.describe("text", item) for item in batch.items["text"].tolist()]
        assert shown == official
        assert glyphs.words("text", batch.items["text"].numpy()) == official
        assert np.array_equal(
            glyphs.describe("image", int(batch.items["image"][0])), 255 - table.images[batch.id[0]]
        )
        for tokens, name in zip(batch.inputs["text"], shown, strict=True):
            words = glyphs.tokenizer.decode(tokens.tolist()).replace("-", " ").split()
            assert set(words) <= set(name.replace("-", " ").split())
