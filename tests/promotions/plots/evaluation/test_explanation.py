"""The figures of the effect's features show what is in their frames, whatever the features are."""

import numpy as np
import pandas as pd
import pytest

from promotions.explanation import most_telling
from promotions.plots.evaluation.explanation import beeswarm, dependence
from tests.support.pictures import assert_whole_and_repeatable, words

N = 900
FIGURES = {"beeswarm": beeswarm, "dependence": dependence}
LONG = "share_of_receipts_on_which_points_of_any_kind_at_all_were_spent_or_received"


def drawn(draw, contributions, customers, simulated=False, most=10, groups=None, method="exact", fidelity=1.0):
    table = most_telling(contributions, customers, {"paid": ("Money on all receipts", "money")}, most, groups)
    return draw(
        contributions, customers, table, learner="dr_learner", method=method, fidelity=fidelity, simulated=simulated
    )


@pytest.fixture
def customers():
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "paid": rng.gamma(2, 100, N),
            "age": np.where(rng.random(N) < 0.2, np.nan, rng.integers(18, 80, N)),
            "zip": rng.choice(["Rural", "Surburban", "Urban"], N),
            "town": [f"a town with a long name, number {number % 30}" for number in range(N)],
            "flag": rng.integers(2, size=N),
            "never": np.nan,
            LONG: rng.random(N),
            "same": 1.0,
        }
    )


@pytest.fixture
def contributions(customers):
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "paid": 0.01 * (customers["paid"] - 200),
            "age": -0.005 * (customers["age"].fillna(45) - 45),
            "zip": customers["zip"].map({"Rural": -0.3, "Surburban": 0.0, "Urban": 0.1}).to_numpy(),
            "town": rng.normal(0, 0.1, N),
            "flag": 0.02 * customers["flag"],
            "never": 0.01,
            LONG: rng.normal(0, 0.05, N),
            "same": 0.0,
        }
    )


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_whole_and_the_same_each_time(name, contributions, customers):
    assert_whole_and_repeatable(lambda simulated: drawn(FIGURES[name], contributions, customers, simulated))


@pytest.mark.parametrize("name", FIGURES)
def test_it_is_said_how_the_values_came_about(name, contributions, customers):
    assert "exact SHAP values" in words(drawn(FIGURES[name], contributions, customers))
    told = words(drawn(FIGURES[name], contributions, customers, method="distilled", fidelity=0.98765))
    assert "distilled (held-out R² 0.987)" in told
    assert "exact" not in told


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("most", [1, 2, 4])
def test_any_number_of_features_is_drawn(name, most, contributions, customers):
    assert_whole_and_repeatable(lambda simulated: drawn(FIGURES[name], contributions, customers, simulated, most))


@pytest.mark.parametrize("name", FIGURES)
def test_an_effect_that_is_the_same_for_all_is_drawn_and_said(name, contributions, customers):
    told = words(drawn(FIGURES[name], contributions * 0, customers))
    assert "the same for everybody" in told or "goes one way with none" in told


@pytest.mark.parametrize("name", FIGURES)
def test_one_customer_is_enough(name, contributions, customers):
    assert_whole_and_repeatable(lambda simulated: drawn(FIGURES[name], contributions[:1], customers[:1], simulated))


def test_the_swarm_says_what_matters_most_what_it_means_and_how_it_goes(contributions, customers):
    told = words(drawn(beeswarm, contributions, customers, groups={"paid": ["paid", "points", "rows"]}))
    assert "depends most on paid and zip" in told
    assert "Money on all receipts" in told
    assert "with points and 1 more" in told
    assert "rises with it" in told
    assert "not what causes it" in told


def test_the_swarm_holds_each_customers_contribution_and_the_rank_of_the_value(contributions, customers):
    axes = drawn(beeswarm, contributions, customers).axes[0]
    unknown, known = axes.collections[0:2]
    assert len(unknown.get_offsets()) == 0
    np.testing.assert_allclose(np.sort(known.get_offsets()[:, 0]), np.sort(contributions["paid"]))
    by_contribution = np.argsort(known.get_offsets()[:, 0])
    assert (np.diff(np.asarray(known.get_array())[by_contribution]) >= 0).all()
    assert np.abs(known.get_offsets()[:, 1]).max() < 0.5


def test_dependence_tells_directions_and_what_the_unknown_get(contributions, customers):
    figure = drawn(dependence, contributions, customers)
    told = words(figure)
    assert "rises with paid" in told
    assert "falls with age" in told
    missing = customers["age"].isna().mean()
    assert f"unknown ({missing:.0%}): 0.000" in told
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    line = panels["paid"].lines[-1]
    assert (np.diff(line.get_ydata()) > 0).all()
    assert [label.get_text() for label in panels["zip"].get_xticklabels()] == list(
        customers["zip"].value_counts().index
    )
