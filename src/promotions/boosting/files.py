"""Models as files that hold no code: ``model.json`` says what they are, LightGBM's own text files hold the trees.

Loading parses text and runs none of it; a pickle may do whatever its author likes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from promotions.base.errors import InputError
from promotions.boosting.settings import lightgbm

FILE = "model.json"


def write_model(folder: Path, document: Mapping[str, Any], boosters: Mapping[str, Any] | None = None) -> None:
    """Write ``document``, which has a ``kind``, to model.json, and each booster to the file of its name.

    folder: exists.  boosters: lightgbm.Boosters by file name; their SHA-256 go into model.json.
    """
    digests = {}
    for name, booster in (boosters or {}).items():
        # All trees: otherwise a booster that stopped early leaves out the trees after its best iteration.
        text = booster.model_to_string(num_iteration=-1).encode()
        (folder / name).write_bytes(text)
        digests[name] = hashlib.sha256(text).hexdigest()
    whole = {**document, "sha256": digests} if boosters is not None else dict(document)
    (folder / FILE).write_text(json.dumps(whole, indent=2, allow_nan=False) + "\n")


def read_model(folder: Path, kinds: Iterable[str], keys: Iterable[str] = ()) -> dict[str, Any]:
    """model.json of ``folder``. Raises InputError if it is missing, lacks a key or its kind is not in ``kinds``."""
    try:
        document = json.loads((folder / FILE).read_text())
    except OSError:
        raise InputError(f"no file at '{folder / FILE}'; an earlier stage writes it: run `dvc repro`") from None
    except (ValueError, RecursionError) as problem:
        raise broken(folder, f"not JSON ({problem})") from None
    if not isinstance(document, dict):
        raise broken(folder, f"a {type(document).__name__} where a mapping is expected")
    kind, expected = document.get("kind"), list(kinds)
    if kind not in expected:
        raise broken(folder, f"of the kind {kind!r}, not {' or '.join(expected)}")
    missing = [key for key in keys if key not in document]
    if missing:
        raise broken(folder, f"without {missing[0]}")
    return document


def read_boosters(folder: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """The boosters that ``write_model`` wrote, by file name. Raises InputError if one is missing or has changed."""
    digests = document.get("sha256")
    if not isinstance(digests, dict) or not digests:
        raise broken(folder, "without the files of its trees")
    return {name: _read_booster(folder, name, digest) for name, digest in digests.items()}


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value of a JSON document is a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def broken(folder: Path, what: str) -> InputError:
    """The error of a file that is not what was saved."""
    return InputError(f"{folder / FILE} is {what}; it is no model that this project saved: run `dvc repro`")


def _read_booster(folder: Path, name: str, digest: object) -> Any:
    """One booster.

    LightGBM reads half a file without an error, and some broken files make it end the process. So it gets no file but
    the saved one, byte for byte.
    """
    if Path(name).name != name:
        raise broken(folder, f"of trees in {name!r}, which is no file of that folder")
    try:
        text = (folder / name).read_bytes()
    except OSError:
        raise broken(folder, f"of trees in {name}, which is missing") from None
    if hashlib.sha256(text).hexdigest() != digest:
        raise broken(folder, f"of trees in {name}, which is incomplete or was changed")
    lgb = lightgbm()
    try:
        return lgb.Booster(model_str=text.decode())
    except (UnicodeDecodeError, lgb.basic.LightGBMError) as problem:
        raise broken(folder, f"of trees in {name}, which is not LightGBM's text ({problem})") from None
