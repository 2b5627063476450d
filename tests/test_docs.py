"""What README and docs/ show is what commands print; and the checker of that sees what is wrong."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import PATIENCE

ROOT = Path(__file__).parents[1]


def check(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "docs" / "check.py"), *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of two pages, with the checker."""
    for name in ("docs/check.py", "src/dag.py"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "params.yaml").write_text("costs: {cost_per_treatment: 1}\n")
    (tmp_path / "dvc.yaml").write_text("stages:\n  policy:\n    outs: [data/policy/decisions.parquet]\n")
    (tmp_path / "Makefile").write_text("run:\n\t@echo ran\n")
    (tmp_path / "README.md").write_text("# Title\n")
    (tmp_path / "CONTRIBUTING.md").write_text("# Contributing\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def block(kind: str, *lines: str) -> str:
    return "\n".join([f"<!-- check: {kind} -->", "```console", *lines, "```", ""])


def test_pages_of_this_project_show_what_quick_commands_print_and_name_what_exists() -> None:
    done = check(ROOT, "--quick")
    assert done.returncode == 0, done.stderr


def test_lines_may_be_left_out_between_others_and_within_one(project: Path) -> None:
    page = block("quick", "$ printf 'a\\nb\\nc at 12:03\\n'", "…", "c at …") + block("quick", "$ make run", "ran")
    (project / "README.md").write_text(page)
    done = check(project, "--quick")
    assert done.returncode == 0, done.stderr


def test_a_progress_bar_leaves_what_it_leaves_on_a_terminal(project: Path) -> None:
    page = block("quick", r"$ printf '10%%\r50%%\r     \rdone\n'", "done")
    (project / "README.md").write_text(page)
    done = check(project, "--quick")
    assert done.returncode == 0, done.stderr


def test_another_output_is_reported_with_its_line_and_rewritten_where_the_page_left_nothing_out(project: Path) -> None:
    shown = ["$ printf 'total 3\\nx 5\\ny 6\\nend 7\\n'", "total 1", "…", "y 2", "…"]
    (project / "README.md").write_text("# Title\n" + block("quick", *shown))
    done = check(project, "--quick")
    assert done.returncode == 1
    assert "README.md:4: not what is printed" in done.stderr
    assert "+y 6" in done.stderr
    assert check(project, "--quick", "--update").returncode == 0
    new = [shown[0], "total 3", "…", "y 6", "…"]
    assert (project / "README.md").read_text() == "# Title\n" + block("quick", *new)
    assert check(project, "--quick").returncode == 0


def test_a_right_page_is_left_as_it_is(project: Path) -> None:
    (project / "README.md").write_text(block("quick", "$ echo one", "", "one", ""))
    before = (project / "README.md").read_text()
    assert check(project, "--quick", "--update").returncode == 0
    assert (project / "README.md").read_text() == before


def test_slow_blocks_go_on_where_those_above_ended_and_where_another_page_ended(project: Path) -> None:
    first = block("slow", "$ cat <<'END' > kept", "first", "END") + block("slow", "$ cat kept", "first")
    (project / "docs" / "a.md").write_text(first)
    second = block("slow", "$ echo second >> kept", "$ cat kept", "first", "second")
    (project / "docs" / "b.md").write_text("<!-- check: continues docs/a.md -->\n" + second)
    (project / "docs" / "c.md").write_text(
        "<!-- check: continues docs/a.md -->\n" + block("slow", "$ cat kept", "first")
    )
    done = check(project)
    assert done.returncode == 0, done.stderr
    assert not (project / "kept").exists()


def test_files_of_a_folder_lie_in_data_raw_as_if_downloaded(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("files")
    (folder / "table.csv").write_text("a,b\n")
    (project / "README.md").write_text(block("slow", "$ cat data/raw/table.csv", "a,b"))
    assert check(project).returncode == 1
    done = check(project, "--data", str(folder))
    assert done.returncode == 0, done.stderr


def test_a_command_fails_where_the_page_says_so_and_nowhere_else(project: Path) -> None:
    (project / "README.md").write_text(block("slow, fails", "$ echo no; false", "no"))
    assert check(project).returncode == 0
    (project / "README.md").write_text(block("slow", "$ echo no; false", "no"))
    assert "the command ended with 1" in check(project).stderr
    (project / "README.md").write_text(block("slow, fails", "$ echo yes", "yes"))
    assert "one was expected to fail" in check(project).stderr


def test_what_is_checked_by_hand_is_not_run(project: Path) -> None:
    (project / "README.md").write_text(block("by hand, it takes hours", "$ false", "anything"))
    assert check(project).returncode == 0


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("[there](docs/none.md)", "no file behind the link docs/none.md"),
        ("[there](CONTRIBUTING.md#none)", "no such heading: CONTRIBUTING.md#none"),
        ("`costs.none: 3`", "no parameter costs.none"),
        ("`src/none.py`", "no file, and no output of a stage: src/none.py"),
        ("`data/none/x.parquet`", "no file, and no output of a stage: data/none/x.parquet"),
        ("`make none`", "no target of make: none"),
        ("`make bench-none`", "no target of make: bench-none"),
        ("```yaml\ncosts:\n  none: 3\n```", "no parameter costs.none"),
        ("```console\n$ true\n```", "line 1: no comment says how the block is checked"),
        (block("by hand, slow", "$ dvc exp run -S costs.none=2"), "no parameter costs.none"),
        ("\n" * 151, "README.md: 151 lines; at most 150"),
    ],
)
def test_what_a_page_names_has_to_exist(project: Path, page: str, said: str) -> None:
    (project / "README.md").write_text(page)
    done = check(project, "--quick")
    assert done.returncode == 1
    assert said in done.stderr


def test_what_exists_may_be_named(project: Path) -> None:
    lines = (
        "# The title: *one*",
        "[a](CONTRIBUTING.md#contributing) [b](#the-title-one) [c](https://example.org/none)",
        "`costs.cost_per_treatment: 3` `costs.*` `src/dag.py` `docs/*.py` `make run`",
        "`data/policy/decisions.parquet` `data/policy/` `data/raw/mine.csv`",
        "```yaml\ncosts:\n  cost_per_treatment: 2\n```",
    )
    (project / "README.md").write_text("\n".join(lines) + "\n")
    done = check(project, "--quick")
    assert done.returncode == 0, done.stderr
