"""The picture of chances says who was left out, and that of weighting what it did; each is the same every time."""

import numpy as np
import pandas as pd
import pytest

from promotions.plots.soundness.overlap import SHOWN, overlap, weighted_balance
from tests.support.pictures import assert_whole_and_repeatable, words


def chances(n=2000):
    rng = np.random.default_rng(1)
    chance = rng.beta(1.2, 1.8, n)
    return pd.DataFrame({"treatment": (rng.random(n) < chance).astype(int), "propensity": chance})


def balance(columns=5):
    before = 0.8 / (1 + np.arange(columns)) * (-1) ** np.arange(columns)
    names = [f"feature {place}" for place in range(columns)]
    return pd.DataFrame({"column": names, "feature": names, "smd_before": before, "smd_after": before / 10})


@pytest.mark.parametrize("limit", [None, 0.05])
def test_the_picture_of_chances_is_whole_and_the_same_every_time(limit):
    assert_whole_and_repeatable(lambda simulated: overlap(chances(), simulated=simulated, limit=limit))


def test_the_picture_of_weighting_is_whole_and_the_same_every_time():
    assert_whole_and_repeatable(lambda simulated: weighted_balance(balance(), simulated=simulated))


def test_who_is_left_out_is_counted_in_the_title_and_marked():
    frame = chances()
    out = int((~frame["propensity"].between(0.1, 0.9)).sum())
    figure = overlap(frame, simulated=False, limit=0.1)
    assert f"{out:,} of 2,000 customers" in words(figure)
    assert "outside 10 % to 90 %, and are left out" in words(figure)
    assert "not an experiment" in words(figure)
    edges = sorted(line.get_xdata()[0] for line in figure.axes[0].get_lines() if len(set(line.get_xdata())) == 1)
    assert edges == pytest.approx([0.1, 0.9])


def test_nobody_left_out_is_said():
    frame = chances().assign(propensity=0.5)
    assert "Nobody lies outside 5 % to 95 %" in words(overlap(frame, simulated=False, limit=0.05))


@pytest.mark.parametrize(("low", "high", "said"), [(0.5, 0.5, "was 50 %"), (0.4, 0.7, "was between 40 % and 70 %")])
def test_chances_of_a_design_leave_nobody_out(low, high, said):
    frame = chances().assign(propensity=np.where(np.arange(2000) % 2 == 0, low, high))
    shown = words(overlap(frame, simulated=False))
    assert f"By design, each customer’s chance of treatment {said}" in shown
    assert "left out" not in shown.replace("nobody is left out", "")
    assert "not an experiment" not in shown


def test_each_arm_is_drawn_as_shares_that_sum_to_one_on_its_side():
    figure = overlap(chances(), simulated=False, limit=0.05)
    heights = [patch.get_data()[0] for patch in figure.axes[0].patches if hasattr(patch, "get_data")]
    assert sorted(float(np.sum(shares)) for shares in heights) == pytest.approx([-1, 1])


def test_of_many_columns_the_largest_are_shown_whether_weighted_or_not():
    frame = balance(60)
    frame.loc[59, "smd_after"] = 0.5
    shown = words(weighted_balance(frame, simulated=False))
    assert f"the {SHOWN} largest of 60 columns" in shown
    assert "feature 59" in shown
    assert "feature 50" not in shown
    assert "Weighted, the arms differ by up to 0.50 standard deviations; as they are, by up to 0.80" in shown
