"""econml's own classes are the oracle: same data, folds, nuisances and LightGBM settings, same effects.

Features have few values, each of them frequent, so that LightGBM cuts the same bins out of any customers; the effects
then agree to 1e-8. Otherwise the bins of an arm differ a little from those of all, and so would the trees.
"""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone

from promotions.base.errors import InputError
from promotions.boosting.settings import Boosting, make_regressor
from promotions.learners import make_learner
from promotions.learners.estimators.econml_bridge import (
    ArmOutcome,
    ConstantPropensity,
    DesignPropensity,
    MarginalOutcome,
    WithoutControlColumn,
    columns_of,
)
from promotions.nuisances import cross_fit_outcomes

MODEL = {
    "trees": 40, "leaves": 4, "learning_rate": 0.1, "min_leaf": 40, "feature_share": 0.6, "row_share": 0.8, "l2": 1,
}  # fmt: skip
PARAMS = {
    "s_learner": {"model": MODEL},
    "t_learner": {"model": MODEL},
    "x_learner": {"model": MODEL, "effect": MODEL},
    "dr_learner": {"effect": MODEL},
    "r_learner": {"effect": MODEL},
    "double_ml": {"winsorize": 3},
}
TOLERANCE = 1e-8
# Double ML rounds its coefficients to eight digits.
ROUNDED = 1e-7
every_learner = pytest.mark.parametrize("name", PARAMS)
kinds_of_outcome = pytest.mark.parametrize("binary", [False, True], ids=["continuous", "binary"])


def draw_gridded(draw, n, seed, binary):
    experiment = draw(n, seed, varying=True, binary=binary)
    return replace(experiment, features=np.round(np.clip(experiment.features, -1.6, 1.6), 1))


@pytest.fixture(scope="module")
def new(draw):
    return draw(500, 2).features


def regressor(binary=False):
    return make_regressor(Boosting(**MODEL), binary=binary, seed=1)


class RegressedPropensity(ClassifierMixin, BaseEstimator):
    """P(T=1 | x), a regression of the training customers' propensities, which econml's classes cannot be given."""

    def __init__(self, train, model):
        self.train, self.model = train, model

    def fit(self, features, treatment):
        # In the customers' own order: econml sorts them by arm, and samples of rows depend on the order.
        self.model_ = clone(self.model).fit(self.train.features, self.train.propensity)
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, features):
        return np.column_stack([1 - self.model_.predict(features), self.model_.predict(features)])


@kinds_of_outcome
def test_with_a_constant_propensity_the_x_learners_agree(draw, new, binary):
    from econml.metalearners import XLearner

    experiment = draw(3000, 5, binary=binary)
    train = replace(experiment, features=np.round(np.clip(experiment.features, -1.6, 1.6), 1)).training()
    theirs = XLearner(models=regressor(binary), cate_models=regressor(), propensity_model=ConstantPropensity(0.5)).fit(
        train.outcome, train.treatment, X=train.features
    )
    for backend in ("shared", "econml"):
        ours = make_learner("x_learner", PARAMS["x_learner"] | {"backend": backend}, 1).fit(train)
        np.testing.assert_allclose(ours.predict(new), np.ravel(theirs.effect(new)), rtol=0, atol=TOLERANCE)


def econml_of(name, train, binary):
    """The estimator of econml, built and fitted here, and what it sees of features."""
    from econml.dml import LinearDML, NonParamDML
    from econml.dr import DRLearner
    from econml.metalearners import SLearner, TLearner, XLearner

    settings = {"discrete_treatment": True, "cv": 2, "random_state": 1}
    residuals = {"model_y": MarginalOutcome(), "model_t": DesignPropensity()} | settings
    estimator = {
        "s_learner": lambda: SLearner(overall_model=WithoutControlColumn(regressor(binary))),
        "t_learner": lambda: TLearner(models=regressor(binary)),
        "x_learner": lambda: XLearner(
            models=regressor(binary),
            cate_models=regressor(),
            propensity_model=RegressedPropensity(train, regressor(binary=True)),
        ),
        "dr_learner": lambda: DRLearner(
            model_propensity=DesignPropensity(), model_regression=ArmOutcome(), model_final=regressor(),
            min_propensity=0, cv=2, random_state=1,
        ),
        "r_learner": lambda: NonParamDML(model_final=regressor(), **residuals),
        "double_ml": lambda: LinearDML(**residuals),
    }[name]()  # fmt: skip
    mean, spread = train.features.mean(axis=0), train.features.std(axis=0)

    def seen(features):
        return np.clip((features - mean) / spread, -3, 3) if name == "double_ml" else features

    given = {} if name in ("s_learner", "t_learner", "x_learner") else {"W": columns_of(train)}
    estimator.fit(train.outcome, train.treatment, X=seen(train.features), **given)
    return lambda features: np.ravel(estimator.effect(seen(features)))


