"""A training stream goes on at exactly the batch at which it was stopped."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from tests.data.shards import by_split, ready, sample, write_shard, write_shards
from torch import nn

from polymodal.batch import PairedBatch
from polymodal.data.stream.skips import SEEN, ReadCounter, StreamSkips, counts_to_go_on
from polymodal.data.synthetic import Synthetic
from polymodal.data.webdataset import WebDataset
from polymodal.errors import ConfigError
from polymodal.training.checkpoints.files import position_of

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[str]:
    return write_shards(tmp_path_factory.mktemp("shards"), [7, 5, 9, 6])


@pytest.fixture(scope="module")
def dirty(tmp_path_factory) -> list[str]:
    """Shards with broken images, two of which are the last samples, and a shard that ends too
    early."""
    folder = tmp_path_factory.mktemp("dirty")
    faults = dict.fromkeys((2, 5, 13, 19, 25, 26), b"") | {9: b"no image"}
    samples = [sample(n) | ({"png": faults[n]} if n in faults else {}) for n in range(27)]
    parts = [samples[:7], samples[7:12], samples[12:21], samples[21:]]
    files = [write_shard(folder / f"{n}.tar", part) for n, part in enumerate(parts)]
    content = files[1].read_bytes()
    files[1].write_bytes(content[: int(len(content.rstrip(b"\0")) * 0.9)])
    return list(map(str, files))


TRAINS = SimpleNamespace(training=True, global_rank=0, world_size=1)


def ids(batches) -> list[list[int]]:
    return [batch.id.tolist() for batch in batches]


@pytest.mark.parametrize("epoch_samples", [None, 30])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_goes_on(files: list[str], workers: int, epoch_samples: int | None) -> None:
    make = partial(
        ready, by_split(files), num_workers=workers, epoch_samples=epoch_samples, shuffle_buffer=5
    )
    loader = make().train_dataloader()
    epochs = []
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        epochs.append(ids(loader))
    assert epochs[0] != epochs[1]
    for given in (1, 4, len(epochs[1])):
        data = make()
        data.position = (1, given)
        # asked outside of training, such as by a probe in the test
        assert ids(data.train_dataloader()) == epochs[0]
        data.trainer = TRAINS
        rest = data.train_dataloader()
        assert ids(rest) == epochs[1][given:]
        rest.sampler.set_epoch(2)
        assert ids(rest) == epochs[2]


class Diary(LightningModule):
    """Notes which samples each step has; leaves a checkpoint after some steps and at the end of
    each epoch."""

    def __init__(self, folder: Path, steps: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.weight, self.folder, self.steps = nn.Parameter(torch.zeros(())), folder, steps
        self.batches: list[list[int]] = []
        self.left_out: list[dict[str, int]] = []

    def training_step(self, batch: PairedBatch, batch_idx: int) -> torch.Tensor:
        self.batches.append(batch.id.tolist())
        return self.weight * len(batch)

    def validation_step(self, batch: PairedBatch, batch_idx: int) -> None:
        assert len(batch)

    def on_train_batch_end(self, outputs: object, batch: PairedBatch, batch_idx: int) -> None:
        if self.global_step in self.steps:
            self.trainer.save_checkpoint(self.folder / f"step_{self.global_step}.ckpt")

    def on_train_epoch_end(self) -> None:
        self.left_out.append(self.trainer.datamodule.skips["train"].counts())
        if self.steps:
            self.trainer.save_checkpoint(self.folder / f"epoch_{self.global_step}.ckpt")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(diary: Diary, data: WebDataset, checkpoint: Path | None = None, **options: object) -> Diary:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "accelerator": "cpu", "num_sanity_val_steps": 0}
    if checkpoint is not None:
        data.position = position_of(torch.load(checkpoint, weights_only=True))
    trainer = Trainer(max_epochs=3, use_distributed_sampler=False, **quiet, **options)
    trainer.fit(diary, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    return diary


@pytest.mark.parametrize("epoch_samples", [None, 20])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_goes_on_and_counts_on(
    dirty: list[str], workers: int, epoch_samples: int | None, tmp_path: Path
) -> None:
    options = {
        "num_workers": workers,
        "epoch_samples": epoch_samples,
        "on_error": "skip",
        "max_bad_fraction": 0.6,
    }
    make = partial(ready, by_split(dirty, dirty[0]), **options)
    every = {} if epoch_samples is None else {"val_check_interval": 2}
    whole = fit(Diary(tmp_path, tuple(range(1, 16))), make(), **every)
    assert len({str(batch) for batch in whole.batches}) == len(whole.batches)
    assert epoch_samples or whole.left_out[2] == {
        "empty file": 18,
        "damaged file": 3,
        "damaged shard": 3,
    }
    assert len({str(counts) for counts in whole.left_out}) == 3
    wanted = sorted(tmp_path.glob("*.ckpt"), key=lambda file: file.stat().st_mtime)
    assert len(wanted) > 12
    for file in wanted if workers == 0 else wanted[1::6]:
        rest = fit(Diary(tmp_path), make(), file, **every)
        assert rest.batches == whole.batches[int(file.stem.split("_")[1]) :], file.stem
        assert rest.left_out == whole.left_out[3 - len(rest.left_out) :], file.stem


def test_a_batch_and_a_validation_at_work_are_counted_when_they_come_again() -> None:
    skips = {name: StreamSkips(1.0) for name in ("train", "val")}
    for name, skip in skips.items():
        for number in (1, 2, 3):
            read = ReadCounter("skip")
            read.count()
            skip.use(read.taken()._replace(split=name, number=number, first=number == 1))

    def seen(ready: int, completed: int) -> tuple[int, ...]:
        progress = SimpleNamespace(current=SimpleNamespace(ready=ready))
        validation = SimpleNamespace(current=SimpleNamespace(ready=3, completed=completed))
        loop = SimpleNamespace(
            batch_progress=progress, val_loop=SimpleNamespace(batch_progress=validation)
        )
        counts = counts_to_go_on(skips, SimpleNamespace(fit_loop=SimpleNamespace(epoch_loop=loop)))
        return tuple(int(counts[name][SEEN]) for name in ("train", "val"))

    assert seen(3, 3) == (3, 3)
    assert seen(2, 3) == (2, 3)
    assert seen(3, 0) == (3, 0)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"num_workers": 1}, "data.num_workers=0"),
        ({"batch_size": 5}, "data.batch_size=4"),
        (
            {"epoch_samples": None, "shuffle_buffer": 7},
            "data.shuffle_buffer=2000, data.epoch_samples=30",
        ),
        ({"world_size": 2}, "number of processes=1"),
    ],
)
def test_an_epoch_goes_on_only_as_it_was_divided(
    files: list[str], changes: dict, told: str
) -> None:
    begun = ready(by_split(files), epoch_samples=30)
    options = {"epoch_samples": 30} | changes
    world_size = options.pop("world_size", 1)
    data = ready(by_split(files), **options)
    data.load_state_dict(begun.state_dict())
    data.position = (1, 2)
    data.test_dataloader()  # as a stored run is evaluated
    data.trainer = SimpleNamespace(**vars(TRAINS) | {"world_size": world_size})
    with pytest.raises(
        ConfigError, match=f"stopped within an epoch.* Resume it as it began: {told}\\."
    ):
        data.train_dataloader()
    data.position = (2, 0)
    data.train_dataloader()


def test_a_table_s_epoch_goes_on_only_with_the_same_batch_size() -> None:
    begun, data = (Synthetic(batch_size=size) for size in (8, 16))
    for one in (begun, data):
        one.setup()
        one.load_state_dict(begun.state_dict())
        one.position, one.trainer = (0, 3), SimpleNamespace(**vars(TRAINS) | {"world_size": 2})
    begun.train_dataloader()
    with pytest.raises(ConfigError, match="Resume it as it began: data.batch_size=8"):
        data.train_dataloader()
