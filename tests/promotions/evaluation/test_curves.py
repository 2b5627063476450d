"""The data of the plots agrees with the metrics that stand beside them."""

import numpy as np
import pandas as pd
import pytest

from promotions.economics import Economics
from promotions.evaluation.arms import Arms
from promotions.evaluation.curves import (
    CURVE_MULTIPLES,
    TABLE_MULTIPLES,
    decile_uplifts,
    plot_tables,
    profit_by_ratio,
    qini_curves,
    ratio_grid,
    value_table,
)
from promotions.evaluation.reporting import Reporting, Truth
from promotions.evaluation.value import evaluate_policies, mean_profits

N = 1500
TODAY = Economics(1.0, 4.0)


@pytest.fixture(scope="module")
def experiment(draw):
    return draw(N, 1, varying=True)


@pytest.fixture(scope="module")
def truth(experiment):
    return Truth.from_frame(pd.DataFrame({"mu0": experiment.mu0, "tau": experiment.tau}))


@pytest.fixture(scope="module")
def cates(experiment):
    noise = np.random.default_rng(2).normal(size=N)
    return {"good": experiment.tau + 0.1 * noise, "useless": noise, "constant": np.full(N, 0.3)}


def reporting(experiment, treated_outcome, economics=TODAY, truth=None, segment=None):
    arms = Arms(experiment.outcome, experiment.treatment, experiment.propensity)
    segment = np.zeros(N, np.int8) if segment is None else segment
    return Reporting(arms, experiment.scores, economics, np.arange(N), treated_outcome, segment, truth)


@pytest.mark.parametrize("charged", ["on_treatment", "on_response"])
def test_profit_at_todays_ratio_is_the_difference_of_the_policies_values(experiment, truth, cates, charged):
    today = Economics(1.0, 4.0, charged)
    mu1 = truth.means[:, 1]
    rules = [np.zeros(N, bool), np.ones(N, bool), *(today.expected_gain(cate, mu1) >= 0 for cate in cates.values())]
    none, *others = mean_profits(experiment.scores, np.column_stack(rules), today)
    curve = profit_by_ratio(reporting(experiment, mu1, today, truth), cates, np.array([today.ratio]))
    profit = curve.set_index("learner")["profit"]
    np.testing.assert_allclose(profit[["treat_all", *cates]], np.array(others) - none, atol=1e-12)
    assert profit["oracle"] == pytest.approx(truth.oracle_profit(today) - truth.profit(rules[0], today))


def test_treating_all_loses_revenue_times_the_ratio_in_a_straight_line(experiment, cates):
    ratios = np.linspace(0, 2, 9)
    table = profit_by_ratio(reporting(experiment, np.zeros(N)), cates, ratios)
    line = table.loc[table["learner"] == "treat_all", "profit"]
    np.testing.assert_allclose(line, 4 * experiment.scores.effect.mean() - 4 * ratios, atol=1e-12)


def test_the_oracle_is_never_poorer_at_a_lower_ratio_and_never_loses(experiment, truth, cates):
    table = profit_by_ratio(reporting(experiment, np.zeros(N), TODAY, truth), cates, np.linspace(0, 2, 9))
    oracle = table.loc[table["learner"] == "oracle", "profit"].to_numpy()
    assert (oracle >= 0).all()
    assert (np.diff(oracle) <= 0).all()


@pytest.mark.parametrize(("cost", "revenue", "centre"), [(1.0, 4.0, 0.25), (0.0, 4.0, 0.7), (1.0, 0.0, 0.7)])
def test_the_grid_lies_around_todays_ratio_or_the_effect_where_there_is_none(cost, revenue, centre):
    np.testing.assert_allclose(ratio_grid(Economics(cost, revenue), -0.7, CURVE_MULTIPLES), CURVE_MULTIPLES * centre)


def test_qini_curves_run_from_nothing_to_the_mean_effect_and_random_is_straight(experiment, cates):
    effect = experiment.scores.effect
    table = qini_curves(effect, cates)
    assert list(table) == ["share_treated", "incremental_outcome", "learner"]
    curves = table.pivot_table(index="share_treated", columns="learner", values="incremental_outcome")
    assert set(curves) == {*cates, "random"}
    assert (curves.loc[0.0] == 0).all()
    np.testing.assert_allclose(curves.loc[1.0], effect.mean())
    np.testing.assert_allclose(curves["random"], curves.index * effect.mean())
    np.testing.assert_allclose(curves["constant"], curves["random"], atol=1e-12)
    assert curves.loc[0.5, "good"] > curves.loc[0.5, "random"] + 0.2


