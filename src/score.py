"""Apply the champion to new customers: whom to contact, why, and the expected profit.

reads   NEW: a table with the features (.csv, .csv.gz, .parquet), or a folder of raw files in the layout of X5;
        models/, metrics/headline.json, data/prepared/roles.json; dvc.lock (nothing is written unless one run wrote them
        all)
writes  --out: customer_id, cate (cate_low, cate_high: 95 %, if the learner has intervals), expected_profit (of
        contacting over not contacting), treat (0/1), reason; a row a customer, in the order of NEW (of ids, a folder)
"""

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from pipeline import lists as targets
from pipeline import stage
from pipeline.lineage import Lineage
from promotions.base.errors import InputError
from promotions.base.formatting import HYPHEN, number, percentage
from promotions.base.parallel import run_side_by_side
from promotions.economics import Economics
from promotions.scoring.drift import LARGE, SOME, Drift, Profile
from promotions.scoring.listing import Allowance, Listing
from promotions.scoring.scorer import Scorer

DOCUMENTS = (
    *("metrics/headline.json", "data/prepared/roles.json"),
    *("models/encoder.json", "models/profile.json"),
)


def main(new: str, out: str, **settings: Any) -> None:
    """Score piece by piece; a budget is spent after all customers are scored."""
    lineage = Lineage.read()
    headline, roles = stage.read_json("metrics/headline.json"), stage.read_json("data/prepared/roles.json")
    scorer = Scorer.load(Path("models"), headline["champion"], headline["learner"])
    profile = Profile.from_json(stage.read_json("models/profile.json"))
    # Models first: a changed one is named itself, not a document of later stages that have read it.
    lineage.require_one_run((*(f"models/{name}" for name in scorer.folders), *DOCUMENTS), "dvc repro report")
    allowance = Allowance.of(scorer.budget, settings["budget"], settings["max_share"])
    targets.require_table(out)
    introduce(headline, scorer, estimated=roles.get("propensity") == "estimated")

    listing = Listing(gains=allowance.limits)
    drift = Drift(profile)
    pieces = targets.read_pieces(new, scorer.encoder, settings["id"], settings["campaign_date"])
    frames = scored(pieces, scorer, listing, drift)
    if allowance.limits:
        frames = within(frames, listing, allowance)
    treated, expected = 0, 0.0

    def written() -> Iterator[pd.DataFrame]:
        nonlocal treated, expected
        for frame in frames:
            chosen = frame["treat"] == 1
            treated, expected = treated + int(chosen.sum()), expected + float(frame["expected_profit"][chosen].sum())
            yield frame[chosen] if settings["only_treated"] else frame
        # Checked before the file gets its name: nothing is written if the list is wrong.
        check(new, listing, drift, stop=settings["on_drift"] == "stop")

    formulas = targets.write(out, written())
    if formulas:
        stage.say(f"warning: {formulas:,} ids would be formulas in a spreadsheet; an apostrophe stands before them")
    stage.say(
        f"{listing.customers:,} customers, {treated:,} of them to contact ({treated / listing.customers:.1%}); "
        f"by the model that earns {number(expected, 2)} more than contacting nobody"
    )
    stage.say(f"written: {out}")


def scored(pieces: Iterable[pd.DataFrame], scorer: Scorer, listing: Listing, drift: Drift) -> Iterator[pd.DataFrame]:
    """Score each piece, its rows side by side."""
    with stage.progress("score", unit=" customers", scale=True, delay=1) as bar:
        for piece in pieces:
            parts = [rows for rows in np.array_split(np.arange(len(piece)), stage.threads()) if len(rows)]
            results = run_side_by_side([partial(scorer.score, piece.iloc[rows]) for rows in parts], stage.threads())
            frame = pd.concat([each for each, _ in results], ignore_index=True)
            listing.add(frame, np.concatenate([charge for _, charge in results]))
            drift.add(piece)
            bar.update(len(piece))
            yield frame


