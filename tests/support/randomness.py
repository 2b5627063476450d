"""Random streams for tests."""

import numpy as np


def rng_of(seed=1):
    return np.random.default_rng(seed)
