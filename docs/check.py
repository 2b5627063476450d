"""Check README and the pages of docs/: each printed block against its command, and all that a page names.

A checked block is fenced as ``console``. A line that begins with "$ " is a command (with its continuation lines and
here-document); the lines below it are what it prints, standard error included, blank lines around it left aside. A line
"…" stands for any number of printed lines, a "…" within a line for any text. A comment above the block says how it is
checked:

    <!-- check: quick -->             in seconds, with nothing but the repository; it changes nothing
    <!-- check: slow -->              in a copy of the project, after the slow blocks above it on its page
    <!-- check: slow, fails -->       the same; a command of it has to end in an error
    <!-- check: by hand, WHY -->      never run
    <!-- check: continues PAGE -->    on a line of its own: the slow blocks start where those of PAGE ended

Links, paths, `make` targets and parameter keys that a page names have to exist, and README has to stay a screen or two.
"""

import argparse
import difflib
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

import dag  # noqa: E402  (a command of the project, found by the line above)

MOST_LINES_OF_README = 150
LONGEST_COMMAND = 3600
LEFT_OUT = "…"


# ── Pages and their blocks ───────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Step:
    """A command of a block, and the lines of the page (from ``first`` to before ``last``) that show what it prints."""

    command: str
    first: int
    last: int


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its lines, and for a console block how it is checked and the commands in it."""

    line: int
    language: str
    lines: list[str]
    kind: str
    fails: bool
    steps: list[Step]


@dataclass(frozen=True)
class Page:
    """A page: its lines, its fenced blocks, and the page where its slow blocks start."""

    path: Path
    lines: list[str]
    blocks: list[Block]
    continues: Path | None

    @property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        fenced = {
            number for block in self.blocks for number in range(block.line - 1, block.line + len(block.lines) + 1)
        }
        return "\n".join("" if number in fenced else line for number, line in enumerate(self.lines))


def read_page(path: Path) -> Page:
    """Take a page apart."""
    lines = path.read_text().splitlines()
    blocks: list[Block] = []
    comment, continues, number = "", None, 0
    while number < len(lines):
        line = lines[number]
        if found := re.fullmatch(r"<!-- check: (.*) -->", line.strip()):
            comment = found[1]
            if comment.startswith("continues "):
                continues, comment = ROOT / comment.removeprefix("continues "), ""
        elif fence := re.match(r"```(\w*)", line):
            end = next(end for end in range(number + 1, len(lines)) if lines[end].startswith("```"))
            kind, _, rest = comment.partition(",")
            steps = list(read_steps(lines, number + 1, end)) if fence[1] == "console" else []
            inside = lines[number + 1 : end]
            blocks.append(Block(number + 1, fence[1], inside, kind.strip(), rest.strip() == "fails", steps))
            comment, number = "", end
        elif line.strip():
            comment = ""
        number += 1
    return Page(path, lines, blocks, continues)


def read_steps(lines: list[str], start: int, end: int) -> Iterator[Step]:
    """The commands between two lines."""
    number = start
    while number < end:
        if not lines[number].startswith("$ "):
            number += 1
            continue
        command = [lines[number][2:]]
        number += 1
        while command[-1].endswith("\\") and number < end:
            command.append(lines[number])
            number += 1
        if here := re.search(r"<<-?\s*['\"]?(\w+)", command[-1]):
            while number < end and lines[number - 1] != here[1]:
                command.append(lines[number])
                number += 1
        first = number
        while number < end and not lines[number].startswith("$ "):
            number += 1
        yield Step("\n".join(command), first, number)


# ── Running what they show ───────────────────────────────────────────────────────────────────────────────────────────
def copy_project(folder: Path, data: Path | None) -> None:
    """The files that git knows or would add, as a repository of their own, with the environment that runs this."""
    for name in repository_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    environment = folder / ".venv"
    environment.mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".installed":
            (environment / entry.name).symlink_to(entry)
    # `make` takes the environment for its own if this file is newer than what was locked.
    (environment / ".installed").touch()
    raw = folder / "data" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for file in data.iterdir() if data else []:
        if file.is_file():
            shutil.copy2(file, raw)
    for command in (
        "git init -q -b main",
        "git config user.name You",
        "git config user.email you@example.com",
        "git add -A",
        "git commit -q -m start",
    ):
        code, printed = run(command, folder)
        if code:
            raise SystemExit(f"error: {command}: {' '.join(printed)}")


def repository_files() -> list[str]:
    """Files that git knows or would add, and that are there."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def run(command: str, folder: Path) -> tuple[int, list[str]]:
    """Exit status and printed lines of a shell command, as a terminal of 100 columns would show them."""
    environment = {
        **os.environ,
        "PATH": f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "HOME": str(folder.parent),
    }
    for name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "MAKEFLAGS", "MAKELEVEL"):
        environment.pop(name, None)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LONGEST_COMMAND,
        check=False,
    )
    # A carriage return writes over the line, as a progress bar does. (Read as text, it would end the line.)
    shown = [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in done.stdout.decode().split("\n")]
    return done.returncode, trimmed(shown)


