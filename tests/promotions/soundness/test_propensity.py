"""Estimated chances of treatment are right, out of fold, and it is noticed where they are not."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit
from statsmodels.api import GLM, families

from promotions.base.errors import InputError
from promotions.soundness.propensity import COUNTS, calibrate, estimate_propensity, fit_logistic, log_loss, recalibrated


def design(n, seed, strength=1.0):
    """Features, true chances, treatments, folds."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 5))
    chance = expit(strength * (1.2 * features[:, 0] - 0.8 * np.abs(features[:, 3])))
    return features, chance, (rng.random(n) < chance).astype(np.int8), (np.arange(n) % 5).astype(np.int8)


@pytest.fixture(scope="module")
def estimated():
    features, chance, treatment, fold = design(6000, 1)
    return chance, treatment, estimate_propensity(features, treatment, fold, 1)


def test_chances_are_found_and_calibrated(estimated):
    chance, treatment, (found, trees) = estimated
    assert np.abs(found - chance).mean() < 0.05
    calibration = calibrate(treatment, found, np.arange(len(chance)))
    assert calibration.ci_low < 1 < calibration.ci_high
    assert calibration.error < calibration.error_by_chance + 0.01
    assert COUNTS[0] < trees


def test_where_treatment_is_a_lottery_chances_hardly_differ():
    features, _, treatment, fold = design(3000, 2, strength=0.0)
    found, trees = estimate_propensity(features, treatment, fold, 1)
    assert trees == COUNTS[0]
    assert found.std() < 0.02
    assert calibrate(treatment, found, np.arange(3000)).slope is None


def test_neither_threads_nor_the_number_of_fits_are_left_to_luck():
    features, _, treatment, fold = design(800, 3)
    fits = []
    one, two = (
        estimate_propensity(features, treatment, fold, 1, threads, lambda: fits.append(1))[0] for threads in (1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert len(fits) == 2 * 5


def test_two_arms_are_needed():
    features, _, _, fold = design(300, 4)
    with pytest.raises(InputError, match="treatment = 0"):
        estimate_propensity(features, np.zeros(300, np.int8), fold, 1)
    with pytest.raises(InputError, match="all training customers outside fold 1 have treatment = 0"):
        estimate_propensity(features, (fold == 1).astype(np.int8), fold, 1)
    with pytest.raises(InputError, match="only 1 of the folds"):
        estimate_propensity(features, np.ones(300, np.int8), np.zeros(300, np.int8), 1)


def test_recalibration_undoes_a_wrong_scale_and_level():
    _, chance, treatment, fold = design(40_000, 5)
    wrong = expit(0.7 + 0.4 * logit(chance))
    mended = recalibrated(treatment, wrong, fold)
    assert np.abs(mended - chance).max() < 0.03
    assert log_loss(treatment, mended) < log_loss(treatment, wrong) - 0.01


def test_a_customers_own_fold_plays_no_part_in_recalibration():
    _, chance, treatment, fold = design(1000, 6)
    changed = np.where(fold == 2, 1 - treatment, treatment).astype(np.int8)
    before, after = (recalibrated(each, chance, fold) for each in (treatment, changed))
    np.testing.assert_array_equal(after[fold == 2], before[fold == 2])
    assert not np.allclose(after[fold != 2], before[fold != 2])


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_the_calibration_slope_is_one_over_the_scale_of_wrong_log_odds(scale):
    _, chance, treatment, _ = design(20_000, 7)
    found = calibrate(treatment, expit(scale * logit(chance)), np.arange(20_000))
    assert found.slope == pytest.approx(1 / scale, rel=0.06)
    assert (found.error > found.error_by_chance + 0.01) == (scale != 1)


def test_slope_and_interval_are_those_of_a_logistic_regression_with_robust_errors():
    _, chance, treatment, _ = design(3000, 8)
    clusters = np.arange(3000) // 3
    found = calibrate(treatment, chance, clusters)
    design_matrix = np.column_stack([np.ones(3000), logit(chance)])
    theirs = GLM(treatment, design_matrix, families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False}
    )
    assert found.slope == pytest.approx(theirs.params[1], abs=1e-8)
    margin = stats.t.ppf(0.975, 999) * theirs.bse[1] * np.sqrt(1000 / 999)
    assert found.ci_high - found.slope == pytest.approx(margin, rel=1e-6)


def test_the_error_of_the_tenths_is_that_of_their_means():
    chance = np.repeat([0.2, 0.6], 500)
    treatment = np.concatenate([np.arange(500) < 150, np.arange(500) < 300]).astype(np.int8)
    found = calibrate(treatment, chance, np.arange(1000))
    assert found.error == pytest.approx((0.1 + 0.0) / 2)
    assert found.error_by_chance == pytest.approx(
        np.sqrt(2 / np.pi) * (np.sqrt(500 * 0.16) + np.sqrt(500 * 0.24)) / 1000
    )


def test_there_is_no_line_through_equal_chances_or_separated_arms():
    treatment = (np.arange(200) >= 100).astype(np.int8)
    assert fit_logistic(treatment, np.zeros(200)) is None
    assert fit_logistic(treatment, np.arange(200.0) - 99.5) is None
    fold = (np.arange(200) % 4).astype(np.int8)
    separated = expit(np.arange(200.0) / 10 - 10)
    np.testing.assert_allclose(recalibrated(treatment, separated, fold), separated)
