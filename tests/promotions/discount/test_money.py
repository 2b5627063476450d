"""Money is read as it is written, and never guessed where two readings are as good."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.discount.money import parse_numbers


def one(text):
    return parse_numbers([text])[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("US$ 125.0", 125), ("$ 4.0", 4), ("R$ 1.234,56", 1234.56), ("R$ 1,234.56", 1234.56), ("R$4", 4),
        ("-$5", -5), ("$ -5", -5), ("($5.00)", -5), ("$ (5.00)", -5), ("$5-", -5), ("−5", -5),
        ("-R$ 1.234,50", -1234.5), ("12 €", 12), ("12,50€", 12.5), ("EUR 3", 3), ("3.5 USD", 3.5), ("+7", 7),
        ("£.5", 0.5), ("£1", 1), ("1,234,567", 1234567), ("1.234.567", 1234567), ("1 234 567,8", 1234567.8),
        ("1\u00a0234", 1234), ("1'234.50", 1234.5), ("US$ 12.345", 12345), ("12,345", 12345), ("12.345", 12.345),
        ("0,125", 0.125), ("$ 0.125", 0.125), ("1e-05", 1e-5), ("2.5E+3", 2500), ("125.", 125), ("  8 ", 8),
        ("00012", 12), ("3368.64", 3368.64), ("1351.0247652020576", 1351.0247652020576), ("5,5", 5.5),
        ("1234,567", 1234.567),
    ],
)  # fmt: skip
def test_money_is_read_as_people_write_it(text, value):
    assert one(text) == value


@pytest.mark.parametrize(
    "text",
    [
        None, pd.NA, float("nan"), "", " ", "-", "$", "n/a", "five", "W", "SKU12", "ABC 5", "5%", "2023-01-05",
        "01.02.2023x", "1,23,456", "12,34.5", "1.2.3", "1 23", "12 5", "--5", "-5-", "(-5)", "(5", "5)", "$5 €", "1/2",
        "0x10", "1,234.56.7", "1.234,56,7", "01,234.5", "$ 5 $",
    ],
)  # fmt: skip
def test_what_is_no_sum_of_money_is_none(text):
    assert np.isnan(one(text))


def test_a_mark_that_may_be_either_is_read_as_the_rest_of_the_column_shows():
    assert parse_numbers(["US$ 1.234", "US$ 2.50"]).tolist() == [1.234, 2.5]
    assert parse_numbers(["1.234", "2,50"]).tolist() == [1234, 2.5]
    assert parse_numbers(["1,234", "2,5"]).tolist() == [1.234, 2.5]
    assert parse_numbers(["1,234", "2.5"]).tolist() == [1234, 2.5]
    assert parse_numbers(["1.234", "1.234.567"]).tolist() == [1234, 1234567]


def test_in_a_column_of_both_habits_what_may_be_either_is_not_read():
    values = parse_numbers(["R$ 1.234,56", "R$ 1,234.56", "R$ 7", "R$ 1.234"])
    assert values[:3].tolist() == [1234.56, 1234.56, 7]
    assert np.isnan(values[3])


@given(
    st.floats(-1e9, 1e9, allow_subnormal=False),
    st.sampled_from([",", ".", " ", "'", ""]),
    st.booleans(),
    st.sampled_from(["", "$", "US$ ", "R$ ", "EUR "]),
    st.sampled_from(["-", "()"]),
)
def test_whatever_is_written_with_cents_is_read_back(amount, thousands, point, currency, negative):
    decimal = "." if point else ","
    if thousands == decimal:
        thousands = ""
    cents = round(amount, 2)
    digits = f"{abs(cents):,.2f}".replace(".", decimal if decimal == "." else "D").replace(",", thousands)
    text = currency + digits.replace("D", decimal)
    if cents < 0:
        text = f"({text})" if negative == "()" else f"-{text}"
    assert one(text) == cents


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_as_python_writes_them_are_read_back_exactly(values):
    assert parse_numbers([repr(value) for value in values]).tolist() == values
