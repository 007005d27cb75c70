"""Every experiment trains and is evaluated, and every encoder does so alone: a new one is tested by
being there."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import ROOT
from tests.conftest import SMALL as SMALL_DATA

from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.data.mfeat import VIEWS
from polymodal.training.build import build
from polymodal.training.process import prepare_process
from polymodal.training.run import logged_metrics

EXPERIMENTS = [file.stem for file in sorted((ROOT / "configs" / "experiment").glob("*.yaml"))]
EXPERIMENTS.remove("own_small")  # of a table of one's own: test_own_data
ENCODERS = [
    (folder.name, file.stem)
    for folder in sorted((ROOT / "configs" / "encoder").iterdir())
    for file in sorted(folder.glob("*.yaml"))
    if file.stem not in {"none", "shared", "auto"}
]
SMALL = [f"++{SMALL_DATA}", "++data.vocab_size=400"]
KINDS = ("image", "text", "audio", "video", "tabular")
QUIET = ["logger=none", "++trainer.enable_progress_bar=false", "threads=1", "devices=cpu"]
SHORT = [
    *QUIET,
    "++trainer.max_epochs=1",
    "++trainer.limit_train_batches=1",
    "++trainer.limit_val_batches=1",
]
SHORT += ["++trainer.limit_test_batches=1", "++trainer.log_every_n_steps=1"]


def run(folder: Path, *overrides: str) -> dict[str, float]:
    """Trains and tests in this process; the metrics."""
    config = check_config(compose_config([*overrides, f"++run_dir={folder}"]))
    prepare_process(config)
    data, module, trainer = build(config, config)
    trainer.fit(module, datamodule=data)
    metrics = logged_metrics(trainer)
    trainer.test(module, datamodule=data, verbose=False)
    return metrics | logged_metrics(trainer)


@pytest.fixture(scope="module")
def mfeat(tmp_path_factory) -> Path:
    """Tables as those of the UCI multiple features, with random content."""
    folder, random = tmp_path_factory.mktemp("mfeat"), np.random.default_rng(0)
    for view, columns in VIEWS.items():
        table = np.column_stack([random.normal(3, 5, (200, columns)), np.arange(200) // 20])
        header = ",".join(map(str, range(columns + 1)))
        np.savetxt(folder / f"mfeat-{view}.csv", table, delimiter=",", header=header, comments="")
    return folder


@pytest.fixture(scope="module")
def trained(cache, tmp_path_factory) -> Path:
    """A run folder whose image encoder others may start from."""
    folder = tmp_path_factory.mktemp("trained")
    run(folder, "experiment=clip_small", *SMALL, "callbacks=[checkpoint]", *SHORT)
    return folder


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_trains_and_is_judged(
    experiment: str,
    tmp_path: Path,
    cache,
    mfeat: Path,
    trained: Path,
    request: pytest.FixtureRequest,
) -> None:
    config = compose_config([f"experiment={experiment}", "++run_dir=."])
    target = config.data._target_.rpartition(".")[2]
    small = {"Glyphs": SMALL, "MFeat": [f"++data.path={mfeat}"], "PID": ["++data.size=2000"]}
    given = [f"++tuning.image.weights={trained}"] if experiment == "lit" else []
    if target == "Manifest":
        prepared = request.getfixturevalue(experiment.rpartition("_")[2])
        given = [
            f"++data.path={prepared / Path(config.data.path).name}",
            "++data.vocab_size=400",
            "++data.num_workers=0",
        ]
    # those that clip_small stands for are drawn in test_train, and take seconds
    drawn = target == "Manifest" or not experiment.startswith(("clip_", "siglip_", "lit"))
    chosen = [] if drawn else ["++callbacks.report=null"]
    chosen += ["++data.batch_size=64", *small.get(target, []), *given, *SHORT]
    metrics = run(tmp_path, f"experiment={experiment}", *chosen)
    assert torch.isfinite(torch.tensor(list(metrics.values()))).all()
    assert metrics["train/loss"] > 0
    best = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["config"]["monitor"] in metrics
    assert not drawn or list((tmp_path / "report").iterdir())


def test_a_frozen_encoder_s_vectors_are_kept_and_give_the_same_metrics(
    tmp_path: Path, cache, trained: Path
) -> None:
    chosen = [
        "experiment=lit",
        f"++tuning.image.weights={trained}",
        f"++tuning.image.cache={tmp_path / 'kept'}",
    ]
    chosen += [
        "++data.batch_size=64",
        "++data.shift=0",
        "++data.scale=0",
        "++callbacks.report=null",
        *SMALL,
        *SHORT,
    ]
    first = run(tmp_path / "first", *chosen)
    (file,) = (tmp_path / "kept").rglob("*.safetensors")
    written = file.stat().st_mtime_ns
    second = run(tmp_path / "second", *chosen)
    assert file.stat().st_mtime_ns == written  # everything was known
    for name in (name for name in first if "loss" in name or "recall" in name):
        assert second[name] == pytest.approx(first[name], rel=1e-5), name


@pytest.mark.parametrize(("kind", "name"), ENCODERS)
def test_an_encoder_classifies_alone(kind: str, name: str, tmp_path: Path) -> None:
    others = [f"encoder/{other}=none" for other in KINDS if other != kind]
    chosen = [
        "data=synthetic",
        f"data.modalities=[{kind}]",
        "++data.samples=200",
        "++data.batch_size=16",
    ]
    chosen += [
        "objective=classification",
        "fusion=sum",
        "head=linear",
        "callbacks=[checkpoint]",
        *others,
    ]
    sizes = {"features": ["encoder.tabular.in_features=10"]}.get(name, [])  # 8 numbers and 2 codes
    missing = ["++data.cardinalities=[10,4]"] if kind == "tabular" else []
    if (kind, name) == ("tabular", "features"):
        pytest.skip(
            "reads ready vectors, and synthetic tables have holes: the mfeat experiments run it"
        )
    metrics = run(tmp_path, f"encoder/{kind}={name}", *chosen, *sizes, *missing, *SHORT)
    assert 0 <= metrics["test/accuracy"] <= 1
