"""Give columns their roles, check them, and ask whether the experiment is sound.

reads   data/ingested/, data/truth/, and for x5 the log of purchases in data.x5.directory
writes  data/prepared/customers.parquet, data/prepared/to_score.parquet (customers outside the experiment, if any),
        data/prepared/roles.json, metrics/experiment.json, plots/balance.{csv,png}, plots/soundness.csv
"""

from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

import stage
from promotions import plots
from promotions.customers import OPTIONAL_ROLES, ROLES, validate
from promotions.experiment import examine, soundness_lines, stop_or_drop
from promotions.sources import Ingested, get_source


def main() -> None:
    """One row a customer, only columns measured before treatment, and the experiment's own figures."""
    name, checks = stage.params("data", "source"), stage.section("checks")
    with tqdm(total=100, desc="purchases", unit="%", leave=False, delay=1) as bar:
        tables = Ingested(
            Path("data/ingested"),
            threads=stage.threads(),
            memory=str(stage.params("data", "memory_limit")),
            progress=lambda share: bar.update(round(100 * share) - bar.n),
        )
        raw = get_source(name).to_customers(tables, stage.section("data", name))
    customers = replace(raw, frame=validate(raw.frame))
    for note in customers.notes:
        stage.say(note)
    found = examine(customers, checks, stage.generator("prepare"))
    print(soundness_lines(found.table), flush=True)
    kept = stop_or_drop(customers, found, checks)

    stage.write_parquet("data/prepared/customers.parquet", kept.frame)
    stage.write_parquet("data/prepared/to_score.parquet", kept.to_score)
    stage.write_json(
        "data/prepared/roles.json",
        {
            "source": name,
            "simulated": kept.simulated,
            "roles": [role for role in ROLES + OPTIONAL_ROLES if role in kept.frame],
            "features": kept.features,
            "dropped": kept.dropped,
        },
    )
    metrics = found.metrics | kept.counts | {"features_dropped": len(kept.dropped)}
    stage.write_json("metrics/experiment.json", {**stage.label(name, kept.simulated), **metrics})
    stage.write_csv("plots/balance.csv", found.balance.assign(simulated=kept.simulated))
    stage.write_csv("plots/soundness.csv", found.table.assign(simulated=kept.simulated))
    stage.write_bytes("plots/balance.png", plots.png_bytes(plots.balance(found.balance, simulated=kept.simulated)))
    left_out = "".join(f"; left out {column} ({reason})" for column, reason in kept.dropped.items())
    stage.say(f"{len(kept.frame):,} customers, {len(kept.features)} features{left_out}")


if __name__ == "__main__":
    stage.run(main, __doc__)
