"""causalml's forests, which split where the arms' outcomes come to differ most."""

import io
from contextlib import redirect_stderr, redirect_stdout
from functools import cache

import numpy as np
from numpy.typing import NDArray

from promotions.boosting import is_binary
from promotions.errors import InputError
from promotions.learners.data import Training

CRITERIA = ("KL", "ED", "Chi")
CONTROL, TREATED = "control", "treated"


class UpliftForest:
    """UpliftRandomForestClassifier for a 0/1 outcome (Rzepakowski & Jaroszewicz 2012: splits by ``criterion``).

    That forest knows no other outcome; for one that is not 0/1 the forest is causalml's CausalRandomForestRegressor,
    which splits by the causal mean squared error (Athey & Imbens 2016) and has no use for ``criterion``.
    """

    def __init__(
        self, trees: int, depth: int, min_leaf: int, feature_share: float, criterion: str, *, seed: int
    ) -> None:
        for name, value in (("trees", trees), ("depth", depth), ("min_leaf", min_leaf)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"learners.uplift_forest.{name}: expected a whole number of 1 or more, got {value!r}")
        if isinstance(feature_share, bool) or not isinstance(feature_share, (int, float)) or not 0 < feature_share <= 1:
            raise InputError(f"learners.uplift_forest.feature_share: expected a share in (0, 1], got {feature_share!r}")
        if criterion not in CRITERIA:
            raise InputError(
                f"learners.uplift_forest.criterion: {criterion!r} is unknown; one of {', '.join(CRITERIA)}"
            )
        _import_causalml()
        self.trees, self.depth, self.min_leaf = trees, depth, min_leaf
        self.feature_share, self.criterion = float(feature_share), criterion
        self.seed = seed

    def fit(self, train: Training) -> "UpliftForest":
        """See ``Learner``."""
        from causalml.inference.tree import CausalRandomForestRegressor, UpliftRandomForestClassifier

        tried = max(1, round(self.feature_share * train.features.shape[1]))
        if is_binary(train.outcome):
            self.forest_ = UpliftRandomForestClassifier(
                control_name=CONTROL,
                n_estimators=self.trees,
                max_features=tried,
                max_depth=self.depth,
                min_samples_leaf=self.min_leaf,
                min_samples_treatment=max(1, self.min_leaf // 4),
                evaluationFunction=self.criterion,
                random_state=self.seed,
                n_jobs=1,
            )
            names = np.array([CONTROL, TREATED], dtype=object)[train.treatment]
            self.forest_.fit(train.features, treatment=names, y=train.outcome.astype(int))
            for tree in self.forest_.estimators_:
                # In the order of a set of strings, which differs from process to process; nothing reads it any more.
                tree.unique_groups = sorted(tree.unique_groups)
        else:
            self.forest_ = CausalRandomForestRegressor(
                n_estimators=self.trees,
                max_features=tried,
                max_depth=self.depth,
                min_samples_leaf=self.min_leaf,
                random_state=self.seed,
                n_jobs=1,
            )
            self.forest_.fit(train.features, treatment=train.treatment.astype(int), y=train.outcome)
        return self

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """See ``Learner``."""
        return np.ravel(self.forest_.predict(features))


@cache
def _import_causalml() -> None:
    """Import it quietly: its dependencies announce optional packages on standard error when they are imported.

    Done where a learner is made, because redirecting is for the whole process and fits may run side by side.
    """
    with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        import causalml.inference.tree  # noqa: F401
