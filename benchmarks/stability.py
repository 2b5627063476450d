"""One trial of `stability` beside one trial of the earlier study of X5, at the study's size, with its 26 features.

Draws 176,454 simulated customers and repeats the procedure once for the study's four learners, two rules and four cost
ratios, then for all learners. The study's trial takes hours: it refits every learner for every ratio (S, double ML and
X on scikit-learn's gradient boosting, a causal forest of 400 exact trees), searches a grid of gradient boosting
classifiers of 1,000 trees for every weighted rule, and sums up profit row by row. Each distinct piece of it runs once;
every line says what was run, and the factor by which it is multiplied.

    PYTHONPATH=src python -m benchmarks.stability [--rows N] [--trials N] [--ours]
"""

import argparse
import os
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from threadpoolctl import threadpool_limits

from benchmarks.evaluate import profit_of_row
from benchmarks.stages import ROOT, run_stage
from promotions.learners.ensemble import METHODS
from promotions.stability import Procedure, Subjects, draw_trial, run_trial, summarise

ROWS = 176_454
RATIOS = ["1/30", "1/25", "1/20", "1/15"]
STUDY = ["s_learner", "double_ml", "x_learner", "causal_forest"]
TRIALS = 50
SEED = 2026
FEATURES = [
    *("age", "fis_transformed", "frd_transformed", "fis_frd_dist", "gender_F", "gender_M", "gender_U", "n_orders"),
    *("avg_paid_per_order", "products_per_order", "avg_netto_per_order", "avg_regular_points_received_per_order"),
    *("express_points_received_per_order", "regular_points_spent_per_order", "express_points_spent_per_order"),
    *("avg_trademarks", "avg_trademarks_per_order", "avg_alcohol_products_per_order", "is_weekend", "brand_score"),
    *("night_share", "morning_share", "afternoon_share", "evening_share", "trn_sum_from_red", "trn_sum_from_iss"),
]
# The study's grid is not known. This is a small one: 4 candidates × 3 folds and a last fit; the total without a grid is
# printed too.
GRID_FITS = 4 * 3 + 1
CLASSIFIER_TREES, MEASURED_TREES = 1000, 50
FOREST_TREES, MEASURED_FOREST_TREES = 400, 80


def simulate(rows: int) -> Subjects:
    """Customers as the stages `ingest` and `prepare` write them, with the study's features."""
    with tempfile.TemporaryDirectory(prefix="bench-stability-") as name:
        folder = Path(name)
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        params["data"] |= {"source": "simulated", "simulated": {"customers": rows}}
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        for script in ("ingest", "prepare"):
            run_stage(folder, script)
        frame = pd.read_parquet(folder / "data/prepared/customers.parquet")
        truth = pd.read_parquet(folder / "data/truth/customers.parquet").set_index("customer_id")
    mu0, tau = (truth.loc[frame["customer_id"], column].to_numpy() for column in ("mu0", "tau"))
    return Subjects(
        features=frame[FEATURES],
        outcome=frame["outcome"].to_numpy(),
        treatment=frame["treatment"].to_numpy(),
        propensity=frame["propensity"].to_numpy(),
        cluster=np.arange(len(frame)),
        truth=np.column_stack([mu0, mu0 + tau]),
    )


