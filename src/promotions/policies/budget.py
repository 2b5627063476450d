"""Treat the best customers until a budget is spent.

A customer's cost is the expected cost of treating (``Economics.expected_charge``): C if charged on treatment, C·μ₁(x)
if charged on response, as only a response is paid for. In the second case a budget is kept on average, not exactly.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from promotions.base.errors import InputError
from promotions.base.splitting import hash_uniform
from promotions.base.validation import require_finite, require_keys, require_number
from promotions.policies.audience import Audience
from promotions.policies.family import Family, Training
from promotions.policies.rule import Bools, Budget, Effects, Reasons, Rule, pays
from promotions.policies.threshold import Threshold, threshold

# A share of the budget. Ten times .10 is 1 to a person, not to a computer: sums of floats are trusted this far.
ROUNDING = 1e-9
TIES = "promotions.policies.budget"


@dataclass(frozen=True)
class Budgeted(Rule):
    """Treat the best until the budget is spent: a share of the customers, or money per customer of the list."""

    learner: str
    share: float | None = None
    money: float | None = None

    title = "Budget rule"
    meaning = (
        "Contact a customer if the predicted effect earns at least what the contact costs, the best first, until the "
        "budget is spent."
    )
    advice = (
        "contact a customer if the effect that {learner} predicts earns at least what the contact costs, the best "
        "first, until the budget is spent"
    )
    simplicity = 40

    @property
    def learners(self) -> tuple[str, ...]:
        """See ``Rule``."""
        return (self.learner,)

    @property
    def limit(self) -> Budget:
        """See ``Rule``."""
        return Budget(self.share, self.money)

    @property
    def unlimited(self) -> Rule:
        """See ``Rule``."""
        return Threshold(self.learner)

    def decide(self, audience: Audience, effects: Effects) -> Bools:
        """See ``Rule``. The decision on a customer depends on the whole list."""
        gain = audience.gain(effects[self.learner])
        money = None if self.money is None else self.money * len(gain)
        return within_budget(gain, audience.charge, audience.ids, share=self.share, money=money)

    def reasons(self, audience: Audience, effects: Effects, treat: Bools) -> Reasons:
        """See ``Rule``: does not pay; pays, but others pay better; among the best."""
        would_pay = threshold(audience.gain(effects[self.learner]))
        loses, gains = pays(audience)
        words = [loses, f"{gains}, but beyond the budget", f"{gains}, and within the budget"]
        return would_pay.astype(np.intp) + treat, words


@dataclass(frozen=True)
class BudgetRules(Family):
    """A budget for each learner; no rules without a budget."""

    budget: Budget

    rule = Budgeted

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """See ``Family``."""
        require_keys(params, ("share", "money"), "policy.budget")
        share, money = params["share"], params["money"]
        if share is not None and money is not None:
            raise InputError(f"policy.budget: expected a share or an amount of money, got share={share}, money={money}")
        if share is not None:
            require_number(share, "policy.budget.share", 0, 1, noun="share")
        if money is not None:
            require_number(money, "policy.budget.money", 0)
        return cls(Budget(share, money))

    def fit(self, training: Training) -> dict[str, Rule]:
        """See ``Family``."""
        if not self.budget.limits:
            return {}
        return {learner: Budgeted(learner, self.budget.share, self.budget.money) for learner in training.effects}


def within_budget(
    gain: NDArray[np.float64],
    cost: ArrayLike,
    ids: ArrayLike,
    *,
    share: float | None = None,
    money: float | None = None,
) -> NDArray[np.bool_]:
    """Whom to treat on a budget: the greedy solution of the knapsack problem, Dantzig (1957).

    Customers are taken in the order of expected gain per unit of what is scarce, as long as they fit into what is left:
    gain/cost with a budget of money, which is the order of gain if all cost the same; gain with a budget of customers.
    A customer who no longer fits is passed over. So each customer who would pay and is left out costs more than what is
    left; the optimum exceeds this gain by less than the gain of the first of them whom the whole budget could pay. A
    customer with an expected loss is never treated, even if money is left. Ties are decided by a hash of the customer's
    id, so the order of rows changes nothing.

    gain: (n,) expected profit of treating over not treating.  cost: scalar or (n,), expected, see the module; 0 or
    more.  ids: (n,) distinct.  Exactly one of share: of the n customers, in [0, 1], and money: for all n together.
    Returns (n,).  Raises InputError.

    >>> within_budget(np.array([4.0, 3.0, -1.0, 2.0]), [4.0, 1.0, 1.0, 1.0], ["a", "b", "c", "d"], money=3.0)
    array([False,  True, False,  True])
    """
    gain = require_finite(gain, "budget: gain")
    price = costs_of_customers(cost, len(gain))
    names = np.asarray(ids, dtype=object)
    if names.shape != gain.shape or len(pd.unique(names)) < len(names):
        raise InputError(
            f"budget: expected a different id for each of {len(gain):,} customers, "
            f"got {len(pd.unique(names.ravel())):,} different ones"
        )
    if (share is None) == (money is None):
        raise InputError(
            f"budget: expected a share of customers or an amount of money, got share={share}, money={money}"
        )
    if share is not None:
        budget = require_number(share, "budget.share", 0, 1, noun="share") * len(gain)
        price = np.ones(len(gain))
    else:
        budget = require_number(money, "budget.money", 0)

    return spend(gain, price, budget, lambda rows: hash_uniform(names[rows], TIES))


def spend(
    gain: NDArray[np.float64],
    price: NDArray[np.float64],
    budget: float,
    lots: Callable[[NDArray[np.intp]], NDArray[np.float64]],
) -> NDArray[np.bool_]:
    """``within_budget`` without checks of the arguments.

    gain: (n,).  price: (n,), in the unit of what is scarce.  budget: in the same unit.  lots: returns a number for each
    of the tied rows; it decides ties of gain/price, lowest first.  Returns (n,).
    """
    waiting = np.flatnonzero(gain >= 0)
    waiting = waiting[_best_first(gain[waiting], price[waiting], lambda rows: lots(waiting[rows]))]
    treat = np.zeros(len(gain), dtype=bool)
    left = budget * (1 + ROUNDING)
    while len(waiting := waiting[price[waiting] <= left]):
        spent = np.cumsum(price[waiting])
        fit = int(np.searchsorted(spent, left, side="right"))
        treat[waiting[:fit]] = True
        left -= float(spent[fit - 1])
        waiting = waiting[fit:]
    return treat


def _best_first(
    gain: NDArray[np.float64], price: NDArray[np.float64], lots: Callable[[NDArray[np.intp]], NDArray[np.float64]]
) -> NDArray[np.intp]:
    """Positions by gain/price, highest first; customers who cost nothing come before all. Ties by lot."""
    with np.errstate(over="ignore"):
        ratio = np.where(price > 0, gain / np.where(price > 0, price, 1), np.inf)
    _, value, counts = np.unique(ratio, return_inverse=True, return_counts=True)
    tied = np.flatnonzero(counts[value] > 1)
    lot = np.zeros(len(ratio))
    lot[tied] = lots(tied)
    return np.lexsort((lot, -ratio))


def costs_of_customers(cost: ArrayLike, n: int) -> NDArray[np.float64]:
    """One cost a customer, 0 or more, (n,). Raises InputError."""
    costs = np.asarray(cost, dtype=np.float64)
    if costs.shape not in ((), (n,)) or not np.isfinite(costs).all() or (costs < 0).any():
        raise InputError(
            f"budget: expected a cost of 0 or more, money per customer, or one for each of {n:,} customers, got "
            + (f"{costs.min():g} to {costs.max():g}" if costs.shape in ((), (n,)) else f"the shape {costs.shape}")
        )
    return np.full(n, costs) if costs.ndim == 0 else costs
