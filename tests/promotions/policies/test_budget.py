"""Treating the best until a budget is spent: who is treated, and what each size of the budget earns."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.base.errors import InputError
from promotions.economics import Economics
from promotions.policies import Audience
from promotions.policies.budget import Budgeted, BudgetRules, within_budget
from promotions.policies.rule import Budget
from promotions.policies.threshold import threshold
from tests.support.drawn_gains import draw_gains, names

SEEDS = st.integers(0, 2**32 - 1)
GRID = np.linspace(0, 1, 11)


@given(SEEDS, st.floats(0, 6))
def test_the_budget_is_kept_nobody_loses_and_nobody_is_left_out_who_fits(seed, money):
    gain, cost, ids = draw_gains(seed)
    treat = within_budget(gain, cost, ids, money=money)
    left = money - cost[treat].sum()
    assert left >= -1e-9 * money
    assert not (treat & (gain < 0)).any()
    assert (cost[~treat & (gain >= 0)] > left).all()


@given(SEEDS, st.sampled_from(["share", "money"]), st.floats(0, 1))
def test_permuting_rows_changes_nobodys_decision(seed, unit, budget):
    gain, cost, ids = draw_gains(seed)
    order = np.random.default_rng(seed).permutation(len(gain))
    before = within_budget(gain, cost, ids, **{unit: budget})
    np.testing.assert_array_equal(within_budget(gain[order], cost[order], ids[order], **{unit: budget}), before[order])


@given(SEEDS, st.integers(1, 25))
def test_greedy_falls_short_of_the_optimum_by_less_than_the_largest_gain(seed, tenths):
    gain, cost, ids = (column[:9] for column in draw_gains(seed))
    baskets = np.array(list(product([0, 1], repeat=9)))
    optimum = (baskets @ gain)[baskets @ cost <= tenths / 10 + 1e-9].max()
    earned = gain[within_budget(gain, cost, ids, money=tenths / 10)].sum()
    assert optimum - max(gain.max(), 0) - 1e-9 <= earned <= optimum + 1e-9


def test_who_earns_most_per_money_comes_first_with_money_and_who_earns_most_with_a_share():
    gain, cost, ids = np.array([4.0, 3.0, -1.0, 2.0]), np.array([4.0, 1.0, 1.0, 1.0]), names(4)
    np.testing.assert_array_equal(within_budget(gain, cost, ids, money=3.0), [0, 1, 0, 1])
    np.testing.assert_array_equal(within_budget(gain, cost, ids, share=0.5), [1, 1, 0, 0])


@given(SEEDS, st.integers(0, 40))
def test_with_equal_costs_money_and_a_share_are_the_same_budget(seed, customers):
    gain, _, ids = draw_gains(seed)
    treat = within_budget(gain, 0.1, ids, money=0.1 * customers)
    np.testing.assert_array_equal(treat, within_budget(gain, 0.1, ids, share=customers / 40))
    # Neither one customer more nor one fewer, though tenths and fortieths do not sum exactly.
    assert treat.sum() == min(customers, (gain >= 0).sum())
    assert gain[treat].sum() == pytest.approx(np.sort(np.maximum(gain, 0))[::-1][:customers].sum())


def test_a_million_coins_buy_exactly_a_million_customers():
    ids = np.arange(1_000_000).astype(str)
    assert within_budget(np.ones(1_000_000), 0.1, ids, money=100_000.0).all()
    assert within_budget(np.ones(1_000_000), 0.1, ids, money=99_999.95).sum() == 999_999


@pytest.mark.parametrize("charged", ["on_treatment", "on_response"])
def test_a_budget_without_end_is_the_threshold_rule(draw, charged):
    experiment = draw(500, 3, binary=True)
    mu1 = experiment.mu0 + experiment.tau
    economics = Economics(1.0, 4.0, charged)
    gain = economics.expected_gain(experiment.tau, mu1)
    cost = economics.cost * mu1 if charged == "on_response" else economics.cost
    for budget in ({"share": 1}, {"money": 1e9}):
        np.testing.assert_array_equal(within_budget(gain, cost, names(500), **budget), threshold(gain))


def test_without_money_only_those_are_treated_who_cost_nothing():
    gain, cost = np.array([1.0, 0.0, -1.0, 5.0]), np.array([0.0, 0.0, 0.0, 1e-300])
    np.testing.assert_array_equal(within_budget(gain, cost, names(4), money=0), [1, 1, 0, 0])
    assert not within_budget(gain, cost, names(4), share=0).any()
    assert within_budget(gain[:0], 1.0, [], money=1).shape == (0,)


def test_ties_are_drawn_by_lot_not_by_name():
    treat = within_budget(np.ones(1000), 1.0, names(1000), share=0.5)
    assert treat.sum() == 500
    assert 200 < treat[:500].sum() < 300


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "budget: expected a share of customers or an amount of money, got share=None, money=None"),
        ({"share": 0.5, "money": 1}, "got share=0.5, money=1"),
        ({"share": 1.5}, r"budget\.share: expected a share in \[0, 1\], got 1\.5"),
        ({"money": -1}, r"budget\.money: expected 0 or more, got -1"),
        ({"money": 1, "cost": -0.1}, r"budget: expected a cost of 0 or more.*got -0\.1 to -0\.1"),
        ({"money": 1, "cost": [1.0]}, r"got the shape \(1,\)"),
        ({"money": 1, "gain": [np.nan, 1]}, r"gain has the shape \(2,\) and 1 values that are not finite"),
        ({"money": 1, "ids": ["a", "a"]}, "a different id for each of 2 customers, got 1 different"),
        ({"money": 1, "ids": ["a"]}, "a different id for each of 2 customers"),
    ],
)
def test_what_is_wrong_with_a_budget_is_said_in_one_line(change, message):
    with pytest.raises(InputError, match=message) as error:
        within_budget(**({"gain": [1.0, 2.0], "cost": 1.0, "ids": ["a", "b"]} | change))
    assert "\n" not in str(error.value)


def test_a_budget_is_read_from_its_section_and_money_counts_per_customer():
    gain, ids = np.array([3.0, 2.0, 1.0, -1.0]), np.asarray(names(4), dtype=object)
    audience = Audience(ids, pd.DataFrame(index=range(4)), np.zeros((4, 0)), np.zeros((4, 2)), Economics(1.0, 1.0))
    effects = {"x_learner": gain + 1}
    assert not BudgetRules.from_params({"share": None, "money": None}).budget.limits
    assert BudgetRules.from_params({"share": 0.5, "money": None}).budget == Budget(share=0.5)
    half, quarter = Budgeted("x_learner", share=0.5), Budgeted("x_learner", money=0.25)
    assert half.decide(audience, effects).tolist() == [True, True, False, False]
    assert quarter.decide(audience, effects).sum() == 1
    assert (half.limit, quarter.limit) == (Budget(share=0.5), Budget(money=0.25))
    assert half.unlimited.decide(audience, effects).tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"share": 0.5, "money": 1},
            r"policy\.budget: expected a share or an amount of money, got share=0\.5, money=1",
        ),
        ({"share": 2, "money": None}, r"policy\.budget\.share: expected a share in \[0, 1\], got 2"),
        ({"share": None, "money": -1}, r"policy\.budget\.money: expected 0 or more, got -1"),
        ({"share": None}, r"policy\.budget"),
        ({"share": None, "money": None, "cash": 1}, "cash"),
    ],
)
def test_a_wrong_section_is_named(section, message):
    with pytest.raises(InputError, match=message):
        BudgetRules.from_params(section)
