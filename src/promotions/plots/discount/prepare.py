"""The figure of ``discount_prepare``: which columns depend on a discount that was given by lot."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtri

from promotions.base.formatting import plain
from promotions.plots.style import ALERT, FAINT, INK, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 24
BY_HAND = "by hand"
# A p-value too small for a float is drawn as this.
MOST = 38.0


@styled
def post_treatment(frame: pd.DataFrame, *, alpha: float, simulated: bool) -> "Figure":
    """Distance of each column from independence of the discount, in standard deviations.

    frame: column, test, p_value, p_value_holm, barred (of ``post_treatment_table``; it may have no rows).
    """
    tested = frame[frame["p_value"].notna()]
    barred = list(dict.fromkeys(tested.loc[tested["barred"], "column"]))
    if tested.empty:
        return _nothing(simulated=simulated)
    dependent = list(dict.fromkeys(tested.loc[tested["p_value_holm"] < alpha, "column"]))
    if dependent:
        many = f"{len(dependent)} columns depend" if len(dependent) > 1 else f"{dependent[0]} depends"
        title = f"{many} on a discount that was given by lot: measured after it, barred everywhere"
    else:
        title = "No column depends on the discount that was given by lot"
    evidence = tested.assign(z=np.minimum(-ndtri(np.maximum(tested["p_value"], 1e-320) / 2), MOST))
    strongest = evidence.groupby("column")["z"].max()
    others = strongest.drop(barred).sort_values(ascending=False, kind="stable").index
    shown = [*sorted(barred, key=lambda name: -strongest[name]), *others][:SHOWN]
    hidden = len(strongest) - len(shown)
    subtitle = "Two tests a column; distance from independence in standard deviations"
    subtitle += f"; {hidden} more lie as near to 0" if hidden > 0 else ""
    figure = new_figure(title, subtitle, simulated=simulated, height=0.9 + 0.21 * len(shown))
    axes = figure.subplots()
    limit = float(-ndtri(alpha / len(frame[frame["test"] != BY_HAND]) / 2))
    axes.axvspan(0, limit, color="#EFEFEF", zorder=0, linewidth=0)
    places = {name: -place for place, name in enumerate(shown)}
    for test, marker, label in (("mean", "o", "mean"), ("distribution", "D", "distribution (zeros, tails, levels)")):
        rows = evidence[(evidence["test"] == test) & evidence["column"].isin(shown)]
        colours = [ALERT if each else FAINT for each in rows["barred"]]
        filled = colours if test == "mean" else "white"
        heights = [places[name] for name in rows["column"]]
        axes.scatter(
            rows["z"], heights, s=26, marker=marker, facecolor=filled, edgecolor=colours, zorder=3, clip_on=False
        )
        axes.scatter(
            [], [], s=26, marker=marker, facecolor=FAINT if test == "mean" else "white", edgecolor=FAINT, label=label
        )
    chosen = set(frame.loc[frame["test"] == BY_HAND, "column"])
    labels = [f"{name} (by hand)" if name in chosen else name for name in places]
    axes.set_yticks(list(places.values()), labels, fontsize=9)
    for tick, name in zip(axes.get_yticklabels(), places, strict=True):
        tick.set_color(ALERT if name in barred else INK)
    axes.set_ylim(-len(shown) + 0.4, 0.6)
    axes.set_xlim(0, max(1.06 * float(evidence["z"].max()), 1.5 * limit))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(
        f"standard deviations from independence (grey: what chance does, all columns together, at {plain(alpha)})"
    )
    axes.legend(loc="lower right")
    return figure


def _nothing(*, simulated: bool) -> "Figure":
    title = "No column could be tested: there is no randomised table with two discounts"
    figure = new_figure(title, "Only what is listed by hand is barred", simulated=simulated, height=0.3)
    figure.subplots().set_axis_off()
    return figure
