"""Does `data.table.propensity: estimate` find the effect if nobody drew lots? Simulations with known truth.

Each replicate draws customers of the process ``confounded``, in which customers who would have bought anyway are
treated more often, and does what `prepare` does: it estimates the chances of treatment, leaves out customers without
comparison, and measures the effect by three methods. It prints for each method the mean error, the spread over the
replicates beside the claimed standard error, and how often the 95 % interval covers the true mean effect of the
customers who are left.

    PYTHONPATH=src python -m benchmarks.observational [replicates] [customers]
"""

import sys
from functools import partial

import numpy as np
import pandas as pd

from benchmarks.processes import draw
from promotions.base.parallel import run_side_by_side
from promotions.customers import Customers, validate
from promotions.soundness.observational import observe

OVERLAP = 0.05
METHODS = {"naive_difference": "naive", "weighted_difference": "weighted", "ate": "doubly robust"}


def replicate(seed: int, customers: int, process: str = "confounded") -> dict[str, float]:
    """The error, the standard error and the coverage of each method; and the share left out."""
    world = draw(process, customers, seed)
    frame = pd.DataFrame(world.X, columns=[f"x{column}" for column in range(world.X.shape[1])])
    frame = frame.assign(customer_id=np.arange(customers).astype(str), treatment=world.treatment, outcome=world.y)
    observed = observe(Customers(validate(frame, propensity=False), overlap=OVERLAP), np.random.default_rng([4, seed]))
    truth = float(world.tau[observed.customers.frame["customer_id"].astype(int)].mean())
    facts = {name: value for name, value in observed.metrics.items() if isinstance(value, (int, float))}
    row = {"left out": facts["share_left_out"]}
    for name, words in METHODS.items():
        row[f"{words}, error"] = facts[name] - truth
        row[f"{words}, se"] = facts[f"{name}_se"]
        row[f"{words}, covers"] = float(facts[f"{name}_ci_low"] <= truth <= facts[f"{name}_ci_high"])
    return row


def main(replicates: int, customers: int) -> None:
    """Run and print."""
    tasks = [partial(replicate, seed, customers) for seed in range(replicates)]
    rows = pd.DataFrame(run_side_by_side(tasks, 2))
    print(f"{replicates} replicates of {customers:,} customers, {rows['left out'].mean():.1%} of them left out")
    print(f"  {'method':16s}{'mean error':>12s}{'spread':>10s}{'claimed':>10s}{'covers':>9s}")
    for words in METHODS.values():
        error = rows[f"{words}, error"]
        print(
            f"  {words:16s}{error.mean():+12.4f}{error.std():10.4f}{rows[f'{words}, se'].mean():10.4f}"
            f"{rows[f'{words}, covers'].mean():9.1%}"
        )


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*(given + [100, 5000][len(given) :]))
