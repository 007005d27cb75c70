"""A table is shown as its rows are written: numbers in their units, categories by their names."""

import csv
from pathlib import Path

import numpy as np
import pytest

from polymodal.cli.programs import PredictSettings
from polymodal.demo.contributions import explain
from polymodal.demo.fields import Category, Number, fields_of, in_words, row_of, values_of
from polymodal.demo.held_out import HeldOut
from polymodal.errors import DataError
from polymodal.formatting import readable
from polymodal.inference import predict


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def row_of_example(held: HeldOut, number: int, table: Path) -> dict[str, str]:
    return rows_of(table)[int(held.example(number)[0].items["tabular"][0])]


def test_the_values_of_an_example_are_those_of_its_row(
    surviving: HeldOut, passengers: Path
) -> None:
    assert len(surviving.examples) > 20
    for number in range(len(surviving.examples)):
        row = row_of_example(surviving, number, passengers)
        assert surviving.example(number)[1] == {
            "text": row["name"],
            "tabular": {
                "age": float(row["age"]) if row["age"] else None,
                "fare": float(row["fare"]),
                "sex": row["sex"] or None,
                "class": row["class"],
            },
        }


def test_the_names_to_choose_from_are_those_of_the_training(surviving: HeldOut) -> None:
    fields = fields_of(surviving.data, "tabular")
    assert [field.name for field in fields] == ["age", "fare", "sex", "class"]
    names = {field.name: field.names for field in fields if isinstance(field, Category)}
    assert names == {"sex": ["female", "male"], "class": ["1st", "2nd", "3rd"]}
    assert fields_of(surviving.data, "text") == []


def test_values_by_hand_are_the_row_of_the_model(surviving: HeldOut) -> None:
    fields = fields_of(surviving.data, "tabular")
    for number in range(len(surviving.examples)):
        batch, shown = surviving.example(number)
        np.testing.assert_array_equal(
            row_of(fields, shown["tabular"]), batch.inputs["tabular"][0].numpy()
        )


@pytest.mark.parametrize("kind", ["by its number", "by its values"])
def test_the_answer_to_an_example_is_what_predict_writes(
    kind: str, survival: Path, surviving: HeldOut, passengers: Path, tmp_path: Path
) -> None:
    output = tmp_path / "answers.csv"
    predict.main(
        PredictSettings(checkpoint=str(survival), output=str(output)),
        ["data.batch_size=8", "devices=cpu"],
    )
    written = rows_of(output)  # a row of the table each
    for number in range(0, len(surviving.examples), 7):
        batch, shown = surviving.example(number)
        given = dict.fromkeys(shown, number) if kind == "by its number" else shown
        scores = explain(surviving.predictor, surviving.batch(given)).scores
        row = written[int(surviving.data.samples.rows_of(batch.id.numpy())[0])]
        expected = {name: float(row[f"probability {name}"]) for name in ("died", "survived")}
        assert scores == pytest.approx(expected, abs=1e-5)
        assert surviving.truth(batch) == row_of_example(surviving, number, passengers)["outcome"]


def test_a_value_is_answered_in_its_unit_by_the_name_of_its_column(
    scores: Path, scoring: HeldOut, passengers
) -> None:
    batch, shown = scoring.example(4)
    said = explain(scoring.predictor, scoring.batch(shown))
    assert list(said.scores) == ["score"]
    assert said.of == "score"
    assert 900 < said.scores["score"] < 1400  # untrained, but not far from the mean of the labels
    assert said.base + sum(said.contribution.values()) == pytest.approx(
        said.scores["score"], abs=1e-2
    )
    assert scoring.truth(batch) == readable(float(row_of_example(scoring, 4, passengers)["score"]))


@pytest.mark.parametrize("value", [40.0, 0.1, 7.25, 1e9, -3.0, 0.0, 1955.0, 2024.5])
def test_a_number_is_shown_as_it_was_written(value: float) -> None:
    number = Number("x", mean=1800.3, std=57.1)
    assert number.value(number.code(value)) == pytest.approx(value, rel=1e-6, abs=1e-4)
    plain = Number("x", mean=30.27, std=14.9)
    assert plain.value(plain.code(40)) == 40
    assert plain.value(plain.code(None)) is None


def test_steps_follow_the_spread() -> None:
    assert [Number("x", 0, std).step for std in (0.29, 14, 20, 5e7)] == pytest.approx(
        [0.01, 1, 1, 1e7]
    )


def test_what_the_model_cannot_read_is_said() -> None:
    with pytest.raises(DataError, match="age=1e\\+300: this number is too large"):
        Number("age", 30, 1e-3).code(1e300)
    with pytest.raises(DataError, match="class=4th: there was no such category in training"):
        row_of([Category("class", ["1st"])], {"class": "4th"})


def test_what_is_missing_is_left_out_of_the_words() -> None:
    fields = [Number("age"), Number("fare"), Category("class", ["1st", "2nd"])]
    assert in_words(values_of(fields, [40, np.nan, 1])) == "age 40, class 2nd"
