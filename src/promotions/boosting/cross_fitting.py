"""Predictions for customers whom the models behind them have not seen: each fold by models of the other folds."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from promotions.base.errors import InputError
from promotions.base.parallel import run_side_by_side
from promotions.boosting.binned import Binned
from promotions.boosting.settings import Boosting, is_binary

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def folds_in(fold: NDArray[Any]) -> list[int]:
    """The folds that have customers, ascending. Raises InputError if there are fewer than two."""
    folds = np.unique(fold)
    if len(folds) < 2:
        raise InputError(
            f"only {len(folds)} of the folds has training customers; the experiment is too small to cross-fit"
        )
    return [int(held) for held in folds]


def out_of_fold(
    fold: NDArray[Any],
    predict: Callable[[Bools], Floats],
    threads: int = 1,
    progress: Callable[[], object] = lambda: None,
) -> Floats:
    """The predictions of ``predict`` for every customer, (n, …).

    fold: (n,).  predict: gets who is held out, a mask (n,), fits to the others and returns a row for each held out.
    ``threads`` folds at a time; progress: called after each.
    """
    held_out = [fold == held for held in np.unique(fold)]
    predicted = run_side_by_side([partial(predict, held) for held in held_out], threads, progress)
    values = np.empty((len(fold), *predicted[0].shape[1:]))
    for held, part in zip(held_out, predicted, strict=True):
        values[held] = part
    return values


def means_after(
    counts: Sequence[int],
    table: Binned,
    features: Floats,
    target: NDArray[Any],
    fold: NDArray[Any],
    model: Boosting,
    seed: int,
    threads: int = 1,
    progress: Callable[[], object] = lambda: None,
    learning: Bools | None = None,
) -> Floats:
    """E[target | x] of each customer from boosted trees of the other folds, by how many trees are used, (n, counts).

    One fit a fold serves all counts, as the first k trees of a fit are what a fit of k trees would be. A target of 0
    and 1 is fitted by cross-entropy, and chances are predicted; any other by squared error.

    counts: ascending, used in place of ``model.trees``.  table: the binned ``features``, (n, p).  target, fold: (n,).
    learning: (n,), who may be learned from; everybody if None.  progress: called after each fit.
    """
    binary, largest = is_binary(target), replace(model, trees=counts[-1])

    def without(held: Bools) -> Floats:
        rows = ~held if learning is None else ~held & learning
        booster = table.rows(rows).fit(largest, target[rows], seed=seed, binary=binary)
        inside = features[held]
        # The sums of the trees up to the first count, from there to the second, and so on; none is computed twice.
        steps = [
            booster.predict(inside, start_iteration=start, num_iteration=end - start, raw_score=True, num_threads=1)
            for start, end in zip((0, *counts[:-1]), counts, strict=True)
        ]
        scores = np.cumsum(steps, axis=0).T
        # As numpy's exp differs between processors.
        return expit(scores) if binary else scores

    return out_of_fold(fold, without, threads, progress)
