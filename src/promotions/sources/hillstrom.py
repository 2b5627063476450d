"""Hillstrom's e-mail experiment: 64,000 customers, a third each to a men's e-mail, a women's e-mail and no e-mail.

Public since 2008 (minethatdata.com, "The MineThatData E-Mail Analytics And Data Mining Challenge"). One e-mail arm is
compared with the control; the *other* e-mail arm is left out, as its customers were treated too.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from promotions.base.errors import InputError
from promotions.base.validation import require_choice, require_keys
from promotions.customers import Customers
from promotions.user_files import require_columns, user_file

ARMS = {"mens": "Mens E-Mail", "womens": "Womens E-Mail"}
CONTROL = "No E-Mail"
OUTCOMES = ("visit", "conversion", "spend")
# history_segment is history in bins, without further information.
FEATURES = ("recency", "history", "mens", "womens", "zip_code", "newbie", "channel")
FILE_NAME = "hillstrom.csv"


def load(params: Mapping[str, Any], rng: np.random.Generator) -> list[tuple[str, pd.DataFrame]]:  # noqa: ARG001
    """Read the file at ``params["path"]`` (a file, or the folder that holds ``hillstrom.csv``)."""
    require_keys(params, ("path", "arm", "outcome"), "data.hillstrom")
    frame = user_file(
        params["path"],
        "data.hillstrom.path",
        "download it with `python src/fetch.py hillstrom`, or name the file you have",
        file_name=FILE_NAME,
    ).frame()
    require_columns(frame, (*FEATURES, *OUTCOMES, "segment"), "data.hillstrom.path")
    return [("customers", frame)]


def to_customers(tables: Mapping[str, pd.DataFrame], params: Mapping[str, Any]) -> Customers:
    """The customers of the control and of ``params["arm"]``, with ``params["outcome"]`` as the outcome.

    A row's number in the file is its id (the file has no ids). Each of the two arms was drawn with probability 1/3, so
    among the customers of both the design's propensity is 1/2.
    """
    arm = require_choice(params["arm"], tuple(ARMS), "data.hillstrom.arm")
    outcome = require_choice(params["outcome"], OUTCOMES, "data.hillstrom.outcome")
    raw = tables["customers"]
    unknown = ~raw["segment"].isin([CONTROL, *ARMS.values()])
    if unknown.any():
        raise InputError(
            f"column 'segment' has {int(unknown.sum()):,} rows of an unknown arm, {raw['segment'][unknown].iloc[0]!r}; "
            f"expected {CONTROL!r}, {', '.join(map(repr, ARMS.values()))}"
        )
    chosen = raw[raw["segment"].isin([CONTROL, ARMS[arm]])]
    frame = pd.DataFrame(
        {
            "customer_id": [f"h{row:05d}" for row in chosen.index],
            "treatment": (chosen["segment"] == ARMS[arm]).astype(int),
            "outcome": chosen[outcome],
            "propensity": 0.5,
        },
        index=chosen.index,
    )
    return Customers(pd.concat([frame, chosen[list(FEATURES)]], axis=1))
