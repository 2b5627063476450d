"""What the discount does at a cut-off: jumps, the effect of a dollar, and whether the cut-off can be trusted.

reads   data/discount/cutoff.parquet, data/discount/{roles,truth}.json
writes  metrics/discount/rdd.json, plots/discount/rdd_*.csv and plots/discount/rdd_{jump,bandwidth,placebo}.png
"""

from pipeline import stage
from promotions.base.errors import InputError
from promotions.base.formatting import alike, as_label, number, plain
from promotions.discount.margin import OWN, TableMargin, margins_text
from promotions.discount.rdd import study as cutoff
from promotions.discount.tables import in_order_of_content, require_levels
from promotions.plots.discount import rdd as figures
from promotions.plots.discount.notes import add_margin
from promotions.plots.style import png_bytes


def main() -> None:
    """One table, one cut-off."""
    settings = cutoff.Settings.from_params(stage.section("discount", "rdd"))
    running = str(stage.params("discount", "running"))
    roles, truth = stage.read_json("data/discount/roles.json"), stage.read_json("data/discount/truth.json")
    margin = TableMargin.from_roles("cutoff", roles, stage.params("discount", "margin"))
    simulated = roles["simulated"]
    if not roles["tables"]["cutoff"]:
        raise InputError(
            "discount: there is no cutoff table, so nothing that jumps; name one under discount.files.cutoff, or leave "
            "this stage out"
        )
    frame = in_order_of_content(stage.read_parquet("data/discount/cutoff.parquet"))
    require_levels(frame["discount"].to_numpy(dtype=float), "cutoff")
    # Profit of a simulation is known at its own margin.
    simulated_truth = truth if margin.kind == OWN else {}
    frame["profit"] = margin.profit(frame)
    study = cutoff.analyse(
        frame, roles["features"], running, settings, stage.generator("discount_rdd"), simulated_truth
    )

    label = stage.label(roles["source"], simulated)
    stage.write_json("metrics/discount/rdd.json", {**label, **margin.to_metrics(), **study.metrics})
    for name, table in study.tables.items():
        stage.write_csv(f"plots/discount/rdd_{name}.csv", table.assign(simulated=simulated))
    for name, draw in (("jump", figures.jump), ("bandwidth", figures.bandwidth), ("placebo", figures.placebo)):
        drawn = draw(study.tables[name], running=running, simulated=simulated)
        stage.write_bytes(f"plots/discount/rdd_{name}.png", png_bytes(add_margin(drawn, [margin])))
    value = study.metrics["cutoff"]["value"]
    dose, per_dollar = (study.metrics[name]["robust"] for name in ("discount", "profit_per_dollar"))
    jump, low, high = alike((study.metrics["profit"][f"robust{end}"] for end in ("", "_ci_low", "_ci_high")), 4)
    stage.say(
        f"at {running} {as_label(value)} the discount jumps by {plain(dose, 4)} and profit by {jump} "
        f"({low} to {high}): {number(per_dollar, 4, sign=True)} per dollar, {margins_text([margin])}"
    )


if __name__ == "__main__":
    stage.run(main, __doc__)
