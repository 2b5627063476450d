"""The discount pipeline, run for real: what a change reruns, what it prints, what stops it, and the real files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.project import ROOT, Project, copy_project

TARGETS = ["discounts/dvc.yaml"]
OF_MARGIN = {
    "discount_effect",
    "discount_rdd",
    "discount_did",
    "discount_groups",
    "discount_policy",
    "discount_evaluate",
}
OWN = {"margin": 0.05, "margin_is": "own", "margin_own": 0.05}
TABLES = ("observational", "randomised", "cutoff", "panel")
# The documents of a run whose profit is at a margin.
OF_PROFIT = ("effect", "rdd", "did", "groups", "policies")
SHARED = ROOT.parent / "shared" / "data" / "discount"


@pytest.fixture(scope="module")
def finished_discounts(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which the discount stages, made small, have run and are committed."""
    project = copy_project(tmp_path_factory.mktemp("discounts"))
    project.dvc("repro", *TARGETS)
    project.commit("run")
    return project


@pytest.fixture
def discounts(finished_discounts: Project) -> Project:
    """That project as it was committed."""
    finished_discounts.run("git", "checkout", "-q", "--", ".")
    finished_discounts.run("git", "clean", "-qfd")
    # What DVC keeps of the stages that have run; the others have nothing yet.
    finished_discounts.run("dvc", "checkout")
    return finished_discounts


def metrics_of(project: Project) -> dict[str, bytes]:
    folder = project.folder / "metrics"
    return {file.name: file.read_bytes() for file in [*(folder / "discount").glob("*.json"), folder / "discount.json"]}


def read(project: Project, name: str) -> dict[str, Any]:
    return dict(json.loads((project.folder / "metrics" / "discount" / f"{name}.json").read_text()))


def test_every_stage_has_run_and_says_that_it_is_simulated(discounts: Project) -> None:
    names = {"prepare", "effect", "rdd", "did", "groups", "cate", "policies", "discount"}
    assert {Path(name).stem for name in metrics_of(discounts)} == names
    for content in map(json.loads, metrics_of(discounts).values()):
        assert content["simulated"] is True
        assert content["source"] == "simulated"
    headline = discounts.metric("discount")["discount"]
    assert headline["regret_per_customer"] == pytest.approx(
        headline["oracle_profit_per_customer"] - headline["true_profit_per_customer"], abs=1e-6
    )
    assert headline["regret_per_customer"] >= 0
    assert "Data and pipelines are up to date." in discounts.dvc("repro", *TARGETS)


def test_metrics_do_not_depend_on_threads(discounts: Project) -> None:
    before = metrics_of(discounts)
    for stage in ("discount_effect", "discount_cate", "discount_policy", "discount_evaluate"):
        done = discounts.run("python", f"src/{stage}.py", threads=1)
        assert done.returncode == 0, done.stderr
    assert metrics_of(discounts) == before


def test_the_answer_is_printed(discounts: Project) -> None:
    printed = discounts.run("python", "src/discount_headline.py").stdout
    headline = discounts.metric("discount")["discount"]
    assert "SIMULATED DATA" in printed
    assert "Profit is at the tables' own margin of 0.05." in printed
    assert f"* {headline['champion']}" in printed
    assert f"{headline['lift_over_best_constant']:+.2f} per customer" in printed
    (discounts.folder / "metrics/discount/rdd.json").unlink()
    printed = discounts.run("python", "src/discount_headline.py").stdout
    assert (
        "no answer: metrics/discount/rdd.json: it is not there; run `dvc repro discounts/dvc.yaml:discount_rdd`"
        in printed
    )
    assert f"* {headline['champion']}" in printed


def test_no_answer_of_another_margin_is_printed(discounts: Project) -> None:
    set_param("margin", value=0.06)(discounts)
    done = discounts.run("python", "src/discount_headline.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no answer about discounts is of the present parameters and data: ")
    assert "discount.margin is 0.06 and was null" in done.stderr
    assert done.stderr.count("\n") == 1


def use_files(project: Project, margin: float | None = None, **absent: None) -> None:
    """Write the simulated tables as the user's files, and point discount.source at them. margin: of their profit."""
    (project.folder / "mine").mkdir()
    for name in TABLES:
        table = pd.read_parquet(project.folder / f"data/discount/{name}.parquet").drop(columns="row")
        if margin is not None:
            table["profit"] = (margin * table["sales"] - table["discount"]).round(2)
        table.to_csv(project.folder / "mine" / f"{name}.csv", index=False)
    files = {"directory": "mine", **{name: f"{name}.csv" for name in TABLES}, **absent}
    project.params(lambda content: content["discount"].update(source="files", files=files))


