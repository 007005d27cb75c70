"""What varies and what does not, in Hydra's grammar and in Hydra's order."""

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.errors import ConfigError
from polymodal.sweeps.space import combinations, split


def test_the_command_line_counts_more_than_the_file() -> None:
    space = {
        "optimizer.lr": "tag(log, interval(1e-4, 1e-2))",
        "seed": "range(3)",
        "trainer.max_epochs": 1,
    }
    fixed, swept = split(
        space, ["seed=7", "trainer.max_epochs=2,3", "data.batch_size=64", "~logger.csv"]
    )
    assert fixed == ["++seed=7", "++data.batch_size=64", "~logger.csv"]
    assert list(swept) == ["optimizer.lr", "trainer.max_epochs"]


@pytest.mark.parametrize("argument", ["-m", "--multirun", "repeat=logs/x", "resume=last"])
def test_what_starts_one_run_is_refused(argument: str) -> None:
    with pytest.raises(ConfigError, match="key=value"):
        split({}, ["seed=0,1", argument])


def test_a_grid_has_no_intervals() -> None:
    _, swept = split({"optimizer.lr": "interval(0, 1)"}, [])
    with pytest.raises(ConfigError, match="no interval"):
        combinations(swept)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("seed=range(0)", "no value"),
        ("seed=shuffle(range(5))", "one order"),
        ("fusion=glob(*)", "by their names"),
    ],
)
def test_values_that_are_none_or_change_their_places_are_refused(
    argument: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        split({}, [argument])


words = st.sampled_from(["bow", "1e-3", "false", "[1,2]", "'a b'", "{a: 1}", "null", "2"])
axis = st.one_of(
    st.lists(words, min_size=2, max_size=3, unique=True).map(",".join),
    st.integers(1, 3).map(lambda n: f"range({n})"),
    words,
)


options = st.sampled_from(["sum", "sum,concat", "choice(sum,gated)", "'sum',concat"])
key = st.sampled_from(["seed", "data.x", "fusion", "model.y"])
choice = key.flatmap(lambda name: st.tuples(st.just(name), options if name == "fusion" else axis))


@given(st.lists(choice, min_size=1, max_size=4))
def test_jobs_are_those_of_hydra_in_its_order(choices: list[tuple[str, str]]) -> None:
    choices = list(dict(choices).items())  # a key once
    arguments = [f"{key}={value}" for key, value in choices]
    theirs = OverridesParser.create().parse_overrides(as_hydra_arguments(arguments, several=True))
    (jobs,) = BasicSweeper.split_arguments(theirs, None)
    fixed, swept = split({}, arguments)
    ours = [[*fixed, *choice] for choice in combinations(swept)]
    # word for word: in the table of a sweep that was resumed they are rows beside each other
    assert [sorted(job) for job in ours] == [sorted(job) for job in jobs]
