"""Chances of treatment without a design: estimated from features out of fold, compared with treatments."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from promotions.base.errors import InputError
from promotions.boosting.binned import Binned
from promotions.boosting.cross_fitting import folds_in, means_after
from promotions.boosting.settings import Boosting
from promotions.inference.clusters import sum_by_cluster
from promotions.inference.student import t_quantile

# The number of trees is chosen: few if treatment hardly depends on features, many if it depends on them strongly.
MODEL = Boosting(leaves=4, learning_rate=0.05, min_leaf=20, feature_share=0.7, row_share=0.7, l2=1.0)
COUNTS = (20, 50, 100, 200, 400)
BINS = 10
# The least standard deviation of log odds: chances that differ less, such as 0.49 and 0.51, have no useful slope.
SPREAD = 0.1
STEPS, CONVERGED = 50, 1e-10
# Estimates stay this far from 0 and 1, so that their log odds are finite.
LEAST = 1e-9


@dataclass(frozen=True)
class Calibration:
    """Are estimated chances right? See ``calibrate``; slope and bounds are None where chances hardly differ."""

    error: float
    error_by_chance: float
    slope: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None


def estimate_propensity(
    features: NDArray[np.float64],
    treatment: NDArray[np.int8],
    fold: NDArray[np.int8],
    seed: int,
    threads: int = 1,
    progress: Callable[[], object] = lambda: None,
) -> tuple[NDArray[np.float64], int]:
    """ê(x) = P(T = 1 | x) of every customer from models that have not seen that customer's fold, and the trees' number.

    Boosted trees of cross-entropy, with the number in ``COUNTS`` that has the least log loss out of fold; then
    ``recalibrated``, as trees that stop early shrink towards the mean. Outcomes are not used. No chance is clipped, so
    that a lack of overlap shows.

    features (n, p) without NaN; treatment, fold (n,).  Returns (n,) and the number.  progress: called after each fit,
    one a fold.  Raises InputError if there are fewer than two folds, or all folds but one hold one arm.
    """
    for held in folds_in(fold):
        arms = np.unique(treatment[fold != held])
        if len(arms) < 2:
            raise InputError(
                f"all training customers outside fold {held} have treatment = {arms[0]}; a propensity model needs "
                "both arms: the table is too small for its folds, or an arm is empty"
            )
    tried = means_after(
        COUNTS, Binned(features, threads=threads), features, treatment, fold, MODEL, seed, threads, progress
    )
    best = int(np.argmin([log_loss(treatment, chance) for chance in tried.T]))
    return recalibrated(treatment, tried[:, best], fold), COUNTS[best]


def log_loss(treatment: NDArray[np.int8], chance: NDArray[np.float64]) -> float:
    """−mean( T log ê + (1 − T) log(1 − ê) )."""
    inside = np.clip(chance, LEAST, 1 - LEAST)
    return float(-np.log(np.where(treatment == 1, inside, 1 - inside)).mean())


def recalibrated(
    treatment: NDArray[np.int8], chance: NDArray[np.float64], fold: NDArray[np.int8]
) -> NDArray[np.float64]:
    """1/(1 + exp(−a − b·logit ê)), with a and b of a logistic regression on the customers of the other folds, (n,).

    If the arms are so far apart that there is no such regression, ê stays unchanged. Source: Platt (1999).
    """
    log_odds = logit(np.clip(chance, LEAST, 1 - LEAST))
    recalibrated_chance = expit(log_odds)
    for held in np.unique(fold):
        inside = fold == held
        if (line := fit_logistic(treatment[~inside], log_odds[~inside])) is not None:
            recalibrated_chance[inside] = expit(line[0] + line[1] * log_odds[inside])
    return recalibrated_chance


def calibrate(treatment: NDArray[np.int8], chance: NDArray[np.float64], clusters: NDArray[np.intp]) -> Calibration:
    """Compare chances with treatments that the models behind them have not seen.

    slope: b in P(T = 1) = 1/(1 + exp(−a − b·logit ê)), 1 if chances are right, below 1 if they differ more between
    customers than treatment does; 95 % interval by the sandwich formula, clusters whole. Source: Cox (1958).
    error: Σ_k n_k/n |mean T − mean ê| over tenths of ê (customers of equal chance together).  error_by_chance: its mean
    if every ê were right and customers were treated independently of each other,
    Σ_k √(2/π · Σ_{i in k} ê_i(1 − ê_i)) / n. There is no slope where the standard deviation of logit ê is below
    ``SPREAD``.

    treatment, chance, clusters: (n,), chances in (0, 1), clusters codes 0 … G − 1.
    """
    edges = np.unique(np.quantile(chance, np.arange(1, BINS) / BINS))
    part = np.searchsorted(edges, chance, side="right")
    excess, variance = np.bincount(part, treatment - chance), np.bincount(part, chance * (1 - chance))
    error = float(np.abs(excess).sum() / len(chance))
    by_chance = float(np.sqrt(2 / np.pi * variance).sum() / len(chance))
    log_odds = logit(chance)
    line = fit_logistic(treatment, log_odds) if float(log_odds.std()) >= SPREAD else None
    if line is None:
        return Calibration(error, by_chance)
    expected = expit(line[0] + line[1] * log_odds)
    design = np.column_stack([np.ones_like(log_odds), log_odds])
    bread = np.linalg.inv((design.T * (expected * (1 - expected))) @ design)
    sums = sum_by_cluster(design * (treatment - expected)[:, None], clusters)
    freedom = max(len(sums) - 1, 1)
    variance_of_slope = len(sums) / freedom * float((bread @ (sums.T @ sums) @ bread)[1, 1])
    margin = t_quantile(0.975, freedom) * variance_of_slope**0.5
    return Calibration(error, by_chance, line[1], line[1] - margin, line[1] + margin)


def fit_logistic(treatment: NDArray[np.int8], log_odds: NDArray[np.float64]) -> tuple[float, float] | None:
    """Intercept a and slope b of P(T = 1) = 1/(1 + exp(−a − b·x)), by Newton's method.

    None if all x are the same, or separate the arms.
    """
    spread = float(log_odds.std())
    if spread <= LEAST:
        return None
    # In standard deviations from the mean, so that Newton's steps are well conditioned.
    design = np.column_stack([np.ones_like(log_odds), (log_odds - log_odds.mean()) / spread])
    coefficients = np.zeros(2)
    for _ in range(STEPS):
        expected = expit(design @ coefficients)
        hessian = (design.T * (expected * (1 - expected))) @ design
        if np.linalg.cond(hessian) > 1 / LEAST:
            return None
        step = np.linalg.solve(hessian, design.T @ (treatment - expected))
        coefficients += step
        if float(np.abs(step).max()) < CONVERGED:
            slope = float(coefficients[1]) / spread
            return float(coefficients[0]) - slope * float(log_odds.mean()), slope
    return None
