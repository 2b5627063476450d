"""Group-time effects: another package on its own example, a saturated regression, coverage."""

import numpy as np
import pandas as pd
import pytest

from promotions.discount.did.design import Design, make_panel
from promotions.discount.did.group_time import group_time
from tests.support.drawn_panel import DESIGN, REGION_EFFECT, WOMEN_EFFECT, draw_panel, in_our_layout
from tests.support.randomness import rng_of


def test_group_time_effects_are_diff_diffs_on_its_own_repeated_cross_sections_and_find_its_truth():
    from diff_diff import CallawaySantAnna
    from diff_diff.prep_dgp import generate_staggered_data

    table = generate_staggered_data(
        n_units=1500, n_periods=8, cohort_periods=[3, 5], unit_fe_sd=1.0, seed=7, panel=False
    )
    with pytest.warns(UserWarning, match="repeated cross-section"):
        theirs = CallawaySantAnna(panel=False, base_period="universal").fit(
            table, "outcome", "unit", "period", "first_treat"
        )
    table["treated_now"] = table["treated"]
    layout = in_our_layout(table, table["first_treat"] == 3, table["first_treat"] == 5, "period")
    found = group_time(make_panel(layout, DESIGN), "profit")
    assert found.overall["estimate"] == pytest.approx(theirs.overall_att, rel=1e-9)
    assert found.overall["error"] == pytest.approx(theirs.overall_se, rel=1e-9)
    truth = table[table["treated"] == 1].groupby(["first_treat", "period"])["true_effect"].first()
    after = found.effects[found.effects["event_time"] >= 0].set_index(["first_month", "month"])
    assert len(after) == len(truth) == 8
    for (first, month), effect in truth.items():
        cell = after.loc[(first, month)]
        assert cell["estimate"] == pytest.approx(theirs.group_time_effects[(first, month)]["effect"], rel=1e-9)
        assert abs(cell["estimate"] - effect) < 4 * cell["error"]


@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_group_time_effects_are_those_of_a_regression_on_all_treated_months():
    """pyfixest's saturated two-way regression of one cohort against the never treated gives the same differences."""
    import pyfixest

    panel = make_panel(draw_panel(), DESIGN)
    rows = panel.rows[panel.rows["known"] & (panel.rows["in_region"] == 0)]
    fit = pyfixest.feols("profit ~ in_group + i(t, in_group, ref=2) | t", rows)
    found = group_time(panel, "profit").effects
    mine = make_panel(rows, Design(DESIGN.group, None, "cust_state"))
    alone = group_time(mine, "profit").effects
    alone = alone[alone["month"] != 2].sort_values("month")
    theirs = [fit.coef()[f"t::{t}:in_group"] for t in (0, 1, 3, 4, 5, 6, 7)]
    np.testing.assert_allclose(alone["estimate"], theirs, rtol=1e-8)
    assert set(found["treated"]) == {"group", "region"}


def test_group_time_effects_cover_the_truth_where_trends_are_parallel():
    hits = []
    for seed in range(60):
        drawn = draw_panel(seed, 3000)
        shocks = rng_of(99).normal(0, 5, (8, 6)).cumsum(axis=0)
        code = pd.factorize(drawn["cust_state"], sort=True)[0]
        parallel = drawn["profit"] - shocks[drawn["month"].astype(int), code]
        cohorts = group_time(make_panel(drawn.assign(profit=parallel), DESIGN), "profit").cohorts.set_index("treated")
        for name, effect in (("group", WOMEN_EFFECT), ("region", REGION_EFFECT)):
            hits.append([cohorts.loc[name, "ci_low"] <= effect <= cohorts.loc[name, "ci_high"]])
    assert np.mean(hits) == pytest.approx(0.95, abs=0.06)
