"""Numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.base.formatting import MOST_DECIMALS, SPACE
from promotions.report.words import (
    Estimate,
    counted,
    dose_name,
    listed,
    p_value,
    policy_name,
)


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (Estimate(0.1473, -0.0953, 0.3725), "0.15 (−0.10 to 0.37)"),
        (Estimate(147.3, -95.3, 372.5), "150 (−100 to 370)"),
        (Estimate(8838, -5718, 22350), "9,000 (−6,000 to 22,000)"),
        (Estimate(0.01304, 0.00547, 0.01964), "0.0130 (0.0055 to 0.0196)"),
        (Estimate(24.3911, 24.03, 24.7448), "24.39 (24.03 to 24.74)"),
        (Estimate(0.0, 0.0, 0.0), "0 (0 to 0)"),
    ],
)
def test_an_estimate_is_rounded_to_two_digits_of_half_its_interval(estimate, words):
    assert estimate.short() == words


@pytest.mark.parametrize("left_over", [3.33e-16, -3.33e-16])
def test_what_is_left_over_from_a_sum_is_0_and_brings_no_digits(left_over):
    assert Estimate(0.5, left_over, 1.0).short() == Estimate(0.5, 0.0, 1.0).short() == "0.50 (0.00 to 1.00)"
    assert Estimate(left_over, left_over, left_over).short(sign=True) == "0 (0 to 0)"
    assert Estimate(24.3911, 24.3911, 24.3911 + left_over).short() == "24 (24 to 24)"


finite = st.floats(-1e12, 1e12)


@given(finite, finite, finite, st.booleans())
def test_no_estimate_has_more_digits_than_its_interval_is_known_to(value, one, other, sign):
    estimate = Estimate(value, min(one, other), max(one, other))
    texts = [estimate.number(sign=sign), *estimate.bounds().split(" to ")]
    assert not any(text[0] in "−-" and set(text[1:]) <= set("0.,") for text in texts)
    digits = {len(text.partition(".")[2]) for text in texts}
    assert len(digits) == 1
    assert digits <= set(range(MOST_DECIMALS + 1))
    half = f"{(estimate.high - estimate.low) / 2:.{max(digits)}f}"
    # Two significant digits, and the few more that a bound beside 0 may ask for.
    assert len(half.lstrip("0.").replace(".", "")) <= 2 + 3 or not max(digits)


@pytest.mark.parametrize("low", [0.004, 0.0004, -0.0004])
def test_a_bound_beside_zero_is_not_printed_as_zero(low):
    estimate = Estimate(0.5, low, 1.0)
    bound = estimate.bounds().split(" to ")[0].replace("−", "-")
    assert float(bound) != 0
    assert (float(bound) > 0) == estimate.above


def test_an_interval_is_proven_only_if_all_of_it_lies_on_one_side():
    assert [Estimate(1, low, high).above for low, high in ((0.1, 2), (0, 2), (-1, 2))] == [True, False, False]
    assert [Estimate(-1, low, high).below for low, high in ((-2, -0.1), (-2, 0), (-2, 1))] == [True, False, False]


def test_more_or_less_says_the_sign_in_words():
    assert Estimate(0.15, -0.1, 0.4).more_or_less == "0.15 more"
    assert Estimate(-0.15, -0.4, 0.1).more_or_less == "0.15 less"


def test_estimates_scale_with_the_number_of_customers():
    assert Estimate(0.125, -0.5, 0.75).times(1000) == Estimate(125, -500, 750)


def test_p_values_have_a_floor():
    assert p_value(1e-35) == f"p{SPACE}<{SPACE}0.0001"
    assert p_value(0.0114) == f"p{SPACE}={SPACE}0.011"


def test_names_are_those_of_the_figures():
    assert policy_name("threshold.x_learner") == "Threshold · X-learner"
    assert policy_name("treat_all") == "Contact everybody"
    assert dose_name("constant_0") == "no discount"
    assert dose_name("constant_20") == "everybody 20"
    assert dose_name("best.r_learner") == "Best · R-learner"


def test_counts_and_lists_are_grammatical():
    assert [counted(count, "rule") for count in (0, 1, 2000)] == ["0 rules", "1 rule", "2,000 rules"]
    assert [listed("abc"[:length]) for length in range(4)] == ["", "a", "a and b", "a, b and c"]
