"""The stage `explain` in a small project of its own: whose effects, of which customers, by which method."""

import json

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import yaml

import explain
from promotions.base.encoding import fit_encoder
from promotions.base.errors import InputError
from promotions.base.splitting import assign_segments
from promotions.learners.fitted import LinearEffect, Part, TreeSum

N = 1500
FEATURES = ["paid", "points", "age", "zip"]
PARAMS = {
    "seed": 3,
    "learners": {"dr_learner": {}, "double_ml": {}},
    "explain": {
        "customers": 400,
        "features": 3,
        "alike": 0.9,
        "distilled": {
            "trees": 60, "leaves": 6, "learning_rate": 0.2, "min_leaf": 5,
            "feature_share": 0.7, "row_share": 1, "l2": 0,
        },
    },
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty project, and in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pd.DataFrame):
        content.to_parquet(path)
    else:
        path.write_text(json.dumps(content))


def prepare(folder, protocol, source="simulated"):
    """What the stages before leave: a DR-learner (trees), double ML (a line), and their mixture."""
    rng = np.random.default_rng(5)
    ids = [f"c{number:05d}" for number in range(N)]
    paid = rng.gamma(2, 100, N)
    customers = pd.DataFrame(
        {
            "customer_id": ids,
            "paid": paid,
            "points": 2 * paid,
            "age": np.where(rng.random(N) < 0.2, np.nan, rng.integers(18, 80, N)),
            "zip": rng.choice(["Rural", "Urban", "Suburban"], N),
        }
    )
    part, segment = assign_segments(ids, protocol, {"train": 0.4, "select": 0.2, "final": 0.4}, 5, "salt")
    encoder = fit_encoder(customers[part == "train"], FEATURES)
    matrix = encoder.transform(customers)
    target = np.where(matrix[:, 0] > 200, 0.1, -0.1) + 0.2 * (customers["zip"] == "Urban")
    booster = lgb.train({"num_leaves": 5, "verbose": -1, "num_threads": 1}, lgb.Dataset(matrix, target), 20)
    slopes = np.linspace(0, 0.02, matrix.shape[1])
    formulas = {
        "dr_learner": TreeSum((Part(1.0, booster),)),
        "double_ml": LinearEffect(0.01, slopes, matrix.mean(axis=0), matrix.std(axis=0), 3.0),
    }
    effects = {name: formula.predict(matrix) for name, formula in formulas.items()}
    effects["ensemble"] = 0.5 * effects["dr_learner"] + 0.3 * effects["double_ml"] + 0.002
    # What an earlier round said is not to be taken for the last one's.
    rounds = [
        pd.DataFrame(
            effects if number == segment.max() else {name: -effect for name, effect in effects.items()}
        ).assign(customer_id=ids, round=number)
        for number in range(1, segment.max() + 1)
    ]
    write(folder, "data/effects.parquet", pd.concat(rounds))
    for name, formula in formulas.items():
        (folder / "models/learners" / name).mkdir(parents=True)
        formula.save(folder / "models/learners" / name)
    for name in ("train", "select", "final"):
        table = pd.DataFrame({"customer_id": ids, "fold": 0, "segment": segment})
        write(folder, f"data/split/{name}.parquet", table[part == name])
    write(folder, "data/prepared/customers.parquet", customers)
    write(folder, "data/prepared/roles.json", {"source": source, "simulated": source == "simulated"})
    write(folder, "models/encoder.json", encoder.to_json())
    weights = {"dr_learner": 0.5, "double_ml": 0.3, "constant": 0.2}
    write(folder, "metrics/ensemble.json", {"weights": weights})
    (folder / "data/dictionary.csv").write_text("name,meaning,unit\npaid,Money on all receipts,money\n")
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    return pd.DataFrame({"part": part, "segment": segment, **effects}, index=ids)


def metrics(folder, learner):
    return json.loads((folder / "data/explanations" / learner / "explain.json").read_text())


@pytest.mark.parametrize("protocol", ["holdout", "nested"])
def test_contributions_of_reporting_customers_add_up_to_the_last_rounds_effect(folder, protocol):
    truth = prepare(folder, protocol)
    explain.main()
    found = metrics(folder, "dr_learner")
    assert (found["learner"], found["method"], found["fidelity"]) == ("dr_learner", "exact", 1)
    assert list(found)[:2] == ["source", "simulated"]
    table = pd.read_parquet(folder / "data/explanations/dr_learner/contributions.parquet").set_index("customer_id")
    assert list(table) == FEATURES
    assert set(table.dtypes) == {np.dtype("float32")}
    rows = truth.loc[table.index]
    assert (rows["part"] == "final").all()
    assert (rows["segment"] == truth["segment"].max()).all()
    assert len(table) == found["n_explained"] == min(400, len(rows))
    np.testing.assert_allclose(table.sum(axis=1) + found["expected_effect"], rows["dr_learner"], atol=1e-6)
    assert "highest for Urban" in found["features"]["zip"]["direction"]


def test_of_a_mixture_the_trees_are_explained_exactly_and_the_rest_is_distilled(folder):
    prepare(folder, "holdout")
    explain.main()
    found = metrics(folder, "ensemble")
    assert found["learner"] == "ensemble"
    assert found["method"] == "partly distilled"
    assert found["explained_exactly"] == "dr_learner"
    assert 0.9 < found["fidelity"] < 1


def test_the_dictionary_speaks_of_purchases_alone(folder):
    prepare(folder, "holdout", source="table")
    explain.main()
    table = pd.read_csv(folder / "data/explanations/double_ml/explain.csv").set_index("feature")
    assert len(table) == 3
    assert (table["meaning"] == table.index).all()
    pair = table["together_with"].dropna()
    assert {pair.index.item(), pair.item()} == {"paid", "points"}
    assert (table["method"] == "distilled").all()
    assert not table["simulated"].any()


def test_a_model_that_is_not_the_one_behind_the_effects_is_refused(folder):
    prepare(folder, "holdout")
    stale = pd.read_parquet("data/effects.parquet")
    stale.assign(dr_learner=stale["dr_learner"] * 1.01).to_parquet("data/effects.parquet")
    with pytest.raises(InputError, match="dr_learner does not give the effects of dr_learner in data/effects"):
        explain.main()


def test_threads_change_no_byte(folder, monkeypatch):
    prepare(folder, "holdout")
    written = []
    for threads in (1, 2):
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        explain.main()
        files = sorted((folder / "data/explanations").rglob("*.*"))
        written.append({str(file): file.read_bytes() for file in files})
    assert len(written[0]) == 3 * 4
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("customers", 5, r"explain\.customers: expected"),
        ("features", 0, r"explain\.features: expected"),
        ("alike", 1.5, r"explain\.alike: expected"),
        ("distilled", {"tree": 3}, r"explain\.distilled\.tree is unknown"),
        ("other", 3, r"explain\.other is unknown"),
    ],
)
def test_a_wrong_parameter_is_named(folder, key, value, message):
    (folder / "params.yaml").write_text(yaml.safe_dump({**PARAMS, "explain": {**PARAMS["explain"], key: value}}))
    with pytest.raises(InputError, match=message):
        explain.main()
