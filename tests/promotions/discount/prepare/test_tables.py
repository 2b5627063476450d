"""Tables come in as people keep them and leave with types; what is wrong is named by file, column, row and value."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from promotions.base.errors import InputError
from promotions.discount.prepare.tables import (
    MONEY,
    ROLES,
    missing_cells,
    predictions,
    require_excluded,
    rows_text,
    typed_tables,
    usable_features,
)
from promotions.user_files import UserFile

SHARED = Path(__file__).parents[5] / "shared" / "data" / "discount"
FILES = {
    "observational": "discounts_nonrandom.csv",
    "randomised": "discounts_random.csv",
    "cutoff": "rdd_data.csv",
    "panel": "diff_in_diff.csv",
}
NAMES = {role: f"{role}.csv" for role in ROLES}
HEADER = ["sales", "discount", "profit", "age", "gender", "tenure", "note"]
CELLS = [
    ["1000.5", "US$ 10.0", "40.03", "31", "1.0", "19", "São Paulo"],
    ["2000", "US$ 0.0", "100", "", "", "20", ""],
    ["1500", "US$ 5.0", "70", "44", "0.0", "21", "Goiás"],
]


def text(header=HEADER, cells=CELLS):
    return "\n".join(",".join(row) for row in [header, *cells]) + "\n"


def read_table(content, name):
    """The table in a file with this content."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(content)
        return UserFile(Path(folder) / name, name).frame(as_text=True)


def typed(frame=None, role="observational", running="tenure", exclude=(), **others):
    raw = {role: read_table(text().encode(), "a.csv") if frame is None else frame, **others}
    return typed_tables(raw, running, NAMES, exclude)


def changed(row, column, cell, **options):
    cells = [list(each) for each in CELLS]
    cells[row][HEADER.index(column)] = cell
    return read_table(text(cells=cells, **options).encode(), "a.csv")


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_parquet_files_are_read_like_text():
    plain = typed()["observational"]
    buffer = io.BytesIO()
    plain.drop(columns="row").to_parquet(buffer)
    pd.testing.assert_frame_equal(typed(read_table(buffer.getvalue(), "a.parquet"))["observational"], plain)


def test_a_thousands_comma_is_read_in_quotes_and_refused_without():
    header = ["sales", "discount", "profit"]
    quoted = read_table(text(header=header, cells=[['"1,234.50"', "0", "61.73"]]).encode(), "a.csv")
    assert typed(quoted)["observational"]["sales"].tolist() == [1234.5]
    with pytest.raises(InputError, match=r"^a\.csv: rows have more values than the header has columns \(3\)"):
        read_table(text(header=header, cells=[["1,234.50", "0", "61.73"]]).encode(), "a.csv")
    with pytest.raises(InputError, match=r"^a\.csv: cannot be read as a table \(.*line 3, saw 4"):
        read_table(text(header=header, cells=[["1", "0", "1"], ["1,234.50", "0", "61.73"]]).encode(), "a.csv")


# ── types ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_money_and_numbers_are_floats_and_categories_strings():
    table = typed()["observational"]
    assert table["row"].tolist() == [0, 1, 2]
    assert table["row"].dtype == np.int64
    assert (table[[*MONEY, "age", "tenure"]].dtypes == np.float64).all()
    assert table["discount"].tolist() == [10, 0, 5]
    assert np.isnan(table["age"][1])
    for name in ("gender", "note"):
        assert pd.api.types.is_string_dtype(table[name])
        assert table[name][1] is pd.NA
    assert table["gender"].dropna().tolist() == ["1", "0"]


def test_the_order_of_columns_is_the_files():
    assert list(typed()["observational"]) == ["row", *HEADER]


def test_a_column_that_is_text_in_one_table_is_a_category_in_all():
    coded = read_table(text(header=[*HEADER, "month"], cells=[[*row, "3"] for row in CELLS]).encode(), "b.csv")
    coded["note"] = ["1", "2.0", "1"]
    tables = typed(panel=coded)
    assert tables["panel"]["note"].tolist() == ["1", "2", "1"]
    assert typed(coded, role="panel")["panel"]["note"].tolist() == [1, 2, 1]


