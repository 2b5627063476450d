"""Treat where the expected profit of treating is not negative: cate ≥ C/R."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.policies.audience import Audience
from promotions.policies.family import GainFamily, GainTraining, Training
from promotions.policies.rule import Bools, Effects, Reasons, Rule, pays


def threshold(gain: NDArray[np.float64]) -> NDArray[np.bool_]:
    """1{gain ≥ 0}; with gain = R·cate − C that is cate ≥ C/R. Hitsch, Misra & Zhang, SSRN 3111957. (n,) → (n,)."""
    return np.asarray(gain >= 0)


@dataclass(frozen=True)
class Threshold(Rule):
    """Treat where the expected gain is not negative: where the effect is at least C/R."""

    learner: str

    title = "Threshold rule"
    meaning = (
        "Contact a customer if the predicted effect earns at least what the contact costs. Its name is followed by "
        "the learner that predicts, as in Threshold · X-learner."
    )
    advice = "contact a customer if the effect that {learner} predicts earns at least what the contact costs"
    simplicity = 30

    @property
    def learners(self) -> tuple[str, ...]:
        """See ``Rule``."""
        return (self.learner,)

    def decide(self, audience: Audience, effects: Effects) -> Bools:
        """See ``Rule``."""
        return threshold(audience.gain(effects[self.learner]))

    def reasons(self, audience: Audience, effects: Effects, treat: Bools) -> Reasons:  # noqa: ARG002
        """See ``Rule``."""
        return treat.astype(np.intp), pays(audience)


class ThresholdRules(GainFamily):
    """A threshold for each learner. It learns nothing and has no settings."""

    rule = Threshold

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """See ``Family``."""
        if params:
            raise InputError(f"policy.threshold.{next(iter(params))} is unknown; policy.threshold has no keys: {{}}")
        return cls()

    def fit(self, training: Training) -> dict[str, Rule]:
        """See ``Family``."""
        return {learner: Threshold(learner) for learner in training.effects}

    def decide_each(
        self,
        training: GainTraining,  # noqa: ARG002
        features: NDArray[np.float64],  # noqa: ARG002
        gains: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """See ``GainFamily``."""
        return threshold(gains)
