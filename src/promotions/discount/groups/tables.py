"""What the analyses by groups say, as metrics, in words and as the long frames of the figures."""

from typing import Any

import numpy as np
import pandas as pd

from promotions.base.formatting import alike
from promotions.discount.groups.study import LOG, GroupStudy


def summary(study: GroupStudy) -> dict[str, Any]:
    """What goes into the metrics: nested numbers, strings and booleans."""
    found: dict[str, Any] = {"customers": study.customers, "overall": study.overall}
    for name, column in study.columns.items():
        entry: dict[str, Any] = {}
        for outcome, effects in column.effects.items():
            rows = effects.frame.set_index("bin")
            entry[outcome] = {
                "equal_effects_statistic": effects.equal,
                "equal_effects_p_value": effects.equal_p_value,
                "bins": {str(label): {str(k): float(v) for k, v in row.items()} for label, row in rows.iterrows()},
            }
            if outcome in column.curves:
                curves = column.curves[outcome]
                entry[outcome]["gain_area"] = {
                    "estimate": curves.area,
                    "error": curves.area_error,
                    "p_value": curves.area_p_value,
                }
        rules = column.worth[~column.worth["rule"].str.startswith("all_")].set_index("rule")
        entry["rules"] = {
            str(rule): {str(k): float(v) for k, v in row.items() if np.isfinite(v)} for rule, row in rules.iterrows()
        }
        if LOG in column.rules:
            chosen = column.rules[LOG].table
            chosen = chosen[chosen["chosen"]]
            entry["rules"][LOG]["choice"] = dict(zip(chosen["bin"], chosen["band"], strict=True))
            entry["rules"][LOG]["bins_without_support"] = column.unsupported
        found[name] = entry
    return found


def effects_table(study: GroupStudy) -> pd.DataFrame:
    """Every column's effects: ``column, outcome, place`` and the columns of ``BinEffects.frame``."""
    parts = [
        found.frame.assign(column=name, outcome=outcome, place=np.arange(len(found.frame)))
        for name, column in study.columns.items()
        for outcome, found in column.effects.items()
    ]
    return _first(parts, "column", "outcome", "place")


def curves_table(study: GroupStudy) -> pd.DataFrame:
    """Every numeric column's curves: ``column, outcome`` and the columns of ``Curves.frame``."""
    parts = [
        found.frame.assign(column=name, outcome=outcome)
        for name, column in study.columns.items()
        for outcome, found in column.curves.items()
    ]
    return _first(parts, "column", "outcome")


def rules_table(study: GroupStudy) -> pd.DataFrame:
    """What each rule was made of: ``column, rule`` and the columns of ``GroupRule.table``."""
    parts = [
        rule.table.assign(column=name, rule=which)
        for name, column in study.columns.items()
        for which, rule in column.rules.items()
    ]
    return _first(parts, "column", "rule")


def values_table(study: GroupStudy) -> pd.DataFrame:
    """What each rule and each constant band is worth: ``column`` and the columns of ``value_of_rules``."""
    return _first([column.worth.assign(column=name) for name, column in study.columns.items()], "column")


def _first(parts: list[pd.DataFrame], *columns: str) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame(columns=list(columns))
    frame = pd.concat(parts, ignore_index=True)
    return frame[[*columns, *(column for column in frame if column not in columns)]]


def areas(study: GroupStudy) -> dict[str, tuple[float, float]]:
    """Of every numeric column: the area between the gain curve of profit and the random line, and its p-value."""
    found = {name: column.curves.get("profit") for name, column in study.columns.items()}
    return {name: (curves.area, curves.area_p_value) for name, curves in found.items() if curves is not None}


def finding(study: GroupStudy) -> str:
    """The bins of the first column with the lowest and the highest effect on profit, in words."""
    name, column = next(iter(study.columns.items()))
    rows = column.effects["profit"].frame.sort_values("effect", kind="stable")
    ends = zip(alike(rows["effect"].iloc[[0, -1]]), rows["bin"].iloc[[0, -1]], strict=True)
    return ", ".join(f"{shown} where {name} is {label}" for shown, label in ends)
