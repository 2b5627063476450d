"""Intervals for a jump where lines are only approximate: the second derivative is bounded, |f''| ≤ K.

Source: Kolesár & Rothe (2018), "Inference in regression discontinuity designs with a discrete running variable"
(bounded second derivative); Armstrong & Kolesár (2020), "Simple and honest confidence intervals in nonparametric
regression"; for a ratio Noack & Rothe (2024), "Bias-aware inference in fuzzy regression discontinuity designs".

A local linear estimate Σ w·y reproduces lines, so its bias comes from curvature: at most K·B for functions whose
slope changes by at most K a unit on either side. The interval  τ̂ ± cv(K·B/se)·se  covers the jump for all of them,
whether the running variable is discrete or not, cv(b) the 95 % point of |N(b, 1)|. It depends on K, which data cannot
give: a function may bend between two values, where no customer is. So K is reported, with the K at which the finding
fails.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

from promotions.base.errors import InputError
from promotions.base.validation import require_keys, require_number
from promotions.discount.rdd.jump import Design, no_jump
from promotions.discount.regression import least_squares
from promotions.inference.estimates import LEVEL, Effect

Floats = NDArray[np.float64]

ESTIMATED = "estimated"
# K is so many times the upper end of the estimated curvature; Imbens & Wager (2019) suggest 2 to 4.
SAFETY = 2.0
# A variance is taken among at least so many customers next to each other.
NEIGHBOURS = 4
BANDWIDTHS = 40
# Above this bias the folded normal's quantile equals that of one tail, to all digits.
FAR = 8.0


def critical_value(bias: float, level: float = LEVEL) -> float:
    """cv: P(|N(bias, 1)| ≤ cv) = level. 1.96 without bias, bias + 1.645 with a large one. bias: in standard errors."""
    if bias > FAR:
        return float(bias + stats.norm.ppf(level))
    return float(np.sqrt(stats.ncx2.ppf(level, 1, bias**2))) if bias > 0 else float(stats.norm.ppf(0.5 + level / 2))


@dataclass(frozen=True)
class Cells:
    """Customers who share a value of the running variable, nearest to the cut-off first, the treated last.

    distance: (g,).  treated: (g,).  count: (g,).  mean: (g, m) of m outcomes.  covariance: (g, m, m) of one customer's
    outcomes given the value.
    """

    distance: Floats
    treated: NDArray[np.bool_]
    count: Floats
    mean: Floats
    covariance: Floats

    @classmethod
    def of(cls, outcomes: Floats, design: Design) -> "Cells":
        """Variances are those within a value, or where fewer than four share it within the nearest values of the side.

        outcomes: (n, m).
        """
        parts = [_side(outcomes, design, treated=side) for side in (False, True)]
        return cls(*(np.concatenate([part[place] for part in parts]) for place in range(5)))

    def weights(self, bandwidth: float) -> Floats:
        """(g,) of the local linear estimate Σ weight·mean, triangular kernel; an infinite bandwidth weighs all alike.

        None if a side has fewer than two values within the bandwidth.
        """
        kernel = np.ones(len(self.distance))
        if bandwidth < np.inf:
            kernel = np.maximum(0, 1 - np.abs(self.distance) / bandwidth)
        mass = kernel * self.count
        result = np.zeros(len(self.distance))
        for side, sign in ((~self.treated, -1.0), (self.treated, 1.0)):
            w, x = mass[side], self.distance[side]
            if (w > 0).sum() < 2:
                return np.zeros(0)
            centre = (w @ x) / w.sum()
            spread = w @ (x - centre) ** 2
            result[side] = sign * w * (1 / w.sum() - centre * (x - centre) / spread)
        return result

    def largest_bias(self, weights: Floats) -> float:
        """B: the largest bias of Σ weight·mean if the second derivative is at most 1 on either side.

        f(x) = a + b·x + ∫ (x − s)₊ f''(s) ds, and weights annul a and b; so the bias is ∫ f''(s)·W(s) ds with
        W(s) = Σ_{|x| ≥ s} weight·(|x| − s), at most ∫ |W|. W is linear between values of the running variable.
        """
        return sum(_area_of_tails(np.abs(self.distance[side]), weights[side]) for side in (~self.treated, self.treated))


@dataclass(frozen=True)
class Honest:
    """A jump, or a ratio of jumps, with an interval that covers it wherever curvature is at most ``curvature``.

    error: standard error.  bias: the largest that curvature can cause.
    """

    estimate: float
    error: float
    bias: float
    ci_low: float
    ci_high: float
    bandwidth: float
    curvature: float

    def to_dict(self) -> dict[str, float]:
        """All of it, and the bandwidth unless it is infinite: bias is ``largest_bias``, K is ``curvature_bound``."""
        return {
            "estimate": self.estimate,
            "error": self.error,
            "largest_bias": self.bias,
            "ci_low": self.ci_low,
            "ci_high": self.ci_high,
            "curvature_bound": self.curvature,
        } | ({"bandwidth": self.bandwidth} if self.bandwidth < np.inf else {})


def honest_jump(cells: Cells, curvature: float, bandwidth: float | None = None) -> Honest:
    """The honest interval of the first outcome's jump.

    bandwidth: None for the one with the shortest interval; that choice uses the variances only, not the estimate.
    Raises InputError if the bandwidth leaves less than two values on a side.
    """
    if bandwidth is None:
        bandwidth = shortest_bandwidth(cells, curvature)
    weights = cells.weights(bandwidth)
    if not len(weights):
        raise InputError(f"discount.rdd: the bandwidth {bandwidth:g} leaves less than two values on a side; widen it")
    estimate = float(weights @ cells.mean[:, 0])
    error = float(np.sqrt(weights**2 @ (cells.covariance[:, 0, 0] / cells.count)))
    unit = cells.largest_bias(weights)
    half = _interval(curvature * unit, error)
    return Honest(estimate, error, curvature * unit, estimate - half, estimate + half, bandwidth, curvature)


def honest_ratio(cells: Cells, curvatures: tuple[float, float], bandwidth: float | None = None) -> Honest:
    """The honest interval of the first outcome's jump over the second's, the dose's.

        {θ: |τ_y − θτ_d| ≤ cv(b/se)·se},   b = (K_y + |θ|·K_d)·B,   se² that of τ_y − θτ_d

    It needs no delta method and is right for small jumps of the dose. curvature and breakdown are of the outcome.

    cells: of outcome and dose.  curvatures: K_y, K_d.  bandwidth: None for that of the outcome's shortest interval.
    Raises InputError if the interval of the dose's jump includes 0: the set is then unbounded.
    """
    if bandwidth is None:
        bandwidth = shortest_bandwidth(cells, curvatures[0])
    weights = cells.weights(bandwidth)
    tau = weights @ cells.mean
    covariance = np.einsum("g,gij->ij", weights**2 / cells.count, cells.covariance)
    unit = cells.largest_bias(weights)

    def excess(theta: float, at_y: float = curvatures[0], at_d: float = curvatures[1]) -> float:
        """How far the jump of outcome − θ·dose is outside its interval; negative inside."""
        contrast = np.array([1.0, -theta])
        error = float(np.sqrt(max(contrast @ covariance @ contrast, 0)))
        return abs(float(contrast @ tau)) - _interval((at_y + abs(theta) * at_d) * unit, error)

    dose_error = float(np.sqrt(covariance[1, 1]))
    if abs(tau[1]) <= _interval(curvatures[1] * unit, dose_error):
        half = _interval(curvatures[1] * unit, dose_error)
        raise no_jump(Effect(float(tau[1]), dose_error, float(tau[1] - half), float(tau[1] + half), 1.0))
    theta = float(tau[0] / tau[1])
    ends = [_end(excess, theta, sign) for sign in (-1, 1)]
    contrast = np.array([1.0, -theta])
    error = float(np.sqrt(max(contrast @ covariance @ contrast, 0)) / abs(tau[1]))
    bias = (curvatures[0] + abs(theta) * curvatures[1]) * unit / abs(float(tau[1]))
    return Honest(theta, error, bias, ends[0], ends[1], bandwidth, curvatures[0])


def breakdown(cells: Cells) -> float:
    """The least K at which the shortest honest interval of the first outcome's jump includes 0; 0 if it does at K = 0.

    Each K has its own best bandwidth: the smaller the curvature, the wider it is.
    """

    def excess(curvature: float) -> float:
        interval = honest_jump(cells, curvature)
        return max(interval.ci_low, -interval.ci_high)

    if excess(0.0) <= 0:
        return 0.0
    span = float(np.ptp(cells.mean[:, 0])) / float(np.abs(cells.distance).max()) ** 2
    low, high = 0.0, max(span, 1e-12)
    while excess(high) > 0:
        low, high = high, 2 * high
        if high > 1e12 * span:
            # An exact jump at the cut-off itself: no curvature explains it away.
            return float(low)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return float(high)


def shortest_bandwidth(cells: Cells, curvature: float) -> float:
    """The bandwidth of the shortest honest interval; of equal ones the smallest. It uses the variances only."""
    return float(min(bandwidths(cells), key=lambda width: _half_length(cells, width, curvature)))


def bandwidths(cells: Cells) -> Floats:
    """Bandwidths worth trying: from the second value on each side to the farthest one, half as far again, and all."""
    seconds = [np.sort(np.abs(cells.distance[side]))[1] for side in (~cells.treated, cells.treated)]
    farthest = float(np.abs(cells.distance).max())
    # At the second value itself its weight would be 0.
    steps = np.geomspace(1.05 * max(seconds), 1.5 * farthest, BANDWIDTHS)
    return np.append(steps, np.inf)


def curvature_bound(outcome: Floats, design: Design) -> float:
    """K where none is given: twice the upper 95 % end of |f''|, of a parabola fitted to each side; the larger side's.

    Each parabola sees all customers of its side, HC1 errors. Twice, because the curvature may vary
    (Imbens & Wager 2019, section 4, multiply a global parabola's by 2 to 4), and the upper end, because a small
    estimate may be luck. This is a rule of thumb, not a bound: a function may bend more where no customer is.
    """
    sizes = []
    for side in (~design.treated, design.treated):
        x = design.distance[side]
        scale = float(np.abs(x).max())
        centre = x.mean() / scale
        fit = least_squares(outcome[side], np.vander(x / scale - centre, 3))
        error = float(np.sqrt(fit.cov_HC1[0, 0]))
        sizes.append(2 * (abs(float(fit.params[0])) + stats.norm.ppf(0.5 + LEVEL / 2) * error) / scale**2)
    return float(SAFETY * max(sizes))


def curvature_params(params: object, outcomes: tuple[str, ...], key: str) -> Mapping[str, float] | None:
    """``discount.rdd.curvature``: the word "estimated" (None), or a K of 0 or more for each outcome."""
    if params == ESTIMATED:
        return None
    if not isinstance(params, Mapping):
        raise InputError(f"{key}: expected the word {ESTIMATED}, or a number for each of {', '.join(outcomes)}")
    require_keys(params, outcomes, key)
    return {name: require_number(params[name], f"{key}.{name}", 0) for name in outcomes}


def _interval(bias: float, error: float) -> float:
    """Half the length of the honest interval."""
    return critical_value(bias / error) * error if error > 0 else bias


def _half_length(cells: Cells, bandwidth: float, curvature: float) -> float:
    weights = cells.weights(bandwidth)
    if not len(weights):
        return float("inf")
    error = float(np.sqrt(weights**2 @ (cells.covariance[:, 0, 0] / cells.count)))
    return _interval(curvature * cells.largest_bias(weights), error)


def _end(excess: Any, start: float, sign: int) -> float:
    """The first point from ``start`` at which ``excess`` turns positive: the end of the interval on that side."""
    step = max(abs(start), 1e-8) / 8
    inside = start
    for _ in range(200):
        outside = start + sign * step
        if excess(outside) > 0:
            return float(brentq(excess, inside, outside, xtol=1e-14 * max(abs(outside), 1)))
        inside, step = outside, 1.5 * step
    raise InputError("discount.rdd: the effect per dollar has no finite honest interval; the discount hardly jumps")


def _area_of_tails(x: Floats, weights: Floats) -> float:
    """∫₀^∞ |Σ_{x ≥ s} weight·(x − s)| ds for x ≥ 0."""
    order = np.argsort(x)
    knots = np.concatenate([[0.0], x[order]])
    tail_weight = np.concatenate([np.cumsum(weights[order][::-1])[::-1], [0.0]])
    tail_moment = np.concatenate([np.cumsum((weights * x)[order][::-1])[::-1], [0.0]])
    # On (knots[i], knots[i + 1]) the tail starts with the i-th value: W(s) = moment − weight·s.
    left = tail_moment[:-1] - tail_weight[:-1] * knots[:-1]
    right = tail_moment[:-1] - tail_weight[:-1] * knots[1:]
    width = np.diff(knots)
    total = np.abs(left) + np.abs(right)
    same = left * right >= 0
    safe = np.where(total > 0, total, 1.0)
    # Where the line crosses 0, two triangles.
    return float(np.where(same, width * total / 2, width * (left**2 + right**2) / (2 * safe)).sum())


def _side(
    outcomes: Floats, design: Design, *, treated: bool
) -> tuple[Floats, NDArray[np.bool_], Floats, Floats, Floats]:
    """Distances, side, counts, means and covariances of one side's values, nearest first."""
    members = design.treated == treated
    order = np.argsort(np.abs(design.distance[members]), kind="stable")
    x, y = design.distance[members][order], outcomes[members][order]
    values, first, count = np.unique(np.abs(x), return_index=True, return_counts=True)
    ends = first + count
    # Shifted, so that squares keep their digits.
    y0 = y - y.mean(axis=0)
    sums = np.concatenate([np.zeros((1, y.shape[1])), np.cumsum(y0, axis=0)])
    products = np.concatenate(
        [np.zeros((1, y.shape[1], y.shape[1])), np.cumsum(np.einsum("ni,nj->nij", y0, y0), axis=0)]
    )
    mean = (sums[ends] - sums[first]) / count[:, None] + y.mean(axis=0)
    covariance = np.empty((len(values), y.shape[1], y.shape[1]))
    for place in range(len(values)):
        low = high = place
        while ends[high] - first[low] < NEIGHBOURS and (low > 0 or high < len(values) - 1):
            below = values[place] - values[low - 1] if low > 0 else np.inf
            above = values[high + 1] - values[place] if high < len(values) - 1 else np.inf
            low, high = (low - 1, high) if below <= above else (low, high + 1)
        size = ends[high] - first[low]
        total = sums[ends[high]] - sums[first[low]]
        scatter = products[ends[high]] - products[first[low]] - np.outer(total, total) / size
        covariance[place] = scatter / max(size - 1, 1)
    return x[first], np.full(len(values), treated), count.astype(np.float64), mean, covariance
