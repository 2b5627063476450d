"""A list as a whole: ids that occur twice, and budgets in one go or piece by piece."""

import numpy as np
import pandas as pd
import pytest

from promotions.base.errors import InputError
from promotions.policies.budget import within_budget
from promotions.policies.rule import Budget
from promotions.scoring.listing import Allowance, Listing


def scored(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    gain = rng.normal(size=n).round(1)
    ids = np.array([f"c{seed}-{number}" for number in range(n)], dtype=object)
    return pd.DataFrame({"customer_id": ids, "expected_profit": gain, "treat": (gain >= 0).astype(np.int8), "reason": "r"})  # fmt: skip  # noqa: E501


def listing(*pieces: pd.DataFrame) -> Listing:
    whole = Listing(gains=True)
    for piece in pieces:
        whole.add(piece, np.full(len(piece), 0.5))
    return whole


@pytest.mark.parametrize(
    ("allowance", "limit"),
    [
        (Allowance(share=0.2), {"share": 0.2}),
        (Allowance(money=31.0), {"money": 31.0}),
        (Allowance(money_each=0.1), {"money": 30.0}),
        (Allowance(share=0.0), {"share": 0.0}),
    ],
)
def test_pieces_share_one_budget_as_a_whole_list_does(allowance: Allowance, limit: dict[str, float]) -> None:
    pieces = [scored(100, 1), scored(150, 2), scored(50, 3)]
    whole = pd.concat(pieces)
    expected = within_budget(whole["expected_profit"].to_numpy(), 0.5, whole["customer_id"].to_numpy(object), **limit)
    np.testing.assert_array_equal(listing(*pieces).afford(allowance), expected)


def test_whom_the_rule_does_not_treat_gets_no_place() -> None:
    piece = scored(200, 4)
    piece.loc[piece["expected_profit"] > 1, "treat"] = 0
    best = listing(piece).afford(Allowance(share=0.1))
    assert best.sum() == 20
    assert (piece["treat"][best] == 1).all()


def test_reasons_on_a_budget_say_who_was_beyond_it() -> None:
    piece = scored(4, 5).assign(treat=[1, 1, 0, 0], reason=["pays", "pays", "loses", "loses"])
    limited = Listing.limited(piece, np.array([True, False, False, False]))
    assert list(limited["treat"]) == [1, 0, 0, 0]
    assert list(limited["reason"]) == ["pays, and within the budget", "pays, but beyond the budget", "loses", "loses"]


def test_an_id_that_occurs_twice_is_found_across_pieces() -> None:
    one, two = scored(100, 6), scored(100, 7)
    assert listing(one, two).repeated() is None
    two.loc[40, "customer_id"] = one.loc[30, "customer_id"]
    two.loc[90, "customer_id"] = one.loc[3, "customer_id"]
    assert listing(one, two).repeated() == (30, 140)


def test_what_was_asked_for_comes_before_what_the_champion_keeps_to() -> None:
    champion = Budget(money=0.25)
    assert Allowance.of(champion, None, None) == Allowance(money_each=0.25)
    assert Allowance.of(champion, 100.0, None) == Allowance(money=100.0)
    assert Allowance.of(champion, None, 0.3) == Allowance(share=0.3)
    assert Allowance.of(Budget(share=0.1), None, None) == Allowance(share=0.1)
    assert not Allowance.of(Budget(), None, None).limits


@pytest.mark.parametrize(("money", "share", "named"), [(-1.0, None, "--budget"), (None, 1.5, "--max-share")])
def test_a_wrong_limit_is_named(money: float | None, share: float | None, named: str) -> None:
    with pytest.raises(InputError, match=named):
        Allowance.of(Budget(), money, share)
