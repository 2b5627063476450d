"""Choose the champion on select. Report on final what every policy earns and how well every learner ranks.

reads   data/scores.parquet, data/policy/decisions.parquet, data/effects.parquet, data/nuisance.parquet, data/prepared/,
        data/truth/customers.parquet, models/encoder.json, data/explanations/<learner>/
writes  metrics/{headline,policies,learners,explain}.json, plots/*.csv and plots/*.png
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import stage
from pipeline.tables import EFFECTS, aligned, codes_of_clusters, effect_names, read_for, read_unseen
from promotions.base.encoding import Encoder
from promotions.base.formatting import alike
from promotions.base.names import ENSEMBLE
from promotions.economics import Economics
from promotions.evaluation.arms import Arms
from promotions.evaluation.champion import champions_by_segment, decisions_of
from promotions.evaluation.curves import plot_tables
from promotions.evaluation.heterogeneity import classification_analysis
from promotions.evaluation.reporting import Reporting, Truth
from promotions.evaluation.summary import GROUPS, headline, learner_metrics, policy_metrics
from promotions.evaluation.value import evaluate_policies
from promotions.plots.drawing import Drawing
from promotions.plots.evaluation.explanation import beeswarm, dependence
from promotions.plots.evaluation.pictures import pictures_of_evaluation
from promotions.scores import Scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The champion of each customer's segment: one policy for a holdout; nested, each chosen before its segment was seen.
PROCEDURE = "procedure"


def main() -> None:
    """Evaluate; only this stage uses final."""
    with Drawing(stage.threads()) as drawing:
        evaluate(drawing)


def evaluate(drawing: Drawing) -> None:
    """The whole stage; ``drawing`` draws its pictures."""
    constants = Economics.from_params(stage.section("costs"))
    stage.section("evaluate", expected=("replicates", "protocol"))
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
    customers = reporting(scored[in_final], frame[in_final], constants)
    bootstrap = stage.generator("evaluate")
    values = evaluate_policies(
        customers.scores, decisions[in_final], customers.economics, customers.clusters, replicates, bootstrap
    )
    procedure = values.pop(PROCEDURE)
    treat = decisions.loc[in_final, PROCEDURE].to_numpy(dtype=bool)
    effects = read_unseen(EFFECTS, scored[in_final])
    cates = {name: effects[name].to_numpy() for name in effect_names()}
    policies = {name: policy_metrics(value) for name, value in values.items()}
    # The most that ranking can gain; available only for a simulation.
    oracle = {"oracle": customers.truth.effect} if customers.truth is not None else {}
    ranked = stage.each((cates | oracle).items(), "learners")
    learners = {name: learner_metrics(customers, cate) for name, cate in ranked}
    # For a rule that uses no learner, the mixture of all is shown.
    shown = learner if (learner := champion.partition(".")[2]) in cates else ENSEMBLE
    summary = headline(champion, shown, procedure, len(treat), treat, customers.economics, customers.truth)
    tables = plot_tables(customers, values, champion, cates, shown, bootstrap, replicates)
    tables["affected"] = who_is_affected(customers, cates[shown], frame[in_final])
    simulated = label["simulated"]
    pictures = pictures_of_evaluation(tables, ratio=customers.economics.ratio, shown=shown, simulated=simulated)
    explanation = f"data/explanations/{shown}"
    pictures |= pictures_of_explanation(explanation, frame[in_final])

    stage.write_json("metrics/headline.json", {**label, **summary})
    stage.write_json("metrics/policies.json", {**label, "policies": policies})
    stage.write_json("metrics/learners.json", {**label, "learners": learners})
    stage.write_bytes("metrics/explain.json", stage.read_bytes(f"{explanation}/explain.json"))
    stage.write_bytes("plots/explain.csv", stage.read_bytes(f"{explanation}/explain.csv"))
    for name, table in tables.items():
        stage.write_csv(f"plots/{name}.csv", table.assign(simulated=simulated))
    for name, picture in drawing.png(pictures).items():
        stage.write_bytes(f"plots/{name}.png", picture)
    profit, low, high = alike((float(summary[f"profit_{end}"]) for end in ("per_customer", "ci_low", "ci_high")), 5)
    stage.say(f"champion {champion} earns {profit} per customer ({low} to {high}) on {len(treat):,} final customers")


def reporting(scored: pd.DataFrame, frame: pd.DataFrame, constants: Economics) -> Reporting:
    """The customers of final: ``scored`` holds their scores, ``frame`` their prepared rows."""
    return Reporting(
        arms=Arms(*(frame[name].to_numpy() for name in ("outcome", "treatment", "propensity"))),
        scores=Scores.from_frame(scored),
        economics=constants.of_customers(frame),
        clusters=codes_of_clusters(frame),
        treated_outcome=read_unseen("data/nuisance.parquet", scored)["mu1"].to_numpy(),
        segment=scored["segment"].to_numpy(),
        truth=read_truth(scored["customer_id"]),
    )


def who_is_affected(customers: Reporting, cate: NDArray[np.float64], frame: pd.DataFrame) -> pd.DataFrame:
    """The fifths with the largest and the smallest predicted effects, feature by feature."""
    encoder = Encoder.from_json(stage.read_json("models/encoder.json"))
    facts = encoder.facts
    names = [facts[column][0] if column in facts else column for column in encoder.columns]
    return classification_analysis(
        encoder.transform(frame), names, customers.priority(cate), customers.clusters, GROUPS
    )


def pictures_of_explanation(folder: str, frame: pd.DataFrame) -> "dict[str, Callable[[], Figure]]":
    """Functions that draw the pictures of an explanation that `explain` wrote to ``folder``, by name.

    frame: the customers of final; the explained ones are among them.
    """
    explained, contributions = stage.read_json(f"{folder}/explain.json"), stage.read_parquet(f"{folder}/shown.parquet")
    customers = aligned(frame, contributions.pop("customer_id"), "data/prepared/customers.parquet")
    customers = customers[list(contributions)]
    label = {name: explained[name] for name in ("learner", "method", "fidelity", "simulated")}
    # A feature may be called NA.
    table = pd.read_csv(f"{folder}/explain.csv", keep_default_na=False)
    drawn = {"explain": beeswarm, "dependence": dependence}
    return {name: partial(draw, contributions, customers, table, **label) for name, draw in drawn.items()}


def read_truth(ids: "pd.Series[str]") -> Truth | None:
    """The truth about these customers, if the source is a simulation."""
    table = stage.read_parquet("data/truth/customers.parquet")
    if table.empty:
        return None
    return Truth.from_frame(aligned(table, ids, "data/truth/customers.parquet"))


if __name__ == "__main__":
    stage.run(main, __doc__)
