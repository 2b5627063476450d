"""Treat the best customers until a budget is spent, and what each size of the budget earns.

A customer's cost is what treating is expected to cost. Charged on treatment that is C; charged on response it is
C·μ₁(x), for only who responds is paid for: hand in ``economics.cost * treated_outcome``. Then a budget is kept on
average, not to the coin.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from promotions.errors import InputError
from promotions.evaluation.ranking import find_ties
from promotions.evaluation.simultaneous import REPLICATES, simultaneous_bands
from promotions.inference import Z_95, sum_by_cluster
from promotions.splitting import hash_uniform
from promotions.validation import require_number

# Of a budget. Ten times .10 is 1 to a person, though not to a computer: sums of floats are trusted this far.
ROUNDING = 1e-9
TIES = "promotions.policies.budget"


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
    Who no longer fits is passed over, so whoever would pay and is left out costs more than what is left; the optimum
    exceeds this gain by less than the first such customer's (of those who alone would fit). Who is expected to lose is
    never treated, even if money is left. Ties are decided by a hash of the customer's id, so the order of rows changes
    nothing.

    gain: (n,) expected profit of treating over not treating.  cost: scalar or (n,), expected, see the module; 0 or
    more.  ids: (n,) distinct.  Exactly one of share: of the n customers, in [0, 1], and money: for all n together.
    Returns (n,).  Raises InputError.

    >>> within_budget(np.array([4.0, 3.0, -1.0, 2.0]), [4.0, 1.0, 1.0, 1.0], ["a", "b", "c", "d"], money=3.0)
    array([False,  True, False,  True])
    """
    gain = _finite(gain, "gain")
    price = _costs(cost, len(gain))
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

    waiting = np.flatnonzero(gain >= 0)
    waiting = waiting[_best_first(gain[waiting], price[waiting], names[waiting])]
    treat = np.zeros(len(gain), dtype=bool)
    left = budget * (1 + ROUNDING)
    while len(waiting := waiting[price[waiting] <= left]):
        spent = np.cumsum(price[waiting])
        fit = int(np.searchsorted(spent, left, side="right"))
        treat[waiting[:fit]] = True
        left -= float(spent[fit - 1])
        waiting = waiting[fit:]
    return treat


