"""Rules learned from the scores of profit themselves, without a learner of the effect: a tree, and coarse groups."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.base.validation import require_choice, require_keys, require_whole
from promotions.policies.audience import Audience
from promotions.policies.groups import fit_groups
from promotions.policies.rules import PREDICTED_OUTCOME, Groups, Tree, values_of
from promotions.policies.tree import fit_policy_tree


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

    def fit(
        self,
        train: Audience,
        gain_scores: NDArray[np.float64],
        clusters: NDArray[np.intp],
        columns: list[str],
        facts: Mapping[str, tuple[str, str]] | None = None,
    ) -> dict[str, Tree | Groups]:
        """Learn from training customers: rules by name.

        gain_scores: (n,) doubly robust scores of the profit of treating over not treating, outcome models cross-fitted.
        clusters: (n,) codes.  columns: names of the features.  facts: what 1 and 0 say in those that are made of a
        category or a gap (``Encoder.facts``).  Raises InputError for an unknown column.
        """
        tree = fit_policy_tree(
            train.features, gain_scores, columns, depth=self.depth, cuts=self.cuts, min_leaf=self.min_leaf
        )
        rules: dict[str, Tree | Groups] = {f"tree.depth_{self.depth}": Tree(tree, facts or {})}
        for column in self.by:
            policy = fit_groups(values_of(train, column), gain_scores, clusters, bins=self.bins, rule=self.rule)
            rules[f"groups.{column}"] = Groups(column, policy)
        return rules
