"""Mixtures of learners: closed forms, optimality, symmetry, and the error to a known truth."""

from functools import partial
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from promotions.base.errors import InputError
from promotions.inference.clusters import Z_95
from promotions.learners import cross_fit, make_learner
from promotions.learners.ensemble import METHODS, stack

SEEDS = st.integers(0, 2**32 - 1)
every_method = pytest.mark.parametrize("method", METHODS)
BOOSTED = {
    "trees": 40, "leaves": 4, "learning_rate": 0.1, "min_leaf": 40, "feature_share": 0.8, "row_share": 0.8, "l2": 1,
}  # fmt: skip
LEARNERS = {
    "s_learner": {"model": BOOSTED | {"trees": 80}},
    "t_learner": {"model": BOOSTED},
    "x_learner": {"model": BOOSTED, "effect": BOOSTED},
    "transformed_outcome": {"effect": BOOSTED},
}


def combine(cates, scores, method, names=None, clusters=None):
    names = [f"l{index:02d}" for index in range(cates.shape[1])] if names is None else names
    clusters = np.arange(len(scores)) if clusters is None else clusters
    return stack(cates, scores, clusters, names, method=method)


def draw_candidates(seed, n=60, k=None):
    """Scores of an effect, and learners of all kinds: good, noisy, shifted, inverted, wildly too large, constant."""
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 13)) if k is None else k
    truth = rng.normal(size=n)
    slopes, shifts, noise = rng.choice([-1, 0, 0.5, 1, 30], k), rng.choice([0, 0, 1], k), rng.choice([0, 0.2, 3], k)
    cates = 0.3 + truth[:, None] * slopes + shifts + noise * rng.normal(size=(n, k))
    return cates, 0.3 + truth + 2 * rng.normal(size=n)


def losses(cates, scores):
    """Loss of each learner, and of the mean effect."""
    candidates = np.column_stack([cates, np.full(len(scores), scores.mean())])
    return ((scores[:, None] - candidates) ** 2).mean(axis=0), candidates


def objective(weights, cates, scores, method):
    """What each method minimises, as its source writes it."""
    single, candidates = losses(cates, scores)
    mixture = ((scores - candidates @ weights) ** 2).mean()
    return mixture if method == "stacking" else mixture / 2 + weights @ single / 2


def weights_of(ensemble):
    return np.array(list(ensemble.weights.values()))


@every_method
@given(SEEDS)
def test_weights_are_on_the_simplex_and_no_other_mixture_is_better(method, seed):
    cates, scores = draw_candidates(seed)
    weights = weights_of(combine(cates, scores, method))
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1)
    # The objective is convex: at its minimum over the simplex no direction towards a corner descends.
    best, scale = objective(weights, cates, scores, method), losses(cates, scores)[0].max()
    for corner in np.eye(len(weights)):
        for step in (1e-3, 1e-2, 0.1, 1):
            assert best <= objective((1 - step) * weights + step * corner, cates, scores, method) + 1e-7 * scale


