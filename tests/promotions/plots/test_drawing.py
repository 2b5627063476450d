"""Figures that are drawn side by side are those that are drawn one after another."""

from functools import partial

import pandas as pd
import pytest

from promotions.plots.drawing import Drawing
from promotions.plots.evaluation.heterogeneity import affected
from promotions.plots.style import png_bytes

COLUMNS = ["feature", "most_affected", "least_affected", "difference", "ci_low", "ci_high", "standardised_difference"]
FRAMES = {
    f"affected_{k}": pd.DataFrame(
        [("age", 50.0 + k, 40.0, 10.0 + k, 9.0, 12.0, 0.8), ("zip is Rural", 0.1, 0.3, -0.2, -0.3, -0.1, -0.5)],
        columns=COLUMNS,
    )
    for k in range(3)
}
FIGURES = {name: partial(affected, frame, learner="x_learner", simulated=False) for name, frame in FRAMES.items()}


def refuse():
    """Draw nothing."""
    raise ValueError("there is nothing to draw")


def test_pictures_do_not_depend_on_how_many_draw():
    for cores in (1, 3):
        with Drawing(cores) as drawing:
            drawn = drawing.png(FIGURES)
        assert list(drawn) == list(FIGURES)
        assert drawn == {name: png_bytes(figure()) for name, figure in FIGURES.items()}
    assert len(set(drawn.values())) == 3


@pytest.mark.parametrize("place", [0, 1])
def test_what_goes_wrong_is_told_wherever_it_was_drawn(place):
    figures = {**FIGURES, list(FIGURES)[place]: refuse}
    with Drawing(2) as drawing, pytest.raises(ValueError, match="nothing to draw"):
        drawing.png(figures)
