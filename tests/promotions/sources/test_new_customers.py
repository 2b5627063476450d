"""New customers come piece by piece, with the types that training had, or are refused in one line."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from promotions.base.encoding import Encoder, fit_encoder
from promotions.base.errors import InputError
from promotions.sources.new_customers import NewTable
from promotions.user_files import UserFile


def training() -> pd.DataFrame:
    return pd.DataFrame({"age": [20.0, 30.0, np.nan], "zip": ["01", "02", "A3"], "member": [True, False, True]})


@pytest.fixture
def encoder() -> Encoder:
    return fit_encoder(training(), ["age", "zip", "member"])


def new(n: int = 25) -> pd.DataFrame:
    rows = range(n)
    return pd.DataFrame(
        {
            "name": ["x"] * n,
            "zip": ["01" if row % 2 else "02" for row in rows],
            "id": [f"{row:04d}" for row in rows],
            "age": [None if row % 5 == 0 else float(row) for row in rows],
            "member": [row % 3 == 0 for row in rows],
        }
    )


def read(path: Path, encoder: Encoder, identifier: str | None = "id", rows: int = 10) -> pd.DataFrame:
    return pd.concat(NewTable(table(path), encoder, identifier).pieces(rows), ignore_index=True)


def table(path: Path) -> UserFile:
    return UserFile(path, str(path))


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_every_kind_of_file_gives_the_same_customers(tmp_path: Path, encoder: Encoder, suffix: str) -> None:
    path = tmp_path / f"new{suffix}"
    if suffix == ".parquet":
        new().to_parquet(path)
    else:
        new().to_csv(path, index=False, sep=";" if suffix == ".csv" else ",")
    found = read(path, encoder)
    assert list(found["customer_id"]) == list(new()["id"])
    # 01 is no 1, though a piece in which all look like numbers could be taken for it.
    assert set(found["zip"]) == {"01", "02"}
    np.testing.assert_array_equal(encoder.transform(found), encoder.transform(new()))


def test_pieces_are_as_large_as_asked_for(tmp_path: Path, encoder: Encoder) -> None:
    new().to_csv(tmp_path / "new.csv", index=False)
    assert [len(piece) for piece in NewTable(table(tmp_path / "new.csv"), encoder, "id").pieces(10)] == [10, 10, 5]


def test_rows_are_numbered_across_pieces_where_nobody_has_an_id(tmp_path: Path, encoder: Encoder) -> None:
    new().to_csv(tmp_path / "new.csv", index=False)
    found = read(tmp_path / "new.csv", encoder, None)
    assert list(found["customer_id"])[9:11] == ["row000000010", "row000000011"]


def test_a_piece_without_any_value_of_a_feature_is_missing_there(tmp_path: Path, encoder: Encoder) -> None:
    new().assign(age="", zip=None).to_csv(tmp_path / "new.csv", index=False)
    found = read(tmp_path / "new.csv", encoder)
    expected = encoder.transform(new().assign(age=np.nan, zip=pd.Series([None] * 25, dtype=object)))
    np.testing.assert_array_equal(encoder.transform(found), expected)


def broken(**columns: object) -> pd.DataFrame:
    return new().assign(**columns)


def at(row: int, column: str, value: object) -> pd.DataFrame:
    table = new().astype({column: object})
    table.loc[row, column] = value
    return table


BAD = {
    "missing column": (
        new().drop(columns="age"),
        "column 'age' is missing; the file has 'name', 'zip', 'id'",
    ),
    "no ids": (new().drop(columns="id"), "column 'id' is missing; .* by --id"),
    "text for a number": (
        at(17, "age", "old"),
        r"column 'age' is not a number.*data row (18, 'old'|2, '1.0')",
    ),
    "all text": (broken(age="old"), r"column 'age' is not a number.*data row 1, 'old'"),
    "an id is missing": (at(12, "id", None), r"column 'id' is missing \(first: data row 13"),
    "no rows": (new(0), "no rows; expected one row a customer"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, encoder: Encoder, case: str, suffix: str) -> None:
    table, message = BAD[case]
    path = tmp_path / f"new{suffix}"
    if suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.astype({name: "string" for name in table if table[name].dtype == object}).to_parquet(path)
    with pytest.raises(InputError, match=message) as caught:
        read(path, encoder)
    assert "\n" not in str(caught.value)


def test_numbers_where_training_had_text_are_refused(tmp_path: Path, encoder: Encoder) -> None:
    new().assign(zip=1).to_parquet(tmp_path / "new.parquet")
    with pytest.raises(InputError, match="column 'zip' is a number where training had text"):
        read(tmp_path / "new.parquet", encoder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty; expected a header line"),
        (gzip.compress(b"id,age,zip,member\n1,2,3,4\n", mtime=0)[:-12], "cannot be unpacked"),
        (b"id,age,zip,member\n1,2,01,1\n2,3,01,1,5,6\n", "cannot be read as a table"),
        (b"id,age,zip,zip,member\n1,2,01,01,1\n", "column 'zip' stands twice"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, encoder: Encoder, content: bytes, message: str) -> None:
    (tmp_path / "new.csv").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / "new.csv", encoder)
    assert "\n" not in str(caught.value)


def test_customers_with_costs_of_their_own_need_amounts(tmp_path: Path, encoder: Encoder) -> None:
    new().assign(price=2.5).to_csv(tmp_path / "new.csv", index=False)
    customers = NewTable(table(tmp_path / "new.csv"), encoder, "id", {"cost": "price"})
    assert (pd.concat(customers.pieces())["cost"] == 2.5).all()
    new().assign(price=-1).to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(InputError, match="column 'price' is no amount from 0"):
        list(NewTable(table(tmp_path / "new.csv"), encoder, "id", {"cost": "price"}).pieces())
