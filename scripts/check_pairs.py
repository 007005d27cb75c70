"""Trains a tiny run of every two options of two config groups: none may end in a stack trace.

    python scripts/check_pairs.py [factors=all] [processes=6] [limit=0] [keep=<file>]

The options are read from configs/, so that a new part is crossed with all the others. First each
option is tried alone, then rows of options that hold every pair at least once: each is composed,
checked, trained for two batches, validated, tested and reported in this process, on the CPU. A pair
in a row that is refused counts only where it is refused with default options around it too. At the
end some rows run again in two processes (devices=ddp_cpu).

`factors=` takes some of them, such as factors=objective,precision; `processes` is the number of
rows that run in two processes; `limit` ends after so many rows; `keep` writes all outcomes to a
file of JSON lines. It prints what was refused, and what ended in a stack trace; the exit code is 1
if anything did.
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
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from arguments import arguments
from covering import Choice, Pair, Row, all_pairs, next_row, pairs_of
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.config.messages import explain, groups
from polymodal.errors import PolymodalError
from polymodal.training.run import train
from run_factors import Rules, factors_of, words_of

ROOT = Path(__file__).resolve().parents[1]


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


def tried(words: Sequence[str]) -> Outcome:
    """Composes, checks, trains, validates, tests and reports, in a folder that is removed."""
    started, folder = time.perf_counter(), Path(tempfile.mkdtemp())
    said = io.StringIO()
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
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
    kind = (
        "trace"
        if traced or done.returncode not in (0, 1, 2)
        else "refused"
        if done.returncode
        else "ran"
    )
    return Outcome(
        kind,
        done.stderr.strip()[-3000:] if kind != "ran" else "",
        time.perf_counter() - started,
        words,
    )


class Check:
    """The whole of it.

    Args:
        factors: factor -> its options, the default first.
        rules: what cannot stand together.
        keep: file for the outcomes; None for none.
    """

    def __init__(
        self, factors: dict[str, list[str]], rules: Rules, keep: Path | None = None
    ) -> None:
        self.factors, self.rules, self.keep = factors, rules, keep
        rules.order = list(factors)
        self.outcomes: list[Outcome] = []
        self.ran: list[Row] = []
        self.covered: set[Pair] = set()
        self.apart = 0
        self.console = Console(stderr=True)

    def run(self, row: Row) -> Outcome:
        """One row."""
        outcome = tried(words_of(row))
        self.note(outcome, row)
        return outcome

    def note(self, outcome: Outcome, row: Row) -> None:
        """Keeps an outcome, and shows it as one line."""
        self.outcomes.append(outcome)
        last = (
            outcome.message.splitlines()[-1 if outcome.kind == "trace" else 0]
            if outcome.message
            else ""
        )
        self.console.print(
            f"{len(self.outcomes):4} {outcome.kind:8}{outcome.seconds:5.1f} s  {escape(last[:110])}"
        )
        if self.keep is not None:
            with self.keep.open("a") as stream:
                stream.write(json.dumps(outcome._asdict() | {"row": row}) + "\n")

    def default(self, seed: Sequence[Choice]) -> Row | None:
        """A row of default options around some that are not."""
        return next_row(self.factors, dict(seed), set(), self.rules.fits)

    def singles(self) -> None:
        """Each option alone; one that is refused with default options is tried no more."""
        for factor, options in self.factors.items():
            if len(options) == 1:
                continue
            refused = []
            for option in options:
                row = self.default([(factor, option)])
                if row is None or self.run(row).kind == "refused":
                    refused.append(option)
            kept = [option for option in options if option not in refused]
            self.factors[factor] = kept or options[:1]

    def pairs(self, limit: int) -> list[Pair]:
        """Rows until every pair has run, or is refused by itself; the pairs that cannot be by the
        rules.
        """
        left = dict.fromkeys(all_pairs(self.factors))
        impossible = []
        while left and not (limit and len(self.outcomes) >= limit):
            seed = next(iter(left))
            row = next_row(self.factors, dict(seed), set(left), self.rules.fits) or self.default(
                seed
            )
            if row is not None and self.run(row).kind == "refused":
                row = self.default(seed)
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
                self.covered |= pairs_of(row, self.factors)
        self.apart = len(impossible)
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
        refused = Counter(
            re.sub(r"\d+", "N", o.message.splitlines()[0])
            for o in self.outcomes
            if o.kind == "refused"
        )
        table = Table("times", "refused with the message")
        for message, count in refused.most_common():
            table.add_row(str(count), escape(message[:200]))
        traces = [outcome for outcome in self.outcomes if outcome.kind == "trace"]
        for outcome in traces:
            print(f"\npython src/train.py {' '.join(map(repr, outcome.words))}\n{outcome.message}")
        kinds = Counter(outcome.kind for outcome in self.outcomes)
        console = Console()
        console.print(table)
        whole = len(all_pairs(self.factors))
        console.print(
            f"{whole} pairs: {len(self.covered)} ran, {len(self.rules.refused)} are refused by "
            f"themselves, {self.apart} cannot be."
        )
        console.print(
            f"{kinds['ran']} rows ran, {kinds['refused']} refused with a message, {kinds['trace']} "
            "stack traces."
        )
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
