"""The champion: the simplest of the nearly best, chosen before its customers are seen."""

import numpy as np
import pandas as pd
import pytest

from promotions.economics import Economics
from promotions.evaluation.champion import champions_by_segment, choose_champion, decisions_of
from promotions.scores import Scores, make_scores

ECONOMICS = Economics(1.0, 1.0)


def scores_of(gain: np.ndarray, noise: float = 0.0, seed: int = 0) -> Scores:
    """Scores whose profit of treating over not treating, at C = R = 1, is ``gain`` plus noise."""
    rng = np.random.default_rng(seed)
    effect = gain + 1 + noise * rng.normal(size=len(gain))
    dr = np.column_stack([np.zeros(len(gain)), effect])
    return Scores(weight=np.ones_like(dr), ips=dr, dr=dr)


def choose(scores: Scores, decisions: dict[str, np.ndarray], clusters: np.ndarray | None = None) -> str:
    n = len(scores.dr)
    return choose_champion(scores, pd.DataFrame(decisions), ECONOMICS, np.arange(n) if clusters is None else clusters)


def constants(n: int) -> dict[str, np.ndarray]:
    return {"treat_all": np.ones(n, int), "treat_none": np.zeros(n, int)}


def test_a_rule_that_clearly_earns_more_is_chosen():
    gain = np.tile([1.0, -1.0], 500)
    best = {"weighted.x": (gain > 0).astype(int)}
    assert choose(scores_of(gain, 1.0), constants(1000) | best) == "weighted.x"


def test_within_one_standard_error_the_simpler_rule_is_chosen():
    gain = np.tile([0.02, -0.02], 500)
    rules = {f"{rule}.x": (gain > 0).astype(int) for rule in ("weighted", "threshold")}
    assert choose(scores_of(gain, 5.0), constants(1000) | rules) in ("treat_all", "treat_none")
    clear = np.tile([1.0, -1.0], 500)
    assert choose(scores_of(clear, 1.0), constants(1000) | rules) == "threshold.x"
    tree = {"tree": (clear > 0).astype(int)}
    assert choose(scores_of(clear, 1.0), constants(1000) | rules | tree) == "tree"


def test_of_equally_simple_rules_the_one_that_earns_more_is_chosen():
    gain = np.tile([1.0, -1.0, 1.0, -1.0], 250)
    better, good = (gain > 0).astype(int), (gain > 0).astype(int)
    good[:6] = 0
    assert choose(scores_of(gain, 1.0), {"threshold.a": good, "threshold.b": better}) == "threshold.b"


@pytest.mark.parametrize("order", [["b", "a", "c"], ["c", "b", "a"]])
def test_of_equals_the_first_by_name_whatever_the_order_of_columns(order: list[str]):
    same = dict.fromkeys((f"threshold.{name}" for name in order), np.arange(60) % 2)
    assert choose(scores_of(np.linspace(-1, 1, 60)), same) == "threshold.a"


def test_of_policies_that_earn_the_same_a_constant_and_nobody_before_everybody():
    rng = np.random.default_rng(0)
    outcome, treatment = rng.integers(0, 2, 400).astype(float), rng.integers(0, 2, 400).astype(np.int8)
    scores = make_scores(outcome, treatment, np.full(400, 0.5), np.full(400, 0.4), np.full(400, 0.5))
    same = pd.DataFrame(constants(400) | {"a_rule.x": np.zeros(400, int)})
    assert choose_champion(scores, same, Economics(1000.0, 1.0), np.arange(400)) == "treat_none"
    assert choose_champion(scores, same, Economics(0.0, 0.0), np.arange(400)) == "treat_none"


def test_clusters_widen_the_error_and_so_the_preference():
    gain = np.repeat(np.random.default_rng(4).normal(0, 1, 40), 50)
    scores = scores_of(gain - gain.mean() + 0.1)
    rules = {"threshold.x": np.ones(2000, int), "treat_none": np.zeros(2000, int)}
    assert choose(scores, rules) == "threshold.x"
    assert choose(scores, rules, np.repeat(np.arange(40), 50)) == "treat_none"


def test_order_of_rows_and_size_of_money_change_nothing():
    rng = np.random.default_rng(2)
    gain = rng.normal(0.05, 1, 800)
    rules = constants(800) | {f"threshold.{k}": (gain + rng.normal(0, k, 800) > 0).astype(int) for k in (1, 2, 3)}
    scores, order = scores_of(gain, 1.0), rng.permutation(800)
    chosen = choose(scores, rules)
    assert choose(scores.rows(order), {name: values[order] for name, values in rules.items()}) == chosen
    frame = pd.DataFrame(rules)
    assert choose_champion(scores, frame, Economics(1000.0, 1000.0), np.arange(800)) == chosen


def test_a_segment_is_decided_by_what_was_seen_before_it():
    gain = np.concatenate([np.full(500, 1.0), np.full(500, -1.0), np.full(500, -1.0)])
    part = np.repeat(np.array(["select", "final", "final"], dtype=object), 500)
    segment = np.repeat(np.array([1, 2, 3], dtype=np.int8), 500)
    decisions = pd.DataFrame(constants(1500))
    scores = scores_of(np.where(segment == 2, 3 * gain, gain), 0.1)
    champions = champions_by_segment(scores, decisions, ECONOMICS, np.arange(1500), part, segment)
    assert champions == {2: "treat_all", 3: "treat_none"}
    treat = decisions_of(champions, decisions, segment)
    assert treat[segment == 2].all()
    assert not treat[segment == 3].any()


def test_with_a_holdout_final_never_chooses():
    gain = np.concatenate([np.full(300, 1.0), np.full(900, -9.0)])
    part = np.repeat(np.array(["select", "final"], dtype=object), [300, 900])
    champions = champions_by_segment(
        scores_of(gain), pd.DataFrame(constants(1200)), ECONOMICS, np.arange(1200), part, np.ones(1200, np.int8)
    )
    assert champions == {1: "treat_all"}
