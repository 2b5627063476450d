"""Fit one learner of the conditional average treatment effect.

reads   data/prepared/customers.parquet, data/split/, models/encoder.json, data/nuisance.parquet
writes  data/cate/<learner>.parquet (customer_id, cate; out-of-fold on train), data/cate/<learner>.json (fit time),
        models/<learner>/
"""

import time

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

import stage
from promotions.learners import Learner, Training, cross_fit, make_learner
from tables import codes_of_clusters, read_features, read_for, read_split


def main(learner: str) -> None:
    """Effects of all customers: a training customer's from learners that were fitted to the other folds."""
    settings, seed = stage.params("learners", learner), int(stage.generator("cate", learner).integers(2**31))
    customers, features = read_features()
    split = read_split(customers["customer_id"])
    nuisance = read_for("data/nuisance.parquet", customers["customer_id"])
    in_train = split["part"].to_numpy() == "train"
    train = Training(
        features=features,
        outcome=customers["outcome"].to_numpy(),
        treatment=customers["treatment"].to_numpy(),
        propensity=customers["propensity"].to_numpy(),
        mu0=nuisance["mu0"].to_numpy(),
        mu1=nuisance["mu1"].to_numpy(),
        fold=split["fold"].to_numpy(dtype=np.int8),
        cluster=codes_of_clusters(customers),
    ).rows(in_train)

    def make() -> Learner:
        return make_learner(learner, settings, seed)

    make()  # a wrong parameter is named before anything is fitted
    started = time.perf_counter()
    with tqdm(total=len(np.unique(train.fold)) + 1, desc=learner, leave=False) as bar:
        out_of_fold, fitted = cross_fit(make, train, stage.threads(), bar.update)
    cate = np.empty(len(customers))
    cate[in_train], cate[~in_train] = out_of_fold, fitted.predict(features[~in_train])
    seconds = time.perf_counter() - started

    stage.write_parquet(
        f"data/cate/{learner}.parquet", pd.DataFrame({"customer_id": customers["customer_id"], "cate": cate})
    )
    # Not an output of the stage: a fit time differs from run to run, and dvc.lock should not.
    stage.write_json(f"data/cate/{learner}.json", {"learner": learner, "fit_seconds": round(seconds, 2)})
    with stage.replacing(f"models/{learner}/model.joblib") as temporary:
        joblib.dump(fitted, temporary, compress=3)
    low, high = np.quantile(cate, [0.05, 0.95])
    stage.say(f"{learner}: mean effect {cate.mean():.5f}, 90 % of customers {low:.5f} to {high:.5f}; {seconds:.1f} s")


if __name__ == "__main__":
    stage.run(main, __doc__)
