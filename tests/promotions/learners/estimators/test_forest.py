"""The forest is honest: customers who grow a tree do not move its effects. Its intervals have the right width."""

import json

import numpy as np
import pytest
from sklearn.base import clone

from promotions.base.errors import InputError
from promotions.learners.causal_forest import CausalForest
from promotions.learners.estimators.forest import HonestCausalForest, _not_negative
from promotions.learners.fitted import load_effect

# One group of two halves with one honest causal tree each.
TREE = {
    "groups": 1, "sequences": 1, "trees": 1, "leaves": 5, "min_leaf": 8, "learning_rate": 1.0, "measuring_rate": 1.0,
    "held_out": 0, "calibrate": False, "random_state": 3,
}  # fmt: skip
SMALL = {"groups": 5, "sequences": 2, "trees": 4, "leaves": 6, "min_leaf": 20}
N = 180


def residuals(experiment):
    """The nuisances of a forest, here the truth."""
    return {
        "propensity": experiment.propensity,
        "outcome_mean": experiment.mu0 + experiment.propensity * experiment.tau,
    }


def grow(experiment, outcome=None, clusters=None, **changed):
    """A fitted forest, its leaves (n, trees in all) and each sequence's effects (n, sequences in all)."""
    forest = HonestCausalForest(**(TREE | changed)).fit(
        experiment.features,
        experiment.outcome if outcome is None else outcome,
        experiment.treatment,
        clusters=clusters,
        **residuals(experiment),
    )
    n = len(experiment.outcome)
    leaves = [b.predict(experiment.features, pred_leaf=True).reshape(n, -1) for b in forest.boosters_]
    effects = [b.predict(experiment.features) for b in forest.boosters_]
    return forest, np.column_stack(leaves), np.column_stack(effects)


def moved(outcome, rows, by):
    changed = outcome.copy()
    changed[rows] += by
    return changed


@pytest.fixture(scope="module", params=[1, 3], ids=["customers", "households"])
def halves(request, draw):
    """The two trees of a group, and who moves the effects of each without moving its splits: it measures."""
    experiment, cluster = draw(N, 21), np.arange(N) // request.param
    _, leaf, effect = grow(experiment, clusters=cluster)
    measures = np.zeros((N, 2), bool)
    for customer in range(N):
        _, leaf_after, effect_after = grow(experiment, moved(experiment.outcome, customer, 0.01), cluster)
        same = (leaf_after == leaf).all(axis=0)
        measures[customer] = same & (effect_after != effect).any(axis=0)
    return experiment, cluster, leaf, effect, measures


def test_everybody_measures_one_of_a_groups_trees_and_clusters_are_whole(halves):
    _, cluster, leaf, _, measures = halves
    assert all(len(np.unique(tree)) > 2 for tree in leaf.T)
    # Growing customers may move effects only by moving splits.
    assert (measures.sum(axis=1) == 1).all()
    shares = np.bincount(cluster, weights=measures[:, 0]) / np.bincount(cluster)
    assert set(shares) == {0, 1}
    assert shares.mean() == pytest.approx(0.5, abs=0.01)


def test_a_leafs_effect_is_the_residual_ratio_of_the_measuring_half(halves):
    experiment, _, leaf, effect, measures = halves
    treatment = experiment.treatment - experiment.propensity
    outcome = experiment.outcome - residuals(experiment)["outcome_mean"]
    for tree in range(2):
        for one in np.unique(leaf[:, tree]):
            here = leaf[:, tree] == one
            inside = measures[:, tree] & here
            expected = (outcome * treatment)[inside].sum() / (treatment**2)[inside].sum()
            np.testing.assert_allclose(effect[here, tree], expected, atol=1e-12)


def test_the_measuring_half_has_no_say_in_the_splits(halves):
    experiment, cluster, leaf, effect, measures = halves
    measuring = measures[:, 0]
    strange = moved(experiment.outcome, measuring, np.random.default_rng(1).normal(0, 50, measuring.sum()))
    _, leaf_after, effect_after = grow(experiment, strange, cluster)
    np.testing.assert_array_equal(leaf_after[:, 0], leaf[:, 0])
    assert (effect_after[:, 0] != effect[:, 0]).all()


