"""Every encoder in configs/encoder: a new one is tested by being there."""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate

from polymodal.batch import PAD
from polymodal.config.compose import compose_config

CONFIGS = Path(__file__).parents[2] / "configs" / "encoder"
NAMES = [(folder.name, file.stem) for folder in sorted(CONFIGS.iterdir()) for file in sorted(folder.glob("*.yaml"))]
DIM = 24


def build(modality: str, name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    config = compose_config([f"encoder/{modality}={name}", "++run_dir=.", f"dim={DIM}", "data.vocab_size=50"])
    return instantiate(config.encoder[modality], _convert_="all")


def inputs_of(modality: str, count: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    if modality == "image":
        return torch.randn(count, 1, 32, 32, generator=generator)
    ids = torch.randint(1, 50, (count, 9), generator=generator)
    lengths = torch.randint(1, 10, (count, 1), generator=generator)
    return ids.masked_fill(torch.arange(9) >= lengths, PAD)


@pytest.mark.parametrize(("modality", "name"), NAMES)
def test_gives_one_vector_a_sample_and_trains_every_parameter(modality: str, name: str) -> None:
    encoder = build(modality, name)
    start = {key: parameter.detach().clone() for key, parameter in encoder.named_parameters()}
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.1)
    for _ in range(2):  # two steps: a branch that begins at zero passes its gradient on only after the first
        output = encoder(inputs_of(modality))
        assert output.shape == (6, DIM)
        optimizer.zero_grad()
        (output * torch.randn_like(output)).sum().backward()
        optimizer.step()
    still = [key for key, parameter in encoder.named_parameters() if torch.equal(parameter, start[key])]
    assert not still


@pytest.mark.parametrize(("modality", "name"), NAMES)
def test_a_sample_does_not_depend_on_its_batch_in_evaluation(modality: str, name: str) -> None:
    encoder, inputs = build(modality, name).eval(), inputs_of(modality)
    with torch.no_grad():
        together = encoder(inputs)
        alone = torch.cat([encoder(row[None]) for row in inputs])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("modality", "name"), NAMES)
def test_runs_in_bf16_and_fp64(modality: str, name: str) -> None:
    encoder, inputs = build(modality, name), inputs_of(modality)
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder(inputs).isfinite().all()
    double = inputs.double() if inputs.is_floating_point() else inputs
    assert encoder.double()(double).dtype == torch.float64


@pytest.mark.parametrize("name", [name for modality, name in NAMES if modality == "text"])
def test_padding_changes_nothing(name: str) -> None:
    encoder, ids = build("text", name).eval(), inputs_of("text")
    longer = torch.nn.functional.pad(ids, (0, 7), value=PAD)
    torch.testing.assert_close(encoder(longer), encoder(ids), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        ("image.cnn.CNN", {"image_size": 30}, "image_size=30 is not a multiple of 8"),
        ("image.vit.ViT", {"image_size": 30}, "image_size=30 is not a multiple of patch_size=4"),
        ("image.vit.ViT", {"width": 130}, "width=130 is not a multiple of heads=4"),
        ("text.transformer.Transformer", {"vocab_size": 9, "width": 130}, "width=130 is not a multiple of heads=4"),
    ],
)
def test_sizes_that_cannot_work_are_refused(target: str, arguments: dict, message: str) -> None:
    with pytest.raises(Exception, match=message):
        instantiate({"_target_": f"polymodal.encoders.{target}", "dim": 8, **arguments})


def test_word_order_matters_to_the_transformer_and_not_to_the_bag() -> None:
    ids = torch.tensor([[3, 4, 5], [5, 4, 3]])
    a, b = build("text", "transformer").eval()(ids)
    assert not torch.allclose(a, b, atol=1e-4)
    a, b = build("text", "bow").eval()(ids)
    torch.testing.assert_close(a, b)
