"""One estimate of the effect from the estimates of several learners, by their doubly robust loss.

A mixture ĉ_w(x) = Σ_k w_k ĉ_k(x), w ≥ 0, Σ w_k = 1, of the learners and one more candidate, the constant mean effect:
where no learner predicts better than the mean, the mixture can be the mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.base.names import ENSEMBLE
from promotions.base.rounding import product, solve
from promotions.base.validation import require_choice
from promotions.boosting.files import broken, is_number, read_model, write_model
from promotions.inference.clusters import Z_95, clustered_error

METHODS = STACKING, Q_AGGREGATION = "stacking", "q_aggregation"
CONSTANT = "constant"
# The ridge, as a share of the largest mean square of an effect. It makes the weights unique (identical learners share
# theirs) and costs at most this much of the loss.
RIDGE = 1e-8
NEGLIGIBLE = 1e-12
# Steps per candidate: far more than the loop needs, so that it always ends.
MOST_STEPS = 1000


@dataclass(frozen=True)
class Ensemble:
    """A mixture of learners.

    weights: by learner, and under ``constant`` that of the mean effect; they are not negative and sum to 1.
    mean_effect: E Γ on the training customers.  table: ``candidate, weight, excess_loss, ci_low, ci_high``, heaviest
    first: by how much a candidate's loss mean (Γ − ĉ)² exceeds the mixture's, with its cluster-robust 95 % interval for
    given weights. The weights were chosen on the same customers, so the table is a little too kind to the mixture.
    """

    method: str
    weights: dict[str, float]
    mean_effect: float
    table: pd.DataFrame

    @property
    def intercept(self) -> float:
        """What the constant contributes to every prediction."""
        return self.weights[CONSTANT] * self.mean_effect

    @property
    def used(self) -> list[str]:
        """The learners of positive weight."""
        return [name for name, weight in self.weights.items() if weight > 0 and name != CONSTANT]

    def save(self, folder: Path) -> None:
        """Write model.json into ``folder``, which exists; without the table."""
        weights = {"weights": self.weights, "mean_effect": self.mean_effect}
        write_model(folder, {"kind": ENSEMBLE, "method": self.method, **weights})

    @classmethod
    def load(cls, folder: Path) -> "Ensemble":
        """What ``save`` wrote: it predicts as before. Raises InputError."""
        document = read_model(folder, (ENSEMBLE,), ("method", "weights", "mean_effect"))
        weights = document["weights"]
        if not isinstance(weights, dict) or not all(map(is_number, [*weights.values(), document["mean_effect"]])):
            raise broken(folder, "without the weights of its learners")
        return cls(document["method"], weights, document["mean_effect"], pd.DataFrame())

    def predict(self, cates: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Σ_k w_k ĉ_k + intercept.

        cates: (m,) by learner. A learner of weight 0 may be absent.  Returns (m,).  Raises InputError.
        """
        used = {name: self.weights[name] for name in self.used}
        absent = [name for name in used if name not in cates]
        if absent:
            raise InputError(f"ensemble: the effects of {absent[0]} are missing; expected {', '.join(used)}")
        if not len(cates):
            raise InputError("ensemble: expected the effects of a learner, to know how many customers there are")
        mixture = np.full(len(next(iter(cates.values()))), self.intercept)
        for name, weight in used.items():
            mixture += weight * np.asarray(cates[name], dtype=np.float64)
        return mixture


