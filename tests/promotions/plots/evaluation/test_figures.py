"""Each figure shows what its frame holds, says where the data come from, and is the same picture every time."""

import subprocess
import sys
from collections.abc import Callable

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from promotions.plots.evaluation import figures, heterogeneity
from promotions.plots.soundness.balance import balance
from promotions.plots.style import (
    CONSTANT,
    LEARNER_ORDER,
    REFERENCES,
    RULE_ORDER,
    colours,
    png_bytes,
    readable_name,
    rule_colours,
)

RATIO = 0.025
LEARNERS = ["x_learner", "causal_forest", "my_new_forest"]
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def quality(learners: list[str]) -> dict[str, float]:
    """The first learner is the best."""
    return {name: 0.06 - 0.01 * rank for rank, name in enumerate(learners)}


def cost_frame(learners: list[str]) -> pd.DataFrame:
    ratios = np.linspace(0, 0.1, 21)
    curves = {name: height * (1 - ratios / 0.12) ** 2 for name, height in quality(learners).items()}
    curves |= {"treat_all": 0.02 - ratios, "oracle": 0.07 * (1 - ratios / 0.12) ** 2}
    return pd.concat(
        pd.DataFrame({"ratio": ratios, "profit": y, "band_low": y - 0.01, "band_high": y + 0.01, "learner": name})
        for name, y in curves.items()
    )


def share_frame(learners: list[str]) -> pd.DataFrame:
    share = np.linspace(0, 1, 51)
    profit = 0.02 * share + 0.1 * share * (1 - share)
    bounds = {f"{name}_{end}": profit + sign * width * share for name, width in (("ci", 0.01), ("band", 0.02))
              for end, sign in (("low", -1), ("high", 1))}  # fmt: skip
    return pd.DataFrame({"share": share, "spent": share, "profit": profit, **bounds, "learner": learners[0]})


def affected_frame(columns: list[str]) -> pd.DataFrame:
    gap = 0.5 / (1 + np.arange(len(columns)))
    return pd.DataFrame(
        {"feature": columns, "most_affected": 2 * gap, "least_affected": 0.0, "difference": 2 * gap, "error": 0.1,
         "ci_low": 2 * gap - 0.2, "ci_high": 2 * gap + 0.2, "standardised_difference": gap}
    )  # fmt: skip


def qini_frame(learners: list[str]) -> pd.DataFrame:
    shares = np.linspace(0, 1, 101)
    curves = {name: 0.03 * shares + lead * shares * (1 - shares) for name, lead in quality(learners).items()}
    curves["random"] = 0.03 * shares
    return pd.concat(
        pd.DataFrame({"share_treated": shares, "incremental_outcome": y, "learner": name}) for name, y in curves.items()
    )


def decile_frame(learners: list[str]) -> pd.DataFrame:
    deciles = np.arange(1, 11)
    frames = []
    for name, lead in quality(learners).items():
        uplift = 0.03 + lead * (5.5 - deciles) / 4.5
        low, high = uplift - 0.01, uplift + 0.01
        frames.append(
            pd.DataFrame(
                {"decile": deciles, "predicted": uplift + 0.001, "uplift": uplift, "ci_low": low, "ci_high": high,
                 "band_low": low - 0.01, "band_high": high + 0.01, "learner": name}
            )
        )  # fmt: skip
    return pd.concat(frames)


def policy_frame(learners: list[str]) -> pd.DataFrame:
    rows = [("treat_none", "treat_none", "", 0.0), ("treat_all", "treat_all", "", 0.01)]
    for rule in ("threshold", "weighted"):
        rows += [(f"{rule}.{name}", rule, name, profit) for name, profit in quality(learners).items()]
    frame = pd.DataFrame(rows, columns=["policy", "rule", "learner", "profit"])
    frame["ci_low"], frame["ci_high"] = frame["profit"] - 0.02, frame["profit"] + 0.02
    frame["champion"] = frame["policy"] == f"weighted.{learners[0]}"
    return frame


def table_frame(learners: list[str]) -> pd.DataFrame:
    ratios = [0.005, 0.01, RATIO, 0.05, 0.1]
    rows = [(ratio, name, lead - 0.6 * ratio) for name, lead in quality(learners).items() for ratio in ratios]
    return pd.DataFrame(rows, columns=["ratio", "learner", "profit"])


