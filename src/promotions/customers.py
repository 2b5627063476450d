"""The customers of an experiment: one row each, with the roles of their columns, checked at the door."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from promotions.base.errors import InputError

ROLES = ("customer_id", "treatment", "outcome", "propensity")
# The largest outcome or amount of money: its square, summed over millions of customers, is still a finite number.
LARGEST = 1e12
OPTIONAL_ROLES = ("cost", "revenue", "cluster_id")


@dataclass(frozen=True)
class Customers:
    """One randomised experiment, or a table whose design is unknown.

    frame: one row a customer: the columns of ``ROLES``, any of ``OPTIONAL_ROLES``, and every other column is a feature
    that was measured before treatment. simulated: whether the numbers were made up. dropped: columns that were left out
    of the features, with the reason. to_score: ``customer_id`` and features of customers outside the experiment; empty
    if there are none. counts: rows of the source by what became of them. notes: sentences about those that matter.
    overlap: None if the propensities are the design's. Else they are yet to be estimated, and only customers whose
    estimate lies in [overlap, 1 − overlap] can be compared (``promotions.soundness.observational``).
    """

    frame: pd.DataFrame
    simulated: bool = False
    dropped: dict[str, str] = field(default_factory=dict)
    to_score: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"customer_id": pd.Series(dtype=str)}))
    counts: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    overlap: float | None = None

    @property
    def features(self) -> list[str]:
        """Names of the feature columns, in their order in the frame."""
        return feature_names(self.frame)


def feature_names(frame: pd.DataFrame) -> list[str]:
    """Every column of a customers frame that has no role."""
    return [name for name in frame.columns if name not in ROLES + OPTIONAL_ROLES]


def validate(frame: pd.DataFrame, *, propensity: bool = True) -> pd.DataFrame:
    """Check a customers frame against the contract and return it in its canonical form and order.

    Types: ``customer_id`` and ``cluster_id`` string, ``treatment`` int8, the other roles float64. Rows are sorted by
    ``customer_id``, so that nothing downstream depends on the order of rows in a file.

    propensity: False if it is yet to be estimated; then the column is not needed.

    Raises InputError naming the column, how many rows are wrong and the first of them.
    """
    needed = [name for name in ROLES if propensity or name != "propensity"]
    absent = [name for name in needed if name not in frame.columns]
    if absent:
        raise InputError(f"column {absent[0]!r} is missing; the experiment has {', '.join(map(repr, frame.columns))}")
    if frame.empty:
        raise InputError("the experiment is empty: 0 customers; at least one row per arm is needed")

    checked = frame.copy()
    _stop_on(checked, "customer_id", checked["customer_id"].isna(), "is missing", "give every customer an id")
    checked["customer_id"] = checked["customer_id"].astype(str)
    _stop_on(
        checked,
        "customer_id",
        checked["customer_id"].duplicated(keep=False),
        "occurs more than once",
        "keep one row a customer; a household belongs in the cluster column",
    )
    for name in ("treatment", "outcome", "propensity", "cost", "revenue"):
        if name in checked.columns:
            numbers = pd.to_numeric(checked[name], errors="coerce").astype(np.float64)
            _stop_on(
                checked, name, ~np.isfinite(numbers), "is missing or not a number", "complete or remove these rows"
            )
            _stop_on(
                checked,
                name,
                numbers.abs() > LARGEST,
                f"is larger than {LARGEST:g}",
                "sums of such numbers lose their digits",
            )
            checked[name] = numbers
    _stop_on(
        checked,
        "treatment",
        ~checked["treatment"].isin([0, 1]),
        "is neither 0 nor 1",
        "write 1 for a treated customer, 0 for a control, and leave out every other arm",
    )
    if "propensity" in checked.columns:
        _stop_on(
            checked,
            "propensity",
            (checked["propensity"] <= 0) | (checked["propensity"] >= 1),
            "lies outside (0, 1)",
            "it is the probability with which the design treated this customer",
        )
    for name in ("cost", "revenue"):
        if name in checked.columns:
            _stop_on(checked, name, checked[name] < 0, "is negative", "give money per customer, 0 or more")
    if "cluster_id" in checked.columns:
        _stop_on(checked, "cluster_id", checked["cluster_id"].isna(), "is missing", "a customer alone is a cluster too")
        checked["cluster_id"] = checked["cluster_id"].astype(str)

    checked["treatment"] = checked["treatment"].astype(np.int8)
    for arm, name in ((0, "control"), (1, "treated")):
        if not (checked["treatment"] == arm).any():
            raise InputError(
                f"column 'treatment': no customer is {name} (treatment = {arm}) among {len(checked):,}; "
                "both arms are needed to measure an effect"
            )
    if np.ptp(checked["outcome"].to_numpy()) == 0:
        raise InputError(
            f"column 'outcome' is {checked['outcome'].iloc[0]:g} for every customer; there is no response to learn from"
        )
    if not feature_names(checked):
        raise InputError("no feature column is left: at least one column measured before treatment is needed")
    return checked.sort_values("customer_id", kind="stable", ignore_index=True)


def _stop_on(frame: pd.DataFrame, column: str, wrong: ArrayLike, what: str, remedy: str) -> None:
    """Raise if any row is wrong, saying how many and which is the first."""
    rows = np.asarray(wrong, dtype=bool)
    count = int(rows.sum())
    if count:
        position = int(np.argmax(rows))
        value = frame[column].iloc[position]
        value = value.item() if isinstance(value, np.generic) else value
        raise InputError(
            f"column {column!r} {what} in {count:,} of {len(frame):,} rows "
            f"(first: data row {position + 1}, {value!r}); {remedy}"
        )
