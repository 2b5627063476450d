"""Customers whose predictions come from different fits: what may be compared across them."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def rank_within(priority: NDArray[np.float64], segment: NDArray[np.integer]) -> NDArray[np.float64]:
    """Each customer's place in the ranking of its segment, (mid-rank − ½)/n in (0, 1); a constant segment gets ½.

    The levels of predictions differ between fits for reasons other than the customers. A pooled ranking would compare
    fits, and its test would not keep its level. Places can be pooled: conditional on the earlier segments, a segment's
    rank-weighted effect has the mean of its own fit, so their sum over segments is a martingale and the
    usual standard error is right. Source: Wager (2024), "Sequential validation of treatment heterogeneity".

    priority, segment: (n,).
    """
    places = np.empty(len(priority))
    for number in np.unique(segment):
        rows = segment == number
        places[rows] = (pd.Series(priority[rows]).rank().to_numpy() - 0.5) / rows.sum()
    return places
