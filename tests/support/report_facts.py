"""A finished run made by hand: every document that the report reads, small, with numbers that a test can foretell."""

import json
import struct
import zlib
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from promotions.report import Run
from promotions.report.run import OPTIONAL_PICTURES, REQUIRED_PICTURES
from tests.support.recorded import record

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}{% if %}",
    "=cmd|'/c calc'!A1",
    "javascript:alert(1)//</style></script>&amp;",
)
LABEL = {"source": "simulated", "simulated": True}


def png(width: int = 1350, height: int = 800) -> bytes:
    """A grey picture."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = b"".join(b"\x00" + b"\xcc" * width for _ in range(height))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def interval(name: str, value: float, low: float, high: float) -> dict[str, float]:
    """An estimate as metrics files name it."""
    return {name: value, f"{name}_ci_low": low, f"{name}_ci_high": high}


def policy(value: float, share: float, loss: float, adjusted: float = 0.5) -> dict[str, float]:
    """An entry of metrics/policies.json, of a profit over treating nobody."""
    return {
        "share_treated": share,
        **interval("dr", 20 + value, 19 + value, 21 + value),
        "dr_simultaneous_ci_low": 18.5 + value,
        "dr_simultaneous_ci_high": 21.5 + value,
        **interval("dr_vs_treat_none", value, value - 0.4, value + 0.4),
        **interval("dr_vs_treat_all", value - 0.3, value - 0.6, value),
        "dr_vs_treat_none_p_value_adjusted": adjusted,
        "dr_vs_treat_all_p_value_adjusted": 0.5,
        "probability_of_loss": loss,
    }


def learner(autoc: float) -> dict[str, float]:
    """An entry of metrics/learners.json."""
    return {
        "uplift_at_20": 0.07,
        **interval("autoc", autoc, autoc - 0.01, autoc + 0.01),
        "autoc_p_value": 0.011,
        **interval("qini", 0.005, 0.001, 0.009),
        **interval("calibration_slope", 0.95, 0.24, 1.65),
        **interval("first_minus_last_fifth", 0.06, 0.02, 0.10),
    }


def metrics() -> dict[str, dict[str, Any]]:
    """Every metrics file."""
    rule = policy(0.45, 0.745, 0.031, adjusted=0.01)
    targeting: dict[str, dict[str, Any]] = {
        "experiment": {
            "n": 60000,
            "share_treated": 0.4991,
            "control_mean": 0.5991,
            "treated_mean": 0.6372,
            **interval("ate", 0.0381, 0.0303, 0.0459),
            "ate_se": 0.004,
            "mde": 0.0111,
            "mde_relative": 0.0185,
            "srm_p_value": 0.64,
            "max_abs_smd": 0.0231,
            "max_abs_smd_feature": "avg_trademarks",
            "assignment_auc": 0.502,
            "assignment_auc_p_value": 0.15,
            "features_dropped": 0,
            "purchase_rows": 6819719,
        },
        "headline": {
            "champion": "threshold.x_learner",
            "learner": "x_learner",
            **interval("profit", 20.45, 19.45, 21.45),
            "profit_per_customer": 20.45,
            **interval("lift_over_treat_none", 0.4223, -0.0244, 0.8008),
            **interval("lift_over_treat_all", 0.1473, -0.0953, 0.3725),
            **interval("lift_over_best_constant", 0.1473, -0.0953, 0.3725),
            "lift_over_best_constant_p_value": 0.104,
            "share_treated": 0.745,
            "probability_of_loss": 0.031,
            "n_final": 20935,
            "true_profit_per_customer": 20.6,
            "oracle_profit_per_customer": 20.74,
            "regret_per_customer": 0.14,
        },
        "policies": {
            "policies": {
                "treat_all": policy(0.3, 1.0, 0.146),
                "treat_none": policy(0.0, 0.0, 0.0),
                "threshold.x_learner": rule,
                "weighted.x_learner": policy(0.55, 0.66, 0.0),
                "tree.depth_2": policy(0.17, 0.70, 0.24),
            }
        },
        "learners": {"learners": {"x_learner": learner(0.015), "ensemble": learner(0.014)}},
        "rules": {"rules": {"tree.depth_2": "treat if (age < 40 and orders ≥ 2)"}},
        "explain": {
            "learner": "x_learner",
            "method": "exact",
            "explained_exactly": "x_learner",
            "fidelity": 1.0,
            "n_explained": 20935,
            "expected_effect": 0.035,
            "features": {
                "age": {"share": 0.4, "direction": "rises with it", "mean_absolute": 0.01},
                "orders": {"share": 0.2, "direction": "falls with it", "mean_absolute": 0.005},
            },
        },
        "stability": {
            "trials": 50,
            "customers": 60000,
            "customers_tested": 21000,
            "wins_most_often": {"1/40": "weighted.x_learner"},
            "highest_mean_profit": {"1/40": "weighted.x_learner"},
            "1/40": {
                "treat_all": trial(0.007, 0.1),
                "treat_none": trial(0.0, 0.0),
                "threshold.x_learner": trial(0.010, 0.3),
                "weighted.x_learner": trial(0.011, 0.6),
            },
        },
    }
    return {name: LABEL | document for name, document in (targeting | discounts()).items()}


def trial(profit: float, won: float) -> dict[str, float]:
    """A policy at a cost ratio in metrics/stability.json."""
    return {"profit_mean": profit, "profit_sd": 0.004, "loss_share": 0.02, "win_share": won, "share_treated": 0.7}


def discounts() -> dict[str, dict[str, Any]]:
    """The metrics files of the discounts."""
    lead = interval("lift_over_best_constant", 4.567, 2.593, 6.541)
    dose = {"mean_dose": 30.5, "share_given": 0.239, **interval("dr", 60.86, 58.83, 62.89)}
    margin = {"margin": 0.05, "margin_is": "own", "margin_own": 0.05}
    return {
        "discount": {
            "discount": {
                **margin,
                "champion": "best.r_learner",
                "best_constant": "constant_0",
                "n": 5000,
                **lead,
                **dose,
            }
        },
        "discount/prepare": {"rows": {"observational": 15000}},
        "discount/effect": {
            **margin,
            **{name.replace("margin", "margin_test"): value for name, value in margin.items()},
            "profit": {
                **interval("naive", 0.0937, 0.0828, 0.1047),
                **interval("adjusted_all", -0.0515, -0.0637, -0.0393),
                **interval("linear_dml", -0.0524, -0.0646, -0.0401),
                **interval("randomised", -0.0514, -0.0699, -0.0330),
                "fwl": {"adjusted_age": interval("effect", -0.0316, -0.045, -0.018)},
                "sensitivity": {"regression": {"robustness_value": 0.0808}},
            },
        },
        "discount/rdd": {
            **margin,
            "cutoff": {"running": "tenure", "value": 19.0},
            "discount": interval("robust", 63.3, 59.5, 68.6),
            "profit": interval("robust", -6.9, -10.3, -5.0),
            "profit_per_dollar": interval("robust", -0.102, -0.175, -0.071),
            "continuity": {"columns": 60, "columns_that_jump": 0},
            "density": {"p_value": 0.5},
        },
        "discount/did": {
            **margin,
            "design": {"group": {"column": "gender", "level": "W"}},
            "group": {"did_clean": interval("profit_per_dollar", -0.223, -0.263, -0.183)},
            "group_event_study": {
                "profit": {
                    **interval("first_month", -5.43, -6.98, -3.88),
                    "months_after": 15,
                    "months_after_joint_interval_excludes_0": 11,
                    "pre_trend_p_value": 0.55,
                }
            },
        },
        "discount/groups": {
            **margin,
            "columns": {
                "age": {
                    "profit": {
                        "equal_effects_p_value": 1e-9,
                        "bins": {
                            "up to 37": interval("effect", -0.11, -0.14, -0.08),
                            "38 and more": interval("effect", 0.19, 0.14, 0.23),
                        },
                    }
                }
            },
        },
        "discount/cate": {"best_learner": "r_learner", "learners": {"r_learner": {"explained": 0.74}}},
        "discount/policies": {
            **margin,
            "policies": {
                "constant_0": {
                    **interval("dr", 56.29, 55.68, 56.91),
                    **interval("vs_best_constant", 0.0, 0.0, 0.0),
                    "mean_dose": 0.0,
                    "share_given": 0.0,
                },
                "best.r_learner": {**dose, **interval("vs_best_constant", 4.567, 2.593, 6.541)},
            },
        },
    }


def tables() -> dict[str, pd.DataFrame]:
    """The tables of the plots that the report reads."""
    sound = [
        ("sample ratio", "49.91 % of 60,000 treated, p = 0.64", "50 % by design, p ≥ 0.01", "sound"),
        ("effect", "0.03808 (0.03031 to 0.04585)", "detectable: 0.0111", "sound"),
        ("means", "worst: avg_trademarks, 0.023 SD, corrected p = 0.73", "within ±0.1 SD, every p ≥ 0.01", "sound"),
        ("distributions", "worst: age, corrected p = 0.82", "every p ≥ 0.01", "sound"),
        ("assignment AUC", "0.502, p = 0.15", "as if drawn anew by design, p ≥ 0.01", "sound"),
        ("depend on treatment", "none", "none", "sound"),
    ]
    curve = [
        (multiple * 0.025, profit, profit - 0.5, profit + 0.5, "x_learner")
        for multiple, profit in ((0.0, 1.3), (0.5, 0.8), (1.0, 0.45), (1.5, 0.1), (2.0, 0.05), (2.5, -0.05))
    ]
    everybody = [(ratio, 1.3 - 40 * ratio, None, None, "treat_all") for ratio, *_ in curve]
    shares = [(share / 10, share / 10, share / 20, share / 20 - 0.1, share / 20 + 0.1) for share in range(11)]
    return {
        "soundness": pd.DataFrame(sound, columns=["check", "found", "expected", "verdict"]),
        "profit_by_cost_ratio": pd.DataFrame(
            curve + everybody, columns=["ratio", "profit", "band_low", "band_high", "learner"]
        ),
        "profit_by_share": pd.DataFrame(shares, columns=["share", "spent", "profit", "ci_low", "ci_high"]).assign(
            learner="x_learner"
        ),
        "affected": pd.DataFrame(
            [("age", 54.4, 40.9, 0.84), ("orders is unknown", 0.96, 0.41, 1.33), ("region is north", 0.1, 0.3, -0.5)],
            columns=["feature", "most_affected", "least_affected", "standardised_difference"],
        ),
        "explain": pd.DataFrame(
            [("age", "Age in years", "orders", 0.4, "rises with it"), ("orders", "orders", None, 0.2, "falls with it")],
            columns=["feature", "meaning", "together_with", "share", "direction"],
        ),
    }


def params() -> dict[str, Any]:
    """What of params.yaml the report reads."""
    return {
        "seed": 2026,
        "data": {
            "source": "simulated",
            "hillstrom": {"path": "data/raw"},
            "table": {"path": "data/raw", "propensity": "estimate", "overlap": 0.05},
        },
        "checks": {"alpha": 0.01, "on_srm": "stop", "on_post_treatment": "stop"},
        "costs": {"cost_per_treatment": 1, "revenue_per_response": 40, "charged": "on_treatment"},
        "split": {
            "shares": {"train": 0.45, "select": 0.2, "final": 0.35},
            "salt": "promotions",
            "folds": 5,
            "segments": 5,
        },
        "evaluate": {"protocol": "holdout", "replicates": 1000},
        "ensemble": {"method": "stacking"},
        "policy": {
            "tree": {"depth": 2, "cuts": 64, "min_leaf": 300},
            "groups": {"by": ["predicted_outcome"], "bins": 5, "rule": "mean"},
            "budget": {"share": None, "money": None},
        },
        "stability": {"trials": 50, "ratios": ["1/40"]},
        "learners": {"x_learner": {}},
        "discount": {
            "source": "simulated",
            "margin": None,
            "running": "tenure",
            "exclude": [],
            "policy": {"champion": "auto", "least_customers": 250, "default": 0, "budget": None},
        },
    }


def a_run(change: Callable[[dict[str, dict[str, Any]]], object] = lambda found: None, **parts: Any) -> Run:
    """A run whose metrics ``change`` has altered. parts: other fields of ``Run``."""
    found = metrics()
    change(found)
    picture = png(27, 16)
    given: dict[str, Any] = {
        "metrics": found,
        "tables": tables(),
        "pictures": dict.fromkeys(REQUIRED_PICTURES + OPTIONAL_PICTURES, picture),
        "params": params(),
        "roles": {"roles": ["customer_id", "treatment", "outcome", "propensity"]},
        "versions": {"Python": "3.11.7", "numpy": "2.4.6"},
        "fingerprint": "0123456789abcdef",
        "meanings": {"age": "Age in years", "orders": "Number of orders"},
    }
    return Run(**{**given, **parts})


def observed(change: Callable[[dict[str, Any]], object] = lambda facts: None, **headline: Any) -> Run:
    """A run without an experiment: propensities were estimated. ``change`` alters metrics/experiment.json."""
    facts = {
        "propensity": "estimated",
        "n": 4852,
        "n_read": 5000,
        "overlap": 0.1,
        "left_out": 148,
        "share_left_out": 0.0296,
        "share_left_out_treated": 0.021,
        "share_left_out_control": 0.038,
        "share_treated": 0.4841,
        "control_mean": 2.1968,
        "treated_mean": 3.0028,
        **interval("ate", 0.806, 0.7385, 0.8734),
        **interval("weighted_difference", 0.8118, 0.7116, 0.912),
        **interval("naive_difference", 1.697, 1.6212, 1.7728),
        "ate_method": "doubly robust",
        "max_abs_smd_before": 0.99,
        "max_abs_smd_before_feature": "orders",
        "max_abs_smd_after": 0.0426,
        "max_abs_smd_after_feature": "channel=shop",
        "features_dropped": 1,
    }
    change(facts)
    checks = [
        ("overlap", "148 of 5,000 left out", "chance of treatment within 0.1 to 0.9", "sound"),
        ("chances", "AUC 0.772", "slope 1", "sound"),
        ("balance", "worst: orders, 0.99 SD", "weighted: within ±0.1 SD", "sound"),
        ("effect", "0.806 (0.7385 to 0.8734), doubly robust", "weighted 0.8118, naive 1.697", "sound"),
        ("hidden reasons", "no data can tell", "each reason is a feature", "unknown"),
    ]
    given = tables() | {"soundness": pd.DataFrame(checks, columns=["check", "found", "expected", "verdict"])}

    def put(found: dict[str, dict[str, Any]]) -> None:
        found["experiment"] = LABEL | facts
        found["headline"].update(headline)

    return a_run(put, tables=given, roles={"roles": ["customer_id"], "propensity": "estimated"})


def with_headline(**values: Any) -> Callable[[dict[str, dict[str, Any]]], object]:
    """A change of metrics/headline.json."""
    return lambda found: found["headline"].update(values)


def lead(value: float, low: float, high: float) -> dict[str, float]:
    """The champion's lead over all rivals alike."""
    return {
        key: number
        for rival in ("best_constant", "treat_all", "treat_none")
        for key, number in interval(f"lift_over_{rival}", value, low, high).items()
    }


