"""Scores of sequence models on held-out sequences, in the data's units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from keras import ops

from mixtura.compiling import compiled
from mixtura.data.sequences import Sequences, require
from mixtura.families import Distribution, Family, Joint
from mixtura.scores import dequantised_nll, negative_log_likelihood

STEPS, ROWS = 512, 64  # of sequences that go through the network together
TOGETHER = 2**21  # steps whose parameters are held at once


@dataclass(frozen=True)
class SequenceScores:
    """Negative log-likelihoods in nats, in the data's units; lower is better.

    Attributes:
        nll: of each sequence, summed over its steps, on dequantised values, `(sequences,)`.
        raw_nll: the same on the values as they were recorded.
        parts: `nll` of each part of a `Joint`, by name.
        counts: how many steps of each sequence count, `(sequences,)`.
        recording_step: the step of each dimension that values were dequantised by; 0 for none.
        min_scale: the floor of each dimension's scale in the model.
        is_discrete: whether every dimension has probabilities, not a density.
        draws: how often noise was drawn.
        seed: of the noise.
        surprise: what `nll` is the sum of: of each step that counts, `(steps,)` for each sequence.
    """

    nll: np.ndarray
    raw_nll: np.ndarray
    parts: dict[str, np.ndarray]
    counts: np.ndarray
    recording_step: tuple[float, ...]
    min_scale: tuple[float, ...]
    is_discrete: bool
    draws: int
    seed: int
    surprise: Sequence[np.ndarray] = ()

    @cached_property
    def nll_per_step(self) -> float:
        """The mean over all steps."""
        return float(self.nll.sum() / self.counts.sum())

    @cached_property
    def standard_error(self) -> float:
        """Of `nll_per_step`, as sequences vary: a ratio of means over sequences (Cochran 1977, eq. 2.39)."""
        if len(self.nll) < 2:
            return float("nan")
        residuals = self.nll - self.nll_per_step * self.counts
        return float(np.sqrt(np.sum(residuals**2) * len(self.nll) / (len(self.nll) - 1)) / self.counts.sum())

    def to_dict(self) -> dict[str, Any]:
        """Return what `mixtura evaluate --json` prints."""
        total = float(self.counts.sum())
        error = self.standard_error
        return {
            "nll_per_step": self.nll_per_step,
            "bits_per_step": self.nll_per_step / float(np.log(2)) if self.is_discrete else None,
            "standard_error": None if np.isnan(error) else error,
            "nll_per_sequence": float(self.nll.mean()),
            "nll_per_part": {name: float(part.sum() / total) for name, part in self.parts.items()},
            "raw_nll_per_step": float(self.raw_nll.sum() / total),
            "recording_step": list(self.recording_step),
            "min_scale": list(self.min_scale),
            "dequantisation": {"draws": self.draws, "seed": self.seed},
            "sequences": len(self.nll),
            "steps": int(total),
        }


def score_sequences(
    model: Any,
    sequences: Sequences | Sequence[np.ndarray],
    step: float | Sequence[float] | None = None,
    *,
    inputs: Sequence[np.ndarray] | None = None,
    context: np.ndarray | None = None,
    weights: Sequence[np.ndarray] | None = None,
    dims: Sequence[int] | None = None,
    draws: int = 8,
    seed: int = 0,
) -> SequenceScores:
    """Score a sequence model on whole sequences: every step given all that was recorded before it.

    Targets, not what the model sees, are dequantised: with uniform noise of one recording step, seeded and
    averaged over draws (see `mixtura.scores.dequantised_nll`).

    Args:
        model: a `mixtura.models.SequenceModel`.
        sequences: `(length, event_size)` each.
        step: the recording step, one for all dimensions or one for each; 0 where values are continuous or
            discrete. By default what the sequences themselves show.
        inputs: what enters at every step beside the events, `(length, size)` each.
        context: what is fixed for each sequence, `(sequences, ...)`.
        weights: `(length,)` each; 0 for a step that is given and not scored.
        dims: score these dimensions of the events alone, the others integrated out; by default all.
        draws: how often noise is drawn.
        seed: of the noise.

    Raises:
        InputError: if sequences do not fit the model, are empty or not finite.
        ValueError: for steps or draws as `dequantised_nll`.
    """
    if not isinstance(sequences, Sequences):
        sequences = Sequences.of(sequences)
    require(sequences, model.family.event_size)
    family: Family = model.family
    kept: Any = slice(None)
    cells = np.where(family.continuous, sequences.recording_step() if step is None else step, 0.0)
    if dims is not None:
        family, kept = family.marginal(np.zeros(family.params_size), dims).family, list(dims)
        cells = cells[kept]
    nll, raw, counts = np.zeros(len(sequences)), np.zeros(len(sequences)), np.zeros(len(sequences), np.int64)
    surprise = [np.empty(0)] * len(sequences)
    places = dict(_places(family))
    parts = {name: np.zeros(len(sequences)) for name in places}
    for number, params in predictions(model, sequences, inputs=inputs, context=context):
        events = sequences[number]
        counted = np.ones(len(events), bool) if weights is None else np.asarray(weights[number]) > 0
        p, y = Distribution(model.family, params[counted]), events[counted][:, kept]
        if not len(y):
            continue
        p = p if dims is None else p.marginal(dims)
        settings: dict[str, Any] = {"draws": draws, "seed": _own(seed, number)}
        counts[number] = len(y)
        raw[number] = negative_log_likelihood(p, y, average=False).sum()
        if places:
            each = {name: _noisy(p[name], y[:, at], cells[at], **settings) for name, at in places.items()}
            for name, values in each.items():
                parts[name][number] = values.sum()
            surprise[number] = np.sum(list(each.values()), axis=0)
        else:
            surprise[number] = _noisy(p, y, cells, **settings)
        nll[number] = surprise[number].sum()
    return SequenceScores(
        nll,
        raw,
        parts or {"event": nll},
        counts,
        tuple(cells.tolist()),
        tuple(family.floors.tolist()),
        not family.continuous.any(),
        draws,
        seed,
        surprise,
    )


def _noisy(p: Distribution, y: np.ndarray, cells: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return the dequantised score of each step; without a recording step there is nothing to draw."""
    if not cells.any():
        return negative_log_likelihood(p, y, average=False)
    return dequantised_nll(p, y, cells.tolist(), draws=draws, seed=seed, average=False)


