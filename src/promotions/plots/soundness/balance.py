"""Do the arms differ before treatment? The standardised difference of every feature."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from promotions.base.formatting import number, p_text, plain
from promotions.plots.soundness.differences import LARGE_DIFFERENCE, SHOWN, draw_band
from promotions.plots.style import ALERT, INK, RULE_PALETTE, new_figure, shortened, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def balance(frame: pd.DataFrame, *, simulated: bool) -> "Figure":
    """Differences of the arms' means, a dot a column (a love plot), the largest differences at the top.

    It shows the columns of every feature that depends on treatment, then the largest differences, ``SHOWN`` in all.

    frame: column, feature, test (mean or distribution), smd, p_value_holm, ci_low, ci_high, differs. A feature depends
    on treatment if one of its means or its distribution differs.
    """
    flagged = frame[frame["differs"]].sort_values(["p_value_holm", "feature"], kind="stable")
    names = [str(name) for name in flagged["feature"].unique()]
    means = frame[frame["test"] == "mean"].assign(size=lambda rows: rows["smd"].abs())
    means["depends"] = means["feature"].isin(names)
    order = means.sort_values(["depends", "size", "column"], ascending=[False, False, True], kind="stable")
    rows = order.head(SHOWN).sort_values(["size", "column"], ascending=[False, True], kind="stable")
    rows = rows.reset_index(drop=True)
    if not names:
        title = "No feature differs between the arms by more than chance explains"
    elif len(names) == 1:
        title = f"1 feature depends on treatment: {names[0]}"
    else:
        listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        title = f"{len(names)} features depend on treatment: {listed}"
    number_shown = f"the {len(rows)} largest of {len(means)}" if len(rows) < len(means) else f"all {len(means)}"
    subtitle = f"Treated less control, {number_shown} columns, with 95% intervals; one in twenty misses 0 by chance"
    figure = new_figure(title, subtitle, simulated=simulated, height=0.95 + 0.235 * len(rows))
    axes = figure.subplots()
    draw_band(axes)
    for depends, marker, hue, label in (
        (False, "o", RULE_PALETTE[0], "balanced"),
        (True, "D", ALERT, "depends on treatment"),
    ):
        members = rows[rows["depends"] == depends]
        reach = np.abs(members[["ci_low", "ci_high"]].sub(members["smd"], axis=0).to_numpy().T)
        if len(members):
            axes.errorbar(
                members["smd"], members.index, xerr=reach, fmt=marker, markersize=5, elinewidth=1.4, color=hue,
                label=label,
            )  # fmt: skip
    notes = _balance_notes(rows, frame)
    for place, (note, depends) in enumerate(zip(notes, rows["depends"], strict=True)):
        axes.annotate(
            note, (1, place), xycoords=("axes fraction", "data"), xytext=(8, 0), textcoords="offset points",
            va="center_baseline", fontsize=9, color=ALERT if depends else INK,
            fontweight="bold" if depends else "normal",
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [shortened(str(name)) for name in rows["column"]])
    for text, depends in zip(axes.get_yticklabels(), rows["depends"], strict=True):
        text.set(fontweight="bold" if depends else "normal", color=ALERT if depends else INK, fontsize=9)
    low, high = float(rows[["smd", "ci_low"]].to_numpy().min()), float(rows[["smd", "ci_high"]].to_numpy().max())
    # A feature that is the treatment itself would squeeze all others into a line.
    logarithmic = max(-low, high) > 7 * LARGE_DIFFERENCE
    margin = 1.5 if logarithmic else 1.1
    left, right = min(-1.25 * LARGE_DIFFERENCE, margin * low), max(1.25 * LARGE_DIFFERENCE, margin * high)
    axes.set_xlim(left, right)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    if logarithmic:
        axes.set_xscale("symlog", linthresh=LARGE_DIFFERENCE, linscale=0.8)
        ticks = [tick for tick in (-10, -1, -0.1, 0, 0.1, 1, 10) if left <= tick <= right]
        axes.set_xticks(ticks, [plain(tick) for tick in ticks])
        axes.set_xticks([], minor=True)
    beyond = "; logarithmic beyond" if logarithmic else ""
    axes.set_xlabel(
        f"standardised difference of means (standard deviations; dashed: ±{plain(LARGE_DIFFERENCE)}{beyond})"
    )
    if names:
        figure.legend(loc="outside lower left", ncols=2)
    return figure


def _balance_notes(rows: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    """Each column's difference and, if its feature depends on treatment by this mean or by its distribution, the p."""
    shapes = frame[(frame["test"] == "distribution") & frame["differs"]].set_index("feature")["p_value_holm"].to_dict()
    notes = []
    for column, feature, smd, p_of_mean, differs in rows[
        ["column", "feature", "smd", "p_value_holm", "differs"]
    ].to_numpy(object):
        note = number(float(smd), 3, sign=True)
        by_shape = not differs and column == feature and feature in shapes
        if differs or by_shape:
            p_value = float(shapes[feature] if by_shape else p_of_mean)
            note += f"  {p_text(p_value, 1)}"
            note += " (distribution)" if by_shape else ""
        notes.append(note)
    return notes
