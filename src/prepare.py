"""Give columns their roles, check them, and test the experiment, or find what can be compared without one.

reads   data/ingested/, data/truth/, and for x5 the log of purchases in data.x5.directory
writes  data/prepared/customers.parquet, data/prepared/to_score.parquet (customers outside the experiment, if any),
        data/prepared/roles.json, metrics/experiment.json, plots/balance.{csv,png}, plots/overlap.png,
        plots/soundness.csv
"""

from dataclasses import replace
from pathlib import Path

from pipeline import stage
from promotions.customers import OPTIONAL_ROLES, ROLES, Customers, validate
from promotions.plots.soundness.balance import balance
from promotions.plots.soundness.overlap import overlap, weighted_balance
from promotions.plots.style import png_bytes
from promotions.soundness.experiment import examine, soundness_lines, stop_or_drop
from promotions.soundness.observational import FITS, Observed, observe
from promotions.sources import Ingested, get_source


def main() -> None:
    """Write one row a customer, with only columns measured before treatment, and the figures of the experiment."""
    name, checks = stage.params("data", "source"), stage.section("checks")
    with stage.progress("purchases", 100, unit="%", delay=1) as bar:
        tables = Ingested(
            Path("data/ingested"),
            threads=stage.threads(),
            memory=str(stage.params("data", "memory_limit")),
            progress=lambda share: bar.update(round(100 * share) - bar.n),
        )
        raw = get_source(name).to_customers(tables, stage.section("data", name))
    estimated = raw.overlap is not None
    customers = replace(raw, frame=validate(raw.frame, propensity=not estimated))
    for note in customers.notes:
        stage.say(note)
    findings = estimate(customers) if estimated else examine(customers, checks, stage.generator("prepare"))
    print(soundness_lines(findings.table), flush=True)
    if isinstance(findings, Observed):
        kept, chances, roles = findings.customers, findings.chances, {"propensity": "estimated"}
        for note in findings.notes:
            stage.say(note)
    else:
        kept, roles = stop_or_drop(customers, findings, checks), {}
        chances = kept.frame[["treatment", "propensity"]]

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
            **roles,
        },
    )
    metrics = findings.metrics | kept.counts | {"features_dropped": len(kept.dropped)}
    stage.write_json("metrics/experiment.json", {**stage.label(name, kept.simulated), **metrics})
    stage.write_csv("plots/balance.csv", findings.balance.assign(simulated=kept.simulated))
    stage.write_csv("plots/soundness.csv", findings.table.assign(simulated=kept.simulated))
    pictures = {
        "balance": (weighted_balance if estimated else balance)(findings.balance, simulated=kept.simulated),
        "overlap": overlap(chances, limit=kept.overlap, simulated=kept.simulated),
    }
    for picture, figure in pictures.items():
        stage.write_bytes(f"plots/{picture}.png", png_bytes(figure))
    left_out = "".join(f"; left out {column} ({reason})" for column, reason in kept.dropped.items())
    stage.say(f"{len(kept.frame):,} customers, {len(kept.features)} features{left_out}")


def estimate(customers: Customers) -> Observed:
    """The comparable customers without a design: chances of treatment are estimated from the features."""
    levels = stage.whole_number("split", "max_levels", least=1)
    with stage.progress("chances of treatment", FITS, delay=5) as bar:
        return observe(customers, stage.generator("prepare"), levels, stage.threads(), bar.update)


if __name__ == "__main__":
    stage.run(main, __doc__)
