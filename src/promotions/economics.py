"""What a contact costs and a response earns, and so what an arm is worth."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from promotions.base.errors import InputError
from promotions.base.validation import require_choice, require_keys
from promotions.customers import LARGEST

CHARGED = ("on_treatment", "on_response")
KEYS = ("cost_per_treatment", "revenue_per_response", "charged")


@dataclass(frozen=True)
class Economics:
    """Money per customer.

    cost (C) is paid for a treated customer, or with ``charged="on_response"`` only if that customer responds (a coupon
    that costs money when it is redeemed). revenue (R) is earned per unit of outcome. Scalars, or one value a customer.
    """

    cost: float | NDArray[np.float64]
    revenue: float | NDArray[np.float64]
    charged: str = "on_treatment"

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> "Economics":
        """Read the section ``costs``. Raises InputError."""
        require_keys(params, KEYS, "costs")
        for name in KEYS[:2]:
            value = params[name]
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise InputError(f"costs.{name}: expected a number, money per customer, got {value!r}")
            if not 0 <= value <= LARGEST:
                raise InputError(
                    f"costs.{name}: expected 0 or more (up to {LARGEST:g}), money per customer, got {value!r}"
                )
        charged = require_choice(params["charged"], CHARGED, "costs.charged")
        return cls(float(params["cost_per_treatment"]), float(params["revenue_per_response"]), charged)

    def of_customers(self, frame: pd.DataFrame) -> "Economics":
        """With the columns ``cost`` and ``revenue`` of ``frame``, where it has them, instead of the constants."""
        amounts = {name: frame[name].to_numpy(np.float64) for name in ("cost", "revenue") if name in frame.columns}
        return replace(self, cost=amounts.get("cost", self.cost), revenue=amounts.get("revenue", self.revenue))

    def rows(self, chosen: NDArray[np.bool_]) -> "Economics":
        """The cost and revenue of the customers in the mask ``chosen``, (n,)."""
        amounts = {name: getattr(self, name) for name in ("cost", "revenue")}
        return replace(self, **{name: value[chosen] if np.ndim(value) else value for name, value in amounts.items()})

    def at_ratio(self, ratio: float) -> "Economics":
        """With a cost of ``ratio`` times the revenue."""
        return replace(self, cost=ratio * self.revenue)

    @property
    def ratio(self) -> float:
        """Mean cost over mean revenue, C/R: the effect at which a contact pays. Infinite if nothing is earned."""
        revenue = float(np.mean(self.revenue))
        return float(np.mean(self.cost)) / revenue if revenue > 0 else float("inf")

    def profits(self, outcomes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Profit of each arm from the outcome (or the score of the outcome) in each arm.

        π(0) = R·y(0).  π(1) = R·y(1) − C, or (R − C)·y(1) when charged on response.

        outcomes: (n, 2), column a for arm a.  Returns (n, 2), money per customer.
        """
        untreated = self.revenue * outcomes[:, 0]
        if self.charged == "on_response":
            return np.column_stack([untreated, (self.revenue - self.cost) * outcomes[:, 1]])
        return np.column_stack([untreated, self.revenue * outcomes[:, 1] - self.cost])

    def expected_charge(self, treated_outcome: ArrayLike) -> NDArray[np.float64]:
        """What treating is expected to cost: C, or C·max(μ₁(x), 0) when charged on response, (n,).

        A predicted response below 0 counts as 0: a model of a rare response may predict one.

        treated_outcome: (n,) μ₁(x).
        """
        expected = np.asarray(treated_outcome, dtype=np.float64)
        certain = self.charged == "on_treatment"
        return np.asarray(self.cost * (np.ones(len(expected)) if certain else np.maximum(expected, 0)))

    def expected_gain(self, cate: ArrayLike, treated_outcome: ArrayLike) -> NDArray[np.float64]:
        """Profit of treating over not treating: R·τ(x) − C, or R·τ(x) − C·μ₁(x) when charged on response.

        Source: Hitsch, Misra & Zhang, SSRN 3111957, section 2.

        cate: (n,).  treated_outcome: (n,) μ₁(x), used only when charged on response.
        """
        charge = self.cost * np.asarray(treated_outcome) if self.charged == "on_response" else self.cost
        return np.asarray(self.revenue * np.asarray(cate, dtype=np.float64) - charge)
