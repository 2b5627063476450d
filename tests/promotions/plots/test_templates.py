"""Our Vega-Lite templates are what DVC fills: anchors, learners in colours, revisions apart, numbers from strings."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc_render import VegaRenderer

from promotions.plots.style import FAINT, LEARNER_ORDER, PALETTE, REFERENCES, RULE_ORDER, RULE_PALETTE

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
    assert template["data"] == {"name": "rows", "values": "<DVC_METRIC_DATA>"}
    assert template["title"]["text"] == "<DVC_METRIC_TITLE>"
    assert "<DVC_METRIC_X_LABEL>" in json.dumps(template)


@every_template
def test_revisions_and_learners_are_told_apart(name: str) -> None:
    template = read(name)
    assert "rev" in fields(template, "strokeDash", "shape", "column")
    if name == "profit_heatmap":
        assert "learner" in fields(template, "y")
    else:
        assert fields(template, "color") == {"kind" if name == "policies_interval" else "learner"}


def test_lines_and_intervals_of_another_revision_are_dashed() -> None:
    for name in set(NAMES) - {"profit_heatmap"}:
        assert fields(read(name), "strokeDash") == {"rev"}


@pytest.mark.parametrize("name", ["learners_line", "learners_decile"])
def test_learners_have_the_colours_of_the_figures(name: str) -> None:
    template = read(name)
    colour = next(channel for channel in channels(template, "color") if "field" in channel)
    assert tuple(colour["sort"]) == LEARNER_ORDER
    assert colour["scale"]["range"] == [{"expr": f"hues[{place}]"} for place in range(len(PALETTE))]
    # Vega-Lite deals colours in order to those learners that are there: first come the colours of these.
    hues = next(each["expr"] for each in template["params"] if each["name"] == "hues")
    pairs = list(zip(LEARNER_ORDER, PALETTE, strict=True))
    assert re.findall(r"'(\w+)'\) < 0 \? '' : ',(#\w+)'", hues) == pairs
    assert re.findall(r"'(\w+)'\) < 0 \? ',(#\w+)' : ''", hues) == pairs


def test_rules_have_the_colours_of_the_figures() -> None:
    template = read("policies_interval")
    assert next(c["sort"] for c in channels(template, "color") if "field" in c) == ["same_for_everybody", *RULE_ORDER]
    hues = next(each["expr"] for each in template["params"] if each["name"] == "hues")
    pairs = list(zip(("treat_none", *RULE_ORDER), (FAINT, *RULE_PALETTE[: len(RULE_ORDER)]), strict=True))
    assert re.findall(r"'(\w+)'\) < 0 \? '' : ',(#\w+)'", hues) == pairs
    assert re.findall(r"'(\w+)'\) < 0 \? ',(#\w+)' : ''", hues) == pairs
    # For a rule that is not listed, once the listed ones have theirs.
    assert re.findall(r"\+ ',(#\w+)', 1\)", hues) == list(RULE_PALETTE[len(RULE_ORDER) :])


def test_references_are_called_as_in_the_figures() -> None:
    for name in ("learners_line", "policies_interval"):
        words = next(step["calculate"] for step in read(name)["transform"] if step.get("as") == "name")
        assert [f"{reference}: '{called}'" in words for reference, (called, _) in REFERENCES.items()] == [True] * 4


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


def test_the_page_has_its_scripts_inside() -> None:
    page = (TEMPLATES / "page.html").read_text(encoding="utf-8")
    assert page.count("{plot_divs}") == page.count("{refresh_tag}") == 1
    assert "{scripts}" not in page  # DVC would put links to a server of scripts there
    assert not re.search(r"<script[^>]+src|<link|sourceMappingURL", page)
    assert page.count("<script>") == page.count("</script>") == 4


def test_the_page_has_a_title_for_each_picture() -> None:
    root = TEMPLATES.parents[1]
    pipelines = [
        yaml.safe_load((root / file).read_text(encoding="utf-8")) for file in ("dvc.yaml", "discounts/dvc.yaml")
    ]
    declared = [item for pipeline in pipelines for item in pipeline["plots"]]
    page = (TEMPLATES / "page.html").read_text(encoding="utf-8")
    told = re.findall(r'^    "(plots/\S+)": "\w', page, re.MULTILINE)
    assert told == [item.removeprefix("../") for item in declared if isinstance(item, str)]
