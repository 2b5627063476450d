"""The effect of a dollar among the first customers of a ranking: cumulative effect and cumulative gain.

Sources: cumulative curves as in Facure (2023), ch. 6; max-t bands (Chernozhukov, Chetverikov & Kato 2013).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from promotions.base.errors import InputError
from promotions.discount.groups.bins import Floats
from promotions.discount.groups.effects import KEY
from promotions.inference.clusters import Z_95, one_sided_p_value
from promotions.inference.estimates import Linearised
from promotions.inference.simultaneous import simultaneous_bands
from promotions.inference.ties import RankGroups, gain_curve

# The parts of the ranking at which the cumulative curves are drawn.
SHARES = np.arange(1, 21) / 20


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
    q·effect(1), lead = gain − random, which is 0 at q = 1. A tie that spans q counts in proportion, so the order of
    the rows does not matter. Influence functions include the estimation of the quantile: a customer before q pushes one
    who stands at q out, as in ``RankGroups.means``. Joint bands are max-t.

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
    # Trapezia from 0, where the gain is 0.
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
