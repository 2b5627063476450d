"""Turn each learner's effects and the costs into decisions.

reads   data/cate/<learner>.parquet, data/nuisance.parquet, data/prepared/customers.parquet, data/split/,
        models/encoder.json
writes  data/policy/decisions.parquet: customers of select and final, one 0/1 column a policy
"""

import pandas as pd
from tqdm import tqdm

import stage
from promotions.economics import Economics
from promotions.policies import Audience, decide
from promotions.policies.weighted import WeightedClassifier
from tables import read_features, read_for, read_split


def main() -> None:
    """Every rule for every learner, and the two constants."""
    economics = Economics.from_params(stage.section("costs"))
    stage.section("policy", known=("weighted",))
    seed = int(stage.generator("policy").integers(2**31))
    weighted = WeightedClassifier.from_params(stage.section("policy", "weighted"), seed, stage.threads())
    frame, features = read_features()
    split = read_split(frame["customer_id"])
    in_train = split["part"].to_numpy() == "train"
    nuisance = read_for("data/nuisance.parquet", frame["customer_id"])

    learners = {}
    for name in stage.learners():
        cate = read_for(f"data/cate/{name}.parquet", frame["customer_id"])["cate"].to_numpy()
        train, new = (
            Audience(features[rows], cate[rows], nuisance["mu1"].to_numpy()[rows], economics.of_customers(frame[rows]))
            for rows in (in_train, ~in_train)
        )
        learners[name] = (train, new)
    with tqdm(total=len(learners), desc="policies", leave=False) as bar:
        decisions = decide(learners, split["fold"].to_numpy()[in_train], weighted, bar.update)

    ids = frame["customer_id"][~in_train].reset_index(drop=True)
    stage.write_parquet("data/policy/decisions.parquet", pd.concat([ids, decisions], axis=1))
    stage.say(f"{decisions.shape[1]} policies for {len(decisions):,} customers at C/R = {economics.ratio:.4g}")


if __name__ == "__main__":
    stage.run(main, __doc__)
