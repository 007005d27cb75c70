"""Numbers as a person reads them."""

import math

import pytest

from polymodal.formatting import duration, in_table, readable, signed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (6320.44, "6,320"),
        (12345.6, "12,346"),
        (999_999.4, "999,999"),
        (15_535_300.8, "15,535,301"),
        (999.96, "1,000"),
        (104.17, "104.2"),
        (3.15899, "3.159"),
        (-51.33732, "-51.34"),
        (0.81609, "0.8161"),
        (0.5, "0.5000"),
        (0.03409, "0.0341"),
        (0.0022458, "0.00225"),
        (0.001, "0.00100"),
        (-0.0012, "-0.00120"),
        (0.00002, "2e-05"),
        (2.2e-16, "0"),
        (1e20, "1e+20"),
        (87, "87"),
        (1.0, "1"),
        (0.0, "0"),
        (-0.0, "0"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_a_number_has_few_digits_and_no_exponent(value: float, text: str) -> None:
    assert readable(value) == text


def test_a_card_has_three_digits() -> None:
    values = (0.8046, 0.03409, 0.0022458, 3.15899, 28.44, 632.8, 6320.4)
    assert [readable(value, 3) for value in values] == [
        "0.805",
        "0.0341",
        "0.00225",
        "3.16",
        "28.4",
        "633",
        "6,320",
    ]


def test_a_difference_has_its_sign() -> None:
    assert [signed(value) for value in (1234.5, -0.25, 0.0)] == ["+1,234", "-0.2500", "0"]


def test_a_value_of_a_table_has_no_zeros_at_the_end() -> None:
    values = (300_000.0, 7.25, 20042.00003, 38.07466, 0.001, 69_999_999.0, 441_226_240.0, 0.00001)
    shown = ["300,000", "7.25", "20,042", "38.0747", "0.001", "70,000,000", "441,226,000", "1e-05"]
    assert [in_table(value) for value in values] == shown


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (2.54, "2.5 s"),
        (9.97, "10 s"),
        (59.7, "1 min 0 s"),
        (106.0, "1 min 46 s"),
        (4800.0, "1 h 20 min"),
    ],
)
def test_a_time_is_a_word_or_two(seconds: float, words: str) -> None:
    assert duration(seconds) == words
