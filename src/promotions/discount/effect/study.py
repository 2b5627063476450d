"""What a dollar of discount does to sales and profit: from the company's own log, and from the test.

Customers with higher expected sales got more, so the log's naive slope mixes cause and selection. Controlling for
the known reasons takes the selection out, by regression, in the three steps of Frisch–Waugh–Lovell or by
double machine learning; the randomised table says how well. Columns that were measured after the discount are never
controlled for: the result of doing so stands beside the others, labelled contaminated.

The yardstick gives direction and size, not the last digit: a slope averages over the doses and customers of its table,
and where the effect is not linear, other doses have another slope.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.base.rounding import rounded
from promotions.base.validation import require_keys, require_number, require_whole
from promotions.boosting.settings import Boosting
from promotions.discount.effect.fwl import ThreeSteps, three_steps
from promotions.discount.effect.partially_linear import (
    Forest,
    ForestEffect,
    Nuisances,
    PartiallyLinear,
    cross_fit,
    forest_dml,
    linear_dml,
)
from promotions.discount.effect.sensitivity import LongStoryShort, benchmarks, bias_grid, partial_r2, robustness_value
from promotions.discount.regression import Controls, Slope, slope
from promotions.discount.tables import require_levels
from promotions.inference.clusters import Z_95, cluster_codes
from promotions.inference.estimates import LEVEL, Effect, all_named, named

Floats = NDArray[np.float64]

OUTCOMES = ("profit", "sales")
LOG, TEST = "observational", "randomised"
# Estimates by name, in the order of tables and figures.
NAIVE, ADJUSTED, ALL = "naive", "adjusted", "adjusted_all"
LINEAR_DML, FOREST_DML = "linear_dml", "causal_forest_dml"
RANDOMISED, RANDOMISED_ADJUSTED = "randomised", "randomised_adjusted"
CONTAMINATED = "contaminated"
# The simulation's name for the truth of each: slope_<outcome>_<name>.
TRUTHS = {
    NAIVE: "naive",
    f"{ADJUSTED}_sales_prediction_bins": "bins",
    f"{ADJUSTED}_sales_prediction_bins_age": "bins_age",
    LINEAR_DML: "log",
    FOREST_DML: "log_average",
    RANDOMISED: "randomised",
}
BINS = 15


@dataclass(frozen=True)
class Settings:
    """The section ``discount.effect`` of the parameters.

    ladder: columns controlled for one after the other.  categories: those of them that are numbers but code levels.
    cluster: column of a group that customers share, or "".  threshold: money; the effect of more than that, in the
    test.
    """

    ladder: tuple[str, ...] = ("sales_prediction_bins", "age")
    categories: tuple[str, ...] = ("sales_prediction_bins",)
    cluster: str = ""
    threshold: float = 30
    folds: int = 5
    nuisance: Boosting = field(default_factory=lambda: Boosting(trees=100, leaves=15, min_leaf=50))
    forest: Forest = field(default_factory=Forest)

    @classmethod
    def from_params(cls, params: Mapping[str, Any], key: str = "discount.effect") -> "Settings":
        """Read the section. Raises InputError naming an unknown key or a wrong value."""
        require_keys(params, ("ladder", "categories", "cluster", "threshold", "folds", "nuisance", "forest"), key)
        cluster = params["cluster"]
        if cluster is not None and not isinstance(cluster, str):
            raise InputError(f"{key}.cluster: expected the name of a column, or nothing, got {cluster!r}")
        return cls(
            ladder=_names(params["ladder"], f"{key}.ladder"),
            categories=_names(params["categories"], f"{key}.categories"),
            cluster=cluster or "",
            threshold=require_number(params["threshold"], f"{key}.threshold", 0),
            folds=require_whole(params["folds"], f"{key}.folds", 2),
            nuisance=Boosting.from_params(params["nuisance"], f"{key}.nuisance"),
            forest=Forest.from_params(params["forest"], f"{key}.forest"),
        )


@dataclass(frozen=True)
class Table:
    """A table of customers for this analysis.

    frame: (n, …) with discount, sales and profit at the margin in question.  features: columns measured before the
    discount.  predictions: the company's, made before the campaign; barred: columns measured after the discount.
    """

    name: str
    frame: pd.DataFrame
    features: tuple[str, ...]
    predictions: tuple[str, ...] = ()
    barred: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_levels(self.dose, self.name)

    @property
    def dose(self) -> Floats:
        """(n,) money."""
        return self.outcome("discount")

    def outcome(self, name: str) -> Floats:
        """(n,) money."""
        return self.frame[name].to_numpy(dtype=np.float64)

    def clusters(self, column: str) -> NDArray[np.intp] | None:
        """(n,) codes of a column, its missing values a cluster of their own; None for no column."""
        if not column:
            return None
        if column not in self.frame:
            raise InputError(f"discount.effect.cluster: the {self.name} table has no column {column!r}")
        codes = cluster_codes(self.frame[column].astype("string").fillna("").to_numpy())
        if codes.max() == 0:
            raise InputError(f"discount.effect.cluster: {column!r} of the {self.name} table has one value only")
        return codes


@dataclass(frozen=True)
class LogEffects:
    """What the log says of one outcome.

    regressions: by name; the last one controls for everything.  steps: the three steps of each adjusted one.
    """

    regressions: dict[str, Slope]
    steps: dict[str, ThreeSteps]
    linear: PartiallyLinear
    forest: ForestEffect


def effects_of_log(log: Table, settings: Settings, rng: np.random.Generator) -> dict[str, LogEffects]:
    """Naive, adjusted (a column at a time, then all) and double-ML effects of a dollar, by outcome.

    Controls are the ladder's columns; for ``adjusted_all`` and double ML these, the predictions and the features.
    Raises InputError if a column is not in the table or is barred, or if controls explain the whole discount.
    """
    barred = [name for name in settings.ladder if name in log.barred]
    if barred:
        raise InputError(
            f"discount.effect.ladder: {barred[0]!r} was measured after the discount and cannot be controlled for; "
            "take it out"
        )
    clusters = log.clusters(settings.cluster)
    units = np.arange(len(log.frame)) if clusters is None else clusters
    everything = controls_of_log(log, settings)
    rungs = {
        "_".join((ADJUSTED, *names)): Controls.of(log.frame, names, settings.categories)
        for names in accumulate((name,) for name in settings.ladder)
    } | {ALL: everything}
    outcomes = {name: log.outcome(name) for name in OUTCOMES}
    nuisances = cross_fit(outcomes, log.dose, everything.matrix, units, settings.nuisance, settings.folds, rng)
    seed = int(rng.integers(2**31))
    return {
        name: _effects_on(outcome, name, log, rungs, nuisances, settings.forest, seed, clusters)
        for name, outcome in outcomes.items()
    }


def controls_of_log(log: Table, settings: Settings) -> Controls:
    """The ladder's columns, the predictions and the features, each once."""
    return Controls.of(
        log.frame, list(dict.fromkeys([*settings.ladder, *log.predictions, *log.features])), settings.categories
    )


