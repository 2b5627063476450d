"""A fitted rule: whom it treats, why, in words, and as a document without code."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from promotions.base.formatting import plain
from promotions.policies.audience import Audience

Bools = NDArray[np.bool_]
Effects = Mapping[str, NDArray[np.float64]]
# For each customer the position of its reason in the list of reasons.
Reasons = tuple[NDArray[np.intp], Sequence[str]]


@dataclass(frozen=True)
class Budget:
    """The most that may be spent: a share of the customers, or money per customer of the list; neither is no limit."""

    share: float | None = None
    money: float | None = None

    @property
    def limits(self) -> bool:
        """Whether there is a budget."""
        return self.share is not None or self.money is not None


@dataclass(frozen=True)
class Rule(ABC):
    """A rule decides whom to treat. A rule of one kind is a frozen dataclass with:

    title       what the kind is called: "Threshold rule"
    meaning     what it does, in a sentence or two, for readers who are not statisticians
    advice      what a reader of the report should do; ``{learner}`` stands for the learner whose effects it uses
    simplicity  among policies that earn the same, the lowest is preferred: 0 for a constant, 10 for a few groups, 50
                for a model that nobody can read
    """

    title: ClassVar[str]
    meaning: ClassVar[str]
    advice: ClassVar[str] = "contact the customers that it picks"
    simplicity: ClassVar[float]

    @abstractmethod
    def decide(self, audience: Audience, effects: Effects) -> Bools:
        """Whether to treat each of n customers, (n,).  effects: of each of ``learners``, (n,)."""

    @abstractmethod
    def reasons(self, audience: Audience, effects: Effects, treat: Bools) -> Reasons:
        """Reasons in words.  treat: the result of ``decide``, (n,)."""

    @property
    def learners(self) -> tuple[str, ...]:
        """The learners whose effects it uses; none by default."""
        return ()

    @property
    def needs_outcomes(self) -> bool:
        """Whether it uses ``Audience.outcomes`` itself (gains charged on response use them in any case)."""
        return False

    @property
    def sentence(self) -> str | None:
        """The rule in words, "treat if age ≥ 45"; None if it does not fit into a sentence."""
        return None

    @property
    def limit(self) -> Budget:
        """How far down a list it goes. With a limit, its decisions depend on the whole list."""
        return Budget()

    @property
    def unlimited(self) -> "Rule":
        """The rule without its limit: it decides on each customer separately."""
        return self

    @property
    def booster(self) -> Any:
        """What is saved in a separate file: a lightgbm.Booster, or None."""
        return None

    def to_json(self) -> dict[str, Any]:
        """A document from which ``from_json`` makes the same rule: its fields, if they are plain values or tuples."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any], booster: Any = None) -> Self:  # noqa: ARG003
        """The rule that ``to_json`` described.  booster: from its separate file."""
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in document.items()})


def pays(audience: Audience) -> list[str]:
    """The words for a contact that does not pay, and for one that does."""
    economics = audience.economics
    if economics.charged == "on_treatment" and np.ndim(economics.cost) == np.ndim(economics.revenue) == 0:
        return [f"effect {side} C/R = {plain(economics.ratio, 4)}" for side in ("below", "at least")]
    return [f"expected to {what}" for what in ("cost more than it earns", "pay")]
