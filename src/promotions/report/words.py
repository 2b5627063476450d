"""Numbers as people read them: rounded by what is known of them, with a proper minus sign."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from promotions.plots.style import number, readable_name

# A number and its sign of per cent stay in one line.
SPACE = "\N{NO-BREAK SPACE}"
DIGITS_OF_ERROR = 2
# A bound that is not 0 gets up to so many more decimals before it is printed as 0.
MORE_DIGITS = 3
CONSTANTS = {"treat_all": "Contact everybody", "treat_none": "Contact nobody"}


def amount(value: float, digits: int, *, sign: bool = False) -> str:
    """``value`` with ``digits`` decimals; a negative number of them rounds to tens, hundreds and so on."""
    rounded = float(f"{value:.{digits}f}") if digits >= 0 else round(value, digits)
    plus = "+" if sign and rounded > 0 else ""
    return plus + number(rounded, max(digits, 0))


def plain(value: float, significant: int = 3) -> str:
    """A number of which no error is known, to three significant digits; whole numbers of any size are kept whole."""
    if not math.isfinite(value):
        return "–"
    if float(value).is_integer() and abs(value) < 1e15:
        return number(value, 0)
    exponent = math.floor(math.log10(abs(value)))
    text = number(value, max(0, significant - 1 - exponent))
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float) -> str:
    """A share in whole per cent; what is neither nothing nor everything is never printed as one of them."""
    if 0 < share < 0.005:
        return f"under 1{SPACE}%"
    if 0.995 < share < 1:
        return f"over 99{SPACE}%"
    return f"{amount(100 * share, 0)}{SPACE}%"


def chance(probability: float) -> str:
    """A probability found by resampling: 0 of a thousand resamples is not never."""
    if probability < 0.01:
        return f"under 1{SPACE}%"
    return f"over 99{SPACE}%" if probability > 0.99 else percent(probability)


def p_value(value: float) -> str:
    """``p = 0.012``, or ``p < 0.0001``."""
    return f"p{SPACE}<{SPACE}0.0001" if value < 1e-4 else f"p{SPACE}={SPACE}{value:.2g}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """``1 customer``, ``2 customers``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(names: Iterable[str], joint: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    names = list(names)
    return f" {joint} ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def policy_name(policy: str) -> str:
    """``threshold.x_learner`` → Threshold · X-learner, as the figures call it."""
    if policy in CONSTANTS:
        return CONSTANTS[policy]
    return " · ".join(readable_name(part) for part in policy.split("."))


def dose_name(rule: str) -> str:
    """A rule for discounts: ``constant_20`` → everybody 20, ``best.r_learner`` → Best · R-learner."""
    if not (constant := re.fullmatch(r"constant_(.+)", rule)):
        return policy_name(rule)
    return "no discount" if constant[1] == "0" else f"everybody {constant[1]}"


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, metrics: Mapping[str, Any], name: str) -> "Estimate":
        """``<name>``, ``<name>_ci_low`` and ``<name>_ci_high`` of a metrics file."""
        return cls(*(float(metrics[f"{name}{end}"]) for end in ("", "_ci_low", "_ci_high")))

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any], name: str = "estimate") -> "Estimate":
        """``<name>``, ``ci_low`` and ``ci_high`` of an entry."""
        return cls(*(float(entry[key]) for key in (name, "ci_low", "ci_high")))

    @property
    def above(self) -> bool:
        """Proven to be more than 0."""
        return self.low > 0

    @property
    def below(self) -> bool:
        """Proven to be less than 0."""
        return self.high < 0

    @property
    def digits(self) -> int:
        """Decimals at which half the interval has two significant digits, and no bound is wrongly printed as 0."""
        reach = (self.high - self.low) / 2 or abs(self.value)
        if not math.isfinite(reach) or reach == 0:
            return 0
        digits = DIGITS_OF_ERROR - 1 - math.floor(math.log10(reach))
        for more in range(MORE_DIGITS):
            if all(bound == 0 or float(f"{round(bound, digits + more):.12g}") != 0 for bound in (self.low, self.high)):
                return digits + more
        return digits + MORE_DIGITS

    def times(self, factor: float) -> "Estimate":
        """Of so many customers."""
        return replace(self, value=factor * self.value, low=factor * self.low, high=factor * self.high)

    def number(self, *, sign: bool = False) -> str:
        """The estimate alone."""
        return amount(self.value, self.digits, sign=sign)

    def size(self) -> str:
        """The estimate without its sign."""
        return amount(abs(self.value), self.digits)

    def bounds(self) -> str:
        """``−0.10 to 0.37``."""
        return f"{amount(self.low, self.digits)} to {amount(self.high, self.digits)}"

    def text(self, *, sign: bool = False) -> str:
        """``0.15 (95 % interval −0.10 to 0.37)``."""
        return f"{self.number(sign=sign)} (95{SPACE}% interval {self.bounds()})"

    def short(self, *, sign: bool = False) -> str:
        """``0.15 (−0.10 to 0.37)``."""
        return f"{self.number(sign=sign)} ({self.bounds()})"

    @property
    def more_or_less(self) -> str:
        """``0.15 more``, ``0.15 less``."""
        return f"{self.size()} {'less' if self.value < 0 else 'more'}"
