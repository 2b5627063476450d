"""Checks of parameters that read the same wherever they are made."""

from collections.abc import Iterable, Mapping
from typing import Any

from promotions.errors import InputError


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
