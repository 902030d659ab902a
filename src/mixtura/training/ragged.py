"""Sequences of different lengths as rows for training, on which every real step counts the same."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, Self

import keras
import numpy as np

from mixtura.data.sequences import Sequences, require
from mixtura.errors import InputError
from mixtura.families.checks import positive_int


class Ragged:
    r"""Sequences laid out as rows for `fit`.

    - `padded`: whole sequences, padded on the right, in a few groups of similar length;
    - `windows`: pieces of one length, which may overlap;
    - `streams`: pieces that follow each other, for truncated backpropagation with a `Stateful` model.

    Each row has a dictionary of inputs as `SequenceModel.call` takes them, the events themselves as targets,
    and weights, which are 0 on padding and elsewhere

    $$w = \frac{\text{rows} \cdot T}{\text{real steps}}, \qquad
      L = -\frac{1}{BT} \sum_{b,t} w_{bt} \log p(y_{bt} \mid y_{b,<t})$$

    with T the padded length. So one step adds the same to the gradient whatever its neighbours and its
    padding are, and the epoch's `loss` is exactly the negative log-likelihood per real step, for a loss with
    Keras' default reduction. (w grows with T because Keras divides by it: a weighted metric counts the steps
    of longer groups more. With one group it is exact.)

    Padding repeats a sequence's last event: unlike zeros it is an event that every family has a density for,
    and 0 times an infinite loss is not 0. Rows of weight 0 fill the last batch of each group, so that a group
    compiles once.

    Attributes:
        parts: for each group, `(x, y, weight)`: x the dictionary of `events` `(rows, T, event_size)` and,
            where there are some, `inputs` `(rows, T, size)`, `context` `(rows, ...)`, `before`
            `(rows, event_size)` and `fresh` `(rows,)`; y the events; weight `(rows, T)`.
        batch_size: rows in a batch, all of one group.
        is_ordered: whether the order of the rows has a meaning, so that `fit` keeps it.
        event_size: the number of dimensions of an event.
        steps: how many steps count, or the sum of their weights.
        padding: the share of steps that are computed in vain.

    Example:
        >>> import numpy as np
        >>> rows = Ragged.padded([np.ones((length, 1)) for length in (2, 3, 9)], batch_size=1, buckets=2)
        >>> [x["events"].shape for x, y, weight in rows.parts]
        [(2, 3, 1), (1, 9, 1)]
    """

    def __init__(self, source: _Source, pieces: Sequence[_Pieces], batch_size: int, is_ordered: bool) -> None:
        pieces = [piece.filled(batch_size) for piece in pieces]
        masks = [source.mask(piece) for piece in pieces]
        self.steps = float(sum(mask.sum(dtype=np.float64) for mask in masks))
        if not self.steps:
            raise ValueError("every step has the weight 0; expected one at least that counts")
        rows, kind = sum(map(len, masks)), keras.config.floatx()
        self.parts = tuple(
            (x := source.inputs(piece), x["events"], (mask * (rows * piece.time / self.steps)).astype(kind))
            for piece, mask in zip(pieces, masks, strict=True)
        )
        self.batch_size, self.is_ordered, self.event_size = batch_size, is_ordered, source.events.event_size
        self.padding = 1 - sum(piece.lengths.sum() for piece in pieces) / sum(map(np.size, masks))
        self._numbers = np.concatenate([piece.numbers for piece in pieces])
        self._starts = np.concatenate([piece.starts for piece in pieces])

    @classmethod
    def padded(
        cls,
        sequences: Sequences | Sequence[Any],
        batch_size: int = 32,
        buckets: int = 4,
        inputs: Sequences | Sequence[Any] | None = None,
        context: Any = None,
        weights: Sequence[Any] | None = None,
    ) -> Self:
        """Lay whole sequences out, padded on the right to a few lengths.

        Args:
            sequences: Sequences, or arrays `(length, event_size)`.
            batch_size: rows in a batch.
            buckets: the largest number of padded lengths. They are chosen so that as few steps as possible
                are computed in vain; each compiles a program.
            inputs: what enters at every step beside the events: as many sequences of the same lengths.
            context: what is fixed for a sequence: one entry each.
            weights: of the steps of each sequence, 1 by default; 0 for a step that is given, not predicted.

        Raises:
            InputError: if there are no sequences, or a value is not finite.
            ValueError: if inputs, context or weights do not fit the sequences, or a number is out of range.
        """
        source = _Source(sequences, inputs, context, weights)
        lengths = source.events.lengths
        batch_size = min(positive_int("batch_size", batch_size), len(lengths))
        ends = bucket_lengths(lengths, positive_int("buckets", buckets), batch_size)
        bucket = np.searchsorted(ends, lengths)
        own = [np.flatnonzero(bucket == number) for number in range(len(ends))]
        pieces = [
            _Pieces(n, np.zeros_like(n), lengths[n], end) for n, end in zip(own, ends.tolist(), strict=True)
        ]
        return cls(source, pieces, batch_size, is_ordered=False)

    @classmethod
    def windows(
        cls,
        sequences: Sequences | Sequence[Any],
        length: int,
        stride: int | None = None,
        *,
        start: Any,
        batch_size: int = 32,
        inputs: Sequences | Sequence[Any] | None = None,
        context: Any = None,
        weights: Sequence[Any] | None = None,
    ) -> Self:
        """Lay out windows of each sequence that begin at 0, stride, 2 stride, ..., until one reaches its end.

        A window begins with the model's initial state and the event before it. The last of a sequence may be
        shorter, and is padded. With a stride below the length a step counts as often as windows contain it.

        Args:
            sequences: see `padded`.
            length: of a window, in steps.
            stride: from one window to the next; by default the length.
            start: what precedes the first event of a sequence: `model.start_event()`.
            batch_size: see `padded`; and so on for the others.
            inputs: see there.
            context: see there.
            weights: see there.

        Raises:
            InputError: see `padded`.
            ValueError: see `padded`; also if steps lie between the windows.
        """
        source = _Source(sequences, inputs, context, weights, start)
        length = positive_int("length", length)
        stride = length if stride is None else positive_int("stride", stride)
        if stride > length:
            raise ValueError(f"stride must be at most length, {length}; received {stride}")
        pieces = _cut(source.events.lengths, length, stride)
        return cls(source, [pieces], min(positive_int("batch_size", batch_size), len(pieces.numbers)), False)

    @classmethod
    def streams(
        cls,
        sequences: Sequences | Sequence[Any],
        length: int,
        *,
        start: Any,
        batch_size: int = 32,
        inputs: Sequences | Sequence[Any] | None = None,
        context: Any = None,
        weights: Sequence[Any] | None = None,
    ) -> Self:
        """Lay chunks out for truncated backpropagation through time by a `Stateful` model.

        Sequences are cut into chunks of `length` steps. All chunks, in order, are dealt out to `batch_size`
        lanes of equally many; batch s holds chunk s of every lane. A row is `fresh` where its state starts
        anew: where a sequence begins, and, wherever that is, where its lane begins.

        Args:
            sequences: see `padded`.
            length: of a chunk: how many steps back gradients reach.
            start: see `windows`.
            batch_size: the number of lanes, the same as the `Stateful` model's.
            inputs: see `padded`.
            context: see there.
            weights: see there.

        Raises:
            InputError: see `padded`.
            ValueError: see `padded`.
        """
        source = _Source(sequences, inputs, context, weights, start)
        chunks = _cut(source.events.lengths, positive_int("length", length), length)
        lanes = np.array_split(np.arange(len(chunks.numbers)), positive_int("batch_size", batch_size))
        table = np.full((len(lanes[0]), batch_size), -1)
        for number, lane in enumerate(lanes):
            table[: len(lane), number] = lane
        fresh = (chunks.starts == 0)[table] | (table < 0)
        fresh[0] = True
        return cls(source, [chunks.take(table.reshape(-1), fresh.reshape(-1))], batch_size, is_ordered=True)

    def dithered(self, step: Any, seed: int = 0) -> Self:
        """Return these rows with noise on the targets, not on what the network sees.

        It is uniform, as wide as a recording step. A density that is trained on recorded values learns to
        stand on the points of their grid, which tells nothing; this is what a dequantised score asks for.

        Args:
            step: the recording step, one for all dimensions or one for each; 0 for no noise.
            seed: of the noise.
        """
        rng = np.random.default_rng(seed)
        rows = copy(self)
        rows.parts = tuple(
            (x, _typed(y + step * rng.uniform(-0.5, 0.5, y.shape)), w) for x, y, w in self.parts
        )
        return rows

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(y)} of {y.shape[1]} steps" for _, y, _ in self.parts)
        return f"Ragged(rows: {sizes}; batches of {self.batch_size}; {self.padding:.0%} padding)"

    def name(self, row: int) -> str:
        """Say which sequence a row is, counting rows through all parts and sequences from 0."""
        start = self._starts[row]
        return f"sequence {self._numbers[row]}" + (f" from step {start}" if start else "")

    def check(self, model: keras.Model) -> None:
        """Raise an InputError if a model's events have other dimensions."""
        wanted = getattr(getattr(model, "family", None), "event_size", self.event_size)
        if wanted != self.event_size:
            raise InputError(f"the model's events have {wanted} dimensions, the sequences {self.event_size}")


