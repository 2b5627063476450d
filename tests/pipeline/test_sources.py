"""Experiments of one's own, and a real one, through the whole pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.project import FEW, ROOT, Project

HILLSTROM = ROOT.parent / "shared" / "data" / "hillstrom.csv"
needs_hillstrom = pytest.mark.skipif(
    not HILLSTROM.is_file(), reason=f"the public file hillstrom.csv is not at {HILLSTROM}; src/fetch.py downloads it"
)


def own_experiment(customers: int = 3000, seed: int = 5) -> pd.DataFrame:
    """A table with every optional column: households, a stratified design, costs and revenues of one's own."""
    rng = np.random.default_rng(seed)
    stratum = rng.integers(0, 2, customers)
    age = rng.integers(18, 90, customers).astype(float)
    age[rng.random(customers) < 0.05] = np.nan
    share = np.where(stratum == 1, 0.7, 0.4)
    treated = rng.random(customers) < share
    chance = 0.2 + 0.1 * treated * (np.nan_to_num(age, nan=50) > 50) + 0.05 * stratum
    return pd.DataFrame(
        {
            "id": [f"c{number}" for number in rng.permutation(customers)],
            "household": rng.integers(0, customers // 2, customers),
            "sent": treated.astype(int),
            "bought": (rng.random(customers) < chance).astype(int),
            "share": share,
            "price": 0.02 + 0.01 * stratum,
            "margin": rng.uniform(0.5, 1.5, customers).round(3),
            "stratum": stratum,
            "age": age,
            "channel": rng.choice(["web", "shop", "phone"], customers),
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, customers), unit="D"),
        }
    )


def use_table(project: Project, path: str) -> None:
    """Point params.yaml at the table."""

    def change(content: dict[str, Any]) -> None:
        content["data"]["source"] = "table"
        content["data"]["table"] |= {
            "path": path,
            "id": "id",
            "treatment": "sent",
            "outcome": "bought",
            "propensity": "share",
            "cost": "price",
            "revenue": "margin",
            "cluster": "household",
        }

    project.params(change)


def test_a_table_gives_the_same_metrics_in_any_row_order_and_file_format(fresh: Project) -> None:
    table = own_experiment()
    fresh.keep_learners(FEW)
    table.to_parquet(fresh.folder / "mine.parquet")
    use_table(fresh, "mine.parquet")
    fresh.dvc("repro", "evaluate")
    metrics = fresh.metrics()
    assert fresh.metric("headline")["simulated"] is False

    shuffled = table.sample(frac=1, random_state=1)
    shuffled.to_parquet(fresh.folder / "mine.parquet")
    assert "ingest" in fresh.stages_run(fresh.dvc("repro", "evaluate"))
    assert fresh.metrics() == metrics

    split = {
        part: pd.read_parquet(fresh.folder / f"data/split/{part}.parquet") for part in ("train", "select", "final")
    }
    household = table.set_index("id")["household"]
    homes = {part: set(household[rows["customer_id"]]) for part, rows in split.items()}
    assert not homes["train"] & homes["final"]
    assert not homes["train"] & homes["select"]
    folds = split["train"].assign(home=household[split["train"]["customer_id"]].to_numpy())
    assert len(folds[["home", "fold"]].drop_duplicates()) == len(homes["train"])


def test_a_changed_file_is_noticed_and_a_broken_one_stops_the_pipeline(fresh: Project) -> None:
    table = own_experiment(1500)
    fresh.keep_learners(["double_ml"])
    table.to_csv(fresh.folder / "mine.csv", index=False)
    use_table(fresh, "mine.csv")
    fresh.params(lambda content: content["data"]["table"].update(exclude=["joined"]))
    fresh.dvc("repro", "evaluate")
    table.loc[3, "sent"] = 2
    table.to_csv(fresh.folder / "mine.csv", index=False)
    done = fresh.run("dvc", "repro", "evaluate")
    assert done.returncode != 0
    assert "error: column 'treatment' is neither 0 nor 1 in 1 of 1,500 rows" in done.stdout + done.stderr


@needs_hillstrom
@pytest.mark.parametrize(("arm", "effect", "learners"), [("womens", 0.04523, FEW), ("mens", 0.07659, FEW[1:])])
def test_hillstrom_gives_its_known_effects(fresh: Project, arm: str, effect: float, learners: list[str]) -> None:
    fresh.keep_learners(learners)
    fresh.commit("few learners")
    overrides = {
        "data.source": "hillstrom",
        "data.hillstrom.path": HILLSTROM,
        "data.hillstrom.arm": arm,
        "data.hillstrom.outcome": "visit",
        "costs.cost_per_treatment": 0.045,
        "costs.revenue_per_response": 1,
        "evaluate.replicates": 1000,
        "learners.causal_forest.groups": 20,
        "policy.weighted.trees": 30,
    }
    fresh.dvc(
        "exp", "run", "evaluate", *(word for key, value in overrides.items() for word in ("-S", f"{key}={value}"))
    )
    experiment, headline = fresh.metric("experiment"), fresh.metric("headline")
    assert experiment["ate"] == pytest.approx(effect, abs=1e-4)
    assert experiment["srm_p_value"] > 0.01
    assert headline["simulated"] is False
    assert "oracle_profit_per_customer" not in headline
    if arm == "womens":
        assert headline["lift_over_best_constant_ci_low"] > 0
        assert 0.005 < headline["lift_over_best_constant"] < 0.02


@needs_hillstrom
def test_spending_is_an_outcome_too(fresh: Project) -> None:
    fresh.keep_learners(["x_learner", "uplift_forest"])

    def change(content: dict[str, Any]) -> None:
        content["data"]["source"] = "hillstrom"
        content["data"]["hillstrom"] |= {"path": str(HILLSTROM), "outcome": "spend"}
        content["costs"] |= {"cost_per_treatment": 0.1, "revenue_per_response": 0.3}

    fresh.params(change)
    fresh.dvc("repro", "evaluate")
    assert fresh.metric("experiment")["ate"] == pytest.approx(0.424, abs=1e-3)


def test_downloading_without_a_network_says_what_to_put_where(fresh: Project) -> None:
    done = fresh.run(
        "env", "http_proxy=http://127.0.0.1:9", "https_proxy=http://127.0.0.1:9", "python", "src/fetch.py", "hillstrom"
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: hillstrom could not be downloaded")
    assert str(Path("data/raw/hillstrom.csv")) in done.stderr
    assert not (fresh.folder / "data/raw/hillstrom.csv").exists()
