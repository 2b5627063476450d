"""The whole stage `evaluate` on 200,000 customers, 25 policies and 1,000 resamples; and profit row by row.

It writes the stage's inputs (made-up scores, effects and decisions) into a temporary project, runs `src/evaluate.py`
there as DVC would, and prints its time and peak memory. It also compares two ways to the profit of one policy: a
function applied to every row of a table, as in the earlier study of X5, and arrays.

    PYTHONPATH=src python -m benchmarks.evaluate [customers]
"""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from benchmarks.stages import ROOT, run_stage
from promotions.base.encoding import fit_encoder
from promotions.economics import Economics
from promotions.evaluation.value import mean_profits
from promotions.explanation import most_telling
from promotions.scores import Scores, make_scores

CUSTOMERS, POLICIES, REPLICATES = 200_000, 25, 1000
# As many as in the earlier study's table.
FEATURES = [f"feature_{number}" for number in range(26)]
EXPLAINED = 20_000
ECONOMICS = Economics(cost=1.0, revenue=40.0)


def write_inputs(folder: Path, customers: int) -> tuple[pd.DataFrame, Scores, pd.DataFrame]:
    """Write the outputs of earlier stages; returns the reporting customers' table, scores and decisions."""
    rng = np.random.default_rng(4)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["evaluate"]["replicates"] = REPLICATES
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    size = customers + customers // 2
    ids = pd.Series([f"{number:09d}" for number in range(size)])
    part = np.where(np.arange(size) < customers, "final", "select")
    treatment = rng.integers(2, size=size).astype(np.int8)
    means = np.column_stack([rng.uniform(0.3, 0.8, size), np.zeros(size)])
    means[:, 1] = np.clip(means[:, 0] + rng.normal(0.03, 0.05, size), 0.01, 0.99)
    outcome = (rng.random(size) < means[np.arange(size), treatment]).astype(float)
    mu = means + rng.normal(0, 0.05, means.shape)
    scores = make_scores(outcome, treatment, np.full(size, 0.5), mu[:, 0], mu[:, 1])
    effect = means[:, 1] - means[:, 0]
    learners = [*params["learners"], "ensemble"]
    effects = {name: effect + rng.normal(0, 0.02 * (k + 1), size) for k, name in enumerate(learners)}
    decisions = pd.DataFrame({"treat_all": np.ones(size, np.int8), "treat_none": np.zeros(size, np.int8)})
    for number in range(POLICIES - 2):
        name = f"{'threshold' if number < len(learners) else 'weighted'}.learner_{number}"
        decisions[name] = (effect + rng.normal(0, 0.01 * (number + 1), size) > ECONOMICS.ratio).astype(np.int8)
    table = pd.DataFrame({"customer_id": ids, "treatment": treatment, "outcome": outcome, "propensity": 0.5})
    table = table.join(pd.DataFrame(rng.normal(size=(size, len(FEATURES))), columns=FEATURES))
    encoder = json.dumps(fit_encoder(table, FEATURES).to_json())
    named = pd.DataFrame({"customer_id": ids, "part": part, "segment": np.int8(1)})
    files = {
        "data/prepared/customers.parquet": table,
        "data/scores.parquet": pd.concat([named, scores.to_frame()], axis=1),
        "data/policy/decisions.parquet": pd.concat([ids.rename("customer_id"), decisions], axis=1),
        "data/nuisance.parquet": pd.DataFrame({"customer_id": ids, "round": 1, "mu0": mu[:, 0], "mu1": mu[:, 1]}),
        "data/truth/customers.parquet": pd.DataFrame({"customer_id": ids, "mu0": means[:, 0], "tau": effect}),
        "data/effects.parquet": pd.DataFrame({"customer_id": ids, "round": 1, **effects}),
    }
    for name, frame in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(folder / name)
    (folder / "models").mkdir()
    (folder / "models/encoder.json").write_text(encoder)
    (folder / "data/prepared/roles.json").write_text('{"source": "benchmark", "simulated": true}')
    final = part == "final"
    write_explanation(folder / "data/explanations/ensemble", table[final].head(EXPLAINED).reset_index(drop=True), rng)
    return table[final], scores.rows(final), decisions[final]


def write_explanation(folder: Path, customers: pd.DataFrame, rng: np.random.Generator) -> None:
    """Write the outputs of `explain` for a learner, with meaningless contributions."""
    contributions = pd.DataFrame(rng.normal(0, 0.01, (len(customers), len(FEATURES))), columns=FEATURES)
    table = most_telling(contributions, customers, {}, 10)
    labels = {"learner": "ensemble", "method": "exact", "fidelity": 1.0, "simulated": True}
    folder.mkdir(parents=True)
    (folder / "explain.json").write_text(json.dumps(labels))
    table.assign(**labels).to_csv(folder / "explain.csv", index=False)
    customers[["customer_id"]].join(contributions[table["feature"]]).to_parquet(folder / "shown.parquet")


def profit_of_row(row: pd.Series) -> float:
    """Profit of one customer by inverse propensity, as in a notebook."""
    if row["policy"] == row["treatment"]:
        chance = row["propensity"] if row["treatment"] == 1 else 1 - row["propensity"]
        return float((row["outcome"] * 40.0 - row["treatment"] * 1.0) / chance)
    return 0.0


def main(customers: int) -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp(prefix="bench-evaluate-"))
    try:
        table, scores, decisions = write_inputs(folder, customers)
        seconds, peak = run_stage(folder, "evaluate")
        size = f"{customers:,} customers, {POLICIES} policies, {REPLICATES:,} resamples"
        print(f"evaluate: {size}: {seconds:.1f} s, {peak:,.0f} MB")
    finally:
        shutil.rmtree(folder)

    one = table.assign(policy=decisions["threshold.learner_0"])
    start = time.perf_counter()
    by_row = one.apply(profit_of_row, axis=1).mean()
    slow = time.perf_counter() - start
    # Policies side by side, a column each, as they are stored.
    treat = np.asfortranarray(decisions.to_numpy(dtype=bool))
    by_ips = Scores(scores.weight, scores.ips, scores.ips)
    repeats = 10
    start = time.perf_counter()
    for _ in range(repeats):
        by_array = mean_profits(by_ips, treat, ECONOMICS)
    fast = (time.perf_counter() - start) / repeats / POLICIES
    print(f"ratio: one profit, row by row {slow:.2f} s, on arrays {fast:.5f} s: {slow / fast:,.0f} times as fast")
    on_arrays = by_array[list(decisions).index("threshold.learner_0")]
    print(
        f"profit per customer: row by row {by_row:.4f}, on arrays {on_arrays:.4f} (which weights a contact's cost too)"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else CUSTOMERS)
