"""Tables that users bring: CSV in the ways that people save it, plain or gzip, or Parquet; and what is wrong with one.

The separator is a comma, a semicolon, a tab or a bar, the encoding UTF-8 (with or without a mark), UTF-16 (with one) or
Windows' Western one, and lines end as on any system. A file's content says which of all this it is; only Parquet goes
by the name as well.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import pandas as pd
import pyarrow.parquet as pq

from promotions.base.errors import InputError

# The first wins where a header has none of them.
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
SUFFIXES = (".csv", ".csv.gz", ".parquet", ".pq")
PARQUET = (".parquet", ".pq")
GZIP_MARK, PARQUET_MARK, ZIP_MARK = b"\x1f\x8b", b"PAR1", b"PK\x03\x04"
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Row numbers that pandas keeps in a Parquet file.
UNNAMED_INDEX = re.compile(r"__index_level_\d+__")
# In this order: hardly any text in Windows' encoding is UTF-8 by chance.
ENCODINGS = ("utf-8-sig", "cp1252")
# Bytes that are decoded at once to find the encoding.
BLOCK = 2**20
EXPECTED = "expected a header line and one row a customer"
# A text column in which most values occur once names customers; it does not describe them.
IDENTIFIER_SHARE = 0.5
IDENTIFIER_ROWS = 100
# What reading may raise: pandas' and pyarrow's parsing errors are ValueErrors.
UNREADABLE = (ValueError, OSError, csv.Error)


@dataclass(frozen=True)
class UserFile:
    """A file that holds a table.  name: how errors call it."""

    path: Path
    name: str

    @cached_property
    def columns(self) -> list[str]:
        """Names of the columns, without spaces around them; ``Unnamed: 3`` where the header has none.

        Raises InputError if there is no header.
        """
        if self._is_parquet:
            with self._reading():
                return [name.strip() for name in self._parquet_names(pq.read_schema(self.path))]
        header, first = self._first_records()
        if first is not None and len(first) > len(header):
            # pandas would take the first values for the rows' names, or drop the last.
            raise InputError(
                f"{self.name}: rows have more values than the header has columns ({len(header)}); put sums such as "
                "1,234.56 in quotes, or separate by semicolons"
            )
        return [name.strip() or f"Unnamed: {place}" for place, name in enumerate(header)]

    def frame(self, *, as_text: bool = False) -> pd.DataFrame:
        """The whole table.

        as_text: every cell of a CSV file as it stands there (missing: <NA>); else columns of numbers are numbers.
        Raises InputError if a name stands twice in the header, or if there are no rows.
        """
        require_once(self.columns, self.columns, self.name)
        with self._reading():
            if self._is_parquet:
                table = pq.read_table(self.path)
                # Without what pandas wrote beside it: a column that was an index would be none.
                frame = table.select(self._parquet_names(table.schema)).to_pandas(ignore_metadata=True)
            else:
                with self._text() as lines:
                    # low_memory would guess a column's type anew every so many rows.
                    frame = pd.read_csv(lines, **self._options, dtype="string" if as_text else None, low_memory=False)
        if frame.empty:
            raise InputError(f"{self.name}: the file has no rows; expected one row a customer")
        frame.columns = pd.Index(self.columns)
        return frame

    def pieces(self, rows: int, columns: Sequence[str], as_text: Iterable[str] = ()) -> Iterator[pd.DataFrame]:
        """Some columns of the table, ``rows`` rows at a time.

        as_text: columns that a CSV file's cells give as they stand there: a piece in which all look like numbers would
        turn 01 into 1.  Raises InputError if a column is absent or stands twice, or if there are no rows.
        """
        require_columns(self.columns, columns, self.name)
        require_once(self.columns, columns, self.name)
        parts, seen = (self._batches if self._is_parquet else self._chunks)(rows, columns, as_text), 0
        while True:
            # Not around the loop of whoever asks: what goes wrong there is no fault of the file.
            with self._reading():
                part = next(parts, None)
            if part is None:
                break
            seen += len(part)
            if len(part):
                yield part
        if not seen:
            raise InputError(f"{self.name}: the file has no rows; expected one row a customer")

    def header(self) -> str:
        """The first line of text that is not blank. Raises InputError if there is none."""
        with self._reading(), self._text() as lines:
            line = next((line for line in lines if line.strip()), None)
        if line is None:
            raise InputError(f"{self.name}: the file is empty; {EXPECTED}")
        return line.rstrip("\n")

    @cached_property
    def _is_parquet(self) -> bool:
        return self.path.name.lower().endswith(PARQUET) or self._mark == PARQUET_MARK

    @cached_property
    def _mark(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                return file.read(4)
        except OSError as problem:
            raise InputError(f"{self.name}: cannot be read ({problem})") from None

    @cached_property
    def _options(self) -> dict[str, Any]:
        return {"sep": separator_of(self.header()), "skipinitialspace": True, "index_col": False}

    @cached_property
    def _encoding(self) -> str:
        """The encoding in which the whole file is text. Raises InputError if it is none."""
        with self._reading(), self._bytes() as content:
            marked = content.read(2) in UTF_16_MARKS
        for encoding in ("utf-16",) if marked else ENCODINGS:
            if self._is_text(encoding):
                return encoding
        spreadsheet = "; of a spreadsheet, save the sheet" if self._mark == ZIP_MARK else "; save it"
        raise InputError(
            f"{self.name}: the file is no text in UTF-8, UTF-16 or Windows-1252{spreadsheet} as CSV in UTF-8"
        )

    def _is_text(self, encoding: str) -> bool:
        decoder = codecs.getincrementaldecoder(encoding)()
        with self._reading(), self._bytes() as content:
            try:
                while block := content.read(BLOCK):
                    if "\0" in decoder.decode(block):
                        return False
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                return False
        return True

    def _bytes(self) -> IO[bytes]:
        opened = gzip.open if self._mark[:2] == GZIP_MARK else open
        return cast(IO[bytes], opened(self.path, "rb"))

    def _text(self) -> IO[str]:
        return io.TextIOWrapper(self._bytes(), encoding=self._encoding)

    def _first_records(self) -> tuple[list[str], list[str] | None]:
        """The header and the first row below it, None if there is none, as lists of cells."""
        separator = separator_of(self.header())
        with self._reading(), self._text() as lines:
            records = csv.reader(lines, delimiter=separator, skipinitialspace=True)
            # pandas passes over blank lines too.
            header, *rows = islice((record for record in records if len(record) > 1 or "".join(record).strip()), 2)
        return header, rows[0] if rows else None

    def _chunks(self, rows: int, columns: Sequence[str], as_text: Iterable[str]) -> Iterator[pd.DataFrame]:
        # By place: names may stand twice among the columns that nobody asked for.
        places = [self.columns.index(name) for name in columns]
        types = {place: str for place, name in enumerate(self.columns) if name in set(as_text)}
        with (
            self._text() as lines,
            # All columns: of chosen ones alone, pandas does not mind a row that has more fields than the header.
            pd.read_csv(
                lines, **self._options, names=range(len(self.columns)), header=0, dtype=types, chunksize=rows,
                low_memory=False,
            ) as reader,
        ):  # fmt: skip
            for part in reader:
                yield part[places].set_axis(list(columns), axis="columns")

    def _batches(self, rows: int, columns: Sequence[str], as_text: Iterable[str]) -> Iterator[pd.DataFrame]:  # noqa: ARG002
        file = pq.ParquetFile(self.path)
        places = [self.columns.index(name) for name in columns]
        names = [self._parquet_names(file.schema_arrow)[place] for place in places]
        for batch in file.iter_batches(rows, columns=names):
            frame: pd.DataFrame = batch.to_pandas(ignore_metadata=True)
            yield frame[names].set_axis(list(columns), axis="columns")

    @staticmethod
    def _parquet_names(schema: Any) -> list[str]:
        return [name for name in schema.names if not UNNAMED_INDEX.fullmatch(name)]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Around what reads the file: what goes wrong is said in a line."""
        try:
            yield
        except (gzip.BadGzipFile, zlib.error, EOFError) as problem:
            raise InputError(f"{self.name}: cannot be unpacked ({problem}); pack the file anew") from None
        except InputError:
            raise
        except UNREADABLE as problem:
            reason = (str(problem).strip().splitlines() or [repr(problem)])[-1]
            if self._is_parquet:
                raise InputError(f"{self.name}: cannot be read as Parquet ({reason})") from None
            raise InputError(f"{self.name}: cannot be read as a table ({reason}); correct that line") from None


