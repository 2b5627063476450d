"""Contributions of columns add up to contributions of features, and the words for them are true."""

import numpy as np
import pandas as pd
import pytest

from promotions.base.encoding import fit_encoder
from promotions.explanation import alike_together, by_feature, most_telling

N = 600


@pytest.fixture
def customers():
    rng = np.random.default_rng(1)
    paid = rng.gamma(2, 100, N)
    age = np.where(rng.random(N) < 0.2, np.nan, rng.integers(18, 80, N))
    return pd.DataFrame(
        {"paid": paid, "points": 2 * paid + rng.normal(0, 1, N), "age": age, "zip": rng.choice(list("abc"), N)}
    )


@pytest.fixture
def contributions(customers):
    """Money raises, points lower by as much, age is bent, zip c is best; nothing else."""
    paid = (customers["paid"] - customers["paid"].mean()).to_numpy()
    return pd.DataFrame(
        {
            "paid": 0.010 * paid,
            "points": -0.009 * paid,
            "age": (customers["age"].fillna(45) - 48).abs() / 100,
            "zip": customers["zip"].map({"a": -0.1, "b": 0.0, "c": 0.2}).to_numpy(),
            "unused": 0.0,
        }
    )


@pytest.fixture
def frame(customers):
    return customers.assign(unused=np.arange(N))


def test_the_columns_of_a_feature_are_added_up(customers):
    encoder = fit_encoder(customers, ["zip", "age", "paid"])
    assert encoder.columns == ["zip=" + level for level in customers["zip"].value_counts().index] + [
        "age", "age__missing", "paid",
    ]  # fmt: skip
    values = np.random.default_rng(2).normal(size=(N, len(encoder.columns)))
    together = by_feature(values, encoder.sources)
    assert list(together) == ["zip", "age", "paid"]
    np.testing.assert_allclose(together["zip"], values[:, :3].sum(axis=1))
    np.testing.assert_allclose(together["age"], values[:, 3] + values[:, 4])
    np.testing.assert_allclose(together.sum(axis=1), values.sum(axis=1), atol=1e-12)


def test_features_that_tell_the_same_stand_together_and_cancel(contributions, frame):
    together, groups = alike_together(contributions, frame, 0.9)
    assert groups["paid"] == ["paid", "points"]
    assert "points" not in together
    assert all(len(group) == 1 for name, group in groups.items() if name != "paid")
    np.testing.assert_allclose(together["paid"], contributions["paid"] + contributions["points"])
    np.testing.assert_allclose(together.sum(axis=1), contributions.sum(axis=1), atol=1e-12)


def test_the_opposite_order_tells_the_same_too_and_one_puts_nothing_together(contributions, frame):
    turned = frame.assign(points=-frame["points"])
    assert alike_together(contributions, turned, 0.9)[1]["paid"] == ["paid", "points"]
    assert all(len(group) == 1 for group in alike_together(contributions, frame, 1.0)[1].values())


def test_every_two_of_a_group_are_alike_not_only_neighbours_in_a_chain():
    rng = np.random.default_rng(3)
    steps = rng.normal(size=(4000, 3))
    chain = pd.DataFrame({"a": steps[:, 0], "b": steps[:, :2].sum(axis=1), "c": steps.sum(axis=1)})
    assert chain.corr("spearman").loc["a", "b"] > 0.65
    assert chain.corr("spearman").loc["b", "c"] > 0.65
    groups = alike_together(chain, chain, 0.65)[1]
    assert sorted(map(len, groups.values())) == [1, 2]


def test_order_of_columns_and_customers_does_not_change_groups(contributions, frame):
    _, groups = alike_together(contributions, frame, 0.9)
    order = np.random.default_rng(5).permutation(N)
    columns = list(contributions)[::-1]
    again = alike_together(
        contributions.iloc[order][columns].reset_index(drop=True), frame.iloc[order].reset_index(drop=True), 0.9
    )[1]
    assert again == groups


def test_the_table_is_in_order_of_size_in_the_words_of_the_dictionary(contributions, frame):
    table = most_telling(contributions, frame, {"paid": ("Money on all receipts", "money")}, 10)
    size = contributions.abs().mean()
    assert list(table["feature"]) == list(size.sort_values(ascending=False).index)
    assert table["share"].sum() == pytest.approx(1)
    first = table.iloc[0]
    assert (first["meaning"], first["unit"]) == ("Money on all receipts", "money")
    assert first["mean_absolute"] == pytest.approx(size["paid"])
    assert first["median"] == pytest.approx(frame["paid"].median())
    assert len(most_telling(contributions, frame, {}, 2)) == 2


def test_directions_are_told_as_they_are(contributions, frame):
    table = most_telling(contributions, frame, {}, 10).set_index("feature")
    assert table.loc["paid", "direction"] == "rises with it"
    assert table.loc["points", "direction"] == "falls with it"
    assert table.loc["points", "correlation"] < -0.99
    assert table.loc["age", "direction"] == "not monotone"
    assert table.loc["zip", "direction"] == "highest for c, lowest for a"
    assert table.loc["unused", "direction"] == "no effect"
    assert table.loc["age", "missing"] == pytest.approx(frame["age"].isna().mean())
    assert table.loc["paid", "at_low"] < 0 < table.loc["paid", "at_high"]
    assert (table.loc["zip", "at_low"], table.loc["zip", "at_high"]) == pytest.approx((-0.1, 0.2))


def test_a_rising_feature_with_noise_mostly_rises():
    rng = np.random.default_rng(6)
    value = rng.normal(size=2000)
    table = most_telling(pd.DataFrame({"a": value + rng.normal(size=2000)}), pd.DataFrame({"a": value}), {}, 1)
    assert table.loc[0, "direction"] == "mostly rises with it"


@pytest.mark.parametrize("ones", [0.1, 0.9])
def test_the_ends_of_a_flag_are_its_two_values(ones):
    flag = (np.arange(1000) < 1000 * ones).astype(int)
    table = most_telling(pd.DataFrame({"a": np.where(flag == 1, 0.5, -0.25)}), pd.DataFrame({"a": flag}), {}, 1)
    assert (table.loc[0, "at_low"], table.loc[0, "at_high"]) == pytest.approx((-0.25, 0.5))


def test_a_feature_that_nobody_has_is_said_so():
    table = most_telling(pd.DataFrame({"a": np.ones(5)}), pd.DataFrame({"a": np.full(5, np.nan)}), {}, 1)
    assert (table.loc[0, "direction"], table.loc[0, "missing"]) == ("never known", 1.0)
    assert (table.loc[0, "at_low"], table.loc[0, "at_high"]) == (1.0, 1.0)
