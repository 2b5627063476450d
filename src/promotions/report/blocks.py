"""The parts of a page: sections of sentences, tables and figures, as plain data in which no markup can hide."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal


@dataclass(frozen=True)
class Term:
    """Words that the glossary explains. key: of ``promotions.report.glossary.GLOSSARY``."""

    key: str
    words: str


@dataclass(frozen=True)
class Code:
    """A command, a file or a parameter, in a monospaced font."""

    words: str


@dataclass(frozen=True)
class Strong:
    """Emphasised words."""

    words: str


@dataclass(frozen=True)
class Link:
    """Words that lead to a section of the same page."""

    section: str
    words: str


Text = str | tuple[str | Term | Code | Strong | Link, ...]


def as_parts(text: Text) -> tuple[str | Term | Code | Strong | Link, ...]:
    """The pieces of a text."""
    return (text,) if isinstance(text, str) else text


def in_words(text: Text) -> str:
    """A text without its links."""
    return "".join(part if isinstance(part, str) else part.words for part in as_parts(text))


# proven: green; unclear: amber; against: red; plain: none.
Tone = Literal["proven", "unclear", "against", "plain"]


@dataclass(frozen=True)
class Paragraph:
    """One or a few sentences."""

    kind: ClassVar[str] = "paragraph"
    text: Text


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    kind: ClassVar[str] = "heading"
    words: str


@dataclass(frozen=True)
class Verdict:
    """A highlighted finding: its label says in words what its tone says in colour."""

    kind: ClassVar[str] = "verdict"
    tone: Tone
    label: str
    text: Text


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    kind: ClassVar[str] = "bullets"
    items: Sequence[Text]


@dataclass(frozen=True)
class Missing:
    """A part that was not run, and the command that runs it."""

    kind: ClassVar[str] = "missing"
    what: str
    command: str


@dataclass(frozen=True)
class Figure:
    """A picture. alt: what it shows, for readers who do not see it."""

    kind: ClassVar[str] = "figure"
    picture: bytes
    alt: str
    caption: Text


@dataclass(frozen=True)
class Column:
    """A column of a table; numbers are aligned to the right."""

    title: Text
    numeric: bool = True


@dataclass(frozen=True)
class Row:
    """A row; the first cell is its header. marked: the row that the table is about."""

    cells: Sequence[Text]
    marked: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a caption. key: its id on the page."""

    kind: ClassVar[str] = "table"
    key: str
    caption: Text
    columns: Sequence[Column]
    rows: Sequence[Row]
    note: Text = ""


@dataclass(frozen=True)
class Definition:
    """An entry of the glossary."""

    key: str
    title: str
    text: Text


@dataclass(frozen=True)
class Definitions:
    """The glossary."""

    kind: ClassVar[str] = "definitions"
    entries: Sequence[Definition]


Block = Paragraph | Heading | Verdict | Bullets | Missing | Figure | Table | Definitions


@dataclass(frozen=True)
class Section:
    """A part of the page. key: the id, and target of links. short: the name in the contents."""

    key: str
    title: str
    short: str
    blocks: Sequence[Block] = field(default_factory=tuple)
