"""Effects by month, before and after the discount began: the event study and the test of the trend before.

Source: Montiel Olea & Plagborg-Møller (2019) for joint intervals; Bell & McCaffrey (2002) for small months.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from promotions.base.errors import InputError
from promotions.discount.did.design import GROUP, KEY, OUTCOMES, Panel
from promotions.discount.did.regression import NEGLIGIBLE, errors_of_small_cells, regress, with_errors

# Draws behind a joint interval: its critical value then varies by less than 1 %.
DRAWS = 20_000
# Least customers of either side in a studied month: with fewer, an interval says nothing.
LEAST = 5


@dataclass(frozen=True)
class EventStudy:
    """Effects by month, with the last month before the discount as reference.

    frame: ``month, event_time, estimate, error, ci_low, ci_high, joint_ci_low, joint_ci_high, reference``; event time
    is counted in the panel's months, 0 the first with the discount.  critical_value: of max |z| over all event times.
    covariance: (k, k) of the estimates without the reference, in the order of the frame.  pre_trend: Wald statistic
    that all effects before are 0, with its p-value (by F, with the fewest degrees of freedom of any of these effects)
    and the number of months.  pre_trend_clustered_p_value: with regions as clusters, by F with as many denominator
    degrees as regions less one; NaN for the region's own study.  left_out: months with fewer than ``LEAST`` on either
    side.
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
    Intervals are estimate ± t_ν(97.5 %)·error, errors HC2 with the degrees of freedom ν of Bell & McCaffrey, as a
    month may have few treated customers. Joint ones: with c the 95 % quantile of max |z| of normal estimates that vary
    together as these do (Montiel Olea & Plagborg-Møller 2019, by pyfixest), t_ν takes the place of the normal law at
    the same probability, estimate ± t_ν(Φ(c))·error.

    name: ``group`` or ``region``.  Raises InputError if the month before the discount has too few treated or controls.
    """
    rows, start, member = panel.clean[name], panel.start[name], f"in_{name}"
    sides = [rows.loc[rows[member] == side, "t"].to_numpy(np.int64) for side in (0, 1)]
    seen = np.array([np.bincount(side, minlength=len(panel.months)) for side in sides])
    usable = np.flatnonzero((seen >= LEAST).all(axis=0))
    reference = start - 1
    if reference not in usable:
        treated = panel.treated[name]
        raise InputError(
            f"{KEY}.{name}: month {panel.months[reference]:g}, the last before the discount of {treated.column} "
            f"{treated.level}, has fewer than {LEAST} treated customers or controls, so nothing can be compared with it"
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
    estimate = np.asarray(fit._beta_hat[index])
    # Rounding leaves a little of an effect of 0.
    estimate = np.where(np.abs(estimate) > NEGLIGIBLE * np.abs(estimate).max(initial=0), estimate, 0.0)
    covariance, freedom = _errors(rows, member, places, reference, fit.resid(), within=name == GROUP)
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0))
    error = np.where(deviation > NEGLIGIBLE * np.abs(estimate).max(initial=0), deviation, 0.0)
    seed = int(rng.integers(2**31))
    critical, alone, jointly = 0.0, np.zeros_like(error), np.zeros_like(error)
    before = places < start
    wald = p_value = clustered = np.nan
    if (error > 0).all():
        joint = fit.confint(joint=True, keep=names, exact_match=True, seed=seed, reps=DRAWS).loc[names].to_numpy()
        robust = np.sqrt(np.diag(fit._vcov)[index])
        critical = float(np.median((joint[:, 1] - joint[:, 0]) / 2 / robust))
        alone = np.asarray(stats.t.ppf(0.975, freedom))
        jointly = np.asarray(stats.t.ppf(stats.norm.cdf(critical), freedom))
        if before.any():
            block = np.ix_(before, before)
            wald = float(estimate[before] @ np.linalg.solve(covariance[block], estimate[before]))
            p_value = float(stats.f.sf(wald / before.sum(), before.sum(), freedom[before].min()))
            regions = rows["place"].nunique()
            if name == GROUP and regions > before.sum():
                restrictions = np.eye(len(fit._coefnames))[np.array(index)[before]]
                statistic = with_errors(fit, {"CRV1": "place"}).wald_test(R=restrictions, distribution="chi2")
                clustered = float(stats.f.sf(statistic["statistic"] / before.sum(), before.sum(), regions - 1))
    order = np.argsort(np.append(places, reference))
    columns = {
        "estimate": estimate,
        "error": error,
        "ci_low": estimate - alone * error,
        "ci_high": estimate + alone * error,
        "joint_ci_low": estimate - jointly * error,
        "joint_ci_high": estimate + jointly * error,
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


def _errors(
    rows: pd.DataFrame,
    member: str,
    places: NDArray[np.int_],
    reference: int,
    residuals: NDArray[np.float64],
    *,
    within: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Covariance and degrees of freedom of the effects of the months ``places``.

    within: effects of each region in each month are taken out, else those of regions and those of months.
    """
    table = rows[["place", "t", member]].assign(squares=residuals**2, count=1.0)
    cells = table.groupby(["place", "t", member], as_index=False)[["squares", "count"]].sum()
    treated, t = cells[member].to_numpy(np.float64), cells["t"].to_numpy()
    effects = treated[:, None] * (t[:, None] == places)
    if within:
        codes = pd.factorize(cells["place"] * (int(t.max()) + 1) + t)[0]
        others = [treated[:, None], np.eye(codes.max() + 1)[codes]]
    else:
        region = pd.factorize(cells["place"])[0]
        others = [np.eye(region.max() + 1)[region], (t[:, None] == np.unique(t[t != reference])).astype(np.float64)]
    return errors_of_small_cells(
        np.column_stack([effects, *others]),
        cells["count"].to_numpy(),
        cells["squares"].to_numpy(),
        np.arange(len(places)),
    )


def event_studies(panel: Panel, rng: np.random.Generator) -> dict[tuple[str, str], EventStudy]:
    """The event study of every analysis and outcome."""
    return {(name, outcome): event_study(panel, name, outcome, rng) for name in panel.analyses for outcome in OUTCOMES}
