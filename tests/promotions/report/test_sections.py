"""What the page says: each sentence follows from the numbers."""

import dataclasses

import pandas as pd
import pytest
import yaml

from promotions.base.errors import InputError
from promotions.discount.margin import TABLES_OF, TableMargin
from promotions.policies import POLICIES
from promotions.report import certainty, customers, decision, discounts, experiment, policies, provenance, render
from promotions.report.blocks import Missing, Table, in_words
from promotions.report.glossary import GLOSSARY, KEYS, term
from promotions.report.page import sections
from promotions.report.run import PICTURE_OF, REQUIRED_METRICS, REQUIRED_TABLES
from tests.support.project import ROOT
from tests.support.report_facts import (
    a_run,
    interval,
    lead,
    observed,
    params,
    policy,
    tables,
    trial,
    with_headline,
)


def plainly(text):
    """A text without links and with ordinary spaces."""
    return in_words(text).replace("\N{NO-BREAK SPACE}", " ")


def everything(section):
    """All words of a section."""
    parts = []
    for block in section.blocks:
        for field in dataclasses.fields(block):
            value = getattr(block, field.name)
            if field.name in ("text", "caption", "note", "alt", "label", "words", "what", "command"):
                parts.append(plainly(value))
            elif field.name in ("items", "rows", "columns", "entries"):
                for item in value:
                    cells = item.cells if hasattr(item, "cells") else [item.title] if hasattr(item, "title") else [item]
                    parts += [plainly(cell) for cell in cells]
    return "\n".join(parts)


# ── The decision ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_lead_whose_interval_includes_0_is_not_proven_and_nothing_recommends_it():
    found = decision.verdict(a_run())
    assert (found.tone, found.label) == ("unclear", "Not proven")
    assert plainly(found.text) == (
        "Contacting the 74 % of the customers that the chosen rule picks earned 0.15 more per customer than the better "
        "of contacting everybody and contacting nobody, but the 95 % interval of this difference is −0.10 to 0.37: "
        "these data cannot tell targeting from contacting all or none."
    )


def test_a_lead_whose_interval_is_above_0_is_proven():
    found = decision.verdict(a_run(with_headline(**lead(0.01304, 0.00547, 0.01964), share_treated=0.504)))
    assert (found.tone, found.label) == ("proven", "Targeting pays")
    assert plainly(found.text) == (
        "Contact the 50 % of the customers that the chosen rule picks: that earns 0.0130 more per customer than the "
        "better of contacting everybody and contacting nobody (95 % interval 0.0055 to 0.0196)."
    )


def test_a_lead_below_0_that_is_not_proven_says_less():
    found = decision.verdict(a_run(with_headline(**lead(-0.15, -0.4, 0.1))))
    assert found.label == "Not proven"
    assert "earned 0.15 less per customer" in plainly(found.text)


@pytest.mark.parametrize(("over_nobody", "better"), [(0.5, "everybody"), (-0.5, "nobody")])
def test_targeting_that_costs_names_the_better_of_all_and_none(over_nobody, better):
    worse = lead(-0.2, -0.3, -0.1) | {"lift_over_treat_none": over_nobody}
    found = decision.verdict(a_run(with_headline(**worse)))
    assert (found.tone, found.label) == ("against", "Targeting costs")
    assert plainly(found.text).startswith(f"Contact {better}: contacting the 74 %")


@pytest.mark.parametrize(("champion", "label"), [("treat_all", "Contact everybody"), ("treat_none", "Contact nobody")])
def test_a_constant_champion_is_compared_with_the_other_constant(champion, label):
    proven = decision.verdict(a_run(with_headline(champion=champion, **lead(0.3, 0.1, 0.5))))
    assert (proven.tone, proven.label) == ("proven", label)
    assert "earns 0.30 more per customer than contacting" in plainly(proven.text)
    unclear = decision.verdict(a_run(with_headline(champion=champion, **lead(0.3, -0.1, 0.7))))
    assert unclear.tone == "unclear"
    assert "proven to pay" in unclear.label


