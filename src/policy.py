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
from promotions.policies import Audience, decide
from promotions.policies.direct import DirectRules, Population
from promotions.policies.weighted import WeightedClassifier
from tables import ENSEMBLE, Round, codes_of_clusters, read_features, read_round, read_split, rounds_of, scores_with


def main() -> None:
    """Every rule for every learner, and the two constants; in each round from customers of earlier segments."""
    economics = Economics.from_params(stage.section("costs"))
    stage.section("policy", known=("weighted", "tree", "groups"))
    direct = DirectRules.from_params(stage.section("policy", "tree"), stage.section("policy", "groups"))
    seed = int(stage.generator("policy").integers(2**31))
    weighted = WeightedClassifier.from_params(stage.section("policy", "weighted"), seed, stage.threads())
    frame, features = read_features()
    ids = frame["customer_id"]
    split = read_split(ids)
    rounds, names = rounds_of(split), [*stage.learners(), ENSEMBLE]

    def audiences(each: Round, learner: str) -> tuple[Audience, Audience]:
        pair = []
        for rows in (each.train, each.target):
            cate = read_round(f"data/cate/{learner}.parquet", each.number, ids[rows])["cate"].to_numpy()
            treated = read_round("data/nuisance.parquet", each.number, ids[rows])["mu1"].to_numpy()
            pair.append(Audience(features[rows], cate, treated, economics.of_customers(frame[rows])))
        return pair[0], pair[1]

    def population(each: Round, rows: NDArray[np.bool_]) -> Population:
        untreated = read_round("data/nuisance.parquet", each.number, ids[rows])["mu0"].to_numpy()
        return Population(frame.loc[rows, feature_names(frame)], features[rows], untreated)

    def gain_scores(each: Round) -> NDArray[np.float64]:
        mu = read_round("data/nuisance.parquet", each.number, ids[each.train])
        train = frame[each.train]
        profits = economics.of_customers(train).profits(scores_with(train, mu).dr)
        return np.asarray(profits[:, 1] - profits[:, 0])

    columns = Encoder.from_json(stage.read_json("models/encoder.json")).columns
    clusters = codes_of_clusters(frame)
    decided: list[pd.DataFrame] = []
    sentences: dict[str, str] = {}
    with tqdm(total=len(rounds) * (len(names) + 1), desc="policies", leave=False) as bar:
        for each in rounds:
            learners = {name: audiences(each, name) for name in names}
            found = decide(learners, split["fold"].to_numpy()[each.train], weighted, bar.update)
            train, target = (population(each, rows) for rows in (each.train, each.target))
            own, sentences = direct.decide(train, gain_scores(each), clusters[each.train], target, columns)
            bar.update()
            decided.append(pd.concat([found, own], axis=1).set_index(np.flatnonzero(each.target)))
    decisions = pd.concat(decided).sort_index()

    stage.write_parquet("data/policy/decisions.parquet", ids.to_frame().join(decisions, how="inner"))
    stage.write_json("metrics/rules.json", {**stage.label_of_roles(), **sentences})
    stage.say(f"{decisions.shape[1]} policies for {len(decisions):,} customers at C/R = {economics.ratio:.4g}")


if __name__ == "__main__":
    stage.run(main, __doc__)
