"""Do the arms differ in what was measured before treatment? Means, distributions, one Holm correction."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import fdtrc

from promotions.base.encoding import Encoder, as_numbers, is_number
from promotions.inference.clusters import clustered_error, sum_by_cluster
from promotions.inference.multiplicity import holm
from promotions.inference.student import t_quantile, t_tail

MEAN, DISTRIBUTION = "mean", "distribution"
# The most quantile bins of a number, and the most bins of any feature; rarer ones are pooled.
QUANTILE_BINS, MOST_BINS = 8, 20
# The fewest customers (or clusters) that the design may expect of a bin in its smaller arm: fewer have no normal sums.
LEAST_IN_BIN = 10
# A share of a standard deviation: rounding can leave this much of an exact zero.
NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class ArmMeans:
    """Means of the two arms, weighted by the design, and the effect with its standard error."""

    control: float
    treated: float
    effect: float
    standard_error: float


@dataclass(frozen=True)
class Arms:
    """Treatments, their probabilities, and the clusters in which they were drawn.

    treatment: (n,) 0/1.  propensity: (n,) the design's P(T_i = 1).  clusters: (n,) codes 0 … G − 1.
    """

    treatment: NDArray[np.int8]
    propensity: NDArray[np.float64]
    clusters: NDArray[np.intp]

    @cached_property
    def treated(self) -> NDArray[np.float64]:
        """(n,) Hájek weights of the treated arm: T_i/e_i over their sum, 0 for control."""
        weights = self.treatment / self.propensity
        return weights / weights.sum()

    @cached_property
    def control(self) -> NDArray[np.float64]:
        """(n,) Hájek weights of the control arm: (1 − T_i)/(1 − e_i) over their sum, 0 for treated."""
        weights = (1 - self.treatment) / (1 - self.propensity)
        return weights / weights.sum()

    @cached_property
    def contrast(self) -> NDArray[np.float64]:
        """(n,) A_i: Σ A_i v_i is the difference of the arms' means of v."""
        return self.treated - self.control

    @cached_property
    def groups(self) -> int:
        """G, the number of clusters; n if each customer is one."""
        return int(self.clusters.max()) + 1

    @cached_property
    def units(self) -> NDArray[np.intp]:
        """(n,) codes of what the design drew: whole clusters if each has one arm and one propensity, else customers."""
        first = np.unique(self.clusters, return_index=True)[1][self.clusters]
        alike = (self.treatment == self.treatment[first]) & (self.propensity == self.propensity[first])
        return self.clusters if alike.all() else np.arange(len(self.clusters))

    @cached_property
    def design_square(self) -> NDArray[np.float64]:
        """(n,) E A_i² under the design, 1/(e_i(1 − e_i)), scaled so that its sum is Σ A_i²."""
        square = 1 / (self.propensity * (1 - self.propensity))
        return square * (self.contrast @ self.contrast) / square.sum()

    @cached_property
    def smaller(self) -> float:
        """Customers, or clusters, that the design expects in the smaller arm (each customer's less likely one)."""
        # Rounded, so that no bound depends on the order of summation.
        return round(self.groups * float(np.minimum(self.propensity, 1 - self.propensity).mean()), 6)

    def means(self, values: NDArray[np.float64]) -> ArmMeans:
        """See ``arm_means``."""
        mean_treated, mean_control = float(self.treated @ values), float(self.control @ values)
        influence = self.treated * (values - mean_treated) - self.control * (values - mean_control)
        error = clustered_error(influence, self.clusters)
        return ArmMeans(mean_control, mean_treated, mean_treated - mean_control, error)

    def design_error(self, values: NDArray[np.float64]) -> float:
        """Standard error of the difference in means if the values do not depend on treatment.

        se² = Σ_u E[A_u²] (Σ_{i in u} v_i − v̄)², the variance over all assignments of the units u that the design could
        have made. With a constant propensity and single customers: the pooled variance times 1/n_1 + 1/n_0.
        """
        from_mean = values - values.mean()
        if self.groups < len(values):
            return float(np.sqrt((sum_by_cluster(np.sqrt(self.design_square) * from_mean, self.units) ** 2).sum()))
        return float(np.sqrt(self.design_square @ from_mean**2))


