"""Regressions of the comparisons over time, by pyfixest: robust errors, and estimates that have no variance."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

# A standard error below this share of the estimates is what rounding leaves of 0 (a discount that does not vary).
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
    """Without warnings: an estimate without variance has no error, which is dealt with here."""
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore")
        yield


def coefficient(fit: Any, term: str, suffix: str) -> dict[str, float]:
    """One coefficient with its error, interval and p-value."""
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
    keys = (f"error{suffix}", f"ci_low{suffix}", f"ci_high{suffix}", f"p_value{suffix}")
    return {"estimate": estimate, **dict(zip(keys, (error, low, high, p_value), strict=True))}
