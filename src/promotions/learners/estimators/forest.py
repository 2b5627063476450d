"""An honest causal forest on histograms: LightGBM finds the splits, other customers measure the effects.

Sources: Athey, Tibshirani & Wager (2019), "Generalized random forests": splits where the effect differs, on residuals
of outcome and treatment, leaves measured by customers who had no say in the splits, variance from half-samples. Nie &
Wager (2021): the loss. Ghosal & Hooker (2021), "Boosting random forests to reduce bias": trees upon residuals of
trees. Geurts, Ernst & Wehenkel (2006), "Extremely randomized trees": random thresholds.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from promotions.base.errors import InputError
from promotions.base.parallel import run_side_by_side
from promotions.base.validation import require_finite, require_number, require_share, require_whole
from promotions.boosting.binned import BINNING, Binned
from promotions.boosting.cross_fitting import means_after
from promotions.boosting.settings import Boosting, lightgbm
from promotions.learners.fitted import Part, TreeSum
from promotions.learners.tree_text import leaves_of, with_leaves

# Models of outcome means and propensities that are not given. The number of trees used is one of these.
COUNTS = (10, 25, 50, 100)
NUISANCE = Boosting(leaves=8, learning_rate=0.15, min_leaf=50, feature_share=0.7, row_share=1.0, l2=1.0)
# Three folds give effects as near to the truth as five, in three fifths of the time.
FOLDS = 3
# Estimated propensities are kept off 0 and 1: residuals there carry no effect, and dividing by them inflates noise.
OVERLAP = (0.01, 0.99)
CHUNK = 20_000
FILE = "forest.json"

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class _Task:
    """One half's sequences: who grows, who measures, who is left out, and a seed for each sequence."""

    grow: Rows
    measure: Rows
    left_out: Rows
    seeds: tuple[int, ...]


