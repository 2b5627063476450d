"""Who trains and who is tested in a trial."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from promotions.base.errors import InputError

# Least clusters of a fold and of the tested: fewer are too few to fit or to measure.
LEAST_CLUSTERS = 10


@dataclass(frozen=True)
class Draw:
    """Who trains and who is tested in a trial, after resampling.

    train: (n_train,) rows of the customers, ascending, one for each time that a customer was drawn.  fold: (n_train,),
    the same for all copies and for all of a cluster.  test: (m,) rows of the distinct customers tested.  count: (m,)
    how often each was drawn.
    """

    train: NDArray[np.intp]
    fold: NDArray[np.int8]
    test: NDArray[np.intp]
    count: NDArray[np.intp]


def draw_trial(
    rng: np.random.Generator,
    cluster: NDArray[np.intp],
    treatment: NDArray[np.int8],
    train_share: float,
    folds: int,
    share: float = 1.0,
) -> Draw:
    """Divide the clusters at random and draw each side's anew, with replacement, within the arms.

    A cluster goes to one side whole, is drawn whole, and its copies share a fold, so that no model predicts a customer
    of whom it has seen a copy. Arms keep their numbers: clusters of treated customers, of control customers and of both
    are three strata, and each is drawn from its own.

    cluster: (n,) codes 0 … G − 1.  treatment: (n,).  share: of the clusters that take part, drawn at random.
    Raises InputError if a side would have too few clusters.
    """
    clusters = int(cluster.max()) + 1
    has_treated = np.bincount(cluster, weights=treatment == 1, minlength=clusters) > 0
    has_control = np.bincount(cluster, weights=treatment == 0, minlength=clusters) > 0
    stratum = has_treated + 2 * has_control
    order = rng.permutation(clusters)
    participating = round(share * clusters)
    cut = round(train_share * participating)
    trains, tests = np.zeros(clusters, dtype=bool), np.zeros(clusters, dtype=bool)
    trains[order[:cut]], tests[order[cut:participating]] = True, True
    if cut < folds * LEAST_CLUSTERS or participating - cut < LEAST_CLUSTERS:
        raise InputError(
            f"a trial would train on {cut:,} and test on {participating - cut:,} of {participating:,} customers or "
            f"clusters; expected {folds * LEAST_CLUSTERS} and {LEAST_CLUSTERS} or more: change stability.train_share, "
            "have fewer stability.folds, or bring more customers (stability.customers)"
        )
    drawn = np.zeros(clusters, dtype=np.intp)
    for side in (trains, tests):
        for kind in (1, 2, 3):
            members = np.flatnonzero(side & (stratum == kind))
            if len(members):
                drawn += np.bincount(members[rng.integers(len(members), size=len(members))], minlength=clusters)
    fold_of = np.empty(clusters, dtype=np.int8)
    fold_of[order] = np.arange(clusters) % folds
    count = drawn[cluster]
    in_train = trains[cluster]
    train = np.repeat(np.arange(len(cluster)), np.where(in_train, count, 0))
    test = np.flatnonzero(tests[cluster] & (count > 0))
    return Draw(train, fold_of[cluster[train]], test, count[test])
