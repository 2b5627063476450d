"""The comparisons over time: the file's numbers, closed forms, other packages, known truth, coverage, bad input."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from promotions.discount.did import (
    Design,
    Treated,
    compare_estimators,
    composition,
    event_study,
    find_design,
    group_time,
    make_panel,
    means_by_month,
    require_curvatures,
    sensitivity,
    summary,
)
from promotions.discount.simulated import draw_panel as simulated_panel
from promotions.discount.simulated import truth
from promotions.errors import InputError

SEARCH_GROUP = {"column": "gender", "level": "search", "month": "search"}
SEARCH_REGION = {"column": "cust_state", "level": "search", "month": "search"}
DESIGN = Design(Treated("gender", "W", 3.0), Treated("cust_state", "MG", 5.0), "cust_state")
WOMEN_EFFECT, REGION_EFFECT = -4.0, -6.0


def rng_of(seed=1):
    return np.random.default_rng(seed)


def draw_panel(seed=1, n=4000, *, unknown=0.15, trend=0.0, clean=True):
    """Customers of eight months and six states: women get 20 from month 3, MG 20 more from month 5.

    Every state goes its own way in every month, women are 5 lower throughout, their trend is ``trend`` steeper.
    """
    rng = rng_of(seed)
    month, state = rng.integers(0, 8, n), rng.choice(["MG", "SP", "RJ", "BA", "RS", "PR"], n)
    woman = rng.random(n) < 0.5
    shocks = rng_of(99).normal(0, 5, (8, 6)).cumsum(axis=0)
    code = pd.factorize(state, sort=True)[0]
    treated, region = woman & (month >= 3), (state == "MG") & (month >= 5)
    profit = 80 + shocks[month, code] - 5 * woman + trend * woman * month + (1 + woman) * 3 * rng.normal(size=n)
    profit = profit + WOMEN_EFFECT * treated + REGION_EFFECT * region * (1 if clean else 1 - woman)
    dose = 20.0 * treated + 20.0 * region
    gender = np.where(rng.random(n) < unknown, None, np.where(woman, "W", "M"))
    return pd.DataFrame(
        {
            "row": np.arange(n),
            "sales": (profit + dose) / 0.05,
            "discount": dose,
            "profit": profit,
            "age": rng.normal(30, 5, n),
            "gender": pd.array(gender, dtype="string"),
            "cust_state": pd.array(state, dtype="string"),
            "month": month.astype(float),
        }
    )


@pytest.fixture(scope="module")
def drawn():
    return draw_panel()


@pytest.fixture(scope="module")
def panel(drawn):
    return make_panel(drawn, DESIGN)


@pytest.fixture(scope="module")
def honest(panel):
    return sensitivity(event_study(panel, "group", "profit", rng_of()), [0.0, 0.2, 0.4, 0.8, 1.6])


@pytest.fixture(scope="module")
def real_panel(real_tables):
    table = real_tables["panel"]
    return make_panel(table, find_design(table, SEARCH_GROUP, SEARCH_REGION))


def of(frame, estimator, outcome="profit", treated="group"):
    rows = frame[(frame["estimator"] == estimator) & (frame["outcome"] == outcome) & (frame["treated"] == treated)]
    assert len(rows) == 1
    return rows.iloc[0]


# ── the shared file ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_discount_itself_shows_who_got_it_from_when(real_panel):
    design = real_panel.design
    assert (design.group.level, design.group.month) == ("W", 5)
    assert (design.region.level, design.region.month) == ("MG", 11)


def test_the_files_numbers_are_reproduced_and_the_clean_ones_stand_beside_them(real_panel):
    found = compare_estimators(real_panel, outcomes=("profit", "discount", "profit_per_dollar"))
    assert of(found, "before_after")["estimate"] == pytest.approx(7.141746, abs=1e-6)
    assert of(found, "cross_section")["estimate"] == pytest.approx(-7.124377, abs=1e-6)
    everybody = of(found, "did")
    assert everybody["estimate"] == pytest.approx(-4.773501642, abs=1e-9)
    assert everybody["error_classical"] == pytest.approx(0.62465, abs=1e-5)
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


def test_the_group_has_no_other_trend_before_and_the_region_has(real_panel):
    group = event_study(real_panel, "group", "profit", rng_of())
    assert group.pre_trend_p_value > 0.2
    assert group.pre_trend_clustered_p_value > 0.05
    region = event_study(real_panel, "region", "profit", rng_of())
    assert region.pre_trend_p_value < 1e-6


# ── the design ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_search_finds_the_design_that_was_drawn_also_with_noisy_discounts(drawn):
    assert find_design(drawn, SEARCH_GROUP, SEARCH_REGION) == DESIGN
    noisy = drawn.assign(discount=drawn["discount"] + rng_of(2).normal(0, 5, len(drawn)))
    assert find_design(noisy, SEARCH_GROUP, SEARCH_REGION) == DESIGN
    stated = {"column": "gender", "level": "W", "month": "search"}
    assert find_design(drawn, stated, {**SEARCH_REGION, "month": 5}) == DESIGN
    assert find_design(drawn, SEARCH_GROUP, {**SEARCH_REGION, "level": None}) == Design(
        DESIGN.group, None, "cust_state"
    )


@pytest.mark.parametrize(
    ("change", "group", "region", "message"),
    [
        ({}, {"level": "X"}, {}, "'X' is no level of 'gender'; there are M, W"),
        ({}, {"column": "sex"}, {}, "'sex' is no column to choose; there are age, gender, cust_state"),
        ({}, {"level": "W", "month": 0}, {}, "0 leaves no month before it"),
        ({}, {"level": "W", "month": 8}, {}, "8 lies after the panel's last month, 7"),
        ({}, {"level": "W", "month": "May"}, {}, "expected a month of the panel or 'search', got 'May'"),
        ({"discount": 0.0}, {}, {}, "no change of the discount stands out"),
        ({"gender": "W"}, {}, {}, "'gender' has 1 level"),
        ({"month": 1.0}, {}, {}, "one month only"),
    ],
)
def test_what_cannot_be_found_is_said_in_one_line(drawn, change, group, region, message):
    with pytest.raises(InputError, match=message) as caught:
        find_design(drawn.assign(**change), {**SEARCH_GROUP, **group}, {**SEARCH_REGION, **region})
    assert "\n" not in str(caught.value)


def test_two_regions_with_a_discount_have_to_be_told_apart_by_the_user(drawn):
    second = (drawn["cust_state"] == "SP") & (drawn["month"] >= 6)
    both = drawn.assign(discount=drawn["discount"] + 18 * second.astype(float))
    with pytest.raises(InputError, match=r"cust_state MG changed by .* and that of SP by .*state which level"):
        find_design(both, SEARCH_GROUP, SEARCH_REGION)
    assert find_design(both, SEARCH_GROUP, {**SEARCH_REGION, "level": "SP"}).region == Treated("cust_state", "SP", 6.0)


def test_a_panel_without_rows_or_without_clean_controls_is_refused(drawn):
    with pytest.raises(InputError, match="the panel has no rows"):
        find_design(drawn.iloc[:0], SEARCH_GROUP, SEARCH_REGION)
    with pytest.raises(InputError, match="the panel has no controls before month 3"):
        make_panel(drawn[(drawn["gender"] != "M") | (drawn["month"] >= 3)], DESIGN)


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
    one, other = (event_study(part, "group", "profit", rng_of()) for part in (panel, shuffled))
    pd.testing.assert_frame_equal(one.frame, other.frame, rtol=1e-12)
    pd.testing.assert_frame_equal(means_by_month(shuffled), means_by_month(panel), rtol=1e-12)


def test_a_change_of_who_is_there_shows_in_the_composition(drawn, panel):
    assert composition(panel, ["age"])["p_value_holm"].min() > 0.01
    grown = (drawn["gender"] == "W").fillna(False) & (drawn["month"] >= 3)
    older = drawn["age"] + 2 * grown.astype(float)
    found = composition(make_panel(drawn.assign(age=older), DESIGN), ["age"])
    assert found.set_index("treated").loc["group", "p_value_holm"] < 1e-6
    assert found.set_index("treated").loc["group", "estimate"] == pytest.approx(2, abs=1)


# ── other packages ───────────────────────────────────────────────────────────────────────────────────────────────────


def in_our_layout(table, group, region, month):
    """A table of another package as a panel: ``outcome`` becomes profit, who is treated shows in gender and state."""
    return pd.DataFrame(
        {
            "profit": table["outcome"],
            "sales": table["outcome"],
            "discount": 10.0 * table["treated_now"],
            "gender": np.where(group, "W", "M"),
            "cust_state": np.where(region, "MG", "SP"),
            "month": table[month].astype(float),
        }
    )


def test_the_two_by_two_and_the_event_study_are_diff_diffs_on_its_own_example():
    from diff_diff import DifferenceInDifferences, TwoWayFixedEffects
    from diff_diff.prep_dgp import generate_did_data

    table = generate_did_data(n_units=300, n_periods=6, treatment_effect=5.0, seed=11)
    table["treated_now"] = table["treated"] * table["post"]
    layout = in_our_layout(table, table["treated"] == 1, False, "period")
    panel = make_panel(layout, Design(Treated("gender", "W", 2.0), None, "cust_state"))
    theirs = DifferenceInDifferences(vcov_type="hc1").fit(table, outcome="outcome", treatment="treated", post="post")
    mine = of(compare_estimators(panel, outcomes=("profit",)), "did_clean")
    assert mine["estimate"] == pytest.approx(theirs.att, rel=1e-9)
    assert mine["error"] == pytest.approx(theirs.se, rel=1e-9)
    surface = TwoWayFixedEffects(vcov_type="hc1").fit(
        table, outcome="outcome", treatment="treated", time="period", event_study=True, spec="pooled",
        post_periods=[2, 3, 4, 5],
    )  # fmt: skip
    study = event_study(panel, "group", "profit", rng_of())
    np.testing.assert_allclose(study.frame["estimate"], surface.att, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(study.frame["error"], np.nan_to_num(surface.se), rtol=1e-6)


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
def test_group_time_effects_are_those_of_a_regression_on_all_treated_months(panel):
    """pyfixest's saturated two-way regression of one cohort against the never treated gives the same differences."""
    import pyfixest

    rows = panel.rows[panel.rows["known"] & (panel.rows["in_region"] == 0)]
    fit = pyfixest.feols("profit ~ in_group + i(t, in_group, ref=2) | t", rows)
    found = group_time(panel, "profit").effects
    mine = make_panel(rows, Design(DESIGN.group, None, "cust_state"))
    alone = group_time(mine, "profit").effects
    alone = alone[alone["month"] != 2].sort_values("month")
    theirs = [fit.coef()[f"t::{t}:in_group"] for t in (0, 1, 3, 4, 5, 6, 7)]
    np.testing.assert_allclose(alone["estimate"], theirs, rtol=1e-8)
    assert set(found["treated"]) == {"group", "region"}


