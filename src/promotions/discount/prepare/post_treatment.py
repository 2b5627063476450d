"""Which columns were measured after the discount? Under a randomised discount those that depend on it.

A discount given by lot cannot depend on what a customer did before. So a column of the randomised table that depends on
the dose was measured after it (or the discount was not random). It is an outcome, and controlling for it removes part
of the effect. It is barred in every table, because it is the same column there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.special import gammainc, gammaincc, ndtr

from promotions.base.encoding import as_numbers, is_number
from promotions.base.formatting import number, p_text
from promotions.base.validation import require_share
from promotions.discount.prepare.tables import MONEY
from promotions.inference.multiplicity import holm
from promotions.soundness.balance import DISTRIBUTION, MEAN, bins

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

COLUMNS = ("column", "test", "statistic", "p_value", "p_value_holm", "barred", "why")
BY_HAND = "by hand"
DOSE_GROUPS = 5
VALUE_BINS = 8
MOST_LEVELS = 20
# Least expected customers in a cell of bins by doses, and least customers behind a mean where doses are high.
LEAST_IN_CELL = 5
# Below this skewness the gamma law is computed as the normal law.
NO_SKEW = 1e-3


def post_treatment_table(randomised: pd.DataFrame, alpha: float, exclude: Iterable[str] = ()) -> pd.DataFrame:
    """Two tests a column of the randomised table: does its mean, does its distribution depend on the dose?

    ``column, test, statistic, p_value, p_value_holm, barred, why``, columns that are barred first, then by p-value.

    * mean: ``statistic`` is the correlation with the discount, for a category the square root of the share of the
      ranked discount's variance between levels (η, of Kruskal–Wallis). Its p-value is ``mean_test``'s, which is robust
      to heavy tails.
    * distribution: ``statistic`` is Cramér's V of bins (zeros, missing values and rare levels are bins too) by groups
      of doses; the p-value is Pearson's.
    * by hand: columns of ``exclude``, whatever the tests say.

    p_value_holm: Holm's (1979) correction over all tests; a column with one below ``alpha`` is barred: if none depends
    on the dose, one is barred with a probability of at most alpha. A test without enough data (p_value NaN) bars
    nothing. why: in words.

    randomised: rows with ``discount``; ``row`` and money are not tested.  With fewer than two doses or no rows no
    test can be made: only the rows of ``exclude`` are returned.
    """
    require_share(alpha, "discount.checks.alpha", below_one=True)
    by_hand = dict.fromkeys(exclude)
    dose = randomised["discount"].to_numpy(dtype=np.float64)
    rows: list[tuple[str, str, float, float]] = []
    if can_be_tested(randomised):
        doses = _Doses.of(dose)
        for name in map(str, randomised.columns):
            if name not in (*MONEY, "row"):
                rows += [(name, *result) for result in _tests(randomised[name], doses)]
    table = pd.DataFrame(rows, columns=list(COLUMNS[:4]))
    table["p_value_holm"] = holm(table["p_value"].fillna(1.0).to_numpy(dtype=np.float64))
    depends = set(table.loc[table["p_value_holm"] < alpha, "column"])
    table = pd.concat(
        [table, pd.DataFrame({"column": list(by_hand), "test": BY_HAND}, dtype=object)], ignore_index=True
    )
    table["barred"] = table["column"].isin(depends | by_hand.keys())
    why = {str(name): _why(str(name), rows, alpha, by_hand) for name, rows in table.groupby("column")}
    table["why"] = table["column"].map(why)
    first = table.groupby("column")["p_value_holm"].transform("min").fillna(1.0)
    order = np.lexsort((table["test"] != MEAN, table["column"], first, ~table["barred"]))
    return (
        table.iloc[order].reset_index(drop=True).astype({"statistic": float, "p_value": float, "p_value_holm": float})
    )


def barred_columns(table: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The barred columns of ``post_treatment_table``, in the order in which ``tables`` have them."""
    barred = set(table.loc[table["barred"], "column"])
    return list(dict.fromkeys(str(name) for frame in tables.values() for name in frame if name in barred))


def post_treatment_metrics(table: pd.DataFrame, barred: Sequence[str]) -> dict[str, Any]:
    """How many columns were tested, which are barred (joined by commas), and the least corrected p-value of each."""
    tested = table[table["test"] != BY_HAND]
    least = tested.groupby("column")["p_value_holm"].min()
    metrics: dict[str, Any] = {
        "columns_tested": len(least),
        "columns_too_rare": int(tested["p_value"].isna().groupby(tested["column"]).all().sum()),
        "n_barred": len(barred),
        "barred": ",".join(barred),
        "p_values": {name: float(least[name]) for name in barred if name in least},
    }
    kept = least.drop(barred, errors="ignore")
    return metrics | ({"least_p_value_kept": float(kept.min())} if len(kept) else {})


