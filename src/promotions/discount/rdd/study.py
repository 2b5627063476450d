"""The whole analysis of a cut-off: jumps, effects per dollar and checks, as metrics and as tables to draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.base.validation import require_choice, require_keys, require_number
from promotions.discount.rdd import checks as rdd_checks
from promotions.discount.rdd import honest
from promotions.discount.rdd import jump as rdd
from promotions.discount.rdd.jump import Cutoff, Design
from promotions.discount.regression import least_squares
from promotions.inference.clusters import Z_95
from promotions.inference.estimates import all_named

Floats = NDArray[np.float64]

OUTCOMES = DOSE, SALES, PROFIT = ("discount", "sales", "profit")
SEARCH = "search"
NORMAL = "normal"
# More distinct values than this are drawn as bins of about equal numbers of customers.
MOST_POINTS = 40
TRUTHS = {
    DOSE: "jump_discount",
    SALES: "jump_sales",
    PROFIT: "jump_profit",
    "sales_per_dollar": "sales_per_dollar_at_cutoff",
    "profit_per_dollar": "effect_per_dollar_at_cutoff",
}


@dataclass(frozen=True)
class Settings:
    """The section ``discount.rdd`` of the parameters.

    cutoff: None to search it.  bandwidths: in the running variable's unit, ascending.  curvature: K by outcome, None to
    estimate them.  density_bend: of ``rdd_checks.frandsen``, None for the normal curve's.
    """

    cutoff: Cutoff | None
    bandwidths: tuple[float, ...]
    curvature: Mapping[str, float] | None = None
    density_bend: float | None = None

    @classmethod
    def from_params(cls, params: Mapping[str, Any], key: str = "discount.rdd") -> "Settings":
        """Read the section. Raises InputError naming an unknown key or a wrong value."""
        require_keys(params, ("cutoff", "treated", "bandwidths", "curvature", "density_bend"), key)
        start = require_choice(params["treated"], (rdd.ABOVE, rdd.FROM), f"{key}.treated")
        cutoff = params["cutoff"]
        if cutoff != SEARCH and (isinstance(cutoff, bool) or not isinstance(cutoff, (int, float))):
            raise InputError(f"{key}.cutoff: expected a number or the word {SEARCH}, got {cutoff!r}")
        widths = params["bandwidths"]
        if not isinstance(widths, Sequence) or isinstance(widths, str) or not widths:
            raise InputError(f"{key}.bandwidths: expected a list of one width or more, got {widths!r}")
        bend = params["density_bend"]
        return cls(
            cutoff=None if cutoff == SEARCH else Cutoff(float(require_number(cutoff, f"{key}.cutoff", -np.inf)), start),
            bandwidths=tuple(sorted({float(require_number(w, f"{key}.bandwidths", 0, low_open=True)) for w in widths})),
            curvature=honest.curvature_params(params["curvature"], OUTCOMES, f"{key}.curvature"),
            density_bend=None if bend == NORMAL else require_number(bend, f"{key}.density_bend", 0, 1, high_open=True),
        )


@dataclass(frozen=True)
class CutoffStudy:
    """metrics: nested numbers.  tables: ``jump``, ``bandwidth``, ``placebo`` and ``continuity``, by name."""

    metrics: dict[str, Any]
    tables: dict[str, pd.DataFrame]


def analyse(
    frame: pd.DataFrame,
    features: Sequence[str],
    running: str,
    settings: Settings,
    rng: np.random.Generator,
    truth: Mapping[str, Any],
) -> CutoffStudy:
    """Everything about the cut-off of ``running`` in ``frame``, whose profit is at the margin in question.

    A search uses one random half of the customers, and everything else the other half.
    features: columns that the discount cannot have changed.  truth: of a simulation, else empty.
    Raises InputError if the cut-off is outside the data or has too few values on a side, if the discount does not jump
    there, and if a search finds nothing.
    """
    if running not in frame:
        raise InputError(f"discount.running: the cutoff table has no column {running!r}")
    place: dict[str, Any] = {"running": running, "searched": settings.cutoff is None}
    cutoff = settings.cutoff
    if cutoff is None:
        looked_in, kept = rdd_checks.halves(len(frame), rng)
        half = frame.iloc[looked_in]
        search = rdd_checks.search_cutoff(_column(half, DOSE), _column(half, running), rng)
        cutoff, frame = rdd_checks.require_found(search, running), frame.iloc[kept].reset_index(drop=True)
        place |= {"search_p_value": search.p_value, "search_candidates": search.candidates, "searched_in": len(half)}
    x = _column(frame, running)
    design = Design.of(x, cutoff, running)
    outcomes = {name: _column(frame, name) for name in OUTCOMES}
    robust = {name: rdd.robust_jump(values, design) for name, values in outcomes.items()}
    if robust[DOSE].p_value > 0.05:
        raise rdd.no_jump(rdd.jump(outcomes[DOSE], design, robust[DOSE].bandwidth).slope.robust)
    curvatures = {
        name: settings.curvature[name] if settings.curvature is not None else honest.curvature_bound(values, design)
        for name, values in outcomes.items()
    }
    metrics: dict[str, Any] = {
        "cutoff": place
        | {
            "value": cutoff.value,
            "treated": cutoff.start,
            "first_treated": float(x[design.treated].min()),
            "customers_below": int((~design.treated).sum()),
            "customers_above": int(design.treated.sum()),
            "values_below": len(np.unique(x[~design.treated])),
            "values_above": len(np.unique(x[design.treated])),
        },
        **jump_metrics(outcomes, design, robust, curvatures, settings.bandwidths),
    }
    metrics[PROFIT]["read_at"] = readings(outcomes[PROFIT], x, cutoff, settings.bandwidths[-1])
    true_jumps = {name: truth[key] for name, key in TRUTHS.items() if key in truth}
    for name, value in true_jumps.items():
        metrics[name]["truth"] = value
    metrics["density"] = rdd_checks.density_test(x, cutoff, settings.density_bend).to_dict()
    others = [name for name in features if name != running]
    continuity = rdd_checks.continuity(frame, others, design, robust[PROFIT].bandwidth)
    placebo = rdd_checks.placebos(x, {name: outcomes[name] for name in (DOSE, PROFIT)}, cutoff, settings.bandwidths[-1])
    metrics["continuity"] = continuity_metrics(continuity)
    metrics["placebo"] = {name: placebo_metrics(rows) for name, rows in placebo.groupby("outcome", sort=False)}
    tables = {
        "jump": jump_table(x, outcomes, cutoff, settings.bandwidths[-1]),
        "bandwidth": rdd_checks.by_bandwidth(outcomes, design, curvatures, settings.bandwidths),
        "placebo": placebo,
        "continuity": continuity,
    }
    return CutoffStudy(metrics, tables)


def jump_metrics(
    outcomes: Mapping[str, Floats],
    design: Design,
    robust: Mapping[str, rdd.Robust],
    curvatures: Mapping[str, float],
    bandwidths: Sequence[float],
) -> dict[str, Any]:
    """The jumps of each outcome, and the effect per dollar on sales and profit: each estimator under its name.

    ``global_linear``, ``triangular_<bandwidth>``, ``robust``, ``robust_by_value`` (clustered) and ``honest``. The
    honest effect per dollar is missing where the honest interval of the discount's jump includes 0.
    """
    named = {"global_linear": np.inf} | {f"triangular_{width:g}".replace(".", "_"): width for width in bandwidths}
    jumps = {
        name: {key: rdd.jump(values, design, width) for key, width in named.items()}
        for name, values in outcomes.items()
    }
    document: dict[str, Any] = {}
    dose_cells = honest.Cells.of(outcomes[DOSE][:, None], design)
    for name, values in outcomes.items():
        cells = honest.Cells.of(np.column_stack([values, outcomes[DOSE]]), design)
        document[name] = all_named(
            {key: each.to_dict() for key, each in jumps[name].items()}
            | {
                "robust": robust[name].to_dict(),
                "robust_by_value": rdd.robust_jump(values, design, by_value=True).to_dict(),
                "honest": honest.honest_jump(cells, curvatures[name]).to_dict()
                | {"curvature_breakdown": honest.breakdown(cells)},
            }
        )
        if name == DOSE:
            continue
        ratios: dict[str, Any] = {key: rdd.ratio(jumps[name][key], jumps[DOSE][key]).to_dict() for key in named}
        ratios["robust"] = rdd.robust_jump(values, design, dose=outcomes[DOSE]).to_dict()
        width = honest.shortest_bandwidth(cells, curvatures[name])
        of_dose = honest.honest_jump(dose_cells, curvatures[DOSE], width)
        if of_dose.ci_low > 0 or of_dose.ci_high < 0:
            ratios["honest"] = honest.honest_ratio(cells, (curvatures[name], curvatures[DOSE]), width).to_dict()
        document[f"{name}_per_dollar"] = all_named(ratios)
    return document


def readings(outcome: Floats, running: Floats, cutoff: Cutoff, bandwidth: float) -> dict[str, float]:
    """The triangular-kernel jump, read at the last untreated value, half way, or at the first treated one.

    With a discrete running variable the choice is a convention; this shows how much it matters.
    """
    treated = cutoff.treated(running)
    last, first = float(running[~treated].max()), float(running[treated].min())
    return {
        name: rdd.jump(outcome, Design(running - value, treated), bandwidth).slope.robust.estimate
        for name, value in (("last_untreated", last), ("half_way", (last + first) / 2), ("first_treated", first))
    }


def continuity_metrics(table: pd.DataFrame) -> dict[str, Any]:
    """How many columns were tested, how many jump (Holm, 5 %), and which is the most suspicious."""
    metrics: dict[str, Any] = {"columns": len(table), "columns_that_jump": int((table["p_value_holm"] < 0.05).sum())}
    if len(table):
        metrics |= {
            "smallest_p_value_holm": float(table["p_value_holm"].iloc[0]),
            "smallest_p_value_column": str(table["column"].iloc[0]),
            "largest_standardised_jump": float(table["standardised"].abs().max()),
        }
    return metrics


def placebo_metrics(rows: pd.DataFrame) -> dict[str, float]:
    """An outcome's placebo cut-offs: how many, how many of them jump (Holm, 5 %), and how many beat the real one."""
    fake, real = rows[rows["side"] != "real"], rows[rows["side"] == "real"].iloc[0]
    if fake.empty:
        return {"cutoffs": 0}
    certainty = (fake["estimate"] / fake["error"]).abs()
    return {
        "cutoffs": len(fake),
        "cutoffs_that_jump": int((fake["p_value_holm"] < 0.05).sum()),
        "cutoffs_more_certain_than_real": int((certainty >= abs(real["estimate"] / real["error"])).sum()),
        "smallest_p_value_holm": float(fake["p_value_holm"].min()),
    }


