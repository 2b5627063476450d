"""The honest forest beside econml's and causalml's causal forests: time, error against the truth, coverage, growth.

Seven processes (``benchmarks.processes``) × seeds. Every method is fitted to ``rows`` customers and judged on as many
fresh ones. econml and causalml grow 200 trees with leaves of 50 or more, otherwise with their defaults, on all cores;
ours is the default forest, and its time includes cross-fitting its nuisances. ``econml`` gets y and T unchanged, as its
forest expects; ``econml_residuals`` gets the residuals of our forest's nuisances, as econml's CausalForestDML would
make them, and their time does not count. ``causalml`` gets inverse-propensity weights where the propensity is unknown,
as its documentation recommends.

    PYTHONPATH=src python -m benchmarks.forest [--rows 100000] [--seeds 3] [--against econml,causalml:25000]
        [--processes smooth,sparse,…] [--resume FILE] [--jobs CORES] [--no-scaling]

``causalml:25000`` is judged with 25,000 customers: with more, its exact trees take hours if an outcome is rare or no
effect differs. econml takes one hour. --resume keeps each of their results in FILE, a line each, and skips results
that are there for the same rows and jobs; ours is always run anew.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.processes import PROCESSES, Experiment, draw
from promotions.learners.estimators.forest import HonestCausalForest

TREES, LEAF = 200, 50
SCALES = (25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000)
# 40 trees a group.
SCALE_GROUPS = 13
# Customers whose intervals are judged: econml needs some milliseconds for each.
JUDGED = 5_000
COVERED = "smooth"
OURS = "ours"

Floats = NDArray[np.float64]
Result = dict[str, Any]
# Predicts effects; and lower and upper ends, if the method has intervals.
Fitted = tuple[Callable[[Floats], Floats], Callable[[Floats], tuple[Floats, Floats]] | None]


def fit_ours(experiment: Experiment, seed: int, jobs: int) -> Fitted:
    """The default forest."""
    forest = HonestCausalForest(n_jobs=jobs, random_state=seed).fit(
        experiment.X, experiment.y, experiment.treatment, propensity=experiment.propensity
    )
    return forest.predict, forest.predict_interval


def nuisances(experiment: Experiment, seed: int, jobs: int) -> tuple[Floats, Floats]:
    """E[Y | x] and the propensity as our forest estimates them; the forest itself is as small as possible."""
    forest = HonestCausalForest(groups=1, sequences=1, trees=1, held_out=0, calibrate=False, n_jobs=jobs)
    forest.set_params(random_state=seed)
    forest.fit(experiment.X, experiment.y, experiment.treatment, propensity=experiment.propensity)
    return forest.outcome_mean_, forest.propensity_


def fit_econml(y: Floats, treatment: Floats, X: Floats, seed: int, jobs: int) -> Fitted:
    """econml.grf.CausalForest."""
    from econml.grf import CausalForest

    forest = CausalForest(n_estimators=TREES, min_samples_leaf=LEAF, n_jobs=jobs, random_state=seed)
    forest.fit(X, treatment, y)

    def interval(features: Floats) -> tuple[Floats, Floats]:
        _, low, high = forest.predict(features, interval=True, alpha=0.05)
        return np.ravel(low), np.ravel(high)

    return lambda features: np.ravel(forest.predict(features)), interval


def fit_causalml(experiment: Experiment, weight: Floats | None, seed: int, jobs: int) -> Fitted:
    """CausalRandomForestRegressor; its intervals take a matrix of training by new customers."""
    from causalml.inference.tree import CausalRandomForestRegressor

    forest = CausalRandomForestRegressor(n_estimators=TREES, min_samples_leaf=LEAF, n_jobs=jobs, random_state=seed)
    forest.fit(X=experiment.X, treatment=experiment.treatment, y=experiment.y, sample_weight=weight)
    return lambda features: np.ravel(forest.predict(features)), None


def prepare(method: str, experiment: Experiment, seed: int, jobs: int) -> Callable[[], Fitted]:
    """The fit to time, after all preparation that is not timed."""
    X, y, treatment = experiment.X, experiment.y, experiment.treatment.astype(np.float64)
    if method == OURS:
        return lambda: fit_ours(experiment, seed, jobs)
    if method == "econml":
        return lambda: fit_econml(y, treatment, X, seed, jobs)
    if method == "econml_residuals":
        mean, propensity = nuisances(experiment, seed, jobs)
        return lambda: fit_econml(y - mean, treatment - propensity, X, seed, jobs)
    if experiment.propensity is not None:
        return lambda: fit_causalml(experiment, None, seed, jobs)
    _, propensity = nuisances(experiment, seed, jobs)
    weight = np.where(treatment == 1, 1 / propensity, 1 / (1 - propensity))
    return lambda: fit_causalml(experiment, weight, seed, jobs)


def processor_seconds() -> float:
    """Processor seconds of this process and its children: other work on the machine does not count."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def measure(process: str, seed: int, method: str, rows: int, jobs: int) -> Result:
    """Seconds of fit and of predicting ``rows`` fresh customers; RMSE; coverage and mean width where smooth."""
    fresh = draw(process, rows, seed + 10_000)
    fit = prepare(method, draw(process, rows, seed), seed, jobs)
    before, start = processor_seconds(), time.perf_counter()
    predict, interval = fit()
    fitted = time.perf_counter()
    effect = predict(fresh.X)
    done, after = time.perf_counter(), processor_seconds()
    result: Result = {"process": process, "seed": seed, "method": method, "rows": rows, "jobs": jobs}
    result |= {
        "fit": fitted - start,
        "predict": done - fitted,
        "cpu": after - before,
        "rmse": float(np.sqrt(np.mean((effect - fresh.tau) ** 2))),
    }
    if interval is not None and process == COVERED:
        low, high = interval(fresh.X[:JUDGED])
        truth = fresh.tau[:JUDGED]
        result |= {"coverage": float(((low <= truth) & (truth <= high)).mean()), "width": float((high - low).mean())}
    return result


