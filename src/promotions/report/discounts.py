"""The story of the discounts: what they seem to do, what they do, for whom, and what a discount rule earns."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from promotions.base.formatting import SPACE, number, percent, plain
from promotions.discount.margin import KEY, WHAT_IF, TableMargin, comparable, margins_of, margins_text
from promotions.report.blocks import (
    Block,
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
    Verdict,
    in_words,
)
from promotions.report.glossary import term
from promotions.report.run import PICTURE_OF, Run
from promotions.report.words import Estimate, counted, dose_name, listed, p_value

Document = Mapping[str, Any]
LEVEL = 0.05
# The number of rules in the table; the champion is added if it is not among them.
SHOWN = 12


def section(run: Run) -> Section:
    """The story in order. A part that was not run says so."""
    blocks: list[Block] = []
    if not any(name in PICTURE_OF for name in run.metrics if name.startswith("discount")):
        blocks.append(Missing(not_run(run), "make discounts"))
        return Section("discounts", "Discounts", "Discounts", tuple(blocks))
    if run.simulated_discounts:
        blocks.append(Paragraph((Strong("Simulated data. "), "The customers of this section do not exist.")))
    if (decided := decision(run)) is not None:
        blocks.append(decided)
    else:
        blocks.append(Missing("No rule was judged: that needs a randomised table", "make discounts"))
    if (sentence := margin(run)) is not None:
        blocks.append(Paragraph(sentence))
    blocks.append(answers(run))
    for chapter in STORY:
        blocks += chapter.blocks(run)
    if rules := rules_table(run):
        blocks.append(rules)
    return Section("discounts", "Discounts: do they pay, for whom, and how much", "Discounts", tuple(blocks))


def not_run(run: Run) -> str:
    """Why the page has nothing about discounts."""
    if run.param("discount.source") == "simulated" and not run.simulated:
        return (
            "Discounts are another question. The simulated example says nothing about these customers, so it is left "
            "out; set discount.source to files and name your tables under discount.files in params.yaml"
        )
    return "Discounts are another question, and its pipeline was not run here with these data and parameters"


def decision(run: Run) -> Verdict | None:
    """What the discount rule earns over the best single discount for everybody."""
    if "discount" not in run.metrics:
        return None
    headline: Document = run.metrics["discount"]["discount"]
    lead = Estimate.of(headline, "lift_over_best_constant")
    best = dose_name(str(headline["best_constant"]))
    rival = "giving nobody a discount" if best == "no discount" else f"giving {best}"
    who = (
        f"The chosen rule ({dose_name(str(headline['champion']))}) gives a discount to "
        f"{percent(headline['share_given'])} of the customers and"
    )
    at_margin = in_prose([TableMargin.from_metrics("randomised", headline)])
    judged = f"judged on {counted(int(headline['n']), 'customer')} whose discount was drawn by lot, profit {at_margin}"
    if headline["champion"] == headline["best_constant"]:
        return Verdict("unclear", "One discount for everybody", f"The rule chosen is {best} itself, {judged}.")
    if lead.above:
        return Verdict(
            "proven",
            "Discounts by customer pay",
            f"{who} earns {lead.size()} more per customer than {rival}, the best single choice for all "
            f"(95{SPACE}% interval {lead.bounds()}; {judged}).",
        )
    if lead.below:
        return Verdict(
            "against",
            "Discounts by customer lose",
            f"{who} earns {lead.size()} less per customer than {rival}, the best single choice for all "
            f"(95{SPACE}% interval of the difference {lead.bounds()}; {judged}).",
        )
    return Verdict(
        "unclear",
        "Not proven",
        f"{who} earned {lead.more_or_less} per customer than {rival}, the best single choice for all, but the "
        f"95{SPACE}% interval of this difference is {lead.bounds()} ({judged}): one choice for all may do as well.",
    )


def in_prose(tables: Iterable[TableMargin]) -> str:
    """Margins in words, with the page's apostrophes."""
    return margins_text(tables).replace("'", "’")


def margin(run: Run) -> Text | None:
    """The margin behind the profits of the answers and of the groups."""
    tables = margins_of({name: run.metrics.get(f"discount/{name}", {}) for name in ("effect", "rdd", "did", "groups")})
    if not tables:
        return None
    sentence = f"Profit is {in_prose(tables)}."
    if any(each.kind == WHAT_IF for each in tables):
        return (Strong("What if. "), sentence)
    if comparable(tables):
        return sentence
    return (sentence, " A number as ", Code(KEY), " puts all at one; until then the answers differ by this as well.")


