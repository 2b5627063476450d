"""The sentence that a manager reads."""

import pytest

from headline import effect_of, verdict_of


def headline(champion="threshold.x_learner", low=0.1, high=0.3):
    lift = {
        "lift_over_best_constant": 0.2,
        "lift_over_best_constant_ci_low": low,
        "lift_over_best_constant_ci_high": high,
    }
    return {"champion": champion, "share_treated": 0.4, **lift}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.3, "Targeting pays."), (-0.1, 0.3, "Not proven"), (-0.3, -0.1, "Targeting costs")],
)
def test_targeting_pays_only_if_the_whole_interval_says_so(low, high, verdict):
    assert verdict in verdict_of(headline(low=low, high=high))


def test_what_is_left_over_from_a_sum_is_0_and_has_no_sign():
    almost = headline(low=-3e-16, high=0.3) | {"lift_over_best_constant": 3e-16}
    assert "none: 0.0000 per customer (95 % interval 0.0000 to +0.3000)." in verdict_of(almost)
    assert effect_of(EXPERIMENT | {"ate": -4e-5, "ate_ci_low": -0.2, "control_mean": -0.0})[1] == (
        "Without treatment the outcome is 0.0000; treatment changes it by 0.0000 (95 % interval -0.2000 to +0.3000)."
    )


@pytest.mark.parametrize(("champion", "whom"), [("treat_all", "everybody"), ("treat_none", "nobody")])
def test_a_constant_champion_is_said_plainly(champion, whom):
    assert (
        verdict_of(headline(champion))
        == f"Treat {whom}: on the customers that chose, no rule earned more by a standard error."
    )


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.3), (-0.3, -0.1)])
def test_without_an_experiment_no_verdict_is_outright(low, high):
    assert verdict_of(headline(low=low, high=high), estimated=True).endswith(
        ", if nothing hidden decided on treatment."
    )
    assert "if nothing hidden" in verdict_of(headline("treat_all"), estimated=True)
    assert "hidden" not in verdict_of(headline(low=low, high=high))


EXPERIMENT = {
    "n": 4000, "share_treated": 0.5, "control_mean": 1.0, "ate": 0.2, "ate_ci_low": 0.1, "ate_ci_high": 0.3,
}  # fmt: skip


def test_the_naive_difference_is_told_as_what_it_is_where_there_was_no_experiment():
    told = effect_of(EXPERIMENT | {"naive_difference": 0.9, "left_out": 12, "n_read": 4012})
    assert "(12 of the 4,012 that were read are left out: too few like them were treated, or not treated.)" in told
    assert told[-1] == "(As they are, the arms differ by +0.9000, which is not the effect.)"
    assert not any("left out" in line for line in effect_of(EXPERIMENT | {"naive_difference": 0.9, "left_out": 0}))
    assert len(effect_of(EXPERIMENT)) == 2
