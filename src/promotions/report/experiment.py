"""Is the experiment sound, and what did the promotion do on average?"""

from collections.abc import Mapping

import pandas as pd

from promotions.base.formatting import SPACE, number, percent, plain
from promotions.report.blocks import Block, Column, Figure, Paragraph, Row, Section, Table, Text, Verdict
from promotions.report.glossary import term
from promotions.report.run import Run
from promotions.report.words import Estimate, counted, listed, p_value

TITLES = {
    "sample ratio": ("Were as many contacted as planned?", "propensity"),
    "effect": ("Is the effect large enough to be seen?", "mde"),
    "means": ("Are the groups alike on average?", "smd"),
    "distributions": ("Are the groups alike in every shape?", ""),
    "assignment AUC": ("Can a classifier tell the groups apart?", "leakage"),
    "depend on treatment": ("Was any feature measured after the contact?", ""),
}
NOTE: Text = ("SD: standard deviations of the feature. ", term("p_value", "p"), ": how often chance shows as much.")
VERDICTS = {"sound": "sound", "look": "look closer", "broken": "broken", "unknown": "cannot be known"}


def section(run: Run) -> Section:
    """Checks in a table, their verdict in words, and the picture of the balance."""
    blocks: list[Block] = [
        verdict(run),
        Paragraph(effect(run)),
        Paragraph(detectable(run)),
        checks(run),
        Figure(run.pictures["balance"], f"Chart of the differences between the groups. {balance(run)}", balance(run)),
    ]
    return Section("experiment", "Is the experiment sound?", "Experiment", (*blocks, *dropped(run)))


def dropped(run: Run) -> list[Block]:
    """How many features were left out, if any were."""
    count = int(run.metrics["experiment"].get("features_dropped", 0))
    return [Paragraph(f"{counted(count, 'feature')} left out: see data/prepared/roles.json.")] if count else []


def verdict(run: Run) -> Verdict:
    """All checks in one sentence."""
    table = run.tables["soundness"]
    by_verdict = {
        name: [str(check) for check in table.loc[table["verdict"] == name, "check"]] for name in ("broken", "look")
    }
    if broken := by_verdict["broken"]:
        return Verdict(
            "against",
            "Not sound",
            f"{_start(listed(broken))}: broken. The contacted and the others differ by more than chance, so the "
            "numbers below are not to be trusted until the cause is found.",
        )
    if look := by_verdict["look"]:
        return Verdict(
            "unclear",
            "Sound, with a caution",
            f"Nothing is broken. Look closer at: {listed(look)}.",
        )
    return Verdict(
        "proven",
        "Sound",
        f"All {len(table)} checks are passed: the contacted and the others differ by no more than chance explains.",
    )


def effect(run: Run) -> Text:
    """The average effect in words."""
    facts = run.metrics["experiment"]
    ate = Estimate.of({**facts, "ate": facts["ate"]}, "ate")
    customers = (
        f"{facts['n']:,} customers, {percent(facts['share_treated'])} of them contacted. Without a contact (",
        term("control", "control group"),
        f") the outcome is {number(facts['control_mean'], ate.digits)} on average; a contact changes it by ",
        ate.text(sign=True),
    )
    if ate.above or ate.below:
        direction = "raises" if ate.above else "lowers"
        return (*customers, f". So the promotion {direction} the outcome: ", term("proven", "proven"), ".")
    return (*customers, ". Whether the promotion does anything on average is ", term("proven", "not proven"), ".")


def detectable(run: Run) -> Text:
    """The smallest effect that an experiment of this size finds."""
    facts = run.metrics["experiment"]
    relative = (
        f", {plain(100 * facts['mde_relative'], 2)}{SPACE}% of the control group’s outcome"
        if "mde_relative" in facts
        else ""
    )
    text: tuple[str, ...] = ()
    if run.ratio == run.ratio and run.ratio > 0:
        if facts["mde"] <= run.ratio:
            what = "less than the break-even of {}, so an effect that pays is unlikely to be missed"
        else:
            what = "more than the break-even of {}, so an effect that just pays may be missed"
        text = (f" That is {what.format(plain(run.ratio))}.",)
    return (
        "An experiment of this size finds an effect of ",
        term("mde", f"{plain(facts['mde'], 2)} or more"),
        f"{relative} in four of five cases.",
        *text,
    )


def checks(
    run: Run,
    titles: Mapping[str, tuple[str, str]] = TITLES,
    caption: str = "Checks of the experiment",
    note: Text = NOTE,
) -> Table:
    """The checks: what each found and expected. titles: words and term of each check."""
    rows = []
    for row in run.tables["soundness"].itertuples(index=False):
        words, key = titles.get(str(row.check), (str(row.check), ""))
        rows.append(
            Row(
                (
                    (term(key, words),) if key else words,
                    str(row.found),
                    str(row.expected),
                    VERDICTS.get(str(row.verdict), str(row.verdict)),
                )
            )
        )
    columns = [Column(title, numeric=False) for title in ("Check", "Found", "Expected", "Verdict")]
    return Table("checks", caption, columns, rows, note)


def balance(run: Run) -> str:
    """What the figure of the balance shows."""
    facts = run.metrics["experiment"]
    table: pd.DataFrame = run.tables["soundness"]
    broken = bool((table.loc[table["check"].isin(["means", "distributions"]), "verdict"] == "broken").any())
    what = "Some features differ by more than chance explains." if broken else (
        "No feature differs by more than chance explains."
    )  # fmt: skip
    return (
        f"{what} The largest difference of means is {plain(facts['max_abs_smd'], 2)}{SPACE}SD "
        f"({facts['max_abs_smd_feature']}); the shares contacted fit the plan with {p_value(facts['srm_p_value'])}."
    )


def _start(words: str) -> str:
    return words[:1].upper() + words[1:]
