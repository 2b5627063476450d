"""Trials of the whole procedure: who is drawn, what is earned, and the summary of many trials."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.base.errors import InputError
from promotions.stability import Procedure, Subjects, draw_trial, metrics, read_ratios, run_trial, summarise

SMALL = {"trees": 12, "leaves": 4, "learning_rate": 0.2, "min_leaf": 20, "feature_share": 1, "row_share": 1, "l2": 1}
POLICIES = {"threshold": {}, "weighted": SMALL | {"leaves": [3, 6], "trees": 8}}
TREE = {"depth": 1, "cuts": 8, "min_leaf": 20}
LEARNERS = {"s_learner": {"model": SMALL}, "dr_learner": {"effect": SMALL}, "double_ml": {"winsorize": 3}}
STABILITY = {
    "trials": 2, "customers": None, "ratios": ["1/4", 0.1], "train_share": 0.6, "folds": 3, "learners": "all",
}  # fmt: skip


def procedure(charged="on_treatment", method="stacking", sections=LEARNERS, policies=POLICIES, **stability):
    return Procedure.from_params(
        STABILITY | stability,
        sections,
        ensemble={"method": method},
        nuisance=SMALL,
        policies=policies,
        charged=charged,
        max_levels=5,
    )


@pytest.fixture(scope="module")
def subjects(draw):
    """Customers in pairs, who gain .5 where the first feature is positive and lose .1 elsewhere; one category."""
    experiment = draw(3000, 5, binary=True)
    frame = pd.DataFrame(experiment.features, columns=list("abcde"))
    frame["e"] = np.where(frame["e"] > 0, "north", "south")
    frame.loc[::7, "d"] = np.nan
    means = np.column_stack([experiment.mu0, experiment.mu0 + experiment.tau])
    return Subjects(
        frame, experiment.outcome, experiment.treatment, experiment.propensity, np.arange(3000) // 2, truth=means
    )


@pytest.fixture(scope="module")
def trials(subjects):
    return [run_trial(subjects, procedure(), (7, number)) for number in range(3)]


households = st.integers(1, 4).flatmap(
    lambda size: st.tuples(st.just(size), st.integers(0, 2**31), st.floats(0.3, 0.7), st.integers(2, 5))
)


@given(households)
def test_nobody_is_on_both_sides_clusters_stay_whole_and_copies_share_a_fold(drawn):
    size, seed, share, folds = drawn
    rng = np.random.default_rng(seed)
    cluster = rng.permutation(np.repeat(np.arange(300), size))
    treatment = (rng.random(len(cluster)) < 0.4).astype(np.int8)
    draw = draw_trial(rng, cluster, treatment, share, folds)
    training, tested = set(cluster[draw.train]), set(cluster[draw.test])
    assert not training & tested
    members = {code: np.flatnonzero(cluster == code) for code in training | tested}
    times = np.bincount(draw.train, minlength=len(cluster))
    times[draw.test] += draw.count
    assert all(np.ptp(times[rows]) == 0 for rows in members.values())
    fold_of = pd.Series(draw.fold).groupby(cluster[draw.train]).nunique()
    assert (fold_of == 1).all()
    assert set(draw.fold) == set(range(folds))
    assert len(np.unique(draw.test)) == len(draw.test)


def test_arms_keep_the_numbers_of_their_side():
    treatment = (np.arange(1000) % 3 == 0).astype(np.int8)
    alone = np.arange(1000)
    draw = draw_trial(np.random.default_rng(1), alone, treatment, 0.65, 5)
    assert len(draw.train) == 650
    assert draw.count.sum() == 350
    everybody = np.concatenate([draw.train, np.repeat(draw.test, draw.count)])
    assert treatment[everybody].sum() == treatment.sum()
    # Drawn with replacement: about 63 % of a side are in it.
    assert 0.55 < len(set(draw.train)) / 650 < 0.7


def test_of_many_customers_a_part_may_take_part_drawn_anew_for_each_trial():
    treatment, alone = (np.arange(2000) % 2).astype(np.int8), np.arange(2000)
    draws = [draw_trial(np.random.default_rng(seed), alone, treatment, 0.6, 3, share=0.25) for seed in (1, 2)]
    for draw in draws:
        assert len(draw.train) == 300
        assert draw.count.sum() == 200
        assert not set(draw.train) & set(draw.test)
    assert len(set(draws[0].train) & set(draws[1].train)) < 100


def test_too_few_customers_are_refused_with_what_to_do():
    few = np.arange(40)
    with pytest.raises(InputError, match=r"train on 24 and test on 16 of 40 .*expected 50 and 10 or more: change stab"):
        draw_trial(np.random.default_rng(1), few, (few % 2).astype(np.int8), 0.6, 5)


def test_ratios_are_read_as_written_and_sorted():
    assert read_ratios(["1/20", 0.01, "1 / 40", 1]) == {"0.01": 0.01, "1/40": 0.025, "1/20": 0.05, "1": 1.0}


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (None, "expected a list of 1 to 10 numbers or fractions"),
        ([], "expected a list"),
        ("1/40", "expected a list"),
        (["1/0"], r"expected numbers or fractions in \(0, 1\], such as \[1/60, 1/40, 0.05\]; got '1/0'"),
        (["40"], "got '40'"),
        ([0], "got 0"),
        ([True], "got True"),
        (["a"], "got 'a'"),
        ([float("nan")], "got nan"),
        ([[1]], r"got \[1\]"),
        (["1/40", 0.025], "0.025 stands there twice"),
    ],
)
def test_wrong_ratios_are_named(listed, message):
    with pytest.raises(InputError, match=rf"^stability\.ratios: .*{message}"):
        read_ratios(listed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"customers": 10}, r"stability\.customers: expected a whole number of 1000 or more, got 10"),
        ({"trials": 1}, r"stability\.trials: expected a whole number of 2 or more, got 1"),
        ({"train_share": 1}, r"stability\.train_share: expected a share in \(0, 1\), got 1"),
        ({"folds": 1}, r"stability\.folds: expected a whole number from 2 to 100, got 1"),
        ({"learners": []}, r"stability\.learners: expected all, or a list from s_learner, dr_learner"),
        ({"learners": "s_learner"}, r"stability\.learners: expected all, or a list from"),
        ({"learners": ["y_learner"]}, r"stability\.learners: 'y_learner' is unknown; it is one of s_learner"),
        ({"learners": ["ensemble"]}, r"stability\.learners: ensemble is a mixture"),
        ({"trails": 2}, r"stability\.trails is unknown; the keys of stability are trials, customers, ratios"),
        ({"charged": "never"}, r"costs\.charged: 'never' is unknown"),
        ({"method": "mean"}, r"ensemble\.method: 'mean' is unknown"),
        ({"sections": {"s_learner": {}}}, r"learners\.s_learner\.model"),
        ({"policies": {"weigthed": {}}}, r"policy\.weigthed is unknown"),
        (
            {"policies": {"tree": TREE}},
            r"policy: stability repeats the rules threshold, weighted; params\.yaml lists none",
        ),
    ],
)
def test_a_wrong_parameter_is_named(changed, message):
    with pytest.raises(InputError, match=message):
        procedure(**changed)


def test_a_trial_has_every_policy_at_every_ratio(trials):
    rules = [f"{rule}.{name}" for name in (*LEARNERS, "ensemble") for rule in ("threshold", "weighted")]
    for _, rows in trials[0].groupby("ratio"):
        assert list(rows["policy"]) == ["treat_all", "treat_none", *rules]
    assert list(trials[0]["ratio"].unique()) == ["0.1", "1/4"]
    assert list(trials[0]["value"].unique()) == [0.1, 0.25]
    nobody = trials[0][trials[0]["policy"] == "treat_none"]
    assert (nobody[["share_treated", "dr", "ips", "true"]] == 0).all(axis=None)
    assert (trials[0]["tested"] == 1200).all()


def test_progress_is_reported_as_often_as_announced(subjects):
    steps = []
    chosen = procedure(ratios=[0.001, 0.25])
    run_trial(subjects, chosen, (7, 0), progress=lambda: steps.append(1))
    assert len(steps) == chosen.steps


def test_profits_are_those_of_the_customers_tested_as_often_as_they_were_drawn(subjects, trials):
    draw = draw_of(subjects, (7, 0))
    rows = np.repeat(draw.test, draw.count)
    everybody = trials[0][trials[0]["policy"] == "treat_all"].set_index("ratio")
    effect = subjects.truth[rows, 1] - subjects.truth[rows, 0]
    # Two customers are one draw: e = .5, so 1{T=1}Y/e − 1{T=0}Y/(1 − e) = ±2Y.
    by_chance = np.where(subjects.treatment[rows] == 1, 2, -2) * subjects.outcome[rows]
    for label, ratio in (("0.1", 0.1), ("1/4", 0.25)):
        assert everybody["true"][label] == pytest.approx(effect.mean() - ratio)
        assert everybody["ips"][label] == pytest.approx(by_chance.mean() - ratio)
        assert abs(everybody["dr"][label] - everybody["true"][label]) < 0.1
        assert everybody["dr"][label] != everybody["ips"][label]


def draw_of(subjects, seed):
    """The draw of the trial with this seed."""
    from promotions.stability.trial import _stream

    return draw_trial(_stream(seed, "draw"), subjects.cluster, subjects.treatment, 0.6, 3)


def test_learners_earn_nearly_what_can_be_earned_where_effects_are_large(trials):
    for trial in trials:
        rows = trial[trial["ratio"] == "1/4"].set_index("policy")
        # Half of the customers gain .5 and cost .25 each.
        assert rows.loc["weighted.dr_learner", "true"] > 0.08
        assert rows.loc["weighted.dr_learner", "true"] > rows.loc["treat_all", "true"] + 0.05


def test_the_same_trial_again_and_on_two_threads_to_the_last_digit(subjects, trials):
    again = run_trial(subjects, procedure(), (7, 1), threads=2)
    pd.testing.assert_frame_equal(again, trials[1], check_exact=True)
    assert not trials[0]["dr"].equals(trials[1]["dr"])


def test_neither_another_learner_nor_another_ratio_changes_a_number(subjects, trials):
    alone = run_trial(subjects, procedure(learners=["dr_learner"], ratios=["1/4"]), (7, 0))
    whole = trials[0][trials[0]["ratio"] == "1/4"].set_index("policy")
    pd.testing.assert_frame_equal(alone.set_index("policy"), whole.loc[alone["policy"]], check_exact=True)


def test_rules_that_params_yaml_does_not_list_or_that_trials_cannot_repeat_are_left_out(subjects, trials):
    chosen = procedure(policies={"tree": TREE, "weighted": POLICIES["weighted"]})
    assert chosen.policies == ["treat_all", "treat_none", *(f"weighted.{name}" for name in (*LEARNERS, "ensemble"))]
    fewer = run_trial(subjects, chosen, (7, 0)).set_index(["ratio", "policy"])
    pd.testing.assert_frame_equal(fewer, trials[0].set_index(["ratio", "policy"]).loc[fewer.index], check_exact=True)


def test_outcomes_of_those_who_are_tested_change_no_decision(subjects, trials):
    draw = draw_of(subjects, (7, 0))
    outcome = subjects.outcome.copy()
    outcome[draw.test] = 1 - outcome[draw.test]
    turned = run_trial(replace(subjects, outcome=outcome), procedure(), (7, 0))
    for column in ("share_treated", "true"):
        pd.testing.assert_series_equal(turned[column], trials[0][column], check_exact=True)
    assert not turned["dr"].equals(trials[0]["dr"])


def test_the_currency_changes_nothing_and_revenues_of_their_own_do(subjects, trials):
    chosen = procedure(learners=["dr_learner"])
    in_cents = run_trial(replace(subjects, revenue=np.full(3000, 4.0)), chosen, (7, 0))
    pd.testing.assert_frame_equal(in_cents, run_trial(subjects, chosen, (7, 0)))
    revenue = np.where(np.arange(3000) % 3 == 0, 3.0, 0.1)
    assert not np.allclose(run_trial(replace(subjects, revenue=revenue), chosen, (7, 0))["true"], in_cents["true"])
    with pytest.raises(InputError, match="column 'revenue' is 0 for every customer"):
        replace(subjects, revenue=np.zeros(3000))


def test_a_contact_charged_on_response_costs_less(subjects, trials):
    cheaper = run_trial(subjects, procedure("on_response"), (7, 0))
    everybody = cheaper["policy"] == "treat_all"
    assert (cheaper["true"][everybody] > trials[0]["true"][everybody] + 0.01).all()


def test_without_the_truth_nothing_is_said_of_it(subjects):
    unknown = replace(subjects, truth=None)
    table = summarise(run_trial(unknown, procedure(learners=["dr_learner"]), (7, k)) for k in range(2))
    assert not [name for name in table if name.startswith("true")]


def trial(**profits):
    """A trial of three policies at one ratio, 100 customers tested."""
    return pd.DataFrame(
        {"ratio": "1/4", "value": 0.25, "policy": list(profits), "share_treated": 0.5, "dr": list(profits.values()),
         "ips": 2 * np.array(list(profits.values())), "tested": 100}
    )  # fmt: skip


def test_a_summary_by_hand():
    tables = [
        trial(treat_none=0.0, **{"threshold.a": 0.3, "weighted.a": 0.1}),
        trial(treat_none=0.0, **{"threshold.a": -0.1, "weighted.a": 0.0}),
    ]
    table = summarise(tables).set_index("policy")
    one = table.loc["threshold.a"]
    assert (one["rule"], one["learner"], table.loc["treat_none", "rule"]) == ("threshold", "a", "constant")
    assert one["profit_mean"] == pytest.approx(0.1)
    assert one["profit_sd"] == pytest.approx(np.sqrt(2) * 0.2)
    assert one["ips_mean"] == pytest.approx(0.2)
    assert one["loss_share"] == 0.5
    # The two best of the second trial have a half each.
    assert table["win_share"].to_dict() == {"treat_none": 0.25, "threshold.a": 0.5, "weighted.a": 0.25}
    assert table["regret_mean"].to_dict() == pytest.approx({"treat_none": 0.15, "threshold.a": 0.05, "weighted.a": 0.1})
    # 100 customers, in units of a cost of a quarter.
    assert one["contacts_mean"] == pytest.approx(0.2 * 100 / 0.25)


def test_one_trial_has_no_spread():
    with pytest.raises(InputError, match=r"stability\.trials: expected 2 trials or more"):
        summarise([trial(treat_none=0.0)])


def test_shares_of_wins_sum_to_one_and_metrics_are_flat(trials):
    table = summarise(trials)
    np.testing.assert_allclose(table.groupby("ratio")[["win_share", "true_win_share"]].sum(), 1)
    document = metrics(table)
    assert list(document) == ["wins_most_often", "highest_mean_profit", "0.1", "1/4"]
    for label in ("0.1", "1/4"):
        rows = table[table["ratio"] == label]
        assert set(document[label]) == set(rows["policy"])
        assert document["highest_mean_profit"][label] == rows.loc[rows["profit_mean"].idxmax(), "policy"]
        for numbers in document[label].values():
            assert all(isinstance(value, float) and np.isfinite(value) for value in numbers.values())
