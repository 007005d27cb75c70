"""Every encoder in configs/encoder: a new one is tested by being there."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from polymodal.batch import PAD
from polymodal.config.auto import settle
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.outputs import Tokens, masked_mean
from polymodal.training.activation_checkpointing import recompute_blocks

CONFIGS = Path(__file__).parents[2] / "configs" / "encoder"
NAMES = [
    (folder.name, file.stem)
    for folder in sorted(CONFIGS.iterdir())
    for file in sorted(folder.glob("*.yaml"))
    if file.stem not in {"none", "shared", "auto"}
]
DIM = 24
COLUMNS = 12
OTHERS = {"features": [f"encoder.tabular.in_features={COLUMNS}"]}
"""What an encoder needs besides its name."""
every_encoder = pytest.mark.parametrize(("modality", "name"), NAMES)


@cache  # composing takes longer than most tests
def config_of(modality: str, name: str) -> DictConfig:
    chosen = [
        f"encoder/{other}={name if other == modality else 'none'}"
        for other in sorted({m for m, _ in NAMES})
    ]
    sizes = [f"dim={DIM}", "data.vocab_size=300", "data.cardinalities=[3,4]", "data.numeric=10"]
    config = compose_config(
        ["data=synthetic", *chosen, "++run_dir=.", *sizes, *OTHERS.get(name, [])]
    )
    settle(config, look=False)
    return config


def build(modality: str, name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return instantiate(config_of(modality, name).encoder[modality], _convert_="all")


def inputs_of(modality: str, count: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    random = {
        "image": lambda: torch.randn(count, 1, 32, 32, generator=generator),
        "video": lambda: torch.randn(count, 3, 1, 32, 32, generator=generator),
        "audio": lambda: torch.randn(count, 3000, generator=generator),
        "tabular": lambda: torch.randn(count, COLUMNS, generator=generator),
        "text": lambda: torch.randint(1, 50, (count, 9), generator=generator),
    }
    inputs = random[modality]()
    if modality in PADDED:
        lengths = torch.randint(1, inputs.shape[1] + 1, (count, 1), generator=generator)
        return inputs.masked_fill(torch.arange(inputs.shape[1]) >= lengths, 0)
    if modality == "tabular":
        # codes, some unknown
        inputs[:, 10:] = torch.tensor([[0, 0], [1, 1], [2, 2], [-1, 3], [9, -1], [2, -1]])
    return inputs


def gradients(encoder: torch.nn.Module, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of a random direction in training mode, and what batch norms keep."""
    torch.manual_seed(0)
    output = encoder(inputs)
    (
        output * torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    ).sum().backward()
    return {name: p.grad for name, p in encoder.named_parameters()} | dict(encoder.named_buffers())


PADDED = {"text": PAD, "audio": 0}
"""Modalities whose samples have lengths, and what they are padded with."""


def ways(encoder: torch.nn.Module) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    """An encoder's vector, and the mean of its tokens if it has them."""
    ways = [encoder]
    if hasattr(encoder, "tokens"):
        ways.append(lambda inputs: masked_mean(*encoder.tokens(inputs)))
    return ways


@every_encoder
def test_its_config_passes_the_check(modality: str, name: str) -> None:
    assert modality in check_config(config_of(modality, name))["encoder"]


@every_encoder
@pytest.mark.parametrize("way", [0, 1], ids=["vector", "tokens"])
def test_gives_one_vector_a_sample_and_trains_every_parameter(
    modality: str, name: str, way: int
) -> None:
    encoder = build(modality, name)
    if way >= len(ways(encoder)):
        return
    encode = ways(encoder)[way]
    start = {key: parameter.detach().clone() for key, parameter in encoder.named_parameters()}
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.1)
    # two steps: a branch that begins at zero passes its gradient on only after the first
    for _ in range(2):
        output = encode(inputs_of(modality))
        assert output.shape == (6, DIM)
        optimizer.zero_grad()
        (output * torch.randn_like(output)).sum().backward()
        optimizer.step()
    still = [
        key for key, parameter in encoder.named_parameters() if torch.equal(parameter, start[key])
    ]
    assert not still


@every_encoder
def test_a_sample_does_not_depend_on_its_batch_in_evaluation(modality: str, name: str) -> None:
    encoder, inputs = build(modality, name).eval(), inputs_of(modality)
    with torch.no_grad():
        for encode in ways(encoder):
            alone = torch.cat([encode(row[None]) for row in inputs])
            torch.testing.assert_close(encode(inputs), alone, rtol=1e-4, atol=1e-5)


@every_encoder
def test_runs_in_bf16_and_fp64(modality: str, name: str) -> None:
    encoder, inputs = build(modality, name), inputs_of(modality)
    with torch.autocast("cpu", torch.bfloat16):
        for encode in ways(encoder):
            assert encode(inputs).isfinite().all()
    wide, half = (
        inputs.to(t) if inputs.is_floating_point() else inputs
        for t in (torch.float64, torch.bfloat16)
    )
    assert encoder.double()(wide).dtype == torch.float64
    assert encoder.bfloat16()(half).isfinite().all()  # weights too, as with precision=bf16_true


@every_encoder
def test_recomputed_blocks_have_the_same_gradients(modality: str, name: str) -> None:
    inputs = inputs_of(modality)
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    plain, recomputed = (build(modality, name).double() for _ in range(2))
    for encoder in (plain, recomputed):
        for module in encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.3
    recompute_blocks(recomputed)
    torch.testing.assert_close(
        gradients(recomputed, inputs), gradients(plain, inputs), rtol=1e-6, atol=1e-12
    )


