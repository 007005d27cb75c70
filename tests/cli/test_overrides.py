"""What is typed reaches its key as it was typed: paths and texts of any signs, and Hydra's own
grammar."""

import re
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep
from hypothesis import example, given
from hypothesis import strategies as st

from polymodal.cli.overrides import as_hydra_arguments, as_value, quoted
from polymodal.config.command_line import (
    check_given_once,
    check_options,
    check_words,
    home,
    in_order,
)
from polymodal.errors import ConfigError

ROOT = Path(__file__).parents[2]


def value_of(text: str) -> Any:
    return OverridesParser.create().parse_override(f"key={text}").value()


@pytest.mark.parametrize(
    "path",
    [
        *(
            "my data/p.csv",
            "数据/p.csv",
            "a(1)/p.csv",
            "a,b/p.csv",
            "a@b%c/p.csv",
            "a#1/p.csv",
            "a=1/p.csv",
        ),
        *(
            "it's.csv",
            "[x]/p.csv",
            "{0..3}.tar",
            "s/{000..127}.tar",
            "s/{a,b}.tar",
            "jpg;png",
            "run(1)",
        ),
        *(
            'say "x".csv',
            "`x`",
            "<a>",
            "C:\\data\\p.csv",
            "C:\\data\\",
            "a\\数.csv",
            "s3://bucket/a#b?c=d&e",
        ),
        *(
            "hf://datasets/x@main/a b",
            "a\nb",
            "'open.csv",
            "[0.5,half",
            "{train",
            "a*b?.csv",
            "$HOME/x",
            "ünïcödé",
        ),
        *("^!&|", "-", "a'b'c", '"a"b'),
    ],
)
def test_a_path_arrives_as_it_was_typed(path: str) -> None:
    assert value_of(as_value(path)) == path
    (argument,) = as_hydra_arguments([f"data.path={path}"])
    assert argument.startswith("++data.path=")
    # as the further processes of a run are given it
    assert as_hydra_arguments([argument]) == [argument]
    (argument,) = as_hydra_arguments([f"hydra.run.dir={path}"])
    assert OverridesParser.create().parse_override(argument).value() == path


WHOLE_TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\\$"), min_size=1, max_size=12
)


@given(WHOLE_TEXT.map(lambda text: f"数/{text}."))
@example("数/{a,b}[c](d)'\"#~=:.")
def test_any_text_that_is_no_grammar_arrives_as_it_was_typed(text: str) -> None:
    assert value_of(as_value(text)) == text


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0$"), max_size=12))
def test_quoted_gives_the_same_text_back(text: str) -> None:
    assert value_of(quoted(text)) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("1e-3", 1e-3),
        ("true", True),
        ("null", None),
        ("[1,2]", [1, 2]),
        ("{a: 1, b: [x, y]}", {"a": 1, "b": ["x", "y"]}),
        ("'a, b'", "a, b"),
        ('"5"', "5"),
        ("${seed}/x,y", "${seed}/x,y"),
        ("${seed}/数", "${seed}/数"),
        ("int(3.7)", 3),
        ("[数/a.csv, b#1, 5]", ["数/a.csv", "b#1", 5]),
        (
            "{train: 数据/a.csv, val: [b#1, 'c, d'], n: 2}",
            {"train": "数据/a.csv", "val": ["b#1", "c, d"], "n": 2},
        ),
        ("{train: 'https://x/a#b', val: s3://y#z}", {"train": "https://x/a#b", "val": "s3://y#z"}),
        ("", ""),
    ],
)
def test_the_grammar_stays_and_texts_in_lists_are_quoted(text: str, value: Any) -> None:
    assert value_of(as_value(text)) == value


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2", [1, 2]),
        ("数据/a.csv,b#1.csv", ["数据/a.csv", "b#1.csv"]),
        ("s/{0,1}.tar,t.tar", ["s/{0,1}.tar", "t.tar"]),
        ("[a,b],[c#]", [["a", "b"], ["c#"]]),
        ("'a,b',c d", ["a,b", "c d"]),
    ],
)
def test_in_a_sweep_a_comma_divides(text: str, values: list[Any]) -> None:
    (argument,) = as_hydra_arguments([f"data.path={text}"], several=True)
    sweep = OverridesParser.create().parse_override(argument)
    assert isinstance(sweep.value(), ChoiceSweep)
    jobs = [value_of(job) for job in sweep.sweep_string_iterator()]
    assert jobs == values
    assert as_hydra_arguments([f"data.path={text}", "-m"])[0] == argument


