"""Trials that outlive an interruption, and the stage that is interrupted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import stage, trials

SRC = Path(__file__).parents[2] / "src"
SMALL = "{trees: 30, leaves: 4, learning_rate: 0.1, min_leaf: 20, feature_share: 1, row_share: 1, l2: 1}"
PARAMS = f"""
seed: 7
costs: {{cost_per_treatment: 1, revenue_per_response: 40, charged: on_treatment}}
split: {{max_levels: 5}}
nuisance: {SMALL}
learners:
  s_learner: {{model: {SMALL}}}
  dr_learner: {{effect: {SMALL}}}
ensemble: {{method: stacking}}
policy: {{weighted: {SMALL.replace("leaves: 4", "leaves: [2, 4]")}}}
stability: {{trials: 4, customers: null, ratios: [1/20, 1/4], train_share: 0.65, folds: 3, learners: all}}
"""
OUTPUTS = ("metrics/stability.json", "plots/stability.csv", "plots/stability.png")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, and in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "trials"


def run(number):
    return pd.DataFrame({"policy": ["a"], "dr": [1 / (number + 3)]})


def collect(count, fingerprint="one", run=run):
    """The trials, and the numbers of those that were run."""
    done, kept = [], []
    tables = trials.collect("trials", fingerprint, count, lambda k: done.append(k) or run(k), kept.append)
    assert sorted(done + kept) == list(range(count))
    return tables, done


def test_more_trials_add_to_those_that_are_there_and_fewer_take_the_first(folder, capsys):
    first, done = collect(2)
    assert done == [0, 1]
    more, done = collect(4)
    assert done == [2, 3]
    assert "2 of 4 trials are there already" in capsys.readouterr().out
    fewer, done = collect(3)
    assert done == []
    assert len(list(folder.iterdir())) == 4
    for table, again in zip(first, more, strict=False):
        pd.testing.assert_frame_equal(table, again, check_exact=True)
    pd.testing.assert_frame_equal(pd.concat(fewer), pd.concat([run(k) for k in range(3)]), check_exact=True)


def test_trials_of_another_kind_are_discarded_and_said_so(folder, capsys):
    collect(3)
    assert "discarded" not in capsys.readouterr().out
    _, done = collect(1, "two")
    assert done == [0]
    assert "3 trials of other data, parameters or code discarded" in capsys.readouterr().out
    assert len(list(folder.iterdir())) == 1


def test_what_is_no_trial_is_not_taken_for_one(folder):
    collect(4)
    (folder / "trial_001.parquet").write_bytes(b"half a trial")
    run(1).to_parquet(folder / "trial_002.parquet")
    (folder / ".trial_004.77.parquet").write_bytes(b"was being written")
    _, done = collect(4)
    assert done == [1, 2]
    assert sorted(path.name for path in folder.iterdir()) == [f"trial_00{k}.parquet" for k in range(4)]


def test_a_trial_that_fails_leaves_those_before_it(folder):
    def fails(number):
        if number == 2:
            raise KeyboardInterrupt
        return run(number)

    with pytest.raises(KeyboardInterrupt):
        collect(4, run=fails)
    assert sorted(path.name for path in folder.iterdir()) == ["trial_000.parquet", "trial_001.parquet"]
    assert collect(4)[1] == [2, 3]


def test_a_fingerprint_is_of_content_settings_and_code(folder, tmp_path, monkeypatch):
    Path("data").write_text("a")
    settings = {"seed": 1, "ratios": ["1/40"]}
    same = trials.fingerprint(["data"], settings)
    assert trials.fingerprint(["data"], dict(reversed(settings.items()))) == same
    os.utime("data", (1, 1))
    assert trials.fingerprint(["data"], settings) == same
    assert trials.fingerprint(["data"], settings | {"seed": 2}) != same
    Path("data").write_text("b")
    assert trials.fingerprint(["data"], settings) != same
    Path("data").write_text("a")
    changed = tmp_path / "errors.py"
    changed.write_text("# another library")
    monkeypatch.setattr(sys.modules["promotions.base.errors"], "__file__", str(changed))
    assert trials.fingerprint(["data"], settings) != same


def test_a_trial_loads_no_module_that_its_fingerprint_would_not_know():
    script = f"""
import sys, yaml
import numpy as np, pandas as pd
import stability
from promotions.stability import Procedure, Subjects, run_trial
params = yaml.safe_load({PARAMS!r})
sections = yaml.safe_load(open({str(SRC.parent / "params.yaml")!r}))["learners"]
del sections["uplift_forest"]  # causalml takes seconds to import, and is the only other thing that it imports
chosen = Procedure.from_params(params["stability"], sections, ensemble=params["ensemble"], nuisance=params["nuisance"],
    policies=params["policy"], charged="on_treatment", max_levels=5)
