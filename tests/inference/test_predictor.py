"""Zero-shot classification is what a brute force and open_clip's recipe say, of runs and of
exports."""

import csv
import json
from pathlib import Path

import open_clip
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tests.data.manifests import make_pairs, write_csv
from tests.export.models import checkpoint_of

import polymodal
from polymodal.cli.programs import PredictSettings, parsed
from polymodal.errors import ConfigError
from polymodal.export.folder import export
from polymodal.inference import predict
from polymodal.inference.run_predictor import load_run
from polymodal.inference.zero_shot import scale_between
from polymodal.objectives.clip import CLIP
from polymodal.objectives.siglip import SigLIP
from polymodal.objectives.symile import Symile
from polymodal.objectives.vicreg import VICReg

CLASSES = ["a red thing", "green", "blue, or nearly", "grey"]
TEMPLATES = ["a picture of a {}.", "look: {}!", "{}"]
TINY = ["debug=fast", "logger=none", "callbacks=[checkpoint]", "devices=cpu", "dim=16"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_csv(folder / "pairs.csv", make_pairs(folder, 40))
    return folder


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    data = ["data=manifest", f"++data.path={pictures}/pairs.csv", "++data.num_workers=0"]
    data += ["++data.columns.image=filepath", "++data.columns.text=class", "++data.image_size=16"]
    data += [
        "++data.templates=['one {} picture','so {}']",
        "++data.vocab_size=300",
        "encoder/text=bow",
    ]
    checkpoint_of(folder, *data, "encoder/image=cnn", tiny=TINY)
    return folder


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    export(str(run), str(folder), ["safetensors"], "MIT")
    return folder


def files(pictures: Path) -> list[str]:
    return [str(pictures / "images" / f"{number:03}.png") for number in range(5)]


@pytest.fixture(params=["run", "exported"])
def model(request, run, exported):
    return load_run(run, "devices=cpu") if request.param == "run" else polymodal.load(exported)


def test_it_is_what_a_brute_force_says(model, pictures: Path) -> None:
    said = model.classify(files(pictures), CLASSES, TEMPLATES)
    x = model.vectors("image", files(pictures)).double()
    scale = model.objective.logit_scale.detach().double().exp()[0]
    for row, vector in enumerate(x):
        logits = []
        for name in CLASSES:
            mean = (
                sum(model.vectors("text", t.replace("{}", name))[0].double() for t in TEMPLATES) / 3
            )
            logits.append(scale * (mean / mean.norm()) @ vector)
        expected = torch.stack(logits).softmax(0)
        assert said.probabilities[row].double() == pytest.approx(expected, abs=1e-6)
        assert said.names[row] == CLASSES[int(expected.argmax())]
    assert said.probabilities.shape == (5, 4)


def test_it_is_what_open_clip_does(model, pictures: Path) -> None:
    class Theirs:
        def encode_text(self, texts, normalize: bool):
            vectors = model.model.encoders["text"](texts)
            return F.normalize(vectors, dim=-1) if normalize else vectors

    weights = open_clip.build_zero_shot_classifier(
        Theirs(),
        lambda sentences: model.inputs("text", sentences),
        CLASSES,
        [lambda name, template=template: template.format(name) for template in TEMPLATES],
        num_classes_per_batch=3,
    )
    features = F.normalize(
        model.model.encoders["image"](model.inputs("image", files(pictures))), dim=-1
    )
    expected = (model.objective.logit_scale.exp() * features @ weights).softmax(1)
    said = model.classify(files(pictures), CLASSES, TEMPLATES)
    torch.testing.assert_close(said.probabilities, expected.detach(), atol=1e-6, rtol=1e-5)


def test_runs_and_exports_say_the_same_of_whatever_holds_an_image(
    run, exported, pictures, monkeypatch
) -> None:
    own, given_away = load_run(run, "devices=cpu"), polymodal.load(exported)
    expected = own.classify(files(pictures), CLASSES).probabilities
    by_template = own.classify(files(pictures), CLASSES, ["one {} picture", "so {}"]).probabilities
    assert torch.equal(expected, by_template)  # those of the training, which the export has too
    assert not torch.allclose(
        expected, own.classify(files(pictures), CLASSES, ["{}"]).probabilities
    )
    opened = [Image.open(file) for file in files(pictures)]
    content = [Path(file).read_bytes() for file in files(pictures)]
    monkeypatch.setattr("polymodal.inference.predictor.TOGETHER", 2)
    for model in (own, given_away):
        for values in (files(pictures), [Path(file) for file in files(pictures)], opened, content):
            said = model.classify(values, CLASSES).probabilities
            torch.testing.assert_close(said, expected, atol=1e-6, rtol=1e-5)
    (name,), p = given_away.classify(files(pictures)[0], CLASSES)
    assert name == CLASSES[int(p[0].argmax())]
    backwards = own.classify(["a red one"], CLASSES, modality="text")  # a sentence by sentences
    assert backwards.probabilities.sum() == pytest.approx(1)


def test_a_run_in_double_precision_has_the_same_vectors(run, pictures: Path) -> None:
    double = load_run(run, "devices=cpu", "precision=fp64")
    assert next(double.parameters()).dtype == torch.float64
    for name, values in (("image", files(pictures)), ("text", CLASSES)):
        expected = load_run(run, "devices=cpu").vectors(name, values)
        torch.testing.assert_close(double.vectors(name, values), expected)


def test_a_run_and_an_export_give_the_same_output(run, exported, pictures: Path) -> None:
    own, given_away = load_run(run, "devices=cpu"), polymodal.load(exported)
    values = {"image": files(pictures)[:4], "text": CLASSES}
    x = own(**values).x
    torch.testing.assert_close(x, given_away(**values).x)
    assert not own(image=files(pictures)).mask[:, 1].any()
    for model in (own, given_away):
        one, other = model.outputs([{"image": values["image"][0]}, {"text": CLASSES[1]}])[:2]
        assert other.tolist() == [[True, False], [False, True]]
        torch.testing.assert_close(one[0, 0], x[0, 0])
        torch.testing.assert_close(one[1, 1], x[1, 1])
        with pytest.raises(ConfigError, match="same number of samples"):
            model(image=files(pictures), text=CLASSES)
        with pytest.raises(ConfigError, match="text=: there is nothing in it"):
            model.outputs([{"text": " "}])


def test_a_number_is_no_image(run) -> None:
    with pytest.raises(ConfigError, match="image: give sentences, paths or images, not int"):
        load_run(run, "devices=cpu").classify([3], CLASSES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": ["cat"]}, "two classes at least"),
        ({"classes": ["cat", " "]}, "two classes at least"),
        ({"classes": "cat"}, r"classes=\['cat'\]: give the names of two classes at least"),
        ({"classes": ["cat", 5]}, "two classes at least"),
        ({"classes": ["cat", "dog", "cat"]}, "'cat' is there twice"),
        ({"classes": ["cat", "dog", "Cat"]}, "'cat' and 'Cat' are the same tokens to this model"),
        ({"templates": ["a photo"]}, "'a photo' needs one {}"),
        ({"modality": "imgae"}, "no such modality. Did you mean image"),
    ],
)
def test_a_mistake_says_what_is_wrong(model, pictures: Path, arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model.classify(files(pictures), **{"classes": ["cat", "dog"], **arguments})


def test_the_scale_is_that_of_the_pair() -> None:
    modalities = ["image", "text", "audio"]
    objective = CLIP(modalities, pairs=[["image", "text"], ["audio", "text"]])
    objective.logit_scale.data = torch.tensor([1.0, 2.0])
    assert scale_between(objective, modalities, "text", "image") == pytest.approx(
        torch.tensor(1.0).exp()
    )
    assert scale_between(objective, modalities, "audio", "text") == pytest.approx(
        torch.tensor(2.0).exp()
    )
    assert scale_between(SigLIP(modalities[:2]), modalities, "image", "text") == pytest.approx(10)
    assert scale_between(VICReg(modalities[:2]), modalities, "image", "text") == pytest.approx(
        1 / 0.07
    )
    with pytest.raises(ConfigError, match="Symile compares image, text, audio all at once"):
        scale_between(Symile(modalities), modalities, "image", "text")


def said_by(run: Path, capsys, *arguments: str) -> str:
    settings, changes = parsed([f"checkpoint={run}", *arguments], PredictSettings)
    capsys.readouterr()
    predict.main(settings, ["devices=cpu", *changes])
    return capsys.readouterr().out


def test_a_command_classifies_by_names(run, pictures: Path, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (pictures / "images" / "broken.png").write_bytes(b"no picture")
    expected = load_run(run, "devices=cpu").classify(files(pictures), CLASSES)
    names = '[a red thing, green, "blue, or nearly", grey]'
    pattern = f"image={pictures}/images/*.png"
    rows = json.loads(said_by(run, capsys, pattern, f"classes={names}", "json=true"))
    assert [row["prediction"] for row in rows[:5]] == expected.names
    for row, p in zip(rows, expected.probabilities.tolist(), strict=False):
        assert row["probability"] == pytest.approx(dict(zip(CLASSES, p, strict=True)), abs=1e-6)
    assert "damaged or no image" in rows[-1]["error"]
    output = tmp_path / "zero_shot.csv"
    out = said_by(run, capsys, f"image={pictures}/images", f"classes={names}", f"output={output}")
    (pictures / "images" / "broken.png").unlink()
    assert max(map(len, out.replace(f"41 rows in {output}", "").splitlines())) <= 80
    assert f"│ 000.png    │ {expected.names[0]}" in out
    with output.open(newline="") as stream:
        written = list(csv.DictReader(stream))
    assert [row["prediction"] for row in written[:5]] == expected.names
    assert float(written[1]["probability green"]) == pytest.approx(
        float(expected.probabilities[1, 1]), abs=1e-6
    )
    listed = tmp_path / "names.txt"
    listed.write_text("\n".join(CLASSES) + "\n\n")
    one = [f"image={files(pictures)[1]}", "json=true"]
    (alone,) = json.loads(said_by(run, capsys, *one, f"classes={listed}"))
    assert alone["probability"] == pytest.approx(rows[1]["probability"], abs=1e-6)
    (plain,) = json.loads(said_by(run, capsys, *one, f"classes={listed}", 'templates=["{}"]'))
    direct = load_run(run, "devices=cpu").classify(files(pictures)[1], CLASSES, ["{}"])
    assert list(plain["probability"].values()) == pytest.approx(
        direct.probabilities[0].tolist(), abs=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["image=nothing*.png", "classes=[a,b]"], r"image=nothing\*.png: there is no such file"),
        (["image={file}", "classes=[a]"], "give the names of two classes at least"),
        (["imgae={file}", "classes=[a,b]"], "no such input. Did you mean image"),
        (
            ["image={file}", "text=x", "classes=[a,b]"],
            "classes= go with one input: image= or text=",
        ),
        (["classes=[a,b]"], "Give an input, one of image=, text="),
        (["image={file}", "classes=nowhere.txt"], "classes=nowhere.txt: this file cannot be read"),
        (["image={file}", "templates=['a {{}}']"], "templates= are sentences for classes="),
        (
            ["image={file}"],
            r"was not trained to predict anything. Name classes, such as image=photo.png classes=\[cat,dog\]",
        ),
        (
            ["data=manifest", "data.path={table}", "output=x.csv"],
            "was not trained to predict anything",
        ),
    ],
)
def test_a_mistyped_command_says_what_to_type(
    run, pictures, capsys, arguments, message, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    known = {"file": files(pictures)[0], "table": pictures / "pairs.csv"}
    with pytest.raises(ConfigError, match=message):
        said_by(run, capsys, *(argument.format(**known) for argument in arguments))
    assert not list(tmp_path.iterdir())


def test_a_model_with_classes_of_its_own_says_so(pictures, tmp_path, capsys) -> None:
    data = ["data=manifest", f"++data.path={pictures}/pairs.csv", "++data.columns.image=filepath"]
    data += [
        "++data.columns.text=caption",
        "++data.columns.label=class",
        "++data.image_size=16",
        "encoder/text=bow",
    ]
    words = [
        "objective=classification",
        "fusion=sum",
        "head=linear",
        "outputs=4",
        "++data.vocab_size=300",
    ]
    checkpoint_of(tmp_path / "run", *data, *words, "++data.num_workers=0", tiny=TINY)
    with pytest.raises(
        ConfigError, match="answers with the classes that it was trained on. Leave classes out"
    ):
        said_by(tmp_path / "run", capsys, f"image={files(pictures)[0]}", "classes=[a,b]")
