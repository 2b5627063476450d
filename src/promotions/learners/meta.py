"""S-, T- and X-learner, econml's own, with LightGBM models. Source: Künzel, Sekhon, Bickel & Yu (2019)."""

from collections.abc import Mapping
from typing import Any

from promotions.boosting import Boosting, is_binary, make_regressor
from promotions.learners.data import Training
from promotions.learners.econml_bridge import ConstantPropensity, EconmlLearner


class SLearner(EconmlLearner):
    """One model of the outcome with treatment as a feature: τ(x) = f(x, 1) − f(x, 0)."""

    def __init__(self, model: Mapping[str, Any], *, seed: int) -> None:
        self.model = Boosting.from_params(model, "learners.s_learner.model")
        self.seed = seed

    def fit(self, train: Training) -> "SLearner":
        """See ``Learner``."""
        from econml.metalearners import SLearner as Estimator

        model = make_regressor(self.model, binary=is_binary(train.outcome), seed=self.seed)
        self.estimator_ = Estimator(overall_model=model).fit(train.outcome, train.treatment, X=train.features)
        return self


class TLearner(EconmlLearner):
    """A model of the outcome an arm: τ(x) = μ₁(x) − μ₀(x)."""

    def __init__(self, model: Mapping[str, Any], *, seed: int) -> None:
        self.model = Boosting.from_params(model, "learners.t_learner.model")
        self.seed = seed

    def fit(self, train: Training) -> "TLearner":
        """See ``Learner``."""
        from econml.metalearners import TLearner as Estimator

        model = make_regressor(self.model, binary=is_binary(train.outcome), seed=self.seed)
        self.estimator_ = Estimator(models=model).fit(train.outcome, train.treatment, X=train.features)
        return self


class XLearner(EconmlLearner):
    """Imputed effects of each arm, from the other arm's model; their models are averaged by the propensity.

    τ(x) = e·τ₀(x) + (1 − e)·τ₁(x), e the design's share of treated training customers (a constant: any weight in
    [0, 1] is valid, and new customers need no propensity of their own).
    """

    def __init__(self, model: Mapping[str, Any], effect: Mapping[str, Any], *, seed: int) -> None:
        self.model = Boosting.from_params(model, "learners.x_learner.model")
        self.effect = Boosting.from_params(effect, "learners.x_learner.effect")
        self.seed = seed

    def fit(self, train: Training) -> "XLearner":
        """See ``Learner``."""
        from econml.metalearners import XLearner as Estimator

        binary = is_binary(train.outcome)
        self.estimator_ = Estimator(
            models=make_regressor(self.model, binary=binary, seed=self.seed),
            cate_models=make_regressor(self.effect, binary=False, seed=self.seed),
            propensity_model=ConstantPropensity(float(train.propensity.mean())),
        ).fit(train.outcome, train.treatment, X=train.features)
        return self
