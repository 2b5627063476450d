"""Checks of parameters that read the same wherever they are made."""

import pytest

from promotions.errors import InputError
from promotions.validation import require_choice, require_keys


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
