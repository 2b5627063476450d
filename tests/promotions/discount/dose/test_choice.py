"""Doses: the best of those that are supported, never the bottom of a U, and never more than the budget."""

from dataclasses import replace
from itertools import combinations, pairwise, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.base.errors import InputError
from promotions.discount.dose.choice import (
    Expected,
    Menu,
    Settings,
    best_doses,
    champion_of,
    decide,
    doses_within_budget,
    expected_curve,
    expected_profit,
    make_menu,
)
from promotions.discount.response.curves import Curves

SEEDS = st.integers(0, 2**32 - 1)
PARAMS = {"champion": "auto", "least_customers": 3, "default": 0, "min_gain": 0, "caution": 0.9, "budget": None}


def draw_expected(seed, n=40, doses=5):
    """Random profits and support; some customers have none, and the dearest dose is not in the log."""
    rng = np.random.default_rng(seed)
    supported = rng.random((n, doses)) < 0.6
    supported[:2], supported[:, -1] = False, False
    profit = rng.normal(50, 10, (n, doses))
    profit[:, -1] = -np.inf
    cost = np.cumsum(rng.uniform(1, 30, (n, doses)), axis=1) - 1
    return Expected(profit, cost, rng.uniform(0, 10, (n, doses)), supported, cost)


def draw_curves(seed, n=60, levels=(0.0, 10, 20, 50, 60, 100)):
    rng = np.random.default_rng(seed)
    levels = np.array(levels)
    supported = rng.random((n, len(levels))) < 0.7
    supported[:, -1] = False
    sales = 1000 + np.cumsum(rng.exponential(200, (n, len(levels))), axis=1)
    sales[:, -1] = np.nan
    error = np.where(np.isnan(sales), np.nan, rng.uniform(10, 100, sales.shape))
    return Curves(levels, supported, {"one": sales, "two": sales[::-1]}, {"one": error, "two": error[::-1]})


def menu_of(levels, share, groups, seen=None):
    members = np.zeros((len(groups), len(levels)), dtype=bool)
    for place, group in enumerate(groups):
        members[place, group] = True
    return Menu(
        np.array(levels, float),
        np.array(share, float),
        members,
        np.ones(len(groups), bool) if seen is None else np.array(seen),
    )


def test_the_bottom_of_a_u_is_never_chosen():
    """Where profit is convex in the dose the point without slope is the worst: the best dose is at an end."""
    levels = np.arange(0.0, 160, 10)
    sales = np.array([1100 + 0.12 * (levels - bottom) ** 2 + 20 * levels for bottom in (30.0, 75.0, 140.0)])
    curves = Curves(levels, np.ones(sales.shape, bool), {"one": sales}, {"one": np.zeros(sales.shape)})
    menu = make_menu(levels, np.full(16, 100), expected_curve(curves, "one", 0.05), 16)
    doses = decide(curves, menu, 0.05, Settings.from_params(PARAMS), np.arange(3))["best.one"].to_numpy()
    profit = 0.05 * sales - levels
    assert set(doses) <= {0.0, 150.0}
    np.testing.assert_array_equal(doses, levels[profit.argmax(axis=1)])
    bottom = profit.argmin(axis=1)
    assert ((bottom > 0) & (bottom < 15)).all()


@given(SEEDS, st.floats(0, 20), st.sampled_from([0.5, 0.8, 0.99]))
def test_what_is_not_supported_is_never_chosen(seed, min_gain, caution):
    expected = draw_expected(seed)
    chosen = best_doses(expected, min_gain=min_gain, caution=caution)
    known = expected.supported.any(axis=1)
    assert expected.supported[np.arange(40), chosen][known].all()
    assert (chosen[~known] == 0).all()

    with_default = best_doses(expected.with_default(2), min_gain=min_gain, caution=caution)
    assert (expected.supported[np.arange(40), with_default] | (with_default == 2)).all()


@given(SEEDS)
def test_without_options_the_best_supported_dose_is_chosen(seed):
    expected = draw_expected(seed)
    known = expected.supported.any(axis=1)
    best = np.where(expected.supported, expected.profit, -np.inf).argmax(axis=1)
    np.testing.assert_array_equal(best_doses(expected)[known], best[known])


