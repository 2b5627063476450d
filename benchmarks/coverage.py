"""Do the intervals hold, and does choosing the best of many flatter? Simulations with known truth.

Each replicate draws an experiment of 5,000 customers and does what `evaluate` does. It prints how often 95 % intervals
cover the truth (of a fixed policy's profit, of a paired difference, of GATES, of AUTOC and QINI); the mean error of the
champion's reported profit, beside that of the best policy on the reporting customers; and how often "targeting pays" or
"effects differ" is claimed although every customer has the same effect.

    PYTHONPATH=src python -m benchmarks.coverage [replicates]
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from promotions.base.parallel import run_side_by_side
from promotions.boosting.settings import Boosting
from promotions.economics import Economics
from promotions.evaluation.champion import champions_by_segment
from promotions.evaluation.heterogeneity import group_effects
from promotions.evaluation.ranking import autoc, linearised_autoc, qini
from promotions.evaluation.segments import rank_within
from promotions.evaluation.value import evaluate_policies
from promotions.learners import Training, make_learner
from promotions.nuisances import cross_fit_outcomes
from promotions.policies.threshold import threshold
from promotions.scores import Scores, make_scores

Floats = NDArray[np.float64]

CUSTOMERS, FEATURES, GROUPS, SEGMENTS, FOLDS, RESAMPLES = 5_000, 6, 5, 5, 3, 1000
# Replicates without fits are multiplied by this: a rate of 95 % then has a standard error of half a point.
QUICK = 4
ECONOMICS = Economics(cost=2.0, revenue=40.0)
SMALL = Boosting(trees=30, leaves=4, learning_rate=0.1, min_leaf=50)
SLOW = {"trees": 40, "leaves": 3, "learning_rate": 0.05, "min_leaf": 100, "feature_share": 1, "row_share": 1, "l2": 1}
LEARNERS = {
    "s_learner": {"model": SLOW},
    "t_learner": {"model": SLOW},
    "x_learner": {"model": SLOW, "effect": SLOW},
    "transformed_outcome": {"effect": SLOW},
}


@dataclass(frozen=True)
class World:
    """One experiment and its truth: means (n, 2) of the outcome in each arm."""

    features: Floats
    treatment: NDArray[np.int8]
    outcome: Floats
    means: Floats

    @classmethod
    def draw(cls, n: int, rng: np.random.Generator, *, differ: bool) -> "World":
        """Effects between −.04 and .14 that rise with the first feature, or .05 for everybody."""
        features = rng.normal(size=(n, FEATURES))
        untreated = 0.2 + 0.5 * expit(features[:, 1] - 0.5 * features[:, 2])
        effect = 0.18 * expit(2 * features[:, 0]) - 0.04 if differ else np.full(n, 0.05)
        means = np.column_stack([untreated, untreated + effect])
        treatment = rng.integers(2, size=n).astype(np.int8)
        outcome = (rng.random(n) < means[np.arange(n), treatment]).astype(np.float64)
        return cls(features, treatment, outcome, means)

    def rows(self, chosen: NDArray[np.bool_]) -> "World":
        """Some of its customers."""
        return World(self.features[chosen], self.treatment[chosen], self.outcome[chosen], self.means[chosen])

    def scores(self, mu: Floats) -> Scores:
        """Scores from outcome models' predictions (n, 2)."""
        return make_scores(self.outcome, self.treatment, np.full(len(self.outcome), 0.5), mu[:, 0], mu[:, 1])


def fixed_intervals(seed: int, truth: dict[str, Floats]) -> dict[str, bool]:
    """Which 95 % intervals cover, for a policy and a ranking fixed in advance."""
    rng = np.random.default_rng([1, seed])
    world = World.draw(CUSTOMERS, rng, differ=True)
    scores = world.scores(np.column_stack([np.full(CUSTOMERS, 0.45), np.full(CUSTOMERS, 0.5)]))
    priority, alone = world.features[:, 0], np.arange(CUSTOMERS)
    treat = fixed_decisions(priority)
    value = evaluate_policies(scores, treat, ECONOMICS, alone, RESAMPLES, rng)["fixed"]
    groups = group_effects(scores.effect, priority, alone, GROUPS, rng, replicates=RESAMPLES)
    covers = {
        "profit of a policy": value.dr.ci_low <= truth["profit"][0] <= value.dr.ci_high,
        "paired difference": value.versus_all.ci_low <= truth["difference"][0] <= value.versus_all.ci_high,
        "GATES, all at once": bool(
            ((groups.simultaneous.low <= truth["groups"]) & (truth["groups"] <= groups.simultaneous.high)).all()
        ),
    }
    for number, (part, mean) in enumerate(zip(groups.pointwise, truth["groups"], strict=True), start=1):
        covers[f"GATES, group {number}"] = part.ci_low <= mean <= part.ci_high
    for name, estimate in (("AUTOC", autoc), ("QINI", qini)):
        interval = estimate(scores.effect, priority, alone)
        covers[name] = interval.ci_low <= truth[name][0] <= interval.ci_high
    return covers


def fixed_decisions(priority: Floats) -> pd.DataFrame:
    """Treat the upper half of the first feature; and the two constants."""
    ones = np.ones(len(priority), dtype=np.int8)
    return pd.DataFrame({"treat_all": ones, "treat_none": 0 * ones, "fixed": (priority > 0).astype(np.int8)})


