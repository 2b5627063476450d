"""An honest causal forest whose trees LightGBM grows on histograms.

Source: Athey, Tibshirani & Wager (2019), "Generalized random forests": trees split where the effect differs, on
residuals of outcome and treatment, and a leaf's effect comes from customers that had no say in the splits.
"""

import numpy as np
from numpy.typing import NDArray

from promotions.boosting import lightgbm
from promotions.learners.data import Training
from promotions.validation import require_share, require_whole


class HonestForest:
    """``groups`` × ``trees_per_group`` trees.

    Each group halves the customers afresh (clusters stay whole). Its trees are grown on the first half, by squared
    error of the pseudo-outcome (Y − m)/(T − e) with weight (T − e)², which is the R-learner's loss; every leaf ℓ then
    takes its effect from the second half alone, τ_ℓ = Σ (Y − m)(T − e) / Σ (T − e)². τ(x) is the mean over trees.
    """

    def __init__(
        self,
        groups: int,
        trees_per_group: int,
        leaves: int,
        min_leaf: int,
        row_share: float,
        feature_share: float,
        *,
        seed: int,
    ) -> None:
        key = "learners.causal_forest"
        self.groups = require_whole(groups, f"{key}.groups", 1)
        self.trees_per_group = require_whole(trees_per_group, f"{key}.trees_per_group", 1)
        self.leaves = require_whole(leaves, f"{key}.leaves", 2)
        self.min_leaf = require_whole(min_leaf, f"{key}.min_leaf", 1)
        self.row_share = require_share(row_share, f"{key}.row_share", below_one=True)
        self.feature_share = require_share(feature_share, f"{key}.feature_share")
        self.seed = seed

    def fit(self, train: Training) -> "HonestForest":
        """See ``Learner``."""
        lgb = lightgbm()
        rng = np.random.default_rng(self.seed)
        treatment_residual = train.treatment - train.propensity
        outcome_residual = train.outcome - train.marginal
        numerator, weight = outcome_residual * treatment_residual, treatment_residual**2
        # Binned once; each group trains on a view of the same bins.
        shared = {"force_col_wise": True, "verbose": -1, "num_threads": 1, "feature_pre_filter": False}
        binned = lgb.Dataset(
            train.features, outcome_residual / treatment_residual, weight=weight, params=shared, free_raw_data=False
        ).construct()
        cluster = np.unique(train.cluster, return_inverse=True)[1]
        clusters = int(cluster.max()) + 1
        self.boosters_ = []
        for _ in range(self.groups):
            first_half = np.zeros(clusters, dtype=bool)
            first_half[rng.permutation(clusters)[: (clusters + 1) // 2]] = True
            grows = first_half[cluster]
            parameters = shared | {
                "boosting": "rf",
                "objective": "regression",
                "num_leaves": self.leaves,
                "min_data_in_leaf": self.min_leaf,
                "bagging_fraction": self.row_share,
                "bagging_freq": 1,
                "feature_fraction_bynode": self.feature_share,
                "deterministic": True,
                "seed": int(rng.integers(2**31)),
            }
            booster = lgb.train(parameters, binned.subset(np.flatnonzero(grows)), num_boost_round=self.trees_per_group)
            estimates = ~grows
            leaf_of = booster.predict(train.features[estimates], pred_leaf=True, num_threads=1).reshape(
                int(estimates.sum()), -1
            )
            leaf_counts = [tree["num_leaves"] for tree in booster.dump_model()["tree_info"]]
            overall = numerator[estimates].sum() / weight[estimates].sum()
            for tree, leaves in enumerate(leaf_of.T.astype(np.intp)):
                above = np.bincount(leaves, weights=numerator[estimates], minlength=leaf_counts[tree])
                below = np.bincount(leaves, weights=weight[estimates], minlength=leaf_counts[tree])
                # A leaf that no customer of the second half falls into knows nothing of its own.
                effects = np.where(below > 0, above / np.where(below > 0, below, 1), overall)
                for leaf, effect in enumerate(effects):
                    booster.set_leaf_output(tree, leaf, effect)
            self.boosters_.append(booster)
        return self

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """See ``Learner``."""
        total = np.zeros(len(features))
        for booster in self.boosters_:
            total += booster.predict(features, num_threads=1)
        return total / len(self.boosters_)
