"""The figures of what a predicted effect depends on."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.encoding import as_numbers, is_number
from promotions.base.formatting import decimals, number, short_percent
from promotions.plots.style import FAINT, INK, RULE_PALETTE, new_figure, readable_name, shortened, styled, zero_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
UNRANKED = "#B8B8B8"
# With more points, they hide each other.
SHOWN = 3000
# Places side by side in a swarm.
COLUMNS = 240
PANELS = 6
# Means along a line.
GROUPS = 20
# Levels of a category in a panel; rarer levels are drawn together.
LEVELS = 8
# Characters of a line beside the swarm.
LONGEST_LINE = 46
LONGEST_TITLE = 28


@styled
def beeswarm(
    contributions: pd.DataFrame,
    customers: pd.DataFrame,
    table: pd.DataFrame,
    *,
    learner: str,
    method: str,
    fidelity: float,
    simulated: bool,
) -> "Figure":
    """Contributions of the most telling features, a point a customer, coloured by the feature's value.

    contributions, customers: (n, features), of the same customers.  table: of ``most_telling``.
    """
    rows = table.reset_index(drop=True)
    moving = [shortened(str(name)) for name in rows.loc[rows["mean_absolute"] > 0, "feature"].head(2)]
    if moving:
        title = f"{readable_name(learner)}’s effect depends most on {' and '.join(moving)}"
    else:
        title = f"{readable_name(learner)}’s effect is the same for everybody: no feature moves it"
    subtitle = f"What the model uses, not what causes it; {_faithfully(method, fidelity)}"
    figure = new_figure(title, subtitle, simulated=simulated, height=1.5 + 0.5 * len(rows))
    axes = figure.subplots()
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1.5)
    chosen = _spread_out(len(contributions))
    colours = _low_to_high()
    shown = contributions[list(rows["feature"])].to_numpy()
    for place, (_, row) in enumerate(rows.iterrows()):
        name = str(row["feature"])
        x = contributions[name].to_numpy()[chosen]
        heights = place + 0.38 * _swarm(x, shown.min(), np.ptp(shown))
        standing = _standing(customers[name])[chosen]
        ranked = ~np.isnan(standing)
        axes.scatter(x[~ranked], heights[~ranked], s=3, color=UNRANKED, linewidths=0)
        axes.scatter(x[ranked], heights[ranked], s=3, c=standing[ranked], cmap=colours, vmin=0, vmax=1, linewidths=0)
        for text, right, side in (
            (short_percent(row["share"]), 32, "right"),
            (_shorter(str(row["direction"]), 36), 40, "left"),
        ):
            axes.annotate(text, (1, place), xycoords=("axes fraction", "data"), xytext=(right, 0), ha=side,
                          textcoords="offset points", va="center", fontsize=9)  # fmt: skip
    axes.set_yticks(range(len(rows)), [_label(row) for _, row in rows.iterrows()], fontsize=8.5)
    axes.set_ylim(len(rows) - 0.5, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("contribution to the predicted effect (outcome per customer)")
    axes.annotate("share, and how the effect goes", (1, 1), xycoords="axes fraction", xytext=(8, 4),
                  textcoords="offset points", fontsize=9, color=FAINT)  # fmt: skip
    _value_key(figure, colours)
    return figure


@styled
def dependence(
    contributions: pd.DataFrame,
    customers: pd.DataFrame,
    table: pd.DataFrame,
    *,
    learner: str,
    method: str,
    fidelity: float,
    simulated: bool,
) -> "Figure":
    """Contribution against value of the most telling features, a panel each; line: mean at about that value.

    Frames as in ``beeswarm``. A number is shown from its 1 % to its 99 % quantile; (+2): the contributions of two
    similar features are included.
    """
    rows = table.head(PANELS).reset_index(drop=True)
    rising = [str(row["feature"]) for _, row in rows.iterrows() if "rises" in str(row["direction"])]
    falling = [str(row["feature"]) for _, row in rows.iterrows() if "falls" in str(row["direction"])]
    parts = [
        f"{verb} with {' and '.join(shortened(name) for name in names[:2])}"
        for verb, names in (("rises", rising), ("falls", falling))
        if names
    ]
    title = f"{readable_name(learner)}’s effect {', and '.join(parts)}" if parts else (
        f"{readable_name(learner)}’s effect goes one way with none of its most telling features"
    )  # fmt: skip
    subtitle = f"Points: customers; line: mean at that value; {_faithfully(method, fidelity)}"
    columns = min(3, len(rows))
    lines = -(-len(rows) // columns)
    figure = new_figure(title, subtitle, simulated=simulated, height=0.7 + 2.5 * lines)
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
    chosen = _spread_out(len(contributions))
    for axes, (_, row) in zip(grid.flat, rows.iterrows(), strict=False):
        name = str(row["feature"])
        zero_line(axes)
        draw = _numbers if is_number(customers[name]) else _levels
        draw(axes, customers[name], contributions[name].to_numpy(), chosen, str(row["unit"]))
        others = len([other for other in str(row["together_with"]).split(", ") if other])
        more = f" (+{others})" if others else ""
        axes.set_title(_shorter(name, LONGEST_TITLE - len(more)) + more, fontweight="bold", fontsize=9)
        axes.tick_params(labelsize=8, length=2)
    for axes in grid.flat[len(rows) :]:
        axes.remove()
    figure.supylabel("contribution to the predicted effect\n(outcome per customer)", fontsize=10)
    return figure


def _numbers(axes: "Axes", values: "pd.Series[Any]", contribution: Floats, chosen: NDArray[np.intp], unit: str) -> None:
    """Points between the extreme hundredths, and means of up to twenty equal groups."""
    numbers = as_numbers(values)
    present = ~np.isnan(numbers)
    if present.any():
        low, high = np.quantile(numbers[present], [0.01, 0.99])
        inside = chosen[(numbers[chosen] >= low) & (numbers[chosen] <= high)]
        axes.scatter(numbers[inside], contribution[inside], s=3, color=RULE_PALETTE[0], alpha=0.25, linewidths=0)
        within = present & (numbers >= low) & (numbers <= high)
        values_met = np.unique(numbers[within])
        # A flag or a count has a mean at each value; most other values occur once, and form groups of equal size.
        starts = values_met if len(values_met) <= GROUPS else np.quantile(numbers[within], np.arange(GROUPS) / GROUPS)
        group = np.searchsorted(np.unique(starts), numbers[within], side="right") - 1
        size = np.bincount(group)
        middle, mean = (np.bincount(group, column)[size > 0] / size[size > 0]
                        for column in (numbers[within], contribution[within]))  # fmt: skip
        axes.plot(middle, mean, color=INK, linewidth=1.8, marker="o", markersize=2.5)
    if not present.all():
        mean_text = number(float(contribution[~present].mean()), decimals(np.abs(contribution)))
        axes.annotate(
            f"unknown ({short_percent(1 - present.mean())}): {mean_text}", (0.98, 0.03),
            xycoords="axes fraction", ha="right", va="bottom", fontsize=8, color=FAINT,
        )  # fmt: skip
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlabel(unit, fontsize=8)


def _levels(axes: "Axes", values: "pd.Series[Any]", contribution: Floats, chosen: NDArray[np.intp], unit: str) -> None:
    """A column of points for each of the most frequent levels, and its mean."""
    words = values.astype("string").fillna("unknown")
    counts = words.value_counts()
    common = sorted(counts.index, key=lambda level: (-int(counts[level]), str(level)))[:LEVELS]
    words = words.where(words.isin(common), "other")
    shown = [*common, "other"] if (words == "other").any() and "other" not in common else common
    place = words.map({level: float(number) for number, level in enumerate(shown)}).to_numpy(np.float64)
    jitter = 0.5 * (np.arange(len(place)) * 0.6180339887 % 1 - 0.5)
    axes.scatter((place + jitter)[chosen], contribution[chosen], s=3, color=RULE_PALETTE[0], alpha=0.25, linewidths=0)
    means = [contribution[place == number].mean() for number in range(len(shown))]
    axes.hlines(means, np.arange(len(shown)) - 0.35, np.arange(len(shown)) + 0.35, color=INK, linewidth=1.8)
    axes.set_xticks(range(len(shown)), [_shorter(str(level), 12) for level in shown],
                    rotation=0 if len(shown) <= 3 else 30, ha="center" if len(shown) <= 3 else "right")  # fmt: skip
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(unit, fontsize=8)


def _faithfully(method: str, fidelity: float) -> str:
    """How the contributions were computed."""
    if method == "exact":
        return "exact SHAP values"
    return f"SHAP values, {method} (held-out R² {number(np.floor(fidelity * 1000) / 1000, 3)})"


def _spread_out(n: int) -> NDArray[np.intp]:
    """At most ``SHOWN`` of n customers, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, SHOWN)).astype(np.intp))


