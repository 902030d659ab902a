"""Regression on anybody's table: `mixtura fit` and `mixtura predict`."""

from mixtura.systems.tables.fit import Fit, fit
from mixtura.systems.tables.predict import predict
from mixtura.systems.tables.runs import load

__all__ = ["Fit", "fit", "load", "predict"]
