"""The margin that a table states is found, and so is every row that does not keep to it."""

import numpy as np
import pandas as pd
import pytest

from promotions.base.errors import InputError
from promotions.discount.prepare.identity import (
    check_identity,
    deviation_text,
    identity_metrics,
    margins_text,
    profit_identity,
    stated_margins,
)


def table(margin=0.05, n=500, seed=1, dollars=False):
    rng = np.random.default_rng(seed)
    sales = rng.lognormal(7.3, 0.5, n).round(2)
    discount = rng.exponential(40, n).round(2)
    profit = (margin * sales - discount).round(2)
    return pd.DataFrame({"sales": sales, "discount": discount.round() if dollars else discount, "profit": profit})


@pytest.mark.parametrize("margin", [0.05, 0.049, 0.1, 0.123, 0.0515, 0.25, 1.0, 0.33333])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_stated_margin_is_found_exactly(margin, seed):
    found = profit_identity(table(margin, seed=seed))
    assert found.margin == margin
    assert (found.rows, found.beyond_a_cent, found.unexplained) == (500, 0, 0)
    assert found.largest <= 0.0051


def test_rows_that_deviate_are_counted_and_the_worst_is_named():
    frame = table()
    frame.loc[[3, 70, 444], "profit"] += [0.02, -7.0, 1.0]
    found = profit_identity(frame)
    assert found.margin == 0.05
    assert (found.beyond_a_cent, found.unexplained, found.worst) == (3, 3, 70)
    assert found.largest == pytest.approx(7, abs=0.006)
    assert found.expected == pytest.approx(frame.loc[70, "profit"] + 7, abs=0.006)
    assert "in 3 of 500 rows (the worst is row 71: profit" in deviation_text(found, frame)


def test_a_cent_is_no_deviation_and_a_little_more_is():
    frame = pd.DataFrame({"sales": [1000.0] * 9, "discount": 10.25, "profit": 39.75})
    for step, expected in ((0.01, 0), (-0.01, 0), (0.011, 1), (-0.011, 1)):
        off = frame.copy()
        off.loc[4, "profit"] += step
        assert profit_identity(off).beyond_a_cent == expected


def test_discounts_that_were_rounded_to_dollars_explain_half_a_dollar_and_no_more():
    frame = table(0.049, dollars=True)
    found = profit_identity(frame)
    assert found.margin == 0.049
    assert found.beyond_a_cent > 400
    assert found.unexplained == 0
    frame.loc[5, "profit"] += 1.2
    assert profit_identity(frame).unexplained == 1


def test_without_sales_there_is_no_margin():
    with pytest.raises(InputError, match="no row has sales other than 0"):
        profit_identity(table().assign(sales=0.0))
    half = table()
    half.loc[:200, "sales"], half.loc[:200, "profit"] = 0.0, -half["discount"]
    found = profit_identity(half)
    assert (found.margin, found.beyond_a_cent) == (0.05, 0)


def test_permuting_rows_changes_nothing_but_the_worst_rows_place():
    frame = table()
    frame.loc[7, "profit"] += 3
    mixed = frame.sample(frac=1, random_state=2)
    before, after = profit_identity(frame), profit_identity(mixed)
    assert (before.margin, before.beyond_a_cent, before.largest) == (after.margin, after.beyond_a_cent, after.largest)
    assert mixed.index[after.worst] == before.worst == 7


def test_unexplained_rows_stop_or_are_told():
    good, bad = table(), table()
    bad.loc[2, "profit"] += 5
    tables, names = {"observational": bad, "randomised": good, "cutoff": good.iloc[:0]}, {"observational": "log.csv"}
    with pytest.raises(InputError, match=r"^log\.csv: profit is not margin .* in 1 of 500 rows .* to warn$"):
        check_identity(tables, names, "stop")
    found = check_identity(tables, names, "warn")
    assert list(found) == ["observational", "randomised"]
    assert margins_text(found, tables) == [f"observational: {deviation_text(found['observational'], bad)}"]
    with pytest.raises(InputError, match=r"discount\.checks\.on_identity: 'ignore' is unknown"):
        check_identity(tables, names, "ignore")
    with pytest.raises(InputError, match=r"^log\.csv: no row has sales"):
        check_identity({"observational": good.assign(sales=0.0)}, names, "warn")


def test_tables_of_different_margins_are_told_and_each_keeps_its_own():
    tables = {"observational": table(0.049), "randomised": table(0.05), "panel": table(0.05)}
    found = check_identity(tables, {}, "stop")
    assert stated_margins(found) == {"observational": 0.049, "randomised": 0.05, "panel": 0.05}
    assert margins_text(found, tables) == [
        "profit is stated at a margin of 0.049 in observational, of 0.05 in randomised and panel"
    ]
    metrics = identity_metrics(found)["observational"]
    assert (metrics["margin"], metrics["stated"]) == (0.049, True)
    assert (metrics["rows_beyond_a_cent"], metrics["rows_unexplained"]) == (0, 0)


@pytest.mark.parametrize("margin", [1.5, 50.0, -0.05])
def test_a_margin_that_can_be_none_stops_or_is_not_taken(margin):
    tables, names = {"randomised": table(margin), "panel": table(1.0)}, {"randomised": "test.csv"}
    with pytest.raises(
        InputError, match=rf"^test\.csv: profit is {margin:g} × sales − discount, but a margin.* at most 1; .* to warn$"
    ):
        check_identity(tables, names, "stop")
    found = check_identity(tables, names, "warn")
    assert stated_margins(found) == {"panel": 1.0}
    problem, consequence = margins_text(found, tables)
    assert problem.startswith(f"randomised: profit is {margin:g} × sales − discount, but")
    assert consequence.startswith("no margin is stated in randomised: profit is taken as it stands")
    assert identity_metrics(found)["randomised"]["stated"] is False


def test_a_table_of_many_margins_states_none():
    mixed = table()
    mixed["profit"] += np.random.default_rng(3).uniform(0, 0.3, len(mixed)) * mixed["sales"]
    tables = {"panel": mixed}
    with pytest.raises(InputError, match=r"the middle row states\); correct the file"):
        check_identity(tables, {"panel": "panel.csv"}, "stop")
    found = check_identity(tables, {}, "warn")
    assert stated_margins(found) == {}
    assert margins_text(found, tables)[1].startswith("no margin is stated in panel")


def test_the_real_files_state_two_margins_and_nothing_is_unexplained(real_tables):
    found = check_identity(real_tables, {}, "stop")
    margins = {role: each.margin for role, each in found.items()}
    assert margins == {"observational": 0.049, "randomised": 0.05, "cutoff": 0.049, "panel": 0.05}
    beyond = {role: each.beyond_a_cent for role, each in found.items()}
    assert beyond.pop("cutoff") > 9000, "its discounts were rounded to dollars after profit was computed"
    assert set(beyond.values()) == {0}
