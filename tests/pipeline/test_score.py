"""The champion applied to new customers: the pipeline's own decisions, hostile names, budgets, drift, bad input."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from promotions.scoring.listing import Allowance, Listing
from promotions.scoring.scorer import Scorer
from promotions.sources.new_customers import NewTable
from promotions.user_files import UserFile
from tests.support.project import FEW, Project, copy_project

HOSTILE = ["=cmd|'/c calc'!A1", "<script>alert(1)</script>", "-2+3;=1", 'a "quoted", name', "@SUM(A1)"]
COLUMNS = ["customer_id", "cate", "expected_profit", "treat", "reason"]


def experiment(n: int = 3000) -> pd.DataFrame:
    """A table whose effect depends on age and shop; with gaps, levels and ids that are not nice."""
    rng = np.random.default_rng(1)
    age = rng.integers(18, 80, n).astype(float)
    shop = rng.choice(["north", "south", "=1+1", "<script>alert(1)</script>"], n)
    treated = rng.integers(0, 2, n)
    effect = np.where(age >= 45, 0.25, 0.0) + np.where(shop == "=1+1", 0.1, 0.0)
    visits = (rng.random(n) < 0.2 + treated * effect).astype(int)
    ids = [*HOSTILE, *(f"{number:05d}x" for number in range(n - len(HOSTILE)))]
    age[rng.random(n) < 0.05] = np.nan
    return pd.DataFrame({"id": ids, "sms": treated, "visit": visits, "age": age, "shop": shop, "noise": rng.normal(size=n)})  # fmt: skip  # noqa: E501


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished run on a table of one's own, with a budget and groups by a category."""
    project = copy_project(tmp_path_factory.mktemp("score"))
    experiment().to_csv(project.folder / "mine.csv", index=False)
    project.keep_learners(FEW)

    def change(content: dict[str, Any]) -> None:
        table = {"path": "mine.csv", "id": "id", "treatment": "sms", "outcome": "visit"}
        content["data"].update(source="table", table=content["data"]["table"] | table)
        content["costs"].update(cost_per_treatment=0.5, revenue_per_response=4)
        content["policy"]["budget"] = {"share": 0.2, "money": None}
        content["policy"]["groups"]["by"] = ["predicted_outcome", "shop"]

    project.params(change)
    project.dvc("repro", "evaluate")
    return project


def score(project: Project, new: str, *options: str, out: str = "out.csv") -> pd.DataFrame:
    done = project.run("python", "src/score.py", new, "--out", out, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    project_out = project.folder / out
    return pd.read_csv(project_out) if out.endswith(".csv") else pd.read_parquet(project_out)


def scored(project: Project, name: str, learner: str) -> pd.DataFrame:
    """new.csv as a policy has it."""
    scorer = Scorer.load(project.folder / "models", name, learner)
    piece = next(NewTable(UserFile(project.folder / "new.csv", "new.csv"), scorer.encoder, "id").pieces())
    frame, charge = scorer.score(piece)
    allowance = Allowance.of(scorer.budget, None, None)
    if not allowance.limits:
        return frame
    listing = Listing(gains=True)
    listing.add(frame, charge)
    return listing.limited(frame, listing.afford(allowance))


def champion(project: Project, name: str) -> None:
    """Make a policy the champion, and DVC believe that `evaluate` chose it."""
    headline = project.metric("headline") | {"champion": name, "learner": learner_of(name)}
    (project.folder / "metrics" / "headline.json").write_text(json.dumps(headline))
    project.dvc("commit", "--force", "evaluate")


def learner_of(name: str) -> str:
    """Whose effects a policy goes by."""
    rule, _, learner = name.partition(".")
    return learner if rule in ("threshold", "weighted", "budget") else "ensemble"


# The later tests go on with what the last of the two leaves.
@pytest.mark.parametrize("charged", ["on_response", "on_treatment"])
def test_every_policy_decides_as_the_pipeline_did(shop: Project, charged: str) -> None:
    shop.params(lambda content: content["costs"].update(charged=charged))
    shop.dvc("repro", "evaluate")
    champion(shop, "budget.ensemble")
    decisions = pd.read_parquet(shop.folder / "data/policy/decisions.parquet").set_index("customer_id")
    # The list that a budget was shared out to.
    table = experiment().set_index("id").loc[decisions.index].reset_index(names="id")
    table.drop(columns=["sms", "visit"]).to_csv(shop.folder / "new.csv", index=False)
    assert len(decisions.columns) == 2 + 3 * (len(FEW) + 1) + 3
    for name in decisions:
        learner = learner_of(name)
        # One of them by the command, the others by what it calls.
        found = score(shop, "new.csv", out="out.parquet") if name == "budget.ensemble" else scored(shop, name, learner)
        found = found.set_index("customer_id")
        assert list(found.index) == list(decisions.index)
        np.testing.assert_array_equal(found["treat"], decisions[name], err_msg=name)
        cate = pd.read_parquet(shop.folder / "data/effects.parquet").set_index("customer_id")[learner]
        np.testing.assert_array_equal(found["cate"], cate.loc[found.index])
        assert ("cate_low" in found) == (learner == "causal_forest")
        assert (found["reason"].str.len() > 5).all()


def test_hostile_names_stay_text(shop: Project) -> None:
    champion(shop, "groups.shop")
    experiment(200).drop(columns=["sms", "visit"]).to_csv(shop.folder / "new.csv", index=False)
    done = shop.run("python", "src/score.py", "new.csv", "--out", "out.csv")
    assert "3 ids would be formulas in a spreadsheet" in done.stdout
    with (shop.folder / "out.csv").open(newline="") as lines:
        rows = list(csv.reader(lines))
    assert rows[0] == COLUMNS
    assert [row[0] for row in rows[1:6]] == ["'" + HOSTILE[0], HOSTILE[1], "'" + HOSTILE[2], HOSTILE[3], "'" + HOSTILE[4]]  # fmt: skip  # noqa: E501
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "@", "+"))]
    assert "shop is =1+1" in {row[-1] for row in rows}
    # Every text stands in quotation marks: a spreadsheet that parts cells at semicolons finds none in it.
    assert (shop.folder / "out.csv").read_text().splitlines()[3].startswith('"\'-2+3;=1",')


