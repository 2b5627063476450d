"""Decisions for new customers by any champion: of one learner, of several, of none, with a limit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from promotions.base.encoding import fit_encoder
from promotions.base.names import ENSEMBLE
from promotions.base.rounding import significant
from promotions.economics import Economics
from promotions.learners.ensemble import Ensemble
from promotions.learners.fitted import LinearEffect
from promotions.policies import CONSTANTS, POLICIES, Rule
from promotions.policies.budget import Budgeted
from promotions.policies.files import save_rules
from promotions.policies.rule import Budget
from promotions.policies.threshold import Threshold
from promotions.scoring.scorer import Scorer
from tests.support.fitted_rules import Vote, VoteRules

ECONOMICS = Economics(1.0, 4.0)
COEFFICIENTS = {"a_learner": [1.0, 0.0], "b_learner": [0.0, 1.0], "idle": [3.0, 3.0]}
RULES: dict[str, Rule] = {
    **CONSTANTS,
    "threshold.a_learner": Threshold("a_learner"),
    "budget.ensemble": Budgeted(ENSEMBLE, share=0.2),
    "vote.all": Vote(("a_learner", "b_learner", ENSEMBLE), 0.5),
}


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    ids = [f"c{number}" for number in range(300)]
    return pd.DataFrame({"customer_id": ids, "age": rng.normal(size=300), "spend": rng.normal(size=300)})


@pytest.fixture
def models(customers: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two learners, each of one column, their mixture, a third one that it does not use, and the rules."""
    monkeypatch.setitem(POLICIES, "vote", VoteRules)
    encoder = fit_encoder(customers, ["age", "spend"])
    (tmp_path / "encoder.json").write_text(json.dumps(encoder.to_json()))
    for name, coefficients in COEFFICIENTS.items():
        folder = tmp_path / "learners" / name
        folder.mkdir(parents=True)
        LinearEffect(0.25, np.array(coefficients), np.zeros(2), np.ones(2), 10.0).save(folder)
    for name in ("policy", ENSEMBLE):
        (tmp_path / name).mkdir()
    weights = {"a_learner": 0.5, "b_learner": 0.5, "idle": 0.0, "constant": 0.0}
    Ensemble("stacking", weights, 0.0, pd.DataFrame()).save(tmp_path / ENSEMBLE)
    save_rules(tmp_path / "policy", RULES, ECONOMICS)
    return tmp_path


def effects_of(customers: pd.DataFrame) -> dict[str, Any]:
    effects = {"a_learner": significant(0.25 + customers["age"]), "b_learner": significant(0.25 + customers["spend"])}
    return {**effects, ENSEMBLE: (effects["a_learner"] + effects["b_learner"]) / 2}


def test_a_rule_of_one_learner_reads_no_other(models: Path, customers: pd.DataFrame) -> None:
    scorer = Scorer.load(models, "threshold.a_learner", ENSEMBLE)
    assert scorer.learner == "a_learner"
    assert list(scorer.effects) == ["a_learner"]
    frame, charge = scorer.score(customers)
    np.testing.assert_allclose(frame["cate"], effects_of(customers)["a_learner"])
    np.testing.assert_array_equal(frame["treat"], (customers["age"] >= 0).astype(int))
    assert (charge == 1).all()


def test_a_rule_of_several_learners_sees_the_effects_of_each_and_tells_the_one_that_is_shown(
    models: Path, customers: pd.DataFrame
) -> None:
    scorer = Scorer.load(models, "vote.all", ENSEMBLE)
    assert list(scorer.effects) == ["a_learner", "b_learner"]
    frame, _ = scorer.score(customers)
    effects = effects_of(customers)
    votes = np.sum([4 * effect - 1 >= 0 for effect in effects.values()], axis=0)
    np.testing.assert_array_equal(frame["treat"], (votes >= 1.5).astype(int))
    assert 0 < frame["treat"].mean() < 1
    np.testing.assert_allclose(frame["cate"], effects[ENSEMBLE])
    assert set(frame["reason"]) == {"too few learners expect a gain", "enough learners expect a gain"}
    alone = Scorer.load(models, "vote.all", "idle")
    idle = significant(0.25 + 3 * customers[["age", "spend"]].sum(axis=1))
    np.testing.assert_allclose(alone.score(customers)[0]["cate"], idle)


def test_a_rule_that_asks_nobody_tells_the_effect_that_is_shown(models: Path, customers: pd.DataFrame) -> None:
    scorer = Scorer.load(models, "treat_all", "b_learner")
    frame, _ = scorer.score(customers)
    assert (frame["treat"] == 1).all()
    np.testing.assert_allclose(frame["cate"], effects_of(customers)["b_learner"])


def test_the_limit_of_a_rule_is_left_to_the_list(models: Path, customers: pd.DataFrame) -> None:
    scorer = Scorer.load(models, "budget.ensemble", "a_learner")
    assert (scorer.learner, scorer.budget) == (ENSEMBLE, Budget(share=0.2))
    frame, _ = scorer.score(customers)
    np.testing.assert_array_equal(frame["treat"], (effects_of(customers)[ENSEMBLE] >= 0.25).astype(int))
    assert frame["treat"].mean() > 0.2
