"""Rules, and the costs that they were made for, as files without code."""

from collections.abc import Mapping
from pathlib import Path

from promotions.base.errors import InputError
from promotions.boosting.files import FILE, broken, read_boosters, read_model, write_model
from promotions.economics import CHARGED, Economics
from promotions.policies import rule_of
from promotions.policies.rule import Rule

KIND = "policies"


def save_rules(folder: Path, rules: Mapping[str, Rule], economics: Economics) -> None:
    """Write model.json, and the boosters of rules that have one (``<policy>.txt``), into ``folder``, which exists.

    economics: the constants of params.yaml.
    """
    money = {"cost": economics.cost, "revenue": economics.revenue, "charged": economics.charged}
    documents = {name: rule.to_json() for name, rule in rules.items()}
    boosters = {f"{name}.txt": rule.booster for name, rule in rules.items() if rule.booster is not None}
    write_model(folder, {"kind": KIND, "economics": money, "rules": documents}, boosters)


def load_rule(folder: Path, name: str) -> tuple[Rule, Economics]:
    """The rule of that name, and the constants that all rules there were made for. Raises InputError."""
    document = read_model(folder, (KIND,), ("economics", "rules"))
    rules, money = document["rules"], document["economics"]
    if not isinstance(rules, dict) or not isinstance(money, dict) or money.get("charged") not in CHARGED:
        raise broken(folder, "without its rules or its costs")
    if name not in rules:
        raise InputError(f"{folder / FILE} has no rule {name!r}, only {', '.join(rules)}: run `dvc repro`")
    kind = rule_of(name)
    if kind is None:
        raise broken(folder, f"with a rule {name!r} of a kind that promotions.policies does not list")
    try:
        economics = Economics(float(money["cost"]), float(money["revenue"]), money["charged"])
        # The trees of this rule alone: there is one file for each classifier.
        digests = {file: digest for file, digest in document["sha256"].items() if file == f"{name}.txt"}
        boosters = read_boosters(folder, {"sha256": digests}) if digests else {}
        return kind.from_json(rules[name], boosters.get(f"{name}.txt")), economics
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise broken(folder, f"with a rule {name!r} that cannot be read ({problem!r})") from None
