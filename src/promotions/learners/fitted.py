"""Fitted effects: what remains of a learner once it has learned, small enough to be saved, read and explained."""

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promotions.base.errors import InputError
from promotions.boosting.files import broken, is_number, read_boosters, read_model, write_model
from promotions.boosting.settings import predict

# LightGBM's objectives whose response is the sum of the trees itself.
IDENTITY_LINK = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")


class Effect(Protocol):
    """τ(x) as a formula of the features."""

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """τ(x) for each row, (n,)."""
        ...

    def save(self, folder: Path) -> None:
        """Write it into ``folder``, which exists."""
        ...


@dataclass(frozen=True)
class Part:
    """One model of a sum.

    booster: a lightgbm.Booster, on its response scale (a probability for cross-entropy). In the mode ``rf`` the
    response is the mean of the trees, but LightGBM's ``pred_contrib`` is their sum.
    treatment: appended to the features as a last column (S-learner); None appends nothing.
    """

    weight: float
    booster: Any
    treatment: float | None = None

    @property
    def features(self) -> int:
        """Features it expects, treatment not counted."""
        return self.booster.num_feature() - (self.treatment is not None)

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """f(x), or f(x, treatment), without the weight; (n,)."""
        if self.treatment is not None:
            features = np.column_stack([features, np.full(len(features), self.treatment)])
        return predict(self.booster, features)


@dataclass(frozen=True)
class TreeSum:
    """τ(x) = intercept + Σ_k weight_k f_k(x), each f_k a LightGBM model."""

    parts: tuple[Part, ...]
    intercept: float = 0.0
    kind: ClassVar[str] = "tree_sum"

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """τ(x), (n,).  features: (n, p) as at fitting.  Raises InputError for another p."""
        matrix = _matrix(features, self.parts[0].features if self.parts else None)
        effect = np.full(len(matrix), self.intercept)
        for part in self.parts:
            effect += part.weight * part.predict(matrix)
        return effect

    @cached_property
    def additive(self) -> bool:
        """Whether τ is a sum of trees, so that exact TreeSHAP exists; a link such as the logistic one forbids it."""
        return all(_objective(part.booster) in IDENTITY_LINK for part in self.parts)

    def save(self, folder: Path) -> None:
        """Write model.json and part_000.txt, part_001.txt, … into ``folder``; parts share a booster's file."""
        names: dict[int, str] = {}
        boosters: dict[str, Any] = {}
        for part in self.parts:
            name = names.setdefault(id(part.booster), f"part_{len(names):03d}.txt")
            boosters[name] = part.booster
        parts = [
            {"weight": part.weight, "treatment": part.treatment, "file": names[id(part.booster)]} for part in self.parts
        ]
        write_model(folder, {"kind": self.kind, "intercept": self.intercept, "parts": parts}, boosters)

    @classmethod
    def load(cls, folder: Path) -> "TreeSum":
        """What ``save`` wrote. Raises InputError if it is another kind, incomplete or changed."""
        document = read_model(folder, (cls.kind,), ("intercept", "parts"))
        boosters = read_boosters(folder, document)
        if not isinstance(document["parts"], list) or not is_number(document["intercept"]):
            raise broken(folder, "without a list of parts and a number as intercept")
        parts = []
        for entry in document["parts"]:
            named: dict[str, Any] = {"weight": None, "treatment": None, "file": None} | (
                entry if isinstance(entry, dict) else {}
            )
            weight, treatment, file = named["weight"], named["treatment"], named["file"]
            if not is_number(weight) or not (treatment is None or is_number(treatment)) or file not in boosters:
                raise broken(folder, "with a part that lacks its weight or its file")
            booster = boosters[file]
            parts.append(Part(float(weight), booster, None if treatment is None else float(treatment)))
        if len({part.features for part in parts}) != 1:
            raise broken(folder, "of parts that expect different numbers of features")
        return cls(tuple(parts), float(document["intercept"]))


