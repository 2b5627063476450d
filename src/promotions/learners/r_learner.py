"""R-learner: minimise Σ ((Y − m(x)) − (T − e)·τ(x))². Source: Nie & Wager (2021)."""

from collections.abc import Mapping
from typing import Any

from promotions.boosting import Boosting, make_regressor
from promotions.learners.data import Training
from promotions.learners.econml_bridge import DesignPropensity, EconmlLearner, MarginalOutcome, columns_of


class RLearner(EconmlLearner):
    """econml's NonParamDML with the cross-fitted outcome model, the design's propensity and a LightGBM final model."""

    def __init__(self, effect: Mapping[str, Any], *, seed: int) -> None:
        self.effect = Boosting.from_params(effect, "learners.r_learner.effect")
        self.seed = seed

    def fit(self, train: Training) -> "RLearner":
        """See ``Learner``."""
        from econml.dml import NonParamDML

        self.estimator_ = NonParamDML(
            model_y=MarginalOutcome(),
            model_t=DesignPropensity(),
            model_final=make_regressor(self.effect, binary=False, seed=self.seed),
            discrete_treatment=True,
            cv=2,
            random_state=self.seed,
        ).fit(train.outcome, train.treatment, X=train.features, W=columns_of(train))
        return self
