"""Is an experiment sound? Sound ones pass, and each way of being unsound is found."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import tt_solve_power

from promotions.base.errors import InputError
from promotions.customers import Customers, validate
from promotions.soundness.assignment import assignment_test
from promotions.soundness.balance import Arms, arm_means
from promotions.soundness.experiment import (
    detectable_effect,
    examine,
    sample_ratio_p_value,
    soundness_lines,
    stop_or_drop,
)

CHECKS = {"alpha": 0.01, "on_srm": "stop", "on_post_treatment": "stop"}


def customers(experiment, **columns):
    """The experiment as customers, with further columns."""
    names = [f"x{number}" for number in range(5)]
    frame = pd.DataFrame(experiment.features, columns=names).assign(
        customer_id=[f"{number:06d}" for number in range(len(experiment.outcome))],
        treatment=experiment.treatment,
        outcome=experiment.outcome,
        propensity=experiment.propensity,
        **columns,
    )
    return Customers(validate(frame), simulated=True)


def check(experiment, **columns):
    return examine(customers(experiment, **columns), CHECKS, np.random.default_rng(1))


def leaked(experiment):
    """A column that treatment moves: what a customer did after the promotion."""
    return np.random.default_rng(3).poisson(1 + experiment.treatment)


@pytest.fixture(scope="module")
def sound(draw):
    return draw(3000, 2)


def test_under_a_constant_propensity_the_effect_is_the_difference_in_means_with_statsmodels_error(sound):
    means = arm_means(sound.outcome, sound.treatment, sound.propensity, np.arange(3000))
    treated = sound.treatment == 1
    assert means.treated == pytest.approx(sound.outcome[treated].mean())
    assert means.control == pytest.approx(sound.outcome[~treated].mean())
    assert means.effect == pytest.approx(sound.outcome[treated].mean() - sound.outcome[~treated].mean())
    for kind in ("HC0", "HC1"):
        fit = sm.OLS(sound.outcome, sm.add_constant(sound.treatment)).fit(cov_type=kind)
        assert means.standard_error == pytest.approx(fit.bse[1], rel=0.01)


def test_under_a_varying_propensity_they_are_those_of_weighted_least_squares(draw):
    experiment = draw(3000, 3, varying=True)
    treated, e = experiment.treatment == 1, experiment.propensity
    design, weights = sm.add_constant(experiment.treatment), np.where(treated, 1 / e, 1 / (1 - e))
    means = arm_means(experiment.outcome, experiment.treatment, e, np.arange(3000))
    fit = sm.WLS(experiment.outcome, design, weights=weights).fit(cov_type="HC0")
    assert means.effect == pytest.approx(fit.params[1])
    assert means.standard_error == pytest.approx(fit.bse[1], rel=0.01)
    assert means.effect == pytest.approx(experiment.tau.mean(), abs=3 * means.standard_error)


def test_with_clusters_the_error_is_statsmodels_cluster_robust_one(sound):
    clusters = np.arange(3000) // 10
    outcome = sound.outcome + np.random.default_rng(1).normal(size=300)[clusters]
    means = arm_means(outcome, sound.treatment, sound.propensity, clusters)
    fit = sm.OLS(outcome, sm.add_constant(sound.treatment)).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    assert means.standard_error == pytest.approx(fit.bse[1], rel=0.01)


@pytest.mark.parametrize("varying", [False, True], ids=["constant propensity", "varying propensity"])
def test_the_sample_ratio_p_value_is_uniform_under_the_design(draw, varying):
    p_values = []
    for seed in range(400):
        experiment = draw(2000, seed, varying=varying)
        p_values.append(
            sample_ratio_p_value(experiment.treatment, experiment.propensity, np.arange(len(experiment.treatment)))
        )
    for level in (0.1, 0.5, 0.9):
        assert np.mean(np.array(p_values) <= level) == pytest.approx(level, abs=0.07)


def test_two_points_more_in_one_arm_of_sixty_thousand_are_a_mismatch():
    propensity = np.full(60_000, 0.5)
    assert (
        sample_ratio_p_value((np.arange(60_000) < 0.52 * 60_000).astype(np.int8), propensity, np.arange(60_000)) < 1e-20
    )
    assert (
        sample_ratio_p_value((np.arange(60_000) < 0.502 * 60_000).astype(np.int8), propensity, np.arange(60_000)) > 0.1
    )


@pytest.fixture(scope="module")
def mismatched(draw):
    """An experiment that lost a quarter of its controls."""
    experiment = draw(4000, 5)
    frame = customers(experiment).frame
    lost = (frame["treatment"] == 0) & (np.random.default_rng(1).random(4000) < 0.25)
    return Customers(frame[~lost].reset_index(drop=True), simulated=True)


def test_a_mismatch_stops_or_passes_with_a_warning_as_asked(mismatched):
    found = examine(mismatched, CHECKS, np.random.default_rng(1))
    assert not found.sample_ratio_is_sound
    with pytest.raises(InputError, match=r"sample ratio mismatch: 0\.5\d+ of 3,\d+ customers .* design says 0\.5000"):
        stop_or_drop(mismatched, found, CHECKS)
    assert stop_or_drop(mismatched, found, {**CHECKS, "on_srm": "warn"}) is mismatched


def test_a_sound_experiment_passes_untouched(sound):
    found = check(sound)
    assert found.sample_ratio_is_sound
    assert found.post_treatment == []
    assert found.metrics["assignment_auc"] == pytest.approx(0.5, abs=0.05)
    assert found.metrics["assignment_auc_p_value"] > 0.01
    assert found.metrics["max_abs_smd"] == found.balance["smd"].abs().max() < 0.1
    assert found.metrics["ate_ci_low"] < sound.tau.mean() < found.metrics["ate_ci_high"]
    given = customers(sound)
    assert stop_or_drop(given, found, CHECKS) is given


def test_strata_that_were_treated_with_different_probabilities_are_not_flagged(draw):
    experiment = draw(3000, 7, varying=True)
    assert abs(np.corrcoef(experiment.features[:, 2], experiment.treatment)[0, 1]) > 0.2
    found = check(experiment, stratum=np.where(experiment.features[:, 2] > 0, "rich", "poor"))
    assert found.sample_ratio_is_sound
    assert found.post_treatment == []
    assert found.metrics["assignment_auc_p_value"] > 0.01


def test_an_experiment_that_drew_whole_shops_is_judged_by_shops(draw):
    """30 of 50 shops by fair coins is nothing remarkable (p = .2), whatever the number of customers in each."""
    experiment = draw(2000, 8)
    shop = np.arange(2000) % 50
    drawn = Customers(
        customers(experiment, cluster_id=shop).frame.assign(treatment=(shop < 30).astype(np.int8)), simulated=True
    )
    assert examine(drawn, CHECKS, np.random.default_rng(1)).sample_ratio_is_sound


def test_a_feature_measured_after_treatment_is_named_or_dropped(sound):
    given, found = customers(sound, visits=leaked(sound)), check(sound, visits=leaked(sound))
    assert found.post_treatment == ["visits"]
    assert found.metrics["max_abs_smd_feature"] == "visits"
    assert found.metrics["assignment_auc"] > 0.6
    assert found.metrics["assignment_auc_p_value"] == pytest.approx(0.001)
    expected = (
        r"column 'visits' depends on treatment \(difference 0\.\d+ SD, corrected p = \d(\.\d)?e-\d+\), so it was "
        r"measured after it and is no feature; take it out of the features \(for a table: data\.table\.exclude\), or "
        r"set checks\.on_post_treatment to drop$"
    )
    with pytest.raises(InputError, match=expected):
        stop_or_drop(given, found, CHECKS)
    kept = stop_or_drop(given, found, {**CHECKS, "on_post_treatment": "drop"})
    assert kept.features == ["x0", "x1", "x2", "x3", "x4"]
    assert kept.dropped == {"visits": "depends on treatment"}
    assert kept.simulated


def test_what_is_dropped_is_dropped_of_customers_to_score_too_and_the_rest_stays_as_it_was(sound):
    drawn = customers(sound, visits=leaked(sound))
    to_score = drawn.frame[["customer_id", "x0", "visits"]].head(7)
    given = replace(drawn, to_score=to_score, counts={"rows": 3000}, notes=("a note",))
    found = examine(given, CHECKS, np.random.default_rng(1))
    kept = stop_or_drop(given, found, {**CHECKS, "on_post_treatment": "drop"})
    assert kept.to_score.columns.tolist() == ["customer_id", "x0"]
    assert (kept.counts, kept.notes) == (given.counts, given.notes)


def test_a_category_or_a_missingness_that_depends_on_treatment_is_found_under_its_feature(sound):
    opened = np.where(sound.treatment == 1, "opened", "nothing")
    missing = np.where((sound.treatment == 1) & (np.arange(3000) % 3 == 0), np.nan, 1.0 + np.arange(3000) % 7)
    assert check(sound, mail=opened).post_treatment == ["mail"]
    assert check(sound, survey=missing).post_treatment == ["survey"]


def test_if_every_feature_depends_on_treatment_nothing_is_left_to_learn_from(sound):
    frame = customers(sound, visits=leaked(sound)).frame.drop(columns=[f"x{number}" for number in range(5)])
    only = Customers(frame, simulated=True)
    found = examine(only, CHECKS, np.random.default_rng(1))
    with pytest.raises(InputError, match="every feature depends on treatment"):
        stop_or_drop(only, found, {**CHECKS, "on_post_treatment": "drop"})


def test_features_without_a_single_value_are_no_reason_to_crash(sound):
    frame = customers(sound, note=pd.Series([None] * 3000, dtype=object)).frame
    empty = Customers(frame.drop(columns=[f"x{number}" for number in range(5)]), simulated=True)
    with pytest.raises(InputError, match="note"):
        examine(empty, CHECKS, np.random.default_rng(1))


def test_the_assignment_test_has_a_uniform_p_value_under_randomisation():
    p_values, areas = [], []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        treatment = rng.integers(2, size=400).astype(np.int8)
        folds = (np.arange(400) % 3).astype(np.int8)
        area, p_value = assignment_test(
            rng.normal(size=(400, 3)), Arms(treatment, np.full(400, 0.5), np.arange(400)), folds, rng
        )
        areas.append(area)
        p_values.append(p_value)
    assert np.mean(areas) == pytest.approx(0.5, abs=0.02)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.2)
    assert min(p_values) > 0.001


def test_the_assignment_test_sees_what_no_mean_shows():
    """Treated customers have a larger spread and the same mean."""
    rng = np.random.default_rng(1)
    treatment = rng.integers(2, size=1500).astype(np.int8)
    matrix = rng.normal(size=(1500, 1)) * (1 + treatment[:, None])
    folds = (np.arange(1500) % 3).astype(np.int8)
    area, p_value = assignment_test(matrix, Arms(treatment, np.full(1500, 0.5), np.arange(1500)), folds, rng)
    assert area > 0.6
    assert p_value == pytest.approx(0.001)


@given(st.integers(0, 2**32 - 1))
def test_permuting_rows_changes_no_arm_mean(seed):
    rng = np.random.default_rng(seed)
    values, treatment, order = rng.normal(size=30), (np.arange(30) % 2).astype(np.int8), rng.permutation(30)
    propensity, clusters = rng.uniform(0.2, 0.8, 30), np.arange(30) // 3
    before = arm_means(values, treatment, propensity, clusters)
    after = arm_means(values[order], treatment[order], propensity[order], clusters[order])
    assert after.effect == pytest.approx(before.effect, abs=1e-12)
    assert after.standard_error == pytest.approx(before.standard_error, abs=1e-12)


@pytest.mark.parametrize("alpha", [0, 1, -0.1, True, "0.01", None, float("nan")])
def test_a_level_outside_the_unit_interval_is_refused(sound, alpha):
    with pytest.raises(InputError, match=r"checks\.alpha: expected a level"):
        examine(customers(sound), {**CHECKS, "alpha": alpha}, np.random.default_rng(1))


@pytest.mark.parametrize("key", ["on_srm", "on_post_treatment"])
def test_an_unknown_answer_to_a_finding_is_refused(sound, key):
    with pytest.raises(InputError, match=rf"checks\.{key}: 'ignore' is unknown"):
        stop_or_drop(customers(sound), check(sound), {**CHECKS, key: "ignore"})


def test_the_assignment_test_draws_whole_clusters_where_whole_clusters_were_assigned():
    """Shops with features of their own: against draws by customer every such experiment would look broken."""
    p_values = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        shops, size = 40, 30
        shop = np.repeat(np.arange(shops), size)
        treatment = rng.permutation(np.arange(shops) % 2)[shop].astype(np.int8)
        matrix = rng.normal(size=(shops, 2))[shop] + 0.1 * rng.normal(size=(shops * size, 2))
        folds = (shop % 2).astype(np.int8)
        p_values.append(assignment_test(matrix, Arms(treatment, np.full(len(shop), 0.5), shop), folds, rng)[1])
    assert np.mean(np.array(p_values) < 0.05) < 0.2
    assert np.mean(p_values) > 0.3


def test_one_line_names_several_features_and_how_each_depends(sound):
    columns = {
        "visits": leaked(sound),
        "spread": np.random.default_rng(5).normal(size=3000) * (1 + sound.treatment),
        **{f"late_{number}": sound.treatment + np.arange(3000) % 3 for number in range(5)},
    }
    found = check(sound, **columns)
    assert found.post_treatment == list(columns)
    with pytest.raises(InputError) as raised:
        stop_or_drop(customers(sound, **columns), found, CHECKS)
    message = str(raised.value)
    assert "columns 'visits' (difference 0." in message
    assert "'spread' (its distribution differs, corrected p = " in message
    assert " and 2 more depend on treatment, so they were measured after it and are no features" in message
    assert "\n" not in message


def test_the_detectable_effect_is_that_of_a_power_calculation():
    for groups in (8, 40, 4000):
        effect = detectable_effect(1 / np.sqrt(groups), groups - 1)
        exact = tt_solve_power(nobs=groups, alpha=0.05, power=0.8)
        assert effect == pytest.approx(exact, rel=0.4 / groups + 1e-3)


def test_the_detectable_effect_is_found_four_times_in_five():
    rng = np.random.default_rng(1)
    n, found = 500, 0
    clusters, half = np.arange(n), np.full(n, 0.5)
    effect = detectable_effect(2 / np.sqrt(n), n - 1)
    for _ in range(1000):
        treatment = rng.permutation(np.arange(n) % 2).astype(np.int8)
        means = arm_means(rng.normal(size=n) + effect * treatment, treatment, half, clusters)
        found += abs(means.effect) > 1.965 * means.standard_error
    assert found / 1000 == pytest.approx(0.8, abs=0.04)


def test_the_metrics_hold_the_detectable_effect_and_its_share_of_the_control_mean_unless_that_is_zero(sound):
    metrics = check(sound).metrics
    assert metrics["mde"] == pytest.approx(2.8 * metrics["ate_se"], rel=0.01)
    assert metrics["mde_relative"] == pytest.approx(metrics["mde"] / abs(metrics["control_mean"]))
    frame = customers(sound).frame.assign(outcome=lambda rows: rows["treatment"] * 1.0)
    centred = examine(Customers(frame, simulated=True), CHECKS, np.random.default_rng(1)).metrics
    assert centred["control_mean"] == 0
    assert "mde" in centred
    assert "mde_relative" not in centred


def verdicts(found):
    return found.table.set_index("check")["verdict"].to_dict()


def test_the_table_of_a_sound_experiment_says_so(sound):
    found = check(sound)
    assert found.table.columns.tolist() == ["check", "found", "expected", "verdict"]
    assert set(verdicts(found).values()) == {"sound"}
    words = found.table.set_index("check")
    assert words.loc["sample ratio", "found"].startswith(f"{100 * sound.treatment.mean():.2f} % of 3,000 treated, p = ")
    assert words.loc["sample ratio", "expected"].startswith("50 % by design")
    assert words.loc["depend on treatment", "found"] == "none"


def test_what_stops_is_broken_and_what_only_looks_odd_is_to_be_looked_at(sound, mismatched):
    assert verdicts(examine(mismatched, CHECKS, np.random.default_rng(1)))["sample ratio"] == "broken"
    late = verdicts(check(sound, visits=leaked(sound)))
    assert {name for name, verdict in late.items() if verdict == "broken"} == {
        "means",
        "distributions",
        "depend on treatment",
    }
    few = customers(sound).frame.iloc[:60]
    small = examine(Customers(few, simulated=True), CHECKS, np.random.default_rng(1))
    assert small.metrics["mde"] > abs(small.metrics["ate"]) or verdicts(small)["effect"] == "sound"
    assert small.metrics["max_abs_smd"] > 0.1
    assert verdicts(small)["means"] == "look"


def test_two_columns_that_only_together_know_the_arm_are_seen_by_the_classifier_alone(sound):
    """Their signs agree for the treated and differ for controls; each by itself is a coin."""
    rng = np.random.default_rng(1)
    first = rng.choice([-1.0, 1.0], 3000) * rng.uniform(0.5, 1.5, 3000)
    second = np.sign(first) * np.where(sound.treatment == 1, 1, -1) * rng.uniform(0.5, 1.5, 3000)
    second *= np.where(rng.random(3000) < 0.2, -1, 1)
    found = check(sound, first=first, second=second)
    assert found.post_treatment == []
    assert verdicts(found)["assignment AUC"] == "look"
    assert {verdict for name, verdict in verdicts(found).items() if name != "assignment AUC"} == {"sound"}


def test_a_change_in_spread_stops_the_experiment(sound):
    rng = np.random.default_rng(1)
    found = check(sound, hours=rng.normal(size=3000) * (1 + 0.5 * sound.treatment))
    assert found.post_treatment == ["hours"]
    assert verdicts(found)["means"] == "sound"
    assert verdicts(found)["distributions"] == "broken"


def test_too_few_clusters_are_said_to_be_too_few(draw):
    experiment = draw(600, 8)
    shop = np.arange(600) % 12
    frame = customers(experiment, cluster_id=shop).frame
    drawn = Customers(frame.assign(treatment=(frame["cluster_id"].astype(int) % 2).astype(np.int8)), simulated=True)
    found = examine(drawn, CHECKS, np.random.default_rng(1))
    assert verdicts(found)["distributions"] == "look"
    assert "not tested" in found.table.set_index("check").loc["distributions", "found"]
    assert found.post_treatment == []


def test_the_lines_of_the_table_fit_a_terminal_and_lose_nothing(sound):
    long = {
        f"the_number_of_points_that_were_received_per_order_in_month_{number}": leaked(sound) for number in range(6)
    }
    table = check(sound, **long).table
    lines = soundness_lines(table).splitlines()
    assert max(map(len, lines)) <= 120
    starts = [lines[0].index(word) for word in ("check", "found", "expected", "verdict")]
    found = re.sub(r"\s", "", "".join(line[starts[1] : starts[2]] for line in lines))
    for name in long:
        assert name in found
    first = lines[1]
    assert [first[start : start + 4] for start in starts] == ["samp", first[starts[1] : starts[1] + 4], "50 %", "soun"]
    assert all(line[start - 1] == " " for line in lines for start in starts[1:] if start <= len(line))


def test_many_customers_take_a_sample_to_learn_from_and_all_to_be_ranked(monkeypatch):
    monkeypatch.setattr("promotions.soundness.assignment.ROWS", 500)
    rng = np.random.default_rng(1)
    treatment = rng.integers(2, size=6000).astype(np.int8)
    arms, folds = Arms(treatment, np.full(6000, 0.5), np.arange(6000)), (np.arange(6000) % 3).astype(np.int8)
    area, p_value = assignment_test(rng.normal(size=(6000, 1)) + 0.4 * treatment[:, None], arms, folds, rng)
    assert area > 0.58
    assert p_value == pytest.approx(0.001)
    assert assignment_test(np.ones((6000, 1)), arms, folds, rng) == (0.5, 1.0)
