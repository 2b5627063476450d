"""Weigh the learners of the effect against each other, and mix their effects.

reads   data/cate/<learner>.parquet, data/nuisance.parquet, data/prepared/, data/split/
writes  data/cate/ensemble.parquet (customer_id, cate, round), models/ensemble/ and metrics/ensemble.json (weights
        of the last round)
"""

import numpy as np
import pandas as pd

from pipeline import stage
from pipeline.tables import codes_of_clusters, read_round, read_split, rounds_of, scores_with
from promotions.base.names import ENSEMBLE
from promotions.learners.ensemble import stack


def main() -> None:
    """Weights come from training customers' out-of-fold effects; everybody gets the mixture."""
    stage.section("ensemble", known=("method",))
    customers = stage.read_parquet("data/prepared/customers.parquet")
    ids, names = customers["customer_id"], stage.learners()
    clusters = codes_of_clusters(customers)
    effects = []
    for each in rounds_of(read_split(ids)):
        mu = read_round("data/nuisance.parquet", each.number, ids[each.train])
        of_train, of_target = (
            pd.DataFrame(
                {
                    name: read_round(f"data/cate/{name}.parquet", each.number, ids[rows])["cate"].to_numpy()
                    for name in names
                },
                index=np.flatnonzero(rows),
            )
            for rows in (each.train, each.target)
        )
        mixture = stack(
            of_train.to_numpy(),
            scores_with(customers[each.train], mu).effect,
            clusters[each.train],
            names,
            method=stage.params("ensemble", "method"),
        )
        table = pd.concat([of_train, of_target]).sort_index()
        cate = mixture.predict({str(name): column.to_numpy() for name, column in table.items()})
        effects.append(pd.DataFrame({"customer_id": ids[table.index], "cate": cate, "round": each.number}))

    stage.write_parquet(f"data/cate/{ENSEMBLE}.parquet", pd.concat(effects, ignore_index=True))
    with stage.replacing_folder(f"models/{ENSEMBLE}") as folder:
        mixture.save(folder)
    label = stage.label_of_roles()
    stage.write_json("metrics/ensemble.json", {**label, "method": mixture.method, "weights": mixture.weights})
    heaviest = sorted(mixture.weights.items(), key=lambda item: -item[1])[:4]
    stage.say(", ".join(f"{name} {weight:.0%}" for name, weight in heaviest if weight > 0))


if __name__ == "__main__":
    stage.run(main, __doc__)
