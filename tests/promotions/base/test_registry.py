"""An entry of params.yaml becomes an object of its class, or the error says which of its keys is wrong."""

from dataclasses import dataclass, field

import pytest

from promotions.base.errors import InputError
from promotions.base.registry import class_of, make


@dataclass
class Tree:
    depth: int
    leaves: int = 8
    seed: int = field(kw_only=True)
    key: str = field(kw_only=True)


class Constant:
    """Takes nothing: neither a key of its entry nor the seed."""


REGISTRY = {"tree": Tree, "constant": Constant}


def made(name, params, **options):
    return make(REGISTRY, name, params, "things", seed=7, **options)


def test_an_entry_is_of_the_class_that_it_is_named_after_or_that_it_names():
    assert made("tree", {"depth": 2}) == Tree(2, seed=7, key="things.tree")
    assert made("tree_deep", {"class": "tree", "depth": 9, "leaves": 2}) == Tree(9, 2, seed=7, key="things.tree_deep")
    # Its name is that of another class: what the entry says counts.
    assert made("constant", {"class": "tree", "depth": 3}) == Tree(3, seed=7, key="things.constant")
    assert [class_of("tree", None), class_of("a", {"class": "tree"}), class_of("a", {})] == ["tree", "tree", "a"]


@pytest.mark.parametrize("params", [None, {}, {"class": "constant"}])
def test_a_class_is_handed_only_what_it_takes(params):
    assert isinstance(made("constant", params), Constant)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        (
            "oak",
            {"depth": 2},
            "things.oak is unknown; it is one of tree, constant, or an entry that names its class: "
            "oak: {class: tree, …}",
        ),
        ("oak", {"class": "wood"}, "things.oak.class: 'wood' is unknown; it is one of tree, constant"),
        ("oak", {"class": "oak"}, "things.oak.class: 'oak' is unknown; it is one of tree, constant"),
        ("oak", {"class": None}, "things.oak.class: None is unknown; it is one of tree, constant"),
        ("tree", {"depht": 2}, "things.tree.depht is unknown; the keys of things.tree are depth, leaves, class"),
        ("oak", {"class": "tree"}, "things.oak.depth is missing; the keys of things.oak are depth, leaves, class"),
        (
            "tree",
            {"depth": 2, "seed": 1},
            "things.tree.seed is unknown; the keys of things.tree are depth, leaves, class",
        ),
        (
            "tree",
            {"depth": 2, "key": "x"},
            "things.tree.key is unknown; the keys of things.tree are depth, leaves, class",
        ),
        ("tree", "deep", "things.tree: expected the keys depth, leaves, class, got 'deep'"),
        ("constant", {"depth": 1}, "things.constant.depth is unknown; the keys of things.constant are class"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_known(name, params, message):
    with pytest.raises(InputError) as error:
        made(name, params)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "name", ["tree.deep", "Tree", "a b", "../tree", "tree-deep", "2trees", "_tree", "", "trée", 3, None]
)
def test_a_name_that_no_file_or_policy_could_have_is_refused(name):
    with pytest.raises(InputError, match=r"^things: .* cannot be a name; expected lower-case letters, digits and _"):
        made(name, {"class": "tree", "depth": 2})


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(InputError, match=r"^things\.oak: the name means something else here"):
        made("oak", {"class": "tree", "depth": 2}, taken=("oak",))
