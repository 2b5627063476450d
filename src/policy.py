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

    def audiences(each: Round, learner: str, mu: dict[str, pd.DataFrame]) -> tuple[Audience, Audience]:
        pair = []
        for rows, means in ((each.train, mu["train"]), (each.target, mu["target"])):
            cate = read_round(f"data/cate/{learner}.parquet", each.number, ids[rows])["cate"].to_numpy()
            own = economics.of_customers(frame[rows])
            pair.append(Audience(ids[rows].to_numpy(object), features[rows], cate, means["mu1"].to_numpy(), own))
        return pair[0], pair[1]

    def population(rows: NDArray[np.bool_], means: pd.DataFrame) -> Population:
        return Population(frame.loc[rows, feature_names(frame)], features[rows], means["mu0"].to_numpy())

    def gain_scores(train: pd.DataFrame, means: pd.DataFrame) -> NDArray[np.float64]:
        profits = economics.of_customers(train).profits(scores_with(train, means).dr)
        return np.asarray(profits[:, 1] - profits[:, 0])

    encoder = Encoder.from_json(stage.read_json("models/encoder.json"))
    clusters = codes_of_clusters(frame)
    decided: list[pd.DataFrame] = []
    sentences: dict[str, str] = {}
    with tqdm(total=len(rounds) * (len(names) + 1), desc="policies", leave=False) as bar:
        for each in rounds:
            mu = {
                name: read_round("data/nuisance.parquet", each.number, ids[rows])
                for name, rows in (("train", each.train), ("target", each.target))
            }
            learners = {name: audiences(each, name, mu) for name in names}
            found = decide(learners, split["fold"].to_numpy()[each.train], weighted, budget, bar.update)
            train, target = population(each.train, mu["train"]), population(each.target, mu["target"])
            gain = gain_scores(frame[each.train], mu["train"])
            own, sentences = direct.decide(train, gain, clusters[each.train], target, encoder.columns, encoder.facts)
            bar.update()
            decided.append(pd.concat([found, own], axis=1).set_index(np.flatnonzero(each.target)))
    decisions = pd.concat(decided).sort_index()

    stage.write_parquet("data/policy/decisions.parquet", ids.to_frame().join(decisions, how="inner"))
    stage.write_json("metrics/rules.json", {**stage.label_of_roles(), **sentences})
    stage.say(f"{decisions.shape[1]} policies for {len(decisions):,} customers at C/R = {economics.ratio:.4g}")


if __name__ == "__main__":
    stage.run(main, __doc__)