def trimmed(lines: list[str]) -> list[str]:
    """Without blank lines at either end."""
    filled = [number for number, line in enumerate(lines) if line.strip()]
    return lines[filled[0] : filled[-1] + 1] if filled else []


def matches(shown: list[str], printed: list[str]) -> bool:
    """Whether a page shows what was printed, "…" left out."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == LEFT_OUT else re.escape(line.rstrip()).replace(LEFT_OUT, ".*") + r"\n"
        for line in shown
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None


def renewed(shown: list[str], printed: list[str]) -> list[str]:
    """What was printed, left out where the page leaves lines out: between the lines most like those shown."""
    if LEFT_OUT not in [line.strip() for line in shown]:
        return printed
    parts: list[list[str]] = [[]]
    for line in shown:
        if line.strip() == LEFT_OUT:
            parts.append([])
        else:
            parts[-1].append(line)
    if sum(map(len, parts)) > len(printed):
        return printed
    result, start = printed[: len(parts[0])], len(parts[0])
    for place, part in enumerate(parts[1:], 1):
        later = sum(map(len, parts[place + 1 :]))
        last = len(printed) - later - len(part)
        at = last
        if place < len(parts) - 1 and part:
            at = max(range(start, last + 1), key=lambda first: likeness(part, printed[first : first + len(part)]))
        result += [LEFT_OUT, *printed[at : at + len(part)]]
        start = at + len(part)
    return result


def likeness(shown: list[str], printed: list[str]) -> float:
    """How alike lines are, 0 to 1 each."""
    pairs = zip(shown, printed, strict=True)
    return sum(difflib.SequenceMatcher(None, old, new, autojunk=False).ratio() for old, new in pairs)


@dataclass
class Checker:
    """Runs blocks, gathers what is wrong, and rewrites pages if asked to."""

    temporary: Path
    data: Path | None
    update: bool
    problems: list[str]

    def quick(self, pages: Iterable[Page]) -> None:
        """The quick blocks of all pages, in one copy of the project."""
        folder = self.temporary / "quick" / "promotions"
        for page in pages:
            blocks = [block for block in page.blocks if block.kind == "quick"]
            if blocks and not folder.exists():
                folder.mkdir(parents=True)
                copy_project(folder, self.data)
            self.check(page, blocks, folder)

    def slow(self, pages: list[Page]) -> None:
        """The slow blocks of each page, in a copy of the project of its own."""
        ended: dict[Path, Path] = {}
        asked = {page.path for page in pages}

        def state_after(page: Page) -> Path:
            if page.path not in ended:
                before = state_after(read_page(page.continues)) if page.continues else None
                folder = self.temporary / str(len(ended)) / "promotions"
                if before:
                    shutil.copytree(before, folder, symlinks=True)
                else:
                    folder.mkdir(parents=True)
                    copy_project(folder, self.data)
                blocks = [block for block in page.blocks if block.kind == "slow"]
                self.check(page, blocks, folder, report=page.path in asked)
                ended[page.path] = folder
            return ended[page.path]

        for page in pages:
            if any(block.kind == "slow" for block in page.blocks):
                state_after(page)

    def check(self, page: Page, blocks: list[Block], folder: Path, *, report: bool = True) -> None:
        """Run blocks; say, or mend, where a page shows something else than is printed."""
        lines = list(page.lines)
        moved = 0
        for block in blocks:
            failed = False
            for step in block.steps:
                print(f"{page.path.relative_to(ROOT)}: $ {step.command.splitlines()[0]}", flush=True)
                code, printed = run(step.command, folder)
                failed = failed or code != 0
                shown = trimmed(page.lines[step.first : step.last])
                if code and not block.fails:
                    said = "\n    ".join(printed[-20:])
                    self.problems.append(f"{where(page, step.first)}: the command ended with {code}:\n    {said}")
                elif not matches(shown, printed):
                    new = renewed(shown, printed)
                    if report and not self.update:
                        difference = difflib.unified_diff(shown, new, "the page", "printed", lineterm="")
                        self.problems.append(
                            "\n    ".join([f"{where(page, step.first)}: not what is printed", *difference])
                        )
                    lines[step.first + moved : step.last + moved] = new
                    moved += len(new) - (step.last - step.first)
            if block.fails and not failed:
                self.problems.append(f"{where(page, block.line)}: every command succeeded; one was expected to fail")
        if report and self.update and lines != page.lines:
            page.path.write_text("\n".join(lines) + "\n")
            print(f"{page.path.relative_to(ROOT)}: rewritten", flush=True)


def where(page: Page, line: int) -> str:
    """``docs/x.md:12``."""
    return f"{page.path.relative_to(ROOT)}:{line}"


# ── What they name ───────────────────────────────────────────────────────────────────────────────────────────────────
def wrong_names(pages: Iterable[Page]) -> list[str]:
    """Links, paths, parameters and `make` targets that do not exist; blocks that do not say how they are checked."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    paths = known_paths()
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    problems: list[str] = []
    for page in pages:
        name = page.path.relative_to(ROOT)
        found = [*wrong_links(page), *wrong_blocks(page, params)]
        commands = [step.command for block in page.blocks for step in block.steps]
        for words in [*re.findall(r"`([^`]+)`", page.prose), *commands]:
            found += [f"no parameter {key}" for key in named_parameters(words, params) if not has(params, key)]
            found += [
                f"no file, and no output of a stage: {path}" for path in named_paths(words) if not paths.has(path)
            ]
            found += [
                f"no target of make: {target}"
                for target in re.findall(r"\bmake ([a-z][\w-]*)", words)
                if target not in targets and not is_benchmark(target.removeprefix("bench-"))
            ]
            found += [
                f"no benchmark {module}"
                for module in re.findall(r"-m benchmarks\.(\w+)", words)
                if not is_benchmark(module)
            ]
        problems += [f"{name}: {problem}" for problem in dict.fromkeys(found)]
        if name == Path("README.md") and len(page.lines) > MOST_LINES_OF_README:
            problems.append(f"{name}: {len(page.lines)} lines; at most {MOST_LINES_OF_README}")
    return problems


