"""Transformed outcome: regress Y·(T − e)/(e(1 − e)), whose mean given x is τ(x). Source: Athey & Imbens (2016)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promotions.boosting import Boosting, make_regressor
from promotions.learners.data import Training


class TransformedOutcome:
    """One LightGBM regression; the simplest learner and the noisiest, for comparison."""

    def __init__(self, effect: Mapping[str, Any], *, seed: int) -> None:
        self.effect = Boosting.from_params(effect, "learners.transformed_outcome.effect")
        self.seed = seed

    def fit(self, train: Training) -> "TransformedOutcome":
        """See ``Learner``."""
        propensity = train.propensity
        transformed = train.outcome * (train.treatment - propensity) / (propensity * (1 - propensity))
        self.model_ = make_regressor(self.effect, binary=False, seed=self.seed)
        self.model_.fit(train.features, transformed)
        return self

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """See ``Learner``."""
        return np.asarray(self.model_.predict(features))
