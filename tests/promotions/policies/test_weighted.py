"""A classifier of whom to treat, in which a mistake weighs what it costs."""

import numpy as np
import pytest

from promotions.base.errors import InputError
from promotions.policies.family import GainTraining
from promotions.policies.threshold import threshold
from promotions.policies.weighted import WeightedRules

SECTION = {
    "trees": 25, "leaves": [3, 8], "learning_rate": 0.1, "min_leaf": 40, "feature_share": 0.8, "row_share": 0.8,
    "l2": 1,
}  # fmt: skip


def decide_each(features, gains, fold, targets, threads=1, progress=lambda: None):
    """Decisions of a classifier for each column of gains."""
    training = GainTraining(features, gains, fold, seed=1, threads=threads, progress=progress)
    new_gains = np.zeros((len(targets), gains.shape[1]))
    return WeightedRules.from_params(SECTION).decide_each(training, targets, new_gains)


def alone(features, gain, fold, targets, threads=1):
    """Decisions for one gain."""
    return decide_each(features, gain[:, None], fold, targets, threads)[:, 0]


@pytest.fixture(scope="module")
def noisy():
    """Customers who pay where the first feature is positive, their noisy gains, and new customers."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(4000, 4))
    truth = np.where(features[:, 0] > 0, 1.0, -1.0)
    gain = truth + 3 * rng.normal(size=4000)
    return (
        features[:2000],
        gain[:2000],
        (np.arange(2000) % 4).astype(np.int8),
        features[2000:],
        truth[2000:],
        gain[2000:],
    )


def test_the_classifier_finds_whom_to_treat_where_single_effects_are_noise(noisy):
    features, gain, fold, targets, truth, noisy_gain = noisy
    treated = alone(features, gain, fold, targets)
    assert treated.dtype == np.bool_
    assert np.mean(treated == (truth > 0)) > 0.9
    earned, by_noise, at_random = (
        (truth * rule).mean() for rule in (treated, threshold(noisy_gain), np.arange(2000) % 2 == 0)
    )
    assert earned > by_noise > at_random


def test_weights_decide_where_most_customers_lose_a_little_and_few_gain_much():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(3000, 2))
    rich = features[:, 0] > 0
    gain = np.where(rich, np.where(rng.random(3000) < 0.2, 20.0, -1.0), -1.0)
    treated = alone(features, gain, (np.arange(3000) % 3).astype(np.int8), features)
    assert (gain[rich] > 0).mean() < 0.5
    assert treated[rich].mean() > 0.9
    assert treated[~rich].mean() < 0.1


@pytest.mark.parametrize(("sign", "everybody"), [(1.0, True), (-1.0, False), (0.0, True)])
def test_gains_of_one_sign_decide_for_everybody(noisy, sign, everybody):
    features, gain, fold, targets, _, _ = noisy
    np.testing.assert_array_equal(alone(features, sign * np.abs(gain), fold, targets), np.full(2000, everybody))


def test_customers_too_few_to_split_get_the_decision_of_the_mean_gain():
    features, gain = np.arange(12.0)[:, None], np.array([8.0, -1, -1, -1, -1, -1] * 2)
    fold = (np.arange(12) % 2).astype(np.int8)
    for sign in (1, -1):
        treated = alone(features, sign * gain - 1e-9, fold, features)
        assert (treated == (sign * gain.sum() >= 0)).all()


def test_many_gains_at_once_are_decided_as_each_alone(noisy):
    features, gain, fold, targets, _, _ = noisy
    gains = np.column_stack([gain - cost for cost in (-0.5, 0, 0.5, 100)])
    seen = []
    together = decide_each(features, gains, fold, targets, 2, lambda: seen.append(1))
    each = np.column_stack([alone(features, column, fold, targets) for column in gains.T])
    np.testing.assert_array_equal(together, each)
    assert not together[:, 3].any()
    assert 0 < together[:, 2].mean() < 1
    # As often as there are gains and folds, whether or not there is something to tell apart.
    assert len(seen) == WeightedRules.from_params(SECTION).steps(4, 4) == 4 * 4


def test_gains_of_one_size_are_a_matter_of_their_sign(noisy):
    features, gain, fold, targets, truth, _ = noisy
    treated = alone(features, np.sign(gain), fold, targets)
    assert np.mean(treated == (truth > 0)) > 0.9


def test_one_and_two_threads_decide_alike_and_the_same_seed_again(noisy):
    features, gain, fold, targets, _, _ = noisy
    one, again, two = (alone(features, gain, fold, targets, threads=threads) for threads in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(one, two)


def test_the_scale_of_money_changes_no_decision(noisy):
    features, gain, fold, targets, _, _ = noisy
    euros, cents = (alone(features, scale * gain, fold, targets) for scale in (1, 128))
    np.testing.assert_array_equal(euros, cents)


@pytest.mark.parametrize("leaves", [None, [], 4, "4", {"a": 4}])
def test_leaves_have_to_be_a_list(leaves):
    with pytest.raises(InputError, match=r"policy\.weighted\.leaves: expected a list such as \[4, 16\]"):
        WeightedRules.from_params(SECTION | {"leaves": leaves})


@pytest.mark.parametrize(
    ("key", "value"), [("leaves", [4, 1]), ("leaves", [4, "8"]), ("trees", 0), ("row_share", 2), ("l2", -1)]
)
def test_a_wrong_value_is_named(key, value):
    with pytest.raises(InputError, match=rf"policy\.weighted\.{key}: expected"):
        WeightedRules.from_params(SECTION | {key: value})


def test_an_unknown_key_is_named():
    with pytest.raises(InputError, match=r"policy\.weighted\.depth is unknown"):
        WeightedRules.from_params(SECTION | {"depth": 3})
