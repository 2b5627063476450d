"""Rules without a learner, a tree and groups: what they see, what they say, and what they refuse."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from promotions.base.errors import InputError
from promotions.economics import Economics
from promotions.policies import Audience, decide, read_families
from tests.support.fitted_rules import learn

TREE = {"depth": 2, "cuts": 16, "min_leaf": 20}
GROUPS = {"by": ["predicted_outcome", "shop"], "bins": 4, "rule": "mean"}


def population(n: int, seed: int) -> Audience:
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, n).astype(float)
    frame = pd.DataFrame({"age": age, "shop": rng.choice(["north", "south"], n)})
    features, outcome = np.column_stack([age, rng.normal(size=n)]), rng.random(n)
    ids = np.array([f"c{number}" for number in range(n)], dtype=object)
    return Audience(ids, frame, features, np.column_stack([outcome, outcome]), Economics(1, 1))


def gains(customers: Audience, noise: float, seed: int) -> np.ndarray:
    """Treating pays for those of 45 and more."""
    old = customers.frame["age"].to_numpy() >= 45
    return np.where(old, 1.0, -1.0) + noise * np.random.default_rng(seed).normal(size=len(old))


def test_a_planted_rule_is_found_and_told() -> None:
    train, new = population(3000, 1), population(500, 2)
    section = {"tree": TREE | {"depth": 1, "cuts": 255}, "groups": GROUPS | {"by": []}}
    rules = learn(section, train, gain=gains(train, 1.0, 3), columns=("age", "noise"))
    sentences = {name: rule.sentence for name, rule in rules.items() if rule.sentence}
    assert sentences == {"tree.depth_1": "treat if age ≥ 45"}
    decisions = decide(rules, new, {})
    np.testing.assert_array_equal(decisions["tree.depth_1"], (new.frame["age"] >= 45).astype(int))


def test_groups_go_by_columns_and_by_the_predicted_outcome() -> None:
    train, new = population(4000, 1), population(700, 2)
    scores = np.where(train.outcomes[:, 0] < 0.5, 1.0, -1.0) + np.random.default_rng(4).normal(size=4000)
    rules = learn({"tree": TREE, "groups": GROUPS}, train, gain=scores, columns=("age", "noise"))
    decisions = decide(rules, new, {})
    assert list(decisions) == ["treat_all", "treat_none", "tree.depth_2", "groups.predicted_outcome", "groups.shop"]
    treated = decisions["groups.predicted_outcome"].to_numpy() == 1
    assert (treated == (new.outcomes[:, 0] < 0.5)).mean() > 0.97
    assert set(decisions.to_numpy().ravel()) <= {0, 1}
    sentence = rules["groups.predicted_outcome"].sentence
    assert float(sentence.removeprefix("treat where predicted_outcome is below ")) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("tree", "groups", "message"),
    [
        ({"depth": 4}, {}, "policy.tree.depth: expected a whole number"),
        ({"cuts": 0}, {}, "policy.tree.cuts: expected a whole number"),
        ({"leafs": 1}, {}, "policy.tree.leafs is unknown"),
        ({}, {"by": "age"}, "policy.groups.by: expected a list of columns"),
        ({}, {"rule": "median"}, "policy.groups.rule: 'median' is unknown"),
        ({}, {"bins": 1}, "policy.groups.bins: expected a whole number"),
    ],
)
def test_a_wrong_parameter_is_named(tree: dict[str, Any], groups: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_families({"tree": TREE | tree, "groups": GROUPS | groups})
    assert message in str(caught.value)


def test_an_unknown_column_is_named_with_those_that_exist() -> None:
    train = population(300, 1)
    section = {"tree": TREE, "groups": GROUPS | {"by": ["tenure"]}}
    with pytest.raises(InputError, match=r"no column 'tenure'; it is predicted_outcome or one of age, shop"):
        learn(section, train, gain=gains(train, 1.0, 3), columns=("age", "noise"))
