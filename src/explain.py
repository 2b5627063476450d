"""Explain each learner's effects: which features they use, and how they move with each.

reads   models/learners/<learner>/, metrics/ensemble.json, data/effects.parquet, data/prepared/, data/split/,
        models/encoder.json, data/dictionary.csv
writes  data/explanations/<learner>/: contributions.parquet (customer_id, contribution of each feature), shown.parquet
        (of the most telling, with similar ones added), explain.json, explain.csv; evaluate shows the champion's
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import stage
from pipeline.dictionary import read_meanings
from pipeline.tables import EFFECTS, effect_names, read_round, read_split, rounds_of
from promotions import explanation
from promotions.base.encoding import Encoder
from promotions.base.errors import InputError
from promotions.base.names import ENSEMBLE
from promotions.base.splitting import hash_uniform
from promotions.base.validation import require_share
from promotions.boosting.files import FILE
from promotions.boosting.settings import Boosting
from promotions.learners.fitted import Effect, load_effect


def main() -> None:
    """Explain the last round's models on customers of final that they were not trained on.

    All learners are explained: the costs decide which one the champion uses, and its explanation must be ready.
    """
    stage.section("explain", expected=("customers", "features", "alike", "distilled"))
    most, shown = (
        stage.whole_number("explain", "customers", least=100),
        stage.whole_number("explain", "features", least=1),
    )
    alike = require_share(stage.params("explain", "alike"), "explain.alike")
    size = Boosting.from_params(stage.section("explain", "distilled"), "explain.distilled")
    seed = int(stage.generator("explain").integers(2**31))

    customers = stage.read_parquet("data/prepared/customers.parquet")
    split = read_split(customers["customer_id"])
    last = rounds_of(split)[-1]
    in_final = (split["part"] == "final").to_numpy()
    # At most ``most`` customers: a sample that depends only on their ids, customers of final first.
    draw = hash_uniform(customers["customer_id"], "explain")
    rows = np.flatnonzero(last.target)
    rows = np.sort(rows[np.lexsort((draw[rows], ~in_final[rows]))][:most])
    unseen, final = customers.iloc[rows], in_final[rows]

    encoder = Encoder.from_json(stage.read_json("models/encoder.json"))
    matrix = encoder.transform(unseen)
    table = read_round(EFFECTS, last.number, unseen["customer_id"])
    effects = {name: table[name].to_numpy() for name in effect_names()}
    formulas = read_formulas(effects, matrix)
    frame = unseen[final].reset_index(drop=True)
    label = stage.label_of_roles()
    meanings = read_meanings(label["source"])
    mixed = stage.read_json("metrics/ensemble.json")["weights"]
    with stage.replacing_folder("data/explanations") as folder:
        for learner, effect in stage.each(effects.items(), "explained"):
            weights = mixed if learner == ENSEMBLE else {learner: 1.0}
            parts = [(name, weight, formulas[name]) for name, weight in weights.items() if weight and name in formulas]
            explained = explanation.explain(
                effect, matrix, final, parts, model=size, seed=seed, threads=stage.threads()
            )
            contributions = explanation.by_feature(explained.values, encoder.sources)
            together, groups = explanation.alike_together(contributions, frame, alike)
            table = explanation.most_telling(together, frame, meanings, shown, groups)

            origin: dict[str, Any] = {"learner": learner, "method": explained.method, "fidelity": explained.fidelity}
            columns = ["together_with", "mean_absolute", "share", "direction", "at_low", "at_high"]
            document = {
                **label,
                **origin,
                "explained_exactly": ", ".join(explained.exact) or "none",
                "n_explained": len(frame),
                "expected_effect": explained.base,
                "features": table.set_index("feature")[columns].to_dict("index"),
            }
            for name, values in (("contributions", contributions), ("shown", together[list(table["feature"])])):
                written = pd.concat([frame["customer_id"], values.astype(np.float32)], axis=1)
                stage.write_parquet(f"{folder}/{learner}/{name}.parquet", written)
            stage.write_json(f"{folder}/{learner}/explain.json", document)
            stage.write_csv(f"{folder}/{learner}/explain.csv", table.assign(**origin, simulated=label["simulated"]))
    stage.say(f"effects of {', '.join(effects)}; {len(frame):,} customers")


def read_formulas(effects: Mapping[str, NDArray[np.float64]], matrix: NDArray[np.float64]) -> dict[str, Effect]:
    """The effects saved as formulas. Raises InputError if a formula does not give its effects, (n,)."""
    formulas: dict[str, Effect] = {}
    for name, effect in effects.items():
        folder = Path("models", "learners", name)
        if name != ENSEMBLE and (folder / FILE).is_file():
            formula = load_effect(folder)
            # Effects are written with eight digits.
            if not np.allclose(formula.predict(matrix), effect, rtol=1e-7, atol=1e-6 * effect.std() + 1e-12):
                raise InputError(f"{folder} does not give the effects of {name} in {EFFECTS}: run `dvc repro`")
            formulas[name] = formula
    return formulas


if __name__ == "__main__":
    stage.run(main, __doc__)
