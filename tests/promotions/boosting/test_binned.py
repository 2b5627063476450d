"""Features are binned once, and a fit to some rows is the fit that LightGBM makes of those rows."""

from functools import partial

import lightgbm
import numpy as np
import pytest

from promotions.base.parallel import run_side_by_side
from promotions.boosting.binned import Binned
from promotions.boosting.settings import Boosting, make_regressor

MODEL = Boosting(trees=25, leaves=6, min_leaf=20)
N = 1500


@pytest.fixture(scope="module")
def table():
    """Few values a feature, so that bins of some rows are those of all."""
    rng = np.random.default_rng(1)
    features = rng.integers(20, size=(N, 4)).astype(float)
    return features, features[:, 0] + rng.normal(size=N), rng.random(N) < 0.5


@pytest.fixture
def binnings(monkeypatch):
    """Tables that LightGBM bins, as they come; a view of one has no data."""
    seen, made = [], lightgbm.Dataset.__init__

    def watched(self, data, *args, **kwargs):
        if data is not None:
            seen.append(np.shape(data))
        made(self, data, *args, **kwargs)

    monkeypatch.setattr(lightgbm.Dataset, "__init__", watched)
    return seen


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_fit_to_rows_is_lightgbms_own_fit_to_them(table, binary, weighted):
    features, outcome, chosen = table
    label = (outcome > 9.5).astype(float) if binary else outcome
    weight = np.linspace(0.5, 2, N) if weighted else None
    binned = Binned(features)
    ours = binned.rows(chosen).fit(
        MODEL, label[chosen], seed=3, binary=binary, weight=weight[chosen] if weighted else None
    )
    theirs = make_regressor(MODEL, binary=binary, seed=3).fit(
        features[chosen], label[chosen], sample_weight=weight[chosen] if weighted else None
    )
    np.testing.assert_array_equal(ours.predict(features), theirs.predict(features))


def test_rows_of_rows_are_rows(table):
    features, outcome, chosen = table
    again = outcome[chosen] > 5
    both = chosen & (outcome > 5)
    twice = Binned(features).rows(chosen).rows(again)
    assert len(twice) == both.sum()
    one, two = (part.fit(MODEL, outcome[both], seed=1) for part in (twice, Binned(features).rows(both)))
    np.testing.assert_array_equal(one.predict(features), two.predict(features))


def test_columns_stand_side_by_side(table):
    features, outcome, chosen = table
    joined = np.column_stack([features, chosen])
    one, two = (each.fit(MODEL, outcome, seed=1) for each in (Binned(features, chosen), Binned(joined)))
    np.testing.assert_array_equal(one.predict(joined), two.predict(joined))


def test_a_table_is_binned_once_whatever_is_fitted_to_it(table, binnings):
    features, _, chosen = table
    binned = Binned(features)
    assert binnings == [], "and not before somebody fits"
    fits = [partial(part.fit, MODEL, np.zeros(len(part)), seed=1) for part in (binned, binned.rows(chosen))] * 3
    run_side_by_side(fits, 3)
    assert binnings == [features.shape]


def test_fits_side_by_side_are_fits_one_after_another(table):
    features, outcome, chosen = table
    binned = Binned(features)
    masks = (chosen, ~chosen, np.ones(N, dtype=bool))
    fits = [partial(binned.rows(mask).fit, MODEL, outcome[mask], seed=1) for mask in masks]
    texts = [[booster.model_to_string() for booster in run_side_by_side(fits, threads)] for threads in (1, 3)]
    assert texts[0] == texts[1]
    assert len(set(texts[0])) == 3


def test_the_threads_that_look_for_bins_change_none(table):
    features, outcome, _ = table
    one, three = (Binned(features, threads=threads).fit(MODEL, outcome, seed=1) for threads in (1, 3))
    assert one.model_to_string() == three.model_to_string()


def test_labels_and_weights_of_one_fit_do_not_reach_another(table):
    features, outcome, _ = table
    binned = Binned(features)
    before = binned.fit(MODEL, outcome, seed=1).model_to_string()
    binned.fit(MODEL, -outcome, seed=1, weight=np.linspace(1, 9, N))
    assert binned.fit(MODEL, outcome, seed=1).model_to_string() == before
