"""For whom does a discount pay: its effect by bins of what is known of customers, and the rule that follows.

The effect of a dollar is the slope of profit (or sales) on the discount, among customers whose discount was drawn by
lot. The customers are split by age, tenure, predicted sales or any other column measured before the discount.

Sources: bins and cumulative curves as in Facure (2023), "Causal Inference in Python", ch. 6; Holm (1979) and max-t
bands (Chernozhukov, Chetverikov & Kato 2013) for many bins; values of rules by inverse propensities and doubly robust
scores (Athey & Wager 2021).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from promotions.balance import holm
from promotions.boosting import Boosting, make_regressor
from promotions.discount.estimates import in_order_of_content
from promotions.encoding import as_numbers, fit_encoder, is_number
from promotions.errors import InputError
from promotions.evaluation.ranking import Linearised, RankGroups, gain_curve
from promotions.evaluation.simultaneous import simultaneous_bands
from promotions.inference import Z_95, one_sided_p_value
from promotions.validation import require_keys, require_whole

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

KEY = "discount.groups"
OUTCOMES = ("profit", "sales")
PREDICTED = "predicted_sales"
MISSING, OTHER, NONE = "missing", "any other level", "none"
# The parts of the ranking at which the cumulative curves are drawn.
SHARES = np.arange(1, 21) / 20
FOLDS = 5
# Customers of a bin who had a band: the mean of fewer is mostly luck.
SUPPORT = 30
# A prediction of no more values than these is one of bins.
FEW = 50
# Features that an error names.
NAMED = 8
# Singular values below this share of the largest are 0.
COLLINEAR = 1e-10
LOG, TEST = "log", "test"


# ── bins ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Bins:
    """How the values of a column become bins 0 … K − 1, in ascending order or by name.

    cuts: of a number; the bin of a value is the number of cuts below it, so a bin ends *at* its cut.  levels: of a
    category, None for a number.  other, missing: whether there is a bin of all other levels, of missing values (the
    last ones).  labels: (K,) what the bins are called.
    """

    cuts: tuple[float, ...]
    levels: tuple[str, ...] | None
    other: bool
    missing: bool
    labels: tuple[str, ...]

    def place(self, column: "pd.Series[Any]") -> Codes:
        """The bin of each value, (n,); −1 where there is none: missing, or a level that was not there."""
        absent = len(self.labels) - 1 if self.missing else -1
        if self.levels is None:
            values = as_numbers(column)
            return np.where(np.isnan(values), absent, np.searchsorted(self.cuts, values, side="left")).astype(np.intp)
        pool = len(self.levels) if self.other else -1
        code = {name: index for index, name in enumerate(self.levels)}
        texts = column.astype("string")
        found = [absent if pd.isna(text) else code.get(str(text), pool) for text in texts]
        return np.array(found, dtype=np.intp)


def fit_bins(column: "pd.Series[Any]", spec: int | Sequence[float], least: int) -> Bins:
    """Bins of a column, of at least ``least`` customers each.

    A number is cut at its quantiles k/K (as ``pandas.qcut``, equal values together), or at the ``spec`` that are given;
    a bin that has too few customers joins the one below it, the first the one above. Of a category each level is a bin
    and rare ones are one together. Too few missing values belong to no bin.

    spec: number of bins K, or cuts; for a category it says nothing.
    """
    if not is_number(column):
        counts = column.dropna().astype("string").value_counts()
        levels = tuple(sorted(str(name) for name in counts.index if counts[name] >= least))
        rare = int(sum(count for count in counts if count < least))
        other, missing = rare >= least, int(column.isna().sum()) >= least
        labels = (*levels, *((OTHER,) if other else ()), *((MISSING,) if missing else ()))
        return Bins((), levels, other, missing, labels)
    values = as_numbers(column)
    known = np.sort(values[~np.isnan(values)])
    if not len(known):
        return Bins((), None, False, False, ())
    wanted = np.quantile(known, np.arange(1, spec) / spec) if isinstance(spec, int) else np.asarray(spec, np.float64)
    cuts: list[float] = []
    for cut in np.unique(wanted):
        below = int(np.searchsorted(known, cut, side="right"))
        start = int(np.searchsorted(known, cuts[-1], side="right")) if cuts else 0
        if below - start >= least and len(known) - below >= least:
            cuts.append(float(cut))
    missing = int(np.isnan(values).sum()) >= least
    labels = (*_ranges(known, cuts), *((MISSING,) if missing else ()))
    return Bins(tuple(cuts), None, False, missing, labels)


def _ranges(known: Floats, cuts: Sequence[float]) -> list[str]:
    """Names of the bins of a number: by the values in them if these are whole, else by the cuts."""
    whole = bool((known == np.rint(known)).all())
    parts = np.split(known, np.searchsorted(known, cuts, side="right"))
    if len(parts) == 1:
        return ["all"]
    labels = []
    for index, part in enumerate(parts):
        low = _number(part[0]) if whole else _number(cuts[index - 1]) if index else ""
        high = _number(part[-1]) if whole else _number(cuts[index]) if index < len(cuts) else ""
        if index == 0:
            labels.append(f"up to {high}")
        elif index == len(cuts):
            labels.append(f"{low} and more" if whole else f"above {low}")
        else:
            labels.append(low if low == high else f"{low} to {high}")
    return labels


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def fit_bands(dose: Floats, spec: int | Sequence[float], least: int) -> Bins:
    """Bins of the discount: ``none`` (0), and above it as ``fit_bins``."""
    positive = pd.Series(dose[dose > 0])
    above = fit_bins(positive, spec, least)
    zero = int((dose == 0).sum()) >= least
    known = np.sort(dose[dose > 0])
    labels = _ranges(known, above.cuts)
    if labels and labels[0].startswith("up to"):
        end = known[known <= above.cuts[0]][-1]
        labels[0] = _number(known[0]) if known[0] == end else f"{_number(known[0])} to {_number(end)}"
    return Bins(
        (0.0, *above.cuts) if zero else above.cuts, None, False, False, ((NONE,) if zero else ()) + tuple(labels)
    )


# ── effects by bin ───────────────────────────────────────────────────────────────────────────────────────────────────


def slope(outcome: Floats, dose: Floats) -> Linearised:
    """Slope of a regression on the dose with its influence function: errors are HC1.

    β = Σ(d − d̄)y / Σ(d − d̄)²,  ψ_i = √(n/(n − 2))·(d_i − d̄)·r_i / Σ(d − d̄)², r the residuals. ``Linearised.error``
    multiplies by √(n/(n − 1)), which is taken back here.

    outcome, dose: (n,).  Raises InputError if the dose does not vary.
    """
    n = len(dose)
    centred = dose - dose.mean()
    spread = float(centred @ centred)
    if n < 3 or spread <= 0:
        raise InputError(f"{KEY}: the discount of {n} customers of one bin does not vary; give fewer bins")
    value = float(centred @ outcome) / spread
    residual = outcome - outcome.mean() - value * centred
    return Linearised(value, np.sqrt((n - 1) / (n - 2)) * centred * residual / spread)


@dataclass(frozen=True)
class BinEffects:
    """Effects of a dollar by bin of one column, on one outcome.

    frame: ``bin, customers, effect, error, ci_low, ci_high, joint_ci_low, joint_ci_high, p_value, p_value_holm``: HC1
    errors; joint intervals hold for all bins at once (max-t); p-values are two-sided, Holm's over the bins.  equal: the
    Wald statistic that all effects are the same, with its p-value (χ², bins − 1 degrees; 0 and 1 for one bin).
    """

    frame: pd.DataFrame
    equal: float
    equal_p_value: float


def effects_by_bin(
    outcome: Floats, dose: Floats, codes: Codes, labels: Sequence[str], rng: np.random.Generator
) -> BinEffects:
    """Slopes of the outcome on a dose that was drawn by lot, bin by bin.  codes: (n,) bins, −1 for none.

    Where large doses are rare and sales have heavy tails, errors of small bins are too small: on a shop's file
    intervals of 95 % covered 95 % in bins of 1,000 customers, 92 % of 200, and 89 % of 50 to 100.
    """
    n = len(dose)
    parts = [np.flatnonzero(codes == index) for index in range(len(labels))]
    found = [slope(outcome[part], dose[part]) for part in parts]
    estimate = np.array([part.value for part in found])
    influence = np.zeros((n, len(parts)))
    for index, (part, linearised) in enumerate(zip(parts, found, strict=True)):
        size = len(part)
        # In each bin as if it were alone: size/(size − 1), not n/(n − 1).
        influence[part, index] = linearised.influence * np.sqrt(size / (size - 1) * (n - 1) / n)
    bands = simultaneous_bands(estimate, influence, None, rng)
    p_value = np.where(
        bands.error > 0, 2 * stats.norm.sf(np.abs(estimate) / np.where(bands.error > 0, bands.error, 1)), 1
    )
    frame = pd.DataFrame(
        {
            "bin": list(labels),
            "customers": [len(part) for part in parts],
            "effect": estimate,
            "error": bands.error,
            "ci_low": estimate - Z_95 * bands.error,
            "ci_high": estimate + Z_95 * bands.error,
            "joint_ci_low": bands.low,
            "joint_ci_high": bands.high,
            "p_value": p_value,
            "p_value_holm": holm(p_value),
        }
    )
    certain = bands.error > 0
    precision = 1 / np.where(certain, bands.error, 1.0) ** 2 * certain
    if certain.sum() < 2:
        return BinEffects(frame, 0.0, 1.0)
    common = (precision @ estimate) / precision.sum()
    statistic = float(precision @ (estimate - common) ** 2)
    return BinEffects(frame, statistic, float(stats.chi2.sf(statistic, certain.sum() - 1)))


# ── cumulative curves ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Curves:
    """The effect among the first customers of a ranking.

    frame: ``share, effect, …, gain, random, lead, …`` with pointwise (``_ci_low``, ``_ci_high``) and joint
    (``_joint_ci_low``, …) intervals of effect and lead.  area: ∫ lead, with the one-sided p-value of H₀ ≤ 0.
    """

    frame: pd.DataFrame
    area: float
    area_error: float
    area_p_value: float


def cumulative_curves(outcome: Floats, dose: Floats, priority: Floats, rng: np.random.Generator) -> Curves:
    """Cumulative effect and cumulative gain of customers in order of ``priority``, highest first (Facure 2023, ch. 6).

    effect(q): slope of the outcome on the dose among the first share q.  gain(q) = q·effect(q), random(q) =
    q·effect(1), lead = gain − random, which is 0 at q = 1. A tie that spans q counts in proportion, so rows have no
    order. Influence functions include the estimation of the quantile: a customer before q pushes one who stands at q
    out, as in ``RankGroups.means``. Joint bands are max-t.

    outcome, dose, priority: (n,); NaN in priority comes last.
    """
    n = len(dose)
    ranked = np.where(np.isnan(priority), -np.inf, priority)
    weights = RankGroups.between(ranked, np.concatenate([[0.0], SHARES])).above[:, 1:]
    estimate, influence = np.empty(len(SHARES)), np.empty((n, len(SHARES)))
    for index, (share, weight) in enumerate(zip(SHARES, weights.T, strict=True)):
        estimate[index], influence[:, index] = _slope_of_first(outcome, dose, weight, ranked, float(share))
    random = SHARES * estimate[-1]
    lead, lead_influence = SHARES * estimate - random, SHARES * (influence - influence[:, [-1]])
    frame = pd.DataFrame({"share": SHARES, "effect": estimate})
    for name, value, psi in (("effect", estimate, influence), ("lead", lead, lead_influence)):
        bands = simultaneous_bands(value, psi, None, rng)
        frame[name] = value
        frame[f"{name}_error"] = bands.error
        frame[f"{name}_ci_low"], frame[f"{name}_ci_high"] = value - Z_95 * bands.error, value + Z_95 * bands.error
        frame[f"{name}_joint_ci_low"], frame[f"{name}_joint_ci_high"] = bands.low, bands.high
    frame["gain"], frame["random"] = SHARES * estimate, random
    # Trapezia from 0, where nothing is gained.
    steps = np.append(np.full(len(SHARES) - 1, 1 / len(SHARES)), 0.5 / len(SHARES))
    area = Linearised(float(steps @ lead), lead_influence @ steps)
    error = area.error(np.arange(n))
    return Curves(frame, area.value, error, one_sided_p_value(area.value, error))


def _slope_of_first(
    outcome: Floats, dose: Floats, weight: Floats, ranked: Floats, share: float
) -> tuple[float, Floats]:
    """Weighted slope among the first share, and each customer's influence on it."""
    size, n = float(weight.sum()), len(dose)
    centred = dose - (weight @ dose) / size
    spread = float(weight @ centred**2)
    if size <= 2 or spread <= 0:
        raise InputError(
            f"{KEY}: the discount does not vary among the first {share:.0%} of a ranking; more rows are needed"
        )
    value = float((weight * centred) @ outcome) / spread
    moment = centred * (outcome - (weight @ outcome) / size - value * centred)
    width = min(2 * np.sqrt(share * (1 - share) / n), share, 1 - share)
    at_edge = 0.0
    if width > 0:
        low, high = gain_curve(moment, ranked, np.array([share - width, share + width]))
        at_edge = (high - low) / (2 * width)
    pushed = weight * (moment - at_edge)
    return value, np.sqrt(size / (size - 2)) * (pushed - pushed.mean()) / spread