class HonestCausalForest(BaseEstimator):  # type: ignore[misc]
    """τ(x) = E[Y(1) − Y(0) | x] as the mean of ``groups`` × 2 × ``sequences`` short sequences of honest trees.

    With residuals Ỹ = Y − m(x) and T̃ = T − e(x) the loss of an effect is the R-learner's, Σ (Ỹ − T̃ τ(x))².

    *Groups.* Each group leaves a share ``held_out`` of the clusters out and halves the others, in turns so that all
    are left out equally often. One half grows trees and the other measures their effects; then they swap, so everyone
    in the group measures once.

    *A sequence* is ``trees`` trees, grown by LightGBM on Ỹ/T̃ with weights T̃²: each of at most ``leaves`` leaves of at
    least ``min_leaf`` growing customers, on the residual of the trees before it, at ``learning_rate``. Every second
    tree draws one random threshold a feature (they make the forest smooth), the others search all (they find steps).
    The measuring half replays the sequence: with f the effect so far, beginning at its Σ ỸT̃ / Σ T̃², a leaf adds

        ``measuring_rate`` · Σ_leaf T̃ (Ỹ − T̃ f(x)) / Σ_leaf T̃².

    One half gives the structure; the other gives every number, and f is linear in its outcomes. The measuring half has
    not chosen the leaves, so it can use a larger rate, and keeps effects that are too small for the growing half to
    split on again. ``trees=1, learning_rate=1, measuring_rate=1`` is the honest causal tree.

    *Calibration.* The left-out customers decide how many trees of each sequence to use, and how much of their
    differences is real. With f_k the forest of the first k trees of each sequence, the k and the slope β in [0, 1] are
    chosen that minimise the R-loss of τ̄ + β (f_k(x) − τ̄) (τ̄: the mean effect; the slope is that of the "best linear
    predictor" of Chernozhukov et al., "Generic machine learning inference"). ``predict`` gives that: near τ̄ if effects
    do not differ, near f_k if the forest finds the differences. ``calibrate=False`` uses all trees and β = 1. Intervals
    are of the forest of all trees: a smoother or shrunken effect is nearer to the truth on average, but biased by
    design.

    *Variance.* See ``predict_variance``.

    The same data and ``random_state`` give the same forest, for any ``n_jobs``. Another order of rows gives another
    draw of the halves.

    groups: pairs of halves.  sequences: of either half, at least 2 for variances.  trees: of a sequence.
    held_out: share of clusters, 0 or 1/k with k up to ``groups``; 0 gives no ``oob_effect_`` and no calibration.
    n_jobs: fits side by side, on one thread each.

    Fitted: ``oob_effect_`` (n,): the calibrated effect of each training customer from the groups that left out its
    cluster, which neither grew nor measured on its outcome (it enters others' nuisances, τ̄ and the two numbers of the
    calibration).  ``trees_used_``: k.  ``calibration_``: β.  ``mean_effect_``: τ̄ = Σ ỸT̃ / Σ T̃².
    ``feature_importances_`` (p,): shares of the loss that the splits on each feature removed, all trees, in the growing
    halves.  ``outcome_mean_``, ``propensity_``: what the residuals subtract.  ``n_features_in_``.
    """

    def __init__(
        self,
        groups: int = 10,
        sequences: int = 2,
        trees: int = 10,
        leaves: int = 16,
        min_leaf: int = 50,
        learning_rate: float = 0.2,
        measuring_rate: float = 0.8,
        feature_share: float = 1.0,
        held_out: float = 0.2,
        calibrate: bool = True,
        n_jobs: int = 1,
        random_state: int = 0,
    ) -> None:
        self.groups = groups
        self.sequences = sequences
        self.trees = trees
        self.leaves = leaves
        self.min_leaf = min_leaf
        self.learning_rate = learning_rate
        self.measuring_rate = measuring_rate
        self.feature_share = feature_share
        self.held_out = held_out
        self.calibrate = calibrate
        self.n_jobs = n_jobs
        self.random_state = random_state

    def check_params(self, key: str = "HonestCausalForest") -> None:
        """Raise InputError, with ``key`` before the parameter's name, if a parameter is out of range."""
        for name, least in (
            ("groups", 1), ("sequences", 1), ("trees", 1), ("leaves", 2), ("min_leaf", 1), ("n_jobs", 1),
            ("random_state", 0),
        ):  # fmt: skip
            require_whole(getattr(self, name), f"{key}.{name}", least)
        for name in ("learning_rate", "measuring_rate", "feature_share"):
            require_share(getattr(self, name), f"{key}.{name}")
        require_number(self.held_out, f"{key}.held_out", 0, 0.5)
        if self.held_out and abs(1 / self.held_out - self._turns) > 1e-6 * self._turns:
            raise InputError(f"{key}.held_out: expected 0 or 1/k, such as 0.2, got {self.held_out!r}")
        if self._turns > self.groups:
            raise InputError(
                f"{key}.held_out: to leave everybody out once at {self.held_out} takes {self._turns} groups, but there "
                f"are {self.groups} (groups); raise either, or set held_out to 0 and calibrate to false"
            )
        if not isinstance(self.calibrate, bool):
            raise InputError(f"{key}.calibrate: expected true or false, got {self.calibrate!r}")
        if self.calibrate and not self.held_out:
            raise InputError(f"{key}.calibrate: calibration needs customers who are left out, but held_out is 0")

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        treatment: ArrayLike,
        *,
        propensity: ArrayLike | None = None,
        outcome_mean: ArrayLike | None = None,
        clusters: ArrayLike | None = None,
        binned: Binned | None = None,
    ) -> "HonestCausalForest":
        """Grow and measure.

        X (n, p) finite; y (n,) finite; treatment (n,) of 0/1; propensity (n,) in (0, 1): P(T=1 | x);
        outcome_mean (n,): E[Y | x], each customer's from models that have not seen that customer; clusters (n,):
        customers who share a value are never divided; binned: X, if it has been binned already.
        LightGBM estimates what is None in three folds of whole clusters; estimated propensities are kept within [.01,
        .99]. Without clusters each customer is its own.  Raises InputError.
        """
        self.check_params()
        features, outcome, treated, cluster = _checked(X, y, treatment, clusters)
        count = int(cluster.max()) + 1
        if count < 4 * max(self._turns, 1):
            raise InputError(f"X: {count} clusters of customers; expected {4 * max(self._turns, 1)} or more")
        rng = np.random.default_rng(self.random_state)
        table = Binned(features, threads=self.n_jobs) if binned is None else binned
        fold = (rng.permutation(count) % FOLDS)[cluster]
        seed = int(rng.integers(2**31))
        if outcome_mean is None:
            self.outcome_mean_ = _cross_fit(table, features, outcome, fold, seed, self.n_jobs)
        else:
            self.outcome_mean_ = _of_length(outcome_mean, "outcome_mean", len(features))
        if propensity is None:
            self.propensity_ = np.clip(_cross_fit(table, features, treated, fold, seed, self.n_jobs), *OVERLAP)
        else:
            self.propensity_ = _of_length(propensity, "propensity", len(features))
            if not ((self.propensity_ > 0) & (self.propensity_ < 1)).all():
                raise InputError("propensity: expected chances above 0 and below 1")
        outcome, treated = outcome - self.outcome_mean_, treated - self.propensity_
        tasks = self._draw(cluster, count, rng)
        grown = run_side_by_side(
            [partial(self._grow, table, features, outcome, treated, task) for task in tasks], self.n_jobs
        )
        self.n_features_in_ = features.shape[1]
        self.mean_effect_ = float((outcome * treated).sum() / (treated**2).sum())
        self.boosters_: list[Any] = [booster for boosters, _, _ in grown for booster in boosters]
        gains = np.sum([gain for _, gain, _ in grown], axis=0)
        self.feature_importances_ = gains / gains.sum() if gains.sum() > 0 else np.zeros(features.shape[1])
        self.trees_used_, self.calibration_ = self.trees, 1.0
        if self.held_out:
            effects = [(task.left_out, effect) for task, (_, _, effect) in zip(tasks, grown, strict=True)]
            if self.calibrate:
                self.trees_used_, self.calibration_ = self._calibrate(outcome, treated, effects, cluster)
            mean, _ = self._out_of_bag(len(features), effects, self.trees_used_)
            self.oob_effect_ = self.calibration_ * mean + (1 - self.calibration_) * self.mean_effect_
        self._predictors = [_first_trees(booster, self.trees_used_) for booster in self.boosters_]
        return self

    def predict(self, X: ArrayLike) -> Floats:
        """τ̂(x), calibrated, for each row of X, (n,).  X: (n, p) as at fitting."""
        features = self._features(X)
        forest = self.tree_sum
        chunks = [features[start : start + CHUNK] for start in range(0, len(features), CHUNK)]
        parts = run_side_by_side([partial(forest.predict, chunk) for chunk in chunks], self.n_jobs)
        return np.concatenate(parts) if parts else np.zeros(0)

    def predict_variance(self, X: ArrayLike) -> Floats:
        """Sampling variance of the forest f(x) of all trees, before calibration, (n,).

        With θ_gA, θ_gB the mean effects of the two halves' sequences in group g, V₁ = mean_g (θ_gA − θ_gB)²/4.

        Given the trees, θ_gA = (2/n) Σ_{i in A} ψ_i to the first order, with ψ the customers' influences on the forest,
        so (θ_gA − θ_gB)/2 is a mean of ψ_i with random signs, whose mean square is Σ ψ_i²/n²: the delete-half
        jackknife's estimate of Var f, the "little bags" of Athey, Tibshirani & Wager (2019, section 4) in pairs. The
        halves hold 1 − held_out of the clusters and the forest all, so it is multiplied by 1 − held_out. As whole
        clusters are halved, it is robust to what they share. It counts the chance of finitely many sequences too: with
        s² the variance of the sequences of one half, V₁ is too large by s²/(2 · sequences), which is subtracted; the
        forest's own share of it, s²/(2 · sequences · groups), is added. The difference of the two, which may be
        negative by chance, is replaced by its mean given that variances are not: with a flat prior on [0, ∞) and a
        normal likelihood of standard error max(V₁, noise)·√(2/groups), as in grf. A part of the growing half's
        influence on the structure of the trees averages out over groups and swaps; that part is in V₁ and makes it a
        little too large.
        """
        return self._moments(self._features(X))[1]

    def predict_interval(self, X: ArrayLike, alpha: float = 0.05) -> tuple[Floats, Floats]:
        """Pointwise 1 − alpha intervals f(x) ± t √variance, lower and upper ends (n,); f: all trees, not calibrated.

        t: Student's with ``groups`` degrees of freedom, the number of differences behind a variance. They cover the
        expectation of the forest, and the truth where the forest's bias is small against the standard error.
        """
        from scipy.stats import t

        level = require_number(alpha, "alpha", 0, 1, low_open=True, high_open=True)
        centre, variance = self._moments(self._features(X))
        reach = float(t.ppf(1 - level / 2, self.groups)) * np.sqrt(variance)
        return centre - reach, centre + reach

    @property
    def tree_sum(self) -> TreeSum:
        """``predict`` as a sum of LightGBM models, one a sequence, each of weight β / number of sequences."""
        weight = self.calibration_ / len(self._predictors)
        parts = tuple(Part(weight, booster) for booster in self._predictors)
        return TreeSum(parts, (1 - self.calibration_) * self.mean_effect_)

    def save(self, folder: Path) -> None:
        """Write the trees as LightGBM's text and the rest as JSON into ``folder``, which exists; no training data."""
        # The mean of all trees: the calibration is stored apart, because intervals do not use it.
        TreeSum(tuple(Part(1 / len(self.boosters_), booster) for booster in self.boosters_)).save(folder)
        fitted = {
            "trees_used": self.trees_used_,
            "calibration": self.calibration_,
            "mean_effect": self.mean_effect_,
            "feature_importances": self.feature_importances_.tolist(),
        }
        (folder / FILE).write_text(json.dumps({"params": self.get_params(), "fitted": fitted}, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "HonestCausalForest":
        """What ``save`` wrote: it predicts as before; ``oob_effect_`` and the nuisances are not kept."""
        try:
            document = json.loads((folder / FILE).read_text())
            forest = cls(**document["params"])
            forest.trees_used_ = int(document["fitted"]["trees_used"])
            forest.calibration_ = float(document["fitted"]["calibration"])
            forest.mean_effect_ = float(document["fitted"]["mean_effect"])
            forest.feature_importances_ = np.array(document["fitted"]["feature_importances"], dtype=np.float64)
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise InputError(f"{folder / FILE}: expected what a forest has saved, got {problem!r}") from None
        forest.check_params()
        forest.boosters_ = [part.booster for part in TreeSum.load(folder).parts]
        if len(forest.boosters_) != 2 * forest.groups * forest.sequences:
            raise InputError(f"{folder}: {len(forest.boosters_)} sequences of trees are not those of {FILE}")
        forest._predictors = [_first_trees(booster, forest.trees_used_) for booster in forest.boosters_]
        forest.n_features_in_ = len(forest.feature_importances_)
        return forest

    @property
    def _turns(self) -> int:
        """Groups until everybody was left out once; 0 if nobody ever is."""
        return round(1 / self.held_out) if self.held_out else 0

    def _draw(self, cluster: Rows, count: int, rng: np.random.Generator) -> list[_Task]:
        """Two tasks a group, A grows and B measures, then the reverse."""
        tasks = []
        for group in range(self.groups):
            if self._turns:
                if group % self._turns == 0:
                    turn = rng.permutation(count) % self._turns
                left_out = turn == group % self._turns
            else:
                left_out = np.zeros(count, dtype=bool)
            stays = rng.permutation(np.flatnonzero(~left_out))
            first = np.zeros(count, dtype=bool)
            first[stays[: len(stays) // 2]] = True
            halves = np.flatnonzero(first[cluster]), np.flatnonzero((~first & ~left_out)[cluster])
            outside = np.flatnonzero(left_out[cluster])
            for grow, measure in (halves, halves[::-1]):
                seeds = tuple(int(seed) for seed in rng.integers(2**31, size=self.sequences))
                tasks.append(_Task(grow, measure, outside, seeds))
        return tasks

    def _grow(
        self, table: Binned, features: Floats, outcome: Floats, treated: Floats, task: _Task
    ) -> tuple[list[Any], Floats, Floats]:
        """Boosters of one half, their gains by feature (p,), and their mean effects on those left out, (trees, m).

        Row k of the effects is that of the first k + 1 trees.
        """
        grows = np.zeros(len(table), dtype=bool)
        grows[task.grow] = True
        residual = treated[task.grow]
        dataset = table.rows(grows).dataset(outcome[task.grow] / residual, residual**2)
        followed = features[np.concatenate([task.measure, task.left_out])]
        measuring = len(task.measure)
        boosters, gains = [], np.zeros(features.shape[1])
        effects = np.zeros((self.trees, len(task.left_out)))
        for seed in task.seeds:
            booster = self._sequence(dataset, seed)
            gains += booster.feature_importance("gain")
            leaf_of = booster.predict(followed, pred_leaf=True, num_threads=1).reshape(len(followed), -1).T
            leaf_of = np.ascontiguousarray(leaf_of, dtype=np.intp)
            text = booster.model_to_string(num_iteration=-1)
            values = self._measure(
                leaf_of[:, :measuring], leaves_of(text), outcome[task.measure], treated[task.measure]
            )
            # Only its text is kept: a trained booster holds on to its data.
            boosters.append(with_leaves(text, values))
            for tree, value in enumerate(values):
                effects[tree] += value[leaf_of[tree, measuring:]]
        return boosters, gains, np.cumsum(effects, axis=0) / self.sequences

    def _sequence(self, dataset: Any, seed: int) -> Any:
        lgb = lightgbm()
        random = [tree % 2 == 0 for tree in range(self.trees)] if self.trees > 1 else [False]
        parameters = BINNING | {
            "objective": "regression",
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.min_leaf,
            "learning_rate": self.learning_rate,
            "feature_fraction_bynode": self.feature_share,
            "extra_trees": random[0],
            "seed": seed,
        }
        # A change of parameters reseeds LightGBM's random thresholds: with one seed all trees would draw the same.
        seeds = np.random.default_rng(seed).integers(2**31, size=self.trees).tolist()
        change = lgb.reset_parameter(extra_trees=random, extra_seed=seeds)
        return lgb.train(parameters | {"extra_seed": seeds[0]}, dataset, self.trees, callbacks=[change])

    def _measure(self, leaf_of: Rows, leaves: Sequence[int], outcome: Floats, treated: Floats) -> list[Floats]:
        """The value of every leaf by the measuring half; the first tree also holds the half's mean.

        leaf_of: (trees, m), the leaf of each measuring customer.  leaves: how many each tree has.
        """
        weight = treated**2
        mean = (outcome * treated).sum() / weight.sum()
        # Σ T̃ (Ỹ − T̃ f) of each customer, f the effect so far.
        left = treated * outcome - weight * mean
        values = []
        for leaf, count in zip(leaf_of, leaves, strict=True):
            above = np.bincount(leaf, weights=left, minlength=count)
            below = np.bincount(leaf, weights=weight, minlength=count)
            # A leaf without measuring customers adds nothing to the trees before it.
            values.append(self.measuring_rate * np.divide(above, below, out=np.zeros(count), where=below > 0))
            left -= weight * values[-1][leaf]
        values[0] += mean
        return values

    def _out_of_bag(self, n: int, effects: Sequence[tuple[Rows, Floats]], trees: int) -> tuple[Floats, Floats]:
        """Mean effect over the groups that left a customer out, (n,), and by how much more it varies than the forest.

        The latter is s²(1/k − 1/groups) for k groups of variance s²; 0 where k is 1, as one group has no variance.
        """
        count, total, square = np.zeros(n), np.zeros(n), np.zeros(n)
        for (rows, first), (_, second) in zip(effects[::2], effects[1::2], strict=True):
            effect = (first[trees - 1] + second[trees - 1]) / 2
            count[rows] += 1
            total[rows] += effect
            square[rows] += effect**2
        mean = total / count
        spread = np.maximum(square - count * mean**2, 0) / np.maximum(count - 1, 1)
        return mean, spread * (1 / count - 1 / self.groups)

    def _calibrate(
        self, outcome: Floats, treated: Floats, effects: Sequence[tuple[Rows, Floats]], cluster: Rows
    ) -> tuple[int, float]:
        """Number of trees k and slope β of least R-loss Σ (Ỹ − T̃ (τ̄ + β (f_k − τ̄)))².

        f_k is the mean of the groups that left a customer out, which are fewer than the forest's. The variance that
        this adds is subtracted, because noise in a regressor draws its slope to 0. A slope β̂ of cluster-robust
        variance v is itself shrunk by the factor β̂²/(β̂² + v): one that may well be chance is hardly believed, but a
        weak forest still ranks. Where no β̂ is positive, β is 0 and all effects are τ̄.
        """
        weight = treated**2
        left = treated * outcome - weight * self.mean_effect_
        best, chosen = 0.0, (1, 0.0)
        for trees in range(1, self.trees + 1):
            mean, noise = self._out_of_bag(len(outcome), effects, trees)
            differs = mean - self.mean_effect_
            agrees = float((left * differs).sum())
            varies = float((weight * (differs**2 - noise)).sum())
            if agrees <= 0 or varies <= 0:
                continue
            slope = agrees / varies
            unexplained = np.bincount(cluster, weights=(left - min(slope, 1.0) * weight * differs) * differs)
            slope = min(slope / (1 + float((unexplained**2).sum()) / agrees**2), 1.0)
            gain = 2 * slope * agrees - slope**2 * varies
            if gain > best:
                best, chosen = gain, (trees, slope)
        return chosen

    def _moments(self, features: Floats) -> tuple[Floats, Floats]:
        """f(x) and its variance."""
        if self.sequences < 2:
            raise InputError("HonestCausalForest.sequences: variances need 2 or more of either half")
        chunks = [features[start : start + CHUNK] for start in range(0, len(features), CHUNK)]
        parts = run_side_by_side([partial(self._moments_of, chunk) for chunk in chunks], self.n_jobs)
        if not parts:
            return np.zeros(0), np.zeros(0)
        return np.concatenate([f for f, _ in parts]), np.concatenate([variance for _, variance in parts])

    def _moments_of(self, features: Floats) -> tuple[Floats, Floats]:
        each = np.stack([booster.predict(features, num_threads=1) for booster in self.boosters_])
        each = each.reshape(self.groups, 2, self.sequences, len(features))
        halves = each.mean(axis=2)
        spread = ((halves[:, 0] - halves[:, 1]) ** 2).mean(axis=0) / 4
        noise = each.var(axis=2, ddof=1).mean(axis=(0, 1)) / (2 * self.sequences)
        sampling = (1 - self.held_out) * _not_negative(spread, noise, self.groups)
        return halves.mean(axis=(0, 1)), sampling + noise / self.groups

    def _features(self, X: ArrayLike) -> Floats:
        if not hasattr(self, "boosters_"):
            raise InputError("HonestCausalForest: not fitted yet; call fit first")
        features = _table(X)
        if features.shape[1] != self.n_features_in_:
            raise InputError(f"X: {features.shape[1]} features; the forest was fitted to {self.n_features_in_}")
        return features


def _not_negative(spread: Floats, noise: Floats, groups: int) -> Floats:
    """Mean of a normal around spread − noise, of standard error max(spread, noise)·√(2/groups), above 0."""
    from scipy.special import log_ndtr

    error = np.maximum(spread, noise) * np.sqrt(2 / groups)
    difference = spread - noise
    ratio = np.divide(difference, error, out=np.zeros_like(error), where=error > 0)
    # φ(r)/Φ(r) by logarithms: both vanish far below 0.
    above = difference + error * np.exp(-(ratio**2) / 2 - np.log(2 * np.pi) / 2 - log_ndtr(ratio))
    return np.asarray(np.maximum(above, 0.0))


def _cross_fit(table: Binned, features: Floats, target: Floats, fold: Rows, seed: int, threads: int) -> Floats:
    """E[target | x] of each customer from models of the other folds, (n,).

    All folds use the number of trees, of ``COUNTS``, with the least squared error on the held-out customers.
    """
    means = means_after(COUNTS, table, features, target, fold, NUISANCE, seed, threads)
    return means[:, int(np.argmin(((means - target[:, np.newaxis]) ** 2).mean(axis=0)))]


def _first_trees(booster: Any, trees: int) -> Any:
    """A booster of its first trees alone."""
    if booster.num_trees() <= trees:
        return booster
    return lightgbm().Booster(model_str=booster.model_to_string(num_iteration=trees))


def _table(X: ArrayLike) -> Floats:
    features = np.ascontiguousarray(X, dtype=np.float64)
    if features.ndim != 2:
        raise InputError(f"X: expected a table (customers, features), got the shape {features.shape}")
    if not np.isfinite(features).all():
        column = int(np.flatnonzero(~np.isfinite(features).all(axis=0))[0])
        raise InputError(f"X: column {column} has values that are not finite; fill them in beforehand")
    return features


def _of_length(values: ArrayLike, name: str, n: int) -> Floats:
    numbers = require_finite(values, name)
    if len(numbers) != n:
        raise InputError(f"{name}: {len(numbers):,} values for {n:,} rows of X")
    return numbers


def _checked(
    X: ArrayLike, y: ArrayLike, treatment: ArrayLike, clusters: ArrayLike | None
) -> tuple[Floats, Floats, Floats, Rows]:
    features = _table(X)
    n = len(features)
    outcome, treated = _of_length(y, "y", n), _of_length(treatment, "treatment", n)
    if not np.isin(treated, (0.0, 1.0)).all():
        raise InputError("treatment: expected 0 and 1 alone")
    for arm, name in ((0, "control"), (1, "treated")):
        if not (treated == arm).any():
            raise InputError(f"treatment: no {name} customer among {n:,}; expected both arms")
    if clusters is None:
        return features, outcome, treated, np.arange(n)
    codes = np.asarray(clusters)
    if codes.shape != (n,):
        raise InputError(f"clusters: the shape {codes.shape} for {n:,} rows of X; expected one value a row")
    return features, outcome, treated, np.unique(codes, return_inverse=True)[1].astype(np.intp)
