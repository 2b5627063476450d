"""What is of the present parameters, data and code, and what is of one run, by DVC's record."""

from pathlib import Path

import pytest
import yaml

from pipeline import lineage
from pipeline.lineage import Lineage, first_difference
from promotions.base.errors import InputError
from tests.support.recorded import record

PARAMS = {"seed": 7, "costs": {"contact": 1, "charged": "on_treatment"}, "learners": {"s": {"trees": 5}}}


def put(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def set_params(**changes):
    put("params.yaml", yaml.safe_dump(PARAMS | changes))


def fit():
    record("fit", ["raw", "src/fit.py"], ["data/effects.csv", "models/s"], seed=7, learners__s={"trees": 5})


def judge():
    record("judge", ["data/effects.csv", "src/judge.py"], ["metrics/answer.json"], costs=PARAMS["costs"])


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """Two stages that have run: fit reads raw/ and writes effects and a model, judge reads effects and answers."""
    monkeypatch.chdir(tmp_path)
    set_params()
    put(".dvcignore", "# bytecode\n__pycache__/\n*.tmp\n")
    for path in ("raw/a.csv", "raw/deep/b.csv", "src/fit.py", "src/judge.py", "data/effects.csv", "models/s/trees.txt"):
        put(path, f"content of {path}")
    put("metrics/answer.json", "{}")
    fit()
    judge()
    return tmp_path


def outdated(path="metrics/answer.json"):
    return Lineage.read().outdated(path)


def test_what_the_present_inputs_give_is_current():
    for path in ("metrics/answer.json", "data/effects.csv", "models/s"):
        assert outdated(path) is None
    Lineage.read().require_current(["metrics/answer.json"], "dvc repro")
    Lineage.read().require_one_run(["metrics/answer.json", "models/s"], "dvc repro")


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        ("metrics/answer.json", "{ }", "it is not what `judge` wrote in its last run by DVC"),
        ("src/judge.py", "another judge", "src/judge.py has changed since `judge` ran"),
        ("src/fit.py", "content of src/fit.px", "src/fit.py has changed since `fit` ran"),
        ("raw/deep/c.csv", "one more", "raw has changed since `fit` ran"),
        ("raw/a.csv", "content of raw/b.csv", "raw has changed since `fit` ran"),
    ],
)
def test_a_file_that_changed_is_named_with_the_first_stage_that_it_concerns(path, text, reason):
    put(path, text)
    assert outdated() == reason


def test_what_dvc_ignores_is_no_change():
    put("raw/__pycache__/a.pyc", "x")
    put("raw/b.tmp", "x")
    assert outdated() is None


def test_what_is_gone_is_said():
    Path("src/judge.py").unlink()
    assert outdated() == "src/judge.py has been removed since `judge` ran"
    Path("metrics/answer.json").unlink()
    assert outdated() == "it is not there"
    with pytest.raises(InputError, match=r"no file at 'metrics/answer.json'; .*: run `dvc repro judge`"):
        Lineage.read().require_current(["metrics/answer.json"], "dvc repro judge")


def test_results_in_between_need_not_be_there_for_what_was_made_of_them():
    Path("data/effects.csv").unlink()
    assert outdated() is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"costs": {"contact": 2, "charged": "on_treatment"}}, "costs.contact is 2 and was 1 when `judge` ran"),
        ({"costs": {"contact": 1}}, "costs.charged is absent and was on_treatment when `judge` ran"),
        ({"seed": 8}, "seed is 8 and was 7 when `fit` ran"),
        ({"learners": {"s": {"trees": 5, "leaves": 3}}}, "learners.s.leaves is 3 and was absent when `fit` ran"),
        ({"learners": {}}, 'learners.s is absent and was {"trees": 5} when `fit` ran'),
    ],
)
def test_a_parameter_that_changed_is_named_with_both_values(changes, reason):
    set_params(**changes)
    assert outdated() == reason
    with pytest.raises(
        InputError, match=r"metrics/answer\.json does not match the present parameters and data: .*run `x`"
    ):
        Lineage.read().require_current(["metrics/answer.json"], "x")


def test_a_parameter_that_concerns_nobody_changes_nothing():
    set_params(explain={"features": 10})
    assert outdated() is None


def test_a_stage_that_has_not_run_since_an_earlier_one_wrote_is_named():
    put("data/effects.csv", "other effects")
    fit()
    assert outdated() == "`fit` has written data/effects.csv anew, and `judge` has not run since"
    assert outdated("data/effects.csv") is None
    judge()
    assert outdated() is None


def test_where_no_run_is_recorded_that_is_the_reason():
    put("metrics/by_hand.json", "{}")
    assert outdated("metrics/by_hand.json") == "dvc.lock records no run that wrote it"
    Path("dvc.lock").unlink()
    assert outdated() == "dvc.lock records no run that wrote it"


@pytest.mark.parametrize("text", ["stages: [", "stages: 3", "<<<<<<< HEAD\nstages:", "stages: {fit: {deps: [3]}}"])
def test_a_lock_that_is_none_is_said_in_one_line(text):
    put("dvc.lock", text)
    with pytest.raises(InputError, match=r"^dvc\.lock cannot be read .* restores the committed one$"):
        Lineage.read()


def test_one_run_stays_one_run_whatever_happens_to_its_inputs():
    set_params(seed=8, learners={})
    put("src/fit.py", "another learner")
    Path("raw/a.csv").unlink()
    Lineage.read().require_one_run(["metrics/answer.json", "models/s"], "dvc repro")


