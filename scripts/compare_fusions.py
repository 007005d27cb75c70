"""Every fusion on data whose interactions are known, beside unimodal, random and linear controls.

    python scripts/compare_fusions.py [data=mfeat,pid,xor] [seeds=10] [jobs=2] [only=concat,late]
    [folder=logs/compare]

`only` names fusions, `controls`, or `none`. Default seeds: 10 for mfeat, 5 for pid, 3 for xor.

mfeat: six real views of handwritten digits, a new stratified split a seed. pid: redundancy,
uniqueness, synergy and xor of two generated modalities. xor: contrastive objectives on three-way
XOR at several p. The checkpoint of each run is chosen on the validation split. Writes, for each, a
CSV with every run and a Markdown table: mean and standard deviation over seeds, and the mean
difference to concat on the same seeds with its standard error. What was computed before is not
computed again with the same commit. The regression is fitted on training and validation samples, of
which the runs use the second to choose.
"""

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from rich.progress import Progress

from arguments import arguments

ROOT = Path(__file__).resolve().parents[1]
QUIET = [
    "callbacks=[checkpoint]",
    "logger=none",
    "++trainer.enable_progress_bar=false",
    "threads=1",
]
NO_HEAD = {"late"}
SIX = {"tensor": ["++fusion.width=4"]}
"""What a fusion needs at six modalities: a tensor of 17 ** 6 numbers is refused."""
FUSIONS = {file.stem for file in (ROOT / "configs" / "fusion").glob("*.yaml")} - {
    "none",
    "single",
    "random_modality",
}
VARIANTS = {
    "gated": ["modality", "feature"],
    "late": ["mean", "weighted", "product", "evidential"],
}
ARGUMENT = {"gated": "gate", "late": "combine"}
PID = ["redundancy", "uniqueness0", "uniqueness1", "synergy", "xor"]
XOR_P = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]

Job = tuple[str, str, int, tuple[str, ...]]
"""Data, name of the method, seed, overrides."""


def fusions() -> dict[str, list[str]]:
    """Method -> what chooses it: every option of the group, with its variants."""
    result = {}
    for name in sorted(FUSIONS):
        chosen = [f"fusion={name}", *(["head=none"] if name in NO_HEAD else [])]
        for variant in VARIANTS.get(name, [""]):
            key = f"{name} ({variant})" if variant else name
            result[key] = [*chosen, *([f"++fusion.{ARGUMENT[name]}={variant}"] if variant else [])]
    return result


def controls(modalities: list[str]) -> dict[str, list[str]]:
    """One modality alone, a random one, and a logistic regression on all columns side by side."""
    single = {f"only {name}": ["fusion=single", f"++fusion.modality={name}"] for name in modalities}
    return {
        **single,
        "random modality": ["fusion=random_modality"],
        "concat + logistic regression": ["linear"],
    }


def jobs_of(data: str, seeds: int, only: list[str]) -> list[Job]:
    """All runs on one kind of data."""
    if data == "xor":
        experiments = {
            "Symile": "xor_symile",
            "fused term": "xor_fused",
            "pairwise InfoNCE": "xor_pairs",
        }
        cases = {
            f"{name} p={p}": [f"experiment={experiment}", f"++data.p={p}"]
            for name, experiment in experiments.items()
            for p in XOR_P
        }
        sets = {"xor": cases}
    elif data == "pid":
        methods = fusions() | controls(["first", "second"])
        sets = {
            f"pid {setting}": {
                n: ["experiment=pid_concat", f"++data.setting={setting}", *m]
                for n, m in methods.items()
            }
            for setting in PID
        }
    else:
        methods = fusions() | controls(["pix", "fou", "fac", "zer", "kar", "mor"])
        sets = {
            "mfeat": {
                n: ["experiment=mfeat_concat", *m, *SIX.get(n, [])] for n, m in methods.items()
            }
        }
    return [
        (name, method, seed, tuple(overrides))
        for name, methods in sets.items()
        for method, overrides in methods.items()
        if not only or kind_of(method) in only
        for seed in range(seeds)
    ]


