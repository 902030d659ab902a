"""Whether handwriting can be read: a small network that reads it, and how many characters it gets wrong.

It is trained on real lines and reads generated ones; held-out real lines, which it does not read without
errors either, say what to compare with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from mixtura.data.alphabets import PADDING, Alphabet
from mixtura.data.sequences import Sequences, require
from mixtura.data.strokes import from_polylines, polylines, resampled
from mixtura.errors import InputError
from mixtura.families.checks import positive_int
from mixtura.families.seeds import check_seed, split_seed
from mixtura.files import replacing
from mixtura.training import fit, predict
from mixtura.training.ragged import bucket_lengths

SPACING = 0.5  # of points along the ink, in sizes of a line
STRIDE, WIDTH = 4, 8  # points from one frame to the next, and in a frame
FEATURES = 9 * WIDTH
NEIGHBOURS = 64  # points to both sides whose mean height a point's is compared with
FAR, BEHIND, LIMIT = 4.0, 6.0, 3.0  # in sizes; of a line's size to the usual one
BATCH, BUCKETS, RATE, WARM_UP = 32, 4, 3e-3, 100
TOGETHER = 64  # lines that are read at once

Drawings = Sequence[np.ndarray]
Progress = Callable[[int, dict[str, float]], None]


# ---------------------------------------------------------------------- what the network sees


def size(drawing: np.ndarray) -> float:
    """Return the size of a line of handwriting: how far its ink is from a straight line through all (RMS).

    About half the height of its small letters, or more where there are many tall ones. The straight line is
    the horizontal one where the ink is no wider than it is high. Dots have no ink.
    """
    begins = np.append(True, drawing[:-1, 2] > 0)
    moves = drawing[:, :2].astype(np.float64)
    middles, moves = (np.cumsum(moves, axis=0) - moves / 2)[~begins], moves[~begins]
    weight = np.hypot(*moves.T)
    if not weight.any():
        return 0.0
    weight = weight / weight.sum()
    middles = middles - weight @ middles
    # An integral along the ink, so that it does not matter where points lie on it.
    spread = (weight * middles.T) @ middles + (weight * moves.T) @ moves / 12
    if spread[0, 0] > spread[1, 1]:
        return float(np.sqrt(max(0.0, spread[1, 1] - spread[0, 1] ** 2 / spread[0, 0])))
    return float(np.sqrt(spread[1, 1]))


def evened(drawing: np.ndarray, usual: float) -> np.ndarray:
    """Return a drawing in units of its size with a point every half unit along the ink, `(n, 3)`.

    It begins at the origin. So it does not matter where it lies, nor how many points it has and where on a
    stroke these lie. The size is taken to be no more than 3 times the usual one and no less than a third of
    it: a dash alone has none.

    Args:
        drawing: `(dx, dy, end)`.
        usual: the size of the lines that a recogniser was trained on, in the drawing's units.
    """
    own = np.clip(size(drawing), usual / LIMIT, usual * LIMIT)
    lines = resampled((line / own for line in polylines(drawing)), SPACING)
    return from_polylines(lines, origin=lines[0][0])


def frames(drawing: np.ndarray) -> np.ndarray:
    """Return what the network sees of an evened drawing: 8 points at a time, every 4 points; `(steps, 72)`.

    Of each point: the move to it, its direction's cosine and sine, 0 where the pen comes through the air;
    whether it begins a stroke, and ends one; how far it lies below the mean of the points around it; how far
    it lies left of the rightmost so far, as dots and bars do; and 1, which padding has not.
    """
    place, number = np.cumsum(drawing[:, :2], axis=0), np.arange(len(drawing))
    move, begins = np.clip(drawing[:, :2], -FAR, FAR), np.append(True, drawing[:-1, 2] > 0)
    length = np.hypot(*move.T)
    turn = np.where((begins | (length == 0))[:, None], 0, move / np.where(length > 0, length, 1)[:, None])
    total = np.append(0, np.cumsum(place[:, 1]))
    low, high = np.maximum(number - NEIGHBOURS, 0), np.minimum(number + NEIGHBOURS + 1, len(drawing))
    below = np.clip(place[:, 1] - (total[high] - total[low]) / (high - low), -FAR, FAR)
    behind = np.maximum(place[:, 0] - np.maximum.accumulate(place[:, 0]), -BEHIND)
    points = np.column_stack([move, turn, begins, drawing[:, 2], below, behind, np.ones(len(drawing))])
    steps = -(-len(points) // STRIDE)
    before = (WIDTH - STRIDE) // 2
    padded = np.zeros(((steps - 1) * STRIDE + WIDTH, points.shape[1]), np.float32)
    padded[before : before + len(points)] = points
    return padded[np.arange(steps)[:, None] * STRIDE + np.arange(WIDTH)].reshape(steps, -1)


def changed(drawing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an evened drawing as another hand might have written it.

    Both sides longer or shorter by up to a fifth, sheared by 0.2 and turned by 0.04 (standard deviations),
    and every point moved by 0.04 of the size.
    """
    (x, y), shear, angle = rng.uniform(0.8, 1.2, 2), rng.normal(0, 0.2), rng.normal(0, 0.04)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moves = drawing[:, :2] @ (turn @ [[x, shear], [0, y]]).T
    noise = rng.normal(0, 0.04, moves.shape)
    return np.column_stack([moves + np.diff(noise, axis=0, prepend=0), drawing[:, 2]])


