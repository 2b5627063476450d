"""What every figure of the discounts is held to, and what is written in it."""

from matplotlib.text import Text

from promotions.plots.style import png_bytes


def words(figure):
    """All texts of a figure in one line."""
    return " ".join(text.get_text().replace("\n", " ") for text in figure.findobj(Text) if text.get_text())


def beside_ticks(figure):
    """What is written but for the numbers on the axes, of which some stand ready beyond them and are not drawn."""
    ticks = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in axis.get_ticklabels()}
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and text not in ticks]


def assert_whole_and_repeatable(draw):
    """The same picture each time, simulated only if it says so, and no text beyond the page. draw: of ``simulated``."""
    assert png_bytes(draw(False)) == png_bytes(draw(False))
    assert "simulated data" in words(draw(True))
    figure = draw(False)
    assert "simulated" not in words(figure)
    figure.draw_without_rendering()
    page = figure.bbox
    for text in beside_ticks(figure):
        box = text.get_window_extent()
        assert page.x0 <= box.x0 < box.x1 <= page.x1, text.get_text()
        assert page.y0 <= box.y0 < box.y1 <= page.y1, text.get_text()
