"""Is profit = margin × sales − discount? At which margin, and in which rows does it fail?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from promotions.base.errors import InputError
from promotions.base.validation import require_choice
from promotions.discount.margin import is_margin

CENT = 0.01
# Cents by which the median |deviation| may grow if the measured margin is rounded to the intended one.
SLACK = 0.1
MOST_DECIMALS = 8


@dataclass(frozen=True)
class Identity:
    """What a table says about profit = margin · sales − discount.

    margin: the one its rows state.  rows: of the table.  beyond_a_cent: rows whose profit is off by more than that.
    unexplained: rows with a larger deviation than cents and the rounding of discounts explain.  largest: largest
    |deviation|, money; worst: its row, from 0.  expected: the profit expected there.
    """

    margin: float
    rows: int
    beyond_a_cent: int
    unexplained: int
    largest: float
    worst: int
    expected: float

    @property
    def holds(self) -> bool:
        """Whether most rows follow ``margin``."""
        return 2 * self.unexplained < self.rows

    @property
    def usable(self) -> bool:
        """Whether ``margin`` is the table's own: most rows follow it, and it is a possible margin."""
        return self.holds and is_margin(self.margin)


def profit_identity(frame: pd.DataFrame) -> Identity:
    """The margin that a table states, and the rows that do not follow it.

    The margin is the median of (profit + discount) / sales over rows with sales, rounded to the fewest decimals that
    fit as well: then the median |deviation| grows by a tenth of a cent at most. A deviation is profit − (margin·sales −
    discount). Profit in cents explains a cent of it; discounts that are all whole dollars half a dollar more, as a file
    may round them after profit was computed.

    frame: (n, …) with ``sales``, ``discount``, ``profit``, n ≥ 1.  Raises InputError if no row has sales.
    """
    sales, discount, profit = (frame[name].to_numpy(dtype=np.float64) for name in ("sales", "discount", "profit"))
    sold = sales != 0
    if not sold.any():
        raise InputError("no row has sales other than 0, so no margin can be found")
    measured = float(np.median((profit + discount)[sold] / sales[sold]))

    def off(margin: float) -> float:
        return float(np.median(np.abs(profit - margin * sales + discount)))

    rounder = (round(measured, decimals) for decimals in range(MOST_DECIMALS + 1))
    margin = next((each for each in rounder if off(each) <= off(measured) + SLACK * CENT), measured)
    deviation = profit - margin * sales + discount
    size = np.abs(deviation)
    # Rounding errors of floating point are no deviation.
    allowed = CENT + 1e-9 * np.maximum(1.0, np.abs(sales))
    rounding = 0.5 if (discount == np.rint(discount)).all() else 0.0
    worst = int(size.argmax())
    return Identity(
        margin=margin,
        rows=len(frame),
        beyond_a_cent=int((size > allowed).sum()),
        unexplained=int((size > allowed + rounding).sum()),
        largest=float(size[worst]),
        worst=worst,
        expected=float(profit[worst] - deviation[worst]),
    )


def check_identity(tables: Mapping[str, pd.DataFrame], names: Mapping[str, str], action: object) -> dict[str, Identity]:
    """``profit_identity`` of each table that has rows; InputError if rows are unexplained and ``action`` is stop.

    names: the name of each table's file in errors.  action: stop | warn (discount.checks.on_identity).
    """
    stops = require_choice(action, ("stop", "warn"), "discount.checks.on_identity") == "stop"
    identities = {}
    for role, frame in tables.items():
        if frame.empty:
            continue
        try:
            identities[role] = profit_identity(frame)
        except InputError as problem:
            raise InputError(f"{names[role]}: {problem}") from None
        if stops and (problem_text := problem_of(identities[role], frame)):
            raise InputError(
                f"{names[role]}: {problem_text}; correct the file, or set discount.checks.on_identity to warn"
            )
    return identities


def problem_of(identity: Identity, frame: pd.DataFrame) -> str:
    """What is wrong with a table's profit, in a sentence; empty if it is right."""
    if identity.holds and not is_margin(identity.margin):
        return (
            f"profit is {identity.margin:g} × sales − discount, but a margin, what a dollar of sales leaves, is above "
            "0 and at most 1; sales, discount and profit may be in different units"
        )
    return deviation_text(identity, frame) if identity.unexplained else ""


def deviation_text(identity: Identity, frame: pd.DataFrame) -> str:
    """One sentence about the rows that are unexplained."""
    stated = float(frame["profit"].iloc[identity.worst])
    return (
        f"profit is not margin × sales − discount in {identity.unexplained:,} of {identity.rows:,} rows (the worst is "
        f"row {identity.worst + 1}: profit {stated:.2f}, expected {identity.expected:.2f} at the margin of "
        f"{identity.margin:g} that {'most rows state' if identity.holds else 'the middle row states'})"
    )


def stated_margins(identities: Mapping[str, Identity]) -> dict[str, float]:
    """The margins by role, of the tables that state one."""
    return {role: identity.margin for role, identity in identities.items() if identity.usable}


def identity_metrics(identities: Mapping[str, Identity]) -> dict[str, dict[str, float | int]]:
    """For each table its margin, the rows off by more than a cent, those not explained, and the largest |deviation|.

    stated: whether ``margin`` is the table's own, at which its profit is taken (``Identity.usable``).
    """
    return {
        role: {
            "margin": identity.margin,
            "stated": identity.usable,
            "rows_beyond_a_cent": identity.beyond_a_cent,
            "rows_unexplained": identity.unexplained,
            "largest_deviation": identity.largest,
        }
        for role, identity in identities.items()
    }


def margins_text(identities: Mapping[str, Identity], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Notes for readers: tables that state different margins, and rows that state none."""
    notes = [f"{role}: {text}" for role, each in identities.items() if (text := problem_of(each, tables[role]))]
    margins = stated_margins(identities)
    if len(set(margins.values())) > 1:
        by_margin = [
            f"{margin:g} in {' and '.join(role for role in margins if margins[role] == margin)}"
            for margin in sorted(set(margins.values()))
        ]
        notes.append(f"profit is stated at a margin of {', of '.join(by_margin)}")
    if none := [role for role in identities if role not in margins]:
        notes.append(
            f"no margin is stated in {' and '.join(none)}: profit is taken as it stands; where discount.margin is a "
            "number, it is that number × sales − discount"
        )
    return notes
