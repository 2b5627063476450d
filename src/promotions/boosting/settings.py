"""LightGBM with the few parameters that matter here, and settings that make it repeatable."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promotions.base.errors import InputError
from promotions.base.validation import require_number, require_share, require_whole


@dataclass(frozen=True)
class Boosting:
    """Gradient boosted trees. Each name is one of LightGBM's: trees = n_estimators, leaves = num_leaves, and so on."""

    trees: int = 150
    leaves: int = 8
    learning_rate: float = 0.05
    min_leaf: int = 100
    feature_share: float = 0.7
    row_share: float = 0.7
    l2: float = 1.0

    @classmethod
    def from_params(cls, params: Mapping[str, Any], key: str) -> "Boosting":
        """Read a section of params.yaml. Raises InputError naming an unknown key or a value out of range."""
        if not isinstance(params, Mapping):
            raise InputError(f"{key}: expected the keys {', '.join(f.name for f in fields(cls))}, got {params!r}")
        settings = {f.name: f for f in fields(cls)}
        numbers: dict[str, Any] = {}
        for name, value in params.items():
            if name not in settings:
                raise InputError(f"{key}.{name} is unknown; the keys of {key} are {', '.join(settings)}")
            if settings[name].type is int:
                numbers[name] = require_whole(value, f"{key}.{name}", 2 if name == "leaves" else 1, as_float=True)
            elif name.endswith("_share") or name == "learning_rate":
                numbers[name] = float(require_share(value, f"{key}.{name}"))
            else:
                numbers[name] = float(require_number(value, f"{key}.{name}", 0))
        return cls(**numbers)

    def arguments(self, seed: int) -> dict[str, Any]:
        """LightGBM's own parameters.

        One thread: whole fits run side by side instead (``base.parallel``), and the model cannot depend on how
        many threads there are.
        """
        return {
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "min_child_samples": self.min_leaf,
            "colsample_bytree": self.feature_share,
            "subsample": self.row_share,
            "subsample_freq": 1 if self.row_share < 1 else 0,
            "reg_lambda": self.l2,
            "random_state": seed,
            "n_jobs": 1,
            "deterministic": True,
            "force_col_wise": True,
            "verbose": -1,
        }


def is_binary(outcome: ArrayLike) -> bool:
    """Whether an outcome takes no values but 0 and 1."""
    return bool(np.isin(np.unique(np.asarray(outcome)), (0.0, 1.0)).all())


def lightgbm() -> Any:
    """The package, imported when it is first needed."""
    import lightgbm

    return lightgbm


def make_regressor(params: Boosting, *, binary: bool, seed: int) -> Any:
    """A regressor of E[y | x]: with the cross-entropy loss for a 0/1 outcome (it predicts probabilities), else L2."""
    objective = "cross_entropy" if binary else "regression"
    return lightgbm().LGBMRegressor(objective=objective, n_estimators=params.trees, **params.arguments(seed))


def make_classifier(params: Boosting, *, seed: int) -> Any:
    """A classifier of a 0/1 label."""
    return lightgbm().LGBMClassifier(n_estimators=params.trees, **params.arguments(seed))


def predict(booster: Any, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """A lightgbm.Booster's prediction for each row of ``features``, (n,), on one thread."""
    # LightGBM refuses a table without rows.
    return np.asarray(booster.predict(features, num_threads=1), dtype=np.float64) if len(features) else np.zeros(0)
