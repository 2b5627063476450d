"""What each rule earns, and how that depends on the cost and on the size of a budget."""

import math

import pandas as pd

from promotions.base.formatting import SPACE, chance, number, percent, plain
from promotions.base.names import ENSEMBLE
from promotions.plots.style import readable_name
from promotions.policies import POLICIES
from promotions.report.blocks import Block, Code, Column, Figure, Heading, Paragraph, Row, Section, Table, Term, Text
from promotions.report.glossary import term
from promotions.report.run import EVERYBODY, NOBODY, Run
from promotions.report.words import Estimate, counted, policy_name

PER = 1000
LEVEL = 0.05
MULTIPLES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5)
SHARES = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


def section(run: Run) -> Section:
    """The table of rules and its figure."""
    blocks = (
        Paragraph(how_to_read(run)),
        table(run),
        Paragraph(how_many_pay(run)),
        Figure(
            run.pictures["policy_values"],
            f"Chart of each rule’s profit with its interval. {best_lines(run)}",
            best_lines(run),
        ),
    )
    return Section("rules", "What each rule earns", "Rules", blocks)


def how_to_read(run: Run) -> Text:
    """What the table compares, and on which customers."""
    return (
        "Each ",
        term("rule", "rule"),
        f" is judged on {run.headline['n_final']:,} customers from whom no rule was learned and who did not choose "
        "the ",
        term("champion", "champion"),
        f". Amounts are per {PER:,} customers of the list, ",
        term("over_nobody", "over contacting nobody"),
        ". The best line of the table is the best of many, so it flatters; the champion’s does not.",
    )


def table(run: Run) -> Table:
    """All policies, the one that earned most first."""
    rows = []
    for name, row in run.policies.items():
        over_nobody = Estimate.of(row, "dr_vs_treat_none").times(PER)
        over_everybody = Estimate.of(row, "dr_vs_treat_all").times(PER)
        champion = name == run.champion
        rows.append(
            Row(
                (
                    f"★ {policy_name(name)} (champion)" if champion else policy_name(name),
                    "0" if name == NOBODY else over_nobody.number(sign=True),
                    "–" if name == NOBODY else over_nobody.bounds(),
                    "0" if name == EVERYBODY else over_everybody.number(sign=True),
                    "–" if name == EVERYBODY else over_everybody.bounds(),
                    "–" if name == NOBODY else chance(row["probability_of_loss"]),
                    percent(row["share_treated"]),
                ),
                marked=champion,
            )
        )
    interval = f"95{SPACE}% interval"
    columns = (
        Column("Rule", numeric=False),
        Column("Over contacting nobody"),
        Column((term("interval", interval),)),
        Column("Over contacting everybody"),
        Column(interval),
        Column((term("loss", "Chance of loss"),)),
        Column("Contacted"),
    )
    note: Text = (
        "Names: ",
        *rule_names(run),
        "; behind the dot the ",
        term("learner", "learner"),
        ". Estimates: ",
        term("doubly_robust", "doubly robust"),
        ". By other estimators: ",
        Code("metrics/policies.json"),
        ".",
    )
    if run.estimated:
        note = (*note, " Of those, the intervals of ips and snips take the estimated propensities for the truth.")
    return Table("policies", f"Profit of each rule, per {PER:,} customers", columns, rows, note)


def rule_names(run: Run) -> list[str | Term]:
    """The rules of the table, each linked to the glossary, separated by commas."""
    kinds = {name.partition(".")[0] for name in run.policies}
    names = [term(name, readable_name(name).lower()) for name in POLICIES if name in kinds]
    return [part for name in names for part in (", ", name)][1:]


def how_many_pay(run: Run) -> Text:
    """How many rules beat the constants, with a correction for their number."""
    choosing = [row for name, row in run.policies.items() if name not in (EVERYBODY, NOBODY)]
    counts = [
        sum(row.get(f"dr_vs_{rival}_p_value_adjusted", 1.0) < LEVEL for row in choosing)
        for rival in ("treat_none", "treat_all")
    ]
    if not choosing:
        return "No rule that chooses among customers was tried."
    many = counted(len(choosing), "rule that chooses", "rules that choose")
    none, everybody = (str(count) if count else "none" for count in counts)
    return (
        f"Of {many}, allowing for how many were tried, {none} surely earn{'s' if counts[0] == 1 else ''} more than "
        f"contacting nobody, and {everybody} more than contacting everybody{run.hedge}."
    )


def best_lines(run: Run) -> str:
    """The figure of the policies in a sentence."""
    first = next(iter(run.policies))
    over = Estimate.of(run.policies[run.champion], "dr_vs_treat_none")
    champion = (
        f"The champion, {policy_name(run.champion)}, earns {over.text(sign=True)} per customer over contacting nobody"
    )
    if first == run.champion:
        return f"{champion}, the most of all {len(run.policies)} rules."
    return f"{champion}; the highest estimate has {policy_name(first)}."


def cost_section(run: Run) -> Section:
    """Profit against C/R, and by the share of customers contacted."""
    blocks: list[Block] = [
        Paragraph(today(run)),
        Figure(
            run.pictures["profit_by_cost_ratio"],
            f"Chart: profit over contacting nobody against C/R, a line a learner, today’s C/R marked. {falling(run)}",
            falling(run),
        ),
        *([costs] if (costs := cost_table(run)) else []),
        Heading("If only a part can be contacted"),
        Paragraph(best_share(run)),
        Figure(
            run.pictures["profit_by_share"],
            f"Chart: profit by the share of customers contacted, the best first, with intervals. {best_share(run)}",
            "Dark: the interval at each share; light: an interval that holds for the whole curve.",
        ),
        share_table(run),
    ]
    return Section("costs", "If a contact costs more, or the budget is small", "Costs and budget", tuple(blocks))


