"""Trains a tiny run of every two options of two config groups: none may end in a stack trace.

    python scripts/check_pairs.py [factors=all] [processes=6] [limit=0] [keep=<folder>]

The options are read from configs/, so that a new part is crossed with all the others. First each option is tried alone,
then rows of options that hold every pair at least once: each is composed, checked, trained for two batches, validated,
tested and reported in this process, on the CPU. A pair in a row that is refused counts only where it is refused with
default options around it too. At the end some rows run again in two processes (devices=ddp_cpu).

`factors=` takes some of them, such as factors=objective,precision; `processes` is the number of rows that run in two
processes; `limit` ends after so many rows; `keep` writes all outcomes as JSON lines there.
It prints what was refused, and what ended in a stack trace; the exit code is 1 if anything did.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hydra.errors import HydraException
from hydra.utils import get_class
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from arguments import arguments
from covering import Pair, Row, all_pairs, next_row, pairs_of
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.config.explain import CONFIGS, explain, groups
from polymodal.errors import PolymodalError
from polymodal.run import train

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("image", "text", "audio", "video", "tabular")
NONE = "none"

FIRST = {
    "encoder/image": "linear",
    "encoder/text": "bow",
    "fusion": "sum",
    "head": "linear",
    "missing": "mask",
    "objective": "classification",
    "precision": "fp32",
    "debug": NONE,
}
"""Group -> the option that stands where nothing else is asked for; of others, none or the first one."""

LABELS = {
    "classification": [
        "label=class outputs=10",
        "label=class outputs=12",
        "label=class outputs=2 ++data.classes=2",
        "label=class outputs=1 ++data.classes=1",
    ],
    "regression": ["label=value outputs=1", "label=values outputs=3"],
    "multilabel": ["label=tags outputs=3"],
}
"""Objective -> the labels that it is tried with; of others, the classes."""

EXTRA = {
    "callbacks/probe": ["++callbacks.probe.label=class"],
    "callbacks/zero_shot_names": [
        "++callbacks.zero_shot.label=class",
        "++callbacks.zero_shot.templates=['look at the {}']",
    ],
    "encoder/tabular/features": ["encoder.tabular.in_features=10"],
}
"""Option -> what else it needs."""

SWITCHES = {
    "accumulate": ["accumulate=1", "accumulate=2"],
    "activation_checkpointing": ["activation_checkpointing=false", "activation_checkpointing=true"],
    "absent": ["++data.missing=0.0", "++data.missing=0.3"],
}
"""Settings that are no groups, with their values."""

TINY = [
    "data=synthetic",
    "++data.samples=80",
    "++data.batch_size=8",
    "++data.image_size=32",
    "++data.frames=2",
    "++data.cardinalities=[3,4]",
    "++data.vocab_size=300",
    "++data.context_length=16",
    "dim=16",
    "devices=cpu",
    "logger=csv",
    "++trainer.max_epochs=1",
    "++trainer.limit_train_batches=2",
    "++trainer.limit_val_batches=2",
    "++trainer.limit_test_batches=2",
    "++trainer.enable_progress_bar=false",
    "threads=1",
]


class Outcome(NamedTuple):
    """What came of a row.

    Attributes:
        kind: ran, refused or trace.
        message: of what was refused; the last lines of a stack trace.
        seconds: it took.
        words: the command line.
    """

    kind: str
    message: str
    seconds: float
    words: list[str]


def factors_of(options: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Factor -> its options, the default first. An option is what is typed, without the group.

    Args:
        options: config group -> names of its files.
    """
    factors: dict[str, list[str]] = {}
    for kind in KINDS:
        names = options[f"encoder/{kind}"]
        factors[f"encoder/{kind}"] = [name for name in names if name != "shared"]
        if "shared" in names:
            factors[f"twin of {kind}"] = [NONE, "shared"]
    for group in ("fusion", "head", "missing", "precision", "optimizer", "scheduler", "debug"):
        factors[group] = list(options[group])
    factors["objective"] = [
        f"{name} {labels}" for name in options["objective"] for labels in LABELS.get(name, LABELS["classification"][:1])
    ]
    for name in options["callbacks"]:
        if name not in (NONE, "default"):
            factors[f"callbacks/{name}"] = [NONE, name]
    factors |= {name: list(values) for name, values in SWITCHES.items()}
    return {factor: sorted(names, key=partial(_place, factor)) for factor, names in factors.items()}


def _place(factor: str, option: str) -> int:
    """The default first, and last what needs a value that only its user knows."""
    file = CONFIGS / factor / f"{option}.yaml"
    if file.is_file() and "???" in file.read_text():
        return 2
    return int(option.split()[0] != FIRST.get(factor, NONE))


