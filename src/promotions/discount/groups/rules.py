"""The rule by groups: for each bin the band of the discount that pays best, and what such a rule is worth.

Source: values of rules by inverse propensities and doubly robust scores (Athey & Wager 2021).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from promotions.discount.groups.bins import NONE, Bins, Codes, Floats
from promotions.discount.rules import RuleValue, constant, value_of_rules
from promotions.discount.scores import DoseScores
from promotions.inference.clusters import Z_95

# Least customers of a bin with a band: the mean of fewer is mostly luck.
SUPPORT = 30
# Singular values below this share of the largest are 0.
COLLINEAR = 1e-10


@dataclass(frozen=True)
class GroupRule:
    """A band of the discount for each bin of a column.

    choice: (K,) band by bin.  table: ``bin, band, customers, profit, error, ci_low, ci_high, supported, chosen``: the
    basis of the choice; profit is the (adjusted) mean over that of the bin's lowest supported band.
    """

    bins: Bins
    choice: Codes
    table: pd.DataFrame = field(repr=False)

    def decide(self, codes: Codes) -> Codes:
        """The band of customers of these bins; the lowest for customers without a bin."""
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

    Frisch–Waugh–Lovell: bands and profit less what the controls explain of them; collinear controls do no harm.
    NaN for a band that the controls determine exactly: it cannot be compared.
    """
    n, gain, error = len(profit), np.zeros(len(supported)), np.zeros(len(supported))
    if len(supported) == 1:
        return gain, error
    steps = (band[:, None] == supported[1:]).astype(np.float64)
    regressors = np.ones((n, 1))
    if controls is not None:
        spread = controls.std(axis=0)
        regressors = np.column_stack(
            [regressors, (controls - controls.mean(axis=0))[:, spread > 0] / spread[spread > 0]]
        )
    both = np.column_stack([steps, profit])
    fitted, _, rank, _ = np.linalg.lstsq(regressors, both, rcond=COLLINEAR)
    left = both - regressors @ fitted
    explained = (left[:, :-1] ** 2).sum(axis=0) <= COLLINEAR * (steps**2).sum(axis=0)
    gain[1:], error[1:] = np.nan, np.nan
    x, y = left[:, :-1][:, ~explained], left[:, -1]
    bread = np.linalg.pinv(x.T @ x)
    estimate = bread @ (x.T @ y)
    scores = x * (y - x @ estimate)[:, None]
    freedom = max(n - int(rank) - x.shape[1], 1)
    places = 1 + np.flatnonzero(~explained)
    gain[places] = estimate
    error[places] = np.sqrt(n / freedom * np.diag(bread @ (scores.T @ scores) @ bread))
    return gain, error


def evaluate_bands(
    profit: Floats,
    dose: Floats,
    band: Codes,
    bands: Bins,
    decisions: Mapping[str, Codes],
    means: Floats,
    rng: np.random.Generator,
) -> dict[str, RuleValue]:
    """Value of rules that give a band, and of every band for everybody (``constant_<band>``), see ``value_of_rules``.

    Within a band a customer gets the doses of the design in their proportions.

    profit, dose, band: (n,) of customers whose discount was drawn by lot.  decisions: (n,) bands by rule.  means:
    (n, bands), the expected profit of each, from models that have not seen the customer.
    """
    count = len(bands.labels)
    share = np.bincount(band, minlength=count) / len(band)
    constants = {constant(label): np.full(len(band), place) for place, label in enumerate(bands.labels)}
    given = {name: np.eye(count, dtype=bool)[chosen] for name, chosen in {**decisions, **constants}.items()}
    cost = np.array([dose[band == place].mean() for place in range(count)])
    none = constant(NONE) if bands.labels[0] == NONE else None
    return value_of_rules(given, list(constants), none, cost, DoseScores(share, band, profit, means), rng)


def means_of_other_folds(profit: Floats, band: Codes, codes: Codes, fold: Codes, bands: int) -> Floats:
    """For each customer and band, the mean profit of the other folds' customers of the same bin who had that band.

    The mean of all customers of the other folds where the bin has none.  codes: −1 is a bin too.  Returns (n, bands).
    """
    means = np.empty((len(profit), bands))
    shifted = codes + 1
    size = int(shifted.max()) + 1
    for held_fold in np.unique(fold):
        outside = fold != held_fold
        cell = shifted[outside] * bands + band[outside]
        count = np.bincount(cell, minlength=size * bands).reshape(size, bands)
        total = np.bincount(cell, profit[outside], minlength=size * bands).reshape(size, bands)
        overall = total.sum(axis=0) / np.maximum(count.sum(axis=0), 1)
        table = np.where(count > 0, total / np.maximum(count, 1), overall)
        means[fold == held_fold] = table[shifted[fold == held_fold]]
    return means
