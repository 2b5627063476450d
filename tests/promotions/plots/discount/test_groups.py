"""The figures of effects by group: what their titles say, and that nothing is cut off."""

import numpy as np
import pandas as pd
import pytest

from promotions.discount.groups.gain_curves import SHARES
from promotions.plots.discount import groups as plots
from tests.support.pictures import assert_whole_and_repeatable, words


def effects_frame(shift=0.0, bins=3):
    parts = []
    for column in ("age", "predicted_sales", "cust_state"):
        effect = np.linspace(-0.08, 0.1, bins) + shift
        frame = pd.DataFrame({"column": column, "outcome": "profit", "place": range(bins), "effect": effect})
        frame["bin"] = [f"{10 * place} to {10 * place + 9}" for place in range(bins)]
        frame = frame.assign(ci_low=effect - 0.03, ci_high=effect + 0.03, joint_ci_low=effect - 0.05)
        parts.append(frame.assign(joint_ci_high=effect + 0.05, p_value_holm=0.01))
    return pd.concat(parts, ignore_index=True)


def curves_frame():
    parts = []
    for column, height in (("age", 0.08), ("tenure", 0.0), ("predicted_sales", 0.05)):
        random = -0.03 * SHARES
        lead = height * SHARES * (1 - SHARES)
        frame = pd.DataFrame({"column": column, "outcome": "profit", "share": SHARES, "random": random})
        frame = frame.assign(gain=random + lead, lead_ci_low=lead - 0.01, lead_ci_high=lead + 0.01)
        parts.append(frame.assign(lead_joint_ci_low=lead - 0.02, lead_joint_ci_high=lead + 0.02))
    return pd.concat(parts, ignore_index=True)


AREAS = {"age": (0.013, 1e-5), "tenure": (0.0, 0.6), "predicted_sales": (0.008, 1e-3)}


def values_frame(lead=2.0):
    rows = [
        {"column": column, "policy": rule, "vs_best_constant": lead - place, "mean_dose": 20.0}
        for place, column in enumerate(("age", "tenure"))
        for rule in ("log", "test", "all_none")
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(
        vs_best_constant_ci_low=frame["vs_best_constant"] - 1, vs_best_constant_ci_high=frame["vs_best_constant"] + 1
    )


FIGURES = {
    "effects": lambda simulated: plots.effects_by_bin(effects_frame(), overall=-0.036, simulated=simulated),
    "many": lambda simulated: plots.effects_by_bin(effects_frame(bins=23), overall=-0.036, simulated=simulated),
    "gain": lambda simulated: plots.cumulative_gain(curves_frame(), areas=AREAS, simulated=simulated),
    "no_number": lambda simulated: plots.cumulative_gain(curves_frame().iloc[:0], areas={}, simulated=simulated),
    "rules": lambda simulated: plots.rule_values(values_frame(), simulated=simulated),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_picture_of_the_same_bytes_says_what_is_simulated_and_cuts_nothing_off(name):
    assert_whole_and_repeatable(FIGURES[name])


def test_titles_state_the_finding():
    assert "A dollar of discount earns 0.100 where age is 20 to 29, −0.080 where it is 0 to 9" in words(
        FIGURES["effects"](False)
    )
    assert "A dollar to each of the first 50% by age makes 0.0050 a customer of all; to a random 50%, −0.0150" in words(
        FIGURES["gain"](False)
    )
    assert "The rule by age, learned from the log, earns 2.00 a customer more than any constant" in words(
        FIGURES["rules"](False)
    )


def test_titles_find_nothing_where_nothing_is_to_be_found():
    small = plots.effects_by_bin(effects_frame(shift=-0.085), overall=-0.1, simulated=False)
    assert "A dollar of discount may earn 0.015 where age is 20 to 29: its interval includes 0" in words(small)
    none = plots.effects_by_bin(effects_frame(shift=-0.2), overall=-0.2, simulated=False)
    assert "By age a dollar of discount earns nothing anywhere: −0.100 at best" in words(none)
    luck = {name: (area, 0.4) for name, (area, _) in AREAS.items()}
    chance = plots.cumulative_gain(curves_frame(), areas=luck, simulated=False)
    assert "No column ranks customers by the effect of a discount better than chance" in words(chance)
    assert (
        "No rule by groups surely beats the best constant discount; best: by age, learned from the log, 0.500"
        in words(plots.rule_values(values_frame(0.5), simulated=False))
    )
    assert "There is no number to rank customers by" in words(FIGURES["no_number"](False))
