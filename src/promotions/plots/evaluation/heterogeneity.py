"""The figures of who is affected, and of whether the predictions hold."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from promotions.base.formatting import alike
from promotions.plots.style import (
    INK,
    LEARNER_ORDER,
    RULE_PALETTE,
    colours,
    new_figure,
    readable_name,
    shortened,
    styled,
    zero_line,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Features in the picture of the most and the least affected.
SHOWN = 12


@styled
def calibration(frame: pd.DataFrame, *, simulated: bool) -> "Figure":
    """Measured against predicted effects of the tenths of each learner's ranking, a panel a learner.

    frame: decile, predicted, uplift, ci_low, ci_high, band_low, band_high, learner.
    """
    panels = {str(name): rows.sort_values("decile") for name, rows in frame.groupby("learner")}
    panels = {name: panels[name] for name in [*LEARNER_ORDER, *panels] if name in panels}
    missed = {name: int(((rows["predicted"] < rows["band_low"]) | (rows["predicted"] > rows["band_high"])).sum())
              for name, rows in panels.items()}  # fmt: skip
    wrong = [name for name, count in missed.items() if count]
    if not wrong:
        title = "No learner's predictions are contradicted: every tenth's band holds what was predicted"
    elif len(wrong) == len(panels):
        title = "Every learner predicts for some tenth an effect that its measured band excludes"
    else:
        listed = ", ".join(readable_name(name) for name in wrong[:3]) + (" and others" if len(wrong) > 3 else "")
        title = f"{len(panels) - len(wrong)} of {len(panels)} learners are not contradicted; {listed} are"
    subtitle = (
        "Thick: 95% interval of each tenth alone; thin: of a learner's ten at once; dashed: measured as predicted"
    )
    columns = min(3, len(panels))
    rows_of_panels = -(-len(panels) // columns)
    figure = new_figure(title, subtitle, simulated=simulated, height=0.9 + 2.3 * rows_of_panels)
    grid = figure.subplots(rows_of_panels, columns, sharey=True, squeeze=False)
    hues = colours(panels)
    for axes, (name, rows) in zip(grid.flat, panels.items(), strict=False):
        zero_line(axes)
        for low, high, width in (("band_low", "band_high", 0.8), ("ci_low", "ci_high", 2.0)):
            axes.vlines(rows["predicted"], rows[low], rows[high], color=hues[name], linewidth=width)
        axes.plot(rows["predicted"], rows["uplift"], "o", markersize=4.5, color=hues[name])
        # A learner that predicts the same for everybody has a line of length 0.
        ends = np.array([rows["predicted"].min(), rows["predicted"].max()])
        axes.plot(ends, ends, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=3)
        axes.set_title(readable_name(name), fontweight="bold")
        axes.tick_params(labelsize=9, length=2)
        axes.locator_params(axis="x", nbins=4)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    figure.supxlabel("predicted effect (outcome per customer)", fontsize=10)
    figure.supylabel("measured effect (outcome per customer)", fontsize=10)
    return figure


@styled
def affected(frame: pd.DataFrame, *, learner: str, simulated: bool) -> "Figure":
    """How the fifths with the largest and the smallest predicted effects differ, feature by feature.

    frame: feature, most_affected, least_affected, difference, ci_low, ci_high, standardised_difference.
    """
    rows = frame.head(SHOWN).reset_index(drop=True)
    features = [shortened(str(name)) for name in rows.loc[rows["standardised_difference"] != 0, "feature"].head(2)]
    if features:
        title = f"The most and the least affected fifth differ most in: {', '.join(features)}"
    else:
        title = f"{readable_name(learner)} tells no customers apart: the most and the least affected are alike"
    subtitle = (
        f"Right: means of the two, by the predictions of {readable_name(learner)}; who they are, not what moves them"
    )
    figure = new_figure(title, subtitle, simulated=simulated, height=1.1 + 0.3 * len(rows))
    axes = figure.subplots()
    scale = np.divide(
        rows["standardised_difference"], rows["difference"], out=np.zeros(len(rows)), where=rows["difference"] != 0
    )
    ends = np.sort(rows[["ci_low", "ci_high"]].to_numpy() * np.asarray(scale)[:, None], axis=1)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1.5)
    axes.hlines(rows.index, ends[:, 0], ends[:, 1], color=RULE_PALETTE[0], linewidth=1.6)
    axes.plot(rows["standardised_difference"], rows.index, "o", markersize=5, color=RULE_PALETTE[0])
    for place, (most, least) in enumerate(rows[["most_affected", "least_affected"]].to_numpy(np.float64)):
        axes.annotate(
            " against ".join(alike((most, least))), (1, place), xycoords=("axes fraction", "data"),
            xytext=(8, 0), textcoords="offset points", va="center_baseline", fontsize=9, color=INK,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [shortened(str(name)) for name in rows["feature"]], fontsize=9)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("difference of means, in standard deviations of all customers, with 95% intervals")
    return figure
