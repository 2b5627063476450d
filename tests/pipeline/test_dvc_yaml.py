"""dvc.yaml, discounts/dvc.yaml, params.yaml and the code say the same."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = (ROOT / "dvc.yaml", ROOT / "discounts" / "dvc.yaml")
PIPELINES = {file: yaml.safe_load(file.read_text()) for file in FILES}
TARGETING = PIPELINES[FILES[0]]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
STAGES: dict[str, dict[str, Any]] = {
    name: stage.get("do", stage) for pipeline in PIPELINES.values() for name, stage in pipeline["stages"].items()
}
# A screen, and the whole pipeline on a few of them.
SCREEN, MOST_LINES = 70, 350

# What no stage writes.
COMMITTED = {"data/dictionary.csv"}


def imported_modules(script: Path) -> set[str]:
    """Every file under src/ that running ``script`` imports, itself included, as paths from the project's folder."""
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        if "iter_modules(__path__)" in file.read_text():
            waiting += file.parent.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                parts = name.split(".")
                for depth in range(1, len(parts) + 1):
                    base = ROOT / "src" / Path(*parts[:depth])
                    waiting += [path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]
    return {str(path.relative_to(ROOT)) for path in found if not is_docstring(path)}


def is_docstring(file: Path) -> bool:
    """Whether a module holds nothing that could change a result."""
    return all(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in ast.parse(file.read_text()).body
    )


def declared(name: str, key: str) -> list[str]:
    """Paths or parameters under ``key`` of a stage, options left out."""
    return [next(iter(item)) if isinstance(item, dict) else item for item in STAGES[name].get(key, [])]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_its_script_and_on_every_module_that_it_imports(name: str) -> None:
    script = STAGES[name]["cmd"].split()[1]
    modules = imported_modules(ROOT / script)
    listed = {dep for dep in declared(name, "deps") if dep.startswith("src/")}
    covered = {module for module in modules if any(module == dep or module.startswith(f"{dep}/") for dep in listed)}
    assert modules == covered, f"{name} imports what dvc.yaml does not list"
    needed = {dep for dep in listed if any(module == dep or module.startswith(f"{dep}/") for module in modules)}
    assert listed == needed, f"{name} lists what it does not import"


def test_no_learner_stands_in_a_pipeline_file() -> None:
    for file in FILES:
        text = file.read_text()
        assert [name for name in [*PARAMS["learners"], *PARAMS["discount"]["learners"]] if name in text] == []


def test_a_stage_fits_on_a_screen_and_the_targeting_pipeline_on_a_few() -> None:
    assert len(FILES[0].read_text().splitlines()) <= MOST_LINES
    for file in FILES:
        stages = file.read_text().split("stages:\n", 1)[1].split("\nplots:", 1)[0].split("\n\n")
        assert max(len(stage.splitlines()) for stage in stages) <= SCREEN


def test_every_learner_of_params_yaml_has_a_stage_and_is_known() -> None:
    from promotions.base.registry import class_of
    from promotions.learners import LEARNERS

    assert TARGETING["stages"]["cate"]["foreach"] == "${learners}"
    assert {class_of(name, entry) for name, entry in PARAMS["learners"].items()} <= set(LEARNERS)


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_says_what_it_is_for_and_every_parameter_exists(name: str) -> None:
    assert STAGES[name]["desc"].endswith(".")
    for parameter in declared(name, "params"):
        value: Any = PARAMS
        for key in parameter.replace("${key}", "s_learner").split("."):
            value = value[key]


def test_only_policy_and_evaluate_depend_on_what_a_contact_costs() -> None:
    of_costs = {name: [key for key in declared(name, "params") if key.startswith("costs")] for name in STAGES}
    # When a contact is charged is no amount.
    assert of_costs.pop("stability") == ["costs.charged"]
    assert {name for name, keys in of_costs.items() if keys} == {"policy", "evaluate"}


def test_every_output_is_written_once_and_every_internal_dependency_is_an_output() -> None:
    outputs = [out for name in STAGES for key in ("outs", "metrics") for out in declared(name, key)]
    assert len(outputs) == len(set(outputs))
    per_learner = {out.replace("${key}", learner) for out in outputs for learner in PARAMS["learners"]}
    for name in STAGES:
        for dep in declared(name, "deps"):
            if dep.startswith(("data/", "models/")) and dep not in COMMITTED:
                # Itself, a folder of it, or something in it.
                written = [out for out in per_learner if f"{out}/".startswith(f"{dep}/") or dep.startswith(f"{out}/")]
                assert written, f"{name}: nothing writes {dep}"


def test_metrics_are_kept_by_git_and_plots_show_what_stages_write() -> None:
    metrics = [item for stage in STAGES.values() for item in stage.get("metrics", [])]
    assert metrics
    assert all(options["cache"] is False for item in metrics for options in item.values())
    outputs = {out for name in STAGES for out in declared(name, "outs")}
    for file, pipeline in PIPELINES.items():
        for item in pipeline["plots"]:
            for path, options in ({item: None} if isinstance(item, str) else item).items():
                # Relative to the file's own folder.
                assert str((file.parent / path).resolve().relative_to(ROOT)) in outputs
                if options is None:
                    assert path.endswith(".png")
                else:
                    assert (ROOT / ".dvc" / "plots" / f"{options['template']}.json").is_file()
