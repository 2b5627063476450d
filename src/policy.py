"""Turn each learner's effects and the costs into decisions.

reads   data/effects.parquet, data/nuisance.parquet, data/prepared/, data/split/, models/encoder.json
writes  data/policy/decisions.parquet: customers of select and final, one 0/1 column a policy
        models/policy/: the rules of the last round, for customers who come later (src/score.py)
        metrics/rules.json: in words, the rules that can be told (of the last round)
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
from promotions.policies import Audience, decide, fit_rules
from promotions.policies.budget import Budget
from promotions.policies.direct import DirectRules
from promotions.policies.files import save_rules
from promotions.policies.weighted import WeightedClassifier


def main() -> None:
    """Every rule for every learner, and the two constants; in each round from customers of earlier segments."""
    economics = Economics.from_params(stage.section("costs"))
    stage.section("policy", expected=("weighted", "tree", "groups", "budget"))
    direct = DirectRules.from_params(stage.section("policy", "tree"), stage.section("policy", "groups"))
    seed = int(stage.generator("policy").integers(2**31))
    weighted = WeightedClassifier.from_params(stage.section("policy", "weighted"), seed, stage.threads())
    budget = Budget.from_params(stage.section("policy", "budget"))
    frame, features = read_features()
    ids = frame["customer_id"]
    split = read_split(ids)
    rounds, names = rounds_of(split), effect_names()
    encoder = Encoder.from_json(stage.read_json("models/encoder.json"))
    clusters = codes_of_clusters(frame)

    def audience(rows: NDArray[np.bool_], outcomes: NDArray[np.float64]) -> Audience:
        mine, own = frame[rows], frame.loc[rows, feature_names(frame)]
        return Audience(
            mine["customer_id"].to_numpy(object), own, features[rows], outcomes, economics.of_customers(mine)
        )

    decided: list[pd.DataFrame] = []
    folds = [split["fold"].to_numpy()[each.train] for each in rounds]
    steps = sum(len(np.unique(fold)) * len(names) + 1 for fold in folds)
    with stage.progress("policies", steps) as bar:
        for each, fold in zip(rounds, folds, strict=True):
            # Read once for both: in the customers' own order, nobody has to be looked up.
            known = ids[each.train | each.target]
            outcomes = read_round("data/nuisance.parquet", each.number, known)[["mu0", "mu1"]].to_numpy()
            effects = read_round(EFFECTS, each.number, known)[names]
            training, targets = (rows[each.train | each.target] for rows in (each.train, each.target))
            train, new = (
                audience(rows, outcomes[inside]) for rows, inside in ((each.train, training), (each.target, targets))
            )
            of_train, of_new = (
                {name: effects[name].to_numpy()[inside] for name in names} for inside in (training, targets)
            )
            scores = scores_with(frame[each.train], pd.DataFrame(train.outcomes, columns=["mu0", "mu1"]))
            profits = train.economics.profits(scores.dr)
            gains = profits[:, 1] - profits[:, 0]
            with ThreadPoolExecutor(stage.threads()) as pool:
                # The tree takes one thread for as long as half of the classifiers take the others.
                directly = pool.submit(direct.fit, train, gains, clusters[each.train], encoder.columns, encoder.facts)
                rules = fit_rules(train, of_train, fold, weighted, budget, bar.update, pool)
                rules.update(told := directly.result())
                bar.update()
                decided.append(decide(rules, new, of_new, pool).set_index(np.flatnonzero(each.target)))
    decisions = pd.concat(decided).sort_index()

    stage.write_parquet("data/policy/decisions.parquet", ids.to_frame().join(decisions, how="inner"))
    with stage.replacing_folder("models/policy") as folder:
        save_rules(folder, rules, economics)
    sentences = {name: rule.sentence for name, rule in told.items()}
    stage.write_json("metrics/rules.json", {**stage.label_of_roles(), "rules": sentences})
    stage.say(f"{decisions.shape[1]} policies for {len(decisions):,} customers at C/R = {plain(economics.ratio, 4)}")


if __name__ == "__main__":
    stage.run(main, __doc__)
