"""Divide the customers into parts that train, select and report, and learn the features' encoding from the first.

reads   data/prepared/customers.parquet
writes  data/split/{train,select,final}.parquet (customer_id, fold, segment), models/encoder.json,
        models/profile.json (how each feature is distributed in training: src/score.py looks for drift)
"""

import pandas as pd

from pipeline import stage
from promotions.base.encoding import fit_encoder
from promotions.base.errors import InputError
from promotions.base.splitting import PARTS, PROTOCOLS, assign_folds, assign_segments, clusters_of
from promotions.base.validation import require_choice
from promotions.customers import feature_names
from promotions.scoring.drift import fit_profile

# With fewer, standard errors mean nothing.
LEAST_CLUSTERS = 10
# Digits of a median or an edge of a bin: either may be a moment, in seconds.
DIGITS_OF_DATA = 10


def main() -> None:
    """Assign customers to parts, folds and segments by a salted hash of the cluster."""
    stage.section("split", expected=("shares", "salt", "folds", "max_levels", "segments"))
    protocol = require_choice(stage.params("evaluate", "protocol"), PROTOCOLS, "evaluate.protocol")
    shares, folds, salt = (
        stage.section("split", "shares"),
        stage.params("split", "folds"),
        stage.params("split", "salt"),
    )
    max_levels = stage.whole_number("split", "max_levels", least=1)
    customers = stage.read_parquet("data/prepared/customers.parquet")
    clusters = clusters_of(customers["customer_id"], customers.get("cluster_id"))
    part, segment = assign_segments(clusters, protocol, shares, stage.params("split", "segments"), str(salt))
    fold = assign_folds(clusters, folds, str(salt))
    members = {name: part == name for name in PARTS}
    for name in PARTS:
        arms, units = customers["treatment"][members[name]].nunique(), len(set(clusters[members[name]]))
        if arms < 2 or units < LEAST_CLUSTERS:
            raise InputError(
                f"the {name} part has {units} customers or clusters and {arms} of 2 arms; {LEAST_CLUSTERS} or more and "
                "both arms are needed: "
                + (f"raise split.shares.{name}" if protocol == "holdout" else "have fewer split.segments")
                + " or bring more customers"
            )
    encoder = fit_encoder(customers[members["train"]], feature_names(customers), max_levels)

    for name in PARTS:
        table = pd.DataFrame({"customer_id": customers["customer_id"], "fold": fold, "segment": segment})
        stage.write_parquet(f"data/split/{name}.parquet", table[members[name]])
    profile = fit_profile(customers[members["train"]], encoder)
    for name, document in (("encoder", encoder.to_json()), ("profile", profile.to_json())):
        stage.write_json(f"models/{name}.json", document, digits=DIGITS_OF_DATA)
    stage.say(", ".join(f"{name} {int(members[name].sum()):,}" for name in PARTS) + f"; {len(encoder.columns)} columns")


if __name__ == "__main__":
    stage.run(main, __doc__)
