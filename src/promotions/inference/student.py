"""Student's t distribution, from ``scipy.special``: importing ``scipy.stats`` takes a second in every stage."""

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit


def t_quantile(level: float, freedom: float) -> float:
    """The point that Student's t with ``freedom`` degrees of freedom stays below with probability ``level``.

    ``freedom`` may be infinite: the normal distribution.
    """
    return float(ndtri(level) if np.isinf(freedom) else stdtrit(freedom, level))


def t_tail(statistic: float, freedom: float) -> float:
    """The probability that Student's t with ``freedom`` degrees of freedom exceeds ``statistic``."""
    return float(ndtr(-statistic) if np.isinf(freedom) else stdtr(freedom, -statistic))