def balance_frame(columns: list[str], **corrected: float) -> pd.DataFrame:
    """Every column is a feature of its own; ``corrected`` p-values by test and place, such as ``mean_0``."""
    smd = 0.03 / (1 + np.arange(len(columns))) * (-1) ** np.arange(len(columns))
    means = pd.DataFrame({"column": columns, "feature": columns, "test": "mean", "smd": smd, "p_value": 0.2})
    means["p_value_holm"] = [corrected.get(f"mean_{place}", 1.0) for place in range(len(columns))]
    means["ci_low"], means["ci_high"] = means["smd"] - 0.02, means["smd"] + 0.02
    shapes = means.assign(test="distribution", smd=np.nan, ci_low=np.nan, ci_high=np.nan)
    shapes["p_value_holm"] = [corrected.get(f"distribution_{place}", 1.0) for place in range(len(columns))]
    return pd.concat([means, shapes]).assign(differs=lambda rows: rows["p_value_holm"] < 0.01)


FIGURES: dict[str, Callable[[list[str], bool], Figure]] = {
    "profit_by_cost_ratio": lambda names, simulated: figures.profit_by_cost_ratio(
        cost_frame(names), ratio=RATIO, shaded=names[0], simulated=simulated
    ),
    "profit_by_share": lambda names, simulated: figures.profit_by_share(share_frame(names), simulated=simulated),
    "calibration": lambda names, simulated: heterogeneity.calibration(decile_frame(names), simulated=simulated),
    "affected": lambda names, simulated: heterogeneity.affected(
        affected_frame([readable_name(name) for name in names]), learner=names[0], simulated=simulated
    ),
    "qini": lambda names, simulated: figures.qini(qini_frame(names), simulated=simulated),
    "uplift_by_decile": lambda names, simulated: figures.uplift_by_decile(decile_frame(names), simulated=simulated),
    "policy_values": lambda names, simulated: figures.policy_values(policy_frame(names), simulated=simulated),
    "profit_table": lambda names, simulated: figures.profit_table(table_frame(names), ratio=RATIO, simulated=simulated),
    "balance": lambda names, simulated: balance(
        balance_frame([readable_name(name) for name in names], mean_0=1e-5), simulated=simulated
    ),
}
every_figure = pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES.keys())


def words(figure: Figure) -> str:
    """Everything that is written in a figure."""
    figure.draw_without_rendering()
    return "\n".join(text.get_text() for text in figure.findobj(Text) if isinstance(text, Text) and text.get_visible())


def settings() -> dict[str, object]:
    """matplotlib's settings, but for the backend: to look at that one is to choose it."""
    return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}


@every_figure
def test_a_figure_is_a_picture_and_drawn_again_the_same_bytes(draw: Callable[[list[str], bool], Figure]) -> None:
    first, second = (png_bytes(draw(LEARNERS, True)) for _ in range(2))
    assert first.startswith(PNG_SIGNATURE)
    assert len(first) > 20_000
    assert first == second


@every_figure
def test_the_callers_settings_are_neither_used_nor_changed(draw: Callable[[list[str], bool], Figure]) -> None:
    expected = png_bytes(draw(LEARNERS, False))
    with matplotlib.rc_context({"font.size": 31, "axes.facecolor": "red", "savefig.dpi": 20}):
        before = settings()
        assert png_bytes(draw(LEARNERS, False)) == expected
        assert settings() == before


@every_figure
@pytest.mark.parametrize("simulated", [True, False])
def test_simulated_is_said_if_and_only_if_it_is_so(draw: Callable[[list[str], bool], Figure], simulated: bool) -> None:
    assert ("simulated data" in words(draw(LEARNERS, simulated))) == simulated


@every_figure
@pytest.mark.parametrize("learners", [list(LEARNER_ORDER), LEARNERS, ["my_new_forest"]], ids=["all", "some", "one"])
def test_every_learner_is_named(draw: Callable[[list[str], bool], Figure], learners: list[str]) -> None:
    written = words(draw(learners, True))
    # A figure of one learner alone names that one.
    expected = learners[:1] if draw is FIGURES["profit_by_share"] else learners
    assert [name for name in expected if readable_name(name) not in written] == []


