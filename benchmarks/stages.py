"""Run scripts of src in a separate folder, and time them."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_stage(folder: Path, script: str, *arguments: str) -> tuple[float, float]:
    """Seconds, and peak memory in MB, of a script of src run in ``folder``. Ends the program if it fails."""
    code = (
        "import resource, runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__');"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "src" / f"{script}.py"), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return time.perf_counter() - start, int(done.stderr.split()[-1]) / unit
