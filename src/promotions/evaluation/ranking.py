"""How well a score ranks customers by their effect. Every definition averages over ties, so rows have no order.

Notation: Γ_i is the (doubly robust) score of customer i's effect, customers are sorted by priority from highest to
lowest, and TOC(q) = E[Γ | among the first share q] − E[Γ].
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from promotions.evaluation.value import Estimate
from promotions.inference import Z_95, clustered_error


@dataclass(frozen=True)
class Ties:
    """Customers grouped by equal priority, highest first. group: (n,) code; start, stop: (groups,) positions 0 … n."""

    group: NDArray[np.intp]
    start: NDArray[np.intp]
    stop: NDArray[np.intp]

    def average(self, by_position: NDArray[np.float64]) -> NDArray[np.float64]:
        """A weight for each position 1 … n → a weight for each customer, averaged over ties."""
        total = np.concatenate([[0.0], np.cumsum(by_position)])
        return np.asarray(((total[self.stop] - total[self.start]) / (self.stop - self.start))[self.group])


def find_ties(priority: NDArray[np.float64]) -> Ties:
    """Group customers by priority."""
    _, ascending, counts = np.unique(priority, return_inverse=True, return_counts=True)
    stop = np.cumsum(counts[::-1])
    return Ties(len(counts) - 1 - ascending, stop - counts[::-1], stop)


def autoc(effect: NDArray[np.float64], priority: NDArray[np.float64], clusters: NDArray[np.intp]) -> Estimate:
    """AUTOC = ∫₀¹ TOC(q) dq: the rank-weighted average treatment effect with logarithmic weights.

    Sample version (1/n) Σ_i Γ_i (H_n − H_{i−1} − 1), H the harmonic numbers and weights averaged over ties. 0 for a
    score that says nothing, and exactly 0 for a constant one. τ = score ~ N(0, 1) gives .9032.
    Source: Yadlowsky, Fleming, Shah, Brunskill & Wager (2025), "Evaluating treatment prioritization rules via RATE".

    effect: (n,) Γ.  priority: (n,).  clusters: (n,) codes.  The interval is normal, its standard error cluster-robust
    from the influence function, the estimation of the ranks included.
    """
    n = len(effect)
    harmonic = np.cumsum(1 / np.arange(1, n + 1))
    by_position = harmonic[-1] - np.concatenate([[0.0], harmonic[:-1]]) - 1
    return _rate(effect, priority, clusters, by_position, lambda share: -np.log(share) - 1)


def qini(effect: NDArray[np.float64], priority: NDArray[np.float64], clusters: NDArray[np.intp]) -> Estimate:
    """QINI = ∫₀¹ q·TOC(q) dq: the area between the Qini curve and the diagonal, per customer.

    Sample version (1/n) Σ_i Γ_i ((n − i + 1)/n − (n + 1)/(2n)), weights averaged over ties. τ = score ~ N(0, 1) gives
    .2821. This is grf's definition; packages that divide by the area of a perfect ranking report a larger number.
    Source: Yadlowsky et al. (2025), with Radcliffe (2007) for the curve. Arguments as ``autoc``.
    """
    n = len(effect)
    by_position = (n - np.arange(n)) / n - (n + 1) / (2 * n)
    return _rate(effect, priority, clusters, by_position, lambda share: 0.5 - share)


def _rate(
    effect: NDArray[np.float64],
    priority: NDArray[np.float64],
    clusters: NDArray[np.intp],
    by_position: NDArray[np.float64],
    weight_at: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Estimate:
    """Σ w(rank)·Γ / n and its influence-function interval.

    by_position: (n,) weights of the positions 1 … n.  weight_at: their limit, w of the share ranked above.

    A tie between the shares a and b of the ranking has the weight W = ∫ₐᵇ w / (b − a). The influence of a customer is
    its own weighted score, and its pull on the weights of others through a and b: it moves b of its own tie and of
    every tie below, at a rate of (w(b) − W)/(b − a) each, and a of the ties below, at (W − w(a))/(b − a). Without ties
    that tends to w'. Centred; summed by cluster.
    """
    n = len(effect)
    ties = find_ties(priority)
    if len(ties.stop) == 1:
        return Estimate(0.0, 0.0, 0.0)
    centred = effect - effect.mean()
    weight = ties.average(by_position)
    value = float((weight * centred).mean())

    above, below = ties.start / n, ties.stop / n
    tie_weight = weight[np.unique(ties.group, return_index=True)[1]]
    tie_effect = np.bincount(ties.group, weights=centred, minlength=len(ties.stop)) / n
    by_stop = tie_effect * (weight_at(below) - tie_weight) / (below - above)
    # The first tie begins at 0 whoever is in it.
    by_start = np.zeros(len(ties.stop))
    by_start[1:] = (tie_effect[1:] * (tie_weight[1:] - weight_at(above[1:]))) / (below - above)[1:]
    pull = (np.cumsum((by_stop + by_start)[::-1])[::-1] - by_start)[ties.group]
    influence = weight * centred - value + pull - pull.mean()
    error = clustered_error(influence / n, clusters)
    return Estimate(value, value - Z_95 * error, value + Z_95 * error)


def gain_curve(
    effect: NDArray[np.float64], priority: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Qini curve: incremental outcome per customer of treating the best share q, Q(q) = (1/n) Σ_{first qn} Γ_i.

    Within a tie it is the straight line of a random order. shares: (k,) in [0, 1]. Returns (k,).
    """
    ties = find_ties(priority)
    by_group = np.bincount(ties.group, weights=effect, minlength=len(ties.stop))
    n = len(effect)
    ends = np.concatenate([[0], ties.stop]) / n
    return np.interp(shares, ends, np.concatenate([[0.0], np.cumsum(by_group)]) / n)