def test_the_home_folder_has_a_short_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert value_of(as_value("~/a#b.csv")) == f"{tmp_path}/a#b.csv"
    assert value_of(as_value("[~/a,b]")) == [f"{tmp_path}/a", "b"]
    assert (home("~"), home("~x y/z"), home("a/~/b")) == (str(tmp_path), "~x y/z", "a/~/b")
    (tmp_path / "run").mkdir()
    with pytest.raises(Exception, match=f"repeat={tmp_path}/run: there is no config.yaml"):
        as_hydra_arguments(["repeat=~/run"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [f"data.path=shards/{n}.tar" for n in range(4)],
            r"data.path= is given 4 times, as shards/0.tar, shards/1.tar, ... shards/3.tar. "
            r"If a shell has taken a pattern apart, quote it: 'data.path=shards/\{0..3\}.tar'. Else give it once.$",
        ),
        ([f"path=s/a-{n:03}.tar" for n in range(8, 12)], r"'path=s/a-\{008..011\}.tar'"),
        ([f"data.path=s/{n}.tar" for n in (10, 11)], r"'data.path=s/\{10..11\}.tar'"),
        (["data.path=a/x.csv", "data.path=a/y.csv"], r"'data.path=a/\{x,y\}.csv'"),
        ([f"seed={n}" for n in range(1, 4)], r"quote it: 'seed=\{1..3\}'"),
        (["path=a", "path=b"], r"quote it: 'path=\{a,b\}'"),
        (["logger=csv", "logger=wandb"], r"For all of them: logger=\[csv,wandb\]"),
    ],
)
def test_what_a_shell_makes_of_a_pattern_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_given_once(["data=webdataset", *arguments])


@pytest.mark.parametrize(
    "arguments",
    [
        ["trainer.max_epochs=1", "threads=1", "trainer.max_epochs=2"],
        ["devices=cpu", "devices=ddp_cpu"],
        ["optimizer.lr=1e-3", "optimizer.lr=0.01"],
        ["callbacks=[checkpoint,guard]", "callbacks=[default]"],
    ],
)
def test_of_plain_values_the_last_one_counts(arguments: list[str], capsys) -> None:
    check_given_once(arguments)
    key, _, last = arguments[-1].partition("=")
    assert capsys.readouterr().err == f"{key}= is given 2 times: the last one counts, {last}.\n"


def test_a_key_may_be_said_twice_and_further_processes_are_told_their_folder() -> None:
    check_given_once(
        ["seed=1", "seed=1", "++run_dir=a", "++run_dir=b", "hydra.run.dir=a", "hydra.run.dir=b"]
    )
    check_given_once(["data.path=a", "encoder.path=b", "-sc", "query=bash"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["data.splits=[0.5,", "0.5]"],
            r"0.5\]: arguments are key=value. .*: 'data.splits=\[0.5, 0.5\]'",
        ),
        (["seed"], "seed: arguments are key=value"),
        (["=3"], "=3: arguments are key=value"),
    ],
)
def test_a_word_that_is_no_key_and_value_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_words(arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nope"], "There is no option --nope. Did you mean"),
        (["--multirn", "seed=1"], "--multirn. Did you mean --multirun"),
        (["--config-nam=x"], None),  # argparse takes what is unmistakable
        (["--cfg"], "expected one argument"),
        (["--cfg", "jobs"], "'job', 'hydra'"),
        (["-m", "--cfg", "job"], "-m starts a sweep"),
        (["--experimental-rerun", "x"], "pickle"),
    ],
)
def test_an_option_that_is_wrong_says_the_nearest(
    arguments: list[str], message: str | None
) -> None:
    if message is None:
        return check_options(arguments)
    with pytest.raises(ConfigError, match=message):
        check_options(arguments)
    return None


def test_options_may_stand_anywhere() -> None:
    typed = ["a=1", "-m", "b=2", "--cfg", "job", "c=3"]
    assert in_order(typed, {"--cfg"}) == ["a=1", "b=2", "c=3", "-m", "--cfg", "job"]


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name
)
def test_a_page_quotes_what_a_shell_would_take_apart(page: Path) -> None:
    for word in re.findall(
        r"[^\s`|]*\w=[^\s`|]*\{[^\s`|}]*(?:\.\.|,)[^\s`|}]*\}", page.read_text()
    ):
        assert "'" in word or '"' in word, word