def test_a_users_own_margin_holds_unless_another_one_is_asked_about_and_learns_nothing_then(discounts: Project) -> None:
    at_five_cents = metrics_of(discounts)
    use_files(discounts, margin=1.0)
    discounts.dvc("repro", *TARGETS)
    own = {"margin": 1.0, "margin_is": "own", "margin_own": 1.0}
    # What a dollar sells is more than a dollar, so at a margin of 1 a discount pays; at 0.05 it does not.
    effect, rdd, did = (read(discounts, name) for name in ("effect", "rdd", "did"))
    for profit, sales in (
        (effect["profit"]["randomised"], effect["sales"]["randomised"]),
        (effect["profit"]["linear_dml"], effect["sales"]["linear_dml"]),
        (rdd["profit_per_dollar"]["global_linear"], rdd["sales_per_dollar"]["global_linear"]),
        (did["group"]["did_clean"]["profit_per_dollar"], did["group"]["did_clean"]["sales_per_dollar"]),
    ):
        assert profit > 0
        assert profit == pytest.approx(sales - 1, abs=0.05)
    assert json.loads(at_five_cents["effect.json"])["profit"]["randomised"] < 0
    assert discounts.metric("discount")["discount"]["mean_dose"] > 1.5 * mean_dose(at_five_cents)
    assert "Profit is at the tables' own margin of 1." in discounts.run("python", "src/discount_headline.py").stdout

    # Another margin reruns what depends on it and learns no response again.
    before = metrics_of(discounts)
    output = discounts.dvc("exp", "run", *TARGETS, "-S", "discount.margin=0.05")
    assert set(discounts.stages_run(output)) == {f"discounts/dvc.yaml:{stage}" for stage in OF_MARGIN}
    after = metrics_of(discounts)
    assert {name for name in after if after[name] != before[name]} == set(after) - {"prepare.json", "cate.json"}
    what_if = {"margin": 0.05, "margin_is": "what_if", "margin_own": 1.0}
    for content, margin in ((at_five_cents, OWN), (before, own), (after, what_if)):
        assert all(margin.items() <= json.loads(content[f"{name}.json"]).items() for name in OF_PROFIT)
        assert margin.items() <= json.loads(content["discount.json"])["discount"].items()
    asked, simulated = read(discounts, "effect"), json.loads(at_five_cents["effect.json"])
    assert asked["sales"]["randomised"] == json.loads(before["effect.json"])["sales"]["randomised"]
    for name in ("naive", "randomised"):
        assert asked["profit"][name] == pytest.approx(simulated["profit"][name], abs=1e-4)
    printed = discounts.run("python", "src/discount_headline.py").stdout
    assert "Profit is at a what-if margin of 0.05, instead of the tables' own 1." in printed
    assert "Profit is at a what-if margin of 0.05, instead of the test's own 1." in printed


def mean_dose(metrics: dict[str, bytes]) -> float:
    return float(json.loads(metrics["discount.json"])["discount"]["mean_dose"])


def test_a_table_that_states_no_margin_keeps_its_profit_and_a_rule_needs_a_number(discounts: Project) -> None:
    use_files(discounts)
    path = discounts.folder / "mine/randomised.csv"
    table = pd.read_csv(path)
    table["profit"] += (np.arange(len(table)) % 7) * 0.01 * table["sales"]
    table.to_csv(path, index=False)
    set_param("checks", "on_identity", value="warn")(discounts)
    stages = ["discounts/dvc.yaml:discount_effect", "discounts/dvc.yaml:discount_evaluate"]
    done = discounts.run("dvc", "repro", "--keep-going", *stages)
    assert done.returncode != 0
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "the rows of the randomised table state no margin" in error
    effect = read(discounts, "effect")
    assert (effect["margin"], effect["margin_is"]) == (0.05, "own")
    assert (effect["margin_test_is"], "margin_test" in effect) == ("unstated", False)
    expected = np.polyfit(table["discount"], table["profit"], 1)[0]
    assert effect["profit"]["randomised"] == pytest.approx(expected, rel=1e-6)
    discounts.dvc("exp", "run", stages[1], "-S", "discount.margin=0.05")
    assert {"margin": 0.05, "margin_is": "what_if"}.items() <= read(discounts, "policies").items()
    assert "margin_own" not in read(discounts, "policies")


