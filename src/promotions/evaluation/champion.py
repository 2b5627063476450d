"""The choice of one policy among many, on customers that the reported number does not come from."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.economics import Economics
from promotions.inference.clusters import clustered_error
from promotions.policies import simplicity_of
from promotions.scores import Scores

# Profits are equal if they differ by less than this share of the largest: sums are rounded.
EQUAL = 1e-9


def choose_champion(scores: Scores, decisions: pd.DataFrame, economics: Economics, clusters: NDArray[np.intp]) -> str:
    """The simplest policy that earns no less than the best, up to one standard error of the difference.

    V is the doubly robust profit per customer, and b = argmax V. The candidates are the policies p with V_b − V_p ≤
    se(V_b − V_p), paired and cluster-robust. The simplest is chosen (by the ``simplicity`` of its rule, the constants
    first); among equally simple policies the one that earns most; among equals (to nine digits) the first by name.
    Source: the one-standard-error rule of Breiman, Friedman, Olshen & Stone (1984), with the error of the difference.

    decisions: n rows of 0/1, columns ``<rule>.<learner>``.  clusters: (n,) codes.
    """
    profits = economics.profits(scores.dr)
    earned = np.where(decisions.to_numpy(dtype=bool), profits[:, [1]], profits[:, [0]])
    values = earned.mean(axis=0)
    unit = max(float(np.abs(values).max()), np.finfo(float).tiny)
    best = int(np.argmax(values))
    ranks = {}
    for index, name in enumerate(decisions.columns):
        lead = earned[:, best] - earned[:, index]
        behind = float(lead.mean())
        error = clustered_error((lead - behind) / len(lead), clusters)
        if behind <= error + EQUAL * unit:
            ranks[str(name)] = (
                simplicity_of(str(name)),
                -round(float(values[index]) / unit, 9),
                str(name) == "treat_all",
                name,
            )
    return min(ranks, key=ranks.__getitem__)


def champions_by_segment(
    scores: Scores,
    decisions: pd.DataFrame,
    economics: Economics,
    clusters: NDArray[np.intp],
    part: NDArray[np.object_],
    segment: NDArray[np.int8],
) -> dict[int, str]:
    """The champion of every reporting segment, chosen on ``select`` and on the reporting segments before it.

    With a holdout there is one segment, and its champion is chosen on select. part, segment: (n,) of customers of
    select and final.
    """
    chosen = {}
    for number in np.unique(segment[part == "final"]):
        earlier = (part == "select") | (segment < number)
        _, codes = np.unique(clusters[earlier], return_inverse=True)
        chosen[int(number)] = choose_champion(
            scores.rows(earlier), decisions[earlier], economics.rows(earlier), codes.astype(np.intp)
        )
    return chosen


def decisions_of(champions: dict[int, str], decisions: pd.DataFrame, segment: NDArray[np.int8]) -> NDArray[np.bool_]:
    """The procedure's decisions: the champion of a customer's segment decides, (n,)."""
    treat = np.zeros(len(decisions), dtype=bool)
    for number, name in champions.items():
        rows = segment == number
        treat[rows] = decisions[name].to_numpy(dtype=bool)[rows]
    return treat