def user_file(path: object, key: str, remedy: str, *, file_name: str | None = None) -> UserFile:
    """The file at ``path``, or ``file_name`` inside it if it is a folder.

    ``key`` is the parameter that named it and ``remedy`` what to do if it is not there. Raises InputError.
    """
    if not isinstance(path, str) or not path:
        raise InputError(f"{key}: expected the path of a CSV or Parquet file, got {path!r}; {remedy}")
    file = Path(path)
    if file.is_dir() and file_name:
        file = file / file_name
    if file.is_dir():
        raise InputError(f"{key}: {path!r} is a folder; expected a CSV or Parquet file; {remedy}")
    if not file.is_file():
        raise InputError(f"{key}: no file at {str(file)!r}; {remedy}")
    return UserFile(file, f"{key}: {str(file)!r}")


def separator_of(header: str) -> str:
    """The one of ``SEPARATORS`` that a header line has most of outside quotes; the comma where it has none."""
    unquoted = re.sub(r'"[^"]*"', "", header)
    return max(SEPARATORS, key=unquoted.count)


def why_no_feature(column: "pd.Series[Any]") -> str | None:
    """Why a column of a user's table cannot describe customers, or None."""
    if str(column.name).startswith("Unnamed: "):
        return "no name in the header"
    try:
        distinct = column.nunique(dropna=True)
    except TypeError:
        return "neither numbers nor text"
    if distinct == 0:
        return "empty"
    if distinct == 1 and not column.isna().any():
        return "constant"
    textual = not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column))
    if textual and len(column) >= IDENTIFIER_ROWS and distinct > IDENTIFIER_SHARE * len(column):
        return "identifier: most values occur once"
    return None


def require_columns(present: Iterable[Hashable], names: Iterable[str], where: str, remedy: str = "") -> None:
    """Raise InputError naming the columns that are absent, those that ``where`` has, and the ``remedy`` if any.

    present: names of columns, or a frame.
    """
    there = list(present)
    absent = [name for name in names if name not in there]
    if absent:
        raise InputError(
            f"{where}: column {', '.join(map(repr, absent))} is missing; the file has {', '.join(map(repr, there))}"
            + (f"; {remedy}" if remedy else "")
        )


def require_once(present: Sequence[str], names: Iterable[str], where: str) -> None:
    """Raise InputError if one of ``names`` stands twice in ``present``, the header of ``where``."""
    doubled = next((name for name in names if present.count(name) > 1), None)
    if doubled is not None:
        raise InputError(f"{where}: column {doubled!r} stands twice in the header; rename one of them")