def test_the_same_list_gives_the_same_bytes_on_any_number_of_threads(shop: Project) -> None:
    champion(shop, "weighted.ensemble")
    written = []
    for threads in (1, 2):
        done = shop.run("python", "src/score.py", "mine.csv", "--out", "out.csv", threads=threads)
        assert done.returncode == 0, done.stderr
        written.append((shop.folder / "out.csv").read_bytes())
    assert written[0] == written[1]


def test_a_budget_goes_to_the_best_of_those_whom_the_rule_treats(shop: Project) -> None:
    champion(shop, "threshold.s_learner")
    everybody = score(shop, "mine.csv")
    assert everybody["treat"].sum() > 600
    shared = score(shop, "mine.csv", "--max-share", "0.1")
    bought = score(shop, "mine.csv", "--budget", "150")
    alone = score(shop, "mine.csv", "--budget", "150", "--only-treated")
    assert shared["treat"].sum() == bought["treat"].sum() == len(alone) == 300
    assert (everybody["treat"][bought["treat"] == 1] == 1).all()
    left = (everybody["treat"] == 1) & (bought["treat"] == 0)
    assert bought["expected_profit"][bought["treat"] == 1].min() >= everybody["expected_profit"][left].max()
    assert set(bought["reason"][left]) == {"effect at least C/R = 0.125, but beyond the budget"}
    assert list(alone["customer_id"]) == list(bought["customer_id"][bought["treat"] == 1])


def test_other_customers_are_noticed(shop: Project) -> None:
    champion(shop, "threshold.s_learner")
    older = experiment(500).assign(age=lambda table: table["age"] + 30)
    older.loc[:19, "shop"] = "west"
    older.to_csv(shop.folder / "older.csv", index=False)
    done = shop.run("python", "src/score.py", "older.csv", "--out", "older_out.csv")
    assert "warning: age differs a lot from training: population stability index" in done.stdout
    assert "warning: shop: 20 customers have a level that training never had" in done.stdout
    assert "noise" not in done.stdout
    stopped = shop.run("python", "src/score.py", "older.csv", "--out", "stopped.csv", "--on-drift", "stop")
    assert stopped.returncode == 2
    assert "differ from training" in stopped.stderr
    assert not (shop.folder / "stopped.csv").exists()
    assert "features are distributed as in training" in shop.run("python", "src/score.py", "mine.csv", "--out", "o.csv").stdout  # fmt: skip  # noqa: E501


def wrong(**columns: Any) -> pd.DataFrame:
    return experiment(100).assign(**columns)


