"""A fitted effect predicts the same before and after it is saved."""

import json

import numpy as np
import pytest

from promotions.base.errors import InputError
from promotions.boosting.binned import Binned
from promotions.boosting.files import FILE
from promotions.boosting.settings import Boosting
from promotions.learners.fitted import Blend, LinearEffect, Part, TreeSum, load_effect, weigh

MODEL = Boosting(trees=20, leaves=5, min_leaf=20)


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(1).normal(size=(600, 3))


@pytest.fixture(scope="module")
def regression(features):
    return Binned(features).fit(MODEL, features[:, 0] ** 2, seed=1)


@pytest.fixture(scope="module")
def with_treatment(features):
    """A probability, which rises with treatment."""
    treatment = np.arange(600) % 2
    label = (features[:, 0] + treatment > 0.3).astype(float)
    return Binned(features, treatment).fit(MODEL, label, seed=1, binary=True)


@pytest.fixture(scope="module")
def share(features):
    """A chance between .2 and .8."""
    return Binned(features).fit(MODEL, np.where(features[:, 1] > 0, 0.8, 0.2), seed=1, binary=True)


@pytest.fixture(scope="module")
def slope(features):
    return Binned(features).fit(MODEL, features[:, 2], seed=1)


@pytest.fixture(scope="module")
def effects(regression, with_treatment, share, slope):
    return {
        "trees": TreeSum((Part(0.25, regression), Part(0.5, regression)), 0.125),
        "treatment": TreeSum((Part(1.0, with_treatment, 1.0), Part(-1.0, with_treatment, 0.0))),
        "blend": Blend(share, regression, slope),
        "linear": LinearEffect(0.1, np.array([1.0, -2.0, 1 / 3]), np.arange(3.0), np.array([1.0, 2.0, 0.5]), 1.5),
    }


every_effect = pytest.mark.parametrize("name", ["trees", "treatment", "blend", "linear"])


def test_trees_are_summed_with_their_weights(effects, regression, features):
    np.testing.assert_allclose(effects["trees"].predict(features), 0.125 + 0.75 * regression.predict(features))


def test_treatment_is_the_last_column(effects, with_treatment, features):
    one, zero = (with_treatment.predict(np.column_stack([features, np.full(600, t)])) for t in (1.0, 0.0))
    np.testing.assert_allclose(effects["treatment"].predict(features), one - zero)
    assert effects["treatment"].predict(features).mean() > 0.1


def test_a_blend_weighs_row_by_row(effects, share, regression, slope, features):
    weight = share.predict(features)
    expected = weight * regression.predict(features) + (1 - weight) * slope.predict(features)
    np.testing.assert_allclose(effects["blend"].predict(features), expected, atol=1e-12)
    assert np.ptp(weight) > 0.2


def test_one_weight_for_all_makes_a_sum_of_trees(share, regression, slope, features):
    constant, differing = weigh(0.3, regression, slope), weigh(share, regression, slope)
    expected = 0.3 * regression.predict(features) + 0.7 * slope.predict(features)
    np.testing.assert_allclose(constant.predict(features), expected, atol=1e-12)
    assert isinstance(constant, TreeSum)
    assert constant.additive
    assert isinstance(differing, Blend)


def test_a_linear_effect_is_its_formula(effects):
    row = np.array([[1.0, 9.0, 2.1]])
    # (1 − 0)/1 = 1; (9 − 1)/2 = 4, cut off at 1.5; (2.1 − 2)/.5 = .2.
    assert effects["linear"].predict(row)[0] == pytest.approx(0.1 + 1 - 2 * 1.5 + 0.2 / 3)


@every_effect
def test_what_was_saved_predicts_the_same_bytes(effects, features, tmp_path, name):
    effects[name].save(tmp_path)
    loaded = load_effect(tmp_path)
    assert type(loaded) is type(effects[name])
    assert loaded.predict(features).tobytes() == effects[name].predict(features).tobytes()
    (tmp_path / "again").mkdir()
    loaded.save(tmp_path / "again")
    for file in tmp_path.glob("*.*"):
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_a_booster_of_two_parts_is_one_file(effects, tmp_path):
    effects["treatment"].save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [FILE, "part_000.txt"]