before = {{name for name in sys.modules if name.startswith("promotions")}}
rng = np.random.default_rng(1)
y, t = rng.integers(2, size=1200).astype(float), rng.integers(2, size=1200).astype(np.int8)
features = pd.DataFrame(rng.normal(size=(1200, 2)), columns=["a", "b"])
run_trial(Subjects(features, y, t, np.full(1200, .5), np.arange(1200)), chosen, (1, 2))
print(sorted({{name for name in sys.modules if name.startswith("promotions")}} - before))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=os.environ | {"PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder as `prepare` leaves it, and what the stage writes there if nobody interrupts it."""
    project = tmp_path_factory.mktemp("prepared")
    rng = np.random.default_rng(3)
    n = 3000
    table = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    tau = np.where(table["a"] > 0, 0.3, 0.0)
    ids = [f"{number:05d}" for number in range(n)]
    treatment = rng.integers(2, size=n).astype(np.int8)
    outcome = (rng.random(n) < 0.3 + treatment * tau).astype(float)
    roles = pd.DataFrame({"customer_id": ids, "treatment": treatment, "outcome": outcome, "propensity": 0.5})
    here = Path.cwd()
    os.chdir(project)
    try:
        stage.write_parquet("data/prepared/customers.parquet", roles.join(table))
        stage.write_parquet("data/truth/customers.parquet", pd.DataFrame({"customer_id": ids, "mu0": 0.3, "tau": tau}))
        stage.write_json("data/prepared/roles.json", {"source": "simulated", "simulated": True})
        Path("params.yaml").write_text(PARAMS)
    finally:
        os.chdir(here)
    done = start(project).communicate()
    assert "4 trials of 3,000 of 3,000 customers, 1,050 tested; most often best: " in done[0]
    return project, contents(project)


def start(project, threads=1, by=()):
    return subprocess.Popen(
        [sys.executable, *by, str(SRC / "stability.py")],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(SRC), "OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def contents(project):
    return {name: (project / name).read_bytes() for name in OUTPUTS}


def forget(project):
    for path in [*(project / "data/stability").iterdir(), *(project / name for name in OUTPUTS)]:
        path.unlink()


# Runs a script, and kills it at the moment when the third trial is to take its place.
KILLING = """
import os, runpy, signal, sys

def kill_at_the_third(event, arguments):
    if event == "os.rename" and os.path.basename(arguments[1]) == "trial_002.parquet":
        os.kill(os.getpid(), signal.SIGKILL)

del sys.argv[0]
sys.addaudithook(kill_at_the_third)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_stage_killed_and_started_again_writes_the_same_bytes(prepared):
    project, whole = prepared
    forget(project)
    process = start(project, by=("-c", KILLING))
    _, error = process.communicate()
    assert process.returncode == -signal.SIGKILL, error
    there = sorted(path.name for path in (project / "data/stability").glob("trial_*"))
    assert there == ["trial_000.parquet", "trial_001.parquet"]
    assert list((project / "data/stability").glob(".trial_002.*"))
    assert not (project / OUTPUTS[0]).exists()
    said = start(project, threads=2).communicate()[0]
    assert "stability: 2 of 4 trials are there already" in said
    assert not list((project / "data/stability").glob(".trial_*"))
    assert contents(project) == whole


def test_a_changed_parameter_or_customer_runs_every_trial_anew_and_a_cost_none(prepared):
    project, whole = prepared
    params = project / "params.yaml"
    customers = project / "data/prepared/customers.parquet"
    original = customers.read_bytes()
    try:
        params.write_text(PARAMS.replace("cost_per_treatment: 1", "cost_per_treatment: 3"))
        assert "4 of 4 trials are there already" in start(project).communicate()[0]
        assert contents(project) == whole
        params.write_text(PARAMS.replace("trials: 4", "trials: 2").replace("train_share: 0.65", "train_share: 0.5"))
        assert "4 trials of other data, parameters or code discarded" in start(project).communicate()[0]
        assert contents(project)[OUTPUTS[0]] != whole[OUTPUTS[0]]
        pd.read_parquet(customers).assign(a=0.5).to_parquet(customers, index=False)
        assert "2 trials of other" in start(project).communicate()[0]
    finally:
        params.write_text(PARAMS)
        customers.write_bytes(original)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1/20", "1/x", "stability.ratios: expected numbers or fractions"),
        ("trials: 4", "trials: none", "stability.trials: expected a whole number of 2 or more, got 'none'"),
    ],
)
def test_a_wrong_parameter_is_one_line(prepared, old, new, message):
    project, _ = prepared
    params = project / "params.yaml"
    params.write_text(PARAMS.replace(old, new))
    try:
        process = start(project)
        out, error = process.communicate()
    finally:
        params.write_text(PARAMS)
    assert process.returncode == 2
    assert out == ""
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1
