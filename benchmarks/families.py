# ruff: noqa: D102 (Contestant documents its subclasses' methods)
"""Times Mixtura's loss and sampling against other libraries' mixtures, on one machine, as ratios.

    make bench                       # in an environment of its own
    python benchmarks/families.py    # where numpyro, torch and keras-mdn-layer are installed

`loss` is the value and gradient of the mean negative log-likelihood with respect to the raw network outputs,
activations (softmax of logits, ELU + 1 for scales) included. `sample` draws one event for every row, other
ones in every call. `rows` does so from NumPy array to NumPy array, against a loop over keras-mdn-layer's
`sample_from_output`.

Everyone gets the same float32 numbers in its own layout: Mixtura one array, keras-mdn-layer the outputs of
its three Dense layers, the others one array per parameter. Everyone must agree on the losses, on the norm of
the gradients and on the samples' mean and covariance, or the script stops. Calls are interleaved: in every
repetition each contestant is timed once. A ratio is the median over repetitions of a contestant's time
divided by Mixtura's; above 1, Mixtura is faster. Compiling happens in the first call, which is timed apart.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import statistics
import time
import warnings
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import machine

machine.settle()
os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # or compiling would be timed on a first run only

import jax
import jax.numpy as jnp
import keras
import keras_mdn_layer as kml
import numpy as np
import numpyro.distributions as npd
import torch
import torch.distributions as td

import mixtura as mx

SHORTEST = 0.02  # seconds that a contestant runs in each repetition, at least
LEVEL = 1.05  # ratios closer to 1 than this count as level
PACKAGES = ("mixtura", "jax", "keras", "keras-mdn-layer", "numpy", "numpyro", "torch")


class Problem:
    """Raw network outputs and targets of one size, the same numbers in every layout.

    Args:
        batch: the rows' shape.
        components: K.
        event_size: D.
        covariance: "diagonal" or "full".
    """

    def __init__(self, batch: tuple[int, ...], components: int, event_size: int, covariance: str) -> None:
        self.batch, self.components, self.event_size = batch, components, event_size
        self.is_full = covariance == "full"
        self.family = mx.Mixture(mx.Normal(event_size, covariance), components)
        kind = " full" if self.is_full else ""
        self.name = f"{'x'.join(map(str, batch))} rows, K={components}, D={event_size}{kind}"

    def draw(self) -> None:
        """Draw logits `(*batch, K)`; means, scale activations, coefficients `(*batch, K, .)`; targets."""
        rng = np.random.default_rng(0)
        k, d = self.components, self.event_size
        shapes = [(k,), (k, d), (k, d), (k, d * (d - 1) // 2)][: 4 if self.is_full else 3]
        raw = [rng.normal(size=(*self.batch, *shape)).astype("float32") for shape in shapes]
        y = rng.normal(scale=2, size=(*self.batch, d)).astype("float32")
        # Mixtura: a table with a row per parameter and a column per component.
        rows = [raw[0][..., None, :], *(np.swapaxes(part, -1, -2) for part in raw[1:])]
        self.flat, self.y = np.concatenate(rows, axis=-2).reshape(*self.batch, -1), y
        # keras-mdn-layer: the outputs of its three Dense layers.
        self.dense = [part.reshape(len(part), -1) for part in (raw[1], raw[2], raw[0])]
        # The others: an array per parameter, without an axis for events that are numbers.
        number = d == 1
        self.parts = [raw[0], *(part[..., 0] if number else part for part in raw[1:])]
        self.target = y[..., 0] if number else y


SIZES = (
    Problem((128,), 5, 1, "diagonal"),
    Problem((4096,), 20, 2, "full"),
    Problem((1024,), 5, 32, "diagonal"),
    Problem((256, 250), 20, 2, "full"),
)
WORK = {"loss": SIZES, "sample": SIZES, "rows": (Problem((3000,), 5, 1, "diagonal"),)}

Call = Callable[[], Any]


class Contestant:
    """A library. A method prepares a task: it returns a call that waits for its result, or None."""

    def __init__(self, name: str) -> None:
        self.name = name

    def loss(self, problem: Problem) -> Call | None:
        """Prepare a call that returns the loss and its gradients."""

    def sample(self, problem: Problem) -> Call | None:
        """Prepare a call that returns one event for each row."""

    def rows(self, problem: Problem) -> Call | None:
        """Prepare the same from NumPy array to NumPy array."""


def jax_loss(loss: Callable[[Any, Any], Any], raw: Any, y: np.ndarray) -> Call:
    """Compile the value and gradient of `loss(raw, y)`."""
    both = jax.jit(jax.value_and_grad(loss))
    raw, y = jax.tree.map(jnp.asarray, (raw, y))
    return lambda: jax.block_until_ready(both(raw, y))


def jax_sample(sample: Callable[[Any, Any], Any], raw: Any) -> Call:
    """Compile `sample(raw, key)`, making the key included."""
    compiled = jax.jit(lambda raw, seed: sample(raw, jax.random.key(seed)))
    seeds = map(np.uint32, count())
    return lambda: jax.block_until_ready(compiled(raw, next(seeds)))


class Mixtura(Contestant):
    """Mixtura on JAX."""

    def loss(self, problem: Problem) -> Call:
        loss = mx.NegativeLogLikelihood(problem.family)
        return jax_loss(lambda params, y: loss(y, params), problem.flat, problem.y)

    def sample(self, problem: Problem) -> Call:
        return jax_sample(problem.family.sample, jnp.asarray(problem.flat))

    def rows(self, problem: Problem) -> Call:
        call = jax_sample(problem.family.sample, problem.flat)
        return lambda: np.asarray(call())


class KerasMDN(Contestant):
    """keras-mdn-layer on JAX. It has no full covariance, and its unseeded sampler cannot be compiled."""

    @staticmethod
    def head(means: Any, scales: Any, logits: Any) -> Any:
        """Return what its MDN layer makes of its three Dense layers' outputs."""
        return keras.ops.concatenate([means, kml.elu_plus_one_plus_epsilon(scales), logits], axis=-1)

    def loss(self, problem: Problem) -> Call | None:
        if problem.is_full:
            return None
        loss = kml.get_mixture_loss_func(problem.event_size, problem.components)
        return jax_loss(lambda raw, y: loss(y, self.head(*raw)), problem.dense, problem.y)

    def sample(self, problem: Problem) -> Call | None:
        if problem.is_full:
            return None
        sample = kml.get_mixture_sampling_fun(problem.event_size, problem.components)
        outputs = jax.tree.map(jnp.asarray, problem.dense)
        return lambda: jax.block_until_ready(sample(self.head(*outputs)))

    def rows(self, problem: Problem) -> Call:
        params, sizes = np.asarray(self.head(*problem.dense)), (problem.event_size, problem.components)
        return lambda: np.stack([kml.sample_from_output(row, *sizes) for row in params])


