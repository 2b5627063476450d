"""Rules as params.yaml would ask for them, learned from customers of a test."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from promotions.policies import Audience, Family, Rule, Training, fit_rules, read_families
from promotions.policies.rule import Bools, Effects, Reasons
from promotions.scores import Scores


def learn(
    section: Mapping[str, Any],
    train: Audience,
    effects: Mapping[str, np.ndarray] | None = None,
    *,
    gain: np.ndarray | None = None,
    columns: tuple[str, ...] = (),
    facts: Mapping[str, tuple[str, str]] | None = None,
    folds: int = 3,
    threads: int = 1,
    progress: Callable[[], object] = lambda: None,
) -> dict[str, Rule]:
    """What the section ``policy`` asks for.

    effects: by learner, (n,).  gain: scores of the profit of treating over not treating, (n,), 0 without them, where C
    and R are the same for all and C is due on treatment.  columns: of the features.
    """
    n = len(train.ids)
    economics = train.economics
    treated = (np.zeros(n) if gain is None else gain + economics.cost) / economics.revenue
    dr = np.column_stack([np.zeros(n), treated])
    with ThreadPoolExecutor(threads) as pool:
        training = Training(
            audience=train,
            effects=effects or {},
            fold=(np.arange(n) % folds).astype(np.int8),
            scores=Scores(np.ones_like(dr), dr, dr),
            clusters=np.arange(n),
            columns=columns,
            facts=facts or {},
            seed=1,
            pool=pool,
            threads=threads,
            progress=progress,
        )
        return fit_rules(read_families(section), training)


@dataclass(frozen=True)
class Vote(Rule):
    """Treat where most of the learners would: a rule that asks several, and of which nobody has heard."""

    voters: tuple[str, ...]
    share: float

    title = "Vote"
    meaning = "Contact a customer if enough of the learners would."
    simplicity = 35

    @property
    def learners(self) -> tuple[str, ...]:
        return self.voters

    def decide(self, audience: Audience, effects: Effects) -> Bools:
        return np.mean([audience.gain(effects[name]) >= 0 for name in self.voters], axis=0) >= self.share

    def reasons(self, audience: Audience, effects: Effects, treat: Bools) -> Reasons:
        return treat.astype(np.intp), ["too few learners expect a gain", "enough learners expect a gain"]


@dataclass(frozen=True)
class VoteRules(Family):
    share: float

    rule = Vote

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        return cls(params["share"])

    def fit(self, training: Training) -> dict[str, Rule]:
        return {"all": Vote(tuple(training.effects), self.share)}
