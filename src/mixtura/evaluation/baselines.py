"""What a model of distributions has to beat: one density for all rows, and a linear model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from mixtura.families import Affine, Distribution, Mixture, Normal
from mixtura.families.cholesky import coefficients_of
from mixtura.families.fitting import units
from mixtura.families.host import as_array
from mixtura.families.mixture import table_of

# Of the density for all rows: a component for so many rows, at most so many components, from so many rows.
ROWS_PER_COMPONENT, MOST_COMPONENTS, ROWS_READ = 20, 10, 5_000
# With more outputs than this its components have no correlations, which would take minutes to find.
FEW_OUTPUTS = 3
# No scale of a baseline is below this share of the standard deviation of y.
SMALLEST = 0.01
# Penalties of the ridge regression, per row, in units of standardised columns.
PENALTIES = np.logspace(-6, 2, 17)


@dataclass(frozen=True)
class Baselines:
    """Both baselines, fitted to training rows.

    Attributes:
        marginal: one distribution, of batch shape `()`; see `marginal`.
        linear: see `Linear`; None where the inputs are not numbers.
    """

    marginal: Distribution
    linear: Linear | None

    @classmethod
    def fit(cls, X: Any, y: Any, step: float | Sequence[float] = 0.0) -> Baselines:
        """Fit both. Rows of y with a value missing (NaN) are left out.

        Args:
            X: inputs as numbers, `(rows, columns)`; None for no linear model.
            y: targets, `(rows,)` or `(rows, outputs)`.
            step: the recording step of the targets, one for all outputs or one for each; 0 for none.

        Raises:
            ValueError: for rows that do not match, numbers in X that are not finite, or no complete row.
        """
        y = _columns(y)
        complete = ~np.isnan(y).any(axis=1)
        if not complete.any():
            raise ValueError("the baselines need a row of y without missing values; received none")
        if X is not None and len(X) != len(y):
            raise ValueError(f"X has {len(X)} rows and y {len(y)}; they must have the same number")
        linear = None if X is None else Linear.fit(as_array(X)[complete], y[complete], step)
        return cls(marginal(y[complete], step), linear)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold, floats exactly."""
        linear = self.linear and {name: value.tolist() for name, value in vars(self.linear).items()}
        family = keras.saving.serialize_keras_object(self.marginal.family)
        return {"family": family, "params": self.marginal.params.tolist(), "linear": linear}

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> Baselines:
        """Return what `to_dict` described."""
        family = keras.saving.deserialize_keras_object(config["family"])
        linear = config["linear"]
        if linear is not None:
            linear = Linear(**{name: np.array(value) for name, value in linear.items()})
        return cls(family(config["params"]), linear)

    def predict(self, X: Any, rows: int | None = None) -> dict[str, Distribution]:
        """Return each baseline's predictions, `(rows,)`, by name.

        Args:
            X: inputs as `fit` takes them; None for no linear model.
            rows: how many there are, if X is None.
        """
        count = len(X) if rows is None else rows
        one = self.marginal.params
        predictions = {"marginal": Distribution(self.marginal.family, np.tile(one, (count, 1)))}
        if X is not None and self.linear is not None:
            predictions["linear"] = self.linear.predict_distribution(X)
        return predictions


