"""Membership is a function of names and salt alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.base.errors import InputError
from promotions.base.splitting import PARTS, assign_folds, assign_parts, clusters_of, hash_uniform

SHARES = {"train": 0.45, "select": 0.2, "final": 0.35}
NAMES = [f"customer {number}" for number in range(20_000)]


@given(st.permutations([f"c{number}" for number in range(40)]))
def test_membership_does_not_depend_on_the_order_of_rows_nor_on_who_else_is_there(names):
    for assign in (lambda ids: assign_parts(ids, SHARES, "salt"), lambda ids: assign_folds(ids, 5, "salt")):
        together = dict(zip(names, assign(names), strict=True))
        assert together == {name: assign([name])[0] for name in names}


def test_parts_and_folds_have_their_shares():
    parts, folds = assign_parts(NAMES, SHARES, "salt"), assign_folds(NAMES, 5, "salt")
    for part in PARTS:
        assert (parts == part).mean() == pytest.approx(SHARES[part], abs=0.015)
    np.testing.assert_allclose(np.bincount(folds) / len(NAMES), 0.2, atol=0.015)


def test_folds_are_dealt_independently_of_parts():
    parts, folds = assign_parts(NAMES, SHARES, "salt"), assign_folds(NAMES, 5, "salt")
    for part in PARTS:
        np.testing.assert_allclose(np.bincount(folds[parts == part]) / (parts == part).sum(), 0.2, atol=0.03)


def test_the_hash_is_uniform_and_below_one():
    uniform = hash_uniform(NAMES, "salt")
    np.testing.assert_allclose(np.quantile(uniform, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.015)
    assert 0 <= uniform.min() < uniform.max() < 1


def test_customers_of_a_cluster_stay_together():
    clusters = clusters_of(NAMES, [f"household {number // 3}" for number in range(len(NAMES))])
    parts, folds = assign_parts(clusters, SHARES, "salt"), assign_folds(clusters, 5, "salt")
    for members in (parts[:19_998], folds[:19_998]):
        assert (members.reshape(-1, 3) == members[::3][:6666, None]).all()


def test_without_clusters_each_customer_is_alone():
    assert list(clusters_of(["b", "a"], None)) == ["b", "a"]
    assert list(clusters_of(["b", "a"], ["x", "x"])) == ["x", "x"]


def test_another_salt_deals_anew():
    same = (assign_parts(NAMES, SHARES, "salt") == assign_parts(NAMES, SHARES, "pepper")).mean()
    assert same == pytest.approx(sum(share**2 for share in SHARES.values()), abs=0.02)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"train": 0.5, "select": 0.5}, "expected the keys train, select, final"),
        ({**SHARES, "test": 0.1}, "expected the keys train, select, final"),
        ({**SHARES, "final": 0.3}, "sum to 0.95"),
        ({**SHARES, "final": 0}, "split.shares.final: expected a share in .0, 1., got 0"),
        ({**SHARES, "select": -0.2}, "split.shares.select: expected a share"),
        ({**SHARES, "select": float("nan")}, "split.shares.select: expected a share"),
        ({**SHARES, "train": True}, "split.shares.train: expected a share"),
        ({**SHARES, "train": "0.45"}, "split.shares.train: expected a share"),
        ({}, "got none"),
    ],
)
def test_wrong_shares_are_refused_in_one_line(shares, message):
    with pytest.raises(InputError, match=message) as error:
        assign_parts(NAMES[:3], shares, "salt")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("folds", [1, 0, -2, 101, 2.0, True, "5", None])
def test_a_wrong_number_of_folds_is_refused(folds):
    with pytest.raises(InputError, match=r"split\.folds: expected a whole number from 2 to 100"):
        assign_folds(NAMES[:3], folds, "salt")
