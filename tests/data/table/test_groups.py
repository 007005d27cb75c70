"""Samples with the same captions are positives of each other; one caption in common joins
nothing."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.manifests import PAIR, make_pairs, ready, whole, write_csv, write_jsonl

from polymodal.data.folder import Folder
from polymodal.data.manifest import Manifest
from polymodal.data.table.contents import Captions, Columns
from polymodal.data.table.groups import in_several_groups, joined_by_captions

captions = st.lists(st.lists(st.sampled_from("abc"), max_size=3), min_size=1, max_size=9)


def content(texts: list[list[str]]) -> Captions:
    flat = pa.array([text for own in texts for text in own], pa.large_string())
    return Captions(flat, np.array([len(own) for own in texts]))


@settings(max_examples=200, deadline=None)
@given(captions, st.data())
def test_groups_are_joined_where_sets_say_so(texts: list[list[str]], data: st.DataObject) -> None:
    group = np.array(
        data.draw(st.lists(st.integers(0, 4), min_size=len(texts), max_size=len(texts)))
    )
    sets = [
        {text for own, other in zip(texts, group, strict=True) if other == mine for text in own}
        for mine in group
    ]
    joined = joined_by_captions(group, {"text": content(texts)})
    for i in range(len(group)):
        for j in range(len(group)):
            same = group[i] == group[j] or bool(sets[i] and sets[i] == sets[j])
            assert (joined[i] == joined[j]) == same
    counts = [
        len({int(g) for g, own in zip(group, texts, strict=True) if word in own}) for word in "abc"
    ]
    assert in_several_groups(group, content(texts)) == sum(n > 1 for n in counts)


def test_of_more_than_a_pair_nothing_is_joined() -> None:
    text, one = content([["a"], ["a"], ["b"]]), Columns(np.zeros((3, 1), dtype=np.float32), 1)
    assert joined_by_captions(np.arange(3), {"text": text, "tabular": one}).tolist() == [0, 0, 2]
    assert joined_by_captions(
        np.arange(3), {"text": text, "tabular": one, "more": one}
    ).tolist() == [0, 1, 2]
    question = content([["q"], ["r"], ["q"]])
    assert joined_by_captions(np.arange(3), {"text": text, "question": question}).tolist() == [
        0,
        1,
        2,
    ]


@pytest.mark.parametrize("templates", [(), ("a photo of a {}.", "look: {}!")])
def test_equal_captions_are_one_group_and_one_item(
    templates: tuple[str, ...], tmp_path: Path
) -> None:
    rows = [
        row | {"part": ["train", "val", "test"][n // 4 % 3]}
        for n, row in enumerate(make_pairs(tmp_path, 48))
    ]
    file = write_csv(tmp_path / "p.csv", rows)
    data = ready(file, {"image": "filepath", "text": "class", "split": "part"}, templates=templates)
    # a caption may be in all splits: an image is in one
    for part in (data.train_set, data.val_set, data.test_set):
        batch = whole(part)
        same = [row["class"] for row in rows]
        kinds = [same[int(data.samples.row[int(item)])] for item in batch.items["image"]]
        assert len(set(batch.group.tolist())) == 4
        for i, kind in enumerate(kinds):
            for j, other in enumerate(kinds):
                assert (batch.group[i] == batch.group[j]) == (kind == other)
                if not templates:
                    assert (batch.items["text"][i] == batch.items["text"][j]) == (kind == other)
    # where no caption is there twice, nothing changes
    apart = ready(file, PAIR | {"split": "part"})
    assert apart.samples.group.tolist() == list(range(48))
    grouped = ready(
        file, {"image": "filepath", "text": "class", "split": "part", "group": "filepath"}
    )
    assert len(set(grouped.samples.group.tolist())) == 48  # what is given wins


@pytest.mark.parametrize("templates", [(), ("a photo of {}.",)])
def test_captions_that_differ_in_case_and_blanks_are_equal(
    templates: tuple[str, ...], tmp_path: Path
) -> None:
    words = [
        "A red caf\u00e9",
        "a red  cafe\u0301",
        " a RED caf\u00e9 ",
        "a blue caf\u00e9",
        "a red cafe",
    ]
    rows = [row | {"caption": words[n % 5]} for n, row in enumerate(make_pairs(tmp_path, 60))]
    data = ready(write_csv(tmp_path / "p.csv", rows), PAIR, templates=templates)
    group = data.samples.group
    assert [[bool(group[i] == group[j]) for j in range(5)] for i in (0, 3, 4)] == [
        [True, True, True, False, False],
        [False, False, False, True, False],
        [False, False, False, False, True],
    ]
    assert data.facts("train").items["text"] == 3
    text = data.samples.contents["text"]
    # as it is written
    assert text.show(text.item(1, 0)) == (templates or ("{}",))[0].replace("{}", words[1])


def test_a_caption_in_common_joins_no_pictures(tmp_path: Path) -> None:
    rows = [
        {"filepath": row["filepath"], "caption": ["a photo", row["caption"]]}
        for row in make_pairs(tmp_path, 40)
    ]
    data = ready(write_jsonl(tmp_path / "p.jsonl", rows))
    assert data.samples.group.tolist() == list(range(40))
    text = data.samples.contents["text"]
    assert {text.item(sample, 0) for sample in range(40)} == {0}
    assert len({text.item(sample, 1) for sample in range(40)}) == 40
    assert in_several_groups(data.samples.group, text) == 1


def test_a_table_with_the_classes_as_captions_says_what_class_folders_say(tmp_path: Path) -> None:
    rows = make_pairs(tmp_path, 24)
    for row in rows:
        file = tmp_path / "folders" / row["class"] / Path(row["filepath"]).name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / row["filepath"], file)
        row["filepath"] = str(file.relative_to(tmp_path))
    options = {"templates": ["a photo of a {}."], "splits": [0.0, 0.0, 1.0], "image_size": 8}
    folders = Folder(str(tmp_path / "folders"), **options)
    folders.setup("test")
    rows.sort(key=lambda row: row["filepath"])
    table = Manifest(
        str(write_csv(tmp_path / "p.csv", rows)), {"image": "filepath", "text": "class"}, **options
    )
    table.setup("test")
    one, other = whole(folders.test_set), whole(table.test_set)
    for values in (lambda batch: batch.group, lambda batch: batch.items["text"]):
        alike = [values(batch)[:, None] == values(batch)[None] for batch in (one, other)]
        assert torch.equal(*alike)
        assert alike[0].sum() == 4 * 6**2  # four classes of six images
    assert torch.equal(one.inputs["text"], other.inputs["text"])
    assert torch.equal(one.inputs["image"], other.inputs["image"])
