"""What sources that read a user's file share: opening it, and saying plainly what is wrong with it."""

import gzip
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from promotions.base.errors import InputError

# The first wins where a header has none of them.
DELIMITERS = (",", ";", "\t", "|")
SUFFIXES = (".csv", ".csv.gz", ".parquet", ".pq")


def read_frame(path: object, key: str, *, file_name: str | None = None, remedy: str) -> pd.DataFrame:
    """The CSV (plain or gzip) or Parquet file at ``path``, or ``file_name`` inside it if it is a folder.

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
    if not file.name.lower().endswith(SUFFIXES):
        raise InputError(f"{key}: {str(file)!r} is no table known by its name; expected one of {', '.join(SUFFIXES)}")
    try:
        frame = pd.read_parquet(file) if file.name.lower().endswith((".parquet", ".pq")) else _read_csv(file)
    except pd.errors.EmptyDataError:
        raise InputError(f"{key}: {str(file)!r} is empty; expected a header line and one row a customer") from None
    except (ValueError, OSError, EOFError) as problem:  # pandas' and pyarrow's parsing errors are ValueErrors
        first_line = str(problem).strip().splitlines()[0]
        raise InputError(f"{key}: {str(file)!r} cannot be read as {file.suffix}: {first_line}") from None
    if frame.empty:
        raise InputError(f"{key}: {str(file)!r} has no rows; expected one row a customer")
    return frame


def _read_csv(file: Path) -> pd.DataFrame:
    """A CSV file whose delimiter is the one of , ; tab | that its header line has most of."""
    opener = gzip.open if file.suffix.lower() == ".gz" else open
    with opener(file, "rt", encoding="utf-8", errors="replace") as lines:
        header = lines.readline()
    # low_memory would guess a column's type anew every so many rows.
    return pd.read_csv(file, sep=max(DELIMITERS, key=header.count), low_memory=False)


def require_columns(frame: pd.DataFrame, names: Iterable[str], key: str) -> None:
    """Raise InputError naming the columns that ``frame``, read from parameter ``key``, lacks and those it has."""
    absent = [name for name in names if name not in frame.columns]
    if absent:
        raise InputError(
            f"{key}: column {', '.join(map(repr, absent))} is missing; the file has "
            f"{', '.join(map(repr, frame.columns))}"
        )
