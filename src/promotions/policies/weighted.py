"""A classifier that decides whom to treat; each mistake has the weight of its cost.

Maximising Σ gain_i·π(x_i) over rules π is classification of the label 1{gain ≥ 0} with weights |gain|: Zadrozny
(2003); Beygelzimer & Langford (2009). It can pool customers whose separate effects are noise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.base.parallel import run_side_by_side
from promotions.boosting.binned import BINNING, Binned
from promotions.boosting.settings import Boosting, lightgbm
from promotions.policies.audience import Audience
from promotions.policies.family import GainFamily, GainTraining, Training
from promotions.policies.rule import Bools, Effects, Reasons, Rule

# The number of held-out customers that choose the size of a classifier.
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
class Weighted(Rule):
    """Treat the customers that a classifier picks, which was trained with gains as weights."""

    learner: str
    classifier: Classifier

    title = "Weighted rule"
    meaning = "A classifier that learns directly whom to contact, where a mistake counts as much as it costs."
    advice = "contact the customers that a classifier picks, which was trained on the effects that {learner} predicts"
    simplicity = 50

    @property
    def learners(self) -> tuple[str, ...]:
        """See ``Rule``."""
        return (self.learner,)

    def decide(self, audience: Audience, effects: Effects) -> Bools:  # noqa: ARG002
        """See ``Rule``."""
        return self.classifier.decide(audience.features)

    def reasons(self, audience: Audience, effects: Effects, treat: Bools) -> Reasons:  # noqa: ARG002
        """See ``Rule``."""
        return treat.astype(np.intp), ["the classifier expects a loss", "the classifier expects a gain"]

    @property
    def booster(self) -> Any:
        """See ``Rule``."""
        return None if isinstance(self.classifier.model, bool) else self.classifier.model

    def to_json(self) -> dict[str, Any]:
        """See ``Rule``. treat: one decision for everybody, or null if the trees decide."""
        return {"learner": self.learner, "treat": self.classifier.model if self.booster is None else None}

    @classmethod
    def from_json(cls, document: Mapping[str, Any], booster: Any = None) -> Self:
        """See ``Rule``. Raises ValueError if there is neither a decision nor a booster."""
        model = document["treat"] if booster is None else booster
        if model is None:
            raise ValueError("its trees are missing")
        return cls(document["learner"], Classifier(model))


@dataclass(frozen=True)
class WeightedRules(GainFamily):
    """A LightGBM classifier for each learner, its size chosen by the weighted score on held-out folds.

    ``leaves`` lists candidates; for each, the score Σ w·1{prediction = label} / Σ w is taken after every tree, so
    that one fit per fold tries every number of trees up to ``base.trees``.
    """

    base: Boosting
    leaves: tuple[int, ...]

    rule = Weighted
    uses_pool = True

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """See ``Family``."""
        candidates = params.get("leaves")
        if not isinstance(candidates, list) or not candidates:
            raise InputError(f"policy.weighted.leaves: expected a list such as [4, 16], got {candidates!r}")
        for leaves in candidates:
            Boosting.from_params({**params, "leaves": leaves}, "policy.weighted")
        base = Boosting.from_params({**params, "leaves": candidates[0]}, "policy.weighted")
        return cls(base, tuple(candidates))

    def fit(self, training: Training) -> dict[str, Rule]:
        """See ``Family``."""
        audience = training.audience
        gains = np.column_stack([audience.gain(cate) for cate in training.effects.values()])
        classifiers = self.learn_each(
            GainTraining(
                audience.features,
                gains,
                training.fold,
                training.seed,
                training.threads,
                training.progress,
                training.pool,
            )
        )
        return {
            learner: Weighted(learner, classifier)
            for learner, classifier in zip(training.effects, classifiers, strict=True)
        }

    def steps(self, rules: int, folds: int) -> int:
        """See ``Family``: one for each rule and fold."""
        return rules * folds

    def decide_each(
        self,
        training: GainTraining,
        features: NDArray[np.float64],
        gains: NDArray[np.float64],  # noqa: ARG002
    ) -> NDArray[np.bool_]:
        """See ``GainFamily``."""
        decisions = [partial(classifier.decide, features) for classifier in self.learn_each(training)]
        return np.column_stack(run_side_by_side(decisions, training.pool or training.threads))

    def learn_each(self, training: GainTraining) -> list[Classifier]:
        """A classifier for each of the k gains, binned once, fitted side by side.

        Each is the same as if it were fitted alone. If all gains of a column have one sign, everybody gets the same
        decision.
        """
        gains, fold, progress = training.gains, training.fold, training.progress
        labels = gains >= 0
        same = labels.all(axis=0) | ~labels.any(axis=0) | ~gains.any(axis=0)
        held_out = _judges(fold)
        # Columns that need no choice of size count as done.
        for _ in range(len(np.unique(fold)) * gains.shape[1] - len(held_out) * int((~same).sum())):
            progress()
        told_apart = np.flatnonzero(~same).tolist()
        workers = training.pool or training.threads
        binned = Binned(training.features, threads=training.threads)
        everybody = np.ones(len(fold), dtype=bool)

        def learn(column: int, rows: NDArray[np.bool_]) -> Any:
            # Weights are scaled to a mean of 1 over all customers, which the penalty l2 assumes.
            weight = np.abs(gains[:, column])
            weight = weight / weight.mean()
            return binned.rows(rows).dataset(labels[rows, column], weight[rows])

        def right_after_each_tree(column: int, held: NDArray[np.bool_]) -> NDArray[np.float64]:
            learning, judging = learn(column, ~held), learn(column, held)
            return np.stack(
                [
                    self._right_after_each_tree(self._parameters(leaves, training.seed), learning, judging)
                    for leaves in self.leaves
                ]
            )

        def fit(column: int, trees: int, leaves: int) -> Any:
            return lightgbm().train(self._parameters(leaves, training.seed), learn(column, everybody), trees)

        tries = [partial(right_after_each_tree, column, held) for column in told_apart for held in held_out]
        tried = np.reshape(
            run_side_by_side(tries, workers, progress),
            (len(told_apart), len(held_out), len(self.leaves), self.base.trees),
        )
        # Added fold by fold: another order of adding up could break a tie in another way.
        sizes = [self._best_size(right) for right in tried.sum(axis=1)]
        fits = [partial(fit, column, *size) for column, size in zip(told_apart, sizes, strict=True)]
        fitted = dict(zip(told_apart, run_side_by_side(fits, workers), strict=True))
        return [Classifier(fitted.get(column, bool(labels[0, column]))) for column in range(gains.shape[1])]

    def _right_after_each_tree(self, parameters: Mapping[str, Any], learning: Any, judging: Any) -> NDArray[np.float64]:
        """Weight of the correctly labelled held-out customers, after each tree."""
        lgb = lightgbm()
        history: dict[str, dict[str, list[float]]] = {}
        lgb.train(
            dict(parameters),
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
        """Trees and leaves with the highest score; on a tie the smaller model. right: (candidates, trees)."""
        scores = {
            (trees, leaves): score
            for leaves, after_each in zip(self.leaves, right, strict=True)
            for trees, score in enumerate(after_each, start=1)
        }
        return min(scores, key=lambda size: (-round(scores[size], 9), size[0] * size[1]))

    def _parameters(self, leaves: int, seed: int) -> dict[str, Any]:
        chosen = replace(self.base, leaves=leaves)
        return {"objective": "binary", "metric": "None", **chosen.arguments(seed), **BINNING}


def _judges(fold: NDArray[np.int8]) -> list[NDArray[np.bool_]]:
    """The folds that are held out to judge sizes, as masks (n,): one after the other until ``JUDGES`` are in them."""
    held_out = [fold == held for held in np.unique(fold)]
    reached = np.cumsum([held.sum() for held in held_out])
    return held_out[: int(np.searchsorted(reached, JUDGES)) + 1]


def _weight_of_right(predicted: NDArray[np.float64], data: Any) -> tuple[str, float, bool]:
    """Weight of the correctly labelled customers; more is better."""
    right = (predicted >= 0.5) == (data.get_label() > 0.5)
    weight = data.get_weight()
    # LightGBM drops weights that are all 1.
    return "right", float(right.sum() if weight is None else weight[right].sum()), True
