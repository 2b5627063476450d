"""Choose the champion on select, and report on final what every policy earns and how well every learner ranks.

reads   data/scores.parquet, data/policy/decisions.parquet, data/cate/<learner>.parquet, data/nuisance.parquet,
        data/prepared/, data/truth/customers.parquet
writes  metrics/{headline,policies,learners}.json, plots/*.csv and plots/*.png
"""

import numpy as np
import pandas as pd
from tqdm import tqdm

import stage
from promotions import plots
from promotions.economics import Economics
from promotions.evaluation.champion import champions_by_segment, decisions_of
from promotions.evaluation.curves import plot_tables
from promotions.evaluation.scores import Scores
from promotions.evaluation.segments import rank_within
from promotions.evaluation.summary import Truth, headline, learner_metrics, policy_metrics
from promotions.evaluation.value import evaluate_policies
from tables import ENSEMBLE, aligned, codes_of_clusters, read_for, read_unseen

# The champion of each customer's segment: with a holdout one policy, nested the one chosen before its segment was seen.
PROCEDURE = "procedure"


def main() -> None:
    """Final is looked at here, and only here."""
    constants = Economics.from_params(stage.section("costs"))
    stage.section("evaluate", known=("replicates", "protocol"))
    replicates = stage.whole_number("evaluate", "replicates", least=100)
    label = stage.label_of_roles()
    scored = stage.read_parquet("data/scores.parquet")
    names = scored["customer_id"]
    frame = read_for("data/prepared/customers.parquet", names)
    decisions = read_for("data/policy/decisions.parquet", names).drop(columns="customer_id")
    part, segment = scored["part"].to_numpy(), scored["segment"].to_numpy()
    champions = champions_by_segment(
        Scores.from_frame(scored), decisions, constants.of_customers(frame), codes_of_clusters(frame), part, segment
    )
    champion = champions[max(champions)]
    decisions[PROCEDURE] = decisions_of(champions, decisions, segment).astype(np.int8)

    in_final = part == "final"
    scores, economics = Scores.from_frame(scored[in_final]), constants.of_customers(frame[in_final])
    ids, clusters = names[in_final], codes_of_clusters(frame[in_final])
    truth = read_truth(ids)
    bootstrap = stage.generator("evaluate")
    values = evaluate_policies(scores, decisions[in_final], economics, clusters, replicates, bootstrap)
    procedure = values.pop(PROCEDURE)
    treat = decisions.loc[in_final, PROCEDURE].to_numpy(dtype=bool)
    summary = headline(champion, procedure, len(ids), treat, economics, truth)
    mu1 = read_unseen("data/nuisance.parquet", scored[in_final])["mu1"].to_numpy()
    cates = {
        name: read_unseen(f"data/cate/{name}.parquet", scored[in_final])["cate"].to_numpy()
        for name in (*stage.learners(), ENSEMBLE)
    }
    policies = {name: policy_metrics(value) for name, value in values.items()}
    # The most that ranking can gain, where the truth is known.
    oracle = {"oracle": truth.effect} if truth is not None else {}
    ranked = tqdm((cates | oracle).items(), desc="learners", leave=False)
    learners = {name: learner_metrics(scores, cate, clusters, truth, segment[in_final]) for name, cate in ranked}
    places = cates
    if len(champions) > 1:
        places = {name: rank_within(cate, segment[in_final]) for name, cate in cates.items()}
    tables = plot_tables(
        scores, values, champion, cates, places, mu1, economics, clusters, truth.means if truth is not None else None
    )
    ratio, simulated = economics.ratio, label["simulated"]
    pictures = {
        "policy_values": plots.policy_values(tables["policy_values"], simulated=simulated),
        "profit_by_cost_ratio": plots.profit_by_cost_ratio(
            tables["profit_by_cost_ratio"], ratio=ratio, simulated=simulated
        ),
        "profit_table": plots.profit_table(tables["profit_table"], ratio=ratio, simulated=simulated),
        "qini": plots.qini(tables["qini"], simulated=simulated),
        "uplift_by_decile": plots.uplift_by_decile(tables["uplift_by_decile"], simulated=simulated),
    }

    stage.write_json("metrics/headline.json", {**label, **summary})
    stage.write_json("metrics/policies.json", {**label, **policies})
    stage.write_json("metrics/learners.json", {**label, **learners})
    for name, table in tables.items():
        stage.write_csv(f"plots/{name}.csv", table.assign(simulated=simulated))
        stage.write_bytes(f"plots/{name}.png", plots.png_bytes(pictures[name]))
    stage.say(
        f"champion {champion} earns {summary['profit_per_customer']:.5g} per customer "
        f"({summary['profit_ci_low']:.5g} to {summary['profit_ci_high']:.5g}) on {len(ids):,} final customers"
    )


def read_truth(ids: "pd.Series[str]") -> Truth | None:
    """The truth about these customers, where the source is a simulation."""
    table = stage.read_parquet("data/truth/customers.parquet")
    if table.empty:
        return None
    return Truth.from_frame(aligned(table, ids, "data/truth/customers.parquet"))


if __name__ == "__main__":
    stage.run(main, __doc__)
