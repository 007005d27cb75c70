"""What a trained model says of data is written as a table: whole, in order, whatever is broken or
stopped."""

import json
import os
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from tests.conftest import ROOT
from tests.conftest import SMALL as SMALL_DATA
from tests.data.manifests import make_pairs, write_csv
from tests.end_to_end.test_experiments import QUIET, run

from polymodal.cli.programs import EmbedSettings
from polymodal.data.bundled.glyph_kinds import KIND_NAMES
from polymodal.errors import ConfigError
from polymodal.inference import embed, prediction_writer
from polymodal.inference.evaluate import evaluate
from polymodal.inference.table_writer import as_array
from polymodal.inference.trained import Trained

SMALL = [
    "data.image_size=16",
    "data.num_workers=0",
    "data.vocab_size=300",
    "debug=fast",
    "data.batch_size=16",
]
VECTORS = ["image", "text", "fused", "probability"]
NEW = ["data=manifest", "data.columns.image=filepath", "data.columns.text=caption", "devices=cpu"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    return write_csv(folder / "pairs.csv", make_pairs(folder, 80))


@pytest.fixture(scope="module")
def classifier(pairs: Path, tmp_path_factory) -> Path:
    """A run that tells four classes from image and caption."""
    folder = tmp_path_factory.mktemp("run")
    words = [
        "data.columns.image=filepath",
        "data.columns.text=caption",
        "data.columns.label=class",
        *SMALL,
    ]
    plus = [f"++{word}" if word.startswith("data.") else word for word in words]
    kind = [
        "objective=classification",
        "fusion=concat",
        "head=linear",
        "outputs=4",
        "callbacks=[checkpoint]",
    ]
    run(folder, "data=manifest", f"++data.path={pairs}", *kind, *plus, *QUIET)
    return folder


@pytest.fixture
def dirty(pairs: Path, tmp_path: Path) -> Path:
    """20 new rows: one image missing, one damaged, one caption of blanks, one row empty, three
    without an image."""
    rows = make_pairs(tmp_path, 20)
    (tmp_path / "broken.png").write_bytes(b"no image")
    rows[2]["filepath"], rows[5]["filepath"], rows[7]["caption"] = (
        "nowhere.png",
        "broken.png",
        "   ",
    )
    rows[9]["filepath"] = rows[9]["caption"] = ""
    for row in rows[11:14]:
        row["filepath"] = ""
    return write_csv(tmp_path / "new.csv", rows)


def embedded(checkpoint: Path, output: Path, *changes: str, split: str = "all"):
    embed.main(
        EmbedSettings(checkpoint=str(checkpoint), output=str(output), split=split), list(changes)
    )
    return output


def test_every_row_is_there_once_with_what_the_model_says_or_its_error(
    classifier, dirty, tmp_path
) -> None:
    changes = [*NEW, f"data.path={dirty}", "data.batch_size=6"]
    table = pq.read_table(embedded(classifier, tmp_path / "x.parquet", *changes))
    assert len(table) == 20
    number = [int(source.rpartition(" ")[2]) - 1 for source in table["source"].to_pylist()]
    assert sorted(number) == list(range(20))
    errors = dict(zip(number, table["error"].to_pylist(), strict=True))
    assert "nowhere.png" in errors[2]
    assert "broken.png" in errors[5]
    assert "blanks" in errors[7]
    assert "none of image, text is there" in errors[9]
    assert {row for row, error in errors.items() if error} == {2, 5, 7, 9}
    by_row = dict(zip(number, table.to_pylist(), strict=True))
    assert by_row[12]["image"] is None
    assert len(by_row[12]["text"]) == len(by_row[0]["image"]) == len(by_row[0]["fused"])
    assert by_row[0]["prediction"] in {"red", "green", "blue", "grey"}
    assert sum(by_row[0]["probability"]) == pytest.approx(1, abs=1e-6)
    assert by_row[2]["prediction"] is None
    about = json.loads(table.schema.metadata[b"polymodal"])
    assert about["splits"] == ["train", "val", "test"]
    likeliest = [
        row["probability"] and about["classes"][np.argmax(row["probability"])]
        for row in table.to_pylist()
    ]
    assert likeliest == table["prediction"].to_pylist()


def test_vectors_are_those_of_the_model(classifier, pairs, tmp_path) -> None:
    table = pq.read_table(embedded(classifier, tmp_path / "x.parquet", "devices=cpu", split="test"))
    data, module, _ = Trained(classifier, ["devices=cpu"]).build(lambda _: False)
    data.setup("test")
    module.eval()
    with torch.no_grad():
        batch = data.on_after_batch_transfer(data.test_set[list(range(len(data.test_set)))], 0)
        output = module.model(batch)
    assert table["id"].to_pylist() == batch.id.tolist()
    for index, name in enumerate(module.model.modalities):
        assert as_array(table[name]) == pytest.approx(output.x[:, index].numpy(), abs=1e-5)
    assert as_array(table["fused"]) == pytest.approx(output.fused.numpy(), abs=1e-5)
    assert as_array(table["probability"]) == pytest.approx(output.y.softmax(1).numpy(), abs=1e-5)


def test_each_row_says_which_split_it_is_of(classifier, tmp_path) -> None:
    table = pq.read_table(embedded(classifier, tmp_path / "x.parquet", "devices=cpu"))
    data, _, _ = Trained(classifier, ["devices=cpu"]).build(lambda _: False)
    data.setup("test")
    for split in ("train", "val", "test"):
        rows = np.array(table["split"].to_pylist()) == split
        assert table["id"].to_numpy()[rows].tolist() == data.complete(split, ["image"]).ids.tolist()


def test_work_that_was_stopped_goes_on(classifier, dirty, tmp_path, monkeypatch) -> None:
    changes = [*NEW, f"data.path={dirty}", "data.batch_size=3"]
    whole = pq.read_table(embedded(classifier, tmp_path / "whole.parquet", *changes))
    monkeypatch.setattr(prediction_writer, "ROWS", 1)
    written, add = [], embed.TableWriter.add

    def stop_after(parts, table, *rest):
        if len(written) == 2:
            raise RuntimeError("stopped")
        add(parts, table, *rest)
        written.append(set(table["id"].to_pylist()))

    monkeypatch.setattr(embed.TableWriter, "add", stop_after)
    with pytest.raises(RuntimeError, match="stopped"):
        embedded(classifier, tmp_path / "x.parquet", *changes)
    assert not (tmp_path / "x.parquet").exists()
    again = []
    monkeypatch.setattr(
        embed.TableWriter,
        "add",
        lambda parts, table, *rest: (again.append(table), add(parts, table, *rest)),
    )
    with pytest.raises(ConfigError, match="other work"):
        embedded(classifier, tmp_path / "x.parquet", *changes, "data.image_size=8")
    table = pq.read_table(
        embedded(classifier, tmp_path / "x.parquet", *changes, "data.batch_size=5")
    )
    assert not written[0] & {id for part in again for id in part["id"].to_pylist()}
    assert table.drop_columns(VECTORS) == whole.drop_columns(VECTORS)
    assert as_array(table["image"]) == pytest.approx(
        as_array(whole["image"]), abs=1e-5, nan_ok=True
    )
    with pytest.raises(ConfigError, match="there already"):
        embedded(classifier, tmp_path / "x.parquet", *changes)


@pytest.mark.parametrize(
    "which", [slice(0, -1), slice(1, None)], ids=["all but the last", "all but the first"]
)
def test_whatever_is_done_already_only_the_rest_is_written(
    classifier, dirty, tmp_path, monkeypatch, which
) -> None:
    """Stopped before the table is made of its parts: of all splits, or of all but one, everything
    is there."""
    # else all of another table are for testing
    changes = [*NEW, f"data.path={dirty}", "data.splits=[0.8,0.1,0.1]"]
    whole = pq.read_table(embedded(classifier, tmp_path / "whole.parquet", *changes))
    monkeypatch.setattr(embed.TableWriter, "join", lambda _: 0)
    embedded(classifier, tmp_path / "x.parquet", *changes)
    monkeypatch.undo()
    files = sorted((tmp_path / "x.parquet.parts").glob("*.arrow"))
    assert len(files) == 4
    lost = {file.name.split("-")[0] for file in files} - {
        file.name.split("-")[0] for file in files[which]
    }
    for file in files:
        if file not in files[which]:
            file.unlink()
    again, add = [], embed.TableWriter.add
    monkeypatch.setattr(
        embed.TableWriter,
        "add",
        lambda parts, table, *rest: (again.append(rest[0]), add(parts, table, *rest)),
    )
    table = pq.read_table(embedded(classifier, tmp_path / "x.parquet", *changes))
    assert set(again) == lost
    assert table.drop_columns(VECTORS) == whole.drop_columns(VECTORS)


def test_the_classes_are_those_of_the_model_whatever_the_label_is_called(
    cache, tmp_path, monkeypatch
) -> None:
    """A label that has a name of its own in the data of the training, several objectives that read
    it."""
    folder, rows = tmp_path / "run", make_pairs(tmp_path, 12)
    kinds = [*KIND_NAMES[7:4:-1], ""] * 3
    new = write_csv(
        tmp_path / "new.csv", [row | {"kind": kind} for row, kind in zip(rows, kinds, strict=True)]
    )
    chosen = [
        "objective=clip_and_classification",
        "fusion=sum",
        "head=linear",
        "callbacks=[checkpoint]",
        "debug=fast",
    ]
    run(
        folder,
        *chosen,
        f"++{SMALL_DATA}",
        "++data.vocab_size=300",
        "encoder/image=linear",
        "encoder/text=bow",
        *QUIET,
    )
    other = [
        "data=manifest",
        f"data.path={new}",
        "data.columns.image=filepath",
        "data.columns.text=caption",
    ]
    other += ["data.num_workers=0", "devices=cpu", "data.splits=[0,0,1]"]
    said = pq.read_table(embedded(folder, tmp_path / "x.parquet", *other))["prediction"].to_pylist()
    assert set(said) <= set(KIND_NAMES)
    monkeypatch.chdir(tmp_path)
    metrics = evaluate(folder, [*other, "data.columns.label=kind"])
    data, _, _ = Trained(folder, [*other, "data.columns.label=kind"]).build(lambda _: False)
    data.setup("test")
    labels = data.test_set[list(range(12))].labels["label"].tolist()
    assert labels == [KIND_NAMES.index(kind) if kind else -1 for kind in kinds]
    known = [(name, kind) for name, kind in zip(said, kinds, strict=True) if kind]
    assert metrics["test/classification/accuracy"] == pytest.approx(
        np.mean([name == kind for name, kind in known])
    )
    with pytest.raises(
        ConfigError,
        match="label=label: these data have no such labels. They have none: data.columns",
    ):
        evaluate(folder, [*other])
    with pytest.raises(
        ConfigError,
        match="label=word: these data have no such labels. Choose one: label=kind, script",
    ):
        evaluate(folder, ["label=word", "devices=cpu"])
    # zero_shot asks for the kinds of the glyphs
    with pytest.raises(ConfigError, match="Leave it out"):
        evaluate(folder, [*other, "data.columns.label=kind", "callbacks=[zero_shot]"])
    check_inputs_are_those_of_the_training(folder, other, tmp_path)


def check_inputs_are_those_of_the_training(glyphs: Path, other: list[str], folder: Path) -> None:
    """Files with images of the training's data, black on white, are what the model knows."""
    data, _, _ = Trained(glyphs, ["devices=cpu"]).build(lambda _: False)
    data.prepare_data()
    data.setup("test")
    known = data.on_after_batch_transfer(data.test_set[[0, 5, 9]], 0)
    rows = [
        {"filepath": f"glyph{row}.png", "caption": data.words("text", known.items["text"])[row]}
        for row in range(3)
    ]
    for row, item in zip(rows, known.items["image"].tolist(), strict=True):
        Image.fromarray(data.describe("image", item)).save(folder / row["filepath"])
    other = [*other, f"data.path={write_csv(folder / 'glyphs.csv', rows)}"]
    files, _, _ = Trained(glyphs, other).build(lambda _: False)
    files.setup("test")
    batch = files.on_after_batch_transfer(files.test_set[[0, 1, 2]], 0)
    assert batch.inputs["image"] == pytest.approx(known.inputs["image"], abs=1e-5)
    assert torch.equal(batch.inputs["text"], known.inputs["text"])
    assert files.formats()["image"] == data.formats()["image"]
    assert Trained(glyphs, [*other, "data.image_size=48"]).config["data"]["image_size"] == 48
    with pytest.raises(
        ConfigError, match="image has 3 channels in Manifest, and the model was trained with 1"
    ):
        Trained(glyphs, [*other, "data.channels=3"]).build(lambda _: False)


def test_one_at_a_time_writes_an_output_and_other_settings_are_other_work(
    classifier, tmp_path
) -> None:
    parts = embed.TableWriter(tmp_path / "x.parquet", {})
    (parts.folder / "about.json").unlink()
    code = "import sys; from pathlib import Path; from polymodal.runs.resume import locked\n"
    code += "with locked(Path(sys.argv[1])): print('locked', flush=True); input()"
    command = [sys.executable, "-c", code, str(parts.folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, env=environment) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(ConfigError, match="running in another process"):
            embedded(classifier, tmp_path / "x.parquet", "devices=cpu", split="test")
        other.communicate("\n")
    parts.add(pa.table({"id": [0]}), "test", 0)
    with pytest.raises(ConfigError, match="other work"):
        embedded(classifier, tmp_path / "x.parquet", "devices=cpu", "precision=bf16", split="test")


def test_any_other_name_is_a_folder_of_arrays(classifier, dirty, tmp_path) -> None:
    folder = embedded(classifier, tmp_path / "x", *NEW, f"data.path={dirty}")
    rows, vectors = pq.read_table(folder / "rows.parquet"), np.load(folder / "image.npy")
    assert len(rows) == len(vectors) == len(np.load(folder / "fused.npy")) == 20
    assert np.isnan(vectors).all(1).tolist() == [
        item is None for item in rows["image_item"].to_pylist()
    ]


@pytest.mark.slow
def test_two_processes_write_the_same(command, classifier, dirty, tmp_path) -> None:
    changes = [*NEW, f"data.path={dirty}"]
    one = pq.read_table(embedded(classifier, tmp_path / "one.parquet", *changes))
    changes = [change for change in changes if change != "devices=cpu"] + ["devices=ddp_cpu"]
    done = command(
        "embed.py", f"checkpoint={classifier}", f"output={tmp_path}/two.parquet", *changes
    )
    assert done.returncode == 0, done.stderr
    assert "batch indices" not in done.stderr  # Lightning has nothing to warn of
    two = pq.read_table(tmp_path / "two.parquet")
    assert two["source"].to_pylist() == one["source"].to_pylist()
    assert as_array(two["fused"]) == pytest.approx(as_array(one["fused"]), abs=1e-5, nan_ok=True)