@pytest.mark.parametrize("stage", sorted(OF_MARGIN))
@pytest.mark.parametrize("value", [0, 1.5])
def test_all_stages_refuse_the_same_margins_in_the_same_words(discounts: Project, stage: str, value: float) -> None:
    set_param("margin", value=value)(discounts)
    before = metrics_of(discounts)
    done = discounts.run("python", f"src/{stage}.py")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr == (
        f"error: discount.margin: expected a share in (0, 1], got {value}; write null for the tables' own margin\n"
    )
    assert metrics_of(discounts) == before


def test_without_a_randomised_table_the_stages_that_can_run_do(discounts: Project) -> None:
    use_files(discounts, randomised=None)
    done = discounts.run("dvc", "repro", "--keep-going", *TARGETS)
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 2
    assert all("randomised" in line for line in errors)
    succeeded = {"prepare", "effect", "rdd", "did"}
    assert all(json.loads(metrics_of(discounts)[f"{name}.json"])["source"] == "files" for name in succeeded)
    profit = read(discounts, "effect")["profit"]
    assert "randomised" not in profit
    # The rules that are still there were judged on simulated customers, by the run before.
    assert json.loads(metrics_of(discounts)["policies.json"])["simulated"]
    printed = discounts.run("python", "src/discount_headline.py").stdout
    assert f"{profit['naive']:+.4f}" in printed
    assert "the randomised test  " in printed
    assert printed.count("there is no randomised table (discount.files.randomised)") == 2
    for words in (
        "SIMULATED",
        "judged on",
        "Discounts by customer",
        discounts.metric("discount")["discount"]["champion"],
    ):
        assert words not in printed


def test_after_a_stage_that_failed_nothing_of_the_last_run_is_printed(discounts: Project) -> None:
    # As if the environment were installed: its tests run in it.
    (discounts.folder / "environment").mkdir()
    (discounts.folder / "environment/.installed").touch()
    set_param("source", value="files")(discounts)
    done = discounts.run("make", "VENV=environment", "discounts")
    assert done.returncode != 0
    assert "discount.files.observational: no file at 'data/raw/discounts_nonrandom.csv'" in done.stderr
    assert "discount.source is files and was simulated when `discount_prepare` ran" in done.stderr
    for words in ("SIMULATED", "profit", "95 % interval", "Discounts by customer"):
        assert words not in done.stdout


def one_level(project: Project) -> None:
    path = project.folder / "data/discount/randomised.parquet"
    pd.read_parquet(path).assign(discount=10.0).to_parquet(path)


def gap_in_the_region(project: Project) -> None:
    path = project.folder / "data/discount/panel.parquet"
    panel = pd.read_parquet(path)
    panel[(panel["cust_state"] != "MG") | (panel["month"] != 3)].to_parquet(path)


def set_param(*keys: str, value: Any) -> Any:
    def change(project: Project) -> None:
        def edit(content: dict[str, Any]) -> None:
            section = content["discount"]
            for key in keys[:-1]:
                section = section[key]
            section[keys[-1]] = value

        project.params(edit)

    return change


