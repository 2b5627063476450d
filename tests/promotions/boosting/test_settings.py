"""LightGBM with settings that repeat, and parameters checked at the door."""

from dataclasses import asdict

import numpy as np
import pytest

from promotions.base.errors import InputError
from promotions.boosting.settings import Boosting, is_binary, make_classifier, make_regressor

SMALL = Boosting(trees=20, leaves=6, min_leaf=20)


def test_a_section_sets_what_it_names_and_leaves_the_rest():
    assert Boosting.from_params({"trees": 7, "l2": 0}, "nuisance") == Boosting(trees=7, l2=0)
    assert Boosting.from_params(asdict(SMALL), "nuisance") == SMALL


def test_an_unknown_key_is_named_with_those_that_exist():
    with pytest.raises(InputError, match=r"nuisance\.n_estimators is unknown; the keys of nuisance are trees, leaves"):
        Boosting.from_params({"n_estimators": 7}, "nuisance")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("trees", 0, "a whole number of 1 or more"),
        ("trees", 1.5, "a whole number of 1 or more"),
        ("trees", True, "a whole number of 1 or more"),
        ("trees", "10", "a whole number of 1 or more"),
        ("leaves", 1, "a whole number of 2 or more"),
        ("min_leaf", 0, "a whole number of 1 or more"),
        ("learning_rate", 0, r"a share in \(0, 1\]"),
        ("feature_share", 1.01, r"a share in \(0, 1\]"),
        ("row_share", -0.5, r"a share in \(0, 1\]"),
        ("row_share", float("nan"), r"a share in \(0, 1\]"),
        ("l2", -1, "0 or more"),
        ("l2", float("inf"), "0 or more"),
        ("l2", None, "0 or more"),
    ],
)
def test_a_value_out_of_range_is_refused_in_one_line(key, value, expected):
    with pytest.raises(InputError, match=rf"nuisance\.{key}: expected {expected}, got ") as error:
        Boosting.from_params({key: value}, "nuisance")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("section", [None, 3, ["trees"]])
def test_a_section_that_is_no_mapping_is_refused(section):
    with pytest.raises(InputError, match="nuisance: expected the keys trees, leaves"):
        Boosting.from_params(section, "nuisance")


def test_a_whole_number_written_as_a_float_is_that_number(draw):
    experiment = draw(500, 1)
    written = Boosting.from_params({"trees": 5.0, "leaves": 4.0, "min_leaf": 20.0}, "nuisance")
    plain = Boosting.from_params({"trees": 5, "leaves": 4, "min_leaf": 20}, "nuisance")
    predictions = [
        make_regressor(model, binary=False, seed=1)
        .fit(experiment.features, experiment.outcome)
        .predict(experiment.features)
        for model in (written, plain)
    ]
    np.testing.assert_array_equal(*predictions)


def test_another_seed_gives_another_model(draw):
    experiment = draw(2000, 1)
    one, two = (
        make_classifier(SMALL, seed=seed)
        .fit(experiment.features, experiment.treatment)
        .predict_proba(experiment.features)
        for seed in (1, 2)
    )
    assert (one != two).any()


def test_a_binary_regressor_predicts_probabilities_near_the_true_ones(draw):
    experiment = draw(8000, 2, binary=True)
    control = experiment.treatment == 0
    model = make_regressor(SMALL, binary=True, seed=1)
    predicted = model.fit(experiment.features[control], experiment.outcome[control]).predict(experiment.features)
    assert 0 <= predicted.min() < predicted.max() <= 1
    assert np.abs(predicted - experiment.mu0).mean() < 0.08


@pytest.mark.parametrize(
    ("outcome", "binary"), [([0, 1, 1], True), ([0.0, 0.0], True), ([0, 2], False), ([0.5], False), ([-1, 1], False)]
)
def test_only_zeros_and_ones_are_binary(outcome, binary):
    assert is_binary(outcome) is binary
