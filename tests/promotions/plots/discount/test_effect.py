"""Each figure of the effect shows what its frame holds, and says where the data come from."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from promotions.plots.discount import effect as figures
from promotions.plots.style import png_bytes

NAMES = ["naive", "adjusted_sales_prediction_bins", "adjusted_all", "linear_dml", "causal_forest_dml"]
OF_TEST = ["randomised", "randomised_adjusted", "contaminated"]


def words(figure):
    figure.draw_without_rendering()
    return "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_visible()).replace("\n", " ")


def points(slope, **labels):
    dose = np.linspace(0, 100, 6)
    means = pd.DataFrame({"dose": dose, "mean": 50 + slope * dose, "kind": "mean"})
    both = pd.concat([means, means.iloc[[0, -1]].assign(kind="line")])
    return both.assign(ci_low=both["mean"] - 1, ci_high=both["mean"] + 1, slope=slope, **labels)


def confounding_frame(with_test=True):
    parts = [points(0.0743, table="observational")]
    return pd.concat([*parts, points(-0.0357, table="randomised")] if with_test else parts)


def fwl_frame():
    return pd.concat([points(0.0743, step="before", variance=545.4), points(-0.0247, step="after", variance=512.6)])


def estimates_frame(with_test=True, gap=0.0):
    names = NAMES + (OF_TEST if with_test else [])
    rows = [
        {"outcome": outcome, "name": name, "table": "randomised" if name in OF_TEST else "observational"}
        for outcome in ("profit", "sales")
        for name in names
    ]
    frame = pd.DataFrame(rows)
    frame["estimate"] = np.where(frame["outcome"] == "profit", -0.03, 19.0)
    frame.loc[frame["name"] == "naive", "estimate"] += 0.1
    frame.loc[frame["name"].isin(OF_TEST), "estimate"] -= gap
    return frame.assign(ci_low=frame["estimate"] - 0.02, ci_high=frame["estimate"] + 0.02)


def sensitivity_frame(turned=False):
    strengths = np.linspace(0, 0.05, 11)
    grid = pd.DataFrame([(a, b) for a in strengths for b in strengths], columns=["r2_dose", "r2_outcome"])
    grid["estimate"] = -0.03 + np.sqrt(grid["r2_dose"] * grid["r2_outcome"])
    controls = pd.DataFrame({"control": ["age", "tenure"], "r2_dose": [0.02, 0.001], "r2_outcome": [0.03, 0.01]})
    controls["estimate"] = [0.01 if turned else -0.005, -0.02]
    both = pd.concat([grid.assign(kind="grid", control="", times=0), controls.assign(kind="control", times=1)])
    return both.assign(robustness_value=0.03)


FIGURES = {
    "confounding": (figures.confounding, confounding_frame),
    "fwl": (figures.fwl, fwl_frame),
    "estimates": (figures.estimates, estimates_frame),
    "sensitivity": (figures.sensitivity, sensitivity_frame),
}
every_figure = pytest.mark.parametrize(("draw", "frame"), FIGURES.values(), ids=FIGURES.keys())


@every_figure
def test_a_figure_is_drawn_again_the_same_bytes_and_says_what_is_simulated(draw, frame):
    first, second = (png_bytes(draw(frame(), simulated=True)) for _ in range(2))
    assert first == second
    assert "simulated data" in words(draw(frame(), simulated=True))
    assert "simulated data" not in words(draw(frame(), simulated=False))


def test_titles_say_what_was_found():
    told = words(figures.confounding(confounding_frame(), simulated=False))
    assert "profit rises by 0.0743 per dollar of discount, but given by lot it falls by 0.0357" in told
    assert "no test says whether" in words(figures.confounding(confounding_frame(False), simulated=False))
    told = words(figures.fwl(fwl_frame(), simulated=False))
    assert "turns 0.0743 per dollar into −0.0247" in told
    assert "545.4 → 512.6" in told
    assert "their intervals meet" in words(figures.estimates(estimates_frame(), simulated=False))
    apart = words(figures.estimates(estimates_frame(gap=0.1), simulated=False))
    assert "their intervals do not meet" in apart
    assert "there is no test" in words(figures.estimates(estimates_frame(False), simulated=False))


def test_estimates_are_named_and_the_contaminated_one_is_called_what_it_is():
    told = words(figures.estimates(estimates_frame(), simulated=False))
    for name in ("Log, naive", "Log, prediction bins", "Log, all columns", "Log, double ML (linear)", "Test"):
        assert name in told
    assert "Test, with columns measured after" in told
    assert "diamond" not in told
    with_truth = estimates_frame().assign(truth=-0.03)
    assert "diamond: the truth" in words(figures.estimates(with_truth, simulated=True))


def test_controls_as_strong_as_a_confounder_are_named():
    told = words(figures.sensitivity(sensitivity_frame(), simulated=False))
    assert "explains 3.0% of the rest of discount and of profit" in told
    assert "as age" in told
    assert "no recorded column is that strong" in told
    turned = words(figures.sensitivity(sensitivity_frame(turned=True), simulated=False))
    assert "one as strong as age would turn its sign" in turned
