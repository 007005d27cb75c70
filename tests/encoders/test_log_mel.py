"""The front end of the audio encoders against librosa, and what it takes for padding."""

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polymodal.encoders.audio.log_mel import FLOOR, LogMel, mel_filters
from polymodal.encoders.audio.transformer import Transformer


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("rate", "mels", "window"), [(16_000, 64, 0.025), (8000, 40, 0.025), (22_050, 80, 0.05)]
)
def test_the_spectrogram_is_librosa_s(
    dtype: torch.dtype, rate: int, mels: int, window: float
) -> None:
    random = np.random.default_rng(0)
    waveform = random.normal(0, 0.1, size=rate // 2 + 7) + np.sin(np.arange(rate // 2 + 7) * 0.3)
    front = LogMel(rate, mels, window)
    expected = librosa.feature.melspectrogram(
        y=waveform,
        sr=rate,
        n_fft=front.size,
        hop_length=front.hop,
        n_mels=mels,
        htk=False,
        norm="slaney",
        power=2.0,
    )
    got = front(torch.from_numpy(waveform)[None].to(dtype))
    assert got.dtype == dtype
    assert got.shape == (1, mels, 1 + len(waveform) // front.hop)
    np.testing.assert_allclose(
        got[0].double().exp().numpy(), np.maximum(expected, FLOOR), rtol=1e-4
    )


def test_the_filters_are_librosa_s_and_too_many_are_refused() -> None:
    np.testing.assert_allclose(
        mel_filters(16_000, 400, 64), librosa.filters.mel(sr=16_000, n_fft=400, n_mels=64), 1e-4
    )
    with pytest.raises(ValueError, match=r"mels=128: \d+ of the bands .* fewer mels"):
        LogMel(8000, 128)


def test_rounded_weights_leave_the_filters_exact() -> None:
    waveform = torch.randn(1, 2000).bfloat16()
    exact = LogMel(8000)(waveform.double())
    rounded = LogMel(8000).bfloat16()(waveform)
    assert rounded.dtype == torch.bfloat16
    # only the last step is rounded
    torch.testing.assert_close(rounded.double(), exact, rtol=2**-8, atol=1e-4)


@given(st.integers(1, 600), st.integers(0, 400), st.integers(0, 300))
@settings(max_examples=50, deadline=None)
def test_frames_are_real_up_to_the_last_sample_that_is_not_zero(
    length: int, padding: int, silence: int
) -> None:
    front = LogMel(1000, mels=8)
    waveform = torch.cat([torch.zeros(silence), torch.ones(length), torch.zeros(padding)])[None]
    mask = front.mask(waveform)
    assert mask.shape == (1, front(waveform).shape[2])
    assert mask[0].tolist() == [
        frame * front.hop < silence + length for frame in range(mask.shape[1])
    ]


def test_silence_has_one_frame() -> None:
    mask = LogMel(1000, mels=8).mask(torch.zeros(2, 100))
    assert mask.sum(1).tolist() == [1, 1]


def test_a_louder_sound_has_the_same_vector_and_a_later_one_has_not() -> None:
    torch.manual_seed(0)
    encoder = Transformer(8, LogMel(8000)).eval()
    waveform = torch.randn(1, 4000).cumsum(1) * torch.linspace(0.01, 1, 4000)
    torch.testing.assert_close(encoder(waveform), encoder(4 * waveform), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(encoder(waveform), encoder(waveform.flip(1)), atol=1e-3)
