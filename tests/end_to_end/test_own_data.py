"""A researcher's own table trains with one `data=` choice."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests.data.manifests import make_pairs, write_csv
from tests.end_to_end.test_experiments import QUIET, run

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.cli.programs import PredictSettings
from polymodal.errors import ConfigError, DataError
from polymodal.inference.evaluate import evaluate
from polymodal.inference.predict import main as predict

SMALL = [
    "data.image_size=16",
    "data.num_workers=0",
    "data.vocab_size=300",
    "debug=fast",
    "data.batch_size=16",
]
PAIR = ["data.columns.image=filepath", "data.columns.text=caption"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    rows = make_pairs(folder, 120)
    rows[3]["caption"] = rows[4]["filepath"] = ""
    return write_csv(folder / "pairs.csv", rows)


def chosen(pairs: Path, *more: str) -> list[str]:
    plus = [f"++{word}" if word.startswith("data.") else word for word in (*SMALL, *PAIR, *more)]
    return ["data=manifest", f"++data.path={pairs}", "callbacks=[checkpoint]", *plus, *QUIET]


def test_pairs_of_a_table_are_aligned_and_judged_again(
    pairs: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    metrics = run(
        tmp_path / "run", *chosen(pairs, "data.num_workers=1", f"data.image_cache={tmp_path}/cache")
    )
    assert metrics["train/loss"] > 0
    assert 0 <= metrics["test/image_to_text/recall@1"] <= 1
    again = evaluate(tmp_path / "run", ["devices=cpu"])
    # debug=fast tests some batches of the weights at the end, which are the best ones after one
    # epoch
    assert again["test/image_to_text/recall@1"] == pytest.approx(
        metrics["test/image_to_text/recall@1"]
    )


def test_a_table_is_classified(pairs: Path, tmp_path: Path) -> None:
    supervised = [
        "objective=classification",
        "fusion=concat",
        "head=linear",
        "outputs=4",
        "data.columns.label=class",
    ]
    table = ["data.columns.tabular=[value]", "data.numeric=1", "encoder/tabular=mlp"]
    metrics = run(tmp_path, *chosen(pairs, *supervised, *table, "data.flip=0.5", "data.shift=0.1"))
    assert np.isfinite(metrics["train/loss"])
    assert 0 <= metrics["test/accuracy"] <= 1


def test_a_metric_of_torchmetrics_is_in_training_evaluation_and_prediction(
    pairs: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    supervised = ["objective=classification", "data.columns.label=class", "outputs=4"]
    f1 = ["+metrics.again._target_=torchmetrics.classification.MulticlassF1Score"]
    metrics = run(tmp_path / "run", *chosen(pairs, *supervised, "metrics=[default,f2]", *f1))
    assert 0 <= metrics["test/f2"] <= 1
    assert 0 <= metrics["test/again"] <= 1
    more = "+metrics.kappa._target_=torchmetrics.classification.MulticlassCohenKappa"
    again = evaluate(tmp_path / "run", ["devices=cpu", more])
    assert again["test/f2"] == pytest.approx(metrics["test/f2"])
    assert -1 <= again["test/kappa"] <= 1
    capsys.readouterr()
    predict(
        PredictSettings(checkpoint=str(tmp_path / "run"), output=str(tmp_path / "answers.csv")),
        ["data=manifest", f"data.path={pairs}", *PAIR, "data.columns.label=class"],
    )
    assert "f2" in capsys.readouterr().out


def test_a_user_types_columns_as_they_are(pairs: Path, tmp_path: Path) -> None:
    words = ["data=manifest", f"data.path={pairs}", *PAIR, *SMALL, "callbacks=[checkpoint,report]"]
    run(tmp_path, *as_hydra_arguments(words), *QUIET)
    assert (tmp_path / "report" / "image_to_text.png").exists()
    stored = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert stored["Manifest"]["tokenizer"]
    with pytest.raises(ConfigError, match="Did you mean 'caption'"):
        run(tmp_path / "wrong", *as_hydra_arguments([*words, "data.columns.text=captoin"]), *QUIET)
    supervised = [
        "objective=classification",
        "fusion=sum",
        "head=linear",
        "data.columns.label=class",
    ]
    with pytest.raises(DataError, match="4 classes and outputs=2: 'blue', 'green', 'grey', 'red'"):
        run(tmp_path / "few", *as_hydra_arguments([*words, *supervised, "outputs=2"]), *QUIET)


def test_a_label_in_any_unit_is_learned_and_answered_in_it(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=(600, 2))
    price = 250_000 + 40_000 * numbers[:, 0] - 15_000 * numbers[:, 1]  # no noise
    rows = [{"a": a, "b": b, "price": p} for (a, b), p in zip(numbers, price, strict=True)]
    table = write_csv(tmp_path / "prices.csv", rows)
    data = [
        f"data.path={table}",
        "data.columns.tabular=[a,b]",
        "data.numeric=2",
        "data.columns.label=price",
    ]
    words = [
        "data=manifest",
        *data,
        "data.label_kind=value",
        "data.num_workers=0",
        "data.batch_size=32",
    ]
    words += [
        "encoder/image=none",
        "encoder/text=none",
        "encoder/tabular=mlp",
        "dim=32",
        "callbacks=[checkpoint]",
    ]
    words += ["objective=regression", "fusion=sum", "head=linear", "trainer.max_epochs=10"]
    metrics = run(tmp_path / "run", *as_hydra_arguments(words), *QUIET)
    assert metrics["test/r2"] > 0.98
    assert metrics["test/mae"] < 5_000
    predicted = predicted_prices(tmp_path / "run", table, tmp_path / "answers.csv")
    assert np.abs(predicted - price).mean() < 5_000


def predicted_prices(run_dir: Path, table: Path, output: Path) -> np.ndarray:
    changes = [
        "data=manifest",
        f"data.path={table}",
        "data.columns.tabular=[a,b]",
        "data.columns.label=price",
    ]
    predict(
        PredictSettings(checkpoint=str(run_dir), output=str(output)),
        [*changes, "data.label_kind=value"],
    )
    return pd.read_csv(output)["prediction"].to_numpy()


def test_chance_and_a_linear_model_stand_beside_the_result(command, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [{"a": a, "kind": "high" if a > 0 else "low"} for a in generator.normal(size=300)]
    table = write_csv(tmp_path / "kinds.csv", rows)
    words = [
        "data=manifest",
        f"data.path={table}",
        "data.columns.tabular=[a]",
        "data.columns.label=kind",
    ]
    words += [
        "data.numeric=1",
        "encoder/image=none",
        "encoder/text=none",
        "encoder/tabular=mlp",
        "dim=8",
        "outputs=2",
    ]
    words += [
        "objective=classification",
        "fusion=sum",
        "head=linear",
        "callbacks=[checkpoint]",
        "devices=cpu",
    ]
    words += [
        "trainer.max_epochs=1",
        "data.num_workers=0",
        "optimizer.lr=0",
        "experiment=clip_small",
    ]
    run_dir = tmp_path / "run"
    done = command("train.py", *words, f"hydra.run.dir={run_dir}")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert metrics["test/control/linear/accuracy"] > 0.95
    assert 0.3 < metrics["test/control/chance/accuracy"] < 0.75
    assert "A linear model of simple features is better on the test data: accuracy" in done.stdout
    assert re.search(r"test/accuracy +. +0\.\d+ . +(0\.9\d+|1) . +0\.\d+", done.stdout)
    without = command("train.py", *words, f"hydra.run.dir={tmp_path / 'without'}", "control=false")
    assert "A linear model" not in without.stdout
    assert not any(
        "control" in name
        for name in json.loads((tmp_path / "without" / "metrics.json").read_text())
    )


def test_settings_that_follow_the_table_train_and_are_evaluated_again(
    pairs: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    columns = [
        *PAIR,
        "data.columns.tabular=[class,value]",
        "data.num_workers=0",
        "trainer.max_epochs=2",
    ]
    words = ["experiment=own_small", f"data.path={pairs}", *columns, "callbacks=[checkpoint]"]
    metrics = run(tmp_path / "run", *as_hydra_arguments(words), *QUIET)
    stored = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["config"]
    assert stored["data"]["columns"]["tabular"] == ["value", "class"]  # numbers first
    assert (stored["data"]["numeric"], stored["data"]["cardinalities"]) == (1, [4])
    assert list(stored["encoder"]) == ["image", "text", "tabular"]
    again = evaluate(tmp_path / "run", ["devices=cpu"])
    assert again["test/recall@1"] == pytest.approx(metrics["test/recall@1"], abs=0.2)
    other = as_hydra_arguments(
        ["data=manifest", f"data.path={pairs}", *columns[:-1], "data.splits=[0,0,1]"]
    )
    assert np.isfinite(evaluate(tmp_path / "run", [*other, "devices=cpu"])["test/recall@1"])