def kind_of(method: str) -> str:
    """The fusion of a method, or `controls`."""
    fusion = method.split(" ")[0]
    return fusion if fusion in FUSIONS and "logistic" not in method else "controls"


def run(job: Job) -> dict[str, float]:
    """One training and its test, in a process of its own with one thread."""
    name, _, seed, overrides = job
    import logging
    import warnings

    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    from polymodal.config.check import check_config
    from polymodal.config.compose import compose_config
    from polymodal.training.build import build, make
    from polymodal.training.process import prepare_process
    from polymodal.training.run import load_best, logged_metrics

    settings = [override for override in overrides if override != "linear"]
    with tempfile.TemporaryDirectory() as folder:
        grid = ["++callbacks.robustness.subsets=false", "++callbacks.robustness.noise=[]"]
        robust = ["callbacks=[checkpoint,robustness]", *grid] if name == "mfeat" else []
        composed = compose_config(
            [*settings, *QUIET, *robust, f"seed={seed}", f"++run_dir={folder}"]
        )
        config = check_config(composed)
        prepare_process(config)
        if "linear" in overrides:
            return {"test/accuracy": linear(make(config["data"], "data"), config["label"])}
        data, module, trainer = build(config, config)
        trainer.fit(module, datamodule=data)
        load_best(trainer, module)
        trainer.test(module, datamodule=data, verbose=False)
        return {
            key: value for key, value in logged_metrics(trainer).items() if key.startswith("test/")
        }


def linear(data, label: str) -> float:
    """Test accuracy of a logistic regression on all columns."""
    import numpy as np
    import torch
    from sklearn.linear_model import LogisticRegression

    data.setup()
    parts = [
        (torch.cat(list(part.inputs.values()), 1).numpy(), part.labels[label].numpy())
        for part in (data.train_set, data.val_set, data.test_set)
    ]
    fitted = LogisticRegression(max_iter=1000).fit(
        *(np.concatenate(pair) for pair in zip(*parts[:2], strict=True))
    )
    return float(fitted.score(*parts[2]))


def run_all(jobs: list[Job], processes: int, store: Path) -> dict[Job, dict[str, float]]:
    """Metrics of every job; each is kept in `store` as soon as it is there, and taken from it
    another time.
    """
    known = {}
    if store.exists():
        for line in store.read_text().splitlines():
            row = json.loads(line)
            known[row["data"], row["method"], row["seed"], tuple(row["overrides"])] = row["metrics"]
    open_jobs = [job for job in jobs if job not in known]
    with (
        ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool,
        store.open("a") as stream,
        Progress() as progress,
    ):
        task = progress.add_task("Runs", total=len(open_jobs))
        futures = {pool.submit(run, job): job for job in open_jobs}
        for future in as_completed(futures):
            job = futures[future]
            try:
                known[job] = future.result()
            except Exception as error:
                progress.console.print(f"failed: {job[0]}, {job[1]}, seed {job[2]}: {error}")
            else:
                row = dict(zip(("data", "method", "seed", "overrides"), job, strict=True)) | {
                    "metrics": known[job]
                }
                stream.write(json.dumps(row) + "\n")
                stream.flush()
            progress.advance(task)
    return {job: known[job] for job in jobs if job in known}


