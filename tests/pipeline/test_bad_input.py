"""A user's mistake ends in one clear line, exit status 2, and nothing half-written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.project import Project, copy_project

Table = pd.DataFrame


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One project for all mistakes: none of them leaves a trace."""
    project = copy_project(tmp_path_factory.mktemp("bad"))
    project.params(
        lambda content: content["data"].update(
            source="table",
            table=content["data"]["table"] | {"path": "mine.csv", "id": "id", "treatment": "t", "outcome": "y"},
        )
    )
    project.commit("table")
    return project


def good(rows: int = 400) -> Table:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": [f"c{number}" for number in range(rows)],
            "t": rng.integers(0, 2, rows),
            "y": rng.integers(0, 2, rows).astype(float),
            "age": rng.normal(40, 10, rows),
            "share": 0.5,
        }
    )


def with_value(column: str, row: int, value: object) -> Table:
    table = good().astype({column: object})
    table.loc[row, column] = value
    return table


TABLES: dict[str, tuple[Table, str]] = {
    "missing column": (good().drop(columns="y"), "column 'y' is missing"),
    "treatment not 0/1": (with_value("t", 7, 3), "column 'treatment' is neither 0 nor 1 in 1 of 400 rows"),
    "treatment in words": (with_value("t", 7, "yes"), "column 'treatment' is missing or not a number in 1 of 400 rows"),
    "outcome missing": (with_value("y", 3, np.nan), "column 'outcome' is missing or not a number in 1 of 400 rows"),
    "empty arm": (good().assign(t=0), "no customer is treated"),
    "duplicate ids": (with_value("id", 5, "c4"), "column 'customer_id' occurs more than once in 2 of 400 rows"),
    "empty table": (good(0), "has no rows"),
    "no features": (good()[["id", "t", "y"]], "no feature column"),
    "propensity column": (good().assign(share=1.0), "column 'propensity' lies outside (0, 1) in 400 of 400 rows"),
    "constant outcome": (good().assign(y=3.5), "column 'outcome' is 3.5 for every customer"),
    "sample ratio": (good(4000).assign(t=lambda table: (table.index % 10 < 7).astype(int)), "sample ratio mismatch"),
    "post-treatment": (
        good(4000).assign(later=lambda table: table["t"] + table["age"] / 50),
        "column 'later' depends on",
    ),
    "estimated, and a column of that name": (good().assign(estimate=0.5), "has a column of that name too"),
    "estimated, nobody to compare": (
        good().assign(later=lambda table: table["t"] + table["age"] / 1000),
        "feature 'later' (",
    ),
    "estimated, too few": (good(60), "customers of 60 have an estimated chance of treatment within 0.05 to 0.95"),
    "estimated, an empty arm": (good().assign(t=1), "no customer is control"),
}
# Instead of one half.
PROPENSITIES = {"propensity column": "share"} | {name: "estimate" for name in TABLES if name.startswith("estimated")}


def fails(project: Project, *command: str) -> str:
    """The one line of a failing command."""
    before = {file for file in project.folder.rglob("*") if ".git" not in file.parts}
    done = project.run("python", *command)
    assert done.returncode == 2, done.stdout + done.stderr
    # `prepare` prints what it found before it stops.
    assert done.stdout == "" or done.stdout.startswith("check ")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    after = {file for file in project.folder.rglob("*") if ".git" not in file.parts}
    assert {file for file in after - before if "__pycache__" not in file.parts} == set()
    return done.stderr


@pytest.mark.parametrize("mistake", TABLES)
def test_a_wrong_table(shared: Project, mistake: str) -> None:
    table, expected = TABLES[mistake]
    table.to_csv(shared.folder / "mine.csv", index=False)
    if propensity := PROPENSITIES.get(mistake):
        shared.params(lambda content: content["data"]["table"].update(propensity=propensity))
    ingested = shared.run("python", "src/ingest.py")
    command = "src/ingest.py" if ingested.returncode else "src/prepare.py"
    try:
        assert expected in fails(shared, command)
    finally:
        shared.run("git", "checkout", "-q", "--", "params.yaml")
        shared.run("rm", "-rf", "data/ingested", "data/truth", "mine.csv")


