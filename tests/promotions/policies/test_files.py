"""Rules decide the same once they were saved, and every customer is told why."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from promotions.base.errors import InputError
from promotions.economics import Economics
from promotions.policies import Audience, decide
from promotions.policies.budget import Budgeted
from promotions.policies.constant import Constant
from promotions.policies.files import load_rule, save_rules
from promotions.policies.threshold import Threshold
from promotions.policies.weighted import Classifier, Weighted
from tests.support.fitted_rules import learn

WEIGHTED = {
    "trees": 8, "leaves": [4], "learning_rate": 0.2, "min_leaf": 20, "feature_share": 1, "row_share": 1, "l2": 1,
}  # fmt: skip
SECTION = {
    "threshold": {},
    "weighted": WEIGHTED,
    "tree": {"depth": 2, "cuts": 16, "min_leaf": 20},
    "groups": {"by": ["predicted_outcome", "shop"], "bins": 4, "rule": "mean"},
    "budget": {"share": 0.1, "money": None},
}
ECONOMICS = Economics(1.0, 4.0)


def customers(n: int, seed: int, economics: Economics = ECONOMICS) -> tuple[Audience, np.ndarray]:
    """n customers, of whom those of 45 and more gain, and their effects."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, n).astype(float)
    shop = rng.choice(["north", "south", '=HYPERLINK("x")'], n)
    frame = pd.DataFrame({"age": age, "shop": shop})
    features = np.column_stack([age, shop == "north", rng.normal(size=n)])
    outcomes = rng.random((n, 2))
    ids = np.array([f"c{number}" for number in range(n)], dtype=object)
    cate = np.where(age >= 45, 0.5, 0.0) + rng.normal(0, 0.05, n)
    return Audience(ids, frame, features, outcomes, economics), cate


@pytest.fixture(scope="module")
def rules() -> dict[str, Any]:
    train, cate = customers(1500, 1)
    gain = train.gain(cate) + np.random.default_rng(2).normal(size=1500)
    facts = {"shop=north": ("shop is north", "shop is not north")}
    columns = ("age", "shop=north", "noise")
    learned = learn(SECTION, train, {"t_learner": cate}, gain=gain, columns=columns, facts=facts)
    return learned | {"weighted.nobody": Weighted("nobody", Classifier(False))}


def told(rule, audience, effects):
    """Codes and words of a rule's reasons for its own decisions."""
    return rule.reasons(audience, effects, rule.decide(audience, effects))


def test_what_was_saved_decides_and_explains_the_same(rules, tmp_path) -> None:
    new, cate = customers(400, 3)
    save_rules(tmp_path, rules, ECONOMICS)
    effects = {"t_learner": cate, "nobody": cate}
    for name, rule in rules.items():
        loaded, economics = load_rule(tmp_path, name)
        assert economics == ECONOMICS
        assert type(loaded) is type(rule)
        assert (loaded.learners, loaded.needs_outcomes) == (rule.learners, rule.needs_outcomes)
        assert (loaded.limit, loaded.sentence) == (rule.limit, rule.sentence)
        np.testing.assert_array_equal(loaded.decide(new, effects), rule.decide(new, effects))
        for mine, theirs in zip(told(loaded, new, effects), told(rule, new, effects), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    decisions = decide(rules, new, effects)
    assert 0 < decisions["weighted.t_learner"].mean() < 1
    assert decisions["budget.t_learner"].sum() == 40
    # Text alone: nothing that runs when it is read.
    assert {file.suffix for file in tmp_path.iterdir()} == {".json", ".txt"}


def test_a_reason_belongs_to_one_decision(rules) -> None:
    new, cate = customers(600, 4)
    effects = {"t_learner": cate, "nobody": cate}
    for rule in rules.values():
        treat = rule.decide(new, effects)
        codes, words = rule.reasons(new, effects, treat)
        assert codes.shape == (600,)
        for code in np.unique(codes):
            assert words[code]
            assert len(set(treat[codes == code])) == 1


def test_reasons_say_what_is_true(rules) -> None:
    new, cate = customers(500, 5)
    codes, words = told(Threshold("t_learner"), new, {"t_learner": cate})
    assert words == ["effect below C/R = 0.25", "effect at least C/R = 0.25"]
    np.testing.assert_array_equal(codes, cate >= 0.25)
    codes, words = told(rules["tree.depth_2"], new, {})
    age = new.frame["age"].to_numpy()
    for code, word in enumerate(words):
        limit = float(word.split("age ")[1].split()[1])
        inside = age[codes == code]
        assert ((inside >= limit) if "age ≥" in word else (inside < limit)).all()
    codes, words = told(rules["groups.shop"], new, {})
    assert {words[code] for code in codes} == {f"shop is {shop}" for shop in new.frame["shop"]}
    mine = Audience(new.ids, new.frame.assign(shop="west"), new.features, new.outcomes, ECONOMICS)
    codes, words = told(rules["groups.shop"], mine, {})
    assert {words[code] for code in codes} == {"shop is in no group of training"}
    codes, words = told(Budgeted("t_learner", share=0.1), new, {"t_learner": cate})
    assert np.bincount(codes)[2] == 50
    assert words[2] == "effect at least C/R = 0.25, and within the budget"
    own, _ = customers(500, 5, Economics(np.full(500, 1.0), 4.0))
    _, words = told(Threshold("t_learner"), own, {"t_learner": cate})
    assert words == ["expected to cost more than it earns", "expected to pay"]
    assert told(Constant(True), new, {})[1] == ["treat everybody"]


def test_a_rule_that_is_not_there_is_named(rules, tmp_path) -> None:
    save_rules(tmp_path, rules, ECONOMICS)
    with pytest.raises(InputError, match=r"has no rule 'threshold.x_learner', only treat_all, treat_none, "):
        load_rule(tmp_path, "threshold.x_learner")


def test_a_changed_file_is_refused(rules, tmp_path) -> None:
    save_rules(tmp_path, rules, ECONOMICS)
    trees = tmp_path / "weighted.t_learner.txt"
    trees.write_text(trees.read_text().replace("leaf_value=", "leaf_value=9", 1))
    with pytest.raises(InputError, match=r"weighted\.t_learner\.txt, which is incomplete or was changed"):
        load_rule(tmp_path, "weighted.t_learner")
    # The other rules do not need it.
    assert load_rule(tmp_path, "threshold.t_learner")[0] == Threshold("t_learner")
    document = json.loads((tmp_path / "model.json").read_text())
    document["rules"]["treat_all"] = {"kind": "pickle"}
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="a rule 'treat_all' that cannot be read"):
        load_rule(tmp_path, "treat_all")


def test_a_rule_of_a_kind_that_is_not_listed_is_refused(rules, tmp_path) -> None:
    save_rules(tmp_path, rules | {"vote.all": Threshold("t_learner")}, ECONOMICS)
    with pytest.raises(InputError, match=r"a rule 'vote\.all' of a kind that promotions.policies does not list"):
        load_rule(tmp_path, "vote.all")