@given(SEEDS, st.floats(0, 20))
def test_the_reference_is_left_only_for_the_least_gain(seed, min_gain):
    for expected in (draw_expected(seed), draw_expected(seed).with_default(1)):
        rows, chosen = np.arange(40), best_doses(expected, min_gain=min_gain)
        moved = chosen != expected.reference
        gain = expected.profit[rows, chosen][moved] - expected.profit[rows, expected.reference][moved]
        assert (gain >= min_gain).all()
        assert (gain > 0).all()


@given(SEEDS)
def test_the_more_cautious_move_a_subset_of_the_customers(seed):
    expected = draw_expected(seed).with_default(0)
    bold, careful = best_doses(expected), best_doses(expected, caution=0.95)
    assert ((careful == 0) | (bold != 0)).all()


@given(SEEDS)
def test_a_default_that_nothing_is_known_of_yields_to_whatever_beats_the_lowest_supported_dose(seed):
    expected = draw_expected(seed)
    plain, with_default = best_doses(expected), best_doses(expected.with_default(0))
    unknown = ~expected.supported[:, 0]
    lowest = np.argmax(expected.supported, axis=1)
    stays = unknown & (plain == lowest)
    assert (with_default[stays] == 0).all()
    np.testing.assert_array_equal(with_default[~stays], plain[~stays])


@given(SEEDS, st.floats(0, 1))
def test_the_budget_is_never_exceeded_and_hardly_anything_is_left_on_the_table(seed, part):
    expected = draw_expected(seed, n=7, doses=4).with_default(0)
    rows, ids = np.arange(7), np.arange(7)
    floor, free = expected.cost[:, 0].sum(), expected.cost[rows, best_doses(expected)].sum()
    budget = floor + part * max(free - floor, 0)
    chosen = doses_within_budget(expected, budget, ids)
    assert expected.cost[rows, chosen].sum() <= budget * (1 + 1e-8)
    assert expected.supported[rows, chosen].all()

    options = [np.flatnonzero(allowed) for allowed in expected.supported]
    best = max(
        expected.profit[rows, doses].sum()
        for doses in (np.array(every) for every in product(*options))
        if expected.cost[rows, doses].sum() <= budget * (1 + 1e-8)
    )
    earned = expected.profit[rows, chosen].sum()
    # What is left buys less than one customer's step from one dose to another.
    step = max(np.ptp(expected.profit[row][allowed]) for row, allowed in zip(rows, expected.supported, strict=True))
    assert best - step - 1e-9 <= earned <= best + 1e-9


@given(SEEDS)
def test_a_budget_that_does_not_bind_changes_nothing(seed):
    expected = draw_expected(seed).with_default(0)
    rows = np.arange(40)
    best = best_doses(expected)
    loose = doses_within_budget(expected, float(expected.cost[rows, best].sum()) + 1, rows)
    np.testing.assert_allclose(expected.profit[rows, loose], expected.profit[rows, best])


def test_the_budget_goes_to_whom_a_dollar_earns_most_and_ties_by_id():
    profit = np.array([[10.0, 10 + gain] for gain in (9, 5, 5, 1)])
    expected = Expected(profit, np.tile([0.0, 10.0], (4, 1)), np.zeros((4, 2)), np.ones((4, 2), bool), profit, 0)
    chosen = doses_within_budget(expected, 20.0, np.arange(4))
    assert chosen[0] == 1
    assert chosen[3] == 0
    assert chosen.sum() == 2
    order = np.array([3, 2, 1, 0])
    flipped = Expected(profit[order], expected.cost, expected.error, expected.supported, profit[order], 0)
    np.testing.assert_array_equal(doses_within_budget(flipped, 20.0, order), chosen[order])


def test_a_budget_below_the_cheapest_doses_is_refused():
    expected = Expected(
        np.zeros((4, 2)), np.tile([5.0, 10.0], (4, 1)), np.zeros((4, 2)), np.ones((4, 2), bool), np.zeros((4, 2))
    )
    with pytest.raises(InputError, match=r"budget: 1 per customer do not pay for the cheapest .* cost 5"):
        doses_within_budget(expected, 4.0, np.arange(4))


