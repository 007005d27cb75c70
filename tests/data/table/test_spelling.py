"""One file is one file, however a table writes its path."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.manifests import PAIR, make_pairs, ready, whole, write_csv

from polymodal.data.table.files import Places
from polymodal.data.table.spelling import one_spelling
from polymodal.errors import DataError

ROOT = "/1/2/3/4/5/data/set"
pieces = st.lists(
    st.sampled_from(["a", "b", ".", "..", "", "set", "1.png"]), min_size=1, max_size=5
)


def spelled(
    paths: list[str | None], *folders: str, starts: tuple[int, ...] = (0,)
) -> list[str | None]:
    places = Places(
        ["t.csv"] * len(starts), [Path(folder) for folder in folders or (ROOT,)], np.array(starts)
    )
    return one_spelling(pa.array(paths, pa.large_string()), places).to_pylist()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(pieces, st.booleans()), min_size=1, max_size=8))
def test_names_are_equal_where_python_says_that_paths_are(
    parts: list[tuple[list[str], bool]],
) -> None:
    paths = [("/" if absolute else "") + "/".join(names) for names, absolute in parts]
    paths = [path or "x" for path in paths]
    where = [os.path.normpath(os.path.join(ROOT, path)).replace("//", "/") for path in paths]  # noqa: PTH118
    names = spelled(paths)
    for i in range(len(paths)):
        for j in range(len(paths)):
            assert (names[i] == names[j]) == (where[i] == where[j]), (paths[i], paths[j], names)
    two = spelled(paths * 2, ROOT, "/1/other", starts=(0, len(paths)))
    assert two[: len(paths)] == where


def test_what_is_plain_stays_as_it_is_wherever_the_folder_lies() -> None:
    plain = [
        "im/1.png",
        None,
        "a b/ü.png",
        "../im/1.png",
        "/elsewhere/1.png",
        "..x/1.png",
        "im/.x/1..png",
    ]
    assert spelled(plain) == plain == spelled(plain, "/home/other")
    assert spelled(
        ["./im/1.png", "im//1.png", "im/x/../1.png", f"{ROOT}/im/1.png", "../set/im/1.png"]
    ) == (["im/1.png"] * 5)
    assert spelled(["../im/1.png", "/1/2/3/4/5/data/im/1.png"]) == ["../im/1.png"] * 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("spelled")


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict]:
    """Each image twice, in another spelling."""
    once = make_pairs(folder, 40)
    other = ["./{}", "{}", "images/../{}", "../" + folder.name + "/{}", str(folder) + "/{}"]
    paths = [
        other[n % 5].format(row["filepath"]).replace("s/0", "s//0") for n, row in enumerate(once)
    ]
    return [*once, *({"filepath": path, "caption": f"again {n}"} for n, path in enumerate(paths))]


@pytest.mark.parametrize(
    "columns", [{}, {"split_by": "filepath"}, {"group": "filepath"}, {"id": "filepath"}]
)
def test_a_picture_is_in_one_split_and_one_group(
    columns: dict, folder: Path, rows: list[dict]
) -> None:
    data = ready(write_csv(folder / "p.csv", rows), PAIR | columns, splits=(0.5, 0.25, 0.25))
    if "id" in columns:  # two captions of one sample
        assert len(data.samples.row) == 40
        assert set(data.samples.contents["text"].count.tolist()) == {2}
        return
    split = np.full(80, -1)
    for number, part in enumerate((data.train_set, data.val_set, data.test_set)):
        split[part.chosen] = number
    assert (split[:40] == split[40:]).all()
    assert (data.samples.group[:40] == data.samples.group[40:]).all()
    assert len(set(data.samples.group.tolist())) == 40
    items = [data.samples.contents["image"].item(sample, 0) for sample in range(80)]
    assert items[:40] == items[40:]
    plain = ready(write_csv(folder / "q.csv", rows[:40]), PAIR, splits=(0.5, 0.25, 0.25))
    assert plain.test_set.chosen.tolist() == sorted({n % 40 for n in data.test_set.chosen.tolist()})


def test_a_picture_is_decoded_once(folder: Path, rows: list[dict]) -> None:
    data = ready(write_csv(folder / "p.csv", rows), image_cache=str(folder / "cache"))
    whole(data.train_set)
    assert len(set(data.samples.contents["image"].cache.names.tolist())) == 40


def test_a_picture_in_two_files_of_splits_is_found(folder: Path, rows: list[dict]) -> None:
    (folder / "tables").mkdir(exist_ok=True)
    path = {
        "train": write_csv(folder / "p.csv", rows[:20]),
        "val": write_csv(folder / "v.csv", rows[20:30]),
    }
    path |= {
        "test": write_csv(
            folder / "tables" / "t.csv", [{**rows[30], "filepath": "../images/030.png"}]
        )
    }
    ready({name: str(file) for name, file in path.items()})
    write_csv(folder / "tables" / "t.csv", [{**rows[30], "filepath": "../images//003.png"}])
    with pytest.raises(
        DataError, match=r"1 groups are in several splits; .*images/003.png' is in train and test"
    ):
        ready({name: str(file) for name, file in path.items()})