def at(document: Document, *keys: str) -> Any:
    """The value at these keys, or None."""
    value: Any = document
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def estimate(run: Run, name: str, *keys: str) -> Estimate | None:
    """An estimate of a document of the discounts, or None."""
    section, number = at(run.metrics.get(f"discount/{name}", {}), *keys[:-1]), keys[-1]
    return Estimate.of(section, number) if isinstance(section, Mapping) and number in section else None


def answers(run: Run) -> Table:
    """What one more unit of discount does to profit, by method."""
    questions: tuple[tuple[Text, Estimate | None], ...] = (
        ("The log, naively", estimate(run, "effect", "profit", "naive")),
        ("The log, all columns controlled for", estimate(run, "effect", "profit", "adjusted_all")),
        ((term("fwl", "The log, double ML"),), estimate(run, "effect", "profit", "linear_dml")),
        ((term("cutoff", "The cut-off"),), estimate(run, "rdd", "profit_per_dollar", "robust")),
        (
            "Before and after, against clean controls",
            estimate(run, "did", "group", "did_clean", "profit_per_dollar"),
        ),
        ("The randomised test", estimate(run, "effect", "profit", "randomised")),
    )
    rows = [
        Row(
            (words, effect.number(sign=True), effect.bounds()) if effect else (words, "–", "no answer"),
            words == questions[-1][0],
        )
        for words, effect in questions
    ]
    columns = (
        Column("How one asks", numeric=False),
        Column("Profit per dollar of discount"),
        Column(f"95{SPACE}% interval"),
    )
    note = (
        "They ask about other customers and other sizes of a discount, and the effect is no straight line, so they "
        "need not agree. Marked: the test, which alone needs no assumption about who got what."
    )
    return Table("asked", "What one more dollar of discount does to profit, by how one asks", columns, rows, note)


def confounded(run: Run) -> Text | None:
    """The log's slope beside the test's."""
    naive = estimate(run, "effect", "profit", "naive")
    if naive is None:
        return None
    start = (
        f"In the company’s log, profit {_moves(naive)} per dollar of discount (95{SPACE}% interval {naive.bounds()})"
    )
    lot = estimate(run, "effect", "profit", "randomised")
    if lot is None:
        return (f"{start}. No test says whether the discount is the cause (", term("confounding", "confounding"), ").")
    statement = f"{start}; where the discount was given by lot, it {_moves(lot)} ({lot.bounds()})."
    tables = margins_of({"effect": run.metrics["discount/effect"]})
    if not comparable(tables):
        return (
            f"{statement} The two cannot be compared, as profit is {in_prose(tables)}; a number as ",
            Code(KEY),
            " puts both at one.",
        )
    if naive.low > lot.high:
        return (statement, " The log flatters the discount: ", term("confounding", "confounding"), ".")
    if naive.high < lot.low:
        return (
            statement,
            " The log makes the discount look worse than it is: ",
            term("confounding", "confounding"),
            ".",
        )
    return f"{statement} The two agree within their intervals."


def like_with_like(run: Run) -> Text | None:
    """Frisch, Waugh and Lovell; double ML; the strength that a hidden cause would need."""
    naive = estimate(run, "effect", "profit", "naive")
    everything = estimate(run, "effect", "profit", "adjusted_all")
    if naive is None or everything is None:
        return None
    steps = at(run.metrics["discount/effect"], "profit", "fwl") or {}
    stepwise = ""
    if (first := next(iter(steps), "adjusted_all")) != "adjusted_all":
        columns = first.removeprefix("adjusted_")
        stepwise = f"{Estimate.of(steps[first], 'effect').number(sign=True)} with {columns} controlled for, and into "
    text: tuple[str, ...] = (
        f" turns {naive.number(sign=True)} per dollar of discount into {stepwise}{everything.text(sign=True)} with all "
        "columns controlled for",
    )
    if (double := estimate(run, "effect", "profit", "linear_dml")) is not None:
        text = (*text, f", and double ML says {double.short(sign=True)}")
    hidden = at(run.metrics["discount/effect"], "profit", "sensitivity", "regression", "robustness_value")
    if hidden is not None:
        share = f"{plain(100 * float(hidden), 2)}{SPACE}%"
        text = (
            *text,
            f". A hidden cause would have to explain {share} of what is left of both discount and profit to undo this",
        )
    return (term("fwl", "Comparing like with like"), *text, ".")


