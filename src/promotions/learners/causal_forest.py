"""The honest causal forest as a learner of the pipeline, with the outcome models and propensities of its stages."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from promotions.learners.data import Training
from promotions.learners.fitted import TreeSum

# Folder of the forest with all trees, which intervals need.
FOREST = "forest"


class CausalForest:
    """See ``HonestCausalForest``. Out-of-fold effects are from the groups that left a customer's cluster out."""

    entry = "causal_forest"

    cross_fits_itself = True

    effect_: TreeSum
    out_of_fold_: NDArray[np.float64]

    def __init__(
        self,
        groups: int,
        sequences: int,
        trees: int,
        leaves: int,
        min_leaf: int,
        learning_rate: float,
        measuring_rate: float,
        held_out: float,
        calibrate: bool,
        *,
        seed: int,
        key: str = "learners.causal_forest",
    ) -> None:
        # scikit-learn, which the forest is an estimator of, takes two seconds to import: those of this learner alone.
        from promotions.learners.estimators.forest import HonestCausalForest

        self.forest = HonestCausalForest(
            groups=groups,
            sequences=sequences,
            trees=trees,
            leaves=leaves,
            min_leaf=min_leaf,
            learning_rate=learning_rate,
            measuring_rate=measuring_rate,
            held_out=held_out,
            calibrate=calibrate,
            random_state=seed,
        )
        self.forest.check_params(key)

    def fit(self, train: Training) -> "CausalForest":
        """See ``Learner``."""
        self.forest.fit(
            train.features,
            train.outcome,
            train.treatment,
            propensity=train.propensity,
            outcome_mean=train.marginal,
            clusters=train.cluster,
            binned=train.binned,
        )
        self.effect_, self.out_of_fold_ = self.forest.tree_sum, self.forest.oob_effect_
        return self

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """See ``Learner``."""
        return self.effect_.predict(features)

    def save(self, folder: Path) -> None:
        """See ``Learner``; ``fitted.load_effect`` reads it. ``HonestCausalForest.load`` reads the forest beside it."""
        self.effect_.save(folder)
        (folder / FOREST).mkdir()
        self.forest.save(folder / FOREST)
