"""What a section of params.yaml lists by name, made into objects: each entry is one of the classes of a registry."""

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from promotions.base.errors import InputError

T = TypeVar("T")

CLASS = "class"
# Of an entry: the name of folders, files and columns, and the last part of a policy's name, after the dot.
NAME = re.compile(r"[a-z][a-z0-9_]*")


def make(
    registry: Mapping[str, Callable[..., T]],
    name: str,
    params: Mapping[str, Any] | None,
    section: str,
    *,
    taken: Collection[str] = (),
    **given: Any,
) -> T:
    """The entry ``name`` of a section of params.yaml, as an object of the class that it names.

    Its key ``class`` names one of ``registry``; an entry without it is of the class that it is named after. Its other
    keys are the class's arguments.

    params: the entry; None has no keys.  taken: names that mean something else.  given: arguments that no parameter
    sets, each handed over if the class has it; so is ``key``, what the class's own errors call the entry.
    Raises InputError for a name that cannot be one, an unknown class, and an unknown or missing key.
    """
    key = f"{section}.{name}"
    _require_name(name, section, taken)
    entry = {} if params is None else params
    kind = class_of(name, entry)
    if not isinstance(kind, str) or kind not in registry:
        known = ", ".join(registry)
        if kind != name or CLASS in (entry if isinstance(entry, Mapping) else ()):
            raise InputError(f"{key}.{CLASS}: {kind!r} is unknown; it is one of {known}")
        raise InputError(
            f"{key} is unknown; it is one of {known}, or an entry that names its class: "
            f"{name}: {{{CLASS}: {next(iter(registry))}, …}}"
        )
    factory, handed = registry[kind], given | {"key": key}
    arguments = inspect.signature(factory).parameters
    settable = {argument: each for argument, each in arguments.items() if argument not in handed}
    listed = ", ".join([*settable, CLASS])
    if not isinstance(entry, Mapping):
        raise InputError(f"{key}: expected the keys {listed}, got {entry!r}")
    values = {argument: value for argument, value in entry.items() if argument != CLASS}
    wrong = [f"{argument} is unknown" for argument in values if argument not in settable]
    wrong += [
        f"{argument} is missing"
        for argument, each in settable.items()
        if argument not in values and each.default is inspect.Parameter.empty
    ]
    if wrong:
        raise InputError(f"{key}.{wrong[0]}; the keys of {key} are {listed}")
    return factory(**values, **{argument: value for argument, value in handed.items() if argument in arguments})


def class_of(name: str, params: object) -> object:
    """The class of an entry: what its key ``class`` says, else its name."""
    return params.get(CLASS, name) if isinstance(params, Mapping) else name


def _require_name(name: object, section: str, taken: Collection[str]) -> None:
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        raise InputError(
            f"{section}: {name!r} cannot be a name; expected lower-case letters, digits and _, a letter first, such as "
            "x_learner_deep: it names folders, files and columns, and stands after the dot in the name of a policy"
        )
    if name in taken:
        raise InputError(f"{section}.{name}: the name means something else here; give this entry another one")
