"""The figure of ``stability``: how often each learner and rule wins over the trials, and what each earns."""

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from promotions.base.formatting import number, short_percent
from promotions.plots.style import FAINT, INK, REFERENCES, RULE_ORDER, colours, new_figure, readable_name, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Profits are shown for this many customers: nobody can picture a hundredth of a response for each.
CUSTOMERS = 1000
MOST_SIDE_BY_SIDE = 5
# For each rule: the marker, whether it is filled, and its sign in a line of text.
MARKS = (("o", True, "●"), ("s", False, "□"), ("^", True, "▲"), ("v", False, "▽"))
OF_CONSTANT = ("D", True, "◆")
# Rules that need more words than their name.
WORDS = {"threshold": "threshold: treat if the effect is at least C/R", "weighted": "weighted classifier"}
# How far the first and the last rule of a learner lie from the middle of its place.
REACH = 0.19

# Shares of wins that differ by less differ by rounding alone.
TIED = 1e-9


@styled
def winners(table: pd.DataFrame, *, trials: int, simulated: bool) -> "Figure":
    """A panel a cost ratio: mean profit ± SD over the trials of each learner and rule, and the share of trials it won.

    table: ratio, policy, rule, learner, profit_mean, profit_sd, win_share, of ``promotions.stability.summarise``.
    Learners are in the order of the trials that they won, with the rules of each below one another.
    """
    table = table.assign(name=table["learner"].where(table["learner"] != "", table["policy"]))
    won = table.groupby("name", sort=False)["win_share"].sum()
    order = won.sort_values(ascending=False, kind="stable").index
    place = {str(name): row for row, name in enumerate(order)}
    ratios = list(dict.fromkeys(table["ratio"]))
    subtitle = f"Mean ± SD over {trials} trials, each split, resampled and refitted; per cent: trials won"
    rows_of_panels = -(-len(ratios) // MOST_SIDE_BY_SIDE)
    columns = -(-len(ratios) // rows_of_panels)
    height = 1.15 + rows_of_panels * (0.55 + 0.36 * len(place))
    figure = new_figure(_finding(table, ratios), subtitle, simulated=simulated, height=height)
    panels = figure.subplots(rows_of_panels, columns, sharey=True, squeeze=False)
    hues = colours(place)
    rules = _in_order(table.loc[table["learner"] != "", "rule"])
    for axes, ratio in zip(panels.flat, ratios, strict=False):
        _draw_ratio(axes, table[table["ratio"] == ratio], place, hues, rules)
        axes.set_title(f"C/R = {ratio}", fontweight="bold")
    for axes in panels[:, 0]:
        axes.set_yticks(range(len(place)), [readable_name(name) for name in place])
        axes.set_ylim(len(place) - 0.45, -0.55)
    for axes in panels.flat[len(ratios) :]:
        axes.remove()
    # matplotlib would draw a legend below the panels over this label.
    figure.supxlabel(
        f"profit over treating nobody, per {CUSTOMERS:,} customers (unit: R, what a response earns)\n{_key(rules)}",
        fontsize=10,
    )
    return figure


def _draw_ratio(
    axes: "Axes", rows: pd.DataFrame, place: dict[str, int], hues: dict[str, str], rules: list[str]
) -> None:
    """Points with their spread, each with the share of the trials that it won."""
    mean, spread = CUSTOMERS * rows["profit_mean"].to_numpy(), CUSTOMERS * rows["profit_sd"].to_numpy()
    of_learners = (rows["learner"] != "").to_numpy()
    # Treating everybody falls without end as contacts become dearer; it may leave the picture, learners may not.
    low = min(0.0, float((mean - spread)[of_learners].min()))
    high = max(0.0, float((mean + spread)[of_learners].max()))
    margin = 0.08 * (high - low or 1)
    axes.set_xlim(low - margin, high + margin)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1.5)
    most = rows["win_share"].max()
    marks = _marks(rules)
    offset = dict(zip(rules, np.linspace(-REACH, REACH, len(rules)) if len(rules) > 1 else [0.0], strict=True))
    for value, sd, name, rule, share in zip(mean, spread, rows["name"], rows["rule"], rows["win_share"], strict=True):
        height = place[name] + offset.get(rule, 0.0)
        marker, filled, _ = marks.get(rule, OF_CONSTANT)
        if low - margin <= value <= high + margin:
            axes.errorbar(
                value, height, xerr=sd, fmt=marker, markersize=5, elinewidth=1.4, color=hues[name],
                markerfacecolor=hues[name] if filled else "white",
            )  # fmt: skip
        else:
            left = value < low
            axes.annotate(
                f"◂ {number(value, 0)}" if left else f"{number(value, 0)} ▸", (0.02 if left else 0.98, height),
                xycoords=("axes fraction", "data"), ha="left" if left else "right", va="center", fontsize=8,
                color=FAINT, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )  # fmt: skip
        axes.annotate(
            short_percent(share) if share else "–", (1, height), xycoords=("axes fraction", "data"), xytext=(26, 0),
            textcoords="offset points", ha="right", va="center", fontsize=8, color=INK if share else FAINT,
            fontweight="bold" if share == most else "normal",
        )  # fmt: skip
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8, length=2)
    axes.locator_params(axis="x", nbins=4)


def _in_order(rules: "pd.Series[str]") -> list[str]:
    """The rules in the order of every figure; new rules come last, by name."""
    place = {rule: row for row, rule in enumerate(RULE_ORDER)}
    return sorted(set(rules), key=lambda rule: (place.get(rule, len(place)), rule))


def _marks(rules: list[str]) -> dict[str, tuple[str, bool, str]]:
    return dict(zip(rules, cycle(MARKS), strict=False))


def _key(rules: list[str]) -> str:
    """What the markers mean."""
    signs = {rule: sign for rule, (_, _, sign) in _marks(rules).items()}
    return "        ".join(f"{sign}  {WORDS.get(rule, readable_name(rule))}" for rule, sign in signs.items())


def _finding(table: pd.DataFrame, ratios: list[str]) -> str:
    """The learner that wins most often, and at how many ratios; a tie has no winner."""
    leaders, shares = [], []
    for ratio in ratios:
        rows = table[table["ratio"] == ratio]
        most = float(rows["win_share"].max())
        first = rows.loc[rows["win_share"] >= most - TIED, "policy"]
        shares.append(most)
        leaders += [str(first.iloc[0])] if len(first) == 1 else []
    counts = pd.Series(leaders, dtype=object).value_counts()
    if len(counts) and counts.iloc[0] > len(ratios) / 2:
        leader = _policy_name(str(counts.index[0]))
        if len(ratios) == 1:
            return f"{leader} wins most often at C/R = {ratios[0]}: {short_percent(shares[0])} of the trials"
        return f"{leader} wins most often at {counts.iloc[0]} of {len(ratios)} cost ratios"
    if len(leaders) < len(ratios) / 2:
        return "No policy leads: several win as often as each other"
    return f"No policy leads throughout: {len(counts)} win most often at one cost ratio or another"


def _policy_name(policy: str) -> str:
    """``threshold.x_learner`` → X-learner, threshold."""
    rule, _, learner = policy.partition(".")
    return f"{readable_name(learner)}, {rule}," if learner else REFERENCES[policy][0].replace("Treat", "Treating", 1)
