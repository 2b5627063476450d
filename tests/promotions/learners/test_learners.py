"""Every learner finds a strong effect, repeats itself, and is the estimator that its source describes."""

from dataclasses import replace

import lightgbm
import numpy as np
import pytest

from promotions.base.errors import InputError
from promotions.boosting.binned import Binned
from promotions.boosting.settings import Boosting, make_regressor
from promotions.learners import LEARNERS, Training, count_fits, cross_fit, make_learner
from promotions.learners.fitted import Blend, TreeSum, load_effect
from promotions.nuisances import cross_fit_outcomes
from promotions.soundness.propensity import estimate_propensity

SMALL = {
    "trees": 40,
    "leaves": 4,
    "learning_rate": 0.1,
    "min_leaf": 40,
    "feature_share": 0.8,
    "row_share": 0.8,
    "l2": 1,
}
PARAMS = {
    "s_learner": {"model": SMALL | {"trees": 80}},
    "t_learner": {"model": SMALL},
    "x_learner": {"model": SMALL, "effect": SMALL},
    "dr_learner": {"effect": SMALL},
    "r_learner": {"effect": SMALL},
    "double_ml": {"winsorize": 3},
    "causal_forest": {
        "groups": 8, "sequences": 2, "trees": 10, "leaves": 8, "min_leaf": 50, "learning_rate": 0.1,
        "measuring_rate": 0.1, "held_out": 0.25, "calibrate": True,
    },
    "transformed_outcome": {"effect": SMALL},
    "uplift_forest": {"trees": 10, "depth": 4, "min_leaf": 60, "feature_share": 0.8, "criterion": "KL"},
}  # fmt: skip
BOOSTED = {
    "s_learner": "model", "t_learner": "model", "x_learner": "effect", "dr_learner": "effect", "r_learner": "effect",
    "transformed_outcome": "effect",
}  # fmt: skip
every_learner = pytest.mark.parametrize("name", LEARNERS)
every_refitted_learner = pytest.mark.parametrize(
    "name", [name for name, factory in LEARNERS.items() if not getattr(factory, "cross_fits_itself", False)]
)


def make(name, seed=1):
    return make_learner(name, PARAMS[name], seed)


def small_regressor(binary=False):
    return make_regressor(Boosting(**SMALL), binary=binary, seed=1)


def gridded(experiment):
    """Few values a feature, each of them frequent: then bins are the same, whichever customers they are made of."""
    return replace(experiment, features=np.round(np.clip(experiment.features, -1.6, 1.6), 1))


@pytest.fixture(scope="module")
def experiment(draw):
    return gridded(draw(4000, 11, varying=True))


@pytest.fixture(scope="module")
def new(draw):
    """Customers that no learner has seen."""
    return draw(1000, 12)


def test_every_learner_is_tested_here():
    assert set(PARAMS) == set(LEARNERS)


@every_learner
@pytest.mark.parametrize("binary", [False, True], ids=["continuous", "binary"])
@pytest.mark.parametrize("varying", [False, True], ids=["constant propensity", "varying propensity"])
def test_a_strong_effect_is_found_on_new_customers(draw, new, name, binary, varying):
    experiment = draw(4000, 11, varying=varying, binary=binary)
    predicted = make(name).fit(experiment.training()).predict(new.features)
    assert predicted.shape == (1000,)
    assert np.isfinite(predicted).all()
    assert np.corrcoef(predicted, new.tau)[0, 1] > 0.5
    truth = draw(1000, 12, binary=binary).tau
    assert predicted.mean() == pytest.approx(truth.mean(), abs=0.25)


@every_learner
@pytest.mark.parametrize("binary", [False, True], ids=["continuous", "binary"])
def test_the_same_seed_gives_the_same_bytes_one_fit_at_a_time_and_two_side_by_side(draw, new, name, binary):
    train = draw(2000, 13, varying=True, binary=binary).training()
    runs = [cross_fit(lambda: make(name), train, threads) for threads in (1, 1, 2)]
    assert len({out_of_fold.tobytes() for out_of_fold, _ in runs}) == 1
    # Several predictions of each: threads that add in the order in which they finish are not always out of order.
    assert len({learner.predict(new.features).tobytes() for _, learner in runs for _ in range(8)}) == 1


