"""Is an experiment sound? Sound ones pass, and each way of being unsound is found."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from promotions.customers import Customers, validate
from promotions.errors import InputError
from promotions.experiment import (
    arm_means,
    assignment_test,
    balance_table,
    examine,
    holm,
    sample_ratio_p_value,
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
    with pytest.raises(InputError, match="column 'visits' depends on treatment"):
        stop_or_drop(given, found, CHECKS)
    kept = stop_or_drop(given, found, {**CHECKS, "on_post_treatment": "drop"})
    assert kept.features == ["x0", "x1", "x2", "x3", "x4"]
    assert kept.dropped == {"visits": "depends on treatment"}
    assert kept.simulated


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
            rng.normal(size=(400, 3)), treatment, np.full(400, 0.5), np.arange(400), folds, rng
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
    area, p_value = assignment_test(matrix, treatment, np.full(1500, 0.5), np.arange(1500), folds, rng)
    assert area > 0.6
    assert p_value == pytest.approx(0.001)
    balance = balance_table(matrix, ["x"], treatment, np.full(1500, 0.5), np.arange(1500))
    assert balance["p_value"].iloc[0] > 0.01


def test_a_constant_column_is_balanced_and_one_that_is_the_treatment_is_not(sound):
    matrix = np.column_stack([np.ones(3000), sound.treatment])
    table = balance_table(matrix, ["one", "arm"], sound.treatment, sound.propensity, np.arange(3000))
    assert table.set_index("column").loc["one", ["smd", "p_value", "p_value_holm"]].tolist() == [0, 1, 1]
    assert table.set_index("column").loc["arm", "p_value_holm"] == 0


@pytest.mark.parametrize(("seed", "size"), [(1, 1), (2, 2), (3, 5), (4, 10), (5, 20)])
def test_holm_is_that_of_statsmodels_ties_and_zeros_included(seed, size):
    p_values = np.round(np.random.default_rng(seed).beta(0.3, 3, size), 2)
    np.testing.assert_allclose(holm(p_values), multipletests(p_values, method="holm")[1], rtol=1e-9)


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
        p_values.append(assignment_test(matrix, treatment, np.full(len(shop), 0.5), shop, folds, rng)[1])
    assert np.mean(np.array(p_values) < 0.05) < 0.2
    assert np.mean(p_values) > 0.3


@pytest.mark.parametrize("shared_within_pairs", [True, False])
def test_matched_pairs_are_a_sound_design(shared_within_pairs):
    rng = np.random.default_rng(3)
    pairs = 400
    pair = np.repeat(np.arange(pairs), 2)
    treatment = np.concatenate([rng.permutation([0, 1]) for _ in range(pairs)]).astype(np.int8)
    income = rng.normal(size=pairs)[pair] if shared_within_pairs else rng.normal(size=2 * pairs)
    half = np.full(2 * pairs, 0.5)
    assert sample_ratio_p_value(treatment, half, pair) == 1.0
    balance = balance_table(income[:, None], ["income"], treatment, half, pair)
    assert balance["p_value"].iloc[0] > 0.01