def fixed_truth() -> dict[str, Floats]:
    """The values that intervals should cover, from two million customers' true effects."""
    world = World.draw(2_000_000, np.random.default_rng(0), differ=True)
    profits, effect = ECONOMICS.profits(world.means), world.means[:, 1] - world.means[:, 0]
    priority, alone = world.features[:, 0], np.arange(len(effect))
    earned = np.where(priority > 0, profits[:, 1], profits[:, 0])
    ranked = effect[np.argsort(-priority)]
    return {
        "profit": np.array([earned.mean()]),
        "difference": np.array([(earned - profits[:, 1]).mean()]),
        "groups": ranked.reshape(GROUPS, -1).mean(axis=1),
        "AUTOC": np.array([autoc(effect, priority, alone).value]),
        "QINI": np.array([qini(effect, priority, alone).value]),
    }


def learned(train: World, target: World, seed: int) -> tuple[dict[str, Floats], Floats]:
    """Effects that each learner predicts for ``target``, and the outcome models' predictions there."""
    fold = (np.arange(len(train.outcome)) % FOLDS).astype(np.int8)
    fitted = cross_fit_outcomes(train.features, train.outcome, train.treatment, fold, target.features, SMALL, seed)
    training = Training(
        features=train.features,
        outcome=train.outcome,
        treatment=train.treatment,
        propensity=np.full(len(fold), 0.5),
        mu0=fitted.inside[:, 0],
        mu1=fitted.inside[:, 1],
        fold=fold,
        cluster=np.arange(len(fold)),
    )
    learners = {name: make_learner(name, params, seed).fit(training) for name, params in LEARNERS.items()}
    return {name: learner.predict(target.features) for name, learner in learners.items()}, fitted.outside


def holdout(seed: int, *, differ: bool) -> dict[str, float]:
    """Errors of the reported profit, for the champion and for the best on the reporting customers, and the claims."""
    rng = np.random.default_rng([2, seed])
    world = World.draw(CUSTOMERS, rng, differ=differ)
    position = np.arange(CUSTOMERS) / CUSTOMERS
    train, target = world.rows(position < 0.45), world.rows(position >= 0.45)
    cates, mu = learned(train, target, seed)
    decisions = fixed_decisions(target.features[:, 0])[["treat_all", "treat_none"]]
    for name, cate in cates.items():
        gain = ECONOMICS.expected_gain(cate, mu[:, 1])
        decisions[f"threshold.{name}"] = threshold(gain).astype(np.int8)
    scores, part = target.scores(mu), np.where(position[position >= 0.45] < 0.65, "select", "final").astype(object)
    alone, segment = np.arange(len(part)), np.ones(len(part), dtype=np.int8)
    champion = champions_by_segment(scores, decisions, ECONOMICS, alone, part, segment)[1]
    final = part == "final"
    values = evaluate_policies(
        scores.rows(final), decisions[final], ECONOMICS, np.arange(int(final.sum())), RESAMPLES, rng
    )
    profits = ECONOMICS.profits(target.means[final])
    treat = decisions[final].to_numpy(dtype=bool)
    truth = dict(zip(decisions.columns, np.where(treat, profits[:, [1]], profits[:, [0]]).mean(axis=0), strict=True))
    best = max(values, key=lambda name: values[name].dr.value)
    lead = values[champion].versus_best_constant
    return {
        "champion": values[champion].dr.value - truth[champion],
        "best": values[best].dr.value - truth[best],
        "claims": float(lead.ci_low > 0),
    }


def nested(seed: int, *, differ: bool) -> bool:
    """Whether the sequential test, over all segments but the first, says that effects differ (5 %, one-sided)."""
    rng = np.random.default_rng([3, seed])
    world = World.draw(CUSTOMERS, rng, differ=differ)
    segment = np.arange(CUSTOMERS) * SEGMENTS // CUSTOMERS
    effects, priorities = [], []
    for number in range(1, SEGMENTS):
        target = world.rows(segment == number)
        cates, mu = learned(world.rows(segment < number), target, seed)
        effects.append(target.scores(mu).effect)
        priorities.append(cates["s_learner"])
    unseen = segment[segment > 0]
    ranks = rank_within(np.concatenate(priorities), unseen)
    return linearised_autoc(np.concatenate(effects), ranks).p_value(np.arange(len(ranks))) < 0.05


def main(replicates: int) -> None:
    """Run and print."""
    truth = fixed_truth()

    def run(task: Callable[[int], object], times: int = replicates) -> list[object]:
        return run_side_by_side([partial(task, seed) for seed in range(times)], 2)

    print(f"{replicates} replicates of {CUSTOMERS:,} customers; intervals, which need no fit, {QUICK * replicates}")
    covered = pd.DataFrame(run(lambda seed: fixed_intervals(seed, truth), QUICK * replicates))
    for name, rate in covered.mean().items():
        print(f"  95 % interval covers   {name:24s}{rate:8.1%}")
    for differ, what in ((True, "effects differ"), (False, "one effect for all")):
        holdouts = pd.DataFrame(run(partial(holdout, differ=differ)))
        for name in ("champion", "best"):
            error, spread = holdouts[name].mean(), holdouts[name].sem()
            print(f"  {what:22s} reported − true profit of the {name:9s}{error:+9.4f} ({error / spread:+.1f} SE)")
        print(f"  {what:22s} claims to beat both constants {holdouts['claims'].mean():8.1%}")
        rejected = np.mean(run(partial(nested, differ=differ)))
        print(f"  {what:22s} nested test finds differences {rejected:8.1%}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
