"""Tar shards in the layout of the webdataset library and of img2dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from polymodal.data.records import Source
from polymodal.data.splits import SPLITS
from polymodal.data.stream_data import StreamData
from polymodal.data.tar_shards import TarShards, expanded
from polymodal.errors import DataError


class WebDataset(StreamData):
    """Samples of tar files: `00012.jpg`, `00012.txt` and `00012.json`, side by side, are one.

        python src/train.py data=webdataset data.path='shards/{000..127}.tar' data.epoch_samples=100000 \
            callbacks=[default]

    `path` is a pattern, or a list of them, of files or of URLs that fsspec opens. Nothing in a shard is unpickled or
    run: fields stay bytes until the readers of manifests decode them.
    """

    def shards(self) -> tuple[Source, Sequence[Sequence[int]]]:
        """The tar files; a mapping names those of each split."""
        by_split = [self.path[name] for name in SPLITS] if isinstance(self.path, Mapping) else [self.path]
        urls = [expanded(path) for path in by_split]
        flat = [url for part in urls for url in part]
        if lost := [url for url in flat if "://" not in url and not Path(url).is_file()]:
            first = f"{lost[0]}, and {len(lost) - 1} more" if len(lost) > 1 else lost[0]
            if self.skips["train"].on_error == "raise" or len(lost) == len(flat):
                raise DataError(f"data.path: there is no file {first}.")
        ends = [sum(map(len, urls[: part + 1])) for part in range(len(urls))]
        numbers = [range(end - len(part), end) for end, part in zip(ends, urls, strict=True)]
        names = (name for key in self.columns.columns for field in self.columns[key] for name in field.split(";"))
        fields = {part for name in names for part in (name, name.split(".")[0])}
        return TarShards(flat, fields, self.options), numbers