class _Pieces:
    """Rows of one length: which part of which sequence each is."""

    def __init__(
        self, numbers: np.ndarray, starts: np.ndarray, lengths: np.ndarray, time: int, fresh: Any = None
    ) -> None:
        self.numbers, self.starts, self.lengths, self.time, self.fresh = numbers, starts, lengths, time, fresh

    def take(self, where: np.ndarray, fresh: Any = None) -> _Pieces:
        """Return some of the rows; -1 is a row of weight 0."""
        lengths = np.where(where < 0, 0, self.lengths[where])
        return _Pieces(self.numbers[where], self.starts[where], lengths, self.time, fresh)

    def filled(self, batch_size: int) -> _Pieces:
        """Return the rows and as many of weight 0 as fill the last batch."""
        missing = -len(self.numbers) % batch_size
        where = np.concatenate([np.arange(len(self.numbers)), np.full(missing, -1)])
        return self.take(where) if missing else self


class _Source:
    """The sequences and what belongs to them, checked."""

    def __init__(
        self, sequences: Any, inputs: Any = None, context: Any = None, weights: Any = None, start: Any = None
    ) -> None:
        self.events = _sequences(sequences)
        require(self.events)
        self._inputs = None if inputs is None else self._like_events("inputs", _sequences(inputs))
        columns = None if weights is None else [np.asarray(w, float).reshape(-1, 1) for w in weights]
        self._weights = None if columns is None else self._like_events("weights", Sequences.of(columns))
        if self._weights is not None and self._weights.data.min() < 0:
            raise ValueError(f"weights must be 0 or more; received {self._weights.data.min()}")
        self._context = None if context is None else np.asarray(context)
        if self._context is not None and len(self._context) != len(self.events):
            raise ValueError(
                f"context must have one entry for each of {len(self.events)} sequences; "
                f"received the shape {self._context.shape}"
            )
        self._start = None if start is None else np.asarray(keras.ops.convert_to_numpy(start))
        if self._start is not None and self._start.shape != (self.events.event_size,):
            raise ValueError(
                f"start must have the shape ({self.events.event_size},); received {self._start.shape}"
            )

    def _like_events(self, name: str, found: Sequences) -> Sequences:
        if not np.array_equal(found.offsets, self.events.offsets):
            raise ValueError(f"{name} must have as many sequences as there are, of the same lengths")
        require(found, what=name)
        return found

    def mask(self, pieces: _Pieces) -> np.ndarray:
        """Return the weights `(rows, time)`, 0 on padding."""
        mask = np.arange(pieces.time) < pieces.lengths[:, None]
        return mask if self._weights is None else mask * self._steps(pieces, self._weights)[..., 0]

    def inputs(self, pieces: _Pieces) -> dict[str, np.ndarray]:
        """Return the model's inputs by name."""
        x = {"events": self._steps(pieces, self.events)}
        if self._inputs is not None:
            x["inputs"] = self._steps(pieces, self._inputs)
        if self._context is not None:
            is_real = self._context.dtype.kind == "f"  # integers may be the letters of a text
            x["context"] = (_typed(self._context) if is_real else self._context)[pieces.numbers]
        if self._start is not None:
            first = self.events.offsets[pieces.numbers] + pieces.starts
            before = self.events.data[np.maximum(first - 1, 0)]
            x["before"] = _typed(np.where(pieces.starts[:, None] == 0, self._start, before))
        if pieces.fresh is not None:
            x["fresh"] = pieces.fresh
        return x

    def _steps(self, pieces: _Pieces, found: Sequences) -> np.ndarray:
        first = self.events.offsets[pieces.numbers] + pieces.starts
        last = np.maximum(pieces.lengths - 1, 0)
        return _typed(found.data[first[:, None] + np.minimum(np.arange(pieces.time), last[:, None])])


