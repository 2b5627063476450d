"""SHAP values of trees agree with their definition, LightGBM and shap, and they add up to the effect."""

import itertools
import math
from fractions import Fraction

import lightgbm as lgb
import numpy as np
import pytest

from promotions.explanation import trees as module
from promotions.explanation.trees import tree_shap, work_of
from promotions.learners.fitted import Part, TreeSum

N, P = 3000, 6
FOREST = {"boosting": "rf", "bagging_fraction": 0.7, "bagging_freq": 1}


def grow(rng, leaves=9, trees=12, columns=P, **more):
    """A booster of a bent effect; the last feature moves nothing."""
    x = rng.normal(size=(N, columns))
    y = np.sin(2 * x[:, 0]) + x[:, 1] * (x[:, 2] > 0) + 0.5 * x[:, 3] + rng.normal(0, 0.3, N)
    settings = {"num_leaves": leaves, "min_data_in_leaf": 5, "verbose": -1, "num_threads": 1, "seed": 1, **more}
    return lgb.train(settings, lgb.Dataset(x[:, :-1], y, params={"verbose": -1}), trees), x[:, :-1]


@pytest.fixture(scope="module", params=[{}, FOREST, {"leaves": 60, "trees": 3}], ids=["boosted", "rf", "deep"])
def grown(request):
    booster, x = grow(np.random.default_rng(3), **request.param)
    return TreeSum((Part(1.0, booster),)), booster, x


def by_definition(tree, row):
    """Shapley values of the game v(S) = E[f | x_S], the expectation by the shares of the training customers."""
    p = len(row)

    def expected(node, coalition):
        if node < 0:
            return tree.leaf_value[~node]
        feature = tree.feature[node]
        left, right = tree.left[node], tree.right[node]
        if feature in coalition:
            return expected(left if row[feature] <= tree.threshold[node] else right, coalition)
        return tree.left_share[node] * expected(left, coalition) + tree.right_share[node] * expected(right, coalition)

    values = np.zeros(p)
    for j in range(p):
        others = [k for k in range(p) if k != j]
        for size in range(p):
            weight = math.factorial(size) * math.factorial(p - 1 - size) / math.factorial(p)
            for coalition in itertools.combinations(others, size):
                values[j] += weight * (expected(tree.root, {*coalition, j}) - expected(tree.root, set(coalition)))
    return values


def test_values_are_the_shapley_values_of_the_game_of_known_features(grown):
    effect, _, x = grown
    rows = x[:4]
    values, _ = tree_shap(effect, rows)
    scaled = module._trees_of(effect.parts[0])
    for row, shap_values in zip(rows, values, strict=True):
        expected = sum(factor * by_definition(tree, row) for tree, factor in scaled)
        np.testing.assert_allclose(shap_values, expected, atol=1e-12)


def test_values_and_base_add_up_to_the_effect(grown):
    effect, _, x = grown
    values, base = tree_shap(effect, x)
    np.testing.assert_allclose(base + values.sum(axis=1), effect.predict(x), atol=1e-10)


def test_values_are_those_of_lightgbm_and_of_shap(grown):
    shap = pytest.importorskip("shap")
    effect, booster, x = grown
    values, base = tree_shap(effect, x[:200])
    mean_of_trees = booster.num_trees() if "average_output" in booster.model_to_string() else 1
    lightgbm_values = booster.predict(x[:200], pred_contrib=True) / mean_of_trees
    np.testing.assert_allclose(np.column_stack([values, np.full(200, base)]), lightgbm_values, atol=1e-10)
    explainer = shap.TreeExplainer(booster, feature_perturbation="tree_path_dependent")
    np.testing.assert_allclose(values, explainer.shap_values(x[:200]) / mean_of_trees, atol=1e-10)


def test_parts_add_with_their_weights(grown):
    _, booster, x = grown
    other, _ = grow(np.random.default_rng(8))
    both = TreeSum((Part(0.3, booster), Part(-2.0, other)), intercept=0.7)
    values, base = tree_shap(both, x[:50])
    first, second = (tree_shap(TreeSum((Part(1.0, one),)), x[:50]) for one in (booster, other))
    np.testing.assert_allclose(values, 0.3 * first[0] - 2 * second[0], atol=1e-12)
    assert base == pytest.approx(0.7 + 0.3 * first[1] - 2 * second[1])


def test_a_feature_that_no_tree_splits_on_contributes_nothing():
    rng = np.random.default_rng(5)
    booster, x = grow(rng, num_leaves=4, trees=3)
    unused = booster.feature_importance() == 0
    assert unused.any()
    values, _ = tree_shap(TreeSum((Part(1.0, booster),)), x)
    assert (values[:, unused] == 0).all()
    assert (np.abs(values[:, ~unused]).max(axis=0) > 0).all()


def test_a_treatment_is_no_feature_and_takes_no_credit():
    rng = np.random.default_rng(6)
    x, treatment = rng.normal(size=(N, 3)), rng.integers(2, size=N)
    y = x[:, 0] + treatment * (1 + x[:, 1]) + rng.normal(0, 0.1, N)
    data = lgb.Dataset(np.column_stack([x, treatment]), y, params={"verbose": -1})
    booster = lgb.train({"num_leaves": 16, "verbose": -1, "num_threads": 1}, data, 60)
    effect = TreeSum((Part(1.0, booster, 1.0), Part(-1.0, booster, 0.0)))
    values, base = tree_shap(effect, x)
    assert values.shape == x.shape
    np.testing.assert_allclose(base + values.sum(axis=1), effect.predict(x), atol=1e-10)
    assert base == pytest.approx(1, abs=0.1)
    assert np.corrcoef(values[:, 1], x[:, 1])[0, 1] > 0.95
    assert np.abs(values[:, 1]).mean() > 5 * np.abs(values[:, [0, 2]]).mean(axis=0).max()


