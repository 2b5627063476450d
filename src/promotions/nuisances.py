"""Outcome models of the two arms, cross-fitted on the training customers. Fitted once, used by learners and scores."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from promotions.boosting import Boosting, is_binary, make_regressor
from promotions.errors import InputError
from promotions.parallel import run_side_by_side


def fit_outcome_models(
    features: NDArray[np.float64],
    outcome: NDArray[np.float64],
    treatment: NDArray[np.int8],
    fold: NDArray[np.int8],
    others: NDArray[np.float64],
    model: Boosting,
    seed: int,
    threads: int = 1,
    progress: Callable[[], object] = lambda: None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """μ_a(x) = E[Y | x, T = a] for every customer from models that have not seen that customer.

    A training customer's prediction comes from the models of the other folds; one of ``others`` (select and final,
    which train nothing) gets the mean over all folds' models.

    features (n, p), outcome, treatment, fold (n,): training customers.  others (m, p).
    Returns (n, 2) and (m, 2), column a for arm a.  progress: called after each of 2 × folds fits.
    """
    binary = is_binary(outcome)
    folds = np.unique(fold)
    if len(folds) < 2:
        raise InputError(
            f"only {len(folds)} of the folds has training customers; the experiment is too small to cross-fit"
        )
    fits = [(held, arm) for held in folds for arm in (0, 1)]
    for held, arm in fits:
        left = int(((fold != held) & (treatment == arm)).sum())
        if left < 2:
            raise InputError(
                f"{left} training customers with treatment = {arm} are left to fit the outcome model of fold {held}; "
                "at least 2 are needed: the experiment is too small for split.folds and split.shares.train"
            )

    def fit(held: int, arm: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows = (fold != held) & (treatment == arm)
        regressor = make_regressor(model, binary=binary, seed=seed).fit(features[rows], outcome[rows])
        return regressor.predict(features[fold == held]), regressor.predict(others) if len(others) else np.zeros(0)

    inside, outside = np.empty((len(outcome), 2)), np.zeros((len(others), 2))
    predicted = run_side_by_side([partial(fit, held, arm) for held, arm in fits], threads, progress)
    for (held, arm), (to_held, to_others) in zip(fits, predicted, strict=True):
        inside[fold == held, arm] = to_held
        outside[:, arm] += to_others / len(folds)
    return inside, outside
