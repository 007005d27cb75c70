"""The settings of the programs that use a trained model."""

import pytest

from polymodal.cli.programs import (
    EmbedSettings,
    EvalSettings,
    PredictSettings,
    SearchSettings,
    parsed,
)
from polymodal.errors import ConfigError


def test_own_settings_and_changes_are_told_apart() -> None:
    given = [
        "checkpoint=[a=1/b,c]",
        "--json",
        "data=manifest",
        "data.path=x.csv",
        "devices=cpu",
        "encoder.image.depth=3",
    ]
    given.append("hydra.run.dir=x")  # as Lightning starts further processes
    settings, changes = parsed(given, EvalSettings)
    assert settings == EvalSettings(checkpoint=["a=1/b", "c"], json=True)
    assert changes == given[2:]


def test_one_checkpoint_is_a_list_of_one() -> None:
    assert parsed(["checkpoint=runs/a, b"], EvalSettings)[0].checkpoint == ["runs/a, b"]


def test_text_becomes_numbers() -> None:
    settings, _ = parsed(
        ["checkpoint=a", "index=b", "query=x = [y], z", "top=3", "exact=false"], SearchSettings
    )
    assert (settings.query, settings.top, settings.exact) == ("x = [y], z", 3, False)


def test_a_prediction_takes_inputs_of_any_name() -> None:
    settings, changes = parsed(
        ["checkpoint=a", "left=x.png", "text=a = b", "seed=1"], PredictSettings
    )
    assert settings.inputs == {"left": "x.png", "text": "a = b"}
    assert changes == ["seed=1"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["checkpoint=a", "outptu=b"], "Unknown key 'outptu'. Did you mean output"),
        (["checkpoint=a"], "No value for output"),
        (["checkpoint=a", "output=b", "split=tets"], "split=tets: input should be 'all', 'train'"),
        (
            ["checkpoint=a", "output=b", "data.path=s/0.tar", "data.path=s/1.tar"],
            r"quote it: 'data.path=s/\{0..1\}.tar'",
        ),
        (["checkpoint=a", "checkpoint=b", "output=c"], "checkpoint= is given 2 times, as a and b"),
        (["checkpoint=a", "output=b", "--josn"], "--josn: arguments are key=value"),
    ],
)
def test_a_mistake_says_what_to_type(given: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parsed(given, EmbedSettings)
