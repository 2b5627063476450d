"""Every learner finds a strong effect, repeats itself, and is the estimator that its source describes."""

from dataclasses import replace

import numpy as np
import pytest

from promotions.boosting import Boosting, make_regressor
from promotions.errors import InputError
from promotions.learners import LEARNERS, Training, cross_fit, make_learner

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
        "groups": 4, "trees_per_group": 5, "leaves": 8, "min_leaf": 50, "row_share": 0.8, "feature_share": 1.0,
    },
    "transformed_outcome": {"effect": SMALL},
    "uplift_forest": {"trees": 10, "depth": 4, "min_leaf": 60, "feature_share": 0.8, "criterion": "KL"},
}  # fmt: skip
BOOSTED = {
    "s_learner": "model", "t_learner": "model", "x_learner": "effect", "dr_learner": "effect", "r_learner": "effect",
    "transformed_outcome": "effect",
}  # fmt: skip
every_learner = pytest.mark.parametrize("name", LEARNERS)


def make(name, seed=1):
    return make_learner(name, PARAMS[name], seed)


def small_regressor(binary=False):
    return make_regressor(Boosting(**SMALL), binary=binary, seed=1)


@pytest.fixture(scope="module")
def experiment(draw):
    return draw(4000, 11, varying=True)


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
    # Several predictions of each: threads that add in the order in which they finish are not always in disorder.
    assert len({learner.predict(new.features).tobytes() for _, learner in runs for _ in range(8)}) == 1


@every_learner
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


def test_the_t_learner_is_the_difference_of_two_lightgbm_fits(experiment, new):
    arms = [
        small_regressor().fit(experiment.features[rows], experiment.outcome[rows]).predict(new.features)
        for rows in (experiment.treatment == 0, experiment.treatment == 1)
    ]
    predicted = make("t_learner").fit(experiment.training()).predict(new.features)
    np.testing.assert_allclose(predicted, arms[1] - arms[0], atol=1e-8)


def test_the_x_learner_weighs_the_effects_imputed_in_each_arm(experiment, new):
    control, treated = (experiment.treatment == arm for arm in (0, 1))
    x, y, share = experiment.features, experiment.outcome, experiment.propensity.mean()
    of_control, of_treated = (small_regressor().fit(x[rows], y[rows]) for rows in (control, treated))
    imputed_control = small_regressor().fit(x[control], of_treated.predict(x[control]) - y[control])
    imputed_treated = small_regressor().fit(x[treated], y[treated] - of_control.predict(x[treated]))
    expected = share * imputed_control.predict(new.features) + (1 - share) * imputed_treated.predict(new.features)
    predicted = make("x_learner").fit(experiment.training()).predict(new.features)
    np.testing.assert_allclose(predicted, expected, atol=1e-8)


def test_the_dr_learner_is_a_regression_of_the_doubly_robust_score(experiment, new):
    expected = small_regressor().fit(experiment.features, experiment.scores.effect).predict(new.features)
    predicted = make("dr_learner").fit(experiment.training()).predict(new.features)
    np.testing.assert_allclose(predicted, expected, atol=1e-8)


def residuals(experiment):
    """Of the outcome and of the treatment, given the design and the true outcome models."""
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
    with pytest.raises(InputError, match=r"learners\.magic is unknown; it is one of s_learner, t_learner"):
        make_learner("magic", {}, 1)


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
        ("causal_forest", "trees_per_group", 2.5),
        ("causal_forest", "leaves", 1),
        ("causal_forest", "min_leaf", True),
        ("causal_forest", "row_share", 1),
        ("causal_forest", "row_share", 0),
        ("causal_forest", "feature_share", 1.1),
        ("causal_forest", "feature_share", None),
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
