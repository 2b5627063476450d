"""Rules: whom to treat, from estimated effects and from weighted classification."""

import numpy as np
import pandas as pd
import pytest

from promotions.base.errors import InputError
from promotions.economics import Economics
from promotions.policies import Audience, decide, fit_rules
from promotions.policies.budget import Budget
from promotions.policies.threshold import threshold
from promotions.policies.weighted import WeightedClassifier

SECTION = {
    "trees": 25, "leaves": [3, 8], "learning_rate": 0.1, "min_leaf": 40, "feature_share": 0.8, "row_share": 0.8,
    "l2": 1,
}  # fmt: skip


def classifier(threads=1, seed=1):
    return WeightedClassifier.from_params(SECTION, seed, threads)


def alone(*known, threads=1):
    """Decisions for one gain: features, gain, fold, targets."""
    features, gain, fold, targets = known
    return classifier(threads).decide_each(features, gain[:, None], fold, targets)[:, 0]


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


def test_who_just_pays_is_treated():
    np.testing.assert_array_equal(threshold(np.array([0.0, -0.0, 1e-300, -1e-300])), [True, True, True, False])
    at_the_ratio = Economics(1.0, 4.0).expected_gain(np.array([0.25, 0.2, 0.3]), np.zeros(3))
    np.testing.assert_array_equal(threshold(at_the_ratio), [True, False, True])


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
    together = classifier(2).decide_each(features, gains, fold, targets, lambda: seen.append(1))
    each = np.column_stack([alone(features, column, fold, targets) for column in gains.T])
    np.testing.assert_array_equal(together, each)
    assert not together[:, 3].any()
    assert 0 < together[:, 2].mean() < 1
    # As often as there are gains and folds, whether or not there is something to tell apart.
    assert len(seen) == 4 * 4


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
        WeightedClassifier.from_params(SECTION | {"leaves": leaves}, 1, 1)


@pytest.mark.parametrize(
    ("key", "value"), [("leaves", [4, 1]), ("leaves", [4, "8"]), ("trees", 0), ("row_share", 2), ("l2", -1)]
)
def test_a_wrong_value_is_named(key, value):
    with pytest.raises(InputError, match=rf"policy\.weighted\.{key}: expected"):
        WeightedClassifier.from_params(SECTION | {key: value}, 1, 1)


@pytest.mark.parametrize("section", [None, 3, []])
def test_a_section_that_is_no_mapping_is_refused(section):
    with pytest.raises(InputError, match=r"policy\.weighted"):
        WeightedClassifier.from_params(section, 1, 1)


def test_an_unknown_key_is_named():
    with pytest.raises(InputError, match=r"policy\.weighted\.depth is unknown"):
        WeightedClassifier.from_params(SECTION | {"depth": 3}, 1, 1)


def audience_of(experiment, economics):
    ids = np.array([f"c{number}" for number in range(len(experiment.tau))], dtype=object)
    outcomes = np.column_stack([experiment.mu0, experiment.mu0 + experiment.tau])
    return Audience(ids, pd.DataFrame(index=range(len(ids))), experiment.features, outcomes, economics)


def test_with_a_budget_the_best_are_treated_until_it_is_spent(draw):
    train, new = draw(600, 3), draw(100, 4)
    fold = (np.arange(600) % 3).astype(np.int8)
    for charged, budget in (("on_treatment", Budget(share=0.1)), ("on_response", Budget(money=0.05))):
        economics = Economics(0.2, 4.0, charged)
        mine, theirs = (audience_of(e, economics) for e in (train, new))
        own, cate = (e.tau + e.mu0 / 100 for e in (train, new))
        rules = fit_rules(mine, {"t_learner": own}, fold, classifier(), budget)
        found = decide(rules, theirs, {"t_learner": cate})
        treat, gain = found["budget.t_learner"].to_numpy(bool), theirs.gain(cate)
        if charged == "on_treatment":
            assert treat.sum() == 10
            assert gain[treat].min() > gain[~treat].max()
        else:
            spent = (economics.expected_charge(new.mu0 + new.tau) * treat).sum()
            assert 4 < spent <= 5 + 1e-9


@pytest.mark.parametrize("charged", ["on_treatment", "on_response"])
def test_decisions_name_every_rule_of_every_learner_after_the_constants(draw, charged):
    train, new, seen = draw(600, 3), draw(100, 4), []
    economics = Economics(1.0, 4.0, charged)
    mine, theirs = (audience_of(e, economics) for e in (train, new))
    own, cates = ({"t_learner": e.tau, "a_learner": e.tau / 10} for e in (train, new))
    fold = (np.arange(600) % 3).astype(np.int8)
    rules = fit_rules(mine, own, fold, classifier(), Budget(), lambda: seen.append(1))
    decisions = decide(rules, theirs, cates)
    names = [f"{rule}.{name}" for name in cates for rule in ("threshold", "weighted")]
    assert list(decisions) == list(rules) == ["treat_all", "treat_none", *names]
    assert len(seen) == 2 * 3
    assert set(decisions.dtypes.astype(str)) == {"int8"}
    assert decisions["treat_all"].all()
    assert not decisions["treat_none"].any()
    cost = 1.0 if charged == "on_treatment" else new.mu0 + new.tau
    np.testing.assert_array_equal(decisions["threshold.t_learner"], 4 * new.tau - cost >= 0)