def stack(
    cates: NDArray[np.float64],
    effect_scores: NDArray[np.float64],
    clusters: NDArray[np.intp],
    names: Sequence[str],
    *,
    method: str,
) -> Ensemble:
    """Weights of the learners that make the loss of their mixture small, L(c) = mean (Γ_i − c_i)².

    ``stacking`` minimises L(ĉ_w): the best mixture.  Wolpert (1992), Breiman (1996); of effects: Han & Wu (2022).
    ``q_aggregation`` minimises ½ L(ĉ_w) + ½ Σ_k w_k L(ĉ_k) = L(ĉ_w) + ½ Σ_k w_k mean (ĉ_k − ĉ_w)²: almost as good as
    the best *single* candidate, at the fastest rate, which no choice of a single one reaches; it mixes only where
    candidates are about equally good.  Lecué & Rigollet (2014); of effects: Lan & Syrgkanis (2023), "Causal
    Q-aggregation for CATE model selection".

    cates: (n, k) *out-of-fold* effects of training customers (in-sample ones would give the weight to whoever overfits
    most); the weights also serve the learners fitted to all of them.  effect_scores: (n,) Γ, doubly robust with
    cross-fitted outcome models.  clusters: (n,) codes, for the intervals of the table.  names: of the k learners.
    method: one of ``METHODS``.  Neither the order of rows nor that of learners matters.  Raises InputError.
    """
    require_choice(method, METHODS, "ensemble.method")
    cates, scores = np.asarray(cates, dtype=np.float64), np.asarray(effect_scores, dtype=np.float64)
    if cates.ndim != 2 or not cates.size or scores.shape != cates.shape[:1] or len(clusters) != len(cates):
        raise InputError(
            "ensemble: expected effects (customers, learners), and a score and a cluster for each customer, got the "
            f"shapes {cates.shape}, {scores.shape} and {np.shape(clusters)}"
        )
    if len(names) != cates.shape[1] or len({*names, CONSTANT}) <= len(names):
        raise InputError(
            f"ensemble: expected {cates.shape[1]} different names of learners, none of them {CONSTANT!r}, "
            f"got {', '.join(names)}"
        )
    wrong = [name for name, column in zip(names, cates.T, strict=True) if not np.isfinite(column).all()]
    if wrong or not np.isfinite(scores).all():
        raise InputError(f"ensemble: {wrong[0] if wrong else 'a score'} is not finite for some customer")

    mean_effect = float(scores.mean())
    # Sorted by name, so that the order in which learners are listed changes no digit.
    by_name = sorted(range(len(names)), key=lambda k: names[k])
    candidates = [*(names[k] for k in by_name), CONSTANT]
    # Relative to the mean effect: the weights sum to 1, so it cancels, and it costs no digits.
    from_mean = np.column_stack([cates[:, by_name] - mean_effect, np.zeros(len(cates))])
    # The rounding of a subtraction that should be 0 would separate identical learners.
    from_mean[np.abs(from_mean) <= NEGLIGIBLE * np.abs(scores).max()] = 0.0
    products = product(from_mean.T, from_mean) / len(cates)
    explained = product(from_mean.T, scores - mean_effect) / len(cates)
    # Up to a constant, both losses are ½ w'Gw − a'w.
    aim = explained if method == STACKING else 2 * explained - np.diag(products) / 2
    solution = _minimise_on_simplex(products, aim)

    weights = dict(zip(candidates, map(float, solution), strict=True))
    residual = (scores - mean_effect) - product(from_mean, solution)
    rows = []
    for name, column in zip(candidates, from_mean.T, strict=True):
        excess = (scores - mean_effect - column) ** 2 - residual**2
        mean = float(excess.mean())
        error = clustered_error((excess - mean) / len(excess), clusters)
        rows.append((name, weights[name], mean, mean - Z_95 * error, mean + Z_95 * error))
    table = pd.DataFrame(rows, columns=["candidate", "weight", "excess_loss", "ci_low", "ci_high"])
    return Ensemble(
        method=method,
        weights={name: weights[name] for name in (*names, CONSTANT)},
        mean_effect=mean_effect,
        table=table.sort_values(["weight", "candidate"], ascending=[False, True], ignore_index=True),
    )


def _minimise_on_simplex(products: NDArray[np.float64], aim: NDArray[np.float64]) -> NDArray[np.float64]:
    """The minimum of ½ w'Gw − a'w over w ≥ 0, Σ w = 1.

    Primal active-set method, Nocedal & Wright (2006), alg. 16.3: it starts at the best single candidate. The candidate
    whose weight lowers the loss most joins, and the loss is minimised over the candidates that have joined; one that
    would get a negative weight leaves. After finitely many steps no candidate lowers the loss: this is the minimum, and
    the ridge makes it unique.

    products: (k, k) G.  aim: (k,) a.  Returns (k,).
    """
    size = len(aim)
    scale = max(float(np.diag(products).max()), np.finfo(float).tiny)
    quadratic, linear = products / scale + RIDGE * np.eye(size), aim / scale
    best = int(np.argmin(np.diag(quadratic) / 2 - linear))
    weights = np.zeros(size)
    weights[best] = 1.0
    free, joining = weights > 0, best
    for _ in range(MOST_STEPS * size):
        inside = np.flatnonzero(free)
        system = np.ones((len(inside) + 1, len(inside) + 1))
        system[:-1, :-1], system[-1, -1] = quadratic[np.ix_(inside, inside)], 0.0
        wanted = np.zeros(size)
        wanted[inside] = solve(system, np.append(linear[inside], 1.0))[:-1]
        leaving = free & (wanted < 0)
        if leaving.any():
            # Move towards the minimum while all weights are 0 or more; the first that reaches 0 stays there.
            room = np.full(size, np.inf)
            room[leaving] = weights[leaving] / (weights[leaving] - wanted[leaving])
            first = int(np.argmin(room))
            if first == joining and weights[first] == 0:
                # The descent that its slope promised is smaller than rounding.
                return weights / weights.sum()
            weights += room[first] * (wanted - weights)
            weights[first], free[first] = 0.0, False
            weights = np.maximum(weights, 0.0)
            continue
        weights = wanted
        gradient = product(quadratic, weights) - linear
        slope = np.where(free, 0.0, gradient - (weights * gradient).sum())
        joining = int(np.argmin(slope))
        if slope[joining] >= -NEGLIGIBLE * (1 + np.abs(linear).max()):
            return weights / weights.sum()
        free[joining] = True
    raise RuntimeError(f"the weights of {size} candidates were not found in {MOST_STEPS * size} steps")
