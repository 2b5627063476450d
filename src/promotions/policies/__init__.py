"""Rules that turn estimated effects into decisions: one entry a rule, each 0/1 a customer."""

from collections.abc import Callable, Mapping
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
    """What a rule sees of n customers, effects apart: ids, features (n, p), treated_outcome μ₁(x) (n,), economics."""

    ids: NDArray[np.object_]
    features: NDArray[np.float64]
    treated_outcome: NDArray[np.float64]
    economics: Economics

    def gain(self, cate: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected profit of treating over not treating, (n,)."""
        return self.economics.expected_gain(cate, self.treated_outcome)


def decide(
    train: Audience,
    new: Audience,
    cates: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    fold: NDArray[np.int8],
    weighted: WeightedClassifier,
    budget: Budget,
    progress: Callable[[], Any] = lambda: None,
) -> pd.DataFrame:
    """Decisions of every rule of every learner on the customers ``new``, and of the two constants.

    cates: by learner, the *out-of-fold* effects of those who train and the effects of ``new``.  fold: (n,) folds of the
    training customers.  progress: see ``WeightedClassifier.decide_each``.
    Returns 0/1 columns treat_all, treat_none, ``<rule>.<learner>``; the rule ``budget`` only if there is one.
    """
    gains = np.column_stack([train.gain(own) for own, _ in cates.values()])
    classified = weighted.decide_each(train.features, gains, fold, new.features, progress)
    columns = {
        "treat_all": np.ones(len(new.ids), dtype=np.int8),
        "treat_none": np.zeros(len(new.ids), dtype=np.int8),
    }
    for (name, (_, cate)), by_classifier in zip(cates.items(), classified.T, strict=True):
        gain = new.gain(cate)
        columns[f"threshold.{name}"] = threshold(gain).astype(np.int8)
        columns[f"weighted.{name}"] = by_classifier.astype(np.int8)
        if budget.limits:
            charge = new.economics.expected_charge(new.treated_outcome)
            columns[f"budget.{name}"] = budget.decide(gain, charge, new.ids).astype(np.int8)
    return pd.DataFrame(columns)
