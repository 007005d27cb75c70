"""What the page finds is what the model says."""

from pathlib import Path

import numpy as np
import pytest
import torch

from polymodal.cli.programs import DemoSettings, parsed
from polymodal.demo.held_out import HeldOut
from polymodal.errors import ConfigError
from polymodal.inference.trained import Trained
from polymodal.training.checkpoints.files import find_checkpoint


def test_a_held_out_picture_finds_itself_and_each_item_once(aligned: HeldOut, pairs: Path) -> None:
    file = Path(
        str(aligned.data.samples.contents["image"].source(int(aligned.table["items"][3, 0]))[0])
    )
    found = aligned.search("image", str(file), "image", 50)
    assert found.item[0] == aligned.table["items"][3, 0]
    assert found.cosine[0] == pytest.approx(1, abs=1e-4)
    assert (np.diff(found.cosine) <= 0).all()
    assert len(set(found.item.tolist())) == len(found.item) == len(aligned.table["id"])


def test_a_held_out_sound_finds_itself(listening: Path) -> None:
    held = HeldOut(Trained(listening, ["devices=cpu"]), 100)
    item = int(held.table["items"][3, held.modalities.index("audio")])
    file = held.data.samples.contents["audio"].source(item)[0]
    found = held.search("audio", str(file), "audio", 3)
    assert found.item[0] == item
    assert found.cosine[0] == pytest.approx(1, abs=1e-4)
    assert len(held.search("audio", str(file), "text", 3).item) == 3


def test_a_sentence_finds_pictures_by_cosine(aligned: HeldOut) -> None:
    found = aligned.search("text", "a red image", "image", 4)
    vector = aligned.vectors("text", ["a red image"])[0]
    items, cosine = (
        aligned.table["items"][:, 0].tolist(),
        (aligned.table["x"][:, 0] @ vector).tolist(),
    )
    cosines = dict(zip(items, cosine, strict=True))
    assert found.cosine.tolist() == pytest.approx(
        [cosines[item] for item in found.item.tolist()], abs=1e-5
    )
    assert found.cosine[0] == pytest.approx(max(cosines.values()), abs=1e-5)
    assert aligned.show("image", found.item[0]).shape == (16, 16, 3)
    assert aligned.title(found.row[0]).endswith(
        f"image number {aligned.title(found.row[0]).split()[-1]}"
    )
    assert aligned.table["items"][found.row, 0].tolist() == found.item.tolist()


def test_classes_are_told_by_their_sentences(aligned: HeldOut, pairs: Path) -> None:
    file = str(pairs.parent / "images" / "000.png")
    names = ["red", "{}", "blue"]
    values = aligned.zero_shot("image", file, "text", names, "a {} image {0.__class__}")
    picture = aligned.vectors("image", [file])[0]
    sentences = aligned.vectors("text", [f"a {name} image {{0.__class__}}" for name in names])
    scale = aligned.predictor.objective.scale()
    assert values == pytest.approx((scale * (sentences @ picture)).softmax(0).tolist(), abs=1e-5)


def test_every_modality_is_on_the_map(aligned: HeldOut) -> None:
    count = len(aligned.table["id"])
    assert [point.modality for point in aligned.points] == ["image"] * count + ["text"] * count
    assert {point.class_name for point in aligned.points} <= {"red", "green", "blue", "grey"}
    assert all(np.isfinite([point.x, point.y]).all() for point in aligned.points)


def test_only_so_many_samples_are_taken(clip: Path) -> None:
    held = HeldOut(Trained(clip, ["devices=cpu"]), 7)
    assert len(held.table["id"]) == len(held.examples) == 7
    batch, shown = held.example(2)
    assert int(batch.id[0]) == int(held.table["id"][2])
    assert set(shown) == {"image", "text"}
    x = torch.nn.functional.normalize(held.model.encode(batch).x[0].detach(), dim=-1)
    torch.testing.assert_close(x, held.table["x"][2], atol=1e-5, rtol=0)


def test_the_last_run_is_the_one_that_was_at_work_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="no run under logs"):
        find_checkpoint(Path("last"))
    for number, name in enumerate(("b", "a")):
        file = tmp_path / "logs" / "train" / "x" / name / "checkpoints" / "best.ckpt"
        file.parent.mkdir(parents=True)
        file.touch()
        __import__("os").utime(file, (number, number))
    assert find_checkpoint(Path("last")).parents[1].name == "a"


def test_nothing_need_be_given() -> None:
    settings, changes = parsed(["samples=5", "devices=cpu"], DemoSettings)
    assert (settings, changes) == (DemoSettings(samples=5), ["devices=cpu"])
    assert settings.checkpoint == "last"