def run(options: argparse.Namespace, rows: int, methods: list[str]) -> list[Result]:
    """All results of ours and of ``methods``; those of ``methods`` come from the file of --resume if it has them."""
    results: list[Result] = []
    if options.resume is not None and options.resume.exists():
        results = [{**json.loads(line), "resumed": True} for line in options.resume.read_text().splitlines()]
        results = [one for one in results if (one["rows"], one["jobs"]) == (rows, options.jobs)]
        results = [one for one in results if one["method"] in methods]
        results = [one for one in results if one["process"] in options.processes and one["seed"] < options.seeds]
    finished = {(one["process"], one["seed"], one["method"]) for one in results}
    for seed in range(options.seeds):
        for method in (OURS, *methods):
            for process in options.processes:
                if (process, seed, method) in finished:
                    continue
                result = measure(process, seed, method, rows, options.jobs)
                results.append(result)
                if options.resume is not None and method != OURS:
                    with options.resume.open("a") as file:
                        file.write(json.dumps(result) + "\n")
                print(f"# {json.dumps(result)}", file=sys.stderr, flush=True)
    return results


def mean(results: list[Result], method: str, process: str, what: str) -> float:
    """Mean of a number over seeds; NaN if there is none."""
    numbers = [one[what] for one in results if one["method"] == method and one["process"] == process and what in one]
    return float(np.mean(numbers)) if numbers else float("nan")