@every_refitted_learner
def test_a_folds_predictions_do_not_depend_on_its_outcomes(draw, name):
    """For given outcome models; those depend on the other folds' outcomes alone, see test_nuisances."""
    experiment = draw(1200, 14)
    train = experiment.training()
    held = train.fold == 1
    changed = replace(train, outcome=np.where(held, -3 * train.outcome, train.outcome))
    before, after = (cross_fit(lambda: make(name), data)[0] for data in (train, changed))
    np.testing.assert_array_equal(after[held], before[held])
    assert (after[~held] != before[~held]).any()


@every_learner
@pytest.mark.parametrize("constant", [True, False], ids=["constant features", "constant outcome"])
def test_where_there_is_nothing_to_learn_predictions_are_finite(name, constant):
    rng = np.random.default_rng(15)
    train = Training(
        features=np.ones((120, 2)) if constant else rng.normal(size=(120, 2)),
        outcome=rng.integers(2, size=120).astype(float) if constant else np.zeros(120),
        treatment=(np.arange(120) % 2).astype(np.int8),
        propensity=np.full(120, 0.5),
        mu0=np.full(120, 0.5 * constant),
        mu1=np.full(120, 0.5 * constant),
        fold=(np.arange(120) % 3).astype(np.int8),
        cluster=np.arange(120),
    )
    predicted = make(name).fit(train).predict(train.features)
    assert np.isfinite(predicted).all()
    assert np.abs(predicted).max() < 0.6
    assert np.ptp(predicted) == pytest.approx(0, abs=1e-9)


def test_cross_fitting_counts_its_fits_and_returns_the_learner_of_all_customers(draw, new):
    train, fits = draw(400, 16).training(), []
    _, fitted = cross_fit(lambda: make("transformed_outcome"), train, progress=lambda: fits.append(1))
    assert len(fits) == 5
    expected = make("transformed_outcome").fit(train).predict(new.features)
    np.testing.assert_array_equal(fitted.predict(new.features), expected)


class KnowsItself:
    """A learner that needs no refits: the effect is the mean score of the others."""

    cross_fits_itself = True

    def fit(self, train):
        scores = train.outcome * np.where(train.treatment == 1, 1 / train.propensity, -1 / (1 - train.propensity))
        self.mean_ = scores.mean()
        self.out_of_fold_ = (scores.sum() - scores) / (len(scores) - 1)
        return self

    def predict(self, features):
        return np.full(len(features), self.mean_)

    def save(self, folder):
        (folder / "mean.txt").write_text(repr(self.mean_))


def test_a_learner_that_knows_its_effects_out_of_fold_is_fitted_once(draw):
    train, fits = draw(400, 16).training(), []
    out_of_fold, fitted = cross_fit(KnowsItself, train, progress=lambda: fits.append(1))
    assert len(fits) == count_fits(KnowsItself(), 4) == 1
    np.testing.assert_array_equal(out_of_fold, fitted.out_of_fold_)
    assert count_fits(make("dr_learner"), 4) == 5


@pytest.fixture
def work(monkeypatch):
    """Records of the tables that are binned and the models that are fitted."""
    seen = {"binned": [], "fits": []}
    made, fit = lightgbm.Dataset.__init__, Binned.fit

    def watched(self, data, *args, **kwargs):
        if data is not None:
            seen["binned"].append(np.shape(data))
        made(self, data, *args, **kwargs)

    def counted(self, *args, **kwargs):
        seen["fits"].append(len(self))
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(lightgbm.Dataset, "__init__", watched)
    monkeypatch.setattr(Binned, "fit", counted)
    return seen


SHARED = {"model": "shared"}