def post_treatment_text(barred: Sequence[str], randomised: pd.DataFrame) -> str:
    """The result of the tests, in words."""
    barred_text = f"barred: {', '.join(barred)}" if barred else "no column is barred"
    if can_be_tested(randomised):
        return barred_text
    reason = "one discount only in the randomised table" if len(randomised) else "no randomised table"
    return f"{reason}: columns measured after the discount cannot be found, {barred_text}"


def can_be_tested(randomised: pd.DataFrame) -> bool:
    """Whether there are two doses to compare."""
    return len(randomised["discount"].unique()) > 1


def mean_test(values: Floats, dose: Floats) -> float:
    """p-value of H₀: the mean of a number does not depend on the dose. NaN if the data are too few.

    T = Σ x_i r_i, r the centred mid-ranks of the doses and x the centred values, cut off at both ends. If the two are
    independent, all orders of the doses are equally likely, for any laws, zeros and ties:

        E T = 0,   E T² = Σx² Σr² / (n − 1),   E T³ = n/((n − 1)(n − 2)) · Σx³ Σr³.

    The p-value is P(|Z| ≥ |T|/sd) for the gamma law with these three moments (Pearson's type III; the normal one where
    there is no skew). Source: Mielke & Berry (2007), ch. 2. The approximation needs that no few customers dominate:
    values are cut off at the c-th largest and smallest, with c the least number for which 5 customers at the cut are
    expected where doses are far from their mean, c = 5·n·max r²/Σr². With fewer than 2c customers, or if all but
    fewer than c have the same value, the data are too few. A constant has p-value 1.

    values, dose: (n,); rows with a missing value are left out.
    """
    present = ~np.isnan(values)
    x = values[present]
    n = len(x)
    if n == 0 or np.ptp(x) == 0 or np.ptp(dose[present]) == 0:
        return 1.0
    r = stats.rankdata(dose[present]) - (n + 1) / 2
    ends = _ends(r)
    if 2 * ends > n:
        return float("nan")
    ordered = np.sort(x)
    x = np.clip(x, ordered[ends - 1], ordered[n - ends])
    if np.ptp(x) == 0:
        return float("nan")
    # Scaled, so that no third power overflows.
    x = (x - x.mean()) / np.ptp(x)
    r = r / n
    deviation = np.sqrt((x @ x) * (r @ r) / (n - 1))
    skew = n / ((n - 1) * (n - 2)) * (x**3).sum() * (r**3).sum() / deviation**3
    return _two_sided(abs(float(x @ r)) / float(deviation), float(skew))


def distribution_test(codes: Codes, groups: Codes) -> tuple[float, float]:
    """Cramér's V of bins by groups of doses, and Pearson's p-value of H₀: no bin is more frequent at some doses.

    χ² has (K − 1)(G − 1) degrees of freedom, V = sqrt(χ² / (n·min(K − 1, G − 1))). Bins of which a group is expected to
    hold fewer than 5 are pooled; NaN if one bin is left.

    codes, groups: (n,) from 0.
    """
    if codes.min() == codes.max():
        return 0.0, 1.0
    sizes = np.bincount(groups)
    codes = _pooled(codes, LEAST_IN_CELL * len(codes) / sizes[sizes > 0].min())
    cells = np.zeros((int(codes.max()) + 1, len(sizes)))
    np.add.at(cells, (codes, groups), 1)
    cells = cells[:, sizes > 0]
    if min(cells.shape) < 2:
        return float("nan"), float("nan")
    expected = np.outer(cells.sum(axis=1), cells.sum(axis=0)) / len(codes)
    chi_square = float(((cells - expected) ** 2 / expected).sum())
    p_value = float(stats.chi2.sf(chi_square, (cells.shape[0] - 1) * (cells.shape[1] - 1)))
    return float(np.sqrt(chi_square / len(codes) / (min(cells.shape) - 1))), p_value


@dataclass(frozen=True)
class _Doses:
    """values: (n,).  groups: (n,) codes of ``DOSE_GROUPS`` groups of neighbouring doses or fewer, about equal."""

    values: Floats
    groups: Codes

    @classmethod
    def of(cls, dose: Floats) -> "_Doses":
        middle = (stats.rankdata(dose) - 0.5) / len(dose)
        for parts in range(DOSE_GROUPS, 1, -1):
            groups = np.unique((middle * parts).astype(np.intp), return_inverse=True)[1]
            # A rare dose joins its neighbours.
            if np.bincount(groups).min() >= len(dose) / (4 * DOSE_GROUPS):
                break
        return cls(dose, groups)


