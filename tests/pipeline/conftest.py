"""Projects to try the pipeline in."""

from pathlib import Path

import pytest

from tests.support.project import Project, copy_project


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    """A project in which nothing has run yet."""
    return copy_project(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which the default pipeline, made small, has run and is committed."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    project.dvc("repro")
    project.commit("run")
    return project


@pytest.fixture
def restored(finished: Project) -> Project:
    """The finished project as it was committed."""
    finished.run("git", "checkout", "-q", "--", ".")
    finished.run("git", "clean", "-qfd")
    # The discounts have not run there.
    finished.dvc("checkout", "dvc.yaml")
    return finished
