"""The rule by groups: for each bin the band of the discount that pays best, and what such a rule is worth.

Source: values of rules by inverse propensities and doubly robust scores (Athey & Wager 2021).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from promotions.discount.groups.bins import NONE, Bins, Codes, Floats
from promotions.discount.scores import DoseScores
from promotions.inference.clusters import Z_95, clustered_error, one_sided_p_value
from promotions.inference.multiplicity import holm

# Customers of a bin who had a band: the mean of fewer is mostly luck.
SUPPORT = 30
# Singular values below this share of the largest are 0.
COLLINEAR = 1e-10


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
    w_i = 1{B_i = π_i}/e(π_i), e(b) the share of band b; errors know that it was counted (``DoseScores.value``). Within
    a band a customer gets the doses of the design in their proportions.

    One row a rule: ``rule, share_with_discount, mean_dose, ips, value, versus_none, versus_constant, p_value,
    p_value_holm``, money per customer, with ``…_ci_low`` and ``…_ci_high``. Differences are paired. versus_constant:
    over the best constant band, as the least of the differences and of either bounds (intersection–union, Berger
    1982), which choosing the best constant from the same rows would spoil; p_value: one-sided, that it is above 0;
    Holm's over ``decisions``.

    decisions: (n,) bands by rule.  means: (n, bands) m, of models that have not seen the row.
    """
    count = len(bands.labels)
    share = np.bincount(band, minlength=count) / len(band)
    every = dict(decisions) | {f"all_{label}": np.full(len(band), b) for b, label in enumerate(bands.labels)}
    scores = DoseScores(share, band, profit, means)
    given = {name: np.eye(count, dtype=bool)[chosen] for name, chosen in every.items()}
    robust = {name: scores.value(bands_given) for name, bands_given in given.items()}
    weighted = {name: scores.without_model().value(bands_given) for name, bands_given in given.items()}
    mean_dose = np.array([dose[band == b].mean() for b in range(len(bands.labels))])
    constants = [name for name in every if name not in decisions]
    found = []
    for name, chosen in every.items():
        numbers = {
            "rule": name,
            "share_with_discount": float((mean_dose[chosen] > 0).mean()),
            "mean_dose": float(mean_dose[chosen].mean()),
            **_numbers(*weighted[name], "ips"),
            **_numbers(*robust[name], "value"),
        }
        lead = {other: _lead(robust[name], robust[other], "lead") for other in constants if other != name}
        if bands.labels[0] == NONE and name != constants[0]:
            numbers |= _lead(robust[name], robust[constants[0]], "versus_none")
        for part in ("", "_ci_low", "_ci_high"):
            numbers[f"versus_constant{part}"] = min(values[f"lead{part}"] for values in lead.values())
        numbers["p_value"] = max(one_sided_p_value(values["lead"], values["lead_error"]) for values in lead.values())
        found.append(numbers)
    frame = pd.DataFrame(found)
    mine = frame["rule"].isin(list(decisions))
    frame["p_value_holm"] = np.nan
    frame.loc[mine, "p_value_holm"] = holm(frame.loc[mine, "p_value"].to_numpy(dtype=np.float64))
    return frame


def _lead(one: tuple[float, Floats], other: tuple[float, Floats], name: str) -> dict[str, float]:
    """A paired difference with its error and interval."""
    return _numbers(one[0] - other[0], one[1] - other[1], name)


def _numbers(value: float, influence: Floats, name: str) -> dict[str, float]:
    """A value with its error and interval."""
    error = clustered_error(influence, np.arange(len(influence)))
    keys = (name, f"{name}_error", f"{name}_ci_low", f"{name}_ci_high")
    return dict(zip(keys, (value, error, value - Z_95 * error, value + Z_95 * error), strict=True))


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
