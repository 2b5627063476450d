"""Rules and the money that they were made for, as files without code."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from promotions.base.errors import InputError
from promotions.boosting.files import FILE, broken, read_boosters, read_model, write_model
from promotions.economics import CHARGED, Economics
from promotions.policies.budget import Budget
from promotions.policies.groups import GroupPolicy
from promotions.policies.rules import Budgeted, Classified, Constant, Groups, Rule, Threshold, Tree
from promotions.policies.tree import PolicyTree
from promotions.policies.weighted import Classifier

KIND = "policies"


def save_rules(folder: Path, rules: Mapping[str, Rule], economics: Economics) -> None:
    """Write model.json and the classifiers' trees, ``<rule>.txt``, into ``folder``, which exists.

    economics: the constants of params.yaml.
    """
    money = {"cost": economics.cost, "revenue": economics.revenue, "charged": economics.charged}
    told = {name: {"kind": rule.kind, **_told(rule)} for name, rule in rules.items()}
    boosters = {
        f"{name}.txt": rule.classifier.model
        for name, rule in rules.items()
        if isinstance(rule, Classified) and not isinstance(rule.classifier.model, bool)
    }
    write_model(folder, {"kind": KIND, "economics": money, "rules": told}, boosters)


def load_rule(folder: Path, name: str) -> tuple[Rule, Economics]:
    """The rule of that name, and the constants that all rules there were made for. Raises InputError."""
    document = read_model(folder, (KIND,), ("economics", "rules"))
    rules, money = document["rules"], document["economics"]
    if not isinstance(rules, dict) or not isinstance(money, dict) or money.get("charged") not in CHARGED:
        raise broken(folder, "without its rules or its costs")
    if name not in rules:
        raise InputError(f"{folder / FILE} has no rule {name!r}, only {', '.join(rules)}: run `dvc repro`")
    try:
        economics = Economics(float(money["cost"]), float(money["revenue"]), money["charged"])
        fields = rules[name]
        # The trees of this rule alone: there is one file for each classifier.
        wanted = {file: digest for file, digest in document["sha256"].items() if file == f"{name}.txt"}
        boosters = read_boosters(folder, {"sha256": wanted}) if wanted else {}
        return _READERS[fields["kind"]](fields, boosters.get(f"{name}.txt")), economics
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise broken(folder, f"with a rule {name!r} that cannot be read ({problem!r})") from None


def _told(rule: Rule) -> dict[str, Any]:
    match rule:
        case Constant():
            return {"treat": rule.treat}
        case Threshold():
            return {"learner": rule.learner}
        case Classified():
            everybody = rule.classifier.model if isinstance(rule.classifier.model, bool) else None
            return {"learner": rule.learner, "treat": everybody}
        case Budgeted():
            return {"learner": rule.learner, "share": rule.budget.share, "money": rule.budget.money}
        case Tree():
            return {"tree": rule.tree.to_json(), "facts": {name: list(words) for name, words in rule.facts.items()}}
        case Groups():
            return {"by": rule.by, "policy": rule.policy.to_json()}
    raise TypeError(f"a rule of the kind {rule.kind} has no document")


def _classified(fields: Mapping[str, Any], booster: Any) -> Rule:
    model = fields["treat"] if booster is None else booster
    if model is None:
        raise ValueError("its trees are missing")
    return Classified(fields["learner"], Classifier(model))


def _tree(fields: Mapping[str, Any], _: Any) -> Rule:
    facts = {name: (one, zero) for name, (one, zero) in fields["facts"].items()}
    return Tree(PolicyTree.from_json(fields["tree"]), facts)


_READERS: dict[str, Callable[[Mapping[str, Any], Any], Rule]] = {
    Constant.kind: lambda fields, _: Constant(bool(fields["treat"])),
    Threshold.kind: lambda fields, _: Threshold(fields["learner"]),
    Classified.kind: _classified,
    Budgeted.kind: lambda fields, _: Budgeted(fields["learner"], Budget(fields["share"], fields["money"])),
    Tree.kind: _tree,
    Groups.kind: lambda fields, _: Groups(fields["by"], GroupPolicy.from_json(fields["policy"])),
}
