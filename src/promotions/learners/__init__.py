"""CATE learners behind one small protocol: ``fit(train) → predict(features)``."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from promotions.base.names import ENSEMBLE
from promotions.base.parallel import run_side_by_side
from promotions.base.registry import make
from promotions.learners.data import Training


class Learner(Protocol):
    """Estimates the conditional average treatment effect τ(x) = E[Y(1) − Y(0) | x].

    The ``entry`` of its class is its name in params.yaml. Its constructor takes the keys of that entry, a seed and,
    optionally, ``key``: the entry's name in error messages.

    A learner may set ``cross_fits_itself = True``. After ``fit`` it then has ``out_of_fold_``, (n,): the effect of each
    training customer from models that have not seen that customer's outcome, such as the trees grown without it.
    """

    def fit(self, train: Training) -> "Learner":
        """Learn from one experiment's training customers."""
        ...

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """τ̂(x) for each row of ``features``, (n,)."""
        ...

    def save(self, folder: Path) -> None:
        """Write what was learned into ``folder``, which exists, as text that holds no code."""
        ...


def _learners() -> dict[str, Callable[..., Learner]]:
    """The classes of this folder's modules that have an ``entry``, by that name."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__) if not module.ispkg]
    return {
        vars(each)["entry"]: each
        for module in modules
        for each in vars(module).values()
        if isinstance(each, type) and "entry" in vars(each) and each.__module__ == module.__name__
    }


# A new learner is a module here and an entry of params.yaml: nothing lists it a second time.
LEARNERS = _learners()
# No learner may have these names: they appear beside learners in folders, tables or figures.
RESERVED = (ENSEMBLE, "nuisance", "policy", "customer_id", "oracle", "random", "treat_all", "treat_none")


def make_learner(name: str, params: Mapping[str, Any] | None, seed: int) -> Learner:
    """An unfitted learner, of the class that its entry of params.yaml names. Raises InputError, see ``make``."""
    return make(LEARNERS, name, params, "learners", taken=RESERVED, seed=seed)


def count_fits(learner: Learner, folds: int) -> int:
    """Number of fits in ``cross_fit``: one without each fold and one to all customers, or the latter alone."""
    return 1 if _cross_fits_itself(learner) else folds + 1


def cross_fit(
    make: Callable[[], Learner], train: Training, threads: int = 1, progress: Callable[[], object] = lambda: None
) -> tuple[NDArray[np.float64], Learner]:
    """Out-of-fold predictions on the training customers, and the learner fitted to all of them.

    All fits share the bins and the outcome models of ``train``; all else is learned without the held-out fold.
    make: an unfitted learner.  threads: fits side by side.  progress: called after each fit, see ``count_fits``.
    Returns ((n,), learner).
    """
    learner = make()
    if _cross_fits_itself(learner):
        fitted_to_all = learner.fit(train)
        progress()
        return np.asarray(getattr(fitted_to_all, "out_of_fold_"), dtype=np.float64), fitted_to_all  # noqa: B009
    held_out = [train.fold == fold for fold in np.unique(train.fold)]
    # Made here, so that no two fits make them at once.
    _ = train.binned, train.binned_with_treatment

    def without(held: NDArray[np.bool_]) -> Learner:
        return make().fit(train.rows(~held))

    # The largest fit starts first, so that the others do not end up waiting for it.
    fits = [partial(learner.fit, train), *(partial(without, held) for held in held_out)]
    fitted = run_side_by_side(fits, threads, progress)
    predictions = np.empty(len(train.outcome))
    for held, fold_learner in zip(held_out, fitted[1:], strict=True):
        predictions[held] = fold_learner.predict(train.features[held])
    return predictions, fitted[0]


def _cross_fits_itself(learner: Learner) -> bool:
    return bool(getattr(learner, "cross_fits_itself", False))


__all__ = ["LEARNERS", "Learner", "Training", "count_fits", "cross_fit", "make_learner"]