def cutoff(run: Run) -> Text | None:
    """The jump at the cut-off."""
    document = run.metrics.get("discount/rdd", {})
    dose, profit = estimate(run, "rdd", "discount", "robust"), estimate(run, "rdd", "profit", "robust")
    per_dollar, place = estimate(run, "rdd", "profit_per_dollar", "robust"), at(document, "cutoff")
    if dose is None or profit is None or per_dollar is None or place is None:
        return None
    checks = []
    if (jumping := at(document, "continuity", "columns_that_jump")) is not None:
        columns = counted(int(at(document, "continuity", "columns") or 0), "other column")
        checks.append(f"{int(jumping) or 'none'} of {columns} {'jumps' if int(jumping) < 2 else 'jump'} there too")
    if (density := at(document, "density", "p_value_discrete")) is None:
        density = at(document, "density", "p_value")
    if density is not None:
        gathered = (
            "customers do not gather at one side" if density >= LEVEL else "customers gather at one side: distrust it"
        )
        checks.append(f"{gathered} ({p_value(float(density))})")
    checked = f" Checks: {listed(checks)}." if checks else ""
    return (
        f"At {place['running']} {plain(float(place['value']))} the discount ",
        term("cutoff", "jumps"),
        f" by {dose.short(sign=True)} and profit by {profit.short(sign=True)}: {per_dollar.short(sign=True)} per "
        f"dollar of discount.{checked}",
    )


def months(run: Run) -> Text | None:
    """The event study of the treated group."""
    document = run.metrics.get("discount/did", {})
    first = estimate(run, "did", "group_event_study", "profit", "first_month")
    study, who = at(document, "group_event_study", "profit"), at(document, "design", "group")
    if first is None or study is None or who is None:
        return None
    text = (
        f"In the first month of its discount, profit of {who['column']} {who['level']} changes by "
        f"{first.short(sign=True)} per customer against the others; the joint interval excludes 0 in "
        f"{int(study['months_after_joint_interval_excludes_0']) or 'none'} of "
        f"{counted(int(study['months_after']), 'month')} since."
    )
    trend = study.get("pre_trend_p_value")
    before = ""
    if trend is not None:
        trends = "no different trend was found" if trend >= LEVEL else "the trends already differed, so distrust it"
        before = f" Before it, {trends} ({p_value(float(trend))})."
    return ("An ", term("event_study", "event study"), f": {text[0].lower()}{text[1:]}{before}")


def by_group(run: Run) -> Text | None:
    """The column by which effects differ most surely."""
    document = run.metrics.get("discount/groups", {})
    columns = {name: entry["profit"] for name, entry in document.get("columns", {}).items()}
    if not columns:
        return None
    name = min(columns, key=lambda column: (columns[column]["equal_effects_p_value"], column))
    bins, surely = columns[name]["bins"], float(columns[name]["equal_effects_p_value"])
    order = sorted(bins, key=lambda label: bins[label]["effect"])
    least, most = (Estimate.of(bins[label], "effect") for label in (order[0], order[-1]))
    verdict = "More than chance explains" if surely < LEVEL else "No more than chance explains"
    return (
        f"By {name}, a dollar of discount changes profit by {most.short(sign=True)} where it is {order[-1]}, and by "
        f"{least.short(sign=True)} where it is {order[0]}. {verdict} ({p_value(surely)})."
    )


def curves(run: Run) -> Text | None:
    """The discounts that the champion gives."""
    if "discount" not in run.metrics:
        return None
    headline = run.metrics["discount"]["discount"]
    share, dose = float(headline["share_given"]), float(headline["mean_dose"])
    if share == 0:
        return "The rule gives no discount to anybody."
    learned = at(run.metrics.get("discount/cate", {}), "best_learner")
    explained = at(run.metrics.get("discount/cate", {}), "learners", str(learned), "explained")
    fit = f"; it explains {percent(float(explained))} of what remains to explain in the log" if explained else ""
    return (
        "From the log alone a ",
        term("response_curve", "response curve"),
        f" was learned for each customer{fit}. The rule gives a discount to {percent(share)} of the customers, "
        f"{plain(dose / share, 2)} on average to those who get one.",
    )


