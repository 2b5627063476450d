"""CATE learners behind one small protocol: ``fit(train) → predict(features)``."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from promotions.errors import InputError
from promotions.learners.data import Training
from promotions.learners.double_ml import DoubleML
from promotions.learners.dr_learner import DRLearner
from promotions.learners.forest import HonestForest
from promotions.learners.meta import SLearner, TLearner, XLearner
from promotions.learners.r_learner import RLearner
from promotions.learners.transformed_outcome import TransformedOutcome
from promotions.learners.uplift_forest import UpliftForest


class Learner(Protocol):
    """Estimates the conditional average treatment effect τ(x) = E[Y(1) − Y(0) | x]."""

    def fit(self, train: Training) -> "Learner":
        """Learn from one experiment's training customers."""
        ...

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """τ̂(x) for each row of ``features``, (n,)."""
        ...


# A learner is made from its own section of params.yaml, a seed and a number of threads.
LEARNERS: dict[str, Callable[..., Learner]] = {
    "s_learner": SLearner,
    "t_learner": TLearner,
    "x_learner": XLearner,
    "dr_learner": DRLearner,
    "r_learner": RLearner,
    "double_ml": DoubleML,
    "causal_forest": HonestForest,
    "transformed_outcome": TransformedOutcome,
    "uplift_forest": UpliftForest,
}


def make_learner(name: str, params: Mapping[str, Any] | None, seed: int, threads: int) -> Learner:
    """An unfitted learner. Raises InputError for an unknown name, or a parameter that the learner does not have."""
    if name not in LEARNERS:
        raise InputError(f"learners.{name} is unknown; it is one of {', '.join(LEARNERS)}")
    factory = LEARNERS[name]
    known = [key for key in inspect.signature(factory).parameters if key not in ("seed", "threads")]
    for key in params or {}:
        if key not in known:
            raise InputError(f"learners.{name}.{key} is unknown; the keys are {', '.join(known) or 'none'}")
    return factory(**(params or {}), seed=seed, threads=threads)


def cross_fit(
    make: Callable[[], Learner], train: Training, progress: Callable[[], object] = lambda: None
) -> tuple[NDArray[np.float64], Learner]:
    """Out-of-fold predictions on the training customers, and the learner fitted to all of them.

    make: an unfitted learner.  progress: called after each fit (folds + 1 of them).  Returns ((n,), learner).
    """
    predictions = np.empty(len(train.outcome))
    for fold in np.unique(train.fold):
        held_out = train.fold == fold
        predictions[held_out] = make().fit(train.rows(~held_out)).predict(train.features[held_out])
        progress()
    learner = make().fit(train)
    progress()
    return predictions, learner


__all__ = ["LEARNERS", "Learner", "Training", "cross_fit", "make_learner"]
