"""The treated region's mixture: diff_diff itself, exact mixtures, ranks, the luck of placebos, gaps in the data."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from promotions.base.errors import InputError
from promotions.discount.did.design import Design, Treated, find_design, make_panel
from promotions.discount.did.synthetic import (
    STANDARDISED,
    UNTREATED,
    RegionTable,
    paths_table,
    region_table,
    study_region,
    summary,
    synthetic_control,
    synthetic_did,
)
from tests.support.randomness import rng_of

START = 8
DESIGN = Design(Treated("gender", "W", 3.0), Treated("cust_state", "MG", float(START)), "cust_state")
REGIONS = ("BA", "MG", "PR", "RJ", "RS", "SC", "SP")


def draw_regions(seed=1, months=12, effect=-6.0, noise=0.5, regions=REGIONS):
    """Region means of a factor model in which MG is an exact mixture of three others but for the noise."""
    rng = rng_of(seed)
    paths = 80 + rng.normal(0, 3, (len(regions), months)).cumsum(axis=1) + rng.normal(0, 8, (len(regions), 1))
    mine = regions.index("MG")
    paths[mine] = 0.5 * paths[0] + 0.3 * paths[2] + 0.2 * paths[3]
    paths = paths + noise * rng.normal(size=paths.shape)
    paths[mine, START:] += effect
    means = pd.DataFrame(paths, index=list(regions))
    left_out = pd.DataFrame({"region": ["AC"], "months_short": [3]})
    return RegionTable(means, np.full(months, 100.0), left_out, np.arange(float(months)), "MG", START)


def draw_state_panel(seed=1, each=12, group_effect=-5.0):
    """A panel with ``each`` women and men in every state and month; MG gets a discount from month 8, women from 3."""
    table = draw_regions(seed)
    rng, rows = rng_of(seed + 1), []
    for region, path in table.means.iterrows():
        for month, level in enumerate(path):
            for gender in ("W", "M"):
                mean = level + (group_effect * (month >= 3) if gender == "W" else 0)
                rows.append(
                    pd.DataFrame(
                        {
                            "profit": mean + rng.normal(0, 2, each),
                            "discount": 20.0 * (gender == "W") * (month >= 3) + 20.0 * (region == "MG") * (month >= 8),
                            "gender": gender,
                            "cust_state": region,
                            "month": float(month),
                        }
                    )
                )
    frame = pd.concat(rows, ignore_index=True)
    return frame.assign(sales=(frame["profit"] + frame["discount"]) / 0.05)


@pytest.fixture(scope="module")
def found():
    return synthetic_control(draw_regions())


@pytest.fixture(scope="module")
def customers():
    return draw_state_panel()


def test_weights_are_not_negative_and_sum_to_one_and_the_paths_are_made_of_them(found):
    table = draw_regions()
    assert (found.weights["weight"] >= 0).all()
    assert found.weights["weight"].sum() == pytest.approx(1, abs=1e-9)
    assert "MG" not in set(found.weights["region"])
    mixed = found.weights["weight"].to_numpy() @ table.means.loc[found.weights["region"]].to_numpy()
    mine = found.paths[found.paths["region"] == "MG"]
    np.testing.assert_allclose(mine["synthetic"], mixed, atol=1e-8)
    np.testing.assert_allclose(mine["gap"], mine["actual"] - mine["synthetic"], atol=1e-9)
    assert found.effect == pytest.approx(mine["gap"].iloc[START:].mean())
    assert found.pre_rmspe == pytest.approx(np.sqrt((mine["gap"].iloc[:START] ** 2).mean()))
    assert found.rmspe_ratio == pytest.approx(found.post_rmspe / found.pre_rmspe)


def test_a_region_that_is_a_mixture_is_found_to_be_it_and_the_effect_with_it():
    exact = synthetic_control(draw_regions(noise=0.0))
    assert exact.effect == pytest.approx(-6, abs=1e-6)
    weights = exact.weights.set_index("region")["weight"]
    np.testing.assert_allclose(weights.loc[["BA", "PR", "RJ"]], [0.5, 0.3, 0.2], atol=1e-5)
    assert exact.p_value == pytest.approx(1 / 7)


def test_the_p_value_is_the_rank_of_the_ratio_of_gaps_after_and_before(found):
    def ratio(path):
        gap = path.sort_values("month")["gap"].to_numpy()
        return (gap[START:] ** 2).mean() / (gap[:START] ** 2).mean()

    ratios = found.paths.groupby("region")[["month", "gap"]].apply(ratio)
    assert found.p_value == pytest.approx((ratios >= ratios["MG"] * (1 - 1e-9)).mean())
    assert found.by_horizon["p_value"].iloc[-1] == pytest.approx(found.p_value)
    assert found.by_horizon["effect"].iloc[-1] == pytest.approx(found.effect)
    assert list(found.by_horizon["months"]) == [1, 2, 3, 4]
    assert (found.regions, found.left_out) == (7, 1)


def test_ending_the_panel_earlier_gives_the_horizons_effect_and_rank(found):
    table = draw_regions()
    for months in (1, 3):
        stop = START + months
        short = replace(
            table, means=table.means.iloc[:, :stop], customers=table.customers[:stop], months=table.months[:stop]
        )
        ended = synthetic_control(short)
        row = found.by_horizon.set_index("months").loc[months]
        assert row["effect"] == pytest.approx(ended.effect)
        assert row["p_value"] == pytest.approx(ended.p_value)


def test_the_mixture_is_diff_diffs_on_its_own_example_and_near_its_truth():
    from diff_diff import SyntheticControl
    from diff_diff.prep_dgp import generate_synthetic_control_data

    data = generate_synthetic_control_data(n_donors=10, n_pre=16, n_post=4, treatment_effect=5.0, noise_sd=0.1, seed=3)
    data = data.assign(now=((data["unit"] == 0) & (data["period"] >= 16)).astype(int))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = SyntheticControl(v_method="custom", custom_v=np.ones(16), standardize="none").fit(
            data, "outcome", "now", "unit", "period"
        )
        theirs.in_space_placebo()
    wide = data.assign(unit=data["unit"].astype(str)).pivot_table(index="unit", columns="period", values="outcome")
    none = pd.DataFrame({"region": [], "months_short": []})
    mine = synthetic_control(RegionTable(wide, np.ones(20), none, np.arange(20.0), "0", 16))
    assert mine.effect == pytest.approx(theirs.att, rel=1e-8)
    assert mine.p_value == pytest.approx(theirs.placebo_p_value)
    truth = data.loc[data["now"] == 1, "true_effect"].mean()
    assert mine.effect == pytest.approx(truth, abs=0.5)


def test_months_with_many_customers_decide_more():
    table = draw_regions(noise=2.0)
    first = np.where(np.arange(12) < 4, 1e6, 1.0)
    weighted = synthetic_control(replace(table, customers=first))
    gap = weighted.paths[weighted.paths["region"] == "MG"]["gap"].to_numpy()
    even = synthetic_control(table).paths
    even_gap = even[even["region"] == "MG"]["gap"].to_numpy()
    assert (gap[:4] ** 2).sum() < (even_gap[:4] ** 2).sum()
    assert (gap[4:8] ** 2).sum() > (even_gap[4:8] ** 2).sum()


def test_without_an_effect_small_p_values_are_as_rare_as_they_say():
    """Regions alike, one of them drawn by lot: the rank is uniform."""
    p_values = []
    for seed in range(50):
        rng = rng_of(seed)
        means = pd.DataFrame(rng.normal(0, 1, (6, 8)).cumsum(axis=1), index=["MG", *"ABCDE"])
        table = RegionTable(means, np.ones(8), draw_regions().left_out, np.arange(8.0), "MG", 5)
        p_values.append(synthetic_control(table).p_value)
    # Three standard errors: .121 of the mean of six equally likely ranks, .158 of the share of the first.
    assert np.mean(p_values) == pytest.approx(7 / 12, abs=0.121)
    assert np.mean(np.isclose(p_values, 1 / 6)) == pytest.approx(1 / 6, abs=0.158)


def test_the_synthetic_difference_in_differences_finds_the_effect_and_ignores_levels():
    table = draw_regions(noise=0.3)
    near = synthetic_did(table, rng_of())
    assert near["estimate"] == pytest.approx(-6, abs=3 * near["error"])
    shifted = table.means.copy()
    shifted.loc["MG"] += 500
    far = synthetic_did(replace(table, means=shifted), rng_of())
    assert far["estimate"] == pytest.approx(near["estimate"], abs=1e-6)


def test_cells_are_means_of_customers_whom_the_other_discount_does_not_touch(customers):
    panel = make_panel(customers, DESIGN)
    men = customers[customers["gender"] == "M"]
    wanted = men.groupby(["cust_state", "month"])["profit"].mean()
    table = region_table(panel, "profit", UNTREATED, 5)
    for (region, month), mean in wanted.items():
        assert table.means.loc[region, int(month)] == pytest.approx(mean)
    np.testing.assert_array_equal(table.customers, 12 * 7)
    # Twice as many women in one region would move its mean, were the two not weighted alike everywhere.
    women = customers[(customers["gender"] == "W") & (customers["cust_state"] == "SP")]
    crowded = make_panel(pd.concat([customers, women], ignore_index=True), DESIGN)
    cells = customers.groupby(["gender", "cust_state", "month"])["profit"].mean()
    share = (crowded.rows["in_group"] == 1).mean()
    standard = region_table(crowded, "profit", STANDARDISED, 5).means
    both = share * cells["W"]["SP"].to_numpy() + (1 - share) * cells["M"]["SP"].to_numpy()
    np.testing.assert_allclose(standard.loc["SP"], both)


def test_what_the_groups_discount_does_changes_no_cell_of_the_untreated(customers):
    women = customers["gender"] == "W"
    other = customers.assign(
        profit=customers["profit"] + 50 * (women & (customers["cust_state"] == "SP")).astype(float)
    )
    one, two = (region_table(make_panel(part, DESIGN), "profit", UNTREATED, 5).means for part in (customers, other))
    pd.testing.assert_frame_equal(one, two)
    before, after = (
        region_table(make_panel(part, DESIGN), "profit", STANDARDISED, 5).means.loc["SP"].to_numpy()
        for part in (customers, other)
    )
    np.testing.assert_allclose(after - before, 25)


def test_regions_with_gaps_are_left_out_and_counted_and_the_order_of_rows_does_not_matter(customers):
    few = customers.drop(customers[(customers["cust_state"] == "RS") & (customers["month"] == 4)].index[:22])
    table = region_table(make_panel(few, DESIGN), "profit", UNTREATED, 5)
    assert "RS" not in table.means.index
    assert table.left_out.to_dict("list") == {"region": ["RS"], "months_short": [1]}
    mixed = make_panel(few.sample(frac=1, random_state=1), DESIGN)
    pd.testing.assert_frame_equal(region_table(mixed, "profit", UNTREATED, 5).means, table.means)


def test_a_treated_region_with_gaps_or_without_others_or_months_before_is_refused(customers):
    gap = customers[(customers["cust_state"] != "MG") | (customers["month"] != 6) | (customers["gender"] == "W")]
    with pytest.raises(InputError, match=r"MG has only 0 customers in month 6 \(1 months with fewer than discount.did"):
        region_table(make_panel(gap, DESIGN), "profit", UNTREATED, 5)
    pair = make_panel(customers[customers["cust_state"].isin(["MG", "SP"])], DESIGN)
    with pytest.raises(InputError, match="1 other regions have"):
        region_table(pair, "profit", UNTREATED, 5)
    with pytest.raises(InputError, match="1 month lies before month 8; two or more are needed"):
        synthetic_control(replace(draw_regions(), start=1, months=np.arange(7.0, 19)))
    with pytest.raises(InputError, match="no region is treated"):
        region_table(make_panel(customers, replace(DESIGN, region=None)), "profit", UNTREATED, 5)


def test_the_study_reports_the_dose_and_the_effect_of_a_dollar(customers):
    studies = study_region(make_panel(customers, DESIGN), 5, rng_of())
    numbers = summary(studies)
    for customers_ in (UNTREATED, STANDARDISED):
        found = numbers[customers_]["profit"]
        assert found["discount"] == pytest.approx(20)
        assert found["effect_per_dollar"] == pytest.approx(found["effect"] / 20)
        assert found["effect"] == pytest.approx(-6, abs=2)
        assert sum(found["weights"].values()) == pytest.approx(1)
        assert found["synthetic_did_ci_low"] < found["synthetic_did"] < found["synthetic_did_ci_high"]
        assert 0 < found["least_possible_p_value"] <= found["effect_p_value"] <= 1
        assert found["leave_one_out_low"] <= found["effect"] <= found["leave_one_out_high"]
    assert set(paths_table(studies)["outcome"]) == {"profit", "sales"}
    assert study_region(make_panel(customers, replace(DESIGN, region=None)), 5, rng_of()) == {}
    assert study_region(make_panel(customers, DESIGN), None, rng_of()) == {}
    assert paths_table({}).empty


def test_on_the_shared_file_the_regions_path_is_matched_before_and_not_told_from_chance_after(real_tables):
    table = real_tables["panel"]
    search = {"level": "search", "month": "search"}
    design = find_design(table, {"column": "gender", **search}, {"column": "cust_state", **search})
    found = synthetic_control(region_table(make_panel(table, design), "profit", UNTREATED, 5))
    assert (found.regions, found.left_out) == (13, 14)
    assert found.pre_rmspe < 2
    assert found.effect == pytest.approx(-10.479, abs=0.01)
    assert found.p_value == pytest.approx(4 / 13)
