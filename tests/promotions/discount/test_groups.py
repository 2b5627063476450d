"""Effects by bins, cumulative curves and rules by groups: the file's numbers, statsmodels, known truth, coverage."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from promotions.boosting import Boosting
from promotions.discount.groups import (
    PREDICTED,
    SHARES,
    Settings,
    cumulative_curves,
    curves_table,
    effects_by_bin,
    effects_table,
    fit_bands,
    fit_bins,
    means_of_other_folds,
    predict_sales,
    rule_from_means,
    rules_table,
    slope,
    study_groups,
    summary,
    value_of_rules,
    values_table,
)
from promotions.discount.simulated import LEVEL_SHARES, draw_randomised, truth
from promotions.errors import InputError

LEVELS = np.array([0.0, 10.0, 20.0, 40.0, 100.0])
MODEL = {
    "trees": 20,
    "leaves": 4,
    "learning_rate": 0.1,
    "min_leaf": 50,
    "feature_share": 1.0,
    "row_share": 1.0,
    "l2": 1,
}
FEATURES = ["age", "tenure", "gender"]


def rng_of(seed=1):
    return np.random.default_rng(seed)


def effect_of(age):
    """Of a dollar on profit: it pays from 40 on."""
    return (age - 40) / 200


def draw_customers(seed=1, n=4000, *, log=False):
    """Profit is linear in the discount, with a slope that grows with age; the log gives more to those who buy more."""
    rng = rng_of(seed)
    age, tenure = rng.integers(20, 61, n).astype(float), rng.integers(1, 30, n).astype(float)
    woman = rng.random(n) < 0.5
    base = 60 + 0.4 * age + 5 * woman
    dose = rng.choice(LEVELS, n, p=[0.3, 0.25, 0.2, 0.15, 0.1])
    prediction = base + rng.normal(0, 3, n)
    if log:
        wanted = np.argsort(np.argsort(prediction + rng.normal(0, 4, n))) / n
        dose = LEVELS[np.searchsorted([0.3, 0.55, 0.75, 0.9], wanted)]
    profit = base + effect_of(age) * dose + rng.normal(0, 5, n)
    gender = pd.array(np.where(rng.random(n) < 0.1, None, np.where(woman, "1", "0")), dtype="string")
    frame = pd.DataFrame({"row": np.arange(n), "age": age, "tenure": tenure, "gender": gender, "discount": dose})
    frame = frame.assign(profit=profit, sales=(profit + dose) / 0.05)
    return frame.assign(sales_prediction=prediction / 0.05) if log else frame


def settings(**changed):
    params = {"by": {"age": 4, "gender": 1}, "bands": 3, "least": 100, "model": MODEL}
    return Settings.from_params({**params, **changed})


@pytest.fixture(scope="module")
def drawn():
    return draw_customers()


@pytest.fixture(scope="module")
def study(drawn):
    by = {"age": 4, "tenure": 3, PREDICTED: 3, "gender": 1}
    log = draw_customers(2, 6000, log=True)
    return study_groups(drawn, log, FEATURES, ["sales_prediction"], settings(by=by), rng_of())


# ── the shared file ──────────────────────────────────────────────────────────────────────────────────────────────────


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
    curves = cumulative_curves(profit, dose, table["age"].to_numpy(float), rng_of())
    assert curves.area_p_value < 1e-3


# ── bins ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_bins_of_a_number_are_those_of_qcut_and_named_by_their_values(drawn):
    bins = fit_bins(drawn["age"], 5, 10)
    np.testing.assert_array_equal(bins.place(drawn["age"]), pd.qcut(drawn["age"], 5, labels=False))
    assert bins.labels[0].startswith("up to 2")
    assert bins.labels[-1].endswith("and more")
    assert fit_bins(drawn["age"], [30, 50], 10).labels == ("up to 30", "31 to 50", "51 and more")
    assert fit_bins(drawn["age"] + 0.5, [30.2, 50.1], 10).labels == ("up to 30.2", "30.2 to 50.1", "above 50.1")
    assert fit_bins(drawn["age"], 1, 10).labels == ("all",)


def test_bins_with_too_few_customers_join_others_and_rare_levels_each_other(drawn):
    assert fit_bins(drawn["age"], [21, 40, 59.5], 300).labels == ("up to 40", "41 and more")
    letters = pd.Series(["a"] * 50 + ["b"] * 40 + ["c"] * 6 + ["d"] * 5 + [None] * 12, dtype="string")
    bins = fit_bins(letters, 1, 10)
    assert bins.labels == ("a", "b", "any other level", "missing")
    assert list(np.bincount(bins.place(letters))) == [50, 40, 11, 12]
    assert list(bins.place(pd.Series(["e", None, "b"], dtype="string"))) == [2, 3, 1]
    strict = fit_bins(letters, 1, 20)
    assert strict.labels == ("a", "b")
    assert list(strict.place(pd.Series(["c", None, "a"], dtype="string"))) == [-1, -1, 0]
    number = pd.Series([1.0, np.nan, 3.0] * 20)
    assert fit_bins(number, 2, 10).labels == ("up to 1", "3 and more", "missing")
    assert fit_bins(number, 2, 30).place(number)[1] == -1


def test_no_discount_is_a_band_of_its_own():
    dose = np.repeat(LEVELS, [50, 40, 30, 20, 60])
    bands = fit_bands(dose, [10, 40], 10)
    assert bands.labels == ("none", "10", "20 to 40", "100 and more")
    assert list(np.bincount(bands.place(pd.Series(dose)))) == [50, 40, 50, 60]
    assert fit_bands(dose, [20.0], 10).labels == ("none", "10 to 20", "40 and more")
    assert fit_bands(dose[50:], [20.0], 10).labels == ("10 to 20", "40 and more")


# ── effects ──────────────────────────────────────────────────────────────────────────────────────────────────────────


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


def test_a_dose_that_does_not_vary_in_a_bin_is_refused(drawn):
    codes = (drawn["discount"] == 0).astype(int).to_numpy()
    with pytest.raises(InputError, match=r"discount of .* customers of one bin does not vary"):
        effects_by_bin(drawn["profit"].to_numpy(), drawn["discount"].to_numpy(), codes, ["a", "b"], rng_of())


# ── cumulative curves ────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── rules ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def banded(table, bands=3):
    found = fit_bands(table["discount"].to_numpy(), bands, 30)
    return found, found.place(table["discount"])


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
        frame = value_of_rules(profit, dose, band, bands, chosen, means).set_index("rule")
        truth = {"old": effect_of(np.arange(46, 61)).sum() / 41 * 100, "none": 60 + 0.4 * 40 + 2.5}
        row, none = frame.loc["old"], frame.loc["all_none"]
        hits.append(
            [
                row["versus_none_ci_low"] <= truth["old"] <= row["versus_none_ci_high"],
                none["value_ci_low"] <= truth["none"] <= none["value_ci_high"],
                none["ips_ci_low"] <= truth["none"] <= none["ips_ci_high"],
            ]
        )
        assert row["value"] - none["value"] == pytest.approx(row["versus_none"])
        assert row["versus_constant"] <= row["versus_none"]
        assert row["versus_none_error"] < row["ips_error"]
    # Three standard errors of 150: .053; IPS with the sample's own shares is a little too wide.
    np.testing.assert_allclose(np.mean(hits, axis=0)[:2], 0.95, atol=0.053)
    assert np.mean(hits, axis=0)[2] > 0.9


def test_on_the_simulated_source_slopes_and_values_cover_its_truth():
    """The rule: the highest band for those above 37, nothing for the others."""
    known, hits = truth(), []
    for seed in range(100):
        table, expected = draw_randomised(3000, rng_of(seed))
        profit, dose = table["profit"].to_numpy(float), table["discount"].to_numpy(float)
        whole = slope(profit, dose).estimate(np.arange(3000))
        bands, band = banded(table, [20, 60])
        old = table["age"].to_numpy() > 37
        fold = rng_of(seed).permutation(np.arange(3000) % 5)
        means = means_of_other_folds(profit, band, old.astype(int), fold, len(bands.labels))
        last = len(bands.labels) - 1
        chosen = {"old": np.where(old, last, 0)}
        found = value_of_rules(profit, dose, band, bands, chosen, means).set_index("rule").loc["old"]
        levels = np.array([float(name.removeprefix("sales_")) for name in expected if name != "row"])
        gain = 0.05 * expected.drop(columns="row").to_numpy() - levels
        high = bands.place(pd.Series(levels)) == last
        given = gain[:, high] @ LEVEL_SHARES[high] / LEVEL_SHARES[high].sum()
        lead = np.where(old, given - gain[:, 0], 0).mean()
        hits.append(
            [
                whole.ci_low <= known["slope_profit_randomised"] <= whole.ci_high,
                found["versus_none_ci_low"] <= lead <= found["versus_none_ci_high"],
            ]
        )
    # Three standard errors of 100.
    np.testing.assert_allclose(np.mean(hits, axis=0), 0.95, atol=0.066)


def test_a_rule_that_is_a_constant_has_no_lead_over_the_best_one(drawn):
    bands, band = banded(drawn)
    means = np.full((4000, len(bands.labels)), 70.0)
    chosen = {"same": np.zeros(4000, dtype=np.intp)}
    frame = value_of_rules(
        drawn["profit"].to_numpy(), drawn["discount"].to_numpy(), band, bands, chosen, means
    ).set_index("rule")
    assert frame.loc["same", "versus_none"] == 0
    assert frame.loc["same", "versus_constant"] <= 0
    assert frame.loc["same", "p_value_holm"] == 1


def test_a_cells_mean_comes_of_other_folds_alone():
    profit = np.array([1.0, 2.0, 3.0, 4.0])
    band, codes, fold = np.array([0, 0, 1, 0]), np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1])
    means = means_of_other_folds(profit, band, codes, fold, 2)
    np.testing.assert_allclose(means[0], [2, 3])
    # Of the other fold, the first customer: band 0 has its mean, band 1 nobody, so what all without it have: nothing.
    np.testing.assert_allclose(means[1], [1, 0])
    np.testing.assert_allclose(means[3], [1, 0])


# ── the whole ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_study_finds_who_pays_and_its_rules_beat_every_constant(study):
    by_age = study.columns["age"]
    assert by_age.effects["profit"].frame["ci_high"].iloc[0] < 0 < by_age.effects["profit"].frame["ci_low"].iloc[-1]
    worth = by_age.worth.set_index("rule")
    assert worth.loc["log", "versus_constant_ci_low"] > 0
    assert worth.loc["test", "versus_constant_ci_low"] > 0
    assert study.columns["tenure"].effects["profit"].equal_p_value > 0.001
    assert study.columns["gender"].curves == {}
    assert study.columns[PREDICTED].curves["profit"].area_p_value < 1e-6
    assert {"test_1", "test_5", "log"} <= set(by_age.rules)


def test_metrics_and_tables_have_no_gaps_where_numbers_are_promised(study):
    def leaves(part):
        for value in part.values():
            yield from leaves(value) if isinstance(value, dict) else [value]

    for leaf in leaves(summary(study)):
        assert isinstance(leaf, (bool, int, float, str))
        assert not isinstance(leaf, float) or np.isfinite(leaf)
    effects = effects_table(study)
    assert set(effects["outcome"]) == {"profit", "sales"}
    assert effects.groupby(["column", "outcome"])["customers"].sum().max() == 4000
    assert set(curves_table(study)["column"]) == {"age", "tenure", PREDICTED}
    assert rules_table(study).groupby(["column", "rule", "bin"])["chosen"].sum().eq(1).all()
    assert set(values_table(study)["column"]) == set(study.columns)


def test_the_order_of_rows_changes_no_number(drawn):
    log = draw_customers(2, 2000, log=True)
    chosen = settings(by={"age": 3, PREDICTED: 2})

    def numbers(one, other):
        found = study_groups(one, other, FEATURES, ["sales_prediction"], chosen, rng_of())
        return effects_table(found), values_table(found)

    shuffled = numbers(drawn.sample(frac=1, random_state=1), log.sample(frac=1, random_state=2))
    for mine, theirs in zip(numbers(drawn, log), shuffled, strict=True):
        pd.testing.assert_frame_equal(mine, theirs, rtol=1e-10)


def test_without_a_log_the_test_alone_gives_a_rule(drawn):
    empty = pd.DataFrame({name: pd.Series(dtype=float) for name in ("sales", "discount", "profit")})
    found = study_groups(drawn, empty, FEATURES, [], settings(by={"age": 3}), rng_of())
    rules = found.columns["age"].worth["rule"]
    assert "log" not in set(rules)
    assert "test" in set(rules)


def test_predictions_of_the_log_come_of_other_folds():
    """Sales that are pure noise cannot be predicted; a model that had seen them would seem to."""
    log, randomised = draw_customers(4, 3000, log=True), draw_customers(5, 500)
    noise = log.assign(sales=rng_of(6).normal(size=3000))
    model = Boosting(trees=200, leaves=31, min_leaf=5, feature_share=1.0, row_share=1.0)
    held_out, _ = predict_sales(noise, randomised, ["age", "tenure"], model, rng_of())
    assert abs(np.corrcoef(held_out, noise["sales"])[0, 1]) < 0.08
    held_out, new = predict_sales(log, randomised, ["age", "tenure"], Boosting(trees=50), rng_of())
    assert np.corrcoef(held_out, log["sales"])[0, 1] > 0.3
    assert np.corrcoef(new, randomised["age"])[0, 1] > 0.7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": {}}, r"discount\.groups\.by: expected columns"),
        ({"by": {"age": 0}}, r"discount\.groups\.by\.age: expected a whole number from 1 to 100, got 0"),
        ({"by": {"age": []}}, r"discount\.groups\.by\.age: expected a number of bins or a list of cuts"),
        ({"by": {"age": ["40"]}}, r"discount\.groups\.by\.age: expected a number of bins or a list of cuts"),
        ({"least": 1}, r"discount\.groups\.least: expected a whole number of 10 or more, got 1"),
        ({"model": {"trees": 0}}, r"discount\.groups\.model\.trees"),
        ({"steps": 3}, r"discount\.groups\.steps is unknown"),
    ],
)
def test_wrong_parameters_are_named(change, message):
    with pytest.raises(InputError, match=message):
        settings(**change)


@pytest.mark.parametrize(
    ("tables", "by", "message"),
    [
        (("none", "log"), {"age": 3}, "no randomised table"),
        (("one level", "log"), {"age": 3}, "one level of the discount only, 10"),
        (("drawn", "none"), {PREDICTED: 3}, "no observational table to learn from"),
        (("drawn", "log"), {"spend_3m": 3}, "no feature measured before the discount; there are predicted_sales, age"),
        (
            ("drawn", "log"),
            {"gender": 1},
            "with discount.groups.least 5000 the 4,000 randomised customers make one band",
        ),
    ],
)
def test_what_the_tables_cannot_answer_is_said_in_one_line(drawn, tables, by, message):
    log = draw_customers(2, 500, log=True)
    known = {"drawn": drawn, "log": log, "one level": drawn.assign(discount=10.0)}
    one, other = (known.get(name, log.iloc[:0]) for name in tables)
    with pytest.raises(InputError, match=message):
        study_groups(one, other, FEATURES, [], settings(by=by, least=5000 if "gender" in by else 100), rng_of())
