"""One style for every figure: header, colours, names, numbers, and the bytes of the file."""

import io
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from promotions.base.rounding import rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

WIDTH = 9.0  # inches; at 100 dots an inch 900 pixels, at which every text is easy to read
DOTS_PER_INCH = 150
TITLE_CHARACTERS = 80
LONGEST_NAME = 44
INK, FAINT, ALERT = "#222222", "#767676", "#B5432A"

# Paul Tol's "muted" scheme: nine hues that colour-blind readers can tell apart; and a brown for the mixture of all.
PALETTE = (
    *("#CC6677", "#332288", "#999933", "#117733", "#88CCEE"),
    *("#882255", "#44AA99", "#DDAA33", "#AA4499", "#7A4B1F"),
)

# From Tol's older scheme of twelve: for learners that LEARNER_ORDER does not list, when all of the listed are shown.
SPARE_PALETTE = ("#6699CC", "#661100", "#DDCC77")

# Okabe and Ito's blue, vermilion, green, purple, sky blue and orange: for rules, which never share a figure with
# colours of learners. A rule that is not listed takes a colour that is left, so a new rule needs no line here.
RULE_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
RULE_ORDER = ("threshold", "weighted", "tree", "groups", "budget")
CONSTANT = "same for everybody"

# The order fixes a learner's colour in every figure, whichever other learners there are.
LEARNER_ORDER = (
    "s_learner",
    "t_learner",
    "x_learner",
    "dr_learner",
    "r_learner",
    "double_ml",
    "causal_forest",
    "transformed_outcome",
    "uplift_forest",
    "ensemble",
)

# Series that are not learners: curves are compared with them.
REFERENCES = {
    "treat_all": ("Treat everybody", FAINT),
    "treat_none": ("Treat nobody", FAINT),
    "random": ("Random order", FAINT),
    "oracle": ("Oracle (knows the truth)", INK),
}

STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    # An axis of effects that hardly differ would be labelled "1e-16 + 6.69e-4".
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.unicode_minus": True,
    "figure.dpi": DOTS_PER_INCH,
    "font.size": 10,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "legend.title_fontsize": 9,
    "lines.linewidth": 1.6,
    "savefig.dpi": DOTS_PER_INCH,
    "text.color": INK,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
}


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run ``draw`` under matplotlib's defaults and ``STYLE``, then restore the caller's settings.

    ``draw`` gets numbers with as many digits as the tables beside the picture. Otherwise a digit in which processors
    differ could move a point on the edge between two pixels to either side.
    """

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib.style

        with matplotlib.style.context(["default", STYLE]):
            return draw(*rounded(args), **rounded(kwargs))

    return inside


@styled
def png_bytes(figure: "Figure") -> bytes:
    """The figure as a PNG: the same figure gives the same bytes (no date, no version of any software)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def new_figure(title: str, subtitle: str, *, simulated: bool, height: float) -> "Figure":
    """An empty figure with its header: the finding, how to read it, and whether the data are simulated.

    height: inches below the header.
    """
    from matplotlib.figure import Figure

    # A second line is half of the text, not its last word alone.
    lines = textwrap.wrap(title, TITLE_CHARACTERS if len(title) <= TITLE_CHARACTERS else len(title) // 2 + 10)
    header = 0.5 + 0.26 * len(lines)
    total = header + height
    figure = Figure(figsize=(WIDTH, total), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(rect=(0.005, 0.01, 0.985, height / total - 0.01), w_pad=0.06, h_pad=0.06)  # type: ignore[union-attr, call-arg]
    figure.text(0.012, 1 - 0.12 / total, "\n".join(lines), ha="left", va="top", fontsize=13, fontweight="bold")
    below = 1 - (header - 0.2) / total
    figure.text(0.012, below, subtitle, ha="left", va="center", fontsize=10, color=FAINT)
    if simulated:
        figure.text(
            0.988, below, "simulated data", ha="right", va="center", fontsize=10, fontweight="bold", color=ALERT
        )
    return figure


def readable_name(name: str) -> str:
    """A learner or series in words: ``x_learner_deep`` → X-learner deep, ``double_ml`` → Double ML."""
    if name in REFERENCES:
        return REFERENCES[name][0]
    if short := re.fullmatch(r"([a-z]{1,2})_learner((?:_\w+)?)", name):
        return f"{short[1].upper()}-learner{short[2].replace('_', ' ')}"
    words = re.sub(r"\bml\b", "ML", name.replace("_", " ").replace(".", " · "))
    return words[:1].upper() + words[1:]


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name: listed learners keep theirs, others take what is left, references are neutral."""
    fixed = dict(zip(LEARNER_ORDER, PALETTE, strict=True)) | {name: colour for name, (_, colour) in REFERENCES.items()}
    return _dealt(names, fixed, (*PALETTE, *SPARE_PALETTE))


def rule_colours(rules: Iterable[str]) -> dict[str, str]:
    """A colour for each rule: listed rules keep theirs, others take what is left, a constant is neutral."""
    fixed = dict(zip(RULE_ORDER, RULE_PALETTE, strict=False)) | {CONSTANT: FAINT}
    return _dealt(rules, fixed, RULE_PALETTE)


def _dealt(names: Iterable[str], fixed: Mapping[str, str], palette: Sequence[str]) -> dict[str, str]:
    names = list(dict.fromkeys(names))
    chosen = {name: fixed[name] for name in names if name in fixed}
    left = [colour for colour in palette if colour not in chosen.values()] or list(palette)
    unknown = sorted(name for name in names if name not in fixed)
    return chosen | {name: left[i % len(left)] for i, name in enumerate(unknown)}


def shortened(name: str) -> str:
    """A column's name; if it is too long, its start and its end."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 16]}…{name[-15:]}"


def zero_line(axes: "Axes") -> None:
    """A line at what treating nobody earns."""
    axes.axhline(0, color=INK, linewidth=0.9, zorder=1.5)
