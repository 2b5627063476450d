"""Contributions of encoded columns, added up by the features that people know, and described in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from promotions.base.encoding import as_numbers, is_number

Floats = NDArray[np.float64]
# Least |Spearman's correlation| of value and contribution of a feature that moves the effect one way.
MONOTONE = 0.5
# Share of the customers at either end of a feature: its lowest and its highest fifth.
END = 0.2
# Correlations that differ by less are equal.
ROUNDING = 1e-9


def by_feature(values: Floats, sources: Sequence[str]) -> pd.DataFrame:
    """Contributions of the features, the sum over the columns that each was encoded as; (n, features).

    values: (n, columns).  sources: the feature that each column was made of (``Encoder.sources``). If a feature's
    columns (its levels, and whether it is missing) were one player of the game, it would get about as much, not
    exactly. The sum keeps the total: base + Σ_j φ_j is still the effect.
    """
    names = list(dict.fromkeys(sources))
    together = np.zeros((len(names), len(values)))
    for column, source in zip(values.T, sources, strict=True):
        together[names.index(source)] += column
    return pd.DataFrame(dict(zip(names, together, strict=True)))


def alike_together(
    contributions: pd.DataFrame, customers: pd.DataFrame, alike: float
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Contributions summed over features with nearly the same information, and each group's features by its name.

    A model may credit any of several such features, or set one against another (money paid against money that earned
    points). The credit of each alone says little; their sum is what counts.
    Groups are the largest of a hierarchy with complete linkage in which every two numbers have |Spearman's ρ| ≥
    ``alike``; missing values rank in the middle. A category stays alone. A group has the name of the feature with the
    largest mean |φ|.

    contributions: of ``by_feature``.  customers: the same customers' features as they were before encoding.
    alike: in (0, 1]; 1 joins only features in exactly the same order.
    """
    size = contributions.abs().mean()
    numbers = sorted(name for name in contributions.columns if is_number(customers[name]))
    group = {name: [name] for name in contributions.columns}
    if len(numbers) > 1:
        standing = np.column_stack([_standing(as_numbers(customers[name])) for name in numbers])
        likeness = np.clip(np.abs(standing.T @ standing), 0, 1)
        np.fill_diagonal(likeness, 1)
        tree = linkage(squareform(1 - likeness, checks=False), "complete")
        number_of = fcluster(tree, 1 - alike + ROUNDING, "distance")
        members = [
            [name for name, group_number in zip(numbers, number_of, strict=True) if group_number == number]
            for number in set(number_of)
        ]
        group |= {name: sorted(each, key=lambda one: (-size[one], one)) for each in members for name in each}
    leaders = [name for name in contributions.columns if group[name][0] == name]
    added = pd.DataFrame({name: contributions[group[name]].sum(axis=1) for name in leaders})
    return added, {name: group[name] for name in leaders}


def _standing(numbers: Floats) -> Floats:
    """Ranks, centred and of length 1, so that products are Spearman's ρ; 0 for a constant."""
    present = ~np.isnan(numbers)
    ranks = np.zeros(len(numbers))
    if present.any():
        ranks[present] = rankdata(numbers[present]) - (present.sum() + 1) / 2
    length = float(np.sqrt(ranks @ ranks))
    return ranks / length if length > 0 else ranks


def most_telling(
    contributions: pd.DataFrame,
    customers: pd.DataFrame,
    meanings: Mapping[str, tuple[str, str]],
    most: int,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """The features of the largest mean |φ|, at most ``most`` of them, in words.

    contributions: of ``by_feature`` or ``alike_together``.  customers: the same customers' features as they were before
    encoding.  meanings: what a feature is and its unit, where a dictionary says so; else its name.  groups: of
    ``alike_together``.

    Returns ``feature, meaning, unit``, ``together_with`` (others of its group), ``mean_absolute`` (in units of the
    effect), ``share`` (of the sum of the mean |φ| of all features), ``missing`` (share of the customers whose value is
    not known), ``direction`` in words, ``correlation`` (Spearman's, of value and contribution), the value's quantiles
    ``low`` (10 %), ``median`` and ``high`` (90 %), and the mean contributions of its lowest and highest fifth
    (``at_low``, ``at_high``). A category has no correlation and no quantiles (NaN), and the mean contributions are
    those of the levels that ``direction`` names.
    """
    size = contributions.abs().mean()
    total = float(size.sum())
    # Largest first; features of the same size by name.
    order = sorted(size.index, key=lambda name: (-size[name], name))[:most]
    rows = []
    for name in order:
        meaning, unit = meanings.get(name, (name, ""))
        share = float(size[name]) / total if total > 0 else 0.0
        description = _description(customers[name], contributions[name].to_numpy())
        rows.append(
            {
                "feature": name,
                "meaning": meaning,
                "unit": unit,
                "together_with": ", ".join((groups or {}).get(name, [name])[1:]),
                "mean_absolute": float(size[name]),
                "share": share,
            }
            | description
        )
    return pd.DataFrame(rows)


def _description(values: "pd.Series[Any]", contribution: Floats) -> dict[str, float | str]:
    """How the contribution varies with the value."""
    if not is_number(values):
        return _of_levels(values, contribution)
    numbers = as_numbers(values)
    present = ~np.isnan(numbers)
    description: dict[str, float | str] = {"missing": float(1 - present.mean())}
    if not present.any():
        nothing = dict.fromkeys(("correlation", "low", "median", "high"), np.nan)
        same = dict.fromkeys(("at_low", "at_high"), float(contribution.mean()))
        return description | {"direction": "never known"} | nothing | same
    numbers, contribution = numbers[present], contribution[present]
    low, high = np.quantile(numbers, [END, 1 - END])
    # Where a fifth or more share the lowest or highest value, the end is all with that value, or all without it.
    lowest = numbers <= low if low < numbers.max() else numbers < low
    highest = numbers >= high if high > numbers.min() else numbers > high
    correlation = _spearman(numbers, contribution)
    return description | {
        "direction": _direction(correlation, np.ptp(contribution)),
        "correlation": correlation,
        **dict(zip(("low", "median", "high"), map(float, np.quantile(numbers, [0.1, 0.5, 0.9])), strict=True)),
        "at_low": float(contribution[lowest].mean() if lowest.any() else contribution.mean()),
        "at_high": float(contribution[highest].mean() if highest.any() else contribution.mean()),
    }


def _of_levels(values: "pd.Series[Any]", contribution: Floats) -> dict[str, float | str]:
    """The levels with the lowest and the highest mean contribution."""
    means = pd.Series(contribution).groupby(values.astype("string").fillna("unknown").to_numpy()).mean()
    # Among equal levels the first by name.
    highest, lowest = str(means.idxmax()), str(means.idxmin())
    moves = np.ptp(contribution) > 0
    return {
        "missing": float(values.isna().mean()),
        "direction": f"highest for {highest}, lowest for {lowest}" if moves else "no effect",
        **dict.fromkeys(("correlation", "low", "median", "high"), np.nan),
        "at_low": float(means[lowest]),
        "at_high": float(means[highest]),
    }


def _direction(correlation: float, reach: float) -> str:
    if reach == 0:
        return "no effect"
    if abs(correlation) < MONOTONE:
        return "not monotone"
    strength = "" if abs(correlation) >= 0.9 else "mostly "
    return f"{strength}{'rises' if correlation > 0 else 'falls'} with it"


def _spearman(first: Floats, second: Floats) -> float:
    """Rank correlation, ties averaged; 0 if one of the two is constant."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])
