"""The scikit-learn face: regressors whose predictions are distributions."""

from mixtura.estimators.regressor import MDNRegressor

__all__ = ["MDNRegressor"]
