"""Which customers to contact: rules in a sentence, the most and the least affected, and calibration of predictions."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from promotions.base.formatting import SPACE, alike, decimals, number, percent
from promotions.report.blocks import (
    Block,
    Bullets,
    Code,
    Column,
    Figure,
    Heading,
    Missing,
    Paragraph,
    Row,
    Section,
    Strong,
    Table,
    Text,
)
from promotions.report.glossary import term
from promotions.report.run import Run
from promotions.report.words import Estimate, counted, listed, p_value, policy_name

MOST = 8
LEVEL = 0.05


def section(run: Run) -> Section:
    """Rules, groups, features."""
    blocks: list[Block] = [Heading("Rules that fit into a sentence")]
    blocks += rules(run)
    blocks += [
        Heading("Who is affected most and least"),
        Paragraph(affected_words(run)),
        affected_table(run),
        Figure(
            run.pictures["affected"],
            f"Chart: the fifths with the largest and the smallest predicted effects. {differ(run)}",
            differ(run),
        ),
        Heading("Are the predictions right?"),
        Paragraph(ranking(run)),
        Paragraph(calibrated(run)),
        Figure(
            run.pictures["calibration"],
            f"Chart: measured against predicted effects, tenth by tenth, for each learner. {slope(run)}",
            "On the diagonal, effects are as predicted.",
        ),
        learners(run),
        Heading("What the predictions depend on"),
        *explained(run),
    ]
    return Section("customers", "Whom to contact", "Customers", tuple(blocks))


def rules(run: Run) -> list[Block]:
    """The tree and the groups, with what they earn."""
    items: list[Text] = []
    words: list[str] = []
    for name, sentence in run.rules.items():
        words.append(str(sentence))
        earned = run.policies.get(name)
        money = ""
        if earned is not None:
            over = Estimate.of(earned, "dr_vs_treat_none").times(1000)
            money = f" It earns {over.short(sign=True)} per 1,000 customers over contacting nobody."
        items.append((Strong(f"{policy_name(name)}: "), f"{sentence}.{money}"))
    if not items:
        return [Paragraph("None of the rules fits into a sentence.")]
    blocks: list[Block] = [Bullets(items)]
    meant: list[Text] = [
        (Code(name), f": {meaning}.")
        for name, meaning in run.meanings.items()
        if any(_names(name, sentence) for sentence in words)
    ]
    if meant:
        blocks += [Paragraph("The features in them:"), Bullets(meant)]
    return blocks


def affected_words(run: Run) -> Text:
    """Who is compared."""
    return (
        "The fifth of the customers with the largest ",
        term("effect", "effects"),
        f" as {policy_name(run.shown)} predicts them, beside the fifth with the smallest: means of the features that "
        "differ most. The data show that these customers respond, not why they do.",
    )


def affected_table(run: Run) -> Table:
    """The features in which the two fifths differ most."""
    frame = run.tables["affected"]
    order = frame["standardised_difference"].abs().sort_values(ascending=False, kind="stable").index[:MOST]
    rows = []
    explained = False
    for row in frame.loc[order].to_dict("records"):
        meaning = meaning_of(str(row["feature"]), run.meanings)
        explained = explained or bool(meaning)
        rows.append(
            (
                str(row["feature"]),
                *alike((row["most_affected"], row["least_affected"])),
                number(row["standardised_difference"], 2, sign=True),
                meaning or "–",
            )
        )
    columns = [Column("Feature", numeric=False), Column("Most affected fifth"), Column("Least affected fifth")]
    columns.append(Column((term("smd", "Difference in SD"),)))
    if explained:
        columns.append(Column("Meaning", numeric=False))
    kept = [Row(row[: len(columns)]) for row in rows]
    note: Text = (f"The {len(kept)} largest of {len(frame)}; all stand in ", Code("plots/affected.csv"), ".")
    return Table("affected", "Means of the most and the least affected fifth", columns, kept, note)


def meaning_of(feature: str, meanings: Mapping[str, str]) -> str:
    """The meaning of the feature behind a column such as ``age is unknown``."""
    return meanings.get(feature) or meanings.get(feature.rpartition(" is ")[0], "")


def differ(run: Run) -> str:
    """The features with the largest differences, in words."""
    frame = run.tables["affected"]
    order = frame["standardised_difference"].abs().sort_values(ascending=False, kind="stable").index[:3]
    parts = [
        f"{row['feature']} ({' against '.join(alike((row['most_affected'], row['least_affected'])))})"
        for row in frame.loc[order].to_dict("records")
    ]
    return f"The two fifths differ most in {listed(parts)}."


def metrics_of(run: Run, learner: str) -> Mapping[str, Any]:
    """An entry of metrics/learners.json."""
    return dict(run.learners.get(learner, {}))


def ranking(run: Run) -> Text:
    """Does the order of the predictions find the customers who respond?"""
    entry = metrics_of(run, run.shown)
    if "autoc" not in entry:
        return "How well customers are ranked was not measured."
    name, proven = policy_name(run.shown), entry["autoc_p_value"] < LEVEL
    verdict = "ranks customers better than chance" if proven else "is not proven to rank customers better than chance"
    text: Text = (
        f"{name} {verdict} (",
        term("ranking", "AUTOC"),
        f" {Estimate.of(entry, 'autoc').short()}, {p_value(entry['autoc_p_value'])}).",
    )
    if "first_minus_last_fifth" in entry:
        gap = Estimate.of(entry, "first_minus_last_fifth")
        sure = (
            ""
            if gap.above
            else " Their difference is not proven."
            if not gap.below
            else " They are in the wrong order."
        )
        return (
            *text,
            f" The effect in its first fifth is {gap.more_or_less} than in its last (95 % interval {gap.bounds()}).",
            sure,
        )
    return text


def slope(run: Run) -> str:
    """The calibration slope in a sentence."""
    entry = metrics_of(run, run.shown)
    if "calibration_slope" not in entry:
        return "Calibration was not measured."
    estimate, name = Estimate.of(entry, "calibration_slope"), policy_name(run.shown)
    if estimate.low <= 0 <= estimate.high:
        words = "so it is not proven that its predictions tell customers apart"
    elif estimate.below:
        words = "so its predictions point the wrong way"
    elif estimate.high < 1:
        words = "so effects differ less between customers than it predicts"
    elif estimate.low > 1:
        words = "so effects differ more between customers than it predicts"
    else:
        words = "which is compatible with 1, effects as large as predicted"
    return f"{name} has a calibration slope of {estimate.text()}, {words}."


def calibrated(run: Run) -> Text:
    """``slope`` with a link to the glossary."""
    return (term("calibration", "Calibration"), f": {slope(run)}")


def learners(run: Run) -> Table:
    """How well each learner ranks, the best first."""
    entries = run.learners
    order = sorted(entries, key=lambda name: (-entries[name].get("autoc", float("-inf")), name))
    digits = max(decimals(entry.get("uplift_at_20", 0.0) for entry in entries.values()) - 1, 0)
    rows = []
    for name in order:
        entry = entries[name]
        cells: list[Text] = [policy_name(name)]
        for key in ("autoc", "qini", "calibration_slope"):
            if f"{key}_ci_low" in entry:
                estimate = Estimate.of(entry, key)
                cells += [estimate.number(), estimate.bounds()] if key != "qini" else [estimate.number()]
            else:
                cells += ["–", "–"] if key != "qini" else ["–"]
        cells.insert(1, number(entry["uplift_at_20"], digits) if "uplift_at_20" in entry else "–")
        rows.append(Row(cells, marked=name == run.shown))
    interval = f"95{SPACE}% interval"
    columns = (
        Column("Learner", numeric=False),
        Column(f"Effect in its best 20{SPACE}%"),
        Column("AUTOC"),
        Column(interval),
        Column("Qini"),
        Column("Calibration slope"),
        Column(interval),
    )
    note: Text = ("Marked: the learner that this page shows. More: ", Code("metrics/learners.json"), ".")
    return Table("learners", "How well each learner ranks customers and sizes effects", columns, rows, note)


def explained(run: Run) -> list[Block]:
    """SHAP values, if there are any."""
    if "explain" not in run.metrics:
        return [Missing("What the predictions depend on was not computed", "dvc repro evaluate")]
    document = run.metrics["explain"]
    name = policy_name(str(document["learner"]))
    features: Mapping[str, Mapping[str, Any]] = document["features"]
    names = [
        f"{feature} ({percent(entry['share'])}, {entry['direction']})" for feature, entry in list(features.items())[:3]
    ]
    finding = (
        f"{name}’s prediction depends most on {listed(names)}." if names else f"{name} predicts the same for everybody."
    )
    imitated = f"a model that imitates it and explains {percent(float(document['fidelity']))} of it on other customers"
    how = {"exact": "exactly", "partly distilled": f"partly exactly, partly by way of {imitated}"}.get(
        str(document.get("method")), f"by way of {imitated}"
    )
    blocks: list[Block] = [
        Paragraph(
            (
                f"{finding} Shares are of all ",
                term("shap", "SHAP values"),
                f", computed {how} for {counted(int(document['n_explained']), 'customer')}. They say what the model "
                "uses, not what causes the effect.",
            )
        )
    ]
    if "explain" in run.pictures:
        blocks.append(
            Figure(
                run.pictures["explain"],
                f"Chart: contributions of the most telling features, a point a customer. {finding}",
                "To the right: the feature raises the predicted effect. Colour: the feature’s value.",
            )
        )
    if "dependence" in run.pictures:
        blocks.append(
            Figure(
                run.pictures["dependence"],
                f"Chart: contribution against value for each of the most telling features. {finding}",
                "How the prediction goes with each feature.",
            )
        )
    if "explain" in run.tables:
        blocks.append(explain_table(run.tables["explain"]))
    return blocks


def explain_table(frame: pd.DataFrame) -> Table:
    """The most telling features."""
    rows = []
    for row in frame.to_dict("records"):
        meaning = named(row.get("meaning"))
        # Nobody can separate features that move together: the first stands for all of them.
        together = named(row.get("together_with"))
        rows.append(
            Row(
                (
                    f"{row['feature']} (with {together})" if together else str(row["feature"]),
                    percent(float(row["share"])),
                    str(row["direction"]),
                    meaning if meaning not in ("", row["feature"]) else "–",
                )
            )
        )
    columns = (
        Column("Feature", numeric=False),
        Column("Share"),
        Column("The predicted effect", numeric=False),
        Column("Meaning", numeric=False),
    )
    return Table("explain", "The features that the predictions depend on most", columns, rows)


def named(value: Any) -> str:
    """A text cell of a table; an empty string if it is missing."""
    return value if isinstance(value, str) else ""


def _names(feature: str, sentence: str) -> bool:
    """Whether a rule's sentence names the feature as a whole word."""
    return any(part.strip("(),") == feature for part in sentence.split())