@every_method
@given(SEEDS)
def test_scipy_finds_the_same_minimum(method, seed):
    cates, scores = draw_candidates(seed, k=4)
    optimum = optimize.minimize(
        objective,
        np.full(5, 0.2),
        (cates, scores, method),
        bounds=[(0, 1)] * 5,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    ours = objective(weights_of(combine(cates, scores, method)), cates, scores, method)
    assert ours == pytest.approx(optimum.fun, rel=1e-4)
    assert ours <= optimum.fun * (1 + 1e-6)


@given(SEEDS)
def test_stacking_is_never_worse_than_the_best_candidate_on_its_own_rows(seed):
    cates, scores = draw_candidates(seed)
    ensemble = combine(cates, scores, "stacking")
    mixture = ensemble.predict({f"l{index:02d}": column for index, column in enumerate(cates.T)})
    single = losses(cates, scores)[0]
    assert ((scores - mixture) ** 2).mean() <= single.min() + 1e-7 * single.max()
    assert (ensemble.table["excess_loss"] >= -1e-7 * single.max()).all()


@every_method
@given(SEEDS)
def test_neither_the_order_of_rows_nor_that_of_learners_matters(method, seed):
    cates, scores = draw_candidates(seed, k=6)
    rng = np.random.default_rng(seed)
    names, clusters = list("fbdace"), rng.integers(0, 20, 60)
    columns, rows = rng.permutation(6), rng.permutation(60)
    before = combine(cates, scores, method, names, clusters)
    by_column = combine(cates[:, columns], scores, method, [names[k] for k in columns], clusters)
    assert by_column.weights == before.weights
    assert list(by_column.weights) == [*(names[k] for k in columns), "constant"]
    by_row = combine(cates[rows], scores[rows], method, names, clusters[rows])
    for name, weight in before.weights.items():
        assert by_row.weights[name] == pytest.approx(weight, abs=1e-6)
    numbers = ["weight", "excess_loss", "ci_low", "ci_high"]
    scale = losses(cates, scores)[0].max()
    np.testing.assert_allclose(
        by_row.table.sort_values("candidate")[numbers],
        before.table.sort_values("candidate")[numbers],
        atol=1e-6 * scale,
    )


@every_method
@given(SEEDS)
def test_one_learner_and_the_constant_have_a_closed_form(method, seed):
    """θ = ½ + (L_0 − L_1)/(2 δ²) for stacking and ½ + (L_0 − L_1)/δ² for Q-aggregation, δ² = mean (ĉ_1 − ĉ_0)²."""
    cates, scores = draw_candidates(seed, k=1)
    (learner, constant), candidates = losses(cates, scores)
    distance = ((candidates[:, 0] - candidates[:, 1]) ** 2).mean()
    share = 0.5 + (constant - learner) / distance / (2 if method == "stacking" else 1)
    # A ridge of 1e-8 draws the weights together by that much.
    assert combine(cates, scores, method).weights["l00"] == pytest.approx(np.clip(share, 0, 1), abs=1e-6)


@every_method
def test_the_learner_that_is_right_is_recovered_among_noise(method):
    rng = np.random.default_rng(1)
    truth = rng.normal(size=20_000)
    cates = np.column_stack([rng.normal(size=20_000), truth, rng.normal(size=20_000), -truth])
    weights = combine(cates, truth + 3 * rng.normal(size=20_000), method, ["a", "right", "b", "c"]).weights
    assert weights["right"] > 0.95


def test_q_aggregation_selects_where_stacking_mixes():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=20_000)
    cates = truth[:, None] + rng.normal(size=(20_000, 2)) * [0.5, 0.8]
    scores = truth + rng.normal(size=20_000)
    stacked, selected = (combine(cates, scores, method).weights for method in METHODS)
    assert stacked["l00"] < 0.8 < selected["l00"]


@every_method
def test_where_effects_do_not_vary_the_constant_wins(method):
    rng = np.random.default_rng(3)
    ensemble = combine(rng.normal(size=(20_000, 3)), 0.7 + rng.normal(size=20_000), method)
    assert ensemble.weights["constant"] > 0.9
    predicted = ensemble.predict({f"l{index:02d}": np.zeros(5) for index in range(3)})
    np.testing.assert_allclose(predicted, ensemble.intercept)
    assert ensemble.intercept == pytest.approx(0.7, abs=0.1)


@every_method
def test_learners_that_say_the_same_share_their_weight(method):
    rng = np.random.default_rng(4)
    truth = rng.normal(size=500)
    one, other = truth + 0.5 * rng.normal(size=500), truth + 0.55 * rng.normal(size=500)
    scores = truth + rng.normal(size=500)
    alone = combine(np.column_stack([one, other]), scores, method, ["one", "other"]).weights
    both = combine(np.column_stack([one, other, one]), scores, method, ["one", "other", "twin"]).weights
    assert both["one"] == pytest.approx(both["twin"], abs=1e-6)
    assert both["one"] + both["twin"] == pytest.approx(alone["one"], abs=1e-6)
    assert 0.05 < alone["one"] < 0.95


@every_method
@pytest.mark.parametrize("value", [0.0, 0.3, -5.0])
def test_learners_that_are_constant_are_candidates_like_others(method, value):
    rng = np.random.default_rng(5)
    truth = rng.normal(size=500)
    cates = np.column_stack([np.full(500, value), truth])
    scores = truth + rng.normal(size=500)
    ensemble = combine(cates, scores, method)
    assert ensemble.weights["l01"] > 0.9
    alone = combine(cates[:, :1], np.full(500, value), method)
    np.testing.assert_allclose(alone.predict({"l00": np.full(3, value)}), value, atol=1e-12)
    assert alone.weights["l00"] == pytest.approx(0.5)


@every_method
@given(SEEDS, st.sampled_from([1e-9, 1e6]))
def test_the_unit_of_the_outcome_changes_no_weight(method, seed, unit):
    cates, scores = draw_candidates(seed, k=3)
    before, after = (weights_of(combine(cates * scale, scores * scale, method)) for scale in (1, unit))
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_the_table_compares_each_candidate_with_the_mixture(draw):
    cates, scores = draw_candidates(6, n=400, k=3)
    clusters = np.arange(400) // 2
    ensemble = combine(cates, scores, "stacking", clusters=clusters)
    mixture = ensemble.predict({f"l{index:02d}": column for index, column in enumerate(cates.T)})
    table = ensemble.table.set_index("candidate")
    assert list(table["weight"]) == sorted(ensemble.weights.values(), reverse=True)
    excess = (scores - cates[:, 1]) ** 2 - (scores - mixture) ** 2
    by_couple = excess.reshape(200, 2).mean(axis=1)
    row = table.loc["l01"]
    assert row["excess_loss"] == pytest.approx(excess.mean())
    assert row["ci_high"] - row["excess_loss"] == pytest.approx(Z_95 * by_couple.std(ddof=1) / np.sqrt(200))
    assert row["excess_loss"] - row["ci_low"] == pytest.approx(row["ci_high"] - row["excess_loss"])


