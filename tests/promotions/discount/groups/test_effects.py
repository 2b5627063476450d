"""Effects by bins: the file's numbers, statsmodels, known truth, coverage."""

import numpy as np
import pytest
import statsmodels.api as sm

from promotions.base.errors import InputError
from promotions.discount.groups.bins import fit_bins
from promotions.discount.groups.effects import effects_by_bin, slope
from promotions.discount.prepare.simulated import draw_randomised, truth
from tests.support.drawn_customers import draw_customers, effect_of
from tests.support.randomness import rng_of


@pytest.fixture(scope="module")
def drawn():
    return draw_customers()


def test_on_the_randomised_file_a_discount_pays_for_the_older_alone(real_tables):
    table = real_tables["randomised"]
    profit, dose = table["profit"].to_numpy(float), table["discount"].to_numpy(float)
    assert slope(profit, dose).value == pytest.approx(-0.03566112670736, abs=1e-12)
    assert slope(table["sales"].to_numpy(float), dose).value == pytest.approx(19.286765416, abs=1e-8)
    bins = fit_bins(table["age"], 5, 300)
    found = effects_by_bin(profit, dose, bins.place(table["age"]), bins.labels, rng_of())
    assert list(found.frame["bin"]) == ["up to 26", "27 to 29", "30 to 33", "34 to 37", "38 and more"]
    assert found.frame["effect"].iloc[-1] == pytest.approx(0.096, abs=5e-4)
    assert (found.frame["effect"].iloc[:-1] < 0).all()
    assert found.frame["p_value_holm"].iloc[-1] < 0.05
    assert found.equal_p_value < 0.002
    halves = fit_bins(table["age"], [37.0], 300)
    two = effects_by_bin(profit, dose, halves.place(table["age"]), halves.labels, rng_of()).frame
    assert two["ci_high"].iloc[0] < 0 < two["ci_low"].iloc[1]


def test_an_effect_is_the_regression_of_its_bin_with_hc1_errors_and_joint_intervals_are_wider(drawn):
    profit, dose = drawn["profit"].to_numpy(), drawn["discount"].to_numpy()
    bins = fit_bins(drawn["age"], 4, 10)
    codes = bins.place(drawn["age"])
    found = effects_by_bin(profit, dose, codes, bins.labels, rng_of()).frame
    for index in range(4):
        part = codes == index
        theirs = sm.OLS(profit[part], sm.add_constant(dose[part])).fit(cov_type="HC1")
        assert found["effect"].iloc[index] == pytest.approx(theirs.params[1], rel=1e-9)
        assert found["error"].iloc[index] == pytest.approx(theirs.bse[1], rel=1e-9)
        assert found["p_value"].iloc[index] == pytest.approx(theirs.pvalues[1], rel=1e-6)
    assert (found["joint_ci_low"] < found["ci_low"]).all()
    assert (found["joint_ci_high"] > found["ci_high"]).all()
    assert (found["p_value_holm"] >= found["p_value"]).all()


def test_the_test_of_equal_effects_is_the_wald_test_of_the_interactions(drawn):
    profit, dose = drawn["profit"].to_numpy(), drawn["discount"].to_numpy()
    codes = fit_bins(drawn["age"], 3, 10).place(drawn["age"])
    found = effects_by_bin(profit, dose, codes, ["1", "2", "3"], rng_of())
    dummies = np.eye(3)[codes]
    fit = sm.OLS(profit, np.column_stack([dummies, dummies * dose[:, None]])).fit(cov_type="HC0")
    restrictions = np.array([[0, 0, 0, 1, -1, 0], [0, 0, 0, 0, 1, -1]])
    theirs = float(fit.wald_test(restrictions, use_f=False, scalar=True).statistic)
    # HC1 of each bin instead of HC0 of all: 2/n smaller.
    assert found.equal == pytest.approx(theirs, rel=5e-3)
    assert found.equal_p_value < 1e-10
    same = effects_by_bin(profit - effect_of(drawn["age"].to_numpy()) * dose, dose, codes, ["1", "2", "3"], rng_of())
    assert same.equal_p_value > 0.05


def test_intervals_by_bin_cover_the_truth_and_equal_effects_are_rejected_in_5_of_100():
    hits = []
    for seed in range(200):
        drawn = draw_customers(seed, 2000)
        dose = drawn["discount"].to_numpy()
        codes = fit_bins(drawn["age"], [29, 39, 49], 10).place(drawn["age"])
        # The truth of a bin is the mean of its customers' slopes: the dose was drawn by lot.
        truth = effect_of(np.array([24.5, 34.5, 44.5, 55.0]))
        found = effects_by_bin(drawn["profit"].to_numpy(), dose, codes, list("1234"), rng_of(seed))
        alone = (found.frame["ci_low"] <= truth) & (truth <= found.frame["ci_high"])
        joint = (found.frame["joint_ci_low"] <= truth) & (truth <= found.frame["joint_ci_high"])
        flat = drawn["profit"].to_numpy() - effect_of(drawn["age"].to_numpy()) * dose
        same = effects_by_bin(flat, dose, codes, list("1234"), rng_of(seed))
        hits.append([alone.mean(), joint.all(), same.equal_p_value < 0.05])
    share = np.mean(hits, axis=0)
    # Three Monte-Carlo standard errors of 200: .046.
    np.testing.assert_allclose(share, [0.95, 0.95, 0.05], atol=0.046)


def test_on_the_simulated_source_the_slope_covers_its_truth():
    known, hits = truth(), []
    for seed in range(100):
        table, _ = draw_randomised(3000, rng_of(seed))
        profit, dose = table["profit"].to_numpy(float), table["discount"].to_numpy(float)
        whole = slope(profit, dose).estimate(np.arange(3000))
        hits.append(whole.ci_low <= known["slope_profit_randomised"] <= whole.ci_high)
    # Three standard errors of 100.
    assert np.mean(hits) == pytest.approx(0.95, abs=0.066)


def test_a_dose_that_does_not_vary_in_a_bin_is_refused(drawn):
    codes = (drawn["discount"] == 0).astype(int).to_numpy()
    with pytest.raises(InputError, match=r"discount of .* customers of one bin does not vary"):
        effects_by_bin(drawn["profit"].to_numpy(), drawn["discount"].to_numpy(), codes, ["a", "b"], rng_of())