def hostile() -> Run:
    """A run in which everything that comes from data or parameters is hostile."""
    script, image, braces, formula, breakout = HOSTILE

    def poison(found: dict[str, dict[str, Any]]) -> None:
        found["headline"]["source"] = found["headline"]["champion"] = script
        found["headline"]["champion"] = f"threshold.{image}"
        found["headline"]["learner"] = image
        policies = found["policies"]["policies"]
        policies[f"threshold.{image}"] = policies.pop("threshold.x_learner")
        policies[f"tree.{braces}"] = policies.pop("tree.depth_2")
        found["rules"] = LABEL | {"rules": {f"tree.{braces}": f"treat if {script} < 3 and {image} is {breakout}"}}
        found["learners"]["learners"][image] = found["learners"]["learners"].pop("x_learner")
        found["experiment"]["max_abs_smd_feature"] = breakout
        for document in found.values():
            document["source"] = script
        found["explain"]["learner"] = image
        found["explain"]["features"] = {
            script: {"share": 0.4, "direction": f"highest for {image}, lowest for {braces}", "mean_absolute": 0.01}
        }
        found["stability"][script] = {image: trial(0.01, 0.5), "treat_all": trial(0.0, 0.5)}
        found["discount"]["discount"] |= {"champion": f"best.{script}", "best_constant": f"constant_{image}"}
        rules = found["discount/policies"]["policies"]
        rules[f"best.{script}"] = rules.pop("best.r_learner")
        found["discount/did"]["design"]["group"] = {"column": script, "level": image}
        found["discount/rdd"]["cutoff"]["running"] = breakout
        bins = found["discount/groups"]["columns"].pop("age")["profit"]["bins"]
        renamed = {script: bins["up to 37"], image: bins["38 and more"]}
        found["discount/groups"]["columns"][braces] = {"profit": {"equal_effects_p_value": 1e-9, "bins": renamed}}

    given = tables()
    given["soundness"].loc[2, "found"] = f"worst: {script}"
    given["soundness"].loc[5, ["found", "verdict"]] = [image, breakout]
    given["affected"]["feature"] = [f"{script} is {image}", braces, breakout]
    given["profit_by_share"]["learner"] = image
    given["profit_by_cost_ratio"]["learner"] = given["profit_by_cost_ratio"]["learner"].replace("x_learner", image)
    given["explain"]["feature"], given["explain"]["meaning"] = [script, formula], [image, braces]
    poisoned = params()
    poisoned["split"]["salt"], poisoned["data"]["source"] = script, image
    poisoned["learners"] = {breakout: {}, braces: {}}
    return a_run(
        poison,
        tables=given,
        params=poisoned,
        versions={script: image},
        fingerprint=breakout,
        meanings={script: image, "age": braces},
    )


