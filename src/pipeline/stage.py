"""What every stage script shares: parameters, reading and writing, one line of progress, errors in one line.

The paths of the pipeline stand in ``dvc.yaml`` and in the scripts; parameters in ``params.yaml``; statistics in
``promotions``. This module knows how to get from one to the other, and nothing else.
"""

import argparse
import inspect
import json
import os
import shutil
import sys
import warnings
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from threadpoolctl import threadpool_limits

from promotions.base.errors import InputError
from promotions.base.rounding import SIGNIFICANT_DIGITS, rounded, significant
from promotions.base.validation import require_keys, require_whole

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")

PARAMS = Path("params.yaml")
PAGE = Path("report/index.html")


def run(main: Callable[..., None], description: str | None) -> None:
    """Run a stage's ``main``, as `command` does.

    The page is removed first: it shows what stages wrote before, even if this one fails. `report` writes it anew.
    """

    @wraps(main)
    def without_page(*arguments: str, **named: str) -> None:
        PAGE.unlink(missing_ok=True)
        main(*arguments, **named)

    command(without_page, description)


def command(
    main: Callable[..., None],
    description: str | None,
    options: Callable[[argparse.ArgumentParser], object] | None = None,
) -> None:
    """Run ``main`` with its arguments from the command line.

    options: adds options to the parser; without it, each argument of ``main`` is a positional one.

    A user's mistake (InputError) ends in one line on standard error and exit status 2. Linear algebra uses one thread:
    its sums would otherwise depend on how many there are. Fits run side by side on ``threads()`` of them.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if options is not None:
        options(parser)
    else:
        for argument in inspect.signature(main).parameters:
            parser.add_argument(argument)
    arguments = vars(parser.parse_args())
    # econml, causalml and their dependencies announce their own future changes; the user can act on none of them.
    warnings.simplefilter("ignore")
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            main(**arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def say(message: str) -> None:
    """Print one line about what was done, prefixed with the stage's name."""
    print(f"{Path(sys.argv[0]).stem}: {message}", flush=True)


def at_terminal() -> bool:
    """Whether a person watches standard error. If not, it holds errors alone: a progress bar is noise in a log."""
    return sys.stderr is not None and sys.stderr.isatty()


def progress(
    label: str, total: float | None = None, *, unit: str = "it", scale: bool = False, delay: float = 0
) -> "tqdm[Never]":
    """A progress bar of ``total`` steps, for use in a ``with``; it shows nothing if nobody watches.

    scale: write 1.2M for 1,200,000 units.  delay: seconds before the bar appears.
    """
    from tqdm import tqdm

    return tqdm(
        desc=label, total=total, unit=unit, unit_scale=scale, delay=delay, leave=False, disable=not at_terminal()
    )


def each(items: Collection[T], label: str) -> Iterator[T]:
    """``items`` one after the other, under a progress bar."""
    with progress(label, len(items)) as bar:
        for item in items:
            yield item
            bar.update()