@every_learner
@kinds_of_outcome
def test_shared_nuisances_give_the_effects_of_econmls_class(draw, new, name, binary):
    train = draw_gridded(draw, 3000, 1, binary).training()
    expected = econml_of(name, train, binary)(new)
    for backend in ("shared", "econml"):
        predicted = make_learner(name, PARAMS[name] | {"backend": backend}, 1).fit(train).predict(new)
        np.testing.assert_allclose(predicted, expected, rtol=0, atol=ROUNDED if name == "double_ml" else TOLERANCE)
    assert np.ptp(expected) > 0.1


class Arms(RegressorMixin, BaseEstimator):
    """E[Y | x, T] of a model an arm; the treatment is the last column."""

    def __init__(self, binary):
        self.binary = binary

    def fit(self, features, outcome):
        self.models_ = [
            regressor(self.binary).fit(features[rows, :-2], outcome[rows])
            for rows in (features[:, -1] == 0, features[:, -1] == 1)
        ]
        return self

    def predict(self, features):
        zero, one = (model.predict(features[:, :-2]) for model in self.models_)
        return np.where(features[:, -1] == 1, one, zero)


class Design(DesignPropensity):
    """The propensity is the only column of W."""

    def predict_proba(self, features):
        return np.column_stack([1 - features[:, -1], features[:, -1]])


@kinds_of_outcome
def test_from_raw_data_on_the_same_folds_the_dr_learners_agree(draw, new, binary):
    """econml cross-fits its nuisances itself, a model an arm, on our folds; nothing is handed over."""
    from econml.dr import DRLearner

    train = draw_gridded(draw, 4000, 3, binary).training()
    folds = [(np.flatnonzero(train.fold != held), np.flatnonzero(train.fold == held)) for held in range(4)]
    theirs = DRLearner(
        model_propensity=Design(), model_regression=Arms(binary), model_final=regressor(), min_propensity=0, cv=folds
    ).fit(train.outcome, train.treatment, X=train.features, W=train.propensity[:, None])
    mu = cross_fit_outcomes(
        train.features, train.outcome, train.treatment, train.fold, new, Boosting(**MODEL), 1
    ).inside
    ours = make_learner("dr_learner", PARAMS["dr_learner"], 1).fit(replace(train, mu0=mu[:, 0], mu1=mu[:, 1]))
    np.testing.assert_allclose(ours.predict(new), np.ravel(theirs.effect(new)), rtol=0, atol=TOLERANCE)


class Given(RegressorMixin, BaseEstimator):
    """A known function of the features."""

    def __init__(self, function):
        self.function = function

    def fit(self, features, outcome):
        return self

    def predict(self, features):
        return self.function(features)


def test_the_x_learner_on_given_outcome_models_is_econmls(draw, new):
    from econml.metalearners import XLearner

    def without(features):
        return 0.7 * features[:, 1]

    def treated(features):
        return features[:, 0] + 0.6 * features[:, 1]

    train = draw_gridded(draw, 3000, 4, binary=False).training()
    train = replace(train, mu0=without(train.features), mu1=treated(train.features))
    theirs = XLearner(
        models=[Given(without), Given(treated)],
        cate_models=regressor(),
        propensity_model=RegressedPropensity(train, regressor(binary=True)),
    ).fit(train.outcome, train.treatment, X=train.features)
    ours = make_learner("x_learner", {"model": "shared", "effect": MODEL}, 1).fit(train)
    np.testing.assert_allclose(ours.predict(new), np.ravel(theirs.effect(new)), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["t_learner", "x_learner"])
def test_econmls_class_has_no_use_for_shared_outcome_models(name):
    with pytest.raises(InputError, match=rf"learners\.{name}\.model: econml's class fits outcome models of its own"):
        make_learner(name, PARAMS[name] | {"model": "shared", "backend": "econml"}, 1)


@every_learner
@pytest.mark.parametrize("backend", ["causalml", None, 3, ["shared"]])
def test_an_unknown_backend_is_named_with_those_that_exist(name, backend):
    with pytest.raises(InputError, match=rf"learners\.{name}\.backend: .* is unknown; it is one of shared, econml"):
        make_learner(name, PARAMS[name] | {"backend": backend}, 1)