def arm_means(
    values: NDArray[np.float64],
    treatment: NDArray[np.int8],
    propensity: NDArray[np.float64],
    clusters: NDArray[np.intp],
) -> ArmMeans:
    """Hájek means of the arms and their difference.

    mean_a = Σ w_i v_i / Σ w_i over customers with T = a, w_i = 1 / P(T_i = a); with a constant propensity the plain
    mean of the arm. The standard error comes from the influence function w_1(v − mean_1)/W_1 − w_0(v − mean_0)/W_0,
    summed by cluster. Source: Hájek (1971); Lunceford & Davidian (2004).
    """
    return Arms(treatment, propensity, clusters).means(values)


def balance_table(
    frame: pd.DataFrame, encoder: Encoder, matrix: NDArray[np.float64], arms: Arms, alpha: float
) -> pd.DataFrame:
    """One row a test: the mean of each column of ``matrix``, then the distribution of each feature of ``frame``.

    ``column, feature, test, smd, p_value, p_value_holm, ci_low, ci_high, differs``: means by |smd|, largest first, then
    distributions by p-value (they have no smd; one that could not be tested has no p_value and a corrected one of 1).
    Holm's correction is over all rows; differs: the corrected p-value is below alpha. ci_low and ci_high: 95 % interval
    of the smd, not corrected.

    frame: (n, …) with the features.  matrix: (n, len(encoder.columns)), what ``encoder`` makes of it.
    """
    rows: list[tuple[str, str, str, float, float, float, float]] = []
    for column, feature, values in zip(encoder.columns, encoder.sources, matrix.T, strict=True):
        smd, p_value, margin = mean_test(values, arms)
        rows.append((column, feature, MEAN, smd, p_value, smd - margin, smd + margin))
    for name in (str(specification["name"]) for specification in encoder.features):
        p_value = distribution_test(bins(frame[name], most=most_quantiles(arms)), arms)
        rows.append((name, name, DISTRIBUTION, np.nan, p_value, np.nan, np.nan))
    table = pd.DataFrame(rows, columns=["column", "feature", "test", "smd", "p_value", "ci_low", "ci_high"])
    table.insert(5, "p_value_holm", holm(table["p_value"].fillna(1.0).to_numpy()))
    table["differs"] = table["p_value_holm"] < alpha
    last = table["test"].to_numpy() == DISTRIBUTION
    size = np.where(last, table["p_value"].fillna(1.0), -table["smd"].abs())
    return table.iloc[np.lexsort((table["column"], size, last))].reset_index(drop=True)


def mean_test(values: NDArray[np.float64], arms: Arms) -> tuple[float, float, float]:
    """Standardised difference of a column's means, the two-sided p-value, and half the width of the 95 % interval.

    smd = (mean_1 − mean_0) / sqrt((s_1² + s_0²)/2); Student's t with G − 1 degrees of freedom. The standard error is
    the larger of two: that of ``arm_means``, which is robust to a few large values, and that of the design
    (``Arms.design_error``), which is robust to a rare value that happens to be absent from one arm. Source of the smd:
    Austin (2009).

    Constant columns, and columns that are the same in both arms of every cluster (matched pairs), have smd 0 and p 1.
    """
    means = arms.means(values)
    in_arm = arms.treatment == 1
    spread = float(np.sqrt((_variance(values[in_arm]) + _variance(values[~in_arm])) / 2))
    if spread == 0:
        differs = bool(values[in_arm][0] != values[~in_arm][0])
        return float(np.sign(means.effect)) if differs else 0.0, 0.0 if differs else 1.0, 0.0
    if max(abs(means.effect), means.standard_error) <= NEGLIGIBLE * spread:
        return 0.0, 1.0, 0.0
    error = max(means.standard_error, arms.design_error(values))
    freedom = max(arms.groups - 1, 1)
    p_value = 2 * t_tail(abs(means.effect) / error, freedom)
    return means.effect / spread, p_value, t_quantile(0.975, freedom) * error / spread


