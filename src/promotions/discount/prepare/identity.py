"""Is profit what sales leave at a margin, less the discount? Which margin, and in which rows is it not?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from promotions.base.errors import InputError
from promotions.base.validation import require_choice

CENT = 0.01
# Of a cent, by which a rounder margin may be off the one measured and still be the one meant.
SLACK = 0.1
MOST_DECIMALS = 8


@dataclass(frozen=True)
class Identity:
    """What a table says about profit = margin · sales − discount.

    margin: the one its rows state.  rows: of the table.  beyond_a_cent: rows whose profit is off by more than that.
    unexplained: rows that are off by more than cents and the rounding of discounts can explain.  largest: largest
    |deviation|, money; worst: its row, from 0.  expected: the profit expected there.
    """

    margin: float
    rows: int
    beyond_a_cent: int
    unexplained: int
    largest: float
    worst: int
    expected: float


def profit_identity(frame: pd.DataFrame) -> Identity:
    """The margin a table states, and the rows that do not keep to it.

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
    # What floating point leaves of an exact cent is no deviation.
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

    names: how errors call each table's file.  action: stop | warn (discount.checks.on_identity).
    """
    stops = require_choice(action, ("stop", "warn"), "discount.checks.on_identity") == "stop"
    found = {}
    for role, frame in tables.items():
        if frame.empty:
            continue
        try:
            found[role] = profit_identity(frame)
        except InputError as problem:
            raise InputError(f"{names[role]}: {problem}") from None
        if found[role].unexplained and stops:
            raise InputError(
                f"{names[role]}: {deviation_text(found[role], frame)}; correct the file, or set "
                "discount.checks.on_identity to warn"
            )
    return found


def deviation_text(identity: Identity, frame: pd.DataFrame) -> str:
    """One sentence about the rows that are unexplained."""
    stated = float(frame["profit"].iloc[identity.worst])
    return (
        f"profit is not margin × sales − discount in {identity.unexplained:,} of {identity.rows:,} rows (the worst is "
        f"row {identity.worst + 1}: profit {stated:.2f}, expected {identity.expected:.2f} at the margin of "
        f"{identity.margin:g} that most rows state)"
    )


def stated_margin(identities: Mapping[str, Identity]) -> float:
    """The margin that analyses start from: of the randomised table, which judges the others; else of the first."""
    return identities["randomised" if "randomised" in identities else next(iter(identities))].margin


def identity_metrics(identities: Mapping[str, Identity]) -> dict[str, dict[str, float | int]]:
    """For each table its margin, the rows off by more than a cent, those not explained, and the largest |deviation|."""
    return {
        role: {
            "margin": found.margin,
            "rows_beyond_a_cent": found.beyond_a_cent,
            "rows_unexplained": found.unexplained,
            "largest_deviation": found.largest,
        }
        for role, found in identities.items()
    }


def margins_text(identities: Mapping[str, Identity], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """What a reader should know: tables that state different margins, and rows that state none."""
    notes = [f"{role}: {deviation_text(each, tables[role])}" for role, each in identities.items() if each.unexplained]
    margins = {each.margin for each in identities.values()}
    if len(margins) > 1:
        by_margin = [
            f"{margin:g} in {' and '.join(role for role, each in identities.items() if each.margin == margin)}"
            for margin in sorted(margins)
        ]
        notes.append(f"profit is stated at a margin of {', of '.join(by_margin)}")
    return notes
