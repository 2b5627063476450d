"""The page as HTML: hostile content stays text, nothing is loaded, structure holds, colours can be read."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from promotions.policies import POLICIES
from promotions.report import render
from promotions.report.glossary import KEYS
from promotions.report.page import asset, data_uri, kept_together, png_size
from tests.support.report_facts import HOSTILE, a_run, hostile, observed, png

VOID = {"meta", "link", "img", "br", "hr", "input"}
LOADING = {"src", "srcset", "data", "poster", "action", "formaction", "background", "ping", "manifest"}
READABLE = 4.5


class Page(HTMLParser):
    """Elements in order, and the text of each."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if self.open:
            self.texts.append((self.open[-1], data))

    def all(self, *tags):
        """Attributes of the elements of these tags."""
        return [attributes for tag, attributes in self.elements if tag in tags]

    def text(self):
        """All text that a reader sees."""
        return "".join(data for tag, data in self.texts if tag not in ("style", "script", "title"))


@pytest.fixture(scope="module")
def page():
    return Page(render(a_run()))


@pytest.fixture(scope="module")
def poisoned():
    return render(hostile())


def test_the_same_run_gives_the_same_bytes():
    assert render(a_run()) == render(a_run())


# ── Hostile content ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_hostile_names_add_no_element_and_no_attribute(page, poisoned):
    found = Page(poisoned)
    assert {tag for tag, _ in found.elements} <= {tag for tag, _ in page.elements}
    assert len(found.all("script")) == len(found.all("style")) == 1
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    assert all(attributes["src"].startswith("data:image/png;base64,") for attributes in found.all("img"))
    links = [attributes["href"] for attributes in found.all("a")]
    assert all(re.fullmatch(r"#[a-z_-]+", link) for link in links)


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_names_are_shown_as_they_are(poisoned, words):
    found = Page(poisoned)
    seen = found.text() + "".join(attributes["alt"] for attributes in found.all("img"))
    assert words in seen


def test_braces_are_no_template(poisoned):
    assert "{{7*7}}" in poisoned
    assert "49{%" not in poisoned


def test_hostile_names_stay_text_in_alternative_texts(poisoned):
    told = " ".join(attributes["alt"] for attributes in Page(poisoned).all("img"))
    assert "<script>alert(1)</script>" in told
    assert '"><img src=x onerror=alert(1)>' in told


# ── Nothing is loaded ────────────────────────────────────────────────────────────────────────────────────────────────
def test_no_resource_is_loaded_from_anywhere(page):
    for tag, attributes in page.elements:
        loading = [attributes[name] for name in LOADING if name in attributes]
        if tag == "link":
            loading.append(attributes["href"])
        assert all(address.startswith("data:") for address in loading), tag
    assert not page.all("iframe", "object", "embed", "base", "form")
    style = asset("style.css")
    assert not re.search(r"@import|url\(|https?:", style)
    assert not re.search(r"https?:|fetch|XMLHttpRequest|import", asset("page.js"))


