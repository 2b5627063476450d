"""Give columns their roles, check them, and ask whether the experiment is sound.

reads   data/ingested/, data/truth/
writes  data/prepared/customers.parquet, data/prepared/roles.json, metrics/experiment.json, plots/balance.csv
"""

from pathlib import Path

import stage
from promotions.customers import OPTIONAL_ROLES, ROLES, Customers, validate
from promotions.experiment import examine, stop_or_drop
from promotions.sources import get_source


def main() -> None:
    """One row a customer, only columns measured before treatment, and the experiment's own figures."""
    name, checks = stage.params("data", "source"), stage.section("checks")
    tables = {path.stem: stage.read_parquet(str(path)) for path in sorted(Path("data/ingested").glob("*.parquet"))}
    raw = get_source(name).to_customers(tables, stage.section("data", name))
    customers = Customers(validate(raw.frame), raw.simulated, dropped=raw.dropped)
    found = examine(customers, checks, stage.generator("prepare"))
    kept = stop_or_drop(customers, found, checks)

    stage.write_parquet("data/prepared/customers.parquet", kept.frame)
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
    metrics = {**stage.label(name, kept.simulated), **found.metrics, "features_dropped": len(kept.dropped)}
    stage.write_json("metrics/experiment.json", metrics)
    stage.write_csv("plots/balance.csv", found.balance.assign(simulated=kept.simulated))
    figures = found.metrics
    stage.say(
        f"{figures['n']:,} customers, {figures['share_treated']:.1%} treated, {len(kept.features)} features; effect "
        f"{figures['ate']:.5f} ({figures['ate_ci_low']:.5f} to {figures['ate_ci_high']:.5f}); "
        f"sample ratio p = {figures['srm_p_value']:.2g}; features tell the arms apart with AUC "
        f"{figures['assignment_auc']:.3f} (p = {figures['assignment_auc_p_value']:.2g})"
        + "".join(f"; left out {column} ({reason})" for column, reason in kept.dropped.items())
    )


if __name__ == "__main__":
    stage.run(main, __doc__)