# ---------------------------------------------------------------------- the network


@keras.saving.register_keras_serializable(package="mixtura")
class ReadingLoss(keras.losses.Loss):
    r"""Connectionist temporal classification: all ways in which steps can spell a text, in nats per text.

    $$L = -\log \sum_{\pi \in B^{-1}(l)} \prod_t p_t(\pi_t)$$

    where B removes repeats, then blanks (Graves, Fernández, Gomez & Schmidhuber 2006, ICML, equation 3).

    The targets `(texts, 1 + characters)` are how many steps count, then the codes of the text with padding;
    the predictions `(texts, steps, symbols + 1)` log probabilities, the blank's first.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each text, `(texts,)`."""
        steps, codes = ops.cast(y_true[:, 0], "int32"), ops.cast(y_true[:, 1:], "int32")
        length = ops.sum(ops.cast(ops.not_equal(codes, PADDING), "int32"), axis=-1)
        return ops.ctc_loss(codes, y_pred, length, steps, mask_index=PADDING)


def network(symbols: int, units: int, layers: int, dropout: float) -> keras.Model:
    """Return bidirectional LSTMs from frames `(lines, steps, 72)` to log probabilities, the blank's first.

    Steps of zeros are padding.
    """
    inputs = keras.Input((None, FEATURES))
    is_real = ops.any(ops.not_equal(inputs, 0), axis=-1)
    x = keras.layers.LayerNormalization()(keras.layers.Dense(2 * units)(inputs))
    x = keras.layers.ReLU()(x)
    for _ in range(layers):
        both = keras.layers.Bidirectional(keras.layers.LSTM(units, return_sequences=True))
        x = keras.layers.Dropout(dropout)(both(x, mask=is_real))
    return keras.Model(inputs, ops.log_softmax(keras.layers.Dense(symbols + 1)(x)))


