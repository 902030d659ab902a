"""The demo from top to bottom: data, training, scores on fresh points, pictures, report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.progress import Progress

from mixtura import scores
from mixtura.families import Normal
from mixtura.files import replacing
from mixtura.systems.demo import data, networks, pictures
from mixtura.training import EpochProgress, progress_bar

POINTS = 3000
FRESH_POINTS = 20_000
EPOCHS = 200


def run(out: Path, seed: int = 0, epochs: int = EPOCHS) -> dict[str, Any]:
    """Reproduce the lecture, write figures and `report.json` into `out`, and return the report.

    Args:
        out: the folder; it is made where needed, and only the demo's own files in it are replaced.
        seed: of the data, the networks and the samples.
        epochs: of training; 200 as in the lecture.
    """
    started = time.perf_counter()
    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    with progress_bar() as progress:
        mixture = _mixture(rng, seed, epochs, progress, out)
        inverse_sine = _inverse_sine(rng, seed, epochs, progress, out)
    report = {
        **inverse_sine,
        "mixture": mixture,
        "seed": seed,
        "epochs": epochs,
        "points": POINTS,
        "fresh_points": FRESH_POINTS,
        "backend": keras.backend.backend(),
        "seconds": round(time.perf_counter() - started, 1),
    }
    with replacing(out / "report.json") as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n")
    return report


def _mixture(
    rng: np.random.Generator, seed: int, epochs: int, progress: Progress, out: Path
) -> dict[str, Any]:
    """Part one: the mixture of two normals, and its parameters learnt from samples."""
    samples = data.sample_mixture(POINTS, rng)
    callback = EpochProgress(progress, "mixture of two normals")
    learnt = networks.learn_mixture(samples, max(1, epochs // 2), callback).predict(np.ones((1, 1)))[0]
    pictures.mixture(samples, learnt, out / "mixture.png")
    order = np.argsort(learnt.means[:, 0])
    return {
        "true": _components(data.WEIGHTS, data.MEANS, data.SCALES),
        "learnt": _components(learnt.weights[order], learnt.means[order, 0], learnt.scales[order, 0]),
        "single_normal": {"mean": float(samples.mean()), "scale": float(samples.std())},
    }


def _components(weights: np.ndarray, means: np.ndarray, scales: np.ndarray) -> dict[str, list[float]]:
    return {"weights": weights.tolist(), "means": means.tolist(), "scales": scales.tolist()}


def _inverse_sine(
    rng: np.random.Generator, seed: int, epochs: int, progress: Progress, out: Path
) -> dict[str, Any]:
    """Part two: the inverse-sine problem, three networks, and what any model could reach."""
    x, y = data.inverse_sine(POINTS, rng)
    fresh_x, fresh_y = data.inverse_sine(FRESH_POINTS, rng)
    limits = data.limits()

    trained, seconds = {}, {}
    for name, train in (
        ("mse", networks.mse_network),
        ("mdn", networks.mdn_network),
        ("best", networks.best_network),
    ):
        before = time.perf_counter()
        trained[name] = train(x, y, epochs, EpochProgress(progress, pictures.NAMES[name]))
        seconds[name] = time.perf_counter() - before

    # Squared error is the likelihood of a normal with one variance; its one scale is fitted, as the rest
    # of the network was, on the training points.
    fitted = round(POINTS * (1 - networks.VALIDATION))
    residuals = y[:fitted] - trained["mse"].outputs(x[:fitted])
    sigma = float(np.sqrt(np.mean(residuals**2)))
    points = trained["mse"].outputs(fresh_x)
    around = np.concatenate([points, np.full(points.shape, np.log(sigma))], axis=-1)
    predictions = {"mse": Normal(1, scale="exp")(around)}
    predictions |= {name: trained[name].predict(fresh_x) for name in ("mdn", "best")}
    nll = {name: scores.negative_log_likelihood(p, fresh_y) for name, p in predictions.items()}

    pictures.losses({k: t.history for k, t in trained.items()}, limits, out / "losses.png")
    pictures.predictions(x, y, trained, nll, seed, out / "predictions.png")
    pictures.densities(trained, nll, limits, out / "densities.png")
    report: dict[str, Any] = {
        name: {
            "params": trained[name].model.count_params(),
            "nll": nll[name],
            "seconds": round(seconds[name], 2),
        }
        for name in trained
    }
    report["mse"]["scale"] = sigma
    report["limits"] = limits._asdict()
    return report
