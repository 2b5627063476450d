"""The figures of ``discount_rdd``: the jump, its dependence on the bandwidth, and cut-offs where nothing happens.

Pure functions from a long frame to a matplotlib figure. Money; ``simulated`` puts a note in the figure.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from promotions.base.formatting import decimals, number, plain
from promotions.plots.style import ALERT, FAINT, INK, RULE_PALETTE, new_figure, readable_name, styled, zero_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BELOW, ABOVE = RULE_PALETTE[0], RULE_PALETTE[1]
PANELS = ("discount", "profit")


@styled
def jump(frame: pd.DataFrame, *, running: str, simulated: bool) -> "Figure":
    """Mean discount and profit by running variable, and the lines whose gap at the cut-off is the jump.

    frame: outcome, kind (mean, global, local), running, mean, ci_low, ci_high, customers, treated, cutoff.
    """
    from matplotlib.ticker import MaxNLocator

    cutoff = float(frame["cutoff"].iloc[0])
    gaps = {name: _gap(frame[(frame["outcome"] == name) & (frame["kind"] == "local")], cutoff) for name in PANELS}
    title = (
        f"At {readable_name(running).lower()} {plain(cutoff)} the discount jumps by "
        f"{number(gaps['discount'], decimals([gaps['discount']]))} and profit by "
        f"{number(gaps['profit'], decimals([gaps['profit']]))}"
    )
    subtitle = "Means with 95% intervals, size by customers; solid: local lines, dashed: through all customers"
    figure = new_figure(title, subtitle, simulated=simulated, height=4.0)
    for axes, name in zip(figure.subplots(1, 2), PANELS, strict=True):
        rows = frame[frame["outcome"] == name]
        points = rows[rows["kind"] == "mean"]
        for treated, hue in ((False, BELOW), (True, ABOVE)):
            _draw_side(axes, rows[rows["treated"] == treated], hue, float(points["customers"].max()))
        axes.axvline(cutoff, color=INK, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1.5)
        # A value that few customers share has an interval as wide as the picture.
        sure = points[points["customers"] >= 0.01 * points["customers"].sum()]
        low, high = float(sure["ci_low"].min()), float(sure["ci_high"].max())
        axes.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_title(name, fontweight="bold")
        axes.set_xlabel(readable_name(running).lower())
        axes.set_ylabel("dollars per customer")
    return figure


@styled
def bandwidth(frame: pd.DataFrame, *, running: str, simulated: bool) -> "Figure":
    """The jumps at every bandwidth, with conventional and honest intervals.

    frame: outcome, bandwidth, estimate, ci_low, ci_high, honest_low, honest_high, given.
    """
    profit = frame[frame["outcome"] == "profit"]
    falls, rises = bool((profit["estimate"] < 0).all()), bool((profit["estimate"] > 0).all())
    covered = int(((profit["ci_low"] > 0) | (profit["ci_high"] < 0)).sum())
    honest = int(((profit["honest_low"] > 0) | (profit["honest_high"] < 0)).sum())
    if falls or rises:
        title = (
            f"Profit {'falls' if falls else 'rises'} at each of {len(profit)} bandwidths: significant at {covered} if "
            f"the lines are exact, at {honest} if they may bend"
        )
    else:
        title = "The sign of profit's jump depends on the bandwidth"
    subtitle = "95% intervals, thick: if the lines are exact; thin: honest, if they may bend; filled: given bandwidths"
    figure = new_figure(title, subtitle, simulated=simulated, height=3.9)
    for axes, name in zip(figure.subplots(1, 2), PANELS, strict=True):
        rows = frame[frame["outcome"] == name]
        zero_line(axes)
        for ends, width, hue in ((("honest_low", "honest_high"), 0.9, FAINT), (("ci_low", "ci_high"), 2.4, BELOW)):
            axes.vlines(rows["bandwidth"], rows[ends[0]], rows[ends[1]], color=hue, linewidth=width)
        axes.plot(rows["bandwidth"], rows["estimate"], "o", color=BELOW, markerfacecolor="white", markersize=6)
        given = rows[rows["given"].astype(bool)]
        axes.plot(given["bandwidth"], given["estimate"], "o", color=BELOW, markersize=6)
        # Far from the cut-off the allowed bend makes every jump possible.
        low, high = float(rows["ci_low"].min()), float(rows["ci_high"].max())
        span = max(high, 0) - min(low, 0)
        axes.set_ylim(low - 0.35 * span if low < 0 else -0.05 * span, high + 0.35 * span if high > 0 else 0.35 * span)
        axes.set_title(f"jump of {name}", fontweight="bold")
        axes.set_xlabel(f"bandwidth ({readable_name(running).lower()})")
        axes.set_ylabel("dollars per customer")
    return figure


@styled
def placebo(frame: pd.DataFrame, *, running: str, simulated: bool) -> "Figure":
    """Jumps at cut-offs where no rule changes, and the real one.

    frame: outcome, cutoff, side (real, below, above), estimate, ci_low, ci_high, p_value_holm.
    """
    fake = frame[(frame["side"] != "real") & (frame["outcome"] == "profit")]
    jumps = int((fake["p_value_holm"] < 0.05).sum())
    if fake.empty:
        title = "No other cut-off has customers enough for a placebo"
    elif jumps:
        title = f"Profit jumps at {jumps} of {len(fake)} cut-offs where no rule changes: distrust the real one"
    else:
        title = f"Profit jumps at none of {len(fake)} cut-offs where no rule changes"
    subtitle = "Jump read at each value of the running variable, 95% intervals; red: the real cut-off"
    figure = new_figure(title, subtitle, simulated=simulated, height=3.8)
    for axes, name in zip(figure.subplots(1, 2), PANELS, strict=True):
        rows = frame[frame["outcome"] == name]
        zero_line(axes)
        for real, hue in ((False, BELOW), (True, ALERT)):
            part = rows[(rows["side"] == "real") == real]
            reach = np.abs(part[["ci_low", "ci_high"]].sub(part["estimate"], axis=0).to_numpy().T)
            axes.errorbar(part["cutoff"], part["estimate"], reach, fmt="o", markersize=5, elinewidth=1.6, color=hue)
        axes.set_title(f"jump of {name}", fontweight="bold")
        axes.set_xlabel(readable_name(running).lower())
        axes.set_ylabel("dollars per customer")
    return figure


def _draw_side(axes: "Axes", rows: pd.DataFrame, hue: str, most: float) -> None:
    points = rows[rows["kind"] == "mean"]
    axes.vlines(points["running"], points["ci_low"], points["ci_high"], color=hue, linewidth=1.2)
    axes.scatter(points["running"], points["mean"], s=8 + 55 * points["customers"] / most, color=hue, zorder=2.5)
    for kind, style in (("global", (0, (4, 2))), ("local", "-")):
        line = rows[rows["kind"] == kind]
        axes.plot(line["running"], line["mean"], color=hue, linewidth=1.8, linestyle=style)


def _gap(lines: pd.DataFrame, cutoff: float) -> float:
    """The difference of the two lines at the cut-off."""
    at = lines[np.isclose(lines["running"], cutoff)].set_index("treated")["mean"]
    return float(at[True] - at[False])
