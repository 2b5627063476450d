"""The exact policy tree: against every tree there is, greedy ones, planted rules, and the sentence it tells."""

import json
import math

import numpy as np
import pytest
from econml.policy import PolicyTree as GreedyTree
from hypothesis import example, given
from hypothesis import strategies as st

from promotions.base.errors import InputError
from promotions.policies.tree import Leaf, PolicyTree, Split, fit_policy_tree

NAN = math.nan
TREAT, LEAVE = Leaf(True), Leaf(False)


def named(features):
    return [f"x{column}" for column in range(np.shape(features)[1])]


def fit(features, gain, depth, **settings):
    return fit_policy_tree(features, gain, named(features), depth=depth, **settings)


def splits(features):
    """Every way to part the rows by one feature: True on the high side, on which nothing is missing."""
    for column in np.transpose(features):
        yield from (column >= value for value in np.unique(column[~np.isnan(column)]))


def best_reward(features, gain, depth, min_leaf=1):
    """Σ gain·π of the best tree, by trying them all."""
    best = max(gain.sum(), 0.0)
    if depth:
        for high in splits(features):
            if min(high.sum(), (~high).sum()) >= min_leaf:
                sides = (best_reward(features[side], gain[side], depth - 1, min_leaf) for side in (high, ~high))
                best = max(best, sum(sides))
    return best


def greedy_reward(features, gain, depth):
    """Σ gain·π of the tree that takes, at each node, the split that is best if there is none below."""
    if not depth:
        return max(gain.sum(), 0.0)
    ways = [high for high in splits(features) if not high.all()]
    if not ways:
        return max(gain.sum(), 0.0)
    high = max(ways, key=lambda way: max(gain[way].sum(), 0.0) + max(gain[~way].sum(), 0.0))
    return sum(greedy_reward(features[side], gain[side], depth - 1) for side in (high, ~high))


def depth_of(node):
    return 0 if isinstance(node, Leaf) else 1 + max(depth_of(node.low), depth_of(node.high))


def leaf_sizes(node, features):
    if isinstance(node, Leaf):
        return [len(features)]
    high = features[:, node.feature] >= node.cut
    return leaf_sizes(node.low, features[~high]) + leaf_sizes(node.high, features[high])


@st.composite
def customers(draw, most_rows=14, most_features=3, values=(0, 1, 2, 3, NAN)):
    """A few customers with few values a feature, constant ones among them, and gains in tenths, so that trees tie."""
    p, n = draw(st.integers(1, most_features)), draw(st.integers(1, most_rows))
    cells = draw(st.lists(st.lists(st.sampled_from(values), min_size=p, max_size=p), min_size=n, max_size=n))
    gain = draw(st.lists(st.integers(-5, 5), min_size=n, max_size=n))
    return np.array(cells, dtype=float), np.array(gain) / 10


few = customers(most_rows=9, most_features=2, values=(0, 1, 2, NAN))
XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
CUBE = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)], dtype=float)
# With two rows a leaf, two customers can only be parted from the others at the root, and stay a leaf there.
PAIR_APART = np.array([*[[0, a, b] for a, b in XOR] * 2, [1, 0, 1], [1, 1, 0]])


@given(customers(), st.integers(1, 2), st.integers(1, 4))
@example((np.full((3, 2), NAN), np.array([1.0, 1.0, -1.0])), 2, 1)
@example((np.empty((3, 0)), np.array([1.0, 1.0, -1.0])), 2, 1)
@example((XOR, np.array([1.0, -1.0, -1.0, 1.0])), 2, 1)
def test_no_tree_of_two_splits_deep_earns_more(data, depth, min_leaf):
    features, gain = data
    tree = fit(features, gain, depth, min_leaf=min_leaf)
    assert tree.reward * len(gain) == pytest.approx(best_reward(features, gain, depth, min_leaf), abs=1e-9)
    assert tree.reward == pytest.approx(np.mean(gain * tree.decide(features)), abs=1e-12)
    assert depth_of(tree.root) == 0 or min(leaf_sizes(tree.root, features)) >= min_leaf


@given(few, st.integers(1, 3))
@example((CUBE, np.array([1.0, -1, -1, 1, -1, 1, 1, -1])), 1)
@example((PAIR_APART, np.where(PAIR_APART[:, 0] == 1, 5.0, np.where(PAIR_APART[:, 1] == PAIR_APART[:, 2], 1, -1))), 2)
def test_no_tree_of_three_splits_deep_earns_more(data, min_leaf):
    features, gain = data
    tree = fit(features, gain, 3, min_leaf=min_leaf)
    assert tree.reward * len(gain) == pytest.approx(best_reward(features, gain, 3, min_leaf), abs=1e-9)
    assert depth_of(tree.root) == 0 or min(leaf_sizes(tree.root, features)) >= min_leaf


