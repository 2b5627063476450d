"""Numbers as people read them."""

import pytest

from promotions.report.words import (
    SPACE,
    Estimate,
    amount,
    chance,
    counted,
    dose_name,
    listed,
    p_value,
    percent,
    plain,
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


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [(1234.5678, 2, "1,234.57"), (-0.004, 2, "0.00"), (-0.006, 2, "−0.01"), (1250, -2, "1,200"), (-49, -2, "0")],
)
def test_amounts_have_separators_a_proper_minus_and_no_negative_zero(value, digits, words):
    assert amount(value, digits) == words


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