# ── the rule by groups ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class GroupRule:
    """A band of the discount for each bin of a column.

    choice: (K,) band by bin.  table: ``bin, band, customers, profit, error, ci_low, ci_high, supported, chosen``: what
    the choice was made of; profit is the (adjusted) mean over that of the bin's lowest supported band.
    """

    bins: Bins
    choice: Codes
    table: pd.DataFrame = field(repr=False)

    def decide(self, codes: Codes) -> Codes:
        """The band of customers of these bins; the lowest for those who belong to none."""
        return np.where(codes >= 0, self.choice[np.maximum(codes, 0)], 0).astype(np.intp)


def rule_from_means(
    profit: Floats, band: Codes, codes: Codes, bins: Bins, bands: Bins, controls: Floats | None = None
) -> GroupRule:
    """The band with the highest mean profit in each bin, among bands that ``SUPPORT`` of its customers had.

    With ``controls`` (of a log that was not randomised) means are adjusted: the coefficients of the bands in a
    regression of profit on them and the controls within the bin, HC1. A bin none of whose bands is supported gets the
    lowest band and says so. The highest of several estimates is partly luck: what the rule is worth is measured on
    other customers.

    profit, band, codes: (n,) of the customers to learn from; band and codes as of ``bands`` and ``bins``.
    controls: (n, p).
    """
    rows, choice = [], np.zeros(len(bins.labels), dtype=np.intp)
    for index, label in enumerate(bins.labels):
        inside = codes == index
        counts = np.bincount(band[inside & (band >= 0)], minlength=len(bands.labels))
        supported = np.flatnonzero(counts >= SUPPORT)
        gain, error = np.full(len(counts), np.nan), np.full(len(counts), np.nan)
        if len(supported):
            used = inside & np.isin(band, supported)
            part = None if controls is None else controls[used]
            gain[supported], error[supported] = _gains(profit[used], band[used], supported, part)
            choice[index] = int(supported[np.nanargmax(gain[supported])])
        for place, name in enumerate(bands.labels):
            rows.append(
                {
                    "bin": label,
                    "band": name,
                    "customers": int(counts[place]),
                    "profit": gain[place],
                    "error": error[place],
                    "ci_low": gain[place] - Z_95 * error[place],
                    "ci_high": gain[place] + Z_95 * error[place],
                    "supported": bool(counts[place] >= SUPPORT),
                    "chosen": bool(place == choice[index]),
                }
            )
    return GroupRule(bins, choice, pd.DataFrame(rows))


