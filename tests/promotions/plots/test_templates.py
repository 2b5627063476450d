"""Our Vega-Lite templates are what DVC fills: anchors, learners in colours, revisions apart, numbers from strings."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc_render import VegaRenderer

from promotions.plots.style import LEARNER_ORDER, PALETTE

TEMPLATES = Path(__file__).parents[3] / ".dvc" / "plots"
NAMES = ["learners_decile", "learners_line", "policies_interval", "profit_heatmap"]
every_template = pytest.mark.parametrize("name", NAMES)

POINTS: dict[str, dict[str, str]] = {
    "learners_line": {"x": "ratio", "y": "profit"},
    "learners_decile": {"x": "decile", "y": "uplift"},
    "policies_interval": {"x": "profit", "y": "policy"},
    "profit_heatmap": {"x": "ratio", "y": "profit"},
}  # As DVC reads a CSV: every value is a string.
ROW = {
    "ratio": "0.025",
    "profit": "0.5",
    "decile": "10",
    "uplift": "0.1",
    "ci_low": "0",
    "ci_high": "1",
    "learner": "x_learner",
    "policy": "threshold.x_learner",
    "rule": "threshold",
    "champion": "True",
}


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((TEMPLATES / f"{name}.json").read_text(encoding="utf-8"))
    return document


def channels(node: Any, *names: str) -> Iterator[Any]:
    """The definition of each encoding channel of these names, and of facets, anywhere in a specification."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in names:
                yield value
            yield from channels(value, *names)
    elif isinstance(node, list):
        for item in node:
            yield from channels(item, *names)


def fields(node: Any, *names: str) -> set[str]:
    found = list(channels(node, *names))
    return {channel["field"] for channel in found if isinstance(channel, dict) and "field" in channel}


def test_these_are_all_the_templates() -> None:
    assert sorted(path.stem for path in TEMPLATES.glob("*.json")) == NAMES


@every_template
def test_template_is_vega_lite_with_dvcs_anchors(name: str) -> None:
    template = read(name)
    assert template["$schema"].startswith("https://vega.github.io/schema/vega-lite/v5")
    assert template["data"] == {"values": "<DVC_METRIC_DATA>"}
    assert template["title"]["text"] == "<DVC_METRIC_TITLE>"
    assert "<DVC_METRIC_X_LABEL>" in json.dumps(template)


@every_template
def test_revisions_and_learners_are_told_apart(name: str) -> None:
    template = read(name)
    assert "rev" in fields(template, "strokeDash", "shape", "column")
    if name == "profit_heatmap":
        assert "learner" in fields(template, "y")
    else:
        assert fields(template, "color") == {"rule" if name == "policies_interval" else "learner"}


@pytest.mark.parametrize("name", ["learners_line", "learners_decile"])
def test_learners_have_the_colours_of_the_figures(name: str) -> None:
    colour = next(channel for channel in channels(read(name), "color") if "field" in channel)
    assert tuple(colour["sort"]) == LEARNER_ORDER
    assert tuple(colour["scale"]["range"]) == PALETTE


@every_template
def test_dvc_fills_every_anchor_and_keeps_every_column(name: str) -> None:
    rows = [ROW | {"rev": rev} for rev in ("HEAD~1", "workspace")]
    labels = {"title": "A title", "x_label": "in words", "y_label": "money per customer"}
    renderer = VegaRenderer(
        rows, "plots/points.csv", template=name, template_dir=str(TEMPLATES), **POINTS[name], **labels
    )
    filled = renderer.get_filled_template()
    assert "<DVC_METRIC" not in json.dumps(filled)
    assert filled["data"]["values"] == rows


@every_template
def test_numbers_are_made_of_dvcs_strings_before_anything_sorts_them(name: str) -> None:
    """DVC reads a CSV as strings, in whose order decile 10 comes before decile 2."""
    template = read(name)
    quantitative = {
        channel["field"]
        for channel in channels(template, "x", "y", "x2", "y2", "color")
        if isinstance(channel, dict) and channel.get("type") == "quantitative" and "field" in channel
    }
    calculated = {step["as"] for step in template["transform"] if "calculate" in step}
    assert quantitative <= calculated


@every_template
def test_simulated_rows_say_so_in_their_revision(name: str) -> None:
    first = read(name)["transform"][0]
    assert first["as"] == "rev"
    assert "simulated data" in first["calculate"]
