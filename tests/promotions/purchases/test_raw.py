"""Files that are found, headers that are read, and rows that cannot be."""

import gzip
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from promotions.base.errors import InputError
from promotions.purchases.raw import find_file, reading

TYPES = {"id": "VARCHAR", "bought_at": "TIMESTAMP_S", "paid": "DECIMAL(18, 4)"}
LINES = ["id,bought_at,paid", "a,2019-01-01 10:00:00,1.5", "b,2019-01-02 10:00:00,", "c,2019-01-03 10:00:00,3"]


def write(folder: Path, lines: list[str], name: str = "log.csv", newline: str = "\n") -> None:
    (folder / name).write_bytes((newline.join(lines) + newline).encode())


def read(folder: Path) -> pd.DataFrame:
    file = find_file(folder, "log", "folder", TYPES)
    assert file is not None
    with duckdb.connect() as connection, reading(connection, file, TYPES):
        return connection.execute(f"{file.scan(TYPES)} ORDER BY id").df()


def test_a_table_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert find_file(tmp_path, "log", "folder", TYPES) is None


@pytest.mark.parametrize(
    "lines",
    [
        LINES,
        ["paid,id,bought_at", "1.5,a,2019-01-01 10:00:00", ",b,2019-01-02 10:00:00", "3,c,2019-01-03 10:00:00"],
        ["\ufeffid,note,bought_at,paid", 'a,"x, y",2019-01-01 10:00:00,1.5', 'b,"",2019-01-02 10:00:00,',
         "c,z,2019-01-03 10:00:00,3"],
        ['"id","bought_at","paid"', '"a","2019-01-01T10:00:00","1.5"', '"b","2019-01-02 10:00:00",',
         '"c","2019-01-03 10:00:00","3.0"'],
    ],
    ids=["plain", "another order", "another column and a byte order mark", "quoted"],
)  # fmt: skip
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_headers_in_any_order_and_dress(tmp_path: Path, lines: list[str], newline: str) -> None:
    write(tmp_path, lines, newline=newline)
    table = read(tmp_path)
    assert list(table["id"]) == ["a", "b", "c"]
    assert list(table["paid"].fillna(-1)) == [1.5, -1, 3]
    assert table["bought_at"][1] == pd.Timestamp("2019-01-02 10:00:00")


FAULTS = {
    "cut in a row": (
        [*LINES, "d,2019-01-04 1"],
        "log.csv: 1 row cannot be read; the first is line 5, which ends after 2 of 3 columns (in column 'bought_at'): "
        "'d,2019-01-04 1'; the file was cut or the row is broken",
    ),
    "rows of another width": (
        [*LINES, "d,2019-01-04 10:00:00,1,9", "e,2019-01-04 10:00:00,1,9"],
        "log.csv: 2 rows cannot be read; the first is line 5, which has more than 3 columns",
    ),
    "no number": (
        [*LINES, "d,2019-01-04 10:00:00,much"],
        "line 5, whose column 'paid' holds 'much'; expected a",
    ),
    "no date": ([*LINES, "d,4 January,1"], "line 5, whose column 'bought_at' holds '4 January'; expected a date and"),
    "no such day": ([*LINES, "d,2019-02-30 10:00:00,1"], "column 'bought_at' holds '2019-02-30 10:00:00'"),
    "infinite": ([*LINES, "d,2019-01-04 10:00:00,inf"], "column 'paid' holds 'inf'"),
    "not a number": ([*LINES, "d,2019-01-04 10:00:00,nan"], "column 'paid' holds 'nan'"),
    "an open quote": ([*LINES, '"d,2019-01-04 10:00:00,1'], "log.csv: 1 row cannot be read; the first is line 5"),
    "semicolons": (
        [line.replace(",", ";") for line in LINES],
        "log.csv: columns are separated by a semicolon in its header ('id;bought_at;paid'); expected commas",
    ),
    "tabs": ([line.replace(",", "\t") for line in LINES], "log.csv: columns are separated by a tab in its header"),
    "semicolons below the header": (
        [LINES[0], *(line.replace(",", ";") for line in LINES[1:])],
        "log.csv: 3 rows cannot be read; the first is line 2, which ends after 1 of 3 columns",
    ),
    "a column missing": (["id,bought_at", "a,2019-01-01 10:00:00"], "log.csv: column 'paid' is missing; the file has"),
    "a column twice": (["id,id,bought_at,paid", "a,a,2019-01-01 10:00:00,1"], "log.csv: column 'id' stands twice"),
    "nothing": ([], "log.csv is empty; expected a header line with id, bought_at, paid"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_file_is_named_with_column_and_rows(tmp_path: Path, fault: str) -> None:
    lines, expected = FAULTS[fault]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    with pytest.raises(InputError) as caught:
        read(tmp_path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_gzip_file_that_was_cut_is_named(tmp_path: Path) -> None:
    whole = gzip.compress("\n".join([LINES[0], *(f"{i},2019-01-01 10:00:00,{i}" for i in range(90_000))]).encode())
    (tmp_path / "log.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"log\.csv\.gz cannot be read"):
        read(tmp_path)


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.parquet").write_text("id,bought_at,paid")
    with pytest.raises(InputError, match=r"log\.parquet cannot be read as Parquet"):
        read(tmp_path)


def test_a_parquet_column_of_the_wrong_kind_is_named(tmp_path: Path) -> None:
    pd.DataFrame({"id": ["a"], "bought_at": ["soon"], "paid": [1.0]}).to_parquet(tmp_path / "log.parquet")
    with pytest.raises(InputError, match=r"log\.parquet cannot be read to its end: .*soon"):
        read(tmp_path)


def test_the_same_table_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path, LINES)
    write(tmp_path, LINES, "log.csv.gz")
    with pytest.raises(InputError, match=r"holds 'log\.csv' and 'log\.csv\.gz'; keep the one that counts"):
        find_file(tmp_path, "log", "folder", TYPES)


def test_a_path_with_a_quote_is_only_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "it's"
    folder.mkdir()
    write(folder, LINES)
    assert len(read(folder)) == 3
