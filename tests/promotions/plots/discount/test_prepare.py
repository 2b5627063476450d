"""The figure of columns that depend on the dose: what it says, and that it needs no finding to be drawn."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from promotions.discount.prepare.post_treatment import post_treatment_table
from promotions.plots.discount.prepare import SHOWN, post_treatment
from promotions.plots.style import png_bytes


def frame(depending=3, others=5, exclude=()):
    rng = np.random.default_rng(1)
    dose = rng.choice([0.0, 10, 20, 30], 2000)
    columns = {f"later_{k}": rng.poisson(1 + dose / 10).astype(float) for k in range(depending)}
    columns |= {f"before_{k}": rng.normal(size=2000) for k in range(others)}
    return post_treatment_table(pd.DataFrame({"discount": dose, **columns}), 0.01, exclude)


def words(figure):
    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize(
    ("depending", "title"),
    [
        (0, "No column depends on the discount that was given by lot"),
        (1, "later_0 depends on a discount that was given by lot: measured after it, barred everywhere"),
        (3, "3 columns depend on a discount that was given by lot: measured after it, barred everywhere"),
    ],
)
def test_the_title_states_what_was_found(depending, title):
    figure = post_treatment(frame(depending), alpha=0.01, simulated=False)
    assert title in [text.replace("\n", " ") for text in words(figure)]


def test_every_test_is_a_point_and_what_is_barred_stands_first():
    table = frame()
    (axes,) = post_treatment(table, alpha=0.01, simulated=False).axes
    places = np.concatenate(
        [np.asarray(points.get_offsets()) for points in axes.collections if len(points.get_offsets())]
    )
    assert len(places) == len(table)
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert set(labels[:3]) == {"later_0", "later_1", "later_2"}
    assert places[:, 0].max() > 10
    beyond = places[places[:, 1] < -2.5]
    assert beyond[:, 0].max() < 4


def test_what_is_barred_by_hand_says_so_and_what_does_not_fit_is_counted():
    figure = post_treatment(frame(2, SHOWN + 3, ["before_4"]), alpha=0.01, simulated=False)
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert len(labels) == SHOWN
    assert labels[2] == "before_4 (by hand)"
    assert any("5 more lie as near to 0" in text for text in words(figure))


def test_without_a_randomised_table_the_figure_says_so():
    nothing = post_treatment_table(pd.DataFrame({"discount": []}), 0.01, ["age"])
    figure = post_treatment(nothing, alpha=0.01, simulated=False)
    assert "No column could be tested: there is no randomised table with two discounts" in " ".join(
        words(figure)
    ).replace("\n", " ")
    assert len(png_bytes(figure)) > 1000


def test_simulated_data_are_labelled_and_the_picture_is_the_same_every_time():
    table = frame()
    assert "simulated data" in words(post_treatment(table, alpha=0.01, simulated=True))
    assert "simulated data" not in words(post_treatment(table, alpha=0.01, simulated=False))
    first, second = (png_bytes(post_treatment(table, alpha=0.01, simulated=True)) for _ in range(2))
    assert first == second
