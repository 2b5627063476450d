"""Rankings of customers whose ties are averaged, so that no result depends on the order of rows."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray


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


# What ranks n customers: one number each, the highest first; or the ties of these numbers, if already computed.
Priority: TypeAlias = "NDArray[np.float64] | Ties"


def find_ties(priority: Priority) -> Ties:
    """Group customers by priority. ``Ties`` are returned unchanged."""
    if isinstance(priority, Ties):
        return priority
    _, ascending, counts = np.unique(priority, return_inverse=True, return_counts=True)
    stop = np.cumsum(counts[::-1])
    return Ties(len(counts) - 1 - ascending, stop - counts[::-1], stop)


def gain_curve(effect: NDArray[np.float64], priority: Priority, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Qini curve: incremental outcome per customer of treating the best share q, Q(q) = (1/n) Σ_{first qn} Γ_i.

    Within a tie it is the straight line of a random order. shares: (k,) in [0, 1]. Returns (k,).
    """
    ties = find_ties(priority)
    by_group = np.bincount(ties.group, weights=effect, minlength=len(ties.stop))
    n = len(effect)
    ends = np.concatenate([[0], ties.stop]) / n
    return np.interp(shares, ends, np.concatenate([[0.0], np.cumsum(by_group)]) / n)


@dataclass(frozen=True)
class RankGroups:
    """Parts of a ranking between ``edges``: shares 0 … 1 of the customers, the best first.

    A tie that spans an edge belongs to both parts, in proportion. above: (n, edges) share of each customer above each
    edge.
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
        another one at the edge, with v ≈ m(q), out of the first share. So its influence on L(q) is v − m(q), not v (as
        for a Lorenz curve: Gastwirth, 1972). Without m the intervals are those of groups fixed in advance; the
        difference grows with the heterogeneity. m is the slope of the gain curve near q.

        values: (n,).  Returns (parts,), (n, parts).
        """
        n = len(values)
        # The sample's edge strays two standard deviations to either side. A larger width mixes in ties that it does not
        # reach, a smaller one adds noise. At an end of the ranking there is nothing to push.
        width = 2 * np.sqrt(self.edges * (1 - self.edges) / n)
        width = np.minimum(width, np.minimum(self.edges, 1 - self.edges))
        ends = np.concatenate([self.edges - width, self.edges + width])
        low, high = np.split(gain_curve(values, self.ties, ends), 2)
        at_edge = np.divide(high - low, 2 * width, out=np.zeros_like(width), where=width > 0)
        share = np.diff(self.edges)
        pushed = self.above * (values[:, None] - at_edge)
        influence = np.diff(pushed - pushed.mean(axis=0), axis=1) / share / n
        return self.mean(values), influence
