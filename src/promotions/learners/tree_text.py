"""Trees of scikit-learn's kind as a LightGBM model, by way of the text that LightGBM reads.

Of ``tree_`` (also causalml's) only arrays are read: children_left, children_right, feature, threshold, n_node_samples.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promotions.boosting import lightgbm

LEAF = -1


def booster_of_trees(trees: Sequence[Any], values: Sequence[NDArray[np.float64]], features: int) -> Any:
    """A lightgbm.Booster that predicts the sum of the trees.

    trees: scikit-learn's ``tree_``, split by ``float32(x) <= threshold``; features without NaN.
    values: a number for each node of each tree, of which those of leaves count.  features: p.
    """
    texts = [_tree(number, tree, value) for number, (tree, value) in enumerate(zip(trees, values, strict=True))]
    head = {
        "version": "v4",
        "num_class": 1,
        "num_tree_per_iteration": 1,
        "label_index": 0,
        "max_feature_idx": features - 1,
        "objective": "regression",
        "feature_names": _line(f"Column_{number}" for number in range(features)),
        "feature_infos": _line(["[-inf:inf]"] * features),
        "tree_sizes": _line(len(text.encode()) for text in texts),
    }
    body = "".join(texts)
    return lightgbm().Booster(model_str=f"tree\n{_lines(head)}\n{body}end of trees\n\nparameters:\nend of parameters\n")


def as_double(threshold: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest double whose float32 is at most ``threshold``: x <= it says the same as float32(x) <= threshold."""
    below = threshold.astype(np.float32)
    below = np.where(below > threshold, np.nextafter(below, np.float32(-np.inf)), below)
    above = np.nextafter(below, np.float32(np.inf))
    middle = (below.astype(np.float64) + above.astype(np.float64)) / 2
    # The middle itself is rounded to whichever of the two is even.
    return np.where(middle.astype(np.float32) == below, middle, np.nextafter(middle, -np.inf))


def _tree(number: int, tree: Any, value: NDArray[np.float64]) -> str:
    """One tree. LightGBM counts splits and leaves apart: a child is the number of a split, or −1 − that of a leaf."""
    is_leaf = np.asarray(tree.children_left) == LEAF
    leaves, splits = np.flatnonzero(is_leaf), np.flatnonzero(~is_leaf)
    code = np.empty(len(is_leaf), dtype=np.int64)
    code[leaves], code[splits] = -1 - np.arange(len(leaves)), np.arange(len(splits))
    count = np.asarray(tree.n_node_samples)
    fields = {
        "Tree": number,
        "num_leaves": len(leaves),
        "num_cat": 0,
        "split_feature": _line(tree.feature[splits]),
        "split_gain": _line(np.zeros(len(splits), dtype=int)),
        "threshold": _line(as_double(np.asarray(tree.threshold)[splits])),
        # A number, no category; NaN has no side of its own.
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
