"""Models of timm that differ in what they give."""

import pytest
import timm
import torch

from polymodal.encoders.image.timm import Timm
from polymodal.encoders.video.transformer import Transformer


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("vit_tiny_patch16_224", 1 + 4),  # (B, n, c) with a class token, built for its size
        ("swin_tiny_patch4_window7_224", 1 + 4),  # (B, h, w, c)
        ("resnet10t", 1 + 4),  # (B, c, h, w)
        ("mobilenetv3_small_050", 1),  # its head is wider than its feature map
    ],
)
def test_each_layout_of_features_becomes_tokens(name: str, places: int) -> None:
    torch.manual_seed(0)
    size = 32 if "vit" in name else 64
    encoder = Timm(8, name, image_size=size).eval()
    images = torch.randn(2, 1, size, size)
    with torch.no_grad():
        tokens = encoder.tokens(images)
        assert tokens.values.shape == (2, places, 8)
        torch.testing.assert_close(tokens.values[:, 0], encoder(images))
        if name == "resnet10t":  # an independent look: what timm pools is the mean of the places
            torch.testing.assert_close(tokens.values[:, 1:].mean(1), encoder(images))
        if "swin" in name:
            features = encoder.model.forward_features(images)
            torch.testing.assert_close(
                tokens.values[:, 1:], encoder.projection(features).flatten(1, 2)
            )


def test_the_model_is_the_one_that_timm_builds() -> None:
    torch.manual_seed(0)
    encoder = Timm(8, "resnet10t", in_channels=3, image_size=64)
    own = timm.create_model("resnet10t", num_classes=0)
    own.load_state_dict(encoder.model.state_dict())
    assert encoder.model.training
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(encoder.eval()(images), encoder.projection(own.eval()(images)))


def test_time_matters_to_the_video_transformer_and_not_to_the_mean() -> None:
    from polymodal.encoders.image.linear import Linear
    from polymodal.encoders.video.mean import Mean

    torch.manual_seed(0)
    videos = torch.randn(1, 4, 1, 8, 8)
    for encoder, same in (
        (Mean(Linear(8, image_size=8)), True),
        (Transformer(8, Linear(8, image_size=8)), False),
    ):
        assert torch.allclose(encoder(videos), encoder(videos.flip(1)), atol=1e-5) == same
    frames = torch.stack(
        [Mean(image := Linear(8, image_size=8)).tokens(videos).values[0], image(videos[0])]
    )
    torch.testing.assert_close(frames[0], frames[1])
