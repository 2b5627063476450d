"""Repeat the whole procedure on resamples of the experiment: divide, resample, refit, decide, earn.

reads   data/prepared/, data/truth/customers.parquet
writes  metrics/stability.json, plots/stability.{csv,png}, and data/stability/, each trial when it is done
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import stage
from pipeline.tables import aligned, codes_of_clusters
from pipeline.trials import collect, fingerprint
from promotions.customers import feature_names
from promotions.plots.stability import winners
from promotions.plots.style import png_bytes
from promotions.stability import Procedure, Subjects, metrics, run_trial, summarise

CUSTOMERS, TRUTH = "data/prepared/customers.parquet", "data/truth/customers.parquet"


def main() -> None:
    """Run the trials that are not done yet. Trial k depends only on the seed and on k."""
    sections: dict[str, Any] = {
        "stability": stage.section("stability"),
        "learners": {name: stage.params("learners", name) for name in stage.learners()},
        "ensemble": stage.section("ensemble"),
        "nuisance": stage.section("nuisance"),
        "policies": stage.section("policy"),
        "charged": stage.params("costs", "charged"),
        "max_levels": stage.whole_number("split", "max_levels", least=1),
    }
    procedure = Procedure.from_params(**sections)
    trials = stage.whole_number("stability", "trials", least=2)
    seed = int(stage.generator("stability").integers(2**31))
    label = stage.label_of_roles()
    frame = stage.read_parquet(CUSTOMERS)
    subjects = Subjects(
        features=frame[feature_names(frame)],
        outcome=frame["outcome"].to_numpy(),
        treatment=frame["treatment"].to_numpy(),
        propensity=frame["propensity"].to_numpy(),
        cluster=codes_of_clusters(frame),
        revenue=frame["revenue"].to_numpy() if "revenue" in frame else 1.0,
        truth=read_means(frame["customer_id"]),
    )
    # The number of trials changes no trial.
    alone = {name: value for name, value in sections["stability"].items() if name != "trials"}
    used = {name: sections["learners"][name] for name in procedure.learners}
    rules = {name: sections["policies"][name] for name in procedure.families}
    compared = {"learners": used, "policies": rules, "compared": procedure.policies}
    settings = {**sections, "stability": alone, **compared, "seed": seed}
    with stage.progress("trials", trials * procedure.steps, delay=1) as bar:
        tables = collect(
            "data/stability",
            fingerprint([CUSTOMERS, TRUTH], settings),
            trials,
            run=lambda number: run_trial(subjects, procedure, (seed, number), stage.threads(), bar.update),
            on_kept=lambda _: bar.update(procedure.steps),
        )
    table = summarise(tables)
    tested = int(tables[0]["tested"].iloc[0])
    figure = winners(table, trials=trials, simulated=label["simulated"])

    taking = min(procedure.customers or len(frame), len(frame))
    numbers = {"trials": trials, "customers": len(frame), "customers_a_trial": taking, "customers_tested": tested}
    document = {**label, **numbers, **metrics(table)}
    stage.write_json("metrics/stability.json", document)
    stage.write_csv("plots/stability.csv", table.assign(simulated=label["simulated"]))
    stage.write_bytes("plots/stability.png", png_bytes(figure))
    best = ", ".join(f"{name} at {ratio}" for ratio, name in document["wins_most_often"].items())
    stage.say(f"{trials} trials of {taking:,} of {len(frame):,} customers, {tested:,} tested; most often best: {best}")


def read_means(ids: "pd.Series[str]") -> NDArray[np.float64] | None:
    """True mean outcomes of the arms of these customers, (n, 2), if the source is a simulation."""
    table = stage.read_parquet(TRUTH)
    if table.empty:
        return None
    truth = aligned(table, ids, TRUTH)
    return np.column_stack([truth["mu0"], truth["mu0"] + truth["tau"]])


if __name__ == "__main__":
    stage.run(main, __doc__)
