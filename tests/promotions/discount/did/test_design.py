"""Who is treated from when: the file, designs that were drawn, bad input."""

import pytest

from promotions.base.errors import InputError
from promotions.discount.did.design import Design, Treated, find_design, make_panel, require_curvatures
from tests.support.drawn_panel import DESIGN, SEARCH_GROUP, SEARCH_REGION, draw_panel
from tests.support.randomness import rng_of


@pytest.fixture(scope="module")
def drawn():
    return draw_panel()


def test_the_discount_itself_shows_who_got_it_from_when(real_tables):
    design = find_design(real_tables["panel"], SEARCH_GROUP, SEARCH_REGION)
    assert (design.group.level, design.group.month) == ("W", 5)
    assert (design.region.level, design.region.month) == ("MG", 11)


def test_the_search_finds_the_design_that_was_drawn_also_with_noisy_discounts(drawn):
    assert find_design(drawn, SEARCH_GROUP, SEARCH_REGION) == DESIGN
    noisy = drawn.assign(discount=drawn["discount"] + rng_of(2).normal(0, 5, len(drawn)))
    assert find_design(noisy, SEARCH_GROUP, SEARCH_REGION) == DESIGN
    stated = {"column": "gender", "level": "W", "month": "search"}
    assert find_design(drawn, stated, {**SEARCH_REGION, "month": 5}) == DESIGN
    assert find_design(drawn, SEARCH_GROUP, {**SEARCH_REGION, "level": None}) == Design(
        DESIGN.group, None, "cust_state"
    )


@pytest.mark.parametrize(
    ("change", "group", "region", "message"),
    [
        ({}, {"level": "X"}, {}, "'X' is no level of 'gender'; there are M, W"),
        ({}, {"column": "sex"}, {}, "'sex' cannot be chosen; expected one of age, gender, cust_state"),
        ({}, {"level": "W", "month": 0}, {}, "0 leaves no month before it"),
        ({}, {"level": "W", "month": 8}, {}, "8 lies after the panel's last month, 7"),
        ({}, {"level": "W", "month": "May"}, {}, "expected a month of the panel or 'search', got 'May'"),
        ({"discount": 0.0}, {}, {}, "no change of the discount stands out"),
        ({"gender": "W"}, {}, {}, "'gender' has 1 level"),
        ({"month": 1.0}, {}, {}, "one month only"),
    ],
)
def test_what_cannot_be_found_is_said_in_one_line(drawn, change, group, region, message):
    with pytest.raises(InputError, match=message) as caught:
        find_design(drawn.assign(**change), {**SEARCH_GROUP, **group}, {**SEARCH_REGION, **region})
    assert "\n" not in str(caught.value)


def test_two_regions_with_a_discount_have_to_be_told_apart_by_the_user(drawn):
    second = (drawn["cust_state"] == "SP") & (drawn["month"] >= 6)
    both = drawn.assign(discount=drawn["discount"] + 18 * second.astype(float))
    with pytest.raises(InputError, match=r"cust_state MG changed by .* and that of SP by .*state which level"):
        find_design(both, SEARCH_GROUP, SEARCH_REGION)
    assert find_design(both, SEARCH_GROUP, {**SEARCH_REGION, "level": "SP"}).region == Treated("cust_state", "SP", 6.0)


def test_a_panel_without_rows_or_without_clean_controls_is_refused(drawn):
    with pytest.raises(InputError, match="the panel has no rows"):
        find_design(drawn.iloc[:0], SEARCH_GROUP, SEARCH_REGION)
    with pytest.raises(InputError, match="the panel has no controls before month 3"):
        make_panel(drawn[(drawn["gender"] != "M") | (drawn["month"] >= 3)], DESIGN)


@pytest.mark.parametrize("wrong", [[], [-0.1], 0.5, ["0.1"], [True], [float("inf")]])
def test_curvatures_are_a_list_of_numbers_from_zero(wrong):
    with pytest.raises(InputError, match=r"discount\.did\.curvatures: expected a list of numbers of 0 or more"):
        require_curvatures(wrong)
    assert require_curvatures([0.5, 0]) == [0.0, 0.5]
