"""The sentence that a manager reads."""

import pytest

from headline import verdict_of


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


@pytest.mark.parametrize(("champion", "whom"), [("treat_all", "everybody"), ("treat_none", "nobody")])
def test_a_constant_champion_is_said_plainly(champion, whom):
    assert (
        verdict_of(headline(champion))
        == f"Treat {whom}: on the customers that chose, no rule earned more by a standard error."
    )
