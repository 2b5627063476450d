"""A table that is not an experiment: what can be compared, with what result, and what no data can tell."""

from promotions.base.formatting import SPACE, number, percent, plain
from promotions.report.blocks import Block, Column, Figure, Paragraph, Row, Section, Table, Text, Verdict
from promotions.report.experiment import checks, dropped
from promotions.report.glossary import term
from promotions.report.run import Run
from promotions.report.words import Estimate, counted

TITLES = {
    "overlap": ("Was everybody’s like both contacted and not?", "propensity"),
    "chances": ("Are the estimated probabilities right?", ""),
    "balance": ("Are the groups alike once they are weighted?", "smd"),
    "effect": ("Does the interval of the effect exclude 0?", "effect"),
    "hidden reasons": ("Did anything hidden decide on contacts?", ""),
}
METHODS = (
    ("naive_difference", "As they are", "Nothing: who was contacted differed beforehand"),
    ("weighted_difference", "Weighted", "Differences that the estimated propensity explains"),
    ("ate", "Doubly robust", "The same, and what the features say about the outcome"),
)


def section(run: Run) -> Section:
    """What the numbers rest on, the effect by three methods, who was left out, checks and pictures."""
    blocks: list[Block] = [
        verdict(),
        Paragraph(effect(run)),
        methods(run),
        Paragraph(left_out(run)),
        checks(run, TITLES, "What can be checked, and what cannot", "SD: standard deviations of the feature."),
        Figure(run.pictures["balance"], f"Chart of the differences between the groups. {balance(run)}", balance(run)),
    ]
    if "overlap" in run.pictures:
        words = "Estimated propensities of the contacted and of the others: comparisons are possible where both occur."
        blocks.append(Figure(run.pictures["overlap"], f"Chart: {words}", words))
    return Section("experiment", "Can the data be trusted?", "The data", (*blocks, *dropped(run)))


def verdict() -> Verdict:
    """The limits of an estimated propensity, whatever the checks say."""
    return Verdict(
        "unclear",
        "Not an experiment",
        (
            "Nobody was contacted by lot, or it is not known with which probability: the ",
            term("propensity", "propensity"),
            " was estimated from the features. The answer stands only if all reasons for a contact that also move the "
            "outcome are among them. Whoever decides on contacts may know what the data do not; then every number here "
            "is off, and no check on this page can notice it.",
        ),
    )


def effect(run: Run) -> Text:
    """The average effect in words, beside the raw difference, which is not the effect."""
    facts = run.metrics["experiment"]
    ate, naive = Estimate.of(facts, "ate"), float(facts["naive_difference"])
    start = (
        f"{facts['n']:,} customers can be compared, {percent(facts['share_treated'])} of them contacted. As they are, "
        f"the contacted differ from the others by {number(naive, ate.digits, sign=True)}, which is not the effect of "
        "the contact. Compared with their like, without a contact (",
        term("control", "control group"),
        f") the outcome is {number(facts['control_mean'], ate.digits)} on average; a contact changes it by ",
        ate.text(sign=True),
    )
    if ate.above or ate.below:
        direction = "raises" if ate.above else "lowers"
        return (*start, f". So the promotion {direction} the outcome{run.hedge}.")
    return (*start, ". Whether the promotion does anything on average is ", term("proven", "not proven"), ".")


def methods(run: Run) -> Table:
    """The difference between the groups by three methods."""
    rows = []
    facts = run.metrics["experiment"]
    digits = Estimate.of(facts, "ate").digits
    for name, words, care in METHODS:
        estimate = Estimate.of(facts, name)
        low, high = (number(bound, digits) for bound in (estimate.low, estimate.high))
        # The weighted interval takes estimated propensities for the truth.
        bounds = "–" if name == "weighted_difference" else f"{low} to {high}"
        method: Text = (term("doubly_robust", words),) if name == "ate" else words
        rows.append(Row((method, number(estimate.value, digits, sign=True), bounds, care), marked=name == "ate"))
    columns = (
        Column("Method", numeric=False),
        Column("Difference"),
        Column(f"95{SPACE}% interval"),
        Column("What it takes care of", numeric=False),
    )
    note = (
        "Marked: the estimate of the effect. The weighted difference has no interval here: it would take the estimated "
        "propensities for the truth."
    )
    return Table("methods", "Contacted less others, by three methods", columns, rows, note)


def left_out(run: Run) -> Text:
    """The trimming rule, and the customers that it left out."""
    facts = run.metrics["experiment"]
    low, count = float(facts["overlap"]), int(facts["left_out"])
    rule = (
        f"Customers whose estimated propensity is below {plain(low)} or above {plain(1 - low)} have too few of their "
        "like on the other side and are left out of everything on this page: "
    )
    if not count:
        return f"{rule}there are none."
    treated, others = (percent(facts[f"share_left_out_{arm}"]) for arm in ("treated", "control"))
    return (
        f"{rule}{counted(count, 'customer')} of {int(facts['n_read']):,}, {treated} of the contacted and {others} of "
        "the others. The answer is about those who are left."
    )


def balance(run: Run) -> str:
    """What the figure of the balance shows."""
    facts = run.metrics["experiment"]
    return (
        f"As they are, the groups differ by up to {plain(facts['max_abs_smd_before'], 2)}{SPACE}SD "
        f"({facts['max_abs_smd_before_feature']}); weighted, by up to {plain(facts['max_abs_smd_after'], 2)}{SPACE}SD "
        f"({facts['max_abs_smd_after_feature']})."
    )
