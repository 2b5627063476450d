"""Double machine learning of one average effect per dollar: y = θ·d + g(x) + ε, d = m(x) + v.

Source: Chernozhukov et al. (2018), "Double/debiased machine learning for treatment and structural parameters"; the
forest's average: Athey, Tibshirani & Wager (2019), "Generalized random forests", and Nie & Wager (2021).
The nuisances E[y | x] and E[d | x] are boosted trees, fitted once and predicted for customers that they have not seen;
econml's LinearDML and CausalForestDML read them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin

from promotions.base.errors import InputError
from promotions.base.validation import require_keys, require_share, require_whole
from promotions.boosting.cross_fitting import out_of_fold
from promotions.boosting.settings import Boosting, make_regressor
from promotions.discount.regression import Slope, clustered_numbers, least_squares, slope_of
from promotions.inference.clusters import clustered_error
from promotions.inference.estimates import Effect

Floats = NDArray[np.float64]

# Least variance of the dose, as a share of the mean one: otherwise customers with an almost certain discount would get
# unbounded weights.
LEAST_VARIANCE = 0.05


@dataclass(frozen=True)
class Nuisances:
    """Predictions for customers that the models have not seen.

    outcome: by name of the outcome, (n,) E[y | x].  dose: (n,) E[d | x].  dose_variance: (n,) Var[d | x].
    """

    outcome: dict[str, Floats]
    dose: Floats
    dose_variance: Floats


@dataclass(frozen=True)
class Forest:
    """A causal forest. trees: a multiple of 4.  min_leaf: customers in a leaf.  row_share: of each tree, below .5."""

    trees: int = 100
    min_leaf: int = 50
    row_share: float = 0.45

    @classmethod
    def from_params(cls, params: Mapping[str, Any], key: str) -> "Forest":
        """Read a section of params.yaml. Raises InputError naming an unknown key or a value out of range."""
        require_keys(params, ("trees", "min_leaf", "row_share"), key)
        trees = require_whole(params["trees"], f"{key}.trees", 4)
        if trees % 4:
            raise InputError(f"{key}.trees: trees grow in groups of four; expected a multiple of 4, got {trees}")
        share = require_share(params["row_share"], f"{key}.row_share")
        if share >= 0.5:
            raise InputError(f"{key}.row_share: expected a share below 0.5, got {share:g}")
        return cls(trees, require_whole(params["min_leaf"], f"{key}.min_leaf", 1), share)


def cross_fit(
    outcomes: Mapping[str, Floats],
    dose: Floats,
    controls: Floats,
    clusters: NDArray[np.intp],
    model: Boosting,
    folds: int,
    rng: np.random.Generator,
) -> Nuisances:
    """Predict each fold by models of the other folds; customers of a cluster share a fold.

    The variance of the dose is the prediction of its squared residual, at least 5 % of the mean one.

    outcomes: each (n,).  dose: (n,).  controls: (n, k).  clusters: (n,) codes; without clusters, one code a customer.
    Raises InputError if there are fewer clusters than folds.
    """
    fold = folds_of(clusters, folds, rng)
    seed = int(rng.integers(2**31))

    def predict(target: Floats) -> Floats:
        def without(held: NDArray[np.bool_]) -> Floats:
            fitted = make_regressor(model, binary=False, seed=seed).fit(controls[~held], target[~held])
            return np.asarray(fitted.predict(controls[held]))

        return out_of_fold(fold, without)

    expected = predict(dose)
    squared = (dose - expected) ** 2
    variance = np.maximum(predict(squared), LEAST_VARIANCE * squared.mean())
    return Nuisances({name: predict(outcome) for name, outcome in outcomes.items()}, expected, variance)


def folds_of(clusters: NDArray[np.intp], folds: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """A fold for each customer, (n,): clusters in random order, the largest first, each into the smallest fold."""
    sizes = np.bincount(clusters)
    if len(sizes) < folds:
        raise InputError(
            f"discount.effect.folds: {len(sizes)} clusters cannot be parted into {folds} folds; ask for fewer folds, "
            "or leave discount.effect.cluster empty"
        )
    shuffled = rng.permutation(len(sizes))
    if (sizes == 1).all():
        return np.asarray(shuffled[clusters] % folds, dtype=np.intp)
    of_cluster, load = np.empty(len(sizes), dtype=np.intp), np.zeros(folds)
    for cluster in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        of_cluster[cluster] = int(load.argmin())
        load[of_cluster[cluster]] += sizes[cluster]
    return of_cluster[clusters]


@dataclass(frozen=True)
class PartiallyLinear:
    """θ̂ with its errors, and the residuals (n,) of outcome and dose that it is the slope of."""

    slope: Slope
    outcome_residual: Floats
    dose_residual: Floats


def linear_dml(
    outcome: Floats, dose: Floats, expected_outcome: Floats, expected_dose: Floats, clusters: NDArray[np.intp] | None
) -> PartiallyLinear:
    """θ̂ = Σ ṽ ỹ / Σ ṽ² with ỹ = y − E[y | x], ṽ = d − E[d | x]: econml's LinearDML without effect modifiers.

    Where effects differ, θ is their mean weighted by Var[d | x]; where they are not linear in the dose, the slope at
    the doses given.

    outcome, dose, expected_outcome, expected_dose: (n,).  clusters: (n,) codes for the clustered error, or None.
    Raises InputError if the controls predict every discount.
    """
    from econml.dml import LinearDML

    require_variation(dose, expected_dose)
    predictions = np.column_stack([expected_outcome, expected_dose])
    fitted = LinearDML(model_y=_Column(-2), model_t=_Column(-1), cv=2, random_state=0)
    fitted.fit(outcome, dose, X=None, W=predictions, cache_values=True)
    outcome_residual, dose_residual = (np.asarray(part, dtype=np.float64) for part in fitted.residuals_[:2])
    # The errors are those of the last regression; econml has no clustered one.
    last = slope_of(least_squares(outcome_residual, dose_residual[:, None]), 0, clusters)
    robust = Effect.student(float(fitted.intercept_), float(np.ravel(fitted.intercept__inference().stderr)[0]))
    return PartiallyLinear(Slope(robust, last.classical, last.clustered, last.freedom), outcome_residual, dose_residual)


@dataclass(frozen=True)
class ForestEffect:
    """A mean effect: robust as if customers were independent, clustered (None without clusters)."""

    robust: Effect
    clustered: Effect | None

    def to_dict(self) -> dict[str, float]:
        """The robust effect; clustered_error, _ci_low and _ci_high where there are clusters."""
        return self.robust.to_dict() | clustered_numbers(self.clustered)


def forest_dml(
    outcome: Floats,
    dose: Floats,
    features: Floats,
    nuisances: Nuisances,
    name: str,
    forest: Forest,
    seed: int,
    clusters: NDArray[np.intp] | None,
) -> ForestEffect:
    """The mean over customers of the effects that econml's CausalForestDML finds, corrected for the forest's own error.

        θ̂ = mean ψ,   ψ = τ̂(x) + ṽ·(ỹ − τ̂(x)·ṽ)/Var[d | x]

    τ̂ is out of bag. The second part has mean 0 if τ̂ is right; where τ̂ smooths too much, it takes the bias away. Unlike
    in LinearDML's θ, every customer counts alike.

    outcome, dose: (n,).  features: (n, k) on which the effect may depend.  nuisances: with the outcome ``name``.
    clusters: (n,) codes for the clustered error, or None.
    Raises InputError if the controls predict every discount.
    """
    from econml.dml import CausalForestDML

    require_variation(dose, nuisances.dose)
    expected = nuisances.outcome[name]
    fitted = CausalForestDML(
        model_y=_Column(-2),
        model_t=_Column(-1),
        cv=2,
        n_estimators=forest.trees,
        min_samples_leaf=forest.min_leaf,
        max_samples=forest.row_share,
        inference=False,
        n_jobs=1,
        random_state=seed,
    ).fit(outcome, dose, X=features, W=np.column_stack([expected, nuisances.dose]))
    effect = np.ravel(fitted.model_cate.oob_predict(features))
    if not np.isfinite(effect).all():
        raise InputError("discount.effect.forest.trees: too few for every customer to be out of bag once; raise it")
    left = dose - nuisances.dose
    scores = effect + left / nuisances.dose_variance * (outcome - expected - effect * left)
    mean, influence = float(scores.mean()), (scores - scores.mean()) / len(scores)
    robust = Effect.student(mean, clustered_error(influence, np.arange(len(scores))), len(scores) - 1)
    if clusters is None:
        return ForestEffect(robust, None)
    return ForestEffect(robust, Effect.student(mean, clustered_error(influence, clusters), int(clusters.max())))


def require_variation(dose: Floats, expected: Floats) -> None:
    """Raise InputError unless the dose varies among customers who are alike in what predicts it."""
    if not ((dose - expected) ** 2).sum() > 1e-10 * ((dose - dose.mean()) ** 2).sum():
        raise InputError(
            "discount: what is controlled for predicts every discount; double ML needs customers who are alike and "
            "were given different discounts"
        )


class _Column(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted model: its predictions are a column of the features, counted from the end."""

    def __init__(self, column: int) -> None:
        self.column = column

    def fit(self, _features: Any, _target: Any) -> "_Column":
        self.fitted_ = True
        return self

    def predict(self, features: Floats) -> Floats:
        return features[:, self.column]
