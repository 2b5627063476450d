"""A folder of raw purchases through the pipeline, and broken experiments that are caught in it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.support.project import FEW, Project, copy_project
from tests.support.raw_layout import SHARED, Layout, needs_x5, real_histories, small_layout, write_layout

CUSTOMERS = 8000


def use_folder(project: Project, **settings: object) -> None:
    """Point params.yaml at the folder raw/ of the project."""

    def change(content: dict) -> None:
        content["data"]["source"] = "x5"
        content["data"]["x5"] |= {"directory": "raw", **settings}

    project.params(change)


def write_parquet(folder: Path, layout: Layout) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, table in layout.items():
        if name != "truth":
            table.to_parquet(folder / f"{name}.parquet")


@pytest.fixture(scope="module")
def layout() -> Layout:
    return small_layout(CUSTOMERS, seed=11)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = copy_project(tmp_path_factory.mktemp("x5"))
    use_folder(project)
    project.commit("x5")
    return project


@pytest.fixture
def project(shared: Project) -> Iterator[Project]:
    yield shared
    shared.run("git", "checkout", "-q", "--", ".")
    shared.run("git", "clean", "-qfdx")


def test_a_folder_of_csv_files_gives_decisions(fresh: Project, layout: Layout) -> None:
    to_score = layout["uplift_train"].index % 5 == 0
    tables = layout | {
        "uplift_train": layout["uplift_train"][~to_score],
        "uplift_test": layout["uplift_train"].loc[to_score, ["client_id"]],
    }
    write_layout(fresh.folder / "raw", tables)
    fresh.keep_learners(FEW)
    use_folder(fresh)
    ran = fresh.dvc("repro", "evaluate")
    assert "first_redeem_date' is on or after the campaign" in ran
    headline, experiment = fresh.metric("headline"), fresh.metric("experiment")
    assert headline["source"] == "x5"
    assert headline["simulated"] is False
    assert "oracle_profit_per_customer" not in headline
    assert experiment["n"] == CUSTOMERS * 4 // 5
    assert experiment["purchase_rows"] == len(layout["purchases"])
    scored = pd.read_parquet(fresh.folder / "data/prepared/to_score.parquet")
    assert len(scored) == CUSTOMERS // 5
    assert fresh.stages_run(fresh.dvc("repro", "evaluate")) == []

    metrics = fresh.metrics()
    purchases = layout["purchases"].sample(frac=1, random_state=3)
    purchases.to_csv(fresh.folder / "raw" / "purchases.csv", index=False)
    assert fresh.stages_run(fresh.dvc("repro", "evaluate"))[:2] == ["ingest", "prepare"]
    assert fresh.metrics() == metrics


def fewer_controls(layout: Layout) -> Layout:
    """Controls went missing until 52 % are treated."""
    labels = layout["uplift_train"]
    treated = int(labels["treatment_flg"].sum())
    controls = labels[labels["treatment_flg"] == 0].head(round(treated * 48 / 52))
    return layout | {"uplift_train": pd.concat([labels[labels["treatment_flg"] == 1], controls])}


def treated(layout: Layout, table: str) -> "pd.Series[bool]":
    arm = layout["uplift_train"].set_index("client_id")["treatment_flg"]
    return layout[table]["client_id"].map(arm) == 1


def older_when_treated(layout: Layout) -> Layout:
    """Recorded ages of treated customers are three years higher."""
    clients = layout["clients"]
    return layout | {"clients": clients.assign(age=clients["age"] + 3 * treated(layout, "clients"))}


def spread_when_treated(layout: Layout) -> Layout:
    """Ages of treated customers have the same mean and a smaller spread."""
    clients, inside = layout["clients"], layout["clients"]["age"].between(14, 100)
    mean = clients.loc[inside, "age"].mean()
    squeezed = clients["age"].where(~(inside & treated(layout, "clients")), (0.3 * mean + 0.7 * clients["age"]).round())
    return layout | {"clients": clients.assign(age=squeezed.astype(int))}


def later_receipts(layout: Layout) -> Layout:
    """Treated customers who responded have bought again, after the campaign."""
    labels = layout["uplift_train"]
    responded = labels[(labels["treatment_flg"] == 1) & (labels["target"] == 1)]["client_id"]
    log = layout["purchases"]
    again = log[log["client_id"].isin(responded)].drop_duplicates("client_id")
    again = again.assign(
        transaction_id="again" + again["transaction_id"], transaction_datetime=pd.Timestamp("2019-03-25 12:00:00")
    )
    return layout | {"purchases": pd.concat([log, again])}


@pytest.mark.parametrize(
    ("plant", "campaign", "expected"),
    [
        (fewer_controls, "2019-03-19", "sample ratio mismatch: 0.5200 of "),
        (older_when_treated, "2019-03-19", "column 'age' depends on treatment (difference 0.2"),
        (
            spread_when_treated,
            "2019-03-19",
            "column 'age' depends on treatment (its distribution differs, corrected p =",
        ),
        (later_receipts, "2019-04-01", "'days_since_last_order' (difference"),
    ],
)
def test_a_broken_experiment_is_stopped(
    project: Project, layout: Layout, plant: Callable[[Layout], Layout], campaign: str, expected: str
) -> None:
    write_parquet(project.folder / "raw", plant(layout))
    use_folder(project, campaign_date=campaign)
    assert project.run("python", "src/ingest.py").returncode == 0
    done = project.run("python", "src/prepare.py")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert expected in done.stderr
    assert "broken" in done.stdout
    assert not (project.folder / "data/prepared").exists()


def test_the_same_receipts_before_the_campaign_date_are_left_out(project: Project, layout: Layout) -> None:
    planted = later_receipts(layout)
    write_parquet(project.folder / "raw", planted)
    assert project.run("python", "src/ingest.py").returncode == 0
    done = project.run("python", "src/prepare.py")
    assert done.returncode == 0, done.stderr
    later = len(planted["purchases"]) - len(layout["purchases"])
    assert f"'transaction_datetime' is on or after the campaign (2019-03-19 00:00) in {later:,} of" in done.stdout
    assert project.metric("experiment")["purchase_rows_after_campaign"] == later
    assert "broken" not in done.stdout


def test_a_warning_and_a_drop_go_on(project: Project, layout: Layout) -> None:
    write_parquet(project.folder / "raw", older_when_treated(fewer_controls(layout)))
    project.params(lambda content: content["checks"].update(on_srm="warn", on_post_treatment="drop"))
    assert project.run("python", "src/ingest.py").returncode == 0
    done = project.run("python", "src/prepare.py")
    assert done.returncode == 0, done.stderr
    assert project.metric("experiment")["features_dropped"] == 1
    assert "age" not in pd.read_parquet(project.folder / "data/prepared/customers.parquet")
    assert "left out age (depends on treatment)" in done.stdout


def cut(folder: Path) -> None:
    content = (folder / "purchases.csv").read_bytes()
    (folder / "purchases.csv").write_bytes(content[: content.rindex(b"\n", 0, len(content) // 2) + 40])


def semicolons(folder: Path) -> None:
    content = (folder / "purchases.csv").read_text()
    (folder / "purchases.csv").write_text(content.replace(",", ";"))


def strangers(folder: Path) -> None:
    clients = pd.read_csv(folder / "clients.csv", dtype=str)
    labels = pd.read_csv(folder / "uplift_train.csv", dtype=str)
    labels[1:].to_csv(folder / "uplift_train.csv", index=False)
    clients[clients["client_id"] != labels["client_id"][0]].to_csv(folder / "clients.csv", index=False)


def clients_twice(folder: Path) -> None:
    with (folder / "clients.csv").open("a") as file:
        file.write((folder / "clients.csv").read_text().splitlines()[1] + "\n")


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (cut, "purchases.csv: 1 row cannot be read; the first is line "),
        (semicolons, "purchases.csv: columns are separated by a semicolon in its header"),
        (strangers, "purchases.csv: column 'client_id' holds clients that are not in clients.csv in "),
        (clients_twice, "clients.csv: column 'client_id' holds 1 ids more than once, in 2 of 1,001 rows"),
    ],
)
def test_a_broken_file_is_named_in_one_line(project: Project, plant: Callable[[Path], None], expected: str) -> None:
    plant(write_layout(project.folder / "raw", small_layout()))
    done = project.run("python", "src/ingest.py")
    if done.returncode == 0:
        done = project.run("python", "src/prepare.py")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {expected}"), done.stderr
    assert done.stderr.count("\n") == 1


def test_a_header_in_another_order_is_read(project: Project) -> None:
    tables = small_layout()
    turned = {name: table[table.columns[::-1]] for name, table in tables.items()}
    frames = []
    for layout in (tables, turned):
        write_layout(project.folder / "raw", layout)
        for script in ("ingest", "prepare"):
            done = project.run("python", f"src/{script}.py")
            assert done.returncode == 0, done.stderr
        frames.append((project.folder / "data/prepared/customers.parquet").read_bytes())
    assert frames[0] == frames[1]


@needs_x5
def test_the_real_labels_and_histories_of_x5(project: Project) -> None:
    histories = real_histories()
    labels = pd.read_csv(SHARED / "uplift_train.csv", dtype={"client_id": str})
    others = labels.loc[~labels["client_id"].isin(histories["clients"]["client_id"]), ["client_id"]]
    clients = pd.concat([histories["clients"], others])
    write_layout(project.folder / "raw", histories | {"clients": clients, "uplift_train": labels})
    for script in ("ingest", "prepare"):
        done = project.run("python", f"src/{script}.py")
        assert done.returncode == 0, done.stderr
    experiment = project.metric("experiment")
    assert experiment["n"] == 200_039
    assert round(experiment["share_treated"] * 200_039) == 99_981
    assert experiment["ate"] == pytest.approx(0.033231, abs=5e-7)
    assert experiment["control_mean"] == pytest.approx(0.603280, abs=5e-7)
    assert experiment["treated_mean"] == pytest.approx(0.636511, abs=5e-7)
    assert experiment["srm_p_value"] > 0.5
    assert experiment["customers_without_purchases"] == 200_039 - 100
    customers = pd.read_parquet(project.folder / "data/prepared/customers.parquet").set_index("customer_id")
    assert customers.loc["001e840150", "n_orders"] == 19
    assert customers.loc["001e840150", "avg_paid_per_order"] == pytest.approx(7955 / 19)
    assert customers.loc["00078c508d", "express_points_spent_per_order"] == pytest.approx(-30 / 8)
    assert customers.loc["0008b2cb41", "avg_trademarks"] == pytest.approx(9 / 43)
    assert customers["avg_paid_per_order"].notna().sum() == 100
