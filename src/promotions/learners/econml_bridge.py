"""What joins econml's estimators to ours: one way to predict, and nuisances that are known beforehand.

econml fits its nuisances itself, on ``[X, W]``. Here they are known before, once for all learners, and travel as the
last columns of W (``columns_of``); the estimators below "predict" by reading them. Nothing is fitted twice, and the
design's propensity is used as it is.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from promotions.learners.data import Training


class EconmlLearner:
    """A learner whose ``fit`` leaves an econml estimator in ``estimator_``."""

    estimator_: Any

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """See ``Learner``."""
        return np.ravel(self.estimator_.effect(features))


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
