"""Regression on anybody's table: `mixtura fit` and `mixtura predict`."""

from mixtura.systems.tables.fit import Fit, fit
from mixtura.systems.tables.predict import predict

__all__ = ["Fit", "fit", "predict"]
