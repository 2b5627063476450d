"""Gains and costs of customers, for budgets."""

import numpy as np


def names(n):
    return np.array([f"c{number}" for number in range(n)])


def draw_gains(seed, n=40):
    """Gains, costs and ids; few values, so that ties are the rule."""
    rng = np.random.default_rng(seed)
    return rng.integers(-2, 5, n) / 2, rng.integers(0, 4, n) / 10, names(n)
