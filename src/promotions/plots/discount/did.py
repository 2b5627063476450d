"""The figures of ``discount_did``: pure functions from a long frame to a matplotlib figure. Money is per customer."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from promotions.base.formatting import as_label, decimals, number, p_text, short_percent
from promotions.plots.style import ALERT, FAINT, INK, RULE_PALETTE, new_figure, styled, zero_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from promotions.discount.did.synthetic import RegionStudy

# With a p-value below this, a test of trends before the discount is called a finding.
LEVEL = 0.05
BLUE, ORANGE = RULE_PALETTE[:2]
SIDES = {"treated": (BLUE, "-"), "controls": (ORANGE, "-"), "unknown": (FAINT, (0, (3, 2)))}
COMPARISONS = {
    "before_after": "before and after",
    "cross_section": "treated less others, after",
    "did": "2×2 of everybody",
    "did_known": "2×2 without unknown",
    "did_clean": "2×2 of clean controls",
    "did_clean_within": "… within region and month",
}


@styled
def event_study(frame: pd.DataFrame, *, names: dict[str, str], simulated: bool) -> "Figure":
    """Effects on profit by month, with intervals for each month and for all months together, a panel an analysis.

    frame: treated, outcome, month, event_time, estimate, ci_low, ci_high, joint_ci_low, joint_ci_high, reference,
    pre_trend_p_value (``study_table``).  names: the treated of each analysis, in words.
    """
    rows = frame[frame["outcome"] == "profit"].sort_values("month")
    first = next(iter(names))
    after = rows[(rows["treated"] == first) & (rows["event_time"] >= 0)]
    certain = int(((after["joint_ci_low"] > 0) | (after["joint_ci_high"] < 0)).sum())
    mean = float(after["estimate"].mean())
    began = as_label(after["month"].iloc[0])
    if certain == 0:
        title = f"No month since {began} tells the discount's effect on profit of {names[first]} from 0"
    else:
        change = "loses" if mean < 0 else "gains"
        title = (
            f"With the discount {names[first]} {change} {number(abs(mean), decimals([mean]))} of profit a month: "
            f"{certain} of {len(after)} months exclude 0 jointly"
        )
    subtitle = "Difference from the last month before; thick: 95% for each month, thin: for all of them together"
    figure = new_figure(title, subtitle, simulated=simulated, height=0.6 + 2.9 * len(names))
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (analysis, who) in zip(panels, names.items(), strict=True):
        _draw_study(axes, rows[rows["treated"] == analysis], who)
    panels[-1].set_xlabel("month")
    figure.supylabel("effect on profit (money per customer)", fontsize=10)
    return figure


def _draw_study(axes: "Axes", rows: pd.DataFrame, who: str) -> None:
    start = np.asarray(rows["month"], dtype=np.float64)[rows["event_time"] >= 0].min() - 0.5
    hue = np.where(rows["event_time"] >= 0, BLUE, FAINT)
    shown = (~rows["reference"]).to_numpy(dtype=bool)
    zero_line(axes)
    axes.axvline(start, color=INK, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1.5)
    for low, high, width in (("joint_ci_low", "joint_ci_high", 1.0), ("ci_low", "ci_high", 3.2)):
        drawn = rows[shown]
        axes.vlines(drawn["month"], drawn[low], drawn[high], colors=list(hue[shown]), linewidth=width)
    axes.scatter(rows["month"], rows["estimate"], color=list(hue), s=30, zorder=3)
    p_value = float(rows["pre_trend_p_value"].iloc[0])
    tested = ""
    if np.isfinite(p_value):
        verdict = "trends differ before" if p_value < LEVEL else "no different trend found before"
        tested = f"; {verdict}: {p_text(p_value)}"
    axes.set_title(f"{who}{tested}", fontweight="bold")
    axes.set_xticks(rows["month"])


@styled
def before_after(frame: pd.DataFrame, *, names: dict[str, str], starts: dict[str, float], simulated: bool) -> "Figure":
    """Mean profit of treated and controls by month, a panel an analysis.

    frame: treated, side, month, outcome, mean (``means_by_month``).  names: the treated of each analysis, in words.
    starts: the first month with the discount.
    """
    rows = frame[frame["outcome"] == "profit"]
    first = next(iter(names))
    change = {side: _change(part, starts[first]) for side, part in rows[rows["treated"] == first].groupby("side")}
    digits = decimals([*change.values()])
    title = (
        f"Profit of {names[first]} changed by {number(change['treated'], digits)} after the discount began, "
        f"that of others by {number(change['controls'], digits)}"
    )
    subtitle = "Mean profit by month; only the difference of the two changes can be the discount's"
    figure = new_figure(title, subtitle, simulated=simulated, height=3.6)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, (analysis, who) in zip(panels, names.items(), strict=True):
        for side, part in rows[rows["treated"] == analysis].groupby("side", sort=False):
            hue, line = SIDES[str(side)]
            label = {"treated": who, "controls": "controls", "unknown": "not known (no controls)"}[str(side)]
            part = part.sort_values("month")
            axes.plot(part["month"], part["mean"], color=hue, linestyle=line, marker="o", markersize=3, label=label)
        axes.axvline(starts[analysis] - 0.5, color=INK, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1.5)
        axes.set_title(f"{who}: from month {as_label(starts[analysis])}", fontweight="bold")
        axes.legend(loc="lower right")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("month")
    panels[0].set_ylabel("profit (money per customer)")
    return figure


def _change(rows: pd.DataFrame, start: float) -> float:
    """Mean after less mean before, over all customers."""
    after = rows["month"] >= start
    means = [np.average(part["mean"], weights=part["customers"]) for part in (rows[after], rows[~after])]
    return float(means[0] - means[1])


@styled
def synthetic(study: "RegionStudy | None", *, simulated: bool) -> "Figure":
    """The treated region beside its mixture, and its gap beside those of regions that were not treated.

    study: of the profit; None if there is none, and the figure says so.
    """
    if study is None:
        subtitle = "discount.did.region.level names no region, or discount.did.least_customers asks for no mixture"
        return new_figure("No region is compared with a mixture of others", subtitle, simulated=simulated, height=0.6)
    mixture = study.mixture
    region, start, paths, weights = mixture.region, mixture.start, mixture.paths, mixture.weights
    treated_path = paths[paths["region"] == region].sort_values("month")
    others = paths[paths["region"] != region]
    stray = round(mixture.p_value * mixture.regions) - 1
    verdict = f"and {stray} of {mixture.regions - 1} untreated regions stray as far from theirs"
    if stray == 1:
        verdict = f"and one of {mixture.regions - 1} untreated regions strays as far from its own"
    if stray == 0:
        verdict = "farther than any untreated region strays from its own"
    amount = number(abs(mixture.effect), decimals([mixture.effect]))
    side = "below" if mixture.effect < 0 else "above"
    title = f"{region} is {amount} a customer {side} its mixture from month {as_label(start)} on, {verdict}"
    mixed = ", ".join(f"{row['region']} {short_percent(row['weight'])}" for _, row in weights.head(4).iterrows())
    more = f" and {len(weights) - 4} more" if len(weights) > 4 else ""
    subtitle = f"Mixture: {mixed}{more}; {p_text(mixture.p_value)}, by the ratio of gaps after and before"
    figure = new_figure(title, subtitle, simulated=simulated, height=3.8)
    left, right = figure.subplots(1, 2)
    left.plot(treated_path["month"], treated_path["actual"], color=BLUE, linewidth=2.4, label=region)
    left.plot(
        treated_path["month"], treated_path["synthetic"], color=ORANGE, linestyle=(0, (5, 2)), label="its mixture"
    )
    left.set_ylabel("profit (money per customer)")
    left.legend(loc="upper left")
    zero_line(right)
    for index, (_, part) in enumerate(others.groupby("region")):
        rows = part.sort_values("month")
        label = "untreated regions" if index == 0 else None
        right.plot(rows["month"], rows["gap"], color=FAINT, linewidth=0.8, alpha=0.7, label=label)
    right.plot(treated_path["month"], treated_path["gap"], color=BLUE, linewidth=2.4, label=region)
    right.set_ylabel("gap to the mixture (money per customer)")
    # No mixture fits a region far from all others; its gap must not flatten the rest of the picture.
    reach = 1.5 * max(
        float(np.abs(treated_path["gap"].to_numpy()).max()), float(np.median(np.abs(others["gap"].to_numpy())))
    )
    right.set_ylim(-reach, reach)
    right.legend(loc="lower left")
    for axes in (left, right):
        axes.axvline(start - 0.5, color=INK, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1.5)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("month")
    return figure


@styled
def estimates(frame: pd.DataFrame, *, names: dict[str, str], simulated: bool) -> "Figure":
    """The effect on profit by every comparison: contaminated ones hollow, clean ones full.

    frame: treated, estimator, contaminated, why, outcome, estimate, ci_low, ci_high (``compare_estimators``).
    names: the treated of each analysis, in words.
    """
    rows = frame[(frame["outcome"] == "profit") & frame["treated"].isin(list(names))]
    first = next(iter(names))
    by_estimator = rows[rows["treated"] == first].set_index("estimator")["estimate"]
    naive, clean = float(by_estimator["before_after"]), float(by_estimator["did_clean"])
    digits = decimals([naive, clean])
    title = (
        f"Before and after says {number(naive, digits)} for {names[first]}; against clean controls the discount makes "
        f"{number(clean, digits)}"
    )
    subtitle = "Effect on profit, money per customer and month, with 95% intervals (HC1); hollow: contaminated"
    figure = new_figure(title, subtitle, simulated=simulated, height=1.2 + 0.42 * rows["estimator"].nunique())
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    places = {name: place for place, name in enumerate(COMPARISONS)}
    for axes, (analysis, who) in zip(panels, names.items(), strict=True):
        axes.axvline(0, color=INK, linewidth=0.9, zorder=1.5)
        for _, row in rows[rows["treated"] == analysis].iterrows():
            _interval(axes, row, places[str(row["estimator"])])
        # One region's interval does not cover what else happened there; its mixture and the placebos do.
        alone = " (one region: intervals too short)" if analysis == "region" else ""
        axes.set_title(who, fontweight="bold")
        axes.set_yticks(list(places.values()), list(COMPARISONS.values()))
        axes.set_ylim(len(places) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.22)
        axes.set_xlabel(f"effect on profit{alone}")
    return figure


def _interval(axes: "Axes", row: "pd.Series[float]", place: int) -> None:
    hue = ALERT if row["contaminated"] else BLUE
    axes.plot([row["ci_low"], row["ci_high"]], [place, place], color=hue, linewidth=1.6)
    axes.scatter(row["estimate"], place, s=36, color="white" if row["contaminated"] else hue, edgecolors=hue, zorder=3)
    axes.annotate(
        number(float(row["estimate"]), 2), (row["estimate"], place), xytext=(0, 6), textcoords="offset points",
        ha="center", fontsize=9, color=hue,
    )  # fmt: skip
