"""What the words mean, for readers who are not statisticians."""

from promotions.policies import POLICIES
from promotions.report.blocks import Definition, Term

GLOSSARY = tuple(
    Definition(key, title, text)
    for key, title, text in (
        (
            "effect",
            "Effect of a contact",
            "By how much being contacted changes what a customer does: the outcome with the contact less the outcome "
            "without it. Nobody is seen both ways, so effects are known for groups and predicted for persons. Also "
            "called uplift, treatment effect or, for customers of given features, CATE (conditional average treatment "
            "effect).",
        ),
        (
            "outcome",
            "Outcome",
            "What is counted as a response: bought or not (then the outcome of a group is the share that bought), or "
            "an amount.",
        ),
        (
            "control",
            "Control group",
            "The customers who were not contacted; in an experiment lots decided who. They show what would have "
            "happened anyway.",
        ),
        (
            "propensity",
            "Propensity",
            "The probability with which a customer was contacted: ½ if a fair coin decided. If it is known by design, "
            "the two groups differ by chance alone. If nobody drew lots it is estimated from the features, and the "
            "answer is only as good as they are.",
        ),
        (
            "interval",
            "95 % interval",
            "The range in which the true number may well lie. Of intervals made this way, 95 of 100 hold the truth; "
            "one in twenty does not. If an interval of a difference includes 0, the data cannot tell which side is "
            "better.",
        ),
        (
            "proven",
            "Proven, not proven",
            "Proven: the whole 95 % interval lies on one side of 0. Not proven means just that: it is not shown, and "
            "it is not shown to be wrong either.",
        ),
        (
            "p_value",
            "p-value",
            "How often chance alone would show a difference at least as large, if there were none. Small means: hardly "
            "by chance.",
        ),
        (
            "rule",
            "Rule, policy",
            "A way to say who is contacted: everybody, nobody, or a choice by features known before the contact.",
        ),
        (
            "champion",
            "Champion",
            "The rule that was chosen. It is chosen on one part of the customers and judged on another, so that its "
            "number is not the luck of having been picked.",
        ),
        *((name, family.rule.title, family.rule.meaning) for name, family in POLICIES.items()),
        (
            "learner",
            "Learner",
            "A method that predicts the effect for each customer from features. Several are tried (S-, T-, X-, DR- and "
            "R-learner, double ML, forests); the ensemble is a mixture of them.",
        ),
        (
            "ratio",
            "C/R, break-even",
            "C is what a contact costs, R what a response earns. C/R is the smallest effect at which a contact pays "
            "for itself.",
        ),
        (
            "over_nobody",
            "Profit over contacting nobody",
            "What a rule earns beyond the profit that would have come anyway.",
        ),
        (
            "loss",
            "Chance of loss",
            "The share of resamples of the customers in which the rule earned less than contacting nobody.",
        ),
        (
            "doubly_robust",
            "Doubly robust score",
            "A customer’s outcome as a model expects it, corrected by what was seen. If the probability of being "
            "contacted is known, its mean is right even if the model is wrong; if it was estimated, small errors of "
            "both hardly matter. A good model makes it precise.",
        ),
        (
            "ranking",
            "Qini, AUTOC",
            "How much more is gained by contacting customers in the order of the predicted effect than in a random "
            "order. 0: no better than chance. AUTOC weighs the very first customers most, Qini all alike.",
        ),
        (
            "calibration",
            "Calibration",
            "Whether predicted effects are as large as measured ones. A slope of 1 is right; below 1 the predictions "
            "differ more between customers than the effects do; 0 means that they tell nothing.",
        ),
        (
            "smd",
            "Balance, SD",
            "Differences between the groups are measured in standard deviations (SD) of the feature; up to 0.1 is "
            "usually called negligible.",
        ),
        (
            "leakage",
            "Assignment AUC",
            "How well a classifier tells from the features who was contacted. 0.5: not at all, as it has to be if lots "
            "were drawn.",
        ),
        (
            "mde",
            "Smallest detectable effect",
            "An effect of this size would have been found with a probability of 80 %.",
        ),
        (
            "shap",
            "SHAP value",
            "A feature’s share in the prediction for one customer. It says what the model uses, not what causes the "
            "effect.",
        ),
        (
            "stability",
            "Stability",
            "What happens if the whole procedure, from dealing customers into parts to choosing the rule, is done "
            "again on resampled customers.",
        ),
        (
            "confounding",
            "Confounding",
            "Good customers get larger discounts and earn more anyway. Then profit rises with the discount, although "
            "the discount does not raise profit.",
        ),
        (
            "fwl",
            "Frisch–Waugh–Lovell, double ML",
            "Take out of discount and of profit what the other columns explain, and compare what is left of the two. "
            "With straight lines this is a regression; with machine learning, double ML.",
        ),
        (
            "cutoff",
            "Cut-off (regression discontinuity)",
            "If a rule gives the discount from some value on, customers just below and just above it are alike but for "
            "the discount.",
        ),
        (
            "event_study",
            "Event study",
            "The difference between those who got the discount and the others, month by month, before and after it "
            "began. Before, it should be 0.",
        ),
        (
            "response_curve",
            "Response curve",
            "A customer’s expected profit at each size of the discount.",
        ),
        (
            "fingerprint",
            "Fingerprint",
            "A short number made of everything that this page was made of. Two pages with the same one tell the same.",
        ),
    )
)
KEYS = frozenset(entry.key for entry in GLOSSARY)


def term(key: str, words: str) -> Term:
    """Words that the glossary explains under ``key``."""
    if key not in KEYS:
        raise KeyError(f"the glossary has no entry {key!r}")
    return Term(key, words)