def scale_tril(xp: Any, sigma: Any, coefficients: Any) -> Any:
    """Return diag(sigma) T^-1 in two dimensions (docs/families.md)."""
    first, second, phi = sigma[..., 0], sigma[..., 1], coefficients[..., 0]
    rows = [xp.stack([first, xp.zeros_like(first)], -1), xp.stack([second * phi, second], -1)]
    return xp.stack(rows, -2)


class Torch(Contestant):
    """torch.distributions, eager or compiled."""

    def __init__(self, name: str, compiled: bool) -> None:
        super().__init__(name)
        self.compile = (lambda f: torch.compile(f, dynamic=False)) if compiled else lambda f: f

    @staticmethod
    def mixture(logits: Any, means: Any, scales: Any, coefficients: Any = None) -> td.Distribution:
        """Return the distribution."""
        sigma = torch.nn.functional.elu(scales) + 1
        if coefficients is not None:
            tril = scale_tril(torch, sigma, coefficients)
            parts = td.MultivariateNormal(means, scale_tril=tril, validate_args=False)
        else:
            parts = td.Normal(means, sigma, validate_args=False)
            parts = td.Independent(parts, means.ndim - logits.ndim, validate_args=False)
        weights = td.Categorical(logits=logits, validate_args=False)
        return td.MixtureSameFamily(weights, parts, validate_args=False)

    def loss(self, problem: Problem) -> Call:
        loss = self.compile(lambda y, *raw: -self.mixture(*raw).log_prob(y).mean())
        leaves = [torch.tensor(part, requires_grad=True) for part in problem.parts]
        target = torch.tensor(problem.target)

        def call() -> Any:
            value = loss(target, *leaves)
            return value.detach(), torch.autograd.grad(value, leaves)

        return call

    def sample(self, problem: Problem) -> Call:
        sample = self.compile(lambda *raw: self.mixture(*raw).sample())
        parts = [torch.tensor(part) for part in problem.parts]
        return torch.no_grad()(lambda: sample(*parts))


