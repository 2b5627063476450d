"""CATE learners behind one small protocol: ``fit(train) → predict(features)``."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
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
from promotions.parallel import run_side_by_side


class Learner(Protocol):
    """Estimates the conditional average treatment effect τ(x) = E[Y(1) − Y(0) | x]."""

    def fit(self, train: Training) -> "Learner":
        """Learn from one experiment's training customers."""
        ...

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """τ̂(x) for each row of ``features``, (n,)."""
        ...


# A learner is made from its own section of params.yaml and a seed.
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


def make_learner(name: str, params: Mapping[str, Any] | None, seed: int) -> Learner:
    """An unfitted learner. Raises InputError for an unknown name, and for an unknown or missing parameter."""
    if name not in LEARNERS:
        raise InputError(f"learners.{name} is unknown; it is one of {', '.join(LEARNERS)}")
    factory = LEARNERS[name]
    known = [key for key in inspect.signature(factory).parameters if key != "seed"]
    given = {} if params is None else params
    if not isinstance(given, Mapping):
        raise InputError(f"learners.{name}: expected the keys {', '.join(known)}, got {given!r}")
    wrong = [f"{key} is unknown" for key in given if key not in known]
    wrong += [f"{key} is missing" for key in known if key not in given]
    if wrong:
        raise InputError(f"learners.{name}.{wrong[0]}; the keys of learners.{name} are {', '.join(known)}")
    return factory(**given, seed=seed)


def cross_fit(
    make: Callable[[], Learner], train: Training, threads: int = 1, progress: Callable[[], object] = lambda: None
) -> tuple[NDArray[np.float64], Learner]:
    """Out-of-fold predictions on the training customers, and the learner fitted to all of them.

    make: an unfitted learner.  threads: fits side by side.  progress: called after each fit (folds + 1 of them).
    Returns ((n,), learner).
    """
    held_out = [train.fold == fold for fold in np.unique(train.fold)]

    def without(held: NDArray[np.bool_]) -> Learner:
        return make().fit(train.rows(~held))

    nobody = np.zeros(len(train.fold), dtype=bool)
    # The largest fit first: it should not be the one that is waited for.
    fitted = run_side_by_side([partial(without, held) for held in (nobody, *held_out)], threads, progress)
    predictions = np.empty(len(train.outcome))
    for held, learner in zip(held_out, fitted[1:], strict=True):
        predictions[held] = learner.predict(train.features[held])
    return predictions, fitted[0]


__all__ = ["LEARNERS", "Learner", "Training", "cross_fit", "make_learner"]
