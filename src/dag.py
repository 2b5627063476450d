"""Draw the pipelines in lines that fit a terminal: each stage below the stages that it waits for.

reads   dvc.yaml, */dvc.yaml, params.yaml
writes  nothing

`dvc dag` draws each learner in a box of its own, a thousand columns wide. Here one line stands for all of them.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import yaml

NAME_WIDTH = 22


class Stage(NamedTuple):
    """A row of a pipeline file. Paths are relative to the project's folder; ``${…}`` in them stays as written."""

    file: str
    name: str
    copies: int
    deps: tuple[str, ...]
    outs: tuple[str, ...]

    @property
    def label(self) -> str:
        """``cate@ × 9`` for a stage with nine copies, else its name."""
        return f"{self.name}@ × {self.copies}" if self.copies else self.name


def main() -> None:
    """One drawing for each pipeline file."""
    stages = read_stages(Path())
    waits = needed_stages(stages)
    layer = layers(waits)
    for file, members in groupby(stages, key=lambda stage: stage.file):
        print(file)
        print("\n".join(drawing(list(members), waits, layer)))


def read_stages(folder: Path) -> list[Stage]:
    """Every stage of ``folder``/dvc.yaml and of the pipeline files one folder below, in their order."""
    params = yaml.safe_load((folder / "params.yaml").read_text())
    stages = []
    for file in [folder / "dvc.yaml", *sorted(folder.glob("*/dvc.yaml"))]:
        relative = file.relative_to(folder)
        for name, entry in yaml.safe_load(file.read_text())["stages"].items():
            body = entry.get("do", entry)
            base = relative.parent / body.get("wdir", ".")
            deps, outs, metrics = (paths(body.get(key, []), base) for key in ("deps", "outs", "metrics"))
            stages.append(Stage(str(relative), name, copies(entry, params), deps, outs + metrics))
    return stages


def paths(items: Iterable[str | Mapping[str, Any]], base: Path) -> tuple[str, ...]:
    """The paths of a list in a pipeline file, seen from the project's folder; options are left out."""
    named = [item if isinstance(item, str) else next(iter(item)) for item in items]
    return tuple(path if path.startswith("${") else normal(base / path) for path in named)


def normal(path: Path) -> str:
    """``discounts/../data/x`` is ``data/x``."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def copies(entry: Mapping[str, Any], params: Mapping[str, Any]) -> int:
    """How many stages a row with ``foreach`` or ``matrix`` stands for; 0 for a row without."""
    if "foreach" in entry:
        return len(resolved(entry["foreach"], params))
    if "matrix" in entry:
        product = 1
        for values in entry["matrix"].values():
            product *= len(resolved(values, params))
        return product
    return 0


def resolved(value: Any, params: Mapping[str, Any]) -> Any:
    """The value of ``${a.b}`` in params.yaml; anything else unchanged."""
    if isinstance(value, str) and value.startswith("${"):
        entry: Any = params
        for key in value[2:-1].split("."):
            entry = entry[key]
        return entry
    return value


def needed_stages(stages: list[Stage]) -> dict[Stage, set[Stage]]:
    """The stages that each waits for directly: it reads their output, and no other of them waits for them already."""
    direct = {stage: writers(stage, stages) for stage in stages}
    every: dict[Stage, set[Stage]] = {}

    def before(stage: Stage) -> set[Stage]:
        if stage not in every:
            every[stage] = direct[stage].union(*map(before, direct[stage]))
        return every[stage]

    return {
        stage: {one for one in needed if not any(one in before(another) for another in needed - {one})}
        for stage, needed in direct.items()
    }


def writers(reader: Stage, stages: Iterable[Stage]) -> set[Stage]:
    """The stages that write what ``reader`` depends on. A path that a stage names literally belongs to it alone."""
    writing: set[Stage] = set()
    others = [stage for stage in stages if stage != reader]
    for dep in reader.deps:
        exact = {stage for stage in others if dep in stage.outs}
        writing |= exact or {stage for stage in others if any(overlap(dep, out) for out in stage.outs)}
    return writing


def overlap(dep: str, out: str) -> bool:
    """Whether one path is, or lies within, the other; ``${key}`` in an output stands for any name."""
    pattern = re.sub(r"\\\$\\\{[^}]*\\\}", "[^/]+", re.escape(out))
    folder = dep.rstrip("/") + "/"
    return bool(re.match(rf"{pattern}(/|$)", dep)) or out.startswith(folder)


def layers(waits: Mapping[Stage, set[Stage]]) -> dict[Stage, int]:
    """The number of stages in the longest chain that ends in each stage."""
    depth: dict[Stage, int] = {}

    def of(stage: Stage) -> int:
        if stage not in depth:
            depth[stage] = 1 + max(map(of, waits[stage]), default=0)
        return depth[stage]

    for stage in waits:
        of(stage)
    return depth


def drawing(stages: list[Stage], waits: Mapping[Stage, set[Stage]], layer: Mapping[Stage, int]) -> list[str]:
    """A line a stage, by layer: its number where it changes, the stage, and what it waits for."""
    lines, last = [], 0
    for stage in sorted(stages, key=layer.__getitem__):
        number = "" if layer[stage] == last else str(layer[stage])
        names = [
            needed.name + "@" * bool(needed.copies) if needed.file == stage.file else f"{needed.file}:{needed.name}"
            for needed in waits
            if needed in waits[stage]
        ]
        arrow = f"← {', '.join(names)}" if names else ""
        lines.append(f"{number:>4}  {stage.label:<{NAME_WIDTH}}{arrow}".rstrip())
        last = layer[stage]
    return lines


if __name__ == "__main__":
    main()
