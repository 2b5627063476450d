"""causalml's forests, which split where the arms' outcomes come to differ most."""

import io
from contextlib import redirect_stderr, redirect_stdout
from functools import cache

import numpy as np
from numpy.typing import NDArray

from promotions.boosting import is_binary
from promotions.errors import InputError
from promotions.learners.data import Training
from promotions.validation import require_share, require_whole

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
        key = "learners.uplift_forest"
        self.trees = require_whole(trees, f"{key}.trees", 1)
        self.depth = require_whole(depth, f"{key}.depth", 1)
        self.min_leaf = require_whole(min_leaf, f"{key}.min_leaf", 1)
        self.feature_share = float(require_share(feature_share, f"{key}.feature_share"))
        if criterion not in CRITERIA:
            raise InputError(f"{key}.criterion: {criterion!r} is unknown; one of {', '.join(CRITERIA)}")
        self.criterion = criterion
        _import_causalml()
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
