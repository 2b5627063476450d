"""Numbers as people read them: the one place that turns them into text, for the page, the figures and the terminal.

A number is written with the digits that mean something, and with ``MOST_DECIMALS`` decimals at most. A number below
the last digit shown is 0. There is no −0.
"""

import math
from collections.abc import Iterable

MINUS, HYPHEN = "−", "-"
# Stands for a value that is not finite.
NONE = "–"
# Keeps a number and its per cent sign on one line.
SPACE = "\N{NO-BREAK SPACE}"
# The ninth decimal of money or an effect means nothing; smaller numbers are left over from sums.
MOST_DECIMALS = 9
# From here on a double has no decimals, and its last digits before the point mean nothing.
LARGEST = 1e15
# A smaller label is written with a power of ten.
LEAST_IN_FULL = 1e-4


def number(value: float, digits: int, *, sign: bool = False, minus: str = MINUS) -> str:
    """``value`` with ``digits`` decimals; a negative number of them rounds to tens, hundreds and so on.

    sign: put a plus before a number that is above 0 as shown.  minus: tables in a terminal use the hyphen.
    """
    value = float(value)
    if not math.isfinite(value):
        return NONE
    digits = min(digits, MOST_DECIMALS)
    if abs(value) >= LARGEST:
        text = f"{value:.3g}"
    else:
        text = f"{round(value, digits) if digits < 0 else value:z,.{max(digits, 0)}f}"
    plus = "+" if sign and value > 0 and shows_something(text) else ""
    return plus + text.replace(HYPHEN, minus)


def shows_something(text: str) -> bool:
    """Whether the number in ``text`` is other than 0."""
    return any(digit in text for digit in "123456789")


def is_nothing(value: float) -> bool:
    """Whether ``value`` is 0 when it is shown with ``MOST_DECIMALS`` decimals."""
    return not shows_something(f"{value:.{MOST_DECIMALS}f}")


def last_digit(size: float, significant: int) -> int:
    """Decimals that show ``size`` with so many significant digits; negative for tens, hundreds and so on.

    0 for a size that is 0 within ``MOST_DECIMALS``, and never more than those.
    """
    size = abs(float(size))
    if not math.isfinite(size) or is_nothing(size):
        return 0
    # Rounded first: 9.996 rounds to 10, which has two digits before the point.
    exponent = int(f"{size:.{significant - 1}e}".partition("e")[2])
    return min(significant - 1 - exponent, MOST_DECIMALS)


def decimals(values: Iterable[float], significant: int = 3) -> int:
    """Decimals that show the largest of ``values`` with so many significant digits."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return max(0, last_digit(largest, significant))


def alike(values: Iterable[float], significant: int = 3, *, sign: bool = False) -> list[str]:
    """Numbers to be compared: all with the decimals that the largest of them needs."""
    values = list(values)
    digits = decimals(values, significant)
    return [number(value, digits, sign=sign) for value in values]


def plain(value: float, significant: int = 3) -> str:
    """A number without a known error, to so many significant digits; a whole number of any size stays whole."""
    value = float(value)
    if not math.isfinite(value):
        return NONE
    if value.is_integer():
        return number(value, 0)
    text = number(value, decimals([value], significant))
    return text.rstrip("0").rstrip(".") if "." in text else text


def as_label(value: float, significant: int = 6, *, commas: bool = False) -> str:
    """A number that names or bounds something, such as a year or the cut of a rule: only 0 is written as 0.

    Two of them have to stay apart, so one that is very small or large is written with a power of ten.  commas: with
    commas between thousands, which a year has not.
    """
    if 0 < abs(value) < LEAST_IN_FULL or abs(value) >= LARGEST:
        return f"{value:.{significant}g}".replace(HYPHEN, MINUS)
    text = plain(value, significant)
    return text if commas else text.replace(",", "")


def percent(share: float) -> str:
    """A share in whole per cent; a share that is neither 0 nor 1 is never printed as 0 % or 100 %."""
    return _whole_percent(share, f"{SPACE}%", "under ", "over ")


def short_percent(share: float) -> str:
    """The same where there is little room: ``<1%`` for ``under 1 %``."""
    return _whole_percent(share, "%", "<", ">")


def _whole_percent(share: float, unit: str, under: str, over: str) -> str:
    text = number(100 * share, 0)
    if text == "0" and share > 0 and not is_nothing(share):
        return f"{under}1{unit}"
    if text == "100" and share < 1 and not is_nothing(1 - share):
        return f"{over}99{unit}"
    return f"{text}{unit}"


def percentage(share: float, digits: int = 0) -> str:
    """A share in per cent with ``digits`` decimals, for tables and axes."""
    return f"{number(100 * share, digits)}%"


def chance(probability: float) -> str:
    """A probability from resampling: 0 of a thousand resamples does not mean never."""
    if probability < 0.01:
        return f"under 1{SPACE}%"
    return f"over 99{SPACE}%" if probability > 0.99 else percent(probability)


def p_text(p_value: float, significant: int = 2, *, least: float = 1e-300, space: str = " ") -> str:
    """``p = 0.012``, or ``p < 1e-300`` for a p-value below ``least``."""
    relation = f"<{space}{least:g}" if p_value < least else f"={space}{p_value:.{significant}g}"
    return f"p{space}{relation}"
