"""What a learner is fitted to."""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.boosting.binned import Binned
from promotions.nuisances import OutcomeModels


@dataclass(frozen=True)
class Training:
    """Training customers as arrays, all of n rows.

    features (n, p) without NaN; treatment 0/1; propensity: P(T=1), the design's or estimated; mu0, mu1: outcome
    models of the two arms, each customer's from models that have not seen that customer; fold: 0 … K − 1; cluster: code
    of the unit that is never divided; outcome_models: the models behind mu0 and mu1, for learners that predict with
    them.
    """

    features: NDArray[np.float64]
    outcome: NDArray[np.float64]
    treatment: NDArray[np.int8]
    propensity: NDArray[np.float64]
    mu0: NDArray[np.float64]
    mu1: NDArray[np.float64]
    fold: NDArray[np.int8]
    cluster: NDArray[np.intp]
    outcome_models: OutcomeModels | None = None

    def __post_init__(self) -> None:
        """Raise InputError if an arm has no customers."""
        for arm, name in ((0, "control"), (1, "treated")):
            if not (self.treatment == arm).any():
                raise InputError(
                    f"no {name} customer among {len(self.treatment):,} training customers; the experiment is too small "
                    "for split.folds and split.shares.train, or an arm is empty"
                )

    def rows(self, chosen: NDArray[np.bool_]) -> "Training":
        """The chosen customers, binned as they are here, and the outcome models that learned from nobody else."""
        models = self.outcome_models.unseen(self.fold, chosen) if self.outcome_models else None
        arrays = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "outcome_models"}
        part = Training(**{name: array[chosen] for name, array in arrays.items()}, outcome_models=models)
        # Set here, so that the cached properties do not bin again.
        vars(part)["binned"] = self.binned.rows(chosen)
        vars(part)["binned_with_treatment"] = self.binned_with_treatment.rows(chosen)
        return part

    @cached_property
    def binned(self) -> Binned:
        """The features, binned once for every model that is fitted to these customers or to ``rows`` of them."""
        return Binned(self.features)

    @cached_property
    def binned_with_treatment(self) -> Binned:
        """Likewise, with the treatment as a last column."""
        return Binned(self.features, self.treatment)

    @property
    def marginal(self) -> NDArray[np.float64]:
        """m(x) = E[Y | x] = (1 − e) μ₀(x) + e μ₁(x)."""
        return np.asarray((1 - self.propensity) * self.mu0 + self.propensity * self.mu1)
