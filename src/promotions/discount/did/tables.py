"""What the comparisons over time say, as metrics and as the long frames of the figures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from promotions.discount.did.design import Panel
from promotions.discount.did.event_study import EventStudy
from promotions.discount.did.group_time import GroupTime
from promotions.discount.did.parallel_trends import Sensitivity
from promotions.inference.estimates import all_named, named

# Names of the truths of a simulated panel.
TRUTHS = ("did_effect", "region_effect")


def summary(
    panel: Panel,
    estimates: pd.DataFrame,
    changed: pd.DataFrame,
    studies: Mapping[tuple[str, str], EventStudy],
    honest: Sensitivity | None,
    cohorts: Mapping[str, GroupTime],
    simulated_truth: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What goes into the metrics: nested numbers, strings and booleans.  simulated_truth: None for real data."""
    design: dict[str, Any] = {"customers": len(panel.rows), "months": len(panel.months), "regions": len(panel.regions)}
    design["customers_of_unknown_group_or_region"] = int((~panel.rows["known"]).sum())
    design["customers_treated_otherwise"] = int((panel.rows["otherwise"] & panel.rows["known"]).sum())
    for name in panel.analyses:
        treated = panel.treated[name]
        design[name] = {"column": treated.column, "level": treated.level, "month": treated.month}
    metrics: dict[str, Any] = {"design": design}
    truth = {key: float(value) for key, value in (simulated_truth or {}).items() if key.startswith(TRUTHS)}
    if truth:
        metrics["truth"] = truth
    for name in panel.analyses:
        compared = estimates[estimates["treated"] == name]
        table: dict[str, Any] = {}
        for estimator, rows in compared.groupby("estimator", sort=False):
            entry: dict[str, Any] = {"contaminated": bool(rows["contaminated"].iloc[0])}
            if entry["contaminated"]:
                entry["why"] = str(rows["why"].iloc[0])
            entry["customers"], entry["clusters"] = int(rows["customers"].iloc[0]), int(rows["clusters"].iloc[0])
            numbers = rows.set_index("outcome").drop(
                columns=["treated", "estimator", "contaminated", "why", "customers", "clusters"]
            )
            for outcome, row in numbers.iterrows():
                entry |= named(str(outcome), {str(k): float(v) for k, v in row.items() if np.isfinite(v)})
            table[str(estimator)] = entry
        metrics[name] = table
        metrics[f"{name}_event_study"] = {
            outcome: _study_numbers(study) for (which, outcome), study in studies.items() if which == name
        }
    if honest is not None:
        metrics["group_sensitivity"] = _honest_numbers(honest)
    metrics["group_time"] = {
        outcome: all_named(
            {str(row["treated"]): _of(row) for _, row in result.cohorts.iterrows()} | {"overall": result.overall}
        )
        for outcome, result in cohorts.items()
    }
    metrics["composition"] = {
        str(name): {
            str(row["column"]): named(
                "change", {key: float(row[key]) for key in ("estimate", "error", "p_value", "p_value_holm")}
            )
            for _, row in rows.iterrows()
        }
        for name, rows in changed.groupby("treated", sort=False)
    }
    return metrics


def _study_numbers(study: EventStudy) -> dict[str, Any]:
    numbers: dict[str, Any] = {"months_before": study.pre_months + 1, "months_left_out": study.left_out}
    parts = {
        "critical_value": study.critical_value,
        "pre_trend_statistic": study.pre_trend,
        "pre_trend_p_value": study.pre_trend_p_value,
        "pre_trend_p_value_clustered": study.pre_trend_clustered_p_value,
    }
    numbers |= {key: value for key, value in parts.items() if np.isfinite(value)}
    after = study.frame[study.frame["event_time"] >= 0]
    numbers |= named("first_month", _of(after.iloc[0]))
    excludes = (after["joint_ci_low"] > 0) | (after["joint_ci_high"] < 0)
    numbers["months_after"] = len(after)
    numbers["months_after_joint_interval_excludes_0"] = int(excludes.sum())
    return numbers


def _honest_numbers(sensitivity: Sensitivity) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "detectable_slope": sensitivity.detectable_slope,
        "breakdown_curvature": sensitivity.breakdown,
    }
    for target, rows in sensitivity.frame.groupby("target", sort=False):
        straight = rows.sort_values("curvature").iloc[0]
        numbers[str(target)] = {
            "months": int(straight["months"]),
            "effect": float(straight["estimate"]),
        } | {
            f"effect_ci_{end}_at_{row['curvature']:g}": float(row[f"ci_{end}"])
            for _, row in rows.iterrows()
            for end in ("low", "high")
            if np.isfinite(row[f"ci_{end}"])
        }
    return numbers


def _of(row: Any) -> dict[str, float]:
    return {key: float(row[key]) for key in ("estimate", "error", "ci_low", "ci_high")}


def study_table(studies: Mapping[tuple[str, str], EventStudy]) -> pd.DataFrame:
    """The event studies as one long frame: ``treated, outcome``, ``EventStudy.frame``, and the pre-trend's p-value."""
    parts = [
        study.frame.assign(treated=name, outcome=outcome, pre_trend_p_value=study.pre_trend_p_value)
        for (name, outcome), study in studies.items()
    ]
    return _first(pd.concat(parts, ignore_index=True), "treated", "outcome")


def cohort_table(cohorts: Mapping[str, GroupTime]) -> pd.DataFrame:
    """The group-time effects as one long frame: ``outcome`` and the columns of ``GroupTime.effects``."""
    parts = [result.effects.assign(outcome=outcome) for outcome, result in cohorts.items()]
    return _first(pd.concat(parts, ignore_index=True), "outcome")


def sensitivity_table(sensitivity: Sensitivity | None) -> pd.DataFrame:
    """The frame of a sensitivity analysis; without rows if there is none."""
    if sensitivity is not None:
        return sensitivity.frame
    return pd.DataFrame(columns=["target", "months", "curvature", "estimate", "ci_low", "ci_high"])


def _first(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return frame[[*columns, *(column for column in frame if column not in columns)]]
