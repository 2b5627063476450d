"""Chances of treatment by arm, and what weighting by them does to the differences between the arms."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.formatting import number, percentage, plain
from promotions.plots.soundness.differences import LARGE_DIFFERENCE, SHOWN, draw_band
from promotions.plots.style import ALERT, FAINT, INK, RULE_PALETTE, new_figure, shortened, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Bins of a histogram, each around a whole even per cent.
BINS = 51
# Half the width of a bar.
MARGIN = 0.01
TREATED, CONTROL = RULE_PALETTE[1], RULE_PALETTE[0]


@styled
def overlap(frame: pd.DataFrame, *, simulated: bool, limit: float | None = None) -> "Figure":
    """The distribution of chances of treatment, the treated above and control below.

    frame: treatment, propensity, one row a customer.  limit: customers below it, or above 1 − limit, were left out;
    None for the chances of a design, which leave nobody out.
    """
    chance, treated = frame["propensity"].to_numpy(), frame["treatment"].to_numpy() == 1
    if limit is None:
        title = f"By design, each customer’s chance of treatment was {_range(chance)}"
        subtitle = "Lots were drawn with these chances: they are known, and nobody is left out"
    else:
        out = int(((chance < limit) | (chance > 1 - limit)).sum())
        who = "nobody" if out == 0 else f"{out:,} of {len(chance):,} customers ({_percent(out / len(chance))})"
        verb = "lies" if out == 0 else "lie"
        title = f"{who[:1].upper()}{who[1:]} {verb} outside {_percent(limit)} to {_percent(1 - limit)}" + (
            "" if out == 0 else ", and are left out"
        )
        subtitle = "Estimated chances of treatment, not an experiment; comparable is who has company on both sides"
    figure = new_figure(title, subtitle, simulated=simulated, height=3.8)
    axes = figure.subplots()
    _draw_arms(axes, chance, treated)
    if limit is not None:
        for low, high in ((-MARGIN, limit), (1 - limit, 1 + MARGIN)):
            axes.axvspan(low, high, color=ALERT, alpha=0.1, linewidth=0, zorder=0)
        for edge in (limit, 1 - limit):
            axes.axvline(edge, color=ALERT, linewidth=1, linestyle=(0, (4, 3)), zorder=3)
    axes.axhline(0, color=INK, linewidth=0.9, zorder=3)
    axes.set_xlim(-MARGIN, 1 + MARGIN)
    axes.xaxis.set_major_formatter(lambda value, _: percentage(value))
    axes.yaxis.set_major_formatter(lambda value, _: percentage(abs(value)))
    axes.set_xlabel("chance of treatment" + ("" if limit is None else ", estimated from the features (red: left out)"))
    axes.set_ylabel("share of the arm’s customers")
    figure.legend(loc="outside lower left", ncols=2)
    return figure


def _draw_arms(
    axes: "Axes",
    chance: NDArray[np.float64],
    treated: NDArray[np.bool_],
) -> None:
    """A histogram of each arm, back to back."""
    edges = np.linspace(-MARGIN, 1 + MARGIN, BINS + 1)
    for members, sign, hue, name in ((treated, 1, TREATED, "treated"), (~treated, -1, CONTROL, "control")):
        share = np.histogram(chance[members], edges)[0] / max(int(members.sum()), 1)
        axes.stairs(
            sign * share, edges, fill=True, color=hue, alpha=0.75, zorder=2, label=f"{name} ({int(members.sum()):,})"
        )


@styled
def weighted_balance(frame: pd.DataFrame, *, simulated: bool) -> "Figure":
    """Standardised differences between the arms, unweighted and weighted, two dots a column, the largest at the top.

    frame: column, smd_before, smd_after.
    """
    size = frame[["smd_before", "smd_after"]].abs()
    shown = size.max(axis=1).round(9).sort_values(ascending=False, kind="stable").index[:SHOWN]
    rows = frame.loc[shown].reset_index(drop=True)
    before, after = size["smd_before"].max(), size["smd_after"].max()
    title = (
        f"Weighted, the arms differ by up to {number(after, 2)} standard deviations; as they are, by up to "
        f"{number(before, 2)}"
    )
    which = f"the {len(rows)} largest of {len(frame)}" if len(rows) < len(frame) else f"all {len(frame)}"
    subtitle = f"Treated less control, {which} columns; up to ±{plain(LARGE_DIFFERENCE)} is usually called negligible"
    figure = new_figure(title, subtitle, simulated=simulated, height=1.2 + 0.235 * len(rows))
    axes = figure.subplots()
    draw_band(axes)
    axes.hlines(rows.index, rows["smd_before"], rows["smd_after"], color=FAINT, linewidth=1, zorder=2)
    axes.plot(rows["smd_before"], rows.index, "D", markersize=5, color=ALERT, label="as they are")
    axes.plot(rows["smd_after"], rows.index, "o", markersize=5, color=RULE_PALETTE[0], label="weighted by 1/chance")
    axes.set_yticks(range(len(rows)), [shortened(str(name)) for name in rows["column"]], fontsize=9)
    reach = 1.1 * max(before, after, 1.25 * LARGE_DIFFERENCE)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"standardised difference of means (standard deviations; dashed: ±{plain(LARGE_DIFFERENCE)})")
    figure.legend(loc="outside lower left", ncols=2)
    return figure


def _range(chance: NDArray[np.float64]) -> str:
    """``50 %``, or ``40 % to 70 %``."""
    low, high = float(chance.min()), float(chance.max())
    return _percent(low) if high - low < 1e-9 else f"between {_percent(low)} and {_percent(high)}"


def _percent(share: float) -> str:
    """A share with up to three significant digits."""
    return f"{plain(100 * share)} %"
