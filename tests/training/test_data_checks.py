"""Data on which nothing can be learned or measured are refused before training; doubtful ones are
told with numbers."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.data.manifests import PAIR, make_pairs, ready, write_csv
from torch import nn

from polymodal.callbacks.data_check import DataCheck
from polymodal.data.manifest import Manifest
from polymodal.encoders.text.bow import BagOfWords
from polymodal.errors import ConfigError, DataError
from polymodal.objectives.classification import Classification
from polymodal.objectives.clip import CLIP
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.regression import Regression
from polymodal.objectives.supcon import SupCon
from polymodal.objectives.weighted import Weighted
from polymodal.training.data_checks import check_data, check_vocabulary, few_updates

NAMES = ["image", "text"]
SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("pairs")


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict]:
    """20 rows for training, and 10 each for validation and test."""
    parts = ["train", "train", "val", "test"]
    return [
        row | {"part": parts[index // 4 % 4], "one": "x"}
        for index, row in enumerate(make_pairs(folder, 40))
    ]


def data_of(folder: Path, rows: list[dict], columns: dict | None = None, **options) -> Manifest:
    return ready(
        write_csv(folder / "p.csv", rows), (columns or PAIR) | {"split": "part"}, **options
    )


def emptied(rows: list[dict], column: str, split: str) -> list[dict]:
    return [row | ({column: ""} if row["part"] == split else {}) for row in rows]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("column", ["caption", "filepath"])
def test_a_split_without_a_pair(split: str, column: str, folder: Path, rows: list[dict]) -> None:
    data = data_of(folder, emptied(rows, column, split))
    count = {"train": 24, "val": 8, "test": 8}[split]
    has = {"image": count, "text": count} | {"text" if column == "caption" else "image": 0}
    with pytest.raises(DataError) as caught:
        check_data(data, CLIP(NAMES), NAMES, SPLITS)
    assert (
        f"The {split} split: none of its {count} samples has both image "
        "(data.columns.image=filepath)" in str(caught.value)
    )
    assert f"Samples that have: image {has['image']}, text {has['text']}." in str(caught.value)
    assert ("test=false" in str(caught.value)) == (split == "test")
    check_data(data, CLIP(NAMES), NAMES, [name for name in SPLITS if name != split])


def test_both_modalities_and_never_together(folder: Path, rows: list[dict]) -> None:
    apart = [row | {"caption" if index % 2 else "filepath": ""} for index, row in enumerate(rows)]
    data = data_of(folder, apart)
    with pytest.raises(
        DataError, match=r"train split: none of its 24 .* Samples that have: image 12, text 12\."
    ):
        check_data(data, CLIP(NAMES), NAMES, SPLITS)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    ("column", "kind", "objective"),
    [
        ("class", "class", Classification("label", 4)),
        ("value", "value", Regression("label", 1)),
        ("tags", "tags", MultiLabel("label", 4)),
    ],
)
def test_a_split_without_labels(
    split: str, column: str, kind: str, objective, folder: Path, rows: list[dict]
) -> None:
    # of lists, an empty cell says that the tags are not known
    rows = [row | {"tags": json.dumps(row["tags"].split("|"))} for row in rows]
    data = data_of(
        folder,
        emptied(rows, column, split),
        {"image": "filepath", "label": column},
        label_kind=kind,
    )
    with pytest.raises(
        DataError, match=rf"The {split} split: none of its .* a label \(data.columns.label={column}"
    ):
        check_data(data, objective, ["image"], SPLITS)
    check_data(data, objective, ["image"], [name for name in SPLITS if name != split])


@pytest.mark.parametrize(
    ("column", "kind", "objective"),
    [("one", "class", Classification("label", 1)), ("zero", "value", Regression("label", 1))],
)
def test_one_label_for_all_teaches_nothing(
    column: str, kind: str, objective, folder: Path, rows: list[dict], caplog
) -> None:
    columns = {"image": "filepath", "label": column}
    data = data_of(folder, [row | {"zero": 0} for row in rows], columns, label_kind=kind)
    with pytest.raises(DataError, match=r"all of its 24 labels are the same \(data.columns.label="):
        check_data(data, objective, ["image"], SPLITS)
    check_data(data, objective, ["image"], ["test"])
    assert "The test split: all of its 8 labels are the same" in caplog.text


@pytest.mark.parametrize(
    ("kind", "objective"), [("class", Classification("label", 5)), ("tags", MultiLabel("label", 5))]
)
def test_labels_that_no_training_sample_has_are_told(
    kind: str, objective, folder: Path, rows: list[dict], caplog
) -> None:
    new = [
        row | ({"class": "pink"} if row["part"] == "val" and row["class"] == "red" else {})
        for row in rows
    ]
    data = data_of(folder, new, {"image": "filepath", "label": "class"}, label_kind=kind)
    check_data(data, objective, ["image"], SPLITS)
    count = sum(row["class"] == "pink" for row in new)
    (message,) = [message for message in caplog.messages if "cannot know" in message]
    assert message.startswith(
        "The val split has labels (data.columns.label=class) that no training sample has"
    )
    assert f"{count} times: 'pink'. " in message


def test_labels_of_which_training_has_none_are_refused(folder: Path, rows: list[dict]) -> None:
    new = [row | {"class": f"{row['part']} {row['class']}"} for row in rows]
    data = data_of(folder, new, {"image": "filepath", "label": "class"})
    objective = Classification("label", len(data.class_names["label"]))
    with pytest.raises(
        DataError,
        match=r"The val split: none of its 8 samples has a label .* data.label_kind=value",
    ):
        check_data(data, objective, ["image"], SPLITS)
    # another table, whose own training split taught nothing
    check_data(data, objective, ["image"], ["test"])


def test_a_split_of_few_samples_is_told(folder: Path, rows: list[dict], caplog) -> None:
    check_data(data_of(folder, rows, PAIR), CLIP(NAMES), NAMES, SPLITS)
    told = [message for message in caplog.messages if "one more right answer" in message]
    assert told == [
        f"The {name} split has 8 samples: one more right answer changes a metric by 12%. "
        "data.splits=[0.6, 0.2, 0.2] evaluates on more."
        for name in ("val", "test")
    ]


def test_an_empty_split_says_what_was_left_out(folder: Path, rows: list[dict]) -> None:
    new = [row | ({"value": "x"} if row["part"] == "test" else {}) for row in rows]
    options = {"label_kind": "value", "on_error": "skip", "max_bad_fraction": 0.5}
    with pytest.raises(
        DataError, match=r"The test split is empty\. .* 8 of 40 rows left out: bad number 8 \(first"
    ):
        data_of(folder, new, {"image": "filepath", "label": "value"}, **options)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            PAIR | {"group": "one"},
            r"all of its 24 samples are one group \(data.columns.group=one\)",
        ),
        (
            {"image": "filepath", "text": "one"},
            r"all of its 24 samples (are one group|have the same text)",
        ),
    ],
)
def test_what_is_alike_everywhere_is_not_told_apart(
    columns: dict, message: str, folder: Path, rows: list[dict], caplog
) -> None:
    # a group is in one split, unless something else says what falls together
    if "group" in columns:
        columns = columns | {"split_by": "filepath"}
    data = data_of(folder, rows, columns)
    with pytest.raises(DataError, match=message):
        check_data(data, CLIP(NAMES), NAMES, SPLITS)
    check_data(data, CLIP(NAMES), NAMES, ["test"])
    assert "recall is 1" in caplog.text.lower()


def test_a_loss_that_compares_needs_two_samples(folder: Path, rows: list[dict]) -> None:
    with pytest.raises(DataError, match=r"data.batch_size=1: a contrastive loss compares"):
        check_data(data_of(folder, rows, batch_size=1), CLIP(NAMES), NAMES, SPLITS)
    with pytest.raises(DataError, match="only one sample can be compared"):
        check_data(data_of(folder, rows, limit=1), CLIP(NAMES), NAMES, SPLITS)
    kept = [row for index, row in enumerate(rows) if index == 0 or row["part"] != "train"]
    with pytest.raises(DataError, match="only one sample can be compared"):
        check_data(data_of(folder, kept), CLIP(NAMES), NAMES, SPLITS)
    labelled = data_of(folder, rows, PAIR | {"label": "class"}, batch_size=1)
    check_data(labelled, Classification("label", 4), NAMES, SPLITS)  # which compares none


def test_each_of_several_objectives_is_checked(folder: Path, rows: list[dict], caplog) -> None:
    both = Weighted(
        {"clip": CLIP(NAMES), "class": Classification("label", 4)}, {"clip": 1.0, "class": 1.0}
    )
    columns = PAIR | {"label": "class"}
    data = data_of(folder, emptied(rows, "class", "train"), columns)
    with pytest.raises(DataError, match="none of its 24 samples has a label"):
        check_data(data, both, NAMES, SPLITS)
    data = data_of(folder, emptied(rows, "class", "test"), columns)
    check_data(data, both, NAMES, SPLITS)  # something can be measured there
    assert "The test split: none of its 8 samples has a label" in caplog.text


def test_an_encoder_that_would_not_be_trained(folder: Path, rows: list[dict]) -> None:
    data = data_of(folder, emptied(rows, "caption", "train"), PAIR | {"label": "class"})
    with pytest.raises(
        DataError,
        match=r"has text \(data.columns.text=caption\), so its encoder would not be trained",
    ):
        check_data(data, Classification("label", 4), NAMES, SPLITS)
    check_data(data, Classification("label", 4), ["image"], SPLITS)


def test_a_group_makes_pairs_for_supcon(folder: Path, rows: list[dict]) -> None:
    apart = [row | {"caption" if index % 2 else "filepath": ""} for index, row in enumerate(rows)]
    data = data_of(folder, apart, PAIR | {"group": "class", "split_by": "value"})
    check_data(data, SupCon(NAMES), NAMES, SPLITS)


@pytest.mark.parametrize(("vocab_size", "is_enough"), [(300, True), (299, False)])
def test_a_text_encoder_knows_all_tokens(vocab_size: int, is_enough: bool) -> None:
    data = SimpleNamespace(tokenizer=SimpleNamespace(vocab_size=300), kinds={})
    model = SimpleNamespace(
        encoders={"text": BagOfWords(8, vocab_size), "image": nn.Embedding(2, 8)}
    )
    if is_enough:
        assert check_vocabulary(data, model) is None
        return
    with pytest.raises(
        ConfigError, match=r"encoder.text: it has 299 tokens, and the captions have 300\."
    ):
        check_vocabulary(data, model)


def test_a_run_of_few_updates_is_told_with_what_to_type() -> None:
    told = few_updates(60, 10)
    assert told.startswith("This run has 60 updates in 10 epochs: a model needs some 500")
    assert "Type trainer.max_epochs=84," in told  # 84 epochs of 6 updates are 504
    assert "Type trainer.max_steps=500," in few_updates(60, None)
    assert few_updates(500, 10) == few_updates(float("inf"), None) == ""


@pytest.mark.parametrize(
    ("share", "steps", "limit", "told"),
    [(1.0, -1, None, "trainer.max_epochs=50,"), (1.0, 40, None, "trainer.max_steps=500,"), (1, -1, None, ""),
     (0.5, -1, None, ""), (1.0, -1, 128, "")],
)  # fmt: skip
def test_runs_of_debug_may_be_short(
    share: float, steps: int, limit: int | None, told: str, caplog
) -> None:
    trainer = SimpleNamespace(
        limit_train_batches=share,
        max_steps=steps,
        max_epochs=4,
        estimated_stepping_batches=40,
        is_global_zero=True,
        datamodule=SimpleNamespace(limit=limit),
    )
    DataCheck().on_train_start(trainer, None)
    assert len(caplog.messages) == bool(told)
    assert all(told in message for message in caplog.messages)