def test_tables_that_are_not_there_have_their_money_and_no_rows():
    for role in ROLES:
        tables = typed(
            read_table(text(header=[*HEADER, "month"], cells=[[*r, "1"] for r in CELLS]).encode(), "a"), role
        )
        assert list(tables) == list(ROLES)
        for other in set(ROLES) - {role}:
            assert list(tables[other]) == ["row", *MONEY]
            assert tables[other].empty
            assert tables[other].dtypes.to_dict() == {"row": np.int64, **dict.fromkeys(MONEY, np.float64)}


def test_the_columns_of_a_simulation_need_no_reading():
    frame = pd.DataFrame({"sales": [1.0, 2.0], "discount": [0, 5], "profit": [0.05, -4.9], "gender": [1.0, np.nan]})
    table = typed(frame)["observational"]
    assert table["discount"].tolist() == [0, 5]
    assert table["gender"].tolist() == ["1", pd.NA]


# ── errors name file, column, row and value ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("row", "column", "cell", "message"),
    [
        (2, "discount", "ten", "column 'discount', row 3 below the header is 'ten'; expected a number"),
        (1, "sales", "", "column 'sales', row 2 below the header is empty; expected a number"),
        (0, "profit", "inf", "column 'profit', row 1 below the header is 'inf'; expected a number"),
    ],
)
def test_a_required_cell_that_is_no_number_is_named(row, column, cell, message):
    with pytest.raises(InputError) as caught:
        typed(changed(row, column, cell))
    assert str(caught.value).startswith(f"observational.csv: {message}")
    assert "\n" not in str(caught.value)


def test_several_wrong_cells_are_counted():
    frame = changed(2, "discount", "ten")
    frame.loc[0, "discount"] = pd.NA
    with pytest.raises(InputError, match=r"'discount', row 1 below the header \(and 1 more\) is empty"):
        typed(frame)


def test_a_slip_in_a_column_of_numbers_is_named_and_a_column_of_text_is_none():
    slip = pd.DataFrame({"sales": np.ones(20), "discount": 0.0, "profit": 0.05, "age": [*map(str, range(19)), "old"]})
    with pytest.raises(InputError, match=r"'age', row 20 below the header is 'old'.*discount\.exclude"):
        typed(slip)
    assert typed(slip, exclude=["age"])["observational"]["age"].tolist()[-1] == "old"
    worded = slip.assign(age=["old", "young"] * 10)
    assert typed(worded)["observational"]["age"].tolist()[:2] == ["old", "young"]


@pytest.mark.parametrize(
    ("role", "absent"),
    [
        ("observational", "discount"),
        ("randomised", "sales"),
        ("cutoff", "profit"),
        ("cutoff", "tenure"),
        ("panel", "month"),
    ],
)
def test_a_required_column_that_is_absent_is_named(role, absent):
    frame = read_table(text(header=[*HEADER, "month"], cells=[[*row, "1"] for row in CELLS]).encode(), "a.csv")
    with pytest.raises(InputError, match=rf"^{role}\.csv: column '{absent}' is missing; the file has '.*'note'"):
        typed(frame.drop(columns=absent), role)
    others = [each for each in ROLES if each != role and absent not in MONEY]
    for other in others:
        assert len(typed(frame.drop(columns=absent), other)[other]) == 3


def test_running_variable_and_month_have_no_gaps():
    frame = read_table(text(header=[*HEADER, "month"], cells=[[*row, "1"] for row in CELLS]).encode(), "a.csv")
    for role, column in (("cutoff", "tenure"), ("panel", "month")):
        gap = frame.copy()
        gap.loc[1, column] = pd.NA
        with pytest.raises(InputError, match=rf"'{column}', row 2 below the header is empty"):
            typed(gap, role)
        assert np.isnan(typed(gap)["observational"][column][1])


def test_any_column_of_numbers_may_be_the_running_variable():
    tables = typed(changed(1, "age", "20"), "cutoff", running="age")
    assert tables["cutoff"]["age"].tolist() == [31, 20, 44]
    assert typed(changed(1, "gender", "2"), "cutoff", running="gender")["cutoff"]["gender"].tolist() == [1, 2, 0]


def test_no_table_at_all_is_an_error():
    with pytest.raises(InputError, match="none of the four tables is given; name at least one of observational"):
        typed_tables({}, "tenure", NAMES)


