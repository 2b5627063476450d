"""Numbers as people read them: as many digits as are meant, nothing left over, no −0; and one place that makes them."""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.base.formatting import (
    HYPHEN,
    MOST_DECIMALS,
    SPACE,
    alike,
    as_label,
    chance,
    decimals,
    number,
    p_text,
    percent,
    percentage,
    plain,
    short_percent,
)

SRC = Path(__file__).parents[3] / "src"
finite = st.floats(-1e14, 1e14)
shares = st.floats(0, 1)


def read(text):
    """The number that a reader takes from it."""
    return float(text.replace(",", "").replace("−", "-").replace("+", ""))


def places(text):
    """Decimals."""
    return len(text.partition(".")[2])


def significant(text):
    """Digits from the first that is not 0."""
    return len(re.sub(r"[^0-9]", "", text).lstrip("0"))


def minus_zero(text):
    return re.fullmatch(r"[−-][0,.]*[^1-9]*", text) is not None


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [
        (1234.5678, 2, "1,234.57"),
        (-0.004, 2, "0.00"),
        (-0.006, 2, "−0.01"),
        (1250, -2, "1,200"),
        (-49, -2, "0"),
        (-0.00001, 3, "0.000"),
    ],
)
def test_amounts_have_separators_a_proper_minus_and_no_negative_zero(value, digits, words):
    assert number(value, digits) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(40, "40"), (0.025, "0.025"), (0.04444, "0.0444"), (13757.003, "13,757"), (-0.0373, "−0.0373"), (0, "0")],
)
def test_plain_numbers_have_three_digits_and_whole_ones_all(value, words):
    assert plain(value) == words


def test_a_number_that_is_none_is_a_dash():
    assert plain(float("nan")) == plain(float("inf")) == "–"


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0 %"), (1, "100 %"), (0.745, "74 %"), (0.001, "under 1 %"), (0.9999, "over 99 %"), (0.006, "1 %")],
)
def test_a_share_is_never_rounded_to_nothing_or_everything(share, words):
    assert percent(share) == words.replace(" %", f"{SPACE}%")


def test_a_probability_of_none_of_the_resamples_is_not_never():
    assert chance(0.0) == f"under 1{SPACE}%"
    assert chance(1.0) == f"over 99{SPACE}%"
    assert chance(0.031) == f"3{SPACE}%"


def test_a_hyphen_and_a_plus_can_be_asked_for():
    assert [number(value, 2, sign=True, minus=HYPHEN) for value in (-1.5, 0.001, 1.5)] == ["-1.50", "0.00", "+1.50"]


@pytest.mark.parametrize("left_over", [3.33e-16, -3.33e-16, 4.9e-10])
def test_what_is_left_over_from_a_sum_is_0(left_over):
    assert plain(left_over) == "0"
    assert alike([left_over, 0.0]) == ["0", "0"]
    assert alike([left_over, 0.4217]) == ["0.000", "0.422"]
    assert decimals([left_over]) == 0
    assert [percent(left_over), percent(1 - left_over)] == [f"0{SPACE}%", f"100{SPACE}%"]


def test_the_largest_has_three_digits_and_the_others_as_many_decimals():
    assert alike([0.01234, -0.001]) == ["0.0123", "−0.0010"]
    assert alike([12345.6]) == ["12,346"]
    assert alike([9.996, 0.1]) == ["10.0", "0.1"]
    assert decimals([0.0, float("nan")]) == 0


@given(finite, st.integers(-4, MOST_DECIMALS), st.booleans(), st.sampled_from(["−", HYPHEN]))
def test_a_number_has_the_decimals_that_were_asked_for_and_its_value(value, digits, sign, minus):
    text = number(value, digits, sign=sign, minus=minus)
    assert not minus_zero(text)
    assert places(text) == max(digits, 0)
    assert read(text) == pytest.approx(value, rel=1e-12, abs=0.500001 * 10.0**-digits)
    assert text.startswith("+") == (sign and read(text) > 0)


