"""Sums of trees are explained exactly, everything else by a model of it whose fidelity is stated."""

import lightgbm as lgb
import numpy as np
import pytest

from promotions.base.errors import InputError
from promotions.boosting.settings import Boosting
from promotions.explanation import DISTILLED, EXACT, PARTLY_DISTILLED, explain, tree_shap
from promotions.learners.fitted import Blend, LinearEffect, Part, TreeSum

N = 3000
SMALL = Boosting(trees=300, leaves=8, learning_rate=0.1, min_leaf=10, feature_share=0.6, row_share=1.0, l2=0.0)
ALL = np.ones(N, dtype=bool)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(N, 5))


@pytest.fixture(scope="module")
def trees(x):
    y = np.sin(2 * x[:, 0]) + x[:, 1] * (x[:, 2] > 0)
    booster = lgb.train({"num_leaves": 8, "verbose": -1, "num_threads": 1}, lgb.Dataset(x, y), 20)
    return TreeSum((Part(0.5, booster),), intercept=0.1)


@pytest.fixture(scope="module")
def line():
    slopes = np.array([1.0, -0.5, 0.25, 0.0, 0.0])
    return LinearEffect(0.2, slopes, np.zeros(5), np.ones(5), 3.0)


def test_a_sum_of_trees_is_explained_exactly(x, trees):
    some = np.arange(N) < 100
    explanation = explain(trees.predict(x), x, some, [("t", 1.0, trees)])
    assert (explanation.method, explanation.fidelity, explanation.exact) == (EXACT, 1.0, ("t",))
    np.testing.assert_allclose(explanation.base + explanation.values.sum(axis=1), trees.predict(x[some]), atol=1e-10)
    np.testing.assert_allclose(explanation.values, tree_shap(trees, x[some])[0], atol=1e-12)


def test_the_constant_of_a_mixture_goes_into_the_base(x, trees):
    effect = 0.4 * trees.predict(x) + 0.03
    explanation = explain(effect, x, ALL, [("t", 0.4, trees)])
    assert explanation.method == EXACT
    np.testing.assert_allclose(explanation.base + explanation.values.sum(axis=1), effect, atol=1e-10)


def test_an_effect_that_is_the_same_for_all_has_no_contributions(x):
    explanation = explain(np.full(N, 0.25), x, ALL)
    assert (explanation.method, explanation.base, explanation.fidelity) == (EXACT, 0.25, 1.0)
    assert (explanation.values == 0).all()


def test_an_effect_that_differs_by_rounding_alone_is_the_same_for_all(x):
    explanation = explain(0.1 + 1e-17 * np.arange(N) / N, x, ALL, [])
    assert (explanation.method, explanation.fidelity) == (EXACT, 1.0)
    np.testing.assert_allclose(explanation.base, 0.1)
    np.testing.assert_array_equal(explanation.values, 0)


def test_a_blend_of_trees_is_no_sum_of_trees_and_is_distilled(x, trees):
    share = lgb.train(
        {"num_leaves": 4, "verbose": -1, "num_threads": 1, "objective": "cross_entropy"},
        lgb.Dataset(x, (x[:, 3] > 0).astype(float)),
        10,
    )
    blend = Blend(share, trees.parts[0].booster, trees.parts[0].booster)
    explanation = explain(blend.predict(x), x, ALL, [("x_learner", 1.0, blend)], model=SMALL)
    assert (explanation.method, explanation.exact) == (DISTILLED, ())
    assert 0.9 < explanation.fidelity < 1


def test_a_line_is_distilled_and_of_independent_features_its_closed_form_is_found(x, line):
    explanation = explain(line.predict(x), x, ALL, [("line", 1.0, line)], model=SMALL)
    assert (explanation.method, explanation.exact) == (DISTILLED, ())
    assert 0.95 < explanation.fidelity < 1
    closed = line.coefficients * (x - x.mean(axis=0))
    for j in range(3):
        assert np.corrcoef(explanation.values[:, j], closed[:, j])[0, 1] > 0.99
        assert np.polyfit(closed[:, j], explanation.values[:, j], 1)[0] == pytest.approx(1, abs=0.1)
    assert np.abs(explanation.values[:, 3:]).mean() < 0.02 * np.abs(explanation.values[:, 0]).mean()


def test_slopes_that_cancel_get_no_credit(x):
    """The first two features are nearly equal; the line adds one and subtracts the other. The third moves it."""
    twins = np.column_stack([x[:, 0], x[:, 0] + 1e-3 * x[:, 4], x[:, 2]])
    line = LinearEffect(0.0, np.array([20.0, -20.0, 1.0]), np.zeros(3), np.ones(3), 9.0)
    explanation = explain(line.predict(twins), twins, ALL, model=SMALL)
    size = np.abs(explanation.values).mean(axis=0)
    assert size[2] > 20 * size[:2].max()


def test_of_a_mixture_what_is_no_sum_of_trees_alone_is_distilled(x, trees, line):
    effect = 0.6 * trees.predict(x) + 0.1 * line.predict(x)
    explanation = explain(effect, x, ALL, [("t", 0.6, trees), ("line", 0.1, line)], model=SMALL)
    whole = explain(effect, x, ALL, model=SMALL)
    assert (explanation.method, explanation.exact) == (PARTLY_DISTILLED, ("t",))
    assert explanation.fidelity > whole.fidelity
    explained = explanation.base + explanation.values.sum(axis=1)
    assert 1 - np.var(explained - effect) / np.var(effect) > 0.97


def test_fidelity_is_that_of_customers_that_the_model_has_not_seen(x):
    """A model can learn noise by heart, but cannot predict it."""
    noise = np.random.default_rng(3).normal(size=N)
    explanation = explain(noise, x, ALL, model=SMALL)
    assert np.corrcoef(explanation.base + explanation.values.sum(axis=1), noise)[0, 1] > 0.5
    assert explanation.fidelity < 0


def test_too_much_work_is_distilled_instead(x, trees):
    explanation = explain(trees.predict(x), x, ALL, [("t", 1.0, trees)], model=SMALL, most_work=1000)
    assert explanation.method == DISTILLED
    assert explanation.fidelity > 0.9


def test_threads_change_nothing(x, line):
    one, two = (explain(line.predict(x), x, ALL, model=SMALL, seed=4, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.values, two.values)
    assert (one.base, one.fidelity) == (two.base, two.fidelity)


@pytest.mark.parametrize(
    ("cate", "features", "explained", "message"),
    [
        (np.zeros(3), np.zeros((4, 2)), np.ones(3), "an effect for each row"),
        (np.zeros(4), np.zeros((4, 2)), np.zeros(4), "0 to explain"),
        (np.array([0, np.nan, 0, 0]), np.zeros((4, 2)), np.ones(4), "not finite"),
        (np.arange(4.0), np.eye(4), np.ones(4), "4 customers are too few"),
    ],
)
def test_bad_input_is_named(cate, features, explained, message):
    with pytest.raises(InputError, match=message):
        explain(cate, features, explained)
