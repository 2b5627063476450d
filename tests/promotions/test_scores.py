"""Scores: unbiased for the truth, precise where the outcome models are good, and the design's propensity as it is."""

import numpy as np
import pytest

from promotions.scores import Scores, make_scores


def test_a_table_of_scores_gives_the_scores_back(draw):
    scores = draw(50, 1, varying=True).scores
    frame = scores.to_frame()
    assert list(frame) == ["weight_0", "weight_1", "ips_0", "ips_1", "dr_0", "dr_1"]
    again = Scores.from_frame(frame.assign(customer_id="a", part="final")[["part", *reversed(list(frame))]])
    for name in ("weight", "ips", "dr"):
        np.testing.assert_array_equal(getattr(again, name), getattr(scores, name))


@pytest.mark.parametrize("wrong", [0.0, 3.0], ids=["true outcome models", "wrong outcome models"])
def test_scores_are_unbiased_for_both_arms_under_any_outcome_model(draw, wrong):
    experiment = draw(100_000, 2, varying=True)
    mu0, mu1 = experiment.mu0 + wrong, experiment.mu0 + experiment.tau - wrong * experiment.features[:, 3]
    scores = make_scores(experiment.outcome, experiment.treatment, experiment.propensity, mu0, mu1)
    for arm, truth in ((0, experiment.mu0), (1, experiment.mu0 + experiment.tau)):
        for score in (scores.ips, scores.dr):
            deviation = score[:, arm] - truth
            assert abs(deviation.mean()) < 3 * deviation.std() / np.sqrt(len(truth))


def test_good_outcome_models_make_the_doubly_robust_scores_less_noisy(draw):
    scores = draw(20_000, 3, varying=True).scores
    assert (scores.dr.var(axis=0) < 0.8 * scores.ips.var(axis=0)).all()


def test_the_effect_is_the_difference_of_the_arms_scores(draw):
    scores = draw(100, 4).scores
    np.testing.assert_array_equal(scores.effect, scores.dr[:, 1] - scores.dr[:, 0])


def test_the_propensity_of_the_design_is_neither_clipped_nor_estimated():
    treatment, propensity = np.array([1, 0, 0], np.int8), np.array([0.001, 0.001, 0.999])
    scores = make_scores(np.array([2.0, 3.0, 4.0]), treatment, propensity, np.ones(3), np.ones(3))
    np.testing.assert_allclose(scores.weight, [[0, 1000], [1 / 0.999, 0], [1000, 0]])
    np.testing.assert_allclose(scores.ips[[0, 2], [1, 0]], [2000, 4000])
    np.testing.assert_allclose(scores.dr[[0, 2], [1, 0]], [1 + 1000, 1 + 3000])


def test_the_arm_that_was_not_seen_has_the_models_prediction_as_its_doubly_robust_score(draw):
    experiment = draw(100, 5)
    unseen = 1 - experiment.treatment
    expected = experiment.mu0 + unseen * experiment.tau
    np.testing.assert_allclose(experiment.scores.dr[np.arange(100), unseen], expected)
    np.testing.assert_array_equal(experiment.scores.ips[np.arange(100), unseen], 0)
