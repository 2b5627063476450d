"""The simulation has the layout of real files, the traps that it promises, and the truth that it states."""

import numpy as np
import pandas as pd
import pytest

from promotions.base.errors import InputError
from promotions.discount.prepare.identity import check_identity, stated_margins
from promotions.discount.prepare.post_treatment import barred_columns, post_treatment_table
from promotions.discount.prepare.simulated import (
    AGES,
    CUTOFF,
    LEVEL_SHARES,
    LEVELS,
    POST_TREATMENT,
    ROLES,
    age_shares,
    draw_cutoff,
    draw_observational,
    draw_panel,
    draw_randomised,
    response,
    simulate,
    tenths,
    truth,
)
from promotions.discount.prepare.tables import typed_tables

SIZES = {"observational": 4000, "randomised": 3000, "cutoff": 3000, "panel": 6000}
MANY = 200_000


@pytest.fixture(scope="module")
def drawn():
    return simulate(SIZES, np.random.default_rng(1))


@pytest.fixture(scope="module")
def facts():
    return truth()


@pytest.fixture(scope="module")
def log():
    """A log so long that its regressions are the population's."""
    return draw_observational(MANY, np.random.default_rng(2))


@pytest.fixture(scope="module")
def test():
    return draw_randomised(MANY, np.random.default_rng(3))


def regression(y, *columns):
    """The coefficient of the first column beside the others and a constant, and its robust standard error."""
    x = np.column_stack([*columns, np.ones(len(y))])
    inverse = np.linalg.inv(x.T @ x)
    coefficients = inverse @ (x.T @ y)
    residual = y - x @ coefficients
    variance = (inverse @ ((x * residual[:, None] ** 2).T @ x) @ inverse)[0, 0]
    return coefficients[0], np.sqrt(max(variance, 0.0))


def agrees(found, expected, sigmas=4.0):
    estimate, error = found
    assert abs(estimate - expected) < sigmas * error, (estimate, expected, error)


# ── layout ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tables_have_the_sizes_asked_for_and_the_columns_of_the_real_files(drawn, real_tables):
    for role in ROLES:
        assert len(drawn.tables[role]) == SIZES[role]
        assert set(drawn.tables[role]) == set(real_tables[role])


def test_tables_are_read_like_a_users_and_profit_is_margin_times_sales_minus_discount(drawn):
    names = dict.fromkeys(ROLES, "simulated")
    tables = typed_tables(drawn.tables, "tenure", names)
    found = check_identity(tables, names, "stop")
    assert stated_margins(found) == dict.fromkeys(found, 0.05)
    assert sum(each.beyond_a_cent for each in found.values()) == 0
    assert set(tables["cutoff"]["gender"].dropna()) == {"0", "1"}
    assert set(tables["panel"]["gender"].dropna()) == {"W", "M", "O"}


def test_the_same_seed_gives_the_same_tables_and_another_one_others(drawn):
    again = simulate(SIZES, np.random.default_rng(1))
    other = simulate(SIZES, np.random.default_rng(2))
    for role in ROLES:
        pd.testing.assert_frame_equal(again.tables[role], drawn.tables[role])
        assert not other.tables[role]["sales"].equals(drawn.tables[role]["sales"])
    assert again.truth == other.truth


def test_the_size_of_a_table_changes_no_other(drawn):
    smaller = simulate(SIZES | {"observational": 500}, np.random.default_rng(1))
    for role in ("randomised", "cutoff", "panel"):
        pd.testing.assert_frame_equal(smaller.tables[role], drawn.tables[role])


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (SIZES | {"panel": 499}, r"discount\.simulated\.panel: expected a whole number of 500 or more, got 499"),
        (SIZES | {"panel": None}, r"discount\.simulated\.panel: expected a whole number"),
        ({"panel": 500}, r"discount\.simulated\.observational is missing"),
        (SIZES | {"log": 500}, r"discount\.simulated\.log is unknown"),
    ],
)
def test_a_wrong_size_is_named(sizes, message):
    with pytest.raises(InputError, match=message):
        simulate(sizes, np.random.default_rng(1))