class _Lines(keras.utils.PyDataset):
    """Lines for training, each changed a little whenever it is met, in batches of similar length."""

    def __init__(self, lines: Drawings, codes: np.ndarray, seed: int) -> None:
        super().__init__()
        self._lines, self._seed, self._epoch = lines, seed, 0
        steps = np.array([_steps(line) for line in lines])
        self._targets = np.column_stack([steps, codes])
        self._batch = min(BATCH, len(lines))
        self._ends = bucket_lengths(steps, BUCKETS, self._batch)
        self._bucket = np.searchsorted(self._ends, steps)
        length = (codes != PADDING).sum(axis=1)
        self._columns = [1 + length[self._bucket == number].max() for number in range(len(self._ends))]
        self._deal()

    def _deal(self) -> None:
        """Put every line into one batch; some lines fill the last batch of each length."""
        rng = np.random.default_rng((self._seed, self._epoch))
        batches: list[tuple[int, np.ndarray]] = []
        for number in range(len(self._ends)):
            own = rng.permutation(np.flatnonzero(self._bucket == number))
            own = np.resize(own, -(-len(own) // self._batch) * self._batch)
            batches += [(number, rows) for rows in own.reshape(-1, self._batch)]
        self._batches = [batches[place] for place in rng.permutation(len(batches))]

    def __len__(self) -> int:
        return len(self._batches)

    def on_epoch_end(self) -> None:
        self._epoch += 1
        self._deal()

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        number, rows = self._batches[step]
        rng = np.random.default_rng((self._seed, self._epoch, step))
        some = [frames(changed(self._lines[row], rng)) for row in rows]
        return _padded(some, int(self._ends[number])), self._targets[rows, : self._columns[number]]


def _steps(line: np.ndarray) -> int:
    return -(-len(line) // STRIDE)


def _padded(some: Sequence[np.ndarray], steps: int) -> np.ndarray:
    padded = np.zeros((len(some), steps, FEATURES), np.float32)
    for row, one in zip(padded, some, strict=True):
        row[: len(one)] = one
    return padded


# ---------------------------------------------------------------------- reading


@dataclass(frozen=True, eq=False)
class Recogniser:
    """A network that reads lines of handwriting, trained by `train_recogniser`.

    Attributes:
        network: from frames to log probabilities.
        alphabet: the characters it knows.
        size: the usual `size` of a line, in the units of the drawings.
        left_out: a sentence on each line that it could not be trained on.
    """

    network: keras.Model
    alphabet: Alphabet
    size: float
    left_out: tuple[str, ...] = ()

    def read(self, drawings: Drawings) -> list[str]:
        """Return what is written in each drawing, `""` where nothing can be read: it may have no point.

        The likeliest symbol of each step, without repeats, then without blanks.

        Raises:
            InputError: if there are no drawings, or one is none.
        """
        if not len(drawings):
            raise InputError("there are no lines to read; expected one at least")
        require(Sequences.of(drawings), 3, steps=0, what="the lines")
        nothing = np.zeros((0, FEATURES))
        seen = [frames(evened(line, self.size)) if len(line) else nothing for line in drawings]
        lengths = np.array([len(one) for one in seen])
        texts = [""] * len(seen)
        for numbers in np.array_split(np.argsort(lengths), -(-len(seen) // TOGETHER)):
            steps = 1 << int(lengths[numbers].max()).bit_length()  # so that few programs are compiled
            likely = predict(self.network, _padded([seen[number] for number in numbers], steps))
            for number, codes in zip(numbers, likely.argmax(axis=-1), strict=True):
                texts[number] = decoded(codes[: lengths[number]], self.alphabet)
        return texts

    def save(self, path: str | Path) -> None:
        """Write the recogniser to a file `.npz`, which is there whole or not at all."""
        weights = {f"weight_{number}": one for number, one in enumerate(self.network.get_weights())}
        facts = {
            "network": self.network.to_json(),
            "symbols": self.alphabet.symbols,
            "other": self.alphabet.other,
            "size": self.size,
            "left_out": np.array(self.left_out, dtype=str),
        }
        with replacing(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **facts, **weights)

    @classmethod
    def load(cls, path: str | Path) -> Recogniser:
        """Return the recogniser that `save` wrote.

        Raises:
            InputError: if the file is none.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                made = keras.models.model_from_json(str(stored["network"]))
                made.set_weights([stored[f"weight_{number}"] for number in range(len(made.weights))])
                alphabet = Alphabet(str(stored["symbols"]), bool(stored["other"]))
                return cls(made, alphabet, float(stored["size"]), tuple(stored["left_out"].tolist()))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is no recogniser that was saved ({error})") from error


def decoded(codes: np.ndarray, alphabet: Alphabet) -> str:
    """Return the text of a code for each step: without repeats, then without blanks."""
    return alphabet.decode(codes[np.append(True, codes[1:] != codes[:-1])].tolist()) if len(codes) else ""


def train_recogniser(
    lines: Sequences,
    validation: Sequences | None = None,
    alphabet: Alphabet | None = None,
    *,
    epochs: int = 9,
    seed: int = 0,
    units: int = 96,
    layers: int = 2,
    dropout: float = 0.1,
    progress: Progress | None = None,
) -> Recogniser:
    """Train a recogniser on real lines, each changed a little whenever it is met.

    AdamW, its rate rising over the first 100 batches of 32 lines and then falling along a cosine. A line is
    left out, with a sentence in `left_out`, if its text has characters outside the alphabet or more of them
    than the network takes steps (with a blank between two that are the same).

    Args:
        lines: drawings `(dx, dy, end)` with the field `text`.
        validation: such lines that are read after every epoch, to show.
        alphabet: of the texts; by default all characters of `lines`.
        epochs: how often it meets every line.
        seed: of the first weights, the changes and the batches.
        units: of an LSTM in each direction.
        layers: of them.
        dropout: between them.
        progress: what is called after every epoch, with its number from 1 and `loss`, in nats per line, and
            the `cer` of `validation`, if any.

    Raises:
        InputError: if there is no line, one is none, or all are left out.
        ValueError: if texts are missing or a number is out of range.
    """
    check_seed(seed)
    texts = _texts(lines)
    alphabet = alphabet or Alphabet.of(texts)
    if validation is not None:
        _texts(validation)
    usual = float(np.median([size(line) for line in lines])) or 1.0
    even = [evened(line, usual) for line in lines]
    reasons = [_mismatch(text, line, alphabet) for text, line in zip(texts, even, strict=True)]
    left_out = tuple(f"line {number}: {reason}" for number, reason in enumerate(reasons) if reason)
    kept = [number for number, reason in enumerate(reasons) if not reason]
    if not kept:
        raise InputError(f"no line is left to learn to read from; {left_out[0]}")
    first, changes = split_seed(seed, 2)
    keras.utils.set_random_seed(first)
    made = network(len(alphabet), positive_int("units", units), positive_int("layers", layers), dropout)
    recogniser = Recogniser(made, alphabet, usual, left_out)
    batches = _Lines([even[n] for n in kept], alphabet.batch([texts[n] for n in kept]), changes)
    total = positive_int("epochs", epochs) * len(batches)
    rate = keras.optimizers.schedules.CosineDecay(
        RATE / 20, total, alpha=0.01, warmup_target=RATE, warmup_steps=min(WARM_UP, total // 2)
    )
    made.compile(keras.optimizers.AdamW(rate, weight_decay=1e-3, global_clipnorm=1.0), ReadingLoss())

    def show(epoch: int, logs: dict[str, float]) -> None:
        if progress is not None:
            shown = {"loss": float(logs["loss"])}
            if validation is not None:
                read = recogniser.read(validation)
                shown["cer"] = character_error_rate(read, _texts(validation))
            progress(epoch + 1, shown)

    fit(
        made, batches, epochs=epochs, verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=show)]
    )
    return recogniser


def _texts(lines: Sequences) -> list[str]:
    """Return the texts of lines, checked."""
    require(lines, 3, what="the lines")
    if "text" not in lines.fields:
        raise ValueError(f"lines must have the field 'text'; they have {list(lines.fields)}")
    return [str(text) for text in lines.fields["text"]]


def _mismatch(text: str, line: np.ndarray, alphabet: Alphabet) -> str:
    """Say why a recogniser cannot be trained on a line; "" if it can."""
    try:
        alphabet.check(text)
    except InputError as error:
        return str(error)
    needed, steps = len(text) + sum(a == b for a, b in pairwise(text)), _steps(line)
    if needed > steps:
        return f"{text!r} takes {needed} steps to read; its ink is long enough for {steps}"
    return ""


# ---------------------------------------------------------------------- errors


def _table(read: Sequence[str], written: Sequence[str]) -> np.ndarray:
    """Return the edit distances between all beginnings of two texts, `(len(read) + 1, len(written) + 1)`."""
    number = np.arange(len(written) + 1)
    table = np.empty((len(read) + 1, len(number)), np.int64)
    table[0] = number
    there = np.array(list(written), dtype=object)
    for row, one in enumerate(read, 1):
        above = table[row - 1]
        best = np.minimum(above[1:] + 1, above[:-1] + (there != one))
        table[row] = np.minimum.accumulate(np.append(row, best) - number) + number
    return table


def distance(read: Sequence[str], written: Sequence[str]) -> int:
    """Return how many symbols to put in, leave out or replace turns one text into another (Levenshtein).

    Args:
        read: characters, or a list of words.
        written: such.

    Example:
        >>> distance("kitten", "sitting"), distance("a b c".split(), "a c".split())
        (3, 1)
    """
    return int(_table(read, written)[-1, -1])


def character_error_rate(read: Sequence[str], texts: Sequence[str]) -> float:
    """Return the edit distance to the texts over their characters, both summed over lines.

    It may exceed 1, where more is read than was written.

    Raises:
        ValueError: if there are not as many of both, or there is no character.

    Example:
        >>> character_error_rate(["abd", ""], ["abc", "d"])
        0.5
    """
    return rates(read, texts)["cer"]


def word_error_rate(read: Sequence[str], texts: Sequence[str]) -> float:
    """Return the edit distance in words, which spaces divide, over the number of words.

    Raises:
        ValueError: as `character_error_rate`.

    Example:
        >>> word_error_rate(["a red hat ."], ["a red cat ."])
        0.25
    """
    return rates(read, texts)["wer"]


def rates(read: Sequence[str], texts: Sequence[str]) -> dict[str, float]:
    """Return how much of some lines was read wrong.

    Returns:
        `cer` and `wer`, see `character_error_rate` and `word_error_rate`; `cer_error` and `wer_error`, their
        standard errors over lines, NaN for one line; and `lines`, how many there are.

    Raises:
        ValueError: as `character_error_rate`.
    """
    cer, cer_error = _rate(*_errors(read, texts))
    wer, wer_error = _rate(*_errors([one.split() for one in read], [one.split() for one in texts]))
    return {"cer": cer, "cer_error": cer_error, "wer": wer, "wer_error": wer_error, "lines": len(read)}


def _errors(read: Sequence[Any], texts: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance and the length of each line."""
    if len(read) != len(texts):
        raise ValueError(f"each line that was read must have a text; received {len(texts)} for {len(read)}")
    lengths = np.array([len(one) for one in texts])
    if not lengths.sum():
        raise ValueError("the texts are empty; expected one character at least")
    return np.array([distance(*both) for both in zip(read, texts, strict=True)]), lengths


def _rate(errors: np.ndarray, lengths: np.ndarray) -> tuple[float, float]:
    """Return the ratio of two sums and its standard error over lines, of which NaN is known from one."""
    rate, lines = errors.sum() / lengths.sum(), len(lengths)
    squares = ((errors - rate * lengths) ** 2).sum()
    spread = np.sqrt(squares * lines / (lines - 1)) / lengths.sum() if lines > 1 else np.nan
    return float(rate), float(spread)


def missed(read: Sequence[str], texts: Sequence[str]) -> dict[str, tuple[int, int, str]]:
    """Return how each character was read, those first which were missed most often.

    Read and written text are aligned with the fewest edits; of several alignments, one which replaces.

    Returns:
        For each character of the texts: how often it was written, how often it was read as another or not at
        all, and as what most often (`""` for not at all, or if it never was).

    Example:
        >>> missed(["lille", "ten"], ["title", "ten"])["t"]
        (3, 2, 'l')
    """
    _errors(read, texts)
    taken: dict[str, Counter[str]] = {one: Counter() for one in sorted(set().union(*texts))}
    for one, text in zip(read, texts, strict=True):
        table, row, column = _table(one, text), len(one), len(text)
        while column:
            is_same = row > 0 and one[row - 1] == text[column - 1]
            if row and table[row - 1, column - 1] + (not is_same) == table[row, column]:
                row, column = row - 1, column - 1
                taken[text[column]][one[row]] += 1
            elif table[row, column - 1] + 1 == table[row, column]:
                column -= 1
                taken[text[column]][""] += 1
            else:
                row -= 1
    found = {}
    for own, others in taken.items():
        right, total = others.pop(own, 0), others.total()
        found[own] = (right + total, total, others.most_common(1)[0][0] if others else "")
    return dict(sorted(found.items(), key=lambda item: -item[1][1]))


def legibility(
    recogniser: Recogniser,
    generated: Mapping[Hashable, tuple[Drawings, Sequence[str]]],
    real: tuple[Drawings, Sequence[str]],
) -> dict[Hashable, dict[str, float]]:
    """Return how well generated lines can be read, beside real ones.

    Generated lines may well be read with fewer errors than real ones: they are what is typical, more so the
    higher the bias.

    Args:
        recogniser: trained on none of the lines.
        generated: lines and what each was to say, for each bias, or whatever tells them apart.
        real: held-out lines and what is written in each.

    Returns:
        `rates` for `"real"`, then for each key of `generated`.

    Raises:
        InputError: if there is no drawing, or one is none.
        ValueError: as `character_error_rate`.
    """
    every = {"real": real, **generated}
    return {name: rates(recogniser.read(drawings), texts) for name, (drawings, texts) in every.items()}