def write(folder: Path, run: Run, picture: bytes | None = None) -> None:
    """The run as the files that stages leave behind. picture: instead of each of its pictures."""
    for name, document in run.metrics.items():
        _written(folder / f"metrics/{name}.json").write_text(json.dumps(document))
    for name, table in run.tables.items():
        table.to_csv(_written(folder / f"plots/{name}.csv"), index=False)
    for name, content in run.pictures.items():
        _written(folder / f"plots/{name}.png").write_bytes(picture or content)
    _written(folder / "params.yaml").write_text(yaml.safe_dump(dict(run.params), sort_keys=False))
    _written(folder / "data/prepared/roles.json").write_text(json.dumps(run.roles))
    features = pd.DataFrame({"name": list(run.meanings), "meaning": list(run.meanings.values())})
    features.assign(unit="number").to_csv(folder / "data/dictionary.csv", index=False)
    record_all(folder)


def record_all(folder: Path) -> None:
    """Note in dvc.lock that two stages have just written what the report reads: one the discounts, one all else."""
    files = [
        path.relative_to(folder).as_posix()
        for path in sorted([*folder.glob("metrics/**/*.json"), *folder.glob("plots/**/*.*")])
    ]
    with chdir(folder):
        record("evaluate", writes=["data/prepared/roles.json", *(path for path in files if "/discount" not in path)])
        record("discount_evaluate", writes=[path for path in files if "/discount" in path])


def _written(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
