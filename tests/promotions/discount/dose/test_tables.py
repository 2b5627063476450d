"""What the figures of the doses are drawn from, and what the figures say."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from promotions.discount.dose.choice import Menu, Settings, decide
from promotions.discount.dose.tables import (
    dose_distribution,
    gain_of,
    groups_of,
    leads_over_constants,
    profit_by_rule,
    response_curves,
    telling_feature,
)
from promotions.discount.dose.value import DoseScores, evaluate_doses
from promotions.discount.response.curves import Curves
from promotions.plots.discount import dose as figures
from promotions.plots.style import png_bytes

LEVELS = np.array([0.0, 10, 50, 60])
POLICY = {"champion": "auto", "least_customers": 3, "default": 0, "min_gain": 0, "caution": 0.9, "budget": 10}


@pytest.fixture(scope="module")
def study():
    """Customers over 40 are worth a large discount, others none."""
    rng = np.random.default_rng(1)
    n = 400
    customers = pd.DataFrame(
        {"noise": rng.normal(size=n), "age": rng.integers(20, 61, n).astype(float), "state": ["A", "B"] * (n // 2)}
    )
    sales = 1000 + np.outer(np.where(customers["age"] > 40, 40, 10), LEVELS)
    supported = np.ones(sales.shape, dtype=bool)
    supported[:30, 3] = False
    curves = Curves(LEVELS, supported, {"forest": sales}, {"forest": np.full(sales.shape, 50.0)})
    level = rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])
    share = np.bincount(level, minlength=4) / n
    members = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]], dtype=bool)
    menu = Menu(LEVELS, share, members, np.ones(3, dtype=bool))
    profit = (0.05 * sales - LEVELS)[np.arange(n), level] + rng.normal(0, 5, n)
    scores = DoseScores(share, level, profit, 0.05 * sales - LEVELS)
    doses = decide(curves, menu, 0.05, Settings.from_params(POLICY), np.arange(n))
    values = evaluate_doses(doses, menu, supported, scores, np.random.default_rng(2), 200)
    return customers, curves, menu, scores, doses, values


def words(figure):
    return " | ".join(text.get_text().replace("\n", " ") for text in figure.findobj(Text))


def test_the_feature_that_tells_gains_apart_is_found(study):
    customers, curves, menu, *_ = study
    gain = gain_of(curves, "forest", menu, 0.05)
    assert (gain > 0).sum() == (customers["age"] > 40).sum()
    assert telling_feature(customers, ["noise", "age", "state"], gain) == "age"


def test_groups_are_quarters_of_a_number_and_frequent_levels_of_a_category():
    numbers = groups_of(pd.Series([1.0, 2, 3, 4, 5, 6, 7, 8, np.nan]))
    assert numbers.cat.categories[-1] == "missing"
    assert numbers.value_counts()["missing"] == 1
    assert len(numbers.cat.categories) == 5
    levels = groups_of(pd.Series(["A"] * 5 + ["B"] * 4 + ["C"] * 3 + ["D", None], dtype="string"))
    assert list(levels.cat.categories) == ["A", "B", "C", "other"]
    assert levels.value_counts().to_dict() == {"A": 5, "B": 4, "C": 3, "other": 2}
    assert list(groups_of(pd.Series([3.0, 3, 3])).cat.categories) == ["3"]


def test_measured_points_are_means_of_those_who_got_the_dose(study):
    customers, curves, menu, scores, doses, _ = study
    frame = response_curves(customers, "age", curves, "forest", menu, 0.05, scores, doses["best.forest"].to_numpy())
    group = groups_of(customers["age"])
    name = group.cat.categories[0]
    rows = frame[(frame["group"] == name) & (frame["kind"] == "measured")]
    got = (group == name).to_numpy() & (scores.level == 0)
    assert rows["profit"].iloc[0] == pytest.approx(scores.profit[got].mean())
    assert frame[frame["kind"] == "measured"].groupby("group")["given"].sum().to_numpy() == pytest.approx(1)
    line = frame[(frame["kind"] == "predicted") & (frame["group"] == name)]
    np.testing.assert_array_equal(line["dose"], LEVELS)
    figure = figures.response_curves(frame, simulated=True)
    assert "The champion gives a discount to" in words(figure)
    assert "simulated data" in words(figure)


def test_shares_of_doses_sum_to_what_the_menu_covers(study):
    _, _, menu, _, doses, _ = study
    log_dose = np.array([0.0, 3.0, 5.0, 29.0, 31.0, 55.0, 300.0])
    frame = dose_distribution(menu, log_dose, doses["best.forest"].to_numpy())
    assert frame.groupby("who")["share"].sum().to_numpy() == pytest.approx(1)
    own = frame[frame["who"] == figures.COMPANY].set_index("dose")["share"]
    # 3 is a discount, though nearest to none.
    assert own[0.0] == pytest.approx(1 / 7)
    assert own[10.0] == pytest.approx(3 / 7)
    assert "the company gave one to 86%" in words(figures.dose_distribution(frame, simulated=False))


def test_the_figure_of_rules_says_what_the_champion_earns_over_every_constant(study):
    _, _, menu, _, _, values = study
    frame = profit_by_rule(values, "best.forest", menu)
    assert frame.loc[frame["champion"], "policy"].tolist() == ["best.forest"]
    # Three constants, and what is best, best by a lower bound and best within a budget.
    assert frame["rule"].value_counts().to_dict() == {"constant": 3, "best": 1, "pessimistic": 1, "budget": 1}
    lead = values["best.forest"].versus_best_constant
    assert lead.ci_low > 0
    figure = figures.profit_by_rule(frame, lift=(lead.value, lead.ci_low, lead.ci_high), simulated=False)
    assert "more than the best dose for everybody" in words(figure)
    assert "everybody 50–60" in words(figure)
    for lift, said in (((0.1, -1.0, 1.2), "cannot be told from"), ((-2.0, -3.0, -1.0), "earns less than")):
        assert said in words(figures.profit_by_rule(frame, lift=lift, simulated=False))


def test_every_lead_over_a_constant_is_listed(study):
    *_, values = study
    frame = leads_over_constants(values)
    assert len(frame) == len(values) * 3
    own = frame[frame["policy"] == frame["constant"]]
    assert (own[["lead", "lead_ci_low", "lead_ci_high"]] == 0).all(axis=None)


def test_the_same_frame_gives_the_same_bytes(study):
    _, _, menu, _, doses, _ = study
    frame = dose_distribution(menu, np.array([0.0, 50.0]), doses["best.forest"].to_numpy())
    pictures = [png_bytes(figures.dose_distribution(frame, simulated=False)) for _ in range(2)]
    assert pictures[0] == pictures[1]