def test_sensitivity_is_diff_diffs_and_its_detectable_slope_the_power_of_the_wald_test(panel):
    from diff_diff import HonestDiD, TwoWayFixedEffects

    rows = panel.rows[panel.rows["known"] & (panel.rows["in_region"] == 0)]
    one_state = rows.assign(cust_state="SP", treated=(rows["gender"] == "W").astype(int))
    study = event_study(make_panel(one_state, Design(DESIGN.group, None, "cust_state")), "group", "profit", rng_of())
    surface = TwoWayFixedEffects(vcov_type="hc1").fit(
        one_state, outcome="profit", treatment="treated", time="t", event_study=True, spec="pooled",
        post_periods=[3, 4, 5, 6, 7],
    )  # fmt: skip
    found = sensitivity(study, [0.0, 0.2])
    first = found.frame[found.frame["target"] == "first"].set_index("curvature")
    for curvature in (0.0, 0.2):
        theirs = HonestDiD(method="smoothness", l_vec=np.eye(5)[0]).fit(surface, M=curvature)
        assert first.loc[curvature, "ci_low"] == pytest.approx(theirs.ci_lb, rel=1e-4)
        assert first.loc[curvature, "ci_high"] == pytest.approx(theirs.ci_ub, rel=1e-4)
    steps, before = np.array([2.0, 1.0]), study.covariance[:2, :2]
    critical = stats.chi2.ppf(0.95, 2)
    noncentral = optimize.brentq(lambda value: stats.ncx2.sf(critical, 2, value) - 0.8, 1e-6, 100)
    slope = np.sqrt(noncentral / (steps @ np.linalg.solve(before, steps)))
    assert found.detectable_slope == pytest.approx(slope, rel=1e-6)


