"""Numbers and scores in words."""

from __future__ import annotations

import math

from mixtura.evaluation.comparison import MODEL, SCORES, Difference

PREDICTORS = {MODEL: "this model", "marginal": "no inputs", "linear": "linear"}
EXPLAINED = {
    "marginal": "one mixture of normals fitted to the training targets, the same for every row",
    "linear": "ridge regression with normal errors of the same size for every row",
}


def number(value: float, digits: int = 4) -> str:
    """Return a number with so many significant digits, those before the point always; NaN is a dash.

    Example:
        >>> number(12345.678), number(0.0123456), number(1e-9)
        ('12346', '0.01235', '1.000e-09')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if -5 < exponent < 9:
        return f"{value:.{max(0, digits - 1 - exponent)}f}"
    return f"{value:.{digits - 1}e}"


def recorded(value: float, step: float) -> str:
    """Return a value as it was recorded, or with four digits."""
    return f"{value:.10g}" if step > 0 else number(value)


def percent(share: float) -> str:
    """Return a share in per cent with one decimal."""
    return f"{100 * share:.1f} %"


def level_text(level: float) -> str:
    """Return the level of an interval, such as "90 %"."""
    return f"{100 * level:g} %"


def count(value: int, noun: str = "row") -> str:
    """Return a count with its noun."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}".replace(",", "\u202f")  # a narrow space


def score_text(name: str, value: float) -> str:
    """Return the value of a score as tables show it."""
    unit = SCORES[name].unit
    if unit == "share":
        return percent(value)
    return f"{value:.3f}" if unit == "nats" and math.isfinite(value) else number(value)


def score_label(name: str, level: float, step: float) -> str:
    """Return what a score is called, with its unit where that is not the one of y."""
    score = SCORES[name]
    label = score.label.format(level=level_text(level), step=f"{step:g}")
    units = {"nats": " (nats)", "std": " (standard deviations)"}
    return label + units.get(score.unit, "")


def difference_text(difference: Difference) -> str:
    """Return how a baseline's score differs from the model's, with the standard error.

    Example:
        >>> difference_text(Difference(0.1234, 0.0123, True)), difference_text(Difference(-4.0, 3.0, False))
        ('worse by 0.123 ± 0.012', 'even: -4.0 ± 3.0')
    """
    value, error, is_clear = difference
    if math.isnan(value):
        return "–"
    sign = (
        ("worse by " if value > 0 else "better by ") if is_clear else ("even: +" if value > 0 else "even: -")
    )
    if not math.isfinite(value) or math.isnan(error):
        return f"{'worse' if value > 0 else 'better'} by {number(abs(value), 3)}"
    # Two digits of the error, and as many decimals of the difference.
    decimals = max(0, 1 - math.floor(math.log10(error))) if error > 0 else 3
    if decimals > 9:
        return f"{sign}{number(abs(value), 3)} ± {number(error, 2)}"
    return f"{sign}{abs(value):.{decimals}f} ± {error:.{decimals}f}"
