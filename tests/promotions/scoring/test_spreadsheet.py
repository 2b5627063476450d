"""A cell that would be a formula is shown as text; everything else stays as it is."""

import pandas as pd
import pytest

from promotions.scoring.spreadsheet import as_text


@pytest.mark.parametrize(
    "cell", ["=cmd|'/c calc'!A1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1+1", "=1", "-", "- 5 -"]
)  # fmt: skip
def test_a_formula_gets_an_apostrophe(cell: str) -> None:
    text, marked = as_text(pd.Series(["c1", cell], index=[7, 3]))
    assert list(text) == ["c1", f"'{cell}"]
    assert list(marked) == [False, True]


@pytest.mark.parametrize("cell", ["c1", "", "-5", "+49.5", "1e5", "<script>alert(1)</script>", "a=b", "'=1", "row-1"])
def test_what_is_no_formula_stays(cell: str) -> None:
    text, marked = as_text(pd.Series([cell]))
    assert list(text) == [cell]
    assert not marked.any()
