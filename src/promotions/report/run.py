"""The results of a finished run, as input of the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from promotions.base.errors import InputError

# Without these there is nothing to report. Other documents are reported if they exist.
REQUIRED_METRICS = ("experiment", "headline", "policies", "learners", "rules")
REQUIRED_TABLES = ("soundness", "profit_by_cost_ratio", "profit_by_share", "affected")
REQUIRED_PICTURES = (
    *("balance", "policy_values", "profit_by_cost_ratio", "profit_by_share"),
    *("calibration", "affected"),
)
OPTIONAL_METRICS = (
    *("explain", "stability", "discount"),
    *(f"discount/{name}" for name in ("prepare", "effect", "rdd", "did", "groups", "cate", "policies")),
)
OPTIONAL_TABLES = ("explain",)
OPTIONAL_PICTURES = (
    *("overlap", "explain", "dependence", "stability"),
    *(
        f"discount/{name}"
        for name in (
            *("effect_confounding", "effect_fwl", "rdd_jump", "event_study"),
            *("effects_by_bin", "response_curves", "profit_by_rule"),
        )
    ),
)
# The picture that a document's stage also draws.
PICTURE_OF = {
    "explain": "explain",
    "stability": "stability",
    "discount": "discount/profit_by_rule",
    "discount/effect": "discount/effect_confounding",
    "discount/rdd": "discount/rdd_jump",
    "discount/did": "discount/event_study",
    "discount/groups": "discount/effects_by_bin",
    "discount/cate": "discount/response_curves",
    "discount/policies": "discount/profit_by_rule",
}
EVERYBODY, NOBODY = "treat_all", "treat_none"


@dataclass(frozen=True)
class Run:
    """A finished run.

    metrics: documents by name, ``headline`` or ``discount/rdd``.  tables: frames of the figures by name.  pictures: PNG
    files by name.  params: params.yaml.  roles: data/prepared/roles.json.  versions: software by name.  fingerprint: of
    all these inputs.  meanings: of features, from a dictionary.
    """

    metrics: Mapping[str, Mapping[str, Any]]
    tables: Mapping[str, pd.DataFrame]
    pictures: Mapping[str, bytes]
    params: Mapping[str, Any]
    roles: Mapping[str, Any]
    versions: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    meanings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        needed = (
            ("metrics", self.metrics, REQUIRED_METRICS),
            ("tables", self.tables, REQUIRED_TABLES),
            ("pictures", self.pictures, REQUIRED_PICTURES),
        )
        for kind, given, names in needed:
            if absent := [name for name in names if name not in given]:
                raise InputError(f"report: the {kind} lack {', '.join(absent)}; run `dvc repro evaluate` first")
        for name in REQUIRED_METRICS:
            if self._of_another_source(name, "headline"):
                source, expected = (self.metrics[key].get("source") for key in (name, "headline"))
                raise InputError(
                    f"report: {name}.json is of source {source!r} and headline.json of {expected!r}, so of two runs; "
                    "run `dvc repro evaluate` first"
                )

    @property
    def simulated(self) -> bool:
        """Whether the customers to be contacted come from a simulation."""
        return bool(self.headline["simulated"])

    @property
    def simulated_discounts(self) -> bool:
        """Whether the discounts come from a simulation."""
        return any(document["simulated"] for name, document in self.metrics.items() if name.startswith("discount"))

    @property
    def real_discounts(self) -> bool:
        """Whether there are discounts that do not come from a simulation."""
        return any(not document["simulated"] for name, document in self.metrics.items() if name.startswith("discount"))

    def current(self) -> "Run":
        """The run without results of other runs.

        These are: documents without the picture that their stage draws with them (git keeps metrics, so a fresh clone
        has those of another machine's run); documents of another source; an explanation of another learner; and the
        simulated example of discounts beside real customers.
        """
        return replace(
            self, metrics={name: document for name, document in self.metrics.items() if self._is_of_it(name)}
        )

    def _is_of_it(self, name: str) -> bool:
        if name in PICTURE_OF and PICTURE_OF[name] not in self.pictures:
            return False
        if name.startswith("discount"):
            example = bool(self.metrics[name]["simulated"]) and not self.simulated
            return not example and not self._of_another_source(name, "discount/prepare")
        if name == "explain" and self.metrics[name].get("learner") != self.shown:
            return False
        return not self._of_another_source(name, "headline")

    def _of_another_source(self, name: str, reference: str) -> bool:
        label = self.metrics.get(reference, self.metrics[name])
        return any(self.metrics[name].get(key) != label.get(key) for key in ("source", "simulated"))

    @property
    def estimated(self) -> bool:
        """Whether the propensities are estimates, because nobody drew lots."""
        return self.roles.get("propensity") == "estimated"

    @property
    def hedge(self) -> str:
        """The condition to add to a claim if propensities are estimates."""
        return ", if nothing hidden decided on contacts" if self.estimated else ""

    @property
    def headline(self) -> Mapping[str, Any]:
        """The champion and what it earns."""
        return self.metrics["headline"]

    @property
    def champion(self) -> str:
        """The chosen policy."""
        return str(self.headline["champion"])

    @property
    def shown(self) -> str:
        """The learner whose curves are drawn: the champion's; if its rule uses no learner, the mixture of all."""
        return str(self.headline["learner"])

    @property
    def learners(self) -> Mapping[str, Mapping[str, Any]]:
        """The quality of the learners' rankings, by learner."""
        return dict(self.metrics["learners"]["learners"])

    @property
    def rules(self) -> Mapping[str, str]:
        """The rules that fit in a sentence, by policy."""
        return dict(self.metrics["rules"]["rules"])

    @property
    def policies(self) -> dict[str, Mapping[str, Any]]:
        """All policies, the one that earned most first."""
        rows = self.metrics["policies"]["policies"]
        return dict(sorted(rows.items(), key=lambda item: (-item[1]["dr"], item[0])))

    @property
    def varying_money(self) -> list[str]:
        """Which of cost and revenue differ between customers."""
        return [name for name in ("cost", "revenue") if name in self.roles["roles"]]

    @property
    def ratio(self) -> float:
        """Today's C/R; NaN if costs or revenues differ between customers, or nothing is earned."""
        costs = self.params["costs"]
        revenue = float(costs["revenue_per_response"])
        return float("nan") if self.varying_money or revenue <= 0 else float(costs["cost_per_treatment"]) / revenue

    def param(self, key: str) -> Any:
        """The value at a dotted key of params.yaml, or None."""
        value: Any = self.params
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value
