"""A copy of the project in an empty folder, with git and DVC for real, on a small simulation."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
# Seconds after which a command is taken to hang: many times what it needs on a machine that is busy with other work.
PATIENCE = 3600
# Seconds in which a page has done what it does in a moment.
A_MOMENT = 300
FEW = ["s_learner", "double_ml", "causal_forest"]
# Small enough for a test; the shapes of all tables, and every line of code, stay the same.
SMALL = {
    ("data", "simulated", "customers"): 4000,
    ("evaluate", "replicates"): 200,
    ("policy", "weighted", "trees"): 10,
    ("nuisance", "trees"): 40,
    ("learners", "s_learner", "model", "trees"): 80,
    ("learners", "x_learner", "effect", "trees"): 40,
    ("learners", "dr_learner", "effect", "trees"): 40,
    ("learners", "r_learner", "effect", "trees"): 40,
    ("learners", "transformed_outcome", "effect", "trees"): 40,
    ("learners", "uplift_forest", "trees"): 4,
    ("learners", "causal_forest", "groups"): 5,
    ("stability", "trials"): 2,
    ("stability", "customers"): 2000,
    ("stability", "ratios"): ["1/40"],
    ("explain", "distilled", "trees"): 80,
    ("discount", "simulated"): {"observational": 2500, "randomised": 2000, "cutoff": 2500, "panel": 12000},
    ("discount", "effect", "forest", "trees"): 20,
    ("discount", "effect", "nuisance", "trees"): 30,
    ("discount", "did", "least_customers"): 1,
    ("discount", "did", "curvatures"): [0.1],
    ("discount", "policy", "least_customers"): 100,
    ("discount", "response", "groups"): 3,
    ("discount", "response", "sales", "trees"): 40,
    ("discount", "response", "dose", "trees"): 20,
    ("discount", "response", "most_knots"): 10,
    ("discount", "learners", "causal_forest", "trees"): 20,
    ("discount", "evaluate", "outcome", "trees"): 40,
    ("discount", "evaluate", "replicates"): 200,
}


@dataclass(frozen=True)
class Project:
    """A project folder and what one does in it."""

    folder: Path

    def run(
        self, *command: str, threads: int = 2, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there, with ``environment`` beside that of this process; its own python comes first."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        variables = {**os.environ, "PATH": path, "OMP_NUM_THREADS": str(threads), "COLUMNS": "200"}
        variables.pop("PYTHONPATH", None)
        variables |= environment or {}
        return subprocess.run(
            command, cwd=self.folder, env=variables, capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    def dvc(self, *arguments: str, threads: int = 2) -> str:
        """Run DVC, which has to succeed; what it printed."""
        done = self.run("dvc", *arguments, threads=threads)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stages_run(self, output: str) -> list[str]:
        """Stages that DVC says it ran."""
        return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]

    def params(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change params.yaml."""
        file = self.folder / "params.yaml"
        content = yaml.safe_load(file.read_text())
        change(content)
        file.write_text(yaml.safe_dump(content, sort_keys=False))

    def keep_learners(self, kept: list[str]) -> None:
        """Delete the entry of every other learner in params.yaml, which is all that it takes."""
        self.params(lambda content: [content["learners"].pop(name) for name in set(content["learners"]) - set(kept)])

    def metrics(self) -> dict[str, bytes]:
        """Every metrics file, byte for byte."""
        return {file.name: file.read_bytes() for file in sorted((self.folder / "metrics").glob("*.json"))}

    def metric(self, name: str) -> dict[str, Any]:
        """One metrics file."""
        return dict(json.loads((self.folder / "metrics" / f"{name}.json").read_text()))

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.run("git", "add", "-A")
        done = self.run("git", "commit", "-q", "--allow-empty", "-m", message)
        assert done.returncode == 0, done.stderr


def copy_project(folder: Path) -> Project:
    """The files of the working tree that git knows or would add, as a repository of their own."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    project = Project(folder)
    project.run("git", "init", "-q")
    project.run("git", "config", "user.name", "Test")
    project.run("git", "config", "user.email", "test@example.invalid")

    def shrink(content: dict[str, Any]) -> None:
        for keys, value in SMALL.items():
            section = content
            for key in keys[:-1]:
                section = section[key]
            section[keys[-1]] = value

    project.params(shrink)
    for record in ("dvc.lock", "discounts/dvc.lock"):
        (folder / record).unlink(missing_ok=True)
    shutil.rmtree(folder / "metrics", ignore_errors=True)
    project.commit("start")
    return project
