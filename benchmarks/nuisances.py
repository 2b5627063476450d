"""T-, X-, DR-, R-learner and double ML on shared nuisances, beside the same five from econml and causalml.

The first comparison is with econml, with the same LightGBM settings and the same folds: each of its classes fits
separate nuisances on separate bins; ours share those of one cross-fitting. There are seven experiments of 100,000
customers × 25 features with known effects (benchmarks.processes), and several seeds of each. It prints processor
seconds to fit the five and to predict 20,000 new customers, the models that LightGBM fitted meanwhile, their rows and
how often features were binned, and the error of each learner (RMSE to the true effect of the new customers, mean over
seeds). In `confounded` the propensity is estimated: once for all of ours, by econml in each class that needs it.

The second comparison is with econml's and causalml's *default* settings, on fewer customers and one experiment, as
econml then searches for its models. Only these are set: that the treatment is discrete; seeds; one thread and silence;
LightGBM with its default settings (100 trees of 31 leaves) where a class has no default model, and "auto" for the
outcome and the treatment in NonParamDML, which has no default (this is LinearDML's). causalml has no double ML. It runs
without the propensity, which is its default, and once more with that of the design, as some of its estimates end at its
limits .001 and .999, by which its DR-learner divides. Here the RMSE depends on the settings: ours are those of the
first comparison, made for small effects.

All runs are in one process and one thread, one after the other: then processor time is the time of an idle machine,
whatever else runs.

    PYTHONPATH=src python -m benchmarks.nuisances [rows] [seeds] [rows for the defaults]
"""

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from causalml.inference.meta import BaseDRLearner, BaseRRegressor, BaseTRegressor, BaseXRegressor
from econml.dml import LinearDML, NonParamDML
from econml.dr import DRLearner
from econml.metalearners import TLearner, XLearner
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from benchmarks.processes import FEATURES, PROCESSES, Experiment, draw
from promotions.boosting.binned import Binned
from promotions.boosting.cross_fitting import means_after
from promotions.boosting.settings import Boosting, is_binary, make_classifier, make_regressor
from promotions.learners import Training, make_learner
from promotions.learners.estimators.econml_bridge import ConstantPropensity
from promotions.nuisances import cross_fit_outcomes

ROWS, SEEDS, DEFAULT_ROWS, NEW, FOLDS = 100_000, 3, 10_000, 20_000, 5
NUISANCE = Boosting(trees=150, leaves=4, learning_rate=0.05, min_leaf=100, feature_share=0.5, row_share=0.7, l2=10)
EFFECT = Boosting(trees=150, leaves=4, learning_rate=0.05, min_leaf=200, feature_share=0.5, row_share=0.5, l2=10)
LEARNERS: dict[str, dict[str, Any]] = {
    "t_learner": {"model": "shared"},
    "x_learner": {"model": "shared", "effect": asdict(EFFECT)},
    "dr_learner": {"effect": asdict(EFFECT)},
    "r_learner": {"effect": asdict(EFFECT)},
    "double_ml": {"winsorize": 1e9},
}

Floats = NDArray[np.float64]
Effects = dict[str, Floats]


@dataclass
class Work:
    """The work of LightGBM: rows of each fit, and how many tables were binned."""

    seconds: float = 0.0
    fits: list[int] = field(default_factory=list)
    binned: int = 0


@contextmanager
def watched() -> Iterator[Work]:
    """Time and count what happens inside."""
    work, booster, dataset = Work(), lightgbm.Booster.__init__, lightgbm.Dataset.__init__

    def fits(self: Any, params: Any = None, train_set: Any = None, *args: Any, **kwargs: Any) -> None:
        booster(self, params, train_set, *args, **kwargs)
        if train_set is not None:
            work.fits.append(train_set.num_data())

    def bins(self: Any, data: Any, *args: Any, **kwargs: Any) -> None:
        dataset(self, data, *args, **kwargs)
        work.binned += data is not None

    lightgbm.Booster.__init__, lightgbm.Dataset.__init__ = fits, bins
    started = time.process_time()
    try:
        yield work
    finally:
        work.seconds = time.process_time() - started
        lightgbm.Booster.__init__, lightgbm.Dataset.__init__ = booster, dataset


def folds_of(rows: int) -> NDArray[np.int8]:
    """Folds by row number; the rows are in random order already."""
    return (np.arange(rows) % FOLDS).astype(np.int8)


