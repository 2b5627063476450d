"""How well a score ranks customers by their effect. Every definition averages over ties, so rows have no order.

Notation: Γ_i is the (doubly robust) score of customer i's effect, customers are sorted by priority from highest to
lowest, and TOC(q) = E[Γ | among the first share q] − E[Γ].

These are what we report: per customer, in units of the outcome, with intervals. Of the same names elsewhere, made of
the seen outcomes of the two arms, are those in ``promotions.evaluation.arms``; ``docs/definitions.md`` sets them side
by side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from promotions.evaluation.value import Estimate
from promotions.inference import Z_95, clustered_error, one_sided_p_value


@dataclass(frozen=True)
class Linearised:
    """An estimate that is the truth plus Σ_i ψ_i but for what vanishes faster than 1/√n. influence: (n,) ψ, E ψ = 0."""

    value: float
    influence: NDArray[np.float64]

    def error(self, clusters: NDArray[np.intp]) -> float:
        """Cluster-robust standard error."""
        return clustered_error(self.influence, clusters)

    def estimate(self, clusters: NDArray[np.intp]) -> Estimate:
        """With its normal 95 % interval."""
        error = self.error(clusters)
        return Estimate(self.value, self.value - Z_95 * error, self.value + Z_95 * error)

    def p_value(self, clusters: NDArray[np.intp]) -> float:
        """One-sided: H₀ truth ≤ 0 against > 0. Near 1 for what is clearly below 0."""
        return one_sided_p_value(self.value, self.error(clusters))


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


# What ranks n customers: a number each, the highest first; or its ties, for who has found them already.
Priority: TypeAlias = "NDArray[np.float64] | Ties"


def find_ties(priority: Priority) -> Ties:
    """Group customers by priority. Ties are what they are."""
    if isinstance(priority, Ties):
        return priority
    _, ascending, counts = np.unique(priority, return_inverse=True, return_counts=True)
    stop = np.cumsum(counts[::-1])
    return Ties(len(counts) - 1 - ascending, stop - counts[::-1], stop)


def autoc(effect: NDArray[np.float64], priority: Priority, clusters: NDArray[np.intp]) -> Estimate:
    """AUTOC = ∫₀¹ TOC(q) dq: the rank-weighted average treatment effect with logarithmic weights.

    Sample version (1/n) Σ_i Γ_i (H_n − H_{i−1} − 1), H the harmonic numbers and weights averaged over ties. 0 for a
    score that says nothing, and exactly 0 for a constant one. τ = score ~ N(0, 1) gives .9032.
    Source: Yadlowsky, Fleming, Shah, Brunskill & Wager (2025), "Evaluating treatment prioritization rules via RATE".

    effect: (n,) Γ.  priority: (n,).  clusters: (n,) codes.  The interval is normal, its standard error cluster-robust
    from the influence function, the estimation of the ranks included. Its logarithmic weights feel heavy tails among
    the best: with a lognormal effect and little noise it covered 91 % of 5,000 and 94 % of 200,000 customers.
    """
    return linearised_autoc(effect, priority).estimate(clusters)


def autoc_p_value(effect: NDArray[np.float64], priority: Priority, clusters: NDArray[np.intp]) -> float:
    """One-sided p-value of AUTOC: H₀ ≤ 0 (the score finds nobody who gains more) against > 0.

    A harmful ranking has a p-value near 1, a constant score exactly 1. Arguments as ``autoc``.
    """
    return linearised_autoc(effect, priority).p_value(clusters)


def linearised_autoc(effect: NDArray[np.float64], priority: Priority) -> Linearised:
    """AUTOC with the influence of each customer: for differences of scores, and bands over many."""
    n = len(effect)
    harmonic = np.cumsum(1 / np.arange(1, n + 1))
    by_position = harmonic[-1] - np.concatenate([[0.0], harmonic[:-1]]) - 1
    return _rate(effect, priority, by_position, lambda share: -np.log(share) - 1)


def qini(effect: NDArray[np.float64], priority: Priority, clusters: NDArray[np.intp]) -> Estimate:
    """QINI = ∫₀¹ q·TOC(q) dq: the area between the Qini curve and the diagonal, per customer.

    Sample version (1/n) Σ_i Γ_i ((n − i + 1)/n − (n + 1)/(2n)), weights averaged over ties. τ = score ~ N(0, 1) gives
    .2821. This is grf's definition; packages that divide by the area of a perfect ranking report a larger number.
    Source: Yadlowsky et al. (2025), with Radcliffe (2007) for the curve. Arguments as ``autoc``.
    """
    return linearised_qini(effect, priority).estimate(clusters)


def qini_p_value(effect: NDArray[np.float64], priority: Priority, clusters: NDArray[np.intp]) -> float:
    """One-sided p-value of QINI: H₀ ≤ 0 against > 0. As ``autoc_p_value``."""
    return linearised_qini(effect, priority).p_value(clusters)


def linearised_qini(effect: NDArray[np.float64], priority: Priority) -> Linearised:
    """QINI with the influence of each customer."""
    n = len(effect)
    by_position = (n - np.arange(n)) / n - (n + 1) / (2 * n)
    return _rate(effect, priority, by_position, lambda share: 0.5 - share)


def auuc(effect: NDArray[np.float64], priority: Priority, clusters: NDArray[np.intp]) -> Estimate:
    """AUUC = ∫₀¹ Q(q) dq = QINI + Γ̄/2: the area under the gain curve, per customer. Q: ``gain_curve``.

    The mean outcome gained if a share drawn at random from [0, 1] is treated, the best first. A random order has Γ̄/2,
    not 0. Source: Gutierrez & Gérardy (2017). Arguments as ``autoc``.
    """
    above, mean = linearised_qini(effect, priority), float(effect.mean())
    return Linearised(above.value + mean / 2, above.influence + (effect - mean) / (2 * len(effect))).estimate(clusters)


def _rate(
    effect: NDArray[np.float64],
    priority: Priority,
    by_position: NDArray[np.float64],
    weight_at: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Linearised:
    """Σ w(rank)·Γ / n and its influence function.

    by_position: (n,) weights of the positions 1 … n.  weight_at: their limit, w of the share ranked above.

    A tie between the shares a and b of the ranking has the weight W = ∫ₐᵇ w / (b − a). The influence of a customer is
    its own weighted score, and its pull on the weights of others through a and b: it moves b of its own tie and of
    every tie below, at a rate of (w(b) − W)/(b − a) each, and a of the ties below, at (W − w(a))/(b − a). Without ties
    that tends to w'. Centred; summed by cluster.
    """
    n = len(effect)
    ties = find_ties(priority)
    # Exactly, not but for rounding: the error would be as small, and their ratio anything.
    if len(ties.stop) == 1 or np.ptp(effect) == 0:
        return Linearised(0.0, np.zeros(n))
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
    return Linearised(value, (weight * centred - value + pull - pull.mean()) / n)


def gain_curve(effect: NDArray[np.float64], priority: Priority, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Qini curve: incremental outcome per customer of treating the best share q, Q(q) = (1/n) Σ_{first qn} Γ_i.

    Within a tie it is the straight line of a random order. shares: (k,) in [0, 1]. Returns (k,).
    """
    ties = find_ties(priority)
    by_group = np.bincount(ties.group, weights=effect, minlength=len(ties.stop))
    n = len(effect)
    ends = np.concatenate([[0], ties.stop]) / n
    return np.interp(shares, ends, np.concatenate([[0.0], np.cumsum(by_group)]) / n)


