"""The figures of ``evaluate``: pure functions from a long frame, one row a point, to a matplotlib figure.

Each title states the finding in the frame it draws. Money is per customer; ``simulated`` puts a note in the figure.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from promotions.base.formatting import decimals, number, percentage, plain, short_percent
from promotions.plots.style import (
    CONSTANT,
    FAINT,
    INK,
    REFERENCES,
    RULE_PALETTE,
    colours,
    new_figure,
    readable_name,
    rule_colours,
    styled,
    zero_line,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RATIO_LABEL = "C/R: cost per contact as a share of the revenue per response"


@styled
def profit_by_cost_ratio(frame: pd.DataFrame, *, ratio: float, shaded: str, simulated: bool) -> "Figure":
    """Profit of each learner's threshold rule as contacts become dearer, and today's ratio.

    frame: ratio, profit, band_low, band_high, learner (with treat_all, and oracle where the truth is known).
    shaded: the learner whose band is drawn.
    """
    curves = {str(name): rows.sort_values("ratio") for name, rows in frame.groupby("learner", sort=False)}
    shown = float(np.clip(ratio, frame["ratio"].min(), frame["ratio"].max()))
    now = {name: float(np.interp(shown, rows["ratio"], rows["profit"])) for name, rows in curves.items()}
    digits = decimals(now.values())
    best = max((name for name in now if name != "oracle"), key=now.__getitem__)
    if now[best] <= 0:
        title = f"Nothing earns more than treating nobody at C/R = {plain(shown)}"
    elif best in REFERENCES:
        earned = number(now[best], digits)
        title = f"Treating everybody has the highest estimate at C/R = {plain(shown)}: {earned} per customer"
    else:
        verb = "has the highest estimate" if len(now.keys() - REFERENCES) > 1 else "earns"
        title = f"{readable_name(best)} {verb} at C/R = {plain(shown)}: {number(now[best], digits)} per customer"
    subtitle = (
        f"The rule “treat if the effect is at least C/R”; shaded: {readable_name(shaded)}, 95% band of the whole curve"
    )
    figure = new_figure(title, subtitle, simulated=simulated, height=4.6)
    axes = figure.subplots()
    zero_line(axes)
    _draw_curves(axes, curves, "ratio", "profit", best)
    band = curves[shaded]
    hue = colours(curves)[shaded]
    axes.fill_between(band["ratio"], band["band_low"], band["band_high"], color=hue, alpha=0.15, linewidth=0)
    if shown == ratio:
        axes.axvline(ratio, color=INK, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1.5)
        axes.annotate(
            f"now {plain(ratio)}", (ratio, 1), xycoords=("data", "axes fraction"), xytext=(4, -3),
            textcoords="offset points", va="top", fontsize=9, color=FAINT,
        )  # fmt: skip
    # Treating everybody falls without end as contacts become dearer; it may leave the picture, learners may not.
    held = frame.loc[frame["learner"] != "treat_all", "profit"] if len(curves) > 1 else frame["profit"]
    low, high = min(0.0, held.min()), max(0.0, frame["profit"].max())
    axes.set_ylim(low - 0.08 * (high - low or 1), high + 0.08 * (high - low or 1))
    axes.set_xlim(frame["ratio"].min(), frame["ratio"].max())
    axes.set_xlabel(RATIO_LABEL)
    axes.set_ylabel("profit over treating nobody\n(money per customer)")
    order = sorted(now, key=lambda name: -now[name])
    _legend(figure, axes, {name: f"{readable_name(name)}  {number(now[name], digits)}" for name in order}, "profit now")
    return figure


@styled
def profit_by_share(frame: pd.DataFrame, *, simulated: bool) -> "Figure":
    """What a budget for a share of the customers earns, with one learner's best first.

    frame: share, spent, profit, ci_low, ci_high, band_low, band_high, learner.
    """
    rows = frame.sort_values("share").reset_index(drop=True)
    name = str(rows["learner"].iloc[0])
    top, everybody = rows.iloc[int(rows["profit"].argmax())], rows.iloc[-1]
    digits = decimals(rows["profit"])
    if top["profit"] <= 0:
        title = "No budget has a profit: treating anybody costs more than it earns"
    elif top["share"] in (0, 1):
        title = (
            f"Every budget is too small: treating everybody has the highest estimate, {number(top['profit'], digits)}"
        )
    else:
        title = (
            f"The highest estimate is {number(top['profit'], digits)} per customer with the best "
            f"{short_percent(top['share'])} treated; all of them: {number(everybody['profit'], digits)}"
        )
    subtitle = (
        f"Customers in the order of {readable_name(name)}; dark: 95% interval at each budget, light: of the whole curve"
    )
    figure = new_figure(title, subtitle, simulated=simulated, height=4.2)
    axes = figure.subplots()
    zero_line(axes)
    hue = RULE_PALETTE[0]
    for low, high, alpha in (("band_low", "band_high", 0.12), ("ci_low", "ci_high", 0.18)):
        axes.fill_between(rows["share"], rows[low], rows[high], color=hue, alpha=alpha, linewidth=0)
    axes.plot(rows["share"], rows["profit"], color=hue, linewidth=2.4)
    axes.plot([0, 1], [0, everybody["profit"]], color=FAINT, linewidth=1.2, linestyle=(0, (5, 2)))
    axes.annotate("random order", (0.98, everybody["profit"] * 0.98), xytext=(0, -12), textcoords="offset points",
                  ha="right", fontsize=9, color=FAINT)  # fmt: skip
    axes.plot(top["share"], top["profit"], "o", markersize=6, color=hue)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: percentage(value))
    axes.set_xlabel("share of customers treated")
    axes.set_ylabel("profit over treating nobody\n(money per customer)")
    return figure


@styled
def qini(frame: pd.DataFrame, *, simulated: bool) -> "Figure":
    """The gain as a growing share of customers, best first, is treated.

    frame: share_treated, incremental_outcome, learner (with random, the straight line).
    """
    curves = {str(name): rows.sort_values("share_treated") for name, rows in frame.groupby("learner", sort=False)}
    area = {name: _area_over_diagonal(rows) for name, rows in curves.items() if name not in REFERENCES}
    best = max(area, key=area.__getitem__)
    curve = curves[best]
    if area[best] <= 0:
        title = "No learner ranks customers better than a random order"
    else:
        share, gain, by_chance = _widest_lead(curve)
        digits = decimals([gain, by_chance])
        verb = "has the highest curve" if len(area) > 1 else "ranks customers"
        title = (
            f"{readable_name(best)} {verb}: its first {short_percent(share)} gain {number(gain, digits)} a customer, "
            f"a random {short_percent(share)} {number(by_chance, digits)}"
        )
    subtitle = (
        "Outcome gained by treating the highest estimated effects first; the highest of many curves is partly luck"
    )
    figure = new_figure(title, subtitle, simulated=simulated, height=4.6)
    axes = figure.subplots()
    zero_line(axes)
    _draw_curves(axes, curves, "share_treated", "incremental_outcome", best)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: percentage(value))
    axes.set_xlabel("share of customers treated")
    axes.set_ylabel("incremental outcome (per customer)")
    digits = decimals(area.values())
    labels = {
        name: f"{readable_name(name)}  {number(area[name], digits)}" for name in sorted(area, key=lambda n: -area[n])
    }
    labels |= {name: readable_name(name) for name in curves if name not in area}
    _legend(figure, axes, labels, "area over the random line")
    return figure


@styled
def uplift_by_decile(frame: pd.DataFrame, *, simulated: bool) -> "Figure":
    """The measured effect in each tenth of each learner's ranking, a panel a learner.

    frame: decile (1 is predicted most responsive), uplift, ci_low, ci_high, learner.
    """
    panels = {str(name): rows.sort_values("decile") for name, rows in frame.groupby("learner", sort=False)}
    first = {name: float(rows["uplift"].iloc[0]) for name, rows in panels.items()}
    last = {name: float(rows["uplift"].iloc[-1]) for name, rows in panels.items()}
    order = sorted(panels, key=lambda name: last[name] - first[name])
    best = order[0]
    digits = decimals([first[best], last[best]])
    verb = "separates best" if len(order) > 1 else "separates customers"
    title = (
        f"{readable_name(best)} {verb}: uplift {number(first[best], digits)} in its first decile, "
        f"{number(last[best], digits)} in its last"
    )
    # The best of many learners leads by luck alone; a finding needs intervals that do not meet.
    if panels[best]["ci_low"].iloc[0] <= panels[best]["ci_high"].iloc[-1]:
        title = "No learner tells its first decile from its last: the intervals overlap"
    subtitle = "Measured uplift by decile of the estimated effect, with 95% intervals; dotted: mean of all"
    columns = min(3, len(order))
    rows_of_panels = -(-len(order) // columns)
    figure = new_figure(
        title, subtitle, simulated=simulated, height=0.9 + (3.4 if rows_of_panels == 1 else 1.95 * rows_of_panels)
    )
    grid = figure.subplots(rows_of_panels, columns, sharex=True, sharey=True, squeeze=False)
    hues = colours(panels)
    for axes, name in zip(grid.flat, order, strict=False):
        rows = panels[name]
        reach = np.abs(rows[["ci_low", "ci_high"]].sub(rows["uplift"], axis=0).to_numpy().T)
        zero_line(axes)
        axes.axhline(rows["uplift"].mean(), color=FAINT, linewidth=1, linestyle=(0, (1, 2)), zorder=1.5)
        axes.errorbar(
            rows["decile"], rows["uplift"], reach, fmt="o", markersize=4.5, elinewidth=1.4, color=hues[name],
        )  # fmt: skip
        axes.set_title(readable_name(name), fontweight="bold")
        axes.grid(visible=False, axis="x")
        axes.set_xticks(sorted(frame["decile"].unique()))
        axes.tick_params(labelsize=9, length=2)
    for axes in grid.flat[len(order) :]:
        axes.remove()
    for column in range(columns):
        lowest = (len(order) - 1 - column) // columns
        grid[lowest, column].tick_params(labelbottom=True)
    figure.supxlabel("decile of customers (1 = predicted most responsive)", fontsize=10)
    figure.supylabel("uplift (outcome per customer)", fontsize=10)
    return figure


@styled
def policy_values(frame: pd.DataFrame, *, simulated: bool) -> "Figure":
    """What each policy earns with its interval, best first; the champion, chosen on other customers, is marked.

    frame: policy (``<rule>.<learner>``, or treat_all, treat_none), rule, learner, profit, ci_low, ci_high, champion.
    """
    rows = frame.sort_values("profit", ascending=False, kind="stable").reset_index(drop=True)
    names = [_policy_name(str(policy)) for policy in rows["policy"]]
    champion = rows["champion"].astype(bool).to_numpy()
    digits = decimals(rows[["ci_low", "ci_high"]].to_numpy().ravel())
    values = [
        f"{number(profit, digits)}  [{number(low, digits)}, {number(high, digits)}]"
        for profit, low, high in rows[["profit", "ci_low", "ci_high"]].itertuples(index=False)
    ]
    highlighted = int(champion.argmax()) if champion.any() else 0
    who = f"Champion {names[highlighted]}" if champion.any() else names[highlighted]
    profit, low, high = (float(rows[column].iloc[highlighted]) for column in ("profit", "ci_low", "ci_high"))
    if low > 0:
        title = f"{who} earns {number(profit, digits)} per customer over treating nobody"
    elif high < 0:
        title = f"{who} loses {number(-profit, digits)} per customer against treating nobody"
    else:
        title = f"{who} cannot be told from treating nobody: {values[highlighted]} per customer"
    subtitle = "Profit of each policy on customers that nothing was fitted to, with 95% intervals"
    figure = new_figure(title, subtitle, simulated=simulated, height=1.2 + 0.255 * len(rows))
    axes = figure.subplots()
    rules = _rules(rows)
    hues = rule_colours(rules)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1.5)
    if champion.any():
        axes.axhspan(highlighted - 0.5, highlighted + 0.5, color="#F1EEE6", zorder=0)
    for rule, members in rows.assign(rule=rules).groupby("rule", sort=False):
        reach = np.abs(members[["ci_low", "ci_high"]].sub(members["profit"], axis=0).to_numpy().T)
        axes.errorbar(
            members["profit"], members.index, xerr=reach, fmt="o", markersize=5, elinewidth=1.6,
            color=hues[str(rule)], label=readable_name(str(rule)),
        )  # fmt: skip
    for place, value in enumerate(values):
        axes.annotate(
            value, (1, place), xycoords=("axes fraction", "data"), xytext=(8, 0), textcoords="offset points",
            va="center_baseline", fontsize=9, color=INK, fontweight="bold" if champion[place] else "normal",
        )  # fmt: skip
    axes.set_yticks(
        range(len(rows)), [f"★ {name}" if mark else name for name, mark in zip(names, champion, strict=True)]
    )
    for label, mark in zip(axes.get_yticklabels(), champion, strict=True):
        label.set_fontweight("bold" if mark else "normal")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("profit over treating nobody (money per customer)")
    figure.legend(loc="outside lower left", ncols=len(hues), title=None)
    return figure


@styled
def profit_table(frame: pd.DataFrame, *, ratio: float, simulated: bool) -> "Figure":
    """Profit of each learner at each cost ratio, as numbers on colours; the best of each ratio is bold.

    frame: ratio, learner, profit.
    """
    from matplotlib.patches import Rectangle

    table = frame.pivot_table(index="learner", columns="ratio", values="profit", sort=True)
    ratios = table.columns.to_numpy(np.float64)
    here = float(np.interp(ratio, ratios, np.arange(len(ratios))))
    table = table.sort_values(table.columns[round(here)], ascending=False, kind="stable")
    profits = table.to_numpy(np.float64)
    learners = [str(name) for name in table.index]
    # A ratio at which nobody earns anything has no best learner.
    best = [int(np.nanargmax(column)) if np.nanmax(column) > 0 else -1 for column in profits.T]
    wins = pd.Series([learners[row] for row in best if row >= 0]).value_counts()
    if wins.empty:
        title = "No learner earns more than treating nobody at any of these costs"
    elif len(learners) == 1:
        title = f"{readable_name(learners[0])} beats treating nobody at {wins.iloc[0]} of {len(ratios)} cost ratios"
    elif wins.iloc[0] > len(ratios) / 2:
        winner = readable_name(str(wins.index[0]))
        title = f"{winner} has the highest estimate at {wins.iloc[0]} of {len(ratios)} cost ratios"
    else:
        title = f"No learner leads throughout: {len(wins)} have the highest estimate at one cost ratio or another"
    subtitle = "Money per customer over treating nobody; bold: the best estimate of each ratio"
    figure = new_figure(title, subtitle, simulated=simulated, height=1.1 + 0.4 * len(learners))
    axes = figure.subplots()
    largest = float(np.nanmax(np.abs(profits))) or 1.0
    # White is zero. The dark ends of the scheme are left out, as no number could be read on them.
    axes.imshow(profits, cmap="RdBu", vmin=-1.35 * largest, vmax=1.35 * largest, aspect="auto")
    digits = decimals(profits.ravel())
    for row, column in np.ndindex(*profits.shape):
        axes.text(
            column, row, number(float(profits[row, column]), digits), ha="center", va="center",
            color="white" if abs(profits[row, column]) > 0.85 * largest else INK,
            fontweight="bold" if row == best[column] else "normal",
        )  # fmt: skip
    if ratios[0] <= ratio <= ratios[-1]:
        axes.annotate(
            f"now {plain(ratio)} ▾", (here, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
            textcoords="offset points", ha="center", va="bottom", fontsize=9, fontweight="bold", annotation_clip=False,
        )  # fmt: skip
    if ratio in ratios:
        axes.add_patch(
            Rectangle((here - 0.5, -0.5), 1, len(learners), fill=False, edgecolor=INK, linewidth=2, clip_on=False)
        )
    axes.set_xticks(range(len(ratios)), [plain(value, 4) for value in ratios])
    axes.set_yticks(range(len(learners)), [readable_name(name) for name in learners])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlabel(RATIO_LABEL)
    return figure


def _draw_curves(axes: "Axes", curves: dict[str, pd.DataFrame], x: str, y: str, best: str) -> None:
    """Lines: the best one thick and in front, references dashed behind."""
    for name, hue in colours(curves).items():
        reference = name in REFERENCES
        axes.plot(
            curves[name][x], curves[name][y], color=hue, label=name,
            linewidth=2.8 if name == best else 1.4,
            linestyle=(0, (5, 2)) if reference else "-",
            zorder=3 if name == best else 2 if reference else 2.5,
        )  # fmt: skip


def _legend(figure: "Figure", axes: "Axes", labels: dict[str, str], title: str) -> None:
    """A legend beside the axes, in the order of ``labels``: it covers no data and reads as a ranking."""
    lines = {str(line.get_label()): line for line in axes.get_lines()}
    figure.legend(
        [lines[name] for name in labels], labels.values(), loc="outside right center", title=title,
        alignment="left", labelspacing=0.7, handlelength=2.2,
    )  # fmt: skip


def _area_over_diagonal(curve: pd.DataFrame) -> float:
    """Area between a Qini curve and the straight line to its end, by trapezia."""
    share, gain = curve["share_treated"].to_numpy(), curve["incremental_outcome"].to_numpy()
    return float(np.trapezoid(gain - gain[-1] * share, share))


def _widest_lead(curve: pd.DataFrame) -> tuple[float, float, float]:
    """The share at which a Qini curve is farthest above its diagonal, its height there, and the diagonal's."""
    share, gain = curve["share_treated"].to_numpy(), curve["incremental_outcome"].to_numpy()
    place = int(np.argmax(gain - gain[-1] * share))
    return float(share[place]), float(gain[place]), float(gain[-1] * share[place])


def _policy_name(policy: str) -> str:
    """``threshold.x_learner`` → Threshold · X-learner."""
    return " · ".join(readable_name(part) for part in policy.split("."))


def _rules(rows: pd.DataFrame) -> pd.Series:
    """The rule of each policy; a policy without a learner, such as treat_all, is a constant."""
    return rows["rule"].where(rows["policy"].str.contains(".", regex=False), CONSTANT).astype(str)
