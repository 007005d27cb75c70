"""Every two options of two config groups stand together in a row, and a run of some rows ends
without a stack trace."""

import importlib
import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from tests.conftest import ROOT

from polymodal.config.messages import groups


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch):
    """`scripts/` as a script sees it: what runs rows, what covers pairs, and what they are made
    of."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return tuple(
        importlib.import_module(name) for name in ("check_pairs", "covering", "run_factors")
    )


def pairs(row: dict[str, str]) -> set[frozenset[tuple[str, str]]]:
    return {frozenset(pair) for pair in combinations(row.items(), 2)}


def test_rows_hold_every_pair_that_can_be(scripts) -> None:
    _, covering, _ = scripts
    factors = {name: [f"{name}{number}" for number in range(4)] for name in "abcde"}

    def fits(row: dict[str, str]) -> bool:
        return not (row.get("a") == "a0" and row.get("c") in ("c1", "c2"))

    rows, impossible = covering.rows_for(factors, fits)
    assert set(impossible) == {(("a", "a0"), ("c", "c1")), (("a", "a0"), ("c", "c2"))}
    wanted = {frozenset(pair) for pair in covering.all_pairs(factors)}
    assert len(wanted) == 10 * 16
    assert set().union(*map(pairs, rows)) == wanted - {frozenset(pair) for pair in impossible}
    assert all(fits(row) and list(row) == list(factors) for row in rows)
    assert 16 <= len(rows) <= 28  # 4 x 4 at least; all 1,024 rows otherwise


def test_every_option_of_the_config_folders_is_crossed_with_the_others(scripts) -> None:
    _, covering, run_factors = scripts
    options = groups()
    factors, rules = run_factors.factors_of(options), run_factors.Rules(options)
    rules.order = list(factors)
    rows, impossible = covering.rows_for(factors, rules.fits)
    held = set().union(*map(pairs, rows))
    for group, other in combinations(("encoder/text", "fusion", "precision", "optimizer"), 2):
        wanted = {
            (a, b)
            for a in options[group]
            for b in options[other]
            if not {"shared", "auto"} & {a, b}
        }
        apart = {
            (dict(p)[group], dict(p)[other]) for p in impossible if {group, other} == set(dict(p))
        }
        assert not apart
        found = {(dict(p)[group], dict(p)[other]) for p in held if {group, other} == set(dict(p))}
        assert found == wanted, (group, other)
    assert {row["objective"].split()[0] for row in rows} == set(options["objective"])
    assert all(
        f"callbacks/{name}" in factors
        for name in options["callbacks"]
        if name not in ("none", "default")
    )
    left_out = {frozenset(pair) for pair in impossible}
    assert held | left_out == {frozenset(pair) for pair in covering.all_pairs(factors)}
    # what the rules leave out: an objective without Y beside parts that make Y, a second head, what
    # an option lacks
    assert {frozenset(dict(p)) for p in impossible} <= {
        frozenset(pair)
        for pair in [
            *(("objective", group) for group in ("fusion", "head", "missing")),
            *(("fusion", "head"), ("fusion", "missing"), ("head", "missing")),
            *((factor, other) for factor, needed in run_factors.NEEDS.items() for other in needed),
            ("callbacks/robustness", "objective"),
        ]
    }


def test_a_new_part_is_crossed_because_it_is_there(scripts) -> None:
    _, covering, run_factors = scripts
    options = groups()
    options = options | {"fusion": [*options["fusion"], "mine"]}
    factors = run_factors.factors_of(options)
    assert "mine" in factors["fusion"]
    assert (("fusion", "mine"), ("precision", "bf16_true")) in covering.all_pairs(factors)


def test_a_row_becomes_a_command_line(scripts) -> None:
    run_factors = scripts[2]
    row = {
        "encoder/image": "cnn",
        "twin of image": "shared",
        "objective": "regression label=values outputs=3",
    }
    row |= {"callbacks/ema": "ema", "callbacks/probe": "none", "accumulate": "accumulate=2"}
    words = run_factors.words_of(row)
    for word in (
        *(
            "encoder/image=cnn",
            "+encoder/image@encoder.second_image=shared",
            "encoder.second_image.of=image",
        ),
        *("objective=regression", "label=values", "outputs=3", "callbacks=[ema]", "accumulate=2"),
    ):
        assert word in words
    assert "callbacks=none" in run_factors.words_of({"callbacks/ema": "none"})


def test_each_way_to_end_is_told_apart(scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    check_pairs = scripts[0]
    from polymodal.errors import DataError

    def fails(error: Exception | None):
        def train(config, stored):
            if error is not None:
                raise error

        return train

    words = ["debug=fast"]
    for error, kind in (
        (None, "ran"),
        (DataError("row 3"), "refused"),
        (TypeError("BFloat16"), "trace"),
    ):
        monkeypatch.setattr(check_pairs, "train", fails(error))
        outcome = check_pairs.tried(words)
        assert outcome.kind == kind
        assert error is None or str(error) in outcome.message
    monkeypatch.setattr(check_pairs, "train", fails(None))
    assert check_pairs.tried(["fusion=nope"]).kind == "refused"


@pytest.mark.slow
@pytest.mark.parametrize(
    "factors",
    ["objective,precision,callbacks/report", "encoder/text,precision,callbacks/robustness"],
)
def test_no_pair_of_some_groups_ends_in_a_stack_trace(factors: str, tmp_path: Path) -> None:
    kept = tmp_path / "rows.jsonl"
    script = [
        sys.executable,
        str(ROOT / "scripts" / "check_pairs.py"),
        f"factors={factors}",
        "processes=1",
    ]
    done = subprocess.run(
        [*script, f"keep={kept}"], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 stack traces" in done.stdout
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert sum(row["kind"] == "ran" for row in rows) > len(rows) / 2