BAD: dict[str, tuple[pd.DataFrame | bytes, list[str], str]] = {
    "missing column": (experiment(50).drop(columns="age"), [], "column 'age' is missing; the file has 'id', 'sms'"),
    "no ids": (experiment(50).drop(columns="id"), [], "column 'id' is missing; the file has"),
    "another id": (experiment(50), ["--id", "number"], "column 'number' is missing"),
    "text": (wrong(age="old"), [], "column 'age' is not a number, but was one in training (first: data row 1, 'old')"),
    "twice": (pd.concat([experiment(30), experiment(10)]), [], "rows 1 and 31 have the same id"),
    "empty": (b"", [], "empty; expected a header line"),
    "no rows": (experiment(50)[:0], [], "no rows; expected one row a customer"),
    "a budget": (experiment(50), ["--budget", "-1"], "--budget: expected"),
    "a share": (experiment(50), ["--max-share", "2"], "--max-share: expected"),
    "a date": (experiment(50), ["--campaign-date", "2026-01-01"], "is a table, whose features are ready"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_one_line_and_leaves_the_last_list(shop: Project, case: str) -> None:
    table, options, message = BAD[case]
    file = shop.folder / "bad.csv"
    if isinstance(table, bytes):
        file.write_bytes(table)
    else:
        table.to_csv(file, index=False)
    (shop.folder / "kept.csv").write_text("kept")
    done = shop.run("python", "src/score.py", "bad.csv", "--out", "kept.csv", *options)
    assert done.returncode == 2
    assert message in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "Traceback" not in done.stderr
    assert (shop.folder / "kept.csv").read_text() == "kept"
    assert not list(shop.folder.glob(".kept*"))


def test_where_it_cannot_write_it_says_so_before_it_works(shop: Project) -> None:
    for out, message in (("list.xlsx", "does not name a table"), ("nowhere/list.csv", "there is no folder")):
        done = shop.run("python", "src/score.py", "mine.csv", "--out", out)
        assert done.returncode == 2
        assert message in done.stderr


def test_costs_that_have_changed_are_noticed(shop: Project) -> None:
    champion(shop, "treat_all")
    shop.params(lambda content: content["costs"].update(cost_per_treatment=0.75))
    assert (
        "params.yaml has other costs by now" in shop.run("python", "src/score.py", "mine.csv", "--out", "o.csv").stdout
    )
    shop.params(lambda content: content["costs"].update(cost_per_treatment=0.5))


def test_memory_does_not_grow_with_the_list(shop: Project) -> None:
    """A row more takes its 8 bytes and no row of features: peaks of 50,000 and of 450,000 customers."""
    champion(shop, "threshold.s_learner")
    peaks = []
    for pieces in (1, 9):
        rng = np.random.default_rng(2)
        n = 50_000 * pieces
        path = shop.folder / "many.csv"
        pd.DataFrame(
            {"id": np.arange(n), "age": rng.integers(18, 80, n), "shop": "north", "noise": rng.normal(size=n)}
        ).to_csv(path, index=False)
        code = (
            "import resource, runpy, sys; sys.argv[0] = 'src/score.py'; sys.path.insert(0, 'src');"
            "runpy.run_path('src/score.py', run_name='__main__');"
            "print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        done = shop.run("python", "-c", code, "many.csv", "--out", "many_out.csv")
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.split("peak ")[1]) * (1 if sys.platform == "darwin" else 1024))
    assert Path(shop.folder / "many_out.csv").stat().st_size > 1e7
    assert peaks[1] - peaks[0] < 120e6, peaks


def test_no_list_is_made_of_two_runs(shop: Project) -> None:
    def refused() -> str:
        done = shop.run("python", "src/score.py", "mine.csv", "--out", "mixed.csv")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
        assert not (shop.folder / "mixed.csv").exists()
        return done.stderr

    champion(shop, "weighted.s_learner")
    shop.params(lambda content: content["costs"].update(cost_per_treatment=0.3))
    # Half-way through a run: the rules are new, and who is champion was decided among the old ones.
    shop.dvc("repro", "policy")
    assert "data/policy/decisions.parquet anew, and `evaluate` has not run since; run `dvc repro report`" in refused()
    shop.dvc("repro", "evaluate")
    champion(shop, "weighted.s_learner")
    score(shop, "mine.csv")
    for model in ("models/encoder.json", "models/policy/model.json", "models/learners/s_learner/model.json"):
        whole = (shop.folder / model).read_text()
        (shop.folder / model).write_text(whole + "\n")
        assert "and its companions are not from one run: it is not what `" in refused()
        (shop.folder / model).write_text(whole)
    # A model that the champion does not ask may be gone.
    shop.run("rm", "-r", "models/learners/double_ml")
    score(shop, "mine.csv")
    (shop.folder / "dvc.lock").unlink()
    assert "dvc.lock records no run that wrote it" in refused()


def test_it_runs_without_a_pipeline_and_says_what_is_missing(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    environment = {**os.environ, "PYTHONPATH": "src"}
    done = subprocess.run(
        [sys.executable, "src/score.py", "x.csv", "--out", "y.csv"],
        cwd=project.folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "an earlier stage writes it: run `dvc repro`" in done.stderr
