"""SHAP values of any effect: exact where it is a sum of trees, of a distilled sum of trees where it is not."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promotions.base.errors import InputError
from promotions.base.parallel import run_side_by_side
from promotions.boosting.binned import Binned
from promotions.boosting.settings import Boosting
from promotions.explanation.trees import tree_shap, work_of
from promotions.learners.fitted import Effect, Part, TreeSum

Floats = NDArray[np.float64]
EXACT, PARTLY_DISTILLED, DISTILLED = "exact", "partly distilled", "distilled"
# Look-ups (``work_of``) beyond which a sum of trees is distilled too: about a minute on one thread.
MOST_WORK = 40_000_000_000
# One customer in so many measures the fidelity of a distilled model.
JUDGES = 3
# Many small trees: an effect has no noise to overfit, and is mostly a sum of curves.
MODEL = Boosting(trees=3000, leaves=8, learning_rate=0.1, min_leaf=10, feature_share=0.2, row_share=1.0, l2=0.0)
# Share of the effect's standard deviation that formulas may miss: they are decimals, added in another order.
NEGLIGIBLE = 1e-6
# Share of the effect's size: an effect that varies by less is constant.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Explanation:
    """Contributions of the features to the effects of n customers.

    values: (n, p) φ.  base: the expected effect; base + Σ_j φ_j is the effect where the method is exact, else that of
    the distilled model.  method: ``EXACT``, ``PARTLY_DISTILLED`` or ``DISTILLED``.
    fidelity: R² of what is explained to the effect itself, on customers that the distilled model has not seen,
    1 − mean (c − ĉ)² / Var c; 1 if exact.  exact: names of the parts that are explained exactly.
    """

    values: Floats
    base: float
    method: str
    fidelity: float
    exact: tuple[str, ...]


def explain(
    cate: ArrayLike,
    features: ArrayLike,
    explained: ArrayLike,
    formulas: Sequence[tuple[str, float, Effect]] = (),
    *,
    model: Boosting = MODEL,
    seed: int = 0,
    threads: int = 1,
    most_work: int = MOST_WORK,
) -> Explanation:
    """SHAP values of an effect c, a part of which may have formulas: c(x) = Σ_k w_k τ_k(x) + remainder(x).

    SHAP values are linear in the effect. Formulas that are sums of trees contribute their exact path-dependent TreeSHAP
    values. If the remainder is not constant, a LightGBM model is fitted to it and contributes *its* TreeSHAP values; a
    model of two thirds of the customers measures the fidelity on the other third.

    A linear effect is distilled too. Its exact values, θ_j (z_j − z̄_j), say how it is written, not what it does: it
    may add one feature and subtract a nearly identical one with slopes that cancel, and both would seem to matter more
    than anything else.

    cate: (n,) c.  features: (n, p) without NaN.  explained: (n,) bool, the customers to explain; the others only serve
    to distil.  formulas: (name, w_k, τ_k); one that is no sum of trees, or needs more than ``most_work`` look-ups,
    stays in the remainder.  model: size of the distilled model, which depends on ``seed`` and on the order of
    customers; exact values depend on neither, and nothing depends on ``threads``.  Raises InputError.
    """
    effect, matrix = np.asarray(cate, dtype=np.float64), np.asarray(features, dtype=np.float64)
    wanted = np.asarray(explained, dtype=bool)
    n = len(effect)
    if matrix.ndim != 2 or effect.shape != (len(matrix),) or wanted.shape != effect.shape or not wanted.any():
        raise InputError(
            "explain: expected an effect for each row of the features, and one customer or more to explain, got the "
            f"shapes {effect.shape}, {matrix.shape} and {wanted.shape}, {int(wanted.sum())} to explain"
        )
    if not np.isfinite(effect).all() or not np.isfinite(matrix).all():
        raise InputError("explain: an effect or a feature is not finite for some customer")

    values = np.zeros((int(wanted.sum()), matrix.shape[1]))
    base, remainder, exact = 0.0, effect.copy(), []
    for name, weight, formula in formulas:
        if not isinstance(formula, TreeSum) or not formula.additive or work_of(formula, len(values)) > most_work:
            continue
        contributions, expected = tree_shap(formula, matrix[wanted], threads)
        values += weight * contributions
        base += weight * expected
        remainder -= weight * formula.predict(matrix)
        exact.append(name)

    mean = float(remainder.mean())
    total = float(((effect - effect.mean()) ** 2).sum())
    if np.abs(remainder - mean).max() <= NEGLIGIBLE * np.sqrt(total / n) + ROUNDING * np.abs(effect).max():
        return Explanation(values, base + mean, EXACT, 1.0, tuple(exact))
    distilled, unexplained = _distil(remainder, matrix, model, seed, threads)
    contributions, expected = tree_shap(distilled, matrix[wanted], threads)
    method = PARTLY_DISTILLED if exact else DISTILLED
    return Explanation(values + contributions, base + expected, method, 1 - unexplained * n / total, tuple(exact))


def _distil(target: Floats, features: Floats, model: Boosting, seed: int, threads: int) -> tuple[TreeSum, float]:
    """A model of ``target`` fitted to all customers; the mean squared error of one of two thirds on the others."""
    n = len(target)
    if n < 2 * JUDGES:
        raise InputError(f"explain: {n} customers are too few to distil their effects; {2 * JUDGES} or more are needed")
    binned = Binned(features, threads=threads)
    judging = np.arange(n) % JUDGES == 0
    np.random.default_rng(seed).shuffle(judging)

    def fitted_to(rows: NDArray[np.bool_]) -> TreeSum:
        return TreeSum((Part(1.0, binned.rows(rows).fit(model, target[rows], seed=seed)),))

    everybody = np.ones(n, dtype=bool)
    whole, judged = run_side_by_side([partial(fitted_to, everybody), partial(fitted_to, ~judging)], threads)
    return whole, float(((target[judging] - judged.predict(features[judging])) ** 2).mean())
