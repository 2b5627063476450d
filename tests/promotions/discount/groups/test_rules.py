"""Rules by groups and their value: means by hand, statsmodels, known truth, coverage."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from promotions.discount.groups.bins import fit_bins
from promotions.discount.groups.rules import evaluate_bands, means_of_other_folds, rule_from_means
from promotions.discount.prepare.simulated import LEVEL_SHARES, draw_randomised
from promotions.inference.estimates import Estimate
from tests.support.drawn_customers import banded, draw_customers, effect_of
from tests.support.randomness import rng_of


@pytest.fixture(scope="module")
def drawn():
    return draw_customers()


def test_a_rule_takes_the_band_with_the_highest_mean_that_is_supported(drawn):
    bands, band = banded(drawn)
    bins = fit_bins(drawn["age"], [30, 45], 30)
    codes = bins.place(drawn["age"])
    profit = drawn["profit"].to_numpy()
    rule = rule_from_means(profit, band, codes, bins, bands)
    assert (rule.choice[0], rule.choice[2]) == (0, 3)
    table = rule.table.set_index(["bin", "band"])
    means = pd.Series(profit).groupby([codes, band]).mean()
    assert table.loc[("46 and more", "100 and more"), "profit"] == pytest.approx(means[2, 3] - means[2, 0])
    np.testing.assert_array_equal(rule.decide(np.array([0, 2, -1])), [0, 3, 0])
    # Whoever would gain most has never had the band, so it is not given.
    seen = ~((codes == 2) & (band == 3))
    narrower = rule_from_means(profit[seen], band[seen], codes[seen], bins, bands)
    assert narrower.choice[2] == 2
    assert not narrower.table.set_index(["bin", "band"]).loc[("46 and more", "100 and more"), "supported"]


def test_a_log_is_adjusted_for_what_its_discounts_hung_on():
    """Here a dollar loses .05 of everybody's profit, and better customers had more dollars."""
    log = draw_customers(3, 12_000, log=True)
    bands, band = banded(log)
    bins = fit_bins(log["tenure"], [15], 30)
    codes = bins.place(log["tenure"])
    profit = (log["profit"] - (effect_of(log["age"]) + 0.05) * log["discount"]).to_numpy()
    controls = log[["sales_prediction", "age"]].to_numpy()
    naive = rule_from_means(profit, band, codes, bins, bands)
    adjusted = rule_from_means(profit, band, codes, bins, bands, controls)
    key, truth = ("up to 15", "100 and more"), -5.0
    found = adjusted.table.set_index(["bin", "band"]).loc[key]
    assert found["ci_low"] < truth < found["ci_high"]
    assert naive.table.set_index(["bin", "band"]).loc[key, "profit"] > truth + 10 * found["error"]
    assert (list(naive.choice), list(adjusted.choice)) == ([3, 3], [0, 0])
    inside = codes == 0
    steps = np.eye(len(bands.labels))[band[inside]][:, 1:]
    theirs = sm.OLS(profit[inside], sm.add_constant(np.column_stack([steps, controls[inside]]))).fit(cov_type="HC1")
    mine = adjusted.table[adjusted.table["bin"] == "up to 15"]
    np.testing.assert_allclose(mine["profit"].iloc[1:], theirs.params[1:4], rtol=1e-6)
    np.testing.assert_allclose(mine["error"].iloc[1:], theirs.bse[1:4], rtol=1e-6)


def test_controls_that_say_the_same_twice_or_tell_a_band_do_no_harm():
    log = draw_customers(3, 3000, log=True)
    bands, band = banded(log)
    bins = fit_bins(log["age"], 1, 30)
    profit, one = log["profit"].to_numpy(), log[["sales_prediction", "age"]].to_numpy()
    codes = bins.place(log["age"])
    plain = rule_from_means(profit, band, codes, bins, bands, one).table
    doubled = rule_from_means(profit, band, codes, bins, bands, np.column_stack([one, 3 * one[:, 0], np.ones(3000)]))
    np.testing.assert_allclose(doubled.table["profit"], plain["profit"], rtol=1e-7)
    np.testing.assert_allclose(doubled.table["error"], plain["error"], rtol=1e-7)
    telling = np.column_stack([one, (band == 3).astype(float)])
    told = rule_from_means(profit, band, codes, bins, bands, telling)
    assert np.isnan(told.table["profit"].iloc[3])
    assert told.choice[0] != 3


