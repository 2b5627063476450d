"""The stage discount_prepare as a process: what it writes, what it says, and how it fails."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from promotions.discount.prepare.simulated import POST_TREATMENT, simulate

SRC = Path(__file__).parents[2] / "src"
ROLES = ("observational", "randomised", "cutoff", "panel")
SIZES = {"observational": 1500, "randomised": 1500, "cutoff": 600, "panel": 600}
OUTPUTS = [
    *(f"data/discount/{name}.parquet" for name in (*ROLES, "truth")),
    "data/discount/roles.json",
    "data/discount/truth.json",
    "metrics/discount/prepare.json",
    "plots/discount/post_treatment.csv",
    "plots/discount/post_treatment.png",
]


def prepare(folder: Path, **changes: Any) -> subprocess.CompletedProcess[str]:
    """Run the stage in ``folder`` with the section discount changed."""
    section: dict[str, Any] = {
        "source": "files",
        "running": "tenure",
        "files": {"directory": "raw", **{role: f"{role}.csv" for role in ROLES}},
        "simulated": SIZES,
        "checks": {"alpha": 0.01, "on_identity": "stop"},
        "exclude": [],
        **changes,
    }
    (folder / "params.yaml").write_text(yaml.safe_dump({"seed": 7, "discount": section}))
    return subprocess.run(
        [sys.executable, str(SRC / "discount_prepare.py")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def some(*roles: str) -> dict[str, Any]:
    """Files for these roles only."""
    return {"directory": "raw", **{role: f"{role}.csv" if role in roles else None for role in ROLES}}


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def outputs(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in OUTPUTS if (folder / name).is_file()}


@pytest.fixture(scope="module")
def tables():
    return simulate(SIZES, np.random.default_rng(3)).tables


@pytest.fixture
def folder(tmp_path, tables):
    """A user's folder: one file by semicolons with money as text, one by tabs, one in Windows' encoding."""
    raw = tmp_path / "raw"
    raw.mkdir()
    log = tables["observational"].assign(discount=tables["observational"]["discount"].map("US$ {:.1f}".format))
    log.to_csv(raw / "observational.csv", sep=";", index=False)
    tables["randomised"].to_csv(raw / "randomised.csv", index=False)
    tables["cutoff"].to_csv(raw / "cutoff.csv", sep="\t", index=False, encoding="utf-16")
    tables["panel"].to_csv(raw / "panel.csv", index=False, encoding="cp1252", lineterminator="\r\n")
    return tmp_path


def failed(done, *words):
    """One line, exit status 2, no file."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr
    return True


def test_files_become_four_typed_tables_and_their_roles(folder, tables):
    done = prepare(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "discount_prepare: rows: 1,500 observational, 1,500 randomised, 600 cutoff, 600 panel"
    )
    assert done.stdout.count("\n") == 1
    assert len(outputs(folder)) == len(OUTPUTS)
    for role in ROLES:
        table = pd.read_parquet(folder / f"data/discount/{role}.parquet")
        assert table["row"].tolist() == list(range(SIZES[role]))
        for name in ("sales", "discount", "profit", "age", "tenure"):
            assert table[name].tolist() == tables[role][name].tolist()
        assert pd.api.types.is_string_dtype(table["gender"])
        assert (table["gender"].isna() == tables[role]["gender"].isna().to_numpy()).all()
    roles = read(folder, "data/discount/roles.json")
    assert (roles["source"], roles["simulated"]) == ("files", False)
    assert roles["margins"] == dict.fromkeys(ROLES, 0.05)
    assert roles["tables"] == SIZES
    assert set(roles["barred"]) == set(POST_TREATMENT)
    assert roles["predictions"] == ["sales_prediction", "sales_prediction_bins"]
    expected = [name for name in tables["observational"] if name not in POST_TREATMENT]
    left_out = {"sales", "discount", "profit", "sales_prediction", "sales_prediction_bins", *roles["left_out"]}
    assert roles["features"] == [name for name in expected if name not in left_out]
    assert read(folder, "data/discount/truth.json") == {}
    truth = pd.read_parquet(folder / "data/discount/truth.parquet")
    assert (truth.columns.tolist(), len(truth)) == (["row"], 0)


