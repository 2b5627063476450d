"""Learners of how the sales of a customer respond to the size of a discount.

All fit the partially linear model of double machine learning with a curve in place of a slope,

    sales − E[sales | w] = Σ_j Δ_j(x) · (r_j(dose) − E[r_j(dose) | w]) + noise,

where the ramp r_j rises from 0 to 1 between knots j and j + 1 of the dose, so that Δ_j(x) is how much more a
customer x buys when the discount grows from knot j to knot j + 1. Every customer has x; the controls w hold x and
the columns that only the log has. Sources: Robinson (1988); Nie & Wager (2021), "Quasi-oracle estimation of
heterogeneous treatment effects"; Chernozhukov et al. (2018).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.base.registry import make
from promotions.base.rounding import alike, product, solve
from promotions.base.validation import require_number, require_whole
from promotions.boosting.settings import Boosting, lightgbm
from promotions.discount.regression import independent_columns

Floats = NDArray[np.float64]
SECTION = "discount.learners"
# Relative to the variance of a ramp: joins neighbouring slopes where the log has few data.
ROUGHNESS = 1e-3
# Standard deviations at which a feature is cut off before it enters a line.
WINSORIZE = 3.0
# Groups that choose the penalty.
INNER = 5
# Settings of LightGBM's data sets. One thread: LightGBM counts threads for the whole process, and data sets that are
# binned side by side with different counts corrupt each other's memory.
BINNING = {"verbose": -1, "force_col_wise": True, "num_threads": 1}
# Least variance of a ramp: a customer with a more predictable discount says nothing about this part of the curve.
NEGLIGIBLE = 0.05


@dataclass(frozen=True)
class DoseTraining:
    """Customers of the log, n rows.

    features (n, p): x.  controls (n, q): w.  sales, dose (n,).  knots (J + 1,), ascending.  sales_residual (n,),
    ramp_residual (n, J): cross-fitted, see the module.
    """

    features: Floats
    controls: Floats
    sales: Floats
    dose: Floats
    knots: Floats
    sales_residual: Floats
    ramp_residual: Floats

    def rows(self, chosen: NDArray[np.bool_]) -> "DoseTraining":
        """The chosen customers."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return DoseTraining(**{name: part if name == "knots" else part[chosen] for name, part in parts.items()})

    @property
    def widths(self) -> Floats:
        """Money from each knot to the next, (J,)."""
        return np.diff(self.knots)

    @property
    def slopes(self) -> Floats:
        """The regressors whose coefficients are extra sales a dollar between two knots, (n, J)."""
        return self.ramp_residual * self.widths


class ResponseLearner(Protocol):
    """Estimates Δ_j(x)."""

    # Whether it is fitted to residuals, so that errors of the controls' predictions hardly matter.
    orthogonal: bool

    def fit(self, train: DoseTraining) -> "ResponseLearner":
        """Learn from customers of the log."""
        ...

    def increments(self, features: Floats) -> Floats:
        """Extra sales from knot j to knot j + 1 for each row of ``features``, (m, J)."""
        ...


