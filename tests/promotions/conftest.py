"""A small experiment whose truth is known, for every test that needs one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from promotions.learners import Training
from promotions.scores import Scores, make_scores

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Experiment:
    """n customers with five standard normal features, of which the first decides the effect."""

    features: Floats
    treatment: NDArray[np.int8]
    propensity: Floats
    outcome: Floats
    mu0: Floats
    tau: Floats

    @property
    def scores(self) -> Scores:
        """Scores with the true outcome models."""
        return make_scores(self.outcome, self.treatment, self.propensity, self.mu0, self.mu0 + self.tau)

    def training(self, **replaced: Any) -> Training:
        """Training customers in four folds, a cluster each, with the true outcome models unless ``replaced``."""
        n = len(self.outcome)
        columns = {
            "features": self.features,
            "outcome": self.outcome,
            "treatment": self.treatment,
            "propensity": self.propensity,
            "mu0": self.mu0,
            "mu1": self.mu0 + self.tau,
            "fold": (np.arange(n) % 4).astype(np.int8),
            "cluster": np.arange(n),
        }
        return Training(**(columns | replaced))


def draw_experiment(n: int, seed: int, *, varying: bool = False, binary: bool = False) -> Experiment:
    """Effect 1.5 where the first feature is positive, else −0.5; for a 0/1 outcome .5 and −.1."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 5))
    helped = features[:, 0] > 0
    propensity = np.where(features[:, 2] > 0, 0.7, 0.3) if varying else np.full(n, 0.5)
    treatment = (rng.random(n) < propensity).astype(np.int8)
    if binary:
        mu0, tau = np.where(features[:, 1] > 0, 0.4, 0.2), np.where(helped, 0.5, -0.1)
        outcome = (rng.random(n) < mu0 + treatment * tau).astype(np.float64)
    else:
        mu0, tau = features[:, 1], np.where(helped, 1.5, -0.5)
        outcome = mu0 + treatment * tau + rng.normal(size=n)
    return Experiment(features, treatment, propensity, outcome, mu0, tau)


@pytest.fixture(scope="session")
def draw() -> Callable[..., Experiment]:
    """See ``draw_experiment``."""
    return draw_experiment