def predictions(
    model: Any,
    sequences: Sequence[np.ndarray],
    *,
    inputs: Sequence[np.ndarray] | None = None,
    context: np.ndarray | None = None,
) -> Iterable[tuple[int, np.ndarray]]:
    """Yield each sequence's number and the parameters of its steps, `(length, params_size)`.

    Sequences go through together with others of about their length, in pieces of 512 steps, between which the
    state is kept: so few shapes are compiled, and of long sequences few are held at once.

    Args:
        model: a `mixtura.models.SequenceModel`.
        sequences: `(length, event_size)` each.
        inputs: `(length, size)` each.
        context: `(sequences, ...)`.
    """
    run = compiled(lambda *arguments: model.unroll(*arguments), model)
    order = np.argsort([len(one) for one in sequences], kind="stable")
    while len(order):
        longest = len(sequences[order[:ROWS][-1]])
        group, order = np.split(order, [min(ROWS, max(1, TOGETHER // max(1, longest)))])
        rows = 1 << (len(group) - 1).bit_length()
        longest = len(sequences[group[-1]])
        size = min(STEPS, max(8, 1 << (longest - 1).bit_length()))
        pieces: list[np.ndarray] = []
        before = state = None
        own_context = None if context is None else _padded([context[n] for n in group], rows)
        for start in range(0, longest, size):
            events = _piece([sequences[n] for n in group], rows, start, size, model.variable_dtype)
            own = None if inputs is None else _piece([inputs[n] for n in group], rows, start, size)
            params, state = run(events, own, own_context, before, state)
            before = events[:, -1]
            pieces.append(np.asarray(ops.convert_to_numpy(params))[: len(group)])
        whole = np.concatenate(pieces, axis=1)
        for row, number in enumerate(group):
            yield int(number), whole[row, : len(sequences[number])]


def _piece(arrays: list[np.ndarray], rows: int, start: int, size: int, dtype: str = "float32") -> np.ndarray:
    """Return steps of several sequences, `(rows, size, dimensions)`, zero after their ends."""
    piece = np.zeros((rows, size, arrays[0].shape[1]), dtype)
    for row, array in enumerate(arrays):
        part = array[start : start + size]
        piece[row, : len(part)] = part
    return piece


def _padded(values: list[Any], rows: int) -> np.ndarray:
    stacked = np.stack([np.asarray(value) for value in values])
    return np.concatenate([stacked, np.repeat(stacked[:1], rows - len(stacked), axis=0)])


def _places(family: Any) -> Iterable[tuple[str, slice]]:
    if isinstance(family, Joint):
        for name, _, _, where in family._slices():
            yield name, where


def _own(seed: int, number: int) -> int:
    """Return a seed for one sequence, so that its noise does not depend on the others."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
