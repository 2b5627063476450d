"""A list of customers as a whole: is nobody on it twice, and how far does a budget reach?"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.base.splitting import hash_uniform
from promotions.base.validation import require_number
from promotions.policies.budget import TIES, spend
from promotions.policies.rule import Budget

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Allowance:
    """The most that a list may take: a share of its customers, money in all, or money for each of them."""

    share: float | None = None
    money: float | None = None
    money_each: float | None = None

    @classmethod
    def of(cls, champion: Budget, money: float | None, share: float | None) -> "Allowance":
        """The given limit, else the champion's. Raises InputError."""
        if money is not None:
            return cls(money=require_number(money, "--budget", 0))
        if share is not None:
            return cls(share=require_number(share, "--max-share", 0, 1, noun="share"))
        return cls(share=champion.share, money_each=champion.money)

    @property
    def limits(self) -> bool:
        """Whether there is a limit."""
        return any(limit is not None for limit in (self.share, self.money, self.money_each))


class Listing:
    """A list, added piece by piece. It takes 8 bytes of memory a customer, or 40 with a budget.

    gains: whether to keep what a budget needs.
    """

    def __init__(self, *, gains: bool) -> None:
        self.customers = 0
        self._gains = gains
        self._ids: list[NDArray[np.uint64]] = []
        self._waiting: list[tuple[Floats, Floats, Floats]] = []

    def add(self, scored: pd.DataFrame, charge: Floats) -> None:
        """The next customers, as ``Scorer.score`` returns them."""
        ids = scored["customer_id"].to_numpy(object)
        self.customers += len(ids)
        self._ids.append(pd.util.hash_array(ids, categorize=False))
        if self._gains:
            # Customers whom the rule does not treat are not in the queue.
            gain = np.where(scored["treat"] == 1, scored["expected_profit"], -np.inf)
            self._waiting.append((gain, charge, hash_uniform(ids, TIES)))

    def repeated(self) -> tuple[int, int] | None:
        """Positions of the first two rows with the same id; None if all ids differ.

        Ids are compared by 64-bit hashes: one in 400,000 lists of ten million has two different ids with the same hash.
        """
        ids = np.concatenate(self._ids)
        order = np.argsort(ids, kind="stable")
        again = np.flatnonzero(ids[order[1:]] == ids[order[:-1]])
        if not len(again):
            return None
        first = again[np.argmin(order[again + 1])]
        return int(order[first]), int(order[first + 1])

    def afford(self, allowance: Allowance) -> NDArray[np.bool_]:
        """Whom to treat, (n,) in the order of the list: the best of those whom the rule treats, ``within_budget``.

        Call it once: it discards the gains.
        """
        if not self._waiting:
            raise InputError("the list is empty; expected one row a customer")
        gain, charge, lot = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting.clear()
        if allowance.share is not None:
            charge, budget = np.ones(len(gain)), allowance.share * len(gain)
        else:
            budget = allowance.money if allowance.money is not None else (allowance.money_each or 0.0) * len(gain)
        return spend(gain, charge, budget, lambda rows: lot[rows])

    @staticmethod
    def limited(scored: pd.DataFrame, best: NDArray[np.bool_]) -> pd.DataFrame:
        """The same customers with only ``best``, (n,), treated, and reasons that say so."""
        wanted = scored["treat"].to_numpy() == 1
        standing = np.where(best, ", and within the budget", ", but beyond the budget")
        reason = scored["reason"].where(~wanted, scored["reason"] + pd.Series(standing, index=scored.index))
        return scored.assign(treat=best.astype(np.int8), reason=reason)
