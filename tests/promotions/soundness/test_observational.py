"""Without lots: the effect is found if its reasons are seen, who cannot be compared is left out, nothing is claimed."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from benchmarks.observational import replicate
from promotions.base.errors import InputError
from promotions.customers import Customers, validate
from promotions.soundness.balance import ArmMeans, Arms
from promotions.soundness.experiment import soundness_lines
from promotions.soundness.observational import FITS, auc, measure, observe, weighted_balance


def drawn(n=4000, seed=1, strength=1.2, **columns):
    """Treatment and outcome both depend on ``wealth`` and ``city``; the effect is 1 for everybody.

    Who has no known wealth behaves as if it were 1.5.
    """
    rng = np.random.default_rng(seed)
    wealth, city, unknown = rng.normal(size=n), rng.choice(["Bonn", "Köln", "Trier"], n), rng.random(n) < 0.05
    wealth[unknown] = 1.5
    treatment = (rng.random(n) < expit(strength * (wealth + 0.7 * (city == "Köln") - 0.3))).astype(int)
    outcome = wealth + 0.5 * (city == "Köln") + treatment + 0.5 * rng.normal(size=n)
    wealth[unknown] = np.nan
    frame = pd.DataFrame(
        {"customer_id": [f"c{i}" for i in range(n)], "treatment": treatment, "outcome": outcome, "wealth": wealth,
         "city": city, "noise": rng.normal(size=n)}
    )  # fmt: skip
    return frame.assign(**columns)


def observed(frame, overlap=0.05, **options):
    customers = Customers(validate(frame, propensity=False), overlap=overlap)
    return observe(customers, np.random.default_rng(1), **options)


@pytest.fixture(scope="module")
def found():
    return observed(drawn())


def test_the_effect_is_found_and_the_naive_difference_is_not_it(found):
    facts = found.metrics
    assert abs(facts["ate"] - 1) < 3 * facts["ate_se"] < 0.1
    assert facts["naive_difference_ci_low"] > 1.8
    assert abs(facts["weighted_difference"] - 1) < 0.2
    assert facts["treated_mean"] - facts["control_mean"] == pytest.approx(facts["ate"])
    assert facts["ate_method"].startswith("doubly robust")


def test_intervals_cover_and_the_naive_one_does_not():
    rows = pd.DataFrame([replicate(seed, 1000) for seed in range(6)])
    assert rows["doubly robust, covers"].sum() >= 5
    assert rows["naive, covers"].sum() == 0
    assert abs(rows["doubly robust, error"].mean()) < 0.15 * rows["naive, error"].mean()


def test_where_a_lottery_decided_the_naive_difference_is_as_good():
    facts = observed(drawn(strength=0.0)).metrics
    assert facts["left_out"] == 0
    assert facts["ate_ci_low"] < 1 < facts["ate_ci_high"]
    assert abs(facts["naive_difference"] - facts["ate"]) < 3 * facts["naive_difference_se"]
    assert "propensity_calibration_slope" not in facts


def test_only_comparable_customers_are_kept_and_the_others_counted_by_arm(found):
    chances, kept, facts = found.chances, found.customers.frame, found.metrics
    outside = ~chances["propensity"].between(0.05, 0.95)
    assert 0 < outside.sum() == facts["left_out"] == len(chances) - len(kept)
    assert (facts["n"], facts["n_read"]) == (len(kept), 4000)
    assert kept["propensity"].between(0.05, 0.95).all()
    by_arm = outside.groupby(chances["treatment"]).mean()
    assert facts["share_left_out_treated"] == pytest.approx(by_arm[1])
    assert facts["share_left_out_control"] == pytest.approx(by_arm[0])
    assert f"{facts['left_out']} of 4,000" in found.notes[1]


def test_a_wider_overlap_leaves_out_more_but_estimates_the_same_chances(found):
    narrow = observed(drawn(), overlap=0.2)
    pd.testing.assert_frame_equal(narrow.chances, found.chances)
    assert narrow.metrics["left_out"] > found.metrics["left_out"]
    assert narrow.table["verdict"].iloc[0] == "look"


def test_outcomes_play_no_part_in_chances_and_trimming(found):
    other = observed(drawn(outcome=np.random.default_rng(9).normal(size=4000)))
    pd.testing.assert_frame_equal(other.chances, found.chances)
    assert list(other.customers.frame["customer_id"]) == list(found.customers.frame["customer_id"])


def test_neither_the_order_of_rows_nor_threads_change_anything(found):
    fits = []
    shuffled = observed(drawn().sample(frac=1, random_state=2), threads=2, progress=lambda: fits.append(1))
    assert shuffled.metrics == found.metrics
    pd.testing.assert_frame_equal(shuffled.balance, found.balance)
    assert len(fits) == FITS


def test_households_share_a_fold_and_widen_the_errors():
    half = drawn(2000)
    twice = pd.concat([half.assign(customer_id=half["customer_id"] + end, cluster_id=half.index) for end in "ab"])
    by_home, alone = observed(twice).metrics, observed(twice.drop(columns="cluster_id")).metrics
    assert by_home["ate_se"] > 1.25 * alone["ate_se"]
    # A copy in another fold would tell the outcome, and the treatment, of the customer itself.
    assert abs(by_home["ate"] - 1) < 3 * by_home["ate_se"]


def test_only_what_was_tested_is_in_the_metrics(found):
    assert all(isinstance(value, (int, float, str)) for value in found.metrics.values())
    assert not any(np.isnan(value) for value in found.metrics.values() if isinstance(value, float))
    assert not {"srm_p_value", "assignment_auc", "assignment_auc_p_value", "max_abs_smd", "mde"} & set(found.metrics)


def test_the_table_says_what_no_data_can_tell_and_fits_a_terminal(found):
    last = found.table.iloc[-1]
    assert (last["check"], last["verdict"]) == ("hidden reasons", "unknown")
    assert set(found.table["verdict"].iloc[:-1]) <= {"sound", "look"}
    assert max(map(len, soundness_lines(found.table).splitlines())) <= 120
    assert "not an experiment" in found.notes[0]


def test_a_hidden_reason_is_not_noticed_which_is_why_it_is_said():
    facts = observed(drawn().drop(columns="wealth")).metrics
    assert facts["ate_ci_low"] > 1.5
    assert facts["max_abs_smd_after"] < 0.1


def test_weighting_brings_the_arms_together(found):
    worst = found.balance.iloc[0]
    assert (worst["column"], worst["feature"]) == ("wealth", "wealth")
    assert found.metrics["max_abs_smd_before"] == pytest.approx(abs(worst["smd_before"]))
    assert found.metrics["max_abs_smd_after"] == pytest.approx(found.balance["smd_after"].abs().max())
    assert found.metrics["max_abs_smd_after"] < 0.1 < 0.8 < found.metrics["max_abs_smd_before"]
    assert found.balance["smd_before"].abs().is_monotonic_decreasing


def test_with_the_true_chances_weights_balance_to_within_chance():
    rng = np.random.default_rng(3)
    x = rng.normal(size=20_000)
    chance = expit(x)
    arms = Arms((rng.random(20_000) < chance).astype(np.int8), chance, np.arange(20_000))
    table = weighted_balance(x[:, None], ["x"], ["x"], arms)
    assert abs(table["smd_after"].iloc[0]) < 0.05 < 0.5 < table["smd_before"].iloc[0]


def test_the_three_methods_agree_with_their_formulas():
    rng = np.random.default_rng(4)
    n = 600
    x, fold = rng.normal(size=(n, 2)), (np.arange(n) % 3).astype(np.int8)
    treatment, chance = rng.integers(0, 2, n).astype(np.int8), rng.uniform(0.2, 0.8, n)
    outcome = treatment + rng.normal(size=n)
    arms = Arms(treatment, chance, np.arange(n))
    effects = measure(x, outcome, arms, fold, 1)
    plain = outcome[treatment == 1].mean() - outcome[treatment == 0].mean()
    assert effects.naive.effect == pytest.approx(plain)
    assert effects.weighted == arms.means(outcome)
    assert isinstance(effects.doubly_robust, ArmMeans)
    # An outcome that the models know exactly needs no weights: its mean by arm, whatever the chances.
    constant = measure(x, 3.0 * treatment, arms, fold, 1).doubly_robust
    assert (constant.control, constant.treated) == pytest.approx((0, 3))
    assert constant.standard_error == pytest.approx(0, abs=1e-9)


def test_auc_counts_ties_half():
    treatment = np.array([1, 1, 0, 0], dtype=np.int8)
    assert auc(treatment, np.array([0.9, 0.5, 0.5, 0.1])) == pytest.approx(3.5 / 4)
    assert auc(treatment, np.full(4, 0.3)) == 0.5


# ── Mistakes ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_feature_that_tells_who_was_treated_leaves_nobody_and_is_named():
    frame = drawn(1000)
    with pytest.raises(InputError) as error:
        observed(frame.assign(later=frame["treatment"] * 3.0 + frame["noise"] * 0.01))
    message = str(error.value)
    assert re.match(r"only \d treated and \d control customers of 1,000", message)
    assert "feature 'later'" in message
    assert "data.table.exclude" in message
    assert "\n" not in message


def test_an_arm_that_is_too_small_to_be_compared_is_said():
    with pytest.raises(InputError, match=r"only \d+ treated and \d+ control customers of 80 .* 50 of each"):
        observed(drawn(80))


def test_an_arm_within_one_fold_cannot_be_compared():
    frame = drawn(400, strength=0.0)
    with pytest.raises(InputError, match="outside fold"):
        observed(frame.assign(cluster_id=np.where(frame["treatment"] == 1, "one", frame["customer_id"])))


def test_features_without_a_value_are_refused():
    frame = drawn(300)[["customer_id", "treatment", "outcome"]].assign(
        empty=pd.Series(np.nan, index=range(300), dtype=object)
    )
    with pytest.raises(InputError, match=r"no feature has a single value \('empty'\)"):
        observed(frame)
