"""Effects where the timing differs: of each cohort in each month, and their means.

Source: Callaway & Sant'Anna (2021).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from promotions.discount.did.design import GROUP, REGION, Panel
from promotions.discount.did.regression import NEGLIGIBLE, quiet


@dataclass(frozen=True)
class GroupTime:
    """Callaway & Sant'Anna's effects of each cohort in each month, and their means.

    effects: ``treated, first_month, month, event_time, estimate, error, ci_low, ci_high``.  cohorts: ``treated,
    first_month, estimate, error, ci_low, ci_high``, the mean over a cohort's months with the discount.  overall: the
    mean over all of them, weighted by the cohorts' customers.
    """

    effects: pd.DataFrame
    cohorts: pd.DataFrame
    overall: dict[str, float]


def group_time(panel: Panel, outcome: str) -> GroupTime:
    """Effects where the timing differs: the group from its month, the region's other customers from theirs.

    ATT(g, t) = (E[y | cohort g, t] − E[y | cohort g, g − 1]) − the same of customers who are never treated. Customers
    of the group in the treated region are left out in all months: they got both discounts. Leaving them out from
    some month on only would change the group's customers (regions differ), and that change would count as an effect.
    Source: Callaway & Sant'Anna (2021), for repeated cross-sections, by diff_diff. Errors suppose independent
    customers. Trends of regions are not taken out: compare ``event_study``.
    """
    from diff_diff import CallawaySantAnna

    rows = panel.rows[panel.rows["known"]]
    rows = rows[~((rows["in_region"] == 1) & (rows["in_group"] == 1))]
    # Places are counted from 1, as 0 means never.
    starts = {name: start + 1 for name, start in panel.start.items()}
    first = np.where(rows["in_region"] == 1, starts.get(REGION, 0), 0)
    first = np.where(rows["in_group"] == 1, starts[GROUP], first)
    table = pd.DataFrame(
        {
            "y": rows[outcome].to_numpy(dtype=np.float64),
            "id": np.arange(len(rows)),
            "t": rows["t"].to_numpy() + 1,
            "first": first,
        }
    )
    with quiet():
        result = CallawaySantAnna(panel=False, base_period="universal").fit(table, "y", "id", "t", "first")
        means = result.aggregate("group").to_dataframe()
        whole = result.aggregate("simple").to_dataframe().iloc[0]
    # With one month for both, group and region are one cohort.
    named = {start: name for name, start in reversed(starts.items())}
    effects = [
        {
            "treated": named[int(cohort)],
            "first_month": float(panel.months[int(cohort) - 1]),
            "month": float(panel.months[int(t) - 1]),
            "event_time": int(t) - int(cohort),
            **_finite(cell["effect"], cell["se"], cell["conf_int"]),
        }
        for (cohort, t), cell in result.group_time_effects.items()
        if np.isfinite(cell["effect"])
    ]
    cohorts = [
        {
            "treated": named[int(row["label"])],
            "first_month": float(panel.months[int(row["label"]) - 1]),
            **_finite(row["att"], row["se"], (row["conf_int_lower"], row["conf_int_upper"])),
        }
        for _, row in means.iterrows()
    ]
    overall = _finite(whole["att"], whole["se"], (whole["conf_int_lower"], whole["conf_int_upper"]))
    return GroupTime(pd.DataFrame(effects), pd.DataFrame(cohorts), overall)


def _finite(estimate: float, error: float, interval: tuple[float, float]) -> dict[str, float]:
    """An estimate and its interval; without variance the interval is the estimate itself."""
    estimate = float(estimate)
    if not error > NEGLIGIBLE * abs(estimate):
        return {"estimate": estimate, "error": 0.0, "ci_low": estimate, "ci_high": estimate}
    return {
        "estimate": estimate,
        "error": float(error),
        "ci_low": float(interval[0]),
        "ci_high": float(interval[1]),
    }
