"""The drawing of the pipelines says what DVC says, in lines that fit."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

import dag

ROOT = Path(__file__).parents[1]


def write_project(folder: Path, pipelines: dict[str, dict[str, object]]) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump({"learners": {"a": 1, "b": 2, "c": 3}}))
    for name, stages in pipelines.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))


def drawn(folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, ROOT / "src" / "dag.py"], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_a_stage_stands_below_those_it_waits_for_and_names_the_nearest_alone(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        {
            "dvc.yaml": {
                "read": {"outs": ["data/read"]},
                "fit": {"foreach": "${learners}", "do": {"deps": ["data/read"], "outs": ["data/fit/${key}.parquet"]}},
                "mix": {"deps": ["data/read", "data/fit"], "outs": ["data/fit/mix.parquet"]},
                "tell": {"deps": ["data/fit/mix.parquet", "data/read"], "metrics": [{"m.json": {"cache": False}}]},
                "other": {"deps": ["data/read"]},
            }
        },
    )
    assert drawn(tmp_path) == [
        "dvc.yaml",
        "   1  read",
        "   2  fit@ × 3              ← read",
        "      other                 ← read",
        "   3  mix                   ← fit@",
        "   4  tell                  ← mix",
    ]


def test_a_second_pipeline_file_is_drawn_after_the_first_by_paths_of_the_project(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        {
            "dvc.yaml": {"read": {"outs": ["data/read.csv"]}},
            "discounts/dvc.yaml": {
                "prepare": {"wdir": "..", "outs": ["data/discount/a.csv"]},
                "judge": {"wdir": "..", "deps": ["data/discount", "data/read.csv"]},
            },
        },
    )
    assert drawn(tmp_path) == [
        "dvc.yaml",
        "   1  read",
        "discounts/dvc.yaml",
        "   1  prepare",
        "   2  judge                 ← dvc.yaml:read, prepare",
    ]


def test_the_project_fits_a_terminal() -> None:
    assert max(len(line) for line in drawn(ROOT)) <= 100


def test_stages_wait_for_the_same_stages_as_dvc_says() -> None:
    """All that a stage waits for, directly or not: DVC draws each edge, we only the nearest."""
    dot = subprocess.run(["dvc", "dag", "--dot"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    edges: set[tuple[str, ...]] = {tuple(map(named, edge)) for edge in re.findall(r'"(.+)" -> "(.+)"', dot)}
    waits = dag.needed_stages(dag.read_stages(ROOT))
    ours: set[tuple[str, ...]] = {
        (address(before), address(after)) for after, others in waits.items() for before in others
    }
    assert edges
    assert closure(ours) == closure({(before, after) for before, after in edges if before != after})


def named(stage: str) -> str:
    return re.sub(r"@.*", "", stage)


def address(stage: dag.Stage) -> str:
    return stage.name if stage.file == "dvc.yaml" else f"{stage.file}:{stage.name}"


def closure(edges: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    closed = set(edges)
    while more := {(a, d) for a, b in closed for c, d in edges if b == c} - closed:
        closed |= more
    return closed
