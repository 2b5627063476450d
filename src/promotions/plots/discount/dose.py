"""The figures of the doses: pure functions from a long frame to a matplotlib figure. Money is per customer."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from promotions.base.formatting import decimals, number, percentage, short_percent
from promotions.plots.style import FAINT, INK, RULE_PALETTE, new_figure, readable_name, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PINK = RULE_PALETTE[:4]
RULES = {
    "constant": ("the same dose for everybody", FAINT),
    "best": ("the best supported dose", BLUE),
    "pessimistic": ("by the lower bound of the gain", ORANGE),
    "budget": ("the best within a budget", GREEN),
}
COMPANY = "the company's log"
WHO = {COMPANY: FAINT, "randomised test": PINK, "champion": BLUE}
# A curve is drawn as supported where it is so for at least this share of a group.
SUPPORTED = 0.5


@styled
def response_curves(frame: pd.DataFrame, *, simulated: bool) -> "Figure":
    """Profit against dose, a panel a group: predicted from the log, and measured on the randomised customers.

    frame: group, customers, feature, kind (predicted or measured), dose, profit, ci_low, ci_high, supported, given.
    """
    feature = str(frame["feature"].iloc[0])
    groups = list(dict.fromkeys(frame["group"]))
    measured = frame[frame["kind"] == "measured"]
    paid = {}
    for group in groups:
        rows = measured[measured["group"] == group]
        paid[group] = float(rows.loc[rows["dose"] > 0, "given"].sum())
    most, least = max(groups, key=lambda g: paid[g]), min(groups, key=lambda g: paid[g])
    named = feature.replace("_", " ")
    if paid[most] - paid[least] > 0.1:
        title = (
            f"The champion gives a discount to {short_percent(paid[most])} of customers with {named} {most}, "
            f"and to {short_percent(paid[least])} with {named} {least}"
        )
    else:
        title = f"The champion treats customers of every {named} much alike"
    subtitle = "Lines: the log, dotted without support; points: the test; orange: what the champion gives"
    figure = new_figure(title, subtitle, simulated=simulated, height=1.1 + 2.5 * -(-len(groups) // 2))
    grid = figure.subplots(-(-len(groups) // 2), 2, sharex=True, sharey=True, squeeze=False)
    for axes, group in zip(grid.flat, groups, strict=False):
        _draw_group(axes, frame[frame["group"] == group])
        axes.set_title(f"{named} {group}: {int(frame.loc[frame['group'] == group, 'customers'].iloc[0]):,} customers")
    for axes in list(grid.flat)[len(groups) :]:
        axes.remove()
    drawn = frame[(frame["kind"] == "measured") | (frame["supported"] >= SUPPORTED)]
    low, high = drawn["profit"].min(), drawn["profit"].max()
    # An interval may leave the picture, its point may not.
    grid.flat[0].set_ylim(low - 0.25 * (high - low or 1), high + 0.25 * (high - low or 1))
    figure.supxlabel("discount (money)", fontsize=10)
    figure.supylabel("profit (money per customer)", fontsize=10)
    return figure


def _draw_group(axes: "Axes", rows: pd.DataFrame) -> None:
    line = rows[rows["kind"] == "predicted"].sort_values("dose")
    dose, profit = line["dose"].to_numpy(np.float64), line["profit"].to_numpy(np.float64)
    supported = line["supported"].to_numpy(np.float64) >= SUPPORTED
    axes.plot(dose, profit, color=BLUE, linewidth=1.2, linestyle=(0, (1, 2)))
    axes.plot(dose, np.where(supported, profit, np.nan), color=BLUE, linewidth=2.2)
    points = rows[rows["kind"] == "measured"].sort_values("dose")
    axes.vlines(points["dose"], points["ci_low"], points["ci_high"], color=INK, linewidth=1.1)
    axes.scatter(points["dose"], points["profit"], s=26, facecolor="white", edgecolor=INK, linewidth=1.0, zorder=3)
    given = points[points["given"] > 0]
    axes.scatter(
        given["dose"], given["profit"], s=26, zorder=3.5, edgecolor="none",
        color=[(ORANGE, float(min(share, 1.0))) for share in given["given"]],
    )  # fmt: skip
    for where, value, share in given[["dose", "profit", "given"]].itertuples(index=False):
        if share >= 0.05:
            axes.annotate(
                short_percent(share), (where, value), xytext=(6, 5), textcoords="offset points", fontsize=9,
                color=ORANGE, fontweight="bold",
            )  # fmt: skip


@styled
def profit_by_rule(frame: pd.DataFrame, *, lift: tuple[float, float, float], simulated: bool) -> "Figure":
    """What each rule earns with its interval, best first; the champion, chosen before, is marked.

    frame: policy, rule, name, dr, dr_ci_low, dr_ci_high, champion.  lift: of the champion over the best constant dose,
    with its interval.
    """
    rows = frame.sort_values(["dr", "policy"], ascending=[False, True], kind="stable").reset_index(drop=True)
    champion = rows["champion"].astype(bool).to_numpy()
    highlighted = int(champion.argmax())
    names = [_rule_name(str(rule), str(name)) for rule, name in zip(rows["rule"], rows["name"], strict=True)]
    digits = decimals(lift)
    value, low, high = (number(part, digits) for part in lift)
    interval = f"{value}  [{low}, {high}]"
    who = f"Champion {names[highlighted]}"
    if lift[1] > 0:
        title = f"{who} earns {interval} a customer more than the best dose for everybody"
    elif lift[2] < 0:
        title = f"{who} earns less than the best dose for everybody: {interval} a customer"
    else:
        title = f"{who} cannot be told from the best dose for everybody: {interval} a customer"
    subtitle = "Doubly robust profit on the randomised customers, with 95% intervals; dashed: no discount"
    figure = new_figure(title, subtitle, simulated=simulated, height=1.2 + 0.255 * len(rows))
    axes = figure.subplots()
    axes.axhspan(highlighted - 0.5, highlighted + 0.5, color="#F1EEE6", zorder=0)
    none = rows.loc[rows["policy"] == "constant_0", "dr"]
    if len(none):
        axes.axvline(float(none.iloc[0]), color=INK, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1.5)
    for rule, (label, hue) in RULES.items():
        members = rows[rows["rule"] == rule]
        if len(members):
            reach = np.abs(members[["dr_ci_low", "dr_ci_high"]].sub(members["dr"], axis=0).to_numpy().T)
            axes.errorbar(
                members["dr"], members.index, xerr=reach, fmt="o", markersize=5, elinewidth=1.6, color=hue,
                label=label,
            )  # fmt: skip
    places = decimals(rows[["dr_ci_low", "dr_ci_high"]].to_numpy().ravel())
    for place, (profit, below, above) in enumerate(rows[["dr", "dr_ci_low", "dr_ci_high"]].itertuples(index=False)):
        axes.annotate(
            f"{number(profit, places)}  [{number(below, places)}, {number(above, places)}]",
            (1, place), xycoords=("axes fraction", "data"), xytext=(8, 0), textcoords="offset points",
            va="center_baseline", fontsize=9, color=INK, fontweight="bold" if champion[place] else "normal",
        )  # fmt: skip
    axes.set_yticks(
        range(len(rows)), [f"★ {name}" if mark else name for name, mark in zip(names, champion, strict=True)]
    )
    axes.get_yticklabels()[highlighted].set_fontweight("bold")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("profit (money per customer)")
    figure.legend(loc="outside lower left", ncols=len(RULES), title=None)
    return figure


@styled
def dose_distribution(frame: pd.DataFrame, *, simulated: bool) -> "Figure":
    """Who gets how much: the company's log, the randomised test, and the champion.

    frame: dose, name, who, share.
    """
    doses = frame.drop_duplicates("dose").sort_values("dose")
    given = {who: float(frame.loc[(frame["who"] == who) & (frame["dose"] > 0), "share"].sum()) for who in WHO}
    title = (
        f"The champion gives a discount to {short_percent(given['champion'])} of customers; "
        f"the company gave one to {short_percent(given[COMPANY])}"
    )
    subtitle = "Share of customers by dose; levels joined by a dash are given and judged together"
    figure = new_figure(title, subtitle, simulated=simulated, height=3.6)
    axes = figure.subplots()
    width = 0.8 / len(WHO)
    for offset, (who, hue) in enumerate(WHO.items()):
        rows = frame[frame["who"] == who].set_index("dose").reindex(doses["dose"])
        axes.bar(
            np.arange(len(doses)) + (offset - (len(WHO) - 1) / 2) * width, rows["share"], width, color=hue, label=who
        )
    axes.set_xticks(range(len(doses)), list(doses["name"]))
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_formatter(lambda value, _: percentage(value))
    axes.set_xlabel("discount (money)")
    axes.set_ylabel("share of customers")
    figure.legend(loc="outside lower left", ncols=len(WHO))
    return figure


def _rule_name(rule: str, name: str) -> str:
    """``best.causal_forest`` → Best · Causal forest; a constant: ``everybody 110–170``."""
    if rule == "constant":
        return "no discount" if name == "0" else f"everybody {name}"
    return " · ".join(readable_name(part) for part in name.split("."))