def _effects_on(
    outcome: Floats,
    name: str,
    log: Table,
    rungs: Mapping[str, Controls],
    nuisances: Nuisances,
    forest: Forest,
    seed: int,
    clusters: NDArray[np.intp] | None,
) -> LogEffects:
    features = Controls.of(log.frame, log.features).matrix
    return LogEffects(
        regressions={NAIVE: slope(outcome, log.dose, None, clusters)}
        | {rung: slope(outcome, log.dose, controls.matrix, clusters) for rung, controls in rungs.items()},
        steps={rung: three_steps(outcome, log.dose, controls.matrix) for rung, controls in rungs.items()},
        linear=linear_dml(outcome, log.dose, nuisances.outcome[name], nuisances.dose, clusters),
        forest=forest_dml(outcome, log.dose, features, nuisances, name, forest, seed, clusters),
    )


def effects_of_test(test: Table, settings: Settings) -> dict[str, dict[str, Slope]]:
    """The randomised slope of each outcome: alone, with the features (the same, less noise), and contaminated.

    Contaminated: the slope that also controls for the barred columns. They react to the discount, so controlling for
    them removes part of its effect. Missing where no column is barred.
    """
    clusters = test.clusters(settings.cluster)
    barred = [name for name in test.barred if name in test.frame]
    sets: dict[str, Floats | None] = {
        RANDOMISED: None,
        RANDOMISED_ADJUSTED: Controls.of(test.frame, test.features).matrix,
    }
    if barred:
        sets[CONTAMINATED] = Controls.of(test.frame, [*test.features, *barred]).matrix
    return {
        name: {key: slope(test.outcome(name), test.dose, controls, clusters) for key, controls in sets.items()}
        for name in OUTCOMES
    }


def effect_above(test: Table, name: str, threshold: float) -> Effect | None:
    """Mean outcome of customers given more than ``threshold`` less the others' (HC1); None if either side is empty."""
    above = (test.dose > threshold).astype(np.float64)
    return slope(test.outcome(name), above).robust if np.ptp(above) > 0 else None


