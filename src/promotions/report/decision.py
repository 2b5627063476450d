"""The decision in one sentence, its money, and its basis."""

import math
from dataclasses import replace

from promotions.base.formatting import SPACE, chance, decimals, number, percent, plain
from promotions.policies import Rule, rule_of
from promotions.report.blocks import (
    Block,
    Code,
    Column,
    Link,
    Paragraph,
    Row,
    Section,
    Strong,
    Table,
    Text,
    Verdict,
    as_parts,
)
from promotions.report.discounts import decision as decision_on_discounts
from promotions.report.glossary import KEYS, term
from promotions.report.run import EVERYBODY, NOBODY, Run
from promotions.report.words import Estimate, listed, policy_name

PER = 1000


def section(run: Run) -> Section:
    """The first thing on the page."""
    blocks: list[Block] = [verdict(run), Paragraph(whom(run)), money(run), Paragraph(break_even(run))]
    if run.champion not in (EVERYBODY, NOBODY):
        blocks.append(Paragraph(what_to_do(run)))
    if truth := against_truth(run):
        blocks.append(Paragraph(truth))
    if discounts := decision_on_discounts(run):
        simulated = "Simulated data: " if run.simulated_discounts else ""
        words = (
            f"{simulated}{discounts.label}. ",
            *as_parts(discounts.text),
            " ",
            Link("discounts", "More on discounts"),
            ".",
        )
        blocks.append(Paragraph((Strong("Discounts. "), *words)))
    return Section("decision", "The decision", "Decision", tuple(blocks))


def lead(run: Run) -> Estimate:
    """The champion's lead over its rival, per customer: the better of all and none, or for a constant the other."""
    rival = {EVERYBODY: "treat_none", NOBODY: "treat_all"}.get(run.champion, "best_constant")
    return Estimate.of(run.headline, f"lift_over_{rival}")


def verdict(run: Run) -> Verdict:
    """Whom to contact, what that earns over the better of all and none, and whether this is proven.

    With estimated propensities nothing is proven: a finding holds only if nothing hidden decided on contacts.
    """
    over = lead(run)
    unhedged = of_constant(run, over) if run.champion in (EVERYBODY, NOBODY) else of_rule(run, over)
    if run.estimated and unhedged.tone != "unclear":
        return replace(unhedged, tone="unclear", label=f"{unhedged.label}{run.hedge}")
    return unhedged


def of_constant(run: Run, over: Estimate) -> Verdict:
    """The verdict if the champion treats everybody, or nobody."""
    whom, others, what = {
        EVERYBODY: ("everybody", "nobody", "not proven to pay"),
        NOBODY: ("nobody", "everybody", "no contact is proven to pay"),
    }[run.champion]
    return Verdict(
        "proven" if over.above else "unclear",
        f"Contact {whom}" if over.above else f"Contact {whom}: {what}",
        f"Contact {whom}: on the customers that chose the rule, no other rule earned more by a standard error. That "
        f"earns {over.more_or_less} per customer than contacting {others} (95{SPACE}% interval {over.bounds()}).",
    )


def of_rule(run: Run, over: Estimate) -> Verdict:
    """The verdict if the champion chooses among customers."""
    who = f"the {percent(run.headline['share_treated'])} of the customers that the chosen rule picks"
    rivals = "the better of contacting everybody and contacting nobody"
    if over.above:
        return Verdict(
            "proven",
            "Targeting pays",
            f"Contact {who}: that earns {over.size()} more per customer than {rivals} (95{SPACE}% interval "
            f"{over.bounds()}).",
        )
    if over.below:
        return Verdict(
            "against",
            "Targeting costs",
            f"Contact {better_constant(run)}: contacting {who} earns {over.size()} less per customer than {rivals} "
            f"(95{SPACE}% interval of the difference {over.bounds()}).",
        )
    return Verdict(
        "unclear",
        "Not proven",
        f"Contacting {who} earned {over.more_or_less} per customer than {rivals}, but the 95{SPACE}% interval of this "
        f"difference is {over.bounds()}: these data cannot tell targeting from contacting all or none.",
    )


def better_constant(run: Run) -> str:
    """Everybody or nobody, whichever earned more."""
    over_nobody = run.headline["lift_over_treat_none"]
    over_everybody = run.headline["lift_over_treat_all"]
    return "everybody" if over_nobody > over_everybody else "nobody"


