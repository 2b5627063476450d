"""Another library to agree with."""

import numpy as np
import pytest


def tester_of(effect, cate):
    """econml's DRTester with these scores and predictions in place of fitted ones."""
    from econml.validate import DRTester

    tester = DRTester(model_regression=None, model_propensity=None, cate=None)
    tester.dr_val_ = tester.dr_train_ = effect[:, None]
    tester.cate_preds_val_ = tester.cate_preds_train_ = cate[:, None]
    tester.ate_val = np.array([effect.mean()])
    tester.treatments, tester.n_treat = np.array([0, 1]), 1
    return tester


@pytest.fixture(scope="session")
def econml_tester():
    """See ``tester_of``."""
    return tester_of
