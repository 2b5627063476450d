"""Print the answer about discounts: what they do by four ways of asking, what each rule earns, and for whom it pays.

reads   metrics/discount.json, metrics/discount/{prepare,effect,rdd,did,policies}.json, dvc.lock (an answer from
        other parameters, data or code is not printed; the reason stands in its place)
writes  nothing
"""

from typing import Any

from pipeline import stage
from pipeline.lineage import Lineage
from promotions.base.errors import InputError
from promotions.base.formatting import HYPHEN, number, percentage
from promotions.discount.margin import KEY, TableMargin, comparable, margins_of, margins_text

# The documents behind the answers, and the stages that write them.
DOCUMENTS = {
    "prepare": ("discount_prepare", ["metrics/discount/prepare.json"]),
    "effect": ("discount_effect", ["metrics/discount/effect.json"]),
    "rdd": ("discount_rdd", ["metrics/discount/rdd.json"]),
    "did": ("discount_did", ["metrics/discount/did.json"]),
    "policies": ("discount_evaluate", ["metrics/discount/policies.json", "metrics/discount.json"]),
}
# Method, the table that it needs, and the place of its estimate.
ANSWERS = (
    ("the log, naively", "observational", ("effect", "profit", "naive")),
    ("the log, all columns controlled for", "observational", ("effect", "profit", "adjusted_all")),
    ("the log, double ML", "observational", ("effect", "profit", "linear_dml")),
    ("the cut-off (fuzzy, robust)", "cutoff", ("rdd", "profit_per_dollar", "robust")),
    ("before and after, against clean controls", "panel", ("did", "group", "did_clean", "profit_per_dollar")),
    ("the randomised test", "randomised", ("effect", "profit", "randomised")),
)
# Rules in the table: the champion, the constants that come first, and the rules of the learners.
SHOWN = 12


def main() -> None:
    """A page for people; the numbers are in metrics/discount/."""
    documents, reasons = current_documents(Lineage.read())
    answered = [document for name, document in documents.items() if name != "prepare"]
    if not answered:
        raise InputError(f"no answer about discounts is of the present parameters and data: {reasons['effect']}")
    print()
    if any(document["simulated"] for document in answered):
        print("SIMULATED DATA: the customers below do not exist. README says how to bring your own.\n")
    print("What a dollar of discount does to profit, by how one asks:\n")
    for words, role, (name, *keys) in ANSWERS:
        *sections, quantity = keys
        section = at(documents, name, *sections) or {}
        answer = (
            interval(section, quantity) if quantity in section else f"no answer: {why(name, role, documents, reasons)}"
        )
        print(f"  {words:<58}{answer}")
    if margins := margins_of({name: documents.get(name, {}) for name in ("effect", "rdd", "did")}):
        print(f"\n{margin_sentence(margins)}")
    print("\nThey ask about other customers and other sizes of a discount, and its effect is no straight line.")
    if "policies" in documents:
        print_rules(documents["policies"], stage.read_json("metrics/discount.json")["discount"])
    else:
        print(f"\nNo rule was judged: {why('policies', 'randomised', documents, reasons)}.")
    print("\nDetail: metrics/discount/*.json. The story in pictures: plots/discount/*.png.")


def current_documents(lineage: Lineage) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """The documents of the present inputs; and for each of the others the reason why it is not."""
    documents, reasons = {}, {}
    for name, (writer, paths) in DOCUMENTS.items():
        path, reason = next(((path, reason) for path in paths if (reason := lineage.outdated(path))), (paths[0], None))
        if reason:
            reasons[name] = f"{path}: {reason}; run `dvc repro discounts/dvc.yaml:{writer}`"
        else:
            documents[name] = stage.read_json(path)
    return documents, reasons


def at(document: Any, *keys: str) -> Any:
    """What stands at these keys, or None."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def why(name: str, role: str, documents: dict[str, dict[str, Any]], reasons: dict[str, str]) -> str:
    """Why there is no answer that needs this document and the table of this role."""
    if at(documents, "prepare", "rows", role) == 0:
        return f"there is no {role} table (discount.files.{role})"
    return reasons.get(name, f"metrics/discount/{name}.json holds none")


def margin_sentence(margins: list[TableMargin]) -> str:
    """The margin of the profits above, and what to do if they cannot be compared."""
    sentence = f"Profit is {margins_text(margins)}."
    if comparable(margins):
        return sentence
    return f"{sentence}\nA number as {KEY} puts all at one; until then the answers differ by this as well."


def interval(section: dict[str, float], name: str) -> str:
    """``-0.0357 (95 % interval -0.0578 to -0.0135)``."""
    value, low, high = (decimal(section[f"{name}{end}"], 4, sign=True) for end in ("", "_ci_low", "_ci_high"))
    return f"{value} (95 % interval {low} to {high})"


def decimal(value: float, digits: int, *, sign: bool = False) -> str:
    """With so many decimals and a plain hyphen as minus: the table is copied into other tables."""
    return number(value, digits, sign=sign, minus=HYPHEN)


def print_rules(document: dict[str, Any], headline: dict[str, Any]) -> None:
    """What each rule earns on the randomised customers, and the verdict."""
    rules, champion = document["policies"], headline["champion"]
    print(
        f"\nWhat each rule earns a customer, judged on {headline['n']:,} customers whose discount was drawn by lot:\n"
    )
    print(
        f"  {'rule':<34}{'profit':>9}   {'95 % interval':<20}{'versus best constant':>21}{'mean dose':>11}{'given':>8}"
    )
    best_first = sorted(rules, key=lambda name: (-rules[name]["dr"], name))
    for name in [name for place, name in enumerate(best_first) if place < SHOWN or name == champion]:
        row = rules[name]
        bounds = f"{decimal(row['dr_ci_low'], 2)} to {decimal(row['dr_ci_high'], 2)}"
        lead = decimal(row["vs_best_constant"], 2, sign=True)
        mark = "*" if name == champion else " "
        print(
            f"{mark} {name:<34}{decimal(row['dr'], 2):>9}   {bounds:<20}{lead:>21}"
            f"{decimal(row['mean_dose'], 1):>11}{percentage(row['share_given'], 1):>8}"
        )
    print(f"\nProfit is {margins_text([TableMargin.from_metrics('randomised', document)])}.")
    print("\n* The champion was named by the log alone; the best line of the table was not, and flatters.")
    lift, low, high = (headline[f"lift_over_best_constant{end}"] for end in ("", "_ci_low", "_ci_high"))
    lead, least, most = (decimal(value, 2, sign=True) for value in (lift, low, high))
    given = percentage(headline["share_given"], 1)
    print(
        f"\n{champion}, a discount for {given}, against the best single discount for everybody "
        f"({headline['best_constant']}):\n{lead} per customer (95 % interval {least} to {most})."
    )
    if low > 0:
        print("Discounts by customer pay.")
    else:
        print("Discounts by customer lose." if high < 0 else "Not proven: one discount for everybody may do as well.")


if __name__ == "__main__":
    stage.command(main, __doc__)
