"""Figures: from a frame of points to a matplotlib figure. matplotlib is imported only when a figure is drawn."""