@pytest.mark.parametrize(
    ("name", "params", "fits", "columns"),
    [
        ("t_learner", SHARED, 0, None),
        ("double_ml", PARAMS["double_ml"], 0, None),
        ("s_learner", PARAMS["s_learner"], 5, 6),
        ("t_learner", PARAMS["t_learner"], 10, 5),
        ("x_learner", SHARED | {"effect": SMALL}, 15, 5),
        ("x_learner", PARAMS["x_learner"], 25, 5),
        ("dr_learner", PARAMS["dr_learner"], 5, 5),
        ("r_learner", PARAMS["r_learner"], 5, 5),
        ("transformed_outcome", PARAMS["transformed_outcome"], 5, 5),
    ],
)
def test_cross_fitting_bins_the_features_once_and_refits_no_nuisance(shared, work, name, params, fits, columns):
    train = shared.train
    cross_fit(lambda: make_learner(name, params, 1), train, threads=2)
    assert work["binned"] == ([(len(train.outcome), columns)] if columns else [])
    assert len(work["fits"]) == fits


@pytest.fixture
def shared(draw, new):
    """An experiment with its outcome models, and what they say of new customers. Anew for each test: binned by none."""

    class Shared:
        experiment = draw(1500, 19, varying=True)
        given = experiment.training()
        fitted = cross_fit_outcomes(
            given.features, given.outcome, given.treatment, given.fold, new.features, Boosting(**SMALL), 1
        )
        train = replace(given, mu0=fitted.inside[:, 0], mu1=fitted.inside[:, 1], outcome_models=fitted.models)

    return Shared


def test_the_shared_t_learner_is_the_difference_of_the_outcome_models(shared, new):
    out_of_fold, fitted = cross_fit(lambda: make_learner("t_learner", SHARED, 1), shared.train)
    np.testing.assert_allclose(out_of_fold, shared.train.mu1 - shared.train.mu0, rtol=0, atol=1e-12)
    outside = shared.fitted.outside
    np.testing.assert_allclose(fitted.predict(new.features), outside[:, 1] - outside[:, 0], rtol=0, atol=1e-12)


def test_outcome_models_that_saw_somebody_else_are_not_used(shared):
    chosen = np.arange(1500) < 1400
    with pytest.raises(InputError, match="a T-learner with `model: shared` needs outcome models that learned from"):
        make_learner("t_learner", SHARED, 1).fit(shared.train.rows(chosen))


@pytest.mark.parametrize("name", ["t_learner", "x_learner"])
def test_outcome_models_are_shared_or_a_section(name):
    with pytest.raises(InputError, match=rf"learners\.{name}\.model: expected shared \(the outcome .* got 'nuisance'"):
        make_learner(name, PARAMS[name] | {"model": "nuisance"}, 1)


def test_the_shared_x_learner_imputes_with_the_outcome_models(shared, experiment, new):
    train = replace(shared.train, features=gridded(shared.experiment).features)
    control, treated = (train.treatment == arm for arm in (0, 1))
    models = [
        small_regressor().fit(train.features[rows], target)
        for rows, target in (
            (control, train.mu1[control] - train.outcome[control]),
            (treated, train.outcome[treated] - train.mu0[treated]),
        )
    ]
    share = small_regressor(binary=True).fit(train.features, train.propensity).predict(new.features)
    expected = share * models[0].predict(new.features) + (1 - share) * models[1].predict(new.features)
    predicted = make_learner("x_learner", SHARED | {"effect": SMALL}, 1).fit(train).predict(new.features)
    np.testing.assert_allclose(predicted, expected, rtol=0, atol=1e-8)


@every_learner
@pytest.mark.parametrize("binary", [False, True], ids=["continuous", "binary"])
@pytest.mark.parametrize("varying", [False, True], ids=["constant propensity", "varying propensity"])
def test_a_saved_learner_predicts_the_same_bytes(draw, new, tmp_path, name, binary, varying):
    fitted = make(name).fit(draw(1000, 18, varying=varying, binary=binary).training())
    fitted.save(tmp_path)
    expected = fitted.predict(new.features)
    assert load_effect(tmp_path).predict(new.features).tobytes() == expected.tobytes()
    assert {file.suffix for file in tmp_path.rglob("*") if file.is_file()} <= {".json", ".txt"}