def test_the_growing_half_decides_on_the_splits_and_on_nothing_else(halves):
    experiment, cluster, leaf, effect, measures = halves
    growing = ~measures[:, 0]
    strange = np.where(growing, 9 * experiment.features[:, 4] * experiment.treatment, experiment.outcome)
    assert (grow(experiment, strange, cluster)[1][:, 0] != leaf[:, 0]).any()
    # Both arms' outcomes a hundred times as large: the same splits, so the same effects to the last bit.
    mean = residuals(experiment)["outcome_mean"]
    larger = np.where(growing, mean + 128 * (experiment.outcome - mean), experiment.outcome)
    _, leaf_after, effect_after = grow(experiment, larger, cluster)
    np.testing.assert_array_equal(leaf_after[:, 0], leaf[:, 0])
    np.testing.assert_array_equal(effect_after[:, 0], effect[:, 0])


def test_a_sequence_adds_measuring_rate_times_what_is_left_over(draw):
    """Three trees replayed by hand for the half that measures, found as in the fixture."""
    experiment = draw(400, 27)
    rate, params = 0.6, {"trees": 3, "learning_rate": 0.3, "measuring_rate": 0.6}
    forest, leaf, _ = grow(experiment, **params)
    first = leaf[:, :3]
    treatment = experiment.treatment - experiment.propensity
    outcome = experiment.outcome - residuals(experiment)["outcome_mean"]
    task = forest._draw(np.arange(400), 400, replayed(forest, 400))[0]
    at = task.measure
    effect = np.full(400, (outcome * treatment)[at].sum() / (treatment**2)[at].sum())
    for tree in range(3):
        left = treatment * (outcome - treatment * effect)
        step = np.zeros(400)
        for one in np.unique(first[:, tree]):
            here = first[:, tree] == one
            inside = np.intersect1d(at, np.flatnonzero(here))
            if len(inside):
                step[here] = rate * left[inside].sum() / (treatment**2)[inside].sum()
        effect = effect + step
    np.testing.assert_allclose(forest.boosters_[0].predict(experiment.features), effect, atol=1e-12)


def replayed(forest, clusters):
    """The generator as it stands when the halves are drawn."""
    rng = np.random.default_rng(forest.random_state)
    rng.permutation(clusters)
    rng.integers(2**31)
    return rng


def test_all_clusters_are_left_out_equally_often_and_never_divided():
    cluster = np.random.default_rng(0).integers(60, size=500)
    cluster = np.unique(cluster, return_inverse=True)[1]
    forest = HonestCausalForest(groups=8, held_out=0.25, sequences=1)
    tasks = forest._draw(cluster, int(cluster.max()) + 1, np.random.default_rng(1))
    times = np.zeros(500, int)
    for grow_measure, swapped in zip(tasks[::2], tasks[1::2], strict=True):
        parts = [set(cluster[rows]) for rows in (grow_measure.grow, grow_measure.measure, grow_measure.left_out)]
        assert sum(map(len, parts)) == cluster.max() + 1
        assert abs(len(parts[0]) - len(parts[1])) <= 1
        np.testing.assert_array_equal(grow_measure.grow, swapped.measure)
        np.testing.assert_array_equal(grow_measure.measure, swapped.grow)
        times[grow_measure.left_out] += 1
    assert (times == 2).all()


def test_a_customers_outcome_does_not_touch_its_out_of_bag_effect(draw):
    experiment = draw(600, 28)
    params = SMALL | {"held_out": 0.2, "calibrate": False, "random_state": 4}
    before = grow(experiment, **params)[0]
    after = grow(experiment, moved(experiment.outcome, 17, 500), **params)[0]
    assert after.oob_effect_[17] == before.oob_effect_[17]
    assert (after.oob_effect_ != before.oob_effect_).mean() > 0.5


def test_out_of_bag_effects_are_about_as_good_as_those_of_fresh_customers(draw):
    experiment, fresh = draw(4000, 29), draw(4000, 30)
    forest = grow(experiment, **(SMALL | {"groups": 20, "held_out": 0.2, "calibrate": True}))[0]
    inside = np.sqrt(np.mean((forest.oob_effect_ - experiment.tau) ** 2))
    outside = np.sqrt(np.mean((forest.predict(fresh.features) - fresh.tau) ** 2))
    assert outside < inside < 1.5 * outside
    assert outside < 0.5 * experiment.tau.std()


