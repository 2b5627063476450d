"""S-, T- and X-learner with LightGBM models. Source: Künzel, Sekhon, Bickel & Yu (2019)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from promotions.base.errors import InputError
from promotions.boosting.settings import Boosting, is_binary, predict
from promotions.learners.base import ECONML, SHARED, EffectLearner, choose_backend, outcome_model
from promotions.learners.data import Training
from promotions.learners.fitted import Blend, Part, TreeSum, weigh

# Propensities that differ by less are equal: as weights they move an effect by less than this share of τ₀ − τ₁.
ROUNDING = 1e-6


def s_effect(train: Training, model: Boosting, seed: int) -> TreeSum:
    """τ(x) = f(x, 1) − f(x, 0), f one model of the outcome."""
    booster = train.binned_with_treatment.fit(model, train.outcome, seed=seed, binary=is_binary(train.outcome))
    return TreeSum((Part(1.0, booster, 1.0), Part(-1.0, booster, 0.0)))


def t_effect(train: Training, model: Boosting | None, seed: int) -> TreeSum:
    """τ(x) = μ₁(x) − μ₀(x), by the mean of the folds' shared outcome models, or by two models of its own."""
    if model is not None:
        control, treated = fit_arms(train, model, seed)
        return TreeSum((Part(1.0, treated), Part(-1.0, control)))
    if train.outcome_models is None:
        raise InputError(
            "a T-learner with `model: shared` needs outcome models that learned from these training customers alone; "
            "hand over those of the stage nuisance, or give the learner a model of its own"
        )
    share = 1 / len(train.outcome_models.folds)
    pairs = train.outcome_models.boosters
    return TreeSum(tuple(Part(w, booster) for pair in pairs for w, booster in zip((-share, share), pair, strict=True)))


def x_effect(train: Training, model: Boosting | None, effect: Boosting, share: Any, seed: int) -> TreeSum | Blend:
    """τ(x) = e(x) τ₀(x) + (1 − e(x)) τ₁(x), models of the effects imputed in each arm from the other's outcome model.

    τ₀ of D = μ₁(X) − Y in the control arm, τ₁ of D = Y − μ₀(X) in the treated one.  model: of its own outcome models;
    None takes the shared ones, which have not seen the customer's fold.  share: e, see ``treated_share``.
    """
    control, treated = train.treatment == 0, train.treatment == 1
    if model is None:
        without, with_treatment = train.mu0[treated], train.mu1[control]
    else:
        of_control, of_treated = fit_arms(train, model, seed)
        without = predict(of_control, train.features[treated])
        with_treatment = predict(of_treated, train.features[control])
    imputed = {0: with_treatment - train.outcome[control], 1: train.outcome[treated] - without}
    boosters = [
        train.binned.rows(arm).fit(effect, imputed[number], seed=seed) for number, arm in enumerate((control, treated))
    ]
    return weigh(share, *boosters)


def treated_share(train: Training, model: Boosting, seed: int) -> Any:
    """The weight e(x) = P(T = 1 | x): a number where all training customers have the same, else a lightgbm.Booster.

    The booster is a cross-entropy regression of the propensities, known or estimated, on the features. It predicts
    within (0, 1), and new customers need no propensity of their own.
    """
    if np.ptp(train.propensity) <= ROUNDING:
        return float(train.propensity.mean())
    return train.binned.fit(model, train.propensity, seed=seed, binary=True)


def fit_arms(train: Training, model: Boosting, seed: int) -> tuple[Any, Any]:
    """Outcome models of the control and of the treated arm, lightgbm.Boosters."""
    binary = is_binary(train.outcome)
    control, treated = (
        train.binned.rows(rows).fit(model, train.outcome[rows], seed=seed, binary=binary)
        for rows in (train.treatment == 0, train.treatment == 1)
    )
    return control, treated


class SLearner(EffectLearner):
    """One model of the outcome with treatment as a feature, see ``s_effect``."""

    entry = "s_learner"

    def __init__(
        self, model: Mapping[str, Any], backend: str = SHARED, *, seed: int, key: str = "learners.s_learner"
    ) -> None:
        self.model = Boosting.from_params(model, f"{key}.model")
        self.estimate = choose_backend(backend, s_effect, key)
        self.seed = seed

    def fit(self, train: Training) -> "SLearner":
        """See ``Learner``."""
        self.effect_ = self.estimate(train, self.model, self.seed)
        return self


class TLearner(EffectLearner):
    """One outcome model per arm, see ``t_effect``. With ``model: shared`` nothing is fitted."""

    entry = "t_learner"

    def __init__(
        self, model: Mapping[str, Any] | str, backend: str = SHARED, *, seed: int, key: str = "learners.t_learner"
    ) -> None:
        self.model = outcome_model(model, f"{key}.model")
        self.estimate = choose_backend(backend, t_effect, key)
        _require_outcome_model(self.model, backend, key)
        self.seed = seed

    def fit(self, train: Training) -> "TLearner":
        """See ``Learner``."""
        self.effect_ = self.estimate(train, self.model, self.seed)
        return self


class XLearner(EffectLearner):
    """Imputed effects of each arm, averaged by the propensity, see ``x_effect``.

    Any weight in [0, 1] is valid; e(x) leans on the arm whose outcome model learned from more customers like x. Where
    it is not the same for all, it is learned (``treated_share``) with the settings of the learner's own outcome models,
    else of its effects.
    """

    entry = "x_learner"

    def __init__(
        self,
        model: Mapping[str, Any] | str,
        effect: Mapping[str, Any],
        backend: str = SHARED,
        *,
        seed: int,
        key: str = "learners.x_learner",
    ) -> None:
        self.model = outcome_model(model, f"{key}.model")
        self.effect = Boosting.from_params(effect, f"{key}.effect")
        self.estimate = choose_backend(backend, x_effect, key)
        _require_outcome_model(self.model, backend, key)
        self.seed = seed

    def fit(self, train: Training) -> "XLearner":
        """See ``Learner``."""
        share = treated_share(train, self.model or self.effect, self.seed)
        self.effect_ = self.estimate(train, self.model, self.effect, share, self.seed)
        return self


def _require_outcome_model(model: Boosting | None, backend: str, key: str) -> None:
    if backend == ECONML and model is None:
        raise InputError(
            f"{key}.model: econml's class fits outcome models of its own; give it a section such as "
            f"{{trees: 150, leaves: 4}}, or set {key}.backend to {SHARED}"
        )
