"""What a discount does, from a panel in which one group gets it from some month on, and one region from another.

Customers differ from month to month (repeated cross-sections). The difference in differences compares the change of
the treated with the change of the others,

    (E[y | treated, after] − E[y | treated, before]) − (E[y | others, after] − E[y | others, before]),

which is the effect on the treated if without the discount both had changed alike (parallel trends) and nobody's
discount was foreseen. The others must be controls: customers of whom it is not known whether they are treated, and
customers who are treated otherwise, are not. Estimates with and without them stand side by side, labelled.

Sources: Angrist & Pischke (2009), ch. 5; Callaway & Sant'Anna (2021); Montiel Olea & Plagborg-Møller (2019) for joint
intervals; Rambachan & Roth (2023) for violations of parallel trends.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from promotions.balance import holm
from promotions.discount.estimates import in_order_of_content
from promotions.errors import InputError
from promotions.validation import require_keys, require_whole

OUTCOMES = ("profit", "sales", "discount")
COMPARED = (*OUTCOMES, "profit_per_dollar", "sales_per_dollar")
GROUP, REGION = "group", "region"
SEARCH = "search"
# A change of the discount is one if it stands so many standard errors above 0; months and levels are many.
CERTAIN = 6.0
# A second level whose discount changed by this share of the largest change, or more, makes the search ambiguous.
RIVAL = 0.5
# Draws behind a joint interval: its critical value then varies by less than 1 %.
DRAWS = 20_000
# A standard error below this share of the estimates is what rounding leaves of 0 (a discount that does not vary).
NEGLIGIBLE = 1e-8
KEY = "discount.did"
# How the truths of a simulated panel are called.
TRUTHS = ("did_effect", "region_effect")


@dataclass(frozen=True)
class Treated:
    """Who is treated from when: customers whose ``column`` is ``level``, from ``month`` on."""

    column: str
    level: str
    month: float


@dataclass(frozen=True)
class Design:
    """The treated group, and the treated region if there is one. region_column: names the region of every customer."""

    group: Treated
    region: Treated | None
    region_column: str


@dataclass(frozen=True)
class Panel:
    """Rows of a panel, sorted by content so that the order of the file changes no sum, with what the design says.

    rows: the panel's columns, and ``t`` (0 … T − 1, place of the month), ``place`` (the region, 0 … R − 1),
    ``cell`` (region × month), 0/1 columns ``in_group``, ``in_region``, ``group_on``, ``region_on`` (month reached), and
    booleans ``known`` (group and region are not missing) and ``otherwise`` (in the treated region once it is treated).
    """

    rows: pd.DataFrame
    design: Design
    months: NDArray[np.float64]
    regions: tuple[str, ...]

    @cached_property
    def start(self) -> dict[str, int]:
        """Place of the first month of treatment: of the group, and of the region if there is one."""
        starts = {GROUP: int(np.searchsorted(self.months, self.design.group.month))}
        if self.design.region is not None:
            starts[REGION] = int(np.searchsorted(self.months, self.design.region.month))
        return starts

    @property
    def analyses(self) -> tuple[str, ...]:
        """``group``, and ``region`` if one is treated."""
        return tuple(self.start)

    @cached_property
    def clean(self) -> dict[str, pd.DataFrame]:
        """The rows of which each analysis may make use.

        group: known customers, without those of the region once it is treated.  region: known customers of other
        groups, who have no discount but by their region.
        """
        known = self.rows[self.rows["known"]]
        found = {GROUP: known[~known["otherwise"]].reset_index(drop=True)}
        if self.design.region is not None:
            found[REGION] = known[known["in_group"] == 0].reset_index(drop=True)
        return found


# ── the design ───────────────────────────────────────────────────────────────────────────────────────────────────────


def find_design(panel: pd.DataFrame, group: Mapping[str, Any], region: Mapping[str, Any]) -> Design:
    """Who gets a discount from when, as stated or as the discount itself shows.

    group, region: ``{column, level, month}``. ``search`` for level or month takes the largest change of the discount:
    for each level and month, the change of its mean discount less that of the others, D; the pair with the largest
    D²·ñ, ñ = 1/Σ(1/n) over the four cells, is the one whose step explains most of the discount's variation (least
    squares for a step at an unknown time). The region is looked for among customers of other groups. The level of the
    region is None if no region is treated apart.

    panel: sales, discount, profit, month and the two columns.  Raises InputError: an unknown column or level, a month
    without one before it, no change of the discount, or two levels whose discount changed.
    """
    stated = {GROUP: group, REGION: region}
    for name, section in stated.items():
        require_keys(section, ("column", "level", "month"), f"{KEY}.{name}")
    _require_panel(panel, stated)
    months = panel["month"].to_numpy(dtype=np.float64)
    dose = panel["discount"].to_numpy(dtype=np.float64)
    column, region_column = str(group["column"]), str(region["column"])
    if group["level"] is None:
        raise InputError(f"{KEY}.group.level: expected a level of {column!r} or {SEARCH!r}, got nothing")
    labels = panel[column].astype("string")
    treated = _treated(labels, months, dose, group, GROUP)
    if region["level"] is None:
        return Design(treated, None, region_column)
    others = (labels.notna() & (labels != treated.level)).to_numpy(dtype=bool)
    regions = panel[region_column].astype("string")
    return Design(treated, _treated(regions[others], months[others], dose[others], region, REGION), region_column)


def _require_panel(panel: pd.DataFrame, stated: Mapping[str, Mapping[str, Any]]) -> None:
    if panel.empty:
        raise InputError(
            "the panel has no rows; name its file in discount.files.panel to have before and after compared"
        )
    if "month" not in panel:
        raise InputError("the panel has no column 'month'; before and after cannot be told apart without it")
    for name, section in stated.items():
        column = section["column"]
        if column not in panel or column in (*OUTCOMES, "month", "row"):
            usable = [str(other) for other in panel if other not in (*OUTCOMES, "month", "row")]
            raise InputError(f"{KEY}.{name}.column: {column!r} is no column to choose; there are {', '.join(usable)}")
    if panel["month"].isna().any():
        raise InputError(
            f"the panel's month is missing in {int(panel['month'].isna().sum()):,} rows; fill it or drop them"
        )
    if panel["month"].nunique() < 2:
        raise InputError(f"the panel has one month only, {panel['month'].iloc[0]:g}; two or more are needed")


def _treated(
    labels: "pd.Series[Any]",
    months: NDArray[np.float64],
    dose: NDArray[np.float64],
    stated: Mapping[str, Any],
    name: str,
) -> Treated:
    """The level and month that are stated; ``search``: of the largest change of the discount."""
    column, level, month = str(stated["column"]), stated["level"], stated["month"]
    known = labels.notna().to_numpy(dtype=bool)
    levels = sorted(labels.dropna().unique())
    if len(levels) < 2:
        raise InputError(
            f"{KEY}.{name}.column: {column!r} has {len(levels)} level(s); two or more are needed to compare"
        )
    if level != SEARCH and str(level) not in levels:
        listed = ", ".join(levels[:30]) + (" and others" if len(levels) > 30 else "")
        raise InputError(f"{KEY}.{name}.level: {level!r} is no level of {column!r}; there are {listed}, or {SEARCH!r}")
    if month != SEARCH:
        _require_month(month, months, name)
    if level != SEARCH and month != SEARCH:
        return Treated(column, str(level), float(month))
    changes = _changes(labels[known], months[known], dose[known])
    if month != SEARCH:
        changes = changes[changes["month"] == float(month)]
    mine = changes if level == SEARCH else changes[changes["level"] == str(level)]
    best = mine.sort_values(["explained", "level", "month"], ascending=[False, True, True]).iloc[0]
    if best["change"] <= 0 or best["statistic"] < CERTAIN:
        at = "" if level == SEARCH else f" of {column} {level}"
        raise InputError(
            f"{KEY}.{name}: no change of the discount{at} stands out (largest: {best['change']:.3g} for {column} "
            f"{best['level']} from month {best['month']:g}); state level and month, before which the panel needs others"
        )
    if level == SEARCH:
        rest = known & (labels != best["level"]).fillna(False).to_numpy(dtype=bool)
        others = _changes(labels[rest], months[rest], dose[rest]) if len(levels) > 2 else changes.iloc[:0]
        rivals = others[(others["change"] >= RIVAL * best["change"]) & (others["statistic"] >= CERTAIN)]
        if len(rivals):
            rival = rivals.sort_values(["change", "level", "month"], ascending=[False, True, True]).iloc[0]
            raise InputError(
                f"{KEY}.{name}: the discount of {column} {best['level']} changed by {best['change']:.3g} from month "
                f"{best['month']:g} on, and that of {rival['level']} by {rival['change']:.3g} from month "
                f"{rival['month']:g}; state which level is to be studied"
            )
    return Treated(column, str(best["level"]), float(best["month"]))


def _require_month(month: object, months: NDArray[np.float64], name: str) -> None:
    if isinstance(month, bool) or not isinstance(month, (int, float)) or not np.isfinite(month):
        raise InputError(f"{KEY}.{name}.month: expected a month of the panel or {SEARCH!r}, got {month!r}")
    if month <= months.min():
        raise InputError(
            f"{KEY}.{name}.month: {month:g} leaves no month before it (the panel begins with {months.min():g}); "
            "without a period before the discount there is no difference in differences"
        )
    if month > months.max():
        raise InputError(f"{KEY}.{name}.month: {month:g} lies after the panel's last month, {months.max():g}")


def _changes(labels: "pd.Series[Any]", months: NDArray[np.float64], dose: NDArray[np.float64]) -> pd.DataFrame:
    """For each level and month: by how much more than the others' its mean discount changed from that month on.

    ``level, month, change, explained, statistic``: D, D²·ñ, and D over its error from the variation of the discount
    among customers of one level and month.
    """
    codes, names = pd.factorize(labels, sort=True)
    calendar, place = np.unique(months, return_inverse=True)
    shape = (len(names), len(calendar))
    at = codes * len(calendar) + place
    cells = len(names) * len(calendar)
    count, total, squares = (
        np.asarray(np.bincount(at, weight, minlength=cells), dtype=np.float64).reshape(shape)
        for weight in (np.ones(len(dose)), dose, dose**2)
    )
    within = float((squares - np.divide(total**2, count, out=np.zeros(shape), where=count > 0)).sum())
    freedom = max(len(dose) - int((count > 0).sum()), 1)
    # Rounding leaves a little of a sum of squares that is 0.
    variance = max(within, 0.0) / freedom if within > 1e-9 * float(squares.sum()) else 0.0

    def before_after(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        before = np.cumsum(values, axis=1)[:, :-1]
        return before, values.sum(axis=1, keepdims=True) - before

    counts, totals = before_after(count), before_after(total)
    with np.errstate(divide="ignore", invalid="ignore"):
        change, inverse = np.zeros(counts[0].shape), np.zeros(counts[0].shape)
        for sign, n, s in zip((-1, 1), counts, totals, strict=True):
            others_n, others_s = n.sum(axis=0) - n, s.sum(axis=0) - s
            change += sign * (s / n - others_s / others_n)
            inverse += 1 / n + 1 / others_n
        explained = np.where(np.isfinite(change), np.maximum(change, 0) ** 2 / inverse, 0.0)
        error = np.sqrt(variance * inverse)
        statistic = np.where(error > 0, change / error, np.where(np.abs(change) > 1e-9, np.inf * np.sign(change), 0.0))
    return pd.DataFrame(
        {
            "level": np.repeat(np.asarray(names, dtype=object), len(calendar) - 1),
            "month": np.tile(calendar[1:], len(names)),
            "change": np.nan_to_num(change).ravel(),
            "explained": explained.ravel(),
            "statistic": np.nan_to_num(statistic, posinf=np.inf, neginf=-np.inf).ravel(),
        }
    )


def make_panel(panel: pd.DataFrame, design: Design) -> Panel:
    """The panel with the columns that the design says.  panel: as for ``find_design``, profit at the margin in use."""
    group, region = design.group, design.region
    rows = in_order_of_content(panel)
    months = np.unique(rows["month"].to_numpy(dtype=np.float64))
    labels, regions = rows[group.column].astype("string"), rows[design.region_column].astype("string")
    place, names = pd.factorize(regions, sort=True)
    t = np.searchsorted(months, rows["month"].to_numpy(dtype=np.float64))
    in_region = np.zeros(len(rows), dtype=bool)
    region_on = np.zeros(len(rows), dtype=bool)
    if region is not None:
        in_region = (regions == region.level).fillna(False).to_numpy(dtype=bool)
        region_on = rows["month"].to_numpy() >= region.month
    in_group = (labels == group.level).fillna(False).to_numpy(dtype=bool)
    rows = rows.assign(
        t=t.astype(np.int64),
        place=place.astype(np.int64),
        cell=(place * len(months) + t).astype(np.int64),
        in_group=in_group.astype(np.float64),
        in_region=in_region.astype(np.float64),
        group_on=(rows["month"] >= group.month).astype(np.float64),
        region_on=region_on.astype(np.float64),
        known=(labels.notna() & regions.notna()).to_numpy(dtype=bool),
        otherwise=in_region & region_on,
    )
    found = Panel(rows, design, months, tuple(str(name) for name in names))
    for name in found.analyses:
        _require_cells(found, name)
    return found


def _require_cells(panel: Panel, name: str) -> None:
    """Treated and controls before and after, or InputError."""
    rows, treated = panel.clean[name], _treated_by_analysis(panel)[name]
    cells = rows.groupby([f"in_{name}", f"{name}_on"]).size()
    for member, side in ((1.0, f"{treated.column} {treated.level}"), (0.0, "controls")):
        for after, when in ((0.0, "before"), (1.0, "from")):
            if not cells.get((member, after), 0):
                raise InputError(
                    f"{KEY}.{name}: the panel has no {side} {when} month {treated.month:g} but unknown customers and "
                    "those who are treated otherwise"
                )


# ── estimates side by side ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Estimator:
    """A comparison: which rows, which regression, and what is wrong with it.

    formula: right-hand side; fixed: effects taken out; term: the coefficient that is the estimate.
    """

    name: str
    formula: str
    fixed: str
    term: str
    contaminated: bool
    why: str


def _estimators(name: str) -> tuple[Estimator, ...]:
    on, member = f"{name}_on", f"in_{name}"
    both = f"{member} + {on}"
    return (
        Estimator("before_after", "1", "", on, True, "all else that changed in the meantime counts as effect"),
        Estimator("cross_section", "1", "", member, True, "all else in which the treated differ counts as effect"),
        Estimator("did", both, "", "both", True, "unknown and otherwise treated customers are among the controls"),
        Estimator("did_known", both, "", "both", True, "otherwise treated customers are among the controls"),
        Estimator("did_clean", both, "", "both", False, ""),
        Estimator("did_clean_within", member, "cell", "both", False, ""),
    )


def compare_estimators(
    panel: Panel, outcomes: Sequence[str] = COMPARED, only: Sequence[str] | None = None
) -> pd.DataFrame:
    """The effect of having a discount, by every comparison, the contaminated ones labelled.

    before_after: the treated alone.  cross_section: treated less all others, after the discount began.  did: 2×2 of all
    rows, everybody who is not treated a control.  did_known: without customers of whom group or region is missing.
    did_clean: without the otherwise treated too (of the group: the treated region's customers once it is treated; of
    the region: the treated group's customers).  did_clean_within (group alone): the same with effects of each region in
    each month, so that customers are compared with others of their region and month.

    One row an analysis (``treated``: group or region), ``estimator`` and ``outcome``: ``profit``, ``sales``,
    ``discount``, and ``profit_per_dollar``, ``sales_per_dollar``, the change of the outcome over that of the discount
    (two-stage least squares). ``error``, ``ci_low``, ``ci_high``, ``p_value`` suppose independent customers (HC1);
    ``error_classical`` also equal variances; ``…_clustered`` allow for anything shared within a region (CRV1, t with
    ``clusters`` − 1 degrees). They are few, and with a single treated region such an error means nothing and is left
    out (NaN). An estimate without variance has the error 0.

    outcomes, only: which outcomes and estimators; all if not said.
    """
    found = []
    for name in panel.analyses:
        every = panel.rows.assign(both=panel.rows[f"in_{name}"] * panel.rows[f"{name}_on"])
        clean = panel.clean[name].assign(both=panel.clean[name][f"in_{name}"] * panel.clean[name][f"{name}_on"])
        chosen = {
            "before_after": every[every[f"in_{name}"] == 1],
            "cross_section": every[every[f"{name}_on"] == 1],
            "did": every,
            "did_known": every[every["known"]],
            "did_clean": clean,
            "did_clean_within": clean,
        }
        for estimator in _estimators(name):
            if (estimator.name == "did_clean_within" and name == REGION) or (only and estimator.name not in only):
                continue
            for outcome in outcomes:
                numbers = _estimate(estimator, outcome, chosen[estimator.name], clustered=name == GROUP)
                head = {
                    "treated": name,
                    "estimator": estimator.name,
                    "contaminated": estimator.contaminated,
                    "why": estimator.why,
                    "outcome": outcome,
                }
                found.append(head | numbers)
    return pd.DataFrame(found)


def _estimate(estimator: Estimator, outcome: str, rows: pd.DataFrame, *, clustered: bool) -> dict[str, float]:
    fixed = f" | {estimator.fixed}" if estimator.fixed else ""
    rows = rows.reset_index(drop=True)
    if outcome.endswith("_per_dollar"):
        term = "discount"
        formula = f"{outcome.removesuffix('_per_dollar')} ~ {estimator.formula}{fixed} | discount ~ {estimator.term}"
    else:
        term = estimator.term
        controls = "" if estimator.formula == "1" else f" + {estimator.formula}"
        formula = f"{outcome} ~ {term}{controls}{fixed}"
    fit = _regress(formula, rows)
    numbers = {"customers": float(len(rows)), "clusters": float(rows.loc[rows["place"] >= 0, "place"].nunique())}
    numbers |= _numbers(fit, term, "")
    numbers["error_classical"] = _numbers(_with_errors(fit, "iid"), term, "")["error"]
    spread = {"error_clustered": np.nan, "ci_low_clustered": np.nan, "ci_high_clustered": np.nan}
    if clustered and numbers["clusters"] > 1:
        found = _numbers(_with_errors(fit, {"CRV1": "place"}), term, "_clustered")
        spread = {key: found[key] for key in spread}
    return numbers | spread


def _regress(formula: str, rows: pd.DataFrame) -> Any:
    """Least squares with HC1 errors."""
    import pyfixest

    with _quiet():
        return pyfixest.feols(formula, rows, vcov="HC1", fixef_rm="none")


def _with_errors(fit: Any, kind: str | dict[str, str]) -> Any:
    """The same fit with other errors."""
    with _quiet():
        return fit.vcov(kind)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings: an estimate without variance has no error, which is dealt with here."""
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore")
        yield


def _numbers(fit: Any, term: str, suffix: str) -> dict[str, float]:
    """One coefficient with its error, interval and p-value."""
    index = list(fit._coefnames).index(term)
    estimate = float(fit._beta_hat[index])
    with np.errstate(invalid="ignore"):
        error = float(np.sqrt(fit._vcov[index, index]))
    if not error > NEGLIGIBLE * abs(estimate):
        low = high = estimate
        error, p_value = 0.0, float(estimate == 0)
    else:
        with _quiet():
            low, high = (float(bound) for bound in fit.confint().loc[term])
            p_value = float(fit.pvalue().loc[term])
    keys = (f"error{suffix}", f"ci_low{suffix}", f"ci_high{suffix}", f"p_value{suffix}")
    return {"estimate": estimate, **dict(zip(keys, (error, low, high, p_value), strict=True))}


def composition(panel: Panel, columns: Sequence[str]) -> pd.DataFrame:
    """Did the customers themselves change? The clean difference in differences of columns that no discount can change.

    ``treated, column, estimate, error, p_value, p_value_holm``: with repeated cross-sections a change of who is there
    would pass for an effect. Errors HC1; Holm (1979) over all rows.

    columns: numeric columns of the panel, such as age and tenure.
    """
    found = []
    for name in panel.analyses:
        rows = panel.clean[name].assign(both=panel.clean[name][f"in_{name}"] * panel.clean[name][f"{name}_on"])
        for column in columns:
            known = rows[rows[column].notna()].reset_index(drop=True)
            known = known.assign(value=known[column].astype(np.float64))
            fit = _regress(f"value ~ both + in_{name} + {name}_on", known)
            numbers = _numbers(fit, "both", "")
            found.append(
                {"treated": name, "column": column} | {k: numbers[k] for k in ("estimate", "error", "p_value")}
            )
    frame = pd.DataFrame(found, columns=["treated", "column", "estimate", "error", "p_value"])
    return frame.assign(p_value_holm=holm(frame["p_value"].to_numpy(dtype=np.float64)))


# ── event study ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class EventStudy:
    """Effects by month, with the last month before the discount as reference.

    frame: ``month, event_time, estimate, error, ci_low, ci_high, joint_ci_low, joint_ci_high, reference``; event time
    is counted in the panel's months, 0 the first with the discount.  critical_value: of max |t| over all event times.
    covariance: (k, k) of the estimates but the reference, in the order of the frame.  pre_trend: Wald statistic that
    all effects before are 0, with its p-value (χ²) and the number of months.  pre_trend_clustered_p_value: with
    regions as clusters, by F with as many denominator degrees as regions less one; NaN for the region's own study.
    left_out: months without treated or without controls.
    """

    frame: pd.DataFrame
    covariance: NDArray[np.float64]
    critical_value: float
    pre_trend: float
    pre_trend_p_value: float
    pre_trend_clustered_p_value: float
    pre_months: int
    left_out: int


def event_study(panel: Panel, name: str, outcome: str, rng: np.random.Generator) -> EventStudy:
    """Least squares of the outcome on treated × month, among the rows that are clean.

    group: y_i = α_{region, month} + γ·treated_i + Σ_{t ≠ ref} β_t·treated_i·1{month_i = t} + ε_i, so that customers are
    compared with others of the same region and month.  region: the same with α_region + λ_month.
    Pointwise intervals are HC1; the joint ones are estimate ± c·error with c the 95 % quantile of max |t| (Montiel Olea
    & Plagborg-Møller 2019, by pyfixest).

    name: ``group`` or ``region``.  Raises InputError if the month before the discount has no treated or no controls.
    """
    rows, start, member = panel.clean[name], panel.start[name], f"in_{name}"
    seen = rows.groupby("t")[member].nunique()
    usable = seen.index[seen == 2].to_numpy()
    reference = start - 1
    if reference not in usable:
        treated = _treated_by_analysis(panel)[name]
        raise InputError(
            f"{KEY}.{name}: month {panel.months[reference]:g}, the last before the discount of {treated.column} "
            f"{treated.level}, has no treated customers or no controls, so nothing can be compared with it"
        )
    rows = rows[rows["t"].isin(usable)].reset_index(drop=True)
    effects = f"i(t, {member}, ref={reference})"
    if name == GROUP:
        fit = _regress(f"{outcome} ~ {member} + {effects} | cell", rows)
    else:
        fit = _regress(f"{outcome} ~ {effects} + C(t) | place", rows)
    names = [term for term in fit._coefnames if term.startswith("t::")]
    places = np.array([int(term.removeprefix("t::").split(":")[0]) for term in names])
    index = [list(fit._coefnames).index(term) for term in names]
    estimate, covariance = fit._beta_hat[index], fit._vcov[np.ix_(index, index)]
    error = np.sqrt(np.maximum(np.diag(covariance), 0))
    error = np.where(error > NEGLIGIBLE * np.abs(estimate).max(initial=0), error, 0.0)
    seed = int(rng.integers(2**31))
    critical, low, high = 0.0, estimate.copy(), estimate.copy()
    before = places < start
    wald = p_value = clustered = np.nan
    if (error > 0).all():
        pointwise = fit.confint().loc[names].to_numpy(dtype=np.float64)
        low, high = pointwise[:, 0], pointwise[:, 1]
        joint = fit.confint(joint=True, keep=names, exact_match=True, seed=seed, reps=DRAWS).loc[names].to_numpy()
        critical = float(np.median((joint[:, 1] - joint[:, 0]) / 2 / error))
        if before.any():
            restrictions = np.eye(len(fit._coefnames))[np.array(index)[before]]
            wald, p_value = (float(part) for part in fit.wald_test(R=restrictions, distribution="chi2"))
            regions = rows["place"].nunique()
            if name == GROUP and regions > before.sum():
                statistic = _with_errors(fit, {"CRV1": "place"}).wald_test(R=restrictions, distribution="chi2")
                clustered = float(stats.f.sf(statistic["statistic"] / before.sum(), before.sum(), regions - 1))
    order = np.argsort(np.append(places, reference))
    columns = {
        "estimate": estimate,
        "error": error,
        "ci_low": low,
        "ci_high": high,
        "joint_ci_low": estimate - critical * error,
        "joint_ci_high": estimate + critical * error,
    }
    at = np.append(places, reference)[order]
    frame = pd.DataFrame({"month": panel.months[at], "event_time": at - start})
    frame = frame.assign(**{column: np.append(values, 0.0)[order] for column, values in columns.items()})
    return EventStudy(
        frame.assign(reference=at == reference),
        covariance,
        critical,
        wald,
        p_value,
        clustered,
        int(before.sum()),
        len(panel.months) - len(usable),
    )


def event_studies(panel: Panel, rng: np.random.Generator) -> dict[tuple[str, str], EventStudy]:
    """The event study of every analysis and outcome."""
    return {(name, outcome): event_study(panel, name, outcome, rng) for name in panel.analyses for outcome in OUTCOMES}


# ── violations of parallel trends ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Sensitivity:
    """Effects if parallel trends do not hold.

    frame: ``target, months, curvature, estimate, ci_low, ci_high``: intervals that hold if the difference of trends
    bends by no more than ``curvature`` (money a month, from one month to the next).  breakdown: the curvature from
    which on the interval of ``early`` includes 0 (0: it does even where trends are straight).  detectable_slope: the
    straight difference of trends (money a month) that the pre-trend test would find in 80 of 100 panels.
    """

    frame: pd.DataFrame
    breakdown: float
    detectable_slope: float


def sensitivity(study: EventStudy, curvatures: Sequence[float]) -> Sensitivity | None:
    """Rambachan & Roth's (2023) smoothness restriction: fixed-length intervals of the effect, by diff_diff.

    The difference of trends between treated and controls may be any δ with |(δ_{t+1} − δ_t) − (δ_t − δ_{t−1})| ≤ M;
    with M = 0 it is a straight line, which the months before then pin down. Two targets: ``first``, the first month,
    and ``early``, the mean of as many months as there are before: looking further ahead than back asks too much of a
    line. (The other restriction of the paper, relative magnitudes, is left out: the package's interval for it ignores
    that the differences before are estimated.) Only for the group: with a single treated region the errors ignore
    whatever else happened to that region.

    curvatures: M ≥ 0.  None if there is no month before the reference, gaps in the months, or no variance.
    """
    from diff_diff import HonestDiD
    from diff_diff.pretrends import compute_pretrends_power

    event_times = study.frame["event_time"].to_numpy()
    if study.pre_months < 1 or (np.diff(event_times) != 1).any() or not (study.frame["error"] > 0).sum() > 1:
        return None
    after = int((event_times >= 0).sum())
    early = min(study.pre_months + 1, after)
    # Later months restrict nothing that comes before them, and cost time.
    surface = _surface(study, early)
    found = []
    for target, months in (("first", 1), ("early", early)):
        weights = np.append(np.full(months, 1 / months), np.zeros(early - months))
        honest = HonestDiD(method="smoothness", l_vec=weights)
        for curvature in curvatures:
            bounds = honest.fit(surface, M=float(curvature))
            found.append(
                {
                    "target": target,
                    "months": months,
                    "curvature": float(curvature),
                    "estimate": float(bounds.original_estimate),
                    "ci_low": float(bounds.ci_lb),
                    "ci_high": float(bounds.ci_ub),
                }
            )
    breakdown = _breakdown(honest, surface, float(study.frame["error"].max()))
    power = compute_pretrends_power(surface, violation_type="linear", pretest_form="wald")
    return Sensitivity(pd.DataFrame(found), breakdown, float(power.mdv))


def _breakdown(honest: Any, surface: Any, scale: float) -> float:
    """The least curvature at which the interval includes 0, to 5 %; ten times ``scale`` if none up to there does."""

    def excludes_zero(curvature: float) -> bool:
        bounds = honest.fit(surface, M=curvature)
        return bool(bounds.ci_lb > 0 or bounds.ci_ub < 0)

    if not excludes_zero(0.0):
        return 0.0
    low, high = 0.0, scale / 8
    while excludes_zero(high):
        low, high = high, 2 * high
        if high > 10 * scale:
            return 10 * scale
    while high - low > 0.05 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if excludes_zero(middle) else (low, middle)
    return low


def _surface(study: EventStudy, after: int) -> Any:
    """The event study as diff_diff writes its own: that of treated × month, here with regions' effects taken out."""
    from diff_diff.results_base import EventStudyResults

    kept = (study.frame["event_time"] < after).to_numpy()
    frame = study.frame[kept]
    inside = kept[~study.frame["reference"].to_numpy(dtype=bool)]
    reference = frame["reference"].to_numpy(dtype=bool)
    times = frame["event_time"].to_numpy()
    blank = np.where(reference, np.nan, 1.0)
    error = frame["error"].to_numpy() * blank
    return EventStudyResults(
        event_time=times,
        att=frame["estimate"].to_numpy(),
        se=error,
        t_stat=frame["estimate"].to_numpy() / error,
        p_value=blank,
        conf_int_lower=frame["ci_low"].to_numpy() * blank,
        conf_int_upper=frame["ci_high"].to_numpy() * blank,
        is_reference=reference,
        n=np.full(len(frame), np.nan),
        reference_period=-1,
        time_scale="calendar",
        vcov=study.covariance[np.ix_(inside, inside)],
        vcov_index=times[~reference],
        source="TwoWayFixedEffects",
        post_periods=tuple(int(time) for time in times if time >= 0),
    )


# ── group-time effects ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class GroupTime:
    """Callaway & Sant'Anna's effects of each cohort in each month, and their means.

    effects: ``treated, first_month, month, event_time, estimate, error, ci_low, ci_high``.  cohorts: ``treated,
    first_month, estimate, error, ci_low, ci_high``, the mean over a cohort's months with the discount.  overall: the
    mean over all of them, weighted by the cohorts' customers.
    """

    effects: pd.DataFrame
    cohorts: pd.DataFrame
    overall: dict[str, float]


def group_time(panel: Panel, outcome: str) -> GroupTime:
    """Effects where the timing differs: the group from its month, the region's other customers from theirs.

    ATT(g, t) = (E[y | cohort g, t] − E[y | cohort g, g − 1]) − the same of customers who are never treated. Customers
    of the group in the treated region belong to the group until the region is treated and count no more from then on.
    Source: Callaway & Sant'Anna (2021), for repeated cross-sections, by diff_diff. Errors suppose independent
    customers. Trends of regions are not taken out: compare ``event_study``.
    """
    from diff_diff import CallawaySantAnna

    rows = panel.rows[panel.rows["known"]]
    rows = rows[~(rows["otherwise"] & (rows["in_group"] == 1))]
    # Places are counted from 1, as 0 means never.
    starts = {name: start + 1 for name, start in panel.start.items()}
    first = np.where(rows["in_region"] == 1, starts.get(REGION, 0), 0)
    first = np.where(rows["in_group"] == 1, starts[GROUP], first)
    table = pd.DataFrame(
        {
            "y": rows[outcome].to_numpy(dtype=np.float64),
            "id": np.arange(len(rows)),
            "t": rows["t"].to_numpy() + 1,
            "first": first,
        }
    )
    with _quiet():
        result = CallawaySantAnna(panel=False, base_period="universal").fit(table, "y", "id", "t", "first")
        means = result.aggregate("group").to_dataframe()
        whole = result.aggregate("simple").to_dataframe().iloc[0]
    # With one month for both, group and region are one cohort.
    named = {start: name for name, start in reversed(starts.items())}
    effects = [
        {
            "treated": named[int(cohort)],
            "first_month": float(panel.months[int(cohort) - 1]),
            "month": float(panel.months[int(t) - 1]),
            "event_time": int(t) - int(cohort),
            **_finite(cell["effect"], cell["se"], cell["conf_int"]),
        }
        for (cohort, t), cell in result.group_time_effects.items()
        if np.isfinite(cell["effect"])
    ]
    cohorts = [
        {
            "treated": named[int(row["label"])],
            "first_month": float(panel.months[int(row["label"]) - 1]),
            **_finite(row["att"], row["se"], (row["conf_int_lower"], row["conf_int_upper"])),
        }
        for _, row in means.iterrows()
    ]
    overall = _finite(whole["att"], whole["se"], (whole["conf_int_lower"], whole["conf_int_upper"]))
    return GroupTime(pd.DataFrame(effects), pd.DataFrame(cohorts), overall)


def _finite(estimate: float, error: float, interval: tuple[float, float]) -> dict[str, float]:
    """An estimate and its interval, which for one without variance is the estimate itself."""
    estimate = float(estimate)
    if not error > NEGLIGIBLE * abs(estimate):
        return {"estimate": estimate, "error": 0.0, "ci_low": estimate, "ci_high": estimate}
    return {
        "estimate": estimate,
        "error": float(error),
        "ci_low": float(interval[0]),
        "ci_high": float(interval[1]),
    }


# ── what is shown and written ────────────────────────────────────────────────────────────────────────────────────────


def means_by_month(panel: Panel) -> pd.DataFrame:
    """Mean outcome of every month: ``treated, side, month, outcome, mean, error, customers``.

    side: ``treated``, ``controls`` (clean ones), and for the group ``unknown``, who are no controls.
    """
    found = []
    for name in panel.analyses:
        rows = panel.clean[name]
        sides = {"treated": rows[rows[f"in_{name}"] == 1], "controls": rows[rows[f"in_{name}"] == 0]}
        if name == GROUP:
            sides["unknown"] = panel.rows[~panel.rows["known"]]
        for side, part in sides.items():
            for outcome in OUTCOMES:
                table = part.groupby("month")[outcome].agg(["mean", "sem", "size"]).reset_index()
                table = table.rename(columns={"sem": "error", "size": "customers"}).fillna({"error": 0.0})
                found.append(table.assign(treated=name, side=side, outcome=outcome))
    columns = ["treated", "side", "month", "outcome", "mean", "error", "customers"]
    return pd.concat(found, ignore_index=True)[columns]


def summary(
    panel: Panel,
    estimates: pd.DataFrame,
    changed: pd.DataFrame,
    studies: Mapping[tuple[str, str], EventStudy],
    honest: Sensitivity | None,
    cohorts: Mapping[str, GroupTime],
    known: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What goes into the metrics: nested numbers, strings and booleans.  known: the truth of a simulation."""
    design: dict[str, Any] = {"customers": len(panel.rows), "months": len(panel.months), "regions": len(panel.regions)}
    design["customers_of_unknown_group_or_region"] = int((~panel.rows["known"]).sum())
    design["customers_treated_otherwise"] = int((panel.rows["otherwise"] & panel.rows["known"]).sum())
    for name in panel.analyses:
        treated = _treated_by_analysis(panel)[name]
        design[name] = {"column": treated.column, "level": treated.level, "month": treated.month}
    found: dict[str, Any] = {"design": design}
    truth = {key: float(value) for key, value in (known or {}).items() if key.startswith(TRUTHS)}
    if truth:
        found["truth"] = truth
    for name in panel.analyses:
        mine = estimates[estimates["treated"] == name]
        table: dict[str, Any] = {}
        for estimator, rows in mine.groupby("estimator", sort=False):
            entry: dict[str, Any] = {"contaminated": bool(rows["contaminated"].iloc[0])}
            if entry["contaminated"]:
                entry["why"] = str(rows["why"].iloc[0])
            entry["customers"], entry["clusters"] = int(rows["customers"].iloc[0]), int(rows["clusters"].iloc[0])
            numbers = rows.set_index("outcome").drop(
                columns=["treated", "estimator", "contaminated", "why", "customers", "clusters"]
            )
            for outcome, row in numbers.iterrows():
                entry[str(outcome)] = {str(k): float(v) for k, v in row.items() if np.isfinite(v)}
            table[str(estimator)] = entry
        found[name] = table
        found[f"{name}_event_study"] = {
            outcome: _study_numbers(study) for (which, outcome), study in studies.items() if which == name
        }
    if honest is not None:
        found["group_sensitivity"] = _honest_numbers(honest)
    found["group_time"] = {
        outcome: {str(row["treated"]): _of(row) for _, row in result.cohorts.iterrows()} | {"overall": result.overall}
        for outcome, result in cohorts.items()
    }
    found["composition"] = {
        str(name): {
            str(row["column"]): {key: float(row[key]) for key in ("estimate", "error", "p_value", "p_value_holm")}
            for _, row in rows.iterrows()
        }
        for name, rows in changed.groupby("treated", sort=False)
    }
    return found


def _study_numbers(study: EventStudy) -> dict[str, Any]:
    numbers: dict[str, Any] = {"months_before": study.pre_months + 1, "months_left_out": study.left_out}
    parts = {
        "critical_value": study.critical_value,
        "pre_trend_statistic": study.pre_trend,
        "pre_trend_p_value": study.pre_trend_p_value,
        "pre_trend_p_value_clustered": study.pre_trend_clustered_p_value,
    }
    numbers |= {key: value for key, value in parts.items() if np.isfinite(value)}
    after = study.frame[study.frame["event_time"] >= 0]
    numbers["first"] = _of(after.iloc[0])
    excludes = (after["joint_ci_low"] > 0) | (after["joint_ci_high"] < 0)
    numbers["months_after"] = len(after)
    numbers["months_after_joint_interval_excludes_0"] = int(excludes.sum())
    return numbers


def _honest_numbers(found: Sensitivity) -> dict[str, Any]:
    numbers: dict[str, Any] = {"detectable_slope": found.detectable_slope, "breakdown_curvature": found.breakdown}
    for target, rows in found.frame.groupby("target", sort=False):
        straight = rows.sort_values("curvature").iloc[0]
        numbers[str(target)] = {
            "months": int(straight["months"]),
            "estimate": float(straight["estimate"]),
        } | {
            f"ci_{end}_at_{row['curvature']:g}": float(row[f"ci_{end}"])
            for _, row in rows.iterrows()
            for end in ("low", "high")
            if np.isfinite(row[f"ci_{end}"])
        }
    return numbers


def _of(row: Any) -> dict[str, float]:
    return {key: float(row[key]) for key in ("estimate", "error", "ci_low", "ci_high")}


def in_words(panel: Panel) -> dict[str, str]:
    """The treated of each analysis as figures call them, such as ``gender W``."""
    return {name: f"{treated.column} {treated.level}" for name, treated in _treated_by_analysis(panel).items()}


def starts(panel: Panel) -> dict[str, float]:
    """The first month with the discount, by analysis."""
    return {name: treated.month for name, treated in _treated_by_analysis(panel).items()}


def _treated_by_analysis(panel: Panel) -> dict[str, Treated]:
    return {name: getattr(panel.design, name) for name in panel.analyses}


def study_table(studies: Mapping[tuple[str, str], EventStudy]) -> pd.DataFrame:
    """The event studies as one long frame: ``treated, outcome``, ``EventStudy.frame``, and the pre-trend's p-value."""
    parts = [
        study.frame.assign(treated=name, outcome=outcome, pre_trend_p_value=study.pre_trend_p_value)
        for (name, outcome), study in studies.items()
    ]
    return _first(pd.concat(parts, ignore_index=True), "treated", "outcome")


def cohort_table(cohorts: Mapping[str, GroupTime]) -> pd.DataFrame:
    """The group-time effects as one long frame: ``outcome`` and the columns of ``GroupTime.effects``."""
    parts = [result.effects.assign(outcome=outcome) for outcome, result in cohorts.items()]
    return _first(pd.concat(parts, ignore_index=True), "outcome")


def sensitivity_table(found: Sensitivity | None) -> pd.DataFrame:
    """The frame of a sensitivity analysis; without rows if there is none."""
    if found is not None:
        return found.frame
    return pd.DataFrame(columns=["target", "months", "curvature", "estimate", "ci_low", "ci_high"])


def _first(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return frame[[*columns, *(column for column in frame if column not in columns)]]


def require_curvatures(values: object) -> list[float]:
    """The curvatures of params.yaml: numbers of 0 or more, ascending. Raises InputError."""
    key = f"{KEY}.curvatures"
    fine = isinstance(values, (list, tuple)) and len(values) > 0
    if fine:
        assert isinstance(values, (list, tuple))
        fine = all(isinstance(v, (int, float)) and not isinstance(v, bool) and 0 <= v < np.inf for v in values)
    if not fine:
        raise InputError(f"{key}: expected a list of numbers of 0 or more, got {values!r}")
    assert isinstance(values, (list, tuple))
    return sorted({float(value) for value in values})


def require_least(value: object) -> int | None:
    """Least number of customers of a region's month, from params.yaml; None for no mixture. Raises InputError."""
    return None if value is None else require_whole(value, f"{KEY}.least_customers", 1)