def test_marginals_resemble_the_real_ones(real_tables):
    rng = np.random.default_rng(4)
    simulated = {
        "observational": draw_observational(20_000, rng),
        "randomised": draw_randomised(20_000, rng)[0],
        "cutoff": draw_cutoff(20_000, rng),
        "panel": draw_panel(20_000, rng),
    }
    for role, table in simulated.items():
        real = real_tables[role]
        for name, tolerance in (("age", 0.03), ("tenure", 0.03)):
            assert table[name].mean() == pytest.approx(real[name].mean(), rel=tolerance)
            assert table[name].std() == pytest.approx(real[name].std(), rel=2 * tolerance)
        assert table["gender"].isna().mean() == pytest.approx(real["gender"].isna().mean(), abs=0.015)
        shares = pd.concat([frame["cust_state"].value_counts(normalize=True) for frame in (table, real)], axis=1)
        assert shares.diff(axis=1).abs().max(axis=None) < 0.01
    assert simulated["panel"]["month"].mean() == pytest.approx(real_tables["panel"]["month"].mean(), rel=0.03)
    undiscounted = [
        frame.loc[frame["discount"] == 0, "profit"] for frame in (simulated["randomised"], real_tables["randomised"])
    ]
    assert undiscounted[0].mean() == pytest.approx(undiscounted[1].mean(), rel=0.05)
    for name in ("spend_1m_groceries", "spend_1m_clothes", "spend_2m_baby", "spend_1m_pet"):
        bought = [(frame[name] > 0).mean() for frame in (simulated["randomised"], real_tables["randomised"])]
        assert bought[0] == pytest.approx(bought[1], rel=0.2)


# ── the road the pipeline walks ──────────────────────────────────────────────────────────────────────────────────────


def test_signs_are_those_of_the_real_files(facts):
    assert facts["slope_profit_naive"] > 0.05
    assert facts["slope_profit_log"] < facts["slope_profit_bins_age"] + 0.005 < facts["slope_profit_bins"] < 0
    assert facts["slope_profit_randomised"] < -0.02
    assert facts["effect_above_30"] < 0
    assert facts["jump_discount"] > 0 > facts["jump_profit"]
    assert facts["did_effect"] < 0
    assert facts["region_effect"] < 0


def test_profit_is_u_shaped_on_average_so_an_interior_extreme_of_a_parabola_is_its_minimum():
    gain = 0.05 * age_shares() @ response(LEVELS, AGES[:, None]) - LEVELS
    assert 40 < LEVELS[gain.argmin()] < 110
    assert gain[-1] - gain.min() > 5
    assert gain[0] == 0 == gain.max()
    convex, slope, _ = np.polyfit(LEVELS, gain, 2, w=np.sqrt(LEVEL_SHARES))
    assert convex > 0
    assert 0 < -slope / (2 * convex) < LEVELS[-1]


def test_a_discount_pays_for_the_older_only_and_a_personal_dose_beats_the_best_constant(facts):
    best = (0.05 * response(LEVELS, AGES[:, None]) - LEVELS).max(axis=1)
    assert (best[AGES <= 34] == 0).all()
    assert (best[AGES >= 38] > 10).all()
    assert (best[AGES == 35] + best[AGES == 36] < 10).all()
    assert facts["best_level"] == 0
    assert facts["oracle_lead"] > 4
    older = 0.05 * response(120.0, AGES) - 120
    assert age_shares() @ np.where(AGES > 37, older, 0) > 2


def test_the_lead_of_a_simple_rule_is_found_among_5000_customers():
    """120 for customers above 37 against no discount: difference of Hájek means, weights 1/share of the level given."""
    frame, _ = draw_randomised(5000, np.random.default_rng(5))
    dose, profit = frame["discount"].to_numpy(), frame["profit"].to_numpy()
    parts = []
    for rule in (np.where(frame["age"] > 37, 120.0, 0.0), np.zeros(5000)):
        share = LEVEL_SHARES[np.searchsorted(LEVELS, rule)]
        weight = (dose == rule) / share
        value = weight @ profit / weight.sum()
        parts.append((value, weight * (profit - value) / weight.sum()))
    difference, influence = parts[0][0] - parts[1][0], parts[0][1] - parts[1][1]
    assert difference - 1.96 * np.sqrt((influence**2).sum()) > 0


def test_planted_columns_are_barred_and_no_other(drawn):
    for seed in range(4):
        frame, _ = draw_randomised(5000, np.random.default_rng(seed))
        table = post_treatment_table(frame, 0.01)
        assert set(barred_columns(table, {"randomised": frame})) == set(POST_TREATMENT)
    assert drawn.truth["post_treatment"].split(",") == list(POST_TREATMENT)


