"""Cross-fit the outcome models of both arms, and score every customer of select and final.

reads   data/prepared/customers.parquet, data/split/, models/encoder.json
writes  data/nuisance.parquet (customer_id, mu0, mu1, round), data/scores.parquet (customer_id, part, segment, weight_*,
        ips_*, dr_*), models/nuisance/<round>/ (the outcome models, as LightGBM's text)
"""

import numpy as np
import pandas as pd

from pipeline import stage
from pipeline.tables import read_features, read_split, rounds_of, scores_with
from promotions.base.formatting import percentage
from promotions.base.rounding import significant
from promotions.boosting.settings import Boosting
from promotions.nuisances import OutcomeModels, cross_fit_outcomes


def main() -> None:
    """Fit and score; outcome models see only customers of earlier segments."""
    model = Boosting.from_params(stage.section("nuisance"), "nuisance")
    customers, features = read_features()
    split = read_split(customers["customer_id"])
    rounds = rounds_of(split)
    outcome, treatment = customers["outcome"].to_numpy(), customers["treatment"].to_numpy()
    fold = split["fold"].to_numpy(dtype=np.int8)
    seed = int(stage.generator("nuisance").integers(2**31))
    names = pd.DataFrame({"customer_id": customers["customer_id"], "part": split["part"], "segment": split["segment"]})
    means, scores, explained = [], [], []
    models: dict[int, OutcomeModels] = {}
    folds = sum(len(np.unique(fold[each.train])) for each in rounds)
    with stage.progress("outcome models", 2 * folds) as bar:
        for each in rounds:
            train, target = each.train, each.target
            fitted = cross_fit_outcomes(
                features[train],
                outcome[train],
                treatment[train],
                fold[train],
                features[target],
                model,
                seed,
                stage.threads(),
                bar.update,
            )
            inside, outside = significant(fitted.inside), significant(fitted.outside)
            pieces = (
                pd.DataFrame(
                    {
                        "customer_id": customers["customer_id"][rows],
                        "mu0": mu[:, 0],
                        "mu1": mu[:, 1],
                        "round": each.number,
                    }
                )
                for rows, mu in ((train, inside), (target, outside))
            )
            means.append(pd.concat(pieces).sort_index())
            scored = scores_with(customers[target], pd.DataFrame(outside, columns=["mu0", "mu1"]))
            scores.append(scored.to_frame().set_index(np.flatnonzero(target)))
            residual = outcome[train] - np.where(treatment[train] == 1, inside[:, 1], inside[:, 0])
            explained.append(1 - residual.var() / outcome[train].var())
            models[each.number] = fitted.models

    stage.write_parquet("data/nuisance.parquet", pd.concat(means, ignore_index=True))
    stage.write_parquet("data/scores.parquet", names.join(pd.concat(scores).sort_index(), how="inner"))
    with stage.replacing_folder("models/nuisance") as temporary:
        for number, each_models in models.items():
            folder = temporary / str(number)
            folder.mkdir()
            each_models.save(folder)
    stage.say(
        f"{sum(map(len, scores)):,} customers scored in {len(rounds)} round{'s' * (len(rounds) > 1)}; "
        f"outcome models explain {percentage(explained[-1], 1)} out of fold"
    )


if __name__ == "__main__":
    stage.run(main, __doc__)