@given(finite, st.integers(MOST_DECIMALS, 400))
def test_no_number_has_more_decimals_than_mean_anything(value, digits):
    assert places(number(value, digits)) == MOST_DECIMALS


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 6))
def test_a_plain_number_has_no_more_digits_than_were_asked_for(value, digits):
    text = plain(value, digits)
    assert not minus_zero(text)
    assert places(text) <= MOST_DECIMALS
    if value.is_integer() and abs(value) < 1e15:
        assert read(text) == value
    elif abs(value) < 10**digits:
        assert significant(text) <= digits
        assert read(text) == pytest.approx(value, rel=0.5001 * 10 ** (1 - digits), abs=0.5001 * 10**-MOST_DECIMALS)
    assert len(text) <= 25


@given(st.lists(finite, min_size=1, max_size=5), st.integers(1, 5))
def test_numbers_to_be_compared_end_at_the_same_place(values, digits):
    texts = alike(values, digits)
    assert not any(map(minus_zero, texts))
    assert len(set(map(places, texts))) == 1
    if max(map(abs, values)) < 10 ** (digits - 1):
        assert max(map(significant, texts)) <= digits


@given(st.floats(-1e-9, 1e-9), st.floats(1, 1e6))
def test_what_is_smaller_than_the_last_digit_of_its_neighbour_is_0(small, large):
    assert read(alike([small, large])[0]) == 0


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 8), st.booleans())
def test_only_0_is_labelled_0(value, digits, commas):
    text = as_label(value, digits, commas=commas)
    assert not minus_zero(text)
    assert (read(text) == 0) == (value == 0)
    assert commas or "," not in text


def test_years_and_cuts_are_labels():
    assert [as_label(value) for value in (2016.0, -1.948, 1234567.8, 1.5e-7)] == [
        "2016",
        "−1.948",
        "1234568",
        "1.5e−07",
    ]
    assert as_label(9222.4, 4, commas=True) == "9,222"


@given(shares)
def test_shares_are_whole_per_cent_and_never_wrongly_all_or_nothing(share):
    for text, unit in ((percent(share), f"{SPACE}%"), (short_percent(share), "%")):
        assert text.endswith(unit)
        assert not minus_zero(text)
        assert (text == f"0{unit}") == (share < 5e-10)
        assert (text == f"100{unit}") == (1 - share < 5e-10)
    assert re.fullmatch(r"\d+\.\d%", percentage(share, 1))


def test_a_short_share_is_short():
    assert [short_percent(share) for share in (0, 0.001, 0.45, 0.999, 1)] == ["0%", "<1%", "45%", ">99%", "100%"]
    assert percentage(-0.0) == "0%"


@given(shares, st.integers(1, 3))
def test_a_p_value_has_its_digits_or_a_floor(value, digits):
    assert re.fullmatch(r"p = (1|0\.0*[1-9]\d{0,2})|p < 0\.0001", p_text(value, digits, least=1e-4))


def test_p_values_are_told_to_two_digits():
    assert [p_text(value) for value in (1, 0.0114, 1.24e-35, 0)] == ["p = 1", "p = 0.011", "p = 1.2e-35", "p < 1e-300"]


ROOMS = [SRC / "promotions" / "report", SRC / "promotions" / "plots"]
SHOWN = [SRC / "headline.py", SRC / "discount_headline.py", *(file for room in ROOMS for file in room.rglob("*.py"))]


@pytest.mark.parametrize("file", SHOWN, ids=lambda file: str(file.relative_to(SRC)))
def test_page_headline_and_figures_leave_all_decimals_to_this_place(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
            layout = "".join(str(part.value) for part in ast.walk(node.format_spec) if isinstance(part, ast.Constant))
            assert not re.search(r"[eEfFgG%]$", layout), f"{ast.unparse(node)} in line {node.lineno}"
