"""For whom does a discount pay: its effect by bins of customers' columns, and the rule that follows.

The effect of a dollar is the slope of profit (or sales) on the discount, among customers whose discount was drawn by
lot. The customers are split by age, tenure, predicted sales or any other column measured before the discount. This
module puts it together, column by column: ``group_bins``, ``group_effects``, ``gain_curves``, ``group_rules``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from promotions.base.encoding import as_numbers, fit_encoder
from promotions.base.errors import InputError
from promotions.base.validation import require_keys, require_whole
from promotions.boosting.settings import Boosting, make_regressor
from promotions.discount.groups.bins import Bins, Codes, Floats, fit_bands, fit_bins
from promotions.discount.groups.effects import KEY, BinEffects, effects_by_bin, slope
from promotions.discount.groups.gain_curves import Curves, cumulative_curves
from promotions.discount.groups.rules import GroupRule, evaluate_bands, means_of_other_folds, rule_from_means
from promotions.discount.rules import RuleValue
from promotions.discount.tables import in_order_of_content
from promotions.inference.clusters import Z_95

OUTCOMES = ("profit", "sales")
PREDICTED = "predicted_sales"
FOLDS = 5
# A prediction with no more values than these is binned.
FEW = 50
# Most features that an error lists.
NAMED = 8
LOG, TEST = "log", "test"


@dataclass(frozen=True)
class Settings:
    """by: bins (or cuts) of each column.  bands: of the discount above 0.  least: customers of a bin or band."""

    by: Mapping[str, int | tuple[float, ...]]
    bands: int | tuple[float, ...]
    least: int
    model: Boosting

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> "Settings":
        """Read discount.groups of params.yaml. Raises InputError."""
        require_keys(params, ("by", "bands", "least", "model"), KEY)
        if not isinstance(params["by"], Mapping) or not params["by"]:
            raise InputError(
                f"{KEY}.by: expected columns with a number of bins or a list of cuts, got {params['by']!r}"
            )
        by = {str(name): _spec(spec, f"{KEY}.by.{name}") for name, spec in params["by"].items()}
        least = require_whole(params["least"], f"{KEY}.least", 10)
        return cls(
            by, _spec(params["bands"], f"{KEY}.bands"), least, Boosting.from_params(params["model"], f"{KEY}.model")
        )


def _spec(value: object, key: str) -> int | tuple[float, ...]:
    if not isinstance(value, (list, tuple)):
        return require_whole(value, key, 1, 100)
    numbers = [isinstance(v, (int, float)) and not isinstance(v, bool) and np.isfinite(v) for v in value]
    if not value or not all(numbers):
        raise InputError(f"{key}: expected a number of bins or a list of cuts, got {value!r}")
    return tuple(sorted({float(cut) for cut in value}))


@dataclass(frozen=True)
class ColumnStudy:
    """The study of one column. effects, curves: by outcome (no curves for a category).  rules: what was learned.

    worth: of the rules, and of every band for everybody.
    """

    column: str
    effects: dict[str, BinEffects]
    curves: dict[str, Curves]
    rules: dict[str, GroupRule]
    worth: dict[str, RuleValue]
    unsupported: int


@dataclass(frozen=True)
class GroupStudy:
    """All columns; overall: the slopes of everybody, by outcome."""

    columns: dict[str, ColumnStudy]
    overall: dict[str, dict[str, float]]
    customers: int
    bands: Bins


def predict_sales(
    log: pd.DataFrame, randomised: pd.DataFrame, features: Sequence[str], model: Boosting, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Sales that the log's customers lead to expect, from their features alone: E[sales | x] by LightGBM.

    The discount is no feature: the expectation includes the log's larger discounts, as any company's forecast does. The
    prediction sorts customers and is no effect.

    Returns the predictions for the log, each from models of the other folds, and for the randomised customers.
    """
    encoder = fit_encoder(log, list(features))
    x, sales = encoder.transform(log), log["sales"].to_numpy(dtype=np.float64)
    seeds = rng.integers(2**31, size=FOLDS + 1)
    fold = rng.permutation(np.arange(len(log)) % FOLDS)
    held_out = np.empty(len(log))
    for index in range(FOLDS):
        inside = fold == index
        fit = make_regressor(model, binary=False, seed=int(seeds[index])).fit(x[~inside], sales[~inside])
        held_out[inside] = fit.predict(x[inside])
    whole = make_regressor(model, binary=False, seed=int(seeds[-1])).fit(x, sales)
    return held_out, np.asarray(whole.predict(encoder.transform(randomised)), dtype=np.float64)