def jump_table(running: Floats, outcomes: Mapping[str, Floats], cutoff: Cutoff, bandwidth: float) -> pd.DataFrame:
    """``outcome, kind, running, mean, ci_low, ci_high, customers, treated, cutoff``: points, and lines through them.

    kind: "mean" of the customers of a value (of a bin, where there are more than 40 values), "global" and "local", ends
    of the lines of all customers and of the triangular kernel, each prolonged to the cut-off.
    """
    treated = cutoff.treated(running)
    place = _bins(running, treated)
    parts = []
    for name, outcome in outcomes.items():
        groups = pd.DataFrame({"running": running, "outcome": outcome, "treated": treated}).groupby(place)
        count = groups.size().to_numpy()
        mean = groups["outcome"].mean().to_numpy(dtype=np.float64)
        reach = Z_95 * groups["outcome"].std().fillna(0).to_numpy(dtype=np.float64) / np.sqrt(count)
        parts.append(
            pd.DataFrame(
                {
                    "outcome": name,
                    "kind": "mean",
                    "running": groups["running"].mean().to_numpy(dtype=np.float64),
                    "mean": mean,
                    "ci_low": mean - reach,
                    "ci_high": mean + reach,
                    "customers": count,
                    "treated": groups["treated"].first().to_numpy(),
                }
            )
        )
        parts += [
            _line(running, outcome, treated == side, cutoff.value, width, name, kind, treated=side)
            for kind, width in (("global", np.inf), ("local", bandwidth))
            for side in (False, True)
        ]
    return pd.concat(parts, ignore_index=True).assign(cutoff=cutoff.value)


