"""Read the tables of discounts, give columns their types, and bar the columns measured after the discount.

reads   the files that discount.files names; none if discount.source is simulated
writes  data/discount/{observational,randomised,cutoff,panel}.parquet (without rows where the user has no such table),
        data/discount/roles.json, data/discount/truth.{json,parquet} (empty unless simulated),
        metrics/discount/prepare.json, plots/discount/post_treatment.{csv,png}
"""

from pathlib import Path

import pandas as pd

from pipeline import stage
from promotions.base.errors import InputError
from promotions.base.validation import require_choice
from promotions.discount.prepare import identity, post_treatment, simulated, tables
from promotions.discount.prepare.tables import ROLES
from promotions.plots.discount.prepare import post_treatment as draw_post_treatment
from promotions.plots.style import png_bytes
from promotions.user_files import user_file


def main() -> None:
    """Four typed tables, and which of their columns are features."""
    source = require_choice(stage.params("discount", "source"), ("simulated", "files"), "discount.source")
    checks = stage.section("discount", "checks", expected=("alpha", "on_identity"))
    label = stage.label(source, source == "simulated")
    truth, expected = {}, pd.DataFrame({"row": pd.Series(dtype="int64")})
    if source == "simulated":
        drawn = simulated.simulate(stage.section("discount", "simulated"), stage.generator("discount"))
        raw, truth, expected = drawn.tables, drawn.truth, drawn.expected
        names = {role: f"the simulated {role} table" for role in raw}
    else:
        raw, names = read_files()
    exclude = tables.require_excluded(stage.params("discount", "exclude"), raw)
    typed = tables.typed_tables(raw, running_variable(source), names, exclude)
    rows = {role: len(typed[role]) for role in ROLES}
    identities = identity.check_identity(typed, names, checks["on_identity"])
    table = post_treatment.post_treatment_table(typed["randomised"], checks["alpha"], exclude)
    barred = post_treatment.barred_columns(table, typed)
    features, left_out = tables.usable_features(typed, barred)
    picture = draw_post_treatment(table, alpha=checks["alpha"], simulated=label["simulated"])
    roles = {
        "margins": identity.stated_margins(identities),
        "features": features,
        "predictions": tables.predictions(typed, barred),
        "barred": barred,
        "left_out": left_out,
        "tables": rows,
    }
    metrics = {
        "rows": rows,
        "missing": tables.missing_cells(typed),
        "identity": identity.identity_metrics(identities),
        "features": len(features),
        "post_treatment": post_treatment.post_treatment_metrics(table, barred),
    }
    bytes_of_picture = png_bytes(picture)

    for role in ROLES:
        stage.write_parquet(f"data/discount/{role}.parquet", typed[role])
    stage.write_parquet("data/discount/truth.parquet", expected)
    stage.write_json("data/discount/truth.json", truth)
    stage.write_json("data/discount/roles.json", label | roles)
    stage.write_json("metrics/discount/prepare.json", label | metrics)
    stage.write_csv("plots/discount/post_treatment.csv", table.assign(simulated=label["simulated"]))
    stage.write_bytes("plots/discount/post_treatment.png", bytes_of_picture)
    barred_text = post_treatment.post_treatment_text(barred, typed["randomised"])
    notes = [f"left out {name} ({why})" for name, why in left_out.items()] + identity.margins_text(identities, typed)
    stage.say("; ".join([tables.rows_text(rows), f"{len(features)} features", barred_text, *notes]))


def running_variable(source: str) -> str:
    """The cut-off's running variable; the simulation has its own."""
    running = stage.params("discount", "running")
    if source == "simulated" and running != simulated.RUNNING:
        raise InputError(f"discount.running: the simulated cut-off is in {simulated.RUNNING}, got {running!r}")
    if not isinstance(running, str):
        raise InputError(f"discount.running: expected the name of a column, got {running!r}")
    return running


def read_files() -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """By role, the tables that the user has and the names of their files."""
    files = stage.section("discount", "files", expected=("directory", *ROLES))
    raw, names = {}, {}
    for role in ROLES:
        if files[role] is None:
            continue
        path = Path(str(files["directory"])) / str(files[role])
        file = user_file(str(path), f"discount.files.{role}", "name yours there, or write null if you have none")
        raw[role], names[role] = file.frame(as_text=True), path.name
    return raw, names


if __name__ == "__main__":
    stage.run(main, __doc__)