def effects_table(
    of_log: Mapping[str, LogEffects],
    of_test: Mapping[str, Mapping[str, Slope]],
    truth: Mapping[str, Any],
) -> pd.DataFrame:
    """``outcome, table, name, estimate, error, ci_low, ci_high, p_value`` and, of a simulation, ``truth``."""
    rows: list[dict[str, Any]] = []
    for outcome, log_effects in of_log.items():
        effects = {key: each.robust for key, each in log_effects.regressions.items()}
        effects |= {LINEAR_DML: log_effects.linear.slope.robust, FOREST_DML: log_effects.forest.robust}
        rows += [{"outcome": outcome, "table": LOG, "name": key, **each.to_dict()} for key, each in effects.items()]
        rows += [
            {"outcome": outcome, "table": TEST, "name": key, **each.robust.to_dict()}
            for key, each in of_test.get(outcome, {}).items()
        ]
    table = pd.DataFrame(rows)
    true_slopes = np.array([truth.get(f"slope_{row['outcome']}_{TRUTHS.get(row['name'])}", np.nan) for row in rows])
    return table if np.isnan(true_slopes).all() else table.assign(truth=true_slopes)


def metrics(
    of_log: Mapping[str, LogEffects],
    of_test: Mapping[str, Mapping[str, Slope]],
    log: Table,
    settings: Settings,
    truth: Mapping[str, Any],
) -> dict[str, Any]:
    """By outcome every estimate, the three steps and the sensitivity to an omitted confounder.

    ``ladder`` has an entry for each rung but the last, which is ``adjusted_all``; ``fwl`` one for each.
    """
    document: dict[str, Any] = {}
    controls = controls_of_log(log, settings)
    for outcome, log_effects in of_log.items():
        estimates: dict[str, dict[str, Any]] = {key: each.to_dict() for key, each in log_effects.regressions.items()}
        estimates |= {LINEAR_DML: log_effects.linear.slope.to_dict(), FOREST_DML: log_effects.forest.to_dict()}
        estimates |= {key: each.to_dict() for key, each in of_test.get(outcome, {}).items()}
        for key, numbers in estimates.items():
            true_slope = truth.get(f"slope_{outcome}_{TRUTHS.get(key)}")
            if true_slope is not None:
                numbers["truth"] = true_slope
        # The names are the user's columns, so each gets an entry of its own.
        ladder = {key: named("effect", estimates.pop(key)) for key in log_effects.steps if key != ALL}
        yardstick = of_test[outcome][RANDOMISED].robust.estimate if outcome in of_test else None
        document[outcome] = {
            **all_named(estimates),
            "ladder": ladder,
            "fwl": {key: steps.to_dict() for key, steps in log_effects.steps.items()},
            "sensitivity": sensitivity_metrics(log.outcome(outcome), log.dose, controls, log_effects, yardstick),
        }
    return document


def sensitivity_metrics(
    outcome: Floats, dose: Floats, controls: Controls, log_effects: LogEffects, yardstick: float | None
) -> dict[str, Any]:
    """Robustness values of the regression on all controls and of double ML, and the strongest recorded control."""
    full = log_effects.regressions[ALL]
    t_value = full.classical.estimate / full.classical.error
    story = LongStoryShort.of(log_effects.linear.outcome_residual, log_effects.linear.dose_residual)
    numbers: dict[str, Any] = {
        "regression": {
            "partial_r2": partial_r2(t_value, full.freedom),
            "robustness_value": robustness_value(t_value, full.freedom),
            "robustness_value_interval": robustness_value(t_value, full.freedom, level=LEVEL),
        },
        "double_ml": {
            "robustness_value": story.robustness_value(),
            "robustness_value_interval": story.robustness_value(level=LEVEL),
        },
    }
    if yardstick is not None:
        share = abs(full.classical.estimate - yardstick) / abs(full.classical.estimate)
        numbers["regression"]["robustness_value_to_randomised"] = robustness_value(t_value, full.freedom, share=share)
        numbers["double_ml"]["robustness_value_to_randomised"] = story.robustness_value(null=yardstick)
    observed = benchmarks(outcome, dose, controls, full, times=(1,))
    if len(observed):
        strongest = observed.iloc[0]
        low, high = story.bounds(strongest["r2_outcome"], strongest["r2_dose"])
        ci_low, ci_high = story.interval(strongest["r2_outcome"], strongest["r2_dose"])
        numbers["as_strong_as"] = {
            "control": str(strongest["control"]),
            "r2_dose": float(strongest["r2_dose"]),
            "r2_outcome": float(strongest["r2_outcome"]),
            "regression": float(strongest["estimate"]),
            "regression_ci_low": float(strongest["ci_low"]),
            "regression_ci_high": float(strongest["ci_high"]),
            "double_ml_low": low,
            "double_ml_high": high,
            "double_ml_ci_low": ci_low,
            "double_ml_ci_high": ci_high,
        }
    return numbers


