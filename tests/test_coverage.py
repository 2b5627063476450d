"""What `make bench-coverage` shows with thousands of experiments, with a few: a wrong interval would stand out."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.coverage import fixed_intervals, fixed_truth, holdout, nested
from promotions.base.parallel import run_side_by_side

REPLICATES, FITTED = 160, 24


def run(task, times):
    return run_side_by_side([partial(task, seed) for seed in range(times)], 2)


def test_intervals_cover_the_truth():
    truth = fixed_truth()
    covered = pd.DataFrame(run(partial(fixed_intervals, truth=truth), REPLICATES))
    # 95 % to within what chance does in one of ten thousand.
    low, high = stats.binom.ppf([0.0001, 0.9999], REPLICATES, 0.95) / REPLICATES
    assert {name: rate for name, rate in covered.mean().items() if not low <= rate <= high} == {}


@pytest.mark.parametrize("differ", [True, False])
def test_the_champions_profit_is_unbiased_and_that_of_the_best_on_final_flatters(differ):
    found = pd.DataFrame(run(partial(holdout, differ=differ), FITTED))
    assert abs(found["champion"].mean()) < 4 * found["champion"].sem()
    assert found["best"].mean() > 2 * found["best"].sem()
    if not differ:
        assert found["claims"].sum() <= stats.binom.ppf(0.9999, FITTED, 0.05)


def test_the_sequential_test_keeps_its_level():
    rejected = np.sum(run(partial(nested, differ=False), FITTED))
    assert rejected <= stats.binom.ppf(0.9999, FITTED, 0.05)