@pytest.mark.parametrize(
    ("stage", "change", "message"),
    [
        ("discount_cate", one_level, "level"),
        ("discount_effect", one_level, "level"),
        ("discount_rdd", set_param("rdd", "cutoff", value=99), "99"),
        ("discount_did", set_param("did", "group", value={"column": "gender", "level": "W", "month": 0}), "before"),
        ("discount_did", gap_in_the_region, "MG"),
        ("discount_policy", set_param("margin", value=-1), "discount.margin"),
        ("discount_prepare", set_param("source", value="excel"), "discount.source"),
        ("discount_groups", set_param("groups", "by", value={"wealth": 5}), "wealth"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(discounts: Project, stage: str, change: Any, message: str) -> None:
    change(discounts)
    before = metrics_of(discounts)
    done = discounts.run("python", f"src/{stage}.py")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert metrics_of(discounts) == before
    # The tables themselves are DVC's, and were changed in place.
    discounts.run("dvc", "checkout", "--force")


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real discount files are not in {SHARED}")
def test_the_real_files_give_the_known_numbers_and_the_doses_pay(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    project.run("git", "checkout", "-q", "--", ".")
    whole = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(whole)

    def change(content: dict[str, Any]) -> None:
        content["discount"]["source"] = "files"
        content["discount"]["files"]["directory"] = str(SHARED)
        # None of the numbers below comes from these; the doses of fewer trees and groups have to pay all the same.
        content["discount"]["did"]["curvatures"] = [0.1]
        content["discount"]["effect"]["forest"]["trees"] = 20
        content["discount"]["response"]["groups"] = 4
        content["discount"]["learners"]["causal_forest"]["trees"] = 20

    project.params(change)
    for stage in ("prepare", "effect", "rdd", "did", "groups", "cate", "policy", "evaluate"):
        done = project.run("python", f"src/discount_{stage}.py")
        assert done.returncode == 0, done.stderr
    effect, rdd, did = (read(project, name) for name in ("effect", "rdd", "did"))
    profit, steps = effect["profit"], effect["profit"]["fwl"]["adjusted_sales_prediction_bins"]
    group = did["group"]
    known = [
        (effect["sales"]["naive"], 21.924806313467585, 1e-6),
        (profit["naive"], 0.07431475005627175, 1e-6),
        (profit["ladder"]["adjusted_sales_prediction_bins"]["effect"], -0.02470844, 1e-6),
        (profit["ladder"]["adjusted_sales_prediction_bins"]["effect_classical_se"], 0.01688, 1e-5),
        (steps["effect"], -0.02470844, 1e-6),
        (profit["ladder"]["adjusted_sales_prediction_bins_age"]["effect"], -0.053224, 1e-6),
        (profit["ladder"]["adjusted_sales_prediction_bins_age"]["effect_classical_se"], 0.01565, 1e-5),
        (steps["outcome_variance_before"], 545.40, 5e-3),
        (steps["outcome_variance_after"], 512.57, 5e-3),
        (effect["sales"]["randomised"], 19.286765416, 1e-6),
        (profit["randomised"], -0.03566112670736, 1e-6),
        (profit["randomised_classical_se"], 0.005887, 1e-6),
        (profit["randomised_above_threshold"], -7.955100647304356, 1e-6),
        (rdd["discount"]["global_linear"], 184.7626, 1e-4),
        (rdd["profit"]["global_linear"], -7.60153, 1e-5),
        (rdd["profit"]["global_linear_classical_se"], 1.6326, 1e-4),
        (rdd["profit"]["triangular_4"], -8.3126, 1e-4),
        (rdd["profit"]["triangular_3"], -6.1449, 1e-4),
        (group["did"]["profit"], -4.773501642, 1e-6),
        (group["did"]["profit_classical_se"], 0.62465, 1e-5),
        (group["did_known"]["profit"], -5.2566, 1e-4),
        (group["before_after"]["profit"], 7.141746, 1e-6),
        (group["cross_section"]["profit"], -7.124377, 1e-6),
    ]
    assert [(found, stated) for found, stated, within in known if found != pytest.approx(stated, abs=within)] == []
    # Two of the files are at one margin and two at another; each keeps its own.
    margins = [(did, "margin", 0.05), (rdd, "margin", 0.049), (effect, "margin", 0.049), (effect, "margin_test", 0.05)]
    margins += [(read(project, name), "margin", 0.05) for name in ("groups", "policies")]
    for document, key, margin in margins:
        assert (document[key], document[f"{key}_is"], document[f"{key}_own"]) == (margin, "own", margin)
    # Each contaminated number stands beside a clean one.
    assert profit["contaminated"] == pytest.approx(-0.22, abs=0.01)
    assert group["did"]["contaminated"]
    assert not group["did_clean"]["contaminated"]
    oldest = list(read(project, "groups")["columns"]["age"]["profit"]["bins"].values())[-1]
    assert oldest["effect"] == pytest.approx(0.096, abs=5e-4)
    barred = json.loads((tmp_path / "data/discount/roles.json").read_text())["barred"]
    assert {f"spend_{month}m_groceries" for month in (3, 4, 5, 6)} <= set(barred)
    headline = project.metric("discount")["discount"]
    assert headline["lift_over_best_constant_ci_low"] > 0
    # A hand-made rule, 100 and more for customers over 40, has about 2.1.
    assert headline["lift_over_best_constant"] > 2.1
