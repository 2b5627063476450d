"""The slope of an outcome on a dose, with any controls: statsmodels' least squares, robust and clustered errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.encoding import fit_encoder
from promotions.base.errors import InputError
from promotions.inference.estimates import Effect

Floats = NDArray[np.float64]

# Most levels of a category that become controls.
MOST_LEVELS = 100


@dataclass(frozen=True)
class Slope:
    """The coefficient of the dose.

    robust: HC1, whatever the variance of each customer; the one to quote.  classical: one variance for all.
    clustered: CRV1, customers of a cluster depend on each other; None without clusters.  freedom: n − coefficients.
    """

    robust: Effect
    classical: Effect
    clustered: Effect | None
    freedom: int

    def to_dict(self) -> dict[str, float]:
        """The robust effect; classical_error; clustered_error, _ci_low and _ci_high where there are clusters."""
        return self.robust.to_dict() | {"classical_error": self.classical.error} | clustered_numbers(self.clustered)


def clustered_numbers(clustered: Effect | None) -> dict[str, float]:
    """clustered_error, _ci_low and _ci_high; nothing without clusters."""
    if clustered is None:
        return {}
    return {
        "clustered_error": clustered.error,
        "clustered_ci_low": clustered.ci_low,
        "clustered_ci_high": clustered.ci_high,
    }


@dataclass(frozen=True)
class Controls:
    """What is controlled for, as numbers.

    matrix: (n, k), without gaps.  columns: (k,), names.  sources: (k,), the column of the table that each was made of.
    """

    matrix: Floats
    columns: tuple[str, ...]
    sources: tuple[str, ...]

    @classmethod
    def of(cls, frame: pd.DataFrame, names: Sequence[str], categories: Sequence[str] = ()) -> "Controls":
        """The columns ``names`` of ``frame``: numbers unchanged, categories as a 0/1 column a level.

        A missing number becomes the median and a column of its own says so; a missing level is 0 in all.
        categories: columns that are numbers but code levels, such as bins.
        Raises InputError if the frame has no column of that name.
        """
        absent = [name for name in names if name not in frame]
        if absent:
            raise InputError(
                f"discount: there is no column {absent[0]!r} to control for; the table has "
                f"{', '.join(name for name in map(str, frame) if name != 'row')}"
            )
        as_levels = {
            name: frame[name].map("{:g}".format, na_action="ignore").astype("string")
            for name in names
            if name in categories and pd.api.types.is_numeric_dtype(frame[name])
        }
        encoder = fit_encoder(frame.assign(**as_levels), list(names), MOST_LEVELS)
        return cls(encoder.transform(frame.assign(**as_levels)), tuple(encoder.columns), tuple(encoder.sources))


def slope(outcome: Floats, dose: Floats, controls: Floats | None = None, clusters: NDArray[Any] | None = None) -> Slope:
    """β of the least squares regression outcome = α + β·dose + γ'controls + ε.

    Intervals use Student's distribution with n − coefficients degrees of freedom, the clustered one with G − 1:
    HC1 of MacKinnon & White (1985), CRV1 of Liang & Zeger (1986) with G/(G − 1)·(n − 1)/(n − coefficients).

    outcome, dose: (n,).  controls: (n, k); a column that others determine changes nothing.  clusters: (n,) codes.
    Raises InputError if the dose is constant given the controls.
    """
    columns = np.empty((len(dose), 0)) if controls is None else independent_columns(controls)[0]
    moved = centred(dose)
    # Independent columns: the rest of the dose follows without the full regression.
    basis = np.linalg.qr(columns)[0]
    left = moved - basis @ (basis.T @ moved)
    if not left @ left > 1e-10 * (moved @ moved):
        raise InputError(
            "discount: what is controlled for explains every discount; control for fewer columns, or give a table in "
            "which customers alike in them were given different discounts"
        )
    fit = least_squares(outcome, np.column_stack([np.ones(len(dose)), moved, columns]))
    return slope_of(fit, 1, clusters)


def slope_of(fit: Any, place: int, clusters: NDArray[Any] | None = None) -> Slope:
    """The coefficient at ``place`` of a fit of statsmodels' OLS or WLS, with its three errors."""
    estimate, freedom = float(fit.params[place]), int(fit.df_resid)
    clustered = None
    if clusters is not None:
        error = float(fit.get_robustcov_results("cluster", groups=clusters).bse[place])
        clustered = Effect.student(estimate, error, len(np.unique(clusters)) - 1)
    return Slope(
        robust=Effect.student(estimate, float(np.sqrt(fit.cov_HC1[place, place])), freedom),
        classical=Effect.student(estimate, float(fit.bse[place]), freedom),
        clustered=clustered,
        freedom=freedom,
    )


def least_squares(outcome: Floats, design: Floats, weights: Floats | None = None) -> Any:
    """Statsmodels' fit of ``outcome`` on the columns of ``design``, weighted if there are weights."""
    import statsmodels.api as sm

    model = sm.OLS(outcome, design) if weights is None else sm.WLS(outcome, design, weights=weights)
    return model.fit()


def centred(values: Floats) -> Floats:
    """``values`` less their mean: this changes only the intercept, and the arithmetic is more exact."""
    return values - values.mean()


def independent_columns(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The columns of ``matrix``, centred and scaled, without those that the intercept and earlier ones determine.

    With an intercept they span the same space as the columns, so regressions change by rounding only. (n, k) → (n,
    rank), and (rank,) their places in ``matrix``.
    """
    centred = matrix - matrix.mean(axis=0)
    spread = np.sqrt((centred**2).mean(axis=0))
    # Centring leaves only rounding of a constant column.
    moves = np.flatnonzero(spread > 1e-12 * np.maximum(np.abs(matrix).max(axis=0, initial=0), 1))
    scaled = centred[:, moves] / spread[moves]
    if scaled.shape[1] == 0:
        return scaled, moves
    # A column's entry on the diagonal is what the earlier ones leave of it.
    left = np.abs(np.diag(np.linalg.qr(scaled, mode="r"))) / np.sqrt(len(scaled))
    return scaled[:, : len(left)][:, left > 1e-9], moves[: len(left)][left > 1e-9]
