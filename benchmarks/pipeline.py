"""The whole pipeline with X5's number of customers: seconds cold, with another cost, and with nothing to do.

It uses a copy of the project's files, simulated customers and every stage (with discounts and stability). Reading the
raw tables comes first and is timed separately. Each cost makes `dvc repro` decide, evaluate, explain and report anew.

    PYTHONPATH=src python -m benchmarks.pipeline [--customers 200039] [--costs 0.8,1.5,2]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.stages import ROOT

CUSTOMERS = 200_039
COSTS = "0.8,1.5,2"
QUIET = {"GIT_AUTHOR_NAME": "benchmark", "GIT_AUTHOR_EMAIL": "benchmark@localhost"}
QUIET |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in QUIET.items()}


def call(folder: Path, *command: str) -> str:
    """The output of a command. Ends the program if it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **QUIET, "PATH": path}
    # Scripts come from the copy, not from the project that is copied.
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


def copy(folder: Path) -> None:
    """Copy the files that git tracks into a repository without results."""
    for name in call(ROOT, "git", "ls-files").splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "dvc.lock").unlink(missing_ok=True)
    call(folder, "git", "init", "--quiet")
    call(folder, "git", "add", "--all")
    call(folder, "git", "commit", "--quiet", "--message", "a copy")


def repro(folder: Path, *targets: str) -> tuple[float, list[str]]:
    """Seconds of `dvc repro`, and the stages that it ran."""
    start = time.perf_counter()
    printed = call(folder, "dvc", "repro", *targets)
    seconds = time.perf_counter() - start
    return seconds, [line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage")]


def set_params(folder: Path, **sections: dict[str, Any]) -> None:
    """Change values of params.yaml, section by section."""
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    for name, values in sections.items():
        params[name] |= values
    path.write_text(yaml.safe_dump(params, sort_keys=False))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--costs", default=COSTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-") as name:
        folder = Path(name)
        copy(folder)
        set_params(folder, data={"source": "simulated", "simulated": {"customers": options.customers}})
        ingest, _ = repro(folder, "ingest")
        cold, ran = repro(folder, "--all-pipelines")
        print(f"{options.customers:,} customers; ingest {ingest:.1f} s", flush=True)
        print(f"cold: {len(ran)} more stages {cold:.0f} s ({cold / 60:.1f} minutes)", flush=True)
        print(f"nothing to do: {', '.join(f'{repro(folder)[0]:.1f} s' for _ in range(3))}", flush=True)
        for cost in options.costs.split(","):
            set_params(folder, costs={"cost_per_treatment": float(cost)})
            seconds, ran = repro(folder)
            print(f"a cost of {cost}: {', '.join(ran)}: {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