@given(few)
def test_a_tree_is_no_deeper_than_its_reward_takes(data):
    features, gain = data
    rewards = [best_reward(features, gain, depth) for depth in range(4)]
    needed = next(depth for depth, reward in enumerate(rewards) if reward > rewards[3] - 1e-9)
    assert depth_of(fit(features, gain, 3).root) == needed


def test_of_equal_trees_the_one_with_fewer_splits_then_the_earlier_feature_then_the_lower_cut():
    both = (CUBE[:, 1] == 1) & (CUBE[:, 2] == 1)
    # Without these customers x0 could be the root, with x1 alone to ask about below its cut, and x2 alone above.
    seen = (CUBE.tolist().index([0, 1, 0]), CUBE.tolist().index([1, 0, 1]))
    fewer, gain = np.delete(CUBE, seen, axis=0), np.delete(np.where(both, 1.0, -1.0), seen)
    assert fit(fewer, gain, 2).sentence() == "treat if x1 ≥ 1 and x2 ≥ 1"
    assert fit(fewer[:, [0, 2, 1]], gain, 2).sentence() == "treat if x1 ≥ 1 and x2 ≥ 1"
    three = np.array([[0.0], [1], [2]])
    assert fit(three, [-1.0, 0, 1], 1).sentence() == "treat if x0 ≥ 1"
    facts = {"x0": ("zip is Rural", "zip is not Rural")}
    assert fit([[0.0], [1.0]], [-1.0, 1], 1).sentence(facts) == "treat if zip is Rural"
    assert fit([[0.0], [1.0]], [1.0, -1], 1).sentence(facts) == "treat if zip is not Rural"
    assert fit(three, [0.0, 0, 0], 1).sentence() == "treat nobody"
    assert fit(three, [-0.3, 0.1, 0.2], 1, min_leaf=2).sentence() == "treat nobody"
    assert fit(three, [0.1, 0.2, -0.3], 2).sentence() == "treat if x0 < 2"


@given(st.integers(1, 999), st.integers(1, 999), st.sampled_from([0.1, 0.001, 1 / 3, 1.1e7]), st.booleans())
def test_sums_that_differ_by_rounding_are_equal(one, other, unit, together):
    rows = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], dtype=float)
    gain = np.array([one * unit, other * unit, (one + other) * unit, -5000 * unit])
    assert fit(rows if together else rows[:, ::-1], gain, 1).sentence() == "treat if x0 ≥ 1"


@given(customers(most_rows=30), st.integers(1, 3))
def test_greedy_trees_earn_no_more(data, depth):
    features, gain = data
    assert fit(features, gain, depth).reward * len(gain) >= greedy_reward(features, gain, depth) - 1e-9


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("min_leaf", [1, 20])
def test_the_greedy_tree_of_econml_earns_no_more(seed, min_leaf):
    rng = np.random.default_rng(seed)
    features = rng.integers(0, 12, (400, 4)).astype(float)
    gain = np.sign(features[:, 0] - 6) * np.sign(features[:, 1] - 4) + 2 * rng.normal(size=400)
    greedy = GreedyTree(
        max_depth=2, honest=False, min_samples_split=2, min_samples_leaf=min_leaf, min_balancedness_tol=0.5
    )
    treated = greedy.fit(features, np.column_stack([np.zeros(400), gain])).predict(features) == 1
    assert treated.any()
    assert fit(features, gain, 2, min_leaf=min_leaf).reward >= np.mean(gain * treated) - 1e-12


def test_what_a_greedy_tree_does_not_see_is_found():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(20_000, 6)).round(1)
    pays = (features[:, 4] >= 0) == (features[:, 1] >= 0)
    gain = np.where(pays, 1.0, -1.0) + 3 * rng.normal(size=len(pays))
    tree = fit(features, gain, 2)
    assert np.mean(tree.decide(features) == pays) > 0.95
    assert greedy_reward(features, gain, 2) < 0.6 * tree.reward * len(gain)


@given(customers(most_rows=25), st.integers(1, 3), st.randoms(use_true_random=False))
def test_permuting_rows_changes_nothing(data, depth, random):
    features, gain = data
    order = random.sample(range(len(gain)), len(gain))
    assert fit(features[order], gain[order], depth, cuts=3) == fit(features, gain, depth, cuts=3)