def study_groups(
    randomised: pd.DataFrame,
    log: pd.DataFrame,
    features: Sequence[str],
    predictions: Sequence[str],
    settings: Settings,
    rng: np.random.Generator,
) -> GroupStudy:
    """Effects, curves and rules by every column of the settings.

    Effects and curves: on the randomised customers. Rules: learned from the ``log``, adjusted for its predictions and
    features within each bin, and from four fifths of the randomised customers for the other fifth (``test``); both are
    valued on all randomised customers. Bins are cut on the randomised customers, without their outcomes.

    randomised, log: tables with sales, discount, profit and the features; the log may have no rows, and then there is
    no rule from it.  predictions: the company's own, columns of the log.  Raises InputError: no randomised table, one
    level of the discount, a column that is no feature.
    """
    randomised, log = in_order_of_content(randomised), in_order_of_content(log)
    _require_tables(randomised, log, features, settings)
    # Another column in the settings changes neither the folds nor the values of the others.
    for_predictions, for_folds, for_bands = rng.spawn(3)
    nobody: pd.Series[Any] = pd.Series(dtype=np.float64)
    columns = {name: (randomised[name], log.get(name, nobody)) for name in settings.by if name != PREDICTED}
    if PREDICTED in settings.by:
        of_log, of_randomised = predict_sales(log, randomised, features, settings.model, for_predictions)
        columns[PREDICTED] = pd.Series(of_randomised), pd.Series(of_log)
    dose = randomised["discount"].to_numpy(dtype=np.float64)
    bands = fit_bands(dose, settings.bands, settings.least)
    if len(bands.labels) < 2:
        raise InputError(
            f"{KEY}.bands: with {KEY}.least {settings.least} the {len(dose):,} randomised customers make one band of "
            "the discount, and there is nothing to choose; lower it"
        )
    fold = for_folds.permutation(np.arange(len(randomised)) % FOLDS)
    controls = _controls(log, features, predictions) if len(log) else None
    column_studies = {
        name: _study_column(name, columns[name], randomised, log, bands, fold, controls, settings, for_bands)
        for name in settings.by
    }
    overall = {}
    for outcome in OUTCOMES:
        linearised = slope(randomised[outcome].to_numpy(dtype=np.float64), dose)
        error = linearised.error(np.arange(len(dose)))
        overall[outcome] = _interval(linearised.value, error)
    return GroupStudy(column_studies, overall, len(randomised), bands)


def _require_tables(randomised: pd.DataFrame, log: pd.DataFrame, features: Sequence[str], settings: Settings) -> None:
    if randomised.empty:
        raise InputError(
            "there is no randomised table, and effects by group need one; name it in discount.files.randomised"
        )
    if randomised["discount"].nunique() < 2:
        raise InputError(
            f"the randomised table has one level of the discount only, {randomised['discount'].iloc[0]:g}; "
            "an effect needs two or more"
        )
    for name in settings.by:
        if name == PREDICTED and log.empty:
            raise InputError(f"{KEY}.by.{PREDICTED}: no observational table to learn from; take it out of the list")
        if name != PREDICTED and name not in features:
            more = f", {len(features) - NAMED} more" if len(features) > NAMED else ""
            raise InputError(
                f"{KEY}.by.{name}: no feature measured before the discount; there are {PREDICTED}, "
                f"{', '.join(features[-NAMED:])}{more}"
            )


def _controls(log: pd.DataFrame, features: Sequence[str], predictions: Sequence[str]) -> Floats:
    """What may have decided the log's discount, (n, p): features, and the company's predictions.

    A prediction of few values is a 0/1 column for each of them: the company's rule need not be linear in it.
    """
    blocks = [fit_encoder(log, list(features)).transform(log)]
    for name in predictions:
        values = as_numbers(log[name])
        values = np.where(np.isnan(values), np.nanmedian(values), values)
        levels = np.unique(values)
        blocks.append((values[:, None] == levels[1:]).astype(np.float64) if len(levels) <= FEW else values[:, None])
    return np.column_stack(blocks)


def _study_column(
    name: str,
    column: tuple["pd.Series[Any]", "pd.Series[Any]"],
    randomised: pd.DataFrame,
    log: pd.DataFrame,
    bands: Bins,
    fold: Codes,
    controls: Floats | None,
    settings: Settings,
    rng: np.random.Generator,
) -> ColumnStudy:
    here, there = column
    profit, dose = (randomised[key].to_numpy(dtype=np.float64) for key in ("profit", "discount"))
    bins = fit_bins(here, settings.by[name], settings.least)
    if not bins.labels:
        raise InputError(f"{KEY}.by.{name}: no value has {settings.least} customers, {KEY}.least; lower it")
    codes, band = bins.place(here), bands.place(randomised["discount"])
    effects, curves = {}, {}
    for outcome in OUTCOMES:
        amounts = randomised[outcome].to_numpy(dtype=np.float64)
        effects[outcome] = effects_by_bin(amounts, dose, codes, bins.labels, rng)
        if bins.levels is None:
            curves[outcome] = cumulative_curves(amounts, dose, as_numbers(here), rng)
    learned = {}
    decided = np.zeros(len(codes), dtype=np.intp)
    for held_fold in range(FOLDS):
        training = fold != held_fold
        rule = rule_from_means(profit[training], band[training], codes[training], bins, bands)
        learned[f"{TEST}_{held_fold + 1}"] = rule
        decided[~training] = rule.decide(codes[~training])
    rules, decisions = dict(learned), {TEST: decided}
    unsupported = 0
    if controls is not None:
        rule = rule_from_means(
            log["profit"].to_numpy(dtype=np.float64),
            bands.place(log["discount"]),
            bins.place(there),
            bins,
            bands,
            controls,
        )
        rules[LOG], decisions[LOG] = rule, rule.decide(codes)
        unsupported = int((rule.table.groupby("bin")["supported"].sum() == 0).sum())
    means = means_of_other_folds(profit, band, codes, fold, len(bands.labels))
    worth = evaluate_bands(profit, dose, band, bands, decisions, means, rng.spawn(1)[0])
    return ColumnStudy(name, effects, curves, rules, worth, unsupported)


def _interval(value: float, error: float) -> dict[str, float]:
    keys = ("estimate", "error", "ci_low", "ci_high")
    return dict(zip(keys, (value, error, value - Z_95 * error, value + Z_95 * error), strict=True))