class NumPyro(Contestant):
    """numpyro.distributions on JAX."""

    @staticmethod
    def mixture(logits: Any, means: Any, scales: Any, coefficients: Any = None) -> npd.Distribution:
        """Return the distribution."""
        sigma = jax.nn.elu(scales) + 1
        if coefficients is not None:
            tril = scale_tril(jnp, sigma, coefficients)
            parts = npd.MultivariateNormal(means, scale_tril=tril, validate_args=False)
        else:
            parts = npd.Normal(means, sigma, validate_args=False).to_event(means.ndim - logits.ndim)
        weights = npd.CategoricalLogits(logits, validate_args=False)
        return npd.MixtureSameFamily(weights, parts, validate_args=False)

    def loss(self, problem: Problem) -> Call:
        return jax_loss(
            lambda raw, y: -jnp.mean(self.mixture(*raw).log_prob(y)), problem.parts, problem.target
        )

    def sample(self, problem: Problem) -> Call:
        parts = jax.tree.map(jnp.asarray, problem.parts)
        return jax_sample(lambda raw, key: self.mixture(*raw).sample(key), parts)


CONTESTANTS = (
    Mixtura("mixtura"),
    KerasMDN("keras-mdn-layer"),
    Torch("torch", compiled=False),
    Torch("torch.compile", compiled=True),
    NumPyro("numpyro"),
)


def check_losses(results: dict[str, Any]) -> None:
    """Stop if the losses, or the norms of their gradients, differ between contestants."""
    found = {}
    for name, (value, gradients) in results.items():
        squares = sum(np.square(np.asarray(g, "float64")).sum() for g in jax.tree.leaves(gradients))
        found[name] = [float(value), math.sqrt(squares)]
    for name, values in found.items():
        if not np.allclose(values, found["mixtura"], rtol=1e-4, atol=0):
            raise SystemExit(f"{name} computes another loss or gradient norm: {found}")


def check_samples(problem: Problem, name: str, call: Call) -> None:
    """Stop if samples, whitened by the distribution's moments, lack mean 0 and covariance 1."""
    p = problem.family(problem.flat)
    mean, root = p.mean(), np.linalg.inv(np.linalg.cholesky(p.covariance()))
    draws = math.ceil(30_000 / math.prod(problem.batch))
    events = np.stack([np.asarray(call()).reshape(mean.shape) for _ in range(draws)])
    z = np.einsum("...ij,...j->...i", root, events - mean).reshape(-1, problem.event_size)
    error = max(np.abs(z.mean(0)).max(), np.abs(np.cov(z.T) - np.eye(problem.event_size)).max())
    if error > 0.1:
        raise SystemExit(f"{name} draws other samples: whitened moments are off by {error:.3f}")


