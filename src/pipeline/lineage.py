"""Does a file belong to the present inputs, and do files belong to one run? DVC's record of the last runs says so.

dvc.lock (one beside each dvc.yaml) holds, for each stage as it last ran, its parameters and the checksums of all that
it read and wrote. DVC itself is not imported: that takes a second.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from promotions.base.errors import InputError

# A pipeline file keeps its record beside it.
LOCKS = (Path("dvc.lock"), Path("discounts/dvc.lock"))
IGNORE = Path(".dvcignore")
# The C parser takes a tenth of the time; PyYAML lacks it where it was built without libyaml.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Bytes. Of a larger input only the size is compared with the record: reading it would take seconds.
LARGE = 2**26
ABSENT = object()
Content = Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
    """A stage as it last ran. params: by file and dotted key.  reads, writes: the record of each path."""

    name: str
    params: Mapping[str, Mapping[str, Any]]
    reads: Mapping[str, Content]
    writes: Mapping[str, Content]


class Lineage:
    """The stages that dvc.lock records. Reasons are clauses, such as "seed is 8 and was 7 when `prepare` ran"."""

    def __init__(self, records: Mapping[str, bytes]) -> None:
        """records: the content of each dvc.lock, by its path; without any, no run is recorded.

        Raises InputError if one is not a lock file.
        """
        self.stages = [stage for path, text in records.items() for stage in _stages_of(path, text)]
        self._records = dict(records)
        self._reasons: dict[tuple[str, bool], str | None] = {}
        self._params: dict[str, Any] = {}
        self._changes: dict[tuple[str, str], str | None] = {}

    @classmethod
    def read(cls) -> "Lineage":
        """The record of every dvc.lock that exists."""
        return cls(_records())

    def outdated(self, path: str) -> str | None:
        """Why ``path`` is not what its stage makes of the present parameters, data and code; None if it is.

        Data larger than ``LARGE`` count as unchanged while their size is unchanged.
        """
        return self._reason(path, inputs=True)

    def require_current(self, paths: Iterable[str], command: str) -> None:
        """Raise InputError, naming ``command`` as the remedy, unless all are what the present inputs give."""
        for path in paths:
            if not Path(path).is_file():
                raise InputError(f"no file at {path!r}; an earlier stage writes it: run `{command}`")
            if reason := self.outdated(path):
                raise InputError(f"{path} does not match the present parameters and data: {reason}; run `{command}`")

    def require_one_run(self, paths: Iterable[str], command: str) -> None:
        """Raise InputError, naming ``command`` as the remedy, unless all were written by one run, which has ended.

        Parameters, data and code may have changed since then: models outlive them. Call this after reading the files:
        it notices a run that ended after ``read``.
        """
        for path in paths:
            if reason := self._reason(path, inputs=False):
                raise InputError(f"{path} and its companions are not from one run: {reason}; run `{command}`")
        if self._records != _records():
            raise InputError("a run has written to dvc.lock meanwhile; wait until it ends, and start again")

    def _reason(self, path: str, *, inputs: bool) -> str | None:
        # The stages that wrote it, and under which name: its own, or that of a folder that holds it.
        writers = [(stage, out) for stage in self.stages for out in stage.writes if path == out or _holds(out, path)]
        if not Path(path).exists():
            return "it is not there"
        if not writers:
            return "dvc.lock records no run that wrote it"
        same = [stage for stage, out in writers if not self._change(out, stage.writes[out], large=sys.maxsize)]
        if not same:
            return f"it is not what `{writers[0][0].name}` wrote in its last run by DVC"
        return self._reason_of_any(same, inputs=inputs)

    def _reason_of_any(self, stages: Iterable[Stage], *, inputs: bool) -> str | None:
        """None if one of the stages is current: a renamed stage stays in dvc.lock under both names."""
        reasons = [self._reason_of(stage, inputs=inputs) for stage in stages]
        return None if None in reasons else reasons[0]

    def _reason_of(self, stage: Stage, *, inputs: bool) -> str | None:
        """Why a stage would write something else today; the earliest cause comes first."""
        key = (stage.name, inputs)
        if key not in self._reasons:
            self._reasons[key] = None
            self._reasons[key] = next(self._differences(stage, inputs=inputs), None)
        return self._reasons[key]

    def _differences(self, stage: Stage, *, inputs: bool) -> Iterator[str]:
        for path, content in stage.reads.items():
            yield from self._differences_of_read(stage, path, content, inputs=inputs)
        for key, now, then in self._params_now(stage) if inputs else ():
            if difference := first_difference(key, now, then):
                where, now, then = difference
                yield f"{where} is {_short(now)} and was {_short(then)} when `{stage.name}` ran"

    def _differences_of_read(self, stage: Stage, path: str, content: Content, *, inputs: bool) -> Iterator[str]:
        writers = [writer for writer in self.stages if path in writer.writes]
        same = [writer for writer in writers if writer.writes[path].get("md5") == content.get("md5")]
        if writers:
            if reason := self._reason_of_any(same or writers, inputs=inputs):
                yield reason
            if not same:
                yield f"`{writers[0].name}` has written {path} anew, and `{stage.name}` has not run since"
            return
        # The path is a folder that several stages write into, or a file in a folder that one stage writes. A stage
        # whose parameters are absent no longer counts: its learner was deleted.
        parts = [writer for writer in self.stages if any(_nested(path, out) for out in writer.writes)]
        for part in parts:
            if ABSENT not in [now for _, now, _ in self._params_now(part)] and (
                reason := self._reason_of(part, inputs=inputs)
            ):
                yield reason
        # Files that stages wrote may be gone; a model that nobody asks does not part those that are still there.
        whole = inputs or all(Path(out).exists() for part in parts for out in part.writes if _holds(path, out))
        compared = Path(path).exists() and whole if parts else inputs
        if compared and (change := self._change(path, content, large=LARGE)):
            yield f"{path} {change} since `{stage.name}` ran"

    def _change(self, path: str, recorded: Content, *, large: int) -> str | None:
        key = (path, str(recorded.get("md5")))
        if key not in self._changes:
            self._changes[key] = _change(Path(path), recorded, large)
        return self._changes[key]

    def _params_now(self, stage: Stage) -> Iterator[tuple[str, Any, Any]]:
        """Each parameter of a stage: its key, its value today, its value when the stage ran."""
        for file, recorded in stage.params.items():
            if file not in self._params:
                try:
                    self._params[file] = yaml.load(Path(file).read_bytes(), Loader)
                except (OSError, yaml.YAMLError) as problem:
                    raise InputError(f"{file} cannot be read ({' '.join(str(problem).split())})") from None
            for key, then in recorded.items():
                now = self._params[file]
                for part in key.split("."):
                    now = now.get(part, ABSENT) if isinstance(now, Mapping) else ABSENT
                yield key, now, then


def first_difference(key: str, now: Any, then: Any) -> tuple[str, Any, Any] | None:
    """The first entry, with its dotted key, in which a parameter differs from its record.

    YAML 1.1 reads ``1e-3`` as text, DVC as a number; the two count as equal.
    """
    if isinstance(now, Mapping) and isinstance(then, Mapping):
        names = dict.fromkeys((*now, *then))
        pairs = ((f"{key}.{name}", now.get(name, ABSENT), then.get(name, ABSENT)) for name in names)
        return next((difference for pair in pairs if (difference := first_difference(*pair))), None)
    if isinstance(now, list) and isinstance(then, list):
        alike = len(now) == len(then) and not any(first_difference(key, *pair) for pair in zip(now, then, strict=True))
        return None if alike else (key, now, then)
    if ABSENT not in (now, then) and (now == then or (type(now) is not type(then) and _number(now) == _number(then))):
        return None
    return key, now, then


def _number(value: Any) -> float | str:
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _short(value: Any) -> str:
    if value is ABSENT:
        return "absent"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else f"{text[:39]}…"


def content_of(path: str) -> Content:
    """What DVC records of a file or folder: its path, checksum and size; for a folder also its number of files."""
    files = _files(Path(path))
    content = {"path": path, "hash": "md5", "md5": _checksum(files), "size": _size(files)}
    return content if Path(path).is_file() else content | {"nfiles": len(files)}


def _records() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in LOCKS if path.is_file()}


def _stages_of(path: str, text: bytes) -> list[Stage]:
    try:
        recorded = (yaml.load(text, Loader) or {}).get("stages", {})
        return [
            Stage(name, ran.get("params", {}), _by_path(ran.get("deps", [])), _by_path(ran.get("outs", [])))
            for name, ran in recorded.items()
        ]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as problem:
        why = " ".join(str(problem).split())
        raise InputError(f"{path} cannot be read ({why}); `git checkout {path}` restores the committed one") from None


def _by_path(entries: Iterable[Content]) -> dict[str, Content]:
    return {str(entry["path"]): entry for entry in entries}


def _holds(folder: str, path: str) -> bool:
    return path.startswith(f"{folder}/")


def _nested(path: str, out: str) -> bool:
    """Whether one of the two is a folder that holds the other."""
    return _holds(path, out) or _holds(out, path)


def _change(path: Path, recorded: Content, large: int) -> str | None:
    """What has happened to a file or folder since it was recorded; None if nothing has."""
    if "md5" not in recorded:
        # Outside the file system: DVC records another kind of checksum.
        return None
    if not path.exists():
        return "has been removed"
    files = _files(path)
    size = _size(files)
    same = size == recorded.get("size", size) and len(files) == recorded.get("nfiles", len(files))
    if same and size <= large:
        same = _checksum(files) == recorded["md5"]
    return None if same else "has changed"


def _files(path: Path) -> dict[str, Path]:
    """The files in a folder that .dvcignore does not name, by relative path; a single file has the name ""."""
    if path.is_file():
        return {"": path}
    lines = IGNORE.read_text().splitlines() if IGNORE.is_file() else []
    patterns = [line.strip().rstrip("/") for line in lines if line.strip() and not line.startswith("#")]

    def ignored(file: Path) -> bool:
        # A pattern that begins with a slash is a path from the project's folder, any other a name.
        return any(fnmatch(f"/{file.as_posix()}" if each.startswith("/") else file.name, each) for each in patterns)

    files = {}
    for folder, folders, names in os.walk(path, followlinks=True):
        folders[:] = [name for name in folders if not ignored(Path(folder, name))]
        for name in names:
            file = Path(folder, name)
            if not ignored(file):
                files[file.relative_to(path).as_posix()] = file
    return files


def _size(files: Mapping[str, Path]) -> int:
    return sum(file.stat().st_size for file in files.values())


def _checksum(files: Mapping[str, Path]) -> str:
    """MD5 of the file; for a folder, of the sorted list of its files and their MD5s, as DVC writes it."""
    sums = {}
    for name, file in files.items():
        with file.open("rb") as content:
            sums[name] = hashlib.file_digest(content, "md5").hexdigest()
    if "" in sums:
        return sums[""]
    listed = [{"md5": sums[name], "relpath": name} for name in sorted(sums)]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"
