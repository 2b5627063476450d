"""Can a classifier tell the arms apart? Under randomisation it cannot."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from promotions.boosting.settings import Boosting, make_classifier
from promotions.soundness.balance import Arms

# Small and quick: it has to notice that arms differ, not describe how.
MODEL = Boosting(trees=40, leaves=8, learning_rate=0.1, min_leaf=100)
# A model learns from at most so many customers: more take time and hardly improve it. It ranks all customers.
ROWS = 50_000
DRAWS = 999


def assignment_test(
    matrix: NDArray[np.float64], arms: Arms, folds: NDArray[np.int8], rng: np.random.Generator
) -> tuple[float, float]:
    """Cross-validated AUC of treatment given features, and its p-value over assignments drawn from the design.

    The AUC is the mean over folds of the Mann–Whitney statistic within the fold (mid-ranks, so ties count half).
    Assignments are drawn by cluster if every cluster has one arm and one propensity, else by customer. Each model
    learns from a sample of ``ROWS`` customers of the other folds, or from all of them if they are fewer.
    """
    seed = int(rng.integers(2**31))
    fold_numbers = np.unique(folds)
    observed, drawn = 0.0, np.zeros(DRAWS)
    for fold in fold_numbers:
        inside, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(others) > ROWS:
            others = np.sort(rng.choice(others, ROWS, replace=False))
        if len(np.unique(arms.treatment[others])) < 2:
            return 0.5, 1.0
        model = make_classifier(MODEL, seed=seed)
        model.fit(matrix[others], arms.treatment[others])
        ranks = _centred_ranks(model.predict_proba(matrix[inside])[:, 1])
        observed += float(_auc(ranks, arms.treatment[None, inside])[0]) / len(fold_numbers)
        drawn_in_fold = _drawn_auc(ranks.astype(np.float32), arms.units[inside], arms.propensity[inside], rng)
        drawn += drawn_in_fold / len(fold_numbers)
    # Equal up to the rounding of float32 counts as a tie.
    p_value = (1 + int((drawn >= observed - 1e-7).sum())) / (1 + DRAWS)
    return observed, p_value


def _centred_ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mid-ranks less their mean, divided by their number: in (−½, ½), and 0 if all scores are the same."""
    size = len(scores)
    return np.asarray((stats.rankdata(scores) - (size + 1) / 2) / size, dtype=np.float64)


def _auc(ranks: NDArray[Any], assignments: NDArray[Any]) -> NDArray[np.float64]:
    """Mann–Whitney AUC of ``_centred_ranks`` (n,) for each row of 0/1 ``assignments`` (draws, n); one class gives ½.

    AUC = ½ + n Σ_{treated} r_i / (n_1 n_0): one product of matrices for all draws, in the precision of ``ranks``.
    """
    sums = assignments.astype(ranks.dtype) @ np.column_stack([ranks, np.ones_like(ranks)])
    positives = sums[:, 1].astype(np.float64)
    pairs = positives * (len(ranks) - positives)
    return 0.5 + len(ranks) * sums[:, 0].astype(np.float64) / np.where(pairs > 0, pairs, np.inf)


def _drawn_auc(
    ranks: NDArray[np.float32], units: NDArray[np.intp], propensity: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """(DRAWS,) AUCs of assignments drawn anew from the design, in blocks that bound memory."""
    codes = np.unique(units, return_inverse=True)[1]
    size = int(codes.max()) + 1
    block = max(1, 2**23 // len(ranks))
    aucs = []
    for start in range(0, DRAWS, block):
        luck = rng.random((min(block, DRAWS - start), size), dtype=np.float32)
        luck = luck if size == len(codes) else luck[:, codes]
        aucs.append(_auc(ranks, luck < propensity.astype(np.float32)))
    return np.concatenate(aucs)
