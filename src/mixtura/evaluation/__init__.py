"""Evaluation: an honest report on predicted distributions, beside simple baselines."""

from mixtura.evaluation.baselines import Baselines, Linear, marginal
from mixtura.evaluation.reporting import Report, report

__all__ = ["Baselines", "Linear", "Report", "marginal", "report"]
