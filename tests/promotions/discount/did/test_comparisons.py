"""Comparisons side by side: the file's numbers, closed forms, another package, known truth, coverage."""

import numpy as np
import pandas as pd
import pytest

from promotions.discount.did.comparisons import compare_estimators, composition, means_by_month
from promotions.discount.did.design import Design, Treated, find_design, make_panel
from promotions.discount.prepare.simulated import draw_panel as simulated_panel
from promotions.discount.prepare.simulated import truth
from tests.support.drawn_panel import (
    DESIGN,
    SEARCH_GROUP,
    SEARCH_REGION,
    WOMEN_EFFECT,
    draw_panel,
    in_our_layout,
    of,
)
from tests.support.randomness import rng_of


@pytest.fixture(scope="module")
def drawn():
    return draw_panel()


@pytest.fixture(scope="module")
def panel(drawn):
    return make_panel(drawn, DESIGN)


# ── the shared file ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_files_numbers_are_reproduced_and_the_clean_ones_stand_beside_them(real_tables):
    table = real_tables["panel"]
    real_panel = make_panel(table, find_design(table, SEARCH_GROUP, SEARCH_REGION))
    found = compare_estimators(real_panel, outcomes=("profit", "discount", "profit_per_dollar"))
    assert of(found, "before_after")["estimate"] == pytest.approx(7.141746, abs=1e-6)
    assert of(found, "cross_section")["estimate"] == pytest.approx(-7.124377, abs=1e-6)
    everybody = of(found, "did")
    assert everybody["estimate"] == pytest.approx(-4.773501642, abs=1e-9)
    assert everybody["classical_error"] == pytest.approx(0.62465, abs=1e-5)
    assert of(found, "did_known")["estimate"] == pytest.approx(-5.2566, abs=1e-4)
    clean = of(found, "did_clean")
    assert clean["estimate"] == pytest.approx(-5.215303407, abs=1e-6)
    assert not clean["contaminated"]
    assert set(found.loc[found["contaminated"], "estimator"]) == {"before_after", "cross_section", "did", "did_known"}
    # Among clean rows everybody in the group has 25 from month 5 and nobody else anything.
    assert of(found, "did_clean", "discount")["estimate"] == pytest.approx(25, abs=1e-9)
    assert of(found, "did_clean", "discount")["error"] == 0
    assert of(found, "did", "discount")["estimate"] < 24
    assert of(found, "did_clean", "profit_per_dollar")["estimate"] == pytest.approx(clean["estimate"] / 25)
    assert of(found, "did_clean_within")["error"] < 0.6 * clean["error"]


# ── estimates ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_two_by_two_is_the_difference_of_four_means_and_the_dollar_ratio_their_quotient(drawn, panel):
    found = compare_estimators(panel, only=("did_clean",))
    known = drawn[drawn["gender"].notna() & ~((drawn["cust_state"] == "MG") & (drawn["month"] >= 5))]

    def by_hand(outcome):
        means = known.groupby([known["gender"] == "W", known["month"] >= 3])[outcome].mean()
        return (means[True, True] - means[True, False]) - (means[False, True] - means[False, False])

    assert of(found, "did_clean")["estimate"] == pytest.approx(by_hand("profit"), rel=1e-9)
    assert of(found, "did_clean", "discount")["estimate"] == pytest.approx(20)
    assert of(found, "did_clean", "sales_per_dollar")["estimate"] == pytest.approx(by_hand("sales") / 20, rel=1e-9)


