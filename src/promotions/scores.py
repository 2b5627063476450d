"""Scores of the outcome in each arm: they stand in for the two outcomes, of which only one was observed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scores:
    """For n customers and arms 0, 1, each (n, 2):

    weight  1{T=a}/e_a              e_a: the design's probability of arm a, or a cross-fitted estimate of it
    ips     weight · Y              unbiased for E[Y(a) | x]: Horvitz & Thompson (1952)
    dr      μ_a(x) + weight · (Y − μ_a(x))   doubly robust: Robins, Rotnitzky & Zhao (1994); Athey & Wager (2021)

    They score the outcome, so profit for any cost and revenue is linear in them. With an estimated e, standard errors
    of means of ``dr`` hold, as the errors of e and of μ multiply; those of means of ``ips`` do not.
    """

    weight: NDArray[np.float64]
    ips: NDArray[np.float64]
    dr: NDArray[np.float64]

    @property
    def effect(self) -> NDArray[np.float64]:
        """Doubly robust score of the effect, Γ₁ − Γ₀, (n,)."""
        return np.asarray(self.dr[:, 1] - self.dr[:, 0])

    def rows(self, chosen: NDArray[np.bool_]) -> "Scores":
        """The scores of the customers in the mask ``chosen``, (n,)."""
        return Scores(self.weight[chosen], self.ips[chosen], self.dr[chosen])

    def to_frame(self) -> pd.DataFrame:
        """Columns weight_0, weight_1, ips_0, …, dr_1."""
        arrays = {"weight": self.weight, "ips": self.ips, "dr": self.dr}
        return pd.DataFrame({f"{name}_{arm}": values[:, arm] for name, values in arrays.items() for arm in (0, 1)})

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> "Scores":
        """The scores that ``to_frame`` wrote."""
        return cls(*(frame[[f"{name}_0", f"{name}_1"]].to_numpy(np.float64) for name in ("weight", "ips", "dr")))


def make_scores(
    outcome: NDArray[np.float64],
    treatment: NDArray[np.int8],
    propensity: NDArray[np.float64],
    mu0: NDArray[np.float64],
    mu1: NDArray[np.float64],
) -> Scores:
    """Scores of customers whose μ₀(x), μ₁(x) come from models that have not seen them.

    The propensity is used as is, never clipped: the design's, or estimated by models that have not seen the customer
    (``promotions.soundness.observational``). All arrays (n,).
    """
    arms = np.column_stack([1 - propensity, propensity])
    seen = treatment[:, None] == np.array([0, 1])
    weight = seen / arms
    mu = np.column_stack([mu0, mu1])
    return Scores(weight=weight, ips=weight * outcome[:, None], dr=mu + weight * (outcome[:, None] - mu))
