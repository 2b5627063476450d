"""Raw files as DuckDB reads them: CSV (plain or gzip) or Parquet, with every row that cannot be read accounted for."""

import csv
import gzip
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from promotions.base.errors import InputError
from promotions.purchases.settings import MEMORY_KEY
from promotions.user_files import SEPARATORS, SUFFIXES, require_columns, require_once, separator_of

Connection = duckdb.DuckDBPyConnection

# Rows that cannot be read are counted up to here; a file with more has more than a few bad rows.
MOST_REJECTS = 10_000
# Exact in sums, whatever their order: the same log gives the same features on any number of threads.
AMOUNT = "DECIMAL(18, 4)"
EXPECTED = {
    "VARCHAR": "text",
    "TIMESTAMP_S": "a date and time such as 2019-03-18 17:45:00",
    "INTEGER": "a whole number",
    "DOUBLE": "a number",
    AMOUNT: "a number",
}


@dataclass(frozen=True)
class RawFile:
    """A table in a file.

    columns: those of a CSV file, in its own order.  origin: the name of the user's file, if this is a copy.
    """

    path: Path
    columns: tuple[str, ...] = ()
    origin: str = ""

    @property
    def name(self) -> str:
        """The name by which the user knows the file."""
        return self.origin or self.path.name

    @property
    def is_csv(self) -> bool:
        """Whether it is text."""
        return self.path.name.lower().endswith((".csv", ".csv.gz"))

    def scan(self, types: Mapping[str, str]) -> str:
        """SQL that selects the columns of ``types`` from it, as these types.

        A CSV file's rows that do not fit are set aside in DuckDB's table of rejects: see ``reading``.
        """
        path = _quoted(str(self.path))
        if not self.is_csv:
            chosen = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in types.items())
            return f"SELECT {chosen} FROM read_parquet({path})"
        columns = ", ".join(f"{_quoted(name)}: {_quoted(types.get(name, 'VARCHAR'))}" for name in self.columns)
        chosen = ", ".join(f'"{name}"' for name in types)
        return (
            f"SELECT {chosen} FROM read_csv({path}, columns = {{{columns}}}, auto_detect = false, header = true, "
            f"delim = ',', quote = '\"', escape = '\"', store_rejects = true, rejects_limit = {MOST_REJECTS})"
        )


def find_file(directory: Path, stem: str, key: str, columns: Mapping[str, str]) -> RawFile | None:
    """The table ``stem`` in ``directory`` (parameter ``key``) with at least these columns; None if it is not there.

    Raises InputError if there are several, or if its header lacks a column or is not separated by commas.
    """
    paths = [path for suffix in SUFFIXES if (path := directory / f"{stem}{suffix}").is_file()]
    if not paths:
        return None
    if len(paths) > 1:
        names = " and ".join(repr(path.name) for path in paths)
        raise InputError(f"{key}: {str(directory)!r} holds {names}; keep the one that counts")
    path = paths[0]
    header = _header_of_csv(path, columns) if path.name.lower().endswith((".csv", ".csv.gz")) else _header(path)
    require_columns(header, columns, path.name)
    require_once(header, header, path.name)
    return RawFile(path, header)


def _header(path: Path) -> tuple[str, ...]:
    """Columns of a Parquet file."""
    try:
        with duckdb.connect() as connection:
            rows = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({_quoted(str(path))})").fetchall()
    except duckdb.Error as problem:
        raise InputError(f"{path.name} cannot be read as Parquet: {_first_line(problem)}") from None
    return tuple(str(row[0]) for row in rows)


def _header_of_csv(path: Path, expected: Mapping[str, str]) -> tuple[str, ...]:
    """Columns of a CSV file, which has to be separated by commas."""
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as lines:
            first = lines.readline().rstrip("\r\n")
    except (OSError, EOFError, UnicodeDecodeError) as problem:
        raise InputError(f"{path.name} cannot be read: {_first_line(problem)}") from None
    if not first:
        raise InputError(f"{path.name} is empty; expected a header line with {', '.join(expected)}")
    if len(expected) > 1:
        used = separator_of(first)
        if used != ",":
            raise InputError(
                f"{path.name}: columns are separated by a {SEPARATORS[used]} in its header ({_shortened(first)!r}); "
                "expected commas: save the file with commas (and points as decimal marks)"
            )
    return tuple(name.strip() for name in next(csv.reader([first])))


@contextmanager
def reading(connection: Connection, file: RawFile, types: Mapping[str, str]) -> Iterator[None]:
    """Put this around a statement that reads ``file``.

    Raises InputError, with file, column and rows, in place of DuckDB's errors.
    """
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise InputError(
            f"{MEMORY_KEY} is too little to aggregate {file.name}; raise it (1GB will do for X5)"
        ) from None
    except duckdb.Error as problem:
        raise InputError(f"{file.name} cannot be read to its end: {_first_line(problem)}") from None
    if file.is_csv:
        _stop_on_rejects(connection, file, types)


def _stop_on_rejects(connection: Connection, file: RawFile, types: Mapping[str, str]) -> None:
    """Raise if rows of ``file`` were set aside, saying how many and what is wrong with the first."""
    rejects = "reject_errors JOIN reject_scans USING (scan_id, file_id) WHERE file_path = $path"
    parameters = {"path": str(file.path)}
    count = connection.execute(f"SELECT count(DISTINCT line) FROM {rejects}", parameters).fetchall()[0][0]
    if not count:
        return
    kind, line, text, message = connection.execute(
        f"SELECT error_type, line, csv_line, error_message FROM {rejects} ORDER BY line, column_idx LIMIT 1", parameters
    ).fetchall()[0]
    rows = f"{count:,} rows" if count > 1 else "1 row"
    if count >= MOST_REJECTS:
        rows = f"{MOST_REJECTS:,} rows or more"
    raise InputError(
        f"{file.name}: {rows} cannot be read; the first is line {line:,}, "
        f"{_what_is_wrong(file, types, kind, text, message)}"
    )


def _what_is_wrong(file: RawFile, types: Mapping[str, str], kind: str, text: str, message: str) -> str:
    """DuckDB's complaint about one line of a CSV file, with the column that it concerns."""
    width = len(file.columns)
    cells = next(csv.reader(io.StringIO(text)), [])
    if kind == "MISSING COLUMNS":
        last = file.columns[max(len(cells) - 1, 0)]
        return (
            f"which ends after {len(cells)} of {width} columns (in column {last!r}): {_shortened(text)!r}; "
            "the file was cut or the row is broken: fetch it again"
        )
    if kind == "TOO MANY COLUMNS":
        return f"which has more than {width} columns: {_shortened(text)!r}; a value with a comma needs quotes"
    if kind == "CAST":
        value = re.search(r'Could not convert string "(.*?)" to', message)
        # DuckDB numbers the columns that a statement uses, not those of the file: look for the value.
        for column, cell in zip(file.columns, cells, strict=False):
            if value and cell == value[1] and types.get(column, "VARCHAR") != "VARCHAR":
                return f"whose column {column!r} holds {cell!r}; expected {EXPECTED[types[column]]}"
    return f"{_shortened(text)!r}: {_first_line(message)}"


def _first_line(problem: object) -> str:
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__


def _shortened(text: str, width: int = 60) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _quoted(text: str) -> str:
    """``text`` as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
