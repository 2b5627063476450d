"""Tables that stages wrote, joined in the canonical order of customers."""

import pandas as pd
import pytest

from promotions.errors import InputError
from tables import aligned, codes_of_clusters, read_for, read_split


def test_rows_come_in_the_order_that_is_asked_for():
    table = pd.DataFrame({"customer_id": ["c", "a", "b"], "cate": [3.0, 1.0, 2.0]})
    assert list(aligned(table, pd.Series(["b", "c"]), "cate")["cate"]) == [2.0, 3.0]


def test_a_customer_that_a_table_lacks_is_counted_and_the_table_named():
    table = pd.DataFrame({"customer_id": ["a"], "cate": [1.0]})
    with pytest.raises(InputError, match=r"data/cate/x\.parquet lacks 2 of 3 customers; run `dvc repro`"):
        aligned(table, pd.Series(["a", "b", "c"]), "data/cate/x.parquet")


def test_a_table_is_read_for_the_customers_that_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"customer_id": ["c", "a", "b"], "cate": [3.0, 1.0, 2.0]}).to_parquet("x.parquet")
    read = read_for("x.parquet", pd.Series(["b", "c"], index=[7, 3]))
    pd.testing.assert_frame_equal(read, pd.DataFrame({"customer_id": ["b", "c"], "cate": [2.0, 3.0]}))
    with pytest.raises(InputError, match=r"^x\.parquet lacks 1 of 2 customers; run `dvc repro`"):
        read_for("x.parquet", pd.Series(["a", "d"]))
    with pytest.raises(InputError, match=r"no file at 'y\.parquet'"):
        read_for("y.parquet", pd.Series(["a"]))


def test_customers_without_a_cluster_column_are_clusters_of_their_own():
    customers = pd.DataFrame({"customer_id": ["b", "a", "c"]})
    assert list(codes_of_clusters(customers)) == [1, 0, 2]
    assert list(codes_of_clusters(customers.assign(cluster_id=["x", "y", "x"]))) == [0, 1, 0]


def test_the_split_is_one_part_a_customer_and_a_fold_for_train_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "split").mkdir(parents=True)
    for part, rows in {
        "train": pd.DataFrame({"customer_id": ["a", "d"], "fold": [4, 0]}),
        "select": pd.DataFrame({"customer_id": ["b"]}),
        "final": pd.DataFrame({"customer_id": ["c"]}),
    }.items():
        rows.to_parquet(tmp_path / "data" / "split" / f"{part}.parquet")
    split = read_split(pd.Series(["a", "b", "c", "d"]))
    assert list(split["part"]) == ["train", "select", "final", "train"]
    assert list(split["fold"]) == [4, -1, -1, 0]