def procedure(learners: str | list[str]) -> Procedure:
    """Our procedure, with the project's hyperparameters."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    section = {
        "trials": TRIALS,
        "customers": None,
        "ratios": RATIOS,
        "train_share": 0.65,
        "folds": 5,
        "learners": learners,
    }
    return Procedure.from_params(
        section,
        params["learners"],
        ensemble={"method": METHODS[0]},
        nuisance=params["nuisance"],
        policies=params["policy"],
        charged="on_treatment",
        max_levels=20,
    )


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds of a call, and its result."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def ours(subjects: Subjects, learners: str | list[str], trials: int, threads: int) -> float:
    """Seconds of a trial of our procedure; prints them."""
    chosen = procedure(learners)
    seconds, tables = timed(lambda: [run_trial(subjects, chosen, (SEED, k), threads) for k in range(trials)])
    each = seconds / trials
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(chosen.effects):2} learners (with the mixture, if all) × {len(chosen.families)} rules × "
        f"{len(RATIOS)} ratios, {len(subjects.outcome):,} customers, {threads} threads: {each:.1f} s a trial "
        f"(measured {trials}); {TRIALS} trials {each * TRIALS / 60:.1f} min; peak {peak:,.0f} MB",
        flush=True,
    )
    if trials > 1:
        shown = [
            "ratio",
            "policy",
            "profit_mean",
            "profit_sd",
            "contacts_mean",
            "contacts_sd",
            "win_share",
            "true_mean",
        ]
        print(summarise(tables)[shown].to_string(index=False, float_format="{:.4f}".format), flush=True)
    return each


def study(subjects: Subjects, threads: int) -> tuple[float, float]:
    """Seconds of one trial of the study's procedure, with its grid and without one; prints each piece."""
    from econml.dml import CausalForestDML, LinearDML
    from econml.metalearners import SLearner, XLearner
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression

    draw = draw_trial(np.random.default_rng(SEED), subjects.cluster, subjects.treatment, 0.65, 5)
    test = np.repeat(draw.test, draw.count)
    table = subjects.features.fillna(subjects.features.median()).to_numpy(np.float64)
    x, y, t = table[draw.train], subjects.outcome[draw.train], subjects.treatment[draw.train]
    regressor, classifier = GradientBoostingRegressor(random_state=0), GradientBoostingClassifier(random_state=0)
    logistic = LogisticRegression(max_iter=200)
    learners: dict[str, tuple[Any, dict[str, Any]]] = {
        "S-learner": (SLearner(overall_model=regressor), {}),
        "double ML": (LinearDML(model_y=regressor, model_t=classifier, discrete_treatment=True, random_state=0), {}),
        "X-learner": (XLearner(models=regressor, propensity_model=logistic), {}),
    }
    total, repeats = 0.0, len(RATIOS)

    def report(what: str, seconds: float, measured: int, of: int) -> None:
        nonlocal total
        times = of / measured
        total += seconds * times
        print(
            f"  {what}: {seconds:.1f} s for {measured:,} of {of:,}, times {times:g}: {seconds * times:,.0f} s",
            flush=True,
        )

    cate, effect_of_tested = np.zeros(len(x)), np.zeros(len(test))
    for name, (estimator, options) in learners.items():
        seconds, _ = timed(lambda: estimator.fit(y, t, X=x, **options))  # noqa: B023 (called at once)
        report(f"{name}, fitted for each ratio", seconds, 1, repeats)
        if name == "X-learner":
            cate, effect_of_tested = np.ravel(estimator.effect(x)), np.ravel(estimator.effect(table[test]))

    def forest(trees: int) -> float:
        estimator = CausalForestDML(
            model_y=regressor, model_t=classifier, discrete_treatment=True, n_estimators=trees, n_jobs=threads,
            inference=False, random_state=0,
        )  # fmt: skip
        return timed(lambda: estimator.fit(y, t, X=x))[0]

    # The outcome and treatment models do not depend on the number of trees: two sizes separate their time.
    few, many = 8, 8 + MEASURED_FOREST_TREES
    short, long = forest(few), forest(many)
    trees_alone = long - short
    nuisances = max(short - few * trees_alone / MEASURED_FOREST_TREES, 0.0)
    report("causal forest, its outcome and treatment models, fitted for each ratio", nuisances, 1, repeats)
    report(
        f"causal forest, trees on {threads} cores, grown for each ratio",
        trees_alone, MEASURED_FOREST_TREES, repeats * FOREST_TREES,
    )  # fmt: skip

    gain = cate - 1 / 30
    boosted = GradientBoostingClassifier(n_estimators=MEASURED_TREES, random_state=0)
    seconds, _ = timed(lambda: boosted.fit(x, gain >= 0, sample_weight=np.abs(gain)))
    rules = len(STUDY) * repeats
    policies = pd.DataFrame(
        {
            "policy": (effect_of_tested >= 1 / 30).astype(int),
            "treatment": subjects.treatment[test],
            "propensity": subjects.propensity[test],
            "outcome": subjects.outcome[test],
        }
    )
    by_row, _ = timed(lambda: policies.apply(profit_of_row, axis=1).mean())
    report("profit of a policy, row by row", by_row, 1, (2 * len(STUDY) + 2) * repeats)
    before = total
    report(
        f"classifiers of {CLASSIFIER_TREES:,} trees, {rules} rules, one fit each (no grid), in trees",
        seconds, MEASURED_TREES, rules * CLASSIFIER_TREES,
    )  # fmt: skip
    without_grid = total
    # The fits of a grid run side by side.
    total = before
    report(
        f"classifiers, {rules} rules × {GRID_FITS} fits of a grid on {threads} cores, in trees",
        seconds / threads, MEASURED_TREES, rules * GRID_FITS * CLASSIFIER_TREES,
    )  # fmt: skip
    return total, without_grid


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS, help="customers")
    parser.add_argument("--trials", type=int, default=1, help="of our procedure with the study's four learners")
    parser.add_argument("--ours", action="store_true", help="leave the study's procedure out")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = min(int(os.environ.get("OMP_NUM_THREADS", threads)), threads)
    subjects = simulate(options.rows)
    print(f"ours, {', '.join(RATIOS)}:", flush=True)
    with threadpool_limits(limits=1, user_api="blas"):
        each = ours(subjects, STUDY, options.trials, threads)
        ours(subjects, "all", 1, threads)
    if options.ours:
        return
    print(f"the earlier study's trial, {options.rows:,} customers:", flush=True)
    with_grid, without_grid = study(subjects, threads)
    for name, seconds in (("with that grid", with_grid), ("without any grid", without_grid)):
        print(
            f"ratio: the earlier study's trial {name}: {seconds / 3600:.1f} h; ours {each:.1f} s: "
            f"{seconds / each:,.0f} times as fast"
        )


if __name__ == "__main__":
    main()
