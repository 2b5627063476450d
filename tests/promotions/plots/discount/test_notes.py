"""A figure says at which margin its profit is, and a "what if" cannot be missed."""

import pandas as pd
import pytest

from promotions.discount.margin import TableMargin
from promotions.plots.discount.dose import profit_by_rule
from promotions.plots.discount.notes import LINE, add_margin
from promotions.plots.style import ALERT, FAINT
from tests.support.pictures import assert_whole_and_repeatable, words

OWN, WHAT_IF = TableMargin("randomised", 0.05), TableMargin("randomised", 0.05, 0.06)


def figure(simulated):
    rows = [("constant_0", "constant", "0", 56.3), ("best.r_learner", "best", "best.r_learner", 60.9)]
    frame = pd.DataFrame(rows, columns=["policy", "rule", "name", "dr"])
    frame = frame.assign(dr_ci_low=frame["dr"] - 2, dr_ci_high=frame["dr"] + 2, champion=[False, True])
    return profit_by_rule(frame, lift=(4.6, 2.6, 6.5), simulated=simulated)


def place(drawn, start):
    """Inches from the top of the page to the upper and lower end of a text."""
    drawn.draw_without_rendering()
    (text,) = [text for text in drawn.texts if text.get_text().startswith(start)]
    box = text.get_window_extent()
    return (drawn.bbox.y1 - box.y1) / drawn.dpi, (drawn.bbox.y1 - box.y0) / drawn.dpi


@pytest.mark.parametrize(
    ("margin", "text", "colour"),
    [
        (OWN, "Profit at the test's own margin of 0.05", FAINT),
        (WHAT_IF, "Profit at a what-if margin of 0.06, instead of the test's own 0.05", ALERT),
    ],
)
def test_the_margin_stands_in_the_header_and_a_what_if_in_red(margin, text, colour):
    noted = add_margin(figure(False), [margin])
    assert text in words(noted)
    assert [line.get_color() for line in noted.texts if line.get_text() == text] == [colour]


def test_the_line_is_added_below_the_header_and_nothing_else_moves():
    plain, noted = figure(True), add_margin(figure(True), [WHAT_IF])
    width, height = plain.get_size_inches()
    assert noted.get_size_inches().tolist() == pytest.approx([width, height + LINE])
    for start in ("Champion", "Doubly robust", "simulated data"):
        assert place(noted, start) == pytest.approx(place(plain, start), abs=0.01)
    assert place(noted, "Profit at")[0] > place(noted, "Doubly robust")[1]
    upper_end = noted.axes[0].get_window_extent().y1
    assert upper_end < noted.bbox.y1 - noted.dpi * place(noted, "Profit at")[1]
    heights = [drawn.axes[0].get_window_extent().height for drawn in (plain, noted)]
    assert heights[0] == pytest.approx(heights[1], rel=0.02)


def test_a_noted_figure_is_whole_and_repeatable():
    assert_whole_and_repeatable(lambda simulated: add_margin(figure(simulated), [WHAT_IF]))