def money(run: Run) -> Table:
    """What the champion earns over each rival: per customer, per thousand, and for a list as long as the experiment."""
    customers = int(run.metrics["experiment"]["n"])
    rivals = [("contacting nobody", "treat_none"), ("contacting everybody", "treat_all")]
    if run.champion in (EVERYBODY, NOBODY):
        rivals = [rival for rival in rivals if rival[1] != run.champion]
    else:
        rivals.insert(0, ("the better of all and none", "best_constant"))
    rows = []
    for words, rival in rivals:
        over = Estimate.of(run.headline, f"lift_over_{rival}")
        sizes = [over.times(factor).short(sign=True) for factor in (1, PER, customers)]
        rows.append(Row((f"than {words}", *sizes), marked=rival == rivals[0][1]))
    columns = (
        Column("More profit", numeric=False),
        Column("Per customer"),
        Column(f"Per {PER:,} customers"),
        Column(f"For a list of {customers:,}"),
    )
    note: Text = ("In brackets: the 95 % ", term("interval", "interval"), ". Money is in the currency of the costs.")
    if run.champion != NOBODY:
        note = (
            *note,
            " ",
            term("loss", "Chance"),
            f" of earning less than by contacting nobody: {chance(run.headline['probability_of_loss'])}.",
        )
    return Table("money", f"What “{policy_name(run.champion)}” earns", columns, rows, note)


def break_even(run: Run) -> Text:
    """What a contact costs, what a response earns, and the effect that pays."""
    start, costs = (Strong("Break-even. "),), run.params["costs"]
    if run.varying_money:
        verb = "differ" if len(run.varying_money) > 1 else "differs"
        return (*start, f"{listed(run.varying_money).capitalize()} {verb} between customers, as the data say.")
    cost, revenue = plain(float(costs["cost_per_treatment"])), plain(float(costs["revenue_per_response"]))
    if costs["charged"] == "on_response":
        return (*start, f"A contacted customer who responds costs {cost}, and a response earns {revenue}.")
    paid = f"A contact costs {cost} and a response earns {revenue}"
    if not math.isfinite(run.ratio):
        return (*start, f"{paid}, so no effect pays for a contact.")
    return (
        *start,
        f"{paid}, so a contact pays if it raises the ",
        term("outcome", "outcome"),
        f" by at least {plain(run.ratio)} (",
        term("ratio", "C/R"),
        ").",
    )


def whom(run: Run) -> Text:
    """The champion's rule in words."""
    start: tuple[str | Strong, ...] = (Strong("Whom. "),)
    if run.champion == EVERYBODY:
        return (*start, "Everybody on the list.")
    if run.champion == NOBODY:
        return (*start, "Nobody on the list.")
    kind, _, learner = run.champion.partition(".")
    rule, name = rule_of(run.champion) or Rule, policy_name(run.champion)
    called = term(kind, name) if kind in KEYS else name
    says = run.rules.get(run.champion) or rule.advice.format(learner=policy_name(learner))
    return (*start, "The ", term("champion", "champion"), ", ", called, f", says: {says}.")


def what_to_do(run: Run) -> Text:
    """The next step, which the verdict leaves open."""
    over = lead(run)
    start = (Strong("What next. "),)
    scored = (Code("python src/score.py NEW.csv --out targets.csv"), " makes the list of whom to contact next time. ")
    if run.estimated:
        return (
            *start,
            "Before relying on it, try it: in the next campaign let lots decide whom you contact, of those that the "
            "rule picks and of some others. That is an experiment, and its answer needs no trust in the features.",
        )
    if over.above:
        return (
            *start,
            *scored,
            "Keep a random control group in that campaign too: it shows whether the gain holds.",
        )
    if over.below:
        return (*start, "Before targeting again, look for features that say more about who responds.")
    return (
        *start,
        "If nothing may be decided without proof, do not count on the gain. Four times as many customers halve an "
        "interval; the next campaign, with a random control group, can add them. ",
        *scored,
    )


def against_truth(run: Run) -> Text:
    """For a simulation: what the decision earns in truth."""
    if "true_profit_per_customer" not in run.headline:
        return ""
    true, most, forgone = (
        float(run.headline[name])
        for name in ("true_profit_per_customer", "oracle_profit_per_customer", "regret_per_customer")
    )
    low, high = run.headline["profit_ci_low"], run.headline["profit_ci_high"]
    # The truth has no error: the forgone profit gets two digits, and the others get as many decimals.
    digits = max(decimals([forgone]) - 1, 0)
    inside = "inside" if low <= true <= high else "outside"
    return (
        Strong("Held against the truth. "),
        f"The data are simulated, so the truth is known: the decision earns {number(true, digits)} per customer "
        f"({inside} its 95{SPACE}% interval), the best possible one {number(most, digits)}; it forgoes "
        f"{number(forgone, digits)}.",
    )