def _line(
    running: Floats,
    outcome: Floats,
    members: NDArray[np.bool_],
    value: float,
    width: float,
    name: str,
    kind: str,
    *,
    treated: bool,
) -> pd.DataFrame:
    distance = running[members] - value
    weight = np.ones(len(distance)) if width == np.inf else np.maximum(0, 1 - np.abs(distance) / width)
    used = weight > 0
    design = np.column_stack([np.ones(int(used.sum())), distance[used]])
    intercept, slope = least_squares(outcome[members][used], design, weight[used]).params
    farthest = distance[used][np.argmax(np.abs(distance[used]))]
    ends = np.array([0.0, farthest])
    fitted = intercept + slope * ends
    return pd.DataFrame(
        {
            "outcome": name,
            "kind": kind,
            "running": value + ends,
            "mean": fitted,
            "ci_low": fitted,
            "ci_high": fitted,
            "customers": int(used.sum()),
            "treated": treated,
        }
    )


def _bins(running: Floats, treated: NDArray[np.bool_]) -> NDArray[np.intp]:
    """A point of the picture for each customer: their value, or one of twenty bins of their side."""
    values = np.unique(running, return_inverse=True)
    if len(values[0]) <= MOST_POINTS:
        return np.asarray(values[1], dtype=np.intp)
    place = np.empty(len(running), dtype=np.intp)
    for side in (False, True):
        members = treated == side
        edges = np.quantile(running[members], np.arange(1, MOST_POINTS // 2) / (MOST_POINTS // 2))
        place[members] = np.searchsorted(edges, running[members]) + side * MOST_POINTS
    return place


def _column(frame: pd.DataFrame, name: str) -> Floats:
    return frame[name].to_numpy(dtype=np.float64)
