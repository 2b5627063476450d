"""A log of contacts that nobody drew by lot, whose truth is known, through the whole pipeline."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from tests.support.project import ROOT, Project, copy_project

COST = 0.8
HILLSTROM = ROOT.parent / "shared" / "data" / "hillstrom.csv"


def log_of_contacts(customers: int = 5000, seed: int = 3) -> pd.DataFrame:
    """Who buys much anyway was contacted more often: the naive difference is twice the effect.

    With the truth: ``base``, the outcome without a contact, and ``tau``, its effect, 0.2 up to 50 years and 1.4 above.
    """
    rng = np.random.default_rng(seed)
    orders, age = rng.normal(size=customers), rng.integers(18, 90, customers).astype(float)
    channel = rng.choice(["web", "shop", "phone"], customers)
    chance = expit(1.2 * orders + 0.8 * (channel == "shop") - 0.4)
    contacted = (rng.random(customers) < chance).astype(int)
    base, tau = 2 + orders + 0.5 * (channel == "shop"), np.where(age > 50, 1.4, 0.2)
    spend = base + tau * contacted + rng.normal(size=customers)
    age[rng.random(customers) < 0.05] = np.nan
    return pd.DataFrame(
        {
            "id": [f"c{number:05d}" for number in rng.permutation(customers)],
            "household": rng.integers(0, customers // 2, customers),
            "contacted": contacted,
            "spend": spend,
            "orders": orders,
            "age": age,
            "channel": channel,
            "noise": rng.normal(size=customers),
            "base": base,
            "tau": tau,
        }
    )


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    return log_of_contacts().set_index("id")


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory, truth: pd.DataFrame) -> Project:
    """A project in which the log has run."""
    project = copy_project(tmp_path_factory.mktemp("observed"))
    project.keep_learners(["double_ml"])
    truth.reset_index().drop(columns=["base", "tau"]).to_csv(project.folder / "log.csv", index=False)

    def change(content: dict[str, Any]) -> None:
        content["data"]["source"] = "table"
        content["data"]["table"] |= {
            "path": "log.csv",
            "id": "id",
            "treatment": "contacted",
            "outcome": "spend",
            "propensity": "estimate",
            "overlap": 0.1,
            "cluster": "household",
        }
        content["costs"] |= {"cost_per_treatment": COST, "revenue_per_response": 1}

    project.params(change)
    project.dvc("repro", "evaluate")
    return project


def kept(project: Project) -> pd.DataFrame:
    return pd.read_parquet(project.folder / "data/prepared/customers.parquet")


def test_the_effect_is_found_where_the_naive_difference_is_far_off(observed: Project, truth: pd.DataFrame) -> None:
    found = observed.metric("experiment")
    effect = float(truth.loc[kept(observed)["customer_id"], "tau"].mean())
    assert found["ate_ci_low"] < effect < found["ate_ci_high"]
    assert found["naive_difference_ci_low"] > effect + 0.5
    assert abs(found["weighted_difference"] - effect) < 0.25 * (found["naive_difference"] - effect)
    assert found["max_abs_smd_after"] < 0.1 < 0.5 < found["max_abs_smd_before"]
    assert found["max_abs_smd_before_feature"] == "orders"


def test_nothing_is_claimed_that_was_not_tested(observed: Project) -> None:
    found = observed.metric("experiment")
    assert found["propensity"] == "estimated"
    assert not {"srm_p_value", "assignment_auc", "assignment_auc_p_value", "max_abs_smd", "mde"} & set(found)
    assert all(isinstance(value, (int, float, str, bool)) for value in found.values())


def test_who_has_nobody_to_be_compared_with_is_left_out_of_everything(observed: Project, truth: pd.DataFrame) -> None:
    found, customers = observed.metric("experiment"), kept(observed)
    assert 0 < found["left_out"] == len(truth) - len(customers) == found["n_read"] - found["n"]
    assert customers["propensity"].between(0.1, 0.9).all()
    parts = [pd.read_parquet(observed.folder / f"data/split/{part}.parquet") for part in ("train", "select", "final")]
    assert set(pd.concat(parts)["customer_id"]) == set(customers["customer_id"])
    gone = truth.drop(customers["customer_id"])
    shares = {arm: float((gone["contacted"] == value).sum() / (truth["contacted"] == value).sum())
              for arm, value in (("treated", 1), ("control", 0))}  # fmt: skip
    assert {arm: found[f"share_left_out_{arm}"] for arm in shares} == pytest.approx(shares)


def test_policies_are_worth_what_they_are_in_truth(observed: Project, truth: pd.DataFrame) -> None:
    final = pd.read_parquet(observed.folder / "data/split/final.parquet")["customer_id"]
    decisions = pd.read_parquet(observed.folder / "data/policy/decisions.parquet").set_index("customer_id").loc[final]
    effects = truth.loc[final]
    policies = observed.metric("policies")["policies"]
    for name in decisions.columns:
        worth = float((effects["base"] + decisions[name] * (effects["tau"] - COST)).mean())
        # Each interval holds the truth in 95 of 100 experiments, and this one has eight of them.
        half = (policies[name]["dr_ci_high"] - policies[name]["dr_ci_low"]) / 2
        assert abs(policies[name]["dr"] - worth) < 1.5 * half, name
    headline = observed.metric("headline")
    profit = decisions.mul(effects["tau"] - COST, axis=0).mean()
    assert headline["lift_over_best_constant_ci_low"] > 0
    assert profit[headline["champion"]] > max(profit["treat_all"], profit["treat_none"]) + 0.1


def test_no_number_is_missing_and_the_answer_says_what_it_is_not(observed: Project) -> None:
    for name, content in observed.metrics().items():
        assert b"NaN" not in content, name
    scores = pd.read_parquet(observed.folder / "data/scores.parquet").drop(columns=["customer_id", "part"])
    assert np.isfinite(scores.to_numpy(dtype=float)).all()
    assert json.loads((observed.folder / "data/prepared/roles.json").read_text())["propensity"] == "estimated"
    told = observed.run("python", "src/headline.py").stdout
    assert "NOT AN EXPERIMENT" in told
    assert "if nothing hidden decided on treatment" in told
    report = observed.run("python", "src/report.py")
    assert report.returncode == 0, report.stderr
    page = (observed.folder / "report/index.html").read_text()
    assert "Not an experiment" in page
    assert "Is the experiment sound?" not in page
    assert "Estimated propensities of the contacted" in page


def test_new_customers_are_scored_with_a_warning(observed: Project) -> None:
    done = observed.run("python", "src/score.py", "log.csv", "--out", "targets.csv", "--on-drift", "warn")
    assert done.returncode == 0, done.stderr
    assert "warning: not an experiment" in done.stdout
    assert "measured in the experiment" not in done.stdout
    targets = pd.read_csv(observed.folder / "targets.csv").set_index("customer_id")
    decisions = pd.read_parquet(observed.folder / "data/policy/decisions.parquet").set_index("customer_id")
    champion = str(observed.metric("headline")["champion"])
    assert (targets.loc[decisions.index, "treat"] == decisions[champion]).all()
    assert len(targets) == observed.metric("experiment")["n_read"] > len(kept(observed))


def test_the_order_of_the_rows_changes_nothing(observed: Project) -> None:
    before = observed.metrics()["experiment.json"]
    pictures = {name: (observed.folder / f"plots/{name}.png").read_bytes() for name in ("balance", "overlap")}
    table = pd.read_csv(observed.folder / "log.csv")
    try:
        table.sample(frac=1, random_state=1).to_csv(observed.folder / "log.csv", index=False)
        assert observed.stages_run(observed.dvc("repro", "prepare", threads=1)) == ["ingest", "prepare"]
        assert observed.metrics()["experiment.json"] == before
        assert {name: (observed.folder / f"plots/{name}.png").read_bytes() for name in pictures} == pictures
    finally:
        table.to_csv(observed.folder / "log.csv", index=False)


def test_with_a_design_again_nothing_of_the_estimates_is_left(observed: Project) -> None:
    table = pd.read_csv(observed.folder / "log.csv")
    lots = np.random.default_rng(0).integers(0, 2, len(table))
    estimated = (observed.folder / "plots/overlap.png").read_bytes()
    try:
        table.assign(contacted=lots).to_csv(observed.folder / "log.csv", index=False)
        observed.params(lambda content: content["data"]["table"].update(propensity=0.5))
        observed.dvc("repro", "prepare")
        assert "propensity" not in json.loads((observed.folder / "data/prepared/roles.json").read_text())
        assert "ate_method" not in observed.metric("experiment")
        assert observed.metric("experiment")["n"] == len(table)
        assert (observed.folder / "plots/overlap.png").read_bytes() != estimated
    finally:
        table.to_csv(observed.folder / "log.csv", index=False)
        observed.params(lambda content: content["data"]["table"].update(propensity="estimate"))


@pytest.mark.skipif(
    not HILLSTROM.is_file(), reason=f"the public file hillstrom.csv is not at {HILLSTROM}; src/fetch.py downloads it"
)
def test_a_real_experiment_that_was_spoilt_gives_its_effect_again(fresh: Project) -> None:
    mails = pd.read_csv(HILLSTROM)
    mine = mails[mails["segment"] != "Mens E-Mail"]
    sent = (mine["segment"] == "Womens E-Mail").astype(int)
    liked = np.log(mine["history"]) - 0.3 * mine["recency"] - 2 * mine["newbie"]
    chance = expit(0.8 * (liked - liked.mean()))
    # As many of each kind of customer are kept as before, so the effect is that of the experiment.
    kept = np.random.default_rng(1).random(len(mine)) < np.where(sent == 1, chance, 1 - chance)
    mine.assign(sent=sent).drop(columns="segment")[kept].to_csv(fresh.folder / "chosen.csv", index=False)

    def change(content: dict[str, Any]) -> None:
        content["data"]["source"] = "table"
        content["data"]["table"] |= {
            "path": "chosen.csv",
            "id": None,
            "treatment": "sent",
            "outcome": "visit",
            "propensity": "estimate",
            "exclude": ["conversion", "spend"],
        }

    fresh.params(change)
    fresh.dvc("repro", "prepare")
    found = fresh.metric("experiment")
    assert found["ate_ci_low"] < 0.04523 < found["ate_ci_high"]
    assert found["naive_difference_ci_low"] > 0.07
    assert abs(found["weighted_difference"] - found["ate"]) < found["ate_se"]
