"""Four tables of discounts, from cells to typed columns: money, numbers, categories, and what is missing."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.discount.money import parse_numbers
from promotions.user_files import require_columns, why_no_feature

ROLES = ("observational", "randomised", "cutoff", "panel")
CUSTOMER_ROLES = ("observational", "randomised", "cutoff")
MONEY = ("sales", "discount", "profit")
# The company made them before the campaign, and only for the customers of its log.
PREDICTIONS = ("sales_prediction", "sales_prediction_bins")
# Categories even where they are coded as numbers.
CATEGORIES = ("gender", "cust_state")
# A column is numeric, with slips, if at most this share of it cannot be read as a number.
SLIPS = 0.1


def require_excluded(exclude: object, raw: Mapping[str, pd.DataFrame]) -> list[str]:
    """``discount.exclude``: columns of the tables, none of them money. InputError otherwise."""
    key = "discount.exclude"
    if not isinstance(exclude, list) or not all(isinstance(name, str) for name in exclude):
        raise InputError(f"{key}: expected a list of columns, got {exclude!r}; write [] for none")
    columns = dict.fromkeys(str(column) for frame in raw.values() for column in frame)
    for name in exclude:
        if name in MONEY:
            raise InputError(f"{key}: {name!r} is what the analysis is about; take it out of the list")
        if name not in columns:
            raise InputError(f"{key}: no table has a column {name!r}; there is {', '.join(map(repr, columns))}")
    return list(dict.fromkeys(exclude))


def typed_tables(
    raw: Mapping[str, pd.DataFrame], running: str, names: Mapping[str, str], exclude: Iterable[str] = ()
) -> dict[str, pd.DataFrame]:
    """The given tables, typed; each of the others with its three money columns and no rows.

    ``row`` (int64) is the position in the file, from 0. Money, the running variable and the month are float64 without
    gaps; numbers float64 with NaN; categories pandas strings with <NA>: text, and ``gender`` and ``cust_state`` even if
    they are numbers (1.0 becomes "1"). A column that is text in one table is a category in all.

    raw: by role, as files (each cell as text) or a simulation give them.  running: the cut-off's running variable.
    names: by role, the file's name in errors.  exclude: columns that need not be readable.
    Raises InputError naming file, column, row and value if there is no table at all, a required column is absent (all:
    discount, sales, profit; panel: month; cutoff: the running variable), a cell of it is empty, or a numeric cell
    cannot be read (a column with more than a tenth of such cells is text).
    """
    if not raw:
        raise InputError(
            f"none of the four tables is given; name at least one of {', '.join(ROLES)} under discount.files"
        )
    required = {role: [*MONEY, *{"panel": ["month"], "cutoff": [running]}.get(role, [])] for role in raw}
    for role, frame in raw.items():
        require_columns(frame, required[role], names[role])
    texts = {*CATEGORIES, *exclude} - {running, "month"}
    for role, frame in raw.items():
        texts |= {str(column) for column in frame if column not in required[role] and _is_text(frame[column])}
    typed = {role: _typed(raw[role], required[role], texts, names[role]) for role in ROLES if role in raw}
    return {role: typed.get(role, empty_table()) for role in ROLES}


def empty_table() -> pd.DataFrame:
    """The table in place of one that the user does not have."""
    return pd.DataFrame({name: pd.Series(dtype=np.float64) for name in MONEY}).assign(row=pd.Series(dtype=np.int64))[
        ["row", *MONEY]
    ]


def usable_features(tables: Mapping[str, pd.DataFrame], barred: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Columns that may describe customers, in the file's order, and what was left out with the reason.

    Features are the columns of the customer tables that are there (of the panel, if it alone is) but money, row, month,
    the company's predictions and what is barred. A column is left out if one of these tables lacks it
    (without the randomised one it cannot be tested), or if in any of them it is empty, constant, without a name, or
    text with mostly unique values, which names customers and does not describe them.
    """
    present = [tables[role] for role in CUSTOMER_ROLES if len(tables[role])] or [tables["panel"]]
    skipped = {*MONEY, *PREDICTIONS, *barred, "row", "month"}
    features, left_out = [], {}
    for name in dict.fromkeys(str(column) for table in present for column in table):
        if name in skipped:
            continue
        if not all(name in table for table in present):
            left_out[name] = "not in every table"
            continue
        reason = next((why for table in present if (why := why_no_feature(table[name]))), None)
        if reason:
            left_out[name] = reason
        else:
            features.append(name)
    return features, left_out