def test_without_an_effect_the_forest_is_nearly_constant(draw):
    experiment = draw(3000, 31)
    noise = experiment.mu0 + np.random.default_rng(5).normal(size=3000)
    shrunk, raw = (
        HonestCausalForest(**SMALL, held_out=0.2, calibrate=calibrate).fit(
            experiment.features,
            noise,
            experiment.treatment,
            propensity=experiment.propensity,
            outcome_mean=experiment.mu0,
        )
        for calibrate in (True, False)
    )
    assert np.std(shrunk.predict(experiment.features)) < 0.5 * np.std(raw.predict(experiment.features))
    assert abs(shrunk.mean_effect_) < 0.15


def test_every_second_tree_draws_thresholds_of_its_own_and_the_others_search(draw):
    forest = grow(draw(2000, 48), trees=6, leaves=4)[0]
    trees = forest.boosters_[0].trees_to_dataframe().dropna(subset="threshold")
    drawn = [set(trees.loc[trees["tree_index"] == tree, "threshold"]) for tree in (0, 2, 4)]
    assert len(set.union(*drawn)) == 9
    # The effect jumps at 0 of the first feature.
    searched = trees[trees["tree_index"] == 1].iloc[0]
    assert searched["split_feature"] == "Column_0"
    assert abs(searched["threshold"]) < 0.1


def test_a_household_of_ten_copies_tells_no_more_than_one_customer(draw):
    """As separate customers they look like ten times the evidence, and standard errors are √10 times too small."""
    experiment = draw(600, 49)
    copies = np.repeat(np.arange(600), 10)
    errors = []
    for clusters in (copies, None):
        forest = HonestCausalForest(**(SMALL | {"groups": 40, "min_leaf": 5000})).fit(
            experiment.features[copies],
            experiment.outcome[copies],
            experiment.treatment[copies],
            propensity=experiment.propensity[copies],
            outcome_mean=residuals(experiment)["outcome_mean"][copies],
            clusters=clusters,
        )
        errors.append(np.sqrt(forest.predict_variance(experiment.features[:1])[0]))
    assert errors[0] / errors[1] == pytest.approx(np.sqrt(10), rel=0.35)
    # Without a split the effect is a ratio of sums, whose error is known.
    treatment = experiment.treatment - experiment.propensity
    left = experiment.outcome - residuals(experiment)["outcome_mean"] - treatment * forest.mean_effect_
    expected = np.sqrt(((left * treatment) ** 2).sum()) / (treatment**2).sum()
    assert errors[0] == pytest.approx(expected, rel=0.25)


def test_where_the_forest_finds_the_effect_calibration_leaves_it(draw):
    forest = grow(draw(3000, 32), **(SMALL | {"held_out": 0.2, "calibrate": True}))[0]
    assert forest.calibration_ > 0.9


def test_standard_errors_are_those_of_repeated_experiments(draw):
    """SD of the effect over 30 experiments against the mean standard error of one."""
    points = draw(60, 1000).features
    effects, variances = [], []
    for seed in range(30):
        experiment = draw(800, 2000 + seed)
        params = SMALL | {"groups": 10, "held_out": 0.2, "random_state": seed}
        forest = grow(experiment, **params)[0]
        low, high = forest.predict_interval(points)
        effects.append((low + high) / 2)
        variances.append(forest.predict_variance(points))
    over_experiments = np.sqrt(np.var(effects, axis=0, ddof=1).mean())
    assert np.sqrt(np.mean(variances)) == pytest.approx(over_experiments, rel=0.25)


def test_intervals_widen_with_confidence_and_narrow_with_customers(draw):
    experiment = draw(4000, 33)
    forest = grow(experiment, **(SMALL | {"held_out": 0.2}))[0]
    wide, narrow = (np.subtract(*forest.predict_interval(experiment.features, alpha)[::-1]) for alpha in (0.05, 0.5))
    assert (wide > narrow).all()
    assert (narrow > 0).all()
    few = grow(draw(500, 33), **(SMALL | {"held_out": 0.2}))[0]
    assert few.predict_variance(experiment.features).mean() > 2 * forest.predict_variance(experiment.features).mean()


