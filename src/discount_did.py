"""The effect of a discount that started in some month: before and after, differences in differences, synthetic control.

reads   data/discount/panel.parquet, data/discount/{roles,truth}.json
writes  metrics/discount/did.json, plots/discount/{did_estimates,before_after,event_study,synthetic}.{csv,png},
        plots/discount/{group_time,sensitivity}.csv
"""

from pipeline import stage
from promotions.base.encoding import is_number
from promotions.base.formatting import alike, as_label
from promotions.discount.did import comparisons as did
from promotions.discount.did import design, synthetic
from promotions.discount.did import tables as did_tables
from promotions.discount.did.event_study import event_studies
from promotions.discount.did.group_time import group_time
from promotions.discount.did.parallel_trends import sensitivity
from promotions.discount.margin import OWN, TableMargin, margins_text
from promotions.plots.discount import did as plots
from promotions.plots.discount.notes import add_margin
from promotions.plots.style import png_bytes


def main() -> None:
    """Every comparison beside the clean one, for the treated group and the treated region."""
    params = stage.section("discount", "did", expected=("group", "region", "curvatures", "least_customers"))
    curvatures = design.require_curvatures(params["curvatures"])
    least = design.require_least(params["least_customers"])
    roles, truth = stage.read_json("data/discount/roles.json"), stage.read_json("data/discount/truth.json")
    margin = TableMargin.from_roles("panel", roles, stage.params("discount", "margin"))
    # Profit of a simulation is known at its own margin.
    simulated_truth = truth if margin.kind == OWN else {}
    table = stage.read_parquet("data/discount/panel.parquet")
    table["profit"] = margin.profit(table)
    panel = design.make_panel(table, design.find_design(table, params["group"], params["region"]))
    rng = stage.generator("discount_did")

    numbers = [str(c) for c in table if is_number(table[c]) and c not in (*design.OUTCOMES, "row", "month")]
    estimates, means = did.compare_estimators(panel), did.means_by_month(panel)
    studies = event_studies(panel, rng)
    honest = sensitivity(studies[design.GROUP, "profit"], curvatures)
    cohorts = {outcome: group_time(panel, outcome) for outcome in design.OUTCOMES}
    mixtures = synthetic.study_region(panel, least, rng)
    metrics = did_tables.summary(
        panel, estimates, did.composition(panel, numbers), studies, honest, cohorts, simulated_truth
    )

    simulated, words, starts = roles["simulated"], design.in_words(panel), design.starts(panel)
    tables = {
        "did_estimates": estimates,
        "before_after": means,
        "event_study": did_tables.study_table(studies),
        "synthetic": synthetic.paths_table(mixtures),
        "group_time": did_tables.cohort_table(cohorts),
        "sensitivity": did_tables.sensitivity_table(honest),
    }
    pictures = {
        "did_estimates": plots.estimates(estimates, names=words, simulated=simulated),
        "before_after": plots.before_after(means, names=words, starts=starts, simulated=simulated),
        "event_study": plots.event_study(tables["event_study"], names=words, simulated=simulated),
        "synthetic": plots.synthetic(mixtures.get((synthetic.UNTREATED, "profit")), simulated=simulated),
    }
    label = stage.label(roles["source"], simulated)
    metrics["synthetic"] = synthetic.summary(mixtures)
    stage.write_json("metrics/discount/did.json", {**label, **margin.to_metrics(), **metrics})
    for name, frame in tables.items():
        stage.write_csv(f"plots/discount/{name}.csv", frame.assign(simulated=simulated))
    for name, picture in pictures.items():
        stage.write_bytes(f"plots/discount/{name}.png", png_bytes(add_margin(picture, [margin])))
    clean = metrics["group"]["did_clean"]
    profit, low, high = alike((clean[f"profit{end}"] for end in ("", "_ci_low", "_ci_high")), 5)
    stage.say(
        f"{words[design.GROUP]} from month {as_label(starts[design.GROUP])}: {profit} of profit a customer "
        f"({low} to {high}) against clean controls, {margins_text([margin])}"
    )


if __name__ == "__main__":
    stage.run(main, __doc__)
