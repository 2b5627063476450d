"""Who may import whom: the house of docs/explanation/architecture.md, held."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
# A package of the library imports only what stands before it.
ORDER = (
    *("base", "user_files", "inference", "boosting", "scores", "customers", "economics", "nuisances"),
    *("purchases", "sources"),
    *("soundness", "learners", "policies", "evaluation", "explanation", "stability", "scoring"),
    *("discount", "plots", "report"),
)
# What the targeting side and the discounts share. Neither knows the other.
SHARED = {"base", "user_files", "inference", "boosting", "customers", "sources", "soundness"}
# Rooms of the discounts, in the same way.
DISCOUNT_ORDER = (
    *("money", "margin", "regression", "tables", "scores", "rules"),
    *("prepare", "effect", "rdd", "did", "groups", "response", "dose"),
)


def module_of(file: Path) -> str:
    """``promotions.base.errors`` of src/promotions/base/errors.py."""
    parts = file.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in SRC.rglob("*.py")}


def imports_of(file: Path) -> set[str]:
    """The modules of src/ that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                found.add(submodule if submodule in MODULES else str(node.module))
    return {name for name in found if name in MODULES}


GRAPH = {name: imports_of(file) - {name} for name, file in MODULES.items()}


def room(module: str) -> str:
    """The package below ``promotions`` that a module belongs to; of a module of its own, its name."""
    return module.split(".")[1]


def test_no_import_leads_back_to_itself() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a circle: {' -> '.join([*path, module])}"
        if module not in done:
            for imported in sorted(GRAPH[module]):
                visit(imported, (*path, module))
            done.add(module)

    for module in GRAPH:
        visit(module, ())


def test_the_library_knows_nothing_of_the_scripts() -> None:
    for module, imported in GRAPH.items():
        if module.startswith("promotions"):
            assert all(name.startswith("promotions") for name in imported), module


def test_what_the_scripts_share_imports_no_script() -> None:
    for module, imported in GRAPH.items():
        if module.startswith("pipeline"):
            assert all(name.startswith(("promotions", "pipeline")) for name in imported), module


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("promotions.")])
def test_a_package_imports_only_what_stands_before_it(module: str) -> None:
    for imported in GRAPH[module] - {"promotions"}:
        assert ORDER.index(room(imported)) <= ORDER.index(room(module)), f"{module} imports {imported}"


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("promotions.discount.")])
def test_discounts_import_what_is_shared_and_their_own_earlier_rooms(module: str) -> None:
    own = module.split(".")[2]
    for imported in GRAPH[module]:
        if room(imported) == "discount":
            assert DISCOUNT_ORDER.index(imported.split(".")[2]) <= DISCOUNT_ORDER.index(own), f"{module}: {imported}"
        else:
            assert room(imported) in SHARED, f"{module} imports {imported}"


def test_every_room_is_in_the_order_and_every_one_in_the_order_exists() -> None:
    assert {room(name) for name in MODULES if name.startswith("promotions.")} == set(ORDER)
    assert {name.split(".")[2] for name in MODULES if name.startswith("promotions.discount.")} == set(DISCOUNT_ORDER)


def test_packages_import_nothing_where_they_are_only_a_room() -> None:
    for name in ("promotions", "promotions.plots", "promotions.discount", "promotions.base", "promotions.inference"):
        assert not GRAPH[name], f"{name}/__init__.py imports {GRAPH[name]}"
