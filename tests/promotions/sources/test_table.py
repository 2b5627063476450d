"""Any experiment in one table: roles from parameters, and every mistake named."""

import numpy as np
import pandas as pd
import pytest

from promotions.base.errors import InputError
from promotions.customers import validate
from promotions.sources import table

PARAMS = {
    "path": "experiment.csv", "id": "id", "treatment": "sent", "outcome": "bought", "propensity": 0.5, "overlap": 0.05,
    "features": "auto", "exclude": [], "cost": None, "revenue": None, "cluster": None,
}  # fmt: skip
N = 200
RAW = pd.DataFrame(
    {
        "id": np.arange(N)[::-1],
        "sent": np.arange(N) % 2,
        "bought": np.arange(N) % 3 == 0,
        "age": np.arange(N) % 50,
        "city": np.array(["Bonn", "Köln", "Trier"])[np.arange(N) % 3],
        "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(N) % 7, unit="D"),
        "email": [f"{number}@example.org" for number in range(N)],
        "country": "DE",
        "nothing": np.full(N, np.nan),
        "only_sometimes": np.where(np.arange(N) % 5 == 0, 1.0, np.nan),
        "share": 0.2 + 0.6 * (np.arange(N) % 2),
        "discount": 1.5,
        "margin": 20 + np.arange(N) % 4,
        "household": np.arange(N) // 2,
    }
)
ROLES = {"share", "discount", "margin", "household"}


def customers(raw=RAW, **params):
    return table.to_customers({"customers": raw}, PARAMS | params)


@pytest.mark.parametrize("name", ["experiment.csv", "experiment.csv.gz", "experiment.parquet", "EXPERIMENT.PQ"])
def test_csv_gzip_and_parquet_give_the_same_customers(tmp_path, name):
    path, raw = tmp_path / name, RAW.drop(columns="joined")
    raw.to_csv(path, index=False) if ".csv" in name else raw.to_parquet(path, index=False)
    loaded = dict(table.load(PARAMS | {"path": str(path)}, np.random.default_rng(1)))["customers"]
    pd.testing.assert_frame_equal(validate(customers(loaded).frame), validate(customers(raw).frame), check_dtype=False)


def test_auto_takes_what_has_no_role_and_describes_customers():
    found = customers(propensity="share", cost="discount", revenue="margin", cluster="household")
    assert found.features == ["age", "city", "joined", "only_sometimes"]
    assert found.dropped == {
        "email": "identifier: most values occur once",
        "country": "constant",
        "nothing": "empty",
    }
    assert not found.simulated


def test_roles_hold_the_columns_that_were_named():
    frame = validate(customers(propensity="share", cost="discount", revenue="margin", cluster="household").frame)
    raw = RAW.assign(id=RAW["id"].astype(str)).sort_values("id").reset_index(drop=True)
    roles = {"treatment": "sent", "outcome": "bought", "propensity": "share", "cost": "discount", "revenue": "margin"}
    for role, column in roles.items():
        np.testing.assert_array_equal(frame[role], raw[column].astype(float))
    assert list(frame["cluster_id"]) == list(raw["household"].astype(str))


def test_a_constant_propensity_holds_for_every_customer():
    assert (customers(propensity=0.3).frame["propensity"] == 0.3).all()


def test_chances_to_be_estimated_are_no_column_yet_and_the_rule_of_overlap_goes_along():
    found = customers(propensity="estimate", overlap=0.1)
    assert found.overlap == 0.1
    assert "propensity" not in found.frame
    assert "propensity" not in validate(found.frame, propensity=False)
    assert customers(overlap=0.1).overlap is None


def test_excluded_columns_are_left_out_and_reported():
    found = customers(exclude=["age", "email"])
    assert not {"age", "email"} & set(found.features)
    assert found.dropped["age"] == found.dropped["email"] == "listed in exclude"


def test_a_list_of_features_is_taken_as_it_is():
    found = customers(features=["email", "age"])
    assert found.features == ["email", "age"]
    assert found.dropped == {}


def test_a_few_distinct_names_are_no_identifier():
    assert "email" in customers(RAW.head(99)).features