def test_other_features_are_binned_anew(experiment):
    """Customers whose features were replaced do not keep the old bins."""
    train = experiment.training()
    before = make("dr_learner").fit(train).predict(train.features)
    turned = replace(train, features=train.features[:, ::-1])
    after = make("dr_learner").fit(turned).predict(turned.features)
    assert not np.allclose(before, after)
    np.testing.assert_array_equal(make("dr_learner").fit(train).predict(train.features), before)


def test_the_t_learner_is_the_difference_of_two_lightgbm_fits(experiment, new):
    arms = [
        small_regressor().fit(experiment.features[rows], experiment.outcome[rows]).predict(new.features)
        for rows in (experiment.treatment == 0, experiment.treatment == 1)
    ]
    predicted = make("t_learner").fit(experiment.training()).predict(new.features)
    np.testing.assert_allclose(predicted, arms[1] - arms[0], atol=1e-8)


@pytest.mark.parametrize("varying", [False, True], ids=["constant propensity", "varying propensity"])
def test_the_x_learner_weighs_the_effects_imputed_in_each_arm(draw, new, varying):
    experiment = gridded(draw(4000, 11, varying=varying))
    control, treated = (experiment.treatment == arm for arm in (0, 1))
    x, y, share = experiment.features, experiment.outcome, 0.5
    if varying:
        share = small_regressor(binary=True).fit(x, experiment.propensity).predict(new.features)
        assert np.ptp(share) > 0.3
    of_control, of_treated = (small_regressor().fit(x[rows], y[rows]) for rows in (control, treated))
    imputed_control = small_regressor().fit(x[control], of_treated.predict(x[control]) - y[control])
    imputed_treated = small_regressor().fit(x[treated], y[treated] - of_control.predict(x[treated]))
    expected = share * imputed_control.predict(new.features) + (1 - share) * imputed_treated.predict(new.features)
    predicted = make("x_learner").fit(experiment.training()).predict(new.features)
    np.testing.assert_allclose(predicted, expected, atol=1e-8)


