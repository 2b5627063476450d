"""Columns that depend on a randomised dose are found, whatever they look like; others are not, at the nominal rate."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from promotions.base.errors import InputError
from promotions.discount.prepare.post_treatment import (
    _Doses,
    _tests,
    _two_sided,
    barred_columns,
    can_be_tested,
    distribution_test,
    mean_test,
    post_treatment_metrics,
    post_treatment_table,
    post_treatment_text,
)

N = 1000
LEVELS = 10.0 * np.arange(17)
SHARES = 0.86 ** np.arange(17) / (0.86 ** np.arange(17)).sum()


def levels(rng, n=N):
    return rng.choice(LEVELS, n, p=SHARES)


def halves(rng, n=N):
    return rng.choice([0.0, 50.0], n)


def rarely(rng, n=N):
    return rng.choice([0.0, 50.0], n, p=[0.95, 0.05])


def heavy(rng, n=N):
    return np.abs(rng.standard_cauchy(n))


def normal(rng, n=N):
    return rng.normal(size=n)


def heavy_tailed(rng, n=N):
    return rng.standard_cauchy(n)


def mostly_zero(rng, n=N):
    return np.where(rng.random(n) < 0.05, np.exp(2 * rng.normal(size=n)), 0)


def counts(rng, n=N):
    return rng.poisson(0.7, n).astype(float)


def partly_missing(rng, n=N):
    return np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))


def towns(rng, n=N):
    return rng.choice(list("abcdefg"), n, p=[0.4, 0.3, 0.15, 0.1, 0.04, 0.009, 0.001])


def p_values(column, dose):
    return [p_value for _, _, p_value in _tests(pd.Series(column), _Doses.of(dose))]


def randomised(columns, dose):
    n = len(dose)
    return pd.DataFrame({"row": np.arange(n), "sales": 1.0, "discount": dose, "profit": 1.0, **columns})


# ── what is independent of the dose ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("dose", "column"),
    [
        (levels, normal),
        (levels, heavy_tailed),
        (levels, mostly_zero),
        (levels, counts),
        (levels, towns),
        (levels, partly_missing),
        (halves, mostly_zero),
        (rarely, heavy_tailed),
        (rarely, counts),
        (heavy, heavy_tailed),
        (heavy, towns),
    ],
)
def test_of_an_independent_column_both_p_values_are_uniform(dose, column):
    found = []
    for seed in range(300):
        rng = np.random.default_rng([seed, 11])
        found.append(p_values(column(rng), dose(rng)))
    for each in np.array(found).T:
        for level, tolerance in ((0.01, 0.02), (0.05, 0.04), (0.2, 0.075), (0.5, 0.09), (0.9, 0.06)):
            assert np.mean(each <= level) == pytest.approx(level, abs=tolerance)


def test_a_clean_table_has_a_barred_column_as_often_as_alpha_says():
    alpha, barred = 0.1, 0
    for seed in range(200):
        rng = np.random.default_rng([seed, 12])
        columns = {f"{make.__name__}{k}": make(rng, 400) for k in range(2) for make in (normal, counts, heavy_tailed)}
        table = post_treatment_table(randomised(columns, levels(rng, 400)), alpha)
        barred += table["barred"].any()
    # Two tests of a column say nearly the same, so Holm's correction may be on the safe side.
    assert 0.03 <= barred / 200 <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 200)


def test_the_mean_test_is_exact_in_its_three_moments():
    """Against all 5,040 orders of the doses, with values so few that none is cut off."""
    x = np.array([0.0, 0, 1, 1, 2, 9, 4])
    dose = np.array([0.0, 0, 0, 10, 10, 20, 90])
    r = stats.rankdata(dose) - 4
    every = np.array([(x - x.mean()) @ np.array(order) for order in permutations(r)])
    n, a = 7, x - x.mean()
    assert every.mean() == pytest.approx(0, abs=1e-9)
    assert (every**2).mean() == pytest.approx((a @ a) * (r @ r) / (n - 1))
    assert (every**3).mean() == pytest.approx(n / ((n - 1) * (n - 2)) * (a**3).sum() * (r**3).sum())


@pytest.mark.parametrize("seed", range(6))
def test_the_mean_test_agrees_with_permutations_of_what_is_left_after_the_cut(seed):
    """Half of the customers bought, for any sum; eight percent got a discount, the four best among them."""
    rng = np.random.default_rng(seed)
    x, dose = np.where(rng.random(600) < 0.5, np.exp(2 * rng.normal(size=600)), 0), 50.0 * (rng.random(600) < 0.08)
    dose[np.argsort(-x)[:4]] = 50
    r = stats.rankdata(dose) - 300.5
    ends = int(np.ceil(5 * 600 * (r**2).max() / (r @ r)))
    cut = np.clip(x, np.sort(x)[ends - 1], np.sort(x)[600 - ends])
    drawn = rng.permuted(np.tile(r, (20_000, 1)), axis=1) @ cut
    expected = np.mean(np.abs(drawn) >= abs(r @ cut) * (1 - 1e-12))
    assert expected < 1
    assert mean_test(x, dose) == pytest.approx(expected, rel=0.15, abs=0.003)


@pytest.mark.parametrize("distance", [0.0, 0.7, 2.5, 6.0])
def test_the_gamma_law_is_the_normal_one_without_skew_and_alike_for_either_sign(distance):
    expected = 2 * stats.norm.sf(distance)
    assert _two_sided(distance, 0.0) == pytest.approx(expected)
    assert _two_sided(distance, 2e-3) == pytest.approx(expected, rel=1e-2)
    assert _two_sided(distance, 0.8) == _two_sided(distance, -0.8)
    law = stats.pearson3(0.8)
    assert _two_sided(distance, 0.8) == pytest.approx(law.sf(distance) + law.cdf(-distance), rel=1e-9)


def test_the_distribution_test_is_pearsons_and_of_levels_kruskals():
    rng = np.random.default_rng(1)
    codes, groups = rng.choice(4, 3000), rng.choice(3, 3000)
    expected = stats.chi2_contingency(pd.crosstab(codes, groups), correction=False)
    strength, p_value = distribution_test(codes, groups)
    assert p_value == pytest.approx(expected.pvalue)
    assert strength == pytest.approx(stats.contingency.association(pd.crosstab(codes, groups), method="cramer"))
    dose, town = levels(rng, 3000), rng.choice(list("abc"), 3000)
    kruskal = stats.kruskal(*(dose[town == each] for each in "abc"))
    assert p_values(town, dose)[0] == pytest.approx(kruskal.pvalue)


def test_of_two_halves_without_extremes_the_mean_test_is_the_permutation_t_test():
    rng = np.random.default_rng(3)
    x, dose = counts(rng, 2000), halves(rng, 2000)
    x += 0.08 * (dose > 0)
    expected = stats.ttest_ind(x[dose == 0], x[dose > 0]).pvalue
    assert 0.0001 < expected < 0.5
    assert mean_test(x, dose) == pytest.approx(expected, rel=0.05)


# ── what depends on the dose ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_shift_of_the_mean_is_found_in_any_company():
    rng = np.random.default_rng(1)
    dose = levels(rng, 3000)
    for column in (normal(rng, 3000) + dose / 300, counts(rng, 3000) + rng.poisson(dose / 300)):
        assert p_values(column, dose)[0] < 1e-6
    assert p_values(heavy_tailed(rng, 3000) + dose / 50, dose)[1] < 1e-6


def test_a_change_of_spread_of_missingness_of_zeros_or_of_a_level_alone_is_found():
    rng = np.random.default_rng(2)
    dose = levels(rng, 4000)
    spread = rng.normal(size=4000) * (1 + dose / 100)
    assert p_values(spread, dose)[0] > 0.01
    assert p_values(spread, dose)[1] < 1e-6
    answered = np.where(rng.random(4000) < 0.1 + dose / 500, np.nan, rng.normal(size=4000))
    assert p_values(answered, dose)[1] < 1e-6
    bought = np.where(rng.random(4000) < 0.03 + dose / 1500, np.exp(rng.normal(size=4000)), 0)
    assert min(p_values(bought, dose)) < 1e-6
    where = towns(rng, 4000).astype(object)
    where[(where == "d") & (dose > 60)] = "a"
    assert min(p_values(where, dose)) < 1e-6


def test_a_dependence_that_goes_up_and_down_again_is_found_by_the_distribution():
    rng = np.random.default_rng(3)
    dose = rng.choice([0.0, 10, 20], 3000)
    bent = rng.normal(size=3000) + 0.5 * (dose == 10)
    assert p_values(bent, dose)[0] > 0.001
    assert p_values(bent, dose)[1] < 1e-9


def test_neither_the_scale_of_doses_nor_one_outlier_decides():
    rng = np.random.default_rng(4)
    dose, column = levels(rng), mostly_zero(rng)
    assert p_values(column, np.exp(dose / 20)) == p_values(column, dose)
    outlier = normal(rng)
    outlier[dose.argmax()] = 1e12
    assert min(p_values(outlier, dose)) > 0.001


def test_permuting_rows_changes_no_row_of_the_table():
    rng = np.random.default_rng(6)
    dose = levels(rng, 2000)
    frame = randomised(
        {"a": normal(rng, 2000) + dose / 200, "b": towns(rng, 2000), "c": partly_missing(rng, 2000)}, dose
    )
    before = post_treatment_table(frame, 0.01)
    after = post_treatment_table(frame.sample(frac=1, random_state=1), 0.01)
    pd.testing.assert_frame_equal(before, after, rtol=1e-9)


# ── corners ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_too_little_to_tell_is_not_a_number_and_a_constant_is_certain():
    rng = np.random.default_rng(7)
    dose = levels(rng)
    few = np.zeros(N)
    few[:6] = 100
    assert np.isnan(p_values(few, dose)).all()
    for constant in (np.ones(N), np.full(N, np.nan), np.full(N, "x")):
        assert p_values(constant, dose) == [1, 1]
    names = [f"c{number}" for number in range(N)]
    assert np.isnan(p_values(names, dose)).all()


def test_a_dose_given_to_hardly_anybody_joins_its_neighbours():
    dose = np.repeat([0.0, 10, 20, 400], [400, 400, 195, 5])
    groups = _Doses.of(dose).groups
    assert np.bincount(groups).min() >= 100
    assert (np.diff(groups) >= 0).all()
    assert _Doses.of(np.repeat([0.0, 10], [995, 5])).groups.tolist() == [0] * 995 + [1] * 5


def test_a_column_that_is_the_dose_could_not_be_more_certain():
    dose = levels(np.random.default_rng(8), 5000)
    table = post_treatment_table(randomised({"again": dose}, dose), 0.01)
    assert table["statistic"][0] == pytest.approx(1)
    assert (table["p_value"] < 1e-300).all()
    assert table["why"][0] == (
        "depends on a discount given by lot (correlation 1.00, corrected p < 1e-300), so it was measured after it: "
        "barred everywhere"
    )


@pytest.mark.parametrize("frame", [randomised({"a": np.arange(5.0)}, np.full(5, 10.0)), randomised({}, np.empty(0))])
def test_without_two_doses_nothing_can_be_tested_and_only_the_list_bars(frame):
    assert not can_be_tested(frame)
    table = post_treatment_table(frame, 0.01, ["a"])
    assert table["test"].tolist() == ["by hand"]
    assert table["barred"].all()
    told = post_treatment_text(["a"], frame)
    assert told.endswith("columns measured after the discount cannot be found, barred: a")
    assert told.startswith("one discount only in" if len(frame) else "no randomised table")
    assert post_treatment_metrics(table, ["a"])["columns_tested"] == 0
    empty = post_treatment_table(frame, 0.01)
    assert empty.empty
    assert empty.columns.tolist() == table.columns.tolist()


@pytest.mark.parametrize("alpha", [0, 1, -0.1, "0.01", True, None])
def test_alpha_is_a_share(alpha):
    with pytest.raises(InputError, match=r"discount\.checks\.alpha"):
        post_treatment_table(randomised({}, np.array([0.0, 1])), alpha)


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_holds_two_rows_a_column_under_one_correction_and_the_barred_first():
    rng = np.random.default_rng(9)
    dose = levels(rng, 3000)
    columns = {
        "town": towns(rng, 3000),
        "age": normal(rng, 3000),
        "later": counts(rng, 3000) + rng.poisson(dose / 100),
        "spread": rng.normal(size=3000) * (1 + dose / 50),
        "rare": np.where(np.arange(3000) < 3, 1.0, 0),
        "listed": normal(rng, 3000),
    }
    table = post_treatment_table(randomised(columns, dose), 0.01, ["listed", "elsewhere"])
    assert table.columns.tolist() == ["column", "test", "statistic", "p_value", "p_value_holm", "barred", "why"]
    assert set(table["column"]) == {*columns, "elsewhere"}
    assert set(table.loc[table["barred"], "column"]) == {"later", "spread", "listed", "elsewhere"}
    assert not table["barred"].is_monotonic_increasing
    assert table["barred"].is_monotonic_decreasing
    tested = table[table["test"] != "by hand"]
    expected = multipletests(tested["p_value"].fillna(1.0), method="holm")[1]
    np.testing.assert_allclose(tested["p_value_holm"], expected, rtol=1e-9)
    why = table.drop_duplicates("column").set_index("column")["why"]
    assert why["later"].startswith("depends on a discount given by lot (correlation 0.")
    assert why["spread"].startswith("its distribution depends on a discount given by lot (V = 0.")
    assert why["listed"] == why["elsewhere"] == "listed in discount.exclude: barred everywhere"
    assert why["age"] == why["town"] == "no sign that it depends on the discount"
    assert why["rare"] == "too few customers differ in it to tell"
    tables = {"observational": pd.DataFrame(columns=["elsewhere", "spread"]), "randomised": randomised(columns, dose)}
    barred = barred_columns(table, tables)
    assert barred == ["elsewhere", "spread", "later", "listed"]
    metrics = post_treatment_metrics(table, barred)
    assert metrics["barred"] == "elsewhere,spread,later,listed"
    assert (metrics["n_barred"], metrics["columns_tested"], metrics["columns_too_rare"]) == (4, 6, 1)
    assert list(metrics["p_values"]) == ["spread", "later", "listed"]
    assert metrics["p_values"]["later"] < 0.01 < metrics["least_p_value_kept"]
    assert post_treatment_text(barred, randomised(columns, dose)) == "barred: elsewhere, spread, later, listed"


# ── the real file ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_in_the_real_file_later_groceries_depend_on_the_dose_and_what_came_before_does_not(real_tables):
    frame = real_tables["randomised"]
    table = post_treatment_table(frame, 0.01)
    barred = set(barred_columns(table, {"randomised": frame}))
    assert {f"spend_{month}m_groceries" for month in (3, 4, 5, 6)} <= barred
    before = {name for name in frame if name.startswith("spend_1m")}
    assert barred.isdisjoint({*before, "spend_2m_groceries", "age", "gender", "cust_state", "tenure"})
    correlation = table[table["test"] == "mean"].set_index("column")["statistic"]
    for month in (3, 4, 5, 6):
        assert 0.41 < correlation[f"spend_{month}m_groceries"] < 0.47


def test_in_the_real_file_with_doses_dealt_anew_nothing_is_barred(real_tables):
    frame = real_tables["randomised"].drop(columns=["sales", "profit"])
    rng = np.random.default_rng(1)
    barred = 0
    for _ in range(25):
        anew = frame.assign(discount=rng.permutation(frame["discount"].to_numpy()))
        barred += post_treatment_table(anew, 0.05)["barred"].any()
    assert barred <= 5, "25 times at five percent: more than five have a chance of one in 800"
