"""The layout of X5: files that belong together, and those that do not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from promotions.base.errors import InputError
from promotions.customers import Customers, validate
from promotions.sources import Ingested, simulated, x5
from tests.support.raw_layout import Layout, small_layout, write_layout

PARAMS = {
    "campaign_date": "2019-03-19",
    "propensity": 0.5,
    "ages": [14, 100],
    "unknown_clients": "stop",
}


@pytest.fixture(scope="module")
def layout() -> Layout:
    """A simulated retailer of which every tenth labelled client is to be scored instead."""
    tables = small_layout()
    to_score = tables["uplift_train"].index % 10 == 0
    scored = tables["uplift_train"].loc[to_score, ["client_id"]]
    return tables | {"uplift_train": tables["uplift_train"][~to_score], "uplift_test": scored}


def ingest(folder: Path, **changed: Any) -> dict[str, pa.Table]:
    return dict(x5.load(PARAMS | {"directory": str(folder)} | changed, np.random.default_rng(1)))


def customers_of(folder: Path, scratch: Path, **changed: Any) -> Customers:
    scratch.mkdir(exist_ok=True)
    for name, table in ingest(folder, **changed).items():
        pq.write_table(table, scratch / f"{name}.parquet")
    return x5.to_customers(Ingested(scratch), PARAMS | {"directory": str(folder)} | changed)


def test_labelled_clients_get_features_and_the_others_are_to_be_scored(tmp_path: Path, layout: Layout) -> None:
    customers = customers_of(write_layout(tmp_path / "raw", layout), tmp_path / "ingested")
    labels = layout["uplift_train"].set_index("client_id")
    frame = validate(customers.frame).set_index("customer_id")
    assert (frame["treatment"] == labels["treatment_flg"][frame.index]).all()
    assert (frame["outcome"] == labels["target"][frame.index]).all()
    assert (frame["propensity"] == 0.5).all()
    assert not customers.simulated
    assert len(customers.features) == 71
    assert set(customers.to_score["customer_id"]) == set(layout["uplift_test"]["client_id"])
    assert list(customers.to_score.columns[1:]) == customers.features
    assert customers.counts["customers_without_purchases"] == 0
    assert customers.counts["purchase_rows"] == len(layout["purchases"])


def test_the_simulation_and_its_files_give_the_same_features(tmp_path: Path) -> None:
    tables = small_layout()
    from_files = customers_of(write_layout(tmp_path / "raw", tables), tmp_path / "ingested")
    (tmp_path / "own").mkdir()
    for name, table in tables.items():
        table.to_parquet(tmp_path / "own" / f"{name}.parquet")
    own = simulated.to_customers(Ingested(tmp_path / "own"), {"customers": 1000})
    assert own.simulated
    pd.testing.assert_frame_equal(own.frame, from_files.frame, check_dtype=False)


def test_the_truth_is_a_function_of_what_prepare_recovers(tmp_path: Path) -> None:
    tables = small_layout()
    for name, table in tables.items():
        table.to_parquet(tmp_path / f"{name}.parquet")
    frame = simulated.to_customers(Ingested(tmp_path), {"customers": 1000}).frame.set_index("customer_id")
    truth = tables["truth"].set_index("customer_id").loc[frame.index]
    mu0, mu1 = simulated.response_probabilities(frame)
    assert np.allclose(mu0, truth["mu0"], atol=1e-9)
    assert np.allclose(mu1 - mu0, truth["tau"], atol=1e-9)


@pytest.mark.parametrize("day", ["2019-03-19", "2019-03-19 00:00:00", pd.Timestamp("2019-03-19").date()])
def test_a_day_is_its_first_second(tmp_path: Path, layout: Layout, day: object) -> None:
    customers = customers_of(write_layout(tmp_path / "raw", layout), tmp_path / "ingested", campaign_date=day)
    assert customers.counts["purchase_rows_after_campaign"] == 0
    assert customers.frame["days_since_last_order"].min() > 0


def test_later_purchases_are_counted_and_change_nothing(tmp_path: Path, layout: Layout) -> None:
    before = customers_of(write_layout(tmp_path / "raw", layout), tmp_path / "ingested")
    later = layout["purchases"].head(500).assign(transaction_datetime=pd.Timestamp("2031-01-01 12:00:00"))
    later["transaction_id"] = "later" + later["transaction_id"]
    changed = layout | {"purchases": pd.concat([layout["purchases"], later])}
    after = customers_of(write_layout(tmp_path / "raw", changed), tmp_path / "ingested")
    pd.testing.assert_frame_equal(after.frame, before.frame, check_exact=True)
    assert after.counts["purchase_rows_after_campaign"] == 500
    assert any(
        note.startswith(
            "purchases.csv: column 'transaction_datetime' is on or after the campaign (2019-03-19 00:00) in 500 of"
        )
        for note in after.notes
    )


def test_absurd_ages_are_set_missing_and_counted(tmp_path: Path, layout: Layout) -> None:
    clients = layout["clients"].assign(age=40)
    clients.loc[clients.index[:3], "age"] = [-7491, 1901, 101]
    customers = customers_of(write_layout(tmp_path / "raw", layout | {"clients": clients}), tmp_path / "ingested")
    assert customers.counts["ages_set_missing"] == 3
    assert "clients.csv: column 'age' lies outside 14 to 100 in 3 of 1,000 rows: set missing" in customers.notes
    everyone = pd.concat([customers.frame, customers.to_score])
    assert everyone["age"].isna().sum() == 3


Fault = Callable[[Layout], Layout]


def drop_column(table: str, column: str) -> Fault:
    return lambda layout: layout | {table: layout[table].drop(columns=column)}


def twice(table: str, rows: int) -> Fault:
    return lambda layout: layout | {table: pd.concat([layout[table], layout[table].head(rows)])}


def stranger(table: str) -> Fault:
    def fault(layout: Layout) -> Layout:
        changed = layout[table].copy()
        changed.loc[changed.index[4:7], "client_id"] = ["nobody1", "nobody2", "nobody3"]
        return layout | {table: changed}

    return fault


def overlap(layout: Layout) -> Layout:
    return layout | {"uplift_test": pd.concat([layout["uplift_test"], layout["uplift_train"][["client_id"]].head(7)])}


def empty_id(layout: Layout) -> Layout:
    changed = layout["clients"].copy()
    changed.loc[changed.index[2], "client_id"] = ""
    return layout | {"clients": changed}


FAULTS: dict[str, tuple[Fault, str]] = {
    "clients twice": (
        twice("clients", 5),
        "clients.csv: column 'client_id' holds 5 ids more than once, in 10 of 1,005 rows (such as ",
    ),
    "labels twice": (
        twice("uplift_train", 2),
        "uplift_train.csv: column 'client_id' holds 2 ids more than once, in 4",
    ),
    "products twice": (twice("products", 1), "products.csv: column 'product_id' holds 1 ids more than once, in 2 of"),
    "a client without id": (empty_id, "clients.csv: column 'client_id' is missing in 1 of 1,000 rows"),
    "labels of strangers": (
        stranger("uplift_train"),
        "uplift_train.csv: column 'client_id' holds 3 clients that are not in clients.csv (such as 'nobody1')",
    ),
    "strangers to be scored": (
        stranger("uplift_test"),
        "uplift_test.csv: column 'client_id' holds 3 clients that are not in clients.csv (such as 'nobody1')",
    ),
    "labelled and to be scored": (
        overlap,
        "uplift_test.csv: column 'client_id' holds 7 clients that are in uplift_train.csv too",
    ),
    "no target": (drop_column("uplift_train", "target"), "uplift_train.csv: column 'target' is missing"),
    "no age": (drop_column("clients", "age"), "clients.csv: column 'age' is missing; the file has 'client_id'"),
    "no sum": (drop_column("purchases", "purchase_sum"), "purchases.csv: column 'purchase_sum' is missing"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_tables_that_do_not_fit_are_named_before_anything_is_aggregated(
    tmp_path: Path, layout: Layout, name: str
) -> None:
    fault, expected = FAULTS[name]
    with pytest.raises(InputError) as caught:
        ingest(write_layout(tmp_path, fault(layout)))
    assert expected in str(caught.value)


@pytest.mark.parametrize("table", ["clients", "products", "purchases", "uplift_train"])
def test_a_missing_table_is_named_with_what_is_there(tmp_path: Path, layout: Layout, table: str) -> None:
    write_layout(tmp_path, {name: frame for name, frame in layout.items() if name != table})
    with pytest.raises(InputError, match=rf"data\.x5\.directory: .* has no {table}\.csv .* it holds "):
        ingest(tmp_path)


def test_a_column_that_the_layout_does_not_know_is_no_feature_and_is_said(tmp_path: Path, layout: Layout) -> None:
    clients = layout["clients"].assign(visits_after=1)
    customers = customers_of(write_layout(tmp_path / "raw", layout | {"clients": clients}), tmp_path / "ingested")
    assert "visits_after" not in customers.frame
    assert customers.notes[0] == "clients.csv: column 'visits_after' is not known in this layout: not used"


def test_nobody_has_to_be_scored(tmp_path: Path, layout: Layout) -> None:
    folder = write_layout(tmp_path / "raw", {name: table for name, table in layout.items() if name != "uplift_test"})
    assert customers_of(folder, tmp_path / "ingested").to_score.empty


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"directory": "nowhere"}, "there is no folder 'nowhere'"),
        ({"directory": None}, "there is no folder None"),
        ({"campaign_date": "soon"}, "data.x5.campaign_date: expected a day such as 2019-03-19, got 'soon'"),
        ({"campaign_date": "2019-03-19T00:00+03:00"}, "without a time zone"),
        ({"ages": 14}, "data.x5.ages: expected the youngest and the oldest age"),
        ({"ages": [14, "old"]}, "data.x5.ages: expected a number"),
        ({"unknown_clients": "keep"}, "data.x5.unknown_clients: 'keep' is unknown"),
        ({"campain": 1}, "data.x5.campain is unknown"),
    ],
)
def test_a_wrong_parameter_is_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        ingest(tmp_path, **changed)
    assert message in str(caught.value)


def test_ids_of_digits_stay_as_they_are_written(tmp_path: Path, layout: Layout) -> None:
    names = {name: f"{number:010d}" for number, name in enumerate(layout["clients"]["client_id"])}
    renamed = {
        name: table.assign(client_id=table["client_id"].map(names)) if "client_id" in table else table
        for name, table in layout.items()
    }
    customers = customers_of(write_layout(tmp_path / "raw", renamed), tmp_path / "ingested")
    assert customers.frame["customer_id"].str.len().eq(10).all()
    assert customers.frame["n_orders"].gt(0).all()