def test_who_controls_for_a_planted_column_takes_the_effect_away(test, facts):
    frame, _ = test
    sales, dose = frame["sales"].to_numpy(), frame["discount"].to_numpy()
    groceries = sum(frame[f"spend_{month}m_groceries"].to_numpy() for month in range(3, 7))
    estimate, error = regression(sales, dose, groceries)
    assert estimate + 20 * error < facts["slope_sales_randomised"]
    agrees(regression(sales, dose, frame["spend_1m_groceries"].to_numpy()), facts["slope_sales_randomised"])


# ── the tables' designs ──────────────────────────────────────────────────────────────────────────────────────────────


def test_levels_are_drawn_by_lot_with_their_shares(test):
    frame, _ = test
    counts = frame["discount"].value_counts().reindex(LEVELS)
    np.testing.assert_allclose(counts / MANY, LEVEL_SHARES, atol=5 * np.sqrt(0.16 / MANY))


def test_expected_sales_are_those_of_the_customers_at_each_level(test):
    frame, expected = test
    assert expected.columns.tolist() == ["row", *(f"sales_{level:g}" for level in LEVELS)]
    assert expected["row"].tolist() == list(range(MANY))
    for level in LEVELS:
        given = frame["discount"].to_numpy() == level
        off = (frame["sales"] - expected[f"sales_{level:g}"])[given]
        agrees((off.mean(), off.std() / np.sqrt(given.sum())), 0)
    assert (expected["sales_160"] > expected["sales_0"]).all()


def test_the_company_gives_more_to_those_of_whom_it_expects_more(log):
    means = log.groupby("sales_prediction_bins")["discount"].mean()
    assert means.is_monotonic_increasing
    assert means.iloc[-1] - means.iloc[0] > 60
    np.testing.assert_allclose(log["sales_prediction_bins"].value_counts() / MANY, 0.1, atol=1e-4)
    assert np.corrcoef(log["sales_prediction"], log["age"])[0, 1] > 0.2
    # Enough overlap to learn from: old customers without much of a discount, and with a large one.
    old = log.loc[log["age"] > 38, "discount"]
    assert (old < 30).mean() > 0.03
    assert (old > 115).mean() > 0.03


def test_above_the_cutoff_a_high_discount_is_likely_and_nothing_else_jumps():
    frame = draw_cutoff(40_000, np.random.default_rng(6))
    assert (frame["discount"] == frame["discount"].round()).all()
    above = frame["tenure"] > CUTOFF
    high = frame["discount"] > 50
    assert 0.03 < high[~above].mean() < 0.1
    assert 0.75 < high[above].mean() < 0.9
    for name in ("age", "spend_1m_groceries", "spend_2m_clothes"):
        agrees(regression(frame[name].to_numpy(), above.to_numpy(float), frame["tenure"].to_numpy()), 0)


def test_in_the_panel_women_and_one_region_are_treated_and_missing_gender_hides_women():
    frame = draw_panel(40_000, np.random.default_rng(7))
    late, region = frame["month"] >= 5, (frame["cust_state"] == "MG") & (frame["month"] >= 11)
    known = frame["gender"].notna()
    women = frame["gender"].eq("W").fillna(False).astype(bool)
    expected = 25.0 * (women & late) + 25.0 * region
    assert (frame["discount"] == expected)[known].all()
    hidden = frame[~known & late & ~region]
    assert hidden["discount"].isin([0, 25]).all()
    assert hidden["discount"].eq(25).mean() == pytest.approx(0.46, abs=0.04)
    assert set(frame["month"]) == set(range(20))
    assert frame.groupby(["cust_state", "month"]).size().loc["MG"].min() > 5


# ── the truth ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_age_shares_are_a_law():
    assert age_shares().sum() == pytest.approx(1, abs=1e-12)
    assert (age_shares() > 0).all()


def test_no_discount_adds_nothing():
    assert (response(0.0, AGES) == 0).all()


def test_tenths_are_tenths():
    values = np.random.default_rng(1).normal(size=1000)
    assert (np.bincount(tenths(values)) == 100).all()
    assert (np.diff(tenths(np.sort(values))) >= 0).all()


@pytest.mark.parametrize("outcome", ["sales", "profit"])
def test_slopes_in_the_test_are_the_stated_ones(test, facts, outcome):
    frame, _ = test
    agrees(regression(frame[outcome].to_numpy(), frame["discount"].to_numpy()), facts[f"slope_{outcome}_randomised"])
    high = (frame["discount"] > 30).to_numpy(float)
    if outcome == "profit":
        agrees(regression(frame["profit"].to_numpy(), high), facts["effect_above_30"])


