"""Responses to a dose: a known curve is found in a confounded log, and nothing is said where the log is silent."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promotions.base.errors import InputError
from promotions.discount.response.curves import (
    Curves,
    Settings,
    comparable_features,
    design_levels,
    dose_knots,
    dose_support,
    fit_everywhere,
    learn_responses,
    near_levels,
    require_same_customers,
)
from promotions.discount.response.learners import RESPONSE_LEARNERS, DoseTraining, make_response_learner, ramps

SEEDS = st.integers(0, 2**32 - 1)
SMALL = {"trees": 80, "leaves": 8, "learning_rate": 0.1, "min_leaf": 30, "feature_share": 1, "row_share": 0.7, "l2": 1}
LEARNERS = {
    "varying_coefficients": {"segments": 3, "penalties": [0.01, 1]},
    "r_learner": {"effect": SMALL | {"trees": 60, "leaves": 4, "min_leaf": 300}},
    "causal_forest": {"trees": 40, "min_leaf": 40, "row_share": 0.3},
    "double_ml": {},
    "s_learner": {"model": SMALL},
}
PARAMS = {
    "folds": 3,
    "groups": 4,
    "most_knots": 40,
    "monotone": True,
    "outside": 0.2,
    "support": {"share": 0.01, "customers": 5},
    "sales": SMALL,
    "dose": SMALL | {"trees": 40},
}
LEVELS = np.arange(0.0, 120.0, 20.0)
FEATURES, PREDICTIONS = ["age", "state", "noise"], ["prediction"]


def true_response(age, dose):
    """Sales fall short of what a discount costs up to 50 and jump there, the more the older the customer."""
    return 10 * dose + (300 + 20 * (age - 40)) * (dose > 50)


def draw_log(n, seed):
    """Discounts went to customers of whom much was expected, and to the older."""
    rng = np.random.default_rng(seed)
    age = rng.integers(20, 61, n).astype(float)
    prediction = rng.normal(1000, 150, n)
    foretold = 40 + 0.12 * (prediction - 1000) + 0.8 * (age - 40)
    dose = np.clip(5 * np.round((foretold + rng.normal(0, 15, n)) / 5), 0, 100)
    sales = 1.5 * prediction + 5 * age + true_response(age, dose) + rng.normal(0, 100, n)
    return pd.DataFrame(
        {
            "row": np.arange(n),
            "age": age,
            "state": pd.array(rng.choice(["A", "B"], n), dtype="string"),
            "noise": rng.normal(size=n),
            "prediction": prediction,
            "discount": dose,
            "sales": sales,
        }
    )


def draw_target(n, seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(20, 61, n).astype(float),
            "state": pd.array(rng.choice(["A", "B"], n), dtype="string"),
            "noise": rng.normal(size=n),
        }
    )


# Where the test is not about how good a curve is.
QUICK = {"sales": SMALL | {"trees": 15}, "dose": SMALL | {"trees": 8}, "folds": 2, "groups": 2}
PLAIN = {"varying_coefficients": {"segments": 1, "penalties": [0.1]}}


def learn(log, target, learners=LEARNERS, threads=1, **params):
    return learn_responses(
        log, target, LEVELS, FEATURES, PREDICTIONS, learners, Settings.from_params(PARAMS | params),
        np.random.default_rng(1), threads,
    )  # fmt: skip


@pytest.fixture(scope="module")
def log():
    return draw_log(2500, 1)


@pytest.fixture(scope="module")
def target():
    return draw_target(300, 2)


@pytest.fixture(scope="module")
def found(log, target):
    return learn(log, target)


def differences_of(curves, name, target):
    """Estimated and true sales over those at 40, (m, L), with what is supported."""
    truth = true_response(target["age"].to_numpy()[:, None], LEVELS)
    at = list(LEVELS).index(40.0)
    estimated = curves.sales[name]
    both = curves.supported & curves.supported[:, [at]]
    return (estimated - estimated[:, [at]])[both], (truth - truth[:, [at]])[both]


@pytest.mark.parametrize(
    ("name", "tolerance"),
    # The last two turn the whole curve by one slope, where the truth is bent.
    [("varying_coefficients", 0.15), ("r_learner", 0.2), ("causal_forest", 0.3), ("double_ml", 0.3)],
)
def test_learners_on_residuals_find_the_response_that_confounding_hides(found, log, target, name, tolerance):
    estimated, truth = differences_of(found.curves, name, target)
    naive = np.polyfit(log["discount"], log["sales"], 1)[0]
    slope = np.polyfit(truth, estimated, 1)[0]
    # What the company gave to whom it expected most of looks like 20 and more a dollar.
    assert naive > 20
    assert np.sqrt(((estimated - truth) ** 2).mean()) < tolerance * truth.std()
    assert slope == pytest.approx(1, abs=tolerance)


def test_the_response_is_found_to_rise_with_age(found, target):
    age = target["age"].to_numpy()
    for name in LEARNERS:
        jump = found.curves.sales[name][:, 4] - found.curves.sales[name][:, 2]
        assert np.corrcoef(jump, age)[0, 1] > 0.6, name


def test_the_best_learner_explains_most_of_customers_that_were_held_out_and_is_fitted_to_residuals(found):
    on_residuals = {name: share for name, share in found.explained.items() if RESPONSE_LEARNERS[name].orthogonal}
    assert found.best == max(on_residuals, key=on_residuals.__getitem__)
    assert 0 < found.explained[found.best] < 1
    assert "s_learner" not in on_residuals


def test_curves_rise_where_sales_are_known_to(found):
    for sales in found.curves.sales.values():
        assert (np.diff(sales[:, LEVELS <= 100], axis=1) >= -1e-9).all()


def test_a_falling_response_is_seen_unless_it_is_ruled_out(log, target):
    falling = log.assign(sales=log["sales"] - 2 * true_response(log["age"], log["discount"]))
    for monotone, sign in ((False, -1), (True, 1)):
        sales = learn(falling, target, PLAIN, monotone=monotone, **QUICK).curves.sales["varying_coefficients"]
        assert (sign * (sales[:, 5] - sales[:, 0])).min() >= -1e-9


def test_nothing_depends_on_the_order_of_rows_or_on_threads(found, log, target):
    order, place = np.random.default_rng(3).permutation(len(log)), np.random.default_rng(4).permutation(len(target))
    shuffled = learn(log.iloc[order], target.iloc[place].reset_index(drop=True), threads=2)
    for name in LEARNERS:
        np.testing.assert_allclose(shuffled.curves.sales[name], found.curves.sales[name][place], rtol=1e-8)
        np.testing.assert_allclose(shuffled.curves.error[name], found.curves.error[name][place], rtol=1e-6, atol=1e-6)
        assert shuffled.explained[name] == pytest.approx(found.explained[name], rel=1e-9)
    np.testing.assert_array_equal(shuffled.curves.supported, found.curves.supported[place])


def test_what_the_customers_to_predict_got_or_bought_is_never_read(log, target):
    rng = np.random.default_rng(5)
    told = target.assign(sales=rng.normal(size=len(target)), discount=0.0, profit=1e6, prediction=0.0)
    before, after = learn(log, target, PLAIN, **QUICK), learn(log, told, PLAIN, **QUICK)
    np.testing.assert_array_equal(
        before.curves.sales["varying_coefficients"], after.curves.sales["varying_coefficients"]
    )


def test_levels_beyond_the_log_have_no_support_and_no_prediction(log, target):
    levels, settings_ = np.array([0.0, 50, 100, 150]), Settings.from_params(PARAMS | QUICK)
    rng = np.random.default_rng(1)
    far = learn_responses(log, target, levels, FEATURES, PREDICTIONS, PLAIN, settings_, rng).curves
    assert not far.supported[:, 3].any()
    assert np.isnan(far.sales["varying_coefficients"][:, 3]).all()
    assert np.isfinite(far.sales["varying_coefficients"][:, :3]).all()


def test_a_dose_that_customers_like_these_never_got_is_not_supported():
    rng = np.random.default_rng(6)
    old = rng.random(4000) < 0.5
    dose = np.where(old, rng.choice([60.0, 80.0, 100.0], 4000), rng.choice(LEVELS, 4000))
    features = np.column_stack([old, rng.normal(size=4000)]).astype(float)
    asked = np.array([[1.0, 0.0], [0.0, 0.0]])
    supported = dose_support(features, dose, asked, LEVELS, Settings.from_params(PARAMS), 1)
    np.testing.assert_array_equal(supported[0], [False, False, True, True, True, True])
    assert supported[1].all()


@given(SEEDS, st.integers(2, 12))
def test_near_is_no_farther_than_the_next_level(seed, count):
    rng = np.random.default_rng(seed)
    levels = np.unique(rng.integers(0, 200, count).astype(float))
    if len(levels) < 2:
        return
    dose = rng.uniform(-50, 250, 30)
    near = near_levels(dose, levels)
    for j, level in enumerate(levels):
        low = levels[j - 1] if j else level - (levels[1] - levels[0])
        high = levels[j + 1] if j + 1 < len(levels) else level + (levels[-1] - levels[-2])
        np.testing.assert_array_equal(near[:, j], (dose >= low) & (dose <= high))


@given(SEEDS, st.integers(3, 30))
def test_ramps_carry_any_curve_through_its_knots(seed, count):
    rng = np.random.default_rng(seed)
    knots = np.unique(rng.integers(0, 500, count).astype(float))
    if len(knots) < 2:
        return
    height = rng.normal(size=len(knots))
    np.testing.assert_allclose(height[0] + ramps(knots, knots) @ np.diff(height), height, atol=1e-9)
    dose = rng.uniform(knots[0], knots[-1], 20)
    np.testing.assert_allclose(
        height[0] + ramps(dose, knots) @ np.diff(height), np.interp(dose, knots, height), atol=1e-9
    )


@given(SEEDS, st.integers(2, 50))
@settings(max_examples=50)
def test_knots_ascend_from_the_smallest_dose_to_the_largest(seed, most):
    rng = np.random.default_rng(seed)
    dose = rng.choice([0.0, *rng.integers(1, 300, 40)], 200)
    if np.ptp(dose) == 0:
        return
    knots = dose_knots(dose, most)
    assert (np.diff(knots) > 0).all()
    assert (knots[0], knots[-1]) == (dose.min(), dose.max())
    assert len(knots) <= max(most, 2)


def test_features_in_which_the_two_tables_differ_are_left_out_with_the_share_beyond():
    log = pd.DataFrame({"age": [20.0, 60, 40], "tenure": [0.0, 9, 18], "state": ["A", "B", None], "gap": [np.nan] * 3})
    target = pd.DataFrame(
        {"age": [20.0, 61, 30, 40, 50], "tenure": [17.0, 20, 21, np.nan, 22], "state": ["A", "C", "B", "A", "A"],
         "gap": [1.0] * 5}
    )  # fmt: skip
    kept, left_out = comparable_features(log, target, ["age", "tenure", "state", "gap"], 0.2)
    assert kept == ["age", "state"]
    assert left_out == {"tenure": 0.75, "gap": 1.0}


def test_the_jackknife_error_covers_the_truth():
    """Of a learner alone: residuals as they would be if the nuisances were known."""
    rng = np.random.default_rng(7)
    knots, covered = np.array([0.0, 50, 100]), []
    settings_, params = (
        Settings.from_params(PARAMS | {"groups": 10, "monotone": False}),
        LEARNERS["varying_coefficients"],
    )
    for _ in range(40):
        x = rng.normal(size=(400, 1))
        dose = rng.uniform(0, 100, 400)
        rising = ramps(dose, knots)
        residual = rising - rising.mean(axis=0)
        sales = residual @ np.array([100.0, 300.0]) + 50 * x[:, 0] * residual.sum(axis=1) + rng.normal(0, 100, 400)
        train = DoseTraining(x, x, sales, dose, knots, sales, residual)
        group = rng.permutation(400) % 10
        curve, without, _ = fit_everywhere(
            "varying_coefficients", params, train, np.zeros((1, 1)), group, settings_, 1, 1
        )
        parts = np.array([part.sum() for part in without])
        error = np.sqrt(9 / 10 * ((parts - parts.mean()) ** 2).sum())
        # Student's with 9 degrees: 2.26.
        covered.append(abs(curve.sum() - 400) <= 2.26 * error)
    # 95 % of 40, less 3 standard deviations.
    assert np.mean(covered) >= 0.85


def test_curves_survive_being_written(found):
    read = Curves.from_frame(found.curves.to_frame(np.arange(300)))
    np.testing.assert_array_equal(read.levels, found.curves.levels)
    np.testing.assert_array_equal(read.supported, found.curves.supported)
    for name in LEARNERS:
        np.testing.assert_array_equal(read.sales[name], found.curves.sales[name])
        np.testing.assert_array_equal(read.error[name], found.curves.error[name])


def test_a_design_has_levels():
    np.testing.assert_array_equal(design_levels(np.array([20.0, 0, 20])), [0, 20])
    with pytest.raises(InputError, match="there is no randomised table"):
        design_levels(np.array([]))
    with pytest.raises(InputError, match="randomised table: every discount is 10"):
        design_levels(np.full(5, 10.0))
    with pytest.raises(InputError, match="1,000 different discounts"):
        design_levels(np.arange(1000.0))


def test_a_table_about_other_customers_is_refused():
    require_same_customers(np.array([2, 1]), np.array([2, 1]), "doses.parquet")
    with pytest.raises(InputError, match=r"doses\.parquet has 2 customers who are not the 3 .* run `dvc repro`"):
        require_same_customers(np.array([2, 1]), np.array([2, 1, 3]), "doses.parquet")


def test_a_log_that_teaches_nothing_is_refused_in_one_line(log, target):
    with pytest.raises(InputError, match="there is no observational table"):
        learn(log.iloc[:0], target)
    with pytest.raises(InputError, match="observational table: every discount is 5"):
        learn(log.assign(discount=5.0), target)
    with pytest.raises(InputError, match="levels that the log has seen"):
        learn(log.assign(discount=log["discount"] + 1000), target)
    with pytest.raises(InputError, match="no feature in which the customers"):
        learn(log, target.assign(age=900.0, noise=900.0, state="Z"))


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("neural", {}, "discount.learners.neural is unknown"),
        ("causal_forest", {"trees": 4}, "min_leaf is missing"),
        ("double_ml", {"depth": 3}, "depth is unknown"),
        ("causal_forest", {"trees": 40, "min_leaf": 5, "row_share": 0.9}, r"row_share: expected a share in \(0, 0.5\]"),
        ("varying_coefficients", {"segments": 1, "penalties": []}, "penalties: expected a list"),
        ("r_learner", None, "effect is missing"),
        ("slow", {"class": "neural"}, r"^discount\.learners\.slow\.class: 'neural' is unknown; it is one of varying"),
        ("slow", {"class": "r_learner", "effect": {"trees": 0}}, r"^discount\.learners\.slow\.effect\.trees: expected"),
        ("r.slow", {"class": "double_ml"}, "'r.slow' cannot be a name"),
    ],
)
def test_a_learner_that_is_not_one_is_named(name, params, message):
    with pytest.raises(InputError, match=message):
        make_response_learner(name, params, 1)


def test_two_variants_of_one_learner_stand_side_by_side(log, target):
    found = learn(log, target, {"one": {"class": "double_ml"}, "two": {"class": "double_ml"}, "double_ml": {}})
    assert list(found.curves.sales) == ["one", "two", "double_ml"]
    for name in ("one", "two"):
        np.testing.assert_array_equal(found.curves.sales[name], found.curves.sales["double_ml"])


def test_no_learner_at_all_is_refused(log, target):
    with pytest.raises(InputError, match="no learner is listed"):
        learn(log, target, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"monotone": 1}, "monotone: expected true or false"),
        ({"support": 0.1}, "support: expected the keys share, customers"),
        ({"folds": 1}, "folds: expected a whole number of 2 or more"),
        ({"outside": 2}, "outside: expected a share in"),
        ({"extra": 2}, "discount.response.extra is unknown"),
    ],
)
def test_a_setting_that_is_out_of_range_is_named(change, message):
    with pytest.raises(InputError, match=message):
        Settings.from_params(PARAMS | change)
