"""How well a score ranks: closed forms, other packages, ties, and intervals that cover."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import norm

from promotions.evaluation.ranking import (
    autoc,
    autoc_p_value,
    auuc,
    calibration_slope,
    dr_score,
    qini,
    qini_p_value,
    uplift_at,
    uplift_by_group,
)
from promotions.inference.estimates import Estimate
from promotions.inference.ties import gain_curve

RATES = [autoc, qini]
P_VALUES = [autoc_p_value, qini_p_value]
# Few levels, so that most customers are tied.
LEVELS = arrays.arrays(np.float64, st.integers(2, 40), elements=st.sampled_from([0.0, 1.0, 2.0, 3.0]))


def alone(n):
    """Every customer a cluster."""
    return np.arange(n)


def noisy_effects(priority, seed):
    return priority + np.random.default_rng(seed).normal(size=len(priority))


def error_of(estimate):
    return (estimate.ci_high - estimate.ci_low) / (2 * 1.959963984540054)


@pytest.mark.parametrize(("rate", "expected", "tolerance"), [(autoc, 0.903197, 0.01), (qini, 0.282095, 0.005)])
def test_a_standard_normal_effect_known_exactly_gives_the_closed_form(rate, expected, tolerance):
    effect = np.random.default_rng(1).normal(size=200_000)
    assert rate(effect, effect, alone(200_000)).value == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("rate", RATES)
def test_a_constant_score_ranks_nobody(rate):
    effect = np.random.default_rng(2).normal(1, 5, 1001)
    assert rate(effect, np.full(1001, 0.3), alone(1001)) == Estimate(0, 0, 0)


@pytest.mark.parametrize("p_value", P_VALUES)
def test_what_ranks_nobody_and_an_effect_that_is_the_same_for_all_have_a_p_value_of_one(p_value):
    effect = np.random.default_rng(2).normal(1, 5, 1001)
    assert p_value(effect, np.full(1001, 0.3), alone(1001)) == 1
    assert p_value(np.full(1001, 0.1), effect, alone(1001)) == 1


@pytest.mark.parametrize(("rate", "p_value"), list(zip(RATES, P_VALUES, strict=True)))
def test_p_values_are_one_sided_and_agree_with_the_intervals(rate, p_value):
    score = np.random.default_rng(5).normal(size=2000)
    for effect in (noisy_effects(score, 6), noisy_effects(0.03 * score, 7), noisy_effects(-score, 8)):
        estimate, p = rate(effect, score, alone(2000)), p_value(effect, score, alone(2000))
        assert p == pytest.approx(norm.sf(estimate.value / error_of(estimate)), rel=1e-9)
    assert p_value(noisy_effects(score, 6), score, alone(2000)) < 1e-6
    assert p_value(noisy_effects(-score, 8), score, alone(2000)) > 1 - 1e-6


@pytest.mark.parametrize("rate", RATES)
@given(LEVELS, st.integers(0, 2**32 - 1))
def test_permuting_rows_changes_no_rate(rate, priority, seed):
    n, effect = len(priority), noisy_effects(priority, seed)
    order, clusters = np.random.default_rng(seed).permutation(n), np.arange(n) // 2
    before, after = rate(effect, priority, clusters), rate(effect[order], priority[order], clusters[order])
    for name in ("value", "ci_low", "ci_high"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-12, abs=1e-12)


@given(LEVELS, st.integers(0, 2**32 - 1))
def test_permuting_rows_changes_no_curve_and_no_group(priority, seed):
    n, effect, shares = len(priority), noisy_effects(priority, seed), np.linspace(0, 1, 7)
    order = np.random.default_rng(seed).permutation(n)
    before, after = gain_curve(effect, priority, shares), gain_curve(effect[order], priority[order], shares)
    np.testing.assert_allclose(after, before, atol=1e-12)
    before, after = (uplift_by_group(effect[rows], priority[rows], rows, 3) for rows in (alone(n), order))
    for one, other in zip(before, after, strict=True):
        assert other.value == pytest.approx(one.value, abs=1e-12)
        assert other.ci_low == pytest.approx(one.ci_low, abs=1e-9)


@pytest.mark.parametrize("rate", RATES)
@given(
    arrays.arrays(np.float64, 30, elements=st.floats(-5, 5)), st.sampled_from([np.exp, np.arctan, lambda x: 7 * x - 3])
)
def test_only_the_order_of_the_score_matters(rate, effect, increasing):
    priority = np.linspace(-2, 2, 30)
    assert rate(effect, increasing(priority), alone(30)) == rate(effect, priority, alone(30))


@pytest.mark.parametrize("rate", RATES)
def test_ties_are_the_mean_over_random_tie_breakings(rate):
    rng = np.random.default_rng(3)
    priority = rng.integers(4, size=80).astype(float)
    effect = noisy_effects(priority, 3)
    broken = [rate(effect, priority + 1e-6 * rng.random(80), alone(80)).value for _ in range(4000)]
    assert rate(effect, priority, alone(80)).value == pytest.approx(
        np.mean(broken), abs=4 * np.std(broken) / np.sqrt(4000)
    )


@pytest.mark.parametrize("rate", RATES)
def test_reversing_the_score_makes_a_good_ranking_a_bad_one(rate):
    effect = np.random.default_rng(4).normal(size=5000)
    assert rate(effect, effect, alone(5000)).ci_low > 0
    assert rate(effect, -effect, alone(5000)).ci_high < 0


def test_reversing_the_score_turns_the_sign_of_qini_exactly():
    effect = np.random.default_rng(4).normal(size=500)
    priority = np.round(noisy_effects(effect, 5))
    assert qini(effect, -priority, alone(500)).value == pytest.approx(
        -qini(effect, priority, alone(500)).value, abs=1e-12
    )


# Borders of equally likely levels of a standard normal score.
BORDERS = {"two levels": [0.0], "five levels": [-0.8416, -0.2533, 0.2533, 0.8416]}


def draw_ranked(seed, n, noise, levels):
    """An effect that is a standard normal score and noise, and the score or its ``levels``."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    seen = np.digitize(score, BORDERS[levels]).astype(float) if levels in BORDERS else score
    return score + noise * rng.normal(size=n), seen


