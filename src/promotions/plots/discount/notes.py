"""A line of small print in the header of a finished figure: the margin behind its profit."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from promotions.discount.margin import WHAT_IF, TableMargin, margins_text
from promotions.plots.style import ALERT, FAINT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches that the line takes.
LINE = 0.22


def add_margin(figure: "Figure", margins: Iterable[TableMargin]) -> "Figure":
    """``figure`` with the margin of its profit in its header; a "what if" stands out. margins: of its tables."""
    tables = list(margins)
    return add_note(figure, f"Profit {margins_text(tables)}", alert=any(each.kind == WHAT_IF for each in tables))


def add_note(figure: "Figure", text: str, *, alert: bool = False) -> "Figure":
    """``figure``, of ``new_figure``, with ``text`` as a last line of its header; the figure grows by that line.

    alert: in the colour and weight of "simulated data", for what a reader must not miss.
    """
    width, before = figure.get_size_inches()
    after = before + LINE
    engine = figure.get_layout_engine()
    left, low, wide, high = engine.get()["rect"]  # type: ignore[union-attr]
    header = before * (1 - low - high)
    # Texts near the top keep their distance from the top, texts near the bottom their distance from the bottom.
    for line in figure.texts:
        x, y = line.get_position()
        if y > low + high:
            line.set_position((x, 1 - (1 - y) * before / after))
    figure.set_size_inches(width, after)
    engine.set(rect=(left, low * before / after, wide, high * before / after))  # type: ignore[union-attr, call-arg]
    weight, colour = ("bold", ALERT) if alert else ("normal", FAINT)
    figure.text(
        0.012, 1 - (header + 0.02) / after, text, ha="left", va="center", fontsize=10, fontweight=weight, color=colour
    )
    return figure