def marginal(y: Any, step: float | Sequence[float] = 0.0, seed: int = 0) -> Distribution:
    """Return one density for all rows, of batch shape `()`: a mixture of normals fitted to y.

    Maximum likelihood by the EM algorithm (Bishop 2006, section 9.2.2), one component for 20 rows, at most
    10. Every component is widened by half the recording step, as the head of a network should be, and by
    1 % of the standard deviation of y.

    Args:
        y: targets, `(rows,)` or `(rows, outputs)`, finite.
        step: their recording step, one for all outputs or one for each; 0 for none.
        seed: of the start, and of the 5000 rows that are read where there are more.
    """
    from sklearn.mixture import GaussianMixture  # takes a second

    y = _columns(y)
    if len(y) > ROWS_READ:
        y = np.random.default_rng(seed).choice(y, ROWS_READ, replace=False)
    size = y.shape[1]
    mean, std = y.mean(axis=0), _scale(y, step)
    u = (y - mean) / std
    distinct = len(np.unique(u, axis=0))
    count = int(np.clip(len(u) // ROWS_PER_COMPONENT, 1, min(MOST_COMPONENTS, distinct)))
    weights, means, covariances = np.ones(1), np.zeros((1, size)), SMALLEST**2 * np.eye(size)[None]
    if len(u) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # stopped early, the density is as good as it needs to be
            kind = "full" if size <= FEW_OUTPUTS else "diag"
            found = GaussianMixture(count, covariance_type=kind, reg_covar=SMALLEST**2, random_state=seed)
            found.fit(u)
        weights, means, covariances = found.weights_, found.means_, found.covariances_
        if size > FEW_OUTPUTS:
            covariances = covariances[..., None] * np.eye(size)
    widened = covariances + np.diag(np.square(0.5 * np.broadcast_to(step, size) / std))
    log_sigma, coefficients = coefficients_of(np.linalg.cholesky(widened))
    component = Normal(size, "full" if size > 1 else "diagonal", scale="exp")
    table = np.concatenate([means, log_sigma, coefficients], axis=-1)
    family = Affine(Mixture(component, count), mean.tolist(), std.tolist())
    return family(table_of(np.log(np.maximum(weights, 1e-300)), table))


@dataclass(frozen=True)
class Linear:
    r"""Ridge regression with normal errors of one covariance for all rows.

    $$y \sim \mathcal{N}\bigl(b + (x - c) W, \Sigma\bigr)$$

    on standardised columns. The penalty is the one of `PENALTIES` with the smallest squared error on rows
    left out of the fit one at a time, and $\Sigma$ is the second moment of those errors, so that it stays
    honest where there are as many columns as rows. (Leave-one-out errors are the residuals divided by one
    minus the leverages; Hastie, Tibshirani & Friedman 2009, eq. 7.64.)

    Attributes:
        centre: the columns' means c, `(columns,)`.
        coefficients: W, `(columns, outputs)`.
        intercept: b, `(outputs,)`.
        covariance: $\Sigma$, `(outputs, outputs)`.
    """

    centre: np.ndarray
    coefficients: np.ndarray
    intercept: np.ndarray
    covariance: np.ndarray

    @classmethod
    def fit(cls, X: Any, y: Any, step: float | Sequence[float] = 0.0) -> Linear:
        """Fit to inputs `(rows, columns)` and targets `(rows,)` or `(rows, outputs)`, all finite.

        Columns may be constant or copies of each other. No standard deviation is below half the recording
        step or 1 % of that of y.

        Raises:
            ValueError: for inputs of another shape, or numbers that are not finite.
        """
        x, y = _matrix(X), _columns(y)
        centre, spread = x.mean(axis=0), _scale(x)
        intercept, std = y.mean(axis=0), _scale(y, step)
        z, u = (x - centre) / spread, (y - intercept) / std
        rows, columns = z.shape
        if rows > columns:
            squares, right = np.linalg.eigh(z.T @ z)
            singular = np.sqrt(np.maximum(squares, 0.0))
            known = singular > 1e-7 * singular.max(initial=0.0)  # a square root of float64's digits
            singular, right = singular[known], right[:, known]
            left = z @ right / singular
        else:
            left, singular, rows_of = np.linalg.svd(z, full_matrices=False)
            right = rows_of.T
        projected, best = left.T @ u, np.inf
        coefficients, errors = np.zeros((columns, y.shape[1])), u
        for penalty in PENALTIES * rows:
            share = singular**2 / (singular**2 + penalty)
            leverage = 1 / rows + np.square(left) @ share
            kept = np.maximum(1 - leverage, 1e-12)[:, None]  # a single row leaves nothing
            out = (u - left @ (share[:, None] * projected)) / kept
            if np.square(out).sum() < best:
                best, errors = float(np.square(out).sum()), out
                coefficients = right @ ((singular / (singular**2 + penalty))[:, None] * projected)
        smallest = np.square(np.maximum(SMALLEST, 0.5 * np.broadcast_to(step, std.shape) / std))
        covariance = errors.T @ errors / rows
        covariance += np.diag(np.maximum(smallest - np.diagonal(covariance), 1e-9 * smallest))
        return cls(centre, coefficients / spread[:, None] * std, intercept, covariance * np.outer(std, std))

    def predict_distribution(self, X: Any) -> Distribution:
        """Return the predicted normals, `(rows,)`."""
        x = _matrix(X)
        if x.shape[1] != len(self.centre):
            raise ValueError(f"X must have {len(self.centre)} columns, as in fit; received {x.shape[1]}")
        mean = self.intercept + (x - self.centre) @ self.coefficients
        size = len(self.intercept)
        std = np.sqrt(np.diagonal(self.covariance))
        correlation = self.covariance / np.outer(std, std)
        log_sigma, coefficients = coefficients_of(std[:, None] * np.linalg.cholesky(correlation))
        shared = np.tile(np.concatenate([log_sigma, coefficients]), (len(x), 1))
        family = Normal(size, "full" if size > 1 else "diagonal", scale="exp")
        return family(np.concatenate([mean, shared], axis=1))


def _columns(y: Any) -> np.ndarray:
    """Return targets as `(rows, outputs)`."""
    y = as_array(y)
    y = y[:, None] if y.ndim == 1 else y
    if y.ndim != 2 or not y.size:
        raise ValueError(f"y must have shape (rows,) or (rows, outputs), a row at least; received {y.shape}")
    return y


def _matrix(X: Any) -> np.ndarray:
    x = as_array(X)
    if x.ndim != 2:
        raise ValueError(f"a linear model needs X of shape (rows, columns); received {x.shape}")
    if not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise ValueError(
            f"a linear model needs finite numbers; X has {x[row, column]} in row {row}, column {column}"
        )
    return x


def _scale(y: np.ndarray, step: float | Sequence[float] = 0.0) -> np.ndarray:
    """Return the standard deviations of columns; of constant ones the step, or 1."""
    std, constant = units(y)
    steps = np.broadcast_to(np.asarray(step, dtype=np.float64), std.shape)
    return np.where(constant & (steps > 0), steps, std)