class VaryingCoefficients:
    """A curve common to all, bent by a line in the features: Δ_j(x) = width_j·(a_j + Σ_k x_k (b_k + c_kj)).

    Ridge regression. c_kj is interpolated between ``segments`` points of the dose; with one segment there is none, and
    a feature turns the whole curve by a slope. a is all but free; b and c share a penalty, relative to the variance of
    their regressors; held-out groups choose it from ``penalties``. Source: Hastie & Tibshirani
    (1993), "Varying-coefficient models".
    """

    orthogonal = True

    def __init__(
        self, segments: int, penalties: Sequence[float], *, key: str = f"{SECTION}.varying_coefficients"
    ) -> None:
        self.segments = require_whole(segments, f"{key}.segments", 1)
        if not isinstance(penalties, (list, tuple)) or not penalties:
            raise InputError(f"{key}.penalties: expected a list of numbers above 0, got {penalties!r}")
        self.penalties = [require_number(value, f"{key}.penalties", 0, low_open=True) for value in penalties]

    def fit(self, train: DoseTraining) -> "VaryingCoefficients":
        """See ``ResponseLearner``."""
        self.widths_ = train.widths
        self.centre_, scale = train.features.mean(axis=0), train.features.std(axis=0)
        # A feature that is the same for all turns nothing.
        self.scale_ = np.where(scale > 0, scale, np.inf)
        self.bends_ = bends(train.knots, self.segments)
        common, bent = train.slopes, product(train.slopes, self.bends_)
        lines = self._lines(train.features)
        design = np.column_stack([common, (bent[:, :, None] * lines[:, None, :]).reshape(len(common), -1)])
        count = common.shape[1]
        group = np.arange(len(design)) % INNER
        grams = [design[group == g].T @ design[group == g] for g in range(INNER)]
        moments = [design[group == g].T @ train.sales_residual[group == g] for g in range(INNER)]
        gram, moment = np.sum(grams, axis=0), np.sum(moments, axis=0)

        def solution(matrix: Floats, vector: Floats, penalty: float) -> Floats:
            ridge = np.zeros_like(matrix)
            ridge[:count, :count] = roughness(matrix[:count, :count])
            diagonal = np.diag(matrix)[count:]
            ridge[range(count, len(matrix)), range(count, len(matrix))] = (
                penalty * diagonal.mean() if len(diagonal) else 0.0
            )
            # A ramp that nobody is on, or a feature that is the same for all, would leave the matrix singular.
            floor = 1e-9 * np.trace(matrix) / len(matrix)
            return np.linalg.solve(matrix + ridge + floor * np.eye(len(matrix)), vector)

        def loss(penalty: float) -> float:
            total = 0.0
            for held_gram, held_moment in zip(grams, moments, strict=True):
                theta = solution(gram - held_gram, moment - held_moment, penalty)
                total += float(theta @ held_gram @ theta - 2 * theta @ held_moment)
            return total

        self.penalty_ = min(self.penalties, key=loss)
        theta = alike(solution(gram, moment, self.penalty_))
        self.common_, self.turns_ = theta[:count], theta[count:].reshape(self.bends_.shape[1], -1)
        return self

    def increments(self, features: Floats) -> Floats:
        """See ``ResponseLearner``."""
        varying = product(self._lines(features), product(self.turns_.T, self.bends_.T))
        return np.asarray((self.common_ + varying) * self.widths_)

    def _lines(self, features: Floats) -> Floats:
        return np.clip((features - self.centre_) / self.scale_, -WINSORIZE, WINSORIZE)


class BoostedResponse:
    """A curve common to all, and trees on features and dose for what differs: the R-learner's loss over whole curves.

    Trees f(x, dose) are grown by functional gradient descent on Σ_i (e_i − Σ_j f(x_i, mid_j) s_ij)², e the sales
    residual less the common curve and s the residual ramps times their widths. Each customer counts once for
    every part of the curve that its discount informs; the diagonal of the Hessian is bounded from above by
    |s_ij| Σ_k |s_ik|, so no step overshoots. Source: Zhang et al. (2022), "Towards R-learner of conditional average
    treatment effects with a continuous treatment".
    """

    orthogonal = True

    def __init__(self, effect: Mapping[str, Any], *, seed: int, key: str = f"{SECTION}.r_learner") -> None:
        self.effect = Boosting.from_params(effect, f"{key}.effect")
        self.seed = seed

    def fit(self, train: DoseTraining) -> "BoostedResponse":
        """See ``ResponseLearner``."""
        lgb = lightgbm()
        self.common_, self.widths_ = common_curve(train), train.widths
        self.middles_ = (train.knots[1:] + train.knots[:-1]) / 2
        remains = train.sales_residual - product(train.slopes, self.common_)
        customer, part = np.nonzero(np.abs(train.ramp_residual) > NEGLIGIBLE)
        weight = train.slopes[customer, part]
        n = len(remains)
        bound = np.abs(weight) * np.bincount(customer, np.abs(weight), minlength=n)[customer]

        def descend(predicted: Floats, _: Any) -> tuple[Floats, Floats]:
            error: Floats = np.bincount(customer, weight * predicted, minlength=n) - remains
            return error[customer] * weight, np.asarray(bound, dtype=np.float64)

        grid = np.column_stack([self.middles_[part], train.features[customer]])
        parameters = self.effect.arguments(self.seed) | {
            "objective": descend,
            "min_sum_hessian_in_leaf": 0.0,
            "boost_from_average": False,
        }
        data = lgb.Dataset(grid, np.zeros(len(grid)), params=BINNING)
        self.booster_ = lgb.train(parameters, data, num_boost_round=self.effect.trees)
        return self

    def increments(self, features: Floats) -> Floats:
        """See ``ResponseLearner``."""
        varying = on_grid(lambda rows: self.booster_.predict(rows, num_threads=1), features, self.middles_)
        return np.asarray((self.common_ + varying) * self.widths_)