def words_of(row: Row) -> list[str]:
    """A row -> the command line of its run."""
    words, callbacks, extra = list(TINY), [], []
    kinds = {kind: kind for kind in KINDS}
    for factor, option in row.items():
        group, _, name = factor.partition("/")
        extra += EXTRA.get(f"{factor.removesuffix(f'/{option}')}/{option}", [])
        if factor in SWITCHES:
            words.append(option)
        elif group == "callbacks":
            callbacks += [name] if option != NONE else []
        elif factor.startswith("twin of ") and option != NONE:
            kind = factor.removeprefix("twin of ")
            kinds[f"second_{kind}"] = kind
            words.append(f"+encoder/{kind}@encoder.second_{kind}=shared")
            extra.append(f"encoder.second_{kind}.of={kind}")
        elif not factor.startswith("twin of "):
            words += f"{factor}={option}".split()
    modalities = ",".join(f"{name}:{kind}" for name, kind in kinds.items())
    return [
        *words,
        f"callbacks=[{','.join(callbacks)}]" if callbacks else "callbacks=none",
        f"++data.modalities={{{modalities}}}",
        *extra,
    ]


class Rules:
    """What cannot stand together, by the objective and the fusion themselves, and what has been found out.

    Args:
        options: config group -> names of its files.
    """

    def __init__(self, options: Mapping[str, Sequence[str]]) -> None:
        self.compares = {name for name in options["objective"] if not _reads_y(name)}
        self.answers = {name for name in options["fusion"] if "outputs" in _node("fusion", name)}
        self.refused: set[Pair] = set()
        self.order: list[str] = []

    def fits(self, row: Row) -> bool:
        """Whether a row, or a part of one, can be."""
        # 1. an objective on X alone has none of the parts that make Y
        objective = row.get("objective", "").partition(" ")[0]
        if objective in self.compares or row.get("fusion") == NONE:
            nothing = {"fusion": NONE, "head": NONE, "missing": FIRST["missing"]}
            if any(row.get(group, value) != value for group, value in nothing.items()):
                return False
            if objective and objective not in self.compares:
                return False
        # 2. a fusion either gives the answer itself, or has a head
        elif "fusion" in row:
            head = NONE if row["fusion"] in self.answers else FIRST["head"]
            if row.get("head", head) != head:
                return False
        # 3. two modalities at least, and a shared encoder only beside the one that it shares
        for kind in KINDS:
            if row.get(f"twin of {kind}", NONE) != NONE and row.get(f"encoder/{kind}") == NONE:
                return False
        if sum(row.get(f"encoder/{kind}") == NONE for kind in KINDS) > len(KINDS) - 2:
            return False
        return not (self.refused and pairs_of(row, self.order) & self.refused)


def _node(group: str, name: str) -> Mapping[str, object]:
    loaded = OmegaConf.load(CONFIGS / group / f"{name}.yaml")
    return OmegaConf.to_container(loaded, resolve=False) or {}  # type: ignore[return-value]


def _reads_y(objective: str) -> bool:
    node = _node("objective", objective)["objective"]
    inner = node.get("objectives", {"": node}).values()  # type: ignore[attr-defined]
    return any(get_class(part["_target_"]).needs_fusion for part in inner)


def tried(words: Sequence[str]) -> Outcome:
    """Composes, checks, trains, validates, tests and reports, in a folder that is removed."""
    started, folder = time.perf_counter(), Path(tempfile.mkdtemp())
    said = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            warnings.simplefilter("ignore")
            config = check_config(compose_config([*words, f"++run_dir={folder}"]))
            train(config, config)
        kind, message = "ran", ""
    except (HydraException, OmegaConfBaseException) as error:
        kind, message = "refused", explain(error)
    except PolymodalError as error:
        kind, message = "refused", str(error)
    except Exception:  # what this script looks for
        kind, message = "trace", traceback.format_exc()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Outcome(kind, message.strip(), time.perf_counter() - started, list(words))