@pytest.fixture(scope="module")
def studies(draw):
    """Six experiments: four learners each, out of fold, and on new customers whose effects are known."""
    experiments = []
    for seed, binary in product((21, 31, 41), (False, True)):
        train, new = draw(3000, seed, binary=binary), draw(2000, seed + 1, binary=binary)
        out_of_fold, predicted = {}, {}
        for name, params in LEARNERS.items():
            effects, learner = cross_fit(partial(make_learner, name, params, 1), train.training())
            out_of_fold[name], predicted[name] = effects, learner.predict(new.features)
        experiments.append((out_of_fold, train.scores.effect, predicted, new.tau))
    return experiments


@every_method
def test_on_new_customers_the_mixture_is_no_worse_than_the_median_learner_and_close_to_the_best(studies, method):
    over_best = []
    for out_of_fold, scores, predicted, truth in studies:
        ensemble = combine(np.column_stack(list(out_of_fold.values())), scores, method, list(out_of_fold))
        errors = [np.sqrt(np.mean((cate - truth) ** 2)) for cate in predicted.values()]
        error = np.sqrt(np.mean((ensemble.predict(predicted) - truth) ** 2))
        assert error <= np.median(errors)
        over_best.append(error / min(errors))
    assert np.mean(over_best) < 1.1


def test_prediction_is_the_weighted_sum_and_needs_only_learners_with_weight():
    rng = np.random.default_rng(7)
    truth = rng.normal(size=2000)
    cates = np.column_stack([truth, -truth])
    ensemble = combine(cates, 0.4 + 0.5 * truth + rng.normal(size=2000) / 10, "stacking", ["right", "wrong"])
    assert ensemble.weights["wrong"] == 0
    new = rng.normal(size=9)
    expected = ensemble.weights["right"] * new + ensemble.weights["constant"] * ensemble.mean_effect
    np.testing.assert_allclose(ensemble.predict({"right": new}), expected)
    np.testing.assert_array_equal(ensemble.predict({"other": new, "right": new}), ensemble.predict({"right": new}))
    with pytest.raises(InputError, match=r"ensemble: the effects of right are missing; expected right"):
        ensemble.predict({"wrong": new})


def test_more_noise_gives_less_weight():
    rng = np.random.default_rng(8)
    truth = rng.normal(size=5000)
    scores = truth + rng.normal(size=5000)
    given = [
        combine((truth + noise * rng.normal(size=5000))[:, None], scores, "stacking").weights["l00"]
        for noise in (0, 0.5, 1, 2)
    ]
    assert all(less < more for more, less in pairwise(given))
    # The slope of the regression of the effect on the learner, 1/(1 + noise²).
    np.testing.assert_allclose(given, [1, 0.8, 0.5, 0.2], atol=0.06)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "voting"}, r"ensemble\.method: 'voting' is unknown; it is one of stacking, q_aggregation"),
        ({"cates": np.ones(3)}, r"expected effects \(customers, learners\).* got the shapes \(3,\)"),
        ({"cates": np.ones((3, 0)), "names": []}, r"got the shapes \(3, 0\)"),
        ({"effect_scores": np.ones(2)}, r"\(2,\) and \(3,\)"),
        ({"clusters": np.arange(2)}, r"\(3,\) and \(2,\)"),
        ({"names": ["a"]}, "expected 2 different names of learners, none of them 'constant', got a"),
        ({"names": ["a", "a"]}, "expected 2 different names"),
        ({"names": ["a", "constant"]}, "expected 2 different names"),
        ({"cates": np.array([[1, 2], [1, np.nan], [1, 2]])}, "ensemble: b is not finite for some customer"),
        ({"effect_scores": np.array([1, np.inf, 1])}, "ensemble: a score is not finite"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(change, message):
    arguments = {
        "cates": np.ones((3, 2)), "effect_scores": np.ones(3), "clusters": np.arange(3), "names": ["a", "b"],
        "method": "stacking",
    }  # fmt: skip
    with pytest.raises(InputError, match=message) as error:
        stack(**(arguments | change))
    assert "\n" not in str(error.value)