@pytest.mark.parametrize("longest", [0, 3, 62])
def test_tables_of_all_patterns_and_of_those_that_occur_say_the_same(monkeypatch, longest):
    booster, x = grow(np.random.default_rng(2), leaves=40, trees=3, columns=11)
    effect = TreeSum((Part(1.0, booster),))
    expected, _ = tree_shap(effect, x[:300])
    monkeypatch.setattr(module, "LONGEST_TABLE", longest)
    np.testing.assert_array_equal(tree_shap(effect, x[:300])[0], expected)


def in_fractions(shares, met, j):
    """φ_j of a leaf of value 1 in exact arithmetic: Σ_S |S|! (d − 1 − |S|)!/d! (a_j − r_j) Π_S a Π_rest r."""
    by_size = [Fraction(1)]
    for k, share in enumerate(map(Fraction, shares)):
        if k != j:
            longer = [share * c for c in by_size] + [Fraction(0)]
            by_size = [c + (met[k] * by_size[size - 1] if size else 0) for size, c in enumerate(longer)]
    d = len(shares)
    weights = [Fraction(math.factorial(size) * math.factorial(d - 1 - size), math.factorial(d)) for size in range(d)]
    return (met[j] - Fraction(shares[j])) * sum(w * c for w, c in zip(weights, by_size, strict=True))


def test_long_paths_lose_no_digits():
    """A comb: each split uses another feature, and the deepest leaf has some forty."""
    rng = np.random.default_rng(9)
    x = (rng.random((4000, 40)) < 0.9).astype(float)
    data = lgb.Dataset(x, x.cumprod(axis=1).sum(axis=1), params={"verbose": -1, "min_data_in_bin": 1})
    settings = {"num_leaves": 41, "min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 0, "verbose": -1, "num_threads": 1}
    booster = lgb.train(settings, data, 1)
    effect = TreeSum((Part(1.0, booster),))
    values, base = tree_shap(effect, x[:500])
    np.testing.assert_allclose(base + values.sum(axis=1), booster.predict(x[:500]), atol=1e-12)
    # LightGBM's recursion divides by what it multiplied with before, and loses digits on the way.
    np.testing.assert_allclose(values, booster.predict(x[:500], pred_contrib=True)[:, :-1], atol=1e-5)
    [(tree, _)] = module._trees_of(effect.parts[0])
    longest = max(module._leaves(tree), key=lambda leaf: len(leaf.features))
    d = len(longest.shares)
    assert d > 16
    met = [0 if k == 3 else 1 for k in range(d)]
    shapley_values = module._shapley(np.array([sum(bit << k for k, bit in enumerate(met))]), longest.shares, 1.0)[:, 0]
    np.testing.assert_allclose(
        shapley_values, [float(in_fractions(longest.shares, met, j)) for j in range(d)], rtol=1e-12
    )


def test_threads_chunks_and_order_of_customers_change_nothing(grown, monkeypatch):
    effect, _, x = grown
    values, base = tree_shap(effect, x)
    order = np.random.default_rng(1).permutation(N)
    monkeypatch.setattr(module, "CHUNK", 700)
    shuffled, again = tree_shap(effect, x[order], threads=3)
    np.testing.assert_array_equal(shuffled, values[order])
    np.testing.assert_array_equal(tree_shap(effect, x[:17])[0], values[:17])
    assert again == base


def test_a_tree_without_splits_is_the_base():
    booster = lgb.train({"verbose": -1, "num_threads": 1}, lgb.Dataset(np.zeros((50, 2)), np.full(50, 3.0)), 2)
    values, base = tree_shap(TreeSum((Part(2.0, booster),)), np.zeros((4, 2)))
    assert (values == 0).all()
    assert base == pytest.approx(6.0)


def test_work_grows_with_customers_and_with_trees():
    booster, _ = grow(np.random.default_rng(4))
    one, two = TreeSum((Part(1.0, booster),)), TreeSum((Part(1.0, booster), Part(1.0, booster)))
    assert work_of(two, 100) == 2 * work_of(one, 100) == 20 * work_of(one, 10)


def test_what_is_no_sum_of_trees_is_refused():
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(200, 2)), rng.integers(2, size=200)
    booster = lgb.train({"objective": "cross_entropy", "verbose": -1, "num_threads": 1}, lgb.Dataset(x, y), 2)
    with pytest.raises(ValueError, match="identity link"):
        tree_shap(TreeSum((Part(1.0, booster),)), x)
    levels = lgb.Dataset(rng.integers(4, size=(200, 1)).astype(float), y, categorical_feature=[0])
    booster = lgb.train({"verbose": -1, "num_threads": 1, "min_data_per_group": 1, "cat_smooth": 0}, levels, 2)
    with pytest.raises(ValueError, match="compare numbers"):
        tree_shap(TreeSum((Part(1.0, booster),)), x[:, :1])