@every_encoder
def test_tokens_say_what_is_real(modality: str, name: str) -> None:
    encoder, inputs = build(modality, name).eval(), inputs_of(modality)
    if not hasattr(encoder, "tokens"):
        return
    tokens = encoder.tokens(inputs)
    assert isinstance(tokens, Tokens)
    assert tokens.values.shape == (*tokens.mask.shape, DIM)
    assert tokens.mask.dtype == torch.bool
    assert tokens.mask.any(1).all()
    if modality == "text":
        assert torch.equal(tokens.mask, inputs != PAD)
    elif modality in PADDED:  # the longer, the more
        lengths = (inputs != PADDED[modality]).sum(1)
        counts = tokens.mask.sum(1)[lengths.argsort()]
        assert (counts.diff() >= 0).all()
        assert counts[0] < counts[-1]
        assert (tokens.mask.long().diff(dim=1) <= 0).all()  # none after padding
    else:
        assert tokens.mask.all()


@pytest.mark.parametrize(("modality", "name"), [(m, n) for m, n in NAMES if m in PADDED])
def test_padding_changes_nothing(modality: str, name: str) -> None:
    encoder, inputs = build(modality, name).eval(), inputs_of(modality)
    longer = torch.nn.functional.pad(inputs, (0, inputs.shape[1]), value=PADDED[modality])
    torch.testing.assert_close(encoder(longer), encoder(inputs), rtol=1e-5, atol=1e-6)
    if hasattr(encoder, "tokens"):
        short, long = encoder.tokens(inputs), encoder.tokens(longer)
        torch.testing.assert_close(
            long.values[long.mask], short.values[short.mask], rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize(("modality", "name"), [(m, n) for m, n in NAMES if m in PADDED])
def test_a_sample_cut_at_its_own_length_has_the_same_vector(modality: str, name: str) -> None:
    encoder, inputs = build(modality, name).eval(), inputs_of(modality)
    for row in inputs:
        length = int((row != PADDED[modality]).nonzero().max()) + 1
        torch.testing.assert_close(
            encoder(row[None, :length]), encoder(row[None]), rtol=1e-5, atol=1e-6
        )


SAME_MEAN = [
    ("image", "cnn"), ("image", "resnet"), ("image", "efficientnet"), ("text", "bow"), ("text", "rnn"),
    ("text", "transformer"), ("text", "bert"), ("audio", "cnn"), ("audio", "rnn"), ("audio", "transformer"),
    ("video", "mean"), ("video", "transformer"),
]  # fmt: skip


@pytest.mark.parametrize(("modality", "name"), SAME_MEAN)
def test_the_mean_of_the_tokens_is_the_vector_where_the_docstring_says_so(
    modality: str, name: str
) -> None:
    encoder, inputs = build(modality, name).eval(), inputs_of(modality)
    torch.testing.assert_close(
        masked_mean(*encoder.tokens(inputs)), encoder(inputs), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", ["vit", "timm"])
def test_the_first_token_is_the_vector_where_the_docstring_says_so(name: str) -> None:
    encoder, inputs = build("image", name).eval(), inputs_of("image")
    torch.testing.assert_close(
        encoder.tokens(inputs).values[:, 0], encoder(inputs), rtol=1e-4, atol=1e-5
    )


LOG_MEL = {"_target_": "polymodal.encoders.audio.log_mel.LogMel", "sample_rate": 8000, "mels": 60}


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        ("image.cnn.CNN", {"image_size": 30}, "image_size=30 is not a multiple of 8"),
        ("image.vit.ViT", {"image_size": 30}, "image_size=30 is not a multiple of patch_size=4"),
        ("image.vit.ViT", {"width": 130}, "width=130 is not a multiple of heads=4"),
        ("image.timm.Timm", {"name": "resnet19"}, "name=resnet19: .*resnet18"),
        ("image.timm.Timm", {"name": "hf-hub:timm/resnet18"}, "timm has no such model"),
        ("image.timm.Timm", {"name": "resnet18.nope"}, "resnet18.nope: .*a1_in1k"),
        (
            "image.timm.Timm",
            {"name": "convnext_atto", "image_size": 16},
            "cannot be built for image_size=16",
        ),
        (
            "text.transformer.Transformer",
            {"vocab_size": 9, "width": 130},
            "width=130 is not a multiple of heads=4",
        ),
        (
            "text.bert.Bert",
            {"vocab_size": 9, "width": 130},
            "width=130 is not a multiple of heads=4",
        ),
        ("text.bert.Bert", {"vocab_size": 9, "pretrained": True}, "pretrained=True needs the name"),
        ("text.bert.Bert", {"vocab_size": 9, "name": "bert"}, "name=bert .*data.tokenizer=bert"),
        ("text.rnn.RNN", {"vocab_size": 9, "dropout": 0.1}, "dropout=0.1 lies between layers"),
        ("audio.cnn.CNN", {"log_mel": LOG_MEL}, "mels=60 is not a multiple of 8"),
        (
            "audio.transformer.Transformer",
            {"log_mel": LOG_MEL},
            "mels=60 is not a multiple of patch_size=16",
        ),
        ("tabular.mlp.MLP", {"numeric": 0}, "numeric=0 and no cardinalities"),
        (
            "tabular.features.Features",
            {"in_features": 3, "dropout": 0.1},
            "dropout=0.1 follows hidden layers",
        ),
    ],
)
def test_sizes_that_cannot_work_are_refused(target: str, arguments: dict, message: str) -> None:
    with pytest.raises(Exception, match=message):
        instantiate({"_target_": f"polymodal.encoders.{target}", "dim": 8, **arguments})
