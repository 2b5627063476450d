"""What all learners but the forest share: a fitted effect, and two backends that fit it."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.base.validation import require_choice
from promotions.boosting.settings import Boosting
from promotions.learners.fitted import Effect

SHARED, ECONML = "shared", "econml"

Estimate = TypeVar("Estimate", bound=Callable[..., Effect])


class EffectLearner:
    """A learner whose ``fit`` leaves its effect in ``effect_``."""

    effect_: Effect

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """See ``Learner``."""
        return self.effect_.predict(features)

    def save(self, folder: Path) -> None:
        """Write the effect into ``folder``, which exists; ``fitted.load_effect`` reads it."""
        self.effect_.save(folder)


def choose_backend(backend: object, shared: Estimate, key: str) -> Estimate:
    """The function behind a learner: ours, on shared nuisances and bins, or that of econml's own class.

    ``estimators.econml_bridge`` has the second by the same name. Raises InputError for another backend.
    """
    if require_choice(backend, (SHARED, ECONML), f"{key}.backend") == SHARED:
        return shared
    bridge = import_module("promotions.learners.estimators.econml_bridge")
    return cast(Estimate, getattr(bridge, shared.__name__))


def outcome_model(model: Mapping[str, Any] | str, key: str) -> Boosting | None:
    """A learner's own outcome models; None for ``shared``, those of the stage `nuisance`."""
    if isinstance(model, str):
        if model != SHARED:
            raise InputError(
                f"{key}: expected {SHARED} (the outcome models of the stage nuisance) or a section of its own such as "
                f"{{trees: 150, leaves: 4}}, got {model!r}"
            )
        return None
    return Boosting.from_params(model, key)