def shared(world: Experiment, new: Floats) -> Effects:
    """Ours: nuisances once, final stages on top."""
    fold, nobody = folds_of(len(world.y)), np.zeros((0, FEATURES))
    propensity = world.propensity
    if propensity is None:
        counts = (NUISANCE.trees,)
        propensity = means_after(counts, Binned(world.X), world.X, world.treatment, fold, NUISANCE, 1)[:, 0]
    fitted = cross_fit_outcomes(world.X, world.y, world.treatment, fold, nobody, NUISANCE, 1)
    train = Training(
        features=world.X,
        outcome=world.y,
        treatment=world.treatment,
        propensity=propensity,
        mu0=fitted.inside[:, 0],
        mu1=fitted.inside[:, 1],
        fold=fold,
        cluster=np.arange(len(fold)),
        outcome_models=fitted.models,
    )
    return {name: make_learner(name, params, 1).fit(train).predict(new) for name, params in LEARNERS.items()}


def same_settings(world: Experiment, new: Floats) -> Effects:
    """The classes of econml, with LightGBM set as in ours, on the same folds. All get a known propensity."""
    fold = folds_of(len(world.y))
    cv = [(np.flatnonzero(fold != held), np.flatnonzero(fold == held)) for held in range(FOLDS)]
    outcome = make_regressor(NUISANCE, binary=is_binary(world.y), seed=1)
    effect = make_regressor(EFFECT, binary=False, seed=1)
    treatment: Any = make_classifier(NUISANCE, seed=1)
    if world.propensity is not None:
        treatment = ConstantPropensity(float(world.propensity[0]))
    residuals = {"model_y": outcome, "model_t": treatment, "discrete_treatment": True, "cv": cv, "random_state": 1}
    return effects_of(
        {
            "t_learner": TLearner(models=outcome),
            "x_learner": XLearner(models=outcome, cate_models=effect, propensity_model=treatment),
            "dr_learner": DRLearner(
                model_propensity=treatment, model_regression=outcome, model_final=effect, cv=cv, random_state=1
            ),
            "r_learner": NonParamDML(model_final=effect, **residuals),
            "double_ml": LinearDML(**residuals),
        },
        world,
        new,
        # Ours gives none here.
        inference=None,
    )


def econml_defaults(world: Experiment, new: Floats) -> Effects:
    """The classes of econml with default settings, except that treatment is 0/1."""
    plain = lightgbm.LGBMRegressor(n_jobs=1, verbose=-1)
    return effects_of(
        {
            "t_learner": TLearner(models=plain),
            "x_learner": XLearner(models=plain),
            "dr_learner": DRLearner(random_state=1),
            "r_learner": NonParamDML(
                model_y="auto", model_t="auto", model_final=plain, discrete_treatment=True, random_state=1
            ),
            "double_ml": LinearDML(discrete_treatment=True, random_state=1),
        },
        world,
        new,
    )


def effects_of(estimators: dict[str, Any], world: Experiment, new: Floats, **given: Any) -> Effects:
    """Fit and predict."""
    effects = {}
    for name, estimator in estimators.items():
        estimator.fit(world.y, world.treatment, X=world.X, **given)
        effects[name] = np.ravel(estimator.effect(new))
    return effects


def causalml_defaults(world: Experiment, new: Floats, *, with_propensity: bool = False) -> Effects:
    """The four learners of causalml, which estimate the propensity or get it."""
    plain = lightgbm.LGBMRegressor(n_jobs=1, verbose=-1)
    learners = {
        "t_learner": BaseTRegressor(learner=plain),
        "x_learner": BaseXRegressor(learner=plain),
        "dr_learner": BaseDRLearner(learner=plain),
        "r_learner": BaseRRegressor(learner=plain, random_state=1),
    }
    # It would take all cores; the class does not pass its argument on.
    learners["r_learner"].cv_n_jobs = 1
    effects = {}
    for name, learner in learners.items():
        seeded = {"seed": 1} if name == "dr_learner" else {}
        of_training, of_new = {}, {}
        if with_propensity:
            assert world.propensity is not None
            of_training, of_new = {"p": world.propensity}, {"p": np.full(len(new), world.propensity[0])}
        learner.fit(X=world.X, treatment=world.treatment.astype(int), y=world.y, **seeded, **of_training)
        effects[name] = np.ravel(learner.predict(new, **of_new))
    return effects


