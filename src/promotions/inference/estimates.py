"""Estimates with their intervals: for metrics files, for tests, and as sums over customers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promotions.inference.clusters import Z_95, clustered_error, one_sided_p_value
from promotions.inference.student import t_quantile, t_tail

LEVEL = 0.95


def named(name: str, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """A number, its error, interval and p-value, as in metrics files: ``x, x_se, x_ci_low, x_ci_high, x_p_value``.

    numbers: ``estimate`` becomes ``x`` and every ``error`` a ``_se``; other keys follow the name unchanged.
    """
    parts = {key: "" if key == "estimate" else "_" + re.sub(r"error$", "se", key) for key in numbers}
    return {f"{name}{part}": numbers[key] for key, part in parts.items()}


def all_named(estimates: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """``named`` of several estimates, by their names, in one dictionary."""
    return {name: value for key, numbers in estimates.items() for name, value in named(key, numbers).items()}


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, and its standard error if there is one."""

    value: float
    ci_low: float
    ci_high: float
    se: float | None = None

    def named(self, name: str) -> dict[str, float]:
        """``{name, name_ci_low, name_ci_high}``, as in metrics files."""
        return {name: self.value, f"{name}_ci_low": self.ci_low, f"{name}_ci_high": self.ci_high}

    def named_with_error(self, name: str) -> dict[str, float]:
        """The same, with ``name_se`` if there is a standard error."""
        return self.named(name) | ({} if self.se is None else {f"{name}_se": self.se})


@dataclass(frozen=True)
class Linearised:
    """An estimate: the truth plus Σ_i ψ_i, up to terms that vanish faster than 1/√n. influence: (n,) ψ, E ψ = 0."""

    value: float
    influence: NDArray[np.float64]

    def error(self, clusters: NDArray[np.intp]) -> float:
        """Cluster-robust standard error."""
        return clustered_error(self.influence, clusters)

    def estimate(self, clusters: NDArray[np.intp]) -> Estimate:
        """The estimate with its normal 95 % interval."""
        error = self.error(clusters)
        return Estimate(self.value, self.value - Z_95 * error, self.value + Z_95 * error)

    def p_value(self, clusters: NDArray[np.intp]) -> float:
        """One-sided: H₀ truth ≤ 0 against > 0. Near 1 for an estimate clearly below 0."""
        return one_sided_p_value(self.value, self.error(clusters))


@dataclass(frozen=True)
class Effect:
    """An estimate, its standard error, its 95 % interval and the two-sided p-value of no effect."""

    estimate: float
    error: float
    ci_low: float
    ci_high: float
    p_value: float

    @classmethod
    def student(cls, estimate: float, error: float, freedom: float = np.inf) -> "Effect":
        """Estimate ± t·error, t the 97.5 % point of Student's distribution (the normal one if ``freedom`` is inf)."""
        margin = t_quantile(0.5 + LEVEL / 2, freedom) * error
        p_value = 2 * t_tail(abs(estimate) / error, freedom) if error > 0 else float(estimate == 0)
        return cls(float(estimate), float(error), float(estimate - margin), float(estimate + margin), p_value)

    def to_dict(self) -> dict[str, float]:
        """estimate, error, ci_low, ci_high, p_value."""
        return {
            "estimate": self.estimate,
            "error": self.error,
            "ci_low": self.ci_low,
            "ci_high": self.ci_high,
            "p_value": self.p_value,
        }
