"""For whom the discount pays: effects by groups of customers, cumulative gains, and the rule that follows.

reads   data/discount/{randomised,observational}.parquet, data/discount/roles.json
writes  metrics/discount/groups.json, plots/discount/{effects_by_bin,cumulative_gain,group_rules}.{csv,png},
        plots/discount/group_choices.csv
"""

from pipeline import stage
from promotions.base.formatting import plain
from promotions.base.validation import require_number
from promotions.discount.groups import study as groups
from promotions.discount.groups import tables as group_tables
from promotions.discount.money import profit_at
from promotions.plots.discount import groups as plots
from promotions.plots.style import png_bytes


def main() -> None:
    """Effects and rules by every column of discount.groups.by."""
    settings = groups.Settings.from_params(stage.section("discount", "groups"))
    margin = require_number(stage.params("discount", "margin"), "discount.margin", 0, 1)
    roles = stage.read_json("data/discount/roles.json")
    tables = {name: stage.read_parquet(f"data/discount/{name}.parquet") for name in ("randomised", "observational")}
    for table in tables.values():
        table["profit"] = profit_at(table, margin, roles["stated_margin"])
    study = groups.study_groups(
        tables["randomised"],
        tables["observational"],
        roles["features"],
        roles["predictions"],
        settings,
        stage.generator("discount_groups"),
    )

    simulated, overall = roles["simulated"], study.overall["profit"]["estimate"]
    frames = {
        "effects_by_bin": group_tables.effects_table(study),
        "cumulative_gain": group_tables.curves_table(study),
        "group_rules": group_tables.values_table(study),
        "group_choices": group_tables.rules_table(study),
    }
    pictures = {
        "effects_by_bin": plots.effects_by_bin(frames["effects_by_bin"], overall=overall, simulated=simulated),
        "cumulative_gain": plots.cumulative_gain(
            frames["cumulative_gain"], areas=group_tables.areas(study), simulated=simulated
        ),
        "group_rules": plots.rule_values(frames["group_rules"], simulated=simulated),
    }
    label = stage.label(roles["source"], simulated)
    stage.write_json("metrics/discount/groups.json", {**label, "margin": margin, **group_tables.summary(study)})
    for name, frame in frames.items():
        stage.write_csv(f"plots/discount/{name}.csv", frame.assign(simulated=simulated))
    for name, picture in pictures.items():
        stage.write_bytes(f"plots/discount/{name}.png", png_bytes(picture))
    stage.say(f"a dollar of discount makes {plain(overall, 4)} of profit among all; {group_tables.finding(study)}")


if __name__ == "__main__":
    stage.run(main, __doc__)
