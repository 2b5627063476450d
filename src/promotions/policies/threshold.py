"""Treat where the expected profit of treating is not negative: cate ≥ C/R."""

import numpy as np
from numpy.typing import NDArray


def threshold(gain: NDArray[np.float64]) -> NDArray[np.bool_]:
    """1{gain ≥ 0}; with gain = R·cate − C that is cate ≥ C/R. Hitsch, Misra & Zhang, SSRN 3111957. (n,) → (n,)."""
    return np.asarray(gain >= 0)
