"""Print the answer about discounts: what they do by four ways of asking, what each rule earns, and for whom it pays.

reads   metrics/discount.json, metrics/discount/{effect,rdd,did,groups,policies}.json; those that are not there are said
writes  nothing
"""

from pathlib import Path
from typing import Any

from pipeline import stage
from promotions.base.errors import InputError
from promotions.base.formatting import HYPHEN, number, percentage
from promotions.discount.margin import KEY, TableMargin, comparable, margins_of, margins_text

METRICS = Path("metrics/discount")
# Rules in the table: the champion, the constants that come first, and the rules of the learners.
SHOWN = 12


def main() -> None:
    """A page for people; the numbers stand in metrics/discount/."""
    found = {name: read(f"{name}.json") for name in ("effect", "rdd", "did", "policies")}
    known = [content for content in found.values() if content]
    if not known:
        raise InputError("metrics/discount: nothing there yet; run `dvc repro` first")
    print()
    if known[0]["simulated"]:
        print("SIMULATED DATA: the customers below do not exist. README says how to bring your own.\n")
    print("What a dollar of discount does to profit, by how one asks:\n")
    for words, estimate in answers(found):
        print(f"  {words:<58}{estimate}")
    if margins := margins_of({name: found[name] for name in ("effect", "rdd", "did")}):
        print(f"\n{margin_sentence(margins)}")
    print("\nThey ask about other customers and other sizes of a discount, and its effect is no straight line.")
    if found["policies"]:
        print_rules(found["policies"], stage.read_json("metrics/discount.json")["discount"])
    else:
        print("\nNo rule was judged: metrics/discount/policies.json is not there (it needs a randomised table).")
    print("\nDetail: metrics/discount/*.json. The story in pictures: plots/discount/*.png.")


def read(name: str) -> dict[str, Any]:
    """A metrics file; empty if that stage did not run."""
    return stage.read_json(str(METRICS / name)) if (METRICS / name).is_file() else {}


def answers(found: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """Ways of asking, and what they say; or that their stage has not run."""
    effect, rdd, did = found["effect"].get("profit", {}), found["rdd"], found["did"]
    asked = [
        ("the log, naively", effect.get("naive")),
        ("the log, all columns controlled for", effect.get("adjusted_all")),
        ("the log, double ML", effect.get("linear_dml")),
        ("the cut-off (fuzzy, robust)", rdd.get("profit_per_dollar", {}).get("robust")),
        (
            "before and after, against clean controls",
            did.get("group", {}).get("did_clean", {}).get("profit_per_dollar"),
        ),
        ("the randomised test", effect.get("randomised")),
    ]
    return [
        (words, interval(estimate) if estimate else "no answer: its stage has not run") for words, estimate in asked
    ]


def margin_sentence(margins: list[TableMargin]) -> str:
    """At which margin the profits above are, and what to do where they cannot be compared."""
    sentence = f"Profit is {margins_text(margins)}."
    if comparable(margins):
        return sentence
    return f"{sentence}\nA number as {KEY} puts all at one; until then the answers differ by this as well."


def interval(estimate: dict[str, float]) -> str:
    """``-0.0357 (95 % interval -0.0578 to -0.0135)``."""
    value, low, high = (decimal(estimate[name], 4, sign=True) for name in ("estimate", "ci_low", "ci_high"))
    return f"{value} (95 % interval {low} to {high})"


def decimal(value: float, digits: int, *, sign: bool = False) -> str:
    """With so many decimals, the minus as a keyboard has it: the table is copied into other tables."""
    return number(value, digits, sign=sign, minus=HYPHEN)


def print_rules(policies: dict[str, Any], headline: dict[str, Any]) -> None:
    """What each rule earns on the randomised customers, and the verdict."""
    rules = {name: row for name, row in policies.items() if isinstance(row, dict)}
    champion = headline["champion"]
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
    print(f"\nProfit is {margins_text([TableMargin.from_metrics('randomised', policies)])}.")
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
    stage.run(main, __doc__)
