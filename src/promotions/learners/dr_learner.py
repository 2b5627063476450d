"""DR-learner: regress the doubly robust score of the effect on the features. Source: Kennedy (2023)."""

from collections.abc import Mapping
from typing import Any

from promotions.boosting.settings import Boosting
from promotions.learners.base import SHARED, EffectLearner, choose_backend
from promotions.learners.data import Training
from promotions.learners.fitted import Part, TreeSum
from promotions.scores import make_scores


def dr_effect(train: Training, effect: Boosting, seed: int) -> TreeSum:
    """The regression of Γ₁ − Γ₀ on x, Γ_a = μ_a(x) + 1{T=a}(Y − μ_a(x))/e_a, with the design's e untrimmed."""
    scores = make_scores(train.outcome, train.treatment, train.propensity, train.mu0, train.mu1)
    return TreeSum((Part(1.0, train.binned.fit(effect, scores.effect, seed=seed)),))


class DRLearner(EffectLearner):
    """See ``dr_effect``."""

    entry = "dr_learner"

    def __init__(
        self, effect: Mapping[str, Any], backend: str = SHARED, *, seed: int, key: str = "learners.dr_learner"
    ) -> None:
        self.effect = Boosting.from_params(effect, f"{key}.effect")
        self.estimate = choose_backend(backend, dr_effect, key)
        self.seed = seed

    def fit(self, train: Training) -> "DRLearner":
        """See ``Learner``."""
        self.effect_ = self.estimate(train, self.effect, self.seed)
        return self
