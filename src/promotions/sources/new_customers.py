"""Customers outside the experiment: a table of any size, piece by piece, or a raw log in the layout of X5."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from promotions.base.encoding import NUMBER, Encoder, is_number
from promotions.base.errors import InputError
from promotions.customers import LARGEST
from promotions.user_files import UserFile, require_columns

# Rows at once: about 80 MB with a hundred features.
ROWS = 100_000


@dataclass(frozen=True)
class NewTable:
    """A file with one row a customer.

    encoder: its features have to be in the file.  identifier: the column of ids; None numbers the rows.
    money_columns: columns of ``cost`` and ``revenue``, if they differ between customers.
    """

    file: UserFile
    encoder: Encoder
    identifier: str | None
    money_columns: Mapping[str, str] = field(default_factory=dict)

    def pieces(self, rows: int = ROWS) -> Iterator[pd.DataFrame]:
        """``customer_id``, features, ``cost``, ``revenue`` of ``rows`` customers at a time.

        Ids are text as it stands in the file. Raises InputError naming the column, and the first row that is wrong.
        """
        identifier = [self.identifier] if self.identifier is not None else []
        features = [feature["name"] for feature in self.encoder.features]
        columns = list(dict.fromkeys([*identifier, *features, *self.money_columns.values()]))
        absent = [name for name in columns if name not in self.file.columns]
        remedy = "name the column of ids by --id" if absent == identifier else ""
        require_columns(self.file.columns, columns, self.file.name, remedy)
        # Categories and ids as text.
        text = [feature["name"] for feature in self.encoder.features if feature["kind"] != NUMBER]
        start = 0
        for piece in self.file.pieces(rows, columns, [*identifier, *text]):
            yield self._checked(piece, start)
            start += len(piece)

    def _checked(self, piece: pd.DataFrame, start: int) -> pd.DataFrame:
        """The columns by their roles. start: rows before this piece."""
        for feature in self.encoder.features:
            column = piece[feature["name"]]
            if feature["kind"] == NUMBER and not is_number(column) and not column.isna().all():
                wrong = pd.to_numeric(column, errors="coerce").isna() & column.notna()
                self._stop(
                    feature["name"], wrong.to_numpy() if wrong.any() else column.notna().to_numpy(), column, start,
                    "is not a number, but was one in training", "write numbers, and leave missing ones empty",
                )  # fmt: skip
            if feature["kind"] != NUMBER and is_number(column) and not column.isna().all():
                self._stop(
                    feature["name"], column.notna().to_numpy(), column, start,
                    "is a number where training had text", "write the levels as they were in training",
                )  # fmt: skip
        money = {role: self._money(piece[name], start) for role, name in self.money_columns.items()}
        features = piece[[feature["name"] for feature in self.encoder.features]]
        # All values are missing: whatever type the file has, treat them as missing numbers.
        empty = {
            feature["name"]: np.nan
            for feature in self.encoder.features
            if feature["kind"] == NUMBER and not is_number(piece[feature["name"]])
        }
        ids = self._ids(piece, start)
        return features.assign(**empty).assign(customer_id=ids, **money).reset_index(drop=True)

    def _ids(self, piece: pd.DataFrame, start: int) -> pd.Series:
        if self.identifier is None:
            return pd.Series([f"row{start + row:09d}" for row in range(1, len(piece) + 1)], index=piece.index)
        column = piece[self.identifier]
        missing = column.isna().to_numpy()
        self._stop(self.identifier, missing, column, start, "is missing", "give every customer an id")
        return column.astype(str)

    def _money(self, column: "pd.Series[Any]", start: int) -> "pd.Series[Any]":
        numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
        wrong = ~((numbers >= 0) & (numbers <= LARGEST)).to_numpy()
        self._stop(
            str(column.name), wrong, column, start, f"is no amount from 0 to {LARGEST:g}", "give money per customer"
        )
        return numbers

    def _stop(
        self, name: str, wrong: "np.ndarray[Any, Any]", column: "pd.Series[Any]", start: int, what: str, remedy: str
    ) -> None:
        """Raise if a row is wrong, naming the first."""
        if wrong.any():
            position = int(np.argmax(wrong))
            value = column.iloc[position]
            value = value.item() if isinstance(value, np.generic) else value
            raise InputError(
                f"{self.file.name}: column {name!r} {what} (first: data row {start + position + 1:,}, {value!r}); "
                f"{remedy}"
            )
