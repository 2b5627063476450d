"""One matrix without NaN, whatever the columns are."""

import json

import numpy as np
import pandas as pd
import pytest

from promotions.base.encoding import Encoder, as_numbers, fit_encoder, is_number
from promotions.base.errors import InputError

TRAIN = pd.DataFrame(
    {
        "age": [20.0, np.nan, 40.0, 50.0],
        "orders": [1, 2, 3, 4],
        "channel": ["web", "phone", "web", None],
        "member": [True, False, True, True],
        "since": pd.to_datetime(["1970-01-02", "1970-01-11", None, "1970-01-03"]),
        "visits": pd.array([1, None, 3, 5], dtype="Int64"),
        "opted_in": pd.array([True, None, False, True], dtype="boolean"),
        "region": pd.Categorical(["north", "south", "north", "south"]),
    }
)
FEATURES = list(TRAIN)


@pytest.fixture(scope="module")
def encoder():
    return fit_encoder(TRAIN, FEATURES)


def column(encoder, frame, name):
    return list(encoder.transform(frame)[:, encoder.columns.index(name)])


def test_every_kind_of_column_becomes_numbers_without_nan(encoder):
    matrix = encoder.transform(TRAIN)
    assert matrix.shape == (4, len(encoder.columns))
    assert matrix.dtype == np.float64
    assert np.isfinite(matrix).all()


def test_a_missing_number_takes_the_training_median_and_says_so(encoder):
    assert column(encoder, TRAIN, "age") == [20, 40, 40, 50]
    assert column(encoder, TRAIN, "age__missing") == [0, 1, 0, 0]
    assert column(encoder, TRAIN, "visits") == [1, 3, 3, 5]
    assert "orders__missing" not in encoder.columns


def test_booleans_are_zeros_and_ones_and_dates_are_days(encoder):
    assert column(encoder, TRAIN, "member") == [1, 0, 1, 1]
    assert column(encoder, TRAIN, "opted_in") == [1, 1, 0, 1]
    assert column(encoder, TRAIN, "since") == [1, 10, 2, 2]


def test_a_date_with_a_time_zone_counts_its_own_days():
    dates = pd.Series(pd.to_datetime(["1970-01-02 12:00", None])).dt.tz_localize("Europe/Berlin")
    np.testing.assert_array_equal(as_numbers(dates), [1.5, np.nan])


def test_a_level_has_a_column_and_an_unknown_or_missing_one_has_none(encoder):
    new = TRAIN.assign(channel=["phone", "fax", None, "web"], region=["south", "east", None, "north"])
    assert column(encoder, new, "channel=web") == [0, 0, 0, 1]
    assert column(encoder, new, "channel=phone") == [1, 0, 0, 0]
    assert column(encoder, new, "region=south") == [1, 0, 0, 0]
    assert not [name for name in encoder.columns if "fax" in name or "nan" in name.lower() or "None" in name]


def test_an_empty_string_in_training_does_not_make_a_missing_value_a_level():
    encoder = fit_encoder(pd.DataFrame({"channel": ["", "web", "", "web"]}), ["channel"])
    np.testing.assert_array_equal(encoder.transform(pd.DataFrame({"channel": [None]})), [[0, 0]])


def test_only_the_most_frequent_levels_have_columns_and_ties_go_by_name():
    levels = pd.DataFrame({"shop": ["d", "c", "c", "b", "a", "a", "e"]})
    encoder = fit_encoder(levels, ["shop"], max_levels=3)
    assert encoder.columns == ["shop=a", "shop=c", "shop=b"]
    np.testing.assert_array_equal(encoder.transform(pd.DataFrame({"shop": ["d", "e"]})), np.zeros((2, 3)))


def test_infinite_values_count_as_missing():
    encoder = fit_encoder(pd.DataFrame({"ratio": [1.0, np.inf, 3.0, -np.inf]}), ["ratio"])
    assert encoder.columns == ["ratio", "ratio__missing"]
    assert column(encoder, pd.DataFrame({"ratio": [np.inf, 5.0]}), "ratio") == [2, 5]


def test_a_number_missing_for_the_first_time_after_training_takes_the_median(encoder):
    assert column(encoder, TRAIN.assign(orders=[None, 1, 1, 1]), "orders") == [2.5, 1, 1, 1]


def test_a_number_that_is_always_missing_is_a_constant():
    frame = pd.DataFrame({"x": [np.nan, np.nan]})
    np.testing.assert_array_equal(fit_encoder(frame, ["x"]).transform(frame), [[0], [0]])


def test_nothing_is_learned_from_rows_outside_training(encoder):
    assert fit_encoder(TRAIN.assign(outcome=[9, 9, 0, 0]), FEATURES) == encoder


def test_json_gives_the_same_encoder_back(encoder):
    again = Encoder.from_json(json.loads(json.dumps(encoder.to_json(), allow_nan=False)))
    assert again == encoder
    np.testing.assert_array_equal(again.transform(TRAIN), encoder.transform(TRAIN))


def test_the_order_of_columns_and_other_columns_do_not_matter(encoder):
    shuffled = TRAIN[FEATURES[::-1]].assign(unused="x")
    np.testing.assert_array_equal(encoder.transform(shuffled), encoder.transform(TRAIN))


def test_each_matrix_column_knows_its_feature(encoder):
    assert dict(zip(encoder.columns, encoder.sources, strict=True))["channel=web"] == "channel"
    assert dict(zip(encoder.columns, encoder.sources, strict=True))["age__missing"] == "age"
    assert list(dict.fromkeys(encoder.sources)) == FEATURES


def test_an_absent_feature_is_named(encoder):
    with pytest.raises(InputError, match="feature 'orders' is missing; the table has 'age', 'channel'"):
        encoder.transform(TRAIN.drop(columns="orders"))


def test_text_where_training_had_a_number_is_an_input_error(encoder):
    with pytest.raises(InputError, match="age"):
        encoder.transform(TRAIN.assign(age=["twenty", "30", "40", "50"]))


def test_without_features_the_matrix_has_no_columns():
    assert fit_encoder(TRAIN, []).transform(TRAIN).shape == (4, 0)


@pytest.mark.parametrize(("name", "number"), [("age", True), ("since", True), ("opted_in", True), ("region", False)])
def test_numbers_booleans_and_dates_are_numbers(name, number):
    assert is_number(TRAIN[name]) is number


def test_facts_say_what_the_made_columns_mean():
    frame = pd.DataFrame({"zip": ["Rural", "Urban", "Rural"], "age": [30.0, np.nan, 50.0], "n": [1, 2, 3]})
    encoder = fit_encoder(frame, ["zip", "age", "n"])
    assert encoder.facts == {
        "zip=Rural": ("zip is Rural", "zip is not Rural"),
        "zip=Urban": ("zip is Urban", "zip is not Urban"),
        "age__missing": ("age is unknown", "age is known"),
    }
    assert set(encoder.facts) <= set(encoder.columns)
