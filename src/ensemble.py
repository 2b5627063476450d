"""Gather the effects of all learners in one table, weigh the learners against each other, and mix their effects.

reads   data/cate/<learner>.parquet of the learners in params.yaml, data/nuisance.parquet, data/prepared/, data/split/
writes  data/effects.parquet (customer_id, round, a column a learner, ensemble), models/ensemble/ and
        metrics/ensemble.json (weights of the last round)
"""

import numpy as np
import pandas as pd

from pipeline import stage
from pipeline.tables import codes_of_clusters, read_round, read_split, rounds_of, scores_with
from promotions.base.names import ENSEMBLE
from promotions.learners.ensemble import stack


def main() -> None:
    """Weights come from training customers' out-of-fold effects; everybody gets the mixture."""
    stage.section("ensemble", expected=("method",))
    customers = stage.read_parquet("data/prepared/customers.parquet")
    ids, names = customers["customer_id"], stage.learners()
    clusters = codes_of_clusters(customers)
    tables = []
    for each in rounds_of(read_split(ids)):
        rows = np.flatnonzero(each.train | each.target)
        effects = pd.DataFrame({"customer_id": ids[rows], "round": each.number})
        for name in names:
            learned = read_round(f"data/cate/{name}.parquet", each.number, ids[rows])
            effects[name] = learned["cate"].to_numpy()
        mu = read_round("data/nuisance.parquet", each.number, ids[each.train])
        mixture = stack(
            effects.loc[each.train[rows], names].to_numpy(),
            scores_with(customers[each.train], mu).effect,
            clusters[each.train],
            names,
            method=stage.params("ensemble", "method"),
        )
        effects[ENSEMBLE] = mixture.predict({name: effects[name].to_numpy() for name in names})
        tables.append(effects)

    stage.write_parquet("data/effects.parquet", pd.concat(tables, ignore_index=True))
    with stage.replacing_folder(f"models/{ENSEMBLE}") as folder:
        mixture.save(folder)
    label = stage.label_of_roles()
    stage.write_json("metrics/ensemble.json", {**label, "method": mixture.method, "weights": mixture.weights})
    heaviest = sorted(mixture.weights.items(), key=lambda item: -item[1])[:4]
    stage.say(", ".join(f"{name} {weight:.0%}" for name, weight in heaviest if weight > 0))


if __name__ == "__main__":
    stage.run(main, __doc__)