def _gains(profit: Floats, band: Codes, supported: Codes, controls: Floats | None) -> tuple[Floats, Floats]:
    """Mean profit of each band over the lowest, adjusted for the controls, with HC1 errors.

    Frisch–Waugh–Lovell: bands and profit less what the controls explain of them; controls that say the same twice do no
    harm. NaN for a band that the controls tell exactly: it cannot be compared.
    """
    n, gain, error = len(profit), np.zeros(len(supported)), np.zeros(len(supported))
    if len(supported) == 1:
        return gain, error
    steps = (band[:, None] == supported[1:]).astype(np.float64)
    known = np.ones((n, 1))
    if controls is not None:
        spread = controls.std(axis=0)
        known = np.column_stack([known, (controls - controls.mean(axis=0))[:, spread > 0] / spread[spread > 0]])
    both = np.column_stack([steps, profit])
    fitted, _, rank, _ = np.linalg.lstsq(known, both, rcond=COLLINEAR)
    left = both - known @ fitted
    told = (left[:, :-1] ** 2).sum(axis=0) <= COLLINEAR * (steps**2).sum(axis=0)
    gain[1:], error[1:] = np.nan, np.nan
    x, y = left[:, :-1][:, ~told], left[:, -1]
    bread = np.linalg.pinv(x.T @ x)
    estimate = bread @ (x.T @ y)
    scores = x * (y - x @ estimate)[:, None]
    freedom = max(n - int(rank) - x.shape[1], 1)
    places = 1 + np.flatnonzero(~told)
    gain[places] = estimate
    error[places] = np.sqrt(n / freedom * np.diag(bread @ (scores.T @ scores) @ bread))
    return gain, error


