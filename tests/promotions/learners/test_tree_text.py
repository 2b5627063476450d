"""scikit-learn's trees and causalml's predict the same as a LightGBM model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeRegressor

from promotions.learners import make_learner
from promotions.learners.tree_text import as_double, booster_of_trees

PARAMS = {"trees": 8, "depth": 5, "min_leaf": 20, "feature_share": 0.8, "criterion": "KL"}


@pytest.mark.parametrize("depth", [1, 4, None])
def test_trees_predict_the_same(depth):
    rng = np.random.default_rng(1)
    features = rng.normal(size=(500, 3))
    targets = [features[:, 0] + rng.normal(size=500), features[:, 1] * features[:, 2], np.zeros(500)]
    trees = [DecisionTreeRegressor(max_depth=depth, min_samples_leaf=3).fit(features, target) for target in targets]
    assert trees[-1].tree_.node_count == 1, "a tree without a split is one, too"
    booster = booster_of_trees([tree.tree_ for tree in trees], [tree.tree_.value.ravel() for tree in trees], 3)
    cuts = np.unique(np.concatenate([tree.tree_.threshold for tree in trees]))
    edges = np.concatenate([cuts, np.nextafter(cuts, -9), np.nextafter(cuts, 9), cuts.astype(np.float32)])
    for x in (features, rng.choice(edges, size=(500, 3))):
        np.testing.assert_allclose(booster.predict(x), sum(tree.predict(x) for tree in trees), rtol=0, atol=1e-12)


@given(st.floats(-1e30, 1e30), st.integers(-3, 3))
def test_a_double_is_on_the_side_of_its_float32(threshold, steps):
    limit = as_double(np.array([threshold]))[0]
    x = limit
    for _ in range(abs(steps)):
        x = np.nextafter(x, np.inf if steps > 0 else -np.inf)
    for candidate in (x, threshold, float(np.float32(threshold))):
        assert (candidate <= limit) == (float(np.float32(candidate)) <= threshold)


@pytest.mark.parametrize("binary", [True, False], ids=["UpliftRandomForestClassifier", "CausalRandomForestRegressor"])
def test_the_uplift_forest_is_causalmls(draw, binary):
    experiment, new = draw(2500, 3, binary=binary, varying=True), draw(1000, 4)
    learner = make_learner("uplift_forest", PARAMS, 5)
    train = experiment.training()
    theirs = np.ravel(learner.grow(train).predict(new.features))
    ours = learner.fit(train).predict(new.features)
    assert np.ptp(ours) > 0.1
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_counts_of_nodes_are_kept(draw):
    """Explanations weigh the sides of a split by them."""
    train = draw(2000, 6, binary=True).training()
    learner = make_learner("uplift_forest", PARAMS | {"trees": 1}, 5)
    grown = learner.grow(train).estimators_[0].tree_
    tree = learner.fit(train).effect_.parts[0].booster.dump_model()["tree_info"][0]["tree_structure"]
    assert tree["internal_count"] == grown.n_node_samples[0]
    below = [tree[side].get("internal_count", tree[side].get("leaf_count")) for side in ("left_child", "right_child")]
    assert sum(below) == grown.n_node_samples[0]
