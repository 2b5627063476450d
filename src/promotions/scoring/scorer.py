"""Effects, decisions and reasons for customers outside the experiment, each independent of the others."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.encoding import Encoder
from promotions.base.errors import InputError
from promotions.base.names import ENSEMBLE
from promotions.base.rounding import significant
from promotions.boosting.files import FILE
from promotions.economics import Economics
from promotions.learners.causal_forest import FOREST
from promotions.learners.ensemble import Ensemble
from promotions.learners.fitted import Effect, load_effect
from promotions.nuisances import OutcomeModels
from promotions.policies import Audience, Rule
from promotions.policies.files import load_rule
from promotions.policies.rule import Budget

if TYPE_CHECKING:
    from promotions.learners.estimators.forest import HonestCausalForest

Floats = NDArray[np.float64]
# The folder of the learners among the models.
LEARNERS = "learners"


@dataclass(frozen=True)
class Scorer:
    """All that a decision needs.

    rule: whom to treat, one customer at a time.  budget: the champion's limit on the list, if it has one.  economics:
    the constants that the rule was made for.  learner: whose effect is reported; the rule's, if it uses exactly one.
    effects: formulas by learner; ``mixture`` combines them, if it is needed.  forest: gives the intervals, if the
    learner has any.  outcomes: μ₀ and μ₁, where they are needed.
    """

    encoder: Encoder
    rule: Rule
    budget: Budget
    economics: Economics
    learner: str
    effects: Mapping[str, Effect]
    mixture: Ensemble | None = None
    forest: "HonestCausalForest | None" = None
    outcomes: OutcomeModels | None = None

    @classmethod
    def load(cls, models: Path, champion: str, learner: str) -> "Scorer":
        """From what the stages left in ``models``.

        champion: name of a policy.  learner: whose effect is reported if the policy does not use exactly one. Raises
        InputError if something is missing, changed, or has no formula (a learner of another package's class).
        """
        encoder = Encoder.from_json(_read(models / "encoder.json"))
        stored, economics = load_rule(models / "policy", champion)
        rule, budget = stored.unlimited, stored.limit
        if len(rule.learners) == 1:
            (learner,) = rule.learners
        learners = dict.fromkeys([*rule.learners, learner])
        mixture = Ensemble.load(models / ENSEMBLE) if ENSEMBLE in learners else None
        needed = dict.fromkeys([*(name for name in learners if name != ENSEMBLE), *(mixture.used if mixture else [])])
        effects = {name: _effect(models, name) for name in needed}
        return cls(
            encoder,
            rule,
            budget,
            economics,
            learner,
            effects,
            mixture,
            _forest(models / LEARNERS / learner / FOREST),
            _outcomes(models / "nuisance") if rule.needs_outcomes or economics.charged == "on_response" else None,
        )

    @property
    def folders(self) -> list[str]:
        """The folders in ``models`` that it was read from."""
        used = {"policy": True, ENSEMBLE: self.mixture is not None, "nuisance": self.outcomes is not None}
        return [*(name for name, is_used in used.items() if is_used), *(f"{LEARNERS}/{name}" for name in self.effects)]

    def score(self, customers: pd.DataFrame) -> tuple[pd.DataFrame, Floats]:
        """One row per customer, and the expected cost of each contact, (n,).

        customers: ``customer_id``, the features, and cost and revenue where customers have their own.
        Returns ``customer_id, cate, [cate_low, cate_high,] expected_profit, treat, reason``. The interval is a
        pointwise 95 % interval of the forest before its calibration.
        expected_profit: of contacting over not contacting, R·τ(x) − C, or R·τ(x) − C·μ₁(x) when charged on response.
        """
        features = self.encoder.transform(customers)
        # Rounded as in the files that rules learn from: a rule's edge is at a customer's number.
        effects = {name: significant(effect.predict(features)) for name, effect in self.effects.items()}
        if self.mixture:
            # If no learner has a weight, the mixture is a constant; the features give its length.
            effects[ENSEMBLE] = self.mixture.predict({**effects, "": features[:, 0]})
        cate = effects[self.learner]
        ids, economics = customers["customer_id"].to_numpy(object), self.economics.of_customers(customers)
        columns = {"customer_id": ids, "cate": cate}
        if self.forest is not None:
            columns["cate_low"], columns["cate_high"] = self.forest.predict_interval(features)
        nobody = np.zeros((len(customers), 2))
        outcomes = nobody if self.outcomes is None else significant(self.outcomes.predict(features))
        audience = Audience(ids, customers, features, outcomes, economics)
        treat = self.rule.decide(audience, effects)
        codes, words = self.rule.reasons(audience, effects, treat)
        columns["expected_profit"] = audience.gain(cate)
        columns["treat"] = treat.astype(np.int8)
        return pd.DataFrame(columns | {"reason": np.asarray(words, dtype=object)[codes]}), audience.charge


def _read(path: Path) -> Mapping[str, object]:
    try:
        document: Mapping[str, object] = json.loads(path.read_text())
    except (OSError, ValueError) as problem:
        raise InputError(f"{path}: expected what an earlier stage wrote, got {problem!r}: run `dvc repro`") from None
    return document


def _forest(folder: Path) -> "HonestCausalForest | None":
    """The forest in ``folder``, where there is one; only then is scikit-learn imported."""
    if not folder.is_dir():
        return None
    from promotions.learners.estimators.forest import HonestCausalForest

    return HonestCausalForest.load(folder)


def _effect(models: Path, learner: str) -> Effect:
    folder = models / LEARNERS / learner
    if folder.is_dir() and not (folder / FILE).is_file():
        raise InputError(
            f"{folder} holds no formula of the effect: a learner with `backend: econml` cannot be applied to new "
            "customers; use `backend: shared` in params.yaml and run `dvc repro`"
        )
    return load_effect(folder)


def _outcomes(folder: Path) -> OutcomeModels:
    """The outcome models of the last round."""
    rounds = sorted((each for each in folder.glob("*") if each.name.isdecimal()), key=lambda each: int(each.name))
    if not rounds:
        raise InputError(f"{folder} holds no outcome models; an earlier stage writes them: run `dvc repro`")
    return OutcomeModels.load(rounds[-1])
