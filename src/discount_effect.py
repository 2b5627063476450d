"""What a dollar of discount does: the company's log, naive and controlled, against the randomised test.

reads   data/discount/{observational,randomised}.parquet, data/discount/{roles,truth}.json
writes  metrics/discount/effect.json, plots/discount/effect_*.csv and plots/discount/effect_*.png
"""

from typing import Any

from pipeline import stage
from promotions.base.errors import InputError
from promotions.base.formatting import number
from promotions.discount.effect import study as effect
from promotions.discount.margin import OWN, TableMargin, margins_text
from promotions.discount.tables import in_order_of_content
from promotions.inference.estimates import named
from promotions.plots.discount import effect as figures
from promotions.plots.discount.notes import add_margin
from promotions.plots.style import png_bytes


def main() -> None:
    """The log is enough; with a test, the two are compared."""
    settings = effect.Settings.from_params(stage.section("discount", "effect"))
    roles, truth = stage.read_json("data/discount/roles.json"), stage.read_json("data/discount/truth.json")
    label = stage.label(roles["source"], roles["simulated"])
    names = [name for name in (effect.LOG, effect.TEST) if roles["tables"][name]]
    margins = {name: TableMargin.from_roles(name, roles, stage.params("discount", "margin")) for name in names}
    # Profit of a simulation is known at its own margin.
    simulated_truth = truth if all(margin.kind == OWN for margin in margins.values()) else {}
    if not roles["tables"][effect.LOG]:
        raise InputError(
            "discount: there is no observational table, so no log to learn from; name one under "
            "discount.files.observational, or leave this stage out"
        )
    log = read_table(roles, margins[effect.LOG])
    test = read_table(roles, margins[effect.TEST]) if effect.TEST in margins else None

    of_log = effect.effects_of_log(log, settings, stage.generator("discount_effect"))
    of_test = effect.effects_of_test(test, settings) if test is not None else {}
    metrics = effect.metrics(of_log, of_test, log, settings, simulated_truth)
    sizes = {**margins[effect.LOG].to_metrics(), "customers_log": len(log.frame)}
    if test is not None:
        sizes |= {**margins[effect.TEST].to_metrics("margin_test"), "customers_test": len(test.frame)}
        for name in effect.OUTCOMES:
            above = effect.effect_above(test, name, settings.threshold)
            if above is not None:
                metrics[name] |= named("randomised_above_threshold", above.to_dict())
                metrics[name]["threshold"] = settings.threshold

    full = of_log["profit"].regressions[effect.ALL]
    tables = {
        "confounding": effect.confounding_table(log, test),
        "fwl": effect.fwl_table(log, next(iter(of_log["profit"].steps.values()))),
        "estimates": effect.effects_table(of_log, of_test, simulated_truth),
        "sensitivity": effect.sensitivity_table(
            log.outcome("profit"), log.dose, effect.controls_of_log(log, settings), full
        ),
    }
    stage.write_json("metrics/discount/effect.json", {**label, **sizes, **metrics})
    for name, table in tables.items():
        drawn = getattr(figures, name)(table, simulated=roles["simulated"])
        stage.write_csv(f"plots/discount/effect_{name}.csv", table.assign(simulated=roles["simulated"]))
        stage.write_bytes(f"plots/discount/effect_{name}.png", png_bytes(add_margin(drawn, margins.values())))
    shown = (effect.NAIVE, effect.LINEAR_DML, *([effect.RANDOMISED] if test is not None else []))
    naive, double, *by_lot = (number(metrics["profit"][name], 4, sign=True) for name in shown)
    compared = f"by lot {by_lot[0]}" if by_lot else "no test to compare"
    stage.say(
        f"profit per dollar of discount: {naive} naively, {double} by double ML; {compared}; "
        f"{margins_text(margins.values())}"
    )


def read_table(roles: dict[str, Any], margin: TableMargin) -> effect.Table:
    """The table of ``margin`` with its profit, rows sorted by content."""
    name = margin.table
    frame = in_order_of_content(stage.read_parquet(f"data/discount/{name}.parquet"))
    return effect.Table(
        name=name,
        frame=frame.assign(profit=margin.profit(frame)),
        features=tuple(roles["features"]),
        predictions=tuple(column for column in roles["predictions"] if name == effect.LOG),
        barred=tuple(roles["barred"]),
    )


if __name__ == "__main__":
    stage.run(main, __doc__)
