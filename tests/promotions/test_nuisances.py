"""Outcome models that have not seen the customer whose outcome they predict."""

import lightgbm
import numpy as np
import pytest

from promotions.base.errors import InputError
from promotions.boosting.settings import Boosting
from promotions.learners.fitted import LinearEffect
from promotions.nuisances import OutcomeModels, cross_fit_outcomes

MODEL = Boosting(trees=15, leaves=6, learning_rate=0.2, min_leaf=20)


def fit(experiment, fold=None, **replaced):
    n = len(experiment.outcome)
    arguments = {"outcome": experiment.outcome, "treatment": experiment.treatment, "threads": 1} | replaced
    fold = (np.arange(n) % 3).astype(np.int8) if fold is None else fold
    fitted = cross_fit_outcomes(
        experiment.features,
        arguments["outcome"],
        arguments["treatment"],
        fold,
        experiment.features[:200],
        MODEL,
        1,
        arguments["threads"],
    )
    return fitted.inside, fitted.outside


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
    fitted = cross_fit_outcomes(twins, experiment.outcome, experiment.treatment, fold, twins[:400], MODEL, 1)
    np.testing.assert_allclose(fitted.outside, (fitted.inside[:400] + fitted.inside[400:]) / 2, atol=1e-12)


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


@pytest.fixture(scope="module")
def fitted(draw):
    """An experiment in three folds, its cross-fitted outcomes and those of its first 200 customers as others."""
    experiment = draw(900, 7)
    fold = (np.arange(900) % 3).astype(np.int8)
    others = experiment.features[:200]
    return (
        experiment,
        fold,
        cross_fit_outcomes(experiment.features, experiment.outcome, experiment.treatment, fold, others, MODEL, 1),
    )


def test_predictions_and_the_models_behind_them_agree(fitted):
    experiment, fold, found = fitted
    inside, outside = fit(experiment, fold)
    np.testing.assert_array_equal(found.inside, inside)
    np.testing.assert_array_equal(found.outside, outside)
    np.testing.assert_allclose(found.models.predict(experiment.features[:200]), outside, rtol=0, atol=1e-15)
    for position, held in enumerate(found.models.folds):
        for arm, booster in enumerate(found.models.boosters[position]):
            mu = booster.predict(experiment.features[fold == held])
            np.testing.assert_array_equal(mu, inside[fold == held, arm])


def test_the_features_are_binned_once_for_all_models(draw, monkeypatch):
    experiment, binned, made = draw(900, 7), [], lightgbm.Dataset.__init__

    def watched(self, data, *args, **kwargs):
        if data is not None:
            binned.append(np.shape(data))
        made(self, data, *args, **kwargs)

    monkeypatch.setattr(lightgbm.Dataset, "__init__", watched)
    fit(experiment, threads=2)
    assert binned == [(900, 5)]


def test_of_customers_without_a_fold_the_pair_is_left_that_has_not_seen_it(fitted):
    _, fold, found = fitted
    left = found.models.unseen(fold, fold != 1)
    assert left.folds == (1,)
    assert left.boosters == (found.models.boosters[1],)
    assert found.models.unseen(fold, np.ones(900, dtype=bool)) == found.models
    assert found.models.unseen(fold, np.arange(900) != 5) == OutcomeModels((2,), (found.models.boosters[2],))
    assert found.models.unseen(fold, np.arange(900) > 9) is None


def test_saved_outcome_models_predict_the_same_bytes(fitted, tmp_path):
    experiment, _, found = fitted
    found.models.save(tmp_path)
    loaded = OutcomeModels.load(tmp_path)
    assert loaded.folds == (0, 1, 2)
    expected = found.models.predict(experiment.features)
    assert loaded.predict(experiment.features).tobytes() == expected.tobytes()
    assert {file.suffix for file in tmp_path.iterdir()} == {".json", ".txt"}


def test_outcome_models_that_are_something_else_are_refused(fitted, tmp_path):
    with pytest.raises(InputError, match=r"no file at '.*model\.json'"):
        OutcomeModels.load(tmp_path)
    LinearEffect(0.0, np.zeros(1), np.zeros(1), np.ones(1), 3.0).save(tmp_path)
    with pytest.raises(InputError, match="of the kind 'linear', not outcome_models"):
        OutcomeModels.load(tmp_path)
    fitted[2].models.save(tmp_path)
    text = (tmp_path / "model.json").read_text()
    for folds in ("[]", "[0, 1, 7]", "3", '["../0"]', "[[0]]"):
        (tmp_path / "model.json").write_text(text.replace("[\n    0,\n    1,\n    2\n  ]", folds))
        with pytest.raises(InputError, match="without the models of both arms for each of its folds"):
            OutcomeModels.load(tmp_path)