def test_a_variance_is_never_negative_and_unchanged_where_it_is_clear():
    spread, noise = np.array([1.0, 1.0, 1.0, 0.0]), np.array([0.0, 1.0, 3.0, 0.0])
    mean = _not_negative(spread, noise, 10_000)
    assert (mean >= 0).all()
    assert mean[0] == pytest.approx(1)
    # At 0 ± s the mean of the upper half of a normal, s √(2/π); s = √(2/10,000).
    assert mean[1] == pytest.approx(np.sqrt(2 / 10_000) * np.sqrt(2 / np.pi))
    assert 0 < mean[2] < 0.1
    assert mean[3] == 0


def test_importance_finds_the_feature_that_decides(draw):
    forest = grow(draw(2000, 34), **SMALL)[0]
    assert forest.feature_importances_.argmax() == 0
    assert forest.feature_importances_[0] > 0.6
    assert forest.feature_importances_.sum() == pytest.approx(1)


def test_nuisances_are_cross_fitted_if_not_given_and_the_effect_is_found(draw):
    experiment = draw(4000, 35, varying=True)
    forest = HonestCausalForest(**SMALL).fit(experiment.features, experiment.outcome, experiment.treatment)
    assert np.abs(forest.propensity_ - experiment.propensity).mean() < 0.06
    assert np.corrcoef(forest.propensity_, experiment.propensity)[0, 1] > 0.9
    assert np.sqrt(np.mean((forest.predict(experiment.features) - experiment.tau) ** 2)) < 0.5 * experiment.tau.std()