def table(
    name: str, metrics: dict[Job, dict[str, float]], columns: dict[str, str], folder: Path
) -> None:
    """Writes and prints one table: methods by mean of the first column."""
    methods: dict[str, dict[int, dict[str, float]]] = {}
    for job, values in metrics.items():
        if job[0] == name:
            methods.setdefault(job[1], {})[job[2]] = values
    first = next(iter(columns))
    base = methods.get("concat", {})

    def cell(runs: dict[int, dict[str, float]], key: str) -> str:
        values = [values[key] for values in runs.values() if key in values]
        if not values:
            return ""
        spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
        return f"{statistics.mean(values):.3f}{spread}"

    def against(runs: dict[int, dict[str, float]]) -> str:
        gains = [runs[seed][first] - base[seed][first] for seed in runs if seed in base]
        if len(gains) < 2 or runs is base:
            return ""
        return f"{statistics.mean(gains):+.3f} ± {statistics.stdev(gains) / len(gains) ** 0.5:.3f}"

    ranked = sorted(
        methods.items(), key=lambda item: -statistics.mean(v[first] for v in item[1].values())
    )
    rows = [
        [method, str(len(runs)), *(cell(runs, key) for key in columns), against(runs)]
        for method, runs in ranked
    ]
    header = ["method", "seeds", *columns.values(), "against concat"]
    lines = [header, ["---"] * len(header), *rows]
    text = "\n".join("| " + " | ".join(row) + " |" for row in lines)
    (folder / f"{name.replace(' ', '_')}.md").write_text(f"{name}\n\n{text}\n")
    print(f"\n{name}\n\n{text}")
    with (folder / f"{name.replace(' ', '_')}.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["method", "seed", *columns])
        for method, runs in ranked:
            writer.writerows(
                [method, seed, *(values.get(key, "") for key in columns)]
                for seed, values in runs.items()
            )


def draw_xor(metrics: dict[Job, dict[str, float]], file: Path) -> None:
    """Accuracy against p, a line an objective, beside what was published for Symile."""
    from polymodal.report.style import plot

    points: dict[str, dict[float, list[float]]] = {}
    for job, values in metrics.items():
        method, _, p = job[1].rpartition(" p=")
        points.setdefault(method, {}).setdefault(float(p), []).append(
            values["test/rest_to_b/recall@1"]
        )
    with plot(file, size=(5.5, 3.6)) as axes:
        # two lie on each other
        for style, (method, line) in zip(("o-", "s--", "^:"), points.items(), strict=True):
            axes.plot(
                list(line),
                [statistics.mean(values) for values in line.values()],
                style,
                label=method,
            )
        published = [0.03, 0.21, 0.41, 0.61, 0.80, 1.0]
        axes.plot(XOR_P, published, "k+", markersize=9, label="Symile, as published")
        axes.set(
            xlabel="p, how often c = a XOR b",
            ylabel="b found from a and c, of 32",
            title="Three-way XOR",
        )
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)


def commit() -> str:
    """Of the code that runs; with changes that are not committed nothing is taken from earlier
    runs.
    """

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "src", "configs", "scripts")
    commit = git("rev-parse", "--short", "HEAD") or "unknown"
    return f"{commit}-{time.time():.0f}" if changed else commit


def main() -> None:
    settings = arguments(
        __doc__,
        {"data": "mfeat,pid,xor", "seeds": "", "jobs": "2", "only": "", "folder": "logs/compare"},
    )
    os.environ["OMP_NUM_THREADS"] = "1"
    folder = Path(settings["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    only = [name for name in settings["only"].split(",") if name]
    if unknown := set(only) - FUSIONS - {"controls", "none"}:
        sys.exit(
            f"error: only={','.join(sorted(unknown))}: there are {', '.join(sorted(FUSIONS))}, "
            "controls."
        )
    seeds = {"mfeat": 10, "pid": 5, "xor": 3}
    failed = False
    accuracy = {"test/accuracy": "accuracy"}
    missing = {
        f"test/missing_{rate}/accuracy": f"{rate} missing" for rate in (0.1, 0.2, 0.3, 0.4, 0.5)
    }
    for data in settings["data"].split(","):
        if data not in seeds:
            sys.exit(f"error: data={data}: there are {', '.join(seeds)}.")
        jobs = jobs_of(data, int(settings["seeds"] or seeds[data]), [] if data == "xor" else only)
        metrics = run_all(jobs, int(settings["jobs"]), folder / f"runs-{commit()}.jsonl")
        failed = failed or len(metrics) < len(jobs)
        for name in dict.fromkeys(job[0] for job in jobs):
            columns = {"test/rest_to_b/recall@1": "accuracy"} if data == "xor" else accuracy
            table(name, metrics, columns | missing if data == "mfeat" else columns, folder)
        if data == "xor":
            draw_xor(metrics, folder / "xor.png")
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
