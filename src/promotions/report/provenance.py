"""What was assumed, what could be wrong, and the source of everything."""

from collections.abc import Mapping
from typing import Any

import yaml

from promotions.base.errors import InputError
from promotions.base.registry import class_of
from promotions.report.blocks import Block, Bullets, Code, Column, Heading, Paragraph, Row, Section, Strong, Table, Text
from promotions.report.glossary import term
from promotions.report.run import Run
from promotions.report.words import counted, listed

SOURCES = {
    "simulated": "a simulated grocer: customers, purchases and responses come from a random number generator",
    "x5": "a log of purchases in the layout of X5 RetailHero",
    "hillstrom": "Hillstrom’s e-mail experiment of 2008 with 64,000 customers",
    "table": "a table of one row a customer",
}
# Parameters that decide what the numbers mean; the learners' sizes are in params.yaml.
PARAMETERS = (
    *("seed", "data.source", "costs.cost_per_treatment", "costs.revenue_per_response", "costs.charged"),
    *("checks.alpha", "checks.on_srm", "checks.on_post_treatment"),
    *("split.shares", "split.salt", "split.folds", "split.segments", "evaluate.protocol", "evaluate.replicates"),
    *("ensemble.method", "stability.trials", "stability.ratios"),
)
OF_ESTIMATES = ("data.table.propensity", "data.table.overlap")
OF_DISCOUNTS = (
    *("discount.source", "discount.margin", "discount.running", "discount.exclude"),
    *("discount.policy.champion", "discount.policy.least_customers"),
    *("discount.policy.default", "discount.policy.budget"),
)
COUNTS = {
    "purchase_rows": "rows of purchases read",
    "purchase_rows_after_campaign": "of them after the campaign began, so not used",
    "purchase_rows_unknown_client": "of clients that the table of clients does not know",
    "purchase_rows_unknown_product": "of products that the table of products does not know",
    "receipts": "receipts",
    "ages_set_missing": "ages that cannot be, set missing",
    "customers_without_purchases": "customers without a purchase",
}


def section(run: Run) -> Section:
    """Assumptions, risks, sources, parameters, versions."""
    blocks: list[Block] = [
        Heading("What was assumed"),
        Bullets(assumptions(run)),
        Heading("What could be wrong"),
        Bullets(risks(run)),
        Heading("Where it comes from"),
        Paragraph(source(run)),
    ]
    if counts := source_counts(run):
        blocks.append(counts)
    blocks.append(parameters(run))
    if run.versions:
        blocks.append(versions(run))
    if run.fingerprint:
        blocks.append(
            Paragraph((term("fingerprint", "Fingerprint"), " of all inputs of this page: ", Code(run.fingerprint), "."))
        )
    return Section("provenance", "What was assumed, and what could be wrong", "Assumptions", tuple(blocks))


def assumptions(run: Run) -> list[Text]:
    """Assumptions that no number on the page can prove."""
    if run.estimated:
        lot: Text = (
            Strong("Nothing hidden decided on contacts. "),
            "Nobody was contacted by lot. The features are supposed to hold everything that both led to a contact and "
            "matters for the response; the ",
            term("propensity", "propensity"),
            " was estimated from them.",
        )
    else:
        lot = (
            Strong("Contacts were drawn by lot "),
            "with the ",
            term("propensity", "probability"),
            " that the data or params.yaml state. The checks above can refute this, not prove it.",
        )
    per_customer = listed(run.varying_money)
    charged = (
        "is due for each contact"
        if run.params["costs"]["charged"] == "on_treatment"
        else "is due if a contacted customer responds"
    )
    money = (
        f"{per_customer[:1].upper()}{per_customer[1:]} of each customer are as the data say"
        if per_customer
        else "Cost and revenue are as stated in params.yaml"
    )
    return [
        lot,
        (
            Strong("Customers do not influence each other. "),
            "A contact changes what its receiver does, and nobody else, except inside a household or shop that was "
            "named as such.",
        ),
        (
            Strong("The next campaign is like this one: "),
            "the same offer, to customers of the same kind, in a comparable season.",
        ),
        (Strong("The money is right. "), f"{money}; a cost {charged}. Revenue means margin, not turnover."),
        (
            Strong("The outcome says it all. "),
            "Purchases that are only brought forward, returns and later effects count only as far as the outcome "
            "contains them.",
        ),
    ]


