"""What each size of a budget earns: the curve, its grid, and intervals that cover."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from promotions.base.errors import InputError
from promotions.evaluation.budgets import budget_curve
from promotions.inference.ties import gain_curve
from tests.support.drawn_gains import draw_gains

SEEDS = st.integers(0, 2**32 - 1)
GRID = np.linspace(0, 1, 11)


def curve(gain, priority, cost, clusters=None, **grid):
    clusters = np.arange(len(gain)) if clusters is None else clusters
    return budget_curve(gain, priority, cost, clusters, rng=np.random.default_rng(1), **grid)


@given(SEEDS)
def test_the_curve_is_the_gain_curve_of_profit_and_of_cost(seed):
    gain, cost, _ = draw_gains(seed)
    priority = np.random.default_rng(seed).integers(0, 6, 40).astype(float)
    earned = curve(gain, priority, cost, shares=GRID)
    np.testing.assert_array_equal(earned["share"], GRID)
    np.testing.assert_allclose(earned["profit"], gain_curve(gain, priority, GRID), atol=1e-12)
    np.testing.assert_allclose(earned["spent"], gain_curve(cost, priority, GRID), atol=1e-12)


@given(SEEDS, st.sampled_from(["shares", "spends"]))
def test_permuting_rows_changes_no_curve(seed, grid):
    gain, cost, _ = draw_gains(seed)
    rng = np.random.default_rng(seed)
    priority, clusters, order = rng.integers(0, 6, 40).astype(float), np.arange(40) // 2, rng.permutation(40)
    before = curve(gain, priority, cost, clusters, **{grid: GRID})
    after = curve(gain[order], priority[order], cost[order], clusters[order], **{grid: GRID})
    pd.testing.assert_frame_equal(after, before, rtol=1e-9, atol=1e-9)


def test_with_equal_costs_a_spend_is_a_share(draw):
    experiment = draw(2000, 4)
    gain = experiment.scores.effect
    by_share, by_spend = (
        curve(gain, experiment.tau, 0.25, **grid) for grid in ({"shares": GRID}, {"spends": GRID / 4})
    )
    pd.testing.assert_frame_equal(by_spend, by_share)


def test_more_money_than_everybody_costs_treats_everybody_and_no_money_those_who_are_free():
    gain, cost = np.array([1.0, 2.0, 4.0, -3.0]), np.array([0.0, 0.5, 0.5, 0.0])
    earned = curve(gain, np.array([4.0, 3.0, 2.0, 1.0]), cost, spends=[0, 0.125, 0.1875, 0.25, 9])
    np.testing.assert_allclose(earned["share"], [0.25, 0.5, 0.625, 1, 1])
    np.testing.assert_allclose(earned["spent"], [0, 0.125, 0.1875, 0.25, 0.25])
    np.testing.assert_allclose(earned["profit"], [0.25, 0.75, 1.25, 1, 1])


def test_what_has_no_variance_has_no_interval():
    rng = np.random.default_rng(5)
    gain = np.full(200, 1.5)
    # If each customer earns 1.50, a given share earns exactly that share of 1.50.
    earned = curve(gain, rng.normal(size=200), 1.0, shares=GRID)
    np.testing.assert_allclose(earned["profit"], 1.5 * GRID)
    np.testing.assert_allclose(earned[["ci_low", "band_high"]], np.column_stack([earned["profit"]] * 2), atol=1e-12)
    # If each coin earns 1.50, a given spend earns exactly 1.50 times the spend.
    cost = rng.integers(1, 5, 200).astype(float)
    earned = curve(1.5 * cost, rng.normal(size=200), cost, spends=GRID)
    np.testing.assert_allclose(earned["profit"], 1.5 * GRID)
    np.testing.assert_allclose(earned[["ci_low", "band_high"]], np.column_stack([earned["profit"]] * 2), atol=1e-12)


def test_to_treat_everybody_has_the_interval_of_a_mean():
    gain = np.random.default_rng(6).exponential(size=400)
    cost = np.random.default_rng(7).random(400)
    for grid in ({"shares": [1.0]}, {"spends": [5.0]}):
        end = curve(gain, gain, cost, **grid).iloc[0]
        assert end["profit"] == pytest.approx(gain.mean())
        assert end["ci_high"] - end["profit"] == pytest.approx(1.959963985 * gain.std(ddof=1) / 20)


@pytest.fixture(scope="module")
def repeated():
    """The curves of 400 samples of 600 customers in couples, whose truth is known; costs depend on the priority.

    τ = s ~ N(0, 1), Γ = s + noise, cost = 1 + 1{s > 0}: a share q earns φ(Φ⁻¹(1 − q)) and costs q + min(q, ½).
    """
    rng = np.random.default_rng(7)
    curves = {"shares": [], "spends": []}
    for _ in range(400):
        couple = np.repeat(rng.normal(size=(300, 2)), 2, axis=0)
        priority = couple[:, 0] * np.sqrt(0.5) + rng.normal(size=600) * np.sqrt(0.5)
        gain = priority + 2 * couple[:, 1] + rng.normal(size=600)
        for grid, points in (("shares", np.linspace(0.1, 1, 10)), ("spends", np.linspace(0.2, 1.4, 7))):
            columns = budget_curve(
                gain,
                priority,
                1 + (priority > 0),
                np.repeat(np.arange(300), 2),
                **{grid: points},
                replicates=300,
                rng=rng,
            )
            curves[grid].append(columns)
    return curves


@pytest.mark.parametrize("grid", ["shares", "spends"])
def test_intervals_and_bands_cover_the_truth(repeated, grid):
    curves = np.stack([one.to_numpy() for one in repeated[grid]])
    points = np.linspace(0.1, 1, 10) if grid == "shares" else np.linspace(0.2, 1.4, 7)
    share = points if grid == "shares" else np.where(points < 1, points / 2, points - 0.5)
    truth = stats.norm.pdf(stats.norm.isf(share))
    profit, low, high, band_low, band_high = (curves[:, :, column] for column in range(2, 7))
    # Standard errors agree with the spread of the samples.
    error = (high - low).mean(axis=0) / (2 * 1.959963984540054)
    np.testing.assert_allclose(error, profit.std(axis=0), rtol=0.12)
    pointwise = ((low <= truth) & (truth <= high)).mean(axis=0)
    at_once = ((band_low <= truth) & (truth <= band_high)).all(axis=1).mean()
    assert pointwise.min() > 0.91
    assert pointwise.max() < 0.985
    # 95 %, with four standard errors of 400 samples below and above.
    assert at_once == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 400))
    assert ((low <= truth) & (truth <= high)).all(axis=1).mean() < at_once


def test_the_band_is_never_inside_the_interval(draw):
    experiment = draw(300, 8)
    for shares in ([0.5], GRID, [0.99, 1.0]):
        earned = curve(experiment.scores.effect, experiment.tau, 1.0, shares=shares)
        assert (earned["band_low"] <= earned["ci_low"]).all()
        assert (earned["band_high"] >= earned["ci_high"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shares": None}, "expected a grid of shares or one of spends, got both or none"),
        ({"spends": [1.0]}, "expected a grid of shares or one of spends, got both or none"),
        ({"shares": [0.5, 1.5]}, r"expected shares in \[0, 1\], got 0\.5 to 1\.5"),
        ({"shares": None, "spends": [-1.0]}, "expected spends of 0 or more, money per customer, got -1"),
        ({"priority": [1.0]}, "got 2 gains, 1 priorities and 2 clusters"),
        ({"priority": [1.0, np.inf]}, "priority has the shape .* 1 values that are not finite"),
        ({"cost": [np.nan, 1.0]}, "expected a cost of 0 or more"),
    ],
)
def test_what_is_wrong_with_a_curve_is_said_in_one_line(change, message):
    arguments = {"gain": [1.0, 2.0], "priority": [1.0, 2.0], "cost": 1.0, "shares": [0.5]} | change
    with pytest.raises(InputError, match=message) as error:
        curve(**arguments)
    assert "\n" not in str(error.value)
