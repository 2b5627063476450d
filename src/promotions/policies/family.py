"""Rules of one kind: read from their section of params.yaml, learned from training customers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from promotions.policies.audience import Audience
from promotions.policies.rule import Effects, Rule
from promotions.scores import Scores


@dataclass(frozen=True)
class Training:
    """What rules may learn from, of n training customers.

    audience: who they are.  effects: by learner, *out of fold*, (n,).  fold: (n,).  scores: of their outcomes, the
    outcome models cross-fitted.  clusters: (n,) codes.  columns: names of the features.  facts: what 1 and 0 say in
    features that are made of a category or a gap (``Encoder.facts``).  seed: for what is random.  pool: who fits, on
    ``threads`` threads.  progress: called after each step, see ``Family.steps``.
    """

    audience: Audience
    effects: Effects
    fold: NDArray[np.int8]
    scores: Scores
    clusters: NDArray[np.intp]
    columns: Sequence[str]
    facts: Mapping[str, tuple[str, str]]
    seed: int
    pool: Executor
    threads: int = 1
    progress: Callable[[], object] = lambda: None

    @cached_property
    def gain_scores(self) -> NDArray[np.float64]:
        """Doubly robust scores of the profit of treating over not treating, (n,)."""
        profits = self.audience.economics.profits(self.scores.dr)
        return np.asarray(profits[:, 1] - profits[:, 0])


class Family(ABC):
    """Rules of one kind, before they have learned. ``promotions.policies.POLICIES`` lists the families by name.

    rule: the class of its rules.  uses_pool: whether ``fit`` hands its work to ``Training.pool`` itself. Without it,
    ``fit`` is one task of that pool, beside the others; it must then not wait for the pool.
    """

    rule: ClassVar[type[Rule]]
    uses_pool: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Read the family's section, ``policy.<name>``. Raises InputError naming the key."""

    @abstractmethod
    def fit(self, training: Training) -> Mapping[str, Rule]:
        """Learn from training customers.

        Returns the rules by what tells them apart within the family, such as the learner or the column that each goes
        by: the policy ``<family>.<that>``. None if there is nothing to try.
        """

    def steps(self, rules: int, folds: int) -> int:  # noqa: ARG002
        """How often learning so many rules reports progress on its way."""
        return 0


@dataclass(frozen=True)
class GainTraining:
    """What k rules learn from that see features and expected gains alone, of n training customers.

    features: (n, p).  gains: (n, k) expected profit of treating, say at k costs, from out-of-fold effects: in-sample
    ones would teach a rule to imitate their noise. A customer that was drawn several times is one row with the sum of
    its gains.  fold: (n,).  seed, threads, progress, pool: as of ``Training``; without a pool, as many of its own.
    """

    features: NDArray[np.float64]
    gains: NDArray[np.float64]
    fold: NDArray[np.int8]
    seed: int
    threads: int = 1
    progress: Callable[[], object] = lambda: None
    pool: Executor | None = None


class GainFamily(Family):
    """Rules that see features and expected gains alone, one for each learner: ``stability`` repeats them cheaply."""

    @abstractmethod
    def decide_each(
        self, training: GainTraining, features: NDArray[np.float64], gains: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Decisions of k rules, each learned from one column of the training gains: (m, k).

        features: (m, p), gains: (m, k) of those who are decided on. Progress is reported ``steps(k, folds)`` times.
        """