def test_metrics_and_table_say_what_was_found(folder, tables):
    assert prepare(folder, exclude=["spend_1m_pet"]).returncode == 0
    metrics = read(folder, "metrics/discount/prepare.json")
    assert list(metrics)[:2] == ["source", "simulated"]
    assert metrics["rows"] == SIZES
    assert metrics["missing"]["panel"] == dict.fromkeys(
        ("cells", "gender"), int(tables["panel"]["gender"].isna().sum())
    )
    assert (metrics["identity"]["cutoff"]["margin"], metrics["identity"]["cutoff"]["stated"]) == (0.05, True)
    assert metrics["identity"]["cutoff"]["rows_beyond_a_cent"] == 0
    found = metrics["post_treatment"]
    assert set(found["barred"].split(",")) == {*POST_TREATMENT, "spend_1m_pet"}
    assert found["n_barred"] == len(POST_TREATMENT) + 1
    assert max(found["p_values"][name] for name in POST_TREATMENT) < 0.01
    table = pd.read_csv(folder / "plots/discount/post_treatment.csv")
    header = "column test statistic p_value p_value_holm barred why simulated"
    assert table.columns.tolist() == header.split()
    assert not table["simulated"].any()
    assert table["why"].str.endswith("barred everywhere").eq(table["barred"]).all()
    assert (folder / "plots/discount/post_treatment.png").read_bytes().startswith(b"\x89PNG")


def test_the_simulated_source_needs_no_file_tells_the_truth_and_repeats_itself(tmp_path):
    done = prepare(tmp_path, source="simulated", files={})
    assert done.returncode == 0, done.stderr
    before = outputs(tmp_path)
    assert prepare(tmp_path, source="simulated", files={}).returncode == 0
    assert outputs(tmp_path) == before
    roles, truth = read(tmp_path, "data/discount/roles.json"), read(tmp_path, "data/discount/truth.json")
    assert roles["simulated"] is True
    assert read(tmp_path, "metrics/discount/prepare.json")["simulated"] is True
    contract = "slope_profit_randomised effect_per_dollar_at_cutoff jump_profit did_effect region_effect"
    assert set(contract.split()) <= set(truth)
    assert set(truth["post_treatment"].split(",")) == set(roles["barred"])
    expected = pd.read_parquet(tmp_path / "data/discount/truth.parquet")
    table = pd.read_parquet(tmp_path / "data/discount/randomised.parquet")
    assert expected["row"].tolist() == table["row"].tolist()
    assert set(expected.columns) == {"row", *(f"sales_{level:g}" for level in range(0, 170, 10))}
    assert {f"sales_{level:g}" for level in table["discount"].unique()} <= set(expected.columns)


def test_the_order_of_rows_changes_no_metric(folder, tables):
    assert prepare(folder).returncode == 0
    before = (folder / "metrics/discount/prepare.json").read_bytes()
    mixed = tables["randomised"].sample(frac=1, random_state=1)
    mixed.to_csv(folder / "raw/randomised.csv", index=False)
    assert prepare(folder).returncode == 0
    assert (folder / "metrics/discount/prepare.json").read_bytes() == before


