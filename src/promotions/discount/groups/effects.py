"""Effects of a dollar of discount by bin: slopes among customers whose discount was drawn by lot.

Sources: effects by bin as in Facure (2023), ch. 6; Holm (1979) and max-t bands (Chernozhukov, Chetverikov & Kato 2013)
for many bins.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from promotions.base.errors import InputError
from promotions.discount.groups.bins import Codes, Floats
from promotions.inference.clusters import Z_95
from promotions.inference.estimates import Linearised
from promotions.inference.multiplicity import holm
from promotions.inference.simultaneous import simultaneous_bands

KEY = "discount.groups"


def slope(outcome: Floats, dose: Floats) -> Linearised:
    """Slope of a regression on the dose with its influence function: errors are HC1.

    β = Σ(d − d̄)y / Σ(d − d̄)²,  ψ_i = √(n/(n − 2))·(d_i − d̄)·r_i / Σ(d − d̄)², r the residuals. ``Linearised.error``
    multiplies by √(n/(n − 1)), so this factor is divided out here.

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
    slopes = [slope(outcome[part], dose[part]) for part in parts]
    estimate = np.array([part.value for part in slopes])
    influence = np.zeros((n, len(parts)))
    for index, (part, linearised) in enumerate(zip(parts, slopes, strict=True)):
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
