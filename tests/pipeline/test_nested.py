"""The nested protocol: every segment but two reports, each judged by models that never saw it."""

import numpy as np
import pandas as pd

from tests.support.project import FEW, Project


def test_segments_report_one_after_the_other(fresh: Project) -> None:
    fresh.keep_learners(FEW)
    fresh.params(lambda content: content["evaluate"].update(protocol="nested"))
    fresh.dvc("repro", "evaluate")
    folder = fresh.folder / "data"
    split = pd.concat(
        pd.read_parquet(folder / f"split/{part}.parquet").assign(part=part) for part in ("train", "select", "final")
    ).set_index("customer_id")
    assert split.groupby("segment").size().between(650, 950).all()
    assert set(split.loc[split["part"] == "final", "segment"]) == {2, 3, 4}

    for name in ("nuisance", *(f"cate/{learner}" for learner in FEW)):
        table = pd.read_parquet(folder / f"{name}.parquet")
        segment = split["segment"][table["customer_id"]].to_numpy()
        assert (segment <= table["round"]).all()
        sizes = table.groupby("round").size()
        assert list(sizes) == [int((split["segment"] <= number).sum()) for number in (1, 2, 3, 4)]

    scores = pd.read_parquet(folder / "scores.parquet")
    assert len(scores) == (split["segment"] > 0).sum()
    assert scores["customer_id"].is_unique
    decisions = pd.read_parquet(folder / "policy/decisions.parquet")
    assert list(decisions["customer_id"]) == list(scores["customer_id"])

    headline, learners = fresh.metric("headline"), fresh.metric("learners")["learners"]
    assert headline["n_final"] == (split["part"] == "final").sum() > 0.5 * len(split)
    assert headline["profit_ci_low"] < headline["profit_per_customer"] < headline["profit_ci_high"]
    assert set(FEW) <= set(learners)
    assert all(np.isfinite(value) for entry in learners.values() for value in entry.values())
    assert fresh.stages_run(fresh.dvc("repro", "evaluate")) == []


def test_an_unknown_protocol_is_named(fresh: Project) -> None:
    fresh.params(lambda content: content["evaluate"].update(protocol="twice"))
    for script in ("ingest", "prepare"):
        assert fresh.run("python", f"src/{script}.py").returncode == 0
    done = fresh.run("python", "src/split.py")
    assert done.returncode == 2
    assert done.stderr == "error: evaluate.protocol: 'twice' is unknown; it is one of holdout, nested\n"
