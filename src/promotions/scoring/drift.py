"""Are these customers like those that the models learned from? The population stability index, feature by feature."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc

from promotions.base.encoding import NUMBER, Encoder, as_numbers

BINS = 10
# The usual reading of the index: below the first customers are alike, from the second on they are different.
SOME, LARGE = 0.1, 0.25
# A small list differs by chance; a difference with a larger p-value is not reported.
CHANCE = 0.001

Counts = list[NDArray[np.int64]]


@dataclass(frozen=True)
class Profile:
    """How each feature was distributed among the training customers.

    features: ``name``, ``edges`` (of a number: k − 1 increasing limits of k bins; a value at a limit is in the bin
    above) or ``levels`` (of a category), and ``counts``: customers in each bin or level; then with unknown levels (of a
    category); then missing.
    """

    features: tuple[Mapping[str, Any], ...]

    def count(self, customers: pd.DataFrame) -> Counts:
        """These customers in the bins of each feature."""
        return [_count(feature, customers[feature["name"]]) for feature in self.features]

    def compare(self, counts: Counts) -> pd.DataFrame:
        """``feature, psi, p_value, unknown``, largest index first.

        With p_j and q_j the shares of bin j in training and among the new customers, psi = Σ_j (p_j − q_j) ln(p_j/q_j):
        Siddiqi (2006), "Credit risk scorecards"; half a customer is added to each bin, so that none is empty. For n and
        m customers of one population, psi/(1/n + 1/m) is about χ² with one degree of freedom less than bins, Yurdakul
        (2018), which gives p_value. unknown: new customers with a level that training never had.
        """
        rows = []
        for feature, new in zip(self.features, counts, strict=True):
            old = np.asarray(feature["counts"], dtype=np.int64)
            used = (old > 0) | (new > 0)
            bins = int(used.sum())
            before, now = old[used] + 0.5, new[used] + 0.5
            p, q = before / before.sum(), now / now.sum()
            psi = float(((p - q) * np.log(p / q)).sum())
            noise = 1 / max(int(old.sum()), 1) + 1 / max(int(new.sum()), 1)
            chance = float(chdtrc(bins - 1, psi / noise)) if bins > 1 else 1.0
            unknown = int(new[-2]) if "levels" in feature else 0
            rows.append((feature["name"], psi, chance, unknown))
        table = pd.DataFrame(rows, columns=["feature", "psi", "p_value", "unknown"])
        return table.sort_values("psi", ascending=False, kind="stable", ignore_index=True)

    def to_json(self) -> dict[str, Any]:
        """A document from which ``from_json`` makes the same profile."""
        return {"features": list(self.features)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Profile":
        """The profile that ``to_json`` described."""
        return cls(tuple(document["features"]))


class Drift:
    """New customers compared with a profile, piece by piece."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._counts: Counts = [np.zeros(len(feature["counts"]), dtype=np.int64) for feature in profile.features]

    def add(self, customers: pd.DataFrame) -> None:
        """The next customers, with the features."""
        for total, more in zip(self._counts, self._profile.count(customers), strict=True):
            total += more

    @property
    def table(self) -> pd.DataFrame:
        """See ``Profile.compare``."""
        return self._profile.compare(self._counts)

    @property
    def largest(self) -> float:
        """The largest index."""
        return float(self.table["psi"].max())

    @property
    def beyond_chance(self) -> dict[str, float]:
        """Indices of at least ``SOME`` that chance does not explain, by feature."""
        table = self.table
        drifted = table[(table["psi"] >= SOME) & (table["p_value"] < CHANCE)]
        return dict(zip(drifted["feature"], drifted["psi"], strict=True))

    @property
    def unknown(self) -> dict[str, int]:
        """Customers with a level that training never had, by feature."""
        unseen = self.table[self.table["unknown"] > 0]
        return dict(zip(unseen["feature"], map(int, unseen["unknown"]), strict=True))


def fit_profile(training: pd.DataFrame, encoder: Encoder) -> Profile:
    """The profile of the training customers: numbers in up to ten bins of about equal size, categories by level."""
    features = []
    for encoded in encoder.features:
        column = training[encoded["name"]]
        feature: dict[str, Any] = {"name": encoded["name"]}
        if encoded["kind"] == NUMBER:
            values = as_numbers(column)
            present = values[~np.isnan(values)]
            inner = np.quantile(present, np.arange(1, BINS) / BINS, method="higher") if len(present) else np.empty(0)
            # The least value is no limit: the bin below it would be empty.
            feature["edges"] = [float(edge) for edge in np.unique(inner) if edge > present.min()]
        else:
            feature["levels"] = sorted(map(str, column.dropna().astype("string").unique()))
        features.append(feature | {"counts": _count(feature, column).tolist()})
    return Profile(tuple(features))


def _count(feature: Mapping[str, Any], column: "pd.Series[Any]") -> NDArray[np.int64]:
    if "edges" in feature:
        values = as_numbers(column)
        missing = np.isnan(values)
        bins = np.searchsorted(feature["edges"], values[~missing], side="right")
        return np.append(np.bincount(bins, minlength=len(feature["edges"]) + 1), missing.sum()).astype(np.int64)
    levels = feature["levels"]
    text = column.astype("string")
    places = pd.Index(levels).get_indexer(pd.Index(text.dropna())) if len(levels) else np.full(text.count(), -1)
    by_level = np.bincount(places[places >= 0], minlength=len(levels))
    return np.concatenate([by_level, [(places < 0).sum(), text.isna().sum()]]).astype(np.int64)
