"""Effects by month: the file, another package, known truth, coverage, the test of the trend before."""

import numpy as np
import pandas as pd
import pytest

from promotions.discount.did_design import Design, Treated, find_design, make_panel
from promotions.discount.event_study import event_study
from tests.promotions.discount.drawn_panel import (
    DESIGN,
    SEARCH_GROUP,
    SEARCH_REGION,
    WOMEN_EFFECT,
    draw_panel,
    in_our_layout,
    rng_of,
)


@pytest.fixture(scope="module")
def real_panel(real_tables):
    table = real_tables["panel"]
    return make_panel(table, find_design(table, SEARCH_GROUP, SEARCH_REGION))


def test_the_group_has_no_other_trend_before_and_the_region_has(real_panel):
    group = event_study(real_panel, "group", "profit", rng_of())
    assert group.pre_trend_p_value > 0.2
    assert group.pre_trend_clustered_p_value > 0.05
    region = event_study(real_panel, "region", "profit", rng_of())
    assert region.pre_trend_p_value < 1e-6


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