def errors(effects: Effects, truth: Floats) -> dict[str, float]:
    """RMSE of each learner."""
    return {name: float(np.sqrt(np.mean((effect - truth) ** 2))) for name, effect in effects.items()}


def run(work_of: Callable[[Experiment, Floats], Effects], world: Experiment, fresh: Experiment) -> tuple[Work, Any]:
    """One method, timed and counted, and its errors."""
    with watched() as work:
        effects = work_of(world, fresh.X)
    return work, errors(effects, fresh.tau)


def same(rows: int, seeds: int) -> None:
    """All processes; the seconds of all runs together."""
    ways = {"shared": shared, "econml": same_settings}
    works: dict[str, list[Work]] = {way: [] for way in ways}
    table = []
    for name in PROCESSES:
        missed_by_way: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for seed in range(seeds):
            world, fresh = draw(name, rows, seed), draw(name, NEW, seed + 10_000)
            for way, work_of in ways.items():
                work, missed = run(work_of, world, fresh)
                works[way].append(work)
                missed_by_way[way].append(missed)
        ours, theirs = (pd.DataFrame(missed_by_way[way]).mean() for way in ways)
        table.append(pd.DataFrame({"process": name, "shared": ours, "econml": theirs, "ratio": ours / theirs}))
        for way in ways:
            last = works[way][-1]
            print(
                f"{name:11s}{way:7s}{sum(work.seconds for work in works[way][-seeds:]) / seeds:7.1f} s, "
                f"{len(last.fits)} fits of {sum(last.fits):,} rows together, features binned {last.binned} times",
                flush=True,
            )
    whole = pd.concat(table).rename_axis("learner").reset_index()
    for value in ("shared", "econml", "ratio"):
        print(f"\n{'ratio of the two' if value == 'ratio' else f'RMSE to the true effect, {value}'}")
        shown = whole.pivot_table(index="learner", columns="process", values=value).loc[list(LEARNERS), list(PROCESSES)]
        if value == "ratio":
            shown["all"] = shown.apply(geometric_mean, axis=1)
        print(shown.round(4).to_string())
    print()
    ours_all, theirs_all = (sum(work.seconds for work in works[way]) for way in ways)
    worse = int((whole["ratio"] > 1.005).sum())
    print(f"RMSE more than 0.5 % above econml's in {worse} of {len(whole)} pairs of learner and process")
    print(
        f"ratio: T, X, DR, R and double ML with shared nuisances: {theirs_all / ours_all:.1f} times as fast as econml "
        f"with the same settings and folds ({rows:,} × {FEATURES}, {len(PROCESSES)} processes, seeds: {seeds}, "
        f"processor time), RMSE {geometric_mean(whole['ratio']):.3f} times its"
    )


def defaults(rows: int) -> None:
    """One experiment, once."""
    world, fresh = draw("smooth", rows, 0), draw("smooth", NEW, 10_000)
    ways = {
        "shared": shared,
        "econml": econml_defaults,
        "causalml": causalml_defaults,
        "causalml, told the propensity": partial(causalml_defaults, with_propensity=True),
    }
    print(f"\ndefault settings, smooth, {rows:,} customers")
    results = {name: run(work_of, world, fresh) for name, work_of in ways.items()}
    for name, (work, missed) in results.items():
        errors_text = ", ".join(f"{learner} {error:.4f}" for learner, error in missed.items())
        print(f"{name:30s}{work.seconds:7.1f} s; RMSE {errors_text}")
    work, ours = results.pop("shared")
    for name, (theirs, missed) in results.items():
        error = geometric_mean([ours[learner] / missed[learner] for learner in missed])
        print(
            f"ratio: T, X, DR, R and double ML with shared nuisances: {theirs.seconds / work.seconds:.1f} times as "
            f"fast as the {len(missed)} of {name}, defaults ({rows:,} × {FEATURES}, smooth, seeds: 1, processor time), "
            f"RMSE {error:.2f} times its"
        )


def geometric_mean(values: ArrayLike) -> float:
    """Of ratios."""
    return float(np.exp(np.log(np.asarray(values, dtype=np.float64)).mean()))


def main(rows: int, seeds: int, default_rows: int) -> None:
    """Both comparisons."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with threadpool_limits(limits=1):
        print(f"{rows:,} customers × {FEATURES} features, seeds: {seeds}, {FOLDS} folds, one thread, processor time")
        same(rows, seeds)
        defaults(default_rows)


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*(given + [ROWS, SEEDS, DEFAULT_ROWS][len(given) :]))
