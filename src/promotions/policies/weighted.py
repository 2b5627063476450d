"""A classifier of whom to treat, in which a mistake weighs what it costs.

Maximising Σ gain_i·π(x_i) over rules π is classification of the label 1{gain ≥ 0} with weights |gain|: Zadrozny
(2003); Beygelzimer & Langford (2009). It may pool customers whose effects are noise one by one.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.base.parallel import run_side_by_side
from promotions.boosting.binned import BINNING, Binned
from promotions.boosting.settings import Boosting, lightgbm

# Customers who judge how large a classifier should be.
JUDGES = 15_000


@dataclass(frozen=True)
class Classifier:
    """A fitted classifier.  model: a lightgbm.Booster, or one decision for everybody."""

    model: Any

    def decide(self, features: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether to treat each customer, (m, p) → (m,)."""
        if isinstance(self.model, bool):
            return np.full(len(features), self.model)
        return np.asarray(self.model.predict(features, raw_score=True, num_threads=1) >= 0)


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

    def decide_each(
        self,
        features: NDArray[np.float64],
        gains: NDArray[np.float64],
        fold: NDArray[np.int8],
        targets: NDArray[np.float64],
        progress: Callable[[], object] = lambda: None,
    ) -> NDArray[np.bool_]:
        """Decisions of ``learn_each``'s classifiers on ``targets``, (m, p) → (m, k)."""
        classifiers = self.learn_each(features, gains, fold, progress)
        decisions = [partial(classifier.decide, targets) for classifier in classifiers]
        return np.column_stack(run_side_by_side(decisions, self.threads))

    def learn_each(
        self,
        features: NDArray[np.float64],
        gains: NDArray[np.float64],
        fold: NDArray[np.int8],
        progress: Callable[[], object] = lambda: None,
        pool: Executor | None = None,
    ) -> list[Classifier]:
        """A classifier for each of k gains of the same customers, say at k costs: binned once, fitted side by side.

        features (n, p); gains (n, k) expected profit of treating, from out-of-fold effects (in-sample ones would teach
        a classifier to imitate their noise); fold (n,).  progress: called k times a fold.  pool: who fits, by default
        ``threads`` threads of their own.  Each is what it would be alone. If every gain of a column has one sign there
        is nothing to tell apart: everybody gets that decision.
        """
        labels = gains >= 0
        same = labels.all(axis=0) | ~labels.any(axis=0) | ~gains.any(axis=0)
        held_out = _judges(fold)
        # Those that need no judging count as done.
        for _ in range(len(np.unique(fold)) * gains.shape[1] - len(held_out) * int((~same).sum())):
            progress()
        told_apart = np.flatnonzero(~same).tolist()
        workers = pool or self.threads
        binned = Binned(features, threads=self.threads)
        everybody = np.ones(len(fold), dtype=bool)

        def learn(column: int, rows: NDArray[np.bool_]) -> Any:
            # Weights are scaled to a mean of 1 over all customers, which the penalty l2 supposes.
            weight = np.abs(gains[:, column])
            weight = weight / weight.mean()
            return binned.rows(rows).dataset(labels[rows, column], weight[rows])

        def right_after_each_tree(column: int, held: NDArray[np.bool_]) -> NDArray[np.float64]:
            learning, judging = learn(column, ~held), learn(column, held)
            return np.stack([self._right_after_each_tree(leaves, learning, judging) for leaves in self.leaves])

        def fit(column: int, trees: int, leaves: int) -> Any:
            return lightgbm().train(self._parameters(leaves), learn(column, everybody), trees)

        tries = [partial(right_after_each_tree, column, held) for column in told_apart for held in held_out]
        tried = np.reshape(
            run_side_by_side(tries, workers, progress),
            (len(told_apart), len(held_out), len(self.leaves), self.base.trees),
        )
        # Added fold by fold: a sum in another order could break a tie in another way.
        sizes = [self._best_size(right) for right in tried.sum(axis=1)]
        fits = [partial(fit, column, *size) for column, size in zip(told_apart, sizes, strict=True)]
        fitted = dict(zip(told_apart, run_side_by_side(fits, workers), strict=True))
        return [Classifier(fitted.get(column, bool(labels[0, column]))) for column in range(gains.shape[1])]

    def _right_after_each_tree(self, leaves: int, learning: Any, judging: Any) -> NDArray[np.float64]:
        """Weight of the rightly labelled among those held out, after each tree."""
        lgb = lightgbm()
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

    def _best_size(self, right: NDArray[np.float64]) -> tuple[int, int]:
        """Trees and leaves with the highest score; of equal scores the smaller model. right: (candidates, trees)."""
        scores = {
            (trees, leaves): score
            for leaves, after_each in zip(self.leaves, right, strict=True)
            for trees, score in enumerate(after_each, start=1)
        }
        return min(scores, key=lambda size: (-round(scores[size], 9), size[0] * size[1]))

    def _parameters(self, leaves: int) -> dict[str, Any]:
        chosen = replace(self.base, leaves=leaves)
        return {"objective": "binary", "metric": "None", **chosen.arguments(self.seed), **BINNING}


def _judges(fold: NDArray[np.int8]) -> list[NDArray[np.bool_]]:
    """The folds that are held out to judge sizes, as masks (n,): one after the other until ``JUDGES`` are in them."""
    held_out = [fold == held for held in np.unique(fold)]
    reached = np.cumsum([held.sum() for held in held_out])
    return held_out[: int(np.searchsorted(reached, JUDGES)) + 1]


def _weight_of_right(predicted: NDArray[np.float64], data: Any) -> tuple[str, float, bool]:
    """Weight of the rightly labelled customers; more is better."""
    right = (predicted >= 0.5) == (data.get_label() > 0.5)
    weight = data.get_weight()
    # LightGBM forgets weights that are all 1.
    return "right", float(right.sum() if weight is None else weight[right].sum()), True
