"""Who got a discount from when: the treated group and region of a panel, and the rows each analysis may use.

Both are stated by the user, or found from the discount itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.base.validation import require_keys, require_whole
from promotions.discount.tables import in_order_of_content

OUTCOMES = ("profit", "sales", "discount")
GROUP, REGION = "group", "region"
SEARCH = "search"
# A change of the discount counts if it is so many standard errors above 0; many months and levels are tried.
CERTAIN = 6.0
# The search is ambiguous if a second level changed by at least this share of the largest change.
RIVAL = 0.5
KEY = "discount.did"


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
    """Rows of a panel, sorted by content so that the order of the file changes no sum, with the design's columns.

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

    @cached_property
    def treated(self) -> dict[str, Treated]:
        """Who is treated from when, by analysis."""
        return {name: getattr(self.design, name) for name in self.analyses}

    @property
    def analyses(self) -> tuple[str, ...]:
        """``group``, and ``region`` if one is treated."""
        return tuple(self.start)

    @cached_property
    def clean(self) -> dict[str, pd.DataFrame]:
        """The rows that each analysis may use.

        group: known customers, without those of the region once it is treated.  region: known customers of other
        groups, who have a discount only by their region.
        """
        labelled = self.rows[self.rows["known"]]
        by_analysis = {GROUP: labelled[~labelled["otherwise"]].reset_index(drop=True)}
        if self.design.region is not None:
            by_analysis[REGION] = labelled[labelled["in_group"] == 0].reset_index(drop=True)
        return by_analysis


def find_design(panel: pd.DataFrame, group: Mapping[str, Any], region: Mapping[str, Any]) -> Design:
    """Who gets a discount from when, as stated or as the discount itself shows.

    group, region: ``{column, level, month}``. ``search`` for level or month takes the largest change of the discount:
    for each level and month, the change of its mean discount less that of the others, D; the pair with the largest
    D²·ñ, ñ = 1/Σ(1/n) over the four cells, is the one whose step explains most of the discount's variation (least
    squares for a step at an unknown time). The region is searched among customers of other groups. The level of the
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
        raise InputError("the panel has no column 'month'; without it, before and after cannot be distinguished")
    for name, section in stated.items():
        column = section["column"]
        if column not in panel or column in (*OUTCOMES, "month", "row"):
            usable = [str(candidate) for candidate in panel if candidate not in (*OUTCOMES, "month", "row")]
            raise InputError(f"{KEY}.{name}.column: {column!r} cannot be chosen; expected one of {', '.join(usable)}")
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
    labelled = labels.notna().to_numpy(dtype=bool)
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
    changes = _changes(labels[labelled], months[labelled], dose[labelled])
    if month != SEARCH:
        changes = changes[changes["month"] == float(month)]
    candidates = changes if level == SEARCH else changes[changes["level"] == str(level)]
    best = candidates.sort_values(["explained", "level", "month"], ascending=[False, True, True]).iloc[0]
    if best["change"] <= 0 or best["statistic"] < CERTAIN:
        at = "" if level == SEARCH else f" of {column} {level}"
        raise InputError(
            f"{KEY}.{name}: no change of the discount{at} stands out (largest: {best['change']:.3g} for {column} "
            f"{best['level']} from month {best['month']:g}); state level and month; the panel needs months before it"
        )
    if level == SEARCH:
        remaining = labelled & (labels != best["level"]).fillna(False).to_numpy(dtype=bool)
        others = (
            _changes(labels[remaining], months[remaining], dose[remaining]) if len(levels) > 2 else changes.iloc[:0]
        )
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
    """For each level and month: how much more its mean discount changed from that month on than the others'.

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
    """The panel with the design's columns.  panel: as for ``find_design``, profit at the margin in use."""
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
    prepared = Panel(rows, design, months, tuple(str(name) for name in names))
    for name in prepared.analyses:
        _require_cells(prepared, name)
    return prepared


def _require_cells(panel: Panel, name: str) -> None:
    """Treated and controls before and after, or InputError."""
    rows, treated = panel.clean[name], panel.treated[name]
    cells = rows.groupby([f"in_{name}", f"{name}_on"]).size()
    for member, side in ((1.0, f"{treated.column} {treated.level}"), (0.0, "controls")):
        for after, when in ((0.0, "before"), (1.0, "from")):
            if not cells.get((member, after), 0):
                raise InputError(
                    f"{KEY}.{name}: the panel has no {side} {when} month {treated.month:g} but unknown customers and "
                    "those who are treated otherwise"
                )


def in_words(panel: Panel) -> dict[str, str]:
    """The treated of each analysis as figures call them, such as ``gender W``."""
    return {name: f"{treated.column} {treated.level}" for name, treated in panel.treated.items()}


def starts(panel: Panel) -> dict[str, float]:
    """The first month with the discount, by analysis."""
    return {name: treated.month for name, treated in panel.treated.items()}


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
