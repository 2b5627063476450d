"""Bands that cover all at once, whatever the dependence, and p-values corrected for the number of questions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from promotions.inference.clusters import clustered_error, sum_by_cluster
from promotions.inference.simultaneous import multiplier_sums, simultaneous_bands


def means(values):
    """Column means and their influence."""
    return values.mean(axis=0), (values - values.mean(axis=0)) / len(values)


def bands(values, clusters=None, seed=1, **options):
    return simultaneous_bands(*means(values), clusters, np.random.default_rng(seed), **options)


def drawn(seed, n=500, columns=8, shared=0.5):
    """Correlated columns with mean 0 and tails heavier than normal."""
    rng = np.random.default_rng(seed)
    return np.sqrt(shared) * rng.standard_t(6, (n, 1)) + np.sqrt(1 - shared) * rng.standard_t(6, (n, columns))


def test_for_one_column_the_critical_values_are_the_normal_ones():
    values = np.random.default_rng(2).normal(size=(2000, 1))
    assert bands(values, replicates=20_000).critical_value == pytest.approx(1.96, abs=0.05)
    assert bands(values, replicates=20_000, one_sided=True).critical_value == pytest.approx(1.645, abs=0.05)


def test_copies_of_one_column_cost_nothing_and_independent_ones_what_sidak_says():
    values = np.random.default_rng(3).normal(size=(2000, 20))
    copies = np.repeat(values[:, :1], 20, axis=1) * np.linspace(0.1, 10, 20)
    assert bands(copies, replicates=20_000).critical_value == pytest.approx(1.96, abs=0.05)
    sidak = norm.isf((1 - 0.95 ** (1 / 20)) / 2)
    assert bands(values, replicates=20_000).critical_value == pytest.approx(sidak, abs=0.06)


def test_errors_are_the_cluster_robust_ones():
    values, clusters = drawn(4), np.arange(500) // 3
    estimate, influence = means(values)
    found = simultaneous_bands(estimate, influence, clusters, np.random.default_rng(1))
    expected = [clustered_error(column, clusters) for column in influence.T]
    np.testing.assert_allclose(found.error, expected, rtol=1e-12)
    np.testing.assert_allclose(found.high - found.estimate, found.critical_value * found.error)
    np.testing.assert_allclose(found.estimate - found.low, found.critical_value * found.error)


def test_rows_summed_by_cluster_beforehand_give_the_same_bands():
    values, clusters = drawn(4), np.arange(500) // 3
    estimate, influence = means(values)
    whole, summed = (
        simultaneous_bands(estimate, psi, codes, np.random.default_rng(1))
        for psi, codes in ((influence, clusters), (sum_by_cluster(influence, clusters), None))
    )
    np.testing.assert_array_equal(whole.low, summed.low)
    np.testing.assert_array_equal(whole.p_value, summed.p_value)


@given(st.integers(0, 2**32 - 1))
def test_permuting_rows_changes_no_band_and_no_p_value(seed):
    values, clusters = drawn(seed, 60, 3), np.arange(60) // 2
    order = np.random.default_rng(seed).permutation(60)
    before = bands(values, clusters, replicates=99)
    after = bands(values[order], clusters[order], replicates=99)
    np.testing.assert_allclose(after.low, before.low, atol=1e-12)
    np.testing.assert_array_equal(after.p_value, before.p_value)


def test_scale_changes_no_p_value_and_equal_seeds_give_equal_bands():
    values = drawn(5) + 0.1
    found, again, scaled = bands(values), bands(values), bands(values * np.geomspace(1e-4, 1e4, 8))
    np.testing.assert_array_equal(found.low, again.low)
    np.testing.assert_array_equal(found.p_value, scaled.p_value)
    assert found.critical_value == pytest.approx(scaled.critical_value, rel=1e-9)


@pytest.mark.parametrize("block", [1, 1000, 2**23])
def test_drawing_in_blocks_changes_no_draw(block):
    totals = np.random.default_rng(6).normal(size=(203, 4))
    whole = multiplier_sums(totals, 50, np.random.default_rng(7))
    np.testing.assert_allclose(multiplier_sums(totals, 50, np.random.default_rng(7), block), whole, atol=1e-12)


def test_multiplier_sums_have_the_covariance_of_independent_signs():
    totals = drawn(8, 101, 3)
    sums = multiplier_sums(totals, 40_000, np.random.default_rng(9))
    theory = totals.T @ totals
    np.testing.assert_allclose(sums.mean(axis=0), 0, atol=4 * np.sqrt(theory.max() / 40_000))
    np.testing.assert_allclose(np.cov(sums.T), theory, rtol=0.05)
    assert set(np.unique(multiplier_sums(np.ones((1, 1)), 50, np.random.default_rng(9)))) == {-1.0, 1.0}


@pytest.mark.parametrize("seed", range(5))
def test_a_one_sided_bound_lies_above_zero_exactly_if_the_adjusted_p_value_is_at_most_five_per_cent(seed):
    values = drawn(seed) + np.linspace(0, 0.2, 8)
    found = bands(values, one_sided=True, replicates=999)
    np.testing.assert_array_equal(found.low > 0, found.p_value <= 0.05)
    assert np.isposinf(found.high).all()


def test_adjusted_p_values_are_between_the_single_and_bonferronis_and_near_one_for_harm():
    values = np.random.default_rng(10).normal(size=(2000, 10)) + np.linspace(-0.1, 0.06, 10)
    found = bands(values, replicates=5000)
    single = norm.sf(found.estimate / found.error)
    assert (found.p_value > single - 0.02).all()
    assert (found.p_value < 10 * single + 0.02).all()
    assert found.p_value[0] > 0.99
    assert (np.diff(found.p_value[np.argsort(found.estimate / found.error)]) <= 0).all()


def test_a_column_without_variance_has_no_width_and_does_not_count():
    values = drawn(11)
    constants = np.column_stack([values, np.zeros(500), np.full(500, 0.1), np.full(500, -0.1)])
    found, without = bands(constants), bands(values)
    assert found.critical_value == without.critical_value
    np.testing.assert_array_equal(found.error[8:], 0)
    np.testing.assert_array_equal(found.low[8:], found.estimate[8:])
    np.testing.assert_array_equal(found.high[8:], found.estimate[8:])
    np.testing.assert_allclose(found.p_value[8:], [1, 1 / 1001, 1])
    np.testing.assert_array_equal(found.p_value[:8], without.p_value)


def test_nothing_but_constants_is_allowed():
    found = bands(np.zeros((50, 2)))
    assert found.critical_value == 0
    assert list(found.p_value) == [1, 1]


def test_the_table_has_a_row_an_estimate():
    table = bands(drawn(12)).to_frame()
    assert list(table) == ["estimate", "error", "ci_low", "ci_high", "p_value_adjusted"]
    assert len(table) == 8


@pytest.mark.parametrize("clustered", [False, True])
def test_bands_cover_all_columns_in_95_of_100_experiments_and_one_test_in_20_is_wrong(clustered):
    covered, rejected = 0, 0
    for seed in range(400):
        values, clusters = drawn(seed), np.arange(500)
        if clustered:
            # Twins: the errors of 500 separate customers would be too small by a factor √2.
            values, clusters = np.repeat(values, 2, axis=0), np.repeat(clusters, 2)
        found = bands(values, clusters, seed, replicates=300)
        covered += bool(((found.low <= 0) & (found.high >= 0)).all())
        rejected += bool((found.p_value <= 0.05).any())
    assert 0.915 <= covered / 400 <= 0.985
    assert 0.015 <= rejected / 400 <= 0.085


def test_of_many_clusters_the_sums_are_drawn_from_their_normal_law(monkeypatch):
    rng = np.random.default_rng(31)
    totals = rng.normal(size=(3000, 3)) @ np.array([[1.0, 0.9, 0.0], [0.0, 0.4, 0.0], [0.0, 0.0, 2.0]])
    signs = multiplier_sums(totals, 20_000, np.random.default_rng(1))
    monkeypatch.setattr("promotions.inference.simultaneous.MANY_CLUSTERS", 2999)
    normal = multiplier_sums(totals, 20_000, np.random.default_rng(1))
    expected = totals.T @ totals
    np.testing.assert_allclose(np.cov(normal.T), expected, rtol=0.05, atol=0.02 * expected.max())
    for level in (0.9, 0.95, 0.99):
        both = (np.quantile(np.abs(sums / np.sqrt(np.diag(expected))).max(axis=1), level) for sums in (signs, normal))
        assert next(both) == pytest.approx(next(both), rel=0.03)


def test_a_policy_that_stands_there_twice_is_one_among_many_clusters(monkeypatch):
    monkeypatch.setattr("promotions.inference.simultaneous.MANY_CLUSTERS", 100)
    influence = np.random.default_rng(32).normal(size=(500, 1)) / 500
    once = simultaneous_bands(np.zeros(1), influence, None, np.random.default_rng(1), replicates=4000)
    twice = simultaneous_bands(np.zeros(2), influence[:, [0, 0]], None, np.random.default_rng(1), replicates=4000)
    assert once.critical_value == pytest.approx(1.96, abs=0.1)
    assert twice.critical_value == pytest.approx(1.96, abs=0.1)