def within(frames: Iterable[pd.DataFrame], listing: Listing, allowance: Allowance) -> Iterator[pd.DataFrame]:
    """The same customers; the best are treated until the allowance is spent."""
    with tempfile.TemporaryDirectory(prefix="score-") as folder:
        stage.write_pieces(Path(folder), (("scored", frame) for frame in frames))
        best, start = listing.afford(allowance), 0
        for batch in pq.ParquetFile(Path(folder, "scored.parquet")).iter_batches(targets.ROWS):
            frame = batch.to_pandas()
            rows = slice(start, start + len(frame))
            start += len(frame)
            yield listing.limited(frame, best[rows])


def introduce(headline: dict[str, Any], scorer: Scorer, *, estimated: bool) -> None:
    """Say which policy is applied, the costs that it was made for, and what it earned when it was measured.

    estimated: whether chances of treatment are.
    """
    economics = scorer.economics
    costs = f"C = {economics.cost:g}, R = {economics.revenue:g}, charged {economics.charged.replace('_', ' ')}"
    stage.say(f"{headline['champion']}, made for {costs}; effects of {scorer.learner}")
    if Economics.from_params(stage.section("costs")) != economics:
        stage.say("warning: params.yaml has other costs by now: `dvc repro`, or the list is for those above")
    if headline["simulated"]:
        stage.say("warning: the champion learned from SIMULATED customers")
    measured = "measured in the experiment"
    if estimated:
        measured = "measured without an experiment, by estimated chances of treatment"
        stage.say(
            "warning: not an experiment: this stands only if all reasons for treatment that also move the outcome are "
            "features; customers like those whom overlap left out are scored too, and nobody like them was judged"
        )
    lift, low, high = (
        number(headline[f"lift_over_treat_none{end}"], 4, sign=True, minus=HYPHEN)
        for end in ("", "_ci_low", "_ci_high")
    )
    stage.say(
        f"{measured}: {lift} per customer over contacting nobody (95 % interval {low} to {high}), "
        f"{percentage(headline['share_treated'], 1)} contacted"
    )


def check(new: str, listing: Listing, drift: Drift, *, stop: bool) -> None:
    """Warn if the customers differ from those in training; raise InputError if one is there twice."""
    repeated = listing.repeated()
    if repeated:
        first, second = (position + 1 for position in repeated)
        raise InputError(f"{new}: rows {first:,} and {second:,} have the same id; keep one row a customer")
    for name, customers in drift.unknown.items():
        stage.say(
            f"warning: {name}: {customers:,} customers have a level that training never had; taken for a rare one"
        )
    drifted = drift.beyond_chance
    for feature, psi in drifted.items():
        word = "differs a lot" if psi >= LARGE else "differs"
        stage.say(f"warning: {feature} {word} from training: population stability index {psi:.3f}")
    if drifted and stop:
        raise InputError(
            f"{new}: {len(drifted)} features differ from training (population stability index of {SOME} or more); the "
            "champion may be wrong for these customers: --on-drift warn goes on"
        )
    if not drifted:
        stage.say(f"features are distributed as in training (largest population stability index {drift.largest:.3f})")


def options(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("new", metavar="NEW", help="table of customers, or folder of raw files")
    parser.add_argument("--out", required=True, metavar="TABLE", help="where to write: .csv or .parquet")
    parser.add_argument("--id", metavar="COLUMN", help="column of ids (default: as in training)")
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument("--budget", type=float, metavar="MONEY", help="most that contacts may cost in all")
    limit.add_argument("--max-share", type=float, metavar="SHARE", help="most of the customers to contact, 0 to 1")
    parser.add_argument("--only-treated", action="store_true", help="write those to contact alone")
    parser.add_argument("--campaign-date", metavar="DATE", help="folder: only purchases before it count")
    parser.add_argument(
        "--on-drift", choices=("warn", "stop"), default="warn", help="if customers differ from training"
    )


if __name__ == "__main__":
    stage.command(main, __doc__, options)
