"""How sure the answer is: what the intervals hold fixed, and what happens if everything is done again."""

from collections.abc import Mapping
from typing import Any

from promotions.base.formatting import number, percent
from promotions.report.blocks import Block, Column, Figure, Heading, Missing, Paragraph, Row, Section, Table, Text
from promotions.report.glossary import term
from promotions.report.run import EVERYBODY, Run
from promotions.report.words import Estimate, counted, listed, policy_name

PER = 1000
# The number of policies in the table for each ratio, those that win most often.
MOST = 3


def section(run: Run) -> Section:
    """Conditional intervals, then the whole procedure."""
    blocks: list[Block] = [
        Paragraph(conditional(run)),
        Paragraph(at_once(run)),
        Heading("If everything were done again"),
        *repeated(run),
    ]
    return Section("certainty", "How sure is this?", "How sure", tuple(blocks))


def conditional(run: Run) -> Text:
    """What the intervals of this page cover, and what they do not."""
    customers = f"{run.headline['n_final']:,}"
    text: Text = (
        "The ",
        term("interval", "95 % intervals"),
        f" say how far the {customers} customers that judge may mislead by chance. They take each rule as given: they "
        "leave out that other customers to learn from would have made another rule.",
    )
    if run.estimated:
        text = (
            *text,
            " They also leave out hidden reasons for contacts, whose effect more customers do not reduce. That the ",
            term("propensity", "propensities"),
            " were estimated does no harm to them: ",
            term("doubly_robust", "doubly robust"),
            " scores hardly depend on small errors there.",
        )
    if run.param("evaluate.protocol") == "nested":
        return (
            *text,
            " The champion’s number judges the procedure: segment after segment is decided by rules learned from the "
            "segments before it, so it is not the number of one rule.",
        )
    return text


def at_once(run: Run) -> Text:
    """The champion's interval by itself, and jointly with all rules."""
    row = run.policies[run.champion]
    alone = Estimate.of(row, "dr")
    together = Estimate(alone.value, float(row["dr_simultaneous_ci_low"]), float(row["dr_simultaneous_ci_high"]))
    return (
        f"The champion’s profit is {alone.text()} per customer. If the intervals of all "
        f"{counted(len(run.policies), 'rule')} are to hold at once, its own is {together.bounds()}."
    )


def repeated(run: Run) -> list[Block]:
    """The result of the stage `stability`, if it was run."""
    if "stability" not in run.metrics:
        return [
            Missing("How stable the choice is was not computed for these data and parameters", "dvc repro stability")
        ]
    document = run.metrics["stability"]
    blocks: list[Block] = [Paragraph(trials(document))]
    if run.estimated:
        blocks.append(Paragraph("Propensities are not estimated anew: the spread is that with these estimates."))
    if "stability" in run.pictures:
        blocks.append(
            Figure(
                run.pictures["stability"],
                f"Chart: mean profit and its spread over the trials at each C/R. {winners(document)}",
                "Points: means over the trials; lines: one standard deviation; per cent: trials won.",
            )
        )
    return [*blocks, stability_table(document)]


def ratios(document: Mapping[str, Any]) -> dict[str, Mapping[str, Mapping[str, Any]]]:
    """The entries ratio → policy → numbers."""
    return {
        name: entry
        for name, entry in document.items()
        if isinstance(entry, Mapping) and all(isinstance(row, Mapping) for row in entry.values())
    }


def trials(document: Mapping[str, Any]) -> Text:
    """What was repeated, and the finding."""
    return (
        term("stability", "Stability"),
        f": {document['trials']:,} times the customers were dealt and resampled anew, every learner was fitted again, "
        f"rules were made and judged on {document['customers_tested']:,} customers. {winners(document)}",
    )


def winners(document: Mapping[str, Any]) -> str:
    """Which policy wins most often at which cost ratio, and how often."""
    ratios_by_rule: dict[str, list[str]] = {}
    shares, tied = [], 0
    for ratio, entry in ratios(document).items():
        best = max(entry, key=lambda name: (entry[name]["win_share"], entry[name]["profit_mean"]))
        ratios_by_rule.setdefault(policy_name(best), []).append(ratio)
        shares.append(float(entry[best]["win_share"]))
        tied += sum(row["win_share"] == entry[best]["win_share"] for row in entry.values()) > 1
    low, high = percent(min(shares)), percent(max(shares))
    often = f"in {low} of the trials" if low == high else f"in {low} to {high} of the trials"
    if 2 * tied > len(shares):
        return (
            f"No rule leads: at most cost ratios several win equally often, {often}. More trials may tell them apart."
        )
    if len(ratios_by_rule) == 1:
        return f"{next(iter(ratios_by_rule))} wins most often at each cost ratio, {often}."
    wins = [f"{name} at C/R = {listed(where)}" for name, where in ratios_by_rule.items()]
    return f"Wins most often, {often}: {'; '.join(wins)}. Which rule is best depends on the cost, and on chance."


def stability_table(document: Mapping[str, Any]) -> Table:
    """The policies that win most often at each ratio, and the constants."""
    rows = []
    for ratio, entry in ratios(document).items():
        order = sorted(entry, key=lambda name: -entry[name]["win_share"])
        for name in [name for place, name in enumerate(order) if place < MOST or name == EVERYBODY]:
            numbers = entry[name]
            mean, spread = PER * float(numbers["profit_mean"]), PER * float(numbers["profit_sd"])
            digits = Estimate(mean, mean - spread, mean + spread).digits
            rows.append(
                Row(
                    (
                        f"C/R = {ratio}",
                        policy_name(name),
                        number(mean, digits, sign=True),
                        number(spread, digits),
                        percent(float(numbers["loss_share"])),
                        percent(float(numbers["share_treated"])),
                        percent(float(numbers["win_share"])),
                    ),
                    marked=name == order[0],
                )
            )
    columns = (
        Column("Cost", numeric=False),
        Column("Rule", numeric=False),
        Column("Mean profit"),
        Column("Spread (SD)"),
        Column("Trials with a loss"),
        Column("Contacted"),
        Column("Trials won"),
    )
    caption = (
        f"Over the trials: profit over contacting nobody, per {PER:,} customers, in units of what a response earns"
    )
    note = f"The {MOST} rules that win most often at each cost, and contacting everybody. Marked: wins most often."
    return Table("stability", caption, columns, rows, note)