def judged(run: Run) -> Text | None:
    """The rule against the constants."""
    verdict = decision(run)
    return None if verdict is None else f"{verdict.label}: {verdict.text}"


@dataclass(frozen=True)
class Chapter:
    """A step of the story: its question, its finding in a sentence, its picture, and its stage."""

    title: str
    finding: Callable[[Run], Text | None]
    picture: str
    shows: str
    stage: str

    def blocks(self, run: Run) -> list[Block]:
        """Heading, sentence and figure; or a note that it was not run."""
        finding = self.finding(run)
        if finding is None:
            return [
                Heading(self.title),
                Missing(
                    "This part was not run here with these data and parameters",
                    f"dvc repro discounts/dvc.yaml:{self.stage}",
                ),
            ]
        blocks: list[Block] = [Heading(self.title), Paragraph(finding)]
        if (picture := run.pictures.get(f"discount/{self.picture}")) is not None:
            blocks.append(Figure(picture, f"Chart: {self.shows} {in_words(finding)}", self.shows))
        return blocks


STORY = (
    Chapter(
        "What the log seems to say",
        confounded,
        "effect_confounding",
        "Mean profit of customers given about the same discount, in the log and in the test.",
        "discount_effect",
    ),
    Chapter(
        "Like compared with like",
        like_with_like,
        "effect_fwl",
        "Discount and profit before and after what the other columns explain is taken out.",
        "discount_effect",
    ),
    Chapter(
        "At the cut-off",
        cutoff,
        "rdd_jump",
        "Means on both sides of the cut-off. The lines are local fits; the estimates above allow for their bend.",
        "discount_rdd",
    ),
    Chapter(
        "Before and after",
        months,
        "event_study",
        "Difference between those with the discount and the others, month by month.",
        "discount_did",
    ),
    Chapter(
        "For whom a discount pays",
        by_group,
        "effects_by_bin",
        "Effect of a dollar of discount on profit, in groups of the randomised customers.",
        "discount_groups",
    ),
    Chapter(
        "How customers respond to its size",
        curves,
        "response_curves",
        "Profit by size of the discount: lines from the log, points from the test.",
        "discount_evaluate",
    ),
    Chapter(
        "What each rule earns",
        judged,
        "profit_by_rule",
        "Profit of each rule on the randomised customers, with intervals.",
        "discount_evaluate",
    ),
)


def rules_table(run: Run) -> Table | None:
    """The rules that earn most, and the champion."""
    if "discount/policies" not in run.metrics or "discount" not in run.metrics:
        return None
    rules = run.metrics["discount/policies"]["policies"]
    champion = str(run.metrics["discount"]["discount"]["champion"])
    order = sorted(rules, key=lambda name: (-rules[name]["dr"], name))
    rows = []
    for name in [name for place, name in enumerate(order) if place < SHOWN or name == champion]:
        row, marked = rules[name], name == champion
        profit, lead = Estimate.of(row, "dr"), Estimate.of(row, "vs_best_constant")
        best = lead.low == lead.high == 0
        rows.append(
            Row(
                (
                    f"★ {dose_name(name)} (champion)" if marked else dose_name(name),
                    profit.number(),
                    profit.bounds(),
                    "0" if best else lead.number(sign=True),
                    "–" if best else lead.bounds(),
                    number(float(row["mean_dose"]), 1),
                    percent(float(row["share_given"])),
                ),
                marked=marked,
            )
        )
    interval = f"95{SPACE}% interval"
    columns = (
        Column("Rule", numeric=False),
        Column("Profit per customer"),
        Column(interval),
        Column("Over the best single discount"),
        Column(interval),
        Column("Mean discount"),
        Column("Given to"),
    )
    note: Text = (
        "The champion was named by the log alone, before the test was looked at; the best line of the table was not, "
        "and flatters. All rules: ",
        Code("metrics/discount/policies.json"),
        f". Profit is {in_prose(margins_of({'policies': run.metrics['discount/policies']}))}.",
    )
    return Table("discount-rules", "Profit of each rule for discounts, per customer", columns, rows, note)


def _moves(slope: Estimate) -> str:
    return f"{'rises' if slope.value > 0 else 'falls'} by {slope.size()}"
