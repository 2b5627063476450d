"""Rules learned from the scores of profit themselves, without a learner of the effect: a tree, and coarse groups."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.errors import InputError
from promotions.policies.groups import fit_groups
from promotions.policies.tree import fit_policy_tree
from promotions.validation import require_choice, require_keys, require_whole

# What a group can be made of beside the customers' own columns: the outcome expected without treatment.
PREDICTED_OUTCOME = "predicted_outcome"


@dataclass(frozen=True)
class Population:
    """n customers as these rules see them.

    frame: their own columns.  matrix: (n, p) encoded features.  predicted_outcome: (n,) μ₀(x) from models that have not
    seen them.
    """

    frame: pd.DataFrame
    matrix: NDArray[np.float64]
    predicted_outcome: NDArray[np.float64]


@dataclass(frozen=True)
class DirectRules:
    """Which rules to learn, from the sections ``policy.tree`` and ``policy.groups``.

    depth, cuts, min_leaf: of the tree, see ``fit_policy_tree``.  by: columns, one group rule each, or
    ``predicted_outcome``.  bins, rule: see ``fit_groups``.
    """

    depth: int
    cuts: int
    min_leaf: int
    by: tuple[str, ...]
    bins: int
    rule: str

    @classmethod
    def from_params(cls, tree: Mapping[str, Any], groups: Mapping[str, Any]) -> "DirectRules":
        """Read the sections. Raises InputError."""
        require_keys(tree, ("depth", "cuts", "min_leaf"), "policy.tree")
        require_keys(groups, ("by", "bins", "rule"), "policy.groups")
        by = groups["by"]
        if not isinstance(by, list) or not all(isinstance(name, str) for name in by):
            raise InputError(f"policy.groups.by: expected a list of columns such as [{PREDICTED_OUTCOME}], got {by!r}")
        depth = require_whole(tree["depth"], "policy.tree.depth", 1, 3)
        return cls(
            depth=depth,
            cuts=require_whole(tree["cuts"], "policy.tree.cuts", 1, 255),
            min_leaf=require_whole(tree["min_leaf"], "policy.tree.min_leaf", 1),
            by=tuple(by),
            bins=require_whole(groups["bins"], "policy.groups.bins", 2),
            rule=require_choice(groups["rule"], ("mean", "lower_bound"), "policy.groups.rule"),
        )

    def decide(
        self,
        train: Population,
        gain_scores: NDArray[np.float64],
        clusters: NDArray[np.intp],
        new: Population,
        columns: list[str],
        facts: Mapping[str, tuple[str, str]] | None = None,
    ) -> tuple[pd.DataFrame, dict[str, str]]:
        """Learn from training customers and decide on ``new``: 0/1 columns, and each rule in words.

        gain_scores: (n,) doubly robust scores of the profit of treating over not treating, outcome models cross-fitted.
        clusters: (n,) codes.  columns: names of the matrix's columns.  facts: what 1 and 0 say in those that are made
        of a category or a gap (``Encoder.facts``).  Raises InputError for an unknown column.
        """
        tree = fit_policy_tree(
            train.matrix, gain_scores, columns, depth=self.depth, cuts=self.cuts, min_leaf=self.min_leaf
        )
        name = f"tree.depth_{self.depth}"
        decisions, sentences = {name: tree.decide(new.matrix)}, {name: tree.sentence(facts)}
        for column in self.by:
            policy = fit_groups(_values(train, column), gain_scores, clusters, bins=self.bins, rule=self.rule)
            decisions[f"groups.{column}"] = policy.decide(_values(new, column))
            sentences[f"groups.{column}"] = policy.sentence(column)
        return pd.DataFrame(decisions).astype(np.int8), sentences


def _values(customers: Population, column: str) -> "pd.Series[Any]":
    if column == PREDICTED_OUTCOME:
        return pd.Series(customers.predicted_outcome)
    if column not in customers.frame:
        raise InputError(
            f"policy.groups.by: there is no column {column!r}; it is {PREDICTED_OUTCOME} or one of "
            f"{', '.join(map(str, customers.frame.columns))}"
        )
    return customers.frame[column].reset_index(drop=True)
