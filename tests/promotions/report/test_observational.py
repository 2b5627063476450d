"""Without an experiment the page says so in plain words, and nothing on it speaks of lots that were drawn."""

import re

import pytest

from promotions.report import certainty, observational, policies, provenance
from promotions.report.blocks import Figure, Row, Table, in_words
from promotions.report.page import render, sections
from tests.support.report_facts import a_run, observed


def plainly(text):
    """A text without links and with ordinary spaces."""
    return in_words(text).replace("\N{NO-BREAK SPACE}", " ")


def test_it_is_not_an_experiment_whatever_the_checks_say():
    found = observational.verdict()
    assert (found.tone, found.label) == ("unclear", "Not an experiment")
    assert "only if all reasons for a contact that also move the outcome are among them" in plainly(found.text)


def test_the_effect_stands_beside_the_difference_that_is_none():
    told = plainly(observational.effect(observed()))
    assert "As they are, the contacted differ from the others by +1.697, which is not the effect of the contact" in told
    assert "a contact changes it by +0.806 (95 % interval 0.739 to 0.873)" in told
    assert told.endswith("So the promotion raises the outcome, if nothing hidden decided on contacts.")
    unclear = observed(lambda facts: facts.update(ate_ci_low=-0.1))
    assert plainly(observational.effect(unclear)).endswith("on average is not proven.")


def test_only_the_doubly_robust_estimate_is_marked_and_the_weighted_one_has_no_interval():
    rows: list[Row] = list(observational.methods(observed()).rows)
    assert [row.marked for row in rows] == [False, False, True]
    cells = [[plainly(cell) for cell in row.cells] for row in rows]
    assert cells[1][:3] == ["Weighted", "+0.812", "–"]
    assert cells[2][:3] == ["Doubly robust", "+0.806", "0.739 to 0.873"]


def test_who_was_left_out_and_by_which_rule():
    told = plainly(observational.left_out(observed()))
    assert "below 0.1 or above 0.9" in told
    assert "148 customers of 5,000, 2 % of the contacted and 4 % of the others" in told
    nobody = plainly(observational.left_out(observed(lambda facts: facts.update(left_out=0))))
    assert nobody.endswith("there are none.")


def test_checks_have_words_and_what_cannot_be_known_says_so():
    table = next(
        block
        for block in observational.section(observed()).blocks
        if isinstance(block, Table) and block.key == "checks"
    )
    first = [plainly(row.cells[0]) for row in table.rows]
    assert first[0].startswith("Was everybody’s like")
    assert first[-1] == "Did anything hidden decide on contacts?"
    assert plainly(table.rows[-1].cells[-1]) == "cannot be known"
    assert "experiment" not in plainly(table.caption)


def test_both_pictures_are_shown_and_said():
    pictures = [block for block in observational.section(observed()).blocks if isinstance(block, Figure)]
    assert len(pictures) == 2
    assert "up to 0.99 SD (orders); weighted, by up to 0.043 SD (channel=shop)" in plainly(pictures[0].caption)
    assert "propensities" in plainly(pictures[1].caption)


@pytest.mark.parametrize(
    "words",
    [
        "Is the experiment sound?",
        "Contacts were drawn by lot",
        "Were as many contacted as planned",
        "of this size finds",
    ],
)
def test_a_page_without_an_experiment_claims_nothing_of_one(words):
    assert words in render(a_run())
    assert words not in render(observed())


def test_the_page_says_everywhere_what_holds_only_without_hidden_reasons():
    html = render(observed())
    assert "<title>" in html
    assert re.search(
        r"<strong>Not an experiment\.</strong> Nobody was contacted by lot\. Every number stands only", html
    )
    assert "Nobody was contacted by lot" in plainly(provenance.assumptions(observed())[0])
    risks = " ".join(plainly(risk) for risk in provenance.risks(observed()))
    assert "A hidden reason." in risks
    assert "148 customers of 5,000 had nobody to be compared with" in risks
    assert "hidden" not in " ".join(plainly(risk) for risk in provenance.risks(a_run()))
    assert [section.key for section in sections(observed())] == [section.key for section in sections(a_run())]


def test_intervals_say_which_of_them_hold():
    assert "They also leave out hidden reasons for contacts" in plainly(certainty.conditional(observed()))
    assert "Hidden" not in plainly(certainty.conditional(a_run()))
    assert "intervals of ips and snips take the estimated" in plainly(policies.table(observed()).note)
    assert "ips" not in plainly(policies.table(a_run()).note)
    blocks = [plainly(block.text) for block in certainty.repeated(observed()) if hasattr(block, "text")]
    assert any("not estimated anew" in words for words in blocks)


@pytest.mark.parametrize("entry", [{"uplift_forest": {"trees": 20}}, {"wide": {"class": "uplift_forest", "trees": 20}}])
def test_a_learner_that_knows_no_propensities_is_named(entry):
    risks = [plainly(risk) for risk in provenance.risks(observed())]
    assert not any("uplift forest" in risk for risk in risks)
    run = observed()
    learners = run.metrics["learners"]["learners"]
    learners |= dict.fromkeys(entry, learners["x_learner"])
    run.params["learners"].update(entry)
    assert any("uplift forest" in plainly(risk) for risk in provenance.risks(run))