def _variance(values: NDArray[np.float64]) -> float:
    """Variance; exactly 0 for a constant, although its mean may differ from it in the last digit."""
    return float(values.var()) if np.ptp(values) > 0 else 0.0


def most_quantiles(arms: Arms) -> int:
    """The number of quantile bins, two or more, that makes each a quarter larger than ``LEAST_IN_BIN``."""
    return int(np.clip(arms.smaller // (1.25 * LEAST_IN_BIN), 2, QUANTILE_BINS))


def bins(column: "pd.Series[Any]", most: int = QUANTILE_BINS) -> NDArray[np.intp]:
    """A bin for each row of a feature, made without looking at treatment.

    A category: its levels. A number, date or boolean: its values if they are at most ``QUANTILE_BINS``; else each
    value that holds 1/most of the rows by itself, and quantiles of the others, ``most`` bins in all. Missing values
    are a bin too.

    Returns (n,) codes from 0.
    """
    if not is_number(column):
        levels = column if isinstance(column.dtype, pd.CategoricalDtype) else column.astype("string")
        return np.asarray(pd.factorize(levels, sort=True)[0], dtype=np.intp) + 1
    values = as_numbers(column)
    present = np.sort(values[~np.isnan(values)])
    if not len(present):
        return np.zeros(len(values), dtype=np.intp)
    starts = np.flatnonzero(np.concatenate([[True], present[1:] != present[:-1]]))
    counts = np.diff(np.append(starts, len(present)))
    if len(starts) <= QUANTILE_BINS:
        codes = np.searchsorted(present[starts], values)
    else:
        heavy = counts >= len(present) / most
        light = np.where(heavy, 0, counts)
        parts = max(most - int(heavy.sum()), 1)
        # A value belongs to the part with the middle of its rows: ties stay together, and parts have about equal sizes.
        middle = (np.cumsum(light) - light / 2) / max(int(light.sum()), 1)
        part = np.where(heavy, parts + np.cumsum(heavy) - 1, np.minimum(middle * parts, parts - 1).astype(np.intp))
        # The values of a bin form few runs: searching the runs' first values is faster than searching all values.
        first = np.flatnonzero(np.concatenate([[True], part[1:] != part[:-1]]))
        run = np.searchsorted(present[starts[first]], values, side="right") - 1
        codes = part[first][run]
    return np.where(np.isnan(values), QUANTILE_BINS + 1, codes)


def distribution_test(codes: NDArray[np.intp], arms: Arms) -> float:
    """p-value of the hypothesis that bins have the same shares in both arms. NaN if there is too little data.

    d the K differences of the arms' Hájek shares, V their covariance, k = rank V (K − 1, as shares sum to 1):

        W = d' V⁺ d,   F = (G − k) / (k (G − 1)) · W ~ F(k, G − k).

    V is the covariance by the design if shares do not depend on treatment: Σ_u E[A_u²] (b_u − n_u p)(b_u − n_u p)' over
    the units u that were drawn, with n_u customers, b_u of them in each bin, p the bins' shares among all. With single
    customers and a constant propensity W is Pearson's χ². If clusters hold customers of both arms (matched pairs,
    households), a second V is the covariance by the influence functions of ``arm_means`` summed by cluster,
    G/(G−1) Σ_g ψ_g ψ_g', and the larger of the two p-values counts. Sources: Hotelling (1931); Pearson (1900).

    A bin is pooled if the design expects fewer than ``LEAST_IN_BIN`` customers (or clusters) of it in the smaller arm.
    There are at most as many bins as fit into this arm at that size: so G ≥ 20 k. With fewer than 20 expected in the
    smaller arm, or if all but one bin are so rare, a distribution is **not** tested (NaN). A constant, or shares that
    are the same in both arms of every cluster: 1. Shares that differ although V says that they cannot: 0.

    codes: (n,) bins from 0.
    """
    if codes.min() == codes.max():
        return 1.0
    codes = pool_rare(codes, arms)
    size = int(codes.max()) + 1
    if size == 1:
        return float("nan")
    treated, control = np.bincount(codes, arms.treated, size), np.bincount(codes, arms.control, size)
    share = np.bincount(codes, minlength=size) / len(codes)
    # In units of the standard error for customers drawn one by one.
    unit = np.sqrt(share * (1 - share) * (arms.contrast @ arms.contrast))
    covariances = [_design_covariance(codes, share, arms)]
    if arms.units is not arms.clusters:
        cells = _sum_cells(arms.clusters, codes, arms.contrast)
        treated_weight, control_weight = (sum_by_cluster(w, arms.clusters) for w in (arms.treated, arms.control))
        influence = cells - np.outer(treated_weight, treated) + np.outer(control_weight, control)
        covariances.append(arms.groups / max(arms.groups - 1, 1) * influence.T @ influence)
    return max(
        wald_p_value((treated - control) / unit, covariance / np.outer(unit, unit), arms.groups)
        for covariance in covariances
    )


def wald_p_value(difference: NDArray[np.float64], covariance: NDArray[np.float64], groups: int) -> float:
    """p-value of W = d' V⁺ d by the F distribution, see ``distribution_test``. d (K,) and V (K, K) of order 1."""
    variances, directions = np.linalg.eigh(covariance)
    along = directions.T @ difference
    varies = variances > NEGLIGIBLE
    if (np.abs(along[~varies]) > np.sqrt(NEGLIGIBLE)).any():
        return 0.0
    rank = int(varies.sum())
    if rank == 0:
        return 1.0
    wald = float((along[varies] ** 2 / variances[varies]).sum())
    return float(fdtrc(rank, groups - rank, (groups - rank) / (rank * (groups - 1)) * wald))


def _design_covariance(codes: NDArray[np.intp], share: NDArray[np.float64], arms: Arms) -> NDArray[np.float64]:
    """(K, K) covariance of the differences in shares over all assignments that the design could have made."""
    if arms.groups < len(codes) and arms.units is arms.clusters:
        weights = np.sqrt(arms.design_square)
        from_share = _sum_cells(arms.units, codes, weights) - np.outer(sum_by_cluster(weights, arms.units), share)
        return from_share.T @ from_share
    # A customer is in one bin, so the products of indicators need no matrix of customers by bins.
    square = np.bincount(codes, arms.design_square, len(share))
    mixed = np.outer(square, share)
    return np.diag(square) - mixed - mixed.T + np.outer(share, share) * square.sum()


def _sum_cells(groups: NDArray[np.intp], codes: NDArray[np.intp], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(G, K): the sum of weights in each group and bin."""
    size = int(codes.max()) + 1
    cells = np.bincount(groups * size + codes, weights, (int(groups.max()) + 1) * size)
    return cells.astype(np.float64, copy=False).reshape(-1, size)


def pool_rare(codes: NDArray[np.intp], arms: Arms) -> NDArray[np.intp]:
    """Renumber bins by size, largest first, and join bins that are too rare to be tested by themselves.

    A bin's size is the number of its customers (or clusters) that the design expects in the smaller arm. Bins of at
    least ``LEAST_IN_BIN`` are kept: as many as fit into the arm, ``MOST_BINS`` at most. All others are pooled, and kept
    bins join the pool until it has that size.
    """
    counts = np.bincount(codes)
    expected = np.bincount(codes, arms.propensity)
    size = np.minimum(expected, counts - expected)
    if arms.groups < len(codes):
        pairs = np.sort(arms.clusters * len(counts) + codes)
        once = pairs[np.concatenate([[True], pairs[1:] != pairs[:-1]])] % len(counts)
        size *= np.bincount(once, minlength=len(counts)) / np.maximum(counts, 1)
    # Rounded: equal sizes keep the order of their codes, whatever the order of the rows.
    order = np.argsort(-np.round(size, 6), kind="stable")
    order = order[counts[order] > 0]
    most = max(1, min(MOST_BINS, int(arms.smaller // LEAST_IN_BIN)))
    kept = min(int((size >= LEAST_IN_BIN).sum()), len(order))
    if kept > most or kept < len(order):
        kept = min(kept, most - 1)
        while kept > 0 and size[order[kept:]].sum() < LEAST_IN_BIN:
            kept -= 1
    place = np.zeros(len(counts), dtype=np.intp)
    place[order] = np.minimum(np.arange(len(order)), kept)
    return place[codes]