class ForestResponse:
    """A curve common to all, turned by a slope that differs between customers: econml's generalised random forest.

    Its honest trees split where the slope of (sales residual less the common curve) on the dose residual differs.
    Source: Athey, Tibshirani & Wager (2019), "Generalized random forests".
    """

    orthogonal = True

    def __init__(
        self, trees: int, min_leaf: int, row_share: float, *, seed: int, key: str = f"{SECTION}.causal_forest"
    ) -> None:
        self.trees = 4 * (require_whole(trees, f"{key}.trees", 4) // 4)
        self.min_leaf = require_whole(min_leaf, f"{key}.min_leaf", 1)
        self.row_share = require_number(row_share, f"{key}.row_share", 0, 0.5, low_open=True, noun="share")
        self.seed = seed

    def fit(self, train: DoseTraining) -> "ForestResponse":
        """See ``ResponseLearner``."""
        from econml.grf import CausalForest

        self.common_, self.widths_ = common_curve(train), train.widths
        remains = train.sales_residual - product(train.slopes, self.common_)
        self.forest_ = CausalForest(
            n_estimators=self.trees,
            min_samples_leaf=self.min_leaf,
            max_samples=self.row_share,
            fit_intercept=False,
            n_jobs=1,
            random_state=self.seed,
        ).fit(train.features, train.slopes.sum(axis=1)[:, None], remains[:, None])
        return self

    def increments(self, features: Floats) -> Floats:
        """See ``ResponseLearner``."""
        slope = np.ravel(self.forest_.predict(features))
        return np.asarray((self.common_ + slope[:, None]) * self.widths_)


class LinearResponse:
    """A curve common to all, turned by a slope that is linear in the features: econml's LinearDML, without a penalty.

    The features are standardised and cut off at three standard deviations. econml is given residuals of outcome and
    dose, so its own first stage, a mean over two folds, finds nothing. Source: Chernozhukov et al. (2018).
    """

    orthogonal = True

    def __init__(self, *, seed: int) -> None:
        self.seed = seed

    def fit(self, train: DoseTraining) -> "LinearResponse":
        """See ``ResponseLearner``."""
        from econml.dml import LinearDML
        from sklearn.dummy import DummyRegressor

        self.common_, self.widths_ = common_curve(train), train.widths
        self.centre_, scale = train.features.mean(axis=0), train.features.std(axis=0)
        self.scale_ = np.where(scale > 0, scale, np.inf)
        # All levels of a category, or a feature twice, would leave the line without a unique solution.
        self.kept_ = independent_columns(self._cut_off(train.features))[1]
        model = LinearDML(
            model_y=DummyRegressor(), model_t=DummyRegressor(), cv=2, random_state=self.seed
        ).fit(
            train.sales_residual - product(train.slopes, self.common_),
            train.slopes.sum(axis=1),
            X=self._lines(train.features),
            inference=None,
        )  # fmt: skip
        self.slope_ = alike([*np.ravel(model.intercept_), *np.ravel(model.coef_)])
        return self

    def increments(self, features: Floats) -> Floats:
        """See ``ResponseLearner``."""
        slope = self.slope_[0] + product(self._lines(features), self.slope_[1:])
        return np.asarray((self.common_ + slope[:, None]) * self.widths_)

    def _lines(self, features: Floats) -> Floats:
        return self._cut_off(features)[:, self.kept_]

    def _cut_off(self, features: Floats) -> Floats:
        return np.clip((features - self.centre_) / self.scale_, -WINSORIZE, WINSORIZE)


class SLearner:
    """One boosted model of sales on dose, features and controls, without residuals; for comparison.

    Its trees hold either dose and features or controls alone, so the response is a function of x and dose, added to
    what the controls explain; sales never fall in the dose. What dose and controls share goes to whichever the trees
    split on first: the other learners avoid this bias.
    """

    orthogonal = False

    def __init__(self, model: Mapping[str, Any], *, seed: int, key: str = f"{SECTION}.s_learner") -> None:
        self.model = Boosting.from_params(model, f"{key}.model")
        self.seed = seed

    def fit(self, train: DoseTraining) -> "SLearner":
        """See ``ResponseLearner``."""
        lgb = lightgbm()
        features, controls = train.features.shape[1], train.controls.shape[1]
        self.knots_, self.filler_ = train.knots, np.zeros(controls)
        parameters = self.model.arguments(self.seed) | {
            "objective": "regression",
            "monotone_constraints": [1] + [0] * (features + controls),
            "interaction_constraints": [
                list(range(features + 1)),
                list(range(features + 1, features + 1 + controls)),
            ],
        }
        table = np.column_stack([train.dose, train.features, train.controls])
        data = lgb.Dataset(table, train.sales, params=BINNING)
        self.booster_ = lgb.train(parameters, data, num_boost_round=self.model.trees)
        return self

    def increments(self, features: Floats) -> Floats:
        """See ``ResponseLearner``."""

        def predict(rows: Floats) -> Floats:
            # Controls shift all doses alike, so any value of them will do.
            filled = np.column_stack([rows, np.broadcast_to(self.filler_, (len(rows), len(self.filler_)))])
            return np.asarray(self.booster_.predict(filled, num_threads=1))

        return np.diff(on_grid(predict, features, self.knots_), axis=1)


# The classes that an entry of params.yaml may name. One is made from its entry, a seed, and the entry's key for errors.
RESPONSE_LEARNERS: dict[str, Callable[..., ResponseLearner]] = {
    "varying_coefficients": VaryingCoefficients,
    "r_learner": BoostedResponse,
    "causal_forest": ForestResponse,
    "double_ml": LinearResponse,
    "s_learner": SLearner,
}


def make_response_learner(name: str, params: Mapping[str, Any] | None, seed: int) -> ResponseLearner:
    """An unfitted learner, of the class that its entry of params.yaml names. Raises InputError, see ``make``."""
    return make(RESPONSE_LEARNERS, name, params, SECTION, seed=seed)


def ramps(dose: Floats, knots: Floats) -> Floats:
    """r_j(dose), the part of the way from knot j to knot j + 1 that a dose has gone, in [0, 1]: (n, J)."""
    return np.clip((np.asarray(dose)[:, None] - knots[:-1]) / np.diff(knots), 0.0, 1.0)


def common_curve(train: DoseTraining) -> Floats:
    """Extra sales a dollar between each knot and the next, the same for all customers, (J,)."""
    gram = product(train.slopes.T, train.slopes)
    floor = 1e-9 * np.trace(gram) / len(gram) * np.eye(len(gram))
    return solve(gram + roughness(gram) + floor, product(train.slopes.T, train.sales_residual))


def roughness(gram: Floats) -> Floats:
    """The penalty of squared differences between neighbouring slopes, (J, J)."""
    steps = np.diff(np.eye(len(gram)), axis=0)
    return np.asarray(ROUGHNESS * np.trace(gram) / len(gram) * steps.T @ steps)


def bends(knots: Floats, segments: int) -> Floats:
    """How a slope may differ along the dose, (J, columns): by the same everywhere, and between ``segments`` points."""
    middles = (knots[1:] + knots[:-1]) / 2
    same = np.ones((len(middles), 1))
    if segments == 1:
        return same
    points = np.linspace(middles[0], middles[-1], segments)
    hats = [np.interp(middles, points, column) for column in np.eye(segments)]
    return np.column_stack([same, *hats])


def on_grid(predict: Callable[[Floats], Any], features: Floats, doses: Floats) -> Floats:
    """Predictions for every customer at every dose, (m, len(doses)); ``predict`` takes the dose as first column."""
    columns = [predict(np.column_stack([np.full(len(features), dose), features])) for dose in doses]
    return np.column_stack(columns) if len(features) else np.empty((0, len(doses)))
