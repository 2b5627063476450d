"""Effects by month: the file, another package, known truth, coverage, the test of the trend before."""

import numpy as np
import pandas as pd
import pytest

from promotions.discount.did.design import Design, Treated, find_design, make_panel
from promotions.discount.did.event_study import event_study
from promotions.discount.did.regression import errors_of_small_cells
from tests.support.drawn_panel import (
    DESIGN,
    SEARCH_GROUP,
    SEARCH_REGION,
    WOMEN_EFFECT,
    draw_panel,
    in_our_layout,
)
from tests.support.randomness import rng_of


@pytest.fixture(scope="module")
def real_panel(real_tables):
    table = real_tables["panel"]
    return make_panel(table, find_design(table, SEARCH_GROUP, SEARCH_REGION))


def test_the_group_has_no_other_trend_before_and_the_region_has(real_panel):
    group = event_study(real_panel, "group", "profit", rng_of())
    assert group.pre_trend_p_value > 0.2
    assert group.pre_trend_clustered_p_value > 0.05
    region = event_study(real_panel, "region", "profit", rng_of())
    assert region.pre_trend_p_value < 1e-5


def test_the_order_of_rows_changes_no_number():
    drawn = draw_panel()
    parts = make_panel(drawn, DESIGN), make_panel(drawn.sample(frac=1, random_state=3), DESIGN)
    one, other = (event_study(part, "group", "profit", rng_of()) for part in parts)
    pd.testing.assert_frame_equal(one.frame, other.frame, rtol=1e-12)


def test_the_event_study_is_diff_diffs_on_its_own_example():
    from diff_diff import TwoWayFixedEffects
    from diff_diff.prep_dgp import generate_did_data

    table = generate_did_data(n_units=300, n_periods=6, treatment_effect=5.0, seed=11)
    table["treated_now"] = table["treated"] * table["post"]
    layout = in_our_layout(table, table["treated"] == 1, False, "period")
    panel = make_panel(layout, Design(Treated("gender", "W", 2.0), None, "cust_state"))
    surface = TwoWayFixedEffects(vcov_type="hc1").fit(
        table, outcome="outcome", treatment="treated", time="period", event_study=True, spec="pooled",
        post_periods=[2, 3, 4, 5],
    )  # fmt: skip
    study = event_study(panel, "group", "profit", rng_of())
    np.testing.assert_allclose(study.frame["estimate"], surface.att, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(study.frame["error"], np.nan_to_num(surface.se), rtol=1e-6)


def test_errors_of_small_cells_are_bell_and_mccaffreys_as_diff_diff_has_them():
    from diff_diff.linalg import compute_robust_vcov

    rng = rng_of()
    codes = np.sort(rng.choice(8, 60, p=[0.02, 0.05, 0.08, 0.1, 0.15, 0.2, 0.2, 0.2]))
    codes = np.append(codes, np.arange(8))
    cells = np.column_stack([np.ones(8), np.arange(8) % 2, rng.normal(size=8), np.arange(8) > 5])
    x = cells[codes]
    y = x @ [1.0, 2.0, 0.5, -1.0] + rng.normal(size=68) * (1 + codes)
    residuals = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    theirs, freedom = compute_robust_vcov(x, residuals, vcov_type="hc2_bm", return_dof=True)
    squares = np.bincount(codes, residuals**2)
    terms = np.array([1, 3])
    mine, degrees = errors_of_small_cells(cells, np.bincount(codes).astype(float), squares, terms)
    np.testing.assert_allclose(mine, theirs[np.ix_(terms, terms)], rtol=1e-9)
    np.testing.assert_allclose(degrees, freedom[terms], rtol=1e-9)


def test_months_with_few_customers_have_wide_intervals_that_cover_and_smaller_ones_are_left_out():
    hits, widths = [], []
    for seed in range(60):
        drawn = draw_panel(seed, 6000)
        # Of the treated, six in the last month but one and four in the last.
        last = drawn["month"].max()
        treated = (drawn["gender"] == "W") & (drawn["cust_state"] != "MG")
        for month, left in ((last - 1, 6), (last, 4)):
            mine = drawn.index[treated & (drawn["month"] == month)]
            drawn = drawn.drop(mine[left:])
            treated = treated[drawn.index]
        study = event_study(make_panel(drawn, DESIGN), "group", "profit", rng_of(seed))
        assert study.frame["month"].max() == last - 1
        assert study.left_out == 1
        row = study.frame.iloc[-1]
        hits.append(row["ci_low"] <= WOMEN_EFFECT <= row["ci_high"])
        widths.append((row["ci_high"] - row["ci_low"]) / 2 / row["error"])
    assert np.mean(hits) > 0.95 - 0.085
    # Some five degrees of freedom.
    assert 2.2 < np.median(widths) < 3.2


def test_intervals_cover_the_truth_in_95_of_100_panels_and_the_pre_trend_test_has_its_size():
    hits = []
    for seed in range(80):
        panel = make_panel(draw_panel(seed, 1500), DESIGN)
        study = event_study(panel, "group", "profit", rng_of(seed))
        shown = study.frame[~study.frame["reference"]]
        truth = np.where(shown["event_time"] >= 0, WOMEN_EFFECT, 0)
        alone = (shown["ci_low"] <= truth) & (truth <= shown["ci_high"])
        joint = (shown["joint_ci_low"] <= truth) & (truth <= shown["joint_ci_high"])
        hits.append([alone.mean(), joint.all(), study.pre_trend_p_value < 0.05])
    share = np.mean(hits, axis=0)
    # Three Monte-Carlo standard errors of 80 panels: .073.
    np.testing.assert_allclose(share[:2], 0.95, atol=0.073)
    assert share[2] < 0.05 + 0.073
    assert share[1] < share[0] + 0.05


def test_a_steeper_trend_is_found_before_the_discount():
    study = event_study(make_panel(draw_panel(3, 20_000, trend=1.5), DESIGN), "group", "profit", rng_of())
    assert study.pre_trend_p_value < 1e-6
    assert study.pre_trend_clustered_p_value < 0.01
