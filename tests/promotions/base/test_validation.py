"""Checks of parameters that read the same wherever they are made."""

import math

import pytest

from promotions.base.errors import InputError
from promotions.base.validation import require_choice, require_keys, require_number, require_share, require_whole


def test_keys_have_to_be_exactly_those_expected():
    require_keys({"a": 1, "b": 2}, ("a", "b"), "section")
    with pytest.raises(InputError, match=r"section\.b is missing; the keys of section are a, b"):
        require_keys({"a": 1}, ("a", "b"), "section")
    with pytest.raises(InputError, match=r"section\.c is unknown; the keys of section are a, b"):
        require_keys({"a": 1, "b": 2, "c": 3}, ("a", "b"), "section")


@pytest.mark.parametrize("value", ["red", None, 1, ["blue"]])
def test_a_choice_has_to_be_one_of_those_offered(value):
    assert require_choice("blue", ("blue", "green"), "colour") == "blue"
    with pytest.raises(InputError, match=r"colour: .* is unknown; it is one of blue, green"):
        require_choice(value, ("blue", "green"), "colour")


@pytest.mark.parametrize("value", [1, 0, -3, 2.5, 4.0, True, "4", None, [4]])
def test_a_whole_number_has_to_be_one_and_large_enough(value):
    assert require_whole(2, "trees", 2) == 2
    with pytest.raises(InputError) as error:
        require_whole(value, "trees", 2)
    assert str(error.value) == f"trees: expected a whole number of 2 or more, got {value!r}"


def test_a_whole_number_may_be_written_as_a_float_only_where_that_is_allowed():
    number = require_whole(4.0, "trees", 2, as_float=True)
    assert (number, type(number)) == (4, int)
    for value in (1.0, 2.5, float("nan"), float("inf"), True, "4.0"):
        with pytest.raises(InputError) as error:
            require_whole(value, "trees", 2, as_float=True)
        assert str(error.value) == f"trees: expected a whole number of 2 or more, got {value!r}"


@pytest.mark.parametrize(
    ("low", "high", "low_open", "high_open", "inside", "outside", "expected"),
    [
        (0, math.inf, False, False, [0, 0.5, 1e9], [-1, math.inf, math.nan], "0 or more"),
        (0, math.inf, True, False, [1e-9, 3], [0, -1, math.inf, math.nan], "a number above 0"),
        (1, 2.5, False, False, [1, 2.5], [0.99, 2.51, math.nan], "a number in [1, 2.5]"),
        (1, 2.5, True, False, [1.01, 2.5], [1, 2.51], "a number in (1, 2.5]"),
        (1, 2.5, False, True, [1, 2.49], [0.99, 2.5], "a number in [1, 2.5)"),
        (1, 2.5, True, True, [1.01, 2.49], [1, 2.5], "a number in (1, 2.5)"),
    ],
)
def test_a_number_has_to_be_one_and_in_range(low, high, low_open, high_open, inside, outside, expected):
    for value in inside:
        assert require_number(value, "x", low, high, low_open=low_open, high_open=high_open) is value
    for value in [*outside, True, "2", None, [2]]:
        with pytest.raises(InputError) as error:
            require_number(value, "x", low, high, low_open=low_open, high_open=high_open)
        assert str(error.value) == f"x: expected {expected}, got {value!r}"


def test_the_error_calls_a_number_what_the_caller_calls_it():
    with pytest.raises(InputError, match=r"^alpha: expected a level in \(0, 1\), got 1$"):
        require_number(1, "alpha", 0, 1, low_open=True, high_open=True, noun="level")


def test_a_share_lies_above_zero_and_reaches_one_unless_that_is_excluded():
    assert require_share(1, "share") == 1
    assert require_share(0.3, "share", below_one=True) == 0.3
    for value in (0, -0.5, 1.01, math.nan, True, "0.5", None):
        with pytest.raises(InputError, match=r"^share: expected a share in \(0, 1\], got "):
            require_share(value, "share")
    for value in (0, 1, 1.0):
        with pytest.raises(InputError, match=r"^share: expected a share in \(0, 1\), got "):
            require_share(value, "share", below_one=True)
