"""The page of `dvc plots show` and `dvc plots diff`, in a real browser without a network."""

import itertools
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from promotions.plots.style import colours
from tests.support.project import A_MOMENT, ROOT, Project
from tests.support.report_facts import png

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (dependency group dev)")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium (Debian: apt-get install chromium)")

DECLARED = {file: yaml.safe_load((ROOT / file).read_text())["plots"] for file in ("dvc.yaml", "discounts/dvc.yaml")}
EVERY = [item for items in DECLARED.values() for item in items]
PICTURES = [item.removeprefix("../") for item in EVERY if isinstance(item, str)]
CHARTS = {path: options for item in EVERY if isinstance(item, dict) for path, options in item.items()}
# Few of ours, in another order, and one that is not ours.
LEARNERS = ["x_learner", "ensemble", "my_forest"]
DASHES = {"1,0", "6,3"}


def write_plots(folder: Path, shift: float) -> None:
    """What stages would write for every plot that dvc.yaml declares; pictures only if ``shift`` is 0."""
    for path in PICTURES if shift == 0 else []:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(png(90, 60))
    for path, options in CHARTS.items():
        rows = [
            {
                options["x"]: place,
                options["y"]: shift + place * (1 + LEARNERS.index(learner)),
                "ci_low": -1,
                "ci_high": 9,
                "learner": learner,
                "rule": "threshold",
                "champion": False,
                "simulated": True,
            }
            | ({"policy": f"threshold.{learner}"} if options["y"] == "policy" else {})
            for learner, place in itertools.product(LEARNERS, (1, 2))
        ]
        pd.DataFrame(rows).to_csv(folder / path, index=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """DVC with our configuration and templates, every declared plot, and two revisions of them; no stages."""
    folder = tmp_path_factory.mktemp("plots")
    for name in (".gitignore", "config", "plots"):
        source, target = ROOT / ".dvc" / name, folder / ".dvc" / name
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
    for file, items in DECLARED.items():
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(yaml.safe_dump({"plots": items}, sort_keys=False))
    project = Project(folder)
    for command in (["init", "-q"], ["config", "user.name", "Test"], ["config", "user.email", "test@example.invalid"]):
        project.run("git", *command)
    for shift in (0.0, 1.0):
        write_plots(folder, shift)
        project.commit(f"shift {shift}")
    return project


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, timeout=1000 * A_MOMENT)
        yield opened
        opened.close()


@pytest.fixture(params=[["show"], ["diff", "HEAD~1"]], ids=["show", "diff"], scope="module")
def visit(request, project, browser):
    """The command, the page that it wrote once everything is drawn, what it asked for, and what it complained of."""
    project.dvc("plots", *request.param)
    context = browser.new_context(offline=True)
    context.set_default_timeout(1000 * A_MOMENT)
    page = context.new_page()
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((project.folder / "dvc_plots" / "index.html").as_uri())
    for path in CHARTS:
        page.wait_for_selector(f"{chart(path)} svg.marks")
    yield request.param[0], page, requests, complaints
    context.close()


def chart(path: str) -> str:
    """Where DVC puts the chart of that file."""
    return "#" + path.replace("/", "_").replace(".", "_")


def test_the_page_needs_no_network_and_complains_of_nothing(visit):
    _, _, requests, complaints = visit
    assert [address for address in requests if not address.startswith(("file:", "data:"))] == []
    assert complaints == []


def test_every_chart_has_its_title_and_axes_in_words(visit):
    _, page, _, _ = visit
    for path, options in CHARTS.items():
        drawn = page.locator(f"{chart(path)} svg.marks").text_content()
        expected = [options["title"], options["x_label"]]
        if options["template"].startswith("learners"):  # the others have names there, which say what they are
            expected.append(options["y_label"])
        assert [words for words in expected if words not in drawn] == []
        assert "simulated data" in drawn


def test_every_picture_is_there_in_order_with_a_title_in_words(visit):
    command, page, _, _ = visit
    headings = page.locator("main h2").all_text_contents()
    assert [heading.split(" ")[-1] for heading in headings] == PICTURES
    assert all(len(heading.split(" ")) > 3 for heading in headings)
    sizes = page.evaluate("[...document.images].map((image) => image.complete && image.naturalWidth)")
    assert sizes == [90] * len(PICTURES) * (2 if command == "diff" else 1)
    assert page.evaluate("[...document.images].every((image) => image.alt.length > 20)")


@pytest.mark.parametrize("marks", ["mark-line path", "mark-rule line"])
def test_learners_are_colours_whoever_is_there_and_revisions_are_dashes(visit, marks):
    command, page, _, _ = visit
    dashes = DASHES if command == "diff" else {"1,0"}
    hues = {colour.lower() for colour in colours(LEARNERS).values()}
    template = "learners_line" if "line " in marks else "learners_decile"
    for path in (path for path, options in CHARTS.items() if options["template"] == template):
        drawn = page.locator(f"{chart(path)} g.{marks}").evaluate_all(
            "(all) => all.map((e) => [e.getAttribute('stroke').toLowerCase(), e.getAttribute('stroke-dasharray')])"
        )
        assert {(hue, dash) for hue, dash in drawn if dash} == set(itertools.product(hues, dashes))