def value_of_rules(
    profit: Floats, dose: Floats, band: Codes, bands: Bins, decisions: Mapping[str, Codes], means: Floats
) -> pd.DataFrame:
    """What rules, and every constant band (``all_…``), are worth on customers whose discount was drawn by lot.

    ips = mean( w_i·Y_i ) and value = mean( m(x_i, π_i) + w_i·(Y_i − m(x_i, π_i)) ), doubly robust, with
    w_i = 1{B_i = π_i}/e(π_i), e(b) the design's share of band b. Within a band a customer gets the doses of the design
    in their proportions.

    One row a rule: ``rule, share_with_discount, mean_dose, ips, value, versus_none, versus_constant, p_value,
    p_value_holm``, money per customer, with ``…_ci_low`` and ``…_ci_high``. Differences are paired. versus_constant:
    over the best constant band, as the least of the differences and of either bounds (intersection–union, Berger
    1982), which choosing the best constant from the same rows would spoil; p_value: one-sided, that it is above 0;
    Holm's over ``decisions``.

    decisions: (n,) bands by rule.  means: (n, bands) m, of models that have not seen the row.
    """
    share = np.bincount(band, minlength=len(bands.labels)) / len(band)
    every = dict(decisions) | {f"all_{label}": np.full(len(band), b) for b, label in enumerate(bands.labels)}
    rows = np.arange(len(band))
    scores, weighted = {}, {}
    for name, chosen in every.items():
        weight = (band == chosen) / share[chosen]
        weighted[name] = weight * profit
        model = means[rows, chosen]
        scores[name] = model + weight * (profit - model)
    mean_dose = np.array([dose[band == b].mean() for b in range(len(bands.labels))])
    constants = [name for name in every if name not in decisions]
    found = []
    for name, chosen in every.items():
        numbers = {
            "rule": name,
            "share_with_discount": float((mean_dose[chosen] > 0).mean()),
            "mean_dose": float(mean_dose[chosen].mean()),
            **_mean(weighted[name], "ips"),
            **_mean(scores[name], "value"),
        }
        lead = {other: _mean(scores[name] - scores[other], "lead") for other in constants if other != name}
        if bands.labels[0] == NONE and name != constants[0]:
            numbers |= _mean(scores[name] - scores[constants[0]], "versus_none")
        for part in ("", "_ci_low", "_ci_high"):
            numbers[f"versus_constant{part}"] = min(values[f"lead{part}"] for values in lead.values())
        numbers["p_value"] = max(one_sided_p_value(values["lead"], values["lead_error"]) for values in lead.values())
        found.append(numbers)
    frame = pd.DataFrame(found)
    mine = frame["rule"].isin(list(decisions))
    frame["p_value_holm"] = np.nan
    frame.loc[mine, "p_value_holm"] = holm(frame.loc[mine, "p_value"].to_numpy(dtype=np.float64))
    return frame


