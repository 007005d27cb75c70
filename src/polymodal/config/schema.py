"""The types of the settings that are no `_target_`: the root of the config and the ranges of the
trainer.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from polymodal.types import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Seed,
    Threads,
)

Node = dict[str, Any]


class TrainerConfig(BaseModel):
    """Ranges of Lightning's Trainer that its own signature does not state."""

    model_config = ConfigDict(extra="allow", strict=True)

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"] = "auto"
    devices: Literal["auto", -1] | Threads | list[NonNegativeInt] = "auto"
    max_epochs: PositiveInt | None | Literal["auto"] = None
    min_epochs: PositiveInt | None = None
    max_steps: Literal[-1] | NonNegativeInt = -1
    accumulate_grad_batches: PositiveInt = 1
    gradient_clip_val: NonNegativeFloat | None = None
    precision: Any = "32-true"  # see `polymodal.config.training`, as for some of the others
    num_nodes: PositiveInt = 1
    log_every_n_steps: PositiveInt | None = None
    check_val_every_n_epoch: PositiveInt | None = 1
    val_check_interval: PositiveFloat | PositiveInt | None = None
    plugins: list[Node] | Node | None = None
    num_sanity_val_steps: Literal[-1] | NonNegativeInt | None = None


class OptimizerConfig(BaseModel):
    """Ranges that torch's optimizers check only when they are built."""

    model_config = ConfigDict(extra="allow", strict=True)

    lr: NonNegativeFloat | None | Literal["auto"] = None
    weight_decay: NonNegativeFloat | None = None


class TuningConfig(BaseModel):
    """How one encoder is trained; see `polymodal.training.tuning`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    freeze: bool | PositiveInt | str | list[str] = False
    unfreeze_at: PositiveInt | None = None
    lr: NonNegativeFloat | None = None
    weight_decay: NonNegativeFloat | None = None
    weights: str | None = None
    cache: str | None = None


class Config(BaseModel):
    """The root. `encoder` is modality -> node; every other group is one node, `callbacks` and
    `logger` several.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    task: str
    name: str
    seed: Seed
    run_dir: str
    resume: str | None = None
    dim: PositiveInt
    label: str | None
    outputs: PositiveInt | None | Literal["auto"]
    test: bool
    control: bool = True
    monitor: str
    monitor_mode: Literal["min", "max", "auto"]
    threads: Threads | None
    accumulate: PositiveInt
    tf32: bool = True
    compile: bool | Literal["dynamic"] = False
    activation_checkpointing: bool = False
    data: Node
    encoder: dict[str, Node]
    fusion: Node | None
    head: Node | None
    missing: Node | None
    tuning: dict[str, TuningConfig]
    objective: Node
    optimizer: OptimizerConfig
    scheduler: Node | None
    trainer: TrainerConfig
    metrics: dict[str, Node | None] | None = None
    callbacks: dict[str, Node | None] | None
    logger: dict[str, Node | None] | None
