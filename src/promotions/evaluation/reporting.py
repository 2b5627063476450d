"""The customers whose numbers are reported, and what is known about them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.economics import Economics
from promotions.evaluation.arms import Arms
from promotions.evaluation.segments import rank_within
from promotions.scores import Scores


@dataclass(frozen=True)
class Truth:
    """A simulation's truth about n customers: mean outcomes of the arms (n, 2)."""

    means: NDArray[np.float64]

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> "Truth":
        """From the columns mu0 and tau of data/truth/customers.parquet."""
        mu0, tau = frame["mu0"].to_numpy(np.float64), frame["tau"].to_numpy(np.float64)
        return cls(np.column_stack([mu0, mu0 + tau]))

    @property
    def effect(self) -> NDArray[np.float64]:
        """True effect of each customer, (n,)."""
        return np.asarray(self.means[:, 1] - self.means[:, 0])

    def profit(self, treat: NDArray[np.bool_], economics: Economics) -> float:
        """True profit per customer of a policy."""
        profits = economics.profits(self.means)
        return float(np.where(treat, profits[:, 1], profits[:, 0]).mean())

    def oracle_profit(self, economics: Economics) -> float:
        """True profit per customer of treating exactly the customers for whom it pays."""
        return float(economics.profits(self.means).max(axis=1).mean())


@dataclass(frozen=True)
class Reporting:
    """n customers that nothing was fitted to.

    arms: what is observed of them.  clusters: (n,) codes.  treated_outcome: (n,) μ₁(x).  segment: (n,) number of the
    fit that predicts each customer.  truth: None where it is unknown.
    """

    arms: Arms
    scores: Scores
    economics: Economics
    clusters: NDArray[np.intp]
    treated_outcome: NDArray[np.float64]
    segment: NDArray[np.integer]
    truth: Truth | None = None

    def priority(self, prediction: NDArray[np.float64]) -> NDArray[np.float64]:
        """Customers' priorities by a prediction: itself or, if it comes from several fits, places within segments."""
        return rank_within(prediction, self.segment) if np.ptp(self.segment) > 0 else prediction
