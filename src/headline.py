"""Print the answer of the last run: the effect, what each policy earns, and where to read more.

reads   metrics/experiment.json, metrics/headline.json, metrics/policies.json, metrics/rules.json, dvc.lock (only
        results of the present parameters, data and code are printed)
writes  nothing
"""

from collections.abc import Mapping
from typing import Any

from pipeline import stage
from pipeline.lineage import Lineage
from promotions.base.formatting import HYPHEN, number, percentage

DOCUMENTS = ("experiment", "headline", "policies", "rules")


def main() -> None:
    """Print a small table for people; the numbers are in metrics/."""
    lineage = Lineage.read()
    lineage.require_current([f"metrics/{name}.json" for name in DOCUMENTS], "dvc repro report")
    experiment, headline = stage.read_json("metrics/experiment.json"), stage.read_json("metrics/headline.json")
    policies = stage.read_json("metrics/policies.json")["policies"]
    rules = stage.read_json("metrics/rules.json")["rules"]
    champion = headline["champion"]
    estimated = experiment.get("propensity") == "estimated"
    verdict = verdict_of(headline, estimated=estimated)

    print()
    if headline["simulated"]:
        print("SIMULATED DATA: the customers below do not exist. README says how to bring your own.\n")
    if estimated:
        print(
            "NOT AN EXPERIMENT: nobody drew lots, chances of treatment were estimated. All below stands only if every"
        )
        print("reason for treatment that also moves the outcome is among the features, which no data can tell.\n")
    print("\n".join(effect_of(experiment)))
    print("All money below is per customer.\n")
    print(f"  {'policy':<32}{'profit':>9}   {'95 % interval':<22}{'versus treat-all':>16}{'P(loss)':>9}{'treated':>9}")
    best_first = sorted(policies, key=lambda name: (-policies[name]["dr"], name))
    for name in best_first:
        row = policies[name]
        interval = f"{four(row['dr_ci_low'])} to {four(row['dr_ci_high'])}"
        mark = "*" if name == champion else " "
        print(
            f"{mark} {name:<32}{four(row['dr']):>9}   {interval:<22}{four(row['dr_vs_treat_all'], sign=True):>16}"
            f"{number(row['probability_of_loss'], 3):>9}{percentage(row['share_treated'], 1):>9}"
        )
    print(f"\n* The champion was chosen on other customers than the {headline['n_final']:,} behind these numbers;")
    print("  the table's best line was not, and flatters. P(loss): chance of earning less than by treating nobody.\n")
    for name, sentence in rules.items():
        print(f"{name}: {sentence}.")
    print(f"\n{verdict}\n")
    print("The answer: metrics/headline.json. Detail: metrics/policies.json, learners.json. Pictures: plots/*.png.")
    outdated = lineage.outdated(str(stage.PAGE))
    if outdated:
        print(f"{stage.PAGE} is out of date ({outdated}): `dvc repro report` writes it.")
    else:
        print(f"The page for people: {stage.PAGE}")


def four(value: float, *, sign: bool = False) -> str:
    """Money with four decimals and an ASCII minus, as people copy the table into other tables."""
    return number(value, 4, sign=sign, minus=HYPHEN)


def effect_of(experiment: Mapping[str, Any]) -> list[str]:
    """The customers compared, and what treatment does on average."""
    effect, low, high = (four(experiment[f"ate{end}"], sign=True) for end in ("", "_ci_low", "_ci_high"))
    lines = [
        f"{experiment['n']:,} customers, {percentage(experiment['share_treated'], 1)} of them treated.",
        f"Without treatment the outcome is {four(experiment['control_mean'])}; treatment changes it by "
        f"{effect} (95 % interval {low} to {high}).",
    ]
    if "naive_difference" in experiment:
        if experiment["left_out"]:
            left_out = f"{experiment['left_out']:,} of the {experiment['n_read']:,} that were read are left out"
            lines.insert(1, f"({left_out}: too few like them were treated, or not treated.)")
        naive = four(experiment["naive_difference"], sign=True)
        lines.append(f"(As they are, the arms differ by {naive}, which is not the effect.)")
    return lines


def verdict_of(headline: Mapping[str, Any], *, estimated: bool = False) -> str:
    """One sentence on the champion's lead over the better of treating everybody and treating nobody.

    estimated: whether chances of treatment are estimated; then no claim is unconditional.
    """
    hedge = ", if nothing hidden decided on treatment" if estimated else ""
    if headline["champion"] in ("treat_all", "treat_none"):
        whom = "everybody" if headline["champion"] == "treat_all" else "nobody"
        return f"Treat {whom}: on the customers that chose, no rule earned more by a standard error{hedge}."
    lift, low, high = (headline[f"lift_over_best_constant{end}"] for end in ("", "_ci_low", "_ci_high"))
    lead, least, most = (four(value, sign=True) for value in (lift, low, high))
    what = (
        f"{headline['champion']}, treating {percentage(headline['share_treated'], 1)}, against the better of all and "
        f"none: {lead} per customer (95 % interval {least} to {most})."
    )
    if low > 0:
        return f"{what}\nTargeting pays{hedge}."
    if high < 0:
        return f"{what}\nTargeting costs: treat all or none{hedge}."
    return f"{what}\nNot proven: these data cannot tell targeting from treating all or none."


if __name__ == "__main__":
    stage.command(main, __doc__)