def test_a_model_of_another_run_is_named():
    put("models/s/trees.txt", "other trees")
    with pytest.raises(
        InputError, match=r"models/s and its companions are not from one run: it is not what `fit` wrote .*; run `x`"
    ):
        Lineage.read().require_one_run(["metrics/answer.json", "models/s"], "x")
    put("data/effects.csv", "other effects")
    fit()
    with pytest.raises(
        InputError, match=r"metrics/answer\.json and its companions are not from one run: .*`judge` has not run since"
    ):
        Lineage.read().require_one_run(["models/s", "metrics/answer.json"], "x")


def test_a_run_that_ends_while_files_are_read_is_noticed():
    before = Lineage.read()
    put("metrics/answer.json", '{"more": 1}')
    judge()
    with pytest.raises(InputError, match=r"metrics/answer\.json and its companions are not from one run"):
        before.require_one_run(["metrics/answer.json"], "x")
    with pytest.raises(InputError, match=r"a run has written to dvc\.lock meanwhile"):
        before.require_one_run(["models/s"], "x")


def test_a_stage_under_an_earlier_name_does_not_count():
    document = yaml.safe_load(Path("dvc.lock").read_text())
    ran = document["stages"]["fit"]
    old = ran | {"deps": [dep | {"path": "src/gone.py"} for dep in ran["deps"]]}
    document["stages"] = {"learn": old, **document["stages"]}
    Path("dvc.lock").write_text(yaml.safe_dump(document, sort_keys=False))
    assert outdated() is None
    assert outdated("data/effects.csv") is None


def test_a_folder_that_several_stages_write_into_is_as_current_as_each_of_them():
    for name in ("s", "t"):
        put(f"data/cate/{name}.csv", name)
    put("metrics/mix.json", "{}")
    record("cate@s", ["raw"], ["data/cate/s.csv"], learners__s={"trees": 5})
    record("cate@t", ["raw"], ["data/cate/t.csv"], learners__t={"trees": 5})
    record("mix", ["data/cate"], ["metrics/mix.json"])
    # The learner t is among params.yaml no more; what it left is still what mix has read.
    assert outdated("metrics/mix.json") is None
    set_params(learners={"s": {"trees": 6}})
    assert outdated("metrics/mix.json") == "learners.s.trees is 6 and was 5 when `cate@s` ran"
    set_params()
    put("data/cate/s.csv", "another")
    assert outdated("metrics/mix.json") == "data/cate has changed since `mix` ran"
    with pytest.raises(InputError, match="data/cate has changed since `mix` ran"):
        Lineage.read().require_one_run(["metrics/mix.json"], "x")


def test_large_inputs_are_held_against_their_size_alone(monkeypatch):
    monkeypatch.setattr(lineage, "LARGE", 10)
    put("raw/a.csv", "content of raw/b.csv")
    assert outdated() is None
    put("raw/a.csv", "content of raw/b.csv, and more")
    assert outdated() == "raw has changed since `fit` ran"


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("1e-3", 0.001),
        (1, 1.0),
        ([1, "1e-3"], [1, 0.001]),
        ({"a": None}, {"a": None}),
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}),
    ],
)
def test_values_that_are_the_same_to_dvc_do_not_differ(now, then):
    assert first_difference("key", now, then) is None


@pytest.mark.parametrize(
    ("now", "then", "where"),
    [
        ("a", "A", "key"),
        ("1", "1.0", "key"),
        (None, 0, "key"),
        ([1, 2], [1, 2, 3], "key"),
        ([1, 2], [2, 1], "key"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "key.a.b"),
        ({"a": 1}, {}, "key.a"),
        ({}, 3, "key"),
    ],
)
def test_values_that_differ_are_found_where_they_do(now, then, where):
    assert first_difference("key", now, then)[0] == where
    assert first_difference("key", then, now)[0] == where


def test_what_dvcignore_names_by_its_place_is_no_part_of_a_folder():
    put(".dvcignore", "/data/cate/*.json\n")
    put("data/cate/a.csv", "1")
    put("metrics/gathered.json", "{}")
    record("gather", ["data/cate"], ["metrics/gathered.json"])
    put("data/cate/seconds.json", "{}")
    assert outdated("metrics/gathered.json") is None
    put("data/cate/b.csv", "2")
    assert outdated("metrics/gathered.json") == "data/cate has changed since `gather` ran"


def test_each_pipeline_has_a_record_of_its_own():
    put("metrics/discount.json", "{}")
    targeting = Path("dvc.lock").read_text()
    Path("dvc.lock").unlink()
    record("dose", ["raw"], ["metrics/discount.json"])
    put("discounts/dvc.lock", Path("dvc.lock").read_text())
    put("dvc.lock", targeting)
    assert (outdated("metrics/discount.json"), outdated()) == (None, None)
    put("raw/a.csv", "another")
    assert outdated("metrics/discount.json") == "raw has changed since `dose` ran"
    put("discounts/dvc.lock", "no: [lock")
    with pytest.raises(InputError, match=r"discounts/dvc\.lock cannot be read .*git checkout discounts/dvc\.lock"):
        Lineage.read()


def test_a_file_in_a_folder_that_a_stage_wrote_is_of_that_stage():
    put("data/prepared/roles.json", "{}")
    put("data/prepared/customers.csv", "1")
    record("prepare", ["raw"], ["data/prepared"])
    assert outdated("data/prepared/roles.json") is None
    put("data/prepared/customers.csv", "2")
    assert outdated("data/prepared/roles.json") == "it is not what `prepare` wrote in its last run by DVC"
