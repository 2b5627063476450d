"""What policies earn: identities that hold for any numbers, and intervals that cover."""

from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from promotions.economics import Economics
from promotions.evaluation.value import Gain, PolicyValue, evaluate_policies, mean_profits, self_normalised
from promotions.inference.clusters import cluster_codes
from promotions.inference.estimates import Estimate
from promotions.scores import Scores, make_scores

SEEDS = st.integers(0, 2**32 - 1)
MONEY = st.floats(0, 1e4, allow_subnormal=False)
CONSTANTS = np.array([[True, False]])


def draw_scores(seed, n=60):
    rng = np.random.default_rng(seed)
    propensity = rng.uniform(0.1, 0.9, n)
    treatment = (rng.random(n) < propensity).astype(np.int8)
    treatment[:2] = 0, 1
    return make_scores(rng.normal(size=n), treatment, propensity, rng.normal(size=n), rng.normal(size=n))


def draw_decisions(seed, n=60):
    chosen = np.random.default_rng([seed, 1]).random(n) < 0.4
    return pd.DataFrame({"treat_all": np.ones(n, int), "treat_none": np.zeros(n, int), "some": chosen.astype(int)})


def evaluate(scores, decisions, economics, clusters=None, replicates=200):
    clusters = np.arange(len(decisions)) if clusters is None else clusters
    return evaluate_policies(scores, decisions, economics, clusters, replicates, np.random.default_rng(5))


def rows(scores, order):
    return Scores(scores.weight[order], scores.ips[order], scores.dr[order])


def numbers(value):
    """Every number of a policy's value; NaN where there is none."""
    return np.hstack([np.ravel(np.asarray(part, dtype=np.float64)) for part in astuple(value)])


@given(SEEDS, MONEY, MONEY)
def test_treat_all_over_treat_none_is_revenue_times_the_average_effect_less_the_cost(seed, cost, revenue):
    scores, economics = draw_scores(seed), Economics(cost, revenue)
    values = evaluate(scores, draw_decisions(seed), economics, replicates=2)
    close = {"rel": 1e-9, "abs": 1e-9 * (cost + revenue)}

    assert values["treat_all"].versus_none.value == pytest.approx(revenue * scores.effect.mean() - cost, **close)
    horvitz_thompson = (scores.ips[:, 1] - scores.ips[:, 0]).mean()
    difference = values["treat_all"].ips.value - values["treat_none"].ips.value
    assert difference == pytest.approx(revenue * horvitz_thompson - cost, **close)
    hajek = scores.ips.sum(axis=0) / scores.weight.sum(axis=0)
    difference = values["treat_all"].snips - values["treat_none"].snips
    assert difference == pytest.approx(revenue * (hajek[1] - hajek[0]) - cost, **close)


@given(SEEDS, MONEY, MONEY, MONEY, MONEY, st.sampled_from(["on_treatment", "on_response"]))
def test_profit_is_linear_in_cost_and_revenue(seed, cost, revenue, more_cost, more_revenue, charged):
    scores, treat = draw_scores(seed), draw_decisions(seed).to_numpy(bool)
    for estimator in (mean_profits, self_normalised):
        together = estimator(scores, treat, Economics(cost + more_cost, revenue + more_revenue, charged))
        apart = [
            estimator(scores, treat, Economics(*money, charged))
            for money in [(cost, revenue), (more_cost, more_revenue)]
        ]
        scale = 1e-9 * (1 + cost + revenue + more_cost + more_revenue)
        np.testing.assert_allclose(together, np.sum(apart, axis=0), rtol=1e-9, atol=scale)


@given(SEEDS, SEEDS)
def test_permuting_rows_with_their_cluster_names_changes_no_estimate_and_no_interval(seed, shuffle):
    scores, decisions, economics = draw_scores(seed), draw_decisions(seed), Economics(1.0, 40.0)
    names = np.array([f"household {number}" for number in np.random.default_rng(seed).integers(25, size=60)])
    order = np.random.default_rng(shuffle).permutation(60)
    before = evaluate(scores, decisions, economics, cluster_codes(names))
    after = evaluate(rows(scores, order), decisions.iloc[order], economics, cluster_codes(names[order]))
    for policy in decisions:
        np.testing.assert_allclose(numbers(after[policy]), numbers(before[policy]), rtol=1e-9, atol=1e-9)


