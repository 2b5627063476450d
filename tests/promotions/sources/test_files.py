"""Opening a user's file, and saying plainly what is wrong with it."""

import gzip

import pandas as pd
import pytest

from promotions.base.errors import InputError
from promotions.sources.files import read_frame, require_columns

ROWS = pd.DataFrame({"id": [1, 2], "name": ["Zoë", None]})


def read(path, **options):
    return read_frame(str(path), "data.table.path", remedy="name your file there", **options)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.pq", "A.CSV"])
def test_every_known_format_gives_the_rows_back(tmp_path, name):
    path = tmp_path / name
    ROWS.to_csv(path, index=False) if "csv" in name.lower() else ROWS.to_parquet(path, index=False)
    pd.testing.assert_frame_equal(read(path), ROWS)


def test_a_folder_is_enough_where_the_file_has_a_fixed_name(tmp_path):
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    pd.testing.assert_frame_equal(read(tmp_path, file_name="rows.csv"), ROWS)


def truncated_gzip():
    return gzip.compress(ROWS.to_csv(index=False).encode() * 1000)[:-20]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", b"PK", "no table known by its name; expected one of .csv, .csv.gz, .parquet, .pq"),
        ("a.csv", b"", "is empty; expected a header line"),
        ("a.csv", b"id,name\n", "has no rows"),
        ("a.csv", b'id,name\n1,"open\n', "cannot be read as .csv"),
        ("a.csv", b"id,name\n1,\xff\xfe\n", "cannot be read as .csv"),
        ("a.csv", b"id\n1\n1,2,3\n", "cannot be read as .csv"),
        ("a.csv.gz", b"id,name\n1,a\n", "cannot be read as .gz"),
        ("a.csv.gz", truncated_gzip(), "cannot be read as .gz"),
        ("a.parquet", b"id,name\n1,a\n", "cannot be read as .parquet"),
    ],
    ids=[
        "format",
        "empty",
        "header only",
        "open quote",
        "encoding",
        "ragged",
        "no gzip",
        "truncated gzip",
        "no parquet",
    ],
)
def test_a_file_that_is_no_table_is_one_line_naming_parameter_and_file(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        read(tmp_path / name)
    assert str(error.value).startswith("data.table.path: ")
    assert name in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_says_where_it_was_looked_for_and_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"data\.table\.path: no file at '.*absent\.csv'; name your file there"):
        read(tmp_path / "absent.csv")


def test_a_folder_without_a_fixed_name_is_refused(tmp_path):
    with pytest.raises(InputError, match="is a folder; expected a CSV or Parquet file"):
        read(tmp_path)


@pytest.mark.parametrize("path", [None, "", 3, ["a.csv"]])
def test_a_path_that_is_no_text_is_refused(path):
    with pytest.raises(InputError, match=r"data\.table\.path: expected the path of a CSV or Parquet file, got"):
        read_frame(path, "data.table.path", remedy="name your file there")


def test_absent_columns_are_named_with_those_that_exist():
    require_columns(ROWS, ["id"], "key")
    with pytest.raises(InputError, match="key: column 'age', 'city' is missing; the file has 'id', 'name'"):
        require_columns(ROWS, ["id", "age", "city"], "key")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_the_delimiter_is_the_one_that_the_header_has_most_of(tmp_path, delimiter, suffix):
    table = pd.DataFrame({"id": ["a", "b"], "spend, net": [1.5, 2.5], "t": [0, 1], "age": [30, 40]})
    path = tmp_path / f"mine{suffix}"
    table.to_csv(path, sep=delimiter, index=False)
    pd.testing.assert_frame_equal(read_frame(str(path), "key", remedy="name it"), table)


def test_a_column_that_changes_its_type_far_down_is_text_throughout(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("a,b\n" + "1,2\n" * 300_000 + "x,2\n" * 10)
    assert set(read_frame(str(path), "key", remedy="name it")["a"]) == {"1", "x"}