@pytest.mark.parametrize("outcome", ["sales", "profit"])
def test_slopes_in_the_log_are_the_stated_ones(log, facts, outcome):
    y, dose, age = (log[name].to_numpy() for name in (outcome, "discount", "age"))
    bins = pd.get_dummies(log["sales_prediction_bins"], drop_first=True).to_numpy(float)
    agrees(regression(y, dose), facts[f"slope_{outcome}_naive"])
    agrees(regression(y, dose, bins), facts[f"slope_{outcome}_bins"])
    agrees(regression(y, dose, bins, age), facts[f"slope_{outcome}_bins_age"])
    # Within every tenth and age: the partially linear coefficient with all that decides the discount.
    cells = log.groupby(["sales_prediction_bins", "age"])
    d = dose - cells["discount"].transform("mean")
    agrees(regression((y - cells[outcome].transform("mean")).to_numpy(), d.to_numpy()), facts[f"slope_{outcome}_log"])


def test_the_average_slope_of_the_log_is_the_stated_one(log, facts):
    cells = log.groupby(["sales_prediction_bins", "age"])
    d = log["discount"] - cells["discount"].transform("mean")
    size = cells["sales"].transform("size")
    variance = (d**2).groupby([log["sales_prediction_bins"], log["age"]]).transform("mean")
    large = (size > 30).to_numpy()
    each = (d * (log["sales"] - cells["sales"].transform("mean")) / variance)[large]
    # What is left out are cells of few customers, three in a hundred.
    assert large.mean() > 0.96
    assert each.mean() == pytest.approx(facts["slope_sales_log_average"], abs=0.12)


def test_jumps_at_the_cutoff_are_the_stated_ones(facts):
    frame = draw_cutoff(MANY, np.random.default_rng(8))
    tenure = frame["tenure"].to_numpy()
    for name in ("discount", "sales", "profit"):
        agrees(regression(frame[name].to_numpy(), (tenure > CUTOFF).astype(float), tenure), facts[f"jump_{name}"])
    assert facts["effect_per_dollar_at_cutoff"] == pytest.approx(facts["jump_profit"] / facts["jump_discount"])
    assert facts["sales_per_dollar_at_cutoff"] == pytest.approx(facts["jump_sales"] / facts["jump_discount"])


@pytest.mark.parametrize(("outcome", "suffix"), [("profit", ""), ("sales", "_sales")])
def test_effects_in_the_panel_are_the_stated_ones(facts, outcome, suffix):
    frame = draw_panel(MANY, np.random.default_rng(9))
    outside = frame[frame["gender"].notna() & (frame["cust_state"] != "MG")]
    woman, late = outside["gender"].eq("W").to_numpy(float), (outside["month"] >= 5).to_numpy(float)
    month = outside["month"].to_numpy()
    agrees(regression(outside[outcome].to_numpy(), woman * late, woman, late, month), facts[f"did_effect{suffix}"])
    later = frame[frame["month"] >= 5]
    region, after = later["cust_state"].eq("MG").to_numpy(float), (later["month"] >= 11).to_numpy(float)
    found = regression(later[outcome].to_numpy(), region * after, region, after, later["month"].to_numpy())
    agrees(found, facts[f"region_effect{suffix}"])


def test_who_counts_missing_gender_as_no_woman_loses_part_of_the_difference():
    frame = draw_panel(MANY, np.random.default_rng(10))
    frame = frame[frame["cust_state"] != "MG"]

    def difference(rows):
        woman, late = rows["gender"].eq("W").fillna(False).to_numpy(float), (rows["month"] >= 5).to_numpy(float)
        return regression(rows["discount"].to_numpy(), woman * late, woman, late)[0]

    assert difference(frame[frame["gender"].notna()]) == pytest.approx(25)
    # A tenth of all customers, 46 of 100 of them women, among 586 of 1,000 counted as controls.
    assert difference(frame) == pytest.approx(25 * (1 - 0.046 / 0.586), abs=0.1)


def test_an_interval_of_the_randomised_slope_covers_the_truth_at_its_nominal_rate(facts):
    covered = 0
    for seed in range(150):
        frame, _ = draw_randomised(700, np.random.default_rng([seed, 1]))
        estimate, error = regression(frame["profit"].to_numpy(), frame["discount"].to_numpy())
        covered += abs(estimate - facts["slope_profit_randomised"]) < 1.96 * error
    assert covered / 150 == pytest.approx(0.95, abs=0.05)