@pytest.mark.parametrize("role", ["randomised", "panel"])
def test_one_table_is_enough(folder, role):
    done = prepare(folder, files=some(role), exclude=["age"])
    assert done.returncode == 0, done.stderr
    roles = read(folder, "data/discount/roles.json")
    assert roles["tables"] == dict.fromkeys(ROLES, 0) | {role: SIZES[role]}
    assert "age" in roles["barred"]
    assert "age" not in roles["features"]
    assert "tenure" in roles["features"]
    for other in ROLES:
        table = pd.read_parquet(folder / f"data/discount/{other}.parquet")
        assert {"row", "sales", "discount", "profit"} <= set(table)
        assert len(table) == (SIZES[role] if other == role else 0)
    if role == "randomised":
        assert set(roles["barred"]) == {*POST_TREATMENT, "age"}
    else:
        assert roles["barred"] == ["age"]
        assert "no randomised table: columns measured after the discount cannot be found, barred: age" in done.stdout


def test_a_single_level_is_left_to_later_stages_and_said(folder, tables):
    one = tables["randomised"]
    one[one["discount"] == 0].to_csv(folder / "raw/randomised.csv", index=False)
    done = prepare(folder)
    assert done.returncode == 0, done.stderr
    assert "one discount only in the randomised table" in done.stdout
    assert read(folder, "metrics/discount/prepare.json")["post_treatment"] == {
        "columns_tested": 0, "columns_too_rare": 0, "n_barred": 0, "barred": "", "p_values": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"files": some()}, ["none of the four tables is given"]),
        ({"files": some("panel") | {"panel": "gone.csv"}}, ["discount.files.panel: no file at 'raw/gone.csv'", "null"]),
        ({"source": "file"}, ["discount.source: 'file' is unknown"]),
        (
            {"source": "simulated", "running": "age"},
            ["discount.running: the simulated cut-off is in tenure, got 'age'"],
        ),
        ({"checks": {"alpha": 0.01}}, ["discount.checks.on_identity is missing"]),
    ],
)
def test_a_wrong_parameter_gets_one_line_and_writes_nothing(folder, changes, words):
    assert failed(prepare(folder, **changes), *words)
    assert outputs(folder) == {}


def test_a_wrong_cell_gets_one_line_and_leaves_what_was_there(folder, tables):
    assert prepare(folder, files=some("randomised", "panel")).returncode == 0
    before = outputs(folder)
    broken = tables["panel"].astype({"month": object})
    broken.loc[11, "month"] = "May"
    broken.to_csv(folder / "raw/panel.csv", index=False)
    done = prepare(folder, files=some("randomised", "panel"))
    assert failed(done, "panel.csv: column 'month', row 12 below the header is 'May'")
    assert outputs(folder) == before
    assert sorted(path.name for path in (folder / "data/discount").iterdir()) == sorted(
        Path(name).name for name in OUTPUTS if name.startswith("data/")
    )


def test_a_broken_identity_stops_or_is_told(folder, tables):
    broken = tables["randomised"].copy()
    broken.loc[4, "profit"] += 9
    broken.to_csv(folder / "raw/randomised.csv", index=False)
    assert failed(
        prepare(folder), "randomised.csv: profit is not margin × sales − discount in 1 of 1,500 rows", "row 5"
    )
    done = prepare(folder, checks={"alpha": 0.01, "on_identity": "warn"})
    assert done.returncode == 0
    assert "randomised: profit is not margin × sales − discount in 1 of 1,500 rows" in done.stdout
    assert read(folder, "metrics/discount/prepare.json")["identity"]["randomised"]["rows_unexplained"] == 1


def test_a_margin_that_can_be_none_stops_or_is_told(folder, tables):
    in_cents = tables["panel"].assign(sales=tables["panel"]["sales"] / 100)
    in_cents.to_csv(folder / "raw/panel.csv", index=False, encoding="cp1252")
    assert failed(prepare(folder), "panel.csv: profit is 5 × sales − discount", "different units")
    done = prepare(folder, checks={"alpha": 0.01, "on_identity": "warn"})
    assert done.returncode == 0
    assert "no margin is stated in panel: profit is taken as it stands" in done.stdout
    assert read(folder, "data/discount/roles.json")["margins"] == dict.fromkeys(
        ("observational", "randomised", "cutoff"), 0.05
    )
