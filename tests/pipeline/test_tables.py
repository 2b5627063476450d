"""Tables that stages wrote, joined in the canonical order of customers."""

import pandas as pd
import pytest

from pipeline.tables import aligned, codes_of_clusters, read_for, read_round, read_split, read_unseen, rounds_of
from promotions.base.errors import InputError


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


@pytest.fixture
def split(tmp_path, monkeypatch):
    """Customers a to e: a and d train, b selects, c and e report, e after c."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "split").mkdir(parents=True)
    for part, rows in {
        "train": {"customer_id": ["d", "a"], "fold": [4, 1], "segment": [0, 0]},
        "select": {"customer_id": ["b"], "fold": [0], "segment": [1]},
        "final": {"customer_id": ["e", "c"], "fold": [2, 3], "segment": [3, 2]},
    }.items():
        pd.DataFrame(rows).to_parquet(tmp_path / "data" / "split" / f"{part}.parquet")
    return read_split(pd.Series(list("abcde")))


def test_parts_folds_and_segments_come_back_in_the_order_of_the_customers(split):
    assert list(split["part"]) == ["train", "select", "final", "train", "final"]
    assert list(split["fold"]) == [1, 0, 3, 4, 2]
    assert list(split["segment"]) == [0, 1, 2, 0, 3]


def test_a_round_trains_on_earlier_segments_and_predicts_its_own(split):
    rounds = rounds_of(split)
    assert [each.number for each in rounds] == [1, 2, 3]
    assert [list(each.train) for each in rounds[:2]] == [
        [True, False, False, True, False],
        [True, True, False, True, False],
    ]
    assert [list(each.target) for each in rounds[1:]] == [
        [False, False, True, False, False],
        [False, False, False, False, True],
    ]


def test_what_a_customer_is_judged_by_comes_from_the_round_that_had_not_seen_it(split, tmp_path):
    table = pd.DataFrame(
        {"customer_id": list("abc") + list("abce"), "cate": [1.0, 2, 3, 10, 20, 30, 50], "round": [2] * 3 + [3] * 4}
    )
    table.to_parquet(tmp_path / "cate.parquet")
    scored = pd.DataFrame({"customer_id": ["e", "c"], "segment": [3, 2]})
    assert list(read_unseen("cate.parquet", scored)["cate"]) == [50, 3]
    assert list(read_round("cate.parquet", 3, pd.Series(["c", "a"]))["cate"]) == [30, 10]
    with pytest.raises(InputError, match=r"cate\.parquet, round 2, lacks 1 of 1 customers"):
        read_round("cate.parquet", 2, pd.Series(["e"]))
