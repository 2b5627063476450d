"""R-learner: minimise Σ ((Y − m(x)) − (T − e)·τ(x))². Source: Nie & Wager (2021)."""

from collections.abc import Mapping
from typing import Any

from promotions.boosting.settings import Boosting
from promotions.learners.base import SHARED, EffectLearner, choose_backend
from promotions.learners.data import Training
from promotions.learners.fitted import Part, TreeSum


def r_effect(train: Training, effect: Boosting, seed: int) -> TreeSum:
    """The regression of (Y − m)/(T − e) on x with weights (T − e)², which is the R-loss written out."""
    treatment = train.treatment - train.propensity
    booster = train.binned.fit(effect, (train.outcome - train.marginal) / treatment, weight=treatment**2, seed=seed)
    return TreeSum((Part(1.0, booster),))


class RLearner(EffectLearner):
    """See ``r_effect``."""

    entry = "r_learner"

    def __init__(
        self, effect: Mapping[str, Any], backend: str = SHARED, *, seed: int, key: str = "learners.r_learner"
    ) -> None:
        self.effect = Boosting.from_params(effect, f"{key}.effect")
        self.estimate = choose_backend(backend, r_effect, key)
        self.seed = seed

    def fit(self, train: Training) -> "RLearner":
        """See ``Learner``."""
        self.effect_ = self.estimate(train, self.effect, self.seed)
        return self
