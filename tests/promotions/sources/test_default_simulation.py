"""The simulation that params.yaml asks for, through `prepare`, against what is known of X5."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline import stage
from promotions.sources import Ingested, simulated
from tests.support.x5_facts import CONTROL_MARGINALS, CONTROL_RATE, EFFECT, TREATED_RATE


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("default")
    params = stage.section("data", "simulated")
    stage.write_pieces(folder, simulated.load(params, stage.generator("ingest")))
    return simulated.to_customers(Ingested(folder, threads=2), params).frame


@pytest.mark.parametrize("feature", CONTROL_MARGINALS)
def test_control_marginals_match_the_study(customers: pd.DataFrame, feature: str) -> None:
    """The mean to 2 standard errors or 3 %, the standard deviation to 10 %, whichever is more."""
    mean, sd = CONTROL_MARGINALS[feature]
    control = customers.loc[customers["treatment"] == 0, feature].dropna()
    assert control.mean() == pytest.approx(mean, abs=max(2 * control.sem(), 0.03 * abs(mean)))
    # 2 standard errors of a standard deviation under the sample's own kurtosis.
    error = np.sqrt((stats.kurtosis(control) + 2) / 4 / len(control))
    assert control.std() == pytest.approx(sd, rel=max(2 * error, 0.1))


def test_rates_and_effect_match_the_labels_to_two_standard_errors(customers: pd.DataFrame) -> None:
    arms = customers.groupby("treatment")["outcome"]
    rates, errors = arms.mean(), arms.sem()
    assert abs(rates[0] - CONTROL_RATE) < 2 * errors[0]
    assert abs(rates[1] - TREATED_RATE) < 2 * errors[1]
    assert abs(rates[1] - rates[0] - EFFECT) < 2 * np.hypot(errors[0], errors[1])


def test_gender_shares_and_rows_a_customer_match(customers: pd.DataFrame) -> None:
    control = customers[customers["treatment"] == 0]
    for gender, share in {"F": 0.38, "M": 0.16, "U": 0.46}.items():
        assert control[f"gender_{gender}"].mean() == pytest.approx(share, abs=0.01)
    rows = (customers["products_per_order"] * customers["n_orders"]).mean()
    assert rows == pytest.approx(45_786_568 / 400_162, rel=0.02)
