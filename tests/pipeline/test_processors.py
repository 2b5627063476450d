"""What stages write does not hang on the processor: each runs on two kernels of linear algebra."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.project import Project, copy_project

# What stages write, but for fit times.
WRITTEN = ("data", "models", "metrics", "plots")
KERNELS = """
import json, scipy.linalg, threadpoolctl
print(json.dumps(sorted(lib["architecture"] for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas")))
"""
STAGES = {
    "double_ml": "cate.py double_ml",
    "ensemble": "ensemble.py",
    "prepare": "prepare.py",
    "rdd": "discount_rdd.py",
    "did": "discount_did.py",
    "effect": "discount_effect.py",
    "response": "discount_cate.py",
    "groups": "discount_groups.py",
}


@pytest.fixture(scope="module")
def processors() -> list[dict[str, str]]:
    """Environments of this processor, and of one that has neither wide registers nor multiplies and adds at once."""
    simd = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    old = {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": " ".join(simd)}
    project = Project(Path.cwd())
    chosen = []
    for environment in ({}, old):
        found = project.run(sys.executable, "-c", KERNELS, environment=environment)
        assert found.returncode == 0, found.stderr
        chosen.append(json.loads(found.stdout))
    if not chosen[0] or any(here == there for here, there in zip(*chosen, strict=True)):
        pytest.skip(
            f"linear algebra has one kernel here ({', '.join(chosen[0]) or 'not OpenBLAS'}), so nothing can differ"
        )
    return [{}, old]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of two learners and of discounts, each up to what its last stages read."""
    project = copy_project(tmp_path_factory.mktemp("processors"))
    project.keep_learners(["s_learner", "double_ml"])
    project.dvc("repro", "ensemble")
    project.dvc("repro", "discounts/dvc.yaml:discount_prepare")
    return project


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_writes_the_same_bytes_on_another_processor(
    project: Project, processors: list[dict[str, str]], stage: str
) -> None:
    script, *arguments = STAGES[stage].split()
    written = []
    for environment in processors:
        done = project.run("python", f"src/{script}", *arguments, environment=environment)
        assert done.returncode == 0, done.stderr
        written.append(
            {
                str(file.relative_to(project.folder)): hashlib.sha256(file.read_bytes()).hexdigest()
                for folder in WRITTEN
                for file in sorted((project.folder / folder).rglob("*"))
                if file.is_file() and not (file.parent.name == "cate" and file.suffix == ".json")
            }
        )
    here, there = written
    assert here.keys() == there.keys()
    assert [name for name in here if here[name] != there[name]] == []
