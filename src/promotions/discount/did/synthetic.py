"""What a discount did to one region: compared with a mixture of other regions that went the same way before.

One treated region among few has no useful standard error: whatever else happened there at that time is part of the
estimate. Here the comparison is the convex combination of other regions that is closest to it in the months before, and
chance is judged by doing the same to every other region.

Sources: Abadie, Diamond & Hainmueller (2010; 2015) for the synthetic control and its placebos in space and time;
Arkhangelsky, Athey, Hirshberg, Imbens & Wager (2021) for the synthetic difference in differences. Both by diff_diff.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.discount.did.design import KEY, REGION, Panel
from promotions.inference.estimates import named

UNTREATED, STANDARDISED = "untreated", "standardised"
CUSTOMERS = (UNTREATED, STANDARDISED)
# With fewer, the treated region and the other are each other's mixture and no rank says anything.
LEAST_DONORS = 2
# Two ratios this near each other are equal up to rounding.
TIE = 1e-9
# Permutations behind the error of the synthetic difference in differences.
PERMUTATIONS = 500


@dataclass(frozen=True)
class RegionTable:
    """Mean outcomes of regions by month, of regions without gaps.

    means: regions × places of the months.  customers: (T,) customers of all these regions in each month.
    left_out: ``region, months_short``, regions with fewer customers than asked for in so many months.
    """

    means: pd.DataFrame
    customers: NDArray[np.float64]
    left_out: pd.DataFrame
    months: NDArray[np.float64]
    region: str
    start: int


def region_table(panel: Panel, outcome: str, customers: str, least: int) -> RegionTable:
    """Mean outcome of every region in every month, of customers without the other discount.

    ``untreated``: customers who are known not to be of the treated group.  ``standardised``: everybody whose group is
    known, the means of group and others weighted with the same shares in every region and month, so that no difference
    between regions comes from their composition; the group's own discount then is the same shock to all regions, if its
    effect is. The first assumes less, the second has twice as many customers.

    Regions with fewer than ``least`` customers (of the group and of the others each, if standardised) in any month are
    left out.  Raises InputError if the treated region is one of them, or fewer than two others remain.
    """
    treated = panel.design.region
    if treated is None:
        raise InputError(f"{KEY}.region.level: no region is treated, so no region can be compared with others")
    if customers not in CUSTOMERS:
        raise InputError(f"customers: {customers!r} is unknown; it is one of {', '.join(CUSTOMERS)}")
    rows = panel.rows[panel.rows["known"]]
    groups = (0.0,) if customers == UNTREATED else (0.0, 1.0)
    rows = rows[rows["in_group"].isin(groups)]
    shape = len(panel.regions), len(panel.months)
    counts = np.zeros((len(groups), *shape))
    means = np.zeros(shape)
    for index, member in enumerate(groups):
        part = rows[rows["in_group"] == member]
        cell, values = part["cell"].to_numpy(), part[outcome].to_numpy(dtype=np.float64)
        counts[index] = np.bincount(cell, minlength=means.size).reshape(shape)
        total = np.bincount(cell, values, minlength=means.size).reshape(shape)
        means += len(part) / len(rows) * total / np.maximum(counts[index], 1)
    smallest = counts.min(axis=0)
    short = (smallest < least).sum(axis=1)
    names = np.asarray(panel.regions, dtype=object)
    treated_place = int(np.flatnonzero(names == treated.level)[0])
    if short[treated_place]:
        month = int(np.argmin(smallest[treated_place]))
        raise InputError(
            f"{KEY}.{REGION}: {treated.level} has only {smallest[treated_place, month]:.0f} customers in month "
            f"{panel.months[month]:g} ({short[treated_place]} months with fewer than {KEY}.least_customers {least}); "
            "lower it, leave these months out of the panel, or set it to null (no mixture)"
        )
    kept = short == 0
    if kept.sum() - 1 < LEAST_DONORS:
        raise InputError(
            f"{KEY}.{REGION}: {kept.sum() - 1} other regions have {KEY}.least_customers {least} customers in every "
            f"month; {LEAST_DONORS} or more are needed to mix {treated.level} from: lower it"
        )
    return RegionTable(
        pd.DataFrame(means[kept], index=names[kept]),
        counts[:, kept].sum(axis=(0, 1)),
        pd.DataFrame({"region": names[~kept], "months_short": short[~kept]}),
        panel.months,
        treated.level,
        panel.start[REGION],
    )


@dataclass(frozen=True)
class Synthetic:
    """The treated region and its mixture.

    start: its first month with the discount.  effect: mean of treated less mixture over the months with the discount.
    weights: by region, largest first, not negative and summing to 1.  paths: ``region, month, actual, synthetic, gap``:
    the treated region first, then every other region as if it had been treated.  pre_rmspe, post_rmspe: root mean
    squared gap before and after; rmspe_ratio: their ratio.  p_value: the share of regions, the treated one included,
    whose ratio is at least as large (two-sided; at least 1/regions).  by_horizon: ``months, effect, p_value`` as if the
    panel had ended so many months after; the smallest of these p-values is not a p-value.  leave_one_out: least and
    largest effect without one of the regions in the mixture.  backdated: the mean gap before the discount of a mixture
    that was made of the first half of the months before (should be near 0).
    """

    region: str
    start: float
    effect: float
    weights: pd.DataFrame
    paths: pd.DataFrame
    pre_rmspe: float
    post_rmspe: float
    rmspe_ratio: float
    p_value: float
    regions: int
    left_out: int
    by_horizon: pd.DataFrame
    leave_one_out: tuple[float, float]
    backdated: float


def synthetic_control(table: RegionTable) -> Synthetic:
    """Weights w ≥ 0, Σw = 1, that minimise Σ_{t before} n_t (y_1t − Σ_j w_j y_jt)², n_t the customers of the month.

    Months with few customers, whose means are mostly noise, count less. Placebos: each other region is given the
    treatment in turn, the treated one among its donors, and the ratios of root mean squared gaps after and before are
    ranked. Raises InputError if fewer than two months lie before.
    """
    if table.start < 2:
        raise InputError(
            f"{KEY}.{REGION}: {table.start} month lies before month {table.months[table.start]:g}; two or more are "
            "needed to make a mixture that goes the same way"
        )
    fit = _fit(table, table.region)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ranked = fit.in_space_placebo()
        alone = fit.leave_one_out()
        earlier = fit.in_time_placebo([(table.start + 1) // 2]) if table.start >= 3 else None
    treated_row = ranked[ranked["is_treated"]].iloc[0]
    others = [str(name) for name in table.means.index if name != table.region]
    paths = [_path(table, table.region, fit), *(_path(table, name, _fit(table, name)) for name in others)]
    weights = pd.DataFrame(fit.donor_weights.items(), columns=["region", "weight"])
    without = alone.loc[alone["status"] == "loo", "att"]
    return Synthetic(
        table.region,
        float(table.months[table.start]),
        float(fit.att),
        weights.sort_values(["weight", "region"], ascending=[False, True], ignore_index=True),
        pd.concat(paths, ignore_index=True),
        float(fit.pre_rmspe),
        float(np.sqrt(treated_row["post_mspe"])),
        float(fit.rmspe_ratio),
        float(fit.placebo_p_value),
        len(table.means),
        len(table.left_out),
        _by_horizon(table, paths),
        (float(without.min()), float(without.max())),
        float(earlier["placebo_att"].iloc[0]) if earlier is not None else np.nan,
    )


def _by_horizon(table: RegionTable, paths: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Effect and rank after 1, 2, … months. The mixtures come from the months before, so they do not change."""
    gaps = np.stack([path["gap"].to_numpy() for path in paths])
    before, after = np.split(gaps, [table.start], axis=1)
    months = np.arange(1, after.shape[1] + 1)
    squares = np.cumsum(after**2, axis=1) / months
    # Cross-multiplied: a mixture that fits exactly has no finite ratio.
    error = (before**2).mean(axis=1)
    as_large = squares * error[0] >= squares[0] * error[:, None] * (1 - TIE)
    effect = np.cumsum(after[0]) / months
    return pd.DataFrame({"months": months, "effect": effect, "p_value": as_large.mean(axis=0)})


