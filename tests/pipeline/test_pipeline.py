"""The pipeline as its users run it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.lineage import Lineage, content_of
from tests.support.project import FEW, Project

COSTS = ["policy", "evaluate"]


def leaves(content: dict[str, Any]) -> list[Any]:
    """The values of a metrics file, however deep."""
    found = []
    for value in content.values():
        found += leaves(value) if isinstance(value, dict) else [value]
    return found


def test_a_finished_pipeline_has_every_output_and_running_it_again_does_nothing(restored: Project) -> None:
    names = ["experiment", "headline", "policies", "learners", "rules", "ensemble", "explain", "stability"]
    assert set(restored.metrics()) == {f"{name}.json" for name in names}
    assert "<h1" in (restored.folder / "report" / "index.html").read_text()
    learners = yaml.safe_load((restored.folder / "params.yaml").read_text())["learners"]
    policies = list(restored.metric("policies")["policies"])
    rules = [f"{rule}.{learner}" for learner in [*learners, "ensemble"] for rule in ("threshold", "weighted")]
    assert policies == ["treat_all", "treat_none", *rules, "tree.depth_2", "groups.predicted_outcome"]
    assert "Data and pipelines are up to date." in restored.dvc("repro")


def test_metrics_are_numbers_strings_and_booleans_and_say_that_they_are_simulated(restored: Project) -> None:
    for name in restored.metrics():
        content = restored.metric(Path(name).stem)
        assert content["simulated"] is True
        assert content["source"] == "simulated"
        assert all(isinstance(value, (int, float, str, bool)) for value in leaves(content))


def test_the_contracts_between_stages_hold(restored: Project) -> None:
    data = restored.folder / "data"
    customers = pd.read_parquet(data / "prepared" / "customers.parquet")
    parts = {name: pd.read_parquet(data / "split" / f"{name}.parquet") for name in ("train", "select", "final")}
    members = pd.concat(parts.values())["customer_id"]
    assert sorted(members) == list(customers["customer_id"])
    scores = pd.read_parquet(data / "scores.parquet")
    assert set(scores["customer_id"]) == set(members) - set(parts["train"]["customer_id"])
    decisions = pd.read_parquet(data / "policy" / "decisions.parquet")
    assert list(decisions["customer_id"]) == list(scores["customer_id"])
    assert decisions.drop(columns="customer_id").isin([0, 1]).all(axis=None)
    for file in (data / "cate").glob("*.parquet"):
        cate = pd.read_parquet(file)
        assert list(cate.columns) == ["customer_id", "cate", "round"]
        assert list(cate["customer_id"]) == list(customers["customer_id"])
        assert np.isfinite(cate["cate"]).all()
        assert (restored.folder / "models" / "learners" / file.stem / "model.json").is_file()
    assert not {"mu0", "tau", "outcome"} & set(json.loads((data / "prepared" / "roles.json").read_text())["features"])


def test_new_customers_are_scored_from_raw_files_as_from_their_features(restored: Project) -> None:
    def score(new: str, *options: str) -> pd.DataFrame:
        done = restored.run("python", "src/score.py", new, "--out", "out.csv", *options)
        assert done.returncode == 0, done.stderr
        assert "SIMULATED" in done.stdout
        return pd.read_csv(restored.folder / "out.csv")

    ready = score("data/prepared/customers.parquet")
    pd.testing.assert_frame_equal(score("data/ingested"), ready)
    earlier = score("data/ingested", "--campaign-date", "2019-02-01")
    assert (earlier["cate"] != ready["cate"]).mean() > 0.5
    decided = pd.read_parquet(restored.folder / "data/policy/decisions.parquet").set_index("customer_id")
    champion = decided[restored.metric("headline")["champion"]]
    np.testing.assert_array_equal(ready.set_index("customer_id").loc[decided.index, "treat"], champion)


def test_treating_all_over_none_is_revenue_times_effect_less_cost(restored: Project) -> None:
    scores = pd.read_parquet(restored.folder / "data" / "scores.parquet").query("part == 'final'")
    costs = yaml.safe_load((restored.folder / "params.yaml").read_text())["costs"]
    effect = (scores["dr_1"] - scores["dr_0"]).mean()
    gain = restored.metric("policies")["policies"]["treat_all"]["dr_vs_treat_none"]
    np.testing.assert_allclose(gain, costs["revenue_per_response"] * effect - costs["cost_per_treatment"], rtol=1e-8)


def test_a_new_cost_reruns_policy_and_evaluate_and_what_shows_them(restored: Project) -> None:
    before = restored.metrics()
    output = restored.dvc("exp", "run", "-S", "costs.cost_per_treatment=2")
    # All learners are explained beforehand, so whichever the champion asks, nothing is computed.
    assert restored.stages_run(output) == [*COSTS, "report"]
    assert restored.metric("explain")["learner"] == restored.metric("headline")["learner"]
    after = restored.metrics()
    assert after["headline.json"] != before["headline.json"]
    # Learners are ranked by effects, which no cost changes.
    assert after["learners.json"] == before["learners.json"]
    difference = restored.dvc("metrics", "diff")
    assert "profit_per_customer" in difference
    assert "experiment.json" not in difference


def test_no_page_of_an_earlier_answer_is_left(restored: Project) -> None:
    page = restored.folder / "report" / "index.html"
    assert restored.run("python", "src/headline.py").stdout.endswith("The page for people: report/index.html\n")
    restored.dvc("exp", "run", "evaluate", "-S", "costs.cost_per_treatment=2")
    assert not page.exists()
    printed = restored.run("python", "src/headline.py").stdout
    assert printed.endswith("report/index.html is out of date (it is not there): `dvc repro report` writes it.\n")
    restored.dvc("repro", "report")
    assert restored.run("python", "src/headline.py").stdout.endswith("The page for people: report/index.html\n")
    # Back to what DVC has in its run cache: the stage runs all the same.
    restored.dvc("exp", "run", "evaluate", "-S", "costs.cost_per_treatment=1")
    assert not page.exists()


def test_a_page_of_another_margin_of_the_discounts_is_not_brought_back(restored: Project) -> None:
    page = restored.folder / "report" / "index.html"
    for target in ("discounts/dvc.yaml:discount_groups", "discounts/dvc.yaml:discount_rdd", "report"):
        restored.dvc("repro", target)
    before = page.read_text()
    restored.params(lambda content: content["discount"].update(margin=0.06))
    restored.dvc("repro", "report")
    after = page.read_text()
    # The findings about discounts are of the old margin, and the new one stands among the parameters.
    assert "Discounts: do they pay" in before
    assert "Discounts: do they pay" not in after
    restored.dvc("repro", "discounts/dvc.yaml:discount_groups")
    assert not page.exists()
    restored.dvc("repro", "report")
    assert "For whom a discount pays" in page.read_text()


def test_an_answer_of_other_parameters_or_of_another_revision_is_refused(restored: Project) -> None:
    def refused(*command: str) -> str:
        done = restored.run("python", *command)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stdout + done.stderr
        return done.stderr

    score = ("src/score.py", "data/prepared/customers.parquet", "--out", "out.csv")
    restored.params(lambda content: content["costs"].update(cost_per_treatment=2))
    assert "costs.cost_per_treatment is 2 and was 1 when `policy` ran; run `dvc repro report`" in refused(
        "src/headline.py"
    )
    # By hand, DVC does not know of it.
    for stage in COSTS:
        assert restored.run("python", f"src/{stage}.py").returncode == 0
    assert "is not what `evaluate` wrote in its last run by DVC" in refused("src/headline.py")
    assert "and its companions are not from one run" in refused(*score)
    restored.dvc("repro", "evaluate")
    assert restored.run("python", "src/headline.py").returncode == 0
    # The metrics of the last commit beside the models of today.
    restored.run("git", "checkout", "-q", "--", "metrics")
    assert "metrics/headline.json does not match the present parameters and data" in refused("src/headline.py")
    assert "metrics/headline.json and its companions are not from one run" in refused(*score)
    assert not (restored.folder / "out.csv").exists()


def test_whatever_dvc_has_recorded_is_current_by_our_reading_of_it(restored: Project, monkeypatch: Any) -> None:
    monkeypatch.chdir(restored.folder)
    recorded = yaml.safe_load((restored.folder / "dvc.lock").read_text())["stages"].values()
    written = [out for stage in recorded for out in stage["outs"]]
    lineage = Lineage.read()
    assert {out["path"]: lineage.outdated(out["path"]) for out in written} == {out["path"]: None for out in written}
    folders = [out for out in written if out["md5"].endswith(".dir")]
    assert len(folders) > 10
    assert [content_of(out["path"]) for out in folders] == folders


def test_charging_on_response_refits_nothing_but_in_stability(restored: Project) -> None:
    ran = restored.stages_run(restored.dvc("exp", "run", "-S", "costs.charged=on_response"))
    assert ran == [*COSTS, "stability", "report"]


def test_a_budget_adds_its_rules_and_refits_nothing(restored: Project) -> None:
    ran = restored.stages_run(restored.dvc("exp", "run", "report", "-S", "policy.budget.share=0.1"))
    assert ran == [*COSTS, "report"]
    policies = restored.metric("policies")["policies"]
    shares = [row["share_treated"] for name, row in policies.items() if name.startswith("budget.")]
    assert len(shares) == 10
    # A tenth of select and final together; of final alone, about.
    assert all(share < 0.13 for share in shares)
    assert max(shares) > 0.07


def test_a_learners_parameter_refits_no_other_learner(restored: Project) -> None:
    output = restored.dvc("exp", "run", "-S", "learners.x_learner.effect.trees=20")
    assert restored.stages_run(output) == ["cate@x_learner", "ensemble", "explain", *COSTS, "stability", "report"]


def test_a_mistyped_override_fails(restored: Project) -> None:
    done = restored.run("dvc", "exp", "run", "-S", "costs.cost_per_contact=2")
    assert done.returncode != 0
    assert "cost_per_contact" in done.stdout + done.stderr


def test_a_deleted_learner_is_gone_everywhere(restored: Project) -> None:
    restored.keep_learners(FEW)
    output = restored.dvc("repro")
    assert restored.stages_run(output) == ["ensemble", "explain", *COSTS, "stability", "report"]
    for name in ("policies", "learners"):
        assert "x_learner" not in json.dumps(restored.metric(name))
    decisions = pd.read_parquet(restored.folder / "data" / "policy" / "decisions.parquet")
    assert len(decisions.columns) == 3 + 2 * (len(FEW) + 1) + 2
    for file in (restored.folder / "plots").glob("*.csv"):
        assert "x_learner" not in file.read_text()


def test_metrics_do_not_depend_on_the_number_of_threads(restored: Project) -> None:
    before = restored.metrics()
    learners = yaml.safe_load((restored.folder / "params.yaml").read_text())["learners"]
    fits = [("src/cate.py", learner) for learner in learners]
    for command in [
        ("src/prepare.py",),
        ("src/nuisance.py",),
        *fits,
        ("src/ensemble.py",),
        *((f"src/{stage}.py",) for stage in COSTS),
    ]:
        done = restored.run("python", *command, threads=1)
        assert done.returncode == 0, done.stderr
    assert restored.metrics() == before


def test_the_true_profit_of_the_champion_and_its_regret_are_reported(restored: Project) -> None:
    headline = restored.metric("headline")
    assert headline["oracle_profit_per_customer"] >= headline["true_profit_per_customer"]
    regret = headline["oracle_profit_per_customer"] - headline["true_profit_per_customer"]
    # Written to eight digits, the two profits are off by half a millionth each.
    np.testing.assert_allclose(headline["regret_per_customer"], regret, atol=1e-6)


def test_the_answer_is_printed_as_a_table(restored: Project) -> None:
    done = restored.run("python", "src/headline.py")
    assert done.returncode == 0
    assert "SIMULATED DATA" in done.stdout
    champion = restored.metric("headline")["champion"]
    assert any(line.startswith(f"* {champion}") for line in done.stdout.splitlines())


def test_stages_print_their_line_and_nothing_else(restored: Project) -> None:
    done = restored.run("python", "src/cate.py", "uplift_forest")
    assert done.returncode == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["cate"]
    assert done.stderr == ""


def test_the_simulation_says_how_much_of_the_truth_is_found(restored: Project) -> None:
    learners = restored.metric("learners")["learners"]
    oracle = learners["oracle"]
    assert oracle["correlation"] == pytest.approx(1)
    assert oracle["rmse"] == pytest.approx(0, abs=1e-12)
    for name, metrics in learners.items():
        assert -1 <= metrics["correlation"] <= 1, name
        for share in (10, 20, 30):
            assert metrics[f"true_uplift_at_{share}"] <= oracle[f"true_uplift_at_{share}"] + 1e-12
