"""Which rules there are: read from params.yaml, fitted side by side, in a fixed order, each known by its name."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from promotions.base.errors import InputError
from promotions.economics import Economics
from promotions.policies import (
    CONSTANTS,
    POLICIES,
    Audience,
    GainFamily,
    Training,
    count_steps,
    decide,
    fit_rules,
    read_families,
    rule_of,
    simplicity_of,
)
from promotions.policies.files import load_rule, save_rules
from tests.support.fitted_rules import Vote, VoteRules, learn

PARAMS = yaml.safe_load((Path(__file__).parents[3] / "params.yaml").read_text())
WEIGHTED = {
    "trees": 25, "leaves": [3, 8], "learning_rate": 0.1, "min_leaf": 40, "feature_share": 0.8, "row_share": 0.8,
    "l2": 1,
}  # fmt: skip
TREE = {"depth": 1, "cuts": 8, "min_leaf": 20}
GROUPS = {"by": ["predicted_outcome"], "bins": 3, "rule": "mean"}


def audience_of(experiment, economics):
    ids = np.array([f"c{number}" for number in range(len(experiment.tau))], dtype=object)
    outcomes = np.column_stack([experiment.mu0, experiment.mu0 + experiment.tau])
    return Audience(ids, pd.DataFrame(index=range(len(ids))), experiment.features, outcomes, economics)


def test_with_a_budget_the_best_are_treated_until_it_is_spent(draw):
    train, new = draw(600, 3), draw(100, 4)
    for charged, budget in (
        ("on_treatment", {"share": 0.1, "money": None}),
        ("on_response", {"share": None, "money": 0.05}),
    ):
        economics = Economics(0.2, 4.0, charged)
        mine, theirs = (audience_of(e, economics) for e in (train, new))
        own, cate = (e.tau + e.mu0 / 100 for e in (train, new))
        rules = learn({"budget": budget}, mine, {"t_learner": own})
        treat = decide(rules, theirs, {"t_learner": cate})["budget.t_learner"].to_numpy(bool)
        gain = theirs.gain(cate)
        if charged == "on_treatment":
            assert treat.sum() == 10
            assert gain[treat].min() > gain[~treat].max()
        else:
            spent = (economics.expected_charge(new.mu0 + new.tau) * treat).sum()
            assert 4 < spent <= 5 + 1e-9


@pytest.mark.parametrize("charged", ["on_treatment", "on_response"])
@pytest.mark.parametrize("threads", [1, 2])
def test_policies_stand_learner_by_learner_after_the_constants_and_before_those_that_ask_nobody(draw, charged, threads):
    train, new, seen = draw(600, 3), draw(100, 4), []
    economics = Economics(1.0, 4.0, charged)
    mine, theirs = (audience_of(e, economics) for e in (train, new))
    own, cates = ({"t_learner": e.tau, "a_learner": e.tau / 10} for e in (train, new))
    section = {
        "threshold": {}, "tree": TREE, "groups": GROUPS, "weighted": WEIGHTED, "budget": {"share": 0.5, "money": None},
    }  # fmt: skip
    rules = learn(section, mine, own, columns=tuple("abcde"), threads=threads, progress=lambda: seen.append(1))
    decisions = decide(rules, theirs, cates)
    names = [f"{rule}.{name}" for name in cates for rule in ("threshold", "weighted", "budget")]
    assert list(decisions) == list(rules)
    assert list(rules) == ["treat_all", "treat_none", *names, "tree.depth_1", "groups.predicted_outcome"]
    assert len(seen) == count_steps(read_families(section), 2, 3) == 2 * 3 + 5
    assert set(decisions.dtypes.astype(str)) == {"int8"}
    assert decisions["treat_all"].all()
    assert not decisions["treat_none"].any()
    cost = 1.0 if charged == "on_treatment" else new.mu0 + new.tau
    np.testing.assert_array_equal(decisions["threshold.t_learner"], 4 * new.tau - cost >= 0)


def test_an_entry_that_is_not_there_is_a_rule_that_is_not_there(draw):
    mine = audience_of(draw(200, 1), Economics(1.0, 4.0))
    effects = {"t_learner": np.linspace(-1, 1, 200)}
    assert list(learn({}, mine, effects)) == list(CONSTANTS)
    assert list(learn({"budget": {"share": None, "money": None}}, mine, effects)) == list(CONSTANTS)
    assert list(learn({"threshold": None}, mine, effects)) == [*CONSTANTS, "threshold.t_learner"]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"weigthed": {}}, r"policy\.weigthed is unknown; the keys of policy are threshold, weighted, tree"),
        ({"weighted": 3}, r"policy\.weighted: expected a section of keys and values, got 3"),
        ({"tree": []}, r"policy\.tree: expected a section of keys and values, got \[\]"),
        ({"weighted": None}, r"policy\.weighted\.leaves: expected a list"),
        ({"threshold": {"ratio": 1}}, r"policy\.threshold\.ratio is unknown"),
    ],
)
def test_a_wrong_section_is_named(section, message):
    with pytest.raises(InputError, match=message):
        read_families(section)


def test_params_yaml_asks_for_every_family_and_is_read():
    assert set(read_families(PARAMS["policy"])) == set(POLICIES)


@pytest.mark.parametrize("name", POLICIES)
def test_every_family_has_the_words_that_a_report_needs(name):
    rule = POLICIES[name].rule
    assert rule.title[0].isupper()
    assert rule.meaning.endswith(".")
    assert not rule.advice.format(learner="X-learner").endswith(".")
    assert rule.simplicity > 0
    assert rule_of(f"{name}.x_learner") is rule


def test_simpler_rules_rank_before_harder_ones_and_strangers_last():
    order = ["treat_all", "groups.age", "tree.depth_2", "threshold.x", "budget.x", "weighted.x", "stranger.x"]
    ranks = [simplicity_of(name) for name in order]
    assert ranks == sorted(set(ranks))
    assert simplicity_of("treat_none") == simplicity_of("treat_all") == 0
    assert rule_of("stranger.x") is None


def test_a_new_family_is_an_entry_of_the_registry_and_nothing_else(draw, tmp_path, monkeypatch):
    monkeypatch.setitem(POLICIES, "vote", VoteRules)
    economics = Economics(1.0, 4.0)
    mine, theirs = (audience_of(draw(n, n), economics) for n in (300, 200))
    rng = np.random.default_rng(1)
    own, cates = ({name: rng.normal(0.25, 1, n) for name in "abc"} for n in (300, 200))
    rules = learn({"threshold": {}, "vote": {"share": 0.5}}, mine, own)
    decisions = decide(rules, theirs, cates)
    votes = decisions[[f"threshold.{name}" for name in "abc"]].sum(axis=1)
    np.testing.assert_array_equal(decisions["vote.all"], votes >= 2)
    assert simplicity_of("threshold.a") < simplicity_of("vote.all") < simplicity_of("weighted.a")
    # Its fields are its document.
    save_rules(tmp_path, rules, economics)
    assert load_rule(tmp_path, "vote.all")[0] == rules["vote.all"] == Vote(("a", "b", "c"), 0.5)


class Stuck(GainFamily):
    """A family that hands two tasks to the pool and waits for the first before the second begins."""

    rule = Vote
    uses_pool = True

    @classmethod
    def from_params(cls, params):
        return cls()

    def fit(self, training):
        return {name: training.pool.submit(Vote, (name,), 1.0).result() for name in "ab"}

    def decide_each(self, training, features, gains):
        return gains > 0


def test_families_that_use_the_pool_and_those_that_are_a_task_of_it_do_not_wait_for_each_other(draw):
    mine = audience_of(draw(100, 1), Economics(1.0, 1.0))
    with ThreadPoolExecutor(1) as pool:
        training = Training(
            mine,
            {"a": np.zeros(100)},
            np.zeros(100, np.int8),
            draw(100, 1).scores,
            np.arange(100),
            "abcde",
            {},
            1,
            pool,
        )
        families = read_families({"threshold": {}, "groups": GROUPS}) | {"stuck": Stuck()}
        rules = fit_rules(families, training)
    assert list(rules) == [*CONSTANTS, "threshold.a", "stuck.a", "groups.predicted_outcome", "stuck.b"]
