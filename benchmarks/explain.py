"""Contributions of 60,000 customers' features to their effects, beside shap's permutation and tree explainers.

The learners are a forest and a DR-learner, which are sums of trees (exact TreeSHAP), and a mixture with a T-learner and
double ML, most of which has to be distilled first, all with 26 features. shap's permutation explainer explains the same
learners for a sample of customers, with its defaults (ten permutations, a hundred customers in the background), and its
time is extrapolated; shap's tree explainer is there for information. All times but one are of one thread.

    PYTHONPATH=src python -m benchmarks.explain [customers] [customers of the sample]
"""

import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.processes import draw
from promotions.boosting.settings import Boosting
from promotions.explanation import explain
from promotions.learners import Training, make_learner
from promotions.learners.estimators.forest import HonestCausalForest
from promotions.learners.fitted import Effect, TreeSum
from promotions.nuisances import cross_fit_outcomes

PARAMS = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text())
CUSTOMERS, SAMPLE, OF_TREES, BACKGROUND = 60_000, 4, 500, 100
MIXED = ("dr_learner", "t_learner", "double_ml")

Floats = NDArray[np.float64]
Known = tuple[str, float, Effect]


def fit(train: int, explained: int) -> tuple[dict[str, Effect], Floats]:
    """Effects as formulas, learned from ``train`` customers, and the features of others to explain."""
    experiment = draw("rare", train + explained, 1)
    noise = np.random.default_rng(2).normal(size=(len(experiment.X), 1))
    features = np.hstack([experiment.X, noise])
    rows = slice(train)
    assert experiment.propensity is not None
    outcome, treatment, propensity = experiment.y[rows], experiment.treatment[rows], experiment.propensity[rows]
    forest = HonestCausalForest(random_state=1).fit(features[rows], outcome, treatment, propensity=propensity)
    effects: dict[str, Effect] = {"causal_forest": forest.tree_sum}
    fold = (np.arange(train) % 5).astype(np.int8)
    size = Boosting.from_params(PARAMS["nuisance"], "nuisance")
    fitted = cross_fit_outcomes(features[rows], outcome, treatment, fold, features[:0], size, 1)
    training = Training(
        features[rows], outcome, treatment, propensity, *fitted.inside.T, fold, np.arange(train), fitted.models
    )
    for name in MIXED:
        effects[name] = make_learner(name, PARAMS["learners"][name], 1).fit(training).effect_  # type: ignore[attr-defined]
    return effects, features[train:]


def mixture(parts: Sequence[Known], features: Floats) -> Floats:
    """Σ_k w_k τ_k(x)."""
    return np.asarray(sum(weight * effect.predict(features) for _, weight, effect in parts))


def ours(learner: str, parts: Sequence[Known], features: Floats, threads: int) -> float:
    """Seconds of our explanation, and its quality."""
    cate, everybody = mixture(parts, features), np.ones(len(features), dtype=bool)
    started = time.perf_counter()
    size = Boosting.from_params(PARAMS["explain"]["distilled"], "explain.distilled")
    explanation = explain(cate, features, everybody, parts, model=size, threads=threads)
    seconds = time.perf_counter() - started
    missed = np.abs(explanation.base + explanation.values.sum(axis=1) - cate).max() / cate.std()
    print(
        f"{learner:<14} {explanation.method:<17} {seconds:8.1f} s, threads {threads}; "
        f"held-out R² {explanation.fidelity:.4f}; contributions miss an effect by {missed:.1e} SD at most",
        flush=True,
    )
    return seconds


def by_permutations(parts: Sequence[Known], features: Floats, sample: int) -> float:
    """Seconds that shap's permutation explainer would take for all customers, from those of a sample."""
    import shap

    masker = shap.maskers.Independent(features, max_samples=BACKGROUND)
    explainer = shap.PermutationExplainer(lambda rows: mixture(parts, rows), masker, seed=1)
    started = time.perf_counter()
    explainer(features[:sample], silent=True)
    seconds = time.perf_counter() - started
    print(f"{'':<14} permutation explainer, {sample} customers: {seconds:.1f} s", flush=True)
    return seconds * len(features) / sample


def by_trees(parts: Sequence[Known], features: Floats, sample: int) -> float:
    """The same for its tree explainer, booster by booster."""
    import shap

    boosters = [part.booster for _, _, effect in parts if isinstance(effect, TreeSum) for part in effect.parts]
    started = time.perf_counter()
    for booster in boosters:
        shap.TreeExplainer(booster).shap_values(features[:sample])
    return (time.perf_counter() - started) * len(features) / sample


def main(customers: int, sample: int) -> None:
    """Measure and print."""
    warnings.simplefilter("ignore")
    effects, features = fit(CUSTOMERS, customers)
    print(f"{customers:,} customers, {features.shape[1]} features")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for learner, names in {"causal_forest": ["causal_forest"], "dr_learner": ["dr_learner"], "ensemble": MIXED}.items():
        parts = [(name, 1 / len(names), effects[name]) for name in names]
        seconds = ours(learner, parts, features, 1)
        if cores > 1:
            ours(learner, parts, features, cores)
        slow = by_permutations(parts, features, sample)
        if len(parts) == 1:
            trees = by_trees(parts, features, OF_TREES)
            print(f"{'':<14} shap.TreeExplainer, from {OF_TREES} customers: {trees / seconds:.1f} times our time")
        print(
            f"ratio: shap's permutation explainer of {learner}, {slow:,.0f} s by its sample, takes "
            f"{slow / seconds:,.0f} times as long (aim: 50)",
            flush=True,
        )


if __name__ == "__main__":
    given = [int(value) for value in sys.argv[1:]]
    with threadpool_limits(limits=1):
        main(*given, *(CUSTOMERS, SAMPLE)[len(given) :])
