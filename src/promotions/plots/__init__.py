"""Figures: a frame of points goes in, a matplotlib figure comes out. matplotlib is imported only when one is drawn."""

from promotions.plots.figures import balance, policy_values, profit_by_cost_ratio, profit_table, qini, uplift_by_decile
from promotions.plots.style import png_bytes, readable_name

__all__ = [
    "balance",
    "png_bytes",
    "policy_values",
    "profit_by_cost_ratio",
    "profit_table",
    "qini",
    "readable_name",
    "uplift_by_decile",
]
