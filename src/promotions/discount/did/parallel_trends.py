"""What is left of an effect if the trends of treated and controls were not parallel.

Source: Rambachan & Roth (2023).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from promotions.base.rounding import alike
from promotions.discount.did.event_study import EventStudy

# The search for the shortest interval stops where the length is flat; its ends are exact to so many digits.
DIGITS = 5


@dataclass(frozen=True)
class Sensitivity:
    """Effects if parallel trends do not hold.

    frame: ``target, months, curvature, estimate, ci_low, ci_high``: intervals that hold if the difference of trends
    bends by no more than ``curvature`` (money a month, from one month to the next).  breakdown: the curvature from
    which on the interval of ``early`` includes 0 (0: it does even where trends are straight).  detectable_slope: the
    straight difference of trends (money a month) that the pre-trend test would find in 80 of 100 panels.
    """

    frame: pd.DataFrame
    breakdown: float
    detectable_slope: float


def sensitivity(study: EventStudy, curvatures: Sequence[float]) -> Sensitivity | None:
    """Rambachan & Roth's (2023) smoothness restriction: fixed-length intervals of the effect, by diff_diff.

    The difference of trends between treated and controls may be any δ with |(δ_{t+1} − δ_t) − (δ_t − δ_{t−1})| ≤ M;
    with M = 0 it is a straight line, which the months before then determine. Two targets: ``first``, the first month,
    and ``early``, the mean of as many months as there are before: looking further ahead than back asks too much of a
    line. (The other restriction of the paper, relative magnitudes, is left out: the package's interval for it ignores
    that the differences before are estimated.) Only for the group: with a single treated region the errors ignore
    whatever else happened to that region.

    curvatures: M ≥ 0.  None if there is no month before the reference, gaps in the months, or no variance.
    """
    from diff_diff import HonestDiD
    from diff_diff.pretrends import compute_pretrends_power

    event_times = study.frame["event_time"].to_numpy()
    if study.pre_months < 1 or (np.diff(event_times) != 1).any() or not (study.frame["error"] > 0).sum() > 1:
        return None
    after = int((event_times >= 0).sum())
    early = min(study.pre_months + 1, after)
    # Later months restrict nothing that comes before them, and cost time.
    surface = _surface(study, early)
    intervals = []
    for target, months in (("first", 1), ("early", early)):
        weights = np.append(np.full(months, 1 / months), np.zeros(early - months))
        honest = HonestDiD(method="smoothness", l_vec=weights)
        for curvature in curvatures:
            bounds = honest.fit(surface, M=float(curvature))
            low, high = alike([bounds.ci_lb, bounds.ci_ub], DIGITS)
            intervals.append(
                {
                    "target": target,
                    "months": months,
                    "curvature": float(curvature),
                    "estimate": float(bounds.original_estimate),
                    "ci_low": float(low),
                    "ci_high": float(high),
                }
            )
    breakdown = _breakdown(honest, surface, float(study.frame["error"].max()))
    power = compute_pretrends_power(surface, violation_type="linear", pretest_form="wald")
    return Sensitivity(pd.DataFrame(intervals), breakdown, float(power.mdv))


def _breakdown(honest: Any, surface: Any, scale: float) -> float:
    """The least curvature at which the interval includes 0, to 5 %; ten times ``scale`` if none up to there does."""

    def excludes_zero(curvature: float) -> bool:
        bounds = honest.fit(surface, M=curvature)
        return bool(bounds.ci_lb > 0 or bounds.ci_ub < 0)

    if not excludes_zero(0.0):
        return 0.0
    low, high = 0.0, scale / 8
    while excludes_zero(high):
        low, high = high, 2 * high
        if high > 10 * scale:
            return 10 * scale
    while high - low > 0.05 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if excludes_zero(middle) else (low, middle)
    return low


def _surface(study: EventStudy, after: int) -> Any:
    """The event study as diff_diff writes its own: that of treated × month, here with regions' effects taken out."""
    from diff_diff.results_base import EventStudyResults

    kept = (study.frame["event_time"] < after).to_numpy()
    frame = study.frame[kept]
    inside = kept[~study.frame["reference"].to_numpy(dtype=bool)]
    reference = frame["reference"].to_numpy(dtype=bool)
    times = frame["event_time"].to_numpy()
    blank = np.where(reference, np.nan, 1.0)
    error = frame["error"].to_numpy() * blank
    return EventStudyResults(
        event_time=times,
        att=frame["estimate"].to_numpy(),
        se=error,
        t_stat=frame["estimate"].to_numpy() / error,
        p_value=blank,
        conf_int_lower=frame["ci_low"].to_numpy() * blank,
        conf_int_upper=frame["ci_high"].to_numpy() * blank,
        is_reference=reference,
        n=np.full(len(frame), np.nan),
        reference_period=-1,
        time_scale="calendar",
        vcov=study.covariance[np.ix_(inside, inside)],
        vcov_index=times[~reference],
        source="TwoWayFixedEffects",
        post_periods=tuple(int(time) for time in times if time >= 0),
    )
