"""Whole groups of customers: their borders, their gains, their decisions, and the sentence that tells them."""

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from promotions.base.errors import InputError
from promotions.policies.groups import GroupPolicy, fit_groups

SEEDS = st.integers(0, 2**32 - 1)


def fit(values, gain, clusters=None, *, bins=5, rule="mean", **options):
    clusters = np.arange(len(gain)) if clusters is None else clusters
    return fit_groups(values, np.asarray(gain, dtype=float), clusters, bins=bins, rule=rule, **options)


def customers(policy):
    return list(policy.table()["customers"])


@pytest.fixture(scope="module")
def ages():
    """3,000 customers of 18 to 79 whom it pays to treat from 40 to 49 and from 70 on, with noise."""
    rng = np.random.default_rng(1)
    age = rng.integers(18, 80, 3000).astype(float)
    truth = np.where(((age >= 40) & (age < 50)) | (age >= 70), 1.0, -1.0)
    return age, truth, truth + 4 * rng.normal(size=3000)


def test_who_gains_is_found_on_new_customers(ages):
    age, truth, gain = ages
    treated = fit(age[:2000], gain[:2000], bins=12).decide(age[2000:])
    assert treated.dtype == np.bool_
    assert np.mean(treated == (truth[2000:] > 0)) > 0.9


@given(SEEDS, st.integers(1, 6), st.sampled_from(["mean", "lower_bound"]), st.sampled_from(["number", "category"]))
def test_permuting_rows_changes_not_a_bit(seed, bins, rule, kind):
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, 8, 60) / 4
    values = pd.Series(numbers).where(rng.random(60) < 0.9)
    values = values if kind == "number" else values.astype("string")
    # Tenths do not sum exactly, so that many means would be 0 or nearly so depending on the order of adding up.
    gain, clusters = rng.integers(-2, 3, 60) / 10, rng.integers(0, 25, 60)
    order = rng.permutation(60)
    before = fit(values, gain, clusters, bins=bins, rule=rule, least=4)
    after = fit(values.iloc[order], gain[order], clusters[order], bins=bins, rule=rule, least=4)
    assert after == before
    np.testing.assert_array_equal(after.decide(values.iloc[order]), before.decide(values)[order])


@given(SEEDS, st.integers(1, 9), st.integers(1, 25))
def test_every_customer_is_in_one_range_equal_values_in_the_same_and_none_is_small(seed, bins, least):
    rng = np.random.default_rng(seed)
    values = np.floor(rng.exponential(4, 100))
    table = fit(values, np.zeros(100), bins=bins, least=least).table()
    assert len(table) <= bins
    assert table["customers"].sum() == 100
    assert (table["customers"] >= least).all()
    assert (table["from"] <= table["to"]).all()
    assert (table["to"].to_numpy()[:-1] < table["from"].to_numpy()[1:]).all()
    inside = [((values >= low) & (values <= high)).sum() for low, high in zip(table["from"], table["to"], strict=True)]
    assert inside == list(table["customers"])


def test_distinct_values_are_cut_into_equal_groups():
    values = np.random.default_rng(2).permutation(1000) / 7
    assert customers(fit(values, np.zeros(1000), bins=8)) == [125] * 8


def test_a_heavy_value_is_a_group_and_the_others_share_the_rest():
    values = np.concatenate([np.zeros(600), np.arange(1, 401)])
    assert customers(fit(values, np.zeros(1000), bins=5)) == [600, 100, 100, 100, 100]


def test_few_distinct_values_are_a_group_each_however_uneven():
    policy = fit(np.repeat([0, 1, 2, 7], [500, 40, 30, 35]), np.zeros(605), bins=4)
    assert list(policy.table()["group"]) == ["0", "1", "2", "7"]
    assert customers(policy) == [500, 40, 30, 35]