def test_a_customers_outcome_does_not_touch_its_expected_outcome(draw):
    experiment = draw(600, 36)
    params = SMALL | {"random_state": 1}
    before, after = (
        HonestCausalForest(**params)
        .fit(experiment.features, outcome, experiment.treatment, propensity=experiment.propensity, clusters=household)
        .outcome_mean_
        for household in [np.arange(600) // 2]
        for outcome in (experiment.outcome, moved(experiment.outcome, 10, 3))
    )
    # Nor the outcome of anyone in the same household.
    assert (after[10:12] == before[10:12]).all()
    assert (after != before).mean() > 0.5


def test_number_of_jobs_changes_nothing(draw):
    experiment = draw(1500, 37)
    one, three = (
        HonestCausalForest(**SMALL, n_jobs=jobs).fit(experiment.features, experiment.outcome, experiment.treatment)
        for jobs in (1, 3)
    )
    for name in ("oob_effect_", "outcome_mean_", "propensity_", "feature_importances_", "calibration_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))
    np.testing.assert_array_equal(one.predict(experiment.features), three.predict(experiment.features))
    np.testing.assert_array_equal(
        one.predict_interval(experiment.features), three.predict_interval(experiment.features)
    )


def test_another_seed_is_another_forest(draw):
    experiment = draw(600, 38)
    first, second = (grow(experiment, **(SMALL | {"random_state": seed}))[0] for seed in (1, 2))
    assert (first.predict(experiment.features) != second.predict(experiment.features)).mean() > 0.9


def test_the_sum_of_trees_is_what_it_predicts(draw):
    experiment = draw(1000, 39)
    forest = grow(experiment, **(SMALL | {"held_out": 0.2, "calibrate": True}))[0]
    forest.calibration_ = 0.7
    assert 1 <= forest.trees_used_ <= SMALL["trees"]
    parts = forest.tree_sum
    assert parts.additive
    assert len(parts.parts) == 2 * SMALL["groups"] * SMALL["sequences"]
    np.testing.assert_array_equal(parts.predict(experiment.features), forest.predict(experiment.features))
    used = {"num_iteration": forest.trees_used_}
    mean = np.mean([booster.predict(experiment.features, **used) for booster in forest.boosters_], axis=0)
    expected = forest.mean_effect_ + 0.7 * (mean - forest.mean_effect_)
    np.testing.assert_allclose(forest.predict(experiment.features), expected, atol=1e-12)


def test_a_saved_forest_predicts_as_before_to_the_last_bit(draw, tmp_path):
    experiment = draw(1000, 40)
    forest = grow(experiment, **(SMALL | {"held_out": 0.2, "calibrate": True}))[0]
    forest.save(tmp_path)
    loaded = HonestCausalForest.load(tmp_path)
    assert loaded.get_params() == forest.get_params()
    np.testing.assert_array_equal(loaded.predict(experiment.features), forest.predict(experiment.features))
    np.testing.assert_array_equal(
        loaded.predict_interval(experiment.features), forest.predict_interval(experiment.features)
    )
    np.testing.assert_array_equal(loaded.feature_importances_, forest.feature_importances_)


@pytest.mark.parametrize("break_it", ["missing", "fewer", "no JSON"])
def test_a_folder_that_holds_no_forest_is_said_so(draw, tmp_path, break_it):
    grow(draw(400, 41), **SMALL)[0].save(tmp_path)
    file = tmp_path / "forest.json"
    if break_it == "missing":
        file.unlink()
    elif break_it == "no JSON":
        file.write_text("{")
    else:
        document = json.loads(file.read_text())
        document["params"]["groups"] = 4
        file.write_text(json.dumps(document))
    with pytest.raises(InputError, match=str(tmp_path)):
        HonestCausalForest.load(tmp_path)


def test_trees_without_a_split_predict_the_average_effect(draw):
    experiment = draw(2000, 22)
    forest = grow(experiment, **(SMALL | {"min_leaf": 1500, "held_out": 0.2}))[0]
    predicted = forest.predict(experiment.features)
    assert np.ptp(predicted) == 0
    assert predicted[0] == pytest.approx(experiment.scores.effect.mean(), abs=0.1)
    assert (forest.feature_importances_ == 0).all()


def test_constant_features_are_no_features(draw):
    experiment = draw(500, 42)
    forest = HonestCausalForest(**SMALL).fit(
        np.ones((500, 3)), experiment.outcome, experiment.treatment, **residuals(experiment)
    )
    assert np.ptp(forest.predict(np.ones((4, 3)))) == 0
    assert np.ptp(forest.predict_variance(np.ones((4, 3)))) == 0


def test_leaves_that_nobody_measures_add_nothing(draw):
    """Leaves of one customer: many are empty in the other half."""
    experiment = draw(60, 23)
    forest, _, effect = grow(experiment, leaves=25, min_leaf=1)
    trees = forest.boosters_[0].trees_to_dataframe()
    assert (trees["left_child"].isna()).sum() > 20
    assert np.isfinite(effect).all()
    # The mean effect of the half that measures, and nothing added to it.
    values = trees.loc[trees["left_child"].isna(), "value"]
    assert values.value_counts().max() > 1


def test_effects_move_with_the_scale_of_the_outcome(draw):
    """Every outcome in 64ths: 64 times the effect and its error."""
    experiment = draw(1000, 25)
    nuisances = residuals(experiment)
    euros, parts = (
        HonestCausalForest(**SMALL).fit(
            experiment.features, scale * experiment.outcome, experiment.treatment,
            propensity=nuisances["propensity"], outcome_mean=scale * nuisances["outcome_mean"],
        )
        for scale in (1, 64)
    )  # fmt: skip
    np.testing.assert_allclose(parts.predict(experiment.features), 64 * euros.predict(experiment.features), rtol=1e-9)
    wide, narrow = (forest.predict_variance(experiment.features) for forest in (parts, euros))
    np.testing.assert_allclose(wide, 64**2 * narrow, rtol=1e-9)


def test_it_is_a_scikit_learn_estimator(draw):
    forest = HonestCausalForest(**SMALL, random_state=5)
    copy = clone(forest)
    assert copy is not forest
    assert copy.get_params() == forest.get_params()
    assert copy.set_params(leaves=3).leaves == 3
    experiment = draw(400, 43)
    assert forest.fit(experiment.features, experiment.outcome, experiment.treatment) is forest
    assert not hasattr(clone(forest), "boosters_")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"groups": 0}, "groups: expected a whole number of 1 or more"),
        ({"leaves": 1}, "leaves: expected a whole number of 2 or more"),
        ({"min_leaf": 2.5}, "min_leaf: expected a whole number"),
        ({"measuring_rate": 0.0}, "measuring_rate: expected a share"),
        ({"learning_rate": 1.1}, "learning_rate: expected a share"),
        ({"calibrate": 1}, "calibrate: expected true or false"),
        ({"held_out": 0.3}, "held_out: expected 0 or 1/k"),
        ({"held_out": 0.9}, "held_out: expected a number in"),
        ({"held_out": 0.1}, "held_out: to leave everybody out once at 0.1 takes 10 groups, but there are 5"),
        ({"held_out": 0}, "calibrate: calibration needs customers who are left out"),
    ],
)
def test_a_parameter_out_of_range_is_named(draw, changed, message):
    experiment = draw(200, 44)
    with pytest.raises(InputError, match=message):
        HonestCausalForest(**(SMALL | changed)).fit(experiment.features, experiment.outcome, experiment.treatment)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("X", np.full((200, 5), np.nan), "X: column 0 has values that are not finite"),
        ("X", np.ones(200), "X: expected a table"),
        ("y", np.full(200, np.nan), "y has the shape .* not finite"),
        ("y", np.ones(199), "y: 199 values for 200 rows"),
        ("treatment", np.ones(200), "no control customer among 200"),
        ("treatment", np.zeros(200), "no treated customer among 200"),
        ("treatment", np.full(200, 2), "treatment: expected 0 and 1 alone"),
        ("propensity", np.ones(200), "propensity: expected chances above 0 and below 1"),
        ("outcome_mean", np.ones(3), "outcome_mean: 3 values"),
        ("clusters", np.ones(3), r"clusters: the shape \(3,\)"),
        ("clusters", np.ones(200), "1 clusters of customers; expected 20 or more"),
    ],
)
def test_bad_data_are_named(draw, name, value, message):
    experiment = draw(200, 45)
    data = {"X": experiment.features, "y": experiment.outcome, "treatment": experiment.treatment} | {name: value}
    with pytest.raises(InputError, match=message):
        HonestCausalForest(**SMALL).fit(**data)


