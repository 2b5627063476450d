"""What every rule for the dose earns, on customers whose discount was drawn by lot.

reads   data/discount/{observational,randomised,doses,menu,response,truth}.parquet, data/discount/{roles,policy}.json
writes  metrics/discount.json, metrics/discount/policies.json,
        plots/discount/{response_curves,profit_by_rule,dose_distribution}.{csv,png},
        plots/discount/leads_over_constants.csv
"""

import numpy as np

from pipeline import stage
from promotions.base.formatting import alike, plain
from promotions.discount.dose import tables, value
from promotions.discount.dose.choice import Menu
from promotions.discount.margin import TableMargin, margins_text
from promotions.discount.response.curves import Curves, design_levels, require_same_customers
from promotions.discount.scores import DoseScores
from promotions.plots.discount import dose as figures
from promotions.plots.discount.notes import add_margin
from promotions.plots.style import png_bytes


def main() -> None:
    """The randomised customers judge; the champion was named before."""
    settings = value.Settings.from_params(stage.section("discount", "evaluate"))
    roles, policy = stage.read_json("data/discount/roles.json"), stage.read_json("data/discount/policy.json")
    test_margin = TableMargin.from_roles("randomised", roles, stage.params("discount", "margin"))
    margin = test_margin.required()
    log = stage.read_parquet("data/discount/observational.parquet")
    customers = stage.read_parquet("data/discount/randomised.parquet")
    design_levels(customers["discount"].to_numpy(dtype=float))
    doses = stage.read_parquet("data/discount/doses.parquet")
    require_same_customers(doses.pop("row").to_numpy(), customers["row"].to_numpy(), "data/discount/doses.parquet")
    menu = Menu.from_frame(stage.read_parquet("data/discount/menu.parquet"))
    curves = Curves.from_frame(stage.read_parquet("data/discount/response.parquet"))
    truth = value.Truth.from_frame(
        stage.read_parquet("data/discount/truth.parquet"), customers["row"].to_numpy(), menu.levels, margin
    )
    rng = stage.generator("discount_evaluate")
    sales = value.outcome_at_levels(
        log, customers, roles["features"], menu.levels, settings.outcome, settings.folds, rng, stage.threads()
    )
    scores = DoseScores(
        share=menu.share,
        level=np.searchsorted(menu.levels, customers["discount"].to_numpy()),
        profit=test_margin.profit(customers),
        model=margin * sales - menu.levels,
    )
    values = value.evaluate_doses(doses, menu, curves.supported, scores, rng, settings.replicates)
    true = value.true_profits(doses, menu, curves.supported, truth)
    oracle = None if truth is None else truth.oracle(menu)

    champion, learner = policy["champion"], policy["learner"]
    label, simulated = stage.label(roles["source"], roles["simulated"]), roles["simulated"]
    summary = value.headline(champion, values[champion], len(customers), true.get(champion), oracle, menu)
    feature = tables.telling_feature(customers, roles["features"], tables.gain_of(curves, learner, menu, margin))
    chosen, best = doses[champion].to_numpy(), values[champion].versus_best_constant
    frames = {
        "leads_over_constants": tables.leads_over_constants(values),
        "response_curves": tables.response_curves(customers, feature, curves, learner, menu, margin, scores, chosen),
        "profit_by_rule": tables.profit_by_rule(values, champion, menu),
        "dose_distribution": tables.dose_distribution(menu, log["discount"].to_numpy(), chosen),
    }
    pictures = {
        "response_curves": figures.response_curves(frames["response_curves"], simulated=simulated),
        "profit_by_rule": figures.profit_by_rule(
            frames["profit_by_rule"], lift=(best.value, best.ci_low, best.ci_high), simulated=simulated
        ),
        "dose_distribution": figures.dose_distribution(frames["dose_distribution"], simulated=simulated),
    }
    # In its own section, so that `dvc exp show` needs no path to distinguish its columns from those of headline.json.
    stage.write_json("metrics/discount.json", {**label, "discount": {**test_margin.to_metrics(), **summary}})
    stage.write_json(
        "metrics/discount/policies.json",
        {**label, **test_margin.to_metrics(), "policies": value.policy_metrics(values, true, oracle)},
    )
    for name, frame in frames.items():
        stage.write_csv(f"plots/discount/{name}.csv", frame.assign(simulated=simulated))
    for name, picture in pictures.items():
        stage.write_bytes(f"plots/discount/{name}.png", png_bytes(add_margin(picture, [test_margin])))
    lead, low, high = alike((best.value, best.ci_low, best.ci_high), sign=True)
    stage.say(
        f"{champion} earns {plain(summary['profit_per_customer'], 4)} per customer, {lead} ({low} to {high}) over "
        f"the best dose for everybody ({summary['best_constant']}), {margins_text([test_margin])}"
    )


if __name__ == "__main__":
    stage.run(main, __doc__)
