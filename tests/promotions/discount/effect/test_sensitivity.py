"""Omitted confounders: published numbers, exact algebra with a confounder that is known, econml, and coverage."""

import numpy as np
import pytest
import statsmodels.api as sm
from econml.validate.sensitivity_analysis import RV, dml_sensitivity_values, sensitivity_interval

from promotions.base.rounding import rounded
from promotions.discount.effect.sensitivity import (
    LongStoryShort,
    as_strong_as,
    benchmarks,
    bias_grid,
    partial_r2,
    robustness_value,
    with_confounder,
)
from promotions.discount.regression import Controls, Slope, slope
from promotions.inference.estimates import Effect

# The application of Cinelli & Hazlett (2020): exposure to violence and attitudes to peace in Darfur, 783 degrees of
# freedom; strengths of a confounder once, twice and three times as strong as gender, as the authors' package has them.
ESTIMATE, ERROR, FREEDOM = 0.09731582, 0.02325654, 783
AS_GENDER = {
    1: (0.00916428667504862, 0.12464092303637, 0.0752202712144491, 0.0218733277437572),
    2: (0.0183285733500972, 0.249324064199975, 0.0529151723844518, 0.0203500620779637),
    3: (0.0274928600251459, 0.374050471038094, 0.0303960234641548, 0.0186700648170924),
}


@pytest.fixture(scope="module")
def darfur():
    classical = Effect.student(ESTIMATE, ERROR, FREEDOM)
    return Slope(classical, classical, None, FREEDOM)


def test_robustness_values_of_the_published_application():
    t_value = ESTIMATE / ERROR
    assert partial_r2(t_value, FREEDOM) == pytest.approx(0.02187, abs=1e-5)
    assert robustness_value(t_value, FREEDOM) == pytest.approx(0.13878, abs=1e-5)
    assert robustness_value(t_value, FREEDOM, level=0.95) == pytest.approx(0.07626, abs=1e-5)


def test_adjusted_estimates_of_the_published_application(darfur):
    for r2_dose, r2_outcome, estimate, error in AS_GENDER.values():
        found = with_confounder(darfur, r2_dose, r2_outcome)
        assert found.estimate == pytest.approx(estimate, rel=1e-6)
        assert found.error == pytest.approx(error, rel=1e-6)
    assert found.ci_low == pytest.approx(-0.006253282, abs=1e-7)
    negative = Effect.student(-ESTIMATE, ERROR, FREEDOM)
    assert with_confounder(Slope(negative, negative, None, FREEDOM), *AS_GENDER[3][:2]).estimate == -found.estimate


def test_strengths_of_the_published_benchmark():
    # Those of gender itself are read off the first line, the other two follow.
    first_dose, first_outcome = AS_GENDER[1][:2]
    of_dose = first_dose / (1 + first_dose)
    shared = of_dose**2 / (1 - of_dose) ** 2
    odds = first_outcome / ((1 + np.sqrt(shared)) / np.sqrt(1 - shared)) ** 2
    for times, (r2_dose, r2_outcome, *_) in AS_GENDER.items():
        assert as_strong_as(of_dose, odds / (1 + odds), times) == pytest.approx((r2_dose, r2_outcome), rel=1e-9)
    assert as_strong_as(0.6, 0.5, 1) == (1.0, 1.0)