@given(SEEDS, MONEY, MONEY)
def test_charging_on_response_takes_the_cost_from_each_treated_response(seed, cost, revenue):
    scores, treat = draw_scores(seed), draw_decisions(seed).to_numpy(bool)
    charged = mean_profits(scores, treat, Economics(cost, revenue, "on_response"))
    free = mean_profits(scores, treat, Economics(0.0, revenue))
    paid = cost * (treat * scores.dr[:, [1]]).mean(axis=0)
    np.testing.assert_allclose(charged, free - paid, rtol=1e-9, atol=1e-9 * (1 + cost + revenue))


@pytest.mark.parametrize("charged", ["on_treatment", "on_response"])
def test_equal_costs_and_revenues_per_customer_give_the_numbers_of_the_constants(charged):
    scores, decisions = draw_scores(3), draw_decisions(3)
    constant = evaluate(scores, decisions, Economics(1.5, 40.0, charged))
    each = evaluate(scores, decisions, Economics(np.full(60, 1.5), np.full(60, 40.0), charged))
    for policy in decisions:
        np.testing.assert_allclose(numbers(each[policy]), numbers(constant[policy]), rtol=1e-12)


def test_costs_of_their_own_are_paid_by_the_treated_customers_alone():
    scores, decisions = draw_scores(4), draw_decisions(4)
    cost = np.random.default_rng(4).uniform(0, 5, 60)
    treat = decisions.to_numpy(bool)
    for estimator in (mean_profits, self_normalised):
        paid = estimator(scores, treat, Economics(0.0, 40.0)) - estimator(scores, treat, Economics(cost, 40.0))
        np.testing.assert_allclose(paid, (treat * cost[:, None]).mean(axis=0), atol=1e-12)


def test_differences_are_paired_so_a_policy_never_differs_from_itself():
    values = evaluate(draw_scores(6), draw_decisions(6), Economics(1.0, 40.0))
    assert values["treat_none"].versus_none == Estimate(0, 0, 0)
    assert values["treat_all"].versus_all == Estimate(0, 0, 0)
    assert values["treat_none"].probability_of_loss == 0


def test_a_constant_cost_moves_the_paired_difference_without_widening_it():
    scores, decisions = draw_scores(6), draw_decisions(6)
    cheap, dear = (evaluate(scores, decisions, Economics(cost, 40.0))["treat_all"].versus_none for cost in (0.0, 7.0))
    moved = [getattr(cheap, name) - getattr(dear, name) for name in ("value", "ci_low", "ci_high")]
    np.testing.assert_allclose(moved, 7)


def test_the_lead_over_the_best_constant_is_the_lesser_difference_with_the_lesser_bounds():
    point = Estimate(0, 0, 0)
    tests = Gain(0.2, 0.5), Gain(0.1, 0.4)
    value = PolicyValue(0.5, point, 0.0, point, point, Estimate(3, -1, 5), tests[0], Estimate(2, 1, 4), tests[1], 0.1)
    assert value.better_than_best_constant == 0.2
    assert value.versus_best_constant == Estimate(2, -1, 4)


@given(SEEDS, st.floats(-100, 100), MONEY, MONEY)
def test_adding_a_constant_to_outcomes_adds_its_worth_to_the_self_normalised_profit(seed, constant, cost, revenue):
    scores, treat, economics = draw_scores(seed), draw_decisions(seed).to_numpy(bool), Economics(cost, revenue)
    shifted = Scores(scores.weight, scores.ips + scores.weight * constant, scores.dr)
    moved = self_normalised(shifted, treat, economics) - self_normalised(scores, treat, economics)
    np.testing.assert_allclose(moved, revenue * constant, rtol=1e-7, atol=1e-9 * (1 + cost + revenue))