def test_permuting_rows_of_gains_of_many_sizes_changes_nothing():
    rng = np.random.default_rng(8)
    features, gain = rng.normal(size=(5000, 5)), rng.standard_cauchy(5000) ** 3
    order = rng.permutation(5000)
    assert fit(features[order], gain[order], 2) == fit(features, gain, 2)


@given(customers(most_rows=25), st.integers(1, 3), st.integers(0, 99))
def test_permuting_columns_with_their_names_changes_no_decision(data, depth, seed):
    features = data[0]
    rng = np.random.default_rng(seed)
    gain, order = rng.normal(size=len(features)), rng.permutation(features.shape[1])
    names = named(features)
    tree = fit_policy_tree(features, gain, names, depth=depth)
    moved = fit_policy_tree(features[:, order], gain, [names[column] for column in order], depth=depth)
    np.testing.assert_array_equal(moved.decide(features[:, order]), tree.decide(features))


@given(customers(most_rows=25), st.integers(1, 3), st.sampled_from([np.exp, np.arctan, lambda x: x**3 - 7]))
def test_monotone_transformations_change_no_decision(data, depth, transformation):
    features, gain = data
    expected = fit(features, gain, depth, cuts=2).decide(features)
    transformed = transformation(features)
    np.testing.assert_array_equal(fit(transformed, gain, depth, cuts=2).decide(transformed), expected)


@given(customers(most_rows=25), st.integers(1, 3), st.floats(1e-6, 1e6))
def test_the_unit_of_the_gain_changes_nothing(data, depth, unit):
    features, gain = data
    assert fit(features, gain * unit, depth).root == fit(features, gain, depth).root


def test_planted_rule_is_recovered_and_told():
    rng = np.random.default_rng(5)
    age, points = rng.integers(18, 80, 20_000).astype(float), rng.normal(size=20_000).round(1)
    rule = (age >= 45) & (points < -0.6)
    features = np.column_stack([rng.normal(size=(20_000, 3)), age, points])
    names = ["a", "b", "c", "age", "express points spent"]
    tree = fit_policy_tree(features, np.where(rule, 2.0, -1.0) + rng.normal(size=20_000), names, depth=2)
    assert tree.sentence() == "treat if age ≥ 45 and express points spent < −0.6"
    np.testing.assert_array_equal(tree.decide(features), rule)


def test_missing_values_are_told_apart():
    age = np.array([NAN, NAN, 20, 30, 40, 50])
    told = [
        ([1, 1, -1, -1, -1, -1], 1, "treat if x0 unknown"),
        ([-1, -1, 1, 1, 1, 1], 1, "treat if x0 known"),
        ([1, 1, 1, -1, -1, -1], 1, "treat if x0 < 30 or unknown"),
        ([-1, -1, -1, 1, 1, 1], 1, "treat if x0 ≥ 30"),
        ([-1, -1, 1, 1, -1, -1], 2, "treat if x0 < 40"),
        ([1, 1, -1, -1, 1, 1], 2, "treat if x0 unknown or x0 ≥ 40"),
    ]
    for gain, depth, sentence in told:
        tree = fit(age[:, np.newaxis], gain, depth)
        assert tree.sentence() == sentence
        np.testing.assert_array_equal(tree.decide(age[:, np.newaxis]), np.array(gain) > 0)


def test_values_missing_only_later_go_low():
    tree = fit(np.array([[1.0], [2.0]]), [1.0, -1.0], 1)
    assert tree.sentence() == "treat if x0 < 2"
    np.testing.assert_array_equal(tree.decide([[NAN], [1.5], [2.0], [np.inf], [-np.inf]]), [1, 1, 0, 0, 1])


def test_one_cut_of_a_feature_with_missing_values_parts_these():
    tree = fit(np.array([[NAN], [1.0], [2.0], [3.0]]), [-1.0, -1, 2, 3], 1, cuts=1)
    assert tree.sentence() == "treat if x0 known"


@pytest.mark.parametrize("cuts", [7, 20, 98, 99, 255])
def test_cuts_have_about_as_many_rows_between_them_and_are_not_spent_on_ties(cuts):
    values = np.arange(100.0)
    values = np.repeat(values, np.where(values < 3, 50, 1))

    def cut_nearest(start):
        high = values >= start
        return fit(values[:, np.newaxis], np.where(high, 1 / high.sum(), -1 / (~high).sum()), 1, cuts=cuts).root.cut

    found = {cut_nearest(start) for start in range(1, 100)}
    assert len(found) == min(cuts, 99)
    steps = np.diff(sorted(found | {0.0, 100.0}))
    assert (steps[:3] == 1).all()
    assert np.ptp(steps[3:]) <= 1


