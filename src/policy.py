"""Turn each learner's effects and the costs into decisions.

reads   data/cate/<learner>.parquet, data/nuisance.parquet, data/prepared/, data/split/,
        models/encoder.json
writes  data/policy/decisions.parquet: customers of select and final, one 0/1 column a policy
        metrics/rules.json: in words, the rules that can be told (of the last round)
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

import stage
from promotions.customers import feature_names
from promotions.economics import Economics
from promotions.encoding import Encoder
from promotions.evaluation.scores import Scores
from promotions.policies import Audience, decide
from promotions.policies.budget import Budget
from promotions.policies.direct import DirectRules, Population
from promotions.policies.weighted import WeightedClassifier
from tables import ENSEMBLE, Round, codes_of_clusters, read_features, read_round, read_split, rounds_of, scores_with


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

    def of_customers(rows: NDArray[np.bool_], each: Round) -> tuple[pd.DataFrame, Audience, Population, Scores]:
        mine, matrix = frame[rows], features[rows]
        mu = read_round("data/nuisance.parquet", each.number, mine["customer_id"])
        known = Audience(
            mine["customer_id"].to_numpy(object), matrix, mu["mu1"].to_numpy(), economics.of_customers(mine)
        )
        own = Population(mine[feature_names(frame)], matrix, mu["mu0"].to_numpy())
        return mine, known, own, scores_with(mine, mu)

    encoder = Encoder.from_json(stage.read_json("models/encoder.json"))
    clusters = codes_of_clusters(frame)
    decided: list[pd.DataFrame] = []
    sentences: dict[str, str] = {}
    folds = [split["fold"].to_numpy()[each.train] for each in rounds]
    steps = sum(len(np.unique(fold)) * len(names) + 1 for fold in folds)
    with tqdm(total=steps, desc="policies", leave=False) as bar:
        for each, fold in zip(rounds, folds, strict=True):
            mine, train, population, scores = of_customers(each.train, each)
            theirs, new, audience, _ = of_customers(each.target, each)
            cates = {
                name: (read_cate(name, each, mine["customer_id"]), read_cate(name, each, theirs["customer_id"]))
                for name in names
            }
            found = decide(train, new, cates, fold, weighted, budget, bar.update)
            profits = train.economics.profits(scores.dr)
            own, sentences = direct.decide(
                population,
                profits[:, 1] - profits[:, 0],
                clusters[each.train],
                audience,
                encoder.columns,
                encoder.facts,
            )
            bar.update()
            decided.append(pd.concat([found, own], axis=1).set_index(np.flatnonzero(each.target)))
    decisions = pd.concat(decided).sort_index()

    stage.write_parquet("data/policy/decisions.parquet", ids.to_frame().join(decisions, how="inner"))
    stage.write_json("metrics/rules.json", {**stage.label_of_roles(), **sentences})
    stage.say(f"{decisions.shape[1]} policies for {len(decisions):,} customers at C/R = {economics.ratio:.4g}")


def read_cate(learner: str, each: Round, ids: "pd.Series[str]") -> NDArray[np.float64]:
    """Effects of these customers from one round."""
    return read_round(f"data/cate/{learner}.parquet", each.number, ids)["cate"].to_numpy()


if __name__ == "__main__":
    stage.run(main, __doc__)