def draw_confounded(n, seed):
    """Who is treated depends on a feature that moves the outcome; the effect depends on another one."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 5))
    propensity = 0.05 + 0.9 / (1 + np.exp(-2 * features[:, 0]))
    treatment = (rng.random(n) < propensity).astype(np.int8)
    tau = np.where(features[:, 1] > 0, 1.0, 0.0)
    outcome = 2 * np.abs(features[:, 0]) + treatment * tau + rng.normal(size=n)
    return features, outcome, treatment, propensity, tau


@pytest.mark.parametrize("estimated", [False, True], ids=["known propensity", "estimated propensity"])
@pytest.mark.parametrize("model", ["shared", SMALL], ids=["shared outcome models", "own outcome models"])
def test_where_propensities_differ_the_x_learner_is_nearer_to_the_truth_than_with_one_weight(estimated, model):
    features, outcome, treatment, propensity, _ = draw_confounded(6000, 20)
    unseen, *_, truth = draw_confounded(4000, 21)
    fold = (np.arange(6000) % 4).astype(np.int8)
    if estimated:
        propensity = estimate_propensity(features, treatment, fold, 1)[0]
    mu = cross_fit_outcomes(features, outcome, treatment, fold, unseen, Boosting(**SMALL), 1).inside
    train = Training(features, outcome, treatment, propensity, mu[:, 0], mu[:, 1], fold, np.arange(6000))
    learner = make_learner("x_learner", {"model": model, "effect": SMALL}, 1)
    one_weight = replace(train, propensity=np.full(6000, propensity.mean()))
    differing, constant = (
        np.sqrt(np.mean((learner.fit(data).predict(unseen) - truth) ** 2)) for data in (train, one_weight)
    )
    assert differing < 0.7 * constant


def test_propensities_that_differ_by_rounding_are_one(draw, new):
    train = draw(1000, 18).training()
    rounded = replace(train, propensity=train.propensity + np.where(train.treatment == 1, 1e-9, 0))
    one, other = (make("x_learner").fit(data) for data in (train, rounded))
    assert isinstance(other.effect_, TreeSum)
    np.testing.assert_allclose(other.predict(new.features), one.predict(new.features), rtol=0, atol=1e-7)
    assert isinstance(make("x_learner").fit(draw(1000, 18, varying=True).training()).effect_, Blend)


def test_a_propensity_that_no_feature_tells_of_weighs_by_its_mean(draw, new):
    experiment = draw(2000, 18)
    train = experiment.training(features=np.ones((2000, 5)), propensity=np.where(np.arange(2000) % 4 == 0, 0.8, 0.4))
    effect = make("x_learner").fit(train).effect_
    np.testing.assert_allclose(effect.share.predict(new.features), 0.5, atol=1e-6)


def test_the_dr_learner_is_a_regression_of_the_doubly_robust_score(experiment, new):
    expected = small_regressor().fit(experiment.features, experiment.scores.effect).predict(new.features)
    predicted = make("dr_learner").fit(experiment.training()).predict(new.features)
    np.testing.assert_allclose(predicted, expected, atol=1e-8)


def residuals(experiment):
    """Residuals of the outcome and of the treatment, given the design and the true outcome models."""
    marginal = experiment.mu0 + experiment.propensity * experiment.tau
    return experiment.outcome - marginal, experiment.treatment - experiment.propensity


def test_the_r_learner_minimises_the_r_loss(experiment, new):
    outcome, treatment = residuals(experiment)
    model = small_regressor().fit(experiment.features, outcome / treatment, sample_weight=treatment**2)
    predicted = make("r_learner").fit(experiment.training()).predict(new.features)
    np.testing.assert_allclose(predicted, model.predict(new.features), atol=1e-8)


def test_double_ml_is_least_squares_of_residual_on_residual_and_its_products(experiment, new):
    outcome, treatment = residuals(experiment)
    mean, spread = experiment.features.mean(axis=0), experiment.features.std(axis=0)

    def regressors(features):
        return np.column_stack([np.ones(len(features)), np.clip((features - mean) / spread, -3, 3)])

    coefficients = np.linalg.lstsq(treatment[:, None] * regressors(experiment.features), outcome, rcond=None)[0]
    predicted = make("double_ml").fit(experiment.training()).predict(new.features)
    np.testing.assert_allclose(predicted, regressors(new.features) @ coefficients, atol=1e-6)


def test_double_ml_says_nothing_new_of_the_far_tail(experiment):
    fitted = make("double_ml").fit(experiment.training())
    np.testing.assert_allclose(*fitted.predict(np.array([[100.0, 0, 0, 0, 0], [1e6, 0, 0, 0, 0]])))


def test_the_transformed_outcome_has_the_effect_as_its_mean(experiment, new):
    """Horvitz & Thompson's score by hand: Y/e for the treated, −Y/(1 − e) for the others."""
    e = experiment.propensity
    target = np.where(experiment.treatment == 1, experiment.outcome / e, -experiment.outcome / (1 - e))
    expected = small_regressor().fit(experiment.features, target).predict(new.features)
    predicted = make("transformed_outcome").fit(experiment.training()).predict(new.features)
    np.testing.assert_allclose(predicted, expected, atol=1e-8)


def test_small_propensities_of_the_design_are_not_trimmed(new):
    rng = np.random.default_rng(17)
    propensity = np.where(rng.random(4000) < 0.5, 0.002, 0.5)
    treatment = (rng.random(4000) < propensity).astype(np.int8)
    train = Training(
        rng.normal(size=(4000, 5)), rng.normal(size=4000), treatment, propensity, np.zeros(4000), np.zeros(4000),
        (np.arange(4000) % 4).astype(np.int8), np.arange(4000),
    )  # fmt: skip
    score = train.outcome * np.where(treatment == 1, 1 / propensity, -1 / (1 - propensity))
    expected = small_regressor().fit(train.features, score).predict(new.features)
    np.testing.assert_allclose(make("dr_learner").fit(train).predict(new.features), expected, atol=1e-8)


def test_an_unknown_learner_is_named_with_those_that_exist():
    with pytest.raises(InputError, match=r"learners\.magic is unknown; it is one of .*s_learner, t_learner"):
        make_learner("magic", {}, 1)