def wrong_links(page: Page) -> Iterator[str]:
    """Relative links to what is not there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.prose):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.path.parent / path).resolve() if path else page.path
        if not file.exists():
            yield f"no file behind the link {target}"
        elif anchor and anchor not in anchors(file):
            yield f"no such heading: {target}"


def anchors(file: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", read_page(file).prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def wrong_blocks(page: Page, params: Mapping[str, Any]) -> Iterator[str]:
    """Console blocks that do not say how they are checked; excerpts of params.yaml with keys that it has not."""
    for block in page.blocks:
        if block.language == "console" and block.kind not in ("quick", "slow", "by hand"):
            yield f"line {block.line}: no comment says how the block is checked (quick, slow, or by hand and why)"
        if block.language == "yaml":
            excerpt = yaml.safe_load("\n".join(block.lines))
            if isinstance(excerpt, dict) and set(excerpt) <= set(params):
                yield from (f"line {block.line}: no parameter {key}" for key in leaves(excerpt) if not has(params, key))


def leaves(section: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys of a section."""
    for key, value in section.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


FILE_ENDINGS = ("json", "csv", "png", "parquet", "py", "md", "yaml", "html", "txt", "lock")


def named_parameters(words: str, params: Mapping[str, Any]) -> list[str]:
    """Dotted names that begin with a section of params.yaml."""
    named = re.findall(r"(?<![\w./-])([a-z]\w*(?:\.(?:\w+|\*|<\w+>))+)(?![\w/])", words)
    return [key for key in named if key.split(".")[0] in params and key.rsplit(".", 1)[1] not in FILE_ENDINGS]


