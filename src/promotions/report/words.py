"""Words of the page: estimates rounded by their precision, names, counts and lists."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from promotions.base.formatting import SPACE, is_nothing, last_digit, number, p_text, shows_something
from promotions.plots.style import readable_name

DIGITS_OF_ERROR = 2
LEAST_P = 0.0001
# A bound that would round to 0 gets up to this many more decimals to show it; a smaller one is printed as 0.
MORE_DIGITS = 3
CONSTANTS = {"treat_all": "Contact everybody", "treat_none": "Contact nobody"}


def p_value(value: float) -> str:
    """``p = 0.012``, or ``p < 0.0001``, in one line."""
    return p_text(value, least=LEAST_P, space=SPACE)


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
    """A discount rule: ``constant_20`` → everybody 20, ``best.r_learner`` → Best · R-learner."""
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

    @property
    def above(self) -> bool:
        """Whether it is proven to be more than 0."""
        return self.low > 0

    @property
    def below(self) -> bool:
        """Whether it is proven to be less than 0."""
        return self.high < 0

    @property
    def digits(self) -> int:
        """Decimals at which half the interval has two significant digits, or a few more to keep a bound from 0."""
        reach = (self.high - self.low) / 2
        if not math.isfinite(reach):
            return 0
        digits = last_digit(self.value if is_nothing(reach) else reach, DIGITS_OF_ERROR)
        for more in range(MORE_DIGITS + 1):
            bounds = [number(bound, digits + more) for bound in (self.low, self.high) if not is_nothing(bound)]
            if all(map(shows_something, bounds)):
                return digits + more
        return digits

    def times(self, factor: float) -> "Estimate":
        """The estimate for this many customers."""
        return replace(self, value=factor * self.value, low=factor * self.low, high=factor * self.high)

    def number(self, *, sign: bool = False) -> str:
        """The estimate alone."""
        return number(self.value, self.digits, sign=sign)

    def size(self) -> str:
        """The estimate without its sign."""
        return number(abs(self.value), self.digits)

    def bounds(self) -> str:
        """``−0.10 to 0.37``."""
        return f"{number(self.low, self.digits)} to {number(self.high, self.digits)}"

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