def test_without_an_id_rows_are_numbered_from_one():
    found = customers(id=None, exclude=["id"])
    assert list(found.frame["customer_id"].iloc[[0, -1]]) == ["row000000001", "row000000200"]
    assert "id" not in found.features


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"id": "customer"}, r"data\.table\.path: column 'customer' is missing; the file has 'id', 'sent'"),
        ({"treatment": "send"}, "column 'send' is missing"),
        ({"propensity": "e"}, "column 'e' is missing"),
        ({"cluster": "family"}, "column 'family' is missing"),
        ({"treatment": None}, r"data\.table\.treatment: expected the name of a column, got None"),
        ({"outcome": 3}, r"data\.table\.outcome: expected the name of a column, got 3"),
        ({"cost": 1.5}, r"data\.table\.cost: expected the name of a column or null, got 1\.5"),
        ({"propensity": 0}, r"data\.table\.propensity: 0 lies outside \(0, 1\)"),
        ({"propensity": 1.2}, r"data\.table\.propensity: 1\.2 lies outside"),
        ({"propensity": True}, r"data\.table\.propensity: True lies outside"),
        ({"propensity": None}, r"data\.table\.propensity: None lies outside"),
        ({"propensity": float("nan")}, r"data\.table\.propensity: nan lies outside"),
        *(
            (
                {"overlap": value, "propensity": how},
                rf"data\.table\.overlap: expected a number in \(0, 0\.5\), got {value}",
            )
            for value in (0, 0.5, -0.1, None, True)
            for how in (0.5, "estimate")
        ),
        ({"features": "all"}, r"data\.table\.features: expected auto or a list of columns, got 'all'"),
        ({"features": ["height"]}, r"data\.table\.features: column 'height' is missing"),
        ({"features": ["age", "sent"]}, r"data\.table\.features: 'sent' already has a role"),
        ({"features": ["age"], "exclude": ["age"]}, r"data\.table\.features: 'age' already has a role or is excluded"),
        ({"exclude": "age"}, r"data\.table\.exclude: expected a list of columns, got 'age'"),
        ({"exclude": ["weight"]}, r"data\.table\.exclude: column 'weight' is missing"),
        ({"features": ["age", "age"]}, r"data\.table\.features: 'age'"),
        ({"outcome": "sent"}, "'sent'"),
    ],
)
def test_a_mistake_in_the_parameters_is_named_in_one_line(params, message):
    with pytest.raises(InputError, match=message) as error:
        customers(**params)
    assert "\n" not in str(error.value)


def test_a_column_that_is_called_estimate_is_not_guessed_at():
    raw = RAW.assign(estimate=0.5)
    with pytest.raises(InputError, match=r"data\.table\.propensity: 'estimate' asks .* rename the column") as error:
        customers(raw, propensity="estimate")
    assert "\n" not in str(error.value)
    assert "estimate" in customers(raw.assign(estimate=RAW["age"])).features


@pytest.mark.parametrize("name", ["cost", "cluster_id", "propensity"])
def test_a_feature_with_the_name_of_a_role_is_refused(name):
    with pytest.raises(InputError, match=f"the feature column '{name}' has the name of a role"):
        customers(RAW.rename(columns={"age": name}))


@pytest.mark.parametrize("absent", PARAMS)
def test_a_missing_key_is_named(absent):
    with pytest.raises(InputError, match=rf"data\.table\.{absent} is missing; the keys of data\.table are path, id"):
        table.load({key: value for key, value in PARAMS.items() if key != absent}, np.random.default_rng(1))


def test_an_unknown_key_is_named():
    with pytest.raises(InputError, match=r"data\.table\.treatmnt is unknown"):
        table.load(PARAMS | {"treatmnt": "sent"}, np.random.default_rng(1))


def test_row_numbers_without_a_name_and_columns_of_lists_describe_nobody(tmp_path):
    params = dict.fromkeys(("cost", "revenue", "cluster", "id")) | {"treatment": "t", "outcome": "y", "propensity": 0.5}
    params["overlap"] = 0.05
    unfit = {"Unnamed: 0": [0, 1, 2], "bag": [[1], [2], []]}
    raw = pd.DataFrame({"t": [0, 1, 0], "y": [1, 0, 0], "age": [3, 4, 5], **unfit})
    customers = table.to_customers({"customers": raw}, params | {"path": "", "features": "auto", "exclude": []})
    assert customers.features == ["age"]
    assert set(customers.dropped) == set(unfit)
