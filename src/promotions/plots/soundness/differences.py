"""What the pictures of standardised differences share: how many columns, and the band of small ones."""

from typing import TYPE_CHECKING

from promotions.plots.style import FAINT, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Columns in a picture, and the size from which a standardised difference is called large (Austin 2009).
SHOWN = 30
LARGE_DIFFERENCE = 0.1


def draw_band(axes: "Axes") -> None:
    """Zero, and the band up to ±``LARGE_DIFFERENCE`` between dashed edges, behind everything else."""
    axes.axvspan(-LARGE_DIFFERENCE, LARGE_DIFFERENCE, color="#F4F4F1", zorder=0)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1.5)
    for edge in (-LARGE_DIFFERENCE, LARGE_DIFFERENCE):
        axes.axvline(edge, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1.5)