def test_a_column_called_row_is_refused():
    with pytest.raises(InputError, match="a column is called 'row'"):
        typed(changed(0, "note", "x").rename(columns={"note": "row"}))


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        ("age", "expected a list of columns, got 'age'"),
        ([3], "expected a list"),
        (["agee"], "no table has a column 'agee'; there is 'sales'"),
        (["sales"], "'sales' is what the analysis is about"),
    ],
)
def test_what_is_excluded_has_to_be_columns(exclude, message):
    with pytest.raises(InputError, match=message):
        require_excluded(exclude, {"observational": read_table(text().encode(), "a.csv")})


def test_excluded_columns_are_listed_once():
    raw = {"observational": read_table(text().encode(), "a.csv")}
    assert require_excluded(["age", "note", "age"], raw) == ["age", "note"]


# ── features ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def three(**columns):
    return pd.DataFrame({"row": [0, 1, 2], "sales": 1.0, "discount": 0.0, "profit": 0.05, **columns})


def tables_of(**given):
    return {role: given.get(role, three().iloc[:0]) for role in ROLES}


def test_features_are_what_describes_customers_in_every_table():
    log = three(age=[1, 2, 3.0], b=[3, 2, 1.0], sales_prediction=[1, 2, 3.0], only_here=[1, 2, 3.0], after=[1, 2, 3.0])
    test = three(b=[1, 2, 3.0], age=[1, 2, 3.0], after=[1, 2, 3.0])
    panel = three(month=[1, 2, 3.0], age=[1, 2, 3.0])
    tables = tables_of(observational=log, randomised=test, panel=panel)
    assert predictions(tables, ["after"]) == ["sales_prediction"]
    assert predictions(tables, ["sales_prediction"]) == predictions(tables_of(randomised=test), []) == []
    features, left_out = usable_features(tables, ["after"])
    assert features == ["age", "b"]
    assert left_out == {"only_here": "not in every table"}


def test_of_a_panel_alone_its_columns_are_features():
    features, left_out = usable_features(tables_of(panel=three(month=[1, 2, 3.0], age=[1, 2, 3.0])), [])
    assert (features, left_out) == (["age"], {})


def test_what_cannot_describe_customers_is_left_out_with_the_reason():
    n = 200
    frame = pd.DataFrame({"row": range(n), "sales": 1.0, "discount": 0.0, "profit": 0.05})
    frame = frame.assign(
        one=7.0,
        nothing=np.nan,
        answered=np.where(np.arange(n) < 5, np.nan, 1.0),
        who=pd.array([f"c{i}" for i in range(n)], dtype="string"),
        town=pd.array([f"t{i % 9}" for i in range(n)], dtype="string"),
    )
    frame["Unnamed: 0"] = np.arange(n)
    features, left_out = usable_features(tables_of(randomised=frame), [])
    assert features == ["answered", "town"]
    assert left_out == {
        "one": "constant",
        "nothing": "empty",
        "who": "identifier: most values occur once",
        "Unnamed: 0": "no name in the header",
    }


def test_missing_cells_are_counted_by_table_and_column():
    counts = missing_cells(tables_of(cutoff=three(a=[1, np.nan, np.nan], b=[np.nan, 1, 2])))
    assert counts == {"cutoff": {"cells": 3, "a": 2, "b": 1}}


def test_rows_are_told_with_what_is_absent():
    told = rows_text({"observational": 15000, "randomised": 0, "cutoff": 0, "panel": 7})
    assert told == "rows: 15,000 observational, 7 panel (no randomised and no cutoff table)"


# ── the real files ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_real_files_are_read_without_loss(real_tables):
    raw = {role: read_table((SHARED / name).read_bytes(), name) for role, name in FILES.items()}
    tables = typed_tables(raw, "tenure", NAMES)
    for role, expected in real_tables.items():
        found = tables[role]
        assert list(found.columns) == ["row", *expected.columns]
        for name in expected:
            if name in ("gender", "cust_state"):
                assert (found[name].isna() == expected[name].isna()).all()
            else:
                assert (found[name] == expected[name]).all(), name
    assert set(tables["observational"]["gender"].dropna()) == {"0", "1"}
    assert set(tables["panel"]["gender"].dropna()) == {"W", "M", "O"}
