"""Exported models give what the module gives, and nothing in their folder is run."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.conftest import ROOT
from tests.encoders.open_clip_models import DIM, make, tokenizer
from tests.export.models import checkpoint_of
from tests.resumed import differences

import polymodal
from polymodal.cli.programs import ExportSettings, parsed
from polymodal.config.moved import MOVED
from polymodal.encoders.image.cnn import CNN
from polymodal.errors import ConfigError
from polymodal.export.folder import export, main
from polymodal.training.checkpoints.files import find_checkpoint

CLIP = [
    "encoder/image=cnn",
    "encoder/text=transformer",
    "data.image_size=16",
    "dim=32",
    "encoder.image.image_size=16",
]
OLD = "polymodal.images.Network"
CAPTIONS = ["black chess knight", "latin small letter e with acute"]


@pytest.fixture(scope="module")
def run(cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    file, module = checkpoint_of(folder, *CLIP)
    (folder / "metrics.json").write_text(
        json.dumps({"test/recall@1": 0.5, "time/fit_seconds": 1.0})
    )
    return file, module


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("out") / "deep" / "exported"
    export(str(run[0].parents[1]), str(output), ["safetensors"], "CC-BY-4.0")
    return output


def test_a_folder_has_all_that_is_needed(exported: Path) -> None:
    assert {file.name for file in exported.iterdir()} == {
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "README.md",
    }
    card = (exported / "README.md").read_text()
    for said in (
        'license: "CC-BY-4.0"',
        "test/recall@1 | 0.5",
        "data.glyphs.Glyphs",
        "polymodal.load",
        "image.cnn.CNN",
    ):
        assert said in card
    assert "graphs" not in card
    # nothing of the machine it was made on
    assert "cache" not in (exported / "config.json").read_text()


def test_it_gives_the_vectors_of_the_module(run, exported: Path, glyphs) -> None:
    model, module = polymodal.load(exported), run[1]
    data_inputs = torch.from_numpy(model.tokenizer(CAPTIONS))
    with torch.no_grad():
        texts = F.normalize(module.model.encoders["text"](data_inputs), dim=-1)
        images = torch.randn(2, 1, 16, 16)
        pictures = F.normalize(module.model.encoders["image"](images), dim=-1)
    torch.testing.assert_close(model.vectors("text", CAPTIONS), texts)
    torch.testing.assert_close(model.vectors("image", images), pictures)
    assert torch.equal(model.objective.logit_scale, module.objective.logit_scale)
    output = model(image=images, text=CAPTIONS)
    torch.testing.assert_close(F.normalize(output.x, dim=-1), torch.stack([pictures, texts], dim=1))
    assert model(text=CAPTIONS).mask.tolist() == [[False, True]] * 2


def test_a_picture_becomes_what_it_was_in_training(exported: Path, cache, tmp_path: Path) -> None:
    from polymodal.data.glyphs import Glyphs

    data = Glyphs(str(cache), image_size=16, families=["STIXGeneralBolIta"], vocab_size=400)
    data.prepare_data()
    data.setup()
    batch = data.on_after_batch_transfer(data.test_set[[0, 1]], 0)
    shown = [data.describe("image", int(item)) for item in batch.items["image"]]
    files = [tmp_path / f"{number}.png" for number in range(2)]
    for picture, file in zip(shown, files, strict=True):
        Image.fromarray(np.asarray(picture)).save(file)
    model = polymodal.load(exported)
    for given in (files, [str(file) for file in files], [file.read_bytes() for file in files]):
        torch.testing.assert_close(
            model.inputs("image", given), batch.inputs["image"], rtol=1e-4, atol=1e-4
        )
        torch.testing.assert_close(
            model.inputs("image", given[0]), model.inputs("image", given)[:1]
        )
    assert torch.equal(model.inputs("text", CAPTIONS[0]), model.inputs("text", CAPTIONS[:1]))
    stacked = torch.from_numpy(np.stack(shown))[:, None]
    torch.testing.assert_close(
        model.inputs("image", stacked), batch.inputs["image"], rtol=1e-4, atol=1e-4
    )


def test_a_fused_model_answers_and_names_its_classes(cache, tmp_path: Path) -> None:
    fused = ["objective=classification", "fusion=gated", "head=linear", "missing=zero"]
    file, module = checkpoint_of(tmp_path / "run", *CLIP, *fused)
    export(str(file), str(tmp_path / "exported"), ["safetensors"], "MIT")
    model = polymodal.load(tmp_path / "exported")
    output = model(text=CAPTIONS)
    assert output.y.shape == (2, 24)
    assert len(model.labels) == 24
    assert differences(model.model.state_dict(), module.model.state_dict()) == []
    card = (tmp_path / "exported" / "README.md").read_text()
    Image.new("L", (20, 20)).save(tmp_path / "a.png")
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    code = code.replace("<this folder>", str(tmp_path / "exported")).replace(
        "a.png", str(tmp_path / "a.png")
    )
    exec(
        compile(code.replace("model.labels[", "said = model.labels["), "README.md", "exec"),
        found := {},
    )
    assert found["said"] in model.labels


@pytest.mark.parametrize("kind", ["bert", "open_clip"])
def test_a_model_from_a_folder_needs_that_folder_no_more(kind: str, cache, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    if kind == "bert":
        tokenizer().save_pretrained(source)
        sizes = {
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
        }
        transformers.BertConfig(vocab_size=12, pad_token_id=1, **sizes).save_pretrained(source)
        chosen = [*CLIP, "encoder/text=bert", f"encoder.text.name={source}"]
    else:
        name, _ = make("siglip", source)
        chosen = [f"encoder/{part}=open_clip" for part in ("image", "text")]
        chosen += [f"encoder.{part}.name={name}" for part in ("image", "text")]
        chosen += [f"dim={DIM}", "data.image_size=32", "data.context_length=20"]
    file, module = checkpoint_of(tmp_path / "run", *chosen)
    export(str(file), str(tmp_path / "exported"), ["safetensors"], "MIT")
    shutil.rmtree(source)
    model = polymodal.load((tmp_path / "exported").rename(tmp_path / "moved"))
    assert str(tmp_path) not in (tmp_path / "moved" / "config.json").read_text()
    size = model.formats["image"]["size"]
    for modality, inputs in (
        ("image", torch.randn(2, 1, size, size)),
        ("text", torch.tensor([[1, 5, 7, 3]])),
    ):
        with torch.no_grad():
            expected = F.normalize(module.model.encoders[modality](inputs), dim=-1)
        torch.testing.assert_close(model.vectors(modality, inputs), expected)
    assert model.vectors("text", ["a black cat"]).isfinite().all()


def test_one_encoder_for_two_modalities_is_written_once(tmp_path: Path) -> None:
    chosen = [
        "data=synthetic",
        "data.modalities={left: image, right: image}",
        "encoder/image=none",
        "encoder/text=none",
    ]
    chosen += [
        "+encoder/image@encoder.left=cnn",
        "+encoder/image@encoder.right=shared",
        "encoder.right.of=left",
    ]
    file, module = checkpoint_of(tmp_path / "run", *chosen, "callbacks=none", tiny=["logger=none"])
    export(str(file), str(tmp_path / "exported"), ["safetensors"], "MIT")
    model, images = polymodal.load(tmp_path / "exported"), torch.randn(2, 1, 32, 32)
    assert model.model.encoders["left"] is model.model.encoders["right"]
    torch.testing.assert_close(model.vectors("right", images), model.vectors("left", images))
    expected = sum(parameter.nbytes for parameter in module.parameters())
    assert (tmp_path / "exported" / "model.safetensors").stat().st_size < 1.3 * expected


@pytest.mark.parametrize("name", ["onnx", "torch_export"])
def test_graphs_give_the_same_vectors_for_any_batch_and_length(
    name: str, run, tmp_path: Path, capsys
) -> None:
    pytest.importorskip("onnxscript")
    export(str(run[0]), str(tmp_path / "graphs"), [name], "MIT")
    ending = {"onnx": "onnx", "torch_export": "pt2"}[name]
    assert {f"image.{ending}", f"text.{ending}"} < {
        file.name for file in (tmp_path / "graphs").iterdir()
    }
    ids, images = torch.randint(1, 400, (7, 13)), torch.randn(7, 1, 16, 16)
    ids[3:, 5:] = 0
    for modality, inputs in (("text", ids), ("image", images)):
        file = tmp_path / "graphs" / f"{modality}.{ending}"
        if name == "onnx":
            import onnxruntime

            session = onnxruntime.InferenceSession(str(file))
            found = torch.from_numpy(session.run(["vectors"], {modality: inputs.numpy()})[0])
        else:
            found = torch.export.load(file).module()(inputs)
        with torch.no_grad():
            torch.testing.assert_close(
                found, run[1].model.encoders[modality](inputs), rtol=1e-4, atol=1e-4
            )
    assert "times as fast" in capsys.readouterr().out


def test_a_graph_that_gives_other_vectors_is_refused(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polymodal.export.graphs.difference", lambda *_: 2e-4)
    with pytest.raises(ConfigError, match=r"image\.pt2 differs from PyTorch by 2\.0e-04"):
        export(str(run[0]), str(tmp_path / "graphs"), ["torch_export"], "MIT")
    assert list(tmp_path.iterdir()) == []  # whole or not at all


def test_an_encoder_that_cannot_be_a_graph_is_explained(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        CNN, "forward", lambda _, images: images.flatten(1)[:, :32] * float(images.sum())
    )
    with pytest.raises(
        ConfigError,
        match=r"format=torch_export: no graph can be made of encoder\.image, a CNN: .+\n",
    ):
        export(str(run[0]), str(tmp_path / "graphs"), ["torch_export", "safetensors"], "MIT")
    assert list(tmp_path.iterdir()) == []


def test_towers_of_open_clip_go_back_to_it(tmp_path: Path, cache) -> None:
    name = "ViT-S-32-alt"
    chosen = ["encoder/image=open_clip", "encoder/text=open_clip", "dim=256", "data.image_size=32"]
    chosen += [f"encoder.image.name={name}", f"encoder.text.name={name}", "objective=siglip"]
    file, module = checkpoint_of(tmp_path / "run", *chosen)
    folder = tmp_path / "exported"
    export(str(file), str(folder), ["open_clip", "safetensors"], "MIT")
    theirs = open_clip.create_model(f"local-dir:{folder}").eval()
    assert theirs.logit_scale.item() == pytest.approx(module.objective.logit_scale[0].item())
    assert theirs.logit_bias.item() == pytest.approx(module.objective.logit_bias[0].item())
    images, ids = torch.randn(2, 3, 32, 32), open_clip.get_tokenizer(name)(CAPTIONS)
    model = polymodal.load(folder)
    with torch.no_grad():
        for modality, features in (
            ("image", theirs.encode_image(images)),
            ("text", theirs.encode_text(ids)),
        ):
            inputs = {"image": images, "text": ids}[modality]
            torch.testing.assert_close(
                module.model.encoders[modality](inputs), features, rtol=1e-6, atol=1e-6
            )
            torch.testing.assert_close(
                model.vectors(modality, inputs), F.normalize(features, dim=-1)
            )
        torch.testing.assert_close(model.vectors("text", CAPTIONS), F.normalize(features, dim=-1))
    own = open_clip.create_model(
        name,
        pretrained=str(folder / "open_clip_model.safetensors"),
        force_image_size=32,
        init_logit_bias=0.0,
    )
    assert torch.equal(own.visual.proj, module.model.encoders["image"].tower.proj)


def test_other_encoders_are_no_model_of_open_clip(run, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="encoder/image=open_clip and encoder/text=open_clip of one name"
    ):
        export(str(run[0]), str(tmp_path / "x"), ["open_clip"], "MIT")


def changed(exported: Path, folder: Path, change) -> Path:
    folder.mkdir()
    for file in exported.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    about = json.loads((folder / "config.json").read_text())
    change(about)
    (folder / "config.json").write_text(json.dumps(about))
    return folder


def test_an_export_of_an_older_version_has_the_names_of_today(
    exported, tmp_path, monkeypatch
) -> None:
    new = json.loads((exported / "config.json").read_text())["model"]["encoder"]["image"][
        "_target_"
    ]
    monkeypatch.setitem(MOVED, OLD, new)
    model = polymodal.load(
        changed(
            exported,
            tmp_path / "old",
            lambda a: a["model"]["encoder"]["image"].update(_target_=OLD),
        )
    )
    assert type(model.model.encoders["image"]).__qualname__ == new.rpartition(".")[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda a: a["model"]["encoder"].update(image={"_target_": "os.system", "command": "x"}),
            "only classes of",
        ),
        (lambda a: a["model"].update(head={"_target_": "torch.load", "f": "x"}), "only classes of"),
        (
            lambda a: a["model"]["encoder"]["text"].update(width={"_target_": "subprocess.Popen"}),
            "only classes of",
        ),
        (
            lambda a: a["model"].update(fusion={"_target_": "builtins.eval", "_partial_": True}),
            "only classes of",
        ),
        (
            lambda a: a["model"].update(
                head={"_target_": "polymodal.loggers.wandb.wandb_logger", "save_dir": "x"}
            ),
            "only",
        ),
        (
            lambda a: a["model"].update(
                head={"_target_": "lightning.pytorch.loggers.MLFlowLogger"}
            ),
            "only classes of",
        ),
        (lambda a: a.update(format="other"), "another format"),
        (lambda a: a.update(version=99), "newer version"),
        (lambda a: a.pop("model"), "holds no exported model"),
        (
            lambda a: a["model"]["encoder"]["image"].update(in_channels="x"),
            "holds no exported model|CNN",
        ),
        (lambda a: a["model"]["encoder"].pop("image"), "holds no exported model"),
    ],
)
def test_what_is_not_to_be_trusted_or_not_whole_is_refused(
    exported, tmp_path, change, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        polymodal.load(changed(exported, tmp_path / "changed", change))


def test_damaged_weights_are_refused(exported: Path, tmp_path: Path) -> None:
    folder = changed(exported, tmp_path / "changed", lambda _: None)
    weights = load_file(folder / "model.safetensors")
    save_file(dict(list(weights.items())[1:]), folder / "model.safetensors")
    with pytest.raises(ConfigError, match="holds no exported model, or a damaged one"):
        polymodal.load(folder)
    (folder / "model.safetensors").write_bytes(b"\x80\x04cos\nsystem\n")  # a pickle
    with pytest.raises(ConfigError, match="holds no exported model, or a damaged one"):
        polymodal.load(folder)
    with pytest.raises(ConfigError, match="holds no exported model"):
        polymodal.load(tmp_path / "nowhere")


def test_what_cannot_be_an_input_is_explained(exported: Path) -> None:
    model = polymodal.load(exported)
    with pytest.raises(ConfigError, match="no such modality. Did you mean image"):
        model.vectors("imag", [])
    with pytest.raises(ConfigError, match="the same number of samples"):
        model(text=CAPTIONS, image=torch.randn(3, 1, 16, 16))
    with pytest.raises(ConfigError, match="the same number of samples"):
        model()


def test_metrics_are_those_of_the_checkpoint_that_was_evaluated(run, tmp_path: Path) -> None:
    last = shutil.copy(run[0], run[0].with_name("last.ckpt"))
    export(str(last), str(tmp_path / "exported"), ["safetensors"], "MIT")
    card = (tmp_path / "exported" / "README.md").read_text()
    assert "test/recall@1" not in card
    assert "There are none" in card


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("fromat=onnx", "Unknown key 'fromat'. Did you mean format"),
        (
            "format=[onnx,onxx]",
            "format=onxx: input should be 'safetensors', 'onnx', 'torch_export' or 'open_clip'",
        ),
        ("format=", "format=: input should be 'safetensors'"),
        ("seed=1", "seed=1: a model is exported as it was trained"),
    ],
)
def test_a_wrong_argument_is_explained(wrong: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        main(*parsed(["checkpoint=x", "output=y", wrong], ExportSettings))


def test_the_command_says_what_is_not_there(command, tmp_path: Path) -> None:
    done = command(
        "export.py", "checkpoint=x", f"output={tmp_path / 'out'}", "format=[onnx, safetensors]"
    )
    assert done.returncode == 2
    assert "checkpoint=x: neither a checkpoint file nor a run folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_export_is_no_checkpoint(exported: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"is an exported model\. Use it in Python: polymodal\.load\("
    ):
        find_checkpoint(exported)


def test_an_output_that_exists_is_kept(run, exported: Path) -> None:
    with pytest.raises(ConfigError, match="exists already"):
        export(str(run[0]), str(exported), ["safetensors"], "MIT")


def test_loading_needs_neither_hydra_nor_lightning(exported: Path) -> None:
    code = (
        f"import sys, polymodal; m = polymodal.load({str(exported)!r}); m.vectors('text', ['a'])\n"
    )
    code += "print([n for n in ('hydra', 'lightning', 'pytorch_lightning') if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
