"""Videos as a few frames, spread evenly: from a folder of images or from a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.loading.hidden import is_hidden
from polymodal.data.media.images import MAX_PIXELS, middle_square, read_image
from polymodal.data.media.source import called, opened
from polymodal.errors import ConfigError


def read_video(
    source: Path | bytes,
    frames: int,
    size: int,
    channels: int,
    name: str | None = None,
    image_max: float | None = None,
) -> np.ndarray:
    """(frames, channels, size, size) uint8: the frames in the middle of equal parts of the video,
    as images.

    Of a shorter video some frames are there several times.

    Args:
        source: a folder whose files, in the order of their names, are the frames; or a file, or
            what is in it.
        frames: T.
        size: side of the result in pixels.
        channels: 1 (grey) or 3 (RGB).
        name: what messages call it; None for the path.
        image_max: the value that is white in images of more than 8 bits; None: by their type.

    Raises:
        BadSampleError: it is no video, is damaged, is empty, or its frames are too large.
        ConfigError: it is a file, and PyAV is not installed.
    """
    name = called(source, name)
    if isinstance(source, Path) and source.is_dir():
        files = frames_of(source)
        if not files:
            raise BadSampleError("empty file", f"{name} has no frames.")
        chosen = [files[index] for index in evenly(len(files), frames)]
        return np.stack([read_image(file, size, channels, image_max=image_max) for file in chosen])
    return np.stack(_decoded(source, frames, name, size, channels))


def frames_of(folder: Path) -> list[Path]:
    """The files of a folder of frames, in their order."""
    return sorted(file for file in folder.iterdir() if file.is_file() and not is_hidden(file.name))


def evenly(count: int, frames: int) -> list[int]:
    """Which of `count` frames stand in the middle of `frames` equal parts."""
    return ((np.arange(frames) + 0.5) * count / frames).astype(int).tolist()


MAX_DECODED = 100_000_000_000
"""Pixels that are decoded to find the frames of a video: minutes. A small file may hold millions of
still frames."""

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,gif,image2,"
    "h264,hevc,y4m"
)
"""What a video file may be: no playlist, which names other files or has no end."""


def _decoded(
    source: Path | bytes, frames: int, name: str, size: int, channels: int
) -> list[np.ndarray]:
    """The chosen frames of a file, each (channels, size, size)."""
    try:
        import av
    except ImportError:
        raise ConfigError(
            f"{name} is a video file, which PyAV reads: pip install 'polymodal[video]'"
        ) from None
    try:
        with av.open(opened(source), options={"format_whitelist": FORMATS}) as container:
            if not container.streams.video:
                raise BadSampleError(
                    "damaged file", f"{name} is no video: there are no images in it."
                )

            # a small file may unfold to large frames
            stream = container.streams.video[0]
            if stream.width * stream.height > MAX_PIXELS:
                raise BadSampleError(
                    "too large", f"{name} has frames of {stream.width} x {stream.height} pixels."
                )

            # frames are spread evenly, and only these are decoded
            times, keys = _times(container, stream)
            if not times or not keys:
                raise BadSampleError("empty file", f"{name} has no frames.")
            wanted = [times[index] for index in evenly(len(times), frames)]
            found = {}
            for time, frame in _frames_at(container, stream, sorted({*wanted}), keys, name):
                found[time] = middle_square(frame.to_image(), size, channels)
    except (av.FFmpegError, ValueError, MemoryError) as error:
        raise BadSampleError("damaged file", f"{name} is damaged or no video: {error}") from error
    if lost := [time for time in wanted if time not in found]:
        raise BadSampleError(
            "damaged file", f"{name} is damaged: {len(lost)} of its frames cannot be decoded."
        )
    return [found[time] for time in wanted]


def _times(container: Any, stream: Any) -> tuple[list[int], list[tuple[int, int]]]:
    """When each frame is shown; and of those that can be decoded without another, also where they
    are found.

    Nothing is decoded for that.
    """
    packets = [packet for packet in container.demux(stream) if packet.size]
    # AVI has no more than the order
    shown = [packet.dts if packet.pts is None else packet.pts for packet in packets]
    keys = [
        (time, time if packet.dts is None else packet.dts)
        for packet, time in zip(packets, shown, strict=True)
        if packet.is_keyframe and time is not None
    ]
    return sorted({time for time in shown if time is not None}), sorted(keys)


def _frames_at(
    container: Any, stream: Any, wanted: list[int], keys: list[tuple[int, int]], name: str
) -> Iterator[tuple[int, Any]]:
    """The frames of these times, in order; what lies between them is passed over where a key frame
    allows it.
    """
    position, pixels = None, 0
    for time in wanted:
        key, place = max((key for key in keys if key[0] <= time), default=keys[0])
        if position is None or key > position:
            container.seek(place, stream=stream)
            decoded = container.decode(stream)
        for frame in decoded:
            pixels += frame.width * frame.height
            # the head of the file may say less
            if pixels > MAX_DECODED or frame.width * frame.height > MAX_PIXELS:
                raise BadSampleError(
                    "too large",
                    f"{name}: its frames of {frame.width} x {frame.height} are too many.",
                )
            if frame.pts is not None and frame.pts >= time:
                break
        else:
            return
        position = frame.pts
        yield position, frame
