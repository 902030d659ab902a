"""The contestants of `uci.py`, and what is measured of one on one split.

A contestant is a function from training rows, their targets, test rows and a seed to the predicted
distribution of the test targets, in the targets' units. It sees no test target, and chooses whatever it
chooses (when to stop, say) from training rows alone.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
from scipy.stats import kstest
from threadpoolctl import threadpool_limits

import mixtura as mx
from mixtura.data.tables import recording_step

LEVEL = 0.9  # of the intervals
BINS = 20  # of the histogram of the PIT
SMALLEST = 1e-3  # the scale of spikes and the floor of `mixtura-floor`, in standard deviations of the target

# What `mixtura-chosen` chooses from: the defaults, two ways to learn less, and numbers as they are.
SETTINGS: list[dict[str, Any]] = [{}, {"dropout": 0.1}, {"input_noise": 0.1}, {"n_bins": 0}]

Array = np.ndarray
FitPredict = Callable[[Array, Array, Array, int], mx.families.Distribution]


@dataclass(frozen=True)
class Split:
    """The rows of one split of a table, and the step in which the table's targets are recorded."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    step: float


@dataclass(frozen=True)
class Contestant:
    """A way to predict, and the modules that it imports: before the clock starts."""

    fit_predict: FitPredict
    modules: tuple[str, ...] = ()


def normals(weights: Array, means: Array, scales: Array) -> mx.families.Distribution:
    """Return mixtures of normals from arrays `(*batch, K)` in the targets' units."""
    logits = np.log(np.maximum(weights, np.finfo(float).tiny))
    family = mx.Mixture(mx.Normal(1, scale="exp"), weights.shape[-1])
    return family(np.concatenate([logits, means, np.log(scales)], axis=-1))


def one_normal(mean: Array, scale: Array | float) -> mx.families.Distribution:
    """Return normals from arrays `(*batch,)` in the targets' units."""
    return mx.Normal(1, scale="exp")(np.stack(np.broadcast_arrays(mean, np.log(scale)), axis=-1))


def standardised(train: Array, *others: Array) -> list[Array]:
    """Return arrays in standard deviations from the mean of the first; what is constant there becomes 0."""
    mean, std = train.mean(axis=0), train.std(axis=0)
    constant = std <= 1e-12 * np.abs(mean)  # what rounding leaves of a deviation of 0
    return [np.where(constant, 0.0, (x - mean) / np.where(constant, 1.0, std)) for x in (train, *others)]


def mixtura(x_train: Array, y_train: Array, x_test: Array, seed: int) -> mx.families.Distribution:
    """Predict by Mixtura's regressor as it comes."""
    return mx.MDNRegressor(random_state=seed).fit(x_train, y_train).predict_distribution(x_test)


def mixtura_floor(x_train: Array, y_train: Array, x_test: Array, seed: int) -> mx.families.Distribution:
    """Predict by Mixtura's regressor with a floor that knows nothing of the recording step."""
    model = mx.MDNRegressor(random_state=seed, min_scale=SMALLEST * float(y_train.std()))
    return model.fit(x_train, y_train).predict_distribution(x_test)


def mixtura_chosen(x_train: Array, y_train: Array, x_test: Array, seed: int) -> mx.families.Distribution:
    """Predict by the setting that does best on the training rows that its members were validated on."""
    models = (mx.MDNRegressor(random_state=seed, **setting).fit(x_train, y_train) for setting in SETTINGS)
    return min(models, key=lambda model: model.validation_loss_).predict_distribution(x_test)


def ngboost(x_train: Array, y_train: Array, x_test: Array, seed: int) -> mx.families.Distribution:
    """Predict by NGBoost as it comes: 500 steps of a tree for the mean and a tree for the log scale."""
    from ngboost import NGBRegressor

    model = NGBRegressor(random_state=seed, verbose=False).fit(x_train, y_train)
    parameters = model.pred_dist(x_test).params
    return one_normal(parameters["loc"], parameters["scale"])


def ngboost_stopped(x_train: Array, y_train: Array, x_test: Array, seed: int) -> mx.families.Distribution:
    """Predict by NGBoost with up to 2000 steps, as many as are best for a tenth of the training rows."""
    from ngboost import NGBRegressor

    model = NGBRegressor(
        random_state=seed, verbose=False, n_estimators=2000, validation_fraction=0.1, early_stopping_rounds=20
    )
    with redirect_stdout(StringIO()):  # it prints that it sets rows aside
        model.fit(x_train, y_train)
    steps = model.best_val_loss_itr + 1  # it counts from 0
    parameters = model.pred_dist(x_test, max_iter=steps).params
    return one_normal(parameters["loc"], parameters["scale"])