def _tests(column: "pd.Series[Any]", doses: _Doses) -> list[tuple[str, float, float]]:
    """Test, statistic and p-value of the mean and of the distribution."""
    if is_number(column):
        values = as_numbers(column)
        mean = _correlation(values, doses.values), mean_test(values, doses.values)
        codes = _value_bins(column, np.bincount(doses.groups).min() / len(column))
    else:
        codes = bins(column)
        mean = _levels_test(codes, doses.values)
    return [(MEAN, *mean), (DISTRIBUTION, *distribution_test(codes, doses.groups))]


def _correlation(values: Floats, dose: Floats) -> float:
    present = ~np.isnan(values)
    if present.sum() < 2 or np.ptp(values[present]) == 0 or np.ptp(dose[present]) == 0:
        return 0.0
    return float(np.corrcoef(values[present], dose[present])[0, 1])


def _levels_test(codes: Codes, dose: Floats) -> tuple[float, float]:
    """Kruskal & Wallis (1952): η of the ranked doses between levels, and its p-value."""
    if codes.min() == codes.max():
        return 0.0, 1.0
    r = stats.rankdata(dose) - (len(dose) + 1) / 2
    codes = _pooled(codes, _ends(r))
    counts = np.bincount(codes)
    if len(counts) < 2:
        return float("nan"), float("nan")
    between = float((np.bincount(codes, r) ** 2 / counts).sum() / (r @ r))
    return float(np.sqrt(between)), float(stats.chi2.sf((len(dose) - 1) * between, len(counts) - 1))


def _ends(r: Floats) -> int:
    """The number of customers of whom ``LEAST_IN_CELL`` are expected where doses are far from their mean."""
    return int(np.ceil(LEAST_IN_CELL * len(r) * (r**2).max() / (r @ r)))


def _value_bins(column: "pd.Series[Any]", smallest_share: float) -> Codes:
    """At most eight bins, each large enough in the smallest group of doses."""
    for most in range(VALUE_BINS, 2, -1):
        codes = bins(column, most=most)
        sizes = np.bincount(codes)
        if sizes[sizes > 0].min() * smallest_share >= LEAST_IN_CELL:
            return codes
    return bins(column, most=2)


def _pooled(codes: Codes, least: float) -> Codes:
    """Bins by size, the largest first; those of fewer than ``least`` rows, or after ``MOST_LEVELS``, are one."""
    counts = np.bincount(codes)
    order = np.argsort(-counts, kind="stable")
    kept = min(int((counts >= least).sum()), MOST_LEVELS)
    if kept < (counts > 0).sum():
        kept = min(kept, MOST_LEVELS - 1)
        while kept > 0 and counts[order[kept:]].sum() < least:
            kept -= 1
    place = np.empty(len(counts), dtype=np.intp)
    place[order] = np.minimum(np.arange(len(counts)), kept)
    return place[codes]


def _two_sided(distance: float, skew: float) -> float:
    """P(|Z| ≥ distance) for Z of mean 0, variance 1 and this skewness, by the gamma law."""
    if abs(skew) < NO_SKEW:
        return float(2 * ndtr(-distance))
    # |Z| has the same law for either sign of the skew.
    shape = 4 / skew**2
    above, below = shape + distance * np.sqrt(shape), shape - distance * np.sqrt(shape)
    return float(gammaincc(shape, above) + (gammainc(shape, below) if below > 0 else 0.0))


def _why(name: str, rows: pd.DataFrame, alpha: float, by_hand: Iterable[str]) -> str:
    """The reason in words, from the rows of one column."""
    tests = rows[rows["test"] != BY_HAND]
    significant = tests[tests["p_value_holm"] < alpha]
    reasons = ["listed in discount.exclude"] if name in by_hand else []
    if len(significant):
        row = significant.iloc[0]
        p_value = f"corrected {p_text(row['p_value_holm'], 1)}"
        strength = f"{'correlation' if row['test'] == MEAN else 'V ='} {number(row['statistic'], 2)}"
        what = "depends" if row["test"] == MEAN else "its distribution depends"
        reasons.append(f"{what} on a discount given by lot ({strength}, {p_value}), so it was measured after it")
    if reasons:
        return f"{'; '.join(reasons)}: barred everywhere"
    if tests["p_value"].isna().all():
        return "too few customers differ in it to tell"
    return "no sign that it depends on the discount"
