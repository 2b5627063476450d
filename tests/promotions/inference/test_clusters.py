"""Standard errors and resamples with clusters, against theory and statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from promotions.inference.clusters import bootstrap_sums, cluster_codes, clustered_error, sum_by_cluster

CODES = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=30)


@given(CODES)
def test_cluster_codes_number_the_names_in_their_order(names):
    codes = cluster_codes(names)
    assert dict(zip(names, codes, strict=True)) == {name: code for code, name in enumerate(sorted(set(names)))}


@given(CODES, st.integers(0, 2**32 - 1))
def test_cluster_sums_are_those_of_a_loop(names, seed):
    values, codes = np.random.default_rng(seed).normal(size=(len(names), 2)), cluster_codes(names)
    expected = [sum(row for row, name in zip(values, names, strict=True) if name == one) for one in sorted(set(names))]
    np.testing.assert_allclose(sum_by_cluster(values, codes), expected, atol=1e-12)
    np.testing.assert_allclose(sum_by_cluster(values[:, 0], codes), np.array(expected)[:, 0], atol=1e-12)


@pytest.fixture(scope="module")
def households():
    """1,000 values in 180 households of unequal size, alike within."""
    rng = np.random.default_rng(1)
    codes = cluster_codes(rng.integers(180, size=1000).astype(str))
    return np.column_stack([rng.normal(size=180)[codes] + rng.normal(size=1000), rng.exponential(size=1000)]), codes


def test_bootstrap_sums_have_the_mean_and_variance_of_the_theory(households):
    """Of G clusters drawn with replacement the sum has mean Σ t_g and covariance G·cov(t), t the cluster sums."""
    values, codes = households
    totals = sum_by_cluster(values, codes)
    sums = bootstrap_sums(values, codes, 20_000, np.random.default_rng(2))
    theory = len(totals) * np.cov(totals.T, ddof=0)
    np.testing.assert_allclose(sums.mean(axis=0), values.sum(axis=0), atol=4 * np.sqrt(theory.max() / 20_000))
    np.testing.assert_allclose(np.cov(sums.T), theory, rtol=0.05, atol=0.05 * theory.max())


def test_every_column_sees_the_same_samples(households):
    values, codes = households
    sums = bootstrap_sums(np.column_stack([values, values @ [2.0, -1.0]]), codes, 300, np.random.default_rng(3))
    np.testing.assert_allclose(sums[:, 2], sums[:, :2] @ [2.0, -1.0], atol=1e-9)


def test_drawing_the_weights_in_blocks_loses_no_replicate():
    codes = np.arange(40_000)
    sums = bootstrap_sums(np.ones((40_000, 1)), codes, 1000, np.random.default_rng(4))
    np.testing.assert_array_equal(sums, np.full((1000, 1), 40_000))


@given(st.integers(0, 2**32 - 1))
def test_permuted_rows_with_the_same_names_give_the_same_samples(seed):
    rng = np.random.default_rng(seed)
    values, names, order = rng.normal(size=(50, 2)), rng.integers(20, size=50).astype(str), rng.permutation(50)
    before, after = (
        bootstrap_sums(values[rows], cluster_codes(names[rows]), 20, np.random.default_rng(1))
        for rows in (np.arange(50), order)
    )
    np.testing.assert_allclose(after, before, atol=1e-12)
    centred = values[:, 0] - values[:, 0].mean()
    permuted = clustered_error(centred[order], cluster_codes(names[order]))
    assert permuted == pytest.approx(clustered_error(centred, cluster_codes(names)))


def test_without_clusters_the_standard_error_of_a_mean_is_s_over_root_n(households):
    values, _ = households
    for column in values.T:
        error = clustered_error((column - column.mean()) / 1000, np.arange(1000))
        assert error == pytest.approx(column.std(ddof=1) / np.sqrt(1000))


def test_with_clusters_it_is_that_of_statsmodels_cluster_robust_regression_on_a_constant(households):
    values, codes = households
    for column in values.T:
        # statsmodels also multiplies by (n − 1)/(n − k), which is 1 for a constant alone.
        fit = sm.OLS(column, np.ones(1000)).fit(cov_type="cluster", cov_kwds={"groups": codes})
        assert clustered_error((column - column.mean()) / 1000, codes) == pytest.approx(fit.bse[0], rel=1e-9)
