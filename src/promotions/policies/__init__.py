"""Rules that turn estimated effects into decisions: one entry a rule, each 0/1 a customer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.economics import Economics
from promotions.policies.budget import Budget
from promotions.policies.threshold import threshold
from promotions.policies.weighted import WeightedClassifier


@dataclass(frozen=True)
class Audience:
    """What a rule sees of n customers: ids, features (n, p), cate and treated_outcome μ₁(x) (n,), their economics."""

    ids: NDArray[np.object_]
    features: NDArray[np.float64]
    cate: NDArray[np.float64]
    treated_outcome: NDArray[np.float64]
    economics: Economics

    @property
    def gain(self) -> NDArray[np.float64]:
        """Expected profit of treating over not treating."""
        return self.economics.expected_gain(self.cate, self.treated_outcome)


def decide(
    learners: dict[str, tuple[Audience, Audience]],
    fold: NDArray[np.int8],
    weighted: WeightedClassifier,
    budget: Budget,
    progress: Callable[[], Any] = lambda: None,
) -> pd.DataFrame:
    """Decisions of every rule of every learner, and of the two constants.

    learners: by name, training customers with *out-of-fold* effects, and the customers to decide on.
    fold: (n,) folds of the training customers.  Returns 0/1 columns treat_all, treat_none, ``<rule>.<learner>``; the
    rule ``budget`` only if there is one.
    """
    targets = next(iter(learners.values()))[1]
    columns = {
        "treat_all": np.ones(len(targets.cate), dtype=np.int8),
        "treat_none": np.zeros(len(targets.cate), dtype=np.int8),
    }
    for name, (train, new) in learners.items():
        columns[f"threshold.{name}"] = threshold(new.gain).astype(np.int8)
        columns[f"weighted.{name}"] = weighted.decide(train.features, train.gain, fold, new.features).astype(np.int8)
        if budget.limits:
            charge = new.economics.expected_charge(new.treated_outcome)
            columns[f"budget.{name}"] = budget.decide(new.gain, charge, new.ids).astype(np.int8)
        progress()
    return pd.DataFrame(columns)
