"""What the discount does at a cut-off: customers just above it get more and are otherwise like those just below.

The jump of the outcome at the cut-off over the jump of the discount is the effect of a dollar, on customers at the
cut-off whose discount the rule moved (a fuzzy regression discontinuity design; Hahn, Todd & Van der Klaauw 2001).

Where the running variable is discrete, as months are, no customer is at the cut-off. The jump is read
from lines extended to it, and more customers do not make these extensions more reliable. Side by side stand the
conventional estimates, rdrobust's robust bias-corrected ones, errors clustered by value (Kolesár & Rothe 2018 show that
these are worse than unclustered ones where values are few; here to compare), and an honest interval
(``promotions.discount.rdd.honest``).
"""

import io
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from promotions.base.errors import InputError
from promotions.discount.regression import Slope, least_squares, slope_of
from promotions.inference.estimates import LEVEL, Effect

Floats = NDArray[np.float64]

ABOVE, FROM = "above", "from"
# Least distinct values of the running variable on each side; with fewer, rdrobust cannot choose a bandwidth.
LEAST_VALUES = 5
# Coefficients of two lines.
COEFFICIENTS = 4
CRITICAL = float(stats.norm.ppf(0.5 + LEVEL / 2))


@dataclass(frozen=True)
class Cutoff:
    """Treatment starts above ``value``, or from it on.

    Lines are extended to ``value``. With whole months, "above 19" and "from 20" are the same customers, but the first
    reads the jump at 19 and the second at 20: if the lines have slopes, the jumps differ a little.
    """

    value: float
    start: str = ABOVE

    def treated(self, running: Floats) -> NDArray[np.bool_]:
        """(n,) whether each customer is on the side of the treated."""
        return running > self.value if self.start == ABOVE else running >= self.value


@dataclass(frozen=True)
class Design:
    """Customers around a cut-off.

    distance: (n,) running variable less the cut-off.  treated: (n,).
    """

    distance: Floats
    treated: NDArray[np.bool_]

    @classmethod
    def of(cls, running: Floats, cutoff: Cutoff, name: str = "the running variable") -> "Design":
        """Raises InputError if the cut-off is outside the data, or if a side has too few different values."""
        treated = cutoff.treated(running)
        if treated.all() or not treated.any():
            raise InputError(
                f"discount.rdd.cutoff: {name} is between {running.min():g} and {running.max():g}, so nobody is "
                f"{'below' if treated.all() else 'above'} the cut-off {cutoff.value:g}; give a value inside"
            )
        for side, words in ((~treated, "below"), (treated, "above")):
            values = len(np.unique(running[side]))
            if values < LEAST_VALUES:
                raise InputError(
                    f"discount.rdd.cutoff: {name} has {values} different values {words} the cut-off {cutoff.value:g}; "
                    f"{LEAST_VALUES} are needed on each side, so move the cut-off or add customers"
                )
        return cls(running - cutoff.value, treated)

    @property
    def reach(self) -> float:
        """The distance of the farthest customer."""
        return float(np.abs(self.distance).max())

    def weights(self, bandwidth: float) -> Floats:
        """(n,) triangular kernel max(0, 1 − |distance|/bandwidth); 1 for everybody if ``bandwidth`` is infinite."""
        if bandwidth == np.inf:
            return np.ones(len(self.distance))
        return np.maximum(0, 1 - np.abs(self.distance) / bandwidth)


@dataclass(frozen=True)
class Jump:
    """A difference of two lines at the cut-off.

    slope: estimate with robust (HC1), classical and clustered (by value) errors.  customers: with a positive weight.
    linear: (customers,) the estimate is Σ linear·outcome.  residual: (customers,).  used: (n,) whether a customer is
    one of them.
    """

    slope: Slope
    bandwidth: float
    linear: Floats
    residual: Floats
    used: NDArray[np.bool_]

    @property
    def customers(self) -> int:
        """The number of customers with a positive weight."""
        return int(self.used.sum())

    def to_dict(self) -> dict[str, float]:
        """The effect with its errors, customers, and the bandwidth unless it is infinite."""
        width = {} if self.bandwidth == np.inf else {"bandwidth": self.bandwidth}
        return self.slope.to_dict() | {"customers": self.customers} | width