def skpro(x_train: Array, y_train: Array, x_test: Array, seed: int) -> mx.families.Distribution:
    """Predict by skpro's mixture density network as it comes, on standardised inputs and targets."""
    import pandas as pd
    from skpro.regression.mdn import MDNRegressor

    train, test = (pd.DataFrame(x) for x in standardised(x_train, x_test))
    mean, std = y_train.mean(), y_train.std()
    model = MDNRegressor(random_state=seed, device="cpu").fit(train, pd.DataFrame((y_train - mean) / std))
    p = model.predict_proba(test)
    means, scales = (np.asarray(part, dtype=float)[..., 0] for part in (p.mu, p.sigma))
    return normals(np.asarray(p.pi, dtype=float), mean + std * means, std * scales)


def linear(x_train: Array, y_train: Array, x_test: Array, seed: int) -> mx.families.Distribution:
    """Predict by least squares, with one scale for all rows."""
    train, test = (
        np.column_stack([x, np.ones(len(x))])  # a column of ones for the intercept
        for x in standardised(x_train, x_test)
    )
    slopes, _, rank, _ = np.linalg.lstsq(train, y_train)
    variance = np.sum(np.square(y_train - train @ slopes)) / (len(train) - rank)
    return one_normal(test @ slopes, math.sqrt(variance))


def marginal(x_train: Array, y_train: Array, x_test: Array, seed: int) -> mx.families.Distribution:
    """Predict the same normal for all rows."""
    return one_normal(np.full(len(x_test), y_train.mean()), y_train.std())


def spikes(x_train: Array, y_train: Array, x_test: Array, seed: int) -> mx.families.Distribution:
    """Predict a narrow normal at every value that the target had, as likely as it was often: x is not used.

    One distribution for all rows. What it gains over `marginal` in likelihood, any model can gain from
    targets that are recorded in steps, without knowing anything about them.
    """
    values, counts = np.unique(y_train, return_counts=True)
    return normals(counts / len(y_train), values, np.full(len(values), SMALLEST * y_train.std()))


CONTESTANTS = {
    "mixtura": Contestant(mixtura, ("jax", "keras")),
    "mixtura-floor": Contestant(mixtura_floor, ("jax", "keras")),
    "mixtura-chosen": Contestant(mixtura_chosen, ("jax", "keras")),
    "ngboost": Contestant(ngboost, ("ngboost",)),
    "ngboost-stopped": Contestant(ngboost_stopped, ("ngboost",)),
    "skpro": Contestant(skpro, ("torch", "skpro.regression.mdn")),
    "linear": Contestant(linear),
    "marginal": Contestant(marginal),
    "spikes": Contestant(spikes),
}


def floors_differ(y: Array) -> bool:
    """Tell whether half the recording step, Mixtura's own floor, is above that of `mixtura-floor`."""
    return recording_step(y) / 2 > SMALLEST * y.std()


def measured(method: str, number: int, split: Split, threads: int) -> tuple[str, int, dict[str, Any]]:
    """Return the method, the split's number and the scores; of a method that raised, the error."""
    try:
        return method, number, measure(method, split, number, threads)
    except Exception as error:  # of others' code: the other splits go on
        return method, number, {"error": f"{type(error).__name__}: {error}"}


def measure(method: str, split: Split, seed: int, threads: int) -> dict[str, Any]:
    """Fit, predict and score one contestant on one split."""
    contestant = CONTESTANTS[method]
    for module in contestant.modules:
        importlib.import_module(module)
    with threadpool_limits(threads):
        start, start_on_cpu = time.perf_counter(), time.process_time()
        p = contestant.fit_predict(split.x_train, split.y_train, split.x_test, seed)
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_on_cpu
        scores = {"nll": _nll(p, split.y_test)} if method == "spikes" else _scores(p, split, seed)
    return {
        "n_train": len(split.y_train),
        "n_test": len(split.y_test),
        "seconds": seconds,
        "cpu_seconds": cpu,
    } | scores


def _nll(p: mx.families.Distribution, y: Array) -> float:
    """Return the negative log-likelihood under one distribution with very many components, row by row."""
    return -float(np.mean([p.log_prob(value) for value in y]))


def _scores(p: mx.families.Distribution, split: Split, seed: int) -> dict[str, Any]:
    y, step = split.y_test[:, None], split.step
    pit = mx.scores.pit(p, y, step, seed=seed)[:, 0]
    return {
        "nll": mx.scores.negative_log_likelihood(p, y),
        "discretised": mx.scores.discretised_log_score(p, y, step),
        "crps": mx.scores.crps(p, y),
        "interval_score": mx.scores.interval_score(p, y, LEVEL),
        "coverage": mx.scores.interval_coverage(p, y, LEVEL),
        "rmse": mx.scores.root_mean_squared_error(p, y),
        "pit_distance": float(kstest(pit, "uniform").statistic),
        "pit_histogram": " ".join(map(str, np.histogram(pit, BINS, (0.0, 1.0))[0])),  # one line of the file
    }
