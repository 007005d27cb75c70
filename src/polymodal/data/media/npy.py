"""Arrays of .npy files, whose heads are not believed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from polymodal.data.media.source import opened

HEADS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
"""Version of the format -> what reads the rest of the head."""


def read_array(source: Path | bytes) -> np.ndarray:
    """The array of numbers in an .npy file or its bytes.

    `np.load` takes as much memory as the head of the file says, whatever comes after it.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no .npy file, holds no plain numbers, or is shorter than its head says.
    """
    content = opened(source)
    with content.open("rb") if isinstance(content, Path) else content as stream:
        version = npy.read_magic(stream)
        if version not in HEADS:
            raise ValueError(f"version {version} of the format is not that of plain numbers")
        shape, is_fortran, dtype = HEADS[version](stream)
        if dtype.kind not in "biuf":
            raise ValueError(f"it holds {dtype}")
        start = stream.tell()
        there = stream.seek(0, 2) - start
        if not 0 <= (said := math.prod(shape) * dtype.itemsize) <= there:
            raise ValueError(f"its head says {said:,} bytes of numbers, and there are {there:,}")
        stream.seek(start)
        array = np.frombuffer(stream.read(said), dtype)
    return array.reshape(shape, order="F" if is_fortran else "C")