def _mean(values: Floats, name: str) -> dict[str, float]:
    """A mean with its error and interval."""
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    keys = (name, f"{name}_error", f"{name}_ci_low", f"{name}_ci_high")
    return dict(zip(keys, (mean, error, mean - Z_95 * error, mean + Z_95 * error), strict=True))


def means_of_other_folds(profit: Floats, band: Codes, codes: Codes, fold: Codes, bands: int) -> Floats:
    """For each customer and band, the mean profit of the other folds' customers of the same bin who had that band.

    Of all customers of the other folds where the bin has none.  codes: −1 is a bin too.  Returns (n, bands).
    """
    means = np.empty((len(profit), bands))
    shifted = codes + 1
    size = int(shifted.max()) + 1
    for mine in np.unique(fold):
        other = fold != mine
        cell = shifted[other] * bands + band[other]
        count = np.bincount(cell, minlength=size * bands).reshape(size, bands)
        total = np.bincount(cell, profit[other], minlength=size * bands).reshape(size, bands)
        overall = total.sum(axis=0) / np.maximum(count.sum(axis=0), 1)
        table = np.where(count > 0, total / np.maximum(count, 1), overall)
        means[fold == mine] = table[shifted[fold == mine]]
    return means


# ── predicted sales ──────────────────────────────────────────────────────────────────────────────────────────────────


