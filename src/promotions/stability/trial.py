"""One repetition of the procedure on a resample of the experiment."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.encoding import fit_encoder
from promotions.base.errors import InputError
from promotions.base.names import ENSEMBLE
from promotions.economics import Economics
from promotions.learners import Training, cross_fit
from promotions.learners.ensemble import stack
from promotions.nuisances import cross_fit_outcomes
from promotions.policies import CONSTANTS, GainTraining
from promotions.scores import make_scores
from promotions.stability.draws import Draw, draw_trial
from promotions.stability.procedure import Procedure


@dataclass(frozen=True)
class Subjects:
    """The customers of one experiment, n of them.

    features: the frame before encoding.  outcome, treatment, propensity: (n,).  cluster: (n,) codes.  revenue: what a
    response earns, (n,) or a number; its mean is the unit of money here.  truth: mean outcomes of the arms (n, 2),
    where they are known.
    """

    features: pd.DataFrame
    outcome: NDArray[np.float64]
    treatment: NDArray[np.int8]
    propensity: NDArray[np.float64]
    cluster: NDArray[np.intp]
    revenue: float | NDArray[np.float64] = 1.0
    truth: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Money is measured in mean revenues of a response. Raises InputError if a response earns nothing."""
        mean = float(np.mean(self.revenue))
        if not mean > 0:
            raise InputError("column 'revenue' is 0 for every customer; at a cost ratio C/R there is no profit")
        object.__setattr__(self, "revenue", self.revenue / mean)

    def economics(self, rows: NDArray[np.intp], procedure: Procedure) -> list[Economics]:
        """Economics of these customers at each ratio: a contact costs that share of what a response earns."""
        revenue = self.revenue[rows] if isinstance(self.revenue, np.ndarray) else self.revenue
        today = Economics(1.0, revenue, procedure.charged)
        return [today.at_ratio(ratio) for ratio in procedure.ratios.values()]


def run_trial(
    subjects: Subjects,
    procedure: Procedure,
    seed: Sequence[int],
    threads: int = 1,
    progress: Callable[[], object] = lambda: None,
) -> pd.DataFrame:
    """Profit of every policy at every ratio in one repetition of the procedure.

    Encoding, outcome models, learners and their mixture are learned once, from the trial's own training customers;
    only the rules are learned anew at each ratio. Profit over treating nobody is

    V(π) = Σ_i w_i π_i (R_i (Γ_i(1) − Γ_i(0)) − C_i) / Σ_i w_i,   C_i = ratio · R_i,

    i over the customers tested, w_i how often each was drawn, Γ the doubly robust (``dr``) or inverse propensity
    (``ips``) score of the outcome; when charged on response, C_i becomes C_i Γ_i(1). ``true``: with the mean outcomes
    in place of scores, where they are known. The unit is the mean revenue of a response, per customer.

    seed: of this trial alone; it gives the same numbers with any other trials and any number of threads.  Returns rows
    ratio, value (C/R), policy, share_treated, dr, ips, tested (Σ w) and, if known, true.
    """
    most, n = procedure.customers, len(subjects.outcome)
    draw = draw_trial(
        _stream(seed, "draw"),
        subjects.cluster,
        subjects.treatment,
        procedure.train_share,
        procedure.folds,
        share=1.0 if most is None else min(1.0, most / n),
    )
    rows, new = draw.train, draw.test
    # Each distinct customer is encoded once, then repeated.
    distinct, first, copies = np.unique(rows, return_index=True, return_inverse=True)
    raw = subjects.features
    encoder = fit_encoder(raw.iloc[rows], list(raw.columns), procedure.max_levels)
    of_distinct, targets = encoder.transform(raw.iloc[distinct]), encoder.transform(raw.iloc[new])
    train, outside = _training(subjects, procedure, draw, of_distinct[copies], targets, seed, threads, progress)
    of_train, of_new = _effects(procedure, train, targets, seed, threads, progress)

    # What rules learn from and decide by, learner by learner within a ratio. Copies of a customer look alike to a rule:
    # they are one row with the sum of their gains.
    at_ratios = subjects.economics(new, procedure)
    gains = np.column_stack(
        [
            np.add.reduceat(economics.expected_gain(cate, train.mu1), first)
            for economics in subjects.economics(rows, procedure)
            for cate in of_train.values()
        ]
    )
    new_gains = np.column_stack(
        [economics.expected_gain(cate, outside[:, 1]) for economics in at_ratios for cate in of_new.values()]
    )
    decided = [
        family.decide_each(
            GainTraining(of_distinct, gains, draw.fold[first], _number(seed, name), threads, progress),
            targets,
            new_gains,
        ).T
        for name, family in procedure.families.items()
    ]
    # Family within learner within ratio.
    by_ratio = np.stack(decided, axis=1).reshape(len(at_ratios), -1, len(new))
    scores = make_scores(
        subjects.outcome[new], subjects.treatment[new], subjects.propensity[new], outside[:, 0], outside[:, 1]
    )
    outcomes = {"dr": scores.dr, "ips": scores.ips}
    if subjects.truth is not None:
        outcomes["true"] = subjects.truth[new]
    tables = []
    constant = np.array([[rule.treat] for rule in CONSTANTS.values()]).repeat(len(new), axis=1)
    for (label, ratio), economics, by_rule in zip(procedure.ratios.items(), at_ratios, by_ratio, strict=True):
        table = pd.DataFrame({"ratio": label, "value": ratio, "policy": procedure.policies})
        earned = _profits(np.concatenate([constant, by_rule]), draw.count, outcomes, economics)
        tables.append(table.join(earned).assign(tested=int(draw.count.sum())))
    return pd.concat(tables, ignore_index=True)


