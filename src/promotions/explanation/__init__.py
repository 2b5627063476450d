"""Which features a predicted effect depends on: SHAP values, c(x) = base + Σ_j φ_j(x).

They say what the *model* of the effect uses, not what causes the effect: where two features carry the same information
(number of receipts, money on them) the trees use either, and chance divides the credit. ``alike_together`` adds up the
contributions of such features.
"""

from promotions.explanation.effects import DISTILLED, EXACT, PARTLY_DISTILLED, Explanation, explain
from promotions.explanation.summary import alike_together, by_feature, most_telling
from promotions.explanation.trees import tree_shap

__all__ = [
    "DISTILLED",
    "EXACT",
    "PARTLY_DISTILLED",
    "Explanation",
    "alike_together",
    "by_feature",
    "explain",
    "most_telling",
    "tree_shap",
]