@pytest.mark.parametrize("champion", ["threshold.x_learner", "treat_all"])
def test_with_estimated_propensities_nothing_is_proven(champion):
    run = observed(champion=champion, **lead(0.3, 0.1, 0.5))
    found = decision.verdict(run)
    assert found.tone == "unclear"
    assert found.label.endswith(", if nothing hidden decided on contacts")
    assert "let lots decide" in plainly(decision.what_to_do(run))


def test_the_money_stands_per_customer_per_thousand_and_for_the_list():
    cells = [plainly(cell) for cell in decision.money(a_run()).rows[0].cells]
    assert cells == [
        "than the better of all and none",
        "+0.15 (−0.10 to 0.37)",
        "+150 (−100 to 370)",
        "+9,000 (−6,000 to 22,000)",
    ]


def test_a_constant_champion_is_not_compared_with_itself():
    rows = decision.money(a_run(with_headline(champion="treat_all"))).rows
    assert [row.cells[0] for row in rows] == ["than contacting nobody"]


def test_the_break_even_is_that_of_the_parameters():
    assert "raises the outcome by at least 0.025 (C/R)" in plainly(decision.break_even(a_run()))


def test_costs_on_response_own_costs_and_no_revenue_have_no_single_break_even():
    on_response, free = params(), params()
    on_response["costs"]["charged"] = "on_response"
    free["costs"]["revenue_per_response"] = 0
    assert "who responds costs 1" in plainly(decision.break_even(a_run(params=on_response)))
    assert "no effect pays" in plainly(decision.break_even(a_run(params=free)))
    own = a_run(roles={"roles": ["customer_id", "cost"]})
    assert plainly(decision.break_even(own)) == "Break-even. Cost differs between customers, as the data say."


def test_a_rule_that_can_be_told_is_told():
    told = plainly(decision.whom(a_run(with_headline(champion="tree.depth_2"))))
    assert told == "Whom. The champion, Tree · Depth 2, says: treat if (age < 40 and orders ≥ 2)."
    assert "earns at least what the contact costs." in plainly(decision.whom(a_run()))
    assert "until the budget is spent" in plainly(decision.whom(a_run(with_headline(champion="budget.x_learner"))))
    stranger = plainly(decision.whom(a_run(with_headline(champion="oracle.x_learner"))))
    assert stranger.endswith("Oracle (knows the truth) · X-learner, says: contact the customers that it picks.")
    assert "a classifier picks, which was trained on the effects that X-learner predicts" in plainly(
        decision.whom(a_run(with_headline(champion="weighted.x_learner")))
    )


def test_the_truth_is_told_where_it_is_known_and_only_there():
    assert "20.60 per customer (inside its 95 % interval)" in plainly(decision.against_truth(a_run()))
    outside = a_run(with_headline(profit_ci_low=21.0))
    assert "outside its 95 % interval" in plainly(decision.against_truth(outside))
    real = a_run(lambda found: found["headline"].pop("true_profit_per_customer"))
    assert decision.against_truth(real) == ""
    assert "truth" not in everything(decision.section(real))


def test_the_next_step_follows_the_verdict():
    assert "do not count on the gain" in plainly(decision.what_to_do(a_run()))
    assert "control group" in plainly(decision.what_to_do(a_run(with_headline(**lead(1, 0.5, 1.5)))))
    assert "Before targeting again" in plainly(decision.what_to_do(a_run(with_headline(**lead(-1, -1.5, -0.5)))))


# ── The experiment ───────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("verdicts", "tone", "words"),
    [
        (["sound"] * 6, "proven", "All 6 checks are passed"),
        (["sound", "look", *["sound"] * 4], "unclear", "Look closer at: effect."),
        (["broken", "look", *["sound"] * 4], "against", "Sample ratio: broken."),
    ],
)
def test_the_experiment_is_as_sound_as_its_worst_check(verdicts, tone, words):
    given = tables()
    given["soundness"]["verdict"] = verdicts
    found = experiment.verdict(a_run(tables=given))
    assert found.tone == tone
    assert words in plainly(found.text)