def test_a_browser_may_run_only_the_pages_own_script_and_style():
    html = render(a_run())
    policy = next(a["content"] for a in Page(html).all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        content = re.search(f"<{tag}>(.*?)</{tag}>", html, flags=re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


# ── Structure ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_there_is_one_first_heading_and_no_level_is_skipped(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_landmarks_language_and_a_way_past_the_contents(page):
    assert page.all("html") == [{"lang": "en"}]
    assert [len(page.all(tag)) for tag in ("header", "nav", "main", "footer")] == [1, 1, 1, 1]
    assert page.all("nav")[0]["aria-label"]
    first = page.all("a")[0]
    assert first["class"] == "skip"
    assert first["href"] == f"#{page.all('main')[0]['id']}"


def test_ids_are_unique_and_every_link_and_label_has_its_target(page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"][1:] for attributes in page.all("a")} <= set(ids)
    assert {attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes} <= set(
        ids
    )


def test_every_section_is_in_the_contents(page):
    sections = [attributes["id"] for attributes in page.all("section")]
    assert sections == [
        *("decision", "experiment", "rules", "costs", "customers", "certainty", "discounts", "provenance", "glossary")
    ]
    links = [attributes.get("href") for attributes in page.all("a")]
    assert [link for link in links if link[1:] in sections][: len(sections)] == [f"#{key}" for key in sections]


def test_every_picture_has_a_size_and_says_what_it_finds(page):
    pictures = page.all("img")
    assert len(pictures) == 16
    for attributes in pictures:
        assert len(attributes["alt"]) > 60
        assert ".png" not in attributes["alt"]
        assert (attributes["width"], attributes["height"]) == ("27", "16")
    assert len({attributes["alt"] for attributes in pictures}) == len(pictures)


def test_every_table_has_a_caption_and_every_header_a_scope(page):
    assert len(page.all("table")) == len(page.all("caption"))
    assert {attributes["scope"] for attributes in page.all("th")} == {"col", "row"}
    boxes = [attributes for attributes in page.all("div") if "scroll" in attributes.get("class", "")]
    assert len(boxes) == len(page.all("table")) + len(page.all("img"))
    assert all(box["tabindex"] == "0" and box["aria-labelledby"] for box in boxes)


def test_a_term_is_linked_where_it_first_stands_and_every_entry_of_the_glossary_is_used(page):
    links = [attributes["href"] for attributes in page.all("a") if attributes.get("class") == "term"]
    assert len(links) == len(set(links))
    # A rule that the run does not have is nowhere on the page.
    absent = set(POLICIES) - {name.partition(".")[0] for name in a_run().policies}
    assert {link.removeprefix("#term-") for link in links} == KEYS - absent


# ── Labels ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def banners(html):
    return re.findall(r'<p class="banner"><strong>(.*?)</strong>', html)


def real(found, *names):
    for name in names or list(found):
        found[name] |= {"source": "hillstrom", "simulated": False}


def test_simulated_data_are_labelled_loudly_and_real_ones_are_not():
    simulated = render(a_run())
    assert banners(simulated) == ["Simulated data."]
    assert "<title>Simulated data: Not proven" in simulated
    html = render(a_run(real))
    assert banners(html) == []
    assert "<title>Not proven" in html
    assert "do not exist" not in html


def test_the_simulated_example_of_discounts_is_left_out_beside_real_customers():
    targeting = ("experiment", "headline", "policies", "learners", "rules", "explain", "stability")
    html = render(a_run(lambda found: real(found, *targeting)))
    assert banners(html) == []
    assert "The simulated example says nothing about these customers, so it is left out" in html
    assert "Discounts by customer pay" not in html


def test_real_discounts_beside_simulated_customers_are_told_apart():
    html = render(a_run(lambda found: real(found, *(name for name in found if name.startswith("discount")))))
    assert banners(html) == ["Simulated data."]
    assert "Only the section on discounts is about real customers; all others on this page do not exist." in html
    assert "Discounts by customer pay" in html
    assert "The customers of this section do not exist." not in html
    assert "The customers of this section do not exist." in render(a_run())


def test_estimated_propensities_are_warned_of():
    html = render(observed())
    assert "Not an experiment." in banners(html)
    assert banners(render(a_run())) == ["Simulated data."]


def test_the_overlap_of_estimated_propensities_is_shown():
    estimated = Page(render(observed()))
    assert len(estimated.all("img")) == len(Page(render(a_run())).all("img")) + 1
    assert any("propensities" in attributes["alt"] for attributes in estimated.all("img"))


def test_a_page_without_anything_optional_is_whole():
    def drop(found):
        for name in [name for name in found if name in ("explain", "stability") or name.startswith("discount")]:
            del found[name]

    found = Page(render(a_run(drop)))
    assert len([1 for attributes in found.all("p") if attributes.get("class") == "missing"]) == 3
    assert len(found.all("section")) == 9


# ── Small things ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_picture_becomes_its_own_address_and_knows_its_size():
    picture = png(1350, 800)
    assert png_size(picture) == (1350, 800)
    assert base64.b64decode(data_uri(picture).removeprefix("data:image/png;base64,")) == picture
    with pytest.raises(ValueError, match="expected a PNG"):
        png_size(b"<svg onload=alert(1)>")


def test_only_numbers_keep_their_per_cent():
    assert kept_together("95 % and {% if %}") == "95\N{NO-BREAK SPACE}% and {% if %}"


# ── Contrast ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def palettes():
    """The colours of the light and of the dark scheme."""
    light, dark = re.findall(r":root \{(.*?)\}", asset("style.css"), flags=re.DOTALL)[:2]
    colours = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in (light, dark)]
    return {"light": colours[0], "dark": colours[0] | colours[1]}


def contrast(first, second):
    """WCAG 2.2: (L₁ + 0.05)/(L₂ + 0.05), L the relative luminance."""

    def luminance(colour):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        *(("ink", ground) for ground in ("paper", "mark", "code", "proven-wash", "unclear-wash", "against-wash")),
        *(("soft", ground) for ground in ("paper", "code")),
        *(("link", ground) for ground in ("paper", "mark")),
        *((tone, f"{tone}-wash") for tone in ("proven", "unclear", "against")),
        ("on-banner", "banner"),
    ],
)
def test_every_text_can_be_read_in_both_schemes(scheme, ink, ground):
    colours = palettes()[scheme]
    assert contrast(colours[ink], colours[ground]) >= READABLE
