"""Publish the explanation of the effects behind the champion.

reads   data/champion_learner.json (whose effects), data/contributions/<learner>/
writes  metrics/explain.json, plots/explain.csv, plots/explain.png, plots/dependence.png
"""

from pathlib import Path

import stage
from promotions.errors import InputError

PUBLISHED = ("metrics/explain.json", "plots/explain.csv", "plots/explain.png", "plots/dependence.png")


def main() -> None:
    """Each learner has been explained; the champion's learner is shown."""
    learner = stage.read_json("data/champion_learner.json")["learner"]
    folder = Path("data/contributions", learner)
    for path in PUBLISHED:
        source = folder / Path(path).name
        if not source.is_file():
            raise InputError(f"no file at '{source}'; the stage contributions writes it: run `dvc repro`")
        stage.write_bytes(path, source.read_bytes())
    told = stage.read_json(f"{folder}/explain.json")
    stage.say(
        f"effect of {learner}, {told['method']}, fidelity {told['fidelity']:.3f}, {told['n_explained']:,} customers; "
        f"most telling: {', '.join(list(told['features'])[:3])}"
    )


if __name__ == "__main__":
    stage.run(main, __doc__)
