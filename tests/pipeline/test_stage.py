"""What every stage shares: files that are whole or absent, parameters that are named, errors in one line."""

import ast
import json
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import stage, tables
from promotions.base.errors import InputError

SRC = Path(__file__).parents[2] / "src"
PARAMS = """
seed: 7
costs: {cost_per_treatment: 1, revenue_per_response: 40}
learners:
  t_learner: {trees: 10}
  s_learner:
evaluate: {replicates: 100}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a params.yaml, and in it."""
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("number", [float("nan"), float("inf"), np.float64("nan"), -np.inf])
def test_json_refuses_what_is_no_number_and_leaves_no_file(project, number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        stage.write_json("metrics/a.json", {"policies": {"profit": [1.0, number]}})
    assert not (project / "metrics").exists()


def test_json_keeps_eight_significant_digits_and_the_types_of_numbers(project):
    stage.write_json(
        "metrics/a.json",
        {
            "a": 1 / 3,
            "b": np.float64(123456.7890123),
            "c": np.int64(3),
            "d": np.bool_(True),
            "e": "ä",
            "f": (0.1 + 0.2,),
        },
    )
    assert (project / "metrics/a.json").read_text().endswith("}\n")
    assert stage.read_json("metrics/a.json") == {
        "a": 0.33333333, "b": 123456.79, "c": 3, "d": True, "e": "ä", "f": [0.3],
    }  # fmt: skip
    assert '"c": 3,' in (project / "metrics/a.json").read_text()


def test_sums_in_another_order_give_the_same_json(project):
    numbers = np.random.default_rng(1).normal(size=10_000)
    for name, order in (("a", numbers), ("b", numbers[::-1])):
        stage.write_json(f"{name}.json", {"sum": order.cumsum()[-1]})
    assert (project / "a.json").read_bytes() == (project / "b.json").read_bytes()


def test_csv_keeps_eight_significant_digits(project):
    stage.write_csv("a.csv", pd.DataFrame({"x": [1 / 3], "n": [2]}))
    assert (project / "a.csv").read_text() == "x,n\n0.33333333,2\n"


def test_a_failing_block_leaves_the_old_file_and_nothing_else(project):
    stage.write_bytes("plots/a.png", b"old")

    def interrupted():
        with stage.replacing("plots/a.png") as temporary:
            temporary.write_bytes(b"half of the new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in (project / "plots").iterdir()] == ["a.png"]
    assert (project / "plots/a.png").read_bytes() == b"old"


def test_a_block_that_ends_well_replaces_the_file(project):
    for content in (b"old", b"new"):
        stage.write_bytes("deep/er/a.png", content)
    assert (project / "deep/er/a.png").read_bytes() == b"new"
    assert len(list((project / "deep/er").iterdir())) == 1


def test_a_table_comes_back_as_it_was_written(project):
    frame = pd.DataFrame({"customer_id": ["a", "b"], "cate": [0.1, 1 / 3]})
    stage.write_parquet("data/a.parquet", frame)
    pd.testing.assert_frame_equal(stage.read_parquet("data/a.parquet"), frame)


@pytest.mark.parametrize("read", [stage.read_parquet, stage.read_json])
def test_a_file_that_no_stage_wrote_is_named_with_what_to_do(project, read):
    with pytest.raises(InputError, match="no file at 'data/absent'; an earlier stage writes it: run `dvc repro`"):
        read("data/absent")


def test_parameters_are_found_by_their_keys(project):
    assert stage.params("costs", "cost_per_treatment") == 1
    assert stage.params("learners") == {"t_learner": {"trees": 10}, "s_learner": None}
    assert stage.learners() == ["t_learner", "s_learner"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (("cost",), "cost is missing; there is seed, costs, learners, evaluate"),
        (("costs", "cost"), r"costs\.cost is missing; there is cost_per_treatment, revenue_per_response"),
        (("seed", "a"), r"seed\.a is missing; its section is 7"),
        (("learners", "s_learner", "model"), r"learners\.s_learner\.model is missing; its section is None"),
    ],
)
def test_a_missing_parameter_is_named_with_those_that_exist(project, keys, message):
    with pytest.raises(InputError, match=message):
        stage.params(*keys)


def test_parameters_that_are_absent_or_no_yaml_are_one_line(project):
    (project / "params.yaml").write_text("a: [1, 2\nb: }")
    with pytest.raises(InputError, match=r"params\.yaml is not valid YAML") as error:
        stage.params("a")
    assert "\n" not in str(error.value)
    (project / "params.yaml").unlink()
    with pytest.raises(InputError, match=r"params\.yaml: no such file in .*; run stages from the project's folder"):
        stage.params("a")


@pytest.mark.parametrize("section", ["learners:", "learners: {}", "learners: [t_learner]"])
def test_a_list_of_learners_that_is_empty_or_no_mapping_is_refused(project, section):
    (project / "params.yaml").write_text(section)
    with pytest.raises(InputError, match=r"^learners: (no learner is listed|expected a section)"):
        stage.learners()


@pytest.mark.parametrize("value", ["99", "100.0", "true", "'200'", "null"])
def test_a_whole_number_has_to_be_one_and_large_enough(project, value):
    assert stage.whole_number("evaluate", "replicates", least=100) == 100
    (project / "params.yaml").write_text(f"evaluate: {{replicates: {value}}}")
    with pytest.raises(InputError, match=r"evaluate\.replicates: expected a whole number of 100 or more, got"):
        stage.whole_number("evaluate", "replicates", least=100)


def test_each_purpose_has_its_own_stream_and_the_same_one_again(project):
    first, again, other, nested = (
        stage.generator(*names).random(3).tolist()
        for names in (("cate",), ("cate",), ("policy",), ("cate", "t_learner"))
    )
    assert first == again
    assert first != other != nested != first
    (project / "params.yaml").write_text("seed: 8")
    assert stage.generator("cate").random(3).tolist() != first


@pytest.mark.parametrize("seed", ["-1", "1.5", "true", "'7'", "null"])
def test_a_seed_that_is_no_whole_number_is_refused(project, seed):
    (project / "params.yaml").write_text(f"seed: {seed}")
    with pytest.raises(InputError, match="seed: expected a whole number of 0 or more, got"):
        stage.generator("cate")


def test_omp_num_threads_lowers_the_number_of_threads_and_never_raises_it(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    available = stage.threads()
    assert available == len(os.sched_getaffinity(0))
    for asked, given in (
        ("1", 1),
        (str(available + 50), available),
        ("0", available),
        ("", available),
        ("two", available),
    ):
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert stage.threads() == given


def run(folder, body, *arguments, stderr=subprocess.PIPE):
    """A stage script in a process of its own."""
    script = folder / "sending.py"
    imports = "from pipeline import stage\nfrom promotions.base.errors import InputError"
    script.write_text(f"{imports}\n\n{body}\n\nstage.run(main, 'Send.')\n")
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    command = [sys.executable, script.name, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True, check=False
    )


def test_a_users_mistake_ends_in_one_line_and_status_two(tmp_path):
    done = run(tmp_path, "def main():\n    raise InputError('no file at x; bring it')")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "error: no file at x; bring it\n")


def test_a_defect_of_ours_keeps_its_traceback(tmp_path):
    done = run(tmp_path, "def main():\n    raise KeyError('x')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("KeyError: 'x'\n")


def test_arguments_come_from_the_command_line_and_success_says_so(tmp_path):
    body = "def main(learner):\n    stage.say(f'fitted {learner}')"
    done = run(tmp_path, body, "t_learner")
    assert (done.returncode, done.stdout, done.stderr) == (0, "sending: fitted t_learner\n", "")
    assert run(tmp_path, body).returncode == 2


# A machine so slow that a hundred seconds pass whenever somebody looks at the clock.
SLOW = """
import itertools, time
time.time = itertools.count(step=100.0).__next__
"""
BARS = {
    "progress": """
    with stage.progress('letters', 3, delay=1) as bar:
        for _ in range(3):
            bar.update()
""",
    "each": """
    for letter in stage.each('abc', 'letters'):
        pass
""",
}


@pytest.mark.parametrize("bar", BARS.values(), ids=BARS)
def test_where_nobody_watches_there_is_no_bar_before_the_error(tmp_path, bar):
    done = run(tmp_path, f"{SLOW}\ndef main():{bar}    raise InputError('no stamps; buy some')")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "error: no stamps; buy some\n")


@pytest.mark.parametrize("bar", BARS.values(), ids=BARS)
def test_at_a_terminal_a_bar_says_what_is_done(tmp_path, bar):
    watched, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    os.set_blocking(watched, False)
    try:
        done = run(tmp_path, f"{SLOW}\ndef main():{bar}", stderr=terminal)
        shown = os.read(watched, 100_000).decode()
    finally:
        os.close(watched)
        os.close(terminal)
    assert (done.returncode, done.stdout) == (0, "")
    assert "letters" in shown
    assert "2/3" in shown


def test_every_bar_is_made_in_one_place():
    """Elsewhere nobody names tqdm, or has a download draw a bar whoever watches."""
    for file in SRC.rglob("*.py"):
        tree = ast.parse(file.read_text())
        modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert ("tqdm" in {module.split(".")[0] for module in modules}) == (file == SRC / "pipeline" / "stage.py"), file
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            options = {option.arg: ast.unparse(option.value) for option in call.keywords}
            assert options.get("progressbar") in (None, "stage.at_terminal()"), file


def test_rows_are_aligned_by_customer_whatever_their_order():
    table = pd.DataFrame({"customer_id": ["b", "c", "a"], "cate": [2.0, 3.0, 1.0]})
    assert tables.aligned(table, pd.Series(["a", "b"]), "t")["cate"].tolist() == [1, 2]
    with pytest.raises(InputError, match="t lacks 2 of 3 customers; run `dvc repro`"):
        tables.aligned(table, pd.Series(["a", "d", "e"]), "t")


def test_cluster_codes_are_those_of_households_or_else_of_customers():
    frame = pd.DataFrame({"customer_id": ["b", "a", "c"], "cluster_id": ["y", "x", "y"]})
    assert tables.codes_of_clusters(frame).tolist() == [1, 0, 1]
    assert tables.codes_of_clusters(frame.drop(columns="cluster_id")).tolist() == [1, 0, 2]


def test_labels_and_json_agree_on_what_is_simulated(project):
    stage.write_json("a.json", stage.label("simulated", True))
    assert json.loads((project / "a.json").read_text()) == {"source": "simulated", "simulated": True}