def setting(*keys: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


PARAMETERS: list[tuple[str, Callable[[dict[str, Any]], None], str]] = [
    (
        "src/ingest.py",
        setting("data", "table", "path", value="nowhere.csv"),
        "data.table.path: no file at 'nowhere.csv'",
    ),
    ("src/ingest.py", setting("data", "source", value="x6"), "data.source: 'x6' is unknown; it is one of simulated"),
    ("src/policy.py", setting("costs", "cost_per_treatment", value=-1), "costs.cost_per_treatment: expected 0 or more"),
    (
        "src/policy.py",
        setting("costs", "cost_per_treatment", value="two"),
        "costs.cost_per_treatment: expected a number",
    ),
    (
        "src/policy.py",
        setting("costs", "revenue_per_response", value=None),
        "costs.revenue_per_response: expected a number",
    ),
    (
        "src/evaluate.py",
        setting("costs", "revenue_per_response", value=-5),
        "costs.revenue_per_response: expected 0 or",
    ),
    ("src/evaluate.py", setting("costs", "charged", value="never"), "costs.charged: 'never' is unknown"),
    ("src/evaluate.py", setting("evaluate", "replicates", value=3), "evaluate.replicates: expected a whole number"),
    ("src/policy.py", setting("policy", "weighted", "leafs", value=3), "policy.weighted.leafs is unknown"),
    ("src/evaluate.py", setting("costs", value=3), "costs: expected a section of keys and values, got 3"),
    ("src/split.py", setting("split", "shares", value=0.5), "split.shares: expected a section of keys and values"),
    ("src/split.py", setting("split", "flods", value=5), "split.flods is unknown; the keys of split are shares"),
    ("src/policy.py", setting("policy", "weigthed", value=5), "policy.weigthed is unknown"),
    ("src/evaluate.py", setting("evaluate", "replicate", value=5), "evaluate.replicate is unknown"),
    ("src/ingest.py", setting("data", "source", value=["table"]), "data.source: ['table'] is unknown"),
    ("src/split.py", setting("split", "max_levels", value=0), "split.max_levels: expected a whole number of 1 or more"),
    ("src/nuisance.py", setting("nuisance", "trees", value=0), "nuisance.trees: expected a whole number of 1 or more"),
]


@pytest.mark.parametrize(("script", "change", "expected"), PARAMETERS, ids=[row[2] for row in PARAMETERS])
def test_a_wrong_parameter(
    shared: Project, script: str, change: Callable[[dict[str, Any]], None], expected: str
) -> None:
    shared.params(change)
    try:
        assert expected in fails(shared, script)
    finally:
        shared.run("git", "checkout", "-q", "--", "params.yaml")


# `prepare` on a machine so slow that a hundred seconds pass whenever somebody looks at the clock.
SLOWLY = """
import itertools, runpy, sys, time
time.time = itertools.count(step=100.0).__next__
sys.path.insert(0, "src")
sys.argv = ["src/prepare.py"]
runpy.run_path("src/prepare.py", run_name="__main__")
"""


def test_a_slow_machine_prints_no_bar_before_the_error(shared: Project) -> None:
    table, expected = TABLES["estimated, too few"]
    table.to_csv(shared.folder / "mine.csv", index=False)
    shared.params(setting("data", "table", "propensity", value="estimate"))
    try:
        assert shared.run("python", "src/ingest.py").returncode == 0
        assert expected in fails(shared, "-c", SLOWLY)
    finally:
        shared.run("git", "checkout", "-q", "--", "params.yaml")
        shared.run("rm", "-rf", "data/ingested", "data/truth", "mine.csv")


def test_a_constant_propensity_outside_its_range(shared: Project) -> None:
    good().to_csv(shared.folder / "mine.csv", index=False)
    shared.params(setting("data", "table", "propensity", value=1.2))
    shared.run("python", "src/ingest.py")
    try:
        assert "data.table.propensity: 1.2 lies outside (0, 1)" in fails(shared, "src/prepare.py")
    finally:
        shared.run("git", "checkout", "-q", "--", "params.yaml")
        shared.run("rm", "-rf", "data/ingested", "data/truth", "mine.csv")


def test_an_unknown_learner_names_the_known_ones(shared: Project, tmp_path: Path) -> None:
    good(600).to_csv(shared.folder / "mine.csv", index=False)
    shared.params(setting("learners", value={"y_learner": {}}))
    try:
        for script in ("ingest", "prepare", "split", "nuisance"):
            assert shared.run("python", f"src/{script}.py").returncode == 0
        assert "learners.y_learner is unknown; it is one of causal_forest, double_ml, dr_learner, s_learner" in fails(
            shared, "src/cate.py", "y_learner"
        )
    finally:
        shared.run("git", "checkout", "-q", "--", "params.yaml")
        shared.run("git", "clean", "-qfdx")


def test_a_stage_outside_the_project_says_where_to_run_it(shared: Project, tmp_path: Path) -> None:
    elsewhere = Project(tmp_path)
    assert "run stages from the project's folder" in fails(elsewhere, str(shared.folder / "src" / "ingest.py"))
