"""LightGBM models as the text that LightGBM reads: from scikit-learn's trees, or with other leaf values.

Only arrays of scikit-learn's (and causalml's) ``tree_`` are read: children_left, children_right, feature, threshold,
n_node_samples.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promotions.boosting.settings import lightgbm

LEAF = -1


def booster_of_trees(trees: Sequence[Any], values: Sequence[NDArray[np.float64]], features: int) -> Any:
    """A lightgbm.Booster that predicts the sum of the trees.

    trees: scikit-learn's ``tree_``, split by ``float32(x) <= threshold``; features without NaN.
    values: a number for each node of each tree; only those of leaves count.  features: p.
    """
    head = {
        "version": "v4",
        "num_class": 1,
        "num_tree_per_iteration": 1,
        "label_index": 0,
        "max_feature_idx": features - 1,
        "objective": "regression",
        "feature_names": _line(f"Column_{number}" for number in range(features)),
        "feature_infos": _line(["[-inf:inf]"] * features),
    }
    return _booster(f"tree\n{_lines(head)}", [_tree(tree, value) for tree, value in zip(trees, values, strict=True)])


def leaves_of(text: str) -> list[int]:
    """How many leaves each tree of a model's text has."""
    return [int(number) for number in re.findall(r"^num_leaves=(\d+)$", text, re.M)]


def with_leaves(text: str, values: Sequence[NDArray[np.float64]]) -> Any:
    """The lightgbm.Booster of a model's text with other leaf values, (leaves,) for each tree."""
    head, trees = _parts(text)
    lines = [f"leaf_value={_line(value)}" for value in values]
    changed = [re.sub(r"^leaf_value=.*$", line, tree, flags=re.M) for tree, line in zip(trees, lines, strict=True)]
    return _booster(head, changed)


def as_double(threshold: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest double whose float32 is at most ``threshold``: x <= it says the same as float32(x) <= threshold."""
    below = threshold.astype(np.float32)
    below = np.where(below > threshold, np.nextafter(below, np.float32(-np.inf)), below)
    above = np.nextafter(below, np.float32(np.inf))
    middle = (below.astype(np.float64) + above.astype(np.float64)) / 2
    # The middle itself is rounded to whichever of the two is even.
    return np.where(middle.astype(np.float32) == below, middle, np.nextafter(middle, -np.inf))


def _parts(text: str) -> tuple[str, list[str]]:
    """The lines above the trees, without the sizes of the trees, and each tree below its line ``Tree=…``."""
    head, below = text.split("\ntree_sizes=", 1)
    body = below[below.index("Tree=0\n") : below.index("end of trees")]
    return f"{head}\n", re.split(r"^Tree=\d+\n", body, flags=re.M)[1:]


def _booster(head: str, trees: Sequence[str]) -> Any:
    numbered = [f"Tree={number}\n{tree}" for number, tree in enumerate(trees)]
    sizes = _line(len(tree.encode()) for tree in numbered)
    text = f"{head}tree_sizes={sizes}\n\n{''.join(numbered)}end of trees\n\nparameters:\nend of parameters\n"
    return lightgbm().Booster(model_str=text)


def _tree(tree: Any, value: NDArray[np.float64]) -> str:
    """One tree. LightGBM counts splits and leaves apart: a child is the number of a split, or −1 − that of a leaf."""
    is_leaf = np.asarray(tree.children_left) == LEAF
    leaves, splits = np.flatnonzero(is_leaf), np.flatnonzero(~is_leaf)
    code = np.empty(len(is_leaf), dtype=np.int64)
    code[leaves], code[splits] = -1 - np.arange(len(leaves)), np.arange(len(splits))
    count = np.asarray(tree.n_node_samples)
    fields = {
        "num_leaves": len(leaves),
        "num_cat": 0,
        "split_feature": _line(tree.feature[splits]),
        "split_gain": _line(np.zeros(len(splits), dtype=int)),
        "threshold": _line(as_double(np.asarray(tree.threshold)[splits])),
        # A split of a number, not of a category; NaN has no side.
        "decision_type": _line(np.zeros(len(splits), dtype=int)),
        "left_child": _line(code[tree.children_left[splits]]),
        "right_child": _line(code[tree.children_right[splits]]),
        "leaf_value": _line(value[leaves]),
        "leaf_weight": _line(count[leaves]),
        "leaf_count": _line(count[leaves]),
        "internal_value": _line(value[splits]),
        "internal_weight": _line(count[splits]),
        "internal_count": _line(count[splits]),
        "is_linear": 0,
        "shrinkage": 1,
    }
    return f"{_lines(fields)}\n\n"


def _lines(fields: dict[str, Any]) -> str:
    return "".join(f"{name}={value}\n" for name, value in fields.items())


def _line(values: Any) -> str:
    return " ".join(f"{value:.17g}" if isinstance(value, float) else str(value) for value in values)