@pytest.mark.parametrize("name", BOOSTED)
def test_a_variant_is_of_the_class_that_it_names_and_its_errors_name_it(name):
    entry = {"class": name} | PARAMS[name]
    assert type(make_learner(f"{name}_deep", entry, 1)) is type(make(name))
    section = BOOSTED[name]
    with pytest.raises(InputError, match=rf"^learners\.{name}_deep\.{section}\.leaves: expected a whole number"):
        make_learner(f"{name}_deep", entry | {section: SMALL | {"leaves": 1}}, 1)


@pytest.mark.parametrize("name", ["causal_forest", "double_ml", "uplift_forest"])
def test_a_wrong_value_of_another_variant_is_named_too(name):
    first = next(iter(PARAMS[name]))
    with pytest.raises(InputError, match=rf"^learners\.other\.{first}: "):
        make_learner("other", {"class": name} | PARAMS[name] | {first: -1}, 1)


def test_a_variant_with_the_same_parameters_and_seed_learns_the_same(experiment, new):
    train = experiment.training()
    variant = make_learner("another", {"class": "x_learner"} | PARAMS["x_learner"], 1)
    expected = make("x_learner").fit(train).predict(new.features)
    np.testing.assert_array_equal(variant.fit(train).predict(new.features), expected)


@pytest.mark.parametrize("name", ["ensemble", "nuisance", "policy", "oracle", "treat_all"])
def test_a_name_that_means_something_else_is_refused(name):
    with pytest.raises(InputError, match=rf"^learners\.{name}: the name means something else here"):
        make_learner(name, {"class": "x_learner"} | PARAMS["x_learner"], 1)


@every_learner
def test_an_unknown_parameter_is_named_with_those_that_exist(name):
    with pytest.raises(InputError, match=rf"learners\.{name}\.tres is unknown; the keys of learners\.{name} are "):
        make_learner(name, PARAMS[name] | {"tres": 3}, 1)


@every_learner
def test_a_missing_parameter_is_named(name):
    absent = next(iter(PARAMS[name]))
    with pytest.raises(InputError, match=rf"learners\.{name}\.{absent}"):
        make_learner(name, {key: value for key, value in PARAMS[name].items() if key != absent}, 1)


@pytest.mark.parametrize(("name", "section"), BOOSTED.items())
def test_a_wrong_value_of_a_boosted_learner_is_named_in_full(name, section):
    with pytest.raises(InputError, match=rf"learners\.{name}\.{section}\.leaves: expected a whole number of 2 or more"):
        make_learner(name, PARAMS[name] | {section: SMALL | {"leaves": 1}}, 1)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("double_ml", "winsorize", 0),
        ("double_ml", "winsorize", True),
        ("double_ml", "winsorize", "3"),
        ("double_ml", "winsorize", float("nan")),
        ("causal_forest", "groups", 0),
        ("causal_forest", "trees", 2.5),
        ("causal_forest", "sequences", 0),
        ("causal_forest", "leaves", 1),
        ("causal_forest", "min_leaf", True),
        ("causal_forest", "learning_rate", 0),
        ("causal_forest", "measuring_rate", 1.5),
        ("causal_forest", "held_out", 0.3),
        ("uplift_forest", "trees", 0),
        ("uplift_forest", "depth", "5"),
        ("uplift_forest", "min_leaf", -1),
        ("uplift_forest", "feature_share", 0),
        ("uplift_forest", "feature_share", True),
        ("uplift_forest", "criterion", "DDP"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(name, key, value):
    with pytest.raises(InputError, match=rf"learners\.{name}\.{key}: ") as error:
        make_learner(name, PARAMS[name] | {key: value}, 1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("arm", "absent"), [(0, "treated"), (1, "control")])
def test_training_customers_of_one_arm_are_refused(draw, arm, absent):
    with pytest.raises(InputError, match=f"no {absent} customer among 100 training customers"):
        draw(100, 1).training(treatment=np.full(100, arm, np.int8))
