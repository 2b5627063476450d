"""Outcome models that have not seen the customer whose outcome they predict."""

import numpy as np
import pytest

from promotions.boosting import Boosting
from promotions.errors import InputError
from promotions.nuisances import fit_outcome_models

MODEL = Boosting(trees=15, leaves=6, learning_rate=0.2, min_leaf=20)


def fit(experiment, fold=None, **replaced):
    n = len(experiment.outcome)
    arguments = {"outcome": experiment.outcome, "treatment": experiment.treatment, "threads": 1} | replaced
    fold = (np.arange(n) % 3).astype(np.int8) if fold is None else fold
    return fit_outcome_models(
        experiment.features,
        arguments["outcome"],
        arguments["treatment"],
        fold,
        experiment.features[:200],
        MODEL,
        1,
        arguments["threads"],
    )


@pytest.mark.parametrize("row", [0, 17, 400])
@pytest.mark.parametrize("binary", [False, True])
def test_a_customers_prediction_does_not_depend_on_that_customers_outcome(draw, binary, row):
    experiment = draw(900, 1, binary=binary)
    changed = experiment.outcome.copy()
    changed[row] = 1 - changed[row] if binary else 50
    before, after = fit(experiment)[0], fit(experiment, outcome=changed)[0]
    np.testing.assert_array_equal(after[row], before[row])
    assert (after != before).any(), "somebody's prediction has to depend on it"


def test_a_folds_predictions_do_not_depend_on_that_folds_treatments(draw):
    experiment = draw(900, 1)
    fold = (np.arange(900) % 3).astype(np.int8)
    changed = np.where(fold == 1, 1 - experiment.treatment, experiment.treatment).astype(np.int8)
    before, after = fit(experiment)[0], fit(experiment, treatment=changed)[0]
    np.testing.assert_array_equal(after[fold == 1], before[fold == 1])


def test_predictions_of_a_binary_outcome_are_probabilities(draw):
    for predictions in fit(draw(1500, 2, binary=True)):
        assert 0 <= predictions.min() < predictions.max() <= 1


def test_predictions_explain_both_arms(draw):
    experiment = draw(3000, 3)
    inside, outside = fit(experiment)
    for arm, truth in ((0, experiment.mu0), (1, experiment.mu0 + experiment.tau)):
        assert np.corrcoef(inside[:, arm], truth)[0, 1] > 0.85
        assert np.corrcoef(outside[:, arm], truth[:200])[0, 1] > 0.85


def test_others_get_the_mean_of_all_folds_models(draw):
    """With two folds the others' prediction is the mean of what each half's model says of the other half's twins."""
    experiment = draw(800, 4)
    twins = experiment.features.copy()
    twins[400:] = twins[:400]
    fold = np.repeat([0, 1], 400).astype(np.int8)
    inside, outside = fit_outcome_models(
        twins, experiment.outcome, experiment.treatment, fold, twins[:400], MODEL, 1, 1
    )
    np.testing.assert_allclose(outside, (inside[:400] + inside[400:]) / 2, atol=1e-12)


def test_one_and_two_threads_give_the_same_predictions(draw):
    experiment = draw(2000, 5)
    for one, two in zip(fit(experiment), fit(experiment, threads=2), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_single_fold_cannot_be_cross_fitted(draw):
    with pytest.raises(InputError, match="only 1 of the folds"):
        fit(draw(100, 6), fold=np.zeros(100, np.int8))


def test_an_arm_that_lives_in_one_fold_is_named(draw):
    experiment = draw(90, 6)
    fold = (np.arange(90) % 3).astype(np.int8)
    with pytest.raises(
        InputError, match="0 training customers with treatment = 1 are left to fit the outcome model of fold 2"
    ):
        fit(experiment, treatment=(fold == 2).astype(np.int8))