def uplift_at(effect: NDArray[np.float64], priority: NDArray[np.float64], share: float) -> float:
    """uplift@k: mean effect among the best ``share`` of customers, Q(k)/k of ``gain_curve``."""
    return float(gain_curve(effect, priority, np.array([share]))[0] / share)


def uplift_by_group(
    effect: NDArray[np.float64], priority: NDArray[np.float64], clusters: NDArray[np.intp], groups: int
) -> list[Estimate]:
    """Mean effect in each of ``groups`` equal parts of the ranking, best part first, with cluster-robust intervals.

    A tie that spans a border belongs to both parts, in proportion.
    """
    n = len(effect)
    ties = find_ties(priority)
    edges = np.arange(groups + 1) * n / groups
    estimates = []
    for low, high in pairwise(edges):
        overlap = np.clip(np.minimum(ties.stop, high) - np.maximum(ties.start, low), 0, None)
        weight = (overlap / (ties.stop - ties.start))[ties.group]
        mean = float(weight @ effect / weight.sum())
        error = clustered_error(weight * (effect - mean) / weight.sum(), clusters)
        estimates.append(Estimate(mean, mean - Z_95 * error, mean + Z_95 * error))
    return estimates


def calibration_slope(effect: NDArray[np.float64], cate: NDArray[np.float64]) -> float:
    """Slope of the effect's score on the predicted effect, cov(Γ, ĉ)/var(ĉ): 1 if predictions are calibrated.

    Below 1 they are spread too wide, at 0 they say nothing. 0 for a constant prediction. Source: the best linear
    predictor of Chernozhukov, Demirer, Duflo & Fernández-Val (2018), with doubly robust scores.
    """
    centred = cate - cate.mean()
    spread = float(centred @ centred)
    return float(centred @ effect) / spread if np.ptp(cate) > 0 and spread > 0 else 0.0


def dr_score(effect: NDArray[np.float64], cate: NDArray[np.float64]) -> float:
    """1 − mean (Γ − ĉ)² / mean (Γ − mean Γ)²: gain over the best constant effect, an R² against noisy scores.

    Negative if a constant would have predicted better. Source: the R-score of Nie & Wager (2021), with doubly robust
    scores. 0 if the scores do not vary.
    """
    spread = float(np.var(effect))
    return float(1 - np.mean((effect - cate) ** 2) / spread) if spread > 0 else 0.0
