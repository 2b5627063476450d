"""What no real experiment shows: mu0 = P(buys | no SMS) and tau = P(buys | SMS) - mu0 of each simulated customer.

Both are functions only of features that can be computed from the raw tables. The two intercepts were solved once on a
draw of 1,000,000 customers; all constants are fixed, so the functions are the same at every size and seed.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from promotions.base.rounding import significant
from promotions.sources.simulated.shoppers import (
    CARD_WINDOW_CENTRE,
    CARD_WINDOW_HALF,
    DAY,
    GENDERS,
    KNOWN_AGES,
    TYPICAL_AGE,
    frequency,
    older,
)

Floats = NDArray[np.float64]

RESPONSE_INTERCEPT = 0.00514
EFFECT_INTERCEPT = 0.01165


def response_probabilities(features: pd.DataFrame) -> tuple[Floats, Floats]:
    """P(buys) without and with the SMS: mu0 = expit(r), mu1 = expit(r + d), r of ``_response``, d of ``_effect``.

    features: age (missing counts as typical), gender_F (0/1), n_orders, products_per_order, is_weekend (products bought
    at weekends per order), regular_points_spent_per_order and express_points_spent_per_order (zero or negative),
    fis_transformed and frd_transformed (days since the card was issued and since points were first redeemed; missing:
    never). By the bounds on r and d both probabilities lie in (.04, .99).
    """
    index = _response(features)
    # Processors differ in the last digit of exp and tanh.
    return significant(expit(index)), significant(expit(index + _effect(features)))


def observed_features(traits: pd.DataFrame, receipts: pd.DataFrame) -> pd.DataFrame:
    """These features of each customer as the raw tables give them: dates in seconds, recorded ages, whole points."""
    customer = receipts["customer"].to_numpy()
    orders = np.bincount(customer, minlength=len(traits))

    def per_order(values: pd.Series) -> Floats:
        return np.bincount(customer, values.to_numpy(np.float64), minlength=len(traits)) / orders

    recorded, redeemed = traits["recorded_age"].to_numpy(), traits["redeemed"].to_numpy()
    return pd.DataFrame(
        {
            "age": np.where((recorded >= KNOWN_AGES[0]) & (recorded <= KNOWN_AGES[1]), recorded, np.nan),
            "gender_F": (traits["gender"] == GENDERS.index("F")).to_numpy(np.int8),
            "n_orders": orders,
            "products_per_order": per_order(receipts["rows"]),
            "is_weekend": per_order(receipts["rows"] * receipts["weekend"]),
            "regular_points_spent_per_order": per_order(receipts["regular_points_spent"]),
            "express_points_spent_per_order": per_order(receipts["express_points_spent"]),
            "fis_transformed": -traits["issued"].to_numpy() / DAY,
            "frd_transformed": np.where(redeemed < 0, -redeemed / DAY, np.nan),
        }
    )


def _response(features: pd.DataFrame) -> Floats:
    """Log-odds of buying without the SMS: habit decides (frequency, redemptions, weekends), then the card.

    r = r0 + 2·tanh(f/2) + .6·tanh(regular points spent/8) + .5·tanh(weekends/2) + .3·tenure - .5·1{never redeemed},
    f the standardised log of n_orders, tenure the card's age scaled to (-1, 1). So -2.8 < r < 3.5; the mean of
    expit(r) is .6033, the control group's rate, and its AUC for the response .75.
    """
    habit = 2 * np.tanh(frequency(features["n_orders"].to_numpy()) / 2)
    redeeming = np.tanh(-features["regular_points_spent_per_order"].to_numpy() / 8)
    weekends = np.tanh(features["is_weekend"].to_numpy() / 2)
    tenure = (features["fis_transformed"].to_numpy() - CARD_WINDOW_CENTRE) / CARD_WINDOW_HALF
    never = features["frd_transformed"].isna().to_numpy()
    return RESPONSE_INTERCEPT + habit + 0.6 * redeeming + 0.5 * weekends + 0.3 * tenure - 0.5 * never


def _effect(features: pd.DataFrame) -> Floats:
    """What the SMS adds to the log-odds: most for old customers who do not spend express points already.

    d = d0 + .02·older + saved·(.16 + .32·expit((age - 67)/2)) - .22·1{n_orders <= 4} + .04·1{products > 8, woman},
    saved = exp(express points spent/2), which is 1 if none were spent and falls towards 0; a missing age counts as
    typical. So -.3 < d < .6. d falls in express points and rises in age as in the study, as steeply as its gains: the
    mean of tau is .0332, that of the best 8, 16 and 32 % about .10, .08 and .06; 8 % are harmed.
    """
    age = features["age"].fillna(TYPICAL_AGE).to_numpy()
    saved = np.exp(features["express_points_spent_per_order"].to_numpy() / 2)
    senior = expit((age - 67) / 2)
    rare = (features["n_orders"] <= 4).to_numpy()
    family = ((features["products_per_order"] > 8) & (features["gender_F"] == 1)).to_numpy()
    effect: Floats = EFFECT_INTERCEPT + 0.02 * older(age) + saved * (0.16 + 0.32 * senior) - 0.22 * rare + 0.04 * family
    return effect
