"""econml's own classes, with our LightGBM settings; their fitted models become our effects.

The shared versions are tested against them; ``backend: econml`` chooses them. The effects agree to 1e-8 where LightGBM
cuts the same bins; it may cut an arm into other bins than all customers. econml fits nuisances itself, on ``[X, W]``.
The nuisances of DR, R and double ML are fitted beforehand, once for all learners, and are the last columns of W
(``columns_of``); the estimators below "predict" by reading them. Nothing is fitted twice, and the design's propensity
is used as it is. S, T and X fit their own models here.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.preprocessing import StandardScaler

from promotions.base.rounding import alike
from promotions.boosting.files import is_number
from promotions.boosting.settings import Boosting, is_binary, make_regressor, predict
from promotions.learners.data import Training
from promotions.learners.fitted import Blend, LinearEffect, Part, TreeSum, standardise, weigh


def s_effect(train: Training, model: Boosting, seed: int) -> TreeSum:
    """The class SLearner. It gives a model both indicators of treatment; ours sees only the second, which is enough."""
    from econml.metalearners import SLearner

    regressor = make_regressor(model, binary=is_binary(train.outcome), seed=seed)
    estimator = SLearner(overall_model=WithoutControlColumn(regressor))
    estimator.fit(train.outcome, train.treatment, X=train.features)
    booster = estimator.overall_model.model_.booster_
    return TreeSum((Part(1.0, booster, 1.0), Part(-1.0, booster, 0.0)))


def t_effect(train: Training, model: Boosting | None, seed: int) -> TreeSum:
    """The class TLearner."""
    from econml.metalearners import TLearner

    estimator = TLearner(models=_regressor(model, train, seed))
    estimator.fit(train.outcome, train.treatment, X=train.features)
    control, treated = estimator.models
    return TreeSum((Part(1.0, treated.booster_), Part(-1.0, control.booster_)))


def x_effect(train: Training, model: Boosting | None, effect: Boosting, share: Any, seed: int) -> TreeSum | Blend:
    """The class XLearner with the given propensity: a number, or a booster."""
    from econml.metalearners import XLearner

    estimator = XLearner(
        models=_regressor(model, train, seed),
        cate_models=make_regressor(effect, binary=False, seed=seed),
        propensity_model=ConstantPropensity(share) if is_number(share) else BoostedPropensity(share),
    ).fit(train.outcome, train.treatment, X=train.features)
    control, treated = estimator.cate_controls_models[0], estimator.cate_treated_models[0]
    return weigh(share, control.booster_, treated.booster_)


def dr_effect(train: Training, effect: Boosting, seed: int) -> TreeSum:
    """The class DRLearner with the given nuisances."""
    from econml.dr import DRLearner

    estimator = DRLearner(
        model_propensity=DesignPropensity(),
        model_regression=ArmOutcome(),
        model_final=make_regressor(effect, binary=False, seed=seed),
        # econml trims propensities below this; the design's are used as they are.
        min_propensity=0,
        cv=2,
        random_state=seed,
    ).fit(train.outcome, train.treatment, X=train.features, W=columns_of(train))
    return TreeSum((Part(1.0, estimator.model_cate(T=1).booster_),))


def r_effect(train: Training, effect: Boosting, seed: int) -> TreeSum:
    """The class NonParamDML with the given nuisances."""
    from econml.dml import NonParamDML

    estimator = NonParamDML(
        model_y=MarginalOutcome(),
        model_t=DesignPropensity(),
        model_final=make_regressor(effect, binary=False, seed=seed),
        discrete_treatment=True,
        cv=2,
        random_state=seed,
    ).fit(train.outcome, train.treatment, X=train.features, W=columns_of(train))
    return TreeSum((Part(1.0, estimator.model_final_.booster_),))


def linear_effect(train: Training, winsorize: float) -> LinearEffect:
    """The class LinearDML with the given nuisances, on the standardised features."""
    from econml.dml import LinearDML

    scaler = StandardScaler().fit(train.features)
    estimator = LinearDML(
        model_y=MarginalOutcome(),
        model_t=DesignPropensity(),
        discrete_treatment=True,
        cv=2,
        random_state=0,
    )
    scaled = standardise(train.features, scaler.mean_, scaler.scale_, winsorize)
    estimator.fit(train.outcome, train.treatment, X=scaled, W=columns_of(train), inference=None)
    coefficients = alike([*np.ravel(estimator.intercept_), *np.ravel(estimator.coef_)])
    return LinearEffect(float(coefficients[0]), coefficients[1:], scaler.mean_, scaler.scale_, winsorize)


def _regressor(model: Boosting | None, train: Training, seed: int) -> Any:
    if model is None:
        raise ValueError("econml's class fits outcome models of its own")
    return make_regressor(model, binary=is_binary(train.outcome), seed=seed)


class WithoutControlColumn(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A regressor that does not see the last column but one, 1 − T."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def fit(self, features: NDArray[np.float64], outcome: NDArray[np.float64]) -> "WithoutControlColumn":
        """See the regressor."""
        self.model_ = clone(self.model).fit(np.delete(features, -2, axis=1), outcome)
        return self

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,)."""
        return np.asarray(self.model_.predict(np.delete(features, -2, axis=1)))


def columns_of(train: Training) -> NDArray[np.float64]:
    """W: propensity, μ₀, μ₁."""
    return np.column_stack([train.propensity, train.mu0, train.mu1])


class DesignPropensity(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """P(T | x) of the design, read from W."""

    def fit(self, features: Any, treatment: Any) -> "DesignPropensity":
        """Nothing to learn."""
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2)."""
        return np.column_stack([1 - features[:, -3], features[:, -3]])

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.int_]:
        """The likelier arm."""
        return (features[:, -3] > 0.5).astype(int)


class MarginalOutcome(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """E[Y | x], read from W."""

    def fit(self, features: Any, outcome: Any) -> "MarginalOutcome":
        """Nothing to learn."""
        self.fitted_ = True
        return self

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,)."""
        propensity, mu0, mu1 = features[:, -3], features[:, -2], features[:, -1]
        return (1 - propensity) * mu0 + propensity * mu1


class ArmOutcome(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """E[Y | x, T], read from W; the treatment is the column after it."""

    def fit(self, features: Any, outcome: Any) -> "ArmOutcome":
        """Nothing to learn."""
        self.fitted_ = True
        return self

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,)."""
        return np.where(features[:, -1] == 1, features[:, -2], features[:, -3])


class ConstantPropensity(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """P(T=1) known beforehand and the same for all."""

    def __init__(self, propensity: float) -> None:
        self.propensity = propensity

    def fit(self, features: Any, treatment: Any) -> "ConstantPropensity":
        """Nothing to learn."""
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2)."""
        return np.tile([1 - self.propensity, self.propensity], (len(features), 1))

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.int_]:
        """The likelier arm."""
        return np.full(len(features), int(self.propensity > 0.5))


class BoostedPropensity(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """P(T=1 | x) known beforehand as a lightgbm.Booster."""

    def __init__(self, booster: Any) -> None:
        self.booster = booster

    def fit(self, features: Any, treatment: Any) -> "BoostedPropensity":
        """Nothing to learn."""
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2)."""
        propensity = predict(self.booster, features)
        return np.column_stack([1 - propensity, propensity])
