"""From waveforms to log-mel spectrograms, on the device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from polymodal.types import PositiveFloat, PositiveInt

FLOOR = 1e-6
"""Power below which everything is silence: the logarithm has a smallest value."""


class LogMel(nn.Module):
    """Natural logarithm of the power in `mels` bands of the mel scale (Slaney's scale, triangles of
    equal area), from a Hann window that moves over the waveform. No parameters.

    How long a waveform really is: up to its last sample that is not exactly 0. What comes after is
    padding, whether of the batch or of the recording, and no encoder reads it. So do not shift the
    mean of padded waveforms.

    Args:
        sample_rate: of the waveforms, in Hz.
        mels: bands between 0 Hz and half the sample rate.
        window: length of the window in seconds.
        hop: seconds from one frame to the next.

    Raises:
        ValueError: the window is too short for so many bands.
    """

    def __init__(
        self,
        sample_rate: PositiveInt,
        mels: PositiveInt = 64,
        window: PositiveFloat = 0.025,
        hop: PositiveFloat = 0.01,
    ) -> None:
        super().__init__()
        # an even number, so that a window has a middle
        self.mels, self.size = mels, 2 * max(1, round(window * sample_rate / 2))
        self.hop = max(1, round(hop * sample_rate))
        # not buffers: those would be rounded when the weights are (precision=bf16_true)
        self.filters = torch.from_numpy(mel_filters(sample_rate, self.size, mels))
        self.window = torch.hann_window(self.size, dtype=torch.float64)
        if empty := int((self.filters.amax(1) == 0).sum()):
            raise ValueError(
                f"mels={mels}: {empty} of the bands lie between the {self.size // 2 + 1} "
                f"frequencies that a window of {window} s has at {sample_rate} Hz. Give fewer mels "
                "or a longer window"
            )

    def forward(self, waveforms: Tensor) -> Tensor:
        """(B, samples) -> (B, mels, frames), frames = 1 + samples // hop; frame i is centred on
        sample i * hop.
        """
        signal = waveforms if waveforms.dtype == torch.float64 else waveforms.float()
        # there is no Fourier transform in bf16
        with torch.autocast(signal.device.type, enabled=False):
            spectrum = torch.stft(
                signal,
                self.size,
                self.hop,
                window=self.window.to(signal, non_blocking=True),
                pad_mode="constant",  # zeros at the ends: the same whether padding follows or not
                return_complex=True,
            )
            power = self.filters.to(signal, non_blocking=True) @ spectrum.abs().square()
            return power.clamp(min=FLOOR).log().to(waveforms.dtype)

    def mask(self, waveforms: Tensor) -> Tensor:
        """(B, samples) -> (B, frames) bool: frames centred before the end of the sound; at least
        the first.
        """
        place = torch.arange(1, waveforms.shape[1] + 1, device=waveforms.device)
        length = torch.where(waveforms != 0, place, 0).amax(1, keepdim=True).clamp(min=1)
        centres = torch.arange(0, waveforms.shape[1] + 1, self.hop, device=waveforms.device)
        return centres < length


def mel_filters(sample_rate: int, size: int, mels: int) -> np.ndarray:
    """(mels, size // 2 + 1): the triangles' weights on the frequencies of a window of `size`
    samples.
    """
    frequencies = np.fft.rfftfreq(size, 1 / sample_rate)
    edges = _to_hertz(np.linspace(0, _to_mel(sample_rate / 2), mels + 2))
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum(
        (frequencies - low) / (centre - low), (high - frequencies) / (high - centre)
    )
    return triangles.clip(min=0) * 2 / (high - low)


# Slaney's mel scale (Auditory Toolbox, 1998): 3 mel in 200 Hz up to 1000 Hz, then 27 mel in a
# factor of 6.4.
BREAK_HERTZ, BREAK_MEL, STEP = 1000.0, 15.0, np.log(6.4) / 27


def _to_mel(hertz: float) -> float:
    return (
        hertz * 3 / 200 if hertz < BREAK_HERTZ else BREAK_MEL + np.log(hertz / BREAK_HERTZ) / STEP
    )


def _to_hertz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < BREAK_MEL, mel * 200 / 3, BREAK_HERTZ * np.exp((mel - BREAK_MEL) * STEP))