def predict_sales(
    log: pd.DataFrame, randomised: pd.DataFrame, features: Sequence[str], model: Boosting, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Sales that the log's customers lead to expect, from their features alone: E[sales | x] by LightGBM.

    The discount is no feature: the log's larger discounts are part of what is expected, as they are of any company's
    forecast. It sorts customers and is no effect.

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


# ── everything by one column, by all columns ─────────────────────────────────────────────────────────────────────────


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
    """What one column tells. effects, curves: by outcome (no curves for a category).  rules: what was learned."""

    column: str
    effects: dict[str, BinEffects]
    curves: dict[str, Curves]
    rules: dict[str, GroupRule]
    worth: pd.DataFrame
    unsupported: int


@dataclass(frozen=True)
class GroupStudy:
    """All columns; overall: the slopes of everybody, by outcome."""

    columns: dict[str, ColumnStudy]
    overall: dict[str, dict[str, float]]
    customers: int
    bands: Bins


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
    valued on all randomised customers. Bins are of the randomised customers, whose outcomes have no part in them.

    randomised, log: tables with sales, discount, profit and the features; the log may have no rows, and then gives no
    rule.  predictions: the company's own, columns of the log.  Raises InputError: no randomised table, one level of the
    discount, a column that is no feature.
    """
    randomised, log = in_order_of_content(randomised), in_order_of_content(log)
    _require_tables(randomised, log, features, settings)
    # A column more or less in the settings leaves the folds, and so all values, as they are.
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
    found = {
        name: _study_column(name, columns[name], randomised, log, bands, fold, controls, settings, for_bands)
        for name in settings.by
    }
    overall = {}
    for outcome in OUTCOMES:
        linearised = slope(randomised[outcome].to_numpy(dtype=np.float64), dose)
        error = linearised.error(np.arange(len(dose)))
        overall[outcome] = _interval(linearised.value, error)
    return GroupStudy(found, overall, len(randomised), bands)


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
    """What the log's discount may have hung on, (n, p): features, and the company's predictions.

    A prediction of few values is a 0/1 column for each of them: what the company made of it need not be a line.
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
        values = randomised[outcome].to_numpy(dtype=np.float64)
        effects[outcome] = effects_by_bin(values, dose, codes, bins.labels, rng)
        if bins.levels is None:
            curves[outcome] = cumulative_curves(values, dose, as_numbers(here), rng)
    learned = {}
    decided = np.zeros(len(codes), dtype=np.intp)
    for mine in range(FOLDS):
        rest = fold != mine
        rule = rule_from_means(profit[rest], band[rest], codes[rest], bins, bands)
        learned[f"{TEST}_{mine + 1}"] = rule
        decided[~rest] = rule.decide(codes[~rest])
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
    worth = value_of_rules(profit, dose, band, bands, decisions, means)
    return ColumnStudy(name, effects, curves, rules, worth, unsupported)


# ── what is shown and written ────────────────────────────────────────────────────────────────────────────────────────


def effects_table(study: GroupStudy) -> pd.DataFrame:
    """Every column's effects: ``column, outcome, place`` and the columns of ``BinEffects.frame``."""
    parts = [
        found.frame.assign(column=name, outcome=outcome, place=np.arange(len(found.frame)))
        for name, column in study.columns.items()
        for outcome, found in column.effects.items()
    ]
    return _first(parts, "column", "outcome", "place")


def curves_table(study: GroupStudy) -> pd.DataFrame:
    """Every numeric column's curves: ``column, outcome`` and the columns of ``Curves.frame``."""
    parts = [
        found.frame.assign(column=name, outcome=outcome)
        for name, column in study.columns.items()
        for outcome, found in column.curves.items()
    ]
    return _first(parts, "column", "outcome")


def rules_table(study: GroupStudy) -> pd.DataFrame:
    """What each rule was made of: ``column, rule`` and the columns of ``GroupRule.table``."""
    parts = [
        rule.table.assign(column=name, rule=which)
        for name, column in study.columns.items()
        for which, rule in column.rules.items()
    ]
    return _first(parts, "column", "rule")


def values_table(study: GroupStudy) -> pd.DataFrame:
    """What each rule and each constant band is worth: ``column`` and the columns of ``value_of_rules``."""
    return _first([column.worth.assign(column=name) for name, column in study.columns.items()], "column")


def _first(parts: list[pd.DataFrame], *columns: str) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame(columns=list(columns))
    frame = pd.concat(parts, ignore_index=True)
    return frame[[*columns, *(column for column in frame if column not in columns)]]


def areas(study: GroupStudy) -> dict[str, tuple[float, float]]:
    """Of every numeric column: the area between the gain curve of profit and the random line, and its p-value."""
    found = {name: column.curves.get("profit") for name, column in study.columns.items()}
    return {name: (curves.area, curves.area_p_value) for name, curves in found.items() if curves is not None}


def finding(study: GroupStudy) -> str:
    """The bins of the first column with the lowest and the highest effect on profit, in words."""
    name, column = next(iter(study.columns.items()))
    rows = column.effects["profit"].frame.sort_values("effect", kind="stable")
    ends = [f"{rows['effect'].iloc[end]:.3g} where {name} is {rows['bin'].iloc[end]}" for end in (0, -1)]
    return ", ".join(ends)


def summary(study: GroupStudy) -> dict[str, Any]:
    """What goes into the metrics: nested numbers, strings and booleans."""
    found: dict[str, Any] = {"customers": study.customers, "overall": study.overall}
    for name, column in study.columns.items():
        entry: dict[str, Any] = {}
        for outcome, effects in column.effects.items():
            rows = effects.frame.set_index("bin")
            entry[outcome] = {
                "equal_effects_statistic": effects.equal,
                "equal_effects_p_value": effects.equal_p_value,
                "bins": {str(label): {str(k): float(v) for k, v in row.items()} for label, row in rows.iterrows()},
            }
            if outcome in column.curves:
                curves = column.curves[outcome]
                entry[outcome]["gain_area"] = {
                    "estimate": curves.area,
                    "error": curves.area_error,
                    "p_value": curves.area_p_value,
                }
        rules = column.worth[~column.worth["rule"].str.startswith("all_")].set_index("rule")
        entry["rules"] = {
            str(rule): {str(k): float(v) for k, v in row.items() if np.isfinite(v)} for rule, row in rules.iterrows()
        }
        if LOG in column.rules:
            chosen = column.rules[LOG].table
            chosen = chosen[chosen["chosen"]]
            entry["rules"][LOG]["choice"] = dict(zip(chosen["bin"], chosen["band"], strict=True))
            entry["rules"][LOG]["bins_without_support"] = column.unsupported
        found[name] = entry
    return found


def _interval(value: float, error: float) -> dict[str, float]:
    keys = ("estimate", "error", "ci_low", "ci_high")
    return dict(zip(keys, (value, error, value - Z_95 * error, value + Z_95 * error), strict=True))
