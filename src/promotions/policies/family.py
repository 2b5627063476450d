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

    audience: the customers.  effects: by learner, *out of fold*, (n,).  fold: (n,).  scores: of their outcomes, with
    cross-fitted outcome models.  clusters: (n,) codes.  columns: names of the features.  facts: what 1 and 0 mean in
    features that are made of a category or a gap (``Encoder.facts``).  seed: of all that is random.  pool: runs the
    fits on ``threads`` threads.  progress: called after each step, see ``Family.steps``.
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

    rule: the class of its rules.  uses_pool: whether ``fit`` hands its work to ``Training.pool`` itself. If not,
    ``fit`` runs as one task of that pool, and must not wait for the pool.
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

        Returns the rules by a key within the family, such as the learner or the column that each uses; the policy is
        named ``<family>.<key>``. No rules if there is nothing to try.
        """

    def steps(self, rules: int, folds: int) -> int:  # noqa: ARG002
        """How often learning so many rules reports progress."""
        return 0


@dataclass(frozen=True)
class GainTraining:
    """Training data, n customers, of k rules that see only features and expected gains.

    features: (n, p).  gains: (n, k) expected profit of treating, say at k costs, from out-of-fold effects: in-sample
    ones would teach a rule to imitate their noise. A customer that was drawn several times is one row with the sum of
    its gains.  fold: (n,).  seed, threads, progress, pool: as in ``Training``; without a pool, ``threads`` new ones.
    """

    features: NDArray[np.float64]
    gains: NDArray[np.float64]
    fold: NDArray[np.int8]
    seed: int
    threads: int = 1
    progress: Callable[[], object] = lambda: None
    pool: Executor | None = None


class GainFamily(Family):
    """Rules that see only features and expected gains, one for each learner: ``stability`` repeats them cheaply."""

    @abstractmethod
    def decide_each(
        self, training: GainTraining, features: NDArray[np.float64], gains: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Decisions of k rules, each learned from one column of the training gains: (m, k).

        features: (m, p), gains: (m, k) of the customers to decide on. Progress is reported ``steps(k, folds)`` times.
        """
