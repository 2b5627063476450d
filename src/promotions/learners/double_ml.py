"""Double machine learning with a linear effect, τ(x) = θ₀ + θ·x. Source: Chernozhukov et al. (2018)."""

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from promotions.errors import InputError
from promotions.learners.data import Training
from promotions.learners.econml_bridge import DesignPropensity, MarginalOutcome, columns_of


class DoubleML:
    """econml's LinearDML with the cross-fitted outcome model and the design's propensity.

    Features are standardised and cut off at ``winsorize`` standard deviations: a line fitted to the bulk says nothing
    of the far tail of, say, spending, and would otherwise take its largest effects from there.
    """

    def __init__(self, winsorize: float, *, seed: int) -> None:
        if isinstance(winsorize, bool) or not isinstance(winsorize, (int, float)) or not winsorize > 0:
            raise InputError(f"learners.double_ml.winsorize: expected standard deviations above 0, got {winsorize!r}")
        self.winsorize = float(winsorize)
        self.seed = seed

    def fit(self, train: Training) -> "DoubleML":
        """See ``Learner``."""
        from econml.dml import LinearDML

        self.scaler_ = StandardScaler().fit(train.features)
        self.estimator_ = LinearDML(
            model_y=MarginalOutcome(),
            model_t=DesignPropensity(),
            discrete_treatment=True,
            cv=2,
            random_state=self.seed,
        ).fit(train.outcome, train.treatment, X=self._scaled(train.features), W=columns_of(train), inference=None)
        return self

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """See ``Learner``."""
        return np.ravel(self.estimator_.effect(self._scaled(features)))

    def _scaled(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(self.scaler_.transform(features), -self.winsorize, self.winsorize)
