"""Bins of a column and bands of the discount: pandas' quantiles, names, rare levels, missing values."""

import numpy as np
import pandas as pd
import pytest

from promotions.discount.groups.bins import fit_bands, fit_bins
from tests.support.drawn_customers import LEVELS, draw_customers


@pytest.fixture(scope="module")
def drawn():
    return draw_customers()


def test_bins_of_a_number_are_those_of_qcut_and_named_by_their_values(drawn):
    bins = fit_bins(drawn["age"], 5, 10)
    np.testing.assert_array_equal(bins.place(drawn["age"]), pd.qcut(drawn["age"], 5, labels=False))
    assert bins.labels[0].startswith("up to 2")
    assert bins.labels[-1].endswith("and more")
    assert fit_bins(drawn["age"], [30, 50], 10).labels == ("up to 30", "31 to 50", "51 and more")
    assert fit_bins(drawn["age"] + 0.5, [30.2, 50.1], 10).labels == ("up to 30.2", "30.2 to 50.1", "above 50.1")
    assert fit_bins(drawn["age"], 1, 10).labels == ("all",)


def test_bins_with_too_few_customers_join_others_and_rare_levels_each_other(drawn):
    assert fit_bins(drawn["age"], [21, 40, 59.5], 300).labels == ("up to 40", "41 and more")
    letters = pd.Series(["a"] * 50 + ["b"] * 40 + ["c"] * 6 + ["d"] * 5 + [None] * 12, dtype="string")
    bins = fit_bins(letters, 1, 10)
    assert bins.labels == ("a", "b", "any other level", "missing")
    assert list(np.bincount(bins.place(letters))) == [50, 40, 11, 12]
    assert list(bins.place(pd.Series(["e", None, "b"], dtype="string"))) == [2, 3, 1]
    strict = fit_bins(letters, 1, 20)
    assert strict.labels == ("a", "b")
    assert list(strict.place(pd.Series(["c", None, "a"], dtype="string"))) == [-1, -1, 0]
    number = pd.Series([1.0, np.nan, 3.0] * 20)
    assert fit_bins(number, 2, 10).labels == ("up to 1", "3 and more", "missing")
    assert fit_bins(number, 2, 30).place(number)[1] == -1


def test_no_discount_is_a_band_of_its_own():
    dose = np.repeat(LEVELS, [50, 40, 30, 20, 60])
    bands = fit_bands(dose, [10, 40], 10)
    assert bands.labels == ("none", "10", "20 to 40", "100 and more")
    assert list(np.bincount(bands.place(pd.Series(dose)))) == [50, 40, 50, 60]
    assert fit_bands(dose, [20.0], 10).labels == ("none", "10 to 20", "40 and more")
    assert fit_bands(dose[50:], [20.0], 10).labels == ("10 to 20", "40 and more")