def bucket_lengths(lengths: np.ndarray, buckets: int, batch_size: int) -> np.ndarray:
    r"""Return at most so many padded lengths for which the fewest steps are computed, rising.

    A group of n rows of the length T costs $\lceil n / B \rceil B\,T$ steps. Over the different lengths
    $l_1 < \dots < l_m$ the best cost is $C_k(j) = \min_{i<j} C_{k-1}(i) + \text{cost}(l_{i+1}, \dots, l_j)$.

    Args:
        lengths: of the sequences.
        buckets: the largest number of groups.
        batch_size: B.

    Example:
        >>> bucket_lengths(np.array([3, 3, 4, 9, 10]), 2, 1).tolist()
        [4, 10]
    """
    known, counts = np.unique(lengths, return_counts=True)
    rows = np.concatenate([[0], np.cumsum(counts)])
    best = np.where(np.arange(len(known) + 1) == 0, 0.0, np.inf)
    cuts: list[np.ndarray] = []
    totals: list[float] = []
    for _ in range(min(buckets, len(known))):
        new, cut = np.full_like(best, np.inf), np.zeros(len(best), dtype=np.int64)
        for j, length in enumerate(known, start=1):
            cost = best[:j] - (rows[:j] - rows[j]) // batch_size * (batch_size * length)
            cut[j] = cost.argmin()
            new[j] = cost[cut[j]]
        best = new
        cuts.append(cut)
        totals.append(best[-1])
    ends, j = [], len(known)
    for cut in reversed(cuts[: int(np.argmin(totals)) + 1]):
        ends.append(int(known[j - 1]))
        j = int(cut[j])
    return np.array(ends[::-1])


def _cut(lengths: np.ndarray, length: int, stride: int) -> _Pieces:
    """Cut sequences into pieces."""
    counts = 1 + -(-np.maximum(lengths - length, 0) // stride)
    numbers = np.repeat(np.arange(len(lengths)), counts)
    starts = stride * (np.arange(len(numbers)) - np.repeat(np.cumsum(counts) - counts, counts))
    return _Pieces(numbers, starts, np.minimum(lengths[numbers] - starts, length), length)


def _sequences(given: Any) -> Sequences:
    return given if isinstance(given, Sequences) else Sequences.of(given)


def _typed(array: np.ndarray) -> np.ndarray:
    return array.astype(keras.config.floatx(), copy=False)
