"""DR-learner: regress the doubly robust score of the effect on the features. Source: Kennedy (2023)."""

from collections.abc import Mapping
from typing import Any

from promotions.boosting import Boosting, make_regressor
from promotions.learners.data import Training
from promotions.learners.econml_bridge import ArmOutcome, DesignPropensity, EconmlLearner, columns_of


class DRLearner(EconmlLearner):
    """econml's DRLearner with the cross-fitted outcome models, the design's propensity and a LightGBM final model."""

    def __init__(self, effect: Mapping[str, Any], *, seed: int) -> None:
        self.effect = Boosting.from_params(effect, "learners.dr_learner.effect")
        self.seed = seed

    def fit(self, train: Training) -> "DRLearner":
        """See ``Learner``."""
        from econml.dr import DRLearner as Estimator

        self.estimator_ = Estimator(
            model_propensity=DesignPropensity(),
            model_regression=ArmOutcome(),
            model_final=make_regressor(self.effect, binary=False, seed=self.seed),
            # econml trims propensities below this; the design's are used as they are.
            min_propensity=0,
            cv=2,
            random_state=self.seed,
        ).fit(train.outcome, train.treatment, X=train.features, W=columns_of(train))
        return self