def risks(run: Run) -> list[Text]:
    """How the page could still mislead."""
    items: list[Text] = []
    if run.simulated:
        items.append(
            (Strong("The data are simulated. "), "They show that the method works, and nothing about real customers.")
        )
    if run.estimated:
        items += hidden(run)
    items += [
        "One in twenty 95 % intervals misses the truth, and this page has many.",
        "Who reads the best line of a table of many rules reads luck too. The champion’s line is free of it.",
        (
            "Running this again with other seeds, salts or parameters until the answer pleases makes every interval "
            "too short: the customers that judge have then been looked at."
        ),
        "Features say who responds more, not why. Changing a feature need not change the effect.",
        "The rule holds for customers like those it was learned from; it wears out as customers and offers change.",
    ]
    return items


def hidden(run: Run) -> list[Text]:
    """How the page could mislead without an experiment."""
    facts = run.metrics["experiment"]
    items: list[Text] = [
        (
            Strong("A hidden reason. "),
            "Somebody who chose whom to contact, or customers who asked for it, may have known what no feature tells. "
            "If it also moves the outcome, its share of the difference is taken for the effect.",
        ),
        (
            Strong("A feature measured after the contact. "),
            "In an experiment it would be found; here it looks like a reason for the contact, and hides the effect.",
        ),
    ]
    if facts["left_out"]:
        items.append(
            (
                Strong("The answer is not about everybody. "),
                f"{counted(int(facts['left_out']), 'customer')} of {int(facts['n_read']):,} had nobody to be compared "
                "with. What a contact does to customers like them is unknown.",
            )
        )
    learners = run.param("learners")
    entries = learners if isinstance(learners, Mapping) else {}
    if any(class_of(name, entries.get(name)) == "uplift_forest" for name in run.learners):
        items.append(
            "The uplift forest compares contacted customers with others as if lots had been drawn. Its rules are "
            "judged as all are, so they do not flatter, but expect little of them."
        )
    return items


def source(run: Run) -> Text:
    """The data in a sentence."""
    name = str(run.metrics["headline"]["source"])
    where = run.param(f"data.{name}") or {}
    place = where.get("path") or where.get("directory") if isinstance(where, Mapping) else None
    text: Text = (f"Data: {SOURCES.get(name, name)}, ", counted(int(run.metrics["experiment"]["n"]), "customer"))
    if place:
        text = (*text, ", from ", Code(str(place)))
    return (*text, ". ", Strong("Simulated." if run.metrics["headline"]["simulated"] else "Not simulated."))


def source_counts(run: Run) -> Table | None:
    """Rows of a log of purchases that were counted or left out."""
    facts = run.metrics["experiment"]
    rows = [Row((words, f"{int(facts[name]):,}")) for name, words in COUNTS.items() if name in facts]
    columns = (Column("What", numeric=False), Column("How many"))
    return Table("source-counts", "What the log of purchases held", columns, rows) if rows else None


def parameters(run: Run) -> Table:
    """The parameters behind the numbers. Raises InputError if params.yaml lacks one."""
    keys = list(PARAMETERS) + (list(OF_ESTIMATES) if run.estimated else [])
    if any(name.startswith("discount") for name in run.metrics):
        keys += OF_DISCOUNTS
    rows = [Row(((Code(key),), (Code(value_text(stated(run.params, key))),))) for key in keys]
    learners = run.param("learners")
    if isinstance(learners, Mapping):
        rows.append(Row(((Code("learners"),), (Code(", ".join(map(str, learners))),))))
    policies = run.param("policy")
    if isinstance(policies, Mapping):
        rows += [Row(((Code(f"policy.{name}"),), (Code(value_text(value)),))) for name, value in policies.items()]
    columns = (Column("Parameter", numeric=False), Column("Value", numeric=False))
    note: Text = ("All of them, each with what it does: ", Code("params.yaml"), ".")
    return Table("parameters", "Parameters that mattered", columns, rows, note)


def stated(params: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key of params.yaml. Raises InputError if there is none."""
    value: Any = params
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise InputError(f"params.yaml: {key} is missing; the page states it")
        value = value[part]
    return value


def value_text(value: Any) -> str:
    """A value as params.yaml writes it, in one line."""
    if isinstance(value, str):
        return value
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...").strip()


def versions(run: Run) -> Table:
    """The software."""
    rows = [Row((name, version)) for name, version in run.versions.items()]
    columns = (Column("Software", numeric=False), Column("Version", numeric=False))
    return Table("versions", "Versions", columns, rows)