def report(results: list[Result], options: argparse.Namespace, rows: int, others: list[str]) -> None:
    """Tables of errors and times, coverage, ratios."""
    methods = (OURS, *others)
    print(f"RMSE of the effect on {rows:,} fresh customers, mean of {options.seeds} seeds")
    print(f"{'':12s}" + "".join(f"{method:>18s}" for method in methods))
    for process in options.processes:
        print(f"{process:12s}" + "".join(f"{mean(results, method, process, 'rmse'):18.4f}" for method in methods))
    print(f"\nprocessor seconds of fit and prediction, {rows:,} customers each, mean of {options.seeds} seeds")
    for method in methods:
        each = [f"{process} {mean(results, method, process, 'cpu'):.1f}" for process in options.processes]
        print(f"{method:18s}{'  '.join(each)}")
    if COVERED in options.processes:
        for method in methods:
            covered, width = (mean(results, method, COVERED, what) for what in ("coverage", "width"))
            if covered == covered:
                print(f"{method}: 95 % intervals of {COVERED} cover the truth in {covered:.1%}, mean width {width:.3f}")
    for method in others:
        wins = sum(mean(results, OURS, p, "rmse") <= mean(results, method, p, "rmse") for p in options.processes)
        print(f"RMSE lower than or equal to {method}'s on {wins} of {len(options.processes)} processes")
        print(
            f"ratio: forest against {method}, {rows:,} rows: "
            f"{quotient(results, method, options.processes, 'cpu'):.1f} times as fast by processor seconds"
        )
        # Clock times only of this run: the machine may have been busy in an earlier one.
        earlier = {one["process"] for one in results if one.get("resumed") and one["method"] == method}
        timed = [process for process in options.processes if process not in earlier]
        if timed:
            print(
                f"ratio: forest against {method}, {rows:,} rows, by the clock ({', '.join(timed)}): "
                f"{quotient(results, method, timed, 'fit', 'predict'):.1f} times as fast"
            )


def quotient(results: list[Result], method: str, processes: list[str], *parts: str) -> float:
    """Seconds of another method over ours; both are sums over processes of means over seeds."""
    theirs, ours = (
        sum(mean(results, one, process, part) for process in processes for part in parts) for one in (method, OURS)
    )
    return theirs / ours


def scale(rows: int, jobs: int) -> Result:
    """Seconds, processor seconds and peak memory of this process for one fit and for predicting all its rows."""
    experiment = draw(COVERED, rows, 0)
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    forest = HonestCausalForest(groups=SCALE_GROUPS, n_jobs=jobs).fit(
        experiment.X, experiment.y, experiment.treatment, propensity=experiment.propensity
    )
    fitted = time.perf_counter()
    forest.predict(experiment.X)
    done = time.perf_counter()
    after = resource.getrusage(resource.RUSAGE_SELF)
    # Kilobytes, but bytes on macOS.
    unit = 2**20 if sys.platform == "linux" else 2**30
    trees = sum(booster.num_trees() for booster in forest.boosters_)
    times = {"fit": fitted - start, "predict": done - fitted}
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    memory = {"data_gb": before.ru_maxrss / unit, "peak_gb": after.ru_maxrss / unit}
    return {"rows": rows, "trees": trees, **times, "cpu": cpu, **memory}


def scaling(jobs: int) -> None:
    """The table of growth, a process a row."""
    print("\nrows, trees, seconds of fit, of prediction, of processors, these per million rows, peak GB (before fit)")
    for rows in SCALES:
        command = [sys.executable, "-m", "benchmarks.forest", "--scale", str(rows), "--jobs", str(jobs)]
        one = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(
            f"{rows:9,} {one['trees']:5d} {one['fit']:7.1f} {one['predict']:6.1f} {one['cpu']:7.1f} "
            f"{one['cpu'] / rows * 1e6:7.1f} {one['peak_gb']:6.2f} ({one['data_gb']:.2f})",
            flush=True,
        )


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--against", default="econml,causalml:25000")
    parser.add_argument("--processes", default=",".join(PROCESSES))
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--no-scaling", action="store_true")
    parser.add_argument("--scale", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.scale:
        print(json.dumps(scale(options.scale, options.jobs)))
        return
    methods: dict[int, list[str]] = {}
    for competitor in filter(None, options.against.split(",")):
        name, _, rows = competitor.partition(":")
        methods.setdefault(int(rows or options.rows), []).append(name)
    options.processes = options.processes.split(",")
    named = [name for names in methods.values() for name in names]
    for given, choices in ((named, ("econml", "econml_residuals", "causalml")), (options.processes, PROCESSES)):
        unknown = [name for name in given if name not in choices]
        if unknown:
            parser.error(f"{unknown[0]} is unknown; expected some of {', '.join(choices)}")
    print(
        f"{options.jobs} jobs; lightgbm {version('lightgbm')}, econml {version('econml')}, "
        f"causalml {version('causalml')}\n"
    )
    for rows, others in (methods or {options.rows: []}).items():
        report(run(options, rows, others), options, rows, others)
        print(flush=True)
    if not options.no_scaling:
        scaling(options.jobs)


if __name__ == "__main__":
    main()
