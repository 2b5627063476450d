"""A user's table is read however it was saved, whole or in pieces; what is wrong with it is said in one line."""

import gzip
import io

import numpy as np
import pandas as pd
import pytest

from promotions.base.errors import InputError
from promotions.user_files import UserFile, require_columns, separator_of, user_file, why_no_feature

ROWS = pd.DataFrame({"id": [1, 2], "name": ["Zoë", None], "zip": ["01", "02"]})
TABLE = "id,name,spend\n1,São Paulo,2.5\n2,,3\n3,Goiás,\n"


def write(folder, content, name="a.csv"):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return UserFile(folder / name, name)


def pieces(file, columns, as_text=(), rows=2):
    return pd.concat(file.pieces(rows, columns, as_text), ignore_index=True)


# ── the same table, however it was saved ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.pq", "A.CSV"])
def test_every_known_format_gives_the_rows_back(tmp_path, name):
    path = tmp_path / name
    ROWS.to_csv(path, index=False) if "csv" in name.lower() else ROWS.to_parquet(path, index=False)
    expected = ROWS.assign(zip=[1, 2]) if "csv" in name.lower() else ROWS
    pd.testing.assert_frame_equal(UserFile(path, name).frame(), expected)
    # In pieces, text stays text.
    found = pieces(UserFile(path, name), ["zip", "id"], ["zip"], rows=1)
    assert (list(found), list(found["zip"]), list(found["id"])) == (["zip", "id"], ["01", "02"], [1, 2])


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_separator_encoding_line_ends_and_packing_make_no_difference(tmp_path, separator, encoding, end, pack):
    content = TABLE.replace(",", separator).replace("\n", end).encode(encoding)
    file = write(tmp_path, pack(content))
    assert file.columns == ["id", "name", "spend"]
    expected = pd.DataFrame({"id": [1, 2, 3], "name": ["São Paulo", None, "Goiás"], "spend": [2.5, 3, np.nan]})
    pd.testing.assert_frame_equal(file.frame(), expected)
    pd.testing.assert_frame_equal(pieces(file, list(expected)), expected)
    text = file.frame(as_text=True)
    assert text["spend"].tolist() == ["2.5", "3", pd.NA]
    assert text.isna().sum().to_dict() == {"id": 0, "name": 1, "spend": 1}


def test_a_name_tells_parquet_alone(tmp_path):
    packed = write(tmp_path, gzip.compress(TABLE.encode()), "mine.txt")
    plain = write(tmp_path, TABLE, "mine.csv.gz")
    pd.testing.assert_frame_equal(packed.frame(), plain.frame())
    buffer = io.BytesIO()
    ROWS.to_parquet(buffer)
    pd.testing.assert_frame_equal(write(tmp_path, buffer.getvalue(), "mine.csv").frame(), ROWS)


def test_what_pandas_made_an_index_of_is_a_column(tmp_path):
    ROWS.assign(id=["x", "y"]).set_index("id").to_parquet(tmp_path / "a.parquet")
    file = UserFile(tmp_path / "a.parquet", "a.parquet")
    assert sorted(file.columns) == sorted(ROWS)
    assert file.frame()["id"].tolist() == pieces(file, ["id"])["id"].tolist() == ["x", "y"]
    pd.concat([ROWS, ROWS]).to_parquet(tmp_path / "b.parquet")
    assert list(UserFile(tmp_path / "b.parquet", "b.parquet").frame()) == list(ROWS)


def test_names_lose_the_spaces_around_them_and_cells_those_before(tmp_path):
    file = write(tmp_path, "id , name, \n1, a,x\n")
    assert list(file.frame()) == file.columns == ["id", "name", "Unnamed: 2"]
    assert file.frame()["name"].tolist() == ["a"]


def test_blank_lines_are_passed_over_and_missing_values_at_the_end_of_a_row_are_missing(tmp_path):
    file = write(tmp_path, "\n  \nid,name\n\n1\n2,b\n")
    assert file.frame()["name"].isna().tolist() == [True, False]


def test_a_column_that_changes_its_type_far_down_is_text_throughout(tmp_path):
    file = write(tmp_path, "a,b\n" + "1,2\n" * 300_000 + "x,2\n" * 10)
    assert set(file.frame()["a"]) == {"1", "x"}


def test_pieces_are_as_large_as_asked_for_and_hold_what_was_asked_for(tmp_path):
    file = write(tmp_path, "a,b,b\n" + "1,2,3\n" * 5)
    assert [(len(piece), list(piece)) for piece in file.pieces(2, ["a"])] == [(2, ["a"]), (2, ["a"]), (1, ["a"])]


def test_the_separator_is_the_most_frequent_outside_quotes(tmp_path):
    assert separator_of("a;b;c") == ";"
    assert separator_of('"a,b,c,d";e') == ";"
    assert separator_of("a\tb,c\td") == "\t"
    assert separator_of("alone") == ","
    table = pd.DataFrame({"id": ["a", "b"], "spend, net": [1.5, 2.5], "age": [30, 40]})
    table.to_csv(tmp_path / "a.csv", sep=";", index=False)
    pd.testing.assert_frame_equal(UserFile(tmp_path / "a.csv", "a.csv").frame(), table)


