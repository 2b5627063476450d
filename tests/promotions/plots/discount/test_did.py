"""The figures of the comparisons over time: what their titles say, and that nothing is cut off."""

import numpy as np
import pandas as pd
import pytest

from promotions.discount.did.synthetic import RegionStudy, Synthetic
from promotions.plots.discount import did as plots
from tests.support.pictures import assert_whole_and_repeatable, words

NAMES = {"group": "gender W", "region": "cust_state MG"}


def study_frame(effect=-5.0, width=1.0):
    parts = []
    for treated, start in (("group", 2), ("region", 4)):
        month = np.arange(7.0)
        estimate = np.where(month >= start, effect, 0.1)
        frame = pd.DataFrame({"month": month, "event_time": month - start, "estimate": estimate})
        frame = frame.assign(ci_low=estimate - width, ci_high=estimate + width, joint_ci_low=estimate - 1.5 * width)
        frame = frame.assign(joint_ci_high=estimate + 1.5 * width, reference=month == start - 1, outcome="profit")
        parts.append(frame.assign(treated=treated, pre_trend_p_value=0.3 if treated == "group" else 0.001))
    return pd.concat(parts, ignore_index=True)


def means_frame():
    month = np.arange(7.0)
    sides = {("group", "treated"): 5, ("group", "controls"): 9, ("group", "unknown"): 7, ("region", "treated"): 3}
    parts = [
        pd.DataFrame({"treated": treated, "side": side, "month": month, "outcome": "profit", "customers": 10})
        .assign(mean=60 + growth * (month >= 2))
        for (treated, side), growth in {**sides, ("region", "controls"): 4}.items()
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def estimates_frame():
    rows = [
        {"treated": treated, "estimator": name, "contaminated": not name.startswith("did_clean"), "outcome": "profit"}
        | {"estimate": value, "ci_low": value - 1, "ci_high": value + 1}
        for treated in NAMES
        for name, value in zip(plots.COMPARISONS, (7.1, -7.1, -4.8, -5.3, -5.2, -4.8), strict=True)
    ]
    return pd.DataFrame(rows)


def region_study(p_value=0.25):
    month = np.arange(7.0)
    parts = [
        pd.DataFrame({"region": name, "month": month, "actual": 60 + month, "synthetic": 60 + month - gap, "gap": gap})
        for name, gap in (("MG", -3.0 * (month >= 4)), ("SP", 0.3 * month), ("RJ", -0.2 * month), ("BA", 0.1 * month))
    ]
    weights = pd.DataFrame({"region": ["SP", "RJ"], "weight": [0.7, 0.3]})
    horizon = pd.DataFrame({"months": [1], "effect": [-3.0], "p_value": [p_value]})
    found = Synthetic(
        "MG", 4.0, -3.0, weights, pd.concat(parts), 0.5, 3.0, 6.0, p_value, 4, 1, horizon, (-4.0, -2.0), 0.1
    )  # fmt: skip
    return RegionStudy(found, {}, 25.0)


FIGURES = {
    "event_study": lambda simulated: plots.event_study(study_frame(), names=NAMES, simulated=simulated),
    "before_after": lambda simulated: plots.before_after(
        means_frame(), names=NAMES, starts={"group": 2.0, "region": 4.0}, simulated=simulated
    ),
    "estimates": lambda simulated: plots.estimates(estimates_frame(), names=NAMES, simulated=simulated),
    "synthetic": lambda simulated: plots.synthetic(region_study(), simulated=simulated),
    "no_region": lambda simulated: plots.synthetic(None, simulated=simulated),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_picture_of_the_same_bytes_says_what_is_simulated_and_cuts_nothing_off(name):
    assert_whole_and_repeatable(FIGURES[name])


def test_titles_state_the_finding():
    shown = words(FIGURES["event_study"](False))
    assert "gender W loses 5.00 of profit a month: 5 of 5 months exclude 0" in shown
    assert "gender W; no different trend found before: p = 0.3" in shown
    assert "cust_state MG; trends differ before: p = 0.001" in shown
    unsure = plots.event_study(study_frame(width=9.0), names=NAMES, simulated=False)
    assert "No month since 2 tells the discount's effect on profit of gender W from 0" in words(unsure)
    means = words(FIGURES["before_after"](False))
    assert "changed by 5.00 after the discount began, that of others by 9.00" in means
    assert "against clean controls the discount makes −5.20" in words(FIGURES["estimates"](False))
    assert "No region is compared" in words(FIGURES["no_region"](False))


@pytest.mark.parametrize(
    ("p_value", "told"),
    [
        (0.25, "farther than any untreated region"),
        (0.5, "one of 3 untreated"),
        (0.75, "2 of 3 untreated regions stray"),
    ],
)
def test_the_mixture_says_how_many_stray_as_far(p_value, told):
    shown = words(plots.synthetic(region_study(p_value), simulated=False))
    assert "MG is 3.00 a customer below its mixture from month 4 on" in shown
    assert told in shown
    assert "Mixture: SP 70%, RJ 30%" in shown
