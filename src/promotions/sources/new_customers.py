"""Customers outside the experiment: a table of any size, piece by piece, or a raw log in the layout of X5."""

import gzip
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from promotions.base.encoding import NUMBER, Encoder, is_number
from promotions.base.errors import InputError
from promotions.customers import LARGEST
from promotions.sources.files import DELIMITERS, SUFFIXES

# Rows at once: with a hundred features some 80 MB.
ROWS = 100_000


@dataclass(frozen=True)
class NewTable:
    """A CSV (plain or gzip) or Parquet file, a row a customer.

    encoder: whose features have to be there.  identifier: the column of ids; None numbers the rows.  own: columns of
    ``cost`` and ``revenue``, where each customer has its own.
    """

    path: Path
    encoder: Encoder
    identifier: str | None
    own: Mapping[str, str] = field(default_factory=dict)

    def pieces(self, rows: int = ROWS) -> Iterator[pd.DataFrame]:
        """``customer_id``, features, ``cost``, ``revenue`` of ``rows`` customers at a time.

        Ids are text as it stands in the file. Raises InputError naming the column, and the first row that is wrong.
        """
        self._require_columns(self.header())
        start = 0
        for piece in self._read(rows):
            if len(piece):
                yield self._checked(piece, start)
            start += len(piece)
        if not start:
            raise InputError(f"{self.path}: no rows; expected one row a customer")

    def header(self) -> list[str]:
        """Names of the file's columns. Raises InputError if it is no table."""
        if not self.path.name.lower().endswith(SUFFIXES):
            raise InputError(
                f"{self.path}: no table known by its name; expected a folder, or one of {', '.join(SUFFIXES)}"
            )
        if not self.path.is_file():
            raise InputError(f"{self.path}: no such file; expected a table of customers, or a folder of raw files")
        try:
            if self._is_parquet:
                return list(pq.read_schema(self.path).names)
            with self._open() as text:
                return list(pd.read_csv(text, sep=self._delimiter(), nrows=0).columns)
        except pd.errors.EmptyDataError:
            raise InputError(f"{self.path}: empty; expected a header line and one row a customer") from None
        except (ValueError, OSError, EOFError) as problem:
            raise self._unreadable(problem) from None

    @property
    def _is_parquet(self) -> bool:
        return self.path.name.lower().endswith((".parquet", ".pq"))

    @property
    def _columns(self) -> list[str]:
        features = [feature["name"] for feature in self.encoder.features]
        identifier = [self.identifier] if self.identifier is not None else []
        return list(dict.fromkeys([*identifier, *features, *self.own.values()]))

    def _require_columns(self, header: list[str]) -> None:
        absent = [name for name in self._columns if name not in header]
        if absent:
            raise InputError(
                f"{self.path}: column {', '.join(map(repr, absent))} is missing; the file has "
                f"{', '.join(map(repr, header))}"
                + ("; name the column of ids by --id" if absent == [self.identifier] else "")
            )
        twice = [name for name in self._columns if header.count(name) > 1]
        if twice:
            raise InputError(f"{self.path}: column {twice[0]!r} occurs twice; keep the right one")

    def _read(self, rows: int) -> Iterator[pd.DataFrame]:
        try:
            if self._is_parquet:
                for batch in pq.ParquetFile(self.path).iter_batches(rows, columns=self._columns):
                    yield batch.to_pandas()
                return
            text = [feature["name"] for feature in self.encoder.features if feature["kind"] != NUMBER]
            # Categories and ids as they stand there: a piece in which all look like numbers would turn 01 into 1.
            types = dict.fromkeys([*text, *([self.identifier] if self.identifier is not None else [])], str)
            with (
                self._open() as lines,
                # All columns: of chosen ones alone, pandas does not mind a row that has more fields than the header.
                pd.read_csv(
                    lines, sep=self._delimiter(), dtype=types, chunksize=rows, low_memory=False, index_col=False
                ) as reader,
            ):
                yield from reader
        except (ValueError, OSError, EOFError) as problem:  # pandas' and pyarrow's parsing errors are ValueErrors
            raise self._unreadable(problem) from None

    def _open(self) -> AbstractContextManager[IO[str]]:
        opener: Any = gzip.open if self.path.suffix.lower() == ".gz" else open
        opened: AbstractContextManager[IO[str]] = opener(self.path, "rt", encoding="utf-8", newline="")
        return opened

    def _delimiter(self) -> str:
        with self._open() as lines:
            header = lines.readline()
        return max(DELIMITERS, key=header.count)

    def _unreadable(self, problem: Exception) -> InputError:
        first_line = (str(problem).strip().splitlines() or [repr(problem)])[0]
        return InputError(f"{self.path}: cannot be read as {''.join(self.path.suffixes[-2:])}: {first_line}")

    def _checked(self, piece: pd.DataFrame, start: int) -> pd.DataFrame:
        """The columns by their roles. start: rows before this piece."""
        for feature in self.encoder.features:
            column = piece[feature["name"]]
            if feature["kind"] == NUMBER and not is_number(column) and not column.isna().all():
                wrong = pd.to_numeric(column, errors="coerce").isna() & column.notna()
                self._stop(
                    feature["name"], wrong.to_numpy() if wrong.any() else column.notna().to_numpy(), column, start,
                    "is no number, as it was in training", "write numbers, and leave missing ones empty",
                )  # fmt: skip
            if feature["kind"] != NUMBER and is_number(column) and not column.isna().all():
                self._stop(
                    feature["name"], column.notna().to_numpy(), column, start,
                    "is a number where training had text", "write the levels as they were in training",
                )  # fmt: skip
        money = {role: self._money(piece[name], start) for role, name in self.own.items()}
        features = piece[[feature["name"] for feature in self.encoder.features]]
        # All values missing: whatever the file made of it, a number that nobody knows.
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
                f"{self.path}: column {name!r} {what} (first: data row {start + position + 1:,}, {value!r}); {remedy}"
            )
