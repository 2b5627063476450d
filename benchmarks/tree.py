"""The exact policy tree beside econml's greedy one: seconds, and the profit of their rules.

There are two sets of 100,000 customers × 26 normal features, gains with noise of three times the effect, trees of depth
2. In `nested` one feature is informative by itself and another narrows it, which a greedy tree finds; in `crossed`
treating pays if two features have the same sign, and neither is informative alone. econml tries every cut, 99,999 a
feature; the exact tree tries 64, so where greedy is enough econml may fit the training rows a little closer. On the
same 64 cuts it never does: see the last line. `policytree` (R) has no Python counterpart to compare with. The fastest
of three fits of the exact tree counts; econml fits once.

    PYTHONPATH=src python -m benchmarks.tree [rows]
"""

import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
from econml.policy import PolicyTree as GreedyTree
from numpy.typing import NDArray

from promotions.policies.tree import fit_policy_tree

ROWS, FEATURES, CUTS = 100_000, 26, 64
QUANTILES = np.arange(1, CUTS + 1) / (CUTS + 1)
NAMES = [f"x{column}" for column in range(FEATURES)]

Floats = NDArray[np.float64]


def nested(features: Floats) -> Floats:
    """A first split already helps."""
    return np.where((features[:, 3] >= 0.5) & (features[:, 7] < 0.2), 1.0, -0.3)


def crossed(features: Floats) -> Floats:
    """No single split helps."""
    return np.where((features[:, 3] >= 0) == (features[:, 7] >= 0), 1.0, -1.0)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def greedy_tree() -> GreedyTree:
    """The tree of econml, with as few limits as ours: no honest halves, no least leaf, no balance."""
    return GreedyTree(max_depth=2, honest=False, min_samples_split=2, min_samples_leaf=1, min_balancedness_tol=0.5)


def compare(effect: Callable[[Floats], Floats], rows: int) -> None:
    """Print seconds and rewards of both, their ratios, and the rule. Rewards are profit a customer."""
    rng = np.random.default_rng(26)
    features = rng.normal(size=(rows, FEATURES))
    gain = effect(features) + 3 * rng.normal(size=rows)
    ours = min(seconds(lambda: fit_policy_tree(features, gain, NAMES, depth=2, cuts=CUTS)) for _ in range(3))
    tree = fit_policy_tree(features, gain, NAMES, depth=2, cuts=CUTS)
    greedy, rewards = greedy_tree(), np.column_stack([np.zeros(rows), gain])
    theirs = seconds(lambda: greedy.fit(features, rewards))
    exact_treats, greedy_treats = tree.decide(features), greedy.predict(features) == 1
    greedy_reward = float(np.mean(gain * greedy_treats))
    truth = effect(features)
    true_exact, true_greedy = np.mean(truth * exact_treats), np.mean(truth * greedy_treats)
    print(
        f"{effect.__name__:9s}exact  {ours:6.2f} s, reward {tree.reward:.4f}, in truth {true_exact:.4f}: "
        f"{tree.sentence()}\n"
        f"{'':9s}greedy {theirs:6.2f} s, reward {greedy_reward:.4f}, in truth {true_greedy:.4f}\n"
        f"ratio: {effect.__name__}: the exact tree is {theirs / ours:.1f} times as fast as econml's greedy one "
        f"and earns {tree.reward / greedy_reward:.3f} times as much"
    )
    levels = np.column_stack([np.searchsorted(np.quantile(x, QUANTILES), x) for x in features.T]).astype(float)
    exact = fit_policy_tree(levels, gain, NAMES, depth=2, cuts=CUTS).reward
    same_cuts = float(np.mean(gain * (greedy_tree().fit(levels, rewards).predict(levels) == 1)))
    print(
        f"{'':9s}on the same {CUTS} cuts: exact {exact:.4f}, greedy {same_cuts:.4f}: "
        f"{exact / same_cuts:.3f} times as much"
    )


def main(rows: int) -> None:
    """Both effects."""
    print(
        f"{rows:,} rows × {FEATURES} features, depth 2, {CUTS} cuts, {os.cpu_count()} cores; "
        f"numpy {version('numpy')}, econml {version('econml')}"
    )
    for effect in (nested, crossed):
        compare(effect, rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
