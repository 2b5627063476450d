"""causalml's forests, which split where the arms' outcomes come to differ most."""

import io
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from typing import Any

import numpy as np

from promotions.base.errors import InputError
from promotions.base.validation import require_share, require_whole
from promotions.boosting.settings import is_binary
from promotions.learners.base import EffectLearner
from promotions.learners.data import Training
from promotions.learners.fitted import Part, TreeSum
from promotions.learners.tree_text import booster_of_trees

CRITERIA = ("KL", "ED", "Chi")
CONTROL, TREATED = "control", "treated"


class UpliftForest(EffectLearner):
    """UpliftRandomForestClassifier for a 0/1 outcome (Rzepakowski & Jaroszewicz 2012: splits by ``criterion``).

    For an outcome that is not 0/1 the forest is causalml's CausalRandomForestRegressor, which splits by the causal mean
    squared error (Athey & Imbens 2016) and ignores ``criterion``. The grown trees become a LightGBM model, which
    predicts the same, faster, and is saved as text.
    """

    entry = "uplift_forest"

    def __init__(
        self,
        trees: int,
        depth: int,
        min_leaf: int,
        feature_share: float,
        criterion: str,
        *,
        seed: int,
        key: str = "learners.uplift_forest",
    ) -> None:
        self.trees = require_whole(trees, f"{key}.trees", 1)
        self.depth = require_whole(depth, f"{key}.depth", 1)
        self.min_leaf = require_whole(min_leaf, f"{key}.min_leaf", 1)
        self.feature_share = float(require_share(feature_share, f"{key}.feature_share"))
        if criterion not in CRITERIA:
            raise InputError(f"{key}.criterion: {criterion!r} is unknown; one of {', '.join(CRITERIA)}")
        self.criterion = criterion
        _import_causalml()
        self.seed, self.key = seed, key

    def fit(self, train: Training) -> "UpliftForest":
        """See ``Learner``."""
        grown = self.grow(train)
        if not grown.estimators_:
            raise InputError(
                f"{self.key}: no tree could be grown, because no resample of the training customers has "
                "customers of both arms; leave this learner out"
            )
        trees = [tree.tree_ for tree in grown.estimators_]
        # An arm that is absent from a leaf counts as 0, as in causalml.
        values = [np.nan_to_num(tree.value[:, 1, 0]) - np.nan_to_num(tree.value[:, 0, 0]) for tree in trees]
        booster = booster_of_trees(trees, values, train.features.shape[1])
        self.effect_ = TreeSum((Part(1 / len(trees), booster),))
        return self

    def grow(self, train: Training) -> Any:
        """The fitted forest of causalml."""
        from causalml.inference.tree import CausalRandomForestRegressor, UpliftRandomForestClassifier

        tried = max(1, round(self.feature_share * train.features.shape[1]))
        if is_binary(train.outcome):
            forest = UpliftRandomForestClassifier(
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
            forest.fit(train.features, treatment=names, y=train.outcome.astype(int))
        else:
            forest = CausalRandomForestRegressor(
                n_estimators=self.trees,
                max_features=tried,
                max_depth=self.depth,
                min_samples_leaf=self.min_leaf,
                random_state=self.seed,
                n_jobs=1,
            )
            forest.fit(train.features, treatment=train.treatment.astype(int), y=train.outcome)
        return forest


@cache
def _import_causalml() -> None:
    """Import it quietly: its dependencies announce optional packages on standard error when they are imported.

    A learner's constructor calls this, because redirecting affects the whole process and fits may run side by side.
    """
    with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        import causalml.inference.tree  # noqa: F401
