"""Turn each learner's effects and the costs into decisions.

reads   data/effects.parquet, data/nuisance.parquet, data/prepared/, data/split/, models/encoder.json
writes  data/policy/decisions.parquet: customers of select and final, one 0/1 column a policy
        models/policy/: the rules of the last round, for customers who come later (src/score.py)
        metrics/rules.json: the rules that fit into a sentence, in words (of the last round)
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import stage
from pipeline.tables import (
    EFFECTS,
    codes_of_clusters,
    effect_names,
    read_features,
    read_round,
    read_split,
    rounds_of,
    scores_with,
)
from promotions.base.encoding import Encoder
from promotions.base.formatting import plain
from promotions.customers import feature_names
from promotions.economics import Economics
from promotions.policies import Audience, Rule, Training, count_steps, decide, fit_rules, read_families
from promotions.policies.files import save_rules


def main() -> None:
    """All rules of params.yaml and the two constants, learned in each round from customers of earlier segments."""
    economics = Economics.from_params(stage.section("costs"))
    families = read_families(stage.section("policy"))
    seed = int(stage.generator("policy").integers(2**31))
    frame, features = read_features()
    ids = frame["customer_id"]
    split = read_split(ids)
    rounds, names = rounds_of(split), effect_names()
    encoder = Encoder.from_json(stage.read_json("models/encoder.json"))
    clusters = codes_of_clusters(frame)

    def audience(rows: NDArray[np.bool_], outcomes: NDArray[np.float64]) -> Audience:
        chosen, columns = frame[rows], frame.loc[rows, feature_names(frame)]
        return Audience(
            chosen["customer_id"].to_numpy(object), columns, features[rows], outcomes, economics.of_customers(chosen)
        )

    decided: list[pd.DataFrame] = []
    rules: dict[str, Rule] = {}
    folds = [split["fold"].to_numpy()[each.train] for each in rounds]
    steps = sum(count_steps(families, len(names), len(np.unique(fold))) for fold in folds)
    with stage.progress("policies", steps) as bar:
        for each, fold in zip(rounds, folds, strict=True):
            # Read once for both, in the order of the file: then no customer has to be looked up.
            used = ids[each.train | each.target]
            outcomes = read_round("data/nuisance.parquet", each.number, used)[["mu0", "mu1"]].to_numpy()
            effects = read_round(EFFECTS, each.number, used)[names]
            training, targets = (rows[each.train | each.target] for rows in (each.train, each.target))
            train, new = (
                audience(rows, outcomes[inside]) for rows, inside in ((each.train, training), (each.target, targets))
            )
            of_train, of_new = (
                {name: effects[name].to_numpy()[inside] for name in names} for inside in (training, targets)
            )
            scores = scores_with(frame[each.train], pd.DataFrame(train.outcomes, columns=["mu0", "mu1"]))
            with ThreadPoolExecutor(stage.threads()) as pool:
                data = Training(
                    audience=train,
                    effects=of_train,
                    fold=fold,
                    scores=scores,
                    clusters=clusters[each.train],
                    columns=encoder.columns,
                    facts=encoder.facts,
                    seed=seed,
                    pool=pool,
                    threads=stage.threads(),
                    progress=bar.update,
                )
                rules = fit_rules(families, data)
                decided.append(decide(rules, new, of_new, pool).set_index(np.flatnonzero(each.target)))
    decisions = pd.concat(decided).sort_index()

    stage.write_parquet("data/policy/decisions.parquet", ids.to_frame().join(decisions, how="inner"))
    with stage.replacing_folder("models/policy") as folder:
        save_rules(folder, rules, economics)
    sentences = {name: rule.sentence for name, rule in rules.items() if rule.sentence}
    stage.write_json("metrics/rules.json", {**stage.label_of_roles(), "rules": sentences})
    stage.say(f"{decisions.shape[1]} policies for {len(decisions):,} customers at C/R = {plain(economics.ratio, 4)}")


if __name__ == "__main__":
    stage.run(main, __doc__)
