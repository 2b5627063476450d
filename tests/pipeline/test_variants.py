"""Two variants of one learner through the whole pipeline: entries of params.yaml that name their class."""

from typing import Any

import pandas as pd
import pytest

from promotions.scoring.scorer import Scorer
from tests.support.project import Project, copy_project

EFFECT = {"trees": 40, "leaves": 4, "learning_rate": 0.1, "min_leaf": 50}
VARIANTS = {
    "x_learner_deep": {"class": "x_learner", "model": "shared", "effect": EFFECT | {"leaves": 8}},
    "x_learner_shallow": {"class": "x_learner", "model": "shared", "effect": EFFECT | {"leaves": 2}},
    "forest_of_five": {
        "class": "causal_forest", "groups": 5, "sequences": 2, "trees": 10, "leaves": 8, "min_leaf": 100,
        "learning_rate": 0.2, "measuring_rate": 0.4, "held_out": 0.2, "calibrate": True,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished run whose learners are variants alone, with the page and a stability study."""
    project = copy_project(tmp_path_factory.mktemp("variants"))

    def change(content: dict[str, Any]) -> None:
        content["learners"] = VARIANTS

    project.params(change)
    project.dvc("repro", "stability", "report")
    return project


def test_every_variant_is_ranked_judged_mixed_and_shown(project: Project) -> None:
    assert set(project.metric("learners")["learners"]) >= {*VARIANTS, "ensemble"}
    assert {f"threshold.{name}" for name in VARIANTS} <= set(project.metric("policies")["policies"])
    assert set(project.metric("ensemble")["weights"]) >= set(VARIANTS)
    page = (project.folder / "report/index.html").read_text()
    assert all(words in page for words in ("X-learner deep", "X-learner shallow", "Forest of five"))
    stable = (project.folder / "metrics/stability.json").read_text()
    assert all(f'"threshold.{name}"' in stable for name in VARIANTS)


def test_rules_of_every_variant_score_new_customers(project: Project) -> None:
    new = pd.read_parquet(project.folder / "data/prepared/customers.parquet").head(200)
    effects = {}
    for name in VARIANTS:
        scorer = Scorer.load(project.folder / "models", f"threshold.{name}", name)
        effects[name] = scorer.score(new)[0]["cate"]
        # The forest has intervals, under whatever name.
        assert (scorer.forest is not None) == (name == "forest_of_five")
    assert (effects["x_learner_deep"] != effects["x_learner_shallow"]).any()
    new.to_csv(project.folder / "new.csv", index=False)
    done = project.run("python", "src/score.py", "new.csv", "--out", "list.csv")
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(project.folder / "list.csv")) == 200


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("deep", {"class": "xlearner"}, "error: learners.deep.class: 'xlearner' is unknown; it is one of "),
        ("deep", {}, "error: learners.deep is unknown; it is one of "),
        ("policy", {"class": "x_learner"}, "error: learners.policy: the name means something else here"),
        ("Deep", {"class": "x_learner"}, "error: learners: 'Deep' cannot be a name; expected lower-case letters"),
    ],
)
def test_an_entry_that_is_no_learner_is_said_in_one_line(
    project: Project, name: str, entry: dict[str, Any], message: str
) -> None:
    project.params(lambda content: content.update(learners={name: entry}))
    done = project.run("python", "src/cate.py", name)
    project.params(lambda content: content.update(learners=VARIANTS))
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
