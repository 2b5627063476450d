"""Turn each learner's effects and the costs into decisions.

reads   data/cate/<learner>.parquet, data/nuisance.parquet, data/prepared/customers.parquet, data/split/,
        models/encoder.json
writes  data/policy/decisions.parquet: customers of select and final, one 0/1 column a policy
"""

import numpy as np
import pandas as pd
from tqdm import tqdm

import stage
from promotions.economics import Economics
from promotions.policies import Audience, decide
from promotions.policies.weighted import WeightedClassifier
from tables import Round, read_features, read_round, read_split, rounds_of


def main() -> None:
    """Every rule for every learner, and the two constants; in each round from customers of earlier segments."""
    economics = Economics.from_params(stage.section("costs"))
    stage.section("policy", known=("weighted",))
    seed = int(stage.generator("policy").integers(2**31))
    weighted = WeightedClassifier.from_params(stage.section("policy", "weighted"), seed, stage.threads())
    frame, features = read_features()
    ids = frame["customer_id"]
    split = read_split(ids)
    rounds, names = rounds_of(split), stage.learners()

    def audiences(each: Round, learner: str) -> tuple[Audience, Audience]:
        pair = []
        for rows in (each.train, each.target):
            cate = read_round(f"data/cate/{learner}.parquet", each.number, ids[rows])["cate"].to_numpy()
            treated = read_round("data/nuisance.parquet", each.number, ids[rows])["mu1"].to_numpy()
            pair.append(Audience(features[rows], cate, treated, economics.of_customers(frame[rows])))
        return pair[0], pair[1]

    decided = []
    with tqdm(total=len(rounds) * len(names), desc="policies", leave=False) as bar:
        for each in rounds:
            learners = {name: audiences(each, name) for name in names}
            found = decide(learners, split["fold"].to_numpy()[each.train], weighted, bar.update)
            decided.append(found.set_index(np.flatnonzero(each.target)))
    decisions = pd.concat(decided).sort_index()

    stage.write_parquet("data/policy/decisions.parquet", ids.to_frame().join(decisions, how="inner"))
    stage.say(f"{decisions.shape[1]} policies for {len(decisions):,} customers at C/R = {economics.ratio:.4g}")


if __name__ == "__main__":
    stage.run(main, __doc__)
