"""Money as people write it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SYMBOLS = "$€£¥₹"
# Codes of currencies; if any three letters counted, SKU12 would be a number.
CODES = "USD|EUR|GBP|BRL|JPY|CNY|INR|CHF|CAD|AUD|NZD|MXN|ARS|CLP|COP|PEN|SEK|NOK|DKK|PLN|CZK|HUF|RON|TRY|ZAR|KRW"
_CURRENCY = re.compile(rf"[A-Za-z]{{0,3}}[{SYMBOLS}]|{CODES}")
_NUMBER = re.compile(r"(?P<before>[^\d.,]*)(?P<body>\d[\d.,'’\s]*|[.,]\d+)(?P<power>[eE][-+]?\d+)?(?P<after>\D*)")
# Groups of thousands: never after a leading zero.
_GROUPS = {mark: re.compile(rf"[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+") for mark in ",."}
_SPACED = re.compile(r"[1-9]\d{0,2}(?:[\s'’]\d{3})+(?:[.,]\d*)?")


def parse_numbers(texts: Iterable[object]) -> NDArray[np.float64]:
    """The numbers and sums of money that a column holds as text; NaN where a cell is empty or cannot be read.

    It reads currencies before or behind (``US$ 125.0``, ``R$ 4``, ``12 €``, ``EUR 3``), thousands (comma, point, space,
    apostrophe), negatives (``-$5``, ``$ -5``, ``5-``, ``($5.00)``) and powers of ten. Comma or point? If a
    number has both, the last is the decimal mark. A mark that occurs twice separates thousands; one that cannot
    separate thousands (``1.5``, ``0,125``) is the decimal mark. An ambiguous number (``1.234``) follows the rest of the
    column; it is not read if the column shows both habits. If it shows neither, a comma separates thousands, and so
    does a point in a sum of money (which has no third decimal); in a plain number a point is the decimal mark.
    """
    parts = [_split(text) if isinstance(text, str) else None for text in texts]
    shown = {mark for part in parts if part is not None for mark in (_decimal_mark(part.body),) if mark is not None}
    return np.array([np.nan if part is None else _value(part, shown) for part in parts], dtype=np.float64)


@dataclass(frozen=True)
class _Parts:
    """A number whose marks are not yet interpreted."""

    body: str
    power: str
    negative: bool
    is_money: bool


def _split(text: str) -> _Parts | None:
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    before, after = (re.sub(r"\s", "", match[side]) for side in ("before", "after"))
    body = match["body"].strip()
    if re.search(r"[\s'’]", body):
        if _SPACED.fullmatch(body) is None:
            return None
        body = re.sub(r"[\s'’]", "", body)
    brackets = before.count("("), after.count(")")
    before, after = before.replace("(", "", 1), after.replace(")", "", 1)
    signs = re.findall(r"[-−+]", before + after)
    before, after = (re.sub(r"[-−+]", "", side) for side in (before, after))
    currencies = [side for side in (before, after) if side]
    if (
        brackets not in ((0, 0), (1, 1))
        or len(signs) + brackets[0] > 1
        or len(currencies) > 1
        or any(_CURRENCY.fullmatch(side) is None for side in currencies)
    ):
        return None
    negative = brackets == (1, 1) or bool(signs and signs[0] != "+")
    return _Parts(body, match["power"] or "", negative, bool(currencies))


def _decimal_mark(body: str) -> str | None:
    """The decimal mark of an unambiguous number, else None."""
    comma, point = body.rfind(","), body.rfind(".")
    if comma >= 0 and point >= 0:
        return "," if comma > point else "."
    mark = "," if comma >= 0 else "."
    if body.count(mark) > 1:
        return "." if mark == "," else ","
    return None if mark not in body or _GROUPS[mark].fullmatch(body) else mark


def _value(part: _Parts, shown: set[str]) -> float:
    mark = _decimal_mark(part.body)
    if mark is None and not part.body.isdigit():
        if len(shown) > 1:
            return np.nan
        mark = next(iter(shown), "," if part.is_money and "." in part.body else ".")
    whole, _, decimals = part.body.partition(mark or ".")
    separator = "," if mark == "." else "."
    if not (whole.isdigit() or whole == "" or _GROUPS[separator].fullmatch(whole)) or not (
        decimals.isdigit() or not decimals
    ):
        return np.nan
    size = float(f"{whole.replace(separator, '') or '0'}.{decimals or '0'}{part.power}")
    return -size if part.negative else size
