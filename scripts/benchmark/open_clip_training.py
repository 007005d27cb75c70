"""Training steps of open_clip 3.3.0 against ours: the same towers, samples, order and optimizer; in
turns, in one run.

    python scripts/benchmark/open_clip_training.py [steps=50] [batch=32] [rounds=3] [width=256]
    [layers=4] [size=224]
        [precisions=fp32,bf16]

Theirs is open_clip's own `train_one_epoch` with `ClipLoss` and torch's AdamW; ours is Lightning
with our module and objective. The towers are a ViT-B/32 and a text transformer of open_clip, scaled
down, with the same first weights.

- `tensors`: images and 77 tokens a caption lie in memory. The loss curves must agree.
- `captions`: images are bytes, captions are text (Unicode names). Theirs tokenizes and normalises
  each sample when it is loaded, and pads captions to 77, as open_clip does; ours pads to the
  longest caption of the batch and normalises bytes in batches. Start-up is in neither, and to it
  belong the tokens of ours, which are made once (20,000 captions a second).

In bf16 the losses differ: open_clip's unit vectors and logits are in bf16, ours in fp32. How far
each is from the fp32 curve is printed too.
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import tempfile
import time
import unicodedata
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# for `arguments`, which knows where src is
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import open_clip
import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer
from open_clip.loss import ClipLoss
from open_clip_train.train import train_one_epoch
from PIL import Image
from safetensors.torch import save_model
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms import Compose, Normalize, ToTensor

from arguments import arguments
from polymodal.batch import PAD, PairedBatch
from polymodal.encoders.image.open_clip import OpenCLIP as ImageTower
from polymodal.encoders.text.open_clip import OpenCLIP as TextTower
from polymodal.model import MultimodalModel
from polymodal.module import MultimodalModule
from polymodal.objectives.clip import CLIP
from polymodal.training.process import prepare_process

MEAN, STD = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
PRECISIONS = {"fp32": ("fp32", "32-true"), "bf16": ("amp_bf16", "bf16-mixed")}
OPTIONS = {"lr": 5e-4, "betas": (0.9, 0.98), "eps": 1e-6, "weight_decay": 0.2}
Result = tuple[float, list[float]]
"""Seconds, and the loss of each step."""


class Samples:
    """Pictures of noise and names of characters, as bytes and text."""

    def __init__(self, count: int, size: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randint(
            256, (count, 3, size, size), generator=generator, dtype=torch.uint8
        )
        names = (unicodedata.name(chr(code), "") for code in range(33, 10**5))
        self.captions = [f"a picture of {name.lower()}" for name in names if name][:count]

    def __len__(self) -> int:
        return len(self.captions)


class Theirs(torch.utils.data.Dataset):
    """A sample at a time, as open_clip's CSV data set gives them, but for reading and cutting the
    picture.
    """

    def __init__(self, samples: Samples) -> None:
        self.captions, self.tokenize = samples.captions, open_clip.get_tokenizer("ViT-B-32")
        self.images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in samples.images]
        self.transform = Compose([ToTensor(), Normalize(MEAN, STD)])

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.transform(self.images[index]), self.tokenize([self.captions[index]])[0]


class Ours(LightningDataModule):
    """A batch at a time."""

    def __init__(self, samples: Samples, batch: int) -> None:
        super().__init__()
        self.samples, self.batch = samples, batch

    def train_dataloader(self) -> DataLoader:
        self.ids = open_clip.get_tokenizer("ViT-B-32")(self.samples.captions)
        return DataLoader(
            self,
            sampler=torch.arange(len(self.samples)).split(self.batch),
            batch_size=None,
            collate_fn=lambda batch: batch,
        )

    def __getitem__(self, rows: Tensor) -> PairedBatch:
        longest = int((self.ids[rows] != PAD).sum(1).max())
        return paired(self.samples.images[rows], self.ids[rows, :longest], rows)

    def on_after_batch_transfer(self, batch: PairedBatch, dataloader_idx: int) -> PairedBatch:
        images = batch.inputs["image"]
        if images.dtype == torch.uint8:
            mean, std = (
                255 * images.new_tensor(v, dtype=torch.float32)[:, None, None] for v in (MEAN, STD)
            )
            batch.inputs["image"] = (images - mean) / std
        return batch


def paired(images: Tensor, ids: Tensor, rows: Tensor) -> PairedBatch:
    return PairedBatch({"image": images, "text": ids}, {"image": rows, "text": rows}, rows, rows)


class Known(LightningDataModule):
    """Batches that lie in memory."""

    def __init__(self, batches: list[PairedBatch]) -> None:
        super().__init__()
        self.batches = batches

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.batches, batch_size=None, collate_fn=lambda batch: batch)


class Losses(Callback):
    """Keeps the loss of each step, and when the first one began."""

    def on_train_epoch_start(self, *_: Any) -> None:
        self.losses: list[Tensor] = []
        self.start = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, module: MultimodalModule, outputs: Any, *_: Any
    ) -> None:
        self.losses.append(outputs["loss"].detach())


def write_model(folder: str, settings: dict[str, int]) -> str:
    """The name of a CLIP of open_clip with random weights, which both sides start from."""
    width, layers = settings["width"], settings["layers"]
    vision = {
        "image_size": settings["size"],
        "layers": layers,
        "width": width,
        "patch_size": 32,
        "head_width": 64,
    }
    text = {
        "context_length": 77,
        "vocab_size": 49408,
        "width": width,
        "heads": width // 64,
        "layers": layers,
    }
    config = {"embed_dim": width, "vision_cfg": vision, "text_cfg": text, "custom_text": True}
    Path(folder, "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": {}})
    )
    name = f"local-dir:{folder}"
    torch.manual_seed(0)
    save_model(open_clip.create_model(name), f"{folder}/open_clip_model.safetensors")
    return name


def theirs(name: str, loader: Any, settings: dict[str, int], precision: str) -> Result:
    losses: list[Tensor] = []

    def loss(**output: Any) -> dict[str, Tensor]:
        result = ClipLoss()(**output)
        losses.append(next(iter(result.values())).detach())
        return result

    model = open_clip.create_model(name, output_dict=True)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": others, "weight_decay": 0.0}, {"params": decayed}]
    optimizer = torch.optim.AdamW(groups, **OPTIONS)
    loader.num_batches = settings["steps"]
    loader.num_samples = settings["steps"] * settings["batch"]
    data = {"train": Namespace(dataloader=loader, set_epoch=lambda _: None)}
    told = {
        "device": "cpu",
        "precision": precision,
        "distill": False,
        "accum_freq": 1,
        "skip_scheduler": True,
    }
    told |= {
        "horovod": False,
        "grad_clip_norm": None,
        "log_every_n_steps": 10,
        "batch_size": settings["batch"],
    }
    told |= {"world_size": 1, "rank": 0, "local_rank": 0, "wandb": False}
    start = time.perf_counter()
    train_one_epoch(model, data, loss, 0, optimizer, None, None, None, Namespace(**told))
    return time.perf_counter() - start, [float(value) for value in losses]


def ours(name: str, data: LightningDataModule, settings: dict[str, int], precision: str) -> Result:
    optimizer = partial(torch.optim.AdamW, fused=True, **OPTIONS)
    image = ImageTower(settings["width"], name, image_size=settings["size"])
    encoders = {"image": image, "text": TextTower(settings["width"], name, tokenizer=name)}
    module = MultimodalModule(MultimodalModel(encoders), CLIP(list(encoders)), optimizer)
    kept = Losses()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    quiet |= {"enable_progress_bar": False, "use_distributed_sampler": False}
    trainer = Trainer(
        accelerator="cpu",
        max_steps=settings["steps"],
        precision=precision,
        callbacks=[kept],
        **quiet,
    )
    trainer.fit(module, datamodule=data)
    return time.perf_counter() - kept.start, [float(value) for value in kept.losses]


class InMemory(list):
    """A list that takes the attributes that open_clip asks of a loader."""


def tensors(
    samples: Samples, settings: dict[str, int]
) -> tuple[Callable[[], Any], Callable[[], LightningDataModule]]:
    data, batches, known = Theirs(samples), InMemory(), []
    for rows in torch.arange(len(samples)).split(settings["batch"]):
        images, ids = (
            torch.stack(parts) for parts in zip(*(data[row] for row in rows.tolist()), strict=True)
        )
        batches.append((images, ids))
        known.append(paired(images, ids, rows))
    return lambda: batches, lambda: Known([copy.copy(batch) for batch in known])


def captions(
    samples: Samples, settings: dict[str, int]
) -> tuple[Callable[[], Any], Callable[[], LightningDataModule]]:
    data, batch = Theirs(samples), settings["batch"]
    return lambda: DataLoader(data, batch_size=batch), lambda: Ours(samples, batch)


def apart(curve: list[float], other: list[float]) -> float:
    """The largest difference of two loss curves."""
    return max(abs(a - b) for a, b in zip(curve, other, strict=True))


def compare(
    case: Callable[..., Any],
    samples: Samples,
    model: str,
    settings: dict[str, int],
    precisions: list[str],
) -> None:
    """Both in turns, and how many times as fast ours is."""
    loader, data = case(samples, settings)
    exact: list[float] | None = None
    for name in precisions:
        their_name, our_name = PRECISIONS[name]
        ratios: list[float] = []
        curves: list[list[float]] = []
        for turn in range(settings["rounds"]):
            runs: list[Callable[[], Result]] = [
                lambda loader=loader, p=their_name: theirs(model, loader(), settings, p),
                lambda data=data, p=our_name: ours(model, data(), settings, p),
            ]
            order = (0, 1) if turn % 2 == 0 else (1, 0)
            results = {index: runs[index]() for index in order}
            ratios.append(results[0][0] / results[1][0])
            curves = [results[0][1], results[1][1]]
        speed = settings["steps"] * settings["batch"] / results[1][0]
        middle = (
            f"{statistics.median(ratios):.2f} (lowest {min(ratios):.2f}, highest {max(ratios):.2f})"
        )
        print(
            f"{case.__name__:9}{name}: ours {speed:.0f} samples/s, {middle} x open_clip; ", end=""
        )
        print(f"losses at most {apart(*curves):.1e} apart", flush=True)
        if name == "fp32":
            exact = curves[0]
        elif exact is not None:
            away = [apart(curve, exact) for curve in curves]
            print(
                f"{'':9}{name}: from the fp32 losses open_clip {away[0]:.1e}, ours {away[1]:.1e}",
                flush=True,
            )


def main() -> None:
    defaults = {
        "steps": "50",
        "batch": "32",
        "rounds": "3",
        "width": "256",
        "layers": "4",
        "size": "224",
    }
    given = arguments(__doc__, {**defaults, "precisions": "fp32,bf16"})
    settings = {key: int(given[key]) for key in defaults}
    prepare_process({"seed": 0, "threads": None})
    samples = Samples(settings["steps"] * settings["batch"], settings["size"])
    with tempfile.TemporaryDirectory() as folder:
        model = write_model(folder, settings)
        for case in (tensors, captions):
            compare(case, samples, model, settings, given["precisions"].split(","))


if __name__ == "__main__":
    main()
