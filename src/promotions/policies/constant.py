"""Treat everybody, or nobody: every other rule is compared with these two."""

from dataclasses import dataclass

import numpy as np

from promotions.policies.audience import Audience
from promotions.policies.rule import Bools, Effects, Reasons, Rule


@dataclass(frozen=True)
class Constant(Rule):
    """Treat everybody, or nobody."""

    treat: bool

    title = "Everybody, nobody"
    meaning = "Contact all customers of the list, or none."
    simplicity = 0

    def decide(self, audience: Audience, effects: Effects) -> Bools:  # noqa: ARG002
        """See ``Rule``."""
        return np.full(len(audience.ids), self.treat)

    def reasons(self, audience: Audience, effects: Effects, treat: Bools) -> Reasons:  # noqa: ARG002
        """See ``Rule``."""
        return np.zeros(len(audience.ids), dtype=np.intp), ["treat everybody" if self.treat else "treat nobody"]