def budget_curve(
    profit_gain_scores: NDArray[np.float64],
    priority: NDArray[np.float64],
    cost: ArrayLike,
    clusters: NDArray[np.intp],
    *,
    shares: ArrayLike | None = None,
    spends: ArrayLike | None = None,
    replicates: int = REPLICATES,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Profit over treating nobody of treating the customers of highest priority, by the size of the budget.

    P(b) = (1/n) Σ w_i Γ_i, with w_i = 1 above the priority at which the budget b is spent, 0 below, and within the tie
    at it the part that a random order treats: ``gain_curve`` of profit.

    With u_i what a customer takes of the budget (1 of a share, its cost of a spend) and r = dP/db the profit of a
    little more budget, the influence of a customer is w_i (Γ_i − r·u_i) − (P − r·b): the priority at which the budget
    is spent is estimated from the same customers. r is the slope of the curve over n^(2/3) customers around b. Where
    the budget is not used up, r = 0. Standard errors are cluster-robust, ci_low and ci_high normal at each point alone;
    band_low and band_high cover the whole curve at once with 95 %, see ``simultaneous_bands``.

    profit_gain_scores: (n,) Γ, doubly robust scores of the profit of treating over not treating, of customers from whom
    the priority was not learned.  priority: (n,).  cost: scalar or (n,), expected, see the module; 0 or more.
    clusters: (n,) codes.  Exactly one grid: shares of customers treated in [0, 1], or spends, money per customer.
    Returns ``share, spent, profit, ci_low, ci_high, band_low, band_high``, a row a point of the grid; spent and profit
    are money per customer.  Raises InputError.
    """
    gain, rank = _finite(profit_gain_scores, "profit_gain_scores"), _finite(priority, "priority")
    n = len(gain)
    price, clusters = _costs(cost, n), np.asarray(clusters)
    if not n or len(rank) != n or len(clusters) != n:
        raise InputError(
            "budget: expected one gain, one priority and one cluster for each of at least one customer, got "
            f"{n:,} gains, {len(rank):,} priorities and {len(clusters):,} clusters"
        )
    ties = find_ties(rank)
    ends = np.concatenate([[0], ties.stop]) / n

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(1/n) Σ values of all customers down to each end of a tie."""
        return np.concatenate([[0.0], np.cumsum(np.bincount(ties.group, values, len(ties.stop)))]) / n

    profit_at, spent_at = total(gain), total(price)
    share, binding = _shares(shares, spends, ends, spent_at)
    profit, spent = np.interp(share, ends, profit_at), np.interp(share, ends, spent_at)

    half = 0.5 * n ** (-1 / 3)
    around = np.clip(np.stack([share - half, share + half]), 0, 1)
    gained = np.diff(np.interp(around, ends, profit_at), axis=0)[0]
    used_at, use = (ends, np.ones(n)) if spends is None else (spent_at, price)
    used = np.diff(np.interp(around, ends, used_at), axis=0)[0]
    # Where customers are free, a little more budget buys nothing.
    slope = np.where(binding & (used > 0), gained / np.where(used > 0, used, 1), 0.0)

    by_cluster = np.empty((int(clusters.max()) + 1, len(share)))
    for point, (treated, price_of_budget) in enumerate(zip(share, slope, strict=True)):
        weight = np.clip((treated * n - ties.start) / (ties.stop - ties.start), 0, 1)[ties.group]
        influence = weight * (gain - price_of_budget * use)
        by_cluster[:, point] = sum_by_cluster((influence - influence.mean()) / n, clusters)
    bands = simultaneous_bands(profit, by_cluster, None, rng, replicates=replicates)
    # Random signs may put the critical value of a few points that hang together a little below that of one.
    margin = max(bands.critical_value, Z_95) * bands.error
    return pd.DataFrame(
        {
            "share": share,
            "spent": spent,
            "profit": profit,
            "ci_low": profit - Z_95 * bands.error,
            "ci_high": profit + Z_95 * bands.error,
            "band_low": profit - margin,
            "band_high": profit + margin,
        }
    )


def _best_first(gain: NDArray[np.float64], price: NDArray[np.float64], names: NDArray[np.object_]) -> NDArray[np.intp]:
    """Positions by gain/price, highest first; who is free comes before all. Ties by a hash of the name."""
    with np.errstate(over="ignore"):
        ratio = np.where(price > 0, gain / np.where(price > 0, price, 1), np.inf)
    _, value, counts = np.unique(ratio, return_inverse=True, return_counts=True)
    tied = counts[value] > 1
    lot = np.zeros(len(ratio))
    lot[tied] = hash_uniform(names[tied], TIES)
    return np.lexsort((lot, -ratio))


def _shares(
    shares: ArrayLike | None, spends: ArrayLike | None, ends: NDArray[np.float64], spent_at: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The grid as shares of customers treated, and where the budget is used up.

    At a given spend all are treated who follow free of charge.
    """
    if (shares is None) == (spends is None):
        raise InputError("budget: expected a grid of shares or one of spends, got both or none")
    if spends is None:
        grid = _finite(np.atleast_1d(np.asarray(shares, dtype=np.float64)), "shares")
        if ((grid < 0) | (grid > 1)).any():
            raise InputError(f"budget: expected shares in [0, 1], got {grid.min():g} to {grid.max():g}")
        return grid, np.ones(len(grid), dtype=bool)
    grid = _finite(np.atleast_1d(np.asarray(spends, dtype=np.float64)), "spends")
    if (grid < 0).any():
        raise InputError(f"budget: expected spends of 0 or more, money per customer, got {grid.min():g}")
    before = np.searchsorted(spent_at, grid * (1 + ROUNDING), side="right") - 1
    after = np.minimum(before + 1, len(ends) - 1)
    step = spent_at[after] - spent_at[before]
    part = np.where(step > 0, np.maximum(grid - spent_at[before], 0) / np.where(step > 0, step, 1), 0)
    return ends[before] + part * (ends[after] - ends[before]), before < len(ends) - 1


def _costs(cost: ArrayLike, n: int) -> NDArray[np.float64]:
    """One cost a customer, (n,)."""
    costs = np.asarray(cost, dtype=np.float64)
    if costs.shape not in ((), (n,)) or not np.isfinite(costs).all() or (costs < 0).any():
        raise InputError(
            f"budget: expected a cost of 0 or more, money per customer, or one for each of {n:,} customers, got "
            + (f"{costs.min():g} to {costs.max():g}" if costs.shape in ((), (n,)) else f"the shape {costs.shape}")
        )
    return np.full(n, costs) if costs.ndim == 0 else costs


def _finite(values: ArrayLike, name: str) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise InputError(
            f"budget: {name} has the shape {numbers.shape} and {int((~np.isfinite(numbers)).sum()):,} values that are "
            "not finite; expected one number a row"
        )
    return numbers
