"""At which margin a table's profit is: its own unless the user asks about another one, and every output can tell."""

import numpy as np
import pandas as pd
import pytest

from promotions.base.errors import InputError
from promotions.discount.margin import (
    OWN,
    UNSTATED,
    WHAT_IF,
    TableMargin,
    comparable,
    margins_of,
    margins_text,
    require_margin,
)

LOG, TEST = TableMargin("observational", 0.049), TableMargin("randomised", 0.05)


def frame():
    return pd.DataFrame(
        {"sales": [1000.0, 333.33, 0.0], "discount": [9.9, 20.0, 3.0], "profit": [40.1, -3.34, 0.1 + 0.2]}
    )


@pytest.mark.parametrize("what_if", [None, 0.05])
def test_at_the_tables_own_margin_profit_is_the_files_own_to_the_last_digit(what_if):
    margin = TableMargin("cutoff", 0.05, what_if)
    assert margin.profit(frame()).tolist() == frame()["profit"].tolist()
    assert (margin.kind, margin.value) == (OWN, 0.05)
    mutable = frame()
    margin.profit(mutable)[:] = 0
    assert mutable.equals(frame())


def test_another_margin_adds_its_share_of_sales():
    margin = TableMargin("cutoff", 0.05, 0.06)
    np.testing.assert_allclose(margin.profit(frame()), [50.1, -3.34 + 3.3333, 0.3])
    assert (margin.kind, margin.value) == (WHAT_IF, 0.06)
    assert margin.profit(frame().iloc[:0]).shape == (0,)


def test_a_table_that_states_no_margin_keeps_its_profit_or_gets_one_from_sales_and_discount():
    margin = TableMargin("panel", None)
    assert margin.profit(frame()).tolist() == frame()["profit"].tolist()
    assert (margin.kind, margin.value) == (UNSTATED, None)
    with pytest.raises(InputError, match=r"the rows of the panel table state no margin.* set discount\.margin to"):
        margin.required()
    asked = TableMargin("panel", None, 0.1)
    np.testing.assert_allclose(asked.profit(frame()), [100 - 9.9, 33.333 - 20, -3])
    assert (asked.kind, asked.required()) == (WHAT_IF, 0.1)


@pytest.mark.parametrize("value", [0, -1, 1.5, 1.0001, float("nan"), float("inf"), True, "0.05", [0.05]])
def test_what_is_no_margin_is_refused_in_one_line_that_says_what_to_write(value):
    with pytest.raises(
        InputError, match=r"^discount\.margin: expected a share in \(0, 1\], got .*; write null for the"
    ):
        require_margin(value)


def test_a_margin_is_a_share_of_sales_up_to_all_of_them_or_the_tables_own():
    assert [require_margin(value) for value in (None, 0.05, 1, 1e-6)] == [None, 0.05, 1, 1e-6]


def test_roles_hold_each_tables_own():
    roles = {"margins": {"observational": 0.049, "randomised": 0.05}}
    assert TableMargin.from_roles("observational", roles, None) == LOG
    assert TableMargin.from_roles("randomised", roles, 0.06) == TableMargin("randomised", 0.05, 0.06)
    assert TableMargin.from_roles("panel", roles, None) == TableMargin("panel", None)
    with pytest.raises(InputError, match=r"discount\.margin"):
        TableMargin.from_roles("panel", roles, 2)


@pytest.mark.parametrize(
    ("margin", "entries"),
    [
        (TEST, {"margin": 0.05, "margin_is": "own", "margin_own": 0.05}),
        (TableMargin("randomised", 0.05, 0.06), {"margin": 0.06, "margin_is": "what_if", "margin_own": 0.05}),
        (TableMargin("randomised", None, 0.06), {"margin": 0.06, "margin_is": "what_if"}),
        (TableMargin("randomised", None), {"margin_is": "unstated"}),
    ],
)
def test_metrics_say_which_margin_and_whose_and_are_read_back(margin, entries):
    assert margin.to_metrics() == entries
    assert TableMargin.from_metrics("randomised", entries) == margin
    prefixed = margin.to_metrics("margin_test")
    assert TableMargin.from_metrics("randomised", prefixed, "margin_test") == margin


def test_documents_are_read_each_with_its_tables():
    effect = LOG.to_metrics() | TEST.to_metrics("margin_test")
    assert margins_of({"effect": effect, "rdd": {}, "did": {"margin_is": "unstated"}}) == [
        LOG,
        TEST,
        TableMargin("panel", None),
    ]
    assert margins_of({"effect": LOG.to_metrics(), "policies": TEST.to_metrics()}) == [LOG, TEST]
    with pytest.raises(InputError, match="do not say at which margin they are"):
        margins_of({"rdd": {"margin": 0.05}})


@pytest.mark.parametrize(
    ("margins", "text", "alike"),
    [
        ([TEST], "at the test's own margin of 0.05", True),
        ([TEST, TEST], "at the test's own margin of 0.05", True),
        ([TEST, TableMargin("panel", 0.05)], "at the tables' own margin of 0.05", True),
        ([LOG, TEST], "at each table's own margin: 0.049 in the log, 0.05 in the test", False),
        (
            [LOG, TableMargin("cutoff", 0.049), TEST, TableMargin("panel", None)],
            "at each table's own margin: 0.049 in the log and the cut-off table, 0.05 in the test, none in the panel",
            False,
        ),
        ([TableMargin("panel", None)], "as the panel states it, at no one margin", True),
        (
            [TableMargin("panel", None), TableMargin("randomised", None)],
            "as the tables state it, at no one margin",
            False,
        ),
        (
            [TableMargin("randomised", 1.0, 0.06)],
            "at a what-if margin of 0.06, instead of the test's own 1",
            True,
        ),
        (
            [TableMargin("observational", 0.049, 0.05), TableMargin("randomised", 0.05, 0.05)],
            "at a what-if margin of 0.05, instead of the tables' own 0.049 in the log, 0.05 in the test",
            True,
        ),
        ([TableMargin("panel", None, 0.06)], "at a what-if margin of 0.06, where the panel's own is none", True),
        (
            [TableMargin("observational", 0.05, 0.06), TableMargin("panel", 0.05)],
            "at different margins: 0.06 (what if) in the log, 0.05 (own) in the panel",
            False,
        ),
    ],
)
def test_words_say_which_margin_and_whose(margins, text, alike):
    assert margins_text(margins) == text
    assert comparable(margins) is alike
