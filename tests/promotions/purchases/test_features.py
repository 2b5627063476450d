"""Features from raw purchases: by hand, against pandas, on real histories; and what does not count."""

import csv
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from benchmarks.pandas_features import STUDY_FEATURES, read_folder, study_features
from promotions.base.errors import InputError
from promotions.purchases import Features, Settings, customer_features, find_file
from promotions.purchases.features import CLIENTS, PRODUCTS, PURCHASES
from tests.support.raw_layout import Layout, needs_x5, real_histories, small_layout, write_layout

CAMPAIGN = datetime(2019, 3, 19)
DICTIONARY = Path(__file__).parents[3] / "data" / "dictionary.csv"


def features_of(folder: Path, **settings: Any) -> Features:
    files = [
        find_file(folder, name, "folder", types)
        for name, types in (("clients", CLIENTS), ("products", PRODUCTS), ("purchases", PURCHASES))
    ]
    assert all(files)
    return customer_features(*files, Settings(**{"campaign": CAMPAIGN, **settings}))


@pytest.fixture(scope="module")
def layout() -> Layout:
    return small_layout()


@pytest.fixture(scope="module")
def folder(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_layout(tmp_path_factory.mktemp("layout"), layout)


@pytest.fixture(scope="module")
def found(folder: Path) -> Features:
    return features_of(folder)


def hand_made(**changed: pd.DataFrame) -> Layout:
    """Two clients and three products that can be counted on one's fingers; the third client has bought nothing."""
    clients = pd.DataFrame(
        {
            "client_id": ["a", "b", "c"],
            "first_issue_date": ["2019-03-09 00:00:00", "2019-03-18 12:00:00", "2019-04-01 00:00:00"],
            "first_redeem_date": ["2019-03-14 00:00:00", "2019-03-20 00:00:00", ""],
            "age": [30, -7491, 1901],
            "gender": ["F", "M", "U"],
        }
    )
    products = pd.DataFrame(
        {
            "product_id": ["milk", "beer", "bread"],
            "level_1": ["food", "drink", "food"],
            "level_2": ["dairy", "alcohol", "bakery"],
            "brand_id": ["big", "big", ""],
            "netto": [1.0, 0.5, ""],
            "is_own_trademark": [1, 0, 0],
            "is_alcohol": [0, 1, 0],
        }
    )
    rows = [
        # client, receipt, when, received, spent, express spent, paid, store, product, quantity, iss, red
        ("a", "r1", "2019-03-16 05:59:59", 1.0, 0, 0, 100.0, "s1", "milk", 2, 60.0, ""),
        ("a", "r1", "2019-03-16 05:59:59", 1.0, 0, 0, 100.0, "s1", "beer", 1, 40.0, ""),
        ("a", "r2", "2019-03-18 23:59:59", 3.0, -10, -4, 50.0, "s1", "milk", 1, 30.0, 20.0),
        ("a", "r3", "2019-02-01 12:00:00", 0.0, 0, 0, 30.0, "s2", "bread", 0, 30.0, ""),
        ("b", "r1", "2019-03-13 18:00:00", 2.0, 0, 0, 80.0, "s9", "bread", 1, 80.0, ""),
        ("b", "late", "2019-03-19 00:00:00", 9.0, 0, 0, 900.0, "s9", "beer", 9, 900.0, ""),
    ]
    names = (
        "client_id transaction_id transaction_datetime regular_points_received regular_points_spent "
        "express_points_spent purchase_sum store_id product_id product_quantity trn_sum_from_iss trn_sum_from_red"
    )
    purchases = pd.DataFrame(rows, columns=names.split()).assign(express_points_received=0)
    return {"clients": clients, "products": products, "purchases": purchases} | changed


def test_features_of_three_clients_counted_by_hand(tmp_path: Path) -> None:
    found = features_of(write_layout(tmp_path, hand_made()))
    table = found.frame.set_index("client_id")
    a = table.loc["a"]
    assert a["n_orders"] == 3
    assert a["avg_paid_per_order"] == 60
    assert a["products_per_order"] == pytest.approx(4 / 3)
    assert a["quantity_per_order"] == pytest.approx(4 / 3)
    assert a["avg_netto_per_order"] == pytest.approx(2.5 / 3)  # the bread's weight is unknown
    assert a["avg_trademarks"] == 0.5
    assert a["avg_trademarks_per_order"] == pytest.approx(2 / 3)
    assert a["avg_alcohol_products_per_order"] == pytest.approx(1 / 3)
    assert a["alcohol_order_share"] == pytest.approx(1 / 3)
    assert a["brand_score"] == 1  # both brands known are the largest one
    assert a["department_1_share"] == 0.75
    assert a["department_2_share"] == 0.25
    assert a["categories_bought"] == 3
    assert a["categories_per_order"] == pytest.approx(4 / 3)
    assert a["is_weekend"] == pytest.approx(2 / 3)  # 2019-03-16 was a Saturday
    assert a["saturday_share"] == pytest.approx(1 / 3)
    assert a["monday_share"] == pytest.approx(1 / 3)
    assert (a["night_share"], a["evening_share"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert (a["morning_share"], a["afternoon_share"]) == (0, pytest.approx(1 / 3))
    assert a["avg_regular_points_received_per_order"] == pytest.approx(4 / 3)
    assert a["regular_points_spent_per_order"] == pytest.approx(-10 / 3)
    assert a["express_points_spent_per_order"] == pytest.approx(-4 / 3)
    assert a["regular_points_saved"] == -6
    assert (a["trn_sum_from_iss"], a["trn_sum_from_red"]) == (160, 20)
    assert a["days_since_last_order"] == pytest.approx(1 / 86400)
    assert a["days_since_first_order"] == 45.5
    assert a["days_since_express_points_spent"] == a["days_since_last_order"]
    assert (a["orders_last_7_days"], a["orders_last_30_days"], a["orders_last_90_days"]) == (2, 2, 3)
    assert (a["paid_last_7_days"], a["paid_last_90_days"], a["paid_total"]) == (150, 180, 180)
    assert a["paid_share_30_of_90_days"] == pytest.approx(150 / 180)
    assert (a["stores_visited"], a["favourite_store_share"]) == (2, pytest.approx(2 / 3))
    assert (a["age"], a["gender_F"], a["gender_U"]) == (30, 1, 0)
    assert (a["fis_transformed"], a["frd_transformed"], a["fis_frd_dist"]) == (10, 5, 5)
    assert a["never_redeemed"] == 0
    b, c = table.loc["b"], table.loc["c"]
    assert (b["n_orders"], b["paid_total"], b["avg_alcohol_products_per_order"]) == (1, 80, 0)
    assert (b["fis_transformed"], b["never_redeemed"]) == (0.5, 1)
    assert b[["age", "frd_transformed", "fis_frd_dist", "brand_score", "days_between_orders"]].isna().all()
    assert (c["n_orders"], c["paid_total"], c["stores_visited"], c["gender_U"]) == (0, 0, 0, 1)
    assert c[["age", "avg_paid_per_order", "night_share", "days_since_last_order", "fis_transformed"]].isna().all()


def test_what_does_not_count_is_counted_and_said(tmp_path: Path) -> None:
    found = features_of(write_layout(tmp_path, hand_made()))
    assert found.counts["purchase_rows"] == 6
    assert found.counts["purchase_rows_after_campaign"] == 1
    assert found.counts["ages_set_missing"] == 2
    assert found.counts["first_issues_after_campaign"] == 1
    assert found.counts["first_redeems_after_campaign"] == 1
    campaign = "is on or after the campaign (2019-03-19 00:00)"
    assert found.notes == [
        f"purchases.csv: column 'transaction_datetime' {campaign} in 1 of 6 rows: not used",
        "clients.csv: column 'age' lies outside 14 to 100 in 2 of 3 rows: set missing",
        f"clients.csv: column 'first_issue_date' {campaign} in 1 of 3 rows: set missing",
        f"clients.csv: column 'first_redeem_date' {campaign} in 1 of 3 rows: set missing",
    ]


def test_the_26_features_of_the_study_are_those_of_pandas(folder: Path, found: Features) -> None:
    assert len(STUDY_FEATURES) == 26
    theirs = study_features(*read_folder(folder), pd.Timestamp(CAMPAIGN))
    assert_frame_equal(found.frame[["client_id", *STUDY_FEATURES]], theirs, check_dtype=False, rtol=1e-9, atol=2e-6)


def test_every_feature_stands_in_the_dictionary(found: Features) -> None:
    rows = list(csv.DictReader(DICTIONARY.read_text().splitlines()))
    assert [row["name"] for row in rows] == list(dict.fromkeys(row["name"] for row in rows))
    assert {row["name"] for row in rows} == set(found.frame.columns) - {"client_id"}
    assert all(row[column].strip() for row in rows for column in ("name", "meaning", "unit", "source", "window"))


def test_features_have_ranges_that_their_names_promise(found: Features) -> None:
    table = found.frame
    shares = table[[name for name in table if "_share" in str(name)]].to_numpy()
    assert np.nanmin(shares) >= 0
    assert np.nanmax(shares) <= 1
    days = table[["monday_share", "tuesday_share", "wednesday_share", "thursday_share", "friday_share"]].sum(axis=1)
    assert np.allclose(days + table["weekend_order_share"], 1)
    assert np.allclose(table[["night_share", "morning_share", "afternoon_share", "evening_share"]].sum(axis=1), 1)
    assert (table["orders_last_7_days"] <= table["orders_last_30_days"]).all()
    assert (table["orders_last_90_days"] <= table["n_orders"]).all()
    assert (table["days_since_last_order"] > 0).all()


@pytest.mark.parametrize("settings", [{"threads": 2}, {"memory": "200MB"}, {"memory": "200MB", "threads": 2}])
def test_threads_and_memory_change_no_bit(folder: Path, found: Features, settings: dict[str, Any]) -> None:
    assert_frame_equal(features_of(folder, **settings).frame, found.frame, check_exact=True)


def test_the_order_of_rows_and_columns_changes_no_bit(tmp_path: Path, layout: Layout, found: Features) -> None:
    rng = np.random.default_rng(1)
    shuffled = {
        name: table.sample(frac=1, random_state=2)[list(rng.permutation(table.columns))]
        for name, table in layout.items()
    }
    assert_frame_equal(features_of(write_layout(tmp_path, shuffled)).frame, found.frame, check_exact=True)


@pytest.mark.parametrize("suffix", [".csv.gz", ".parquet"])
def test_gzip_and_parquet_are_read_like_csv(tmp_path: Path, layout: Layout, found: Features, suffix: str) -> None:
    for name, table in layout.items():
        write = table.to_csv if suffix == ".csv.gz" else table.to_parquet
        write(tmp_path / f"{name}{suffix}", index=False)
    assert_frame_equal(features_of(tmp_path).frame, found.frame, check_exact=True)


def test_progress_goes_from_nothing_to_all(folder: Path) -> None:
    files = [
        find_file(folder, name, "folder", types)
        for name, types in (("clients", CLIENTS), ("products", PRODUCTS), ("purchases", PURCHASES))
    ]
    told: list[float] = []
    customer_features(*files, Settings(CAMPAIGN), told.append)
    assert told[-1] == 1
    assert all(0 <= share <= 1 for share in told)


def test_unknown_products_are_bought_but_not_known(tmp_path: Path) -> None:
    layout = hand_made()
    layout["purchases"].loc[0, "product_id"] = "tea"
    found = features_of(write_layout(tmp_path, layout))
    assert found.counts["purchase_rows_unknown_product"] == 1
    assert "holds products that are not in products.csv in 1 of 6 rows" in found.notes[1]
    a = found.frame.iloc[0]
    assert a["products_per_order"] == pytest.approx(4 / 3)
    assert a["avg_trademarks"] == 0.25


def test_unknown_clients_are_dropped_if_told(tmp_path: Path) -> None:
    layout = hand_made()
    layout["purchases"].loc[4, "client_id"] = "stranger"
    folder = write_layout(tmp_path, layout)
    with pytest.raises(
        InputError, match=r"purchases\.csv: column 'client_id' .* in 1 of 6 rows \(such as 'stranger'\)"
    ):
        features_of(folder)
    found = features_of(folder, unknown_clients="drop")
    assert found.counts["purchase_rows_unknown_client"] == 1
    assert list(found.frame["n_orders"]) == [3, 0, 0]


def change(column: str, row: int, value: object) -> Callable[[Layout], None]:
    def apply(layout: Layout) -> None:
        table = layout["purchases"].astype({column: object})
        table.loc[row, column] = value
        layout["purchases"] = table

    return apply


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (change("transaction_datetime", 2, "soon"), "1 row cannot be read; the first is line 4, whose column "
         "'transaction_datetime' holds 'soon'; expected a date and time"),
        (change("purchase_sum", 1, "12,5"), "1 row cannot be read; the first is line 3, whose column 'purchase_sum' "
         "holds '12,5'; expected a number"),
        (change("product_quantity", 0, "inf"), "column 'product_quantity' holds 'inf'; expected a number"),
        (change("transaction_datetime", 2, ""), "column 'transaction_datetime' is missing in 1 of 6 rows"),
        (change("transaction_id", 2, ""), "column 'transaction_id' is missing in 1 of 6 rows"),
        (change("client_id", 2, ""), "column 'client_id' holds clients that are not in clients.csv in 1 of 6 rows"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_found_with_file_column_and_row(
    tmp_path: Path, fault: Callable[[Layout], None], message: str
) -> None:
    layout = hand_made()
    fault(layout)
    with pytest.raises(InputError) as caught:
        features_of(write_layout(tmp_path, layout))
    assert str(caught.value).startswith("purchases.csv: ")
    assert message in str(caught.value)


def test_a_log_that_lies_wholly_after_the_campaign_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"on or after the campaign \(2018-01-01 00:00\) in all 6 rows"):
        features_of(write_layout(tmp_path, hand_made()), campaign=datetime(2018, 1, 1))


@pytest.mark.parametrize("memory", ["much", "10 apples"])
def test_an_impossible_memory_limit_is_named(folder: Path, memory: str) -> None:
    with pytest.raises(InputError, match=r"data\.memory_limit: "):
        features_of(folder, memory=memory)


def test_too_little_memory_says_what_to_raise(folder: Path) -> None:
    with pytest.raises(InputError, match=r"data\.memory_limit is too little to aggregate"):
        features_of(folder, memory="1MB")


@needs_x5
def test_real_histories_of_x5_counted_by_hand(tmp_path: Path) -> None:
    found = features_of(write_layout(tmp_path, real_histories()))
    assert len(found.frame) == 101
    assert found.counts["purchase_rows"] == 10_862
    assert found.counts["receipts"] == 1_760
    assert found.counts["purchase_rows_unknown_product"] == 0
    table = found.frame.set_index("client_id")
    # Counted in the file itself.
    by_hand = {
        "001e840150": (19, 136, 7955.0, 20, 0, 71.55, 29, 76.1, -43, 0, 151, 1, 13),
        "00078c508d": (8, 24, 2905.94, 4, 4, 14.377, 3, 17.7, -22, -30, 24, 2, 7),
        "0008b2cb41": (9, 43, 4724.41, 9, 2, 21.74, 0, 72.8, 0, 0, 48, 3, 10),
    }
    for client, values in by_hand.items():
        orders, rows, paid, own, alcohol, netto, weekend, received, regular, express, pieces, stores, kinds = values
        row = table.loc[client]
        assert row["n_orders"] == orders
        assert row["products_per_order"] == pytest.approx(rows / orders)
        assert row["paid_total"] == pytest.approx(paid)
        assert row["avg_paid_per_order"] == pytest.approx(paid / orders)
        assert row["avg_trademarks"] == pytest.approx(own / rows)
        assert row["avg_alcohol_products_per_order"] == pytest.approx(alcohol / orders)
        assert row["avg_netto_per_order"] == pytest.approx(netto / orders)
        assert row["is_weekend"] == pytest.approx(weekend / orders)
        assert row["avg_regular_points_received_per_order"] == pytest.approx(received / orders)
        assert row["regular_points_spent_per_order"] == pytest.approx(regular / orders)
        assert row["express_points_spent_per_order"] == pytest.approx(express / orders)
        assert row["quantity_per_order"] == pytest.approx(pieces / orders)
        assert row["stores_visited"] == stores
        assert row["categories_bought"] == kinds
    assert table.loc["001e840150", "morning_share"] == pytest.approx(7 / 19)
    assert table.loc["00078c508d", "evening_share"] == pytest.approx(1 / 8)
    assert table.loc["0008b2cb41", "night_share"] == pytest.approx(1 / 9)
    assert table["age"].isna().sum() == found.counts["ages_set_missing"] > 0
