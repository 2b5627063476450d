"""Do effects differ between customers as a learner says, by how much, and whose are largest?

Source: Chernozhukov, Demirer, Duflo & Fernández-Val (2018; Econometrica 2025), "Fisher–Schultz lecture: Generic machine
learning inference on heterogeneous treatment effects", with doubly robust scores Γ in place of weighted outcomes and
predictions ĉ from customers other than these. Intervals are conditional on the learner.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.inference.clusters import Z_95
from promotions.inference.estimates import Estimate, Linearised
from promotions.inference.simultaneous import REPLICATES, Bands, simultaneous_bands
from promotions.inference.ties import Priority, RankGroups


@dataclass(frozen=True)
class BestLinearPredictor:
    """Best linear predictor of the effect from the prediction, E[Γ] + slope·(ĉ − E ĉ).

    mean_effect: E[Γ].  slope: 1 if predictions are calibrated, 0 if they say nothing.  p_value: one-sided, of the
    slope: H₀ ≤ 0 (the learner has found no heterogeneity) against > 0.
    """

    mean_effect: Estimate
    slope: Estimate
    p_value: float


def best_linear_predictor(
    effect: NDArray[np.float64], cate: NDArray[np.float64], clusters: NDArray[np.intp]
) -> BestLinearPredictor:
    """Least squares of Γ on ĉ: slope = cov(Γ, ĉ)/var(ĉ), with cluster-robust errors.

    The error is the usual one of a regression, Σ_g (Σ_i x̃_i r_i)² with G/(G − 1)·(n − 1)/(n − 2): statsmodels'
    ``cov_type="cluster"``, and HC1 if each customer is a cluster. A constant prediction has slope 0, interval (0, 0)
    and p-value 1.

    effect: (n,) Γ.  cate: (n,) ĉ.  clusters: (n,) codes.
    """
    n = len(effect)
    mean = float(effect.mean())
    mean_effect = Linearised(mean, (effect - mean) / n).estimate(clusters)
    centred = cate - cate.mean()
    spread = float(centred @ centred)
    if np.ptp(cate) == 0 or np.ptp(effect) == 0 or spread == 0:
        return BestLinearPredictor(mean_effect, Estimate(0.0, 0.0, 0.0), 1.0)
    slope = float(centred @ effect) / spread
    residual = effect - mean - slope * centred
    small_sample = np.sqrt((n - 1) / max(n - 2, 1))
    linearised = Linearised(slope, small_sample * centred * residual / spread)
    return BestLinearPredictor(mean_effect, linearised.estimate(clusters), linearised.p_value(clusters))


@dataclass(frozen=True)
class GroupEffects:
    """Mean effects of the K quantile groups of a prediction (GATES), the group with the largest predictions first.

    pointwise: each with an interval of its own.  simultaneous: the same with intervals that hold all at once.
    difference: first minus last group.  p_value: one-sided, of the difference: H₀ ≤ 0 against > 0.
    """

    pointwise: list[Estimate]
    simultaneous: Bands
    difference: Estimate
    p_value: float

    def to_frame(self) -> pd.DataFrame:
        """``group, effect, ci_low, ci_high, simultaneous_ci_low, simultaneous_ci_high``; group 1 is the best."""
        return pd.DataFrame(
            {
                "group": np.arange(1, len(self.pointwise) + 1),
                "effect": [part.value for part in self.pointwise],
                "ci_low": [part.ci_low for part in self.pointwise],
                "ci_high": [part.ci_high for part in self.pointwise],
                "simultaneous_ci_low": self.simultaneous.low,
                "simultaneous_ci_high": self.simultaneous.high,
            }
        )


def group_effects(
    effect: NDArray[np.float64],
    cate: Priority,
    clusters: NDArray[np.intp],
    groups: int,
    rng: np.random.Generator,
    *,
    replicates: int = REPLICATES,
) -> GroupEffects:
    """GATES: E[Γ | ĉ in its k-th quantile group], k = 1 … ``groups``, best first.

    Points and pointwise intervals are ``uplift_by_group``'s: ties are shared in proportion, and the estimation of the
    quantiles is part of the errors. The simultaneous intervals are max-t bands (``simultaneous_bands``). A constant
    prediction has the same mean in every group, a difference of 0, interval (0, 0) and p-value 1.

    effect, cate: (n,).  clusters: (n,) codes.
    """
    ranked = RankGroups.equal(cate, groups)
    means, influence = ranked.means(effect)
    bands = simultaneous_bands(means, influence, clusters, rng, replicates=replicates)
    pointwise = [Linearised(float(mean), psi).estimate(clusters) for mean, psi in zip(means, influence.T, strict=True)]
    difference = _first_minus_last(effect, ranked, means, influence)
    return GroupEffects(pointwise, bands, difference.estimate(clusters), difference.p_value(clusters))


def first_minus_last_group(effect: NDArray[np.float64], cate: Priority, groups: int) -> Linearised:
    """Mean effect of the first quantile group of a prediction minus that of the last: the difference of GATES.

    0 and p-value 1 for a constant prediction. effect, cate: (n,).
    """
    ranked = _outer_groups(cate, groups)
    return _first_minus_last(effect, ranked, *ranked.means(effect))


def classification_analysis(
    features: NDArray[np.float64],
    names: Sequence[str],
    cate: Priority,
    clusters: NDArray[np.intp],
    groups: int,
) -> pd.DataFrame:
    """CLAN: who is in the groups with the largest and the smallest predicted effects?

    ``feature, most_affected, least_affected, difference, error, ci_low, ci_high, standardised_difference``: means of
    each feature in the first and the last of ``groups`` quantile groups of ĉ, and their difference with a pointwise
    95 % interval. The standardised difference divides by the feature's standard deviation among all customers; the one
    within the groups is 0 where a 0/1 feature separates them fully. It is 0 for a constant feature. Rows are sorted by
    its size, then by name. The table describes the groups and does not say that a feature causes the effect.

    features: (n, p), numbers without gaps.  names: (p,).  cate: (n,).  clusters: (n,) codes.
    """
    ranked = _outer_groups(cate, groups)
    rows = []
    for name, values in zip(names, np.asarray(features, dtype=np.float64).T, strict=True):
        # Relative to the first value: no difference changes, and a constant feature leaves no rounding.
        shifted = values - values[0]
        means, influence = ranked.means(shifted)
        linearised = _first_minus_last(shifted, ranked, means, influence)
        error, deviation = linearised.error(clusters), float(shifted.std())
        rows.append(
            {
                "feature": name,
                "most_affected": float(means[0] + values[0]),
                "least_affected": float(means[-1] + values[0]),
                "difference": linearised.value,
                "error": error,
                "ci_low": linearised.value - Z_95 * error,
                "ci_high": linearised.value + Z_95 * error,
                "standardised_difference": linearised.value / deviation if deviation > 0 else 0.0,
            }
        )
    frame = pd.DataFrame(rows).sort_values("feature", kind="stable")
    return frame.sort_values("standardised_difference", key=np.abs, ascending=False, kind="stable", ignore_index=True)


def _outer_groups(cate: Priority, groups: int) -> RankGroups:
    """The first and the last of ``groups`` equal parts, and the part between."""
    return RankGroups.between(cate, np.unique([0, 1 / groups, 1 - 1 / groups, 1.0]))


def _first_minus_last(
    values: NDArray[np.float64],
    ranked: RankGroups,
    means: NDArray[np.float64],
    influence: NDArray[np.float64],
) -> Linearised:
    # Exactly 0: a value and an error of the size of rounding have an arbitrary ratio.
    if len(ranked.ties.stop) == 1 or np.ptp(values) == 0:
        return Linearised(0.0, np.zeros(len(values)))
    return Linearised(float(means[0] - means[-1]), influence[:, 0] - influence[:, -1])
