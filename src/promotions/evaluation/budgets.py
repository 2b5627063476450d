"""What each size of a budget earns."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from promotions.base.errors import InputError
from promotions.base.validation import require_finite
from promotions.inference.clusters import Z_95, sum_by_cluster
from promotions.inference.simultaneous import REPLICATES, simultaneous_bands
from promotions.inference.ties import find_ties
from promotions.policies.budget import ROUNDING, costs_of_customers


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
    """Profit of treating the customers of highest priority over treating nobody, by the size of the budget.

    P(b) = (1/n) Σ w_i Γ_i, with w_i = 1 above the priority at which the budget b is spent, 0 below, and within the tie
    at that priority the share that a random order treats: ``gain_curve`` of profit.

    Let u_i be what a customer takes of the budget (1 of a share, its cost of a spend), and r = dP/db the profit of a
    little more budget. The influence of a customer is w_i (Γ_i − r·u_i) − (P − r·b), because the priority at which the
    budget is spent is estimated from the same customers. r is the slope of the curve over n^(2/3) customers around b.
    Where the budget is not used up, r = 0. Standard errors are cluster-robust, ci_low and ci_high normal at each point
    alone; band_low and band_high cover the whole curve at once with 95 %, see ``simultaneous_bands``.

    profit_gain_scores: (n,) Γ, doubly robust scores of the profit of treating over not treating, of customers from whom
    the priority was not learned.  priority: (n,).  cost: scalar or (n,), of ``Economics.expected_charge``; 0 or more.
    clusters: (n,) codes.  Exactly one grid: shares of customers treated in [0, 1], or spends, money per customer.
    Returns ``share, spent, profit, ci_low, ci_high, band_low, band_high``, a row for each point of the grid; spent and
    profit are money per customer.  Raises InputError.
    """
    gain, rank = (
        require_finite(profit_gain_scores, "budget: profit_gain_scores"),
        require_finite(priority, "budget: priority"),
    )
    n = len(gain)
    price, clusters = costs_of_customers(cost, n), np.asarray(clusters)
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
    return pd.DataFrame(
        {
            "share": share,
            "spent": spent,
            "profit": profit,
            "ci_low": profit - Z_95 * bands.error,
            "ci_high": profit + Z_95 * bands.error,
            "band_low": bands.low,
            "band_high": bands.high,
        }
    )


def _shares(
    shares: ArrayLike | None, spends: ArrayLike | None, ends: NDArray[np.float64], spent_at: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The grid as shares of customers treated, and where the budget is used up.

    A given spend also treats the next customers if they are free of charge.
    """
    if (shares is None) == (spends is None):
        raise InputError("budget: expected a grid of shares or one of spends, got both or none")
    if spends is None:
        grid = require_finite(np.atleast_1d(np.asarray(shares, dtype=np.float64)), "budget: shares")
        if ((grid < 0) | (grid > 1)).any():
            raise InputError(f"budget: expected shares in [0, 1], got {grid.min():g} to {grid.max():g}")
        return grid, np.ones(len(grid), dtype=bool)
    grid = require_finite(np.atleast_1d(np.asarray(spends, dtype=np.float64)), "budget: spends")
    if (grid < 0).any():
        raise InputError(f"budget: expected spends of 0 or more, money per customer, got {grid.min():g}")
    before = np.searchsorted(spent_at, grid * (1 + ROUNDING), side="right") - 1
    after = np.minimum(before + 1, len(ends) - 1)
    step = spent_at[after] - spent_at[before]
    part = np.where(step > 0, np.maximum(grid - spent_at[before], 0) / np.where(step > 0, step, 1), 0)
    return ends[before] + part * (ends[after] - ends[before]), before < len(ends) - 1
