"""The figures of ``discount_effect``: confounded and randomised slopes, the three steps, all estimates, sensitivity.

Pure functions from a long frame to a matplotlib figure. Money; ``simulated`` puts a note in the figure.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from promotions.base.formatting import MOST_DECIMALS, decimals, number, percentage
from promotions.plots.style import ALERT, FAINT, INK, RULE_PALETTE, new_figure, readable_name, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG, TEST = "observational", "randomised"
SHOWN = {LOG: "the company's log", TEST: "the randomised test"}
HUES = {LOG: RULE_PALETTE[1], TEST: RULE_PALETTE[0]}
YARDSTICK, CONTAMINATED, NAIVE = "randomised", "contaminated", "naive"
NAMES = {
    "naive": "Log, naive",
    "adjusted_all": "Log, all columns",
    "linear_dml": "Log, double ML (linear)",
    "causal_forest_dml": "Log, double ML (forest)",
    "randomised": "Test",
    "randomised_adjusted": "Test, with features",
    "contaminated": "Test, with columns measured after",
}
# The numbers of recorded controls in the picture of sensitivity, and of controls named there.
MOST_BENCHMARKS, NAMED_BENCHMARKS = 6, 3


@styled
def confounding(frame: pd.DataFrame, *, simulated: bool) -> "Figure":
    """Profit at each discount in the log and in the test, with a line through each.

    frame: table, kind (mean or line), dose, mean, ci_low, ci_high, slope.
    """
    slopes = frame.groupby("table")["slope"].first()
    digits = max(decimals([value]) for value in slopes)
    log = f"In the log profit {_moves(slopes[LOG], digits)} per dollar of discount"
    if TEST in slopes:
        word = "but" if slopes[LOG] * slopes[TEST] < 0 else "and"
        title = f"{log}, {word} given by lot it {_moves(slopes[TEST], digits)}"
    else:
        title = f"{log}; no test says whether the discount is the cause"
    figure = new_figure(
        title, "Mean profit of customers given about the same discount, with 95% intervals, and a straight line",
        simulated=simulated, height=4.4,
    )  # fmt: skip
    axes = figure.subplots()
    for table, rows in frame.groupby("table", sort=False):
        _points_and_line(
            axes, rows, HUES[str(table)], f"{SHOWN[str(table)]}  {number(slopes[table], digits)} per dollar"
        )
    axes.set_xlabel("discount (dollars)")
    axes.set_ylabel("profit (dollars per customer)")
    figure.legend(loc="outside lower left", ncols=2)
    return figure


@styled
def fwl(frame: pd.DataFrame, *, simulated: bool) -> "Figure":
    """The log before and after debiasing the discount and denoising profit, side by side on one scale.

    frame: step (before, after), kind (mean or line), dose, mean, ci_low, ci_high, slope, variance.
    """
    first = frame.groupby("step")[["slope", "variance"]].first()
    slopes, variances = (
        {str(step): float(value) for step, value in first[column].items()} for column in ("slope", "variance")
    )
    digits = max(decimals([value]) for value in slopes.values())
    title = (
        f"Comparing like with like turns {number(slopes['before'], digits)} per dollar into "
        f"{number(slopes['after'], digits)}"
    )
    subtitle = (
        f"Both less what the controls explain (means added back); profit's variance: "
        f"{number(variances['before'], 1)} → {number(variances['after'], 1)}"
    )
    figure = new_figure(title, subtitle, simulated=simulated, height=4.0)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, step, text in zip(panels, ("before", "after"), ("As logged", "Debiased and denoised"), strict=True):
        hue = HUES[LOG] if step == "before" else RULE_PALETTE[2]
        _points_and_line(axes, frame[frame["step"] == step], hue, None)
        axes.set_title(f"{text}: {number(slopes[step], digits)} per dollar", fontweight="bold")
        axes.set_xlabel(
            "discount (dollars)" if step == "before" else "discount less what the controls explain (dollars)"
        )
    panels[0].set_ylabel("profit (dollars per customer)")
    return figure


@styled
def estimates(frame: pd.DataFrame, *, simulated: bool) -> "Figure":
    """Every estimate of the effect of a dollar with its interval, the randomised one as the yardstick.

    frame: outcome, table, name, estimate, ci_low, ci_high and, of a simulation, truth.
    """
    from matplotlib.ticker import MaxNLocator

    profit = frame[frame["outcome"] == "profit"].set_index("name")
    digits = decimals([profit["estimate"].abs().median()])
    best = _numbers_of(profit, "linear_dml")
    if YARDSTICK in profit.index:
        test = _numbers_of(profit, YARDSTICK)
        agrees = test["ci_low"] <= best["ci_high"] and best["ci_low"] <= test["ci_high"]
        title = (
            f"Double ML on the log says {number(best['estimate'], digits)} of profit per dollar, the test "
            f"{number(test['estimate'], digits)}: {'their intervals meet' if agrees else 'their intervals do not meet'}"
        )
    else:
        title = f"Double ML on the log says {number(best['estimate'], digits)} of profit per dollar; there is no test"
    subtitle = "Effect of a dollar of discount, 95% intervals; shaded: the randomised test"
    if "truth" in frame:
        subtitle += "; diamond: the truth"
    order = list(profit.index)
    figure = new_figure(title, subtitle, simulated=simulated, height=1.1 + 0.36 * len(order))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, outcome in zip(panels, ("profit", "sales"), strict=True):
        rows = frame[frame["outcome"] == outcome].set_index("name").loc[order]
        if YARDSTICK in rows.index:
            yardstick = _numbers_of(rows, YARDSTICK)
            axes.axvspan(yardstick["ci_low"], yardstick["ci_high"], color="#DCE9F3", zorder=0)
            axes.axvline(yardstick["estimate"], color=HUES[TEST], linewidth=1.1, zorder=1)
        if outcome == "profit":
            axes.axvline(0, color=INK, linewidth=0.9, zorder=1.5)
        for place, (name, row) in enumerate(rows.iterrows()):
            hue = ALERT if name == CONTAMINATED else FAINT if name == NAIVE else HUES[row["table"]]
            reach = np.array([[row["estimate"] - row["ci_low"]], [row["ci_high"] - row["estimate"]]])
            axes.errorbar(row["estimate"], place, xerr=reach, fmt="o", markersize=5, elinewidth=1.6, color=hue)
            if "truth" in rows and pd.notna(row["truth"]):
                axes.plot(row["truth"], place, "D", markersize=7, markerfacecolor="none", color=INK, zorder=3)
        axes.set_title(f"{outcome} per dollar of discount", fontweight="bold")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("dollars")
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(order)), [_estimate_name(str(name)) for name in order])
    panels[0].set_ylim(len(order) - 0.5, -0.5)
    for label, name in zip(panels[0].get_yticklabels(), order, strict=True):
        label.set_color(ALERT if name == CONTAMINATED else INK)
    return figure


@styled
def sensitivity(frame: pd.DataFrame, *, simulated: bool) -> "Figure":
    """What an omitted confounder of given strength would leave of the log's estimate; recorded controls for comparison.

    frame: kind (grid or control), control, times, r2_dose, r2_outcome, estimate, robustness_value.
    """
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    grid = frame[frame["kind"] == "grid"].pivot_table(index="r2_outcome", columns="r2_dose", values="estimate")
    x, y, z = grid.columns.to_numpy(np.float64), grid.index.to_numpy(np.float64), grid.to_numpy(np.float64)
    start, value = float(z[0, 0]), float(frame["robustness_value"].iloc[0])
    shown = frame[(frame["kind"] == "control") & (frame["times"] == 1)].head(MOST_BENCHMARKS)
    harmful = shown[np.sign(shown["estimate"]) != np.sign(start)]
    title = (
        f"A confounder that explains {percentage(value, 1)} of the rest of discount and of profit takes the effect away"
    )
    compared = (
        f"one as strong as {_column_name(str(harmful['control'].iloc[0]))} would turn its sign"
        if len(harmful)
        else "no recorded column is that strong"
    )
    left = number(start, decimals([start]))
    subtitle = f"What may be left of {left} per dollar with all columns controlled for; {compared}"
    figure = new_figure(title, subtitle, simulated=simulated, height=4.4)
    axes = figure.subplots()
    levels = np.asarray(MaxNLocator(9).tick_values(float(z.min()), float(z.max())))
    digits = max(0, *(_digits_of(level) for level in levels))
    drawn = axes.contour(x, y, z, levels=levels[levels != 0], colors=FAINT, linewidths=0.9, linestyles="solid")
    axes.clabel(drawn, fmt=lambda level: number(level, digits), fontsize=9)
    if z.min() < 0 < z.max():
        axes.clabel(axes.contour(x, y, z, levels=[0.0], colors=ALERT, linewidths=2), fmt=lambda _: "0", fontsize=10)
    axes.plot(0, 0, "o", color=INK, markersize=6, clip_on=False, zorder=4)
    inside = shown[(shown["r2_dose"] <= x[-1]) & (shown["r2_outcome"] <= y[-1])]
    axes.plot(inside["r2_dose"], inside["r2_outcome"], "D", color=HUES[TEST], markersize=5, clip_on=False, zorder=4)
    for name, dose, outcome in inside.head(NAMED_BENCHMARKS)[["control", "r2_dose", "r2_outcome"]].to_numpy():
        axes.annotate(
            f"as {_column_name(str(name))}", (float(dose), float(outcome)), xytext=(7, 3),
            textcoords="offset points", fontsize=9, color=HUES[TEST], zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
        )  # fmt: skip
    for axis, ends in ((axes.xaxis, x), (axes.yaxis, y)):
        places = 0 if ends[-1] > 0.1 else 1 if ends[-1] > 0.01 else 2
        axis.set_major_formatter(PercentFormatter(1, places))
    axes.set_xlabel("share of the remaining discount that the confounder explains")
    axes.set_ylabel("share of the remaining profit\nthat it explains")
    return figure


def _points_and_line(axes: "Axes", rows: pd.DataFrame, hue: str, label: str | None) -> None:
    means, line = rows[rows["kind"] == "mean"], rows[rows["kind"] == "line"]
    reach = np.abs(means[["ci_low", "ci_high"]].sub(means["mean"], axis=0).to_numpy().T)
    axes.errorbar(means["dose"], means["mean"], reach, fmt="o", markersize=4.5, elinewidth=1.3, color=hue, label=label)
    axes.plot(line["dose"], line["mean"], color=hue, linewidth=1.8)


def _numbers_of(rows: pd.DataFrame, name: str) -> dict[str, float]:
    return {column: float(rows[column].loc[name]) for column in ("estimate", "ci_low", "ci_high")}


def _moves(slope: float, digits: int) -> str:
    return f"{'rises' if slope > 0 else 'falls'} by {number(abs(slope), digits)}"


def _estimate_name(name: str) -> str:
    if name in NAMES:
        return NAMES[name]
    columns = name.removeprefix("adjusted_").replace("sales_prediction_bins", "prediction bins")
    return f"Log, {columns.replace('_', ' ').replace('bins ', 'bins + ')}"


def _column_name(name: str) -> str:
    return readable_name(name).lower()


def _digits_of(level: float) -> int:
    """The decimals that a round number needs."""
    return len(number(level, MOST_DECIMALS).rstrip("0").partition(".")[2])
