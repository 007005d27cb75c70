"""Tar shards in the layout of the webdataset library and of img2dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from polymodal.data.loading.splits import SPLITS, check_given
from polymodal.data.stream.module import StreamData
from polymodal.data.stream.records import Source
from polymodal.data.stream.tar import TarShards, expanded, not_there
from polymodal.errors import DataError


class WebDataset(StreamData):
    """Samples of tar files: `00012.jpg`, `00012.txt` and `00012.json`, side by side, are one.

        python src/train.py data=webdataset data.path='shards/{000..127}.tar'
        data.epoch_samples=100000

    `path` is a pattern, or a list of them, of files or of URLs that fsspec opens. Nothing in a
    shard is unpickled or run: fields stay bytes until the readers of manifests decode them.
    """

    pairing = (
        " In a tar file the members of a sample lie side by side: 000.jpg, 000.txt, 001.jpg, "
        "001.txt."
    )

    def shards(self) -> tuple[Source, Mapping[int, Sequence[int]]]:
        """The tar files; a mapping names those of each split."""
        if isinstance(self.path, Mapping):
            check_given(self.path, self.wanted)
            urls = {
                part: expanded(self.path[name]) if name in self.path else []
                for part, name in enumerate(SPLITS)
            }
        else:
            urls = {-1: expanded(self.path)}
        flat = [url for part in urls.values() for url in part]
        if lost := not_there(flat):
            first = f"{lost[0]}, and {len(lost) - 1} more" if len(lost) > 1 else lost[0]
            if self.on_error == "raise" or len(lost) == len(flat):
                raise DataError(f"data.path: there is no file {first}.")
        numbers = iter(range(len(flat)))
        shards = {part: list(islice(numbers, len(own))) for part, own in urls.items()}
        return TarShards(flat, self.fields(), self.options), shards
