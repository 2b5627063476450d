"""The stage `report`: files in, one file out."""

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from markupsafe import escape

import report
from promotions.base.errors import InputError
from promotions.report.run import REQUIRED_METRICS, REQUIRED_PICTURES, REQUIRED_TABLES
from tests.support.project import ROOT
from tests.support.report_facts import HOSTILE, a_run, hostile, png, record_all, write

PAGE = "report/index.html"


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the stage there as DVC does."""
    command = [sys.executable, str(ROOT / "src" / "report.py")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a run has finished."""
    write(tmp_path, a_run())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def page_of(folder: Path) -> str:
    """The page that the stage writes there."""
    report.main()
    return (folder / PAGE).read_text(encoding="utf-8")


def test_the_page_is_written_whole_and_alike_each_time(tmp_path):
    write(tmp_path, a_run(), png(270, 160))
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("report: report/index.html, ")
    first = (tmp_path / PAGE).read_bytes()
    assert first.endswith(b"</html>\n")
    assert base64.b64encode(png(270, 160)) in first
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["index.html"]
    run(tmp_path)
    assert (tmp_path / PAGE).read_bytes() == first


def test_a_run_that_has_not_finished_is_said_in_one_line(tmp_path):
    write(tmp_path, a_run())
    (tmp_path / "metrics/headline.json").unlink()
    done = run(tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: no file at 'metrics/headline.json'; an earlier stage writes it: run `dvc repro report`\n"
    )


@pytest.mark.parametrize(
    "name",
    [
        *(f"metrics/{name}.json" for name in REQUIRED_METRICS),
        *(f"plots/{name}.csv" for name in REQUIRED_TABLES),
        *(f"plots/{name}.png" for name in REQUIRED_PICTURES),
        "data/prepared/roles.json",
        "params.yaml",
    ],
)
def test_a_required_file_that_is_absent_is_named_and_no_page_is_written(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=name):
        report.main()
    assert not (folder / PAGE).exists()


@pytest.mark.parametrize("name", ["metrics/headline.json", "plots/affected.csv", "plots/balance.png"])
def test_an_answer_that_is_not_of_the_last_run_gets_no_page_and_the_last_page_goes(tmp_path, name):
    write(tmp_path, a_run())
    run(tmp_path)
    assert (tmp_path / PAGE).exists()
    with (tmp_path / name).open("a") as file:
        file.write("\n")
    done = run(tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {name} does not match the present parameters and data: it is not what `evaluate` wrote in its last "
        "run by DVC; run `dvc repro report`\n"
    )
    assert not (tmp_path / PAGE).exists()


def test_what_of_the_discounts_is_not_of_the_last_run_is_left_out(folder):
    assert "dvc repro discounts/dvc.yaml:discount_rdd" not in page_of(folder)
    with (folder / "metrics/discount/rdd.json").open("a") as file:
        file.write("\n")
    page = page_of(folder)
    assert "This part was not run here with these data and parameters" in page
    assert "dvc repro discounts/dvc.yaml:discount_rdd" in page
    assert "dvc repro discount_groups" not in page


def test_the_page_tells_its_inputs_apart(folder):
    first = page_of(folder)
    with (folder / "params.yaml").open("a") as file:
        file.write("# a comment\n")
    second = page_of(folder)
    changed = [new for old, new in zip(first.splitlines(), second.splitlines(), strict=True) if old != new]
    assert len(changed) == 1
    assert "Fingerprint" in changed[0]


def test_whatever_is_optional_may_be_absent(folder):
    for path in (*folder.glob("metrics/discount*.json"), *folder.glob("metrics/discount/*")):
        path.unlink()
    for name in ("explain", "stability"):
        for path in folder.glob(f"*/{name}.*"):
            path.unlink()
    page = page_of(folder)
    assert [command in page for command in ("dvc repro evaluate", "dvc repro stability", "make discounts")] == [
        True
    ] * 3


def test_features_are_told_by_the_dictionary_only_if_it_is_theirs(folder):
    assert "Number of orders" in page_of(folder)
    for path in folder.glob("metrics/*.json"):
        path.write_text(path.read_text().replace('"source": "simulated"', '"source": "table"'))
    record_all(folder)
    assert "Number of orders" not in page_of(folder)


def test_hostile_content_of_files_stays_text(tmp_path, monkeypatch):
    write(tmp_path, hostile())
    monkeypatch.chdir(tmp_path)
    page = page_of(tmp_path)
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    for words in HOSTILE:
        assert str(escape(words)) in page


def test_the_numbers_of_a_table_survive_the_way_through_a_file(folder):
    assert "0.025 (today)" in page_of(folder)