@pytest.mark.parametrize("levels", ["continuous", *BORDERS])
@pytest.mark.parametrize("noise", [0.3, 5.0])
@pytest.mark.parametrize("rate", RATES)
def test_intervals_cover_the_truth_in_95_of_100_experiments(rate, noise, levels):
    truth = rate(*draw_ranked(99, 400_000, 0.0, levels), alone(400_000)).value
    hits = 0
    for seed in range(200):
        estimate = rate(*draw_ranked(seed, 1000, noise, levels), alone(1000))
        hits += estimate.ci_low <= truth <= estimate.ci_high
    assert 0.90 <= hits / 200 <= 0.99


@pytest.mark.parametrize("levels", ["continuous", *BORDERS])
@pytest.mark.parametrize("noise", [0.3, 5.0])
@pytest.mark.parametrize("rate", RATES)
def test_the_standard_error_agrees_with_a_cluster_bootstrap(rate, noise, levels):
    effect, priority = draw_ranked(7, 1600, noise, levels)
    members = alone(1600).reshape(800, 2)
    effect = effect + noise * np.random.default_rng(8).normal(size=800).repeat(2)
    rng = np.random.default_rng(9)
    resampled = []
    for _ in range(800):
        rows = members[rng.integers(800, size=800)].ravel()
        resampled.append(rate(effect[rows], priority[rows], alone(1600)).value)
    assert error_of(rate(effect, priority, alone(1600) // 2)) == pytest.approx(np.std(resampled), rel=0.10)


@given(LEVELS, st.integers(0, 2**32 - 1))
def test_the_gain_curve_starts_at_nothing_and_ends_at_the_mean_effect(priority, seed):
    effect = noisy_effects(priority, seed)
    start, end = gain_curve(effect, priority, np.array([0.0, 1.0]))
    assert start == 0
    assert end == pytest.approx(effect.mean(), abs=1e-12)
    assert uplift_at(effect, priority, 1.0) == pytest.approx(effect.mean(), abs=1e-12)


def test_uplift_at_a_share_is_the_mean_of_the_best_and_shares_the_tie_at_the_border():
    effect, priority = np.array([8.0, 4.0, 2.0, 0.0]), np.array([3.0, 2.0, 2.0, 1.0])
    assert uplift_at(effect, priority, 0.25) == 8
    assert uplift_at(effect, priority, 0.5) == (8 + 3) / 2


@given(LEVELS, st.integers(0, 2**32 - 1), st.integers(1, 10))
def test_the_groups_average_to_the_overall_mean(priority, seed, groups):
    effect = noisy_effects(priority, seed)
    means = [part.value for part in uplift_by_group(effect, priority, alone(len(effect)), groups)]
    assert np.mean(means) == pytest.approx(effect.mean(), abs=1e-9)


def test_the_groups_of_a_ranking_without_ties_are_its_quantiles_with_their_usual_errors():
    rng = np.random.default_rng(11)
    priority, effect = rng.permutation(1000), rng.normal(size=1000)
    parts = uplift_by_group(effect, priority, alone(1000), 4)
    for quarter, part in enumerate(parts):
        members = effect[(priority < 1000 - 250 * quarter) & (priority >= 750 - 250 * quarter)]
        assert part.value == pytest.approx(members.mean())
        # Not equal: the effect at the borders is estimated too, and its noise adds to the error.
        assert error_of(part) == pytest.approx(members.std(ddof=1) / np.sqrt(250), rel=0.05)


@pytest.mark.parametrize("levels", ["continuous", "five levels"])
@pytest.mark.parametrize("noise", [0.3, 5.0])
def test_the_errors_of_the_groups_agree_with_a_cluster_bootstrap_that_ranks_anew(noise, levels):
    """A weakly noisy effect moves most where the sample's quantiles do; errors of fixed groups would be a fifth low."""
    effect, priority = draw_ranked(7, 1600, noise, levels)
    rng = np.random.default_rng(9)
    resampled = []
    for _ in range(800):
        rows = alone(1600).reshape(800, 2)[rng.integers(800, size=800)].ravel()
        resampled.append([part.value for part in uplift_by_group(effect[rows], priority[rows], alone(1600), 3)])
    errors = [error_of(part) for part in uplift_by_group(effect, priority, alone(1600) // 2, 3)]
    np.testing.assert_allclose(errors, np.std(resampled, axis=0), rtol=0.12)


def test_calibrated_predictions_have_slope_one_and_constant_ones_none():
    cate = np.random.default_rng(12).normal(0.1, 0.5, 100_000)
    effect = noisy_effects(cate, 13)
    assert calibration_slope(effect, cate) == pytest.approx(1, abs=0.03)
    assert calibration_slope(effect, 2 * cate) == pytest.approx(calibration_slope(effect, cate) / 2)
    assert calibration_slope(effect, np.full(100_000, 0.1)) == 0


def test_dr_score_is_the_share_of_the_best_constants_loss_that_is_saved():
    """econml's DR score by hand (this econml has no DRScorer): 1 − loss of the predictions / loss of the mean."""
    cate = np.random.default_rng(14).normal(size=500)
    effect = noisy_effects(cate, 15)
    loss = np.mean([(gamma - prediction) ** 2 for gamma, prediction in zip(effect, cate, strict=True)])
    base = np.mean([(gamma - effect.mean()) ** 2 for gamma in effect])
    assert dr_score(effect, cate) == pytest.approx(1 - loss / base, rel=1e-12)
    assert dr_score(effect, np.full(500, effect.mean())) == pytest.approx(0, abs=1e-12)
    assert dr_score(effect, -cate) < 0


@pytest.fixture(scope="module")
def ranked():
    """An effect and a score without ties, and the table that causalml takes."""
    score = np.random.default_rng(16).normal(size=400)
    effect = noisy_effects(score, 17)
    return effect, score, pd.DataFrame({"tau": effect, "score": score})


def test_rates_are_the_means_of_causalmls_targeting_curve(ranked):
    """Without ties, AUTOC is the mean of causalml's TOC(i/n) over i = 1 … n, QINI that of (i/n)·TOC(i/n), exactly.

    causalml's own ``rate_score`` uses mid-points and lets the weights of each rate sum to 1: another scale, same order.
    """
    from causalml.metrics.rate import get_toc

    effect, score, table = ranked
    curve = get_toc(table)["score"].iloc[1:]
    assert autoc(effect, score, alone(400)).value == pytest.approx(curve.mean(), rel=1e-9)
    assert qini(effect, score, alone(400)).value == pytest.approx((curve * curve.index).mean(), rel=1e-9)


def test_the_gain_curve_is_causalmls_cumulative_gain_per_customer(ranked):
    """With a given effect column and no ties, ``get_cumgain`` is n times our curve at each i/n."""
    from causalml.metrics import get_cumgain

    effect, score, table = ranked
    gains = get_cumgain(table)["score"].to_numpy()
    np.testing.assert_allclose(gain_curve(effect, score, np.arange(401) / 400), gains / 400, atol=1e-12)


def test_auuc_is_the_area_under_the_gain_curve_with_the_error_of_its_bootstrap():
    effect, priority = draw_ranked(7, 1600, 1.0, "five levels")
    effect = effect + 2
    estimate = auuc(effect, priority, alone(1600))
    shares = np.linspace(0, 1, 1601)
    assert estimate.value == pytest.approx(np.trapezoid(gain_curve(effect, priority, shares), shares), rel=1e-12)
    assert estimate.value == pytest.approx(qini(effect, priority, alone(1600)).value + effect.mean() / 2, rel=1e-12)
    rng = np.random.default_rng(9)
    resampled = []
    for _ in range(800):
        rows = rng.integers(1600, size=1600)
        resampled.append(auuc(effect[rows], priority[rows], alone(1600)).value)
    assert error_of(estimate) == pytest.approx(np.std(resampled), rel=0.10)
    assert auuc(effect, np.ones(1600), alone(1600)).value == pytest.approx(effect.mean() / 2)


def test_causalmls_auuc_of_a_given_effect_is_ours_on_its_grid(ranked):
    """causalml sums the curve at 0, 1, …, n and divides by n + 1: n²/(n + 1)·(AUUC + Γ̄/2n)."""
    from causalml.metrics import auuc_score

    effect, score, table = ranked
    ours = 400**2 / 401 * (auuc(effect, score, alone(400)).value + effect.mean() / 800)
    assert auuc_score(table, normalize=False)["score"] == pytest.approx(ours, rel=1e-9)
    assert auuc_score(table)["score"] == pytest.approx(ours / abs(400 * effect.mean()), rel=1e-9)


def test_causalmls_lift_of_a_given_effect_is_uplift_at(ranked):
    from causalml.metrics import get_cumlift

    effect, score, table = ranked
    lift = get_cumlift(table)["score"]
    for best in (1, 40, 137, 400):
        assert uplift_at(effect, score, best / 400) == pytest.approx(lift[best], rel=1e-9)


def test_econmls_uplift_coefficients_are_the_rates_without_the_first_customer(ranked, econml_tester):
    """On the grid of all ranks econml's coefficient is (1/(n − 1)) Σ_{i=2}^n, ours (1/n) Σ_{i=1}^n, of (i/n)·TOC(i/n)

    for qini, of TOC(i/n) for toc. Its own grid, 50 points from 5 to 95 %, leaves out both ends.
    """
    effect, score, _ = ranked
    ranks = np.argsort(np.argsort(score)).astype(float)
    tester = econml_tester(effect, ranks)
    # Thresholds between the ranks, where rounding moves nobody across.
    tester.cate_preds_train_ = tester.cate_preds_train_ - 0.5
    first = effect[np.argmax(score)] - effect.mean()
    for metric, rate, left_out in (("qini", qini, first / 400), ("toc", autoc, first)):
        theirs = tester.evaluate_uplift(percentiles=np.linspace(0, 100, 400), metric=metric, n_bootstrap=2).params[0]
        ours = rate(effect, score, alone(400)).value
        assert (399 * theirs + left_out) / 400 == pytest.approx(ours, rel=1e-8)


def test_econmls_curves_are_the_gain_curve_over_its_chord(ranked, econml_tester):
    effect, score, _ = ranked
    for metric in ("qini", "toc"):
        result = econml_tester(effect, score).evaluate_uplift(metric=metric, n_bootstrap=2)
        curve = result.curves[1]["value"].to_numpy()
        shares = np.array([(np.quantile(score, q / 100) <= score).mean() for q in np.linspace(5, 95, 50)])
        ours = gain_curve(effect, score, shares) - shares * effect.mean()
        np.testing.assert_allclose(curve, ours if metric == "qini" else ours / shares, atol=1e-12)