def _training(
    subjects: Subjects,
    procedure: Procedure,
    draw: Draw,
    features: NDArray[np.float64],
    targets: NDArray[np.float64],
    seed: Sequence[int],
    threads: int,
    progress: Callable[[], object],
) -> tuple[Training, NDArray[np.float64]]:
    """The training customers, with cross-fitted outcome models, and the models' predictions for the tested, (m, 2)."""
    rows = draw.train
    outcome, treatment = subjects.outcome[rows], subjects.treatment[rows]
    fitted = cross_fit_outcomes(
        features,
        outcome,
        treatment,
        draw.fold,
        targets,
        procedure.nuisance,
        _number(seed, "nuisance"),
        threads,
        progress,
    )
    train = Training(
        features=features,
        outcome=outcome,
        treatment=treatment,
        propensity=subjects.propensity[rows],
        mu0=fitted.inside[:, 0],
        mu1=fitted.inside[:, 1],
        fold=draw.fold,
        cluster=subjects.cluster[rows],
        outcome_models=fitted.models,
    )
    return train, fitted.outside


def _effects(
    procedure: Procedure,
    train: Training,
    targets: NDArray[np.float64],
    seed: Sequence[int],
    threads: int,
    progress: Callable[[], object],
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Out-of-fold effects of the training customers and effects of the tested, by learner and for their mixture."""
    of_train, of_new = {}, {}
    for name, make in procedure.learners.items():
        of_train[name], fitted = cross_fit(partial(make, _number(seed, name)), train, threads, progress)
        of_new[name] = fitted.predict(targets)
    if procedure.ensemble:
        scores = make_scores(train.outcome, train.treatment, train.propensity, train.mu0, train.mu1)
        stacked = np.column_stack(list(of_train.values()))
        mixture = stack(stacked, scores.effect, train.cluster, list(of_train), method=procedure.ensemble)
        of_train[ENSEMBLE], of_new[ENSEMBLE] = mixture.predict(of_train), mixture.predict(of_new)
    return of_train, of_new


def _profits(
    treat: NDArray[np.bool_], count: NDArray[np.intp], outcomes: dict[str, NDArray[np.float64]], economics: Economics
) -> pd.DataFrame:
    """Share treated, and profit over treating nobody by each kind of outcome, of each policy.

    treat: (policies, m).  count: (m,).  outcomes: (m, 2) each.
    """
    weight = count / count.sum()
    earned = {"share_treated": (treat * weight).sum(axis=1)}
    for name, values in outcomes.items():
        profits = economics.profits(values)
        earned[name] = (treat * (weight * (profits[:, 1] - profits[:, 0]))).sum(axis=1)
    return pd.DataFrame(earned)


def _stream(seed: Sequence[int], purpose: str) -> np.random.Generator:
    """Randomness for one purpose: leaving a learner out changes no other learner."""
    return np.random.default_rng([*seed, zlib.crc32(purpose.encode())])


def _number(seed: Sequence[int], purpose: str) -> int:
    return int(_stream(seed, purpose).integers(2**31))
