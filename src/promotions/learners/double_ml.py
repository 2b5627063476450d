"""Double machine learning with a linear effect, τ(x) = θ₀ + θ·x. Source: Chernozhukov et al. (2018)."""

import numpy as np

from promotions.base.rounding import alike
from promotions.base.validation import require_number
from promotions.learners.base import SHARED, EffectLearner, choose_backend
from promotions.learners.data import Training
from promotions.learners.fitted import LinearEffect, standardise


def linear_effect(train: Training, winsorize: float) -> LinearEffect:
    """Least squares of Y − m on (T − e)·(1, z), z the standardised features; the shortest solution of several.

    A feature that does not vary gets the scale 1.
    """
    mean, scale = train.features.mean(axis=0), train.features.std(axis=0)
    # The mean of equal numbers may be off by rounding, which leaves a scale of that size.
    scale[scale <= 10 * np.finfo(float).eps * np.abs(mean)] = 1.0
    treatment = train.treatment - train.propensity
    products = np.empty((len(treatment), len(mean) + 2))
    products[:, 0] = treatment
    products[:, 1:-1] = standardise(train.features, mean, scale, winsorize) * treatment[:, None]
    products[:, -1] = train.outcome - train.marginal
    # The triangle has the same normal equations as all rows, without squaring what is nearly collinear.
    triangle = np.asarray(np.linalg.qr(products, mode="r"))
    coefficients = alike(np.linalg.lstsq(triangle[:, :-1], triangle[:, -1], rcond=None)[0])
    return LinearEffect(float(coefficients[0]), coefficients[1:], mean, scale, winsorize)


class DoubleML(EffectLearner):
    """See ``linear_effect``.

    Features are standardised and cut off at ``winsorize`` standard deviations: a line fitted to the bulk says nothing
    about the far tail of, say, spending, where it would otherwise predict its largest effects.
    """

    entry = "double_ml"

    def __init__(self, winsorize: float, backend: str = SHARED, *, seed: int, key: str = "learners.double_ml") -> None:
        number = require_number(winsorize, f"{key}.winsorize", 0, low_open=True, noun="number of standard deviations")
        self.winsorize = float(number)
        self.estimate = choose_backend(backend, linear_effect, key)
        self.seed = seed

    def fit(self, train: Training) -> "DoubleML":
        """See ``Learner``."""
        self.effect_ = self.estimate(train, self.winsorize)
        return self
