"""Metrics against a simulation's truth."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.economics import Economics
from promotions.evaluation.arms import Arms
from promotions.evaluation.reporting import Reporting, Truth
from promotions.evaluation.summary import headline, learner_metrics, policy_metrics
from promotions.evaluation.value import evaluate_policies

ECONOMICS = Economics(1.0, 4.0)


@pytest.fixture(scope="module")
def experiment(draw):
    return draw(2000, 1, varying=True)


@pytest.fixture(scope="module")
def truth(experiment):
    return Truth.from_frame(pd.DataFrame({"mu0": experiment.mu0, "tau": experiment.tau}))


@pytest.fixture(scope="module")
def values(experiment):
    helped = experiment.features[:, 0] > 0
    decisions = pd.DataFrame(
        {"treat_all": 1, "treat_none": 0, "helped": helped, "random": experiment.features[:, 4] > 0}
    )
    return evaluate_policies(experiment.scores, decisions, ECONOMICS, np.arange(2000), 400, np.random.default_rng(1))


def reporting(experiment, truth):
    arms = Arms(experiment.outcome, experiment.treatment, experiment.propensity)
    once = np.zeros(2000, np.int8)
    return Reporting(arms, experiment.scores, ECONOMICS, np.arange(2000), experiment.mu0, once, truth)


@given(
    st.integers(0, 2**32 - 1), st.floats(0, 100), st.floats(0, 100), st.sampled_from(["on_treatment", "on_response"])
)
def test_no_policy_earns_more_than_the_oracle(seed, cost, revenue, charged):
    rng, economics = np.random.default_rng(seed), Economics(cost, revenue, charged)
    truth = Truth(rng.normal(size=(30, 2)))
    treat = rng.random(30) < rng.random()
    assert truth.profit(treat, economics) <= truth.oracle_profit(economics) + 1e-9
    profits = economics.profits(truth.means)
    assert truth.profit(profits[:, 1] > profits[:, 0], economics) == pytest.approx(truth.oracle_profit(economics))


def test_the_truth_keeps_the_effect_of_each_customer(experiment, truth):
    np.testing.assert_allclose(truth.effect, experiment.tau)


def test_the_headlines_regret_is_what_the_oracle_earns_more(experiment, truth, values):
    helped, random = (experiment.features[:, column] > 0 for column in (0, 4))
    best, other = (
        headline(name, "s_learner", values[name], 2000, treat, ECONOMICS, truth)
        for name, treat in (("helped", helped), ("random", random))
    )
    assert best["regret_per_customer"] == pytest.approx(0, abs=1e-12)
    assert other["regret_per_customer"] > 1
    assert other["true_profit_per_customer"] == truth.profit(random, ECONOMICS)
    assert best["profit_ci_low"] < best["true_profit_per_customer"] < best["profit_ci_high"]


def test_without_a_truth_the_headline_claims_none(values):
    metrics = headline("helped", "s_learner", values["helped"], 2000, np.ones(2000, bool), ECONOMICS, None)
    assert not [name for name in metrics if "true" in name or "oracle" in name or "regret" in name]


def test_a_policys_metrics_are_the_numbers_of_its_value(values):
    metrics = policy_metrics(values["helped"])
    assert set(metrics) == {
        "share_treated",
        "snips",
        "probability_of_loss",
        *(
            f"{name}{end}"
            for name in ("ips", "dr", "dr_vs_treat_none", "dr_vs_treat_all")
            for end in ("", "_ci_low", "_ci_high")
        ),
        *(f"dr_vs_{name}{end}" for name in ("treat_none", "treat_all") for end in ("_p_value", "_p_value_adjusted")),
        "dr_simultaneous_ci_low",
        "dr_simultaneous_ci_high",
    }
    assert metrics["dr_vs_treat_none"] == pytest.approx(metrics["dr"] - values["treat_none"].dr.value)
    assert metrics["dr_vs_treat_all"] == pytest.approx(metrics["dr"] - values["treat_all"].dr.value)
    assert metrics["share_treated"] == pytest.approx(0.5, abs=0.05)


def test_the_true_effects_are_the_best_predictions(experiment, truth):
    noisy = experiment.tau + np.random.default_rng(2).normal(size=2000)
    exact, worse = (learner_metrics(reporting(experiment, truth), cate) for cate in (experiment.tau, noisy))
    assert exact["rmse"] == pytest.approx(0, abs=1e-12)
    assert exact["correlation"] == pytest.approx(1)
    assert exact["calibration_slope"] == pytest.approx(1, abs=0.2)
    assert worse["rmse"] == pytest.approx(1, abs=0.05)
    for name in ("correlation", "qini", "autoc", "dr_score", "calibration_slope", "uplift_at_10"):
        assert exact[name] > worse[name], name


def test_a_constant_prediction_correlates_with_nothing(experiment, truth):
    metrics = learner_metrics(reporting(experiment, truth), np.full(2000, 0.2))
    for name in ("correlation", "qini", "autoc", "calibration_slope"):
        assert metrics[name] == 0
    for share in (10, 20, 30):
        assert metrics[f"uplift_at_{share}"] == pytest.approx(experiment.scores.effect.mean())
    assert metrics["first_minus_last_fifth"] == 0
    assert metrics["first_minus_last_fifth_p_value"] == 1
    assert metrics["qini_raw"] == pytest.approx(0, abs=1e-9)
    assert {"qini_normalised_by_ate", "uplift_at_20_overall", "uplift_at_20_by_group"} <= set(metrics)
    assert np.isfinite(list(metrics.values())).all()


def test_without_a_truth_no_metric_needs_it(experiment):
    metrics = learner_metrics(reporting(experiment, None), experiment.tau)
    assert not {"rmse", "correlation"} & set(metrics)
