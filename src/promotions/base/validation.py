"""Checks of parameters and arrays, with the same messages everywhere."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promotions.base.errors import InputError


def require_keys(params: Mapping[str, Any], names: Iterable[str], key: str) -> None:
    """Raise InputError unless section ``key`` of the parameters has exactly the keys ``names``."""
    expected = list(names)
    wrong = [f"{key}.{name} is missing" for name in expected if name not in params]
    wrong += [f"{key}.{name} is unknown" for name in params if name not in expected]
    if wrong:
        raise InputError(f"{wrong[0]}; the keys of {key} are {', '.join(expected)}")


def require_choice(value: object, choices: tuple[str, ...], key: str) -> str:
    """``value`` if it is one of ``choices``; else InputError."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{key}: {value!r} is unknown; it is one of {', '.join(choices)}")
    return value


def require_whole(value: object, key: str, least: int, most: float = math.inf, *, as_float: bool = False) -> int:
    """``value`` if it is a whole number from ``least`` to ``most``; else InputError. 5.0 is one if ``as_float``."""
    if isinstance(value, float) and as_float and value.is_integer():
        whole: object = int(value)
    else:
        whole = value
    if isinstance(whole, bool) or not isinstance(whole, int) or not least <= whole <= most:
        expected = f"of {least} or more" if most == math.inf else f"from {least} to {most}"
        raise InputError(f"{key}: expected a whole number {expected}, got {value!r}")
    return whole


def require_number(
    value: object,
    key: str,
    low: float,
    high: float = math.inf,
    *,
    low_open: bool = False,
    high_open: bool = False,
    noun: str = "number",
) -> float:
    """``value`` if it is a finite number from ``low`` to ``high``, open ends excluded; else InputError."""
    if high < math.inf:
        expected = f"a {noun} in {'(' if low_open else '['}{low:g}, {high:g}{')' if high_open else ']'}"
    else:
        expected = f"a {noun} above {low:g}" if low_open else f"{low:g} or more"
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not low <= value <= high
        or abs(value) == math.inf
        or (low_open and value == low)
        or (high_open and value == high)
    ):
        raise InputError(f"{key}: expected {expected}, got {value!r}")
    return value


def require_share(value: object, key: str, *, below_one: bool = False) -> float:
    """``value`` if it is a share in (0, 1], or in (0, 1) if ``below_one``; else InputError."""
    return require_number(value, key, 0, 1, low_open=True, high_open=below_one, noun="share")


def require_finite(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """``values`` as an array of finite numbers, (n,); else InputError."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise InputError(
            f"{name} has the shape {numbers.shape} and {int((~np.isfinite(numbers)).sum()):,} values that are not "
            "finite; expected one number a row"
        )
    return numbers