def uplift_at(effect: NDArray[np.float64], priority: Priority, share: float) -> float:
    """uplift@k: mean effect among the best ``share`` of customers, Q(k)/k of ``gain_curve``."""
    return float(gain_curve(effect, priority, np.array([share]))[0] / share)


@dataclass(frozen=True)
class RankGroups:
    """Parts of a ranking between ``edges``, shares 0 … 1 of the customers from the best down.

    A tie that spans an edge belongs to both parts, in proportion. above: (n, edges) share of each customer that lies
    above each edge.
    """

    ties: Ties
    edges: NDArray[np.float64]
    above: NDArray[np.float64]

    @classmethod
    def between(cls, priority: Priority, edges: NDArray[np.float64]) -> "RankGroups":
        """The parts between ``edges`` (ascending, (parts + 1,))."""
        ties = find_ties(priority)
        size = ties.stop - ties.start
        reached = np.clip(edges * len(ties.group) - ties.start[:, None], 0, size[:, None]) / size[:, None]
        return cls(ties, edges, reached[ties.group])

    @classmethod
    def equal(cls, priority: Priority, groups: int) -> "RankGroups":
        """``groups`` equal parts."""
        return cls.between(priority, np.arange(groups + 1) / groups)

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean of ``values`` in each part. values: (n,).  Returns (parts,)."""
        return np.asarray(np.diff(values @ self.above) / len(values) / np.diff(self.edges))

    def means(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean of ``values`` in each part, and the influence of each customer on it.

        The part between the quantiles a and b of the population has the mean θ = (L(b) − L(a))/(b − a) with
        L(q) = E[v · 1{among the first q}]. The sample's edge at q is itself an estimate: a customer above it pushes
        one who stands at the edge, with v ≈ m(q), out of the first share, so its influence on L(q) is v − m(q) and not
        v (as of a Lorenz curve: Gastwirth, 1972). Without m the intervals are those of groups fixed in advance; the
        difference grows with the heterogeneity. m is the slope of the gain curve about q.

        values: (n,).  Returns (parts,), (n, parts).
        """
        n = len(values)
        # As far as the sample's edge strays, two standard deviations to either side: wider mixes ties that it does not
        # reach, narrower adds noise. At an end of the ranking there is nothing to push.
        width = 2 * np.sqrt(self.edges * (1 - self.edges) / n)
        width = np.minimum(width, np.minimum(self.edges, 1 - self.edges))
        ends = np.concatenate([self.edges - width, self.edges + width])
        low, high = np.split(gain_curve(values, self.ties, ends), 2)
        at_edge = np.divide(high - low, 2 * width, out=np.zeros_like(width), where=width > 0)
        share = np.diff(self.edges)
        pushed = self.above * (values[:, None] - at_edge)
        influence = np.diff(pushed - pushed.mean(axis=0), axis=1) / share / n
        return self.mean(values), influence


def uplift_by_group(
    effect: NDArray[np.float64], priority: Priority, clusters: NDArray[np.intp], groups: int
) -> list[Estimate]:
    """Mean effect in each of ``groups`` equal parts of the ranking, best part first, with cluster-robust intervals.

    A tie that spans a border belongs to both parts, in proportion. The intervals cover the means between the quantiles
    of the population (``RankGroups.means``).
    """
    means, influence = RankGroups.equal(priority, groups).means(effect)
    return [Linearised(float(mean), psi).estimate(clusters) for mean, psi in zip(means, influence.T, strict=True)]


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
