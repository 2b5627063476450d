"""Rules that turn estimated effects into decisions: learned from training customers, applied to any others.

A policy is named ``<family>.<learner or column>``, such as ``threshold.x_learner``; the two constants have no dot.
"""

from collections.abc import Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from promotions.base.errors import InputError
from promotions.base.parallel import run_side_by_side
from promotions.policies.audience import Audience
from promotions.policies.budget import BudgetRules
from promotions.policies.constant import Constant
from promotions.policies.family import Family, GainFamily, GainTraining, Training
from promotions.policies.groups import GroupRules
from promotions.policies.rule import Effects, Rule
from promotions.policies.threshold import ThresholdRules
from promotions.policies.tree import TreeRules
from promotions.policies.weighted import WeightedRules

# A family is read from its own section of params.yaml, ``policy.<name>``.
POLICIES: dict[str, type[Family]] = {
    "threshold": ThresholdRules,
    "weighted": WeightedRules,
    "tree": TreeRules,
    "groups": GroupRules,
    "budget": BudgetRules,
}

# Every policy is compared with these two. They are always there.
CONSTANTS = {"treat_all": Constant(True), "treat_none": Constant(False)}


def read_families(params: Mapping[str, Any]) -> dict[str, Family]:
    """The families that the section ``policy`` asks for, in its order. Raises InputError naming the key."""
    unknown = [name for name in params if name not in POLICIES]
    if unknown:
        raise InputError(f"policy.{unknown[0]} is unknown; the keys of policy are {', '.join(POLICIES)}")
    sections = {name: {} if section is None else section for name, section in params.items()}
    for name, section in sections.items():
        if not isinstance(section, Mapping):
            raise InputError(f"policy.{name}: expected a section of keys and values, got {section!r}")
    return {name: POLICIES[name].from_params(section) for name, section in sections.items()}


def fit_rules(families: Mapping[str, Family], training: Training) -> dict[str, Rule]:
    """The two constants, then the rules of all families: learner by learner, then rules that use no single learner."""
    tasks = {
        name: training.pool.submit(family.fit, training) for name, family in families.items() if not family.uses_pool
    }
    fitted = {name: family.fit(training) for name, family in families.items() if family.uses_pool}
    rules: dict[str, Rule] = {}
    for name in families:
        of_family = tasks[name].result() if name in tasks else fitted[name]
        rules |= {f"{name}.{each}": rule for each, rule in of_family.items()}
        training.progress()
    place: dict[tuple[str, ...], int] = {(learner,): number for number, learner in enumerate(training.effects)}
    order = sorted(rules, key=lambda name: place.get(rules[name].learners, len(place)))
    return {**CONSTANTS, **{name: rules[name] for name in order}}


def count_steps(families: Mapping[str, Family], learners: int, folds: int) -> int:
    """How often ``fit_rules`` reports progress."""
    return sum(1 + family.steps(learners, folds) for family in families.values())


def decide(
    rules: Mapping[str, Rule], audience: Audience, effects: Effects, workers: int | Executor = 1
) -> pd.DataFrame:
    """0/1 columns, one a rule, a row a customer.  effects: by learner, (n,).  workers: see ``run_side_by_side``."""
    decisions = run_side_by_side([partial(rule.decide, audience, effects) for rule in rules.values()], workers)
    return pd.DataFrame({name: one.astype(np.int8) for name, one in zip(rules, decisions, strict=True)})


def rule_of(policy: str) -> type[Rule] | None:
    """The class of the rule behind a policy's name; None if no family has that name."""
    family = POLICIES.get(policy.partition(".")[0])
    return Constant if policy in CONSTANTS else family.rule if family else None


def simplicity_of(policy: str) -> float:
    """See ``Rule``: a lower number is easier to explain. A policy of an unknown kind comes last."""
    rule = rule_of(policy)
    return rule.simplicity if rule else float("inf")


__all__ = [
    "CONSTANTS",
    "POLICIES",
    "Audience",
    "Family",
    "GainFamily",
    "GainTraining",
    "Rule",
    "Training",
    "count_steps",
    "decide",
    "fit_rules",
    "read_families",
    "rule_of",
    "simplicity_of",
]
