"""The customers that a rule decides on."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.economics import Economics


@dataclass(frozen=True)
class Audience:
    """What rules see of n customers, except their effects.

    ids: (n,).  frame: the columns of their table, n rows.  features: (n, p), encoded.  outcomes: (n, 2), μ₀(x) and
    μ₁(x) from models that have not seen them.  economics: what a contact costs and a response earns.
    """

    ids: NDArray[np.object_]
    frame: pd.DataFrame
    features: NDArray[np.float64]
    outcomes: NDArray[np.float64]
    economics: Economics

    def gain(self, cate: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected profit of treating over not treating, (n,)."""
        return self.economics.expected_gain(cate, self.outcomes[:, 1])

    @property
    def charge(self) -> NDArray[np.float64]:
        """Expected cost of treating, (n,)."""
        return self.economics.expected_charge(self.outcomes[:, 1])