def test_predicting_needs_a_fit_the_same_features_and_two_sequences_for_variances(draw):
    experiment = draw(200, 46)
    with pytest.raises(InputError, match="not fitted yet"):
        HonestCausalForest().predict(experiment.features)
    forest = grow(experiment)[0]
    with pytest.raises(InputError, match="3 features; the forest was fitted to 5"):
        forest.predict(experiment.features[:, :3])
    with pytest.raises(InputError, match="sequences: variances need 2"):
        forest.predict_interval(experiment.features)
    assert forest.predict(np.empty((0, 5))).shape == (0,)


LEARNER = {
    "groups": 5, "sequences": 1, "trees": 4, "leaves": 6, "min_leaf": 20, "learning_rate": 0.2, "measuring_rate": 0.4,
    "held_out": 0.2, "calibrate": True, "seed": 3,
}  # fmt: skip


def test_the_learner_is_that_forest_on_the_pipelines_nuisances(draw, tmp_path):
    experiment = draw(800, 47)
    cluster = np.arange(800) // 2
    learner = CausalForest(**LEARNER).fit(experiment.training(cluster=cluster))
    params = {name: value for name, value in LEARNER.items() if name != "seed"}
    forest = HonestCausalForest(**params, random_state=3).fit(
        experiment.features,
        experiment.outcome,
        experiment.treatment,
        propensity=experiment.propensity,
        outcome_mean=experiment.training().marginal,
        clusters=cluster,
    )
    np.testing.assert_array_equal(learner.predict(experiment.features), forest.predict(experiment.features))
    np.testing.assert_array_equal(learner.out_of_fold_, forest.oob_effect_)
    learner.save(tmp_path)
    saved = load_effect(tmp_path)
    np.testing.assert_array_equal(saved.predict(experiment.features), forest.predict(experiment.features))


def test_the_learner_names_the_parameter():
    with pytest.raises(InputError, match=r"learners\.causal_forest\.leaves: expected a whole number of 2 or more"):
        CausalForest(**(LEARNER | {"leaves": 1}))
