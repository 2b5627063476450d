"""Each figure of the cut-off shows what its frame holds, and says where the data come from."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from promotions.plots.discount import rdd as figures
from promotions.plots.style import png_bytes

PANELS = ("discount", "profit")
SIZES = {"discount": 180.0, "profit": -8.3}


def words(figure):
    figure.draw_without_rendering()
    return "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_visible()).replace("\n", " ")


def jump_frame():
    parts = []
    for name, size in SIZES.items():
        months = np.arange(15, 25)
        treated = months > 19
        mean = 50 + size * treated
        parts.append(
            pd.DataFrame({"running": months, "mean": mean, "customers": 100, "treated": treated, "kind": "mean"})
        )
        for kind in ("global", "local"):
            for side in (False, True):
                ends = [19.0, 22.0 if side else 16.0]
                line = {"running": ends, "mean": 50 + size * side, "customers": 400, "treated": side, "kind": kind}
                parts.append(pd.DataFrame(line))
        parts[-5:] = [part.assign(outcome=name) for part in parts[-5:]]
    frame = pd.concat(parts)
    return frame.assign(ci_low=frame["mean"] - 2, ci_high=frame["mean"] + 2, cutoff=19.0)


def bandwidth_frame(honest=1.0, drift=0.0):
    parts = [
        pd.DataFrame({"outcome": name, "bandwidth": np.arange(3.0, 9), "estimate": size + drift * np.arange(6)})
        for name, size in SIZES.items()
    ]
    frame = pd.concat(parts).assign(given=lambda rows: rows["bandwidth"] < 5)
    frame["ci_low"], frame["ci_high"] = frame["estimate"] - 3, frame["estimate"] + 3
    return frame.assign(honest_low=frame["ci_low"] - honest, honest_high=frame["ci_high"] + honest)


def placebo_frame(p_value=0.5, fakes=4):
    rows = []
    for name, size in SIZES.items():
        rows.append((name, 19.0, "real", size, 0.001))
        rows += [(name, 20.0 + place, "above", 1.0, p_value) for place in range(1, fakes + 1)]
    frame = pd.DataFrame(rows, columns=["outcome", "cutoff", "side", "estimate", "p_value_holm"])
    return frame.assign(ci_low=frame["estimate"] - 3, ci_high=frame["estimate"] + 3)


FIGURES = {
    "jump": (figures.jump, jump_frame),
    "bandwidth": (figures.bandwidth, bandwidth_frame),
    "placebo": (figures.placebo, placebo_frame),
}


@pytest.mark.parametrize(("draw", "frame"), FIGURES.values(), ids=FIGURES.keys())
def test_a_figure_is_drawn_again_the_same_bytes_and_says_what_is_simulated(draw, frame):
    first, second = (png_bytes(draw(frame(), running="tenure", simulated=True)) for _ in range(2))
    assert first == second
    assert "simulated data" in words(draw(frame(), running="tenure", simulated=True))
    assert "simulated data" not in words(draw(frame(), running="tenure", simulated=False))


def test_titles_say_what_was_found():
    told = words(figures.jump(jump_frame(), running="tenure", simulated=False))
    assert "At tenure 19 the discount jumps by 180 and profit by −8.30" in told
    told = words(figures.bandwidth(bandwidth_frame(), running="tenure", simulated=False))
    assert (
        "Profit falls at each of 6 bandwidths: significant at 6 if the lines are exact, at 6 if they may bend" in told
    )
    wide = words(figures.bandwidth(bandwidth_frame(honest=9), running="tenure", simulated=False))
    assert "at 0 if they may bend" in wide
    turning = words(figures.bandwidth(bandwidth_frame(drift=4), running="tenure", simulated=False))
    assert "The sign of profit's jump depends on the bandwidth" in turning


def test_placebos_that_jump_are_told():
    assert "none of 4 cut-offs" in words(figures.placebo(placebo_frame(), running="tenure", simulated=False))
    told = words(figures.placebo(placebo_frame(0.01), running="tenure", simulated=False))
    assert "at 4 of 4 cut-offs where no rule changes: distrust the real one" in told
    alone = words(figures.placebo(placebo_frame(fakes=0), running="tenure", simulated=False))
    assert "No other cut-off has customers enough" in alone
