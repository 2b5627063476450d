"""What the analyses by groups say, as metrics, in words and as the long frames of the figures."""

from typing import Any

import numpy as np
import pandas as pd

from promotions.base.formatting import alike
from promotions.discount.groups.study import LOG, ColumnStudy, GroupStudy
from promotions.discount.rules import is_constant
from promotions.discount.rules import values_table as table_of
from promotions.inference.estimates import all_named, named


def summary(study: GroupStudy) -> dict[str, Any]:
    """What goes into the metrics: nested numbers, strings and booleans."""
    return {
        "customers": study.customers,
        "overall": all_named(study.overall),
        "columns": {name: _of_column(column) for name, column in study.columns.items()},
    }


def _of_column(column: ColumnStudy) -> dict[str, Any]:
    """By outcome the effects of the bins, and the rules by this column as ``policies``."""
    entry: dict[str, Any] = {}
    for outcome, effects in column.effects.items():
        entry[outcome] = {
            "equal_effects_statistic": effects.equal,
            "equal_effects_p_value": effects.equal_p_value,
            "bins": {str(row["bin"]): _of_bin(row) for _, row in effects.frame.iterrows()},
        }
        if (curves := column.curves.get(outcome)) is not None:
            area = {"estimate": curves.area, "error": curves.area_error, "p_value": curves.area_p_value}
            entry[outcome] |= named("gain_area", area)
    policies: dict[str, dict[str, Any]] = {
        name: dict(value.to_dict()) for name, value in column.worth.items() if not is_constant(name)
    }
    if LOG in column.rules:
        chosen = column.rules[LOG].table
        chosen = chosen[chosen["chosen"]]
        policies[LOG]["choice"] = dict(zip(chosen["bin"], chosen["band"], strict=True))
        policies[LOG]["bins_without_support"] = column.unsupported
    return entry | {"policies": policies}


def _of_bin(row: "pd.Series[Any]") -> dict[str, Any]:
    numbers = {"estimate": row["effect"], **row.drop(["bin", "customers", "effect"])}
    return {"customers": int(row["customers"]), **named("effect", {str(k): float(v) for k, v in numbers.items()})}


def effects_table(study: GroupStudy) -> pd.DataFrame:
    """Every column's effects: ``column, outcome, place`` and the columns of ``BinEffects.frame``."""
    parts = [
        effects.frame.assign(column=name, outcome=outcome, place=np.arange(len(effects.frame)))
        for name, column in study.columns.items()
        for outcome, effects in column.effects.items()
    ]
    return _first(parts, "column", "outcome", "place")


def curves_table(study: GroupStudy) -> pd.DataFrame:
    """Every numeric column's curves: ``column, outcome`` and the columns of ``Curves.frame``."""
    parts = [
        curves.frame.assign(column=name, outcome=outcome)
        for name, column in study.columns.items()
        for outcome, curves in column.curves.items()
    ]
    return _first(parts, "column", "outcome")


def rules_table(study: GroupStudy) -> pd.DataFrame:
    """What each rule was made of: ``column, policy`` and the columns of ``GroupRule.table``."""
    parts = [
        rule.table.assign(column=name, policy=which)
        for name, column in study.columns.items()
        for which, rule in column.rules.items()
    ]
    return _first(parts, "column", "policy")


def values_table(study: GroupStudy) -> pd.DataFrame:
    """What each rule and each constant band is worth: ``column`` and the columns of ``rules.values_table``."""
    return _first([table_of(column.worth).assign(column=name) for name, column in study.columns.items()], "column")


def _first(parts: list[pd.DataFrame], *columns: str) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame(columns=list(columns))
    frame = pd.concat(parts, ignore_index=True)
    return frame[[*columns, *(column for column in frame if column not in columns)]]


def areas(study: GroupStudy) -> dict[str, tuple[float, float]]:
    """For every numeric column: the area between the gain curve of profit and the random line, and its p-value."""
    profit_curves = {name: column.curves.get("profit") for name, column in study.columns.items()}
    return {name: (curves.area, curves.area_p_value) for name, curves in profit_curves.items() if curves is not None}


def finding(study: GroupStudy) -> str:
    """The bins of the first column with the lowest and the highest effect on profit, in words."""
    name, column = next(iter(study.columns.items()))
    rows = column.effects["profit"].frame.sort_values("effect", kind="stable")
    ends = zip(alike(rows["effect"].iloc[[0, -1]]), rows["bin"].iloc[[0, -1]], strict=True)
    return ", ".join(f"{shown} where {name} is {label}" for shown, label in ends)
