"""Can the cut-off be trusted? Density, other columns, other cut-offs, other bandwidths; and the search for it.

Sources: Cattaneo, Jansson & Ma (2020) for the density (rddensity); Frandsen (2017), "Party bias in union representation
elections: testing for manipulation in the regression discontinuity design when the running variable is discrete";
Imbens & Lemieux (2008) for placebo cut-offs; Hansen (1996) for a search's p-value by multipliers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from promotions.base.errors import InputError
from promotions.discount.rdd.honest import Cells, honest_jump
from promotions.discount.rdd.jump import ABOVE, LEAST_VALUES, Cutoff, Design, jump
from promotions.discount.regression import Controls, independent_columns
from promotions.inference.multiplicity import holm

Floats = NDArray[np.float64]

# Least customers on each side of a placebo, or within a bandwidth of the picture; and the most placebos or bandwidths.
LEAST_CUSTOMERS, MOST_PLACEBOS = 100, 20
# The running variable is discrete if so many customers share a value on average.
SHARED = 10
MULTIPLIERS = 2000
# Candidates of the search have at least this share of the customers on each side.
TRIMMED, MOST_CANDIDATES = 0.05, 100
SEARCH_LEVEL = 0.05


@dataclass(frozen=True)
class DensityTest:
    """Is the number of customers continuous at the cut-off? It jumps if customers can choose a side.

    p_value: rddensity's, made for continuous variables.  For discrete ones also the counts of the first treated value
    and of its neighbours, ``bend``, and Frandsen's p-values with that bend and with none (p_value_straight); else None.
    """

    p_value: float
    counts: tuple[int, int, int] | None = None
    bend: float | None = None
    p_value_discrete: float | None = None
    p_value_straight: float | None = None

    def to_dict(self) -> dict[str, float]:
        """Numbers by name, without those that are None."""
        numbers: dict[str, float] = {"p_value": self.p_value}
        if self.counts is not None and self.bend is not None:
            below, at, above = self.counts
            numbers |= {"customers_before": below, "customers_first_treated": at, "customers_after": above}
            numbers["bend"] = self.bend
        if self.p_value_discrete is not None and self.p_value_straight is not None:
            numbers |= {"p_value_discrete": self.p_value_discrete, "p_value_straight": self.p_value_straight}
        return numbers


def density_test(running: Floats, cutoff: Cutoff, bend: float | None = None) -> DensityTest:
    """The test of rddensity, and for a discrete running variable Frandsen's.

    rddensity gets the first treated value as its cut-off.  bend: see ``frandsen``; None for that of the normal curve
    with the mean and the variance of the running variable.
    """
    from rddensity import rddensity

    treated = cutoff.treated(running)
    values, counts = np.unique(running, return_counts=True)
    first = int(np.searchsorted(values, running[treated].min()))
    density = rddensity(np.sort(running), c=float(values[first]), bino_flag=False)
    p_value = float(density.test["p_jk"])
    if len(running) < SHARED * len(values) or first + 1 >= len(values):
        return DensityTest(p_value)
    below, at, above = (int(counts[place]) for place in (first - 1, first, first + 1))
    if bend is None:
        near = stats.norm.pdf(values[first - 1 : first + 2], running.mean(), running.std())
        bend = float(abs(2 * near[1] / (near[0] + near[2]) - 1))
    return DensityTest(
        p_value,
        (below, at, above),
        bend,
        frandsen(below, at, above, bend),
        frandsen(below, at, above, 0.0),
    )


def frandsen(below: int, at: int, above: int, bend: float) -> float:
    """P-value of H₀: the first treated value has as many customers as its neighbours' mean, but for curvature.

    Without manipulation the three counts are close to a line, |at/mean(below, above) − 1| ≤ bend, and the middle one is
    binomial with a probability from (1 − bend)/(3 − bend) to (1 + bend)/(3 + bend). Exact, two-sided: twice the
    smaller tail, each at the probability that makes it largest.  bend: in [0, 1).
    """
    n = below + at + above
    low, high = (1 - bend) / (3 - bend), (1 + bend) / (3 + bend)
    few, many = stats.binom.cdf(at, n, low), stats.binom.sf(at - 1, n, high)
    return float(min(1.0, 2 * min(few, many)))


def continuity(frame: pd.DataFrame, features: Sequence[str], design: Design, bandwidth: float) -> pd.DataFrame:
    """``feature, column, jump, error, standardised, p_value, p_value_holm``: do other columns jump as well?

    Local linear with HC1 errors at ``bandwidth``, for each column that the features are encoded in (a level of a
    category, "missing", are columns); Holm's correction for all of them. A column that is constant among the customers
    within the bandwidth is left out. standardised: over its standard deviation. Smallest p-value first.
    """
    controls = Controls.of(frame, features)
    rows = []
    for column, feature, name in zip(controls.matrix.T, controls.sources, controls.columns, strict=True):
        used = design.weights(bandwidth) > 0
        if np.ptp(column[used]) == 0:
            continue
        slope = jump(column, design, bandwidth).slope.robust
        spread = float(column.std())
        # Without spread on either side the jump is exact: the table shows it, no test is needed.
        p_value = slope.p_value if slope.error > 1e-12 * spread else float(abs(slope.estimate) <= 1e-12 * spread)
        rows.append((feature, name, slope.estimate, slope.error, slope.estimate / spread, p_value))
    table = pd.DataFrame(rows, columns=["feature", "column", "jump", "error", "standardised", "p_value"])
    table["p_value_holm"] = holm(table["p_value"].to_numpy(dtype=np.float64))
    return table.sort_values(["p_value", "column"], kind="stable", ignore_index=True)


def placebos(running: Floats, outcomes: dict[str, Floats], cutoff: Cutoff, bandwidth: float) -> pd.DataFrame:
    """``outcome, cutoff, side, estimate, error, ci_low, ci_high, p_value, p_value_holm``: jumps where no rule changes.

    At values on either side of the cut-off, from the customers of that side alone (the real jump would spoil them),
    local linear with HC1 errors; the real cut-off, from all customers, has side "real". At most 20, evenly over the
    customers, each with two values and 100 customers on both sides. Holm's correction is over the placebos of an
    outcome.
    """
    treated = cutoff.treated(running)
    rows = []
    for name, outcome in outcomes.items():
        real = jump(outcome, Design(running - cutoff.value, treated), bandwidth).slope.robust
        rows.append({"outcome": name, "cutoff": cutoff.value, "side": "real", **real.to_dict()})
        for side, members in (("below", ~treated), ("above", treated)):
            x, y = running[members], outcome[members]
            for value in _placebo_values(x, cutoff.start, bandwidth):
                there = Cutoff(value, cutoff.start)
                slope = jump(y, Design(x - value, there.treated(x)), bandwidth).slope.robust
                rows.append({"outcome": name, "cutoff": value, "side": side, **slope.to_dict()})
    table = pd.DataFrame(rows)
    table["p_value_holm"] = table["p_value"]
    for name in outcomes:
        fake = (table["outcome"] == name) & (table["side"] != "real")
        if fake.any():
            table.loc[fake, "p_value_holm"] = holm(table.loc[fake, "p_value"].to_numpy(dtype=np.float64))
    return table


def _placebo_values(x: Floats, start: str, bandwidth: float) -> Floats:
    fit = []
    for value in np.unique(x):
        there = Cutoff(float(value), start).treated(x)
        used = Design(x - value, there).weights(bandwidth) > 0
        sides = (x[used & ~there], x[used & there])
        if all(len(side) >= LEAST_CUSTOMERS and len(np.unique(side)) >= 2 for side in sides):
            fit.append(float(value))
    return np.array(fit)[_evenly(len(fit), MOST_PLACEBOS // 2)]


def by_bandwidth(
    outcomes: dict[str, Floats], design: Design, curvatures: dict[str, float], given: Sequence[float]
) -> pd.DataFrame:
    """``outcome, bandwidth, estimate, ci_low, ci_high, honest_low, honest_high, customers, given``.

    From the narrowest bandwidth that leaves two values and 100 customers on either side to the farthest customer, and
    the ``given`` ones.
    """
    least = 0.0
    for side in (~design.treated, design.treated):
        near = np.sort(np.abs(design.distance[side]))
        least = max(least, np.unique(near)[1], near[min(LEAST_CUSTOMERS, len(near)) - 1])
    steps = np.unique(np.abs(design.distance))
    steps = steps[steps > least]
    widths = sorted({*map(float, steps[_evenly(len(steps), 14)]), *given})
    rows = []
    for name, outcome in outcomes.items():
        cells = Cells.of(outcome[:, None], design)
        for width in widths:
            local_jump = jump(outcome, design, width)
            honest = honest_jump(cells, curvatures[name], width)
            rows.append(
                {
                    "outcome": name,
                    "bandwidth": width,
                    "estimate": local_jump.slope.robust.estimate,
                    "ci_low": local_jump.slope.robust.ci_low,
                    "ci_high": local_jump.slope.robust.ci_high,
                    "honest_low": honest.ci_low,
                    "honest_high": honest.ci_high,
                    "customers": local_jump.customers,
                    "given": width in given,
                }
            )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Search:
    """Where a dose jumps. cutoff: treated above it.  p_value: of no jump anywhere.  candidates: how many were tried."""

    cutoff: float
    p_value: float
    candidates: int


def search_cutoff(dose: Floats, running: Floats, rng: np.random.Generator) -> Search:
    """The value above which the dose jumps most, and a p-value that allows for the search.

    The dose is a parabola in the running variable plus a jump at v; v̂ has the smallest sum of squares. The p-value of
    no jump at any v compares the largest |t_v| of the score tests, t_v = Σ r_v·e/sqrt(Σ r_v²·e²), with r_v the residual
    of 1{x > v} and e that of the dose on the parabola, against its largest value with each e multiplied by a normal
    number; 2,000 times. A dose that bends faster than a parabola can look like one that jumps.

    dose, running: (n,). Candidates: values with five values and 5 % of the customers on each side, at most 100.
    Raises InputError if there is no candidate.
    """
    values = np.unique(running)
    share = np.searchsorted(np.sort(running), values, side="right") / len(running)
    inner = np.arange(1, len(values) + 1)
    enough = (inner >= LEAST_VALUES) & (len(values) - inner >= LEAST_VALUES)
    candidates = values[enough & (share >= TRIMMED) & (share <= 1 - TRIMMED)]
    if not len(candidates):
        raise InputError(
            f"discount.rdd.cutoff: there is nothing to search among {len(values)} different values of the running "
            f"variable, as {LEAST_VALUES} are needed on each side of a cut-off; give the cut-off, or a finer variable"
        )
    candidates = candidates[_evenly(len(candidates), MOST_CANDIDATES)]
    bend = independent_columns(np.column_stack([running, running**2]))[0]
    smooth = np.linalg.qr(np.column_stack([np.ones(len(running)), bend]))[0]
    steps = (running[:, None] > candidates).astype(np.float64)
    steps -= smooth @ (smooth.T @ steps)
    residual = dose - smooth @ (smooth.T @ dose)
    score = steps * residual[:, None]
    explained = score.sum(axis=0) ** 2 / (steps**2).sum(axis=0)
    spread = np.sqrt((score**2).sum(axis=0))
    usable = spread > 0
    if not usable.any():
        return Search(float(candidates[0]), 1.0, len(candidates))
    largest = float(np.abs(score.sum(axis=0)[usable] / spread[usable]).max())
    # Customers with one value share r, so only the sums of their products matter; these are normal with these
    # variances.
    cell = np.unique(running, return_inverse=True)[1]
    of_step = np.zeros((len(values), len(candidates)))
    of_step[cell] = steps
    deviation = np.sqrt(np.bincount(cell, residual**2))
    weight = deviation[:, None] * of_step[:, usable] / spread[usable]
    null = np.concatenate(
        [np.abs(rng.standard_normal((block, len(values))) @ weight).max(axis=1) for block in _blocks(len(values))]
    )
    return Search(
        cutoff=float(candidates[int(explained.argmax())]),
        p_value=float((1 + (null >= largest).sum()) / (1 + MULTIPLIERS)),
        candidates=len(candidates),
    )


def require_found(search: Search, name: str) -> Cutoff:
    """The cut-off that was found. Raises InputError if the p-value is above 5 %."""
    if search.p_value > SEARCH_LEVEL:
        raise InputError(
            f"discount.rdd.cutoff: search finds no value of {name} at which the discount jumps (the best is "
            f"{search.cutoff:g}, corrected p-value {search.p_value:.3g}); give the cut-off if there is one"
        )
    return Cutoff(search.cutoff, ABOVE)


def halves(customers: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Two random halves: one to search the cut-off in, one to estimate with.

    A cut-off chosen for its large jump overstates the jump in the customers that chose it, but not in the others.
    """
    order = rng.permutation(customers)
    return np.sort(order[: customers // 2]), np.sort(order[customers // 2 :])


def _blocks(values: int) -> list[int]:
    """Parts of the multipliers that are drawn at a time, so that memory is bounded."""
    size = max(1, min(MULTIPLIERS, 4_000_000 // values))
    return [min(size, MULTIPLIERS - start) for start in range(0, MULTIPLIERS, size)]


def _evenly(count: int, most: int) -> NDArray[np.intp]:
    """At most ``most`` places of ``count``, evenly spread, the ends among them."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.rint(np.linspace(0, count - 1, most)).astype(np.intp))