# ── what is wrong is said in one line ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "the file is empty; expected a header line"),
        ("a.csv", b"\n \n", "the file is empty; expected a header line"),
        ("a.csv", b"id,name\n", "the file has no rows"),
        ("a.csv", b'id,name\n1,"open\n', "cannot be read as a table (.*EOF inside string"),
        ("a.csv", b"id,name\n1,2\n1,2,3\n", "cannot be read as a table (.*line 3, saw 3"),
        ("a.csv", b"id,name\n1,2,3\n", "rows have more values than the header has columns (2); put sums such as"),
        ("a.csv", b"id,name\n0,2,3\n1,4,5\n", "rows have more values than the header has columns (2)"),
        ("a.csv", b"id,name\n,,\n1,2\n", "rows have more values than the header has columns (2)"),
        ("a.csv", b"id\0\1\2\n1\n", "the file is no text in UTF-8, UTF-16 or Windows-1252; save it as CSV"),
        ("a.csv", b"id,name\n1,\x81\xff\n", "the file is no text in UTF-8"),
        ("a.csv", "id,name\n1,a\n".encode("utf-16-le"), "the file is no text in UTF-8"),
        ("a.xlsx", b"PK\x03\x04\0\0", "of a spreadsheet, save the sheet as CSV in UTF-8"),
        ("a.csv.gz", gzip.compress(TABLE.encode() * 1000)[:-20], "cannot be unpacked"),
        ("a.csv.gz", b"\x1f\x8bbroken", "cannot be unpacked"),
        ("a.parquet", b"id,name\n1,a\n", "cannot be read as Parquet"),
        ("a.csv", b"PAR1 no more", "cannot be read as Parquet"),
    ],
)
@pytest.mark.parametrize("way", ["whole", "pieces"])
def test_a_file_that_is_no_table_is_one_line_naming_it(tmp_path, name, content, message, way):
    file = write(tmp_path, content, name)
    with pytest.raises(InputError) as error:
        file.frame() if way == "whole" else list(file.pieces(10, ["id"]))
    assert str(error.value).startswith(f"{name}: ")
    assert all(part in str(error.value) for part in message.split(".*"))
    assert "\n" not in str(error.value)


def test_a_column_that_stands_twice_is_refused_where_it_is_used(tmp_path):
    file = write(tmp_path, "id,a, a\n1,2,3\n")
    with pytest.raises(InputError, match=r"^a\.csv: column 'a' stands twice in the header; rename one of them"):
        file.frame()
    with pytest.raises(InputError, match=r"column 'a' stands twice"):
        list(file.pieces(10, ["a"]))
    assert pieces(file, ["id"])["id"].tolist() == [1]


def test_a_fault_of_whoever_asks_for_pieces_is_none_of_the_file(tmp_path):
    def use():
        for _ in write(tmp_path, TABLE).pieces(1, ["id"]):
            raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$"):
        use()


def test_absent_columns_are_named_with_those_that_exist(tmp_path):
    require_columns(ROWS, ["id"], "key")
    with pytest.raises(InputError, match=r"^key: column 'age', 'city' is missing; the file has 'id', 'name', 'zip'$"):
        require_columns(ROWS, ["id", "age", "city"], "key")
    with pytest.raises(InputError, match=r"^a\.csv: column 'age' is missing; the file has 'id', 'name', 'spend'$"):
        list(write(tmp_path, TABLE).pieces(10, ["age"]))


# ── paths ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def at(path, **options):
    return user_file(path, "data.table.path", "name your file there", **options)


def test_a_folder_is_enough_where_the_file_has_a_fixed_name(tmp_path):
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    found = at(str(tmp_path), file_name="rows.csv")
    assert found.path == tmp_path / "rows.csv"
    assert found.name == f"data.table.path: '{tmp_path / 'rows.csv'}'"


def test_a_missing_file_says_where_it_was_looked_for_and_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"data\.table\.path: no file at '.*absent\.csv'; name your file there"):
        at(str(tmp_path / "absent.csv"))


def test_a_folder_without_a_fixed_name_is_refused(tmp_path):
    with pytest.raises(InputError, match="is a folder; expected a CSV or Parquet file"):
        at(str(tmp_path))


@pytest.mark.parametrize("path", [None, "", 3, ["a.csv"]])
def test_a_path_that_is_no_text_is_refused(path):
    with pytest.raises(InputError, match=r"data\.table\.path: expected the path of a CSV or Parquet file, got"):
        at(path)


# ── columns that describe nobody ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("Unnamed: 0", range(200), "no name in the header"),
        ("a", [[1], [2]], "neither numbers nor text"),
        ("a", [None, None], "empty"),
        ("a", ["x", "x"], "constant"),
        ("a", ["x", None], None),
        ("a", [f"c{row}" for row in range(200)], "identifier: most values occur once"),
        ("a", [f"c{row}" for row in range(99)], None),
        ("a", range(200), None),
        ("a", pd.date_range("2020-01-01", periods=200), None),
    ],
)
def test_what_cannot_describe_customers_says_why(name, values, reason):
    assert why_no_feature(pd.Series(values, name=name)) == reason