def test_a_value_that_few_customers_have_joins_its_neighbour():
    policy = fit(np.repeat([0, 1, 2, 7], [500, 40, 29, 3]), np.zeros(572), bins=4)
    assert list(policy.table()["group"]) == ["0", "1", "2 and more"]
    assert customers(policy) == [500, 40, 32]


def test_numbers_between_the_groups_belong_to_the_lower_one_and_beyond_them_to_the_outermost():
    policy = fit(np.repeat([10.0, 20.0, 30.0], 40), np.repeat([1.0, -1.0, 1.0], 40), bins=3)
    np.testing.assert_array_equal(policy.decide([-5, 10, 19.9, 20, 29.9, 30, 1e6]), [1, 1, 1, 0, 0, 1, 1])


def test_missing_numbers_are_a_group_of_their_own_and_untreated_if_there_were_none():
    values, gain = np.repeat([1.0, 2.0, np.nan], [50, 50, 4]), np.repeat([-1.0, -1.0, 3.0], [50, 50, 4])
    policy = fit(values, gain, bins=2)
    assert policy.table()["group"].tolist() == ["1", "2", "missing"]
    np.testing.assert_array_equal(policy.decide([1.0, np.nan, np.inf]), [False, True, True])
    assert policy.sentence("age") == "treat where age is missing"
    never = fit(values[:100], -gain[:100], bins=2)
    np.testing.assert_array_equal(never.decide([1.0, np.nan]), [True, False])
    np.testing.assert_array_equal(never.decide(pd.Series([None, None], dtype=object)), [False, False])


def test_a_column_of_missing_values_is_one_group():
    policy = fit(np.full(40, np.nan), np.ones(40))
    assert policy.table()["group"].tolist() == ["missing"]
    np.testing.assert_array_equal(policy.decide([np.nan, 3.0]), [True, False])


def test_levels_are_groups_rare_ones_are_pooled_and_new_ones_join_the_pool():
    level = ["F"] * 60 + ["M"] * 50 + ["U"] * 20 + ["V"] * 15 + [None] * 5
    gain = np.repeat([1.0, -1.0, 2.0, -0.5, -3.0], [60, 50, 20, 15, 5])
    policy = fit(level, gain)
    table = policy.table()
    assert table["group"].tolist() == ["F", "M", "any other level", "missing"]
    assert table["customers"].tolist() == [60, 50, 35, 5]
    assert table["mean_gain"].tolist() == pytest.approx([1, -1, (40 - 7.5) / 35, -3])
    np.testing.assert_array_equal(policy.decide(["F", "M", "V", "never seen", None]), [1, 0, 1, 1, 0])
    assert policy.sentence("gender") == "treat where gender is F or any other level"


def test_without_a_pool_new_levels_are_not_treated():
    policy = fit(["a"] * 40 + ["b"] * 40, np.ones(80))
    np.testing.assert_array_equal(policy.decide(["a", "b", "c", None]), [1, 1, 0, 0])


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(["1", "2"] * 40).astype("category"),
        pd.Series(["1", "2"] * 40, dtype=object),
        np.array(["1", "2"] * 40),
        pd.Series([1, 2] * 40).astype("category"),
    ],
    ids=["category", "object", "array", "whole numbers as a category"],
)
def test_a_category_may_come_in_any_dress(values):
    policy = fit(values, np.tile([1.0, -1.0], 40))
    assert policy.table()["group"].tolist() == ["1", "2"]
    np.testing.assert_array_equal(policy.decide(np.array(["1", "2"])), [True, False])


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([False, True] * 40),
        pd.Series([1, 2] * 40, dtype="Int64"),
        pd.Series(pd.to_datetime(["2024-01-01", "2024-05-01"] * 40)),
        pd.Series([1.5, 2.5] * 40, dtype=object),
    ],
    ids=["boolean", "nullable", "date", "object"],
)
def test_numbers_booleans_and_dates_are_ranges(values):
    policy = fit(values, np.tile([1.0, -1.0], 40))
    assert policy.kind == "number"
    np.testing.assert_array_equal(policy.decide(values), np.tile([True, False], 40))