def confounded(n, seed):
    """A recorded control x, an omitted one z, a dose and an outcome on which a dollar adds 1."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, n))
    dose = 0.8 * x + 0.5 * z + rng.normal(size=n)
    return dose + x + 0.7 * z + rng.normal(size=n), dose, x, z


def partial_of(target, of, given):
    residuals = [sm.OLS(each, sm.add_constant(given)).fit().resid for each in (target, of)]
    return np.corrcoef(*residuals)[0, 1] ** 2


def test_a_confounder_that_is_known_explains_the_bias_to_the_last_digit():
    outcome, dose, x, z = confounded(500, 1)
    short, long = slope(outcome, dose, x[:, None]), slope(outcome, dose, np.column_stack([x, z]))
    r2_dose = partial_of(dose, z, x)
    r2_outcome = partial_of(outcome, z, np.column_stack([dose, x]))
    found = with_confounder(short, r2_dose, r2_outcome)
    assert found.estimate == pytest.approx(long.classical.estimate, rel=1e-10)
    assert found.error == pytest.approx(long.classical.error, rel=1e-10)


@pytest.mark.parametrize("share", [0.3, 1.0, 1.7])
def test_a_confounder_as_strong_as_the_robustness_value_takes_that_share_away(share):
    outcome, dose, x, _ = confounded(500, 2)
    short = slope(outcome, dose, x[:, None])
    t_value = short.classical.estimate / short.classical.error
    value = robustness_value(t_value, short.freedom, share=share)
    left = with_confounder(short, value, value)
    assert left.estimate == pytest.approx((1 - share) * short.classical.estimate, abs=1e-10)


def test_at_the_robustness_value_of_the_interval_it_ends_at_zero():
    outcome, dose, x, _ = confounded(300, 3)
    short = slope(outcome, dose, x[:, None])
    value = robustness_value(short.classical.estimate / short.classical.error, short.freedom, level=0.95)
    assert with_confounder(short, value, value).ci_low == pytest.approx(0, abs=1e-3 * short.classical.error)
    assert robustness_value(1.2, 300, level=0.95) == 0
    assert robustness_value(0, 300) == 0
    assert robustness_value(1e6, 300) == pytest.approx(1, abs=1e-6)


def test_benchmarks_are_the_partial_r2_of_leaving_the_control_out():
    rng = np.random.default_rng(4)
    outcome, dose, x, z = confounded(400, 4)
    level = np.eye(3)[rng.integers(3, size=400)]
    outcome = outcome + level @ [0.0, 0.5, 1.0] - 0.9 * x
    controls = Controls(
        np.column_stack([x, z, level]), ("x", "z", "a", "b", "c"), ("x", "z", "level", "level", "level")
    )
    found = benchmarks(outcome, dose, controls, slope(outcome, dose, controls.matrix)).set_index(["control", "times"])
    assert set(found.index.get_level_values("control")) == {"x", "z", "level"}
    of_dose = partial_of(dose, z, np.column_stack([x, level[:, 1:]]))
    of_outcome = partial_of(outcome, z, np.column_stack([dose, x, level[:, 1:]]))
    expected = as_strong_as(*rounded((of_dose, of_outcome)), 2)
    assert tuple(found.loc[("z", 2.0), ["r2_dose", "r2_outcome"]]) == pytest.approx(expected, rel=1e-8)
    # A category counts as a whole: the share of the rest that all its columns explain.
    rest = sm.add_constant(np.column_stack([dose, x, z]))
    without, within = (sm.OLS(outcome, each).fit().ssr for each in (rest, np.column_stack([rest, level[:, 1:]])))
    assert found.loc[("level", 1.0), "r2_outcome"] == pytest.approx(without / within - 1, rel=0.1)
    # The last column of the category is what the others leave: it changes nothing.
    fewer = Controls(controls.matrix[:, :4], controls.columns[:4], controls.sources[:4])
    again = benchmarks(outcome, dose, fewer, slope(outcome, dose, fewer.matrix)).set_index(["control", "times"])
    np.testing.assert_allclose(again.loc[found.index], found, rtol=1e-8)


def test_the_grid_starts_at_the_estimate_and_falls():
    outcome, dose, x, _ = confounded(300, 5)
    short = slope(outcome, dose, x[:, None])
    grid = bias_grid(short, 0.5, 0.3, steps=4).pivot_table(index="r2_outcome", columns="r2_dose", values="estimate")
    assert grid.iloc[0, 0] == pytest.approx(short.classical.estimate)
    assert (np.diff(grid.to_numpy()[1:], axis=1) < 0).all()


@pytest.fixture(scope="module")
def residuals():
    rng = np.random.default_rng(6)
    dose = rng.standard_t(6, 4000)
    return 0.3 * dose + rng.normal(size=4000) * (1 + 0.4 * np.abs(dose)), dose


def test_bounds_and_robustness_value_are_econmls(residuals):
    outcome, dose = residuals
    ours, theirs = LongStoryShort.of(outcome, dose), dml_sensitivity_values(dose, outcome)
    parts = (theirs.theta, theirs.sigma, theirs.nu, theirs.cov)
    bounds = sensitivity_interval(*parts, 0.05, 0.1, 0.04, 0.8, interval_type="theta")
    assert ours.bounds(0.1, 0.04, 0.8) == pytest.approx(bounds, rel=1e-10)
    assert ours.robustness_value() == pytest.approx(RV(*parts, 0.05, interval_type="theta"), abs=1e-5)
    assert ours.robustness_value(null=0.2) == pytest.approx(RV(*parts, 0.05, 0.2, interval_type="theta"), abs=1e-5)


def test_errors_of_the_bounds_are_the_bootstraps(residuals):
    outcome, dose = residuals
    story, rng = LongStoryShort.of(outcome, dose), np.random.default_rng(7)
    drawn = []
    for _ in range(1500):
        rows = rng.integers(len(dose), size=len(dose))
        drawn.append(LongStoryShort.of(outcome[rows], dose[rows]).bounds(0.3, 0.3))
    low, high = story.bounds(0.3, 0.3)
    ci_low, ci_high = story.interval(0.3, 0.3)
    spread = np.std(drawn, axis=0)
    assert ((low - ci_low) / 1.96, (ci_high - high) / 1.96) == pytest.approx(tuple(spread), rel=0.06)
    assert story.interval(0, 0) == pytest.approx(
        tuple(story.theta + side * 1.959964 * np.sqrt((story.influence[:, 0] ** 2).sum()) / 4000 for side in (-1, 1)),
        rel=1e-6,
    )


def test_at_its_robustness_value_the_interval_reaches_the_null(residuals):
    story = LongStoryShort.of(*residuals)
    value = story.robustness_value(level=0.95)
    assert 0 < value < story.robustness_value()
    assert story.interval(value, value)[0] == pytest.approx(0, abs=1e-9)
    below = story.robustness_value(null=0.9, level=0.95)
    assert story.interval(below, below)[1] == pytest.approx(0.9, abs=1e-9)
    assert story.robustness_value(null=story.theta + 1e-6, level=0.95) == 0


def test_bounds_hold_the_effect_that_double_ml_misses():
    covered, naive = 0, 0
    # Strengths of z in the populations, given x: of the dose .25/1.25, of the outcome (given the dose) .392/1.392.
    strengths = (0.392 / 1.392, 0.2)
    for seed in range(200):
        outcome, dose, x, _ = confounded(400, 100 + seed)
        rest = [sm.OLS(each, sm.add_constant(x)).fit().resid for each in (outcome, dose)]
        low, high = LongStoryShort.of(*rest).interval(*strengths)
        covered += low <= 1 <= high
        low, high = LongStoryShort.of(*rest).interval(0, 0)
        naive += low <= 1 <= high
    assert covered >= 190
    assert naive <= 10