def has(section: Any, key: str) -> bool:
    """Whether a section has a dotted key; ``*`` and ``<name>`` stand for any key there."""
    part, _, rest = key.partition(".")
    if not isinstance(section, dict):
        return False
    if part == "*" or part.startswith("<"):
        return any(not rest or has(value, rest) for value in section.values())
    return part in section and (not rest or has(section[part], rest))


FOLDERS = "src|docs|tests|benchmarks|metrics|plots|data|models|report|discounts|.dvc|.ci"


def named_paths(words: str) -> list[str]:
    """Paths that begin with a folder of the project, but for what users put into data/raw and DVC into its own."""
    named = re.findall(rf"(?<![\w/.*-])((?:{FOLDERS})/[\w./*<>-]*)", words)
    return [path.rstrip(".") for path in named if not path.startswith(("data/raw/", ".dvc/tmp/"))]


@dataclass(frozen=True)
class KnownPaths:
    """Files of the repository, and patterns of what stages write."""

    files: set[str]
    written: list[str]

    def has(self, path: str) -> bool:
        """Whether a path, in which ``*`` and ``<name>`` stand for any name, is there or is written."""
        wanted = re.sub(r"<\w+>", "*", path.rstrip("/"))
        folders = {str(folder) for file in (*self.files, *self.written) for folder in Path(file).parents}
        exact = (*self.files, *self.written, *folders)
        within = any(fnmatch.fnmatch(wanted, f"{out}/*") for out in self.written if not Path(out).suffix)
        return within or any(fnmatch.fnmatch(known, wanted) or fnmatch.fnmatch(wanted, known) for known in exact)


def known_paths() -> KnownPaths:
    """What the repository has and its stages write; what they keep from one run to the next is no output for DVC."""
    written = [re.sub(r"\$\{[^}]*\}", "*", out) for stage in dag.read_stages(ROOT) for out in stage.outs]
    return KnownPaths(set(repository_files()), [*written, "data/stability/*", "dvc_plots/index.html"])


def is_benchmark(name: str) -> bool:
    """Whether there is a benchmark of that name."""
    return (ROOT / "benchmarks" / f"{name.replace('-', '_')}.py").is_file()


# ── The command ──────────────────────────────────────────────────────────────────────────────────────────────────────
def all_pages() -> list[Path]:
    """The pages that are checked; the change log names what is no more."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def main() -> None:
    """Exit status 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, metavar="PAGE", help="pages to check (default: all)")
    parser.add_argument("--quick", action="store_true", help="run the quick blocks alone: seconds, no data")
    parser.add_argument("--update", action="store_true", help="rewrite what pages show into what is printed")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="its files are there in data/raw, as if downloaded")
    options = parser.parse_args()
    pages = [read_page(path.resolve()) for path in options.pages or all_pages()]
    with tempfile.TemporaryDirectory(prefix="docs-") as folder:
        checker = Checker(Path(folder), options.data, options.update, wrong_names(pages))
        checker.quick(pages)
        if not options.quick:
            # A page that was rewritten has its blocks at other lines.
            checker.slow([read_page(page.path) for page in pages])
    for problem in checker.problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if checker.problems else 0)


if __name__ == "__main__":
    main()
