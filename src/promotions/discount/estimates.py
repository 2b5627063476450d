"""An estimated effect with its interval, and rows in an order that is not that of a file."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from promotions.errors import InputError

LEVEL = 0.95


@dataclass(frozen=True)
class Effect:
    """An estimate, its standard error, its 95 % interval and the two-sided p-value of no effect."""

    estimate: float
    error: float
    ci_low: float
    ci_high: float
    p_value: float

    @classmethod
    def student(cls, estimate: float, error: float, freedom: float = np.inf) -> "Effect":
        """Estimate ± t·error, t the 97.5 % point of Student's distribution (the normal one if ``freedom`` is inf)."""
        margin = float(stats.t.ppf(0.5 + LEVEL / 2, freedom)) * error
        p_value = float(2 * stats.t.sf(abs(estimate) / error, freedom)) if error > 0 else float(estimate == 0)
        return cls(float(estimate), float(error), float(estimate - margin), float(estimate + margin), p_value)

    def to_dict(self) -> dict[str, float]:
        """estimate, error, ci_low, ci_high, p_value."""
        return {
            "estimate": self.estimate,
            "error": self.error,
            "ci_low": self.ci_low,
            "ci_high": self.ci_high,
            "p_value": self.p_value,
        }


def in_order_of_content(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows sorted by everything but ``row``, their place in the file.

    Folds and halves are drawn, and sums are added up, in this order: who stands first in a file changes no digit.
    """
    return frame.sort_values([str(name) for name in frame if name != "row"], kind="stable", ignore_index=True)


def independent_columns(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The columns of ``matrix``, centred and scaled, without those that the intercept and earlier ones make up.

    They span with an intercept the same space as the columns themselves: what is regressed on them changes by rounding
    only. (n, k) → (n, rank), and (rank,) their places in ``matrix``.
    """
    centred = matrix - matrix.mean(axis=0)
    spread = np.sqrt((centred**2).mean(axis=0))
    # What is left of a constant column is rounding.
    moves = np.flatnonzero(spread > 1e-12 * np.maximum(np.abs(matrix).max(axis=0, initial=0), 1))
    scaled = centred[:, moves] / spread[moves]
    if scaled.shape[1] == 0:
        return scaled, moves
    # A column's entry on the diagonal is what the earlier ones leave of it.
    left = np.abs(np.diag(np.linalg.qr(scaled, mode="r"))) / np.sqrt(len(scaled))
    return scaled[:, : len(left)][:, left > 1e-9], moves[: len(left)][left > 1e-9]


def require_levels(dose: NDArray[np.float64], table: str) -> None:
    """Raise InputError unless the dose takes two values at least."""
    if len(dose) and np.ptp(dose) == 0:
        raise InputError(
            f"the {table} table: every discount is {dose[0]:g}; expected two levels at least, as one cannot be compared"
        )
