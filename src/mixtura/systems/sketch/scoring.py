"""Scores of drawings: nats per drawing, with a latent vector by importance sampling, and as published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from mixtura.evaluation.sequences import SequenceScores
from mixtura.models.sketch_rnn import END, SketchRNN, padded
from mixtura.models.variational import SketchLoss, kl_divergence

SAMPLES, DRAWS = 64, 8
TOGETHER = 2**15  # events whose parameters are held at once


def score_drawings(
    model: SketchRNN,
    drawings: Sequence[np.ndarray],
    labels: Any = None,
    step: Sequence[float] = (0.0, 0.0),
    *,
    samples: int = SAMPLES,
    draws: int = DRAWS,
    seed: int = 0,
) -> SequenceScores:
    r"""Score whole drawings `(n, 3)` in nats per drawing, in the data's units, without a floor.

    A decoder's likelihood is exact. With a latent vector it is the importance-weighted bound (Burda, Grosse
    & Salakhutdinov 2016, arXiv:1509.00519, equation 8), which is below the likelihood and nears it as S
    grows:

    $$\log p(y) \ge \log \frac1S \sum_s \frac{p(y \mid z_s)\, p(z_s)}{q(z_s \mid y)}, \qquad
      z_s \sim q(z \mid y)$$

    What the encoder and the decoder see is the drawing as it was recorded; what is scored are its offsets
    with uniform noise of one recording step, averaged over draws of it (see
    `mixtura.scores.dequantised_nll`). How a model ends drawings does not matter: all are distributions over
    drawings.

    Args:
        model: which.
        drawings: (dx, dy, end) each.
        labels: of each drawing's class.
        step: the recording step of dx and dy; 0 where they are continuous.
        samples: S; 1 where there is no latent vector.
        draws: of the noise.
        seed: of both.
    """
    samples = samples if model.latent_size else 1
    draws = draws if any(step) else 1
    loss = SketchLoss(model.family, model.closing)
    run = model.program("log weights", lambda *arguments: _log_weights(model, loss, *arguments))
    raw, nll = np.zeros(len(drawings)), np.zeros(len(drawings))
    surprise: list[np.ndarray] = [np.empty(0)] * len(drawings)
    rng = np.random.default_rng(seed)
    cells = np.array([*step[:2], 0.0, 0.0, 0.0])
    for some in _batches(model, drawings, samples):
        noise = rng.uniform(-0.5, 0.5, (draws + 1, *some.events.shape)) * cells
        noise[0] = 0.0
        eps = rng.standard_normal((samples, len(some.events), model.latent_size))
        given = some.of(labels)
        arguments = (some.events, some.events + noise, some.is_real, eps, given)
        typed = [a if a is None or a.dtype.kind in "ib" else a.astype("float32") for a in arguments]
        weights, each = (np.asarray(ops.convert_to_numpy(part), np.float64) for part in run(*typed))
        found = -_log_mean_exp(weights, axis=1)[:, : len(some.numbers)]  # (draws + 1, drawings)
        raw[some.numbers], nll[some.numbers] = found[0], found[1:].mean(axis=0)
        for row, number in enumerate(some.numbers):
            surprise[number] = each[1:, row].mean(axis=0)[some.is_real[row] > 0]
    return SequenceScores(
        nll,
        raw,
        {"drawing": nll},
        np.array([len(one) for one in drawings]),
        (*map(float, step[:2]), 0.0, 0.0, 0.0),
        tuple(model.family.floors.tolist()),
        False,
        draws,
        seed,
        () if model.latent_size else surprise,
    )


def published_losses(
    model: SketchRNN,
    drawings: Sequence[np.ndarray],
    longest: int,
    labels: Any = None,
    *,
    floor: float = 1e-6,
    seed: int = 0,
) -> dict[str, float]:
    r"""Return $L_R$ and $L_{KL}$ of held-out drawings as Ha & Eck 2017 report them (equations 9 to 11).

    $$L_R = -\frac1{N_{\max}} \Bigl[\sum_{i \le N_s} \log\bigl(p(\Delta_i) + \varepsilon\bigr)
            + \sum_{i} \sum_k p_{k,i} \log q_{k,i}\Bigr], \qquad L_{KL} = \frac{K}{N_z}$$

    means over drawings, one z each; offsets as recorded, in the family's units. As in the authors'
    evaluation the pen counts up to the last point, not in the event that ends the drawing. (They report
    $\max(L_{KL}, 0.2)$.) The numbers depend on $N_{\max}$, ε and the units:
    compare them where all three are the same.

    Args:
        model: which.
        drawings: (dx, dy, end) each.
        longest: $N_{\max}$.
        labels: of each drawing's class.
        floor: ε; 0 for the exact density.
        seed: of z.
    """
    loss = SketchLoss(model.family, model.closing, floor=floor)
    units = np.log(model.family.units[1][:2]).sum()

    def both(events: Any, is_real: Any, eps: Any, given: Any) -> Any:
        params, divergence, _ = _decoded(model, events, eps, given)
        is_point = is_real * (1 - events[..., END]) if model.closing else is_real
        nll = ops.sum(loss.call(events, params[0]) * is_point, axis=-1)
        return nll, divergence

    run = model.program(f"published losses, floor {floor}", both)
    rng = np.random.default_rng(seed)
    reconstruction, divergence = np.zeros(len(drawings)), np.zeros(len(drawings))
    for some in _batches(model, drawings, 1):
        eps = rng.standard_normal((1, len(some.events), model.latent_size)).astype("float32")
        given = some.of(labels)
        found = run(some.events, some.is_real, eps, given)
        for total, part in zip((reconstruction, divergence), found, strict=True):
            total[some.numbers] = ops.convert_to_numpy(part)[: len(some.numbers)]
    points = np.array([len(one) for one in drawings])
    reconstruction -= units * points  # into the family's units
    losses = {"L_R": float(reconstruction.mean() / longest)}
    if model.latent_size:
        losses["L_KL"] = float(divergence.mean() / model.latent_size)
    return losses


def log_prob(
    model: SketchRNN, drawings: Sequence[np.ndarray], context: np.ndarray | None = None, begun: int = 0
) -> np.ndarray:
    r"""Return $\log p(S_{m+1}, \dots, S_n \mid S_1, \dots, S_m, c)$ of drawings as recorded, in nats, `(n,)`.

    Args:
        model: which.
        drawings: (dx, dy, end) each.
        context: c, of each; see `SketchRNN.context`.
        begun: m, how many points are given.
    """
    loss = SketchLoss(model.family, model.closing)

    def likelihood(events: Any, is_scored: Any, given: Any) -> Any:
        nll = loss.call(events, model.call(events, context=given))
        return -ops.sum(nll * ops.convert_to_tensor(is_scored), axis=-1)

    run = model.program("log likelihood", likelihood)
    found = np.zeros(len(drawings))
    for some in _batches(model, drawings, 1):
        given = some.of(None if context is None else np.asarray(context, "float32"))
        is_scored = some.is_real * (np.arange(some.is_real.shape[1]) >= begun)
        nats = ops.convert_to_numpy(run(some.events, is_scored.astype("float32"), given))
        found[some.numbers] = nats[: len(some.numbers)]
    return found


class _Batch(NamedTuple):
    numbers: np.ndarray  # of the drawings
    events: np.ndarray
    is_real: np.ndarray  # `(rows, time)`

    def of(self, values: Any) -> np.ndarray | None:
        """Return the values of these drawings, and of the rows that fill the batch; None of none."""
        return None if values is None else _rows(np.asarray(values)[self.numbers], len(self.events))


def _batches(model: SketchRNN, drawings: Sequence[np.ndarray], samples: int) -> Iterator[_Batch]:
    """Yield drawings of about one length together: few shapes are compiled."""
    events = [model.events(one) for one in drawings]
    order = np.argsort([len(one) for one in events], kind="stable")
    while len(order):
        # As many as fit with the last of them.
        longest = len(events[order[min(len(order), 64) - 1]])
        time = max(8, -(-longest // 16) * 16)
        rows = max(1, min(64, TOGETHER // (samples * time)))
        numbers, order = order[:rows], order[rows:]
        lengths = np.array([len(events[n]) for n in numbers])
        is_real = np.arange(time) < _rows(lengths, rows)[:, None]
        yield _Batch(numbers, padded([events[n] for n in numbers], rows, time), is_real.astype("float32"))


def _rows(values: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([values, np.repeat(values[:1], rows - len(values), axis=0)])


def _decoded(model: SketchRNN, events: Any, eps: Any, labels: Any) -> tuple[Any, Any, Any]:
    """Return parameters for every z, `(samples, batch, time, params)`; K; and log p(z) - log q(z)."""
    samples, batch, _ = eps.shape
    time = events.shape[1]
    context: list[Any] = []
    divergence = ratio = ops.zeros((batch,))
    if model.latent_size:
        mean, log_variance = model.posterior_of(events)
        z = mean + ops.exp(0.5 * log_variance) * eps
        divergence = kl_divergence(mean, log_variance)
        centre, log_spread = model.prior_of(labels)
        from_prior = ops.square(z - centre) * ops.exp(-log_spread) + log_spread
        ratio = 0.5 * ops.sum(log_variance + ops.square(eps) - from_prior, axis=-1)
        context.append(z)
    if labels is not None and model.num_classes:
        vectors = model.classes(labels)
        context.append(ops.broadcast_to(vectors, (samples, batch, vectors.shape[-1])))
    given = ops.reshape(ops.concatenate(context, axis=-1), (samples * batch, -1)) if context else None
    repeated = ops.reshape(ops.broadcast_to(events, (samples, *events.shape)), (samples * batch, time, 5))
    params = model.call(repeated, context=given)
    return ops.reshape(params, (samples, batch, time, params.shape[-1])), divergence, ratio


def _log_weights(
    model: SketchRNN, loss: SketchLoss, events: Any, targets: Any, is_real: Any, eps: Any, labels: Any
) -> tuple[Any, Any]:
    """Return log p(y | z) p(z) / q(z), `(draws, samples, batch)`, and the loss of each event for one z."""
    params, _, ratio = _decoded(model, events, eps, labels)

    def one(target: Any) -> tuple[Any, Any]:
        nll = loss.call(ops.broadcast_to(target, (*params.shape[:-1], 5)), params) * is_real
        return ratio - ops.sum(nll, axis=-1), nll[0]

    return ops.map(one, targets)


def _log_mean_exp(values: np.ndarray, axis: int) -> np.ndarray:
    return np.logaddexp.reduce(values, axis=axis) - np.log(values.shape[axis])
