"""Best linear predictor, group effects and who is in the groups: other packages, closed forms, ties and coverage."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import norm

from promotions.evaluation.heterogeneity import best_linear_predictor, classification_analysis, group_effects
from promotions.evaluation.ranking import autoc, autoc_p_value, calibration_slope, qini, uplift_at, uplift_by_group
from promotions.inference.estimates import Estimate
from promotions.scores import make_scores
from tests.support.randomness import rng_of

LEVELS = arrays.arrays(np.float64, st.integers(6, 40), elements=st.sampled_from([0.0, 1.0, 2.0, 3.0]))


def error_of(estimate):
    return (estimate.ci_high - estimate.ci_low) / (2 * 1.959963984540054)


@pytest.fixture(scope="module")
def predicted():
    """400 scores of an effect, a prediction of it without ties, and 150 households."""
    rng = rng_of(3)
    cate = rng.normal(size=400)
    return cate + rng.normal(size=400), cate, np.append(np.arange(150), rng.integers(150, size=250))


def test_the_slope_has_the_errors_of_statsmodels_with_clusters_and_without(predicted):
    effect, cate, households = predicted
    design = sm.add_constant(cate)
    clustered = sm.OLS(effect, design).fit(cov_type="cluster", cov_kwds={"groups": households})
    line = best_linear_predictor(effect, cate, households)
    assert line.slope.value == pytest.approx(clustered.params[1], rel=1e-9)
    assert error_of(line.slope) == pytest.approx(clustered.bse[1], rel=1e-9)
    assert line.p_value == pytest.approx(norm.sf(clustered.tvalues[1]), rel=1e-6)
    alone = best_linear_predictor(effect, cate, np.arange(400))
    assert error_of(alone.slope) == pytest.approx(sm.OLS(effect, design).fit(cov_type="HC1").bse[1], rel=1e-9)
    assert alone.slope.value == pytest.approx(calibration_slope(effect, cate), rel=1e-12)
    assert alone.mean_effect.value == pytest.approx(effect.mean())
    assert error_of(alone.mean_effect) == pytest.approx(effect.std(ddof=1) / 20)


def test_the_slope_is_econmls_whose_error_supposes_equal_variances(predicted, econml_tester):
    effect, cate, _ = predicted
    theirs = econml_tester(effect, cate).evaluate_blp()
    line = best_linear_predictor(effect, cate, np.arange(400))
    assert line.slope.value == pytest.approx(theirs.params[0], rel=1e-8)
    assert theirs.errs[0] == pytest.approx(sm.OLS(effect, sm.add_constant(cate)).fit().bse[1], rel=1e-8)


def test_group_effects_are_those_of_econmls_calibration_and_give_its_r_squared(predicted, econml_tester):
    effect, cate, _ = predicted
    theirs = econml_tester(effect, cate).evaluate_cal(n_groups=4)
    table = theirs.plot_data_dict[1]
    gates, predictions = (
        np.array([part.value for part in group_effects(values, cate, np.arange(400), 4, rng_of()).pointwise[::-1]])
        for values in (effect, cate)
    )
    np.testing.assert_allclose(gates, table["gate"], rtol=1e-8)
    np.testing.assert_allclose(predictions, table["g_cate"], rtol=1e-8)
    r_squared = 1 - np.abs(gates - predictions).sum() / np.abs(gates - effect.mean()).sum()
    assert r_squared == pytest.approx(theirs.cal_r_squared[0], rel=1e-8)


def test_a_calibrated_prediction_has_slope_one_and_one_that_is_too_wide_less():
    cate = rng_of(4).normal(size=100_000)
    effect = cate + rng_of(5).normal(size=100_000)
    assert best_linear_predictor(effect, cate, np.arange(100_000)).slope.value == pytest.approx(1, abs=0.02)
    assert best_linear_predictor(effect, 4 * cate, np.arange(100_000)).slope.value == pytest.approx(0.25, abs=0.005)


def test_the_best_fifth_of_a_standard_normal_effect_has_the_mean_of_its_tail():
    cate = rng_of(6).normal(size=200_000)
    gates = group_effects(cate, cate, np.arange(200_000), 5, rng_of())
    tail = norm.pdf(norm.ppf(0.2)) / 0.2
    assert gates.pointwise[0].value == pytest.approx(tail, abs=0.01)
    assert gates.difference.value == pytest.approx(2 * tail, abs=0.02)


def test_what_says_nothing_is_exactly_nothing():
    effect, same = rng_of(7).normal(1, 5, 1001), np.full(1001, 0.3)
    for scores, cate in ((effect, same), (same, effect)):
        blp = best_linear_predictor(scores, cate, np.arange(1001))
        assert (blp.slope, blp.p_value) == (Estimate(0, 0, 0), 1)
        gates = group_effects(scores, cate, np.arange(1001), 5, rng_of())
        assert (gates.difference, gates.p_value) == (Estimate(0, 0, 0), 1)
        for part in gates.pointwise:
            assert part.value == pytest.approx(scores.mean())


def test_a_harmful_prediction_has_p_values_near_one(predicted):
    effect, cate, households = predicted
    assert best_linear_predictor(effect, cate, households).p_value < 1e-6
    assert best_linear_predictor(effect, -cate, households).p_value > 1 - 1e-6
    assert group_effects(effect, cate, households, 4, rng_of()).p_value < 1e-6
    assert group_effects(effect, -cate, households, 4, rng_of()).p_value > 1 - 1e-6


def test_group_effects_are_uplift_by_group_with_wider_joint_intervals(predicted):
    effect, cate, households = predicted
    gates = group_effects(effect, cate, households, 5, rng_of())
    assert gates.pointwise == uplift_by_group(effect, cate, households, 5)
    table = gates.to_frame()
    assert list(table["group"]) == [1, 2, 3, 4, 5]
    assert (table["simultaneous_ci_low"] < table["ci_low"]).all()
    assert (table["simultaneous_ci_high"] > table["ci_high"]).all()
    assert 2.2 < gates.simultaneous.critical_value < 2.9
    assert gates.difference.value == pytest.approx(gates.pointwise[0].value - gates.pointwise[4].value)
    assert gates.pointwise[0].value == pytest.approx(uplift_at(effect, cate, 0.2))


@given(LEVELS, st.integers(0, 2**32 - 1))
def test_permuting_rows_changes_no_number(cate, seed):
    n, rng = len(cate), rng_of(seed)
    effect, clusters, features = cate + rng.normal(size=n), np.arange(n) // 2, rng.normal(size=(n, 2))
    order = rng.permutation(n)

    def numbers(rows):
        effects, predictions, codes = effect[rows], cate[rows], clusters[rows]
        blp = best_linear_predictor(effects, predictions, codes)
        gates = group_effects(effects, predictions, codes, 3, rng_of(), replicates=50)
        clan = classification_analysis(features[rows], ["one", "two"], predictions, codes, 3).set_index("feature")
        flat = [blp.slope.value, blp.slope.ci_low, blp.mean_effect.ci_low, blp.p_value, gates.difference.ci_low]
        return np.concatenate([flat, gates.to_frame().to_numpy().ravel(), clan.loc[["one", "two"]].to_numpy().ravel()])

    np.testing.assert_allclose(numbers(order), numbers(np.arange(n)), rtol=1e-7, atol=1e-9)


def test_the_most_affected_differ_in_the_features_that_decide_the_prediction_and_no_others():
    rng = rng_of(8)
    features = np.column_stack(
        [rng.normal(size=4000), 100 * rng.normal(size=4000), rng.random(4000) < 0.5, np.ones(4000)]
    )
    cate = features[:, 2] - 0.2 * features[:, 0]
    table = classification_analysis(features, ["income", "noise", "city", "one"], cate, np.arange(4000), 4)
    assert list(table["feature"]) == ["city", "income", "noise", "one"]
    rows = table.set_index("feature")
    # The best quarter lives in the city, the worst does not: no variance within, but the difference is certain.
    assert rows.loc["city", "difference"] == 1
    assert rows.loc["city", "standardised_difference"] == pytest.approx(2, abs=0.01)
    assert rows.loc["income", "ci_high"] < 0
    assert rows.loc["noise", "ci_low"] < 0 < rows.loc["noise", "ci_high"]
    assert list(rows.loc["one", ["most_affected", "difference", "error", "standardised_difference"]]) == [1, 0, 0, 0]


def test_the_groups_of_the_analysis_are_the_first_and_last_and_errors_the_usual_ones():
    rng = rng_of(9)
    cate, feature = rng.permutation(np.arange(1000.0)), rng.normal(size=1000)
    row = classification_analysis(feature[:, None], ["x"], cate, np.arange(1000), 4).iloc[0]
    best, worst = feature[cate >= 750], feature[cate < 250]
    assert row["most_affected"] == pytest.approx(best.mean())
    assert row["least_affected"] == pytest.approx(worst.mean())
    assert row["error"] == pytest.approx(np.sqrt(best.var() / 250 + worst.var() / 250), rel=0.05)
    assert row["standardised_difference"] == pytest.approx((best.mean() - worst.mean()) / feature.std())


def draw_scores(seed, n, *, heterogeneous=True, clustered=False):
    """An experiment with a varying propensity, doubly robust scores from wrong outcome models, and a fixed prediction.

    Returns scores, true effects, predictions, one feature and clusters. Clusters of up to five share all but their arm.
    """
    rng = rng_of(seed)
    clusters = np.unique(np.repeat(np.arange(n), rng.integers(1, 6, n))[:n], return_inverse=True)[1]
    if not clustered:
        clusters = np.arange(n)
    x = rng.normal(size=(clusters.max() + 1, 3))[clusters]
    tau = (0.5 * x[:, 0] + 0.3 * x[:, 1] ** 2) * heterogeneous
    propensity = np.where(x[:, 2] > 0, 0.7, 0.3)
    treatment = (rng.random(n) < propensity).astype(np.int8)
    outcome = x[:, 1] + treatment * tau + rng.normal(size=n)
    mu0 = x[:, 1] + 0.3 * x[:, 0]
    effect = make_scores(outcome, treatment, propensity, mu0, mu0 + 0.2 * tau).effect
    return effect, tau, x[:, 0] + 0.3 * x[:, 2], x[:, 1], clusters


def covers(estimate, truth):
    return estimate.ci_low <= truth <= estimate.ci_high


@pytest.mark.parametrize("clustered", [False, True])
def test_intervals_cover_the_truth_in_95_of_100_experiments(clustered):
    """A small version: over 3,000 experiments of 5,000 customers each the shares were between 94.4 and 96.0 %."""
    _, tau, cate, feature, _ = draw_scores(99, 1_000_000, clustered=clustered)
    gates = np.array([part.value for part in uplift_by_group(tau, cate, np.arange(1_000_000), 5)])
    slope = calibration_slope(tau, cate)
    rates = [rate(tau, cate, np.arange(1_000_000)).value for rate in (autoc, qini)]
    hits = []
    for seed in range(500):
        effect, _, cate, feature, clusters = draw_scores(seed, 2000, clustered=clustered)
        groups = group_effects(effect, cate, clusters, 5, rng_of(seed), replicates=300)
        clan = classification_analysis(feature[:, None], ["x"], cate, clusters, 5).iloc[0]
        joint = (groups.simultaneous.low <= gates) & (gates <= groups.simultaneous.high)
        hits.append(
            {
                "autoc": covers(autoc(effect, cate, clusters), rates[0]),
                "qini": covers(qini(effect, cate, clusters), rates[1]),
                "slope": covers(best_linear_predictor(effect, cate, clusters).slope, slope),
                "pointwise": np.mean(
                    [covers(part, truth) for part, truth in zip(groups.pointwise, gates, strict=True)]
                ),
                "simultaneous": joint.all(),
                "difference": covers(groups.difference, gates[0] - gates[4]),
                # The second feature has no part in the prediction.
                "clan": clan["ci_low"] <= 0 <= clan["ci_high"],
            }
        )
    shares = pd.DataFrame(hits).astype(float).mean()
    assert shares.between(0.92, 0.98).all(), shares


def test_where_effects_do_not_differ_one_test_in_20_says_they_do():
    """A small version: over 3,000 experiments of 5,000 customers each the shares were 4.9 to 5.0 %."""
    wrong = []
    for seed in range(400):
        effect, _, cate, _, clusters = draw_scores(seed, 1500, heterogeneous=False)
        gates = group_effects(effect, cate, clusters, 5, rng_of(seed), replicates=100)
        p_values = best_linear_predictor(effect, cate, clusters).p_value, gates.p_value
        wrong.append([p <= 0.05 for p in (*p_values, autoc_p_value(effect, cate, clusters))])
    shares = np.mean(wrong, axis=0)
    assert ((shares >= 0.02) & (shares <= 0.085)).all(), shares
