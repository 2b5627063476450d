"""Bins of a column measured before the discount, and bands of the discount itself.

Source: bins at quantiles as in Facure (2023), "Causal Inference in Python", ch. 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.encoding import as_numbers, is_number
from promotions.base.formatting import as_label

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

MISSING, OTHER, NONE = "missing", "any other level", "none"


@dataclass(frozen=True)
class Bins:
    """How the values of a column become bins 0 … K − 1, in ascending order or by name.

    cuts: of a number; the bin of a value is the number of cuts below it, so a bin ends *at* its cut.  levels: of a
    category, None for a number.  other, missing: whether there is a bin of all other levels, of missing values (the
    last ones).  labels: (K,) what the bins are called.
    """

    cuts: tuple[float, ...]
    levels: tuple[str, ...] | None
    other: bool
    missing: bool
    labels: tuple[str, ...]

    def place(self, column: "pd.Series[Any]") -> Codes:
        """The bin of each value, (n,); −1 where there is none: missing, or an unseen level."""
        absent = len(self.labels) - 1 if self.missing else -1
        if self.levels is None:
            values = as_numbers(column)
            return np.where(np.isnan(values), absent, np.searchsorted(self.cuts, values, side="left")).astype(np.intp)
        pool = len(self.levels) if self.other else -1
        code = {name: index for index, name in enumerate(self.levels)}
        texts = column.astype("string")
        places = [absent if pd.isna(text) else code.get(str(text), pool) for text in texts]
        return np.array(places, dtype=np.intp)


def fit_bins(column: "pd.Series[Any]", spec: int | Sequence[float], least: int) -> Bins:
    """Bins of a column, of at least ``least`` customers each.

    A number is cut at its quantiles k/K (as ``pandas.qcut``, equal values together), or at the ``spec`` that are given;
    a bin that has too few customers joins the one below it, the first the one above. Each level of a category
    is a bin, and the rare ones share one. Too few missing values belong to no bin.

    spec: number of bins K, or cuts; ignored for a category.
    """
    if not is_number(column):
        counts = column.dropna().astype("string").value_counts()
        levels = tuple(sorted(str(name) for name in counts.index if counts[name] >= least))
        rare = int(sum(count for count in counts if count < least))
        other, missing = rare >= least, int(column.isna().sum()) >= least
        labels = (*levels, *((OTHER,) if other else ()), *((MISSING,) if missing else ()))
        return Bins((), levels, other, missing, labels)
    values = as_numbers(column)
    present = np.sort(values[~np.isnan(values)])
    if not len(present):
        return Bins((), None, False, False, ())
    wanted = np.quantile(present, np.arange(1, spec) / spec) if isinstance(spec, int) else np.asarray(spec, np.float64)
    cuts: list[float] = []
    for cut in np.unique(wanted):
        below = int(np.searchsorted(present, cut, side="right"))
        start = int(np.searchsorted(present, cuts[-1], side="right")) if cuts else 0
        if below - start >= least and len(present) - below >= least:
            cuts.append(float(cut))
    missing = int(np.isnan(values).sum()) >= least
    labels = (*_ranges(present, cuts), *((MISSING,) if missing else ()))
    return Bins(tuple(cuts), None, False, missing, labels)


def _ranges(present: Floats, cuts: Sequence[float]) -> list[str]:
    """Names of the bins of a number: by their values if these are whole numbers, else by the cuts."""
    whole = bool((present == np.rint(present)).all())
    parts = np.split(present, np.searchsorted(present, cuts, side="right"))
    if len(parts) == 1:
        return ["all"]
    labels = []
    for index, part in enumerate(parts):
        low = as_label(part[0], 4) if whole else as_label(cuts[index - 1], 4) if index else ""
        high = as_label(part[-1], 4) if whole else as_label(cuts[index], 4) if index < len(cuts) else ""
        if index == 0:
            labels.append(f"up to {high}")
        elif index == len(cuts):
            labels.append(f"{low} and more" if whole else f"above {low}")
        else:
            labels.append(low if low == high else f"{low} to {high}")
    return labels


def fit_bands(dose: Floats, spec: int | Sequence[float], least: int) -> Bins:
    """Bins of the discount: ``none`` (0), and above it as ``fit_bins``."""
    positive = pd.Series(dose[dose > 0])
    above = fit_bins(positive, spec, least)
    zero = int((dose == 0).sum()) >= least
    discounts = np.sort(dose[dose > 0])
    labels = _ranges(discounts, above.cuts)
    if labels and labels[0].startswith("up to"):
        end = discounts[discounts <= above.cuts[0]][-1]
        labels[0] = (
            as_label(discounts[0], 4) if discounts[0] == end else f"{as_label(discounts[0], 4)} to {as_label(end, 4)}"
        )
    return Bins(
        (0.0, *above.cuts) if zero else above.cuts, None, False, False, ((NONE,) if zero else ()) + tuple(labels)
    )
