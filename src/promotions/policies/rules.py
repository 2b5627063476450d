"""Rules that have learned what they need: whom they treat, in numbers and in words, and as documents without code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.base.formatting import plain
from promotions.policies.audience import Audience
from promotions.policies.budget import Budget
from promotions.policies.groups import GroupPolicy
from promotions.policies.threshold import threshold
from promotions.policies.tree import PolicyTree
from promotions.policies.weighted import Classifier

# What a group can be made of beside the customers' own columns: the outcome expected without treatment.
PREDICTED_OUTCOME = "predicted_outcome"

Bools = NDArray[np.bool_]
Effects = Mapping[str, NDArray[np.float64]]
# For each customer the position of its reason among those that there are.
Reasons = tuple[NDArray[np.intp], Sequence[str]]


class Rule(Protocol):
    """Whom to treat.

    kind: what a document of it is called.  learner: whose effects it goes by, None if by nobody's.  needs_outcomes:
    whether it looks at ``Audience.outcomes`` itself (gains charged on response do in any case).
    """

    kind: ClassVar[str]

    @property
    def learner(self) -> str | None: ...  # noqa: D102

    @property
    def needs_outcomes(self) -> bool: ...  # noqa: D102

    def decide(self, audience: Audience, effects: Effects) -> Bools:
        """Whether to treat each of n customers, (n,).  effects: by learner, (n,)."""
        ...

    def reasons(self, audience: Audience, effects: Effects, treat: Bools) -> Reasons:
        """Why, in words.  treat: what ``decide`` said, (n,)."""
        ...


@dataclass(frozen=True)
class Constant:
    """Treat everybody, or nobody."""

    treat: bool
    kind: ClassVar[str] = "constant"
    learner: None = None
    needs_outcomes: bool = False

    def decide(self, audience: Audience, effects: Effects) -> Bools:  # noqa: ARG002
        """See ``Rule``."""
        return np.full(len(audience.ids), self.treat)

    def reasons(self, audience: Audience, effects: Effects, treat: Bools) -> Reasons:  # noqa: ARG002
        """See ``Rule``."""
        return np.zeros(len(audience.ids), dtype=np.intp), ["treat everybody" if self.treat else "treat nobody"]


@dataclass(frozen=True)
class Threshold:
    """Treat where the expected gain is not negative: where the effect is at least C/R."""

    learner: str
    kind: ClassVar[str] = "threshold"
    needs_outcomes: bool = False

    def decide(self, audience: Audience, effects: Effects) -> Bools:
        """See ``Rule``."""
        return threshold(audience.gain(effects[self.learner]))

    def reasons(self, audience: Audience, effects: Effects, treat: Bools) -> Reasons:  # noqa: ARG002
        """See ``Rule``."""
        return treat.astype(np.intp), pays(audience)


@dataclass(frozen=True)
class Classified:
    """Treat whom a classifier that was weighted by gains says."""

    learner: str
    classifier: Classifier
    kind: ClassVar[str] = "weighted"
    needs_outcomes: bool = False

    def decide(self, audience: Audience, effects: Effects) -> Bools:  # noqa: ARG002
        """See ``Rule``."""
        return self.classifier.decide(audience.features)

    def reasons(self, audience: Audience, effects: Effects, treat: Bools) -> Reasons:  # noqa: ARG002
        """See ``Rule``."""
        return treat.astype(np.intp), ["the classifier expects a loss", "the classifier expects a gain"]


@dataclass(frozen=True)
class Budgeted:
    """Treat the best until the budget is spent. Whom, depends on the whole list."""

    learner: str
    budget: Budget
    kind: ClassVar[str] = "budget"
    needs_outcomes: bool = False

    def decide(self, audience: Audience, effects: Effects) -> Bools:
        """See ``Rule``."""
        return self.budget.decide(audience.gain(effects[self.learner]), audience.charge, audience.ids)

    def reasons(self, audience: Audience, effects: Effects, treat: Bools) -> Reasons:
        """See ``Rule``."""
        would_pay = threshold(audience.gain(effects[self.learner]))
        return would_pay.astype(np.intp) + treat, budget_words(pays(audience))


@dataclass(frozen=True)
class Tree:
    """Treat by a few questions.  facts: ``Encoder.facts`` of the features."""

    tree: PolicyTree
    facts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    kind: ClassVar[str] = "tree"
    learner: None = None
    needs_outcomes: bool = False

    def decide(self, audience: Audience, effects: Effects) -> Bools:  # noqa: ARG002
        """See ``Rule``."""
        return self.tree.decide(audience.features)

    def reasons(self, audience: Audience, effects: Effects, treat: Bools) -> Reasons:  # noqa: ARG002
        """See ``Rule``: the answers that led to a customer's leaf."""
        return self.tree.reasons(audience.features, self.facts)

    @property
    def sentence(self) -> str:
        """The rule in words."""
        return self.tree.sentence(self.facts)


@dataclass(frozen=True)
class Groups:
    """Treat whole groups of the customers' column ``by``, or of ``predicted_outcome``, μ₀(x)."""

    by: str
    policy: GroupPolicy
    kind: ClassVar[str] = "groups"
    learner: None = None

    @property
    def needs_outcomes(self) -> bool:
        """See ``Rule``."""
        return self.by == PREDICTED_OUTCOME

    def decide(self, audience: Audience, effects: Effects) -> Bools:  # noqa: ARG002
        """See ``Rule``."""
        return self.policy.decide(values_of(audience, self.by))

    def reasons(self, audience: Audience, effects: Effects, treat: Bools) -> Reasons:  # noqa: ARG002
        """See ``Rule``: a customer's group."""
        codes, labels = self.policy.reasons(values_of(audience, self.by))
        return codes, [f"{self.by} is {label}" for label in labels]

    @property
    def sentence(self) -> str:
        """The rule in words."""
        return self.policy.sentence(self.by)


def values_of(audience: Audience, by: str) -> "pd.Series[Any]":
    """The values that groups are made of, n of them. Raises InputError for an unknown column."""
    if by == PREDICTED_OUTCOME:
        return pd.Series(audience.outcomes[:, 0])
    if by not in audience.frame:
        raise InputError(
            f"policy.groups.by: there is no column {by!r}; it is {PREDICTED_OUTCOME} or one of "
            f"{', '.join(map(str, audience.frame.columns))}"
        )
    return audience.frame[by].reset_index(drop=True)


def pays(audience: Audience) -> list[str]:
    """What it means that a contact does not pay, and that it does."""
    economics = audience.economics
    if economics.charged == "on_treatment" and np.ndim(economics.cost) == np.ndim(economics.revenue) == 0:
        return [f"effect {side} C/R = {plain(economics.ratio, 4)}" for side in ("below", "at least")]
    return [f"expected to {what}" for what in ("cost more than it earns", "pay")]


def budget_words(standing: Sequence[str]) -> list[str]:
    """Reasons on a budget: does not pay; pays, but others pay better; among the best.  standing: see ``pays``."""
    loses, gains = standing
    return [loses, f"{gains}, but beyond the budget", f"{gains}, and within the budget"]
