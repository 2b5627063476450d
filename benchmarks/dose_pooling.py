"""How many customers of a test a dose needs: the true and the reported lead of the discount rule by this number.

Each replicate draws a log and a test of the simulated shop (``discount.prepare.simulated``), learns responses from
the log, and decides and judges with levels pooled until they have ``discount.policy.least_customers``. Fewer: a finer
rule, which earns more, and wider intervals; an analyst can rely on the lower bound.

    PYTHONPATH=src python -m benchmarks.dose_pooling [replicates]
"""

import sys
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.discount_coverage import (
    FOLDS,
    LEARNERS,
    OUTCOME,
    POLICY,
    RESPONSE,
    features_of,
    from_lot,
    typed,
    workers,
)
from promotions.discount.dose import choice as dose
from promotions.discount.dose import value
from promotions.discount.prepare import simulated, tables
from promotions.discount.prepare.simulated import MARGIN
from promotions.discount.response.curves import Settings, design_levels, learn_responses
from promotions.discount.scores import DoseScores

LOG, TESTS, SHARES, BOUNDS = 15_000, (2_500, 5_000, 10_000, 20_000), (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15), 200
CHOSEN = {name: LEARNERS[name] for name in ("varying_coefficients", "r_learner")}


def leads(seed: int, size: int) -> list[dict[str, Any]]:
    """One log, one test of ``size``, every pooling."""
    rng = np.random.default_rng([61, seed, size])
    log = typed("observational", simulated.draw_observational(LOG, rng))
    test, expected = from_lot(size, rng)
    features, given = features_of(test), test["discount"].to_numpy()
    levels = design_levels(given)
    target = test.drop(columns=["sales", "profit"])
    responses = learn_responses(
        log, target, levels, features, list(tables.PREDICTIONS), CHOSEN, Settings.from_params(RESPONSE), rng
    )
    level = np.searchsorted(levels, given)
    curve = dose.expected_curve(responses.curves, responses.best, MARGIN)
    sales = value.outcome_at_levels(log, test, features, levels, OUTCOME, FOLDS, rng)
    truth = value.Truth.from_frame(expected, test["row"].to_numpy(), levels, MARGIN)
    rows = []
    for share in SHARES:
        least = round(share * size)
        policy = dose.Settings.from_params({**POLICY, "least_customers": least})
        menu = dose.make_menu(levels, np.bincount(level), curve, least)
        doses = dose.decide(responses.curves, menu, MARGIN, policy, test["row"].to_numpy())
        champion = dose.champion_of(doses.columns, policy, responses.best)
        scores = DoseScores(menu.share, level, test["profit"].to_numpy(), MARGIN * sales - levels)
        judged = value.evaluate_doses(doses, menu, responses.curves.supported, scores, rng, BOUNDS)[champion]
        true = value.true_profits(doses, menu, responses.curves.supported, truth)
        lead = judged.versus_best_constant
        best = max(true[name] for name in judged.versus_constants)
        rows.append(
            {
                "least_customers": least,
                "doses": float(menu.seen.sum()),
                "true lead": true[champion] - best,
                "reported lead": lead.value,
                "lower bound": lead.ci_low,
                "half-width": (lead.ci_high - lead.ci_low) / 2,
            }
        )
    return rows


def main(replicates: int) -> None:
    """Print a table for each size of the test; means over replicates, money per customer."""
    with workers() as run:
        for size in TESTS:
            results = pd.DataFrame([row for rows in run(partial(leads, size=size), replicates) for row in rows])
            print(f"test of {size:,} customers, {replicates} replicates")
            print(results.groupby("least_customers").mean().to_string(float_format="{:.2f}".format), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 16)