def predictions(tables: Mapping[str, pd.DataFrame], barred: Iterable[str]) -> list[str]:
    """The company's own predictions: columns that only its log has."""
    return [name for name in PREDICTIONS if name in tables["observational"] and name not in set(barred)]


def missing_cells(tables: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, int]]:
    """Empty cells of each table that has rows: all of them (``cells``), and those of each column with any."""
    missing = {}
    for role, table in tables.items():
        if len(table):
            counts = table.isna().sum()
            by_column = {str(name): int(count) for name, count in counts.items() if count}
            missing[role] = {"cells": int(counts.sum()), **by_column}
    return missing


def rows_text(rows: Mapping[str, int]) -> str:
    """Rows of each table in words."""
    there = [f"{count:,} {role}" for role, count in rows.items() if count]
    absent = [role for role, count in rows.items() if not count]
    return f"rows: {', '.join(there)}" + (f" (no {' and no '.join(absent)} table)" if absent else "")


def _is_text(column: "pd.Series[Any]") -> bool:
    """Whether a column holds text: too many of its values are no numbers to be slips."""
    if pd.api.types.is_numeric_dtype(column):
        return False
    present = column.dropna()
    return len(present) > 0 and bool(np.isnan(_numbers(present)).mean() > SLIPS)


def _numbers(column: "pd.Series[Any]") -> NDArray[np.float64]:
    """Cells as numbers; NaN where a cell is missing or no number."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    text = column.astype("string")
    plain = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isnan(plain).sum() == text.isna().sum():
        return plain
    codes, distinct = pd.factorize(text)
    return np.append(parse_numbers(distinct), np.nan)[codes]


def _typed(raw: pd.DataFrame, required: list[str], texts: set[str], name: str) -> pd.DataFrame:
    columns: dict[str, Any] = {"row": np.arange(len(raw), dtype=np.int64)}
    for column in map(str, raw.columns):
        if column == "row":
            raise InputError(f"{name}: a column is called 'row', which is the position in the file here; rename it")
        if column in required or column not in texts:
            columns[column] = _number_column(raw[column], column, name, required=column in required)
        else:
            columns[column] = _category_column(raw[column])
    return pd.DataFrame(columns)


def _number_column(column: "pd.Series[Any]", label: str, name: str, *, required: bool) -> Any:
    values = _numbers(column)
    missing = column.isna().to_numpy()
    wrong = np.flatnonzero(~np.isfinite(values) & (~missing | required))
    if len(wrong):
        first = int(wrong[0])
        others = f" (and {len(wrong) - 1:,} more)" if len(wrong) > 1 else ""
        if missing[first]:
            problem = "is empty; expected a number: fill it in or delete the row"
        else:
            problem = f"is {str(column.iloc[first])!r}; expected a number or a sum of money such as US$ 125.0"
            problem += "" if required else ", or list the column in discount.exclude"
        raise InputError(f"{name}: column {label!r}, row {first + 1} below the header{others} {problem}")
    return values


def _category_column(column: "pd.Series[Any]") -> "pd.Series[str]":
    """Levels as text; a code that is a whole number loses its decimals, so that 1.0 and 1 are one level."""
    text = column.astype("string").str.strip()
    return text.mask(text == "").str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True).reset_index(drop=True)
