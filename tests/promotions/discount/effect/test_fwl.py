"""The three steps are the multiple regression, on made-up and on real customers, and they show what they did."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.base.errors import InputError
from promotions.discount.effect.fwl import three_steps
from promotions.discount.regression import Controls, slope


def confounded(n, k, seed):
    """Controls drive dose and outcome; a dollar adds 2, with noise that grows with the dose."""
    rng = np.random.default_rng(seed)
    controls = rng.normal(size=(n, k)) * 10.0 ** rng.integers(-2, 4, k)
    dose = 50 + (controls / controls.std(axis=0)).sum(axis=1) * 8 + rng.gamma(2, 5, n)
    outcome = 1000 + 2 * dose + (controls / controls.std(axis=0)) @ rng.normal(0, 40, k) + dose * rng.normal(size=n)
    return outcome, dose, controls


@given(st.integers(30, 300), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_estimate_and_both_errors_are_the_multiple_regressions(n, k, seed):
    outcome, dose, controls = confounded(n, k, seed)
    steps, multiple = three_steps(outcome, dose, controls), slope(outcome, dose, controls)
    for kind in ("robust", "classical"):
        ours, theirs = getattr(steps.slope, kind), getattr(multiple, kind)
        assert ours.estimate == pytest.approx(theirs.estimate, rel=1e-10, abs=1e-10)
        assert ours.error == pytest.approx(theirs.error, rel=1e-10)
        assert (ours.ci_low, ours.ci_high) == pytest.approx((theirs.ci_low, theirs.ci_high), rel=1e-9, abs=1e-9)
    assert steps.slope.freedom == n - k - 2
    assert steps.equals_multiple


def test_the_error_of_the_last_step_alone_is_too_small():
    outcome, dose, controls = confounded(60, 12, 3)
    steps = three_steps(outcome, dose, controls)
    alone = slope(steps.outcome, steps.dose)
    assert alone.robust.estimate == pytest.approx(steps.slope.robust.estimate, rel=1e-10)
    assert alone.classical.error < 0.92 * steps.slope.classical.error


def test_debiasing_alone_gives_the_estimate_and_denoising_takes_the_noise():
    outcome, dose, controls = confounded(500, 4, 5)
    steps = three_steps(outcome, dose, controls)
    debiased = slope(outcome, steps.dose)
    assert debiased.robust.estimate == pytest.approx(steps.slope.robust.estimate, rel=1e-10)
    assert debiased.classical.error > steps.slope.classical.error
    assert steps.outcome_variance_after < steps.outcome_variance_before
    assert steps.dose_variance_after < steps.dose_variance_before


def test_residuals_know_nothing_of_the_controls_and_keep_the_means():
    outcome, dose, controls = confounded(400, 3, 7)
    steps = three_steps(outcome, dose, controls)
    for residual, raw in ((steps.dose, dose), (steps.outcome, outcome)):
        assert residual.mean() == pytest.approx(raw.mean(), rel=1e-12)
        np.testing.assert_allclose(
            controls.T @ (residual - residual.mean()) / np.abs(controls).sum(axis=0), 0, atol=1e-9
        )
    assert steps.dose_variance_after == pytest.approx(steps.dose.var(ddof=1), rel=1e-12)


def test_a_column_that_others_make_up_changes_nothing():
    outcome, dose, controls = confounded(300, 3, 9)
    more = np.column_stack([controls, controls @ [1, 2, 3], np.full(300, 7.0)])
    few, many = three_steps(outcome, dose, controls), three_steps(outcome, dose, more)
    assert many.slope.classical.error == pytest.approx(few.slope.classical.error, rel=1e-9)
    assert many.slope.freedom == few.slope.freedom


def test_a_dose_that_the_controls_decide_is_refused():
    outcome, dose, controls = confounded(100, 2, 11)
    with pytest.raises(InputError, match="explains every discount"):
        three_steps(outcome, dose, np.column_stack([controls, dose]))


def test_the_companys_log_by_its_prediction_bins(real_tables):
    log = real_tables["observational"]
    controls = Controls.of(log, ["sales_prediction_bins"], ["sales_prediction_bins"]).matrix
    steps = three_steps(log["profit"].to_numpy(), log["discount"].to_numpy(), controls)
    assert steps.slope.robust.estimate == pytest.approx(-0.02470844, abs=1e-8)
    assert steps.slope.classical.error == pytest.approx(0.01688, abs=5e-6)
    assert steps.slope.robust.ci_low < 0 < steps.slope.robust.ci_high
    assert steps.outcome_variance_before == pytest.approx(545.40, abs=0.005)
    assert steps.outcome_variance_after == pytest.approx(512.57, abs=0.005)
    assert steps.equals_multiple
