"""Outcome models of the two arms, cross-fitted on the training customers.

Fitted once, on features that are binned once; learners and scores share them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.base.parallel import run_side_by_side
from promotions.boosting.binned import Binned
from promotions.boosting.cross_fitting import folds_in
from promotions.boosting.files import broken, read_boosters, read_model, write_model
from promotions.boosting.settings import Boosting, is_binary, predict

ARMS = ("control", "treated")


@dataclass(frozen=True)
class OutcomeModels:
    """The models behind cross-fitted outcomes: ``boosters[k]`` are those of both arms that have not seen fold k.

    folds: which they are, ascending.  boosters: (control, treated) for each, lightgbm.Boosters.
    """

    folds: tuple[int, ...]
    boosters: tuple[tuple[Any, Any], ...]

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """μ_a(x) of customers whom no model has seen, (m, 2): the mean over folds."""
        mean = np.zeros((len(features), 2))
        for pair in self.boosters:
            mean += np.column_stack([predict(booster, features) for booster in pair]) / len(self.boosters)
        return mean

    def unseen(self, fold: NDArray[np.int8], chosen: NDArray[np.bool_]) -> "OutcomeModels | None":
        """The models that learned from ``chosen`` customers alone; None if there are none.

        If ``chosen`` leaves out one fold, that fold's pair remains: it alone has not seen the fold.
        """
        kept = [position for position, held in enumerate(self.folds) if chosen[fold != held].all()]
        if not kept:
            return None
        return OutcomeModels(tuple(self.folds[k] for k in kept), tuple(self.boosters[k] for k in kept))

    def save(self, folder: Path) -> None:
        """Write model.json and the boosters' text to ``folder``, which exists."""
        files = {
            f"fold_{held}_{name}.txt": booster
            for held, pair in zip(self.folds, self.boosters, strict=True)
            for name, booster in zip(ARMS, pair, strict=True)
        }
        write_model(folder, {"kind": "outcome_models", "folds": list(self.folds)}, files)

    @classmethod
    def load(cls, folder: Path) -> "OutcomeModels":
        """What ``save`` wrote. Raises InputError if it is another kind, incomplete or changed."""
        document = read_model(folder, ("outcome_models",), ("folds",))
        files, folds = read_boosters(folder, document), document["folds"]
        names = [[f"fold_{held}_{name}.txt" for name in ARMS] for held in folds] if isinstance(folds, list) else []
        if not names or any(name not in files for pair in names for name in pair):
            raise broken(folder, "without the models of both arms for each of its folds")
        return cls(tuple(int(held) for held in folds), tuple((files[zero], files[one]) for zero, one in names))


@dataclass(frozen=True)
class CrossFitted:
    """Cross-fitted outcome models and what they predict, column a for arm a.

    inside (n, 2): training customers, each by the models that have not seen that customer.  outside (m, 2): others.
    """

    inside: NDArray[np.float64]
    outside: NDArray[np.float64]
    models: OutcomeModels


def cross_fit_outcomes(
    features: NDArray[np.float64],
    outcome: NDArray[np.float64],
    treatment: NDArray[np.int8],
    fold: NDArray[np.int8],
    others: NDArray[np.float64],
    model: Boosting,
    seed: int,
    threads: int = 1,
    progress: Callable[[], object] = lambda: None,
) -> CrossFitted:
    """μ_a(x) = E[Y | x, T = a] for every customer from models that have not seen that customer.

    A training customer's prediction comes from the models of the other folds; one of ``others`` (select and final,
    which train nothing) gets the mean over all folds' models.

    features (n, p), outcome, treatment, fold (n,): training customers.  others (m, p).
    progress: called after each of 2 × folds fits.  Raises InputError if there is too little to fit to.
    """
    binary = is_binary(outcome)
    folds = folds_in(fold)
    fits = [(held, arm) for held in folds for arm in (0, 1)]
    for held, arm in fits:
        left = int(((fold != held) & (treatment == arm)).sum())
        if left < 2:
            raise InputError(
                f"{left} training customers with treatment = {arm} are left to fit the outcome model of fold {held}; "
                "at least 2 are needed: the experiment is too small for split.folds and split.shares.train"
            )
    binned = Binned(features, threads=threads)

    def fit(held: int, arm: int) -> tuple[Any, NDArray[np.float64], NDArray[np.float64]]:
        rows = (fold != held) & (treatment == arm)
        booster = binned.rows(rows).fit(model, outcome[rows], seed=seed, binary=binary)
        return booster, predict(booster, features[fold == held]), predict(booster, others)

    inside, outside = np.empty((len(outcome), 2)), np.zeros((len(others), 2))
    fitted = run_side_by_side([partial(fit, held, arm) for held, arm in fits], threads, progress)
    for (held, arm), (_, to_held, to_others) in zip(fits, fitted, strict=True):
        inside[fold == held, arm] = to_held
        outside[:, arm] += to_others / len(folds)
    boosters = [booster for booster, _, _ in fitted]
    pairs = tuple(zip(boosters[::2], boosters[1::2], strict=True))
    return CrossFitted(inside, outside, OutcomeModels(tuple(folds), pairs))
