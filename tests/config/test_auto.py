"""Settings that say `auto` follow the data: tables whose right settings are known."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from tests.data.manifests import write_csv

from polymodal.config.auto import close
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.errors import ConfigError, DataError

DEFAULT_CALLBACKS = check_config(compose_config(["experiment=sum_fusion", "++run_dir=."]))[
    "callbacks"
]
TABLE = ["data.columns.tabular=[sex,age,port,fare]", "data.columns.label=survived"]


@pytest.fixture
def passengers(tmp_path: Path) -> Path:
    rows = [
        {
            "sex": ("m", "f")[i % 2],
            "age": "" if i % 7 == 0 else i % 60,
            "port": "SCQ"[i % 3],
            "fare": i / 3,
        }
        | {"survived": ("yes", "no", "?")[i % 3], "name": f"passenger {i % 40} of ship {i % 9}"}
        for i in range(200)
    ]
    return write_csv(tmp_path / "passengers.csv", rows)


def settled(path: object, *words: str) -> dict:
    groups = ("experiment", "objective=", "fusion=", "head=")
    plus = [
        word if "/" in word.partition("=")[0] or word.startswith(groups) else f"++{word}"
        for word in words
    ]
    return check_config(
        compose_config(["experiment=own_small", f"++data.path={path}", *plus, "++run_dir=."])
    )


def test_columns_of_numbers_come_first_and_categories_are_counted(passengers: Path, capsys) -> None:
    config = settled(passengers, *TABLE, "data.columns.text=name")
    assert config["data"]["columns"]["tabular"] == ["age", "fare", "sex", "port"]
    assert (config["data"]["numeric"], config["data"]["cardinalities"]) == (2, [2, 3])
    assert config["outputs"] == 3
    assert list(config["encoder"]) == ["text", "tabular"]
    assert (
        config["encoder"]["tabular"]["numeric"],
        config["encoder"]["tabular"]["cardinalities"],
    ) == (2, [2, 3])
    assert config["encoder"]["text"]["vocab_size"] == config["data"]["vocab_size"]
    assert config["data"]["batch_size"] == config["objective"]["evaluation_batch_size"] == 16
    assert config["trainer"]["max_epochs"] == 100  # 160 training samples are 10 batches
    said = capsys.readouterr().out
    assert "data.numeric=2  columns that hold numbers alone: 'age', 'fare'\n" in said
    assert "data.cardinalities=[2, 3]  values of the other columns: 'sex', 'port'\n" in said
    assert "image_size" not in said  # there are no images


def test_what_is_given_stays(passengers: Path) -> None:
    given = [
        "data.batch_size=64",
        "trainer.max_epochs=7",
        "data.vocab_size=400",
        "outputs=5",
        "encoder/text=transformer",
    ]
    config = settled(passengers, *TABLE, "data.columns.text=name", *given)
    assert (config["data"]["batch_size"], config["trainer"]["max_epochs"], config["outputs"]) == (
        64,
        7,
        5,
    )
    assert config["data"]["vocab_size"] == config["encoder"]["text"]["vocab_size"] == 400
    assert config["encoder"]["text"]["_target_"].endswith("transformer.Transformer")


@pytest.mark.parametrize(
    ("side", "mode", "size", "channels"), [(72, "RGB", 32, 3), (300, "L", 64, 1), (20, "LA", 32, 1)]
)
def test_images_tell_size_and_channels(
    side: int, mode: str, size: int, channels: int, tmp_path: Path
) -> None:
    for kind in ("cat", "dog"):
        (tmp_path / "animals" / kind).mkdir(parents=True)
        for number in range(4):
            Image.new(mode, (side, side + 9), number).save(
                tmp_path / "animals" / kind / f"{number}.png"
            )
    rows = [
        {"file": f"animals/{kind}/{n}.png", "kind": kind}
        for kind in ("cat", "dog")
        for n in range(4)
    ]
    table = write_csv(tmp_path / "a.csv", rows)
    config = settled(table, "data.columns.image=file", "data.columns.label=kind")
    assert (config["data"]["image_size"], config["data"]["channels"]) == (size, channels)
    assert config["encoder"]["image"]["in_channels"] == channels
    assert list(config["encoder"]) == ["image"]


def test_a_column_whose_files_are_all_absent_is_refused_before_a_run_begins(
    passengers: Path,
) -> None:
    with pytest.raises(
        DataError,
        match="Column name: none of the 64 files looked at is there. The first: .*passenger 0",
    ):
        settled(passengers, "data.columns.image=name", "data.columns.text=name")


def test_settings_follow_the_images_and_sounds_of_all_modalities(tmp_path: Path) -> None:
    for number in range(4):
        Image.new("RGB", (200, 200), (number, 0, 99)).save(tmp_path / f"{number}.png")
        Image.new("L", (20, 20), number).save(tmp_path / f"grey{number}.png")
        soundfile.write(tmp_path / f"long{number}.wav", np.zeros(16_000), 8000)
        soundfile.write(tmp_path / f"{number}.wav", np.zeros(4000), 8000)
    columns = {"front": "{}.png", "mask": "grey{}.png", "call": "long{}.wav", "click": "{}.wav"}
    rows = [{name: place.format(number) for name, place in columns.items()} for number in range(4)]
    words = [f"data.columns.{name}={name}" for name in columns]
    kinds = "data.kinds={front: image, mask: image, call: audio, click: audio}"
    config = settled(write_csv(tmp_path / "p.csv", rows), *words, kinds)
    assert config["data"]["channels"] == 3
    assert config["data"]["image_size"] == 32  # the median of 20 and 200 pixels is 110
    assert config["data"]["max_seconds"] == 2.0


def test_few_short_sounds_have_a_coarse_spectrogram(tmp_path: Path, capsys) -> None:
    rows = [{"file": f"{number}.wav", "text": f"word {number}"} for number in range(9)]
    for row in rows:
        soundfile.write(tmp_path / row["file"], np.zeros(8000), 8000)
    table = write_csv(tmp_path / "s.csv", rows)
    config = settled(table, "data.columns.audio=file", "data.columns.text=text")
    log_mel = config["encoder"]["audio"]["log_mel"]
    assert (log_mel["mels"], log_mel["window"], log_mel["hop"], log_mel["sample_rate"]) == (
        40,
        0.03,
        0.02,
        8000,
    )
    assert config["data"]["max_seconds"] == 1.0
    assert "encoder.audio.log_mel.hop=0.02  short sounds, and few" in capsys.readouterr().out
    words = ["encoder/audio=cnn", "encoder.audio.log_mel.mels=16", "encoder.audio.log_mel.hop=0.04"]
    log_mel = settled(table, "data.columns.audio=file", "data.columns.text=text", *words)[
        "encoder"
    ]["audio"]["log_mel"]
    assert (log_mel["mels"], log_mel["hop"]) == (16, 0.04)


def test_tags_and_values_tell_the_outputs(tmp_path: Path) -> None:
    rows = [
        {"text": f"word {i}", "tags": json.dumps(["a", "b", "c"][: i % 4]), "x": i, "y": -i}
        for i in range(60)
    ]
    table = write_csv(tmp_path / "t.csv", rows)
    text = "data.columns.text=text"
    assert settled(table, text, "data.columns.label=tags", "data.label_kind=tags")["outputs"] == 3
    assert settled(table, text, "data.columns.label=[x,y]", "data.label_kind=value")["outputs"] == 2


def test_settings_are_looked_at_before_the_data(passengers: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nope"):
        settled(tmp_path / "none.csv", "data.columns.text=name", "data.nope=1")
    with pytest.raises(DataError, match="there is no file"):
        settled(tmp_path / "none.csv", "data.columns.text=name")
    config = compose_config(
        ["experiment=own_small", f"++data.path={tmp_path}/none.csv", "++run_dir=."]
    )
    assert check_config(config, look=False)["data"]["batch_size"] == "auto"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "data.columns names no modality. Such as: data.columns.image=filepath"),
        (["data.columns.txt=name"], "data.columns.txt: say what it is"),
    ],
)
def test_columns_that_cannot_be_have_a_message_of_one_sentence(
    words: list[str], message: str, passengers: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        settled(passengers, *words)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_other_data_than_tables_take_plain_values(capsys) -> None:
    config = check_config(compose_config(["++run_dir=."]))  # python src/train.py
    encoders = {
        name: node["_target_"].rpartition(".")[2] for name, node in config["encoder"].items()
    }
    assert encoders == {"image": "CNN", "text": "Transformer"}
    assert (config["trainer"]["max_epochs"], config["fusion"], config["head"]) == (5, {}, {})
    assert list(config["callbacks"]) == list(DEFAULT_CALLBACKS)
    assert capsys.readouterr().out == ""


def test_the_columns_of_a_stream_tell_the_encoders() -> None:
    words = ["data=webdataset", "data.path=a.tar", "++data.epoch_samples=1024", "++run_dir=."]
    columns = "++data.columns={audio: wav, text: txt, label: cls}"
    config = check_config(compose_config([*words, columns]))
    assert list(config["encoder"]) == ["image", "text", "audio"]
    assert config["trainer"]["max_epochs"] == 100  # of 8 batches each
    config = check_config(compose_config([*words, columns, "++data.columns.image=null"]))
    assert list(config["encoder"]) == ["text", "audio"]


def plain(path: object, *words: str) -> dict:
    """The config of a table, without an experiment."""
    return check_config(
        compose_config(["data=manifest", f"++data.path={path}", *words, "++run_dir=."])
    )


def test_no_experiment_rides_along(passengers: Path) -> None:
    config = plain(
        passengers,
        "+data.columns.text=name",
        "+data.columns.label=survived",
        "objective=classification",
    )
    assert list(config["callbacks"]) == list(DEFAULT_CALLBACKS)
    assert config["name"] == "passengers"
    assert (config["data"]["batch_size"], config["outputs"]) == (16, 3)
    assert (config["optimizer"]["lr"], config["trainer"]["max_epochs"]) == (5e-4, 60)


@pytest.mark.parametrize(
    ("words", "fusion", "head"),
    [
        (["objective=clip"], {}, {}),
        (["objective=classification"], "Concat", "Linear"),
        (["objective=clip_and_classification"], "Concat", "Linear"),
        (["objective=classification", "fusion=late"], "Late", {}),
        (["objective=classification", "fusion=gated"], "Gated", "Linear"),
        (["objective=classification", "++fusion.hidden=12"], "Concat", "Linear"),
    ],
)
def test_fusion_and_head_follow_the_objective(
    words: list[str], fusion: object, head: object
) -> None:
    config = check_config(compose_config([*words, "++run_dir=."]))
    for group, expected in (("fusion", fusion), ("head", head)):
        node = config[group]
        assert (node["_target_"].rpartition(".")[2] if node else node) == expected
    if "++fusion.hidden=12" in words:
        assert config["fusion"]["hidden"] == 12


@pytest.mark.parametrize(
    "word",
    [
        "++encoder.audio.widths=[8]",
        "++fusion.hidden=12",
        "++head.bias=false",
        "++encoder.video.layers=1",
    ],
)
def test_settings_of_a_part_that_is_not_there_are_refused(word: str) -> None:
    with pytest.raises(ConfigError, match="is not chosen, so it cannot have"):
        check_config(compose_config([word, "++run_dir=."]))


def test_none_is_a_choice(passengers: Path) -> None:
    both = [
        "+data.columns.text=name",
        "+data.columns.tabular=[sex,age]",
        "objective=classification",
    ]
    label = "+data.columns.label=survived"
    assert list(plain(passengers, *both, label)["encoder"]) == ["text", "tabular"]
    assert list(plain(passengers, *both, label, "encoder/text=none")["encoder"]) == ["tabular"]


@pytest.mark.parametrize(
    ("objective", "encoders"),
    [
        ("clip", ["image", "text"]),
        ("classification", ["image"]),
        ("clip_and_classification", ["image", "text"]),
    ],
)
def test_captions_that_are_the_label_do_not_tell_it(
    objective: str, encoders: list[str], tmp_path: Path, capsys
) -> None:
    for kind in ("cat", "dog"):
        (tmp_path / kind).mkdir()
        for number in range(4):
            Image.new("L", (20, 20), number).save(tmp_path / kind / f"{number}.png")
    words = ["data=folder", f"data.path={tmp_path}", f"objective={objective}", "++run_dir=."]
    config = check_config(compose_config(words))
    assert list(config["encoder"]) == encoders
    assert (config["outputs"], config["data"]["channels"]) == (2, 1)
    assert ("data.vocab_size=" in capsys.readouterr().out) == ("text" in encoders)


def test_a_modality_of_another_name_has_an_encoder_of_its_kind(passengers: Path) -> None:
    columns = "+data.columns={first: name, second: port}"
    config = plain(passengers, columns, "+data.kinds={first: text, second: text}")
    assert list(config["encoder"]) == ["first", "second"]


def test_what_is_given_of_a_table_is_kept(passengers: Path) -> None:
    table = ["+data.columns.tabular=[age,fare,sex]", "+data.columns.text=name"]
    config = plain(passengers, *table, "data.numeric=2")
    assert (config["data"]["numeric"], config["data"]["cardinalities"]) == (2, [2])
    config = plain(passengers, *table, "data.cardinalities=[40,5]")
    assert (config["data"]["numeric"], config["data"]["cardinalities"]) == (1, [40, 5])
    assert config["data"]["columns"]["tabular"] == ["age", "fare", "sex"]
    with pytest.raises(
        ConfigError, match=r"data\.numeric=1: of the columns of tabular, fare holds numbers too"
    ):
        plain(passengers, *table, "data.numeric=1")


def test_of_data_without_rows_nothing_is_known(capsys) -> None:
    config = check_config(
        compose_config(["++trainer.max_epochs=auto", "++run_dir=.", "experiment=clip_small"])
    )
    assert (config["trainer"]["max_epochs"], config["objective"]["label_smoothing"]) == (5, 0.0)
    assert config["optimizer"]["lr"] == 0.0015  # of the experiment
    assert capsys.readouterr().out == ""


def test_few_samples_are_regularised_unless_it_is_said(passengers: Path, capsys) -> None:
    words = [
        *TABLE,
        "data.columns.text=name",
        "objective=classification",
        "fusion=concat",
        "head=linear",
    ]
    config = settled(passengers, *words)
    assert config["objective"]["label_smoothing"] == 0.1
    assert (config["data"]["token_dropout"], config["optimizer"]["lr"]) == (0.5, 5e-4)
    said = capsys.readouterr().out
    assert "objective.label_smoothing=0.1  a small set" in said
    assert "data.token_dropout=0.5  a small set" in said
    assert "optimizer.lr=0.0005  a small set" in said
    given = ["objective.label_smoothing=0.02", "data.token_dropout=0.3", "optimizer.lr=0.01"]
    config = settled(passengers, *words, *given)
    assert config["optimizer"]["lr"] == 0.01
    assert (config["objective"]["label_smoothing"], config["data"]["token_dropout"]) == (0.02, 0.3)


def test_captions_keep_their_tokens_where_the_order_of_the_words_counts(
    passengers: Path, capsys
) -> None:
    words = [
        *TABLE,
        "data.columns.text=name",
        "objective=classification",
        "fusion=concat",
        "head=linear",
    ]
    assert settled(passengers, *words, "encoder/text=transformer")["data"]["token_dropout"] == 0.0
    assert "data.token_dropout=0.0  the order of the words counts" in capsys.readouterr().out
    assert settled(passengers, *words, "encoder/text=bow")["data"]["token_dropout"] == 0.5


def test_other_data_are_read_as_those_of_the_training(passengers: Path) -> None:
    trained = settled(passengers, *TABLE, "data.columns.text=name", "data.batch_size=24")
    words = [
        "experiment=own_small",
        f"++data.path={passengers}",
        *(f"++{word}" for word in TABLE),
        "++run_dir=.",
    ]
    other = compose_config(words)
    close(other, trained)
    assert other.data.columns.tabular == ["age", "fare", "sex", "port"]
    assert (other.data.numeric, other.data.batch_size, other.outputs) == (2, 24, 3)
    assert np.array_equal(other.data.cardinalities, [2, 3])
