"""Ten million new customers through src/score.py: seconds, and peak memory, plain and on a budget.

First a small experiment runs through the stages (one learner, ten features, two of them categories). Then its threshold
rule is applied to a list that is written in pieces. The budget takes a second pass over the list.

    PYTHONPATH=src python -m benchmarks.score [--rows 10000000]
"""

import argparse
import json
import tempfile
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from benchmarks.stages import ROOT, run_stage
from pipeline.lineage import content_of
from score import DOCUMENTS

ROWS = 10_000_000
TRAINING, AT_ONCE = 20_000, 500_000
STAGES = ("ingest", "prepare", "split", "nuisance", "cate s_learner", "ensemble", "explain", "policy", "evaluate")
CHAMPION = {"champion": "threshold.s_learner", "learner": "s_learner"}


def customers(n: int, seed: int, first: int = 0) -> pd.DataFrame:
    """Customers with eight numbers and two categories."""
    rng = np.random.default_rng(seed)
    numbers = {f"number_{k}": rng.normal(size=n).round(4) for k in range(8)}
    levels = {name: rng.choice(["north", "south", "east", "west"], n) for name in ("region", "shop")}
    return pd.DataFrame({"customer_id": np.arange(first, first + n), **numbers, **levels})


def train(folder: Path) -> None:
    """Write an experiment to ``folder`` and run the stages on it."""
    table, rng = customers(TRAINING, 0), np.random.default_rng(1)
    table["treatment"] = rng.integers(0, 2, TRAINING)
    effect = np.where(table["number_0"] > 0, 0.2, 0.0)
    table["outcome"] = (rng.random(TRAINING) < 0.2 + table["treatment"] * effect).astype(int)
    table.to_csv(folder / "experiment.csv", index=False)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["data"]["source"] = "table"
    params["data"]["table"]["path"] = "experiment.csv"
    params["data"]["table"]["exclude"] = []
    params["learners"] = {"s_learner": params["learners"]["s_learner"]}
    params["costs"] |= {"cost_per_treatment": 0.1, "revenue_per_response": 1}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    for stage in STAGES:
        run_stage(folder, *stage.split())
    headline = folder / "metrics/headline.json"
    headline.write_text(json.dumps(json.loads(headline.read_text()) | CHAMPION))
    with chdir(folder):
        # The stages ran without DVC, and its record has to say that the results are of one run.
        outs = [dict(content_of(path)) for path in (*DOCUMENTS, "models/policy", "models/learners/s_learner")]
        Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"all": {"outs": outs}}}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="bench-score-") as name:
        folder = Path(name)
        train(folder)
        for first in range(0, rows, AT_ONCE):
            piece = customers(min(AT_ONCE, rows - first), 2 + first, first)
            piece.to_csv(folder / "new.csv", index=False, header=not first, mode="a")
        size = (folder / "new.csv").stat().st_size / 2**20
        print(f"{rows:,} customers, 10 features, {size:,.0f} MB of CSV; an S-learner of 400 trees")
        for what, options in (("all", []), ("the best fifth (--max-share 0.2)", ["--max-share", "0.2"])):
            seconds, peak = run_stage(folder, "score", "new.csv", "--out", "out.csv", *options)
            print(f"{what}: {seconds:.0f} s, {rows / seconds:,.0f} customers a second, peak {peak:,.0f} MB", flush=True)


if __name__ == "__main__":
    main()