def _fit(table: RegionTable, treated: str) -> Any:
    """diff_diff's fit with ``treated`` as the treated region."""
    from diff_diff import SyntheticControl

    weights = table.customers[: table.start]
    model = SyntheticControl(v_method="custom", custom_v=weights, standardize="none", seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(_long(table, treated), "y", "treated", "region", "t")


def _long(table: RegionTable, treated: str) -> pd.DataFrame:
    """A row a region and month: ``region, t, y, treated``, the last 1 once the region is treated."""
    rows = pd.DataFrame(
        {
            "region": np.repeat(table.means.index.to_numpy(), table.means.shape[1]),
            "t": np.tile(np.arange(table.means.shape[1]), len(table.means)),
            "y": table.means.to_numpy(dtype=np.float64).ravel(),
        }
    )
    return rows.assign(treated=((rows["region"] == treated) & (rows["t"] >= table.start)).astype(int))


def _path(table: RegionTable, region: str, fit: Any) -> pd.DataFrame:
    actual = table.means.loc[region].to_numpy(dtype=np.float64)
    gap = np.array([fit.gap_path[t] for t in range(len(table.months))], dtype=np.float64)
    return pd.DataFrame(
        {"region": region, "month": table.months, "actual": actual, "synthetic": actual - gap, "gap": gap}
    )


def synthetic_did(table: RegionTable, rng: np.random.Generator) -> dict[str, float]:
    """Synthetic difference in differences: weights for regions and for months before, and levels may differ.

    ``estimate, error, ci_low, ci_high, p_value``; the error is the deviation of placebo estimates among the other
    regions (Arkhangelsky et al. 2021, algorithm 4), which supposes that the treated region is as noisy as they are. The
    interval is normal, the p-value the share of placebo estimates that are as large.
    """
    from diff_diff import SyntheticDiD

    rows = _long(table, table.region)
    rows["treated"] = (rows["region"] == table.region).astype(int)
    after = list(range(table.start, len(table.months)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SyntheticDiD(variance_method="placebo", n_bootstrap=PERMUTATIONS, seed=int(rng.integers(2**31)))
        fit = model.fit(rows, "y", "treated", "region", "t", post_periods=after)
    low, high = fit.conf_int
    numbers = {"estimate": fit.att, "error": fit.se, "ci_low": low, "ci_high": high, "p_value": fit.p_value}
    return {key: float(value) for key, value in numbers.items()}


@dataclass(frozen=True)
class RegionStudy:
    """What the region's discount did to one outcome.  dose: its discount less its mixture's, money per customer."""

    mixture: Synthetic
    did: dict[str, float]
    dose: float


def study_region(panel: Panel, least: int | None, rng: np.random.Generator) -> dict[tuple[str, str], RegionStudy]:
    """The treated region against its mixture, by customers (``untreated``, ``standardised``) and outcome.

    Arguments as for ``region_table``. Empty if no region is treated, or ``least`` is None.
    """
    if panel.design.region is None or least is None:
        return {}
    studies = {}
    for customers in CUSTOMERS:
        doses = region_table(panel, "discount", customers, least)
        for outcome in ("profit", "sales"):
            table = region_table(panel, outcome, customers, least)
            mixture = synthetic_control(table)
            studies[customers, outcome] = RegionStudy(mixture, synthetic_did(table, rng), _dose(doses, mixture))
    return studies


def _dose(doses: RegionTable, mixture: Synthetic) -> float:
    mixed = mixture.weights["weight"].to_numpy() @ doses.means.loc[mixture.weights["region"]].to_numpy()
    return float((doses.means.loc[mixture.region].to_numpy() - mixed)[doses.start :].mean())


def summary(studies: Mapping[tuple[str, str], RegionStudy]) -> dict[str, Any]:
    """What goes into the metrics: customers → outcome → numbers."""
    table: dict[str, Any] = {}
    for (customers, outcome), study in studies.items():
        table.setdefault(customers, {})[outcome] = _numbers(study)
    return table


def _numbers(study: RegionStudy) -> dict[str, Any]:
    mixture = study.mixture
    numbers = {
        "effect": mixture.effect,
        "effect_per_dollar": mixture.effect / study.dose if study.dose else np.nan,
        "discount": study.dose,
        "first_month": float(mixture.by_horizon["effect"].iloc[0]),
        "pre_rmspe": mixture.pre_rmspe,
        "post_rmspe": mixture.post_rmspe,
        "rmspe_ratio": mixture.rmspe_ratio,
        "effect_p_value": mixture.p_value,
        "least_possible_p_value": 1 / mixture.regions,
        "leave_one_out_low": mixture.leave_one_out[0],
        "leave_one_out_high": mixture.leave_one_out[1],
        "backdated": mixture.backdated,
    }
    return {
        **_known(numbers),
        "regions": mixture.regions,
        "regions_left_out": mixture.left_out,
        "weights": {str(row["region"]): float(row["weight"]) for _, row in mixture.weights.iterrows()},
        **named("synthetic_did", _known(study.did)),
    }


def _known(numbers: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in numbers.items() if np.isfinite(value)}


def paths_table(studies: Mapping[tuple[str, str], RegionStudy]) -> pd.DataFrame:
    """``customers, outcome, region, month, actual, synthetic, gap``: the treated region and every placebo."""
    parts = [
        study.mixture.paths.assign(customers=customers, outcome=outcome)
        for (customers, outcome), study in studies.items()
    ]
    columns = ["customers", "outcome", "region", "month", "actual", "synthetic", "gap"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
