"""The margin at which a table's profit is taken: the table's own, or a "what if"."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.base.validation import require_share

KEY = "discount.margin"
# Kinds of a table's profit: as in the table, at the margin that its rows state; at another margin, for a "what if"; as
# in the table, but its rows state no margin.
OWN, WHAT_IF, UNSTATED = "own", "what_if", "unstated"
NONE = "none"
# Names of the tables for readers.
TABLE_NAMES = {"observational": "log", "randomised": "test", "cutoff": "cut-off table", "panel": "panel"}

# For each document in metrics/discount/: the tables behind its profit, and the prefix of their margins there.
TABLES_OF = {
    "effect": {"observational": "margin", "randomised": "margin_test"},
    "rdd": {"cutoff": "margin"},
    "did": {"panel": "margin"},
    "groups": {"randomised": "margin"},
    "policies": {"randomised": "margin"},
}


def is_margin(value: float) -> bool:
    """Whether a number can be a margin: a dollar of sales leaves more than nothing, and no more than a dollar."""
    return 0 < value <= 1


def require_margin(value: object) -> float | None:
    """``discount.margin``: a number in (0, 1], or None for the tables' own. InputError otherwise."""
    if value is None:
        return None
    try:
        return require_share(value, KEY)
    except InputError as problem:
        raise InputError(f"{problem}; write null for the tables' own margin") from None


@dataclass(frozen=True)
class TableMargin:
    """At which margin the profit of one table is taken.

    table: its role.  stated_margin: the margin that its rows state; None if they state none.  what_if: the margin that
    the user asks about instead; None for the table's own.
    """

    table: str
    stated_margin: float | None
    what_if: float | None = None

    @classmethod
    def from_roles(cls, table: str, roles: Mapping[str, Any], param: object) -> "TableMargin":
        """The margin of ``table``.

        roles: data/discount/roles.json, whose ``margins`` are the tables' own.  param: discount.margin of params.yaml.
        Raises InputError if ``param`` is no margin.
        """
        what_if = require_margin(param)
        return cls(table, roles["margins"].get(table), what_if)

    @classmethod
    def from_metrics(cls, table: str, document: Mapping[str, Any], prefix: str = "margin") -> "TableMargin":
        """What ``to_metrics`` wrote. Raises InputError if the document does not state it."""
        kind = document.get(f"{prefix}_is")
        if kind not in (OWN, WHAT_IF, UNSTATED):
            raise InputError(
                "metrics of the discounts do not say at which margin they are, so an earlier version wrote them; run "
                "`make discounts`"
            )
        return cls(table, document.get(f"{prefix}_own"), document[prefix] if kind == WHAT_IF else None)

    @property
    def kind(self) -> str:
        """OWN, WHAT_IF or UNSTATED. A "what if" at the table's own margin is the table's own."""
        if self.what_if is not None and self.what_if != self.stated_margin:
            return WHAT_IF
        return UNSTATED if self.stated_margin is None else OWN

    @property
    def value(self) -> float | None:
        """The margin in use; None where the table states none and the user sets none."""
        return self.stated_margin if self.what_if is None else self.what_if

    def required(self) -> float:
        """The margin in use, for weighing sales. Raises InputError if there is none."""
        if self.value is None:
            raise InputError(
                f"discount: the rows of the {self.table} table state no margin, and a rule for discounts needs one; "
                f"correct the table so that profit is margin × sales − discount, or set {KEY} to a number"
            )
        return self.value

    def profit(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """The table's profit at the margin in use.

        profit_i = stated profit_i + (margin − own margin)·sales_i, which at its own margin are the table's numbers to
        the last digit. A table that states no margin keeps its profit, or for a "what if" gets
        margin·sales_i − discount_i.

        frame: (n, …) with columns ``sales``, ``discount`` and ``profit``.  Returns (n,), money.
        """
        stated = frame["profit"].to_numpy(dtype=np.float64)
        if self.what_if is None or self.what_if == self.stated_margin:
            return stated.copy()
        sales = frame["sales"].to_numpy(dtype=np.float64)
        if self.stated_margin is None:
            return self.what_if * sales - frame["discount"].to_numpy(dtype=np.float64)
        return stated + (self.what_if - self.stated_margin) * sales

    def to_metrics(self, prefix: str = "margin") -> dict[str, Any]:
        """``margin``: in use; ``margin_is``: its kind; ``margin_own``: the table's; missing ones are left out."""
        entries = {prefix: self.value, f"{prefix}_is": self.kind, f"{prefix}_own": self.stated_margin}
        return {name: value for name, value in entries.items() if value is not None}


def margins_text(margins: Iterable[TableMargin]) -> str:
    """In words, to stand behind "profit": ``at the test's own margin of 0.05``. margins: of one table or more."""
    tables = list(dict.fromkeys(margins))
    one = len(tables) == 1 and TABLE_NAMES[tables[0].table]
    whose = f"the {one}'s" if one else "the tables'"
    margin_text = _by_table((_number(each.stated_margin), each) for each in tables)
    if any(each.kind == WHAT_IF for each in tables):
        if comparable(tables):
            instead = f"instead of {whose} own" if margin_text != NONE else f"where {whose} own is"
            return f"at a what-if margin of {_number(tables[0].value)}, {instead} {margin_text}"
        # All tables of one run share a what-if margin; these come from two runs.
        in_use = _by_table((f"{_number(each.value)} ({each.kind.replace('_', ' ')})", each) for each in tables)
        return f"at different margins: {in_use}"
    if all(each.stated_margin is None for each in tables):
        return f"as {f'the {one} states' if one else 'the tables state'} it, at no one margin"
    return (
        f"at {whose} own margin of {margin_text}"
        if comparable(tables)
        else f"at each table's own margin: {margin_text}"
    )


def margins_of(documents: Mapping[str, Mapping[str, Any]]) -> list[TableMargin]:
    """The margins of documents of metrics/discount/, by name (``effect``); an empty one is skipped.

    Raises InputError if a document does not state its margin.
    """
    return [
        TableMargin.from_metrics(table, document, prefix)
        for name, document in documents.items()
        if document
        for table, prefix in TABLES_OF[name].items()
        # The log without a test has one margin only.
        if prefix == "margin" or f"{prefix}_is" in document
    ]


def comparable(margins: Iterable[TableMargin]) -> bool:
    """Whether the profits of these tables are at one margin."""
    tables = set(margins)
    values = {each.value for each in tables}
    return len(tables) == 1 or (len(values) == 1 and None not in values)


def _by_table(values: Iterable[tuple[str, TableMargin]]) -> str:
    """``0.05`` if it is the same for all tables, else ``0.049 in the log and the panel, 0.05 in the test``."""
    tables: dict[str, list[str]] = {}
    for value, margin in values:
        tables.setdefault(value, []).append(f"the {TABLE_NAMES[margin.table]}")
    if len(tables) == 1:
        return next(iter(tables))
    return ", ".join(f"{value} in {' and '.join(names)}" for value, names in tables.items())


def _number(margin: float | None) -> str:
    return NONE if margin is None else f"{margin:.8g}"
