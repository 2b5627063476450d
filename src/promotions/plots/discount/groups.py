"""The figures of ``discount_groups``: pure functions from a long frame to a matplotlib figure.

Effects are money of profit for each dollar of discount, among customers whose discount was drawn by lot.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from promotions.base.formatting import decimals, number, p_text, percentage, short_percent
from promotions.plots.style import (
    ALERT,
    FAINT,
    INK,
    RULE_PALETTE,
    new_figure,
    readable_name,
    shortened,
    styled,
    zero_line,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE = RULE_PALETTE[:2]
PER_ROW = 2
# A column with more bins is a category; its levels are drawn from top to bottom.
MANY = 8
RULES = {"log": "learned from the log", "test": "learned from the other customers of the test"}


@styled
def effects_by_bin(frame: pd.DataFrame, *, overall: float, simulated: bool) -> "Figure":
    """The effect of a dollar on profit in each bin, a panel a column, with intervals for each bin and for all of them.

    frame: column, outcome, place, bin, effect, ci_low, ci_high, joint_ci_low, joint_ci_high, p_value_holm
    (``effects_table``).  overall: the effect among all customers.
    """
    rows = frame[frame["outcome"] == "profit"].sort_values("place")
    panels = {str(name): part for name, part in rows.groupby("column", sort=False)}
    first = next(iter(panels))
    ordered = panels[first].sort_values("effect", kind="stable")
    best, worst = ordered.iloc[-1], ordered.iloc[0]
    digits = decimals([float(best["effect"]), float(worst["effect"])])
    name = readable_name(first)
    high, low = number(float(best["effect"]), digits), number(float(worst["effect"]), digits)
    if best["ci_low"] > 0:
        title = (
            f"A dollar of discount earns {high} where {name.lower()} is {best['bin']}, {low} where it is {worst['bin']}"
        )
    elif best["effect"] > 0:
        title = f"A dollar of discount may earn {high} where {name.lower()} is {best['bin']}: its interval includes 0"
    else:
        title = f"By {name.lower()} a dollar of discount earns nothing anywhere: {high} at best"
    subtitle = (
        "Effect on profit where the discount was drawn by lot; thick: 95% for each bin, thin: for all of a column"
    )
    columns = min(PER_ROW, len(panels))
    lines = -(-len(panels) // columns)
    long = max(len(part) for part in panels.values()) > MANY
    figure = new_figure(title, subtitle, simulated=simulated, height=0.4 + (4.6 if long else 2.9) * lines)
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes, (column, part) in zip(grid.flat, panels.items(), strict=False):
        _draw_bins(axes, part.reset_index(drop=True), overall)
        axes.set_title(shortened(readable_name(column)), fontweight="bold")
    for axes in list(grid.flat)[len(panels) :]:
        axes.remove()
    figure.supxlabel(
        f"effect of a dollar of discount on profit (dotted: all customers, {number(overall, 3)})", fontsize=10
    )
    return figure


def _draw_bins(axes: "Axes", part: pd.DataFrame, overall: float) -> None:
    """Bins from top to bottom: blue if the bin's interval lies above 0, red if it lies below 0."""
    hue = np.where(part["ci_low"] > 0, BLUE, np.where(part["ci_high"] < 0, ALERT, FAINT))
    place = part.index.to_numpy()
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1.5)
    axes.axvline(overall, color=FAINT, linewidth=1, linestyle=(0, (1, 2)), zorder=1.5)
    axes.hlines(place, part["joint_ci_low"], part["joint_ci_high"], colors=list(hue), linewidth=1.0)
    axes.hlines(place, part["ci_low"], part["ci_high"], colors=list(hue), linewidth=3.2)
    axes.scatter(part["effect"], place, color=list(hue), s=30, zorder=3)
    axes.locator_params(axis="x", nbins=5)
    axes.set_yticks(place, [str(label) for label in part["bin"]])
    axes.set_ylim(len(part) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


@styled
def cumulative_gain(frame: pd.DataFrame, *, areas: dict[str, tuple[float, float]], simulated: bool) -> "Figure":
    """Gain of giving a dollar to the first share of a ranking, with bands, beside a random order; a panel a column.

    Without rows (all columns are categories) the figure says so.

    frame: column, outcome, share, gain, random, lead_ci_low, lead_ci_high, lead_joint_ci_low, lead_joint_ci_high
    (``curves_table``).  areas: of each column, the area between the curve and the random line and its p-value.
    """
    if frame.empty:
        subtitle = "discount.groups.by names categories alone"
        return new_figure("There is no number to rank customers by", subtitle, simulated=simulated, height=0.6)
    rows = frame[frame["outcome"] == "profit"].sort_values("share")
    panels = {str(name): part for name, part in rows.groupby("column", sort=False)}
    best = max(panels, key=lambda name: areas[name][0])
    significant = [name for name in panels if areas[name][1] < 0.05]
    if not significant:
        title = "No column ranks customers by the effect of a discount better than chance explains"
    else:
        lead = panels[best].assign(lead=lambda part: part["gain"] - part["random"])
        top = lead.sort_values("lead", kind="stable").iloc[-1]
        digits = decimals([float(top["gain"]), float(top["random"])])
        title = (
            f"A dollar to each of the first {short_percent(top['share'])} by {readable_name(best).lower()} makes "
            f"{number(float(top['gain']), digits)} a customer of all; to a random {short_percent(top['share'])}, "
            f"{number(float(top['random']), digits)}"
        )
    subtitle = "Effect among the first × their share, highest values first; shaded: 95% for each share, lines: for all"
    columns = min(PER_ROW, len(panels))
    lines = -(-len(panels) // columns)
    figure = new_figure(title, subtitle, simulated=simulated, height=0.4 + 3.1 * lines)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes, (column, part) in zip(grid.flat, panels.items(), strict=False):
        _draw_gain(axes, part)
        area, p_value = areas[column]
        area_text = f"area {number(area, decimals([area]))}, {p_text(p_value, 1)}"
        axes.set_title(f"{shortened(readable_name(column))}: {area_text}", fontweight="bold")
    for axes in list(grid.flat)[len(panels) :]:
        axes.remove()
    for place in range(max(0, len(panels) - columns), len(panels)):
        grid.flat[place].tick_params(labelbottom=True)
    grid[0, 0].legend(loc="lower left")
    figure.supxlabel("share of customers, highest values first", fontsize=10)
    figure.supylabel("gain for each dollar (profit per customer)", fontsize=10)
    return figure


def _draw_gain(axes: "Axes", part: pd.DataFrame) -> None:
    """The curve with the bands of its lead over the random line."""
    share = np.concatenate([[0.0], part["share"]])

    def from_zero(values: "pd.Series[float]") -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        return np.concatenate([[0.0], values])

    random = from_zero(part["random"])
    zero_line(axes)
    low, high = (random + from_zero(part[bound]) for bound in ("lead_ci_low", "lead_ci_high"))
    axes.fill_between(share, low, high, color=BLUE, alpha=0.18, linewidth=0)
    for bound in ("lead_joint_ci_low", "lead_joint_ci_high"):
        axes.plot(share, random + from_zero(part[bound]), color=BLUE, linewidth=0.8)
    axes.plot(share, random, color=FAINT, linestyle=(0, (5, 2)), label="random order")
    axes.plot(share, from_zero(part["gain"]), color=BLUE, linewidth=2.4, label="by this column")
    axes.xaxis.set_major_formatter(lambda value, _: percentage(value))
    axes.set_xlim(0, 1)


@styled
def rule_values(frame: pd.DataFrame, *, simulated: bool) -> "Figure":
    """What each rule by groups earns over the best constant discount.

    frame: column, policy, vs_best_constant, vs_best_constant_ci_low, vs_best_constant_ci_high (``values_table``).
    """
    rows = frame[frame["policy"].isin(["log", "test"])]
    rows = rows.sort_values("vs_best_constant", ascending=False, kind="stable").reset_index(drop=True)
    best = rows.iloc[0]
    amount = number(float(best["vs_best_constant"]), decimals([float(best["vs_best_constant"])]))
    how = f"by {readable_name(str(best['column'])).lower()}, {RULES[str(best['policy'])]},"
    if best["vs_best_constant_ci_low"] > 0:
        title = f"The rule {how} earns {amount} a customer more than any constant discount"
    else:
        title = f"No rule by groups surely beats the best constant discount; best: {how.removesuffix(',')}, {amount}"
    subtitle = (
        "Profit per customer over the best constant band, where the discount was drawn by lot, with 95% intervals"
    )
    figure = new_figure(title, subtitle, simulated=simulated, height=0.8 + 0.3 * len(rows))
    axes = figure.subplots()
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1.5)
    for rule, hue in (("log", BLUE), ("test", ORANGE)):
        part = rows[rows["policy"] == rule]
        if len(part):
            ends = part[["vs_best_constant_ci_low", "vs_best_constant_ci_high"]]
            reach = np.abs(ends.sub(part["vs_best_constant"], axis=0).to_numpy().T)
            axes.errorbar(
                part["vs_best_constant"], part.index, xerr=reach, fmt="o", markersize=5, elinewidth=1.6, color=hue,
                label=RULES[rule],
            )  # fmt: skip
    axes.set_yticks(range(len(rows)), [shortened(readable_name(str(name))) for name in rows["column"]])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("profit over the best constant discount (money per customer)")
    figure.legend(loc="outside lower left", ncols=2)
    return figure
