"""Seven experiments with known effects and 25 features, for judging learners of effects.

All have fifteen normal features of variance 1 and pairwise correlation .3, five exponential ones (skewed, like days
since or money spent) and five 0/1 ones. Each process says which features matter; the others do not.

``draw("smooth", rows, seed)`` gives an ``Experiment``; the same seed gives the same customers, another seed others.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEATURES = 25
CORRELATION = 0.3

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Experiment:
    """n customers: X (n, 25), y (n,), treatment (n,) of 0/1, propensity (n,) or None where unknown, tau (n,) true."""

    X: Floats
    y: Floats
    treatment: NDArray[np.int8]
    propensity: Floats | None
    tau: Floats


def draw_features(rows: int, rng: np.random.Generator) -> Floats:
    """(rows, 25): columns 0–14 normal, 15–19 exponential, 20–24 0/1 with shares .5, .5, .3, .2, .1."""
    common = rng.normal(size=(rows, 1))
    normal = np.sqrt(CORRELATION) * common + np.sqrt(1 - CORRELATION) * rng.normal(size=(rows, 15))
    skewed = rng.exponential(size=(rows, 5))
    binary = rng.random((rows, 5)) < np.array([0.5, 0.5, 0.3, 0.2, 0.1])
    return np.column_stack([normal, skewed, binary])


def logistic(values: Floats) -> Floats:
    """1 / (1 + exp(−values))."""
    return 1 / (1 + np.exp(-values))


def treat(propensity: Floats, rng: np.random.Generator) -> NDArray[np.int8]:
    """Treatments of 0/1, 1 with the given chance."""
    return (rng.random(len(propensity)) < propensity).astype(np.int8)


def smooth(rows: int, rng: np.random.Generator) -> Experiment:
    """An effect between 0 and 1.5 that rises gently in two features; half are treated; noise of SD 1."""
    X = draw_features(rows, rng)
    tau = logistic(2 * X[:, 0]) + 0.5 * logistic(2 * X[:, 1])
    propensity = np.full(rows, 0.5)
    treatment = treat(propensity, rng)
    y = 0.5 * X[:, 0] + 0.5 * X[:, 2] + treatment * tau + rng.normal(size=rows)
    return Experiment(X, y, treatment, propensity, tau)


def sparse(rows: int, rng: np.random.Generator) -> Experiment:
    """One feature bends the effect, ten others move the outcome alone; 30 % are treated; noise of SD 1."""
    X = draw_features(rows, rng)
    tau = 0.5 * np.maximum(X[:, 3], 0)
    propensity = np.full(rows, 0.3)
    treatment = treat(propensity, rng)
    level = 0.3 * X[:, 4:9].sum(axis=1) + 0.3 * X[:, 15:20].sum(axis=1)
    y = level + treatment * tau + rng.normal(size=rows)
    return Experiment(X, y, treatment, propensity, tau)


def step(rows: int, rng: np.random.Generator) -> Experiment:
    """The effect is .8 if two features are positive and a third is 1, else 0; half are treated; noise of SD 1."""
    X = draw_features(rows, rng)
    tau = 0.8 * ((X[:, 0] > 0) & (X[:, 5] > 0) & (X[:, 20] == 1))
    propensity = np.full(rows, 0.5)
    treatment = treat(propensity, rng)
    y = X[:, 1] + 0.5 * X[:, 15] + treatment * tau + rng.normal(size=rows)
    return Experiment(X, y, treatment, propensity, tau)


def none(rows: int, rng: np.random.Generator) -> Experiment:
    """No effect on anybody; features move the outcome a lot; half are treated; noise of SD 1."""
    X = draw_features(rows, rng)
    propensity = np.full(rows, 0.5)
    treatment = treat(propensity, rng)
    y = X[:, 0] + np.abs(X[:, 1]) + 0.5 * X[:, 15] * X[:, 20] + rng.normal(size=rows)
    return Experiment(X, y, treatment, propensity, np.zeros(rows))


def confounded(rows: int, rng: np.random.Generator) -> Experiment:
    """Treatment depends on three features; two of them also move the outcome; the propensity is not given.

    The chances are in [.1, .9]; the effect is like that of smooth, in other features; noise of SD 1.
    """
    X = draw_features(rows, rng)
    tau = logistic(2 * X[:, 2]) + 0.3 * X[:, 21]
    treatment = treat(0.1 + 0.8 * logistic(X[:, 0] + 0.7 * X[:, 1] - 0.5 * X[:, 15]), rng)
    y = X[:, 0] + 0.5 * np.maximum(X[:, 1], 0) + treatment * tau + rng.normal(size=rows)
    return Experiment(X, y, treatment, None, tau)


def rare(rows: int, rng: np.random.Generator) -> Experiment:
    """A purchase that 2–3 % make: the effect adds up to 2 percentage points, if two features are high."""
    X = draw_features(rows, rng)
    base = 0.005 + 0.04 * logistic(X[:, 4] + 0.5 * X[:, 15] - 1.5)
    tau = 0.02 * logistic(2 * X[:, 0]) * logistic(2 * X[:, 16] - 1)
    propensity = np.full(rows, 0.5)
    treatment = treat(propensity, rng)
    y = (rng.random(rows) < base + treatment * tau).astype(np.float64)
    return Experiment(X, y, treatment, propensity, tau)


def spend(rows: int, rng: np.random.Generator) -> Experiment:
    """Money: noise of Student's t with 3 degrees of freedom, wider for those who spend more; half are treated."""
    X = draw_features(rows, rng)
    level = 5 * np.exp(0.3 * X[:, 0] + 0.2 * X[:, 6])
    tau = level * 0.2 * logistic(1.5 * X[:, 7])
    propensity = np.full(rows, 0.5)
    treatment = treat(propensity, rng)
    y = level + treatment * tau + 0.5 * level * rng.standard_t(3, size=rows)
    return Experiment(X, y, treatment, propensity, tau)


PROCESSES: dict[str, Callable[[int, np.random.Generator], Experiment]] = {
    "smooth": smooth,
    "sparse": sparse,
    "step": step,
    "none": none,
    "confounded": confounded,
    "rare": rare,
    "spend": spend,
}


def draw(name: str, rows: int, seed: int) -> Experiment:
    """``rows`` customers of process ``name``. Seeds 0, 1, … are for fitting; ``seed + 10_000`` for judging."""
    return PROCESSES[name](rows, np.random.default_rng([seed, list(PROCESSES).index(name)]))