@given(SEEDS, st.integers(1, 700))
def test_doses_of_a_menu_are_runs_of_levels_with_customers_enough(seed, least):
    rng = np.random.default_rng(seed)
    levels = np.arange(0.0, 150, 10)
    customers = rng.integers(1, 300, 15)
    curve = np.where(np.arange(15) < 12, rng.normal(50, 10, 15), np.nan)
    menu = make_menu(levels, customers, curve, least)
    share = customers / customers.sum()
    np.testing.assert_allclose(menu.share, share)
    assert menu.members.sum(axis=0).max() == 1
    assert menu.members[0].tolist() == [True] + [False] * 14
    for place, members in enumerate(menu.members):
        run = np.flatnonzero(members)
        assert (np.diff(run) == 1).all()
        assert place == 0 or customers[members].sum() >= least
        assert menu.seen[place] == (run < 12).all()
        assert (run < 12).all() or (run >= 12).all()
        assert menu.labels[place] in levels[members]
    assert (np.diff(menu.labels) > 0).all()


@given(SEEDS)
def test_levels_are_pooled_with_those_whose_profit_is_most_alike(seed):
    rng = np.random.default_rng(seed)
    levels, least = np.arange(10.0, 90, 10), 80
    customers, curve = rng.integers(1, 100, 8), rng.normal(50, 10, 8)
    share = customers / customers.sum()

    def within(cuts):
        edges = [0, *cuts, 8]
        runs = [slice(a, b) for a, b in pairwise(edges)]
        if any(customers[run].sum() < least for run in runs):
            return np.inf
        return sum(share[run] @ (curve[run] - np.average(curve[run], weights=share[run])) ** 2 for run in runs)

    best = min(within(cuts) for size in range(8) for cuts in combinations(range(1, 8), size) if size)
    if not np.isfinite(best):
        return
    menu = make_menu(levels, customers, curve, least)
    found = [int(np.flatnonzero(members)[0]) for members in menu.members][1:]
    assert within(found) == pytest.approx(best, abs=1e-9)


def test_a_jump_in_profit_parts_rare_levels():
    levels = np.array([0.0, 90, 100, 110, 120, 130])
    curve = np.array([55.0, 36, 34, 54, 57, 58])
    menu = make_menu(levels, np.array([868, 154, 145, 102, 76, 74]), curve, 142)
    assert menu.names == ["0", "90", "100", "110–130"]


def test_a_design_too_thin_to_judge_is_refused():
    levels, nobody = np.array([0.0, 10, 20]), np.full(3, np.nan)
    with pytest.raises(InputError, match="fewer than two doses"):
        make_menu(levels, np.array([98, 1, 1]), np.array([50.0, 49, 48]), 5)
    with pytest.raises(InputError, match="supports no level of the design"):
        make_menu(levels, np.array([90, 90, 90]), nobody, 5)


@given(SEEDS)
def test_a_menu_survives_being_written(seed):
    rng = np.random.default_rng(seed)
    curve = np.where(np.arange(10) < 8, rng.normal(size=10), np.nan)
    menu = make_menu(np.arange(0.0, 100, 10), rng.integers(1, 300, 10), curve, 150)
    read = Menu.from_frame(menu.to_frame())
    for name in ("levels", "share", "members", "seen", "labels"):
        np.testing.assert_array_equal(getattr(read, name), getattr(menu, name))


def test_a_dose_of_several_levels_gives_each_as_often_as_the_design_did():
    menu = menu_of([0, 10, 20, 30], [0.4, 0.3, 0.2, 0.1], [[0], [1, 2, 3]])
    curves = Curves(
        menu.levels,
        np.array([[True, True, True, True], [True, True, True, False], [True, False, False, True]]),
        {"one": np.tile([1000.0, 1300, 1600, 1900], (3, 1))},
        {"one": np.tile([0.0, 10, 20, 30], (3, 1))},
    )
    expected = expected_profit(curves, "one", menu, 0.1)
    np.testing.assert_allclose(expected.cost[:, 1], [100 / 6, 14, 100 / 6])
    np.testing.assert_allclose(expected.profit[0], [100, 150 - 100 / 6])
    # The second customer is given what is supported, 10 and 20; of the third's dose less than half is.
    np.testing.assert_allclose(expected.profit[1], [100, 0.6 * 130 + 0.4 * 160 - 14])
    np.testing.assert_array_equal(expected.supported[:, 1], [True, True, False])
    np.testing.assert_array_equal(expected.dose[:, 1], [10, 10, 10])
    np.testing.assert_allclose(expected.error[0], [0, 0.1 * 100 / 6])
    given_levels = menu.given(np.array([1, 1, 1]), curves.supported)
    np.testing.assert_array_equal(given_levels[1], [False, True, True, False])
    np.testing.assert_array_equal(given_levels[2], [False, True, True, True])