def test_unknown_and_otherwise_treated_controls_bias_what_clean_controls_do_not():
    """All else is equal here: a panel so large that errors do not matter."""
    big = make_panel(draw_panel(5, 200_000, unknown=0.3, clean=False), DESIGN)
    found = compare_estimators(big, outcomes=("profit",), only=("did", "did_known", "did_clean", "did_clean_within"))
    for name in ("did_clean", "did_clean_within"):
        assert of(found, name)["estimate"] == pytest.approx(WOMEN_EFFECT, abs=4 * of(found, name)["error"])
    for name in ("did", "did_known"):
        assert abs(of(found, name)["estimate"] - WOMEN_EFFECT) > 4 * of(found, name)["error"]
    # A third of the women are counted among the controls, who then have a part of the discount.
    assert abs(of(found, "did")["estimate"]) < 0.8 * abs(WOMEN_EFFECT)


def test_the_order_of_rows_changes_no_number(drawn, panel):
    shuffled = make_panel(drawn.sample(frac=1, random_state=3), DESIGN)
    pd.testing.assert_frame_equal(*(compare_estimators(part, ("profit",)) for part in (shuffled, panel)), rtol=1e-12)
    pd.testing.assert_frame_equal(means_by_month(shuffled), means_by_month(panel), rtol=1e-12)


def test_a_change_of_who_is_there_shows_in_the_composition(drawn, panel):
    assert composition(panel, ["age"])["p_value_holm"].min() > 0.01
    grown = (drawn["gender"] == "W").fillna(False) & (drawn["month"] >= 3)
    older = drawn["age"] + 2 * grown.astype(float)
    found = composition(make_panel(drawn.assign(age=older), DESIGN), ["age"])
    assert found.set_index("treated").loc["group", "p_value_holm"] < 1e-6
    assert found.set_index("treated").loc["group", "estimate"] == pytest.approx(2, abs=1)


def test_the_two_by_two_is_diff_diffs_on_its_own_example():
    from diff_diff import DifferenceInDifferences
    from diff_diff.prep_dgp import generate_did_data

    table = generate_did_data(n_units=300, n_periods=6, treatment_effect=5.0, seed=11)
    table["treated_now"] = table["treated"] * table["post"]
    layout = in_our_layout(table, table["treated"] == 1, False, "period")
    panel = make_panel(layout, Design(Treated("gender", "W", 2.0), None, "cust_state"))
    theirs = DifferenceInDifferences(vcov_type="hc1").fit(table, outcome="outcome", treatment="treated", post="post")
    mine = of(compare_estimators(panel, outcomes=("profit",)), "did_clean")
    assert mine["estimate"] == pytest.approx(theirs.att, rel=1e-9)
    assert mine["error"] == pytest.approx(theirs.se, rel=1e-9)


# ── known truth ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_intervals_cover_the_truth_in_95_of_100_panels():
    hits = []
    for seed in range(80):
        panel = make_panel(draw_panel(seed, 1500), DESIGN)
        estimates = compare_estimators(panel, outcomes=("profit",), only=("did_clean_within",))
        within = of(estimates, "did_clean_within")
        hits.append(within["ci_low"] <= WOMEN_EFFECT <= within["ci_high"])
    # Three Monte-Carlo standard errors of 80 panels.
    assert np.mean(hits) == pytest.approx(0.95, abs=0.073)


def test_on_the_simulated_source_the_clean_comparisons_cover_its_truth():
    known, hits = truth(), []
    for seed in range(30):
        drawn = simulated_panel(8000, rng_of(seed))
        panel = make_panel(drawn, find_design(drawn, SEARCH_GROUP, SEARCH_REGION))
        assert (panel.design.group.month, panel.design.region.level) == (5, "MG")
        frame = compare_estimators(panel, outcomes=("profit",), only=("did_clean", "did_clean_within"))
        for name, treated, effect in (
            ("did_clean", "group", known["did_effect"]),
            ("did_clean_within", "group", known["did_effect"]),
            ("did_clean", "region", known["region_effect_others"]),
        ):
            row = of(frame, name, treated=treated)
            hits.append(row["ci_low"] <= effect <= row["ci_high"])
    # Three standard errors of 90.
    assert np.mean(hits) == pytest.approx(0.95, abs=0.069)
