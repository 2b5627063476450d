"""Run benchmarks one after the other and write their output to benchmarks/results.md, with machine and versions.

Each benchmark has a section, which says when and where it ran; sections of benchmarks that are not run again stay.
Lines that begin with ``ratio:`` are collected in a table at the top.

    PYTHONPATH=src python -m benchmarks [name …]
    PYTHONPATH=src python -m benchmarks forest --against econml --seeds 1
"""

import importlib
import os
import platform
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).with_name("results.md")
# In the order of the file; all but the coverage studies, which take long and do not measure speed.
NAMES = ("prepare", "nuisances", "forest", "stability", "explain", "evaluate", "tree", "score", "pipeline")
MORE = ("coverage", "discount_coverage", "observational")
PACKAGES = ("lightgbm", "scikit-learn", "econml", "causalml", "shap", "numpy", "pandas", "duckdb")
RATIO = "ratio:"
HEAD = """# Benchmarks

Written by `make bench` (`python -m benchmarks forest` renews one section). Ratios are of two ways of doing the same,
measured in one run on one machine; seconds are of that machine alone.
"""


def machine() -> str:
    """Processor, usable cores, memory, versions."""
    described = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", described.read_text()) if described.is_file() else None
    processor = model[1] if model else platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{processor}, {cores} cores, {memory:.0f} GiB; Python {platform.python_version()}, {packages}"


def run(name: str, options: list[str]) -> str:
    """The section of one benchmark; prints its lines as they come. Ends the program if it fails."""
    subject = (importlib.import_module(f"benchmarks.{name}").__doc__ or name).splitlines()[0]
    print(f"── {name}: {subject}", flush=True)
    started, lines = time.perf_counter(), []
    command = [sys.executable, "-m", f"benchmarks.{name}", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    if process.wait():
        sys.exit(f"error: benchmarks.{name} ended with status {process.returncode}; {RESULTS.name} is as it was")
    when = f"{time.strftime('%Y-%m-%d')}, {(time.perf_counter() - started) / 60:.1f} minutes"
    # Files by name: their folders do not belong in the results.
    arguments = f" ({' '.join(Path(word).name for word in options)})" if options else ""
    return f"{subject}{arguments}\n\n{when}; {machine()}\n\n```\n{''.join(lines).rstrip()}\n```\n"


def read() -> dict[str, str]:
    """The existing sections."""
    text = RESULTS.read_text() if RESULTS.is_file() else ""
    return {name: body.strip() + "\n" for name, body in re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.M | re.S)}


def write(sections: dict[str, str]) -> None:
    """The whole file, ratios first."""
    ratios = [
        f"| `{name}` | {line.removeprefix(RATIO).strip()} |"
        for name in (*NAMES, *MORE)
        for line in sections.get(name, "").splitlines()
        if line.startswith(RATIO)
    ]
    table = ["| benchmark | ratio |", "|---|---|", *ratios, ""]
    parts = [f"## {name}\n\n{sections[name]}" for name in (*NAMES, *MORE) if name in sections]
    temporary = RESULTS.with_suffix(".tmp")
    temporary.write_text("\n".join([HEAD, *table, *parts]))
    temporary.replace(RESULTS)


def main(arguments: list[str]) -> None:
    """Run the benchmarks, and write after each."""
    first = next((k for k, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    names, options = arguments[:first] or list(NAMES), arguments[first:]
    if options and len(names) > 1:
        sys.exit(f"error: options are those of one benchmark; name it: {', '.join((*NAMES, *MORE))}")
    unknown = [name for name in names if name not in (*NAMES, *MORE)]
    if unknown:
        sys.exit(f"error: no benchmark {unknown[0]!r}; there are {', '.join((*NAMES, *MORE))}")
    for name in names:
        write(read() | {name: run(name, options)})
    print(f"written: {RESULTS}")


if __name__ == "__main__":
    main(sys.argv[1:])