def jump(outcome: Floats, design: Design, bandwidth: float = np.inf) -> Jump:
    """τ of the weighted regression outcome = α + τ·1{treated} + β·distance + γ·distance·1{treated} + ε.

    With an infinite bandwidth the global linear version, else local linear with the triangular kernel. A customer at
    exactly ``bandwidth`` has weight 0: with whole months, 4 uses the distances −3 … 3.

    outcome: (n,).  Raises InputError if the bandwidth leaves less than two values on a side.
    """
    weights = design.weights(bandwidth)
    used = weights > 0
    distance, treated = design.distance[used], design.treated[used]
    for side, words in ((~treated, "below"), (treated, "above")):
        if len(np.unique(distance[side])) < 2:
            raise InputError(
                f"discount.rdd.bandwidths: {bandwidth:g} leaves less than two values {words} the cut-off, through "
                "which no line can be laid; widen it"
            )
    if len(distance) <= COEFFICIENTS:
        raise InputError(f"discount.rdd.bandwidths: {bandwidth:g} leaves {len(distance)} customers only; widen it")
    step = treated.astype(np.float64)
    columns = np.column_stack([np.ones(len(step)), step, distance, distance * step])
    fit = least_squares(outcome[used], columns, None if bandwidth == np.inf else weights[used])
    root = np.sqrt(weights[used])
    return Jump(
        slope=slope_of(fit, 1, np.unique(distance, return_inverse=True)[1]),
        bandwidth=bandwidth,
        linear=np.asarray(fit.model.pinv_wexog[1] * root),
        residual=np.asarray(fit.resid),
        used=used,
    )


@dataclass(frozen=True)
class Ratio:
    """An effect per dollar: a jump of the outcome over that of the discount.

    effect: with the error of the delta method.  ar_low, ar_high: Anderson & Rubin's interval, valid for any size of the
    discount's jump: the ratios at which outcome − ratio·discount has no significant jump.
    """

    effect: Effect
    ar_low: float
    ar_high: float

    def to_dict(self) -> dict[str, float]:
        """The effect, anderson_rubin_low and anderson_rubin_high."""
        return self.effect.to_dict() | {"anderson_rubin_low": self.ar_low, "anderson_rubin_high": self.ar_high}


def ratio(outcome: Jump, dose: Jump) -> Ratio:
    """The jump of the outcome over that of the dose: two-stage least squares with the cut-off as the instrument.

        θ̂ = τ_y/τ_d,   se = se(τ_{y − θ̂d})/|τ_d|,   {θ: (τ_y − θτ_d)² ≤ z²·(V_yy − 2θV_yd + θ²V_dd)}

    with HC1 variances. Raises InputError if the dose has no significant jump: the second set is then unbounded.
    """
    covariance = jump_covariance(outcome, dose)
    tau_y, tau_d = outcome.slope.robust.estimate, dose.slope.robust.estimate
    a = tau_d**2 - CRITICAL**2 * covariance[1, 1]
    if not a > 0:
        raise no_jump(dose.slope.robust)
    theta = tau_y / tau_d
    error = np.sqrt(covariance[0, 0] - 2 * theta * covariance[0, 1] + theta**2 * covariance[1, 1]) / abs(tau_d)
    b = tau_y * tau_d - CRITICAL**2 * covariance[0, 1]
    c = tau_y**2 - CRITICAL**2 * covariance[0, 0]
    half = np.sqrt(max(b**2 - a * c, 0.0))
    return Ratio(Effect.student(theta, float(error)), float((b - half) / a), float((b + half) / a))


def no_jump(dose: Effect) -> InputError:
    """The error of a dose that does not jump."""
    return InputError(
        f"discount.rdd: the discount does not jump at the cut-off ({dose.estimate:.4g}, 95 % interval "
        f"{dose.ci_low:.4g} to {dose.ci_high:.4g}), so there is no effect per dollar; give the cut-off at which it "
        "does, or search for it"
    )


def jump_covariance(outcome: Jump, dose: Jump) -> Floats:
    """(2, 2) HC1 covariance of two jumps of the same customers and weights: n/(n − 4)·Σ linear²·e·e'."""
    n = outcome.customers
    residuals = np.column_stack([outcome.residual, dose.residual]) * outcome.linear[:, None]
    return np.asarray(residuals.T @ residuals * n / (n - COEFFICIENTS))