def test_an_effect_is_proven_only_if_its_interval_excludes_0():
    assert plainly(experiment.effect(a_run())).endswith("So the promotion raises the outcome: proven.")
    unclear = a_run(lambda found: found["experiment"].update(ate_ci_low=-0.01))
    assert plainly(experiment.effect(unclear)).endswith("on average is not proven.")
    lower = a_run(lambda found: found["experiment"].update(ate=-0.04, ate_ci_low=-0.05, ate_ci_high=-0.03))
    assert "lowers the outcome: proven" in plainly(experiment.effect(lower))


def test_the_detectable_effect_is_held_against_the_break_even():
    assert "less than the break-even of 0.025" in plainly(experiment.detectable(a_run()))
    dear = a_run(lambda found: found["experiment"].update(mde=0.03))
    assert "more than the break-even of 0.025, so an effect that just pays may be missed" in plainly(
        experiment.detectable(dear)
    )


# ── Rules, costs, budgets ────────────────────────────────────────────────────────────────────────────────────────────
def test_rules_are_sorted_by_what_they_earn_and_the_champion_alone_is_marked():
    rows = policies.table(a_run()).rows
    assert [plainly(row.cells[0]) for row in rows] == [
        "Weighted · X-learner",
        "★ Threshold · X-learner (champion)",
        "Contact everybody",
        "Tree · Depth 2",
        "Contact nobody",
    ]
    assert [row.marked for row in rows] == [False, True, False, False, False]
    assert [plainly(cell) for cell in rows[1].cells[1:]] == [
        *("+450", "50 to 850", "+150", "−150 to 450", "3 %", "74 %"),
    ]


def test_the_rules_of_the_table_are_explained_in_the_glossary_and_no_others():
    note = policies.table(a_run()).note
    assert plainly(note).startswith("Names: threshold, weighted, tree; behind the dot the learner.")
    more = policies.table(
        a_run(lambda found: found["policies"]["policies"].update({"groups.age": policy(0.1, 0.2, 0)}))
    )
    assert plainly(more.note).startswith("Names: threshold, weighted, tree, groups; behind")
    entries = {entry.key: entry for entry in GLOSSARY}
    for name, family in POLICIES.items():
        assert (entries[name].title, entries[name].text) == (family.rule.title, family.rule.meaning)


def test_a_constant_is_not_compared_with_itself_in_the_table():
    rows = {plainly(row.cells[0]): [plainly(cell) for cell in row.cells] for row in policies.table(a_run()).rows}
    assert rows["Contact nobody"][1:3] == ["0", "–"]
    assert rows["Contact nobody"][5] == "–"
    assert rows["Contact everybody"][3:5] == ["0", "–"]


def test_proofs_are_counted_with_the_number_of_rules_allowed_for():
    assert plainly(policies.how_many_pay(a_run())) == (
        "Of 3 rules that choose, allowing for how many were tried, 1 surely earns more than contacting nobody, and "
        "none more than contacting everybody."
    )


def test_todays_ratio_is_marked_in_the_table_of_costs():
    table = policies.cost_table(a_run())
    marked = [row for row in table.rows if row.marked]
    assert [plainly(cell) for cell in marked[0].cells] == ["0.025 (today)", "1", "+450", "−50 to 950", "+300"]
    assert len(marked) == 1
    assert len(table.rows) == 6


@pytest.mark.parametrize("roles", [["customer_id", "cost"], ["customer_id", "cost", "revenue"]])
def test_without_one_ratio_there_is_no_table_of_costs(roles):
    assert policies.cost_table(a_run(roles={"roles": roles})) is None


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.03, 0.05, "pays on average"), (0.01, 0.02, "does not pay"), (0.02, 0.03, "is not proven")],
)
def test_the_average_effect_stands_above_below_or_about_the_break_even(low, high, words):
    run = a_run(lambda found: found["experiment"].update(ate=(low + high) / 2, ate_ci_low=low, ate_ci_high=high))
    assert words in plainly(policies.today(run))


