"""Lists of customers: new ones to read, scored ones to write."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipeline import stage
from pipeline.dictionary import OF_PURCHASES
from promotions.base.encoding import Encoder
from promotions.base.errors import InputError
from promotions.purchases import Settings
from promotions.scoring.spreadsheet import as_text
from promotions.sources.new_customers import ROWS, NewTable
from promotions.sources.simulated import CAMPAIGN_DATE
from promotions.sources.x5 import customers_to_score, moment_of, reading_settings
from promotions.user_files import UserFile, require_columns

__all__ = ["ROWS", "read_pieces", "require_table", "write"]

OUT_SUFFIXES = (".csv", ".parquet")


def read_pieces(path: str, encoder: Encoder, identifier: str | None, date: str | None) -> Iterator[pd.DataFrame]:
    """New customers, a piece at a time, from a folder in the layout of X5 or from a table.

    identifier: the column of ids; None: as in training.  date: the day of the campaign, if purchases are aggregated.
    """
    roles = stage.read_json("data/prepared/roles.json")
    source, money = roles["source"], [role for role in ("cost", "revenue") if role in roles["roles"]]
    if Path(path).is_dir():
        if source not in OF_PURCHASES:
            raise InputError(f"{path}: a folder, but the champion learned from a table; expected a CSV or Parquet file")
        frame = customers_to_score(Path(path), _settings(source, date))
        yield from (frame.iloc[start : start + ROWS] for start in range(0, len(frame), ROWS))
        return
    if date is not None:
        raise InputError(
            f"--campaign-date: {path} is a table, whose features are ready; expected a folder of raw files"
        )
    params = stage.section("data", "table") if source == "table" else {}
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; expected a table of customers, or a folder of raw files")
    file = UserFile(Path(path), path)
    if identifier is None:
        identifier = _identifier(path, file.columns, params.get("id", "customer_id"))
    # In a table that `prepare` wrote, columns have the names of their roles.
    named = {role: role if role in file.columns else str(params.get(role, role)) for role in money}
    yield from NewTable(file, encoder, identifier, named).pieces()


def _identifier(path: str, header: list[str], in_training: str | None) -> str | None:
    """The column of ids; None numbers the rows, as in training. Raises InputError."""
    for name in (in_training, "customer_id", "client_id"):
        if name in header:
            return name
    if in_training is None:
        return None
    require_columns(header, [in_training], path, "name the column of ids by --id")
    return in_training


def _settings(source: str, date: str | None) -> Settings:
    reading: dict[str, Any] = {"campaign": CAMPAIGN_DATE}
    if source == "x5":
        reading = reading_settings(stage.section("data", "x5"))
    if date is not None:
        reading["campaign"] = moment_of(date, "--campaign-date")
    memory = str(stage.params("data", "memory_limit"))
    return Settings(memory=memory, threads=stage.threads(), **reading)


def require_table(path: str) -> None:
    """Raise InputError unless ``path`` ends as a table does (``OUT_SUFFIXES``) and its folder exists."""
    if not path.lower().endswith(OUT_SUFFIXES):
        raise InputError(f"--out: {path!r} does not name a table; expected an ending {' or '.join(OUT_SUFFIXES)}")
    if not Path(path).resolve().parent.is_dir():
        raise InputError(f"--out: there is no folder {str(Path(path).parent)!r}; make it, or write elsewhere")


def write(path: str, pieces: Iterable[pd.DataFrame]) -> int:
    """Write scored customers as CSV or Parquet, by the ending of ``path``; returns the number of ids changed.

    In a CSV file, text that a spreadsheet would take for a formula is marked as text.
    """
    marked = 0
    with stage.replacing(path) as temporary:
        writer: pq.ParquetWriter | pa_csv.CSVWriter | None = None
        try:
            for piece in pieces:
                frame = piece
                if path.lower().endswith(".csv"):
                    ids, formulas = as_text(piece["customer_id"])
                    frame = piece.assign(customer_id=ids, reason=as_text(piece["reason"])[0])
                    marked += int(formulas.sum())
                table = pa.Table.from_pandas(frame, preserve_index=False)
                if writer is None:
                    make = pa_csv.CSVWriter if path.lower().endswith(".csv") else pq.ParquetWriter
                    writer = make(temporary, table.schema)
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()
    return marked
