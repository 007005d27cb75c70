"""Generated data: the signal is there in every modality, and the same from the same seed."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from polymodal.batch import PAD
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.data.bundled.synthetic_kinds import KINDS, spelled
from polymodal.data.synthetic import Synthetic
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.encoders.audio.log_mel import LogMel
from polymodal.errors import ConfigError


def made(**arguments: object) -> Synthetic:
    data = Synthetic(**{"samples": 200, **arguments})
    data.setup()
    return data


@pytest.fixture(scope="module")
def data() -> Synthetic:
    return made(samples=1500)


def everything(data: Synthetic, split: str = "train") -> object:
    chosen = getattr(data, f"{split}_set")
    return data.on_after_batch_transfer(chosen[list(range(len(chosen)))], 0)


def features(data: Synthetic, name: str, inputs: torch.Tensor) -> np.ndarray:
    """What a linear model can read: pixels, word counts, mean spectra, numbers."""
    if name == "text":
        return torch.nn.functional.one_hot(inputs, data.vocab_size).sum(1).numpy()
    if name == "audio":
        front = LogMel(data.sample_rate)
        spectra, real = front(inputs), front.mask(inputs)[:, None]
        return ((spectra * real).sum(2) / real.sum(2)).numpy()
    return inputs.nan_to_num().flatten(1).numpy()


@pytest.mark.parametrize("name", KINDS)
def test_a_linear_model_finds_class_value_and_tags_in_every_modality(
    data: Synthetic, name: str
) -> None:
    train, test = everything(data), everything(data, "test")
    x, unseen = (features(data, name, batch.inputs[name]) for batch in (train, test))
    centre, spread = x.mean(0), x.std(0) + 1e-6
    x, unseen = (x - centre) / spread, (unseen - centre) / spread
    right = (
        LogisticRegression(C=0.01).fit(x, train.labels["class"]).predict(unseen)
        == test.labels["class"].numpy()
    )
    assert right.mean() > 0.6  # by chance 0.1
    assert Ridge(1000).fit(x, train.labels["value"]).score(unseen, test.labels["value"]) > 0.15
    tags = Ridge(1000).fit(x, train.labels["tags"]).predict(unseen) > 0.5
    assert (tags == test.labels["tags"].numpy()).mean() > 0.75  # by chance 0.5


def test_batches_have_the_shapes_that_the_docstring_says(data: Synthetic) -> None:
    batch = data.train_set[[5, 0, 9]]
    assert batch.id.tolist() == [5, 0, 9]
    assert batch.inputs["image"].shape == (3, 1, 32, 32)
    assert batch.inputs["video"].shape == (3, 4, 1, 32, 32)
    assert batch.inputs["image"].dtype == batch.inputs["video"].dtype == torch.uint8
    assert batch.inputs["tabular"].shape == (3, 10)
    assert (batch.inputs["text"] != PAD).any(0).all()  # cut at the longest of this batch
    assert (batch.inputs["audio"][:, -1] != 0).any()
    assert batch.present == {}
    assert batch.labels["tags"].shape == (3, 3)
    dtypes = {
        "class": torch.int64,
        "value": torch.float32,
        "values": torch.float32,
        "tags": torch.int64,
    }
    assert {name: label.dtype for name, label in batch.labels.items()} == dtypes
    value = batch.labels["value"]
    assert torch.equal(batch.labels["values"], torch.stack([value, value**2, 1 - value], dim=1))


def test_splits_do_not_overlap_and_groups_are_class_and_tags(data: Synthetic) -> None:
    batches = [everything(data, split) for split in ("train", "val", "test")]
    assert sorted(torch.cat([batch.id for batch in batches]).tolist()) == list(range(1500))
    assert [len(batch) for batch in batches] == [1200, 150, 150]
    keys = {
        (int(group), int(label), tuple(tags.tolist()))
        for group, label, tags in zip(
            batches[0].group, *(batches[0].labels[k] for k in ("class", "tags")), strict=True
        )
    }
    assert len(keys) == len({group for group, *_ in keys}) == 80


def test_the_same_seed_gives_the_same_data_and_another_does_not() -> None:
    first, again, other = made(), made(), made(seed=1)
    for name in KINDS:
        a, b, c = (
            everything(data).inputs[name].float().nan_to_num() for data in (first, again, other)
        )
        assert torch.equal(a, b), name
        assert a.shape != c.shape or not torch.equal(a, c), name
    alone = everything(made(modalities=["audio"])).inputs["audio"]
    assert torch.equal(alone, everything(first).inputs["audio"])  # whichever others there are


def test_names_may_be_others_than_kinds() -> None:
    data = made(modalities={"left": "image", "right": "image", "words": "text"})
    batch = everything(data)
    assert list(data.modalities) == list(batch.inputs) == ["left", "right", "words"]
    assert not torch.equal(batch.inputs["left"], batch.inputs["right"])
    assert data.describe("right", 3).shape == (32, 32)


def test_the_tokenizer_has_seen_training_captions_only(data: Synthetic) -> None:
    again = Tokenizer.train(data.contents["text"][:1200], data.vocab_size, data.context_length)
    assert again.to_json() == data.tokenizer.to_json()
    batch = data.test_set[[0, 1]]
    for row, id in zip(batch.inputs["text"].tolist(), batch.id.tolist(), strict=True):
        shown, said = data.tokenizer.decode(row), data.contents["text"][id]
        assert shown.replace(" ", "") == said.replace(" ", "")


def test_absent_modalities_are_as_many_as_asked_for_hold_nothing_and_leave_one() -> None:
    batch = everything(made(samples=2000, missing=0.4, image_size=8))
    present = batch.mask(list(KINDS))
    assert present.any(1).all()
    assert abs(present.float().mean() - 0.6) < 0.02
    assert present.float().mean(0).sub(0.6).abs().max() < 0.05
    for name in ("text", "audio", "tabular"):
        assert (batch.inputs[name][~batch.present[name]] == 0).all()
    for name in ("image", "video"):
        assert len(batch.inputs[name][~batch.present[name]].unique()) == 1  # black


def test_everything_can_be_shown(data: Synthetic) -> None:
    item = int(data.test_set[[0]].id)
    label = int(data.test_set[[0]].labels["class"])
    assert data.describe("image", item).shape == (32, 32)
    assert data.describe("video", item).shape == (32, 128)
    assert spelled(label) in data.describe("text", item)
    assert " s, loudest at " in data.describe("audio", item)
    assert len(data.describe("tabular", item).split(", ")) == 10
    assert data.class_names["class"][label] == spelled(label)


def test_a_limit_keeps_that_many_of_each_split() -> None:
    data = made(limit=20, modalities=["tabular"])
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    ids = [[number for batch in loader for number in batch.id.tolist()] for loader in loaders]
    assert [len(set(each)) for each in ids] == [20, 20, 20]
    assert [min(ids[0]), max(ids[0]), max(ids[2])] == [0, 159, 199]  # spread over all of it


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modalities": ["image", "smell"]}, "no kind smell. Give names of image, text"),
        ({"modalities": {"left": "photo"}}, "no kind photo"),
        ({"modalities": []}, "data.modalities is empty"),
        ({"splits": [0.8, 0.1, 0.2]}, "add up to 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Synthetic(**arguments)


def test_any_modality_is_chosen_on_the_command_line() -> None:
    line = [
        "data=synthetic",
        "encoder/image=none",
        "encoder/text=none",
        "encoder/audio=cnn",
        "++run_dir=.",
    ]
    config = check_config(compose_config([*line, "data.modalities=[audio]"]))
    assert list(config["encoder"]) == ["audio"]
    assert config["encoder"]["audio"]["log_mel"]["sample_rate"] == config["data"]["sample_rate"]
    two = ["data=synthetic", "encoder/text=none", "+encoder/image@encoder.left=vit", "++run_dir=."]
    config = check_config(compose_config([*two, "data.modalities={left: image, image: image}"]))
    assert list(config["encoder"]) == ["image", "left"]
    line = [
        "data=synthetic",
        "encoder/video=mean",
        "encoder/image@encoder.video.image=vit",
        "++run_dir=.",
    ]
    assert check_config(compose_config(line))["encoder"]["video"]["image"]["_target_"].endswith(
        "ViT"
    )
