"""Class folders: the folder is the class, the caption and the group; files are split, not
classes."""

import shutil
from pathlib import Path

import pytest
import torch
from tests.data.manifests import make_pairs, whole

from polymodal.data.folder import Folder
from polymodal.errors import DataError


def make_classes(root: Path, count: int = 80, at: str = "") -> Path:
    """Pictures of four colours, each in the folder of its class."""
    rows = make_pairs(root / "all", count)
    for row in rows:
        target = root / at / f"very_{row['class']}" / Path(row["filepath"]).name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / "all" / row["filepath"], target)
    shutil.rmtree(root / "all")
    return root


def ready(path: Path, **options) -> Folder:
    data = Folder(str(path), **({"image_size": 8, "vocab_size": 300} | options))
    data.setup()
    return data


def files_of(data: Folder, part) -> set[str]:
    paths = data.samples.contents["image"].cells.paths
    return {paths[row].as_py() for row in data.samples.row[part.chosen].tolist()}


def test_folders_are_classes_captions_and_groups(tmp_path: Path) -> None:
    data = ready(
        make_classes(tmp_path), templates=["a {} picture.", "look, {}!"], splits=(0.6, 0.2, 0.2)
    )
    names = ["very blue", "very green", "very grey", "very red"]
    assert data.class_names == {"label": names}
    parts = (data.train_set, data.val_set, data.test_set)
    assert sum(map(len, parts)) == 80  # one of the templates in evaluation
    assert all(len(whole(part).group.unique()) == 4 for part in parts)
    seen = set()
    for part in parts:
        for _ in range(10):
            batch = whole(part)
            for index in range(len(batch)):
                name = names[batch.labels["label"][index]]
                caption = data.describe("text", int(batch.items["text"][index]))
                assert caption in {f"a {name} picture.", f"look, {name}!"}
                assert part is data.train_set or caption.startswith("a")
                assert (
                    name.replace(" ", "_")
                    in data.samples.contents["image"]
                    .cells.paths[int(data.samples.row[batch.items["image"][index]])]
                    .as_py()
                )
                seen.add(caption)
            same = batch.labels["label"][:, None] == batch.labels["label"]
            assert torch.equal(same, batch.group[:, None] == batch.group)
            assert (
                torch.equal(same, batch.items["text"][:, None] == batch.items["text"])
                or part is data.train_set
            )
    assert len(seen) == 8


def test_a_files_split_depends_on_its_path_below_the_folder_alone(tmp_path: Path) -> None:
    first = ready(make_classes(tmp_path / "a"))
    make_classes(tmp_path / "b")
    shutil.move(tmp_path / "b" / "very_red", tmp_path / "elsewhere")
    (tmp_path / "b" / "very_blue" / "more").mkdir()
    shutil.copy(
        tmp_path / "b" / "very_blue" / "002.png", tmp_path / "b" / "very_blue" / "more" / "x.PNG"
    )
    (tmp_path / "b" / "very_blue" / ".hidden.png").write_bytes(b"")
    (tmp_path / "b" / "very_blue" / "notes.txt").write_text("no picture")
    second = ready(tmp_path / "b")
    for a, b in zip(
        (first.train_set, first.val_set, first.test_set),
        (second.train_set, second.val_set, second.test_set),
        strict=True,
    ):
        kept = {file for file in files_of(first, a) if "red" not in file}
        assert files_of(second, b) - {"very_blue/more/x.PNG"} == kept
    assert len(second.samples.row) == 61


@pytest.mark.parametrize("there", [("train", "val", "test"), ("Train", "valid"), ("train", "test")])
def test_folders_of_splits(there: tuple[str, ...], tmp_path: Path) -> None:
    for at in there:
        make_classes(tmp_path, 40, at)
    data = ready(tmp_path, splits=(0.5, 0.25, 0.25))
    parts = {"train": data.train_set, "val": data.val_set, "test": data.test_set}
    for name, part in parts.items():
        folder = {"val": "valid"}.get(name, name) if "valid" in there else name
        expected = folder if folder in there else there[0]  # what is missing is made of train
        assert {file.split("/")[0] for file in files_of(data, part)} == {expected}
        assert (
            len(part) == 40
            if expected == folder and folder.lower() != "train"
            else 0 < len(part) <= 40
        )
    assert sum(map(len, parts.values())) == 40 * len(there)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    make_classes(tmp_path)
    (tmp_path / "very_red").rename(tmp_path / "train")
    assert ready(tmp_path).class_names["label"] == ["train", "very blue", "very green", "very grey"]


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        ready(tmp_path / "nowhere")
    make_pairs(tmp_path, 3)
    shutil.move(tmp_path / "images" / "000.png", tmp_path / "000.png")
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(DataError, match="no pictures in class folders, such as"):
        ready(tmp_path)
    make_classes(tmp_path)
    (tmp_path / "very_red" / "000.png").write_bytes(b"")
    data = ready(tmp_path)
    parts = (data.train_set, data.val_set, data.test_set)
    with pytest.raises(DataError, match=r"very_red, row 1: .*very_red/000\.png has no bytes"):
        [whole(part) for part in parts]


@pytest.mark.parametrize("hidden", [".ipynb_checkpoints", "@eaDir", "__MACOSX", ".git", "#recycle"])
@pytest.mark.parametrize("place", ["", "very_red", "very_red/deep/deeper"])
def test_what_systems_leave_behind_is_never_read(hidden: str, place: str, tmp_path: Path) -> None:
    make_classes(tmp_path)
    copies = tmp_path / place / hidden / "copies"
    copies.mkdir(parents=True)
    for file in (tmp_path / "very_red").glob("*.png"):
        shutil.copy(file, copies.parent / file.name)
        shutil.copy(file, copies / f"{file.stem}-checkpoint.png")
    (tmp_path / "very_red" / "._000.png").write_bytes(b"x")
    data = ready(tmp_path, splits=(0.6, 0.2, 0.2))
    assert data.class_names["label"] == ["very blue", "very green", "very grey", "very red"]
    assert len(data.samples.row) == 80


def test_a_link_that_leads_back_adds_nothing(tmp_path: Path) -> None:
    make_classes(tmp_path, 40)
    (tmp_path / "very_red" / "again").symlink_to(tmp_path / "very_red")
    data = ready(tmp_path, splits=(0.6, 0.2, 0.2))
    assert len(data.samples.row) == 40


def test_one_folder_too_deep_is_told_with_the_path_that_is_meant(tmp_path: Path) -> None:
    make_classes(tmp_path, at="animals")
    with pytest.raises(
        DataError, match=rf"one class, animals, and its 80 pictures .*{tmp_path}/animals mean"
    ):
        ready(tmp_path)
    assert len(ready(tmp_path / "animals").class_names["label"]) == 4
    # to be predicted, one class is as good as any
    data = Folder(str(tmp_path), image_size=8, vocab_size=300)
    data.wanted = ()
    data.setup("test")
    assert data.class_names["label"] == ["animals"]
    make_classes(tmp_path / "parts", at="train/animals")
    make_classes(tmp_path / "parts", at="val/animals")
    with pytest.raises(
        DataError, match=r"one class, animals, and its 160 pictures lie in folders within it"
    ):
        ready(tmp_path / "parts")