@given(SEEDS)
def test_every_chosen_dose_is_a_level_that_is_supported_or_the_default(seed):
    curves = draw_curves(seed)
    menu = make_menu(curves.levels, np.array([30, 10, 10, 9, 8, 5]), expected_curve(curves, "one", 0.05), 14)
    doses = decide(curves, menu, 0.05, Settings.from_params(PARAMS), np.arange(60))
    for name in ("best.one", "pessimistic.one", "best.two"):
        column = doses[name].to_numpy()
        level = np.searchsorted(curves.levels, column)
        assert (curves.supported[np.arange(60), level] | (column == 0)).all()
    for label in menu.labels:
        assert (doses[f"constant_{label:g}"] == label).all()


def test_a_larger_margin_never_lowers_a_dose():
    curves = draw_curves(3)
    curves = replace(curves, supported=np.isfinite(curves.sales["one"]))
    menu = make_menu(curves.levels, np.array([30, 10, 10, 9, 8, 5]), expected_curve(curves, "one", 0.05), 3)
    settings = Settings.from_params(PARAMS)
    previous = np.zeros(60)
    for margin in (0.0, 0.02, 0.05, 0.1, 0.5):
        doses = decide(curves, menu, margin, settings, np.arange(60))["best.one"].to_numpy()
        assert (doses >= previous).all()
        previous = doses
    assert (previous > 0).mean() > 0.9


def test_a_budget_adds_policies_that_keep_it():
    curves = draw_curves(4)
    menu = make_menu(curves.levels, np.array([30, 10, 10, 9, 8, 5]), expected_curve(curves, "one", 0.2), 3)
    settings = Settings.from_params(PARAMS | {"budget": 7})
    doses = decide(curves, menu, 0.2, settings, np.arange(60))
    assert doses["best.one"].mean() > 7
    assert 6 < doses["budget.one"].mean() <= 7
    assert champion_of(doses.columns, settings, "two") == "budget.two"


def test_the_champion_is_named_by_the_log_or_by_hand():
    policies = pd.Index(["constant_0", "best.one", "pessimistic.one"])
    assert champion_of(policies, Settings.from_params(PARAMS), "one") == "best.one"
    by_hand = Settings.from_params(PARAMS | {"champion": "pessimistic.one"})
    assert champion_of(policies, by_hand, "one") == "pessimistic.one"
    with pytest.raises(InputError, match=r"'best\.three' is no policy"):
        champion_of(policies, Settings.from_params(PARAMS | {"champion": "best.three"}), "one")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"least_customers": 0}, "least_customers: expected a whole number"),
        ({"caution": 0.2}, "caution: expected a number in"),
        ({"budget": -1}, "budget: expected 0 or more"),
        ({"min_gain": "much"}, "min_gain: expected 0 or more"),
        ({"champion": 3}, "champion: expected auto or the name"),
        ({"default": "none"}, "default: expected 0 or more"),
        ({"levels": 3}, "discount.policy.levels is unknown"),
    ],
)
def test_a_setting_that_is_out_of_range_is_named(change, message):
    with pytest.raises(InputError, match=message):
        Settings.from_params(PARAMS | change)


def test_a_default_that_is_not_on_the_menu_is_named():
    curves = draw_curves(5)
    menu = make_menu(curves.levels, np.array([30, 10, 10, 9, 8, 5]), expected_curve(curves, "one", 0.05), 3)
    with pytest.raises(InputError, match="the dose 15 is not on the menu, which has 0, 10"):
        decide(curves, menu, 0.05, Settings.from_params(PARAMS | {"default": 15}), np.arange(60))
