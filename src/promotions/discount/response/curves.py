"""How the sales of each customer respond to the size of a discount, learned from a log that was not randomised.

Double machine learning on the log alone: sales and dose are first freed of what the controls
predict, each customer by models that have not seen it. The rest of the sales is then explained by the rest of the dose.
The log's own prediction of sales decided the discounts, so it is a control. The customers to predict have no such
column: their response is a function of their features alone. Doses that the log does not support get no curve.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.encoding import as_numbers, fit_encoder, is_number
from promotions.base.errors import InputError
from promotions.base.parallel import run_side_by_side
from promotions.base.rounding import product
from promotions.base.validation import require_keys, require_number, require_whole
from promotions.boosting.settings import Boosting, lightgbm
from promotions.discount.response.learners import BINNING, DoseTraining, Floats, make_response_learner, ramps
from promotions.discount.tables import in_order_of_content, require_levels

SECTION = "discount.response"
# Most levels of a category that get a column; rarer levels get none.
MAX_LEVELS = 30
# More levels than this are not a design with levels.
MOST_LEVELS = 200
# The forest that says which customers are alike: trees, leaves of each, customers of the log in a leaf.
TREES, LEAVES, LEAF = 50, 32, 200
# Ramps that share one task, and with it one binning of the controls.
RAMPS_A_TASK = 12


@dataclass(frozen=True)
class Settings:
    """How responses are learned; see params.yaml.

    folds: of the cross-fitting, and of the held-out score.  groups: leave-out refits behind the errors.  most_knots: of
    a curve.  monotone: whether sales may fall in the dose.  outside: share of the customers to predict that may lie
    outside the log's range of a feature.  support_share, support_customers: of the log's customers nearby.
    """

    folds: int
    groups: int
    most_knots: int
    monotone: bool
    outside: float
    support_share: float
    support_customers: float
    sales: Boosting
    dose: Boosting

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> "Settings":
        """Read ``discount.response``. Raises InputError."""
        keys = ("folds", "groups", "most_knots", "monotone", "outside", "support", "sales", "dose")
        require_keys(params, keys, SECTION)
        if not isinstance(params["monotone"], bool):
            raise InputError(f"{SECTION}.monotone: expected true or false, got {params['monotone']!r}")
        if not isinstance(params["support"], Mapping):
            raise InputError(f"{SECTION}.support: expected the keys share, customers, got {params['support']!r}")
        require_keys(params["support"], ("share", "customers"), f"{SECTION}.support")
        return cls(
            folds=require_whole(params["folds"], f"{SECTION}.folds", 2),
            groups=require_whole(params["groups"], f"{SECTION}.groups", 2),
            most_knots=require_whole(params["most_knots"], f"{SECTION}.most_knots", 2),
            monotone=params["monotone"],
            outside=require_number(params["outside"], f"{SECTION}.outside", 0, 1, noun="share"),
            support_share=require_number(params["support"]["share"], f"{SECTION}.support.share", 0, 1, noun="share"),
            support_customers=require_number(params["support"]["customers"], f"{SECTION}.support.customers", 0),
            sales=Boosting.from_params(params["sales"], f"{SECTION}.sales"),
            dose=Boosting.from_params(params["dose"], f"{SECTION}.dose"),
        )


@dataclass(frozen=True)
class Curves:
    """Response curves of m customers at L levels.

    levels (L,), ascending.  supported (m, L): whether the log knows enough of such a customer at such a dose.  sales
    and error: by learner, (m, L); expected sales, and the standard error of their difference to the customer's lowest
    supported level; NaN at levels outside the log's doses.
    """

    levels: Floats
    supported: NDArray[np.bool_]
    sales: dict[str, Floats]
    error: dict[str, Floats]

    def to_frame(self, row: NDArray[np.int64]) -> pd.DataFrame:
        """``row, learner, level, sales, error, supported``, a row for each learner, customer and level."""
        m, count = self.supported.shape
        parts = [
            pd.DataFrame(
                {
                    "row": np.repeat(row, count),
                    "learner": name,
                    "level": np.tile(self.levels, m),
                    "sales": self.sales[name].ravel(),
                    "error": self.error[name].ravel(),
                    "supported": self.supported.ravel(),
                }
            )
            for name in self.sales
        ]
        return pd.concat(parts, ignore_index=True)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> "Curves":
        """The curves that ``to_frame`` wrote, customers in the order of their first row."""
        levels = np.unique(frame["level"].to_numpy(np.float64))
        names = [str(name) for name in frame["learner"].unique()]

        def square(column: str) -> Floats:
            return np.asarray(part[column].to_numpy().reshape(-1, len(levels)))

        sales, error = {}, {}
        for name in names:
            part = frame[frame["learner"] == name]
            sales[name], error[name] = square("sales"), square("error")
        return cls(levels, square("supported").astype(bool), sales, error)


@dataclass(frozen=True)
class Responses:
    """What the learners learned.

    explained: by learner, the share of the sales residual's variance that the dose explains in customers held out (one
    less the R-learner's loss over that of no response).  best: the learner with the largest among those fitted to
    residuals (one that is not may fit as well and still be off by what controls and dose share).  features: used.
    left_out: features not used, with the share of the customers outside the log's range.
    """

    curves: Curves
    explained: dict[str, float]
    best: str
    features: list[str]
    left_out: dict[str, float]

    def metrics(self) -> dict[str, Any]:
        """What ``metrics/discount/cate.json`` says."""
        supported = self.curves.supported
        return {
            "best_learner": self.best,
            "features": len(self.features),
            "share_without_support": float((~supported.any(axis=1)).mean()),
            "left_out": dict(self.left_out),
            "learners": {name: {"explained": share} for name, share in self.explained.items()},
            "levels_beyond_the_log": int((~supported.any(axis=0)).sum()),
            "supported": {
                f"{level:g}": float(share)
                for level, share in zip(self.curves.levels, supported.mean(axis=0), strict=True)
                if share > 0
            },
        }


def design_levels(dose: Floats) -> Floats:
    """The levels that a randomised table gave, ascending. Raises InputError if it is no experiment with levels."""
    if not len(dose):
        raise InputError(
            "discount: there is no randomised table, so no dose can be judged; name one in discount.files.randomised"
        )
    require_levels(dose, "randomised")
    levels = np.unique(dose)
    if len(levels) > MOST_LEVELS:
        raise InputError(
            f"discount: the randomised table has {len(levels):,} different discounts; expected at most {MOST_LEVELS} "
            "levels; round them, so that each was given to some customers"
        )
    return np.asarray(levels, dtype=np.float64)


def require_same_customers(row: NDArray[np.int64], customers: NDArray[np.int64], path: str) -> None:
    """Raise InputError unless the table at ``path`` is about these customers, in their order."""
    if not np.array_equal(row, customers):
        raise InputError(
            f"discount: {path} has {len(row):,} customers who are not the {len(customers):,} of the randomised table, "
            "or not in its order; run `dvc repro`"
        )


def comparable_features(
    log: pd.DataFrame, target: pd.DataFrame, features: list[str], outside: float
) -> tuple[list[str], dict[str, float]]:
    """Features that cover the customers to predict as well as the log, and features that do not.

    A feature is left out if more than ``outside`` of the target's known values lie beyond the smallest and largest of
    the log's (a number), or are levels that the log lacks (a category): the log cannot show the response
    there. Returns (kept, {left out: share beyond}).
    """
    kept, left_out = [], {}
    for name in features:
        if is_number(log[name]):
            log_values, target_values = as_numbers(log[name]), as_numbers(target[name])
            target_values = target_values[~np.isnan(target_values)]
            beyond = (
                (target_values < np.nanmin(log_values)) | (target_values > np.nanmax(log_values))
                if (~np.isnan(log_values)).any()
                else target_values == target_values
            )
        else:
            beyond = ~target[name].dropna().isin(log[name].dropna().unique()).to_numpy()
        share = float(beyond.mean()) if len(beyond) else 0.0
        if share > outside:
            left_out[name] = share
        else:
            kept.append(name)
    return kept, left_out


def dose_knots(dose: Floats, most: int) -> Floats:
    """Where a curve may bend: at every dose of the log, or at so many quantiles of them. Ascending, at least two."""
    require_levels(dose, "observational")
    knots = np.unique(dose)
    if len(knots) > most:
        knots = np.unique(np.quantile(dose, np.linspace(0, 1, most), method="closest_observation"))
    # All quantiles are equal if enough customers share one dose.
    return knots if len(knots) > 1 else np.array([dose.min(), dose.max()])


def learn_responses(
    log: pd.DataFrame,
    target: pd.DataFrame,
    levels: Floats,
    features: list[str],
    predictions: list[str],
    learners: Mapping[str, Mapping[str, Any] | None],
    settings: Settings,
    rng: np.random.Generator,
    threads: int = 1,
) -> Responses:
    """Fit every learner to the log and predict the sales of every target customer at every level.

    With Δ̂ a learner's increments, ŝ(x, d) = m̂(x) + Σ_j Δ̂_j(x) (r_j(d) − ê_j(x)), m̂ and ê the log's expected sales and
    ramps given x alone. ``monotone`` puts the values of each curve in order, which brings it nearer to any curve that
    rises (rearrangement; Chernozhukov, Fernández-Val & Galichon, 2009). Errors: jackknife over ``groups`` of the log's
    customers, var = (G − 1)/G Σ_g (θ_g − θ̄)², of the learner but not of the residuals that all share; these enter
    with products of errors only (orthogonality).

    log: ``sales``, ``discount``, features, predictions.  target: the same features; nothing else of it is read.
    levels (L,): of the target's design.  features: measured before the discount.  predictions: of the log alone.
    learners: name → its parameters.  Raises InputError.
    """
    if not learners:
        raise InputError("discount.learners: no learner is listed in params.yaml; at least one is needed")
    if not len(log):
        raise InputError(
            "discount: there is no observational table, so no response can be learned; "
            "name one in discount.files.observational"
        )
    for name, params in learners.items():
        make_response_learner(name, params, 0)
    # The order of the rows depends on the used columns alone, not on the file.
    log = in_order_of_content(log[["sales", "discount", *features, *predictions]])
    dose, sales = log["discount"].to_numpy(np.float64), log["sales"].to_numpy(np.float64)
    knots = dose_knots(dose, settings.most_knots)
    if not ((levels >= knots[0]) & (levels <= knots[-1])).any():
        raise InputError(
            f"discount: the observational table has discounts from {knots[0]:g} to {knots[-1]:g} and the randomised "
            f"table none of them, but {levels[0]:g} to {levels[-1]:g}; expected levels that the log has seen"
        )
    kept, left_out = comparable_features(log, target, features, settings.outside)
    if not kept:
        raise InputError(
            "discount: there is no feature in which the customers of the two tables are alike; expected at least one"
        )
    encoder = fit_encoder(log, kept, MAX_LEVELS)
    log_features, target_features = encoder.transform(log), encoder.transform(target)
    # Every column measured before the discount is a control, even if the target lacks it.
    beside = [*left_out, *predictions]
    controls = np.column_stack([log_features, fit_encoder(log, beside, MAX_LEVELS).transform(log)])

    seeds = rng.integers(2**31, size=4)
    fold = np.random.default_rng(seeds[0]).permutation(len(log)) % settings.folds
    rising = ramps(dose, knots)
    residuals = _residuals(controls, sales, rising, fold, settings, int(seeds[1]), threads)
    train = DoseTraining(log_features, controls, sales, dose, knots, residuals[:, 0], residuals[:, 1:])
    everybody = np.zeros((1, len(log)), dtype=bool)
    expected = _predict_held(
        log_features, target_features, np.column_stack([sales, rising]), everybody, settings, int(seeds[1]), threads
    )
    supported = dose_support(log_features, dose, target_features, levels, settings, int(seeds[2]))

    group = np.random.default_rng(seeds[3]).permutation(len(log)) % settings.groups
    at = ramps(levels, knots)
    seen = (levels >= knots[0]) & (levels <= knots[-1])
    lowest = np.argmax(supported, axis=1)
    all_sales, all_errors, explained = {}, {}, {}
    for name, params in learners.items():
        curve, without, held = fit_everywhere(
            name, params, train, target_features, group, settings, int(seeds[1]), threads
        )
        error = residuals[:, 0] - (train.ramp_residual * held).sum(axis=1)
        explained[name] = float(1 - (error @ error) / (residuals[:, 0] @ residuals[:, 0]))
        predicted = expected[:, [0]] + product(curve, at.T) - (curve * expected[:, 1:]).sum(axis=1, keepdims=True)
        differences = np.array([_from(product(part, at.T), lowest) for part in without])
        spread = np.sqrt(
            (settings.groups - 1) / settings.groups * ((differences - differences.mean(axis=0)) ** 2).sum(0)
        )
        all_sales[name] = np.where(seen, predicted, np.nan)
        all_errors[name] = np.where(seen, spread, np.nan)
    best = _best_learner(learners, explained)
    return Responses(Curves(levels, supported, all_sales, all_errors), explained, best, kept, left_out)


def dose_support(
    features: Floats, dose: Floats, target: Floats, levels: Floats, settings: Settings, seed: int
) -> NDArray[np.bool_]:
    """Whether the log holds enough customers like the target's who got about that dose, (m, L).

    A forest of the dose on the features finds similar customers: the conditional density of the dose, the generalised
    propensity, is the mean over its trees of the share of a leaf's customers whose dose is near the level (Meinshausen
    2006, "Quantile regression forests"), and the number nearby the mean over trees of how many those are. Both must
    reach their minimum. Near: no farther than the next level. A level beyond the log's doses has no support.
    """
    lgb = lightgbm()
    least = max(2, min(LEAF, len(dose) // 10))
    parameters = settings.dose.arguments(seed) | {
        "objective": "regression",
        "boosting": "rf",
        "num_leaves": LEAVES,
        "min_child_samples": least,
        "subsample": 0.6,
        "subsample_freq": 1,
        # Each tree may use all features: without those that decide the dose, all customers would look alike.
        "colsample_bytree": 1.0,
        "reg_lambda": 0.0,
    }
    data = lgb.Dataset(features, dose, params=BINNING)
    booster = lgb.train(parameters, data, num_boost_round=TREES)
    near = near_levels(dose, levels).astype(np.float64)
    shares, numbers = np.zeros((2, len(target), len(levels)))
    leaf_of = booster.predict(features, pred_leaf=True, num_threads=1).reshape(len(features), -1).astype(np.intp)
    target_leaves = booster.predict(target, pred_leaf=True, num_threads=1).reshape(len(target), -1).astype(np.intp)
    for log_leaf, target_leaf in zip(leaf_of.T, target_leaves.T, strict=True):
        table = np.column_stack([np.bincount(log_leaf, column, minlength=LEAVES) for column in near.T])
        size = np.maximum(np.bincount(log_leaf, minlength=LEAVES), 1)
        numbers += table[target_leaf] / leaf_of.shape[1]
        shares += (table / size[:, None])[target_leaf] / leaf_of.shape[1]
    within = (levels >= dose.min()) & (levels <= dose.max())
    return np.asarray((shares >= settings.support_share) & (numbers >= settings.support_customers) & within)


def near_levels(dose: Floats, levels: Floats) -> NDArray[np.bool_]:
    """Whether a dose lies no farther from a level than the next level does, (n, L)."""
    gaps = np.diff(levels)
    below, above = np.concatenate([gaps[:1], gaps]), np.concatenate([gaps, gaps[-1:]])
    return (dose[:, None] >= levels - below) & (dose[:, None] <= levels + above)


def _residuals(
    controls: Floats, sales: Floats, rising: Floats, fold: NDArray[np.intp], settings: Settings, seed: int, threads: int
) -> Floats:
    """Sales and ramps less what the controls predict, each customer by models of the other folds: (n, 1 + J)."""
    outcomes = np.column_stack([sales, rising])
    held = np.array([fold == number for number in range(settings.folds)])
    return outcomes - _predict_held(controls, controls, outcomes, held, settings, seed, threads)


def _predict_held(
    log_features: Floats,
    target_features: Floats,
    outcomes: Floats,
    held: NDArray[np.bool_],
    settings: Settings,
    seed: int,
    threads: int,
) -> Floats:
    """Predictions of every outcome (the first with the settings of sales) from models that see the rows not held.

    held: (rounds, n) boolean. A round's models predict the rows that it holds; one that holds none predicts all of
    ``target_features``.
    """
    lgb = lightgbm()
    count = outcomes.shape[1]
    chunks = [np.arange(start, min(start + RAMPS_A_TASK, count)) for start in range(0, count, RAMPS_A_TASK)]

    def task(number: int, columns: NDArray[np.intp]) -> Floats:
        apart = held[number]
        seen = ~apart
        rows = target_features[apart] if apart.any() else target_features
        # The controls are binned once for all outcomes.
        shared = BINNING | {"feature_pre_filter": False}
        data = lgb.Dataset(log_features[seen], outcomes[seen, 0], params=shared, free_raw_data=False).construct()
        predictions = np.empty((len(rows), len(columns)))
        for place, column in enumerate(columns):
            boosting = settings.sales if column == 0 else settings.dose
            data.set_label(outcomes[seen, column])
            arguments = boosting.arguments(seed) | shared | {"objective": "regression"}
            booster = lgb.train(arguments, data, num_boost_round=boosting.trees)
            predictions[:, place] = booster.predict(rows, num_threads=1)
        return predictions

    jobs = [(number, columns) for number in range(len(held)) for columns in chunks]
    parts = run_side_by_side([partial(task, *job) for job in jobs], threads)
    predicted = np.empty((len(target_features), count))
    for (number, columns), part in zip(jobs, parts, strict=True):
        rows = np.flatnonzero(held[number]) if held[number].any() else np.arange(len(target_features))
        predicted[np.ix_(rows, columns)] = part
    return predicted


def fit_everywhere(
    name: str,
    params: Mapping[str, Any] | None,
    train: DoseTraining,
    target_features: Floats,
    group: NDArray[np.intp],
    settings: Settings,
    seed: int,
    threads: int,
) -> tuple[Floats, list[Floats], Floats]:
    """Increments of three fits: all customers, all but each group, and each group predicted by the others.

    The first two are for ``target_features``, the third for the customers of the log.
    """

    def fit(held: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        learner = make_response_learner(name, params, seed).fit(train.rows(~held))
        held_increments = (
            learner.increments(train.features[held]) if held.any() else np.empty((0, train.ramp_residual.shape[1]))
        )
        everybody, apart = (
            _rearranged(part, monotone=settings.monotone)
            for part in (learner.increments(target_features), held_increments)
        )
        return everybody, apart

    masks = [np.zeros(len(group), dtype=bool), *(group == number for number in range(settings.groups))]
    fitted = run_side_by_side([partial(fit, mask) for mask in masks], threads)
    held = np.empty_like(train.ramp_residual)
    for mask, (_, held_increments) in zip(masks[1:], fitted[1:], strict=True):
        held[mask] = held_increments
    return fitted[0][0], [curves for curves, _ in fitted[1:]], held


def _best_learner(learners: Mapping[str, Mapping[str, Any] | None], explained: Mapping[str, float]) -> str:
    """The learner that explains most; of equals (to nine digits) the first by name."""
    able = [name for name, params in learners.items() if make_response_learner(name, params, 0).orthogonal]
    return min(able or list(learners), key=lambda name: (-round(explained[name], 9), name))


def _rearranged(increments: Floats, *, monotone: bool) -> Floats:
    """Increments of the curves with their values in ascending order, if they are known to rise."""
    if not monotone:
        return increments
    curve = np.column_stack([np.zeros(len(increments)), np.cumsum(increments, axis=1)])
    return np.diff(np.sort(curve, axis=1), axis=1)


def _from(curves: Floats, lowest: NDArray[np.intp]) -> Floats:
    """Curves (m, L) as differences to each customer's own level ``lowest``."""
    return curves - curves[np.arange(len(curves)), lowest][:, None]
