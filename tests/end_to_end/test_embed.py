"""What a trained model says of data is written as a table: whole, in order, whatever is broken or stopped."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tests.data.manifests import make_pairs, write_csv
from tests.end_to_end.test_experiments import QUIET, run

from polymodal import embed
from polymodal.config.command import EmbedSettings
from polymodal.errors import ConfigError
from polymodal.parts import as_array
from polymodal.trained import Trained

SMALL = ["data.image_size=16", "data.num_workers=0", "data.vocab_size=300", "debug=fast", "data.batch_size=16"]
NEW = ["data=manifest", "data.columns.image=filepath", "data.columns.text=caption", "data.image_size=16", "devices=cpu"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    return write_csv(folder / "pairs.csv", make_pairs(folder, 80))


@pytest.fixture(scope="module")
def classifier(pairs: Path, tmp_path_factory) -> Path:
    """A run that tells four classes from picture and caption."""
    folder = tmp_path_factory.mktemp("run")
    words = ["data.columns.image=filepath", "data.columns.text=caption", "data.columns.label=class", *SMALL]
    plus = [f"++{word}" if word.startswith("data.") else word for word in words]
    kind = ["objective=classification", "fusion=concat", "head=linear", "outputs=4", "callbacks=[checkpoint]"]
    run(folder, "data=manifest", f"++data.path={pairs}", *kind, *plus, *QUIET)
    return folder


@pytest.fixture
def dirty(pairs: Path, tmp_path: Path) -> Path:
    """20 new rows: one picture missing, one damaged, one caption of blanks, one row empty, three without a picture."""
    rows = make_pairs(tmp_path, 20)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    rows[2]["filepath"], rows[5]["filepath"], rows[7]["caption"] = "nowhere.png", "broken.png", "   "
    rows[9]["filepath"] = rows[9]["caption"] = ""
    for row in rows[11:14]:
        row["filepath"] = ""
    return write_csv(tmp_path / "new.csv", rows)


def embedded(checkpoint: Path, output: Path, *changes: str, split: str = "all"):
    embed.main(EmbedSettings(checkpoint=str(checkpoint), output=str(output), split=split), list(changes))
    return output


def test_every_row_is_there_once_with_what_the_model_says_or_its_error(classifier, dirty, tmp_path) -> None:
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
    assert json.loads(table.schema.metadata[b"polymodal"])["splits"] == ["train", "val", "test"]


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


def test_work_that_was_stopped_goes_on(classifier, dirty, tmp_path, monkeypatch) -> None:
    changes = [*NEW, f"data.path={dirty}", "data.batch_size=3"]
    whole = pq.read_table(embedded(classifier, tmp_path / "whole.parquet", *changes))
    monkeypatch.setattr(embed, "ROWS", 1)
    written, add = [], embed.Parts.add

    def stop_after(parts, table, *rest):
        if len(written) == 2:
            raise RuntimeError("stopped")
        add(parts, table, *rest)
        written.append(set(table["id"].to_pylist()))

    monkeypatch.setattr(embed.Parts, "add", stop_after)
    with pytest.raises(RuntimeError, match="stopped"):
        embedded(classifier, tmp_path / "x.parquet", *changes)
    assert not (tmp_path / "x.parquet").exists()
    again = []
    monkeypatch.setattr(embed.Parts, "add", lambda parts, table, *rest: (again.append(table), add(parts, table, *rest)))
    with pytest.raises(ConfigError, match="other work"):
        embedded(classifier, tmp_path / "x.parquet", *changes, "data.image_size=8")
    table = pq.read_table(embedded(classifier, tmp_path / "x.parquet", *changes, "data.batch_size=5"))
    assert not written[0] & {id for part in again for id in part["id"].to_pylist()}
    assert table.drop_columns(["image", "text", "fused", "probability"]) == whole.drop_columns(
        ["image", "text", "fused", "probability"]
    )
    assert as_array(table["image"]) == pytest.approx(as_array(whole["image"]), abs=1e-5, nan_ok=True)
    with pytest.raises(ConfigError, match="there already"):
        embedded(classifier, tmp_path / "x.parquet", *changes)


def test_any_other_name_is_a_folder_of_arrays(classifier, dirty, tmp_path) -> None:
    folder = embedded(classifier, tmp_path / "x", *NEW, f"data.path={dirty}")
    rows, vectors = pq.read_table(folder / "rows.parquet"), np.load(folder / "image.npy")
    assert len(rows) == len(vectors) == len(np.load(folder / "fused.npy")) == 20
    assert np.isnan(vectors).all(1).tolist() == [item is None for item in rows["image_item"].to_pylist()]


@pytest.mark.slow
def test_two_processes_write_the_same(command, classifier, dirty, tmp_path) -> None:
    changes = [*NEW, f"data.path={dirty}"]
    one = pq.read_table(embedded(classifier, tmp_path / "one.parquet", *changes))
    changes = [change for change in changes if change != "devices=cpu"] + ["devices=ddp_cpu"]
    done = command("embed.py", f"checkpoint={classifier}", f"output={tmp_path}/two.parquet", *changes)
    assert done.returncode == 0, done.stderr
    two = pq.read_table(tmp_path / "two.parquet")
    assert two["source"].to_pylist() == one["source"].to_pylist()
    assert as_array(two["fused"]) == pytest.approx(as_array(one["fused"]), abs=1e-5, nan_ok=True)
