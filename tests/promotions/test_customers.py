"""The contract of an experiment: each violation is named in one line."""

import numpy as np
import pandas as pd
import pytest

from promotions.base.errors import InputError
from promotions.customers import Customers, feature_names, validate

SOUND = pd.DataFrame(
    {
        "customer_id": ["c", "a", "b", "d"],
        "treatment": [1, 0, 1, 0],
        "outcome": [1.0, 0.0, 2.5, 0.0],
        "propensity": 0.5,
        "age": [30, 40, 50, 60],
        "cost": 1,
        "revenue": [40, 30, 20, 10],
        "cluster_id": [7, 7, 8, 8],
    }
)


def wrong(column, row, value):
    """The sound experiment with one value replaced."""
    values = SOUND[column].astype(object).copy()
    values.iloc[row] = value
    return SOUND.assign(**{column: values})


def test_a_propensity_that_is_still_to_be_estimated_is_not_missed():
    frame = SOUND.drop(columns="propensity")
    assert "propensity" not in validate(frame, propensity=False)
    with pytest.raises(InputError, match="column 'propensity' is missing"):
        validate(frame)


@pytest.mark.parametrize(
    ("frame", "parts"),
    [
        (wrong("treatment", 2, 2), ["'treatment' is neither 0 nor 1", "1 of 4 rows", "data row 3", "2"]),
        (
            wrong("treatment", 2, "yes"),
            ["'treatment' is missing or not a number", "1 of 4 rows", "data row 3", "'yes'"],
        ),
        (wrong("outcome", 1, np.nan), ["'outcome' is missing or not a number", "1 of 4 rows", "data row 2", "nan"]),
        (wrong("outcome", 1, np.inf), ["'outcome' is missing or not a number", "1 of 4 rows", "data row 2", "inf"]),
        (wrong("propensity", 3, 0.0), ["'propensity' lies outside (0, 1)", "1 of 4 rows", "data row 4", "0.0"]),
        (wrong("propensity", 0, 1.0), ["'propensity' lies outside (0, 1)", "1 of 4 rows", "data row 1", "1.0"]),
        (SOUND.assign(propensity=1.2), ["'propensity' lies outside (0, 1)", "4 of 4 rows", "data row 1", "1.2"]),
        (wrong("propensity", 0, None), ["'propensity' is missing", "1 of 4 rows", "data row 1"]),
        (wrong("customer_id", 3, "a"), ["'customer_id' occurs more than once", "2 of 4 rows", "data row 2", "'a'"]),
        (wrong("customer_id", 3, None), ["'customer_id' is missing", "1 of 4 rows", "data row 4"]),
        (wrong("cost", 1, -1), ["'cost' is negative", "1 of 4 rows", "data row 2", "-1"]),
        (wrong("revenue", 1, -0.5), ["'revenue' is negative", "1 of 4 rows", "data row 2", "-0.5"]),
        (wrong("revenue", 1, np.nan), ["'revenue' is missing or not a number", "1 of 4 rows", "data row 2"]),
        (wrong("cluster_id", 2, None), ["'cluster_id' is missing", "1 of 4 rows", "data row 3"]),
        (SOUND.assign(treatment=1), ["'treatment'", "no customer is control (treatment = 0) among 4"]),
        (SOUND.assign(treatment=0), ["'treatment'", "no customer is treated (treatment = 1) among 4"]),
        (SOUND.drop(columns="outcome"), ["column 'outcome' is missing", "'customer_id', 'treatment', 'propensity'"]),
        (SOUND.head(0), ["empty", "0 customers"]),
        (SOUND.drop(columns="age"), ["no feature column is left"]),
    ],
)
def test_a_violation_is_one_line_that_names_the_column_how_many_rows_and_the_first(frame, parts):
    with pytest.raises(InputError) as error:
        validate(frame)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_the_wrong_value_is_shown_as_in_the_file_not_as_numpy_writes_it():
    for column, value in (("treatment", 2), ("propensity", 1.2), ("outcome", np.nan)):
        with pytest.raises(InputError) as error:
            validate(SOUND.assign(**{column: value}))
        assert "np." not in str(error.value)


def test_customers_come_in_the_order_of_their_ids_whatever_the_order_of_the_file():
    checked = validate(SOUND)
    assert list(checked["customer_id"]) == ["a", "b", "c", "d"]
    assert list(checked.index) == [0, 1, 2, 3]
    assert list(checked["age"]) == [40, 50, 30, 60]
    pd.testing.assert_frame_equal(validate(SOUND.sample(frac=1, random_state=1)), checked)


def test_types_are_canonical_whatever_they_were():
    text = SOUND.assign(customer_id=[3, 1, 2, 10], treatment=["1", "0", "1", "0"], outcome=SOUND["outcome"] > 0)
    checked = validate(text)
    assert list(checked["customer_id"]) == ["1", "10", "2", "3"]
    assert checked["treatment"].dtype == np.int8
    for name in ("outcome", "propensity", "cost", "revenue"):
        assert checked[name].dtype == np.float64
    assert checked["cluster_id"].map(type).eq(str).all()


def test_nullable_types_without_missing_values_are_accepted():
    nullable = SOUND.convert_dtypes()
    pd.testing.assert_frame_equal(
        validate(nullable).drop(columns="age"), validate(SOUND).drop(columns="age"), check_dtype=False
    )


def test_ids_that_differ_only_in_type_are_the_same_customer():
    with pytest.raises(InputError, match="occurs more than once"):
        validate(SOUND.assign(customer_id=[1, "1", 2, 3]))


def test_validating_leaves_the_given_table_alone():
    before = SOUND.copy()
    validate(SOUND)
    pd.testing.assert_frame_equal(SOUND, before)


def test_what_has_no_role_is_a_feature():
    assert feature_names(SOUND) == ["age"]
    assert Customers(SOUND.assign(city="x")).features == ["age", "city"]


@pytest.mark.parametrize(("value", "message"), [(3.5, "is 3.5 for every customer"), (0, "is 0 for every customer")])
def test_an_outcome_that_never_varies_is_refused(value, message):
    table = pd.DataFrame(
        {"customer_id": ["a", "b"], "treatment": [0, 1], "outcome": value, "propensity": 0.5, "age": [30, 40]}
    )
    with pytest.raises(InputError, match=message):
        validate(table)


def test_an_amount_beyond_all_measure_is_refused():
    table = pd.DataFrame(
        {"customer_id": ["a", "b"], "treatment": [0, 1], "outcome": [1.0, 1e200], "propensity": 0.5, "age": [30, 40]}
    )
    with pytest.raises(InputError, match=r"'outcome' is larger than 1e\+12 in 1 of 2 rows"):
        validate(table)
