"""What a contact costs and a response earns."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.base.errors import InputError
from promotions.economics import Economics

PARAMS = {"cost_per_treatment": 1, "revenue_per_response": 40.0, "charged": "on_treatment"}
OUTCOMES = np.array([[0.1, 0.3], [0.0, 1.0]])


def test_the_section_of_the_parameters_becomes_economics():
    assert Economics.from_params(PARAMS) == Economics(1.0, 40.0, "on_treatment")


@pytest.mark.parametrize("key", ["cost_per_treatment", "revenue_per_response"])
@pytest.mark.parametrize("value", [-1, -0.01, float("nan"), float("inf"), True, "1", None, [1]])
def test_money_that_is_no_number_of_zero_or_more_is_refused(key, value):
    with pytest.raises(InputError, match=rf"costs\.{key}: expected .*got ") as error:
        Economics.from_params({**PARAMS, key: value})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("charged", ["on_click", None, True, ["on_response"]])
def test_an_unknown_way_of_charging_is_refused(charged):
    with pytest.raises(InputError, match=r"costs\.charged: .* is one of on_treatment, on_response"):
        Economics.from_params({**PARAMS, "charged": charged})


@pytest.mark.parametrize("key", PARAMS)
def test_a_missing_key_is_named(key):
    with pytest.raises(InputError, match=rf"costs\.{key} is missing"):
        Economics.from_params({name: value for name, value in PARAMS.items() if name != key})


def test_an_unknown_key_is_named():
    with pytest.raises(InputError, match=r"costs\.cost_per_treatmnt is unknown"):
        Economics.from_params({**PARAMS, "cost_per_treatmnt": 2})


def test_profits_of_the_arms_by_hand():
    np.testing.assert_allclose(Economics(1.0, 40.0).profits(OUTCOMES), [[4, 11], [0, 39]])
    np.testing.assert_allclose(Economics(1.0, 40.0, "on_response").profits(OUTCOMES), [[4, 11.7], [0, 39]])


def test_each_customer_may_have_a_cost_and_a_revenue():
    own = Economics(1.0, 40.0).of_customers(pd.DataFrame({"cost": [2, 0], "revenue": [10, 20]}))
    np.testing.assert_allclose(own.profits(OUTCOMES), [[1, 1], [0, 20]])
    assert own.ratio == pytest.approx(1 / 15)


def test_without_columns_of_their_own_customers_have_the_constants():
    assert Economics(1.0, 40.0).of_customers(pd.DataFrame({"age": [1]})) == Economics(1.0, 40.0)
    assert Economics(1.0, 40.0).of_customers(pd.DataFrame({"cost": [2.0]})).revenue == 40.0


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=5),
    st.floats(0, 100),
    st.floats(0, 100),
    st.sampled_from(["on_treatment", "on_response"]),
)
def test_the_expected_gain_is_the_difference_of_the_arms_profits(outcomes, cost, revenue, charged):
    means, economics = np.array(outcomes), Economics(cost, revenue, charged)
    profits = economics.profits(means)
    gain = economics.expected_gain(means[:, 1] - means[:, 0], means[:, 1])
    np.testing.assert_allclose(gain, profits[:, 1] - profits[:, 0], atol=1e-9)


def test_a_contact_pays_from_the_ratio_on():
    economics = Economics(1.0, 40.0)
    assert economics.ratio == 1 / 40
    np.testing.assert_allclose(economics.expected_gain([1 / 40, 0.0, 0.1], [0, 0, 0]), [0, -1, 3], atol=1e-12)


def test_the_ratio_is_infinite_where_nothing_is_earned():
    assert Economics(1.0, 0.0).ratio == np.inf


@pytest.mark.parametrize("revenue", [40.0, np.array([10.0, 70.0])])
def test_at_a_ratio_the_cost_is_that_share_of_the_revenue(revenue):
    moved = Economics(1.0, revenue).at_ratio(0.1)
    np.testing.assert_allclose(moved.cost, 0.1 * np.asarray(revenue))
    assert moved.ratio == pytest.approx(0.1)


def test_the_expected_charge_is_paid_by_everybody_or_by_who_is_expected_to_respond():
    responds = np.array([0.5, 0.0, -0.1])
    np.testing.assert_array_equal(Economics(2.0, 40.0).expected_charge(responds), [2, 2, 2])
    np.testing.assert_array_equal(Economics(2.0, 40.0, "on_response").expected_charge(responds), [1, 0, 0])
    own = Economics(np.array([1.0, 2.0, 3.0]), 40.0, "on_response")
    np.testing.assert_array_equal(own.expected_charge(responds), [0.5, 0, 0])
