"""Under randomisation p-values of balance are uniform, whatever the design; and what depends on treatment is found."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from promotions.base.encoding import fit_encoder
from promotions.inference.multiplicity import holm
from promotions.soundness.balance import (
    Arms,
    arm_means,
    balance_table,
    bins,
    distribution_test,
    mean_test,
    most_quantiles,
    pool_rare,
    wald_p_value,
)


def singles(treatment, propensity=0.5):
    n = len(treatment)
    return Arms(np.asarray(treatment, dtype=np.int8), np.full(n, propensity), np.arange(n))


def coins(rng, n, propensity=0.5):
    return singles(rng.random(n) < propensity, propensity)


def p_of(column, arms):
    return distribution_test(bins(pd.Series(column), most=most_quantiles(arms)), arms)


def table_of(frame, arms):
    encoder = fit_encoder(frame, list(frame))
    return balance_table(frame, encoder, encoder.transform(frame), arms, alpha=0.01)


# ── p-values under the null ──────────────────────────────────────────────────────────────────────────────────────────


def one_by_one(rng, n):
    return coins(rng, n)


def rarely_treated(rng, n):
    return coins(rng, n, 0.1)


def with_varying_propensity(rng, n):
    """The design treats some strata more; features do not know which (``by_stratum`` does)."""
    propensity = np.where(np.arange(n) % 3 == 0, 0.8, 0.3)
    return Arms((rng.random(n) < propensity).astype(np.int8), propensity, np.arange(n))


def whole_shops(rng, n):
    shop = np.arange(n) % 100
    return Arms((rng.random(100) < 0.5)[shop].astype(np.int8), np.full(n, 0.5), shop)


def in_pairs(rng, n):
    pair = np.arange(n) // 2
    first = rng.integers(2, size=n // 2)[pair]
    return Arms((first ^ (np.arange(n) % 2)).astype(np.int8), np.full(n, 0.5), pair)


def normal(rng, arms):
    return rng.normal(size=len(arms.treatment))


def of_the_cluster(rng, arms):
    """Half of it shared in the cluster."""
    return rng.normal(size=arms.groups)[arms.clusters] + rng.normal(size=len(arms.treatment))


def heavy_tailed(rng, arms):
    return rng.standard_cauchy(len(arms.treatment))


def counts(rng, arms):
    return rng.poisson(0.7, len(arms.treatment)).astype(float)


def levels(rng, arms):
    return rng.choice(list("abcdefg"), len(arms.treatment), p=[0.4, 0.3, 0.15, 0.1, 0.04, 0.009, 0.001])


def partly_missing(rng, arms):
    return np.where(rng.random(len(arms.treatment)) < 0.1, np.nan, rng.normal(size=len(arms.treatment)))


def by_stratum(rng, arms):
    return arms.propensity + rng.normal(size=len(arms.treatment))


@pytest.mark.parametrize(
    ("design", "feature"),
    [
        (one_by_one, normal),
        (one_by_one, heavy_tailed),
        (one_by_one, counts),
        (one_by_one, levels),
        (one_by_one, partly_missing),
        (rarely_treated, counts),
        (rarely_treated, levels),
        (with_varying_propensity, by_stratum),
        (with_varying_propensity, levels),
        (whole_shops, of_the_cluster),
        (whole_shops, levels),
        (in_pairs, normal),
    ],
)
def test_under_randomisation_the_p_value_of_a_distribution_is_uniform(design, feature):
    p_values = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        arms = design(rng, 1000)
        p_values.append(p_of(feature(rng, arms), arms))
    for level, tolerance in ((0.01, 0.017), (0.05, 0.033), (0.2, 0.06), (0.5, 0.08), (0.9, 0.06)):
        assert np.mean(np.array(p_values) <= level) == pytest.approx(level, abs=tolerance)


@pytest.mark.parametrize("design", [one_by_one, rarely_treated, with_varying_propensity, whole_shops, in_pairs])
def test_under_randomisation_the_p_value_of_a_mean_is_uniform(design):
    p_values = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        arms = design(rng, 1000)
        p_values.append(mean_test(by_stratum(rng, arms), arms)[1])
    for level, tolerance in ((0.01, 0.017), (0.05, 0.033), (0.2, 0.06), (0.5, 0.08), (0.9, 0.06)):
        assert np.mean(np.array(p_values) <= level) == pytest.approx(level, abs=tolerance)


@pytest.mark.parametrize("value", ["flag", "amount"])
def test_a_rare_value_and_a_small_arm_are_no_finding(value):
    """Ten of 1,000 customers, a tenth treated: in a third of all draws none of the ten is. A t-test finds that odd."""
    p_values = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        arms = rarely_treated(rng, 1000)
        values = (np.arange(1000) < 10) * (1.0 if value == "flag" else np.exp(3 * rng.normal(size=1000)))
        p_values.append(np.nanmin([mean_test(values, arms)[1], p_of(values, arms)]))
    assert np.mean(np.array(p_values) < 0.01) <= 0.02
    assert min(p_values) > 1e-5


# ── what depends on treatment ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("design", [one_by_one, with_varying_propensity, in_pairs])
def test_a_change_of_the_spread_alone_is_caught_and_has_no_difference_in_means(design):
    rng = np.random.default_rng(2)
    arms = design(rng, 3000)
    table = table_of(pd.DataFrame({"x": rng.normal(size=3000) * (1 + 0.4 * arms.treatment)}), arms)
    table = table.set_index("test")
    assert table.loc["mean", "p_value_holm"] > 0.01
    assert table.loc["distribution", "p_value_holm"] < 1e-6


def test_a_change_of_missingness_alone_is_caught():
    rng = np.random.default_rng(1)
    arms = one_by_one(rng, 3000)
    answered = rng.random(3000) < 0.5 + 0.1 * arms.treatment
    assert p_of(np.where(answered, 3.0, np.nan), arms) < 1e-5
    assert p_of(np.where(answered, rng.normal(size=3000), np.nan), arms) < 1e-4
    assert p_of(np.where(answered, "yes", None), arms) < 1e-5


def test_a_change_of_one_level_alone_is_caught():
    rng = np.random.default_rng(1)
    arms = one_by_one(rng, 3000)
    where = rng.choice(list("abcdef"), 3000, p=[0.4, 0.3, 0.1, 0.1, 0.05, 0.05])
    moved = np.where((arms.treatment == 1) & (where == "f"), "e", where)
    assert p_of(where, arms) > 0.01
    assert p_of(moved, arms) < 1e-6


def test_in_shops_that_were_drawn_whole_a_change_is_caught_and_shops_of_their_own_kind_are_not():
    rng = np.random.default_rng(2)
    arms = whole_shops(rng, 5000)
    assert p_of(rng.normal(size=100)[arms.clusters], arms) > 0.01
    assert p_of(rng.normal(size=5000) * (1 + 0.4 * arms.treatment), arms) < 1e-6


# ── closed forms ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("propensity", [0.5, 0.2])
def test_of_single_customers_with_one_propensity_it_is_pearsons_chi_square(propensity):
    rng = np.random.default_rng(4)
    n = 20_000
    arms = coins(rng, n, propensity)
    codes = rng.choice(5, n, p=[0.5, 0.2, 0.1, 0.1, 0.1])
    expected = stats.chi2_contingency(pd.crosstab(codes, arms.treatment), correction=False)
    assert distribution_test(codes, arms) == pytest.approx(expected.pvalue, rel=0.01)


def test_of_one_dimension_the_wald_test_is_students_t_test():
    for statistic, groups in ((0.3, 12), (2.1, 30), (4.0, 500)):
        p_value = wald_p_value(np.array([statistic]), np.array([[1.0]]), groups)
        assert p_value == pytest.approx(2 * stats.t.sf(statistic, groups - 1))


def test_the_wald_test_is_hotellings():
    rng = np.random.default_rng(1)
    sample = rng.normal(size=(25, 3)) @ rng.normal(size=(3, 3)) + 0.3
    mean, covariance = sample.mean(axis=0), np.cov(sample.T) / 25
    squared = mean @ np.linalg.solve(covariance, mean)
    expected = stats.f.sf((25 - 3) / (3 * 24) * squared, 3, 22)
    assert wald_p_value(mean, covariance, 25) == pytest.approx(expected)


def test_a_direction_without_variance_counts_for_nothing_if_it_is_zero_and_for_all_if_it_is_not():
    covariance = np.diag([1.0, 0.0])
    assert wald_p_value(np.array([1.0, 0.0]), covariance, 30) == pytest.approx(2 * stats.t.sf(1, 29))
    assert wald_p_value(np.array([1.0, 0.5]), covariance, 30) == 0
    assert wald_p_value(np.zeros(2), np.zeros((2, 2)), 30) == 1


@given(st.integers(0, 2**32 - 1))
def test_permuting_rows_changes_no_p_value(seed):
    rng = np.random.default_rng(seed)
    arms = with_varying_propensity(rng, 400)
    shop = rng.integers(160, size=400)
    order = rng.permutation(400)
    for clusters in (np.arange(400), np.unique(shop, return_inverse=True)[1]):
        before = Arms(arms.treatment, arms.propensity, clusters)
        after = Arms(arms.treatment[order], arms.propensity[order], clusters[order])
        for column in (partly_missing(rng, arms), levels(rng, arms)):
            assert p_of(column[order], after) == pytest.approx(p_of(column, before), rel=1e-6, abs=1e-12, nan_ok=True)


# ── corners ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_has_one_bin_differs_in_nothing():
    arms = one_by_one(np.random.default_rng(1), 500)
    for column in (np.ones(500), np.full(500, np.nan), np.full(500, "a"), np.full(500, None)):
        assert p_of(column, arms) == 1.0
    assert np.isnan(p_of(np.arange(500) < 3, arms)), "three customers are too few to tell"


def test_a_feature_that_is_the_treatment_could_not_be_more_certain():
    arms = one_by_one(np.random.default_rng(1), 5000)
    assert p_of(arms.treatment.astype(float), arms) < 1e-300
    assert mean_test(arms.treatment.astype(float), arms)[:2] == (1.0, 0.0)
    assert mean_test(1.0 - arms.treatment, arms)[:2] == (-1.0, 0.0)


def test_pairs_matched_on_a_feature_are_alike_in_it():
    rng = np.random.default_rng(3)
    arms = in_pairs(rng, 800)
    income = rng.normal(size=400)[arms.clusters]
    assert p_of(income, arms) == 1.0
    assert mean_test(income, arms) == (0.0, 1.0, 0.0)
    assert p_of(np.where(income > 0, "rich", "poor"), arms) == 1.0
    assert table_of(pd.DataFrame({"income": rng.normal(size=800)}), arms)["p_value"].min() > 0.01


def test_of_few_clusters_distributions_are_not_tested_and_means_are():
    rng = np.random.default_rng(3)
    shop = np.arange(600) % 12
    arms = Arms((shop % 2).astype(np.int8), np.full(600, 0.5), shop)
    table = table_of(pd.DataFrame({"x": rng.normal(size=600), "k": rng.choice(list("ab"), 600)}), arms)
    untested = table["test"] == "distribution"
    assert table.loc[untested, "p_value"].isna().all()
    assert (table.loc[untested, "p_value_holm"] == 1).all()
    assert table.loc[~untested, "p_value"].notna().all()


def test_a_constant_whose_mean_is_rounded_is_balanced():
    rng = np.random.default_rng(8)
    for value in rng.normal(size=20) * 10 ** rng.uniform(-6, 6, 20):
        n = int(rng.integers(1000, 30_000))
        arms = Arms((rng.random(n) < 0.5).astype(np.int8), np.full(n, 0.5), np.arange(n))
        assert mean_test(np.full(n, value), arms) == (0.0, 1.0, 0.0)


def test_a_constant_column_is_balanced_and_one_that_is_the_treatment_is_not():
    arms = one_by_one(np.random.default_rng(1), 3000)
    table = table_of(pd.DataFrame({"one": 1.0, "arm": arms.treatment}), arms)
    means = table[table["test"] == "mean"].set_index("column")
    assert means.loc["one", ["smd", "p_value", "p_value_holm"]].tolist() == [0, 1, 1]
    assert means.loc["arm", "p_value_holm"] == 0


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_holds_a_row_a_column_then_a_row_a_feature_under_one_correction():
    rng = np.random.default_rng(1)
    arms = one_by_one(rng, 2000)
    frame = pd.DataFrame(
        {"age": partly_missing(rng, arms), "town": levels(rng, arms), "note": pd.Series([None] * 2000)}
    )
    table = table_of(frame, arms)
    assert table.columns.tolist() == [
        "column", "feature", "test", "smd", "p_value", "p_value_holm", "ci_low", "ci_high", "differs",
    ]  # fmt: skip
    means, shapes = table[table["test"] == "mean"], table[table["test"] == "distribution"]
    assert table["test"].tolist() == ["mean"] * len(means) + ["distribution"] * 3
    assert set(means["column"]) >= {"age", "age__missing", "town=a"}
    assert set(shapes["column"]) == set(shapes["feature"]) == {"age", "town", "note"}
    assert shapes["smd"].isna().all()
    assert means["smd"].abs().is_monotonic_decreasing
    expected = multipletests(table["p_value"], method="holm")[1]
    np.testing.assert_allclose(table["p_value_holm"], expected, rtol=1e-9)
    missed = (means["ci_low"] > 0) | (means["ci_high"] < 0)
    assert (missed == (means["p_value"] < 0.05)).all()


@pytest.mark.parametrize(("seed", "size"), [(1, 1), (2, 2), (3, 5), (4, 10), (5, 20)])
def test_holm_is_that_of_statsmodels_ties_and_zeros_included(seed, size):
    p_values = np.round(np.random.default_rng(seed).beta(0.3, 3, size), 2)
    np.testing.assert_allclose(holm(p_values), multipletests(p_values, method="holm")[1], rtol=1e-9)


# ── bins ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def sizes(codes):
    return np.sort(np.unique(codes, return_counts=True)[1])[::-1].tolist()


def test_a_number_has_bins_of_equal_size_in_its_order_and_one_for_missing():
    values = np.random.default_rng(1).permutation(np.concatenate([np.arange(800.0), np.full(50, np.nan)]))
    codes = bins(pd.Series(values))
    assert sizes(codes) == [100] * 8 + [50]
    assert len(np.unique(codes[np.isnan(values)])) == 1
    assert (np.diff(codes[~np.isnan(values)][np.argsort(values[~np.isnan(values)])]) >= 0).all()
    assert len(np.unique(bins(pd.Series(values), most=3))) == 4


def test_few_values_have_a_bin_each_and_a_heavy_value_among_many_has_one_of_its_own():
    rng = np.random.default_rng(1)
    counted = rng.integers(0, 6, 500).astype(float)
    assert pd.crosstab(bins(pd.Series(counted)), counted).astype(bool).to_numpy().sum() == 6
    spend = np.where(rng.random(4000) < 0.9, 0.0, rng.exponential(size=4000))
    codes = bins(pd.Series(spend))
    assert len(np.unique(codes)) == 8
    assert (spend[codes == codes[spend == 0][0]] == 0).all()
    middle = np.where(rng.random(4000) < 0.5, 0.0, rng.normal(size=4000))
    codes = bins(pd.Series(middle))
    assert set(codes[middle == 0]).isdisjoint(codes[middle != 0])
    assert len(np.unique(codes)) == 8


@given(st.lists(st.sampled_from([0.0, 1.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.5, 11.0, float("nan")]), min_size=1))
def test_equal_values_share_a_bin(values):
    codes = bins(pd.Series(values, dtype=float))
    together = pd.DataFrame({"value": values, "code": codes}).groupby("value", dropna=False)["code"].nunique()
    assert (together == 1).all()
    missing = np.isnan(values)
    assert set(codes[missing]).isdisjoint(codes[~missing])


@pytest.mark.parametrize("kind", ["object", "string", "category"])
def test_levels_are_bins_whatever_holds_them(kind):
    column = pd.Series(["a", "b", None, "a", "c", "b", None, "a"]).astype(kind)
    codes = bins(column)
    assert codes.tolist() == [1, 2, 0, 1, 3, 2, 0, 1]


def test_dates_and_booleans_are_numbers():
    dates = pd.Series(pd.date_range("2020-01-01", periods=800))
    assert sizes(bins(dates)) == [100] * 8
    assert sizes(bins(pd.Series([True] * 5 + [False] * 3))) == [5, 3]


def test_rare_bins_are_pooled_until_the_pool_is_large_enough():
    arms = singles(np.arange(1000) % 2)
    codes = np.repeat([0, 1, 2, 3], [600, 380, 15, 5])
    assert sizes(pool_rare(codes, arms)) == [600, 380, 20]
    codes = np.repeat([0, 1, 2, 3], [600, 385, 10, 5])
    assert sizes(pool_rare(codes, arms)) == [600, 400]
    assert sizes(pool_rare(np.repeat([0, 1], [990, 10]), arms)) == [1000]
    assert sizes(pool_rare(np.arange(1000) % 50, arms)) == [620] + [20] * 19


def test_of_clusters_bins_are_as_large_as_the_clusters_they_occur_in():
    shop = np.arange(1000) // 20
    arms = Arms((shop % 2).astype(np.int8), np.full(1000, 0.5), shop)
    assert sizes(pool_rare((shop < 10).astype(np.intp), arms)) == [1000]
    assert sizes(pool_rare((shop < 25).astype(np.intp), arms)) == [500, 500]
    # 25 shops in the smaller arm: two bins, however many levels occur everywhere.
    assert sizes(pool_rare(np.arange(1000) % 4, arms)) == [750, 250]


def test_the_error_of_the_design_is_that_of_pooled_variances():
    rng = np.random.default_rng(1)
    arms = coins(rng, 2000, 0.3)
    values = rng.normal(size=2000)
    treated = int(arms.treatment.sum())
    expected = values.std() * np.sqrt(1 / treated + 1 / (2000 - treated))
    assert arms.design_error(values) == pytest.approx(expected)
    means = arm_means(values, arms.treatment, arms.propensity, arms.clusters)
    assert arms.design_error(values) == pytest.approx(means.standard_error, rel=0.05)
