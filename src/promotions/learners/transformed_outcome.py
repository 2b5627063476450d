"""Transformed outcome: regress Y·(T − e)/(e(1 − e)), whose mean given x is τ(x). Source: Athey & Imbens (2016)."""

from collections.abc import Mapping
from typing import Any

from promotions.boosting.settings import Boosting
from promotions.learners.base import EffectLearner
from promotions.learners.data import Training
from promotions.learners.fitted import Part, TreeSum


class TransformedOutcome(EffectLearner):
    """One LightGBM regression; the simplest learner and the noisiest, for comparison."""

    entry = "transformed_outcome"

    def __init__(self, effect: Mapping[str, Any], *, seed: int, key: str = "learners.transformed_outcome") -> None:
        self.effect = Boosting.from_params(effect, f"{key}.effect")
        self.seed = seed

    def fit(self, train: Training) -> "TransformedOutcome":
        """See ``Learner``."""
        propensity = train.propensity
        transformed = train.outcome * (train.treatment - propensity) / (propensity * (1 - propensity))
        self.effect_ = TreeSum((Part(1.0, train.binned.fit(self.effect, transformed, seed=self.seed)),))
        return self