@every_figure
def test_the_order_of_rows_changes_no_byte(
    draw: Callable[[list[str], bool], Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = png_bytes(draw(LEARNERS, True))
    joined = pd.concat
    monkeypatch.setattr(pd, "concat", lambda frames: joined(frames).sample(frac=1, random_state=0))
    assert png_bytes(draw(LEARNERS, True)) == expected


def test_titles_state_the_finding() -> None:
    assert "X-learner has the highest estimate at C/R = 0.025" in words(
        FIGURES["profit_by_cost_ratio"](LEARNERS, False)
    )
    assert "X-learner has the highest curve" in words(FIGURES["qini"](LEARNERS, False))
    assert "X-learner separates best: uplift 0.0900" in words(FIGURES["uplift_by_decile"](LEARNERS, False))
    assert "Champion Weighted · X-learner earns 0.0600" in words(FIGURES["policy_values"](LEARNERS, False))
    assert "X-learner has the highest estimate at 4 of 5 cost ratios" in words(FIGURES["profit_table"](LEARNERS, False))


def test_titles_find_nothing_where_nothing_is_to_be_found() -> None:
    losses = cost_frame(LEARNERS).assign(profit=lambda frame: -frame["profit"].abs())
    assert "Nothing earns more" in words(
        figures.profit_by_cost_ratio(losses, ratio=RATIO, shaded="x_learner", simulated=False)
    )
    reversed_order = qini_frame(LEARNERS).assign(incremental_outcome=lambda frame: -frame["incremental_outcome"])
    assert "No learner ranks" in words(figures.qini(reversed_order, simulated=False))
    wide = decile_frame(LEARNERS).assign(ci_low=-1.0, ci_high=1.0)
    assert "No learner tells its first decile" in words(figures.uplift_by_decile(wide, simulated=False))
    unsure = policy_frame(LEARNERS).assign(ci_low=-1.0)
    assert "cannot be told" in words(figures.policy_values(unsure, simulated=False))
    losing = share_frame(LEARNERS).assign(profit=lambda frame: -frame["share"])
    assert "No budget has a profit" in words(figures.profit_by_share(losing, simulated=False))
    alike = affected_frame(["age"]).assign(difference=0.0, standardised_difference=0.0, most_affected=3.33e-16)
    assert "0 against 0" in words(heterogeneity.affected(alike, learner="x_learner", simulated=False))
    assert "tells no customers apart" in words(heterogeneity.affected(alike, learner="x_learner", simulated=False))
    table = table_frame(LEARNERS).assign(profit=-0.01)
    assert "No learner earns more" in words(figures.profit_table(table, ratio=RATIO, simulated=False))


def balance_words(columns: list[str], **corrected: float) -> str:
    return words(balance(balance_frame(columns, **corrected), simulated=False))


def test_balance_says_which_features_depend_on_treatment_and_by_what() -> None:
    columns = ["age", "visits", "town"]
    assert "No feature differs between the arms" in balance_words(columns)
    assert "depends on treatment" not in balance_words(columns)
    assert "1 feature depends on treatment: age" in balance_words(columns, mean_0=1e-9)
    both = balance_words(columns, mean_0=0.0, distribution_2=3e-7)
    assert "2 features depend on treatment: age, town" in both
    assert "+0.030  p < 1e-300" in both
    assert "+0.010  p = 3e-07 (distribution)" in both
    many = balance_words([f"x{place}" for place in range(9)], **{f"mean_{place}": 1e-4 for place in range(9)})
    assert "9 features depend on treatment: x0, x1, x2 and 6 more" in many


def test_of_many_columns_balance_shows_the_largest_differences_and_every_feature_that_depends_on_treatment() -> None:
    columns = [f"column_{place:02d}" for place in range(80)]
    shown = balance_words(columns, distribution_70=1e-8)
    assert [name for name in columns if name in shown] == [*columns[:29], "column_70"]
    assert "the 30 largest of 80 columns" in shown


@pytest.mark.parametrize("largest", [0.03, 0.4, 2.5, -40.0], ids=str)
def test_nothing_of_balance_lies_beyond_its_axes_or_on_something_else(largest: float) -> None:
    columns = [
        "avg_regular_points_received_per_order__missing_in_the_last_month",
        *(f"x{place}" for place in range(29)),
    ]
    frame = balance_frame(columns, mean_0=1e-9, distribution_7=1e-9)
    first = (frame["column"] == columns[0]) & (frame["test"] == "mean")
    frame.loc[first, ["smd", "ci_low", "ci_high"]] = [largest, largest - 0.01, largest + 0.01]
    figure = balance(frame, simulated=True)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    assert low < min(largest, -0.1) < max(largest, 0.1) < high
    page = figure.bbox
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]  # type: ignore[attr-defined]
    boxes = [text.get_window_extent() for text in texts]
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)
    overlapping = [
        (one.get_text(), other.get_text())
        for place, one in enumerate(texts)
        for other, box in zip(texts[place + 1 :], boxes[place + 1 :], strict=True)
        if boxes[place].shrunk(0.9, 0.6).overlaps(box.shrunk(0.9, 0.6))
    ]
    assert overlapping == []


