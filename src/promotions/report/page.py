"""From sections to one HTML page that needs nothing else: it contains its pictures and makes no requests."""

import base64
import hashlib
import re
import struct
from collections.abc import Callable
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from promotions.base.formatting import SPACE
from promotions.report import certainty, customers, decision, discounts, experiment, observational, policies, provenance
from promotions.report.blocks import Code, Definitions, Link, Section, Strong, Term, Text, as_parts
from promotions.report.glossary import GLOSSARY
from promotions.report.run import Run

PACKAGE, FOLDER = "promotions.report", "templates"
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def render(run: Run) -> str:
    """The page. The same run gives the same bytes."""
    run = run.current()
    style, script = (asset(name) for name in ("style.css", "page.js"))
    environment = Environment(
        loader=PackageLoader(PACKAGE, FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"say": say_with_links(), "data_uri": data_uri, "size": png_size}
    return environment.get_template("page.html.j2").render(
        title=f"{'Simulated data: ' if run.simulated else ''}{decision.verdict(run).label} · whom to contact",
        run=run,
        sections=sections(run),
        style=Markup(style),
        script=Markup(script),
        policy=security_policy(style, script),
        headline=run.headline,
        customers=f"{run.metrics['experiment']['n']:,}",
    )


def sections(run: Run) -> list[Section]:
    """The page's content, in order."""
    return [
        decision.section(run),
        (observational if run.estimated else experiment).section(run),
        policies.section(run),
        policies.cost_section(run),
        customers.section(run),
        certainty.section(run),
        discounts.section(run),
        provenance.section(run),
        Section("glossary", "Glossary", "Glossary", (Definitions(GLOSSARY),)),
    ]


def say_with_links() -> Callable[[Text], Markup]:
    """A filter that escapes a text and links the first occurrence of each glossary term on the page."""
    seen: set[str] = set()

    def part(piece: str | Term | Code | Strong | Link) -> Markup:
        match piece:
            case Term(key, words) if key not in seen:
                seen.add(key)
                return Markup('<a class="term" href="#term-{}">{}</a>').format(key, kept_together(words))
            case Code(words):
                return Markup("<code>{}</code>").format(words)
            case Strong(words):
                return Markup("<strong>{}</strong>").format(words)
            case Link(section, words):
                return Markup('<a href="#{}">{}</a>').format(section, words)
            case Term(_, words):
                return Markup.escape(kept_together(words))
            case _:
                return Markup.escape(kept_together(piece))

    def say(text: Text) -> Markup:
        return Markup("").join(map(part, as_parts(text)))

    return say


def kept_together(words: str) -> str:
    """The words with each number and its per cent sign kept in one line."""
    return re.sub(r"(?<=\d) %", f"{SPACE}%", words)


def data_uri(picture: bytes) -> str:
    """A PNG as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode('ascii')}"


def png_size(picture: bytes) -> tuple[int, int]:
    """Width and height of a PNG in pixels, from its header; ValueError if it is not a PNG."""
    if picture[:8] != SIGNATURE or picture[12:16] != b"IHDR":
        raise ValueError("expected a PNG picture")
    width, height = struct.unpack(">II", picture[16:24])
    return int(width), int(height)


def asset(name: str) -> str:
    """A file of the package that goes into the page unchanged."""
    return resources.files(PACKAGE).joinpath(FOLDER, name).read_text(encoding="utf-8")


def security_policy(style: str, script: str) -> str:
    """What a browser may load for the page: pictures inside it, this style and this script, and nothing else.

    If a name in the data ever got through as markup, its scripts would not run.
    """
    hashes = {
        name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for name, text in (("style", style), ("script", script))
    }
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes['style']}'; "
        f"script-src 'sha256-{hashes['script']}'; base-uri 'none'; form-action 'none'"
    )