def test_how_dear_a_contact_may_become_is_read_from_the_band():
    assert "as long as C/R is 0.0125 or less" in policies.falling(a_run())
    given = tables()
    given["profit_by_cost_ratio"]["band_low"] = -1.0
    assert policies.falling(a_run(tables=given)).startswith("At no C/R")


def test_the_best_share_flatters_and_says_so():
    assert "stands at a share of 100 %. As the highest of many it flatters." in policies.best_share(a_run()).replace(
        "\N{NO-BREAK SPACE}", " "
    )
    given = tables()
    given["profit_by_share"]["profit"] = -given["profit_by_share"]["profit"]
    assert "no share of the customers" in policies.best_share(a_run(tables=given))


# ── Customers ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_rules_in_a_sentence_come_with_what_they_earn_and_what_their_features_mean():
    words = everything(customers.section(a_run()))
    assert "Tree · Depth 2: treat if (age < 40 and orders ≥ 2). It earns +170 (−230 to 570)" in words
    assert "age: Age in years." in words
    assert "None of the rules" in everything(
        customers.section(a_run(lambda found: found["rules"]["rules"].pop("tree.depth_2")))
    )


def test_the_most_different_features_come_first_whichever_the_sign():
    table = customers.affected_table(a_run())
    assert [row.cells[0] for row in table.rows] == ["orders is unknown", "age", "region is north"]
    assert [row.cells[4] for row in table.rows] == ["Number of orders", "Age in years", "–"]


def test_the_mean_of_a_level_that_nobody_has_is_0_whatever_its_sum_left_over():
    run = a_run()
    nobody = run.tables["affected"].assign(least_affected=[3.33e-16, -3.33e-16, 0.0])
    run = dataclasses.replace(run, tables=run.tables | {"affected": nobody})
    table = customers.affected_table(run)
    assert [row.cells[1:3] for row in table.rows] == [("0.960", "0.000"), ("54.4", "0.0"), ("0.100", "0.000")]
    assert "0.000000" not in render(run)


def test_without_a_dictionary_there_is_no_column_of_meanings():
    assert len(customers.affected_table(a_run(meanings={})).columns) == 4


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.1, 1.5, "not proven that its predictions tell customers apart"),
        (0.2, 0.8, "differ less between customers"),
        (1.1, 1.9, "differ more between customers"),
        (0.5, 1.5, "compatible with 1"),
        (-0.9, -0.1, "point the wrong way"),
    ],
)
def test_the_calibration_slope_in_words(low, high, words):
    changes = {
        "calibration_slope": (low + high) / 2,
        "calibration_slope_ci_low": low,
        "calibration_slope_ci_high": high,
    }
    assert words in customers.slope(a_run(lambda found: found["learners"]["learners"]["x_learner"].update(changes)))


def test_a_ranking_is_better_than_chance_only_if_its_p_value_says_so():
    assert "ranks customers better than chance" in plainly(customers.ranking(a_run()))
    unsure = a_run(lambda found: found["learners"]["learners"]["x_learner"].update(autoc_p_value=0.2))
    assert "is not proven to rank" in plainly(customers.ranking(unsure))


def test_an_explanation_says_how_it_was_made():
    assert "computed exactly for 20,935 customers" in everything(customers.section(a_run()))
    partly = a_run(lambda found: found["explain"].update(method="partly distilled", fidelity=0.956))
    assert "partly by way of a model that imitates it and explains 96 %" in everything(customers.section(partly))


# ── How sure ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_interval_for_all_rules_at_once_is_told():
    assert plainly(certainty.at_once(a_run())).endswith("all 5 rules are to hold at once, its own is 18.9 to 21.9.")