def test_an_arm_in_which_nobody_was_seen_earns_nothing():
    scores = make_scores(np.ones(3), np.zeros(3, np.int8), np.full(3, 0.5), np.zeros(3), np.zeros(3))
    np.testing.assert_array_equal(
        self_normalised(scores, np.repeat(CONSTANTS, 3, axis=0), Economics(1.0, 40.0)), [-1, 40]
    )


@pytest.fixture(scope="module")
def covered(draw):
    """Whether each interval of 200 experiments held the truth, which has a closed form: see ``draw_experiment``."""
    economics = Economics(1.0, 4.0)
    helped_gain, harmed_gain = 4 * 1.5 - 1, 4 * -0.5 - 1
    truth = {
        "dr": helped_gain / 2,
        "ips": helped_gain / 2,
        "versus_none": helped_gain / 2,
        "versus_all": -harmed_gain / 2,
    }
    inside = {name: [] for name in truth}
    for seed in range(200):
        experiment = draw(1000, seed, varying=True)
        decisions = pd.DataFrame({"treat_all": 1, "treat_none": 0, "helped": experiment.features[:, 0] > 0})
        scores = make_scores(
            experiment.outcome, experiment.treatment, experiment.propensity, np.zeros(1000), np.ones(1000)
        )
        value = evaluate(scores, decisions, economics, replicates=400)["helped"]
        for name, expected in truth.items():
            estimate = getattr(value, name)
            inside[name].append(estimate.ci_low <= expected <= estimate.ci_high)
    return {name: np.mean(hits) for name, hits in inside.items()}


@pytest.mark.parametrize("estimate", ["dr", "ips", "versus_none", "versus_all"])
def test_intervals_of_a_fixed_policy_cover_the_truth_in_95_of_100_experiments(covered, estimate):
    assert 0.90 <= covered[estimate] <= 0.99


def test_intervals_are_wider_where_outcomes_correlate_within_clusters():
    rng, households = np.random.default_rng(8), np.repeat(np.arange(200), 5)
    outcome = rng.normal(size=200)[households] + 0.1 * rng.normal(size=1000)
    treatment = rng.integers(2, size=200).astype(np.int8)[households]
    scores = make_scores(outcome, treatment, np.full(1000, 0.5), np.zeros(1000), np.zeros(1000))
    decisions = draw_decisions(8, n=1000)
    whole, ignored = (
        evaluate(scores, decisions, Economics(1.0, 4.0), codes)["treat_all"] for codes in (households, None)
    )
    for estimate in ("dr", "ips", "versus_none"):
        width = [getattr(value, estimate).ci_high - getattr(value, estimate).ci_low for value in (whole, ignored)]
        assert width[0] > 1.8 * width[1]  # sqrt(5) ≈ 2.2 for perfect correlation


def test_same_generator_gives_the_same_bytes():
    first, second = (evaluate(draw_scores(2), draw_decisions(2), Economics(1.0, 40.0)) for _ in range(2))
    assert first == second


def test_the_tests_against_the_constants_are_of_the_paired_difference_and_adjusted_for_many():
    rng = np.random.default_rng(12)
    scores, n = draw_scores(12, 4000), 4000
    decisions = pd.DataFrame(
        {"treat_all": 1, "treat_none": 0, **{f"random_{k}": rng.random(n) < 0.5 for k in range(8)}}
    )
    values = evaluate_policies(scores, decisions, Economics(1.0, 40.0), np.arange(n), 400, np.random.default_rng(1))
    profits = Economics(1.0, 40.0).profits(scores.dr)
    for name, value in values.items():
        gained = np.where(decisions[name].to_numpy(bool), profits[:, 1] - profits[:, 0], 0)
        alone, among = value.better_than_none.p_value, value.better_than_none.adjusted
        assert alone <= among
        if gained.any():
            expected = stats.ttest_1samp(gained, 0, alternative="greater").pvalue
            assert alone == pytest.approx(expected, abs=1e-3)
        else:
            assert (alone, among) == (1, 1)
        inside, outside = value.dr, value.simultaneous
        assert outside.ci_high - outside.ci_low > 1.2 * (inside.ci_high - inside.ci_low)
        assert outside.value == inside.value