def test_intervals_exclude_zero_up_to_the_breakdown_and_not_beyond(honest):
    early = honest.frame[honest.frame["target"] == "early"]
    assert 0 < honest.breakdown < early["curvature"].max()
    excludes = (early["ci_low"] > 0) | (early["ci_high"] < 0)
    np.testing.assert_array_equal(excludes, early["curvature"] <= honest.breakdown)
    assert (early["ci_high"] - early["ci_low"]).is_monotonic_increasing


# ── known truth ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_intervals_cover_the_truth_in_95_of_100_panels_and_the_pre_trend_test_has_its_size():
    hits = []
    for seed in range(80):
        panel = make_panel(draw_panel(seed, 1500), DESIGN)
        estimates = compare_estimators(panel, outcomes=("profit",), only=("did_clean_within",))
        within = of(estimates, "did_clean_within")
        study = event_study(panel, "group", "profit", rng_of(seed))
        shown = study.frame[~study.frame["reference"]]
        truth = np.where(shown["event_time"] >= 0, WOMEN_EFFECT, 0)
        alone = (shown["ci_low"] <= truth) & (truth <= shown["ci_high"])
        joint = (shown["joint_ci_low"] <= truth) & (truth <= shown["joint_ci_high"])
        covered = within["ci_low"] <= WOMEN_EFFECT <= within["ci_high"]
        hits.append([covered, alone.mean(), joint.all(), study.pre_trend_p_value < 0.05])
    share = np.mean(hits, axis=0)
    # Three Monte-Carlo standard errors of 80 panels: .073.
    np.testing.assert_allclose(share[:3], 0.95, atol=0.073)
    assert share[3] < 0.05 + 0.073
    assert share[2] < share[1] + 0.05


