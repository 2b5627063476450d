"""The page in a real browser: what it loads, says to its console, and looks like, on a phone and on a desk."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from promotions.report import render
from tests.support.project import A_MOMENT
from tests.support.report_facts import a_run, hostile, observed, png

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (dependency group dev)")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium (Debian: apt-get install chromium)")
PHONE, DESK = {"width": 360, "height": 780}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, timeout=1000 * A_MOMENT)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """An ordinary page, one without an experiment and a hostile one, as files, with pictures as large as real ones."""
    folder = tmp_path_factory.mktemp("pages")
    for name, run in (("ordinary", a_run()), ("observed", observed()), ("hostile", hostile())):
        pictures = {key: png(1350, 800) for key in run.pictures}
        (folder / f"{name}.html").write_text(render(a_run_with(run, pictures)), encoding="utf-8")
    return folder


def a_run_with(run, pictures):
    """The run with other pictures."""
    return type(run)(**{**vars(run), "pictures": pictures})


class Visit:
    """A page that is open, and what happened since."""

    def __init__(self, browser, path: Path, **options) -> None:
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(1000 * A_MOMENT)
        self.page = self.context.new_page()
        self.requests, self.messages, self.dialogs = [], [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        self.page.goto(path.as_uri())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def said(self) -> list[str]:
        """All that the console was told: messages come in order, so a last one of ours has the others behind it."""
        self.page.evaluate("console.log('that was all')")
        until(self.page, lambda: "that was all" in self.messages)
        return [message for message in self.messages if message != "that was all"]


def until(page, condition: str | Callable[[], bool]) -> None:
    """Wait for what will be so in a moment. (The driver's own waiting is a use of eval, which the page forbids.)

    condition: an expression of the page's, or a function of ours.
    """
    end = time.monotonic() + A_MOMENT
    while time.monotonic() < end:
        if page.evaluate(condition) if isinstance(condition, str) else condition():
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"never so: {condition}")


@pytest.mark.parametrize("name", ["ordinary", "observed", "hostile"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_a_page_loads_nothing_says_nothing_and_fits(browser, pages, name, scheme, viewport):
    with Visit(browser, pages / f"{name}.html", viewport=viewport, color_scheme=scheme) as visit:
        page = visit.page
        pictures = page.evaluate("[...document.images].map((i) => i.complete && i.naturalWidth)")
        assert pictures == [1350] * (17 if name == "observed" else 16)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        outside = [address for address in visit.requests if not address.startswith(("file://", "data:"))]
        assert outside == []
        assert sum(address.startswith("file://") for address in visit.requests) == 1
        assert visit.said() == []
        assert visit.dialogs == []


def test_light_and_dark_differ_and_pictures_stay_on_white(browser, pages):
    grounds, cards, shots = [], [], []
    for scheme in ("light", "dark"):
        with Visit(browser, pages / "ordinary.html", viewport=DESK, color_scheme=scheme) as visit:
            colour = "(e) => getComputedStyle(e).backgroundColor"
            grounds.append(visit.page.locator("body").evaluate(colour))
            cards.append(visit.page.locator(".card").first.evaluate(colour))
            shots.append(visit.page.screenshot())
    light, dark = ([int(part) for part in re.findall(r"\d+", ground)] for ground in grounds)
    assert min(light) > 200
    assert max(dark) < 60
    assert cards == ["rgb(255, 255, 255)"] * 2
    assert shots[0] != shots[1]


def test_wide_tables_scroll_in_their_own_box_by_keyboard(browser, pages):
    with Visit(browser, pages / "ordinary.html", viewport=PHONE) as visit:
        box = visit.page.locator(".scroll:has(#table-policies)")
        assert box.evaluate("(e) => e.scrollWidth > e.clientWidth")
        assert box.get_attribute("tabindex") == "0"
        box.focus()
        visit.page.keyboard.press("ArrowRight")
        until(visit.page, "document.querySelector('.scroll:has(#table-policies)').scrollLeft > 0")


def test_a_box_that_need_not_be_scrolled_is_no_stop_of_the_tab_key(browser, pages):
    with Visit(browser, pages / "ordinary.html", viewport=DESK) as visit:
        until(visit.page, "!document.querySelector('.scroll[tabindex]')")
        visit.page.set_viewport_size(PHONE)
        until(visit.page, "document.querySelectorAll('.scroll[tabindex]').length > 10")


def test_the_first_tab_stop_leads_past_the_contents(browser, pages):
    with Visit(browser, pages / "ordinary.html", viewport=DESK) as visit:
        page = visit.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.locator(".skip").evaluate("(e) => e.getBoundingClientRect().left >= 0")
        page.keyboard.press("Enter")
        until(page, "document.activeElement.id === 'content'")


def test_the_contents_tell_where_one_is(browser, pages):
    with Visit(browser, pages / "ordinary.html", viewport=DESK) as visit:
        current = "document.querySelector('nav a[aria-current]').hash"
        assert visit.page.evaluate(current) == "#decision"
        visit.page.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
        visit.page.locator("#customers").evaluate("(e) => e.scrollIntoView()")
        until(visit.page, f"{current} === '#customers'")
        assert visit.page.locator("nav a[aria-current]").count() == 1


def test_without_its_script_the_page_is_whole(browser, pages):
    with Visit(browser, pages / "ordinary.html", viewport=PHONE, java_script_enabled=False) as visit:
        assert visit.page.locator("section").count() == 9
        assert visit.page.locator(".scroll").count() == visit.page.locator(".scroll[tabindex='0']").count() > 20


def test_markup_that_slipped_through_would_not_run(browser, pages, tmp_path):
    html = (pages / "ordinary.html").read_text(encoding="utf-8")
    attack = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
    attacked = tmp_path / "attacked.html"
    attacked.write_text(html.replace("<h1>", f"{attack}<h1>"), encoding="utf-8")
    with Visit(browser, attacked, viewport=DESK) as visit:
        refused = "violates the following Content Security Policy directive"
        for attempt in ("inline script", "inline event handler"):
            until(visit.page, lambda: any(f"{attempt} {refused}" in told for told in visit.messages))  # noqa: B023
        assert visit.page.title() != "run"


def test_on_paper_there_is_no_navigation_and_no_colour_scheme(browser, pages):
    with Visit(browser, pages / "ordinary.html", viewport=DESK, color_scheme="dark") as visit:
        visit.page.emulate_media(media="print")
        assert not visit.page.locator("nav").is_visible()
        assert visit.page.locator("body").evaluate("(e) => getComputedStyle(e).backgroundColor") == "rgb(255, 255, 255)"
        avoided = "(all) => all.map((e) => getComputedStyle(e).breakInside)"
        assert set(visit.page.locator("figure, table").evaluate_all(avoided)) == {"avoid"}
        paper = visit.page.pdf(prefer_css_page_size=True)
        assert paper.startswith(b"%PDF")
        assert len(re.findall(rb"/Type /Page\b", paper)) > 5
