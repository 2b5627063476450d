"""Bands that cover several estimates at once, and p-values corrected for the number of tests.

Source: Chernozhukov, Chetverikov & Kato (2013), "Gaussian approximations and multiplier bootstrap for maxima of sums of
high-dimensional random vectors".
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from promotions.inference.clusters import sum_by_cluster

LEVEL = 0.95
REPLICATES = 1000
# Signs drawn at a time: 64 MB as float64.
BLOCK = 2**23
# With more clusters, signed sums are normal and are drawn from the normal distribution.
MANY_CLUSTERS = 2**14
# A share of each variance: keeps the factor of a singular matrix (one policy listed twice) independent of rounding.
RIDGE = 1e-6
# A share of the largest estimate or error: rounding can leave this much of a sum that is exactly zero.
NEGLIGIBLE = 1e-12


@dataclass(frozen=True)
class Bands:
    """Several estimates with joint coverage; all (k,).

    critical_value: of max |t|, or of max t if ``low`` is one-sided and ``high`` infinite.  p_value: one-sided, H₀_j
    truth_j ≤ 0 against > 0, single-step: the chance that the largest of k such t exceeds t_j if no truth is above 0.
    """

    estimate: NDArray[np.float64]
    error: NDArray[np.float64]
    critical_value: float
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p_value: NDArray[np.float64]

    def to_frame(self) -> pd.DataFrame:
        """``estimate, error, ci_low, ci_high, p_value_adjusted``, one row an estimate."""
        return pd.DataFrame(
            {
                "estimate": self.estimate,
                "error": self.error,
                "ci_low": self.low,
                "ci_high": self.high,
                "p_value_adjusted": self.p_value,
            }
        )


def simultaneous_bands(
    estimate: NDArray[np.float64],
    influence: NDArray[np.float64],
    clusters: NDArray[np.intp] | None,
    rng: np.random.Generator,
    *,
    replicates: int = REPLICATES,
    one_sided: bool = False,
    level: float = LEVEL,
) -> Bands:
    """estimate_j ± c·se_j, with c the ``level`` quantile of max_j |Σ_g w_g ψ_gj| / se_j over random signs w_g.

    All k intervals hold at once in 95 of 100 experiments, however the estimates depend on each other. They are tight: c
    is 1.96 for one column or k copies of it, never less, and at most about Šidák's. ``one_sided`` takes the quantile of
    the signed maximum and gives lower bounds only. A lower bound lies above 0 exactly if the adjusted one-sided p-value
    is at most 1 − level (with ``one_sided``; two-sided bounds demand more).

    An estimate without variance has a band of width 0 and takes no part in the maximum. Its p-value is the least
    possible, 1/(replicates + 1), if it is above 0, else 1.

    estimate: (k,).  influence: (n, k) with estimate = truth + Σ_i ψ_i, as in ``clustered_error``.  clusters: (n,)
    codes, or None if the rows are clusters already. The result depends on the order of the clusters, not of the rows.
    """
    totals = influence if clusters is None else sum_by_cluster(influence, clusters)
    groups = len(totals)
    spread = np.sqrt((totals**2).sum(axis=0))
    error = spread * np.sqrt(groups / max(groups - 1, 1))
    scale = max(float(np.abs(estimate).max(initial=0)), float(error.max(initial=0)))
    varies = error > NEGLIGIBLE * scale
    error = np.where(varies, error, 0.0)

    drawn = multiplier_sums(totals[:, varies] / spread[varies], replicates, rng)
    largest = drawn.max(axis=1, initial=-np.inf)
    largest_absolute = np.abs(drawn).max(axis=1, initial=0.0)
    p_value = np.where(estimate > NEGLIGIBLE * scale, 1 / (replicates + 1), 1.0)
    observed = estimate[varies] / error[varies]
    exceeded = (1 + (largest >= observed[:, None]).sum(axis=1)) / (replicates + 1)
    # A corrected p-value is at least the uncorrected one; a finite sample of maxima may give less.
    p_value[varies] = np.maximum(exceeded, ndtr(-observed))

    maxima = np.sort(largest if one_sided else largest_absolute)
    # The order statistic for which bound and p-value agree: Davison & Hinkley (1997), section 4.2.
    rank = min(ceil(level * (replicates + 1)), replicates)
    uncorrected = float(ndtri(level if one_sided else (1 + level) / 2))
    critical_value = max(float(maxima[rank - 1]), uncorrected) if varies.any() else 0.0
    width = critical_value * error
    high = np.full(len(estimate), np.inf) if one_sided else estimate + width
    return Bands(estimate, error, critical_value, estimate - width, high, p_value)


def multiplier_sums(
    totals: NDArray[np.float64], replicates: int, rng: np.random.Generator, block: int = BLOCK
) -> NDArray[np.float64]:
    """Σ_g w_g ψ_g for ``replicates`` draws of independent random signs w_g = ±1, as matrix products.

    The weights are signs (Rademacher), not normal: every replicate has exactly the sample's Σψ², since w² = 1. With
    heavy-tailed scores and few clusters this comes closer to the truth than normal or Mammen's weights (Davidson &
    Flachaire, 2008). Signs are symmetric, so the bands, like normal intervals, do not follow a skewness of the
    estimates.

    With more than ``MANY_CLUSTERS`` clusters the kind of weights does not matter: the sums are normal. They are drawn
    from the normal law with covariance Σ_g ψ_g ψ_g', at the cost of one matrix product.

    totals: (G, k).  Returns (replicates, k). Drawing ``block`` signs at a time bounds memory and changes no draw: every
    replicate takes whole words of 64 bits.
    """
    groups, columns = totals.shape
    result = np.empty((replicates, columns))
    if columns == 0 or groups == 0:
        return result
    if groups > MANY_CLUSTERS:
        covariance = totals.T @ totals
        factor = np.linalg.cholesky(covariance + RIDGE * np.diag(np.diag(covariance)))
        return np.asarray(rng.standard_normal((replicates, columns)) @ factor.T)
    sums, size, row = totals.sum(axis=0), max(1, block // groups), 8 * ceil(groups / 64)
    signs = np.empty((min(size, replicates), groups))
    for start in range(0, replicates, size):
        stop = min(start + size, replicates)
        bits = np.frombuffer(rng.bytes((stop - start) * row), np.uint8).reshape(-1, row)
        signs[: stop - start] = np.unpackbits(bits, axis=1, count=groups)
        # With bits b in {0, 1} the signs are 2b − 1.
        result[start:stop] = 2 * (signs[: stop - start] @ totals) - sums
    return result
