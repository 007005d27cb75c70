"""Zero-shot scores are those of the nearest prompt, or of the mean of a class's prompts."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from tests.callbacks.runs import Vectors

from polymodal.callbacks.zero_shot import ZeroShot, read_prompts
from polymodal.errors import ConfigError


def test_pooling() -> None:
    x = F.normalize(torch.randn(5, 4), dim=-1)
    prompts = [F.normalize(torch.randn(count, 4), dim=-1) for count in (3, 1)]
    zero_shot = ZeroShot("kind", {}, pool="max")
    zero_shot.vectors = prompts
    scores = zero_shot._scores(x)
    for i in range(5):
        for k, vectors in enumerate(prompts):
            assert torch.isclose(scores[i, k], max(x[i] @ v for v in vectors))


def test_every_kind_of_the_glyphs_has_prompts() -> None:
    from polymodal.config.compose import compose_config
    from polymodal.data.bundled.glyph_kinds import KIND_NAMES

    file = compose_config(["experiment=clip_small", "++run_dir=."]).callbacks.zero_shot.prompts
    prompts = ZeroShot("kind", file).prompts
    assert set(prompts) == set(KIND_NAMES)
    assert len(KIND_NAMES) >= 12
    for entry in prompts.values():
        assert all("{}" in template for template in entry["templates"])
        assert len(set(entry["words"])) == len(entry["words"])


def test_prompts_may_be_a_file_of_words(tmp_path) -> None:
    file = tmp_path / "classes.yaml"
    file.write_text(
        "cat: [cat, kitten]\ndog: {words: [dog], templates: ['one {}', 'a {}']}\nred: red\n"
    )
    prompts = ZeroShot("kind", str(file), templates=["a {}."]).prompts
    assert prompts["cat"] == {"templates": ["a {}."], "words": ["cat", "kitten"]}
    assert prompts["dog"]["templates"] == ["one {}", "a {}"]
    assert prompts["red"]["words"] == ["red"]
    for content in ("- cat", "cat: 3", "cat: {word: [x]}", "cat: [", ""):
        file.write_text(content)
        with pytest.raises(ConfigError, match=r"classes\.yaml"):
            read_prompts(str(file), [])


def test_labels_of_several_classes_a_sample_are_refused_before_training() -> None:
    data = Vectors()
    data.setup()
    trainer = SimpleNamespace(datamodule=data)
    module = SimpleNamespace(model=SimpleNamespace(modalities=["a", "b"]))
    ZeroShot("kind", templates=["a {}"], image="a", text="b").setup(trainer, module, "fit")
    with pytest.raises(
        ConfigError, match=r"zero_shot\.label=tags: these labels are not one class a sample"
    ):
        ZeroShot("tags", templates=["a {}"], image="a", text="b").setup(trainer, module, "fit")