def today(run: Run) -> Text:
    """Today's cost ratio compared with the average effect."""
    ate = Estimate.of(run.metrics["experiment"], "ate")
    if run.params["costs"]["charged"] == "on_response" or not math.isfinite(run.ratio):
        return (
            "What a contact costs against what a response earns, ",
            term("ratio", "C/R"),
            ", decides how many customers are worth a contact. The dotted line in the figure marks today’s.",
        )
    average = f"The average effect on all {run.metrics['experiment']['n']:,} customers is {ate.text()}"
    if ate.low > run.ratio:
        stands = f"above it: contacting everybody pays on average{run.hedge}"
    elif ate.high < run.ratio:
        stands = f"below it: contacting everybody does not pay{run.hedge}"
    else:
        stands = "not clearly on one side of it: whether contacting everybody pays is not proven"
    return (
        "Today’s break-even, ",
        term("ratio", "C/R"),
        f", is {plain(run.ratio)}: the dotted line in the figure. {average}, {stands}. Rules are judged on fewer "
        "customers, so their intervals are wider.",
    )


def curves(run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Profit against C/R: for the champion's learner (or the ensemble), and for contacting everybody."""
    table = run.tables["profit_by_cost_ratio"]
    shown, everybody = (table[table["learner"] == name].sort_values("ratio") for name in (run.shown, EVERYBODY))
    return shown, everybody


def falling(run: Run) -> str:
    """The highest cost at which contacts still pay."""
    shown, _ = curves(run)
    name = policy_name(run.shown)
    sure = shown[shown["band_low"] > 0]
    if sure.empty:
        return f"At no C/R does {name}’s rule surely beat contacting nobody (band of the whole curve)."
    # The longest run, from the cheapest contact on, in which the band stays above 0.
    certain = (shown["band_low"] > 0).cumprod().astype(bool)
    if not certain.any():
        return f"{name}’s rule surely beats contacting nobody at some C/R only (band of the whole curve)."
    last = float(shown.loc[certain, "ratio"].iloc[-1])
    return (
        f"{name}’s rule surely beats contacting nobody as long as C/R is {plain(last)} or less (band that holds "
        "for the whole curve)."
    )


def cost_table(run: Run) -> Table | None:
    """Profit at a few C/R around today's, or None if today has no single ratio."""
    shown, everybody = curves(run)
    if shown.empty or not math.isfinite(run.ratio) or run.ratio <= 0:
        return None
    revenue = float(run.params["costs"]["revenue_per_response"])
    rows = []
    for multiple in MULTIPLES:
        at = (shown["ratio"] - multiple * run.ratio).abs()
        if float(at.min()) > 1e-6 * run.ratio:
            continue
        row = shown.iloc[int(at.to_numpy().argmin())]
        estimate = Estimate(float(row["profit"]), float(row["band_low"]), float(row["band_high"])).times(PER)
        same = everybody.loc[(everybody["ratio"] - row["ratio"]).abs() <= 1e-6 * run.ratio, "profit"]
        now = multiple == 1
        rows.append(
            Row(
                (
                    f"{plain(float(row['ratio']))}{' (today)' if now else ''}",
                    plain(float(row["ratio"]) * revenue),
                    estimate.number(sign=True),
                    estimate.bounds(),
                    number(PER * float(same.iloc[0]), estimate.digits, sign=True) if len(same) else "–",
                ),
                marked=now,
            )
        )
    if not rows:
        return None
    name = policy_name(run.shown)
    columns = (
        Column("C/R", numeric=False),
        Column("Cost of a contact"),
        Column(f"{name}’s rule"),
        Column("Band of the whole curve"),
        Column("Contacting everybody"),
    )
    caption = f"Profit over contacting nobody, per {PER:,} customers, if a response earns {plain(revenue)}"
    return Table("cost-ratios", caption, columns, rows)


def best_share(run: Run) -> str:
    """Which share has the highest estimate, and what a tenth earns."""
    frame = run.tables["profit_by_share"]
    best = frame.iloc[int(frame["profit"].to_numpy().argmax())]
    name = policy_name(str(frame["learner"].iloc[0])) if len(frame) else policy_name(ENSEMBLE)
    if best["share"] == 0:
        return f"In the order of {name}, no share of the customers has an estimate above that of contacting nobody."
    at = Estimate(float(best["profit"]), float(best["ci_low"]), float(best["ci_high"])).times(PER)
    return (
        f"Customers in the order of {name}, the highest predicted gain first: the highest estimate, "
        f"{at.short(sign=True)} per {PER:,} customers over contacting nobody, stands at a share of "
        f"{percent(float(best['share']))}. As the highest of many it flatters."
    )


def share_table(run: Run) -> Table:
    """Profit at a few shares."""
    frame = run.tables["profit_by_share"]
    rows = []
    for share in SHARES:
        row = frame.iloc[int((frame["share"] - share).abs().to_numpy().argmin())]
        at = Estimate(float(row["profit"]), float(row["ci_low"]), float(row["ci_high"])).times(PER)
        rows.append(
            Row((percent(float(row["share"])), plain(PER * float(row["spent"])), at.number(sign=True), at.bounds()))
        )
    columns = (
        Column("Contacted", numeric=False),
        Column("Cost of it"),
        Column("Over contacting nobody"),
        Column(f"95{SPACE}% interval"),
    )
    return Table("shares", f"Profit by the share of customers contacted, per {PER:,} customers", columns, rows)