def prepare(task: str, problem: Problem) -> tuple[dict[str, Call], dict[str, float]]:
    """Return each contestant's call, compiled and checked, and the seconds its first call took."""
    problem.draw()
    prepared = {contestant.name: getattr(contestant, task)(problem) for contestant in CONTESTANTS}
    calls = {name: call for name, call in prepared.items() if call}
    first, results = {}, {}
    for name, call in calls.items():
        start = time.perf_counter()
        results[name] = call()
        first[name] = time.perf_counter() - start
    if task == "loss":
        check_losses(results)
    else:
        for name, call in calls.items():
            check_samples(problem, name, call)
    return calls, first


def seconds(call: Call, times: int) -> float:
    """Return the mean time of so many calls."""
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def measure(task: str, problem: Problem, repetitions: int) -> dict[str, Any]:
    """Return one row of the results, times per call in microseconds."""
    calls, first = prepare(task, problem)
    once = {name: min(seconds(call, 1) for _ in range(3)) for name, call in calls.items()}
    counts = {name: math.ceil(SHORTEST / duration) for name, duration in once.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    gc.collect()
    gc.disable()
    for _ in range(repetitions):
        for name, call in calls.items():
            times[name].append(1e6 * seconds(call, counts[name]))
    gc.enable()
    found = {
        name: {
            "median_us": statistics.median(own),
            "min_us": min(own),
            "max_us": max(own),
            "ratio": statistics.median(a / b for a, b in zip(own, times["mixtura"], strict=True)),
            "first_call_s": first[name],
            "calls_per_repetition": counts[name],
            "times_us": own,
        }
        for name, own in times.items()
    }
    best = min(values["ratio"] for name, values in found.items() if name != "mixtura")
    verdict = "fastest" if best > LEVEL else "level" if best >= 1 / LEVEL else "slower"
    return {"task": task, "problem": problem.name, "verdict": verdict, "contestants": found}


def show(row: dict[str, Any]) -> None:
    """Print a row of the results, one line a contestant."""
    for contestant in CONTESTANTS:
        name, values = contestant.name, row["contestants"].get(contestant.name)
        label = f"{row['task']}, {row['problem']}" if name == "mixtura" else ""
        if values:
            numbers = "".join(f"{values[key]:11.1f}" for key in ("median_us", "min_us", "max_us"))
            verdict = row["verdict"] if label else ""
            print(
                f"{label:38}{name:16}{numbers}{values['ratio']:9.2f}{values['first_call_s']:9.2f}  {verdict}"
            )
        elif row["task"] != "rows":
            print(f"{label:38}{name:16}{'not available':>17}")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Time Mixtura against other libraries' mixtures.")
    parser.add_argument("--repetitions", type=int, default=15, help="at least 7 (default 15)")
    parser.add_argument(
        "--out", type=Path, default=machine.RESULTS / "families.json", help="the JSON file to write"
    )
    parser.add_argument("--only", default="", help="measure only what contains this, such as 'loss, 128'")
    arguments = parser.parse_args()
    if arguments.repetitions < 7:
        parser.error("--repetitions must be at least 7")
    warnings.filterwarnings("ignore", module="torch")
    torch.set_num_threads(machine.CORES)
    rows: list[dict[str, Any]] = []
    content = machine.describe(PACKAGES) | {"repetitions": arguments.repetitions, "rows": rows}
    where = f"{content['cpu']}, {content['cores']} cores; {content['versions']}"
    print(f"{where}\n\n{'microseconds per call':54}", end="")
    print(f"{'median':>11}{'min':>11}{'max':>11}{'ratio':>9}{'first s':>9}  mixtura is")
    for task, problems in WORK.items():
        for problem in problems:
            if arguments.only in f"{task}, {problem.name}":
                rows.append(measure(task, problem, arguments.repetitions))
                show(rows[-1])
    machine.write(arguments.out, content)


if __name__ == "__main__":
    main()
