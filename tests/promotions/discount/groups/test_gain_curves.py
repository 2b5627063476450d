"""Cumulative curves: slopes by hand, the file, errors and bands over experiments drawn anew."""

import numpy as np
import pytest

from promotions.discount.groups.gain_curves import SHARES, cumulative_curves
from tests.support.drawn_customers import draw_customers, effect_of
from tests.support.randomness import rng_of


@pytest.fixture(scope="module")
def drawn():
    return draw_customers()


def test_on_the_randomised_file_the_older_come_first(real_tables):
    table = real_tables["randomised"]
    profit, dose = table["profit"].to_numpy(float), table["discount"].to_numpy(float)
    curves = cumulative_curves(profit, dose, table["age"].to_numpy(float), rng_of())
    assert curves.area_p_value < 1e-3


def test_the_curves_are_slopes_among_the_first_times_their_share(drawn):
    profit, dose = drawn["profit"].to_numpy(), drawn["discount"].to_numpy()
    priority = rng_of(5).permutation(np.arange(4000.0))
    frame = cumulative_curves(profit, dose, priority, rng_of()).frame.set_index("share")
    whole = np.polyfit(dose, profit, 1)[0]
    for share in (0.25, 0.6, 1.0):
        first = priority >= 4000 * (1 - share)
        effect = np.polyfit(dose[first], profit[first], 1)[0]
        row = frame.loc[share]
        assert row["effect"] == pytest.approx(effect, rel=1e-8)
        assert row["gain"] == pytest.approx(effect * share, rel=1e-8)
        assert row["random"] == pytest.approx(whole * share, rel=1e-8)
        assert row["lead"] == pytest.approx((effect - whole) * share, abs=1e-10)
    assert frame.loc[1.0, ["lead", "lead_error", "lead_joint_ci_high"]].abs().max() < 1e-12


def test_a_column_that_says_nothing_has_no_lead_and_a_constant_one_exactly_none(drawn):
    profit, dose = drawn["profit"].to_numpy(), drawn["discount"].to_numpy()
    constant = cumulative_curves(profit, dose, np.ones(4000), rng_of())
    np.testing.assert_allclose(constant.frame["lead"], 0, atol=1e-12)
    assert constant.area == pytest.approx(0, abs=1e-12)
    noise = cumulative_curves(profit, dose, rng_of(8).normal(size=4000), rng_of())
    assert noise.area_p_value > 0.05
    by_age = cumulative_curves(profit, dose, drawn["age"].to_numpy(), rng_of())
    assert by_age.area_p_value < 1e-10
    assert cumulative_curves(profit, dose, -drawn["age"].to_numpy(), rng_of()).area_p_value > 1 - 1e-6


def test_rows_have_no_order_in_the_curves_and_unknown_values_come_last(drawn):
    profit, dose, age = (drawn[name].to_numpy() for name in ("profit", "discount", "age"))
    order = rng_of(2).permutation(4000)
    # Random signs meet rows in the order of the table, so of the joint bands the points alone are compared.
    columns = ["effect", "effect_error", "lead", "lead_error"]
    one = cumulative_curves(profit, dose, age, rng_of()).frame[columns]
    other = cumulative_curves(profit[order], dose[order], age[order], rng_of()).frame[columns]
    np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-12)
    unknown = np.where(age < 25, np.nan, age)
    lowest = np.where(age < 25, -1.0, age)
    np.testing.assert_allclose(
        cumulative_curves(profit, dose, unknown, rng_of()).frame[columns],
        cumulative_curves(profit, dose, lowest, rng_of()).frame[columns],
    )


def test_errors_of_the_curves_are_those_of_drawing_the_customers_anew():
    """Over 200 experiments, the quantile of the ranking drawn anew each time."""
    estimates, errors = [], []
    for seed in range(200):
        drawn = draw_customers(seed, 1500)
        rank = drawn["age"].to_numpy() + rng_of(seed).random(1500)
        curves = cumulative_curves(drawn["profit"].to_numpy(), drawn["discount"].to_numpy(), rank, rng_of())
        rows = curves.frame.iloc[[3, 9, 15]]
        estimates.append([*rows["effect"], *rows["lead"], curves.area])
        errors.append([*rows["effect_error"], *rows["lead_error"], curves.area_error])
    ratio = np.mean(errors, axis=0) / np.std(estimates, axis=0)
    # The deviation of 200 draws is known to 5 %.
    np.testing.assert_allclose(ratio, 1, atol=0.15)


def test_joint_bands_of_the_curve_cover_the_true_curve():
    """The effect among the oldest share: the mean of their slopes, as the dose was drawn by lot."""
    ages = np.arange(60, 19, -1.0)
    ends = np.arange(1, 42) / 41
    truth = np.interp(SHARES, ends, np.cumsum(effect_of(ages)) / np.arange(1, 42))
    within = SHARES > 1 / 41
    gained = np.interp(SHARES, np.append(0, ends), np.append(0, np.cumsum(effect_of(ages)) / 41))
    truth = np.where(within, gained / SHARES, truth)
    hits = []
    for seed in range(120):
        drawn = draw_customers(seed, 2000)
        frame = cumulative_curves(
            drawn["profit"].to_numpy(), drawn["discount"].to_numpy(), drawn["age"].to_numpy(), rng_of(seed)
        ).frame
        joint = (frame["effect_joint_ci_low"] <= truth) & (truth <= frame["effect_joint_ci_high"])
        lead = gained - SHARES * truth[-1]
        leads = (frame["lead_joint_ci_low"] <= lead + 1e-12) & (lead - 1e-12 <= frame["lead_joint_ci_high"])
        hits.append([joint.all(), leads.all()])
    np.testing.assert_allclose(np.mean(hits, axis=0), 0.95, atol=0.06)