@dataclass(frozen=True)
class Robust:
    """rdrobust's answer.

    estimate: the conventional one at the MSE-optimal bandwidth; error, ci_low, ci_high and p_value are those of the
    bias-corrected one, ``corrected``, so the interval need not be centred at the estimate.
    bandwidth, bias_bandwidth: running variable's unit.  below, above: customers within the bandwidth.
    """

    estimate: float
    corrected: float
    error: float
    ci_low: float
    ci_high: float
    p_value: float
    bandwidth: float
    bias_bandwidth: float
    below: int
    above: int

    def to_dict(self) -> dict[str, float]:
        """All of it."""
        return {
            "estimate": self.estimate,
            "bias_corrected": self.corrected,
            "error": self.error,
            "ci_low": self.ci_low,
            "ci_high": self.ci_high,
            "p_value": self.p_value,
            "bandwidth": self.bandwidth,
            "bias_bandwidth": self.bias_bandwidth,
            "customers_below": self.below,
            "customers_above": self.above,
        }


def robust_jump(
    outcome: Floats, design: Design, *, dose: Floats | None = None, by_value: bool = False, **options: Any
) -> Robust:
    """Local linear jump with a robust bias-corrected interval (Calonico, Cattaneo & Titiunik 2014), by rdrobust.

    Triangular kernel, nearest-neighbour variances, MSE-optimal bandwidths; where values are few, these may hold fewer
    than a line (a parabola, for the bias) needs, and are then widened to the third (fourth) value of either side. An
    outcome that is constant on each side, such as a fixed discount, jumps exactly.

    outcome: (n,).  dose: (n,) for the jump over that of the dose (fuzzy).  by_value: errors clustered by value of the
    running variable.  options: of rdrobust; h and b replace the bandwidths it would choose.
    Raises InputError if rdrobust finds no estimate.
    """
    sides = [outcome[~design.treated], outcome[design.treated]]
    if dose is None and all(np.ptp(side) == 0 for side in sides):
        exact = float(sides[1][0] - sides[0][0])
        counts = (len(sides[0]), len(sides[1]))
        return Robust(exact, exact, 0.0, exact, exact, float(exact == 0), design.reach, design.reach, *counts)
    # rdrobust treats from the cut-off on. Mirrored, "above" becomes "from": sides and the sign of the jump are swapped.
    mirrored = bool((design.treated != (design.distance >= 0)).any())
    sign = -1.0 if mirrored else 1.0
    data = {"y": outcome if dose is not None else sign * outcome, "x": sign * design.distance, "c": 0, "fuzzy": dose}
    if by_value:
        data["cluster"] = np.unique(design.distance, return_inverse=True)[1]
    fit = _ask_rdrobust(data, options, design)
    numbers = {
        "estimate": fit.coef.iloc[0, 0],
        "corrected": fit.coef.iloc[2, 0],
        "error": fit.se.iloc[2, 0],
        "ci_low": fit.ci.iloc[2, 0],
        "ci_high": fit.ci.iloc[2, 1],
        "p_value": fit.pv.iloc[2, 0],
        "bandwidth": fit.bws.iloc[0, 0],
        "bias_bandwidth": fit.bws.iloc[1, 0],
    }
    within = [int(count) for count in fit.N_h]
    below, above = within[::-1] if mirrored else within
    return Robust(**{name: float(value) for name, value in numbers.items()}, below=below, above=above)


def _ask_rdrobust(data: dict[str, Any], options: dict[str, Any], design: Design) -> Any:
    from rdrobust import rdbwselect, rdrobust

    # rdrobust prints repeated values, warns of few clusters, and divides by 0 if all customers have the same dose.
    with redirect_stdout(io.StringIO()), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            if "h" not in options:
                chosen = rdbwselect(**data, **options).bws
                least = [max(_distance_of(design, place, side) for side in (False, True)) for place in (2, 3)]
                widths = [max(float(chosen.iloc[0, column]), width) for column, width in ((0, least[0]), (2, least[1]))]
                options = {**options, "h": widths[0], "b": widths[1]}
            return rdrobust(**data, **options)
        except Exception as problem:
            # rdrobust raises plain Exception if the data are too few.
            if type(problem) not in (Exception, ValueError, np.linalg.LinAlgError):
                raise
            raise InputError(
                f"discount.rdd: rdrobust finds no estimate ({' '.join(str(problem).split())}); the running variable "
                "may have too few values near the cut-off"
            ) from None


def _distance_of(design: Design, place: int, treated: bool) -> float:
    """The distance of the ``place``-th value of a side, the nearest being the 0-th."""
    return float(np.unique(np.abs(design.distance[design.treated == treated]))[place])
