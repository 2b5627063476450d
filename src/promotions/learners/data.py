"""What a learner is fitted to."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from promotions.errors import InputError


@dataclass(frozen=True)
class Training:
    """Training customers as arrays, all of n rows.

    features (n, p) without NaN; treatment 0/1; propensity: the design's P(T=1); mu0, mu1: outcome models of the two
    arms, each customer's from models that have not seen that customer; fold: 0 … K − 1; cluster: code of the unit that
    is never divided.
    """

    features: NDArray[np.float64]
    outcome: NDArray[np.float64]
    treatment: NDArray[np.int8]
    propensity: NDArray[np.float64]
    mu0: NDArray[np.float64]
    mu1: NDArray[np.float64]
    fold: NDArray[np.int8]
    cluster: NDArray[np.intp]

    def __post_init__(self) -> None:
        """An arm without customers cannot be learned from."""
        for arm, name in ((0, "control"), (1, "treated")):
            if not (self.treatment == arm).any():
                raise InputError(
                    f"no {name} customer among {len(self.treatment):,} training customers; the experiment is too small "
                    "for split.folds and split.shares.train, or an arm is empty"
                )

    def rows(self, chosen: NDArray[np.bool_]) -> "Training":
        """The chosen customers."""
        return Training(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    @property
    def marginal(self) -> NDArray[np.float64]:
        """m(x) = E[Y | x] = (1 − e) μ₀(x) + e μ₁(x)."""
        return np.asarray((1 - self.propensity) * self.mu0 + self.propensity * self.mu1)
