"""Effects by month, before and after the discount began: the event study and the test of the trend before.

Source: Montiel Olea & Plagborg-Møller (2019) for joint intervals.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from promotions.discount.did_design import GROUP, KEY, OUTCOMES, Panel
from promotions.discount.did_regression import NEGLIGIBLE, regress, with_errors
from promotions.errors import InputError

# Draws behind a joint interval: its critical value then varies by less than 1 %.
DRAWS = 20_000


@dataclass(frozen=True)
class EventStudy:
    """Effects by month, with the last month before the discount as reference.

    frame: ``month, event_time, estimate, error, ci_low, ci_high, joint_ci_low, joint_ci_high, reference``; event time
    is counted in the panel's months, 0 the first with the discount.  critical_value: of max |t| over all event times.
    covariance: (k, k) of the estimates but the reference, in the order of the frame.  pre_trend: Wald statistic that
    all effects before are 0, with its p-value (χ²) and the number of months.  pre_trend_clustered_p_value: with
    regions as clusters, by F with as many denominator degrees as regions less one; NaN for the region's own study.
    left_out: months without treated or without controls.
    """

    frame: pd.DataFrame
    covariance: NDArray[np.float64]
    critical_value: float
    pre_trend: float
    pre_trend_p_value: float
    pre_trend_clustered_p_value: float
    pre_months: int
    left_out: int


def event_study(panel: Panel, name: str, outcome: str, rng: np.random.Generator) -> EventStudy:
    """Least squares of the outcome on treated × month, among the rows that are clean.

    group: y_i = α_{region, month} + γ·treated_i + Σ_{t ≠ ref} β_t·treated_i·1{month_i = t} + ε_i, so that customers are
    compared with others of the same region and month.  region: the same with α_region + λ_month.
    Pointwise intervals are HC1; the joint ones are estimate ± c·error with c the 95 % quantile of max |t| (Montiel Olea
    & Plagborg-Møller 2019, by pyfixest).

    name: ``group`` or ``region``.  Raises InputError if the month before the discount has no treated or no controls.
    """
    rows, start, member = panel.clean[name], panel.start[name], f"in_{name}"
    seen = rows.groupby("t")[member].nunique()
    usable = seen.index[seen == 2].to_numpy()
    reference = start - 1
    if reference not in usable:
        treated = panel.treated[name]
        raise InputError(
            f"{KEY}.{name}: month {panel.months[reference]:g}, the last before the discount of {treated.column} "
            f"{treated.level}, has no treated customers or no controls, so nothing can be compared with it"
        )
    rows = rows[rows["t"].isin(usable)].reset_index(drop=True)
    effects = f"i(t, {member}, ref={reference})"
    if name == GROUP:
        fit = regress(f"{outcome} ~ {member} + {effects} | cell", rows)
    else:
        fit = regress(f"{outcome} ~ {effects} + C(t) | place", rows)
    names = [term for term in fit._coefnames if term.startswith("t::")]
    places = np.array([int(term.removeprefix("t::").split(":")[0]) for term in names])
    index = [list(fit._coefnames).index(term) for term in names]
    estimate, covariance = fit._beta_hat[index], fit._vcov[np.ix_(index, index)]
    error = np.sqrt(np.maximum(np.diag(covariance), 0))
    error = np.where(error > NEGLIGIBLE * np.abs(estimate).max(initial=0), error, 0.0)
    seed = int(rng.integers(2**31))
    critical, low, high = 0.0, estimate.copy(), estimate.copy()
    before = places < start
    wald = p_value = clustered = np.nan
    if (error > 0).all():
        pointwise = fit.confint().loc[names].to_numpy(dtype=np.float64)
        low, high = pointwise[:, 0], pointwise[:, 1]
        joint = fit.confint(joint=True, keep=names, exact_match=True, seed=seed, reps=DRAWS).loc[names].to_numpy()
        critical = float(np.median((joint[:, 1] - joint[:, 0]) / 2 / error))
        if before.any():
            restrictions = np.eye(len(fit._coefnames))[np.array(index)[before]]
            wald, p_value = (float(part) for part in fit.wald_test(R=restrictions, distribution="chi2"))
            regions = rows["place"].nunique()
            if name == GROUP and regions > before.sum():
                statistic = with_errors(fit, {"CRV1": "place"}).wald_test(R=restrictions, distribution="chi2")
                clustered = float(stats.f.sf(statistic["statistic"] / before.sum(), before.sum(), regions - 1))
    order = np.argsort(np.append(places, reference))
    columns = {
        "estimate": estimate,
        "error": error,
        "ci_low": low,
        "ci_high": high,
        "joint_ci_low": estimate - critical * error,
        "joint_ci_high": estimate + critical * error,
    }
    at = np.append(places, reference)[order]
    frame = pd.DataFrame({"month": panel.months[at], "event_time": at - start})
    frame = frame.assign(**{column: np.append(values, 0.0)[order] for column, values in columns.items()})
    return EventStudy(
        frame.assign(reference=at == reference),
        covariance,
        critical,
        wald,
        p_value,
        clustered,
        int(before.sum()),
        len(panel.months) - len(usable),
    )


def event_studies(panel: Panel, rng: np.random.Generator) -> dict[tuple[str, str], EventStudy]:
    """The event study of every analysis and outcome."""
    return {(name, outcome): event_study(panel, name, outcome, rng) for name in panel.analyses for outcome in OUTCOMES}