@pytest.mark.parametrize(
    ("low", "high", "cut"),
    [
        (44, 45, 45),
        (-45, -44, -44),
        (44, 50, 50),
        (0, 1, 1),
        (-1, 1, 0),
        (0.1, 0.2, 0.2),
        (0.613, 0.652, 0.63),
        (-0.652, -0.613, -0.63),
        (999.5, 1000.5, 1000),
        (1e-9, 3e-9, 2e-9),
        (1.0, np.nextafter(1, 2), np.nextafter(1, 2)),
        (-1e300, 1e300, 0),
        (0, 5e-324, 5e-324),
    ],
)
def test_a_cut_is_the_shortest_number_between_its_neighbours(low, high, cut):
    tree = fit(np.array([[low], [high]], dtype=float), [-1.0, 1.0], 1)
    assert tree.root.cut == cut
    np.testing.assert_array_equal(tree.decide([[low], [high]]), [False, True])


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=6, unique=True))
def test_a_cut_parts_any_neighbours(values):
    ordered = np.sort(np.array(values) + 0.0)
    gain = np.where(np.arange(len(values)) < len(values) // 2, -1.0, 1.0)
    tree = fit(ordered[:, np.newaxis], gain, 1)
    np.testing.assert_array_equal(tree.decide(ordered[:, np.newaxis]), gain > 0)


def told(root, names=("age", "spending", "visits")):
    return PolicyTree(tuple(names), root, 0.0).sentence()


def split(feature, cut, low, high, unknown=False):
    return Split(feature, cut, unknown, low, high)


def test_sentences_of_constants_and_of_leaves_that_do_the_same():
    both = split(0, 45.0, split(1, 2.0, TREAT, TREAT), TREAT)
    same = split(1, 2.0, LEAVE, TREAT)
    assert told(TREAT) == told(both) == "treat everybody"
    assert told(LEAVE) == told(split(0, 45.0, LEAVE, split(1, 2.0, LEAVE, LEAVE))) == "treat nobody"
    assert told(split(0, 45.0, LEAVE, split(1, 2.0, TREAT, TREAT))) == "treat if age ≥ 45"
    assert told(split(0, 45.0, same, same)) == "treat if spending ≥ 2"


def test_sentences_of_one_treated_leaf():
    assert told(split(0, 45.0, LEAVE, split(1, -0.6, TREAT, LEAVE))) == "treat if age ≥ 45 and spending < −0.6"
    assert told(split(0, 45.0, LEAVE, split(0, 60.0, TREAT, LEAVE))) == "treat if 45 ≤ age < 60"
    assert told(split(0, 45.0, split(0, 30.0, TREAT, LEAVE), LEAVE)) == "treat if age < 30"
    deep = split(0, 45.0, LEAVE, split(1, 2.0, split(0, 60.0, TREAT, LEAVE), LEAVE))
    assert told(deep) == "treat if 45 ≤ age < 60 and spending < 2"


def test_sentences_of_several_treated_leaves():
    two = split(0, 45.0, split(1, 2.0, TREAT, LEAVE), split(1, 3.0, LEAVE, TREAT))
    assert told(two) == "treat if (age < 45 and spending < 2) or (age ≥ 45 and spending ≥ 3)"
    three = split(0, 45.0, split(1, 2.0, TREAT, LEAVE), TREAT)
    assert told(three) == "treat if age ≥ 45 or spending < 2"
    outside = split(0, 45.0, split(0, 30.0, TREAT, LEAVE), TREAT)
    assert told(outside) == "treat if age ≥ 45 or age < 30"
    within = split(0, 45.0, TREAT, split(0, 60.0, split(1, 2.0, LEAVE, TREAT), LEAVE))
    assert told(within) == "treat if age < 45 or (45 ≤ age < 60 and spending ≥ 2)"


def test_sentences_about_what_is_unknown():
    low = split(0, 45.0, TREAT, LEAVE, unknown=True)
    assert told(low) == "treat if age < 45 or unknown"
    assert told(split(1, 2.0, LEAVE, low)) == "treat if spending ≥ 2 and (age < 45 or unknown)"
    assert told(split(1, 2.0, low, TREAT)) == "treat if spending ≥ 2 or (age < 45 or unknown)"
    missing = split(0, -math.inf, TREAT, split(0, 45.0, split(1, 2.0, LEAVE, TREAT), LEAVE, unknown=True), unknown=True)
    assert told(missing) == "treat if age unknown or (age < 45 and spending ≥ 2)"
    known = split(0, -math.inf, LEAVE, split(1, 2.0, LEAVE, TREAT), unknown=True)
    assert told(known) == "treat if age known and spending ≥ 2"


def test_names_that_hold_conjunctions_need_no_brackets():
    tree = split(0, 1.0, LEAVE, split(1, 2.0, LEAVE, TREAT))
    assert told(tree, ["this and that", "one or other", "z"]) == "treat if this and that ≥ 1 and one or other ≥ 2"


@pytest.mark.parametrize(
    ("cut", "shown"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (-0.6, "−0.6"),
        (1 / 3, "0.3333"),
        (123.456, "123.5"),
        (17_985.0, "17,985"),
        (-1234.56, "−1,235"),
        (2.5e-7, "2.5e−07"),
        (1e21, "1e+21"),
    ],
)
def test_cuts_are_shown_rounded_and_used_in_full(cut, shown):
    tree = PolicyTree(("x",), split(0, cut, LEAVE, TREAT), 0.0)
    assert tree.sentence() == f"treat if x ≥ {shown}"
    np.testing.assert_array_equal(tree.decide([[cut], [np.nextafter(cut, -np.inf)]]), [True, False])


@given(customers(most_rows=25), st.integers(1, 3))
def test_json_text_makes_the_same_tree(data, depth):
    tree = fit(np.arctan(data[0]), data[1], depth)
    text = json.dumps(tree.to_json(), allow_nan=False)
    assert PolicyTree.from_json(json.loads(text)) == tree


GOOD = {"features": np.array([[1.0, 2], [3, 4]]), "gain": [1.0, -1], "names": ["a", "b"], "depth": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 0}, "depth: expected a whole number from 1 to 3, got 0"),
        ({"depth": 4}, "depth: expected a whole number from 1 to 3, got 4"),
        ({"depth": 1.5}, "depth: expected a whole number from 1 to 3, got 1.5"),
        ({"cuts": 0}, "cuts: expected a whole number from 1 to 255, got 0"),
        ({"cuts": 256}, "cuts: expected a whole number from 1 to 255, got 256"),
        ({"min_leaf": 0}, "min_leaf: expected a whole number of 1 or more, got 0"),
        ({"names": ["a"]}, "features: expected a matrix of 1 columns, as there are names, got (2, 2)"),
        ({"names": ["a", "a"]}, "names: 'a' names two features; give each a name of its own"),
        ({"gain": [1.0]}, "gain: expected one number for each of the 2 rows, got shape (1,)"),
        ({"gain": [[1.0, -1]]}, "gain: expected one number for each of the 2 rows, got shape (1, 2)"),
        ({"gain": [1.0, NAN]}, "gain: expected numbers of a size below 1e+30, got nan in row 1"),
        ({"gain": ["x", 1]}, "gain: expected numbers, NaN where they are missing"),
        ({"features": [1.0, 2]}, "features: expected a matrix of 2 columns, as there are names, got (2,)"),
        ({"features": [[1.0, np.inf], [3, 4]]}, "features: 'b' is infinite; use NaN where it is missing"),
        ({"features": np.empty((0, 2)), "gain": []}, "features: no rows to learn from"),
    ],
)
def test_bad_input_is_told_in_one_line(change, message):
    arguments = GOOD | change
    with pytest.raises(InputError) as error:
        fit_policy_tree(arguments.pop("features"), arguments.pop("gain"), arguments.pop("names"), **arguments)
    assert str(error.value) == message


def test_three_deep_with_too_many_cuts_is_refused_before_the_work():
    features = np.random.default_rng(1).normal(size=(300, 20))
    with pytest.raises(InputError, match=r"^depth: 3 would compare .* cells for 20 features at cuts=64.*15.*$"):
        fit(features, features[:, 0], 3)
    assert fit(features, features[:, 0], 3, cuts=4).reward > fit(features, features[:, 0], 2, cuts=4).reward


def test_targets_need_the_features_of_training():
    tree = fit(np.array([[1.0], [2.0]]), [1.0, -1.0], 1)
    with pytest.raises(InputError, match="features: expected a matrix of 1 columns"):
        tree.decide([[1.0, 2.0]])
    assert tree.decide(np.empty((0, 1))).shape == (0,)