def _standing(values: "pd.Series[Any]") -> Floats:
    """Share of the values below, ties in the middle: 0 to 1; NaN for a category and for a missing value."""
    if not is_number(values):
        return np.full(len(values), np.nan)
    numbers = as_numbers(values)
    ranks = pd.Series(numbers).rank(method="average")
    present = int(ranks.notna().sum())
    # Only two values would get a quarter and three quarters; the extremes have to be the ends of the scale.
    low, high = ranks.min(), ranks.max()
    if not present or high == low:
        return np.asarray(np.where(np.isnan(numbers), np.nan, 0.5))
    return np.asarray((ranks - low) / (high - low), dtype=np.float64)


def _swarm(x: Floats, lowest: float, reach: float) -> Floats:
    """Heights from −1 to 1 that keep points of about the same x apart; denser points are spread wider."""
    bins = np.floor((x - lowest) / (reach or 1.0) * COLUMNS).astype(np.intp)
    order = np.lexsort((np.arange(len(x)), bins))
    counts = np.bincount(bins)
    first = np.concatenate([[0], np.cumsum(counts)])[bins[order]]
    rank = np.arange(len(x)) - first
    # 0, 1, −1, 2, −2, …: from the middle outwards.
    steps = np.where(rank % 2, (rank + 1) // 2, -(rank // 2))
    heights = np.empty(len(x))
    heights[order] = steps
    return heights / max(1.0, 0.5 * counts.max())


def _low_to_high() -> "Colormap":
    """Blue for low, vermilion for high values, which colour-blind readers tell apart."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("low_to_high", [RULE_PALETTE[0], "#B9A7C9", RULE_PALETTE[1]])


def _value_key(figure: "Figure", colours: "Colormap") -> None:
    """What the colours mean."""
    from matplotlib.lines import Line2D

    marks: dict[str, Any] = {"low value": colours(0.0), "middle": colours(0.5), "high value": colours(1.0)}
    marks["category, or unknown"] = UNRANKED
    handles = [Line2D([], [], linestyle="", marker="o", markersize=5, color=hue) for hue in marks.values()]
    figure.legend(handles, list(marks), loc="outside lower left", ncols=len(marks), fontsize=9, handletextpad=0.1)


def _shorter(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 1].rstrip(' ,;(')}…"


def _label(row: "pd.Series[Any]") -> str:
    """A feature's name, its meaning, and the features whose contributions are included."""
    name, meaning = shortened(str(row["feature"])), str(row["meaning"])
    lines = [name] if meaning == str(row["feature"]) else [name, _shorter(meaning, LONGEST_LINE)]
    others = str(row["together_with"])
    if others:
        first, *more = others.split(", ")
        lines.append(_shorter(f"with {first}", LONGEST_LINE - 10) + (f" and {len(more)} more" if more else ""))
    return "\n".join(lines)
