"""Standard errors and resamples that keep clusters whole."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

Z_95 = 1.959963984540054


def cluster_codes(clusters: ArrayLike) -> NDArray[np.intp]:
    """Clusters as 0 … G − 1, numbered in the order of their names (so not in the order of the rows)."""
    codes = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)[1]
    return codes.astype(np.intp)


def clustered_error(influence: NDArray[np.float64], clusters: NDArray[np.intp]) -> float:
    """Cluster-robust standard error of an estimate that equals the truth plus Σ_i ψ_i, with E ψ = 0.

    se = sqrt( G/(G−1) · Σ_g (Σ_{i in g} ψ_i)² ). For a mean ψ_i = (v_i − mean)/n; with one customer a cluster this is
    the usual s/√n. Source: Liang & Zeger (1986).

    influence: (n,) ψ.  clusters: (n,) codes.
    """
    sums = sum_by_cluster(influence, clusters)
    return float(np.sqrt(len(sums) / max(len(sums) - 1, 1) * (sums**2).sum()))


def one_sided_p_value(value: float, error: float) -> float:
    """P(N(0, 1) ≥ value/error): H₀ truth ≤ 0 against > 0. A value of exactly 0 without error is no evidence: 1."""
    if error > 0:
        return float(ndtr(-value / error))
    return 0.0 if value > 0 else 1.0


def sum_by_cluster(values: NDArray[np.float64], clusters: NDArray[np.intp]) -> NDArray[np.float64]:
    """Sum the rows of each cluster. values: (n,) or (n, k); returns (G,) or (G, k)."""
    groups = int(clusters.max()) + 1
    if groups == len(values) and np.bincount(clusters).max() == 1:
        # One row a cluster: the rows only have to be put into the order of the clusters.
        ordered = np.empty(values.shape)
        ordered[clusters] = values
        return ordered
    if values.ndim == 1:
        return np.bincount(clusters, weights=values, minlength=groups).astype(np.float64)
    columns = [np.bincount(clusters, weights=column, minlength=groups) for column in values.T]
    return np.column_stack(columns)


def bootstrap_sums(
    values: NDArray[np.float64], clusters: NDArray[np.intp], replicates: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Column sums of ``replicates`` cluster bootstrap samples, as a matrix product.

    A sample draws G clusters with replacement; entry (b, c) of the weights counts how often cluster c was drawn in
    sample b, and the sums of all samples are weights @ (sums by cluster). Every column sees the same samples, so
    differences of columns are paired. Efron & Tibshirani (1993), ch. 6; clusters: Cameron, Gelbach & Miller (2008).

    values: (n, k).  Returns (replicates, k). Memory is bounded by drawing the weights some replicates at a time.
    """
    totals = sum_by_cluster(values, clusters)
    groups = len(totals)
    result = np.empty((replicates, values.shape[1]))
    # Counts of one sample at a time stay in the processor's cache; counts of many samples in one table would not.
    weights = np.empty((min(replicates, max(1, int(2**24 // groups))), groups))
    for start in range(0, replicates, len(weights)):
        drawn = weights[: replicates - start]
        for sample in drawn:
            sample[:] = np.bincount(rng.integers(groups, size=groups, dtype=np.int32), minlength=groups)
        result[start : start + len(drawn)] = drawn @ totals
    return result
