"""Fit one learner of the conditional average treatment effect.

reads   data/prepared/customers.parquet, data/split/, models/encoder.json, data/nuisance.parquet, models/nuisance/
writes  data/cate/<learner>.parquet (customer_id, cate, round; out-of-fold for those who train in that round),
        data/cate/<learner>.json (fit time), models/learners/<learner>/ (of the last round, as text)
"""

import time
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import stage
from pipeline.tables import codes_of_clusters, read_features, read_round, read_split, rounds_of
from promotions.base.formatting import number
from promotions.base.rounding import significant
from promotions.learners import Learner, Training, count_fits, cross_fit, make_learner
from promotions.nuisances import OutcomeModels


def main(learner: str) -> None:
    """Effects of all customers in each round; those of training customers come from learners fitted to other folds."""
    settings, seed = stage.params("learners", learner), int(stage.generator("cate", learner).integers(2**31))
    customers, features = read_features()
    ids, clusters = customers["customer_id"], codes_of_clusters(customers)
    split = read_split(ids)
    rounds = rounds_of(split)

    def make() -> Learner:
        return make_learner(learner, settings, seed)

    unfitted = make()  # reports a wrong parameter before anything is fitted
    started = time.perf_counter()
    effects = []
    fold = split["fold"].to_numpy(dtype=np.int8)
    fits = sum(count_fits(unfitted, len(np.unique(fold[each.train]))) for each in rounds)
    with stage.progress(learner, fits) as bar:
        for each in rounds:
            nuisance = read_round("data/nuisance.parquet", each.number, ids[each.train])
            train = Training(
                features=features[each.train],
                outcome=customers["outcome"].to_numpy()[each.train],
                treatment=customers["treatment"].to_numpy()[each.train],
                propensity=customers["propensity"].to_numpy()[each.train],
                mu0=nuisance["mu0"].to_numpy(),
                mu1=nuisance["mu1"].to_numpy(),
                fold=fold[each.train],
                cluster=clusters[each.train],
                outcome_models=OutcomeModels.load(Path("models/nuisance", str(each.number))),
            )
            out_of_fold, fitted = cross_fit(make, train, stage.threads(), bar.update)
            predicted = fitted.predict(features[each.target])
            pieces = (
                pd.DataFrame({"customer_id": ids[rows], "cate": significant(cate), "round": each.number})
                for rows, cate in ((each.train, out_of_fold), (each.target, predicted))
            )
            effects.append(pd.concat(pieces).sort_index())
    seconds = time.perf_counter() - started

    stage.write_parquet(f"data/cate/{learner}.parquet", pd.concat(effects, ignore_index=True))
    # Not an output of the stage, and ignored by DVC: a fit time differs from run to run, and dvc.lock should not.
    stage.write_json(f"data/cate/{learner}.json", {"learner": learner, "fit_seconds": round(seconds, 2)})
    with stage.replacing_folder(f"models/learners/{learner}") as temporary:
        fitted.save(temporary)
    mean, low, high = (number(value, 5) for value in (predicted.mean(), *np.quantile(predicted, [0.05, 0.95])))
    stage.say(f"{learner}: mean effect {mean}, 90 % of customers {low} to {high}; {seconds:.1f} s")


if __name__ == "__main__":
    stage.run(main, __doc__)
