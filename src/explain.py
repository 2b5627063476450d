"""Explain the effects behind the champion: which features they use, and how they move with each.

reads   data/champion_learner.json (whose effects), models/<learner>/, metrics/ensemble.json,
        data/cate/<learner>.parquet, data/prepared/, data/split/, models/encoder.json, data/dictionary.csv
writes  data/explanations.parquet (customer_id, contribution of each feature), metrics/explain.json, plots/explain.csv,
        plots/explain.png, plots/dependence.png
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import stage
from dictionary import read_meanings
from promotions import ENSEMBLE, explanation
from promotions.booster_files import FILE
from promotions.boosting import Boosting
from promotions.encoding import Encoder
from promotions.errors import InputError
from promotions.learners.fitted import Effect, load_effect
from promotions.plots import png_bytes
from promotions.plots.explanation import beeswarm, dependence
from promotions.splitting import hash_uniform
from promotions.validation import require_share
from tables import read_round, read_split, rounds_of


def main() -> None:
    """The last round's model, on customers of final that it has not been trained on."""
    stage.section("explain", known=("customers", "features", "alike", "distilled"))
    most, shown = (
        stage.whole_number("explain", "customers", least=100),
        stage.whole_number("explain", "features", least=1),
    )
    alike = require_share(stage.params("explain", "alike"), "explain.alike")
    size = Boosting.from_params(stage.section("explain", "distilled"), "explain.distilled")
    learner = stage.read_json("data/champion_learner.json")["learner"]

    customers = stage.read_parquet("data/prepared/customers.parquet")
    split = read_split(customers["customer_id"])
    last = rounds_of(split)[-1]
    in_final = (split["part"] == "final").to_numpy()
    # Of very many customers a sample that depends on nothing but their ids; those of final first.
    draw = hash_uniform(customers["customer_id"], "explain")
    rows = np.flatnonzero(last.target)
    rows = np.sort(rows[np.lexsort((draw[rows], ~in_final[rows]))][:most])
    unseen, final = customers.iloc[rows], in_final[rows]

    encoder = Encoder.from_json(stage.read_json("models/encoder.json"))
    matrix = encoder.transform(unseen)
    names = [learner] if learner != ENSEMBLE else stage.learners()
    effects = {
        name: read_round(f"data/cate/{name}.parquet", last.number, unseen["customer_id"])["cate"].to_numpy()
        for name in {*names, learner}
    }
    found = explanation.explain(
        effects[learner],
        matrix,
        final,
        formulas_of(learner, effects, matrix),
        model=size,
        seed=int(stage.generator("explain").integers(2**31)),
        threads=stage.threads(),
    )
    contributions = explanation.by_feature(found.values, encoder.sources)
    frame = unseen[final].reset_index(drop=True)
    label = stage.label_of_roles()
    together, groups = explanation.alike_together(contributions, frame, alike)
    table = explanation.most_telling(together, frame, read_meanings(label["source"]), shown, groups)

    told = {"learner": learner, "method": found.method, "fidelity": found.fidelity, "simulated": label["simulated"]}
    stage.write_parquet(
        "data/explanations.parquet", pd.concat([frame["customer_id"], contributions.astype(np.float32)], axis=1)
    )
    stage.write_csv("plots/explain.csv", table.assign(**told))
    stage.write_bytes("plots/explain.png", png_bytes(beeswarm(together, frame, table, **told)))
    stage.write_bytes("plots/dependence.png", png_bytes(dependence(together, frame, table, **told)))
    columns = ["together_with", "mean_absolute", "share", "direction", "at_low", "at_high"]
    metrics = {
        "learner": learner,
        "method": found.method,
        "explained_exactly": ", ".join(found.exact) or "none",
        "fidelity": found.fidelity,
        "n_explained": len(frame),
        "expected_effect": found.base,
        "features": table.set_index("feature")[columns].to_dict("index"),
    }
    stage.write_json("metrics/explain.json", {**label, **metrics})
    stage.say(
        f"effect of {learner}, {found.method}, fidelity {found.fidelity:.3f}, {len(frame):,} customers; "
        f"most telling: {', '.join(table['feature'].head(3))}"
    )


def formulas_of(
    learner: str, effects: Mapping[str, NDArray[np.float64]], matrix: NDArray[np.float64]
) -> list[tuple[str, float, Effect]]:
    """The effects, as far as they were saved as formulas, whose weighted sum the learner's effect is."""
    weights = stage.read_json("metrics/ensemble.json")["weights"] if learner == ENSEMBLE else {learner: 1.0}
    found: list[tuple[str, float, Effect]] = []
    for name, weight in weights.items():
        folder = Path("models", name)
        if weight > 0 and (folder / FILE).is_file():
            formula = load_effect(folder)
            if not np.allclose(formula.predict(matrix), effects[name], rtol=0, atol=1e-6 * effects[name].std() + 1e-12):
                raise InputError(f"{folder} does not give the effects of data/cate/{name}.parquet: run `dvc repro`")
            found.append((name, weight, formula))
    return found


if __name__ == "__main__":
    stage.run(main, __doc__)
