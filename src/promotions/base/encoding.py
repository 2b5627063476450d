"""One numeric matrix for every learner: categories and missing values are dealt with here and nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.errors import InputError

# A larger number is infinite or a placeholder: no feature of a customer is as large, and its square would overflow.
LARGEST = 1e30
NUMBER, CATEGORY = "number", "category"


@dataclass(frozen=True)
class Encoder:
    """How each feature becomes columns of a matrix. Learned without looking at outcome or treatment.

    A number stays as it is; where it is missing it takes the training median, and a column ``<name>__missing`` says so
    (if any was missing in training). A category becomes one 0/1 column for each of its most frequent training levels;
    a rarer, unknown or missing level is 0 in all of them. Dates count as days since 1970, booleans as 0 and 1.
    """

    features: list[dict[str, Any]] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """Names of the matrix's columns."""
        return [column for feature in self.features for column in _columns_of(feature)]

    @property
    def sources(self) -> list[str]:
        """The feature from which each of the matrix's columns was made."""
        return [feature["name"] for feature in self.features for _ in _columns_of(feature)]

    @property
    def facts(self) -> dict[str, tuple[str, str]]:
        """What 1 and 0 mean in each 0/1 column made here: for ``zip=Rural`` "zip is Rural" and "zip is not Rural"."""
        meanings: dict[str, tuple[str, str]] = {}
        for feature in self.features:
            name = feature["name"]
            if feature["kind"] == CATEGORY:
                meanings |= {
                    f"{name}={level}": (f"{name} is {level}", f"{name} is not {level}") for level in feature["levels"]
                }
            elif feature["flag_missing"]:
                meanings[f"{name}__missing"] = (f"{name} is unknown", f"{name} is known")
        return meanings

    def transform(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """The matrix of ``frame``, (rows, len(columns)), without NaN. InputError if a feature is absent."""
        absent = [feature["name"] for feature in self.features if feature["name"] not in frame.columns]
        if absent:
            raise InputError(f"feature {absent[0]!r} is missing; the table has {', '.join(map(repr, frame.columns))}")
        blocks = []
        for feature in self.features:
            if feature["kind"] == NUMBER:
                if not is_number(frame[feature["name"]]):
                    raise InputError(
                        f"feature {feature['name']!r} holds {frame[feature['name']].dtype} where training had numbers; "
                        "write numbers, and leave missing ones empty"
                    )
                values = as_numbers(frame[feature["name"]])
                missing = np.isnan(values)
                blocks.append(np.where(missing, feature["median"], values))
                if feature["flag_missing"]:
                    blocks.append(missing.astype(np.float64))
            else:
                column = frame[feature["name"]].astype("string")
                blocks += [(column == level).fillna(False).to_numpy(np.float64) for level in feature["levels"]]
        return np.column_stack(blocks) if blocks else np.empty((len(frame), 0))

    def to_json(self) -> dict[str, Any]:
        """A document from which ``from_json`` makes the same encoder."""
        return {"features": self.features}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Encoder":
        """The encoder that ``to_json`` described."""
        return cls(features=list(document["features"]))


def fit_encoder(frame: pd.DataFrame, features: list[str], max_levels: int = 20) -> Encoder:
    """Learn the encoding of ``features`` from the rows of ``frame`` (the training customers).

    max_levels: how many levels of a category get a column of their own, most frequent first, ties by name.
    """
    specifications: list[dict[str, Any]] = []
    for name in features:
        column = frame[name]
        if is_number(column):
            values = as_numbers(column)
            present = values[~np.isnan(values)]
            median = float(np.median(present)) if len(present) else 0.0
            flag_missing = 0 < len(present) < len(values)
            specifications.append({"name": name, "kind": NUMBER, "median": median, "flag_missing": flag_missing})
        else:
            counts = column.dropna().astype("string").value_counts()
            ordered = sorted(counts.items(), key=lambda item: (-int(item[1]), str(item[0])))
            levels = [str(level) for level, _ in ordered[:max_levels]]
            specifications.append({"name": name, "kind": CATEGORY, "levels": levels})
    return Encoder(specifications)


def _columns_of(feature: Mapping[str, Any]) -> list[str]:
    name = feature["name"]
    if feature["kind"] == CATEGORY:
        return [f"{name}={level}" for level in feature["levels"]]
    return [name, f"{name}__missing"] if feature["flag_missing"] else [name]


def is_number(column: "pd.Series[Any]") -> bool:
    """Whether a column is encoded as a number: numeric, boolean or a date."""
    kind = pd.api.types
    return bool(kind.is_numeric_dtype(column) or kind.is_bool_dtype(column) or kind.is_datetime64_any_dtype(column))


def as_numbers(column: "pd.Series[Any]") -> NDArray[np.float64]:
    """A numeric, boolean or date column as float64; missing values, and those of ``LARGEST`` or more, are NaN."""
    if pd.api.types.is_datetime64_any_dtype(column):
        days = (column.dt.tz_localize(None) - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
        return days.to_numpy(dtype=np.float64, na_value=np.nan)
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.abs(values) < LARGEST, values, np.nan)