def tried_in_two_processes(words: Sequence[str]) -> Outcome:
    """The same as a command on two processes."""
    started, folder = time.perf_counter(), Path(tempfile.mkdtemp())
    words = [word.replace("devices=cpu", "devices=ddp_cpu") for word in words]
    done = subprocess.run(
        [sys.executable, ROOT / "src" / "train.py", *words, f"hydra.run.dir={folder / 'run'}"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    shutil.rmtree(folder, ignore_errors=True)
    traced = "Traceback (most recent call last)" in done.stderr
    kind = "trace" if traced or done.returncode not in (0, 1, 2) else "refused" if done.returncode else "ran"
    return Outcome(kind, done.stderr.strip()[-3000:] if kind != "ran" else "", time.perf_counter() - started, words)


class Check:
    """The whole of it.

    Args:
        factors: factor -> its options, the default first.
        rules: what cannot stand together.
        keep: file for the outcomes; None for none.
    """

    def __init__(self, factors: dict[str, list[str]], rules: Rules, keep: Path | None = None) -> None:
        self.factors, self.rules, self.keep = factors, rules, keep
        rules.order = list(factors)
        self.outcomes: list[Outcome] = []
        self.ran: list[Row] = []
        self.console = Console(stderr=True)

    def run(self, row: Row) -> Outcome:
        """One row."""
        outcome = tried(words_of(row))
        self.note(outcome, row)
        return outcome

    def note(self, outcome: Outcome, row: Row) -> None:
        """Keeps an outcome, and shows it as one line."""
        self.outcomes.append(outcome)
        last = outcome.message.splitlines()[-1 if outcome.kind == "trace" else 0] if outcome.message else ""
        self.console.print(f"{len(self.outcomes):4} {outcome.kind:8}{outcome.seconds:5.1f} s  {escape(last[:110])}")
        if self.keep is not None:
            with self.keep.open("a") as stream:
                stream.write(json.dumps(outcome._asdict() | {"row": row}) + "\n")

    def singles(self) -> None:
        """Each option alone; one that is refused with default options is tried no more."""
        for factor, options in self.factors.items():
            refused = []
            for option in options:
                row = next_row(self.factors, {factor: option}, set(), self.rules.fits)
                if row is None or self.run(row).kind == "refused":
                    refused.append(option)
            kept = [option for option in options if option not in refused]
            self.factors[factor] = kept or options[:1]

    def pairs(self, limit: int) -> list[Pair]:
        """Rows until every pair has run, or is refused by itself; the pairs that cannot be by the rules."""
        left = dict.fromkeys(all_pairs(self.factors))
        impossible = []
        while left and not (limit and len(self.outcomes) >= limit):
            seed = next(iter(left))
            row = next_row(self.factors, dict(seed), set(left), self.rules.fits)
            if row is not None and self.run(row).kind == "refused":
                row = next_row(self.factors, dict(seed), set(), self.rules.fits)
                if row is not None and self.run(row).kind == "refused":
                    self.rules.refused.add(seed)
                    row = {}
            elif row is None:
                impossible.append(seed)
            left.pop(seed)
            for pair in pairs_of(row or {}, self.factors):
                left.pop(pair, None)
            if row:
                self.ran.append(row)
        return impossible

    def impossible(self, pairs: Sequence[Pair]) -> None:
        """What the rules leave out is refused with a message, not with a stack trace."""
        for pair in pairs:
            row = next_row(self.factors, {}, set(), lambda _: True)
            assert row is not None
            self.run({**row, **dict(pair)})

    def in_two_processes(self, count: int) -> None:
        """Some of the rows that ran, spread evenly."""
        step = max(1, len(self.ran) // max(1, count))
        for row in self.ran[::step][:count]:
            self.note(tried_in_two_processes(words_of(row)), row)

    def show(self) -> int:
        """Prints tables; the number of stack traces."""
        refused = Counter(re.sub(r"\d+", "N", o.message.splitlines()[0]) for o in self.outcomes if o.kind == "refused")
        table = Table("times", "refused with the message")
        for message, count in refused.most_common():
            table.add_row(str(count), escape(message[:200]))
        traces = [outcome for outcome in self.outcomes if outcome.kind == "trace"]
        for outcome in traces:
            print(f"\npython src/train.py {' '.join(map(repr, outcome.words))}\n{outcome.message}")
        kinds = Counter(outcome.kind for outcome in self.outcomes)
        console = Console()
        console.print(table)
        console.print(f"{kinds['ran']} ran, {kinds['refused']} refused with a message, {kinds['trace']} stack traces.")
        return kinds["trace"]


def main() -> None:
    given = arguments(__doc__, {"factors": "all", "processes": "6", "limit": "0", "keep": ""})
    options = groups()
    factors = factors_of(options)
    chosen = factors if given["factors"] == "all" else given["factors"].split(",")
    if unknown := [name for name in chosen if name not in factors]:
        sys.exit(f"error: factors={unknown[0]}: the factors are {', '.join(factors)}.")
    factors = {name: names if name in chosen else names[:1] for name, names in factors.items()}
    check = Check(factors, Rules(options), Path(given["keep"]) if given["keep"] else None)
    check.singles()
    impossible = check.pairs(int(given["limit"]))
    if not int(given["limit"]):
        check.impossible(impossible)
    check.in_two_processes(int(given["processes"]))
    sys.exit(1 if check.show() else 0)


if __name__ == "__main__":
    main()