def test_the_nested_protocol_judges_a_procedure():
    nested = params()
    nested["evaluate"]["protocol"] = "nested"
    assert "judges the procedure" in plainly(certainty.conditional(a_run(params=nested)))
    assert "judges the procedure" not in plainly(certainty.conditional(a_run()))


def test_stability_names_who_wins_and_how_often():
    document = a_run().metrics["stability"]
    assert plainly(certainty.winners(document)) == (
        "Weighted · X-learner wins most often at each cost ratio, in 60 % of the trials."
    )
    several = dict(document) | {"1/20": {"treat_all": trial(0.0, 0.7), "weighted.x_learner": trial(0.0, 0.3)}}
    told = plainly(certainty.winners(several))
    assert told.startswith("Wins most often, in 60 % to 70 % of the trials: Weighted · X-learner at C/R = 1/40; ")
    tied = dict(document) | {"1/40": {"treat_all": trial(0.0, 0.5), "weighted.x_learner": trial(0.1, 0.5)}}
    assert plainly(certainty.winners(tied)).startswith("No rule leads: at most cost ratios several win equally often")
    rows = certainty.stability_table(several).rows
    assert [row.cells[1] for row in rows if row.marked] == ["Weighted · X-learner", "Contact everybody"]


# ── Discounts ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("low", "high", "tone", "label"),
    [
        (2.6, 6.5, "proven", "Discounts by customer pay"),
        (-1.0, 6.5, "unclear", "Not proven"),
        (-6.5, -2.6, "against", "Discounts by customer lose"),
    ],
)
def test_the_decision_on_discounts_follows_its_interval(low, high, tone, label):
    ends = {"lift_over_best_constant_ci_low": low, "lift_over_best_constant_ci_high": high}
    found = discounts.decision(a_run(lambda found: found["discount"]["discount"].update(ends)))
    assert (found.tone, found.label) == (tone, label)


def at_margin(found, own, what_if=None):
    """Put the tables' own margins, or a what-if, into the documents. own: by role."""
    margins = {role: TableMargin(role, margin, what_if) for role, margin in own.items()}
    for name, prefixes in TABLES_OF.items():
        for role, prefix in prefixes.items():
            found[f"discount/{name}"].update(margins[role].to_metrics(prefix))
    found["discount"]["discount"].update(margins["randomised"].to_metrics())


def test_the_section_and_the_decision_on_discounts_say_which_margin_and_whose():
    own = dict.fromkeys(("observational", "randomised", "cutoff", "panel"), 1.0)
    html = everything(discounts.section(a_run(lambda found: at_margin(found, own))))
    assert "Profit is at the tables’ own margin of 1." in html
    assert "drawn by lot, profit at the test’s own margin of 1)" in html
    assert "policies.json. Profit is at the test’s own margin of 1." in html
    assert "What if" not in html
    run = a_run(lambda found: at_margin(found, own, 0.05))
    html = everything(discounts.section(run))
    assert "What if. Profit is at a what-if margin of 0.05, instead of the tables’ own 1." in html
    assert "drawn by lot, profit at a what-if margin of 0.05, instead of the test’s own 1)" in html
    assert "profit at a what-if margin of 0.05" in everything(decision.section(run))


def test_a_log_at_another_margin_than_the_test_is_not_called_confounded():
    own = {"observational": 0.049, "randomised": 0.05, "cutoff": 0.049, "panel": 0.05}
    apart = a_run(lambda found: at_margin(found, own))
    assert plainly(discounts.confounded(apart)).endswith(
        "The two cannot be compared, as profit is at each table’s own margin: 0.049 in the log, 0.05 in the test; a "
        "number as discount.margin puts both at one."
    )
    assert plainly(discounts.margin(apart)) == (
        "Profit is at each table’s own margin: 0.049 in the log and the cut-off table, 0.05 in the test and the panel. "
        "A number as discount.margin puts all at one; until then the answers differ by this as well."
    )
    together = a_run(lambda found: at_margin(found, own, 0.05))
    assert plainly(discounts.confounded(together)).endswith("The log flatters the discount: confounding.")


