"""Frisch, Waugh and Lovell: a multiple regression in three steps, each of which can be drawn.

Source: Frisch & Waugh (1933), Lovell (1963); the names of the steps: Facure (2022), *Causal Inference for the Brave and
True*.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from promotions.discount.regression import Slope, independent_columns, least_squares, slope, slope_of
from promotions.inference.estimates import Effect, named

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ThreeSteps:
    """The dose without what controls explain of it, the outcome without what they explain of it, and their slope.

    dose, outcome: (n,) residuals, with the mean of the column added back, so that they keep its level.
    slope: of the third step, its errors corrected for the degrees of freedom that the first two used.
    multiple: the multiple regression, to compare.  *_before, *_after: sample variances (ddof 1), unit squared.
    """

    dose: Floats
    outcome: Floats
    slope: Slope
    multiple: Slope
    dose_variance_before: float
    dose_variance_after: float
    outcome_variance_before: float
    outcome_variance_after: float

    @property
    def equals_multiple(self) -> bool:
        """Whether estimate and errors are the multiple regression's, to 1e-10 of their size."""
        pairs = [
            (self.slope.robust.estimate, self.multiple.robust.estimate),
            (self.slope.robust.error, self.multiple.robust.error),
            (self.slope.classical.error, self.multiple.classical.error),
        ]
        size = self.multiple.classical.error
        return all(abs(ours - theirs) <= 1e-10 * max(abs(theirs), size) for ours, theirs in pairs)

    def to_dict(self) -> dict[str, float | bool]:
        """The slope as ``effect`` with its errors, both variances, and whether it is the multiple regression."""
        return named("effect", self.slope.to_dict()) | {
            "dose_variance_before": self.dose_variance_before,
            "dose_variance_after": self.dose_variance_after,
            "outcome_variance_before": self.outcome_variance_before,
            "outcome_variance_after": self.outcome_variance_after,
            "equals_multiple_regression": self.equals_multiple,
        }


def three_steps(outcome: Floats, dose: Floats, controls: Floats) -> ThreeSteps:
    """Debias the dose, denoise the outcome, regress what is left of one on what is left of the other.

        debias   d̃ = d − E*[d | x]      the part of the dose that the controls do not explain
        denoise  ỹ = y − E*[y | x]      the estimate needs no such step, its error does: less noise around the line
        final    ỹ = β·d̃ + ε            β and ε are those of y on (1, d, x)

    E* is the best linear prediction. The third regression does not count the k coefficients of the controls, so its
    errors are scaled by sqrt((n − 1)/(n − k − 2)), after which they are the multiple regression's, classical and HC1.

    outcome, dose: (n,).  controls: (n, k).
    Raises InputError if the dose is constant given the controls.
    """
    multiple = slope(outcome, dose, controls)
    design = np.column_stack([np.ones(len(dose)), independent_columns(controls)[0]])
    debiased = np.asarray(least_squares(dose, design).resid)
    denoised = np.asarray(least_squares(outcome, design).resid)
    final = slope_of(least_squares(denoised, debiased[:, None]), 0)
    scale = float(np.sqrt(final.freedom / multiple.freedom))
    return ThreeSteps(
        dose=debiased + dose.mean(),
        outcome=denoised + outcome.mean(),
        slope=Slope(
            robust=Effect.student(final.robust.estimate, scale * final.robust.error, multiple.freedom),
            classical=Effect.student(final.classical.estimate, scale * final.classical.error, multiple.freedom),
            clustered=None,
            freedom=multiple.freedom,
        ),
        multiple=multiple,
        dose_variance_before=float(dose.var(ddof=1)),
        dose_variance_after=float(debiased.var(ddof=1)),
        outcome_variance_before=float(outcome.var(ddof=1)),
        outcome_variance_after=float(denoised.var(ddof=1)),
    )