def test_a_ratio_beyond_the_frame_is_not_marked() -> None:
    assert "now" not in words(figures.profit_table(table_frame(LEARNERS), ratio=float("inf"), simulated=False))
    inside, beyond = (
        words(figures.profit_by_cost_ratio(cost_frame(LEARNERS), ratio=ratio, shaded="x_learner", simulated=False))
        for ratio in (RATIO, float("inf"))
    )
    assert "now 0.025" in inside
    assert "now inf" not in beyond


def test_the_champion_alone_is_starred() -> None:
    starred = [line for line in words(FIGURES["policy_values"](LEARNERS, False)).splitlines() if "★" in line]
    assert starred == ["★ Weighted · X-learner"]


def test_a_learner_keeps_its_colour_whoever_else_is_there() -> None:
    everyone = colours(LEARNER_ORDER)
    assert len(set(everyone.values())) == len(LEARNER_ORDER)
    assert {name: colours([name])[name] for name in LEARNER_ORDER} == everyone
    assert colours([*LEARNER_ORDER, "zebra", *REFERENCES]).items() >= everyone.items()
    assert colours(["x_learner", "zebra"])["zebra"] != everyone["x_learner"]
    beside = colours([*LEARNER_ORDER, "x_learner_deep", "x_learner_shallow"])
    assert len(set(beside.values())) == len(beside)


def test_a_rule_keeps_its_colour_and_a_new_one_takes_one_that_is_left() -> None:
    everyone = rule_colours([*RULE_ORDER, CONSTANT])
    assert len(set(everyone.values())) == len(RULE_ORDER) + 1
    assert {name: rule_colours([name])[name] for name in everyone} == everyone
    beside = rule_colours([*RULE_ORDER, CONSTANT, "vote"])
    assert beside.items() > everyone.items()
    assert beside["vote"] not in everyone.values()


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("x_learner", "X-learner"),
        ("dr_learner", "DR-learner"),
        ("dr_learner_on_few", "DR-learner on few"),
        ("double_ml_cut_off", "Double ML cut off"),
        ("double_ml", "Double ML"),
        ("causal_forest", "Causal forest"),
        ("my_new_forest", "My new forest"),
        ("treat_all", "Treat everybody"),
    ],
)
def test_names_are_words(name: str, readable: str) -> None:
    assert readable_name(name) == readable


def run_alone(code: str) -> None:
    """Run ``code`` in a Python of its own."""
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=True)


def test_matplotlib_is_imported_only_when_a_figure_is_drawn() -> None:
    run_alone("import sys, promotions.plots.evaluation.figures; assert 'matplotlib' not in sys.modules")


def test_drawing_needs_no_pyplot() -> None:
    run_alone(
        "import sys, pandas\nfrom promotions.plots.evaluation import figures\n"
        "from promotions.plots.style import png_bytes\n"
        "frame = pandas.DataFrame({'ratio': [0.1, 0.2], 'learner': ['a', 'b'], 'profit': [1.0, 2.0]})\n"
        "png_bytes(figures.profit_table(frame, ratio=0.1, simulated=True))\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )


def test_calibration_says_whose_predictions_the_measured_bands_exclude() -> None:
    frame = decile_frame(LEARNERS)
    assert "No learner's predictions are contradicted" in words(heterogeneity.calibration(frame, simulated=False))
    off = frame["learner"] == "x_learner"
    wrong = frame.assign(predicted=frame["predicted"] + 0.1 * off)
    assert "2 of 3 learners are not contradicted; X-learner" in words(heterogeneity.calibration(wrong, simulated=False))