def test_metrics_that_do_not_say_their_margin_are_of_an_earlier_version():
    with pytest.raises(InputError, match=r"do not say at which margin they are.*run `make discounts`"):
        discounts.section(a_run(lambda found: found["discount/rdd"].pop("margin_is")))


def test_the_log_flatters_only_if_the_intervals_part():
    assert plainly(discounts.confounded(a_run())).endswith("The log flatters the discount: confounding.")
    alike = a_run(lambda found: found["discount/effect"]["profit"].update(interval("naive", -0.05, -0.07, -0.03)))
    assert plainly(discounts.confounded(alike)).endswith("The two agree within their intervals.")
    alone = a_run(lambda found: found["discount/effect"]["profit"].pop("randomised"))
    assert "No test says whether the discount is the cause" in plainly(discounts.confounded(alone))


def test_a_cut_off_at_which_customers_gather_is_distrusted():
    assert "none of 60 other columns jumps there too" in plainly(discounts.cutoff(a_run()))
    gathering = a_run(lambda found: found["discount/rdd"]["density"].update(p_value=0.001))
    assert "distrust it" in plainly(discounts.cutoff(gathering))


def test_the_column_by_which_effects_differ_most_surely_is_told():
    assert plainly(discounts.by_group(a_run())) == (
        "By age, a dollar of discount changes profit by +0.190 (0.140 to 0.230) where it is 38 and more, and by −0.110 "
        "(−0.140 to −0.080) where it is up to 37. More than chance explains (p < 0.0001)."
    )


@pytest.mark.parametrize(
    ("absent", "command"),
    [
        ("discount/effect", "dvc repro discounts/dvc.yaml:discount_effect"),
        ("discount/rdd", "dvc repro discounts/dvc.yaml:discount_rdd"),
        ("discount/did", "dvc repro discounts/dvc.yaml:discount_did"),
        ("discount/groups", "dvc repro discounts/dvc.yaml:discount_groups"),
        ("discount", "dvc repro discounts/dvc.yaml:discount_evaluate"),
    ],
)
def test_a_part_of_the_discounts_that_was_not_run_names_its_command_and_stops_nothing(absent, command):
    section = discounts.section(a_run(lambda found: found.pop(absent)))
    assert command in [block.command for block in section.blocks if isinstance(block, Missing)]
    assert any(isinstance(block, Table) for block in section.blocks)


def test_without_any_discounts_one_line_says_so():
    def drop(found):
        for name in [name for name in found if name.startswith("discount")]:
            del found[name]

    run = a_run(drop)
    section = discounts.section(run)
    assert [type(block) for block in section.blocks] == [Missing]
    assert section.blocks[0].command == "make discounts"
    assert "Discounts." not in everything(decision.section(run))


# ── Assumptions, parameters, what is missing ─────────────────────────────────────────────────────────────────────────
def test_parameters_are_written_as_params_yaml_writes_them():
    rows = {plainly(row.cells[0]): plainly(row.cells[1]) for row in provenance.parameters(a_run()).rows}
    assert rows["costs.cost_per_treatment"] == "1"
    assert rows["split.shares"] == "{train: 0.45, select: 0.2, final: 0.35}"
    assert rows["policy.budget"] == "{share: null, money: null}"
    assert rows["learners"] == "x_learner"
    assert "data.table.overlap" not in rows


def test_the_entries_of_policy_are_stated_whichever_there_are():
    given = params() | {"policy": {"threshold": {}, "vote": {"share": 0.5}}}
    rows = {plainly(row.cells[0]): plainly(row.cells[1]) for row in provenance.parameters(a_run(params=given)).rows}
    assert {name: value for name, value in rows.items() if name.startswith("policy.")} == {
        "policy.threshold": "{}",
        "policy.vote": "{share: 0.5}",
    }