def test_values_of_rules_cover_their_truth_and_are_paired():
    hits = []
    for seed in range(150):
        drawn = draw_customers(seed, 2000)
        bands, band = banded(drawn)
        old = drawn["age"].to_numpy() > 45
        chosen = {"old": np.where(old, 3, 0)}
        fold = rng_of(seed).permutation(np.arange(2000) % 5)
        profit, dose = drawn["profit"].to_numpy(), drawn["discount"].to_numpy()
        means = means_of_other_folds(profit, band, old.astype(int), fold, len(bands.labels))
        values = evaluate_bands(profit, dose, band, bands, chosen, means, rng_of(seed))
        truth = {"old": effect_of(np.arange(46, 61)).sum() / 41 * 100, "none": 60 + 0.4 * 40 + 2.5}
        rule, none = values["old"], values["constant_none"]
        hits.append(
            [
                rule.versus_none.ci_low <= truth["old"] <= rule.versus_none.ci_high,
                none.dr.ci_low <= truth["none"] <= none.dr.ci_high,
                none.ips.ci_low <= truth["none"] <= none.ips.ci_high,
            ]
        )
        assert rule.dr.value - none.dr.value == pytest.approx(rule.versus_none.value)
        assert rule.versus_best_constant.value <= rule.versus_none.value
        assert rule.versus_none.se < rule.ips.se
    # Three standard errors of 150.
    np.testing.assert_allclose(np.mean(hits, axis=0), 0.95, atol=0.053)


def test_on_the_simulated_source_values_cover_its_truth():
    """The rule: the highest band for those above 37, nothing for the others."""
    hits = []
    for seed in range(100):
        table, expected = draw_randomised(3000, rng_of(seed))
        profit, dose = table["profit"].to_numpy(float), table["discount"].to_numpy(float)
        bands, band = banded(table, [20, 60])
        old = table["age"].to_numpy() > 37
        fold = rng_of(seed).permutation(np.arange(3000) % 5)
        means = means_of_other_folds(profit, band, old.astype(int), fold, len(bands.labels))
        last = len(bands.labels) - 1
        chosen = {"old": np.where(old, last, 0)}
        found = evaluate_bands(profit, dose, band, bands, chosen, means, rng_of(seed))["old"].versus_none
        levels = np.array([float(name.removeprefix("sales_")) for name in expected if name != "row"])
        gain = 0.05 * expected.drop(columns="row").to_numpy() - levels
        high = bands.place(pd.Series(levels)) == last
        given = gain[:, high] @ LEVEL_SHARES[high] / LEVEL_SHARES[high].sum()
        lead = np.where(old, given - gain[:, 0], 0).mean()
        hits.append(found.ci_low <= lead <= found.ci_high)
    # Three standard errors of 100.
    assert np.mean(hits) == pytest.approx(0.95, abs=0.066)


def test_a_rule_that_is_a_constant_has_no_lead_over_the_best_one(drawn):
    bands, band = banded(drawn)
    means = np.full((4000, len(bands.labels)), 70.0)
    chosen = {"same": np.zeros(4000, dtype=np.intp)}
    profit, dose = drawn["profit"].to_numpy(), drawn["discount"].to_numpy()
    values = evaluate_bands(profit, dose, band, bands, chosen, means, rng_of())
    assert values["same"].versus_none == Estimate(0, 0, 0, 0)
    assert values["same"].versus_best_constant.value <= 0
    assert values["same"].p_best_constant_holm == 1
    # A band for everybody has the mean discount of those who got it.
    for place, label in enumerate(bands.labels):
        assert values[f"constant_{label}"].mean_dose == pytest.approx(dose[band == place].mean())
        assert values[f"constant_{label}"].share_given == float(label != "none")
        assert values[f"constant_{label}"].p_best_constant_holm is None


def test_a_cells_mean_comes_of_other_folds_alone():
    profit = np.array([1.0, 2.0, 3.0, 4.0])
    band, codes, fold = np.array([0, 0, 1, 0]), np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1])
    means = means_of_other_folds(profit, band, codes, fold, 2)
    np.testing.assert_allclose(means[0], [2, 3])
    # Of the other fold, the first customer: band 0 has its mean, band 1 nobody, so what all without it have: nothing.
    np.testing.assert_allclose(means[1], [1, 0])
    np.testing.assert_allclose(means[3], [1, 0])