def threads() -> int:
    """Cores that this process may use; OMP_NUM_THREADS lowers it. Results do not depend on it."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(int(limit), available) if limit.isdecimal() and int(limit) else available


def params(*keys: str) -> Any:
    """The value at ``keys`` in params.yaml: ``params("costs")`` is a section, ``params("data", "source")`` a value."""
    try:
        value = _parsed(PARAMS.read_text())
    except FileNotFoundError:
        raise InputError(f"{PARAMS}: no such file in {Path.cwd()}; run stages from the project's folder") from None
    except yaml.YAMLError as problem:
        raise InputError(f"{PARAMS} is not valid YAML: {' '.join(str(problem).split())}") from None
    for depth, key in enumerate(keys):
        if not isinstance(value, Mapping) or key not in value:
            present = f"there is {', '.join(value)}" if isinstance(value, Mapping) else f"its section is {value!r}"
            raise InputError(f"{PARAMS}: {'.'.join(keys[: depth + 1])} is missing; {present}")
        value = value[key]
    return value


@cache
def _parsed(text: str) -> Any:
    """Parsed once: a stage reads many parameters, and parsing each time would take longer than much of its work."""
    return yaml.safe_load(text)


def generator(*names: str) -> np.random.Generator:
    """The random stream of one purpose. It depends on the seed in params.yaml and on ``names`` alone."""
    seed = whole_number("seed", least=0)
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def section(*keys: str, expected: Iterable[str] = ()) -> Mapping[str, Any]:
    """The section at ``keys`` in params.yaml; if ``expected`` is given, it must have exactly these keys."""
    value = params(*keys)
    if not isinstance(value, Mapping):
        raise InputError(f"{'.'.join(keys)}: expected a section of keys and values, got {value!r}")
    if expected:
        require_keys(value, expected, ".".join(keys))
    return value


def whole_number(*keys: str, least: int) -> int:
    """A whole number of at least ``least`` from params.yaml."""
    return require_whole(params(*keys), ".".join(keys), least)


def learners() -> list[str]:
    """The learners that params.yaml lists, in its order."""
    listed = section("learners")
    if not listed:
        raise InputError("learners: no learner is listed in params.yaml; at least one is needed")
    return list(listed)


def label(source: str, simulated: bool) -> dict[str, Any]:
    """The first lines of a metrics file: where its numbers come from."""
    return {"source": source, "simulated": simulated}


def label_of_roles() -> dict[str, Any]:
    """The label, from what `prepare` wrote."""
    roles = read_json("data/prepared/roles.json")
    return label(roles["source"], roles["simulated"])


def read_parquet(path: str) -> pd.DataFrame:
    """A table that an earlier stage wrote."""
    if not Path(path).is_file():
        raise InputError(f"no file at {path!r}; an earlier stage writes it: run `dvc repro`")
    return pd.read_parquet(path)


def read_bytes(path: str) -> bytes:
    """The content of a file that an earlier stage wrote."""
    if not Path(path).is_file():
        raise InputError(f"no file at {path!r}; an earlier stage writes it: run `dvc repro`")
    return Path(path).read_bytes()


def read_json(path: str) -> Any:
    """A document that an earlier stage wrote."""
    return json.loads(read_bytes(path))


@contextmanager
def replacing(path: str) -> Iterator[Path]:
    """A temporary name beside ``path``. Its file replaces ``path`` only if the block ends without an error."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}{target.suffix}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str) -> Iterator[Path]:
    """An empty folder beside ``path``. It replaces ``path`` only if the block ends without an error."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        shutil.rmtree(target, ignore_errors=True)
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_pieces(folder: Path, pieces: Iterable[tuple[str, pd.DataFrame | pa.Table]]) -> dict[str, int]:
    """Append each piece to the table of its name in ``folder``, one at a time. Returns the rows of each table."""
    rows: dict[str, int] = {}
    with ExitStack() as files:
        writers: dict[str, pq.ParquetWriter] = {}
        for name, piece in pieces:
            table = piece if isinstance(piece, pa.Table) else pa.Table.from_pandas(piece, preserve_index=False)
            if name not in writers:
                path = folder / f"{name}.parquet"
                writers[name] = files.enter_context(pq.ParquetWriter(path, table.schema, compression="zstd"))
            writers[name].write_table(table)
            rows[name] = rows.get(name, 0) + len(table)
    return rows


def write_parquet(path: str, frame: pd.DataFrame) -> None:
    """Write a table."""
    with replacing(path) as temporary:
        frame.to_parquet(temporary, index=False)


def write_csv(path: str, frame: pd.DataFrame) -> None:
    """Write the data of a plot: floats to eight significant digits."""
    with replacing(path) as temporary:
        rounded(frame).to_csv(temporary, index=False, float_format=f"%.{SIGNIFICANT_DIGITS}g")


def write_bytes(path: str, content: bytes) -> None:
    """Write a picture, or a copy of another file."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str, document: Mapping[str, Any], digits: int = SIGNIFICANT_DIGITS) -> None:
    """Write metrics or a small document: floats to so many significant digits, NaN and infinity refused."""
    text = json.dumps(_plain(document, digits), indent=2, allow_nan=False, ensure_ascii=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n")


def _plain(value: Any, digits: int) -> Any:
    """The value as JSON knows it, with rounded floats."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, digits) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(f"{float(significant(value, digits)):.{digits}g}")
    return value
