"""Figures: a frame of points goes in, a matplotlib figure comes out. matplotlib is imported only when one is drawn."""
