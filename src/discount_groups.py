"""For whom the discount pays: effects by groups of customers, cumulative gains, and the rule that follows.

reads   data/discount/{randomised,observational}.parquet, data/discount/roles.json
writes  metrics/discount/groups.json, plots/discount/{effects_by_bin,cumulative_gain,group_rules}.{csv,png},
        plots/discount/group_choices.csv
"""

from pipeline import stage
from promotions.base.formatting import plain
from promotions.discount.groups import study as groups
from promotions.discount.groups import tables as group_tables
from promotions.discount.margin import TableMargin, margins_text
from promotions.plots.discount import groups as plots
from promotions.plots.discount.notes import add_margin
from promotions.plots.style import png_bytes


def main() -> None:
    """Effects and rules by every column of discount.groups.by."""
    settings = groups.Settings.from_params(stage.section("discount", "groups"))
    roles = stage.read_json("data/discount/roles.json")
    tables = {name: stage.read_parquet(f"data/discount/{name}.parquet") for name in ("randomised", "observational")}
    margin = TableMargin.from_roles("randomised", roles, stage.params("discount", "margin"))
    # Rules from the log are judged on the test, so they are learned at the test's margin.
    of_log = TableMargin.from_roles("observational", roles, margin.value)
    for table, its_margin in ((tables["randomised"], margin), (tables["observational"], of_log)):
        table["profit"] = its_margin.profit(table)
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
    stage.write_json("metrics/discount/groups.json", {**label, **margin.to_metrics(), **group_tables.summary(study)})
    for name, frame in frames.items():
        stage.write_csv(f"plots/discount/{name}.csv", frame.assign(simulated=simulated))
    for name, picture in pictures.items():
        stage.write_bytes(f"plots/discount/{name}.png", png_bytes(add_margin(picture, [margin])))
    stage.say(
        f"a dollar of discount makes {plain(overall, 4)} of profit among all, {margins_text([margin])}; "
        f"{group_tables.finding(study)}"
    )


if __name__ == "__main__":
    stage.run(main, __doc__)
