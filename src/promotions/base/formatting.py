"""Numbers as people read them: the one place that turns them into text, for the page, the figures and the terminal.

Digits are meant, never left over: a number is written with as many as say something, no number with more than
``MOST_DECIMALS`` decimals, and one that is smaller than the last digit shown is 0. There is no −0.
"""

import math
from collections.abc import Iterable

MINUS, HYPHEN = "−", "-"
# What is no number.
NONE = "–"
# A number and its sign of per cent stay in one line.
SPACE = "\N{NO-BREAK SPACE}"
# Money and effects have no ninth decimal that means anything; what is smaller is left over from sums.
MOST_DECIMALS = 9
# From here on a double has no digit behind the point, and its last ones before it are made up.
LARGEST = 1e15
# A label that is smaller is written with a power of ten.
LEAST_IN_FULL = 1e-4


def number(value: float, digits: int, *, sign: bool = False, minus: str = MINUS) -> str:
    """``value`` with ``digits`` decimals; a negative number of them rounds to tens, hundreds and so on.

    sign: with a plus before what is more than 0 as it is shown.  minus: a terminal's tables keep the hyphen.
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
    """Is the number that was written another than 0?"""
    return any(digit in text for digit in "123456789")


def is_nothing(value: float) -> bool:
    """Is ``value`` 0 with as many decimals as any number is ever shown with?"""
    return not shows_something(f"{value:.{MOST_DECIMALS}f}")


def last_digit(size: float, significant: int) -> int:
    """Decimals that show ``size`` with so many significant digits; negative for tens, hundreds and so on.

    0 for what is 0 within ``MOST_DECIMALS``, and never more than those.
    """
    size = abs(float(size))
    if not math.isfinite(size) or is_nothing(size):
        return 0
    # Rounded before it is measured: 9.996 has as many digits before the point as 10.
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
    """A number of which no error is known, to so many significant digits; whole numbers of any size are kept whole."""
    value = float(value)
    if not math.isfinite(value):
        return NONE
    if value.is_integer():
        return number(value, 0)
    text = number(value, decimals([value], significant))
    return text.rstrip("0").rstrip(".") if "." in text else text


def as_label(value: float, significant: int = 6, *, commas: bool = False) -> str:
    """A number that names or bounds something, such as a year or the cut of a rule: none but 0 is written as 0.

    Two of them have to stay apart, so one that is very small or large is written with a power of ten.  commas: with
    commas between thousands, which a year has not.
    """
    if 0 < abs(value) < LEAST_IN_FULL or abs(value) >= LARGEST:
        return f"{value:.{significant}g}".replace(HYPHEN, MINUS)
    text = plain(value, significant)
    return text if commas else text.replace(",", "")


def percent(share: float) -> str:
    """A share in whole per cent; what is neither nothing nor everything is never printed as one of them."""
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
    """A probability found by resampling: 0 of a thousand resamples is not never."""
    if probability < 0.01:
        return f"under 1{SPACE}%"
    return f"over 99{SPACE}%" if probability > 0.99 else percent(probability)


def p_text(p_value: float, significant: int = 2, *, least: float = 1e-300, space: str = " ") -> str:
    """``p = 0.012``, or ``p < 1e-300`` for what is smaller than ``least``."""
    told = f"<{space}{least:g}" if p_value < least else f"={space}{p_value:.{significant}g}"
    return f"p{space}{told}"