def test_the_interval_is_that_of_statsmodels_with_students_t(ages):
    age, _, gain = ages
    clusters = np.random.default_rng(3).integers(0, 900, len(age))
    table = fit(age, gain, clusters, bins=4).table()
    for low, high, mean, ci_low, ci_high in table[["from", "to", "mean_gain", "ci_low", "ci_high"]].to_numpy():
        inside = (age >= low) & (age <= high)
        model = sm.OLS(gain[inside], np.ones(inside.sum()))
        expected = model.fit(cov_type="cluster", cov_kwds={"groups": clusters[inside]}, use_t=True)
        assert mean == pytest.approx(expected.params[0], rel=1e-9)
        assert [ci_low, ci_high] == pytest.approx(expected.conf_int()[0], rel=1e-9)


def test_the_cautious_rule_treats_where_the_one_sided_bound_is_positive(ages):
    age, _, gain = ages
    for level in (0.6, 0.9, 0.99):
        table = fit(age, gain, bins=12, rule="lower_bound", level=level).table()
        freedom = table["customers"] - 1
        error = (table["ci_high"] - table["mean_gain"]) / stats.t.ppf(0.975, freedom)
        bound = table["mean_gain"] - stats.t.ppf(level, freedom) * error
        np.testing.assert_array_equal(table["treat"], bound > 0)
    treated = [fit(age, gain, bins=12, rule="lower_bound", level=p).table()["treat"] for p in (0.5, 0.9, 0.999)]
    np.testing.assert_array_equal(treated[0], fit(age, gain, bins=12).table()["treat"])
    assert (treated[2] <= treated[1]).all()
    assert (treated[1] <= treated[0]).all()


def test_of_few_clusters_students_t_asks_for_more_than_the_normal_distribution_would():
    # Three customers whose mean is 1.6 standard errors: t.85 = 1.39, normal .90 = 1.28, t.90 = 1.89.
    gain = 1 + np.array([-1, 0, 1]) * np.sqrt(3) / 1.6
    treated = [fit([1, 1, 1], gain, rule="lower_bound", level=level, least=1).decide([1])[0] for level in (0.85, 0.9)]
    assert treated == [True, False]


def test_a_group_without_effect_is_rarely_treated_by_the_cautious_rule():
    rng = np.random.default_rng(4)
    gain = rng.normal(size=(400, 120))
    treated = [fit(np.tile([0, 1], 60), one, rule="lower_bound").table()["treat"] for one in gain]
    # 10 % of 800, with four standard errors.
    assert np.mean(treated) == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 800))


def test_a_single_cluster_has_no_bound_and_no_cautious_treatment():
    clusters = np.concatenate([np.zeros(40, dtype=int), np.arange(1, 41)])
    gain = np.concatenate([np.ones(40), 1 + np.random.default_rng(5).normal(size=40) / 10])
    values = np.repeat([0.0, 1.0], 40)
    policy = fit(values, gain, clusters, rule="lower_bound")
    assert policy.table()["treat"].tolist() == [False, True]
    assert policy.table()["ci_low"].isna().tolist() == [True, False]
    assert fit(values, gain, clusters).table()["treat"].all()


def test_a_group_that_gains_nothing_is_not_treated():
    assert fit(np.repeat([0, 1], 40), np.repeat([0.0, 1.0], 40)).table()["treat"].tolist() == [False, True]


