"""Treating where the expected gain is not negative."""

import numpy as np
import pytest

from promotions.base.errors import InputError
from promotions.economics import Economics
from promotions.policies.family import GainTraining
from promotions.policies.threshold import ThresholdRules, threshold


def test_who_just_pays_is_treated():
    np.testing.assert_array_equal(threshold(np.array([0.0, -0.0, 1e-300, -1e-300])), [True, True, True, False])
    at_the_ratio = Economics(1.0, 4.0).expected_gain(np.array([0.25, 0.2, 0.3]), np.zeros(3))
    np.testing.assert_array_equal(threshold(at_the_ratio), [True, False, True])


def test_at_many_costs_at_once_everybody_goes_by_the_own_gain_and_nothing_is_learned():
    gains = np.array([[1.0, -1.0], [0.0, 2.0], [-3.0, -4.0]])
    training = GainTraining(np.zeros((5, 1)), np.ones((5, 2)), np.zeros(5, np.int8), seed=1)
    family = ThresholdRules.from_params({})
    np.testing.assert_array_equal(family.decide_each(training, np.zeros((3, 1)), gains), gains >= 0)
    assert family.steps(2, 5) == 0


def test_there_is_nothing_to_set():
    with pytest.raises(InputError, match=r"policy\.threshold\.ratio is unknown; policy\.threshold has no keys"):
        ThresholdRules.from_params({"ratio": 0.1})