def test_decile_one_holds_the_best_customers_and_ten_the_worst(experiment, cates):
    effect = experiment.scores.effect
    table = decile_uplifts(reporting(experiment, np.zeros(N)), cates, np.random.default_rng(4), 200)
    columns = ["decile", "predicted", "uplift", "ci_low", "ci_high", "band_low", "band_high", "learner"]
    assert list(table) == columns
    good = table[table["learner"] == "good"].set_index("decile")["uplift"]
    assert list(good.index) == list(range(1, 11))
    ranked = effect[np.argsort(-cates["good"])]
    assert good[1] == pytest.approx(ranked[:150].mean())
    assert good[10] == pytest.approx(ranked[-150:].mean())
    predicted = table[table["learner"] == "good"].set_index("decile")["predicted"]
    assert predicted[1] == pytest.approx(np.sort(cates["good"])[-150:].mean())
    assert table["uplift"].between(table["ci_low"], table["ci_high"]).all()
    # A constant has ten equal groups, and a band no wider than an interval.
    apart = table[table["learner"] != "constant"]
    assert (apart["band_low"] < apart["ci_low"]).all()
    assert (apart["band_high"] > apart["ci_high"]).all()


def test_the_files_agree_with_each_other_and_the_best_policy_comes_first(experiment, truth, cates):
    decisions = pd.DataFrame({"treat_all": 1, "treat_none": 0, "threshold.good": cates["good"] >= 0.25})
    values = evaluate_policies(experiment.scores, decisions, TODAY, np.arange(N), 200, np.random.default_rng(3))
    customers = reporting(experiment, truth.means[:, 1], TODAY, truth)
    tables = plot_tables(customers, values, "threshold.good", cates, "good", np.random.default_rng(5), 200)
    names = "policy_values profit_by_cost_ratio profit_table profit_by_share qini uplift_by_decile"
    assert set(tables) == set(names.split())
    by_share = tables["profit_by_share"].set_index("share")
    assert by_share.loc[1.0, "profit"] == pytest.approx(values["treat_all"].versus_none.value)
    assert (by_share["learner"] == "good").all()
    first = tables["policy_values"].iloc[0]
    assert tuple(first[["policy", "rule", "learner", "champion"]]) == ("threshold.good", "threshold", "good", True)
    curve, few = tables["profit_by_cost_ratio"], tables["profit_table"]
    assert set(few["learner"]) == set(cates)
    assert len(few) == len(TABLE_MULTIPLES) * len(cates)
    at_today = curve[np.isclose(curve["ratio"], TODAY.ratio)].set_index("learner")["profit"]
    assert at_today["good"] == pytest.approx(first["profit"])
    assert values["treat_all"].versus_none.value == pytest.approx(at_today["treat_all"])


def test_a_constant_rule_is_for_everyone_and_of_no_learner(experiment):
    decisions = pd.DataFrame({"treat_all": 1, "treat_none": 0}, index=range(N))
    values = evaluate_policies(experiment.scores, decisions, TODAY, np.arange(N), 50, np.random.default_rng(3))
    table = value_table(values, "treat_none").set_index("policy")
    assert (table["learner"] == "everyone").all()
    assert table["champion"].to_dict() == {"treat_all": False, "treat_none": True}


def test_a_curves_band_holds_the_whole_curve_and_not_only_each_point(experiment, cates):
    ratios = np.linspace(0, 1.6, 13)
    table = profit_by_ratio(reporting(experiment, np.zeros(N)), cates, ratios, np.random.default_rng(6), 400)
    good = table[table["learner"] == "good"].reset_index(drop=True)
    profits = [TODAY.at_ratio(ratio).profits(experiment.scores.dr) for ratio in ratios]
    gained = np.column_stack([(p[:, 1] - p[:, 0]) * (cates["good"] >= r) for p, r in zip(profits, ratios, strict=True)])
    error = gained.std(axis=0, ddof=1) / np.sqrt(N)
    critical = (good["band_high"] - good["profit"]) / error
    np.testing.assert_allclose(critical, critical[0])
    assert 1.96 < critical[0] < 2.9


def test_with_several_fits_deciles_are_of_places_within_each(experiment, cates):
    segment = (np.arange(N) % 2).astype(np.int8)
    # The second fit predicts ten more of everybody, for reasons other than the customers.
    shifted = {"good": cates["good"] + 10 * segment}
    apart = reporting(experiment, np.zeros(N), segment=segment)
    table = decile_uplifts(apart, shifted, np.random.default_rng(4), 200)
    uplift = table.set_index("decile")["uplift"]
    assert uplift[1] - uplift[10] > 1
    assert table["predicted"].between(4, 7).all()
