"""How strong would a confounder that nobody recorded have to be?

Regression: Cinelli & Hazlett (2020), "Making sense of sensitivity: extending omitted variable bias". Double ML:
Chernozhukov, Cinelli, Newey, Sharma & Syrgkanis (2022), "Long story short: omitted variable bias in causal machine
learning". Strength is a share of variance. For the dose, the confounder explains this share of what the controls leave
unexplained; for the outcome, this share of what dose and controls leave unexplained.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

from promotions.base.rounding import rounded
from promotions.discount.regression import Controls, Slope, centred, independent_columns, least_squares
from promotions.inference.estimates import LEVEL, Effect

Floats = NDArray[np.float64]


def partial_r2(t_value: float, freedom: float) -> float:
    """Share of the outcome's variance, left by the controls, that the dose explains: t²/(t² + freedom).

    As strong as this in the dose, a confounder that explained all the rest of the outcome would take the effect away.
    """
    return t_value**2 / (t_value**2 + freedom)


def robustness_value(t_value: float, freedom: float, *, share: float = 1, level: float | None = None) -> float:
    """The strength, the same with dose and outcome, that takes away ``share`` of the estimate: RV_q.

        RV = ½·(sqrt(f⁴ + 4f²) − f²),   f = share·|t|/sqrt(freedom)

    With a ``level`` (RV_{q,α}, α = 1 − level): the least strength at which the interval includes the remaining
    estimate. f is then less by t*/sqrt(freedom − 1), t* the critical value; 0 if this is negative; where such
    confounding would narrow the interval more than move it (f > sqrt(freedom − 1)/t*), (f² − f*²)/(1 + f²).

    t_value: from the classical error, as the formulas need variances.
    """
    strength = share * abs(t_value) / np.sqrt(freedom)
    if level is None:
        return _equal_strength(strength)
    critical = float(stats.t.ppf(0.5 + level / 2, freedom - 1) / np.sqrt(freedom - 1))
    if strength <= critical:
        return 0.0
    if strength > 1 / critical:
        return float((strength**2 - critical**2) / (1 + strength**2))
    return _equal_strength(strength - critical)


def with_confounder(slope: Slope, r2_dose: float, r2_outcome: float) -> Effect:
    """The estimate and its classical error if the confounder were controlled for, in the worst case.

        |bias| = se·sqrt( r2_outcome · r2_dose/(1 − r2_dose) · freedom )
        se'    = se·sqrt( (1 − r2_outcome)/(1 − r2_dose) · freedom/(freedom − 1) )

    The bias is taken off the estimate's size, and may turn its sign. r2_dose, r2_outcome: strengths in [0, 1).
    """
    error, freedom, estimate = slope.classical.error, slope.freedom, slope.classical.estimate
    bias = error * np.sqrt(r2_outcome * r2_dose / (1 - r2_dose) * freedom)
    adjusted = error * np.sqrt((1 - r2_outcome) / (1 - r2_dose) * freedom / (freedom - 1))
    return Effect.student(float(estimate - np.sign(estimate) * bias), float(adjusted), freedom - 1)


def as_strong_as(r2_dose_observed: float, r2_outcome_observed: float, times: float = 1) -> tuple[float, float]:
    """Strengths (r2_dose, r2_outcome) of a confounder ``times`` as strong as an observed control; each at most 1.

    r2_dose_observed: partial R² of the control with the dose, given the other controls.  r2_outcome_observed: with
    the outcome, given the dose and the other controls. Formulas: Cinelli & Hazlett (2020), section 4.4.
    """
    r2_dose = times * r2_dose_observed / (1 - r2_dose_observed)
    left = 1 - times * r2_dose_observed / (1 - r2_dose_observed)
    if left <= 0:
        return 1.0, 1.0
    # What dose and control share with the confounder, given the dose.
    shared = times * r2_dose_observed**2 / ((1 - times * r2_dose_observed) * (1 - r2_dose_observed))
    if shared >= 1:
        return min(r2_dose, 1.0), 1.0
    factor = (np.sqrt(times) + np.sqrt(shared)) / np.sqrt(1 - shared)
    return min(r2_dose, 1.0), min(float(factor**2 * r2_outcome_observed / (1 - r2_outcome_observed)), 1.0)


def benchmarks(
    outcome: Floats, dose: Floats, controls: Controls, slope: Slope, times: Sequence[float] = (1, 2, 3)
) -> pd.DataFrame:
    """What a confounder as strong as each of the recorded controls would leave of ``slope``, once and some times over.

    ``control, times, r2_dose, r2_outcome, estimate, error, ci_low, ci_high``, the strongest control first. A control
    of many columns (a category) counts as a whole. A control that the others determine is left out, and so are
    impossible strengths, which would explain the whole dose.

    outcome, dose: (n,).  slope: of the outcome on the dose with these controls.
    """
    r2_dose, r2_outcome = _strengths(dose, None, controls), _strengths(outcome, dose, controls)
    rows = []
    for name in r2_dose:
        for factor in times:
            strong = as_strong_as(r2_dose[name], r2_outcome[name], factor)
            if strong[0] < 1:
                rows.append((name, float(factor), *strong, *_numbers(with_confounder(slope, *strong))))
    columns = ["control", "times", "r2_dose", "r2_outcome", "estimate", "error", "ci_low", "ci_high"]
    table = pd.DataFrame(rows, columns=columns)
    strength = (table["r2_dose"] * table["r2_outcome"]).groupby(table["control"]).transform("max")
    order = table.assign(strength=-strength).sort_values(["strength", "control", "times"], kind="stable").index
    return table.loc[order].reset_index(drop=True)


def bias_grid(slope: Slope, most_dose: float, most_outcome: float, steps: int = 41) -> pd.DataFrame:
    """``r2_dose, r2_outcome, estimate``: the remaining estimate, for strengths from 0 to the largest of each."""
    points = [
        (dose, outcome, with_confounder(slope, dose, outcome).estimate)
        for dose in np.linspace(0, most_dose, steps)
        for outcome in np.linspace(0, most_outcome, steps)
    ]
    return pd.DataFrame(points, columns=["r2_dose", "r2_outcome", "estimate"])


@dataclass(frozen=True)
class LongStoryShort:
    """What double ML's θ becomes with an omitted confounder: |bias| ≤ |ρ|·S·C_y·C_d.

    S² = σ²·ν², σ² = E[(ỹ − θṽ)²], ν² = 1/E[ṽ²]; C_y² = r2_outcome, C_d² = r2_dose/(1 − r2_dose); ρ the correlation of
    what the confounder adds to outcome and dose, 1 at its worst.

    theta, sigma2, nu2: estimates.  influence: (n, 3), the influence of each customer on them.
    """

    theta: float
    sigma2: float
    nu2: float
    influence: Floats

    @classmethod
    def of(cls, outcome_residual: Floats, dose_residual: Floats) -> "LongStoryShort":
        """From the residuals ỹ, ṽ (n,) of a partially linear model."""
        dose2 = dose_residual**2
        theta = float((outcome_residual * dose_residual).sum() / dose2.sum())
        noise = outcome_residual - theta * dose_residual
        sigma2, nu2 = float((noise**2).mean()), float(1 / dose2.mean())
        # σ² does not react to θ, which minimises it; ν² = 1/E[ṽ²] falls where ṽ² is large.
        influence = np.column_stack([nu2 * dose_residual * noise, noise**2 - sigma2, nu2 - nu2**2 * dose2])
        return cls(theta, sigma2, nu2, influence)

    def bounds(self, r2_outcome: float, r2_dose: float, rho: float = 1) -> tuple[float, float]:
        """The least and the largest θ that a confounder of these strengths leaves possible."""
        reach = 2 * self._half_reach(r2_outcome, r2_dose, rho) * np.sqrt(self.sigma2 * self.nu2)
        return float(self.theta - reach), float(self.theta + reach)

    def interval(self, r2_outcome: float, r2_dose: float, rho: float = 1, level: float = LEVEL) -> tuple[float, float]:
        """The bounds with sampling error: 1.96 errors below the lower one, and as many above the upper one."""
        half = self._half_reach(r2_outcome, r2_dose, rho)
        ratio = np.sqrt(self.nu2 / self.sigma2)
        towards = np.array([0, half * ratio, half / ratio])
        z = float(stats.norm.ppf(0.5 + level / 2))
        n = len(self.influence)
        low, high = self.bounds(r2_outcome, r2_dose, rho)
        below, above = (
            float(np.sqrt(((self.influence @ (np.array([1, 0, 0]) + sign * towards)) ** 2).sum())) / n
            for sign in (-1, 1)
        )
        return low - z * below, high + z * above

    def robustness_value(self, *, null: float = 0, level: float | None = None) -> float:
        """The strength, of dose and outcome alike, from which the bounds (the interval, at ``level``) reach ``null``.

        The bounds reach it where RV = ½·(sqrt(f⁴ + 4f²) − f²) with f = |θ − null|/S; the interval by bisection.
        """
        if level is None:
            return _equal_strength(abs(self.theta - null) / np.sqrt(self.sigma2 * self.nu2))
        at_null = 0 if self.theta > null else 1

        def distance(strength: float) -> float:
            end = self.interval(strength, strength, level=level)[at_null]
            return (end - null) * (1 if at_null == 0 else -1)

        if distance(0) <= 0:
            return 0.0
        return float(brentq(distance, 0, 1 - 1e-9, xtol=1e-12))

    @staticmethod
    def _half_reach(r2_outcome: float, r2_dose: float, rho: float) -> float:
        return float(abs(rho) * np.sqrt(r2_outcome * r2_dose / (1 - r2_dose)) / 2)


def _equal_strength(strength: float) -> float:
    """The share r of both variances at which sqrt(r²/(1 − r)) is ``strength``."""
    return float((np.sqrt(strength**4 + 4 * strength**2) - strength**2) / 2)


def _strengths(target: Floats, dose: Floats | None, controls: Controls) -> dict[str, float]:
    """Partial R² of each control with ``target``, given the other controls and the dose where there is one.

    From the F statistic of leaving its columns out: q·F/(q·F + freedom). Controls that the others determine are
    missing.
    """
    fixed = [np.ones(len(target))] if dose is None else [np.ones(len(target)), centred(dose)]
    columns, places = independent_columns(controls.matrix)
    sources = [controls.sources[place] for place in places]
    design = np.column_stack([*fixed, columns])
    fit = least_squares(target, design)
    covariance, freedom = np.asarray(fit.cov_params()), float(fit.df_resid)
    strengths: dict[str, float] = {}
    for name in dict.fromkeys(sources):
        members = np.array([i + len(fixed) for i, source in enumerate(sources) if source == name])
        coefficients = fit.params[members]
        statistic = float(coefficients @ np.linalg.solve(covariance[np.ix_(members, members)], coefficients))
        strengths[name] = statistic / (statistic + freedom)
    return rounded(strengths)


def _numbers(effect: Effect) -> tuple[float, float, float, float]:
    return effect.estimate, effect.error, effect.ci_low, effect.ci_high