def test_every_parameter_that_the_page_states_is_in_params_yaml():
    whole = yaml.safe_load((ROOT / "params.yaml").read_text())
    rows = provenance.parameters(dataclasses.replace(observed(), params=whole)).rows
    stated = {plainly(row.cells[0]): plainly(row.cells[1]) for row in rows}
    assert stated["discount.policy.least_customers"] == str(whole["discount"]["policy"]["least_customers"])
    assert stated.keys() >= {*provenance.PARAMETERS, *provenance.OF_ESTIMATES, *provenance.OF_DISCOUNTS}


def test_a_parameter_that_is_stated_and_absent_is_an_error():
    given = params()
    del given["discount"]["policy"]["default"]
    with pytest.raises(InputError, match=r"discount\.policy\.default is missing; the page states it"):
        provenance.parameters(a_run(params=given))


def test_simulated_and_real_data_are_told_apart():
    assert plainly(provenance.source(a_run())).endswith("Simulated.")
    real = a_run(lambda found: [each.update(source="hillstrom", simulated=False) for each in found.values()])
    assert plainly(provenance.source(real)).endswith("from data/raw. Not simulated.")
    assert any("The data are simulated." in plainly(risk) for risk in provenance.risks(a_run()))
    assert not any("The data are simulated." in plainly(risk) for risk in provenance.risks(real))


@pytest.mark.parametrize(("name", "command"), [("explain", "dvc repro evaluate"), ("stability", "dvc repro stability")])
def test_an_optional_stage_that_was_not_run_names_its_command(name, command):
    page = sections(a_run(lambda found: found.pop(name)))
    missing = [block.command for section in page for block in section.blocks if isinstance(block, Missing)]
    assert missing == [command]


def test_nothing_is_missing_after_a_whole_run():
    assert not [block for section in sections(a_run()) for block in section.blocks if isinstance(block, Missing)]


@pytest.mark.parametrize("name", REQUIRED_METRICS)
def test_a_required_document_that_is_absent_is_named(name):
    with pytest.raises(InputError, match=rf"metrics lack {name}; run `dvc repro evaluate` first"):
        a_run(lambda found: found.pop(name))


def test_documents_of_two_runs_are_not_put_on_one_page():
    with pytest.raises(InputError, match=r"rules.json is of source 'x5' and headline.json of 'simulated', so of two"):
        a_run(lambda found: found["rules"].update(source="x5"))


@pytest.mark.parametrize("name", REQUIRED_TABLES)
def test_a_required_table_that_is_absent_is_named(name):
    given = tables()
    del given[name]
    with pytest.raises(InputError, match=f"tables lack {name}"):
        a_run(tables=given)


def test_what_an_earlier_run_of_another_source_left_behind_is_not_shown():
    run = a_run(lambda found: found["discount/rdd"].update(source="files", simulated=False))
    assert "discount/rdd" in run.metrics
    assert "discount/rdd" not in run.current().metrics
    stale = a_run(lambda found: found["explain"].update(learner="s_learner"))
    assert "explain" not in stale.current().metrics
    assert set(a_run().current().metrics) == set(a_run().metrics)


@pytest.mark.parametrize(("name", "picture"), PICTURE_OF.items())
def test_a_document_without_its_picture_is_another_machines(name, picture):
    run = a_run()
    drawn = {key: content for key, content in run.pictures.items() if key != picture}
    assert name not in dataclasses.replace(run, pictures=drawn).current().metrics


def test_the_curves_shown_are_those_that_the_headline_names():
    assert a_run().shown == "x_learner"
    assert a_run(with_headline(champion="tree.depth_2", learner="ensemble")).shown == "ensemble"


def test_every_term_is_in_the_glossary_once():
    assert len(KEYS) == len(GLOSSARY)
    with pytest.raises(KeyError, match="no entry 'nonsense'"):
        term("nonsense", "words")


def test_a_frame_of_one_share_has_a_table():
    given = tables()
    given["profit_by_share"] = pd.DataFrame(given["profit_by_share"].iloc[[0, -1]])
    assert policies.share_table(a_run(tables=given)).rows[-1].cells[0].startswith("100")
