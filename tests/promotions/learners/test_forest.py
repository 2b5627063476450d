"""The forest is honest: who grows a tree has no say in its effects."""

import numpy as np
import pytest

from promotions.learners.forest import HonestForest

ONE_TREE = {
    "groups": 1, "trees_per_group": 1, "leaves": 5, "min_leaf": 8, "row_share": 0.9, "feature_share": 1, "seed": 3,
}  # fmt: skip
N = 180


def grow(train, **changed):
    """The leaf of each customer and its effect, in one tree."""
    forest = HonestForest(**(ONE_TREE | changed)).fit(train)
    return forest.boosters_[0].predict(train.features, pred_leaf=True).ravel(), forest.predict(train.features)


def moved(outcome, rows, by):
    changed = outcome.copy()
    changed[rows] += by
    return changed


@pytest.fixture(scope="module", params=[1, 3], ids=["customers", "households"])
def honest(request, draw):
    """One tree, and the customers who move its effects without moving its splits."""
    experiment, cluster = draw(N, 21), np.arange(N) // request.param
    leaf, effect = grow(experiment.training(cluster=cluster))
    estimates = np.zeros(N, bool)
    for customer in range(N):
        train = experiment.training(cluster=cluster, outcome=moved(experiment.outcome, customer, 0.05))
        leaf_after, effect_after = grow(train)
        estimates[customer] = (leaf_after == leaf).all() and (effect_after != effect).any()
    return experiment, cluster, leaf, effect, estimates


def test_half_of_the_clusters_estimate_and_each_is_whole(honest):
    _, cluster, leaf, _, estimates = honest
    assert len(np.unique(leaf)) > 2
    shares = np.bincount(cluster, weights=estimates) / np.bincount(cluster)
    assert set(shares) == {0, 1}
    assert shares.mean() == pytest.approx(0.5, abs=0.01)


def test_a_leafs_effect_is_the_residual_ratio_of_the_estimating_half(honest):
    experiment, _, leaf, effect, estimates = honest
    treatment = experiment.treatment - experiment.propensity
    outcome = experiment.outcome - experiment.mu0 - experiment.propensity * experiment.tau
    for one in np.unique(leaf):
        inside = estimates & (leaf == one)
        expected = (outcome * treatment)[inside].sum() / (treatment**2)[inside].sum()
        np.testing.assert_allclose(effect[leaf == one], expected, atol=1e-12)


def test_the_estimating_half_has_no_say_in_the_splits(honest):
    experiment, cluster, leaf, effect, estimates = honest
    shuffled = moved(experiment.outcome, estimates, np.random.default_rng(1).normal(0, 50, estimates.sum()))
    leaf_after, effect_after = grow(experiment.training(cluster=cluster, outcome=shuffled))
    np.testing.assert_array_equal(leaf_after, leaf)
    assert (effect_after != effect).all()


def test_the_growing_half_decides_on_the_splits(honest):
    experiment, cluster, leaf, _, estimates = honest
    strange = np.where(estimates, experiment.outcome, 9 * experiment.features[:, 4] * experiment.treatment)
    leaf_after, _ = grow(experiment.training(cluster=cluster, outcome=strange))
    assert (leaf_after != leaf).any()


def test_trees_without_a_split_predict_the_average_effect(draw):
    experiment = draw(2000, 22)
    forest = HonestForest(**(ONE_TREE | {"groups": 10, "trees_per_group": 3, "min_leaf": 1500}))
    predicted = forest.fit(experiment.training()).predict(experiment.features)
    assert np.ptp(predicted) == 0
    assert predicted[0] == pytest.approx(experiment.scores.effect.mean(), abs=0.1)


def test_a_leaf_nobody_estimates_takes_the_overall_effect(draw):
    """Leaves of one customer: many are empty in the other half."""
    experiment = draw(60, 23)
    predicted = HonestForest(**(ONE_TREE | {"leaves": 25, "min_leaf": 1})).fit(experiment.training())
    assert np.isfinite(predicted.predict(experiment.features)).all()


def test_the_forest_is_the_mean_of_its_trees(draw):
    experiment = draw(1000, 24)
    forest = HonestForest(**(ONE_TREE | {"groups": 3, "trees_per_group": 4, "min_leaf": 50}))
    forest.fit(experiment.training())
    trees = [
        booster.predict(experiment.features, start_iteration=tree, num_iteration=1)
        for booster in forest.boosters_
        for tree in range(4)
    ]
    np.testing.assert_allclose(forest.predict(experiment.features), np.mean(trees, axis=0), atol=1e-12)


def test_effects_move_with_the_scale_of_the_outcome(draw):
    """Every outcome in cents instead of euros: a hundred times the effect."""
    experiment = draw(1000, 25)
    params = ONE_TREE | {"groups": 3, "trees_per_group": 4, "min_leaf": 50}
    euros, cents = (
        HonestForest(**params)
        .fit(experiment.training(**{name: 64 * getattr(experiment.training(), name) for name in names}))
        .predict(experiment.features)
        for names in ((), ("outcome", "mu0", "mu1"))
    )
    np.testing.assert_allclose(cents, 64 * euros, rtol=1e-9)
