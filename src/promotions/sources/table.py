"""Any experiment or log in one table, one row a customer: CSV (plain or gzip) or Parquet; params give the roles."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from promotions.base.errors import InputError
from promotions.base.validation import require_keys, require_number
from promotions.customers import OPTIONAL_ROLES, ROLES, Customers
from promotions.user_files import require_columns, user_file, why_no_feature

KEY = "data.table"
KEYS = (
    *("path", "id", "treatment", "outcome", "propensity", "overlap"),
    *("features", "exclude", "cost", "revenue", "cluster"),
)
# Stands in place of a propensity if nobody drew lots, or the chances are not known.
ESTIMATE = "estimate"


def load(params: Mapping[str, Any], rng: np.random.Generator) -> list[tuple[str, pd.DataFrame]]:  # noqa: ARG001
    """Read the file at ``params["path"]`` unchanged."""
    require_keys(params, KEYS, KEY)
    return [("customers", user_file(params["path"], f"{KEY}.path", "name your file there").frame())]


def to_customers(tables: Mapping[str, pd.DataFrame], params: Mapping[str, Any]) -> Customers:
    """Give the columns named in ``params`` their roles; features are a list, or ``auto``: all that is left.

    ``propensity`` is the design's P(treated): a constant, or the name of a column; or ``estimate``, where there is no
    design (``Customers.overlap``, from ``params["overlap"]``). ``id: null`` numbers the rows.
    ``auto`` leaves out columns in ``exclude`` (measured after treatment, say), constants and identifiers.
    """
    raw = tables["customers"]
    roles = {
        "customer_id": _column_name(params, "id", optional=True),
        "treatment": _column_name(params, "treatment"),
        "outcome": _column_name(params, "outcome"),
        "cost": _column_name(params, "cost", optional=True),
        "revenue": _column_name(params, "revenue", optional=True),
        "cluster_id": _column_name(params, "cluster", optional=True),
    }
    overlap, propensity = _overlap(raw, params), params["propensity"]
    if overlap is None and isinstance(propensity, str):
        roles["propensity"] = propensity
    elif overlap is None and not _is_chance(propensity):
        raise InputError(
            f"{KEY}.propensity: {propensity!r} lies outside (0, 1); expected the design's share of treated customers, "
            "such as 0.5, the name of a column, or estimate"
        )
    # The id may be the cluster too: then each customer is a cluster.
    used = [column for role, column in roles.items() if column is not None and role != "cluster_id"]
    if len(set(used)) < len(used):
        doubled = next(column for column in used if used.count(column) > 1)
        raise InputError(f"{KEY}: column {doubled!r} has two roles; name another column for one of them")
    named = {role: column for role, column in roles.items() if column is not None}
    require_columns(raw, named.values(), f"{KEY}.path")

    frame = pd.DataFrame({role: raw[column] for role, column in named.items()}, index=raw.index)
    if "customer_id" not in frame:
        frame["customer_id"] = [f"row{number:09d}" for number in range(1, len(raw) + 1)]
    if "propensity" not in frame and overlap is None:
        frame["propensity"] = propensity
    features, dropped = _features(raw, set(named.values()), params["features"], params["exclude"])
    reserved = [name for name in features if name in ROLES + OPTIONAL_ROLES]
    if reserved:
        raise InputError(
            f"{KEY}: the feature column {reserved[0]!r} has the name of a role; rename it in the file, "
            f"give it that role in {KEY}, or list it in {KEY}.exclude"
        )
    return Customers(pd.concat([frame, raw[features]], axis=1), dropped=dropped, overlap=overlap)


def _overlap(raw: pd.DataFrame, params: Mapping[str, Any]) -> float | None:
    """``params["overlap"]`` if propensities are to be estimated, else None; it is checked either way."""
    overlap = require_number(params["overlap"], f"{KEY}.overlap", 0, 0.5, low_open=True, high_open=True)
    if params["propensity"] != ESTIMATE:
        return None
    if ESTIMATE in raw.columns:
        raise InputError(
            f"{KEY}.propensity: {ESTIMATE!r} asks to estimate the chances of treatment, and the file has a column of "
            "that name too; rename the column in the file, and if it holds the design's chances, name it here"
        )
    return overlap


def _is_chance(value: object) -> bool:
    """Whether it is a number in (0, 1)."""
    return not isinstance(value, bool) and isinstance(value, Real) and 0 < float(value) < 1


def _column_name(params: Mapping[str, Any], key: str, *, optional: bool = False) -> str | None:
    name = params[key]
    if name is None and optional:
        return None
    if not isinstance(name, str):
        raise InputError(f"{KEY}.{key}: expected the name of a column{' or null' if optional else ''}, got {name!r}")
    return name


def _features(
    raw: pd.DataFrame, reserved: set[str], wanted: object, exclude: object
) -> tuple[list[str], dict[str, str]]:
    """Feature columns in the file's order, and the columns left out with the reason."""
    if not isinstance(exclude, list) or not all(isinstance(name, str) for name in exclude):
        raise InputError(f"{KEY}.exclude: expected a list of columns, got {exclude!r}; write [] for none")
    require_columns(raw, exclude, f"{KEY}.exclude")
    if isinstance(wanted, list) and all(isinstance(name, str) for name in wanted):
        require_columns(raw, wanted, f"{KEY}.features")
        if len(set(wanted)) < len(wanted):
            doubled = next(name for name in wanted if wanted.count(name) > 1)
            raise InputError(f"{KEY}.features: {doubled!r} is listed twice; list it once")
        twice = [name for name in wanted if name in reserved or name in exclude]
        if twice:
            raise InputError(f"{KEY}.features: {twice[0]!r} already has a role or is excluded; take it out of the list")
        return list(wanted), {}
    if wanted != "auto":
        raise InputError(f"{KEY}.features: expected auto or a list of columns, got {wanted!r}")
    features, dropped = [], dict.fromkeys(exclude, "listed in exclude")
    for name in raw.columns:
        if name in reserved or name in dropped:
            continue
        reason = why_no_feature(raw[name])
        if reason:
            dropped[name] = reason
        else:
            features.append(name)
    return features, dropped