def sensitivity_table(outcome: Floats, dose: Floats, controls: Controls, full: Slope) -> pd.DataFrame:
    """``kind, control, times, r2_dose, r2_outcome, estimate, robustness_value``: a grid of strengths, and the recorded
    controls in it.

    On either axis the grid reaches to one and a half times the robustness value, or beyond the strongest control.
    """
    # The remaining effect may be near 0, where the noise of linear algebra reaches the eighth digit.
    full = rounded(full)
    observed = benchmarks(outcome, dose, controls, full)
    value = robustness_value(full.classical.estimate / full.classical.error, full.freedom)
    once = observed[observed["times"] == 1]
    dose_most, outcome_most = (
        min(0.95, max(0.001, 1.5 * value, *(1.15 * once[axis].to_numpy(dtype=np.float64))))
        for axis in ("r2_dose", "r2_outcome")
    )
    grid = bias_grid(full, dose_most, outcome_most).assign(kind="grid", control="", times=0.0)
    columns = ["kind", "control", "times", "r2_dose", "r2_outcome", "estimate"]
    both = pd.concat([grid, observed.assign(kind="control")], ignore_index=True)[columns]
    return both.assign(robustness_value=value)


def binned(dose: Floats, outcome: Floats, bins: int = BINS) -> pd.DataFrame:
    """``dose, mean, ci_low, ci_high, customers`` of about equal numbers of customers, ascending in the dose.

    A dose that many share is a bin of its own. Intervals: 95 %, for each mean alone.
    """
    edges = np.unique(np.quantile(dose, np.arange(1, bins + 1) / bins, method="inverted_cdf"))
    place = np.searchsorted(edges, dose)
    groups = pd.DataFrame({"dose": dose, "outcome": outcome}).groupby(place)
    means = groups["outcome"].mean().to_numpy(dtype=np.float64)
    counts = groups.size().to_numpy()
    spread = groups["outcome"].std().fillna(0).to_numpy(dtype=np.float64) / np.sqrt(counts)
    return pd.DataFrame(
        {
            "dose": groups["dose"].mean().to_numpy(dtype=np.float64),
            "mean": means,
            "ci_low": means - Z_95 * spread,
            "ci_high": means + Z_95 * spread,
            "customers": counts,
        }
    )


def points_and_line(dose: Floats, outcome: Floats, **labels: Any) -> pd.DataFrame:
    """``binned`` (kind "mean") and the ends of the least squares line through all customers (kind "line")."""
    points = binned(dose, outcome)
    fitted = slope(outcome, dose).robust.estimate
    ends = np.array([points["dose"].min(), points["dose"].max()])
    line = pd.DataFrame({"dose": ends, "mean": outcome.mean() + fitted * (ends - dose.mean()), "customers": len(dose)})
    parts = [points.assign(kind="mean"), line.assign(ci_low=line["mean"], ci_high=line["mean"], kind="line")]
    return pd.concat(parts, ignore_index=True).assign(slope=fitted, **labels)


def confounding_table(log: Table, test: Table | None, outcome: str = "profit") -> pd.DataFrame:
    """``points_and_line`` of the log and of the test, with ``table``."""
    tables = [log] if test is None else [log, test]
    return pd.concat(
        [points_and_line(each.dose, each.outcome(outcome), table=each.name) for each in tables], ignore_index=True
    )


def fwl_table(log: Table, steps: ThreeSteps, outcome: str = "profit") -> pd.DataFrame:
    """``points_and_line`` before and after the first two steps, with ``step`` and the ``variance`` of the outcome."""
    before = points_and_line(log.dose, log.outcome(outcome), step="before", variance=steps.outcome_variance_before)
    after = points_and_line(steps.dose, steps.outcome, step="after", variance=steps.outcome_variance_after)
    return pd.concat([before, after], ignore_index=True)


def _names(value: object, key: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(each, str) for each in value):
        raise InputError(f"{key}: expected a list of columns, got {value!r}")
    if len(set(value)) < len(value):
        raise InputError(f"{key}: {next(each for each in value if list(value).count(each) > 1)!r} stands there twice")
    return tuple(value)