def test_only_a_sum_of_trees_is_additive(effects):
    assert effects["trees"].additive
    assert not effects["treatment"].additive


@every_effect
def test_a_rows_effect_does_not_depend_on_the_other_rows(effects, features, name):
    alone = np.concatenate([effects[name].predict(features[[row]]) for row in range(20)])
    assert alone.tobytes() == effects[name].predict(features)[:20].tobytes()
    assert effects[name].predict(np.asfortranarray(features)).tobytes() == effects[name].predict(features).tobytes()


@every_effect
def test_nobody_has_no_effects(effects, name):
    assert effects[name].predict(np.zeros((0, 3))).shape == (0,)


@every_effect
@pytest.mark.parametrize("shape", [(4, 2), (4, 4), (3,)])
def test_other_features_than_at_fitting_are_refused(effects, name, shape):
    with pytest.raises(InputError, match=r"features: expected a table of 3 columns, as at fitting, got the shape \("):
        effects[name].predict(np.zeros(shape))


def test_an_unknown_kind_is_named_with_those_that_exist(tmp_path):
    (tmp_path / FILE).write_text('{"kind": "pickle"}')
    with pytest.raises(InputError, match="of the kind 'pickle', not tree_sum or blend or linear"):
        load_effect(tmp_path)


def test_one_kind_does_not_load_another(effects, tmp_path):
    effects["linear"].save(tmp_path)
    with pytest.raises(InputError, match="of the kind 'linear', not tree_sum"):
        TreeSum.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("trees", {"intercept": "0"}, "without a list of parts and a number as intercept"),
        ("trees", {"parts": {}}, "without a list of parts"),
        ("trees", {"parts": [3]}, "with a part that lacks its weight or its file"),
        ("trees", {"parts": [{"weight": 1, "file": "part_009.txt"}]}, "lacks its weight or its file"),
        ("trees", {"parts": [{"weight": None, "file": "part_000.txt"}]}, "lacks its weight or its file"),
        ("trees", {"parts": [{"weight": 1, "file": "part_000.txt", "treatment": "1"}]}, "lacks its weight or its file"),
        ("trees", {"parts": []}, "of parts that expect different numbers of features"),
        ("linear", {"mean": [0, 0]}, "three lists of equal length"),
        ("linear", {"scale": [1, "1", 1]}, "three lists of equal length"),
        ("linear", {"coefficients": 3}, "three lists of equal length"),
        ("linear", {"winsorize": None}, "without numbers as intercept and winsorize"),
    ],
)
def test_a_document_with_a_wrong_value_is_refused(effects, tmp_path, name, changed, message):
    effects[name].save(tmp_path)
    document = json.loads((tmp_path / FILE).read_text()) | changed
    (tmp_path / FILE).write_text(json.dumps(document))
    with pytest.raises(InputError, match=message):
        load_effect(tmp_path)


def test_parts_of_different_features_are_refused(effects, regression, with_treatment, tmp_path):
    TreeSum((Part(1.0, regression), Part(1.0, with_treatment))).save(tmp_path)
    with pytest.raises(InputError, match="of parts that expect different numbers of features"):
        load_effect(tmp_path)


@pytest.mark.parametrize("name", ["share", "control", "treated"])
def test_a_blend_that_lacks_a_model_is_refused(effects, tmp_path, name):
    effects["blend"].save(tmp_path)
    document = json.loads((tmp_path / FILE).read_text())
    del document["sha256"][f"{name}.txt"]
    (tmp_path / FILE).write_text(json.dumps(document))
    with pytest.raises(InputError, match=f"without {name}.txt"):
        load_effect(tmp_path)


def test_a_blend_of_different_features_is_refused(regression, slope, with_treatment, tmp_path):
    Blend(with_treatment, regression, slope).save(tmp_path)
    with pytest.raises(InputError, match="of parts that expect different numbers of features"):
        load_effect(tmp_path)
