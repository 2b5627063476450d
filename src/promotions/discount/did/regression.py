"""Regressions of the comparisons over time, by pyfixest: robust errors, and estimates that have no variance.

Source of errors for small cells: Bell & McCaffrey (2002); Imbens & Kolesár (2016).
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# A standard error below this share of the estimates is 0 up to rounding (a discount that does not vary).
NEGLIGIBLE = 1e-8


def regress(formula: str, rows: pd.DataFrame) -> Any:
    """Least squares with HC1 errors."""
    import pyfixest

    with quiet():
        return pyfixest.feols(formula, rows, vcov="HC1", fixef_rm="none")


def with_errors(fit: Any, kind: str | dict[str, str]) -> Any:
    """The same fit with other errors."""
    with quiet():
        return fit.vcov(kind)


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings: an estimate without variance has no error, and this module handles that case."""
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore")
        yield


def errors_of_small_cells(
    regressors: NDArray[np.float64],
    counts: NDArray[np.float64],
    squares: NDArray[np.float64],
    terms: NDArray[np.intp],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """HC2 covariance of some coefficients of least squares, and the degrees of freedom of each one's t.

    Where an estimate depends on a handful of customers, HC1 is too small and the normal law too narrow. With leverages
    h_i and a_i = x_i'(X'X)⁻¹e/√(1 − h_i), the variance is Σ a_i²û_i², which is unbiased if errors have one variance,
    and it is worth ν = (Σ a_i²(1 − h_i))² / Σ_ij a_i²a_j²(I − H)_ij² degrees of freedom: Satterthwaite's, of Bell &
    McCaffrey (2002), as Imbens & Kolesár (2016) recommend. Rows with the same regressors come as one cell, so that the
    double sum is over cells.

    regressors: (K, p) of the cells, all effects as columns.  counts: (K,) rows.  squares: (K,) their Σ û².
    terms: (q,) columns.  Returns (q, q) and (q,).
    """
    bread = np.linalg.pinv(regressors.T @ (counts[:, None] * regressors), hermitian=True)
    hat = regressors @ bread @ regressors.T
    free = 1 - np.diag(hat)
    # A row that its own effect explains says nothing about any other row.
    informative = free > NEGLIGIBLE
    share = np.divide(1.0, free, out=np.zeros_like(free), where=informative)
    pull = regressors @ bread[:, terms]
    covariance = pull.T @ ((squares * share)[:, None] * pull)
    weight = pull**2 * share[:, None]
    spread = counts[:, None] * weight
    first = (spread * free[:, None]).sum(axis=0)
    second = (spread * (hat**2 @ spread)).sum(axis=0)
    second += (spread * weight * (free**2 - (1 - free) ** 2)[:, None]).sum(axis=0)
    freedom = np.divide(first**2, second, out=np.full(len(terms), np.inf), where=second > 0)
    return covariance, freedom


def coefficient(fit: Any, term: str, prefix: str = "") -> dict[str, float]:
    """One coefficient, ``estimate``, with its error, interval and p-value, whose names begin with ``prefix``."""
    index = list(fit._coefnames).index(term)
    estimate = float(fit._beta_hat[index])
    with np.errstate(invalid="ignore"):
        error = float(np.sqrt(fit._vcov[index, index]))
    if not error > NEGLIGIBLE * abs(estimate):
        low = high = estimate
        error, p_value = 0.0, float(estimate == 0)
    else:
        with quiet():
            low, high = (float(bound) for bound in fit.confint().loc[term])
            p_value = float(fit.pvalue().loc[term])
    keys = (f"{prefix}{key}" for key in ("error", "ci_low", "ci_high", "p_value"))
    return {"estimate": estimate, **dict(zip(keys, (error, low, high, p_value), strict=True))}