@dataclass(frozen=True)
class Blend:
    """τ(x) = e(x) τ₀(x) + (1 − e(x)) τ₁(x), an X-learner's effect where e is not the same for all.

    share, control, treated: lightgbm.Boosters of e, which predicts within [0, 1], τ₀ and τ₁. A product of trees is no
    sum of trees, so there is no exact TreeSHAP.
    """

    share: Any
    control: Any
    treated: Any
    kind: ClassVar[str] = "blend"

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """τ(x), (n,).  features: (n, p) as at fitting.  Raises InputError for another p."""
        matrix = _matrix(features, self.share.num_feature())
        share, control, treated = (predict(booster, matrix) for booster in self._boosters.values())
        return share * control + (1 - share) * treated

    def save(self, folder: Path) -> None:
        """Write model.json, share.txt, control.txt and treated.txt into ``folder``."""
        write_model(folder, {"kind": self.kind}, {f"{name}.txt": each for name, each in self._boosters.items()})

    @classmethod
    def load(cls, folder: Path) -> "Blend":
        """What ``save`` wrote. Raises InputError if it is another kind, incomplete or changed."""
        boosters = read_boosters(folder, read_model(folder, (cls.kind,)))
        names = [f"{field.name}.txt" for field in fields(cls)]
        missing = [name for name in names if name not in boosters]
        if missing:
            raise broken(folder, f"without {missing[0]}")
        chosen = [boosters[name] for name in names]
        if len({booster.num_feature() for booster in chosen}) != 1:
            raise broken(folder, "of parts that expect different numbers of features")
        return cls(*chosen)

    @property
    def _boosters(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class LinearEffect:
    """τ(x) = θ₀ + θ · clip((x − mean)/scale, −winsorize, winsorize); coefficients θ, mean, scale: (p,)."""

    intercept: float
    coefficients: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    winsorize: float
    kind: ClassVar[str] = "linear"

    def scaled(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """The features as θ sees them, (n, p). Raises InputError for another p."""
        return standardise(_matrix(features, len(self.mean)), self.mean, self.scale, self.winsorize)

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """τ(x), (n,).  features: (n, p) as at fitting.  Raises InputError for another p."""
        # Row by row: a matrix product may add in another order when there are more rows.
        products = self.scaled(features) * self.coefficients
        return np.asarray(self.intercept + products.sum(axis=1))

    def save(self, folder: Path) -> None:
        """Write model.json into ``folder``."""
        vectors = {name: getattr(self, name).tolist() for name in ("coefficients", "mean", "scale")}
        write_model(folder, {"kind": self.kind, "intercept": self.intercept, "winsorize": self.winsorize, **vectors})

    @classmethod
    def load(cls, folder: Path) -> "LinearEffect":
        """What ``save`` wrote. Raises InputError if it is another kind or incomplete."""
        names = ("coefficients", "mean", "scale")
        document = read_model(folder, (cls.kind,), ("intercept", "winsorize", *names))
        vectors = [document[name] for name in names]
        good = all(isinstance(vector, list) and all(map(is_number, vector)) for vector in vectors)
        if not good or len({len(vector) for vector in vectors}) != 1:
            raise broken(folder, f"without {', '.join(names)} as three lists of equal length")
        if not is_number(document["intercept"]) or not is_number(document["winsorize"]):
            raise broken(folder, "without numbers as intercept and winsorize")
        coefficients, mean, scale = (np.array(vector, dtype=np.float64) for vector in vectors)
        return cls(float(document["intercept"]), coefficients, mean, scale, float(document["winsorize"]))


def weigh(share: Any, control: Any, treated: Any) -> TreeSum | Blend:
    """The effect e τ₀ + (1 − e) τ₁.  share: the number e, or its Booster.  control, treated: Boosters of τ₀ and τ₁."""
    if is_number(share):
        return TreeSum((Part(share, control), Part(1 - share, treated)))
    return Blend(share, control, treated)


def standardise(
    features: NDArray[np.float64], mean: NDArray[np.float64], scale: NDArray[np.float64], winsorize: float
) -> NDArray[np.float64]:
    """clip((x − mean)/scale, −winsorize, winsorize), (n, p), rows contiguous."""
    return np.ascontiguousarray(np.clip((features - mean) / scale, -winsorize, winsorize))


KINDS: dict[str, type[TreeSum] | type[Blend] | type[LinearEffect]] = {
    each.kind: each for each in (TreeSum, Blend, LinearEffect)
}


def load_effect(folder: Path) -> TreeSum | Blend | LinearEffect:
    """The effect that ``save`` left in ``folder``, of any kind. Raises InputError."""
    return KINDS[read_model(folder, KINDS)["kind"]].load(folder)


def _matrix(features: ArrayLike, expected: int | None) -> NDArray[np.float64]:
    matrix = np.asarray(features, dtype=np.float64)
    if matrix.ndim != 2 or (expected is not None and matrix.shape[1] != expected):
        raise InputError(
            f"features: expected a table of {'any' if expected is None else expected} columns, as at fitting, got the "
            f"shape {matrix.shape}"
        )
    return matrix


def _objective(booster: Any) -> str:
    """The name of a booster's objective, from the header of its text."""
    header = booster.model_to_string(num_iteration=1).split("Tree=", 1)[0]
    lines = [line for line in header.splitlines() if line.startswith("objective=")]
    return lines[0].removeprefix("objective=").split()[0] if lines else ""
