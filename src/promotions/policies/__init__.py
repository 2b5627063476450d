"""Rules that turn estimated effects into decisions: learned from training customers, applied to any others."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.parallel import run_side_by_side
from promotions.policies.audience import Audience
from promotions.policies.budget import Budget
from promotions.policies.rules import Budgeted, Classified, Constant, Effects, Rule, Threshold
from promotions.policies.weighted import WeightedClassifier

__all__ = ["Audience", "Rule", "decide", "fit_rules"]


def fit_rules(
    train: Audience,
    cates: Effects,
    fold: NDArray[np.int8],
    weighted: WeightedClassifier,
    budget: Budget,
    progress: Callable[[], Any] = lambda: None,
    pool: Executor | None = None,
) -> dict[str, Rule]:
    """Every rule of every learner, and the two constants.

    cates: by learner, the *out-of-fold* effects of the training customers, (n,).  fold: (n,).  progress, pool:
    see ``WeightedClassifier.learn_each``.
    Returns treat_all, treat_none, ``<rule>.<learner>``; the rule ``budget`` only if there is one.
    """
    gains = np.column_stack([train.gain(cate) for cate in cates.values()])
    classifiers = weighted.learn_each(train.features, gains, fold, progress, pool)
    rules: dict[str, Rule] = {"treat_all": Constant(True), "treat_none": Constant(False)}
    for name, classifier in zip(cates, classifiers, strict=True):
        rules[f"threshold.{name}"] = Threshold(name)
        rules[f"weighted.{name}"] = Classified(name, classifier)
        if budget.limits:
            rules[f"budget.{name}"] = Budgeted(name, budget)
    return rules


def decide(
    rules: Mapping[str, Rule], audience: Audience, effects: Effects, workers: int | Executor = 1
) -> pd.DataFrame:
    """0/1 columns, one a rule, a row a customer.  effects: by learner, (n,).  workers: see ``run_side_by_side``."""
    decisions = run_side_by_side([partial(rule.decide, audience, effects) for rule in rules.values()], workers)
    return pd.DataFrame({name: one.astype(np.int8) for name, one in zip(rules, decisions, strict=True)})
