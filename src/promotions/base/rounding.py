"""The same digits on every processor: numbers without the last few, and linear algebra that adds in one order.

A library of linear algebra picks its kernel by the processor, and each kernel adds in an order of its own: sums differ
in the last of sixteen digits, and what is solved from them in some more. So what such a library finds is rounded before
it is written or used for many customers, and what is small enough is computed by ``product`` and ``solve``, which do
without. numpy's own sums, means and products of elements are the same everywhere.

A number on the edge between two roundings may still fall to either side. With noise in the thirteenth digit that is so
for one in a hundred thousand numbers of eight digits: few enough for coefficients, too many for the rows of a table.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

# Enough to tell any two results apart, few enough that noise seldom reaches the last of them.
SIGNIFICANT_DIGITS = 8
# Below, a number is 0: toward the smallest that there is, it loses digits.
LEAST = 1e-290
# Parsed, as a product of tens would be rounded at each step.
_POWERS = np.array([float(f"1e{power}") for power in range(309)])


def significant(values: ArrayLike, digits: int = SIGNIFICANT_DIGITS) -> NDArray[np.float64]:
    """Each number to so many significant digits; NaN and infinity as they are.

    values: any shape.  Returns that shape.
    """
    numbers = np.asarray(values, dtype=np.float64)
    return _to_places(numbers, digits - 1 - _exponents(numbers))


def alike(values: ArrayLike, digits: int = SIGNIFICANT_DIGITS) -> NDArray[np.float64]:
    """All numbers to one decimal place, at which the largest of them has so many significant digits.

    For numbers of one unit that were solved for together, such as coefficients of standardised features: the noise of
    the small ones is that of the large ones.  values: any shape, finite.  Returns that shape.
    """
    numbers = np.asarray(values, dtype=np.float64)
    largest = np.abs(numbers).max(initial=0.0)
    return _to_places(numbers, np.full(numbers.shape, digits - 1 - _exponents(np.asarray(largest))))


def product(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """The product of two matrices, (n, k) × (k, m) → (n, m), or of a matrix and a vector, added in one order."""
    return np.asarray(np.einsum("ij,j...->i...", left, right, optimize=False))


def solve(matrix: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve Ax = b by Gaussian elimination with partial pivoting, added in one order.  For small systems.

    matrix: (k, k), not singular.  vector: (k,).  Returns (k,).
    """
    rows, size = np.column_stack([matrix, vector]), len(vector)
    for k in range(size):
        pivot = k + int(np.argmax(np.abs(rows[k:, k])))
        rows[[k, pivot]] = rows[[pivot, k]]
        rows[k + 1 :] -= np.outer(rows[k + 1 :, k] / rows[k, k], rows[k])
    solution = np.zeros(size)
    for k in reversed(range(size)):
        solution[k] = (rows[k, -1] - (rows[k, k + 1 : -1] * solution[k + 1 :]).sum()) / rows[k, k]
    return solution


def rounded(value: Any) -> Any:
    """Every float in ``value`` to ``SIGNIFICANT_DIGITS``: a number, an array, a frame, or a container of those.

    Containers: mappings, lists, tuples and dataclasses. What holds no float is returned as it is.
    """
    if isinstance(value, pd.DataFrame):
        frame = value.copy()
        for name in value.select_dtypes(np.float64):
            frame[name] = significant(value[name])
        return frame
    if isinstance(value, pd.Series):
        return pd.Series(rounded(value.to_numpy()), value.index, name=value.name)
    if isinstance(value, np.ndarray):
        return significant(value) if value.dtype == np.float64 else value
    if isinstance(value, (float, np.floating)):
        return float(significant(value))
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, tuple):
        items = [rounded(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: rounded(getattr(value, field.name)) for field in fields(value)})
    return value


def _exponents(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """Of ten, of the first digit; 0 where there is none."""
    size = np.abs(numbers)
    usable = np.isfinite(size) & (size >= LEAST)
    # A logarithm that is off by a rounding takes a number just below a power of ten for one above: both round to it.
    return np.floor(np.log10(np.where(usable, size, 1.0))).astype(np.int64)


def _to_places(numbers: NDArray[np.float64], places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each number to so many decimal places, negative ones being tens."""
    up, down = _POWERS[np.clip(places, 0, 308)], _POWERS[np.clip(-places, 0, 308)]
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.rint(numbers * up / down) / up * down
    # Adding 0 makes a 0 of −0.
    return np.where(np.isfinite(numbers), np.where(np.abs(numbers) < LEAST, 0.0, near) + 0.0, numbers)
