"""A classifier of whom to treat, in which a mistake weighs what it costs.

Maximising Σ gain_i·π(x_i) over rules π is classification of the label 1{gain ≥ 0} with weights |gain|: Zadrozny
(2003); Beygelzimer & Langford (2009). It may pool customers whose effects are noise one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promotions.boosting import Boosting, lightgbm
from promotions.errors import InputError
from promotions.parallel import run_side_by_side


@dataclass(frozen=True)
class WeightedClassifier:
    """LightGBM, with its size chosen by the weighted score on held-out folds.

    ``leaves`` lists candidates; for each, the score Σ w·1{prediction = label} / Σ w is taken after every tree, so
    that one fit a fold tries every number of trees up to ``base.trees``.
    """

    base: Boosting
    leaves: tuple[int, ...]
    seed: int
    threads: int

    @classmethod
    def from_params(cls, params: Mapping[str, Any], seed: int, threads: int) -> "WeightedClassifier":
        """Read the section ``policy.weighted``. Raises InputError."""
        candidates = params.get("leaves") if isinstance(params, Mapping) else None
        if not isinstance(candidates, list) or not candidates:
            raise InputError(f"policy.weighted.leaves: expected a list such as [4, 16], got {candidates!r}")
        for leaves in candidates:
            Boosting.from_params({**params, "leaves": leaves}, "policy.weighted")
        base = Boosting.from_params({**params, "leaves": candidates[0]}, "policy.weighted")
        return cls(base, tuple(candidates), seed, threads)

    def decide(
        self,
        features: NDArray[np.float64],
        gain: NDArray[np.float64],
        fold: NDArray[np.int8],
        targets: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """Learn from training customers and decide on ``targets``.

        features (n, p); gain (n,) expected profit of treating, from out-of-fold effects (in-sample ones would teach
        the classifier to imitate their noise); fold (n,); targets (m, p).  Returns (m,).
        If every gain has one sign there is nothing to tell apart: all targets get that decision.
        """
        lgb = lightgbm()
        label, weight = gain >= 0, np.abs(gain)
        if label.all() or not label.any() or not weight.any():
            return np.full(len(targets), bool(label[0]))
        # Binned once; folds are views of the same bins. Weights are scaled to mean 1, which the penalty l2 supposes.
        shared = {**self._parameters(self.leaves[0]), "feature_pre_filter": False}
        weight = weight / weight.mean()
        binned = lgb.Dataset(
            features, label.astype(float), weight=weight, params=shared, free_raw_data=False
        ).construct()
        held_out = [fold == held for held in np.unique(fold)]
        views = [tuple(binned.subset(np.flatnonzero(rows)).construct() for rows in (~held, held)) for held in held_out]

        def right_after_each_tree(leaves: int, learning: Any, judging: Any) -> NDArray[np.float64]:
            history: dict[str, dict[str, list[float]]] = {}
            lgb.train(
                self._parameters(leaves),
                learning,
                self.base.trees,
                valid_sets=[judging],
                feval=_weight_of_right,
                callbacks=[lgb.record_evaluation(history)],
            )
            right = next(iter(history.values()))["right"]
            # LightGBM stops when no leaf can be split further: more trees would change nothing.
            return np.pad(right, (0, self.base.trees - len(right)), mode="edge")

        tries = [partial(right_after_each_tree, leaves, *view) for leaves in self.leaves for view in views]
        right = np.reshape(run_side_by_side(tries, self.threads), (len(self.leaves), len(views), -1)).sum(axis=1)
        scores = {
            (trees, leaves): score
            for leaves, after_each in zip(self.leaves, right, strict=True)
            for trees, score in enumerate(after_each, start=1)
        }
        # Of equal scores the smaller model.
        trees, leaves = min(scores, key=lambda size: (-round(scores[size], 9), size[0] * size[1]))
        booster = lgb.train(self._parameters(leaves), binned, trees)
        return np.asarray(booster.predict(targets, raw_score=True, num_threads=1) >= 0)

    def _parameters(self, leaves: int) -> dict[str, Any]:
        chosen = replace(self.base, leaves=leaves)
        return {"objective": "binary", "metric": "None", **chosen.arguments(self.seed)}


def _weight_of_right(predicted: NDArray[np.float64], data: Any) -> tuple[str, float, bool]:
    """Weight of the rightly labelled customers; more is better."""
    right = (predicted >= 0.5) == (data.get_label() > 0.5)
    return "right", float(data.get_weight()[right].sum()), True
