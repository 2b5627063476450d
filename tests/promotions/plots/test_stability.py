"""The figure of the trials says who wins how often, and what each earns."""

import numpy as np
import pandas as pd
import pytest

from promotions.plots.stability import winners
from tests.support.pictures import assert_whole_and_repeatable, words

RATIOS = ["1/60", "1/40", "1/20"]


def table(ratios=RATIOS, learners=("s_learner", "my_new_forest"), rules=("threshold", "weighted")):
    """``weighted.s_learner`` wins 60 % of the trials at each ratio."""
    rows = []
    for place, ratio in enumerate(ratios):
        rows += [(ratio, "treat_all", "constant", "", -0.04 * place), (ratio, "treat_none", "constant", "", 0.0)]
        rows += [
            (ratio, f"{rule}.{name}", rule, name, 0.01 + 0.001 * k) for k, name in enumerate(learners) for rule in rules
        ]
    frame = pd.DataFrame(rows, columns=["ratio", "policy", "rule", "learner", "profit_mean"])
    frame["profit_sd"] = 0.004
    frame["win_share"] = np.select(
        [frame["policy"] == "weighted.s_learner", frame["policy"] == "threshold.s_learner"], [0.6, 0.4], 0.0
    )
    return frame


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_the_picture_is_whole_for_any_number_of_ratios(count):
    ratios = [f"1/{number}" for number in range(20, 20 + count)]
    assert_whole_and_repeatable(lambda simulated: winners(table(ratios), trials=10, simulated=simulated))


def test_the_title_names_who_wins_most_often():
    assert "S-learner, weighted, wins most often at 3 of 3 cost ratios" in words(
        winners(table(), trials=10, simulated=False)
    )
    one = words(winners(table(["1/40"]), trials=10, simulated=False))
    assert "S-learner, weighted, wins most often at C/R = 1/40: 60% of the trials" in one


def test_a_constant_or_nobody_in_the_title():
    frame = table()
    frame["win_share"] = (frame["policy"] == "treat_none").astype(float)
    assert "Treating nobody wins most often at 3 of 3" in words(winners(frame, trials=10, simulated=False))
    leaders = dict(zip(RATIOS, ("treat_all", "treat_none", "weighted.s_learner"), strict=True))
    frame["win_share"] = (frame["policy"] == frame["ratio"].map(leaders)).astype(float)
    assert "No policy leads throughout: 3 win most often" in words(winners(frame, trials=10, simulated=False))


def test_several_who_win_as_often_are_no_winner():
    frame = table()
    frame["win_share"] = 1 / frame["policy"].nunique()
    assert "No policy leads: several win as often as each other" in words(winners(frame, trials=10, simulated=False))


def test_every_policy_stands_in_every_panel_with_the_share_of_trials_that_it_won():
    figure = winners(table(), trials=10, simulated=False)
    assert len(figure.axes) == 3
    for axes, ratio in zip(figure.axes, RATIOS, strict=True):
        assert axes.get_title(loc="left") == f"C/R = {ratio}"
        texts = [text.get_text() for text in axes.texts]
        assert texts.count("60%") == texts.count("40%") == 1
        assert texts.count("–") == 4
    # Treating everybody loses 80 per 1,000 at the dearest ratio: said in a number, so that the others can be seen.
    dearest = figure.axes[-1]
    assert "◂ −80" in [text.get_text() for text in dearest.texts]
    assert dearest.get_xlim()[0] > -10
    assert "10 trials" in words(figure)


def test_rules_that_nobody_has_heard_of_have_a_place_and_a_mark_of_their_own():
    frame = table(rules=("vote", "weighted", "threshold"))
    figure = winners(frame, trials=10, simulated=False)
    assert "●  threshold: treat if the effect is at least C/R        □  weighted classifier        ▲  Vote" in words(
        figure
    )
    points = [line for line in figure.axes[0].get_lines() if line.get_marker() == "^"]
    # Below the learner's other two rules, one for each learner.
    assert [round(float(line.get_ydata()[0]) % 1, 2) for line in points] == [0.19, 0.19]
    assert_whole_and_repeatable(lambda simulated: winners(frame, trials=10, simulated=simulated))
    alone = words(winners(table(rules=("weighted",)), trials=10, simulated=False))
    assert "●  weighted classifier" in alone
    assert "threshold" not in alone