@pytest.mark.parametrize(
    ("values", "treated", "sentence"),
    [
        ([18, 45, 62, 71], [0, 1, 0, 1], "treat where age is 45 or 71"),
        ([18, 45, 62, 71], [1, 1, 0, 1], "treat where age is up to 45 or 71"),
        ([18, 45, 62, 71], [0, 0, 1, 1], "treat where age is 62 and more"),
        ([18, 45, 62, 71, np.nan], [1, 0, 1, 0, 1], "treat where age is 18, 62 or missing"),
        ([18, 45, 62, 71, np.nan], [1, 1, 1, 1, 0], "treat where age is known"),
        ([18, 45, 62], [1, 1, 1], "treat everybody"),
        ([18, 45, 62], [0, 0, 0], "treat nobody"),
        ([1.5, 2.5, 3.5, 4.5], [0, 1, 1, 0], "treat where age is 2.5 to below 4.5"),
        ([1.5, 2.5, 3.5, 4.5], [1, 1, 0, 1], "treat where age is below 3.5 or 4.5"),
    ],
)
def test_the_rule_is_told_in_a_sentence(values, treated, sentence):
    gain = np.where(treated, 1.0, -1.0)
    assert fit(np.repeat(values, 40), np.repeat(gain, 40), bins=4).sentence("age") == sentence


def test_bins_of_many_whole_numbers_name_their_first_and_last():
    age = np.tile(np.arange(18.0, 82.0), 10)
    policy = fit(age, np.where(((age >= 34) & (age < 50)) | (age >= 66), 1.0, -1.0), bins=4)
    assert policy.sentence("age") == "treat where age is 34 to 49 or 66 and more"
    assert policy.table()["group"].tolist() == ["up to 33", "34 to 49", "50 to 65", "66 and more"]


@pytest.mark.parametrize("kind", ["number", "category", "one cluster"])
def test_a_policy_survives_json(ages, kind):
    age, _, gain = ages
    values = pd.Series(age).where(age > 20)
    values = values.map(lambda years: f"{years // 10:.0f}0s", na_action="ignore") if kind == "category" else values
    policy = fit(values, gain, np.zeros(3000, dtype=int) if kind == "one cluster" else None, rule="lower_bound")
    again = GroupPolicy.from_json(json.loads(json.dumps(policy.to_json(), allow_nan=False)))
    assert again == policy
    pd.testing.assert_frame_equal(again.table(), policy.table())
    np.testing.assert_array_equal(again.decide(values), policy.decide(values))


def test_zeros_of_either_sign_are_written_alike():
    zeros = np.repeat([0.0, -0.0], 40)
    one, other = (json.dumps(fit(values, np.ones(80)).to_json()) for values in (zeros, zeros[::-1]))
    assert one == other


@pytest.mark.parametrize("seen", ["numbers", "levels"])
def test_a_column_that_changed_its_kind_is_refused(seen):
    numbers, levels = np.repeat([1.0, 2.0], 40), np.repeat(["a", "b"], 40)
    train, new = (numbers, levels) if seen == "numbers" else (levels, numbers)
    with pytest.raises(InputError, match=r"policy\.groups: the column holds .* where training had a"):
        fit(train, np.ones(80)).decide(new)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bins": 0}, r"policy\.groups\.bins: expected a whole number of 1 or more, got 0"),
        ({"rule": "median"}, r"policy\.groups\.rule: 'median' is unknown; it is one of mean, lower_bound"),
        ({"level": 1.0}, r"policy\.groups\.level: expected a number in \[0\.5, 1\), got 1\.0"),
        ({"least": 0}, r"policy\.groups\.least: expected a whole number of 1 or more, got 0"),
        ({"values": [1.0]}, r"policy\.groups: expected one value, one gain and one cluster .* got 1 values"),
        ({"clusters": np.arange(3)}, r"and 3 clusters"),
        ({"gain": [1.0, np.nan]}, r"policy\.groups: gain has the shape \(2,\) and 1 values that are not finite"),
        ({"values": [], "gain": []}, r"at least one customer, got 0 values"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(change, message):
    with pytest.raises(InputError, match=message) as error:
        fit(**({"values": [1.0, 2.0], "gain": [1.0, -1.0]} | change))
    assert "\n" not in str(error.value)
