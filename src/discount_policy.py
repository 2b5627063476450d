"""How much discount each customer should get, by every rule.

reads   data/discount/{response,randomised}.parquet, data/discount/roles.json, metrics/discount/cate.json
writes  data/discount/doses.parquet (row, and the dose by each policy), data/discount/menu.parquet (level, share, dose,
        seen), data/discount/policy.json (the champion, the learner whose curves are drawn, and the margin)
"""

import numpy as np

from pipeline import stage
from promotions.base.formatting import plain, short_percent
from promotions.discount.dose.choice import Settings, champion_of, decide, expected_curve, make_menu
from promotions.discount.margin import TableMargin, margins_text
from promotions.discount.response.curves import Curves, design_levels, require_same_customers


def main() -> None:
    """Only the design of the randomised customers is read: how many got which level, never what they bought."""
    settings = Settings.from_params(stage.section("discount", "policy"))
    roles = stage.read_json("data/discount/roles.json")
    test_margin = TableMargin.from_roles("randomised", roles, stage.params("discount", "margin"))
    margin = test_margin.required()
    learner = stage.read_json("metrics/discount/cate.json")["best_learner"]
    randomised = stage.read_parquet("data/discount/randomised.parquet")
    levels = design_levels(randomised["discount"].to_numpy(dtype=float))
    response = stage.read_parquet("data/discount/response.parquet")
    require_same_customers(
        response["row"].drop_duplicates().to_numpy(), randomised["row"].to_numpy(), "data/discount/response.parquet"
    )
    curves = Curves.from_frame(response)
    customers = np.array([int((randomised["discount"] == level).sum()) for level in levels])
    menu = make_menu(levels, customers, expected_curve(curves, learner, margin), settings.least_customers)
    doses = decide(curves, menu, margin, settings, randomised["row"].to_numpy())
    champion = champion_of(doses.columns, settings, learner)
    doses.insert(0, "row", randomised["row"])
    stage.write_parquet("data/discount/doses.parquet", doses)
    stage.write_parquet("data/discount/menu.parquet", menu.to_frame())
    stage.write_json(
        "data/discount/policy.json", {"champion": champion, "learner": learner, **test_margin.to_metrics()}
    )
    given = float((doses[champion] > 0).mean())
    stage.say(
        f"{len(doses.columns) - 1} policies over the doses {', '.join(menu.names)}; champion {champion} gives a "
        f"discount to {short_percent(given)} of {len(doses):,} customers, {plain(doses[champion].mean(), 4)} on "
        f"average, for most profit {margins_text([test_margin])}"
    )


if __name__ == "__main__":
    stage.run(main, __doc__)
