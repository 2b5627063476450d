"""Nobody is predicted by a model that has seen them, and one fit serves every number of trees."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from promotions.base.errors import InputError
from promotions.boosting.binned import Binned
from promotions.boosting.cross_fitting import folds_in, means_after, out_of_fold
from promotions.boosting.settings import Boosting, predict

MODEL = Boosting(leaves=6, learning_rate=0.1, min_leaf=100)


def logistic_design(n, seed):
    """Five normal features; the chance of treatment is logistic in two of them. Four folds."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 5))
    chance = expit(0.8 * features[:, 0] - 0.5 * features[:, 3])
    return features, chance, (rng.random(n) < chance).astype(np.int8), (np.arange(n) % 4).astype(np.int8)


def test_predictions_stand_where_their_customers_do():
    fold = np.array([7, 2, 7, 2, 9])
    rows = np.arange(5.0)
    found = out_of_fold(fold, lambda held: np.column_stack([rows[held], fold[held]]), threads=2)
    np.testing.assert_array_equal(found, np.column_stack([rows, fold]))
    assert folds_in(fold) == [2, 7, 9]
    with pytest.raises(InputError, match="only 1 of the folds"):
        folds_in(fold[:1])


@pytest.mark.parametrize("binary", [True, False])
def test_one_fit_gives_what_a_fit_of_each_size_would(binary):
    features, chance, treatment, fold = logistic_design(1500, 1)
    target = treatment if binary else chance + np.sin(features[:, 1])
    learning = features[:, 2] > -1
    table = Binned(features)
    found = means_after((3, 20, 41), table, features, target, fold, MODEL, 5, learning=learning)
    for column, trees in enumerate((3, 20, 41)):
        for held in range(4):
            rows = (fold != held) & learning
            alone = table.rows(rows).fit(replace(MODEL, trees=trees), target[rows], seed=5, binary=binary)
            np.testing.assert_allclose(
                found[fold == held, column], predict(alone, features[fold == held]), rtol=0, atol=1e-12
            )


def test_the_chances_of_a_logistic_design_are_found_and_calibrated():
    features, chance, treatment, fold = logistic_design(12_000, 1)
    inside = means_after((60,), Binned(features), features, treatment, fold, MODEL, 1)[:, 0]
    assert np.abs(inside - chance).mean() < 0.04
    # In each tenth by the estimate as many are treated as it says, within three and a half standard errors.
    tenth = np.argsort(np.argsort(inside)) * 10 // len(inside)
    for number in range(10):
        said, treated = inside[tenth == number], treatment[tenth == number]
        error = np.sqrt((said * (1 - said)).sum()) / len(said)
        assert abs(treated.mean() - said.mean()) < 3.5 * error
    assert np.cov(inside, treatment)[0, 1] / inside.var() == pytest.approx(1, abs=0.08)


def test_a_customers_prediction_does_not_depend_on_what_happened_to_that_customer():
    features, _, treatment, fold = logistic_design(1200, 3)
    changed = treatment.copy()
    changed[17] = 1 - changed[17]
    before, after = (
        means_after((10, 60), Binned(features), features, each, fold, MODEL, 1) for each in (treatment, changed)
    )
    np.testing.assert_array_equal(after[fold == fold[17]], before[fold == fold[17]])
    assert (after != before).any()


def test_threads_change_nothing_and_fits_are_counted():
    features, _, treatment, fold = logistic_design(1200, 4)
    fits = []
    one, two = (
        means_after((10, 60), Binned(features), features, treatment, fold, MODEL, 1, threads, lambda: fits.append(1))
        for threads in (1, 2)
    )
    assert len(fits) == 8
    np.testing.assert_array_equal(one, two)