def test_a_steeper_trend_is_found_before_the_discount():
    study = event_study(make_panel(draw_panel(3, 20_000, trend=1.5), DESIGN), "group", "profit", rng_of())
    assert study.pre_trend_p_value < 1e-6
    assert study.pre_trend_clustered_p_value < 0.01


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


# ── what is written ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_metrics_are_numbers_strings_and_booleans_without_gaps(panel, honest):
    studies = {("group", "profit"): event_study(panel, "group", "profit", rng_of())}
    studies["group", "discount"] = event_study(panel, "group", "discount", rng_of())
    found = summary(
        panel,
        compare_estimators(panel, outcomes=("profit",)),
        composition(panel, ["age"]),
        studies,
        honest,
        {"profit": group_time(panel, "profit")},
    )

    def leaves(part):
        for value in part.values():
            yield from leaves(value) if isinstance(value, dict) else [value]

    for leaf in leaves(found):
        assert isinstance(leaf, (bool, int, float, str))
        assert not isinstance(leaf, float) or np.isfinite(leaf)
    assert found["group"]["did"]["contaminated"] is True
    assert found["group"]["did_clean"]["contaminated"] is False
    assert found["design"]["region"] == {"column": "cust_state", "level": "MG", "month": 5.0}
    assert "error_clustered" not in found["region"]["did_clean"]["profit"]


@pytest.mark.parametrize("wrong", [[], [-0.1], 0.5, ["0.1"], [True], [float("inf")]])
def test_curvatures_are_a_list_of_numbers_from_zero(wrong):
    with pytest.raises(InputError, match=r"discount\.did\.curvatures: expected a list of numbers of 0 or more"):
        require_curvatures(wrong)
    assert require_curvatures([0.5, 0]) == [0.0, 0.5]
