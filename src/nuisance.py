"""Cross-fit the outcome models of both arms, and score every customer of select and final.

reads   data/prepared/customers.parquet, data/split/, models/encoder.json
writes  data/nuisance.parquet (customer_id, mu0, mu1), data/scores.parquet (customer_id, part, weight_*, ips_*, dr_*)
"""

import numpy as np
import pandas as pd
from tqdm import tqdm

import stage
from promotions.boosting import Boosting
from promotions.evaluation.scores import make_scores
from promotions.nuisances import fit_outcome_models
from tables import read_features, read_split


def main() -> None:
    """Outcome models see training customers only."""
    model = Boosting.from_params(stage.section("nuisance"), "nuisance")
    customers, features = read_features()
    split = read_split(customers["customer_id"])
    train = split["part"].to_numpy() == "train"
    fold = split["fold"].to_numpy()[train].astype(np.int8)
    outcome, treatment = customers["outcome"].to_numpy(), customers["treatment"].to_numpy()
    with tqdm(total=2 * len(np.unique(fold)), desc="outcome models", leave=False) as bar:
        inside, outside = fit_outcome_models(
            features[train],
            outcome[train],
            treatment[train],
            fold,
            features[~train],
            model,
            int(stage.generator("nuisance").integers(2**31)),
            stage.threads(),
            bar.update,
        )
    mu = np.empty((len(customers), 2))
    mu[train], mu[~train] = inside, outside
    scores = make_scores(
        outcome[~train], treatment[~train], customers["propensity"].to_numpy()[~train], outside[:, 0], outside[:, 1]
    )

    names = pd.DataFrame({"customer_id": customers["customer_id"], "part": split["part"]})
    stage.write_parquet(
        "data/nuisance.parquet",
        pd.DataFrame({"customer_id": customers["customer_id"], "mu0": mu[:, 0], "mu1": mu[:, 1]}),
    )
    stage.write_parquet(
        "data/scores.parquet", pd.concat([names[~train].reset_index(drop=True), scores.to_frame()], axis=1)
    )
    residual = outcome[train] - np.where(treatment[train] == 1, inside[:, 1], inside[:, 0])
    explained = 1 - (residual @ residual) / ((outcome[train] - outcome[train].mean()) ** 2).sum()
    stage.say(f"{int((~train).sum()):,} customers scored; outcome models explain {explained:.1%} out of fold")


if __name__ == "__main__":
    stage.run(main, __doc__)
