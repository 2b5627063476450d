"""Scores of profit at every level of a discount that was drawn by lot, and what a rule is worth by them.

Source: Robins, Rotnitzky & Zhao (1994); of many treatments Cattaneo (2010).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DoseScores:
    """What stands in for the profit of n customers at all of the L levels, each of whom got one.

    share (L,): e, of the design.  level (n,): position D of the level that a customer got.  profit (n,): Y, money.
    model (n, L): μ(x, l), the profit that a model expects; 0 for inverse propensity scores.
    """

    share: Floats
    level: NDArray[np.intp]
    profit: Floats
    model: Floats

    def rows(self, chosen: NDArray[np.intp]) -> "DoseScores":
        """The scores of some customers."""
        return DoseScores(self.share, self.level[chosen], self.profit[chosen], self.model[chosen])

    def without_model(self) -> "DoseScores":
        """Inverse propensity scores."""
        return DoseScores(self.share, self.level, self.profit, np.zeros_like(self.model))

    def weights(self, given: NDArray[np.bool_]) -> Floats:
        """1{D in S}/e(S), S the levels that the rule gives to the customer and e(S) their share; (n,)."""
        return given[np.arange(len(given)), self.level] / (given @ self.share)

    def value(self, given: NDArray[np.bool_]) -> "tuple[float, Floats]":
        """Profit per customer of a rule that gives the levels S, and its influence ψ: value = truth + Σ_i ψ_i.

        Each customer scores Σ_{l in S} e_l μ(x, l)/e(S) + 1{D in S}/e(S)·(Y − μ(x, D)): unbiased whatever μ is, as D
        was drawn by lot; Robins, Rotnitzky & Zhao (1994), of many treatments Cattaneo (2010). The shares e are counted
        on the same customers, which turns the inverse propensity score of a level into the mean of its customers. ψ
        accounts for this, else the interval would be that of a less precise estimate: with g_l the derivative of the
        mean score by e_l, n·ψ_i = score_i − V + g_{D_i} − Σ_l e_l g_l.

        given: (n, L) boolean, at least one level a customer.
        """
        n, rows = len(self.level), np.arange(len(self.level))
        total = given @ self.share
        expected = (given * self.model) @ self.share / total
        residual = given[rows, self.level] * (self.profit - self.model[rows, self.level])
        score = expected + residual / total
        by_share = (given * (self.model - (expected + residual / total)[:, None]) / total[:, None]).mean(axis=0)
        value = float(score.mean())
        return value, (score - value + by_share[self.level] - self.share @ by_share) / n
