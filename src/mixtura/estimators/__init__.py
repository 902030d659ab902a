"""The scikit-learn face: regressors whose predictions are distributions."""

from mixtura.estimators.regressor import EXPECTED_FAILED_CHECKS, MDNRegressor

__all__ = ["EXPECTED_FAILED_CHECKS", "MDNRegressor"]
