"""Turn each learner's effects and the costs into decisions.

reads   data/cate/<learner>.parquet, data/nuisance.parquet, data/prepared/, data/split/,
        models/encoder.json
writes  data/policy/decisions.parquet: customers of select and final, one 0/1 column a policy
        models/policy/: the rules of the last round, for customers who come later (src/score.py)
        metrics/rules.json: in words, the rules that can be told (of the last round)
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

import stage
from promotions import ENSEMBLE
from promotions.customers import feature_names
from promotions.economics import Economics
from promotions.encoding import Encoder
from promotions.policies import Audience, decide, fit_rules
from promotions.policies.budget import Budget
from promotions.policies.direct import DirectRules
from promotions.policies.files import save_rules
from promotions.policies.weighted import WeightedClassifier
from tables import codes_of_clusters, read_features, read_round, read_split, rounds_of, scores_with


def main() -> None:
    """Every rule for every learner, and the two constants; in each round from customers of earlier segments."""
    economics = Economics.from_params(stage.section("costs"))
    stage.section("policy", known=("weighted", "tree", "groups", "budget"))
    direct = DirectRules.from_params(stage.section("policy", "tree"), stage.section("policy", "groups"))
    seed = int(stage.generator("policy").integers(2**31))
    weighted = WeightedClassifier.from_params(stage.section("policy", "weighted"), seed, stage.threads())
    budget = Budget.from_params(stage.section("policy", "budget"))
    frame, features = read_features()
    ids = frame["customer_id"]
    split = read_split(ids)
    rounds, names = rounds_of(split), [*stage.learners(), ENSEMBLE]
    encoder = Encoder.from_json(stage.read_json("models/encoder.json"))
    clusters = codes_of_clusters(frame)

    def customers(rows: NDArray[np.bool_], number: int) -> tuple[Audience, dict[str, NDArray[np.float64]]]:
        mine = frame[rows]
        mu = read_round("data/nuisance.parquet", number, mine["customer_id"])[["mu0", "mu1"]].to_numpy()
        own = Audience(
            mine["customer_id"].to_numpy(object),
            mine[feature_names(frame)],
            features[rows],
            mu,
            economics.of_customers(mine),
        )
        return own, {name: read_cate(name, number, mine["customer_id"]) for name in names}

    decided: list[pd.DataFrame] = []
    folds = [split["fold"].to_numpy()[each.train] for each in rounds]
    steps = sum(len(np.unique(fold)) * len(names) + 1 for fold in folds)
    with tqdm(total=steps, desc="policies", leave=False) as bar:
        for each, fold in zip(rounds, folds, strict=True):
            train, cates = customers(each.train, each.number)
            rules = fit_rules(train, cates, fold, weighted, budget, bar.update)
            scores = scores_with(frame[each.train], pd.DataFrame(train.outcomes, columns=["mu0", "mu1"]))
            profits = train.economics.profits(scores.dr)
            told = direct.fit(
                train, profits[:, 1] - profits[:, 0], clusters[each.train], encoder.columns, encoder.facts
            )
            rules.update(told)
            bar.update()
            decided.append(decide(rules, *customers(each.target, each.number)).set_index(np.flatnonzero(each.target)))
    decisions = pd.concat(decided).sort_index()

    stage.write_parquet("data/policy/decisions.parquet", ids.to_frame().join(decisions, how="inner"))
    with stage.replacing_folder("models/policy") as folder:
        save_rules(folder, rules, economics)
    sentences = {name: rule.sentence for name, rule in told.items()}
    stage.write_json("metrics/rules.json", {**stage.label_of_roles(), **sentences})
    stage.say(f"{decisions.shape[1]} policies for {len(decisions):,} customers at C/R = {economics.ratio:.4g}")


def read_cate(learner: str, number: int, ids: "pd.Series[str]") -> NDArray[np.float64]:
    """Effects of these customers from one round."""
    return read_round(f"data/cate/{learner}.parquet", number, ids)["cate"].to_numpy()


if __name__ == "__main__":
    stage.run(main, __doc__)
