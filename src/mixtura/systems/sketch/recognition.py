"""Whether generated drawings are recognised as what they should be, and whether they are new ones.

Both read a drawing as maps of ink: how much of it lies in each cell of a grid and runs in each direction.
Order, direction and number of points, all of which a generator may get wrong without a viewer noticing, leave
the maps as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import keras
import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import softmax

from mixtura.data.sequences import Sequences, require
from mixtura.families.checks import positive_int
from mixtura.families.seeds import check_seed
from mixtura.training import fit, predict

MARGIN, SPACING, CHUNK = 1 / 12, 0.5, 512  # of the side; cells; drawings
SIZE, DIRECTIONS, BLUR = 24, 6, 1.5  # of the maps that are compared; BLUR in cells
BATCH, ROWS, RATE = 64, 4096, 3e-3  # ROWS: drawn at a time
VIEWS, TOP = 8, 10
RESAMPLES, RARE = 1000, 0.01


# ---------------------------------------------------------------------- maps of ink


def ink(drawings: Sequences, size: int, directions: int = 1, changes: np.ndarray | None = None) -> np.ndarray:
    r"""Return drawings as maps of ink, `(n, size, size, directions)`, from 0 to 1.

    A drawing is centred and scaled so that the larger side of its bounding box fills five sixths of the map.
    A cell holds the length of line in it, in cells, at most 1: lines are cut into pieces no longer than half
    a cell, and each piece is shared among the four cells around it, bilinearly. A piece at the angle
    $\theta$, which is the same as $\theta + \pi$, is also shared between the two nearest of `directions`
    angles. A dot is a piece of length 1 in two directions.

    This is how online handwriting is often given to classifiers: Bai, Z.-L. & Huo, Q. (2005), A study on
    the use of 8-directional features for online handwritten Chinese character recognition, ICDAR.

    Args:
        drawings: of `(dx, dy, end)`.
        size: cells along a side.
        directions: how many angles between 0 and pi; 1 for all ink in one map.
        changes: an affine map for each drawing, `(n, 2, 3)`, around the middle; shifts in sides of the map.
            What leaves the map is drawn along its border.

    Raises:
        InputError: if a drawing has no point, other columns, or a value that is not finite.
        ValueError: if `size` is below 2 or `directions` below 1.
    """
    directions = positive_int("directions", directions)
    if positive_int("size", size) < 2:
        raise ValueError(f"size must be at least 2; received {size}")
    require(drawings, 3, what="the drawings")
    maps = np.empty((len(drawings), size, size, directions), np.float32)
    for start in range(0, len(drawings), CHUNK):
        part = slice(start, start + CHUNK)
        maps[part] = _ink(drawings[part], size, directions, None if changes is None else changes[part])
    return np.minimum(maps, 1)


def _ink(drawings: Sequences, size: int, directions: int, changes: np.ndarray | None) -> np.ndarray:
    """Return the maps of a few drawings, not limited."""
    first, stop = drawings.offsets[:-1], drawings.data[:, 2] > 0.5
    stop[drawings.offsets[1:] - 1] = True
    owner = np.repeat(np.arange(len(drawings)), drawings.lengths)
    # Each on its own: one wild drawing must not take the others' digits.
    place = np.concatenate([np.cumsum(one[:, :2], axis=0, dtype=np.float64) for one in drawings])
    low, high = np.minimum.reduceat(place, first), np.maximum.reduceat(place, first)
    side = (high - low).max(axis=1)
    scale = (1 - 2 * MARGIN) / np.where(side > 0, side, 1)
    place = (place - ((low + high) / 2)[owner]) * scale[owner, None]
    if changes is not None:
        changes = changes[owner]
        place = np.einsum("nij,nj->ni", changes[:, :, :2], place) + changes[:, :, 2]
    place = (place + 0.5) * (size - 1)

    begins = np.append(True, stop[:-1])
    start = np.flatnonzero(~stop | begins)  # of a line, or a dot
    move = place[np.where(stop[start], start, start + 1)] - place[start]
    length = np.hypot(*move.T)
    pieces = np.maximum(1, np.ceil(length / SPACING)).astype(np.int64)
    weight = np.where(stop[start], 1.0, length) / pieces
    angle = np.where(stop[start], 0.5, np.arctan2(move[:, 1], move[:, 0]) / np.pi * directions)

    line = np.repeat(np.arange(len(start)), pieces)
    share = (np.arange(len(line)) - np.repeat(np.cumsum(pieces) - pieces, pieces) + 0.5) / pieces[line]
    point = np.clip(place[start][line] + share[:, None] * move[line], 0, size - 1)
    cell = np.minimum(point.astype(np.int64), size - 2)
    right, down = (point - cell).T
    row = owner[start][line] * size + cell[:, 1]
    turn = np.floor(angle).astype(np.int64)
    maps = np.zeros(len(drawings) * size * size * directions)
    for by, along in ((0, 1 - (angle - turn)), (1, angle - turn)):
        direction = ((turn + by) % directions)[line]
        inked = (weight * along)[line]
        for dy, vertical in ((0, 1 - down), (1, down)):
            for dx, horizontal in ((0, 1 - right), (1, right)):
                index = ((row + dy) * size + cell[:, 0] + dx) * directions + direction
                maps += np.bincount(index, inked * vertical * horizontal, len(maps))
    return maps.reshape(len(drawings), size, size, directions)


def changes(number: int, rng: np.random.Generator, by: float = 1.0) -> np.ndarray:
    """Return random affine maps for `ink`, `(number, 2, 3)`, half of which mirror left and right.

    Args:
        number: how many.
        rng: to draw with.
        by: how strong: 1 for sides longer or shorter by up to a quarter, rotations of 10 degrees and shears
            of 0.13 (standard deviations), and shifts of up to a twentieth of the map.
    """
    sides = 1 + by * rng.uniform(-0.25, 0.25, (number, 2))
    sides[:, 0] *= rng.choice([-1, 1], number)
    angle, shear = by * rng.normal(0, [[0.17], [0.13]], (2, number))
    x, y, zero = *sides.T, np.zeros(number)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    drawn = np.array([[x, shear], [zero, y]])
    shift = by * rng.uniform(-0.05, 0.05, (number, 2, 1))
    return np.concatenate([np.einsum("ijn,jkn->nik", turned, drawn), shift], axis=2)


# ---------------------------------------------------------------------- recognised?


@dataclass(frozen=True, eq=False)
class Recogniser:
    """A classifier of drawings, trained on real ones.

    Attributes:
        networks: from maps of ink to logits; their probabilities are averaged.
        categories: the names; labels are numbers of them.
    """

    networks: Sequence[keras.Model]
    categories: Sequence[str]

    @classmethod
    def train(
        cls,
        drawings: Sequences,
        categories: Sequence[str],
        seed: int,
        *,
        networks: int = 1,
        epochs: int = 60,
        size: int = 16,
        width: int = 48,
    ) -> Recogniser:
        """Train on real drawings, changed a little each time that they are met.

        Convolutions on 16 x 16 maps of ink in 6 directions, which say more about a drawing than a picture of
        more pixels does where drawings are few. Cross-entropy with a tenth of each target spread over all
        categories; AdamW, its rate falling along a cosine.

        Args:
            drawings: with the field `label`.
            categories: see the class.
            seed: of the first weights, the changes and the batches.
            networks: how many are trained.
            epochs: how often each meets every drawing.
            size: of the maps, a multiple of 4.
            width: channels of the first convolution; the second has twice as many.

        Raises:
            InputError: if there is no drawing or one is none; see `ink`.
            ValueError: if labels are missing or are no numbers of categories, or `size` does not fit.
        """
        check_seed(seed)
        require(drawings, 3, what="the drawings")
        label = _labels(drawings, len(categories))
        if positive_int("size", size) % 4:
            raise ValueError(f"size must be a multiple of 4; received {size}")
        total = positive_int("epochs", epochs) * len(drawings)
        rounds = -(-total // ROWS)
        rows = -(-total // rounds // BATCH) * BATCH
        trained = []
        for number in range(positive_int("networks", networks)):
            own = int(np.random.SeedSequence((seed, number)).generate_state(1)[0] >> 1)
            rng = np.random.default_rng(own)
            order = np.concatenate([rng.permutation(len(drawings)) for _ in range(epochs + 1)])
            order = np.resize(order, (rounds, rows))
            network = _network(size, width, len(categories), own)
            rate = keras.optimizers.schedules.CosineDecay(RATE, rounds * rows // BATCH, alpha=0.01)
            network.compile(
                keras.optimizers.AdamW(rate, weight_decay=1e-3),
                keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
            )
            for place, picked in enumerate(order):
                maps = ink(drawings[picked], size, DIRECTIONS, changes(rows, rng))
                target = np.eye(len(categories), dtype=np.float32)[label[picked]]
                fit(network, maps, target, BATCH, place + 1, 0, initial_epoch=place, seed=own, shuffle=False)
            trained.append(network)
        return cls(tuple(trained), tuple(categories))

    def probabilities(self, drawings: Sequences) -> np.ndarray:
        """Return what each drawing is taken for, `(n, categories)`.

        Each network sees a drawing as it is and a few times changed a little, each drawing in the same ways.

        Raises:
            InputError: if there is no drawing or one is none; see `ink`.
        """
        size = self.networks[0].input_shape[1]
        rng = np.random.default_rng(0)
        total = np.zeros((len(drawings), len(self.categories)))
        for view in range(VIEWS):
            same = np.repeat(changes(1, rng, 0.5), len(drawings), axis=0)
            maps = ink(drawings, size, DIRECTIONS, same if view else None)
            for network in self.networks:
                total += softmax(predict(network, maps).astype(np.float64), axis=1)
        return total / total.sum(axis=1, keepdims=True)

    def accuracy(self, drawings: Sequences, labels: Sequence[int] | np.ndarray) -> dict[str, float]:
        """Return how often the label is the most probable category (`top1`), or one of ten (`top10`).

        With standard errors, `top1_error` and `top10_error`: those of shares of independent drawings, for
        this one recogniser.

        Raises:
            InputError: if there is no drawing or one is none; see `ink`.
            ValueError: if labels are no numbers of categories, one for each drawing.
        """
        labels = _labels(drawings, len(self.categories), labels)
        p = self.probabilities(drawings)
        rank = (p > p[np.arange(len(p)), labels, None]).sum(axis=1)
        found: dict[str, float] = {}
        for name, top in (("top1", 1), (f"top{TOP}", TOP)):
            share = float((rank < top).mean())
            found |= {name: share, f"{name}_error": float(np.sqrt(share * (1 - share) / len(rank)))}
        return found


def recognised(recogniser: Recogniser, real: Sequences, drawn: Sequences) -> dict[str, dict[str, float]]:
    """Return how often real drawings and generated ones are recognised: `real` and `drawn`.

    Generated drawings may well be recognised more often than real ones: they are what is typical.

    Args:
        recogniser: trained on neither.
        real: with the field `label`, held out from the recogniser and from the generator.
        drawn: with the field `label`: what each was to be.

    Raises:
        InputError: as `Recogniser.accuracy`.
        ValueError: if labels are missing or are no numbers of categories.
    """
    known = len(recogniser.categories)
    return {
        name: recogniser.accuracy(drawings, _labels(drawings, known))
        for name, drawings in (("real", real), ("drawn", drawn))
    }


def _labels(drawings: Sequences, known: int, labels: Any = None) -> np.ndarray:
    """Return checked labels; by default those in the field `label`."""
    if labels is None:
        if "label" not in drawings.fields:
            raise ValueError(f"drawings must have the field 'label'; they have {list(drawings.fields)}")
        labels = drawings.fields["label"]
    labels = np.asarray(labels)
    if labels.shape != (len(drawings),) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be {len(drawings)} integers, one for each drawing; "
            f"received {labels.dtype} {labels.shape}"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < known:
        raise ValueError(f"labels must be from 0 to {known - 1}; received {labels.min()} to {labels.max()}")
    return labels.astype(np.int64)


def _network(size: int, width: int, categories: int, seed: int) -> keras.Model:
    """Return a convolutional network from maps of ink to logits.

    A convolution is written as the product of nine shifted copies with a matrix, and pooling as a maximum
    over an axis: within a compiled epoch on a CPU both are many times faster than the layers are.
    """
    numbers = count(seed)

    def dense(x: Any, units: int) -> Any:
        start = keras.initializers.GlorotUniform(next(numbers))
        x = keras.layers.Dense(units, use_bias=False, kernel_initializer=start)(x)
        return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.95)(x))

    x = inputs = keras.Input((size, size, DIRECTIONS))
    for side, units in ((size, width), (size // 2, 2 * width)):
        x = keras.layers.ZeroPadding2D(1)(x)
        shifted = [x[:, i : i + side, j : j + side] for i in range(3) for j in range(3)]
        x = dense(keras.ops.concatenate(shifted, axis=-1), units)
        x = keras.ops.reshape(x, (-1, side // 2, 2, side // 2, 2, units))
        x = keras.ops.max(x, axis=(2, 4))
    x = keras.layers.Dropout(0.4, seed=next(numbers))(keras.layers.Flatten()(x))
    x = dense(x, 12 * width)
    x = keras.layers.Dropout(0.4, seed=next(numbers))(x)
    start = keras.initializers.GlorotUniform(next(numbers))
    return keras.Model(inputs, keras.layers.Dense(categories, kernel_initializer=start)(x))


# ---------------------------------------------------------------------- new?


def nearest(drawn: Sequences, training: Sequences, held_out: Sequences, seed: int) -> dict[str, Any]:
    r"""Return how far drawings are from the training drawings nearest to them, beside real new drawings.

    The distance is Hellinger's, between 0 and 1, of two drawings' maps of ink, blurred and divided by their
    sum to p and q:

    $$d = \sqrt{1 - \sum_i \sqrt{p_i q_i}}$$

    The maps are 24 x 24 in 6 directions, the blur a normal one of 1.5 cells, a sixteenth of the map: a line
    that is moved by less stays near, one that runs otherwise through the same place does not. No classes are
    needed. What is near is relative: any two drawings of a few straight lines are, and held-out drawings
    that are variants of training ones, as many of KanjiVG's are, make others look new. So compare with real
    drawings of the same categories, and look at pairs.

    Args:
        drawn: generated drawings.
        training: what the generator learnt from.
        held_out: real drawings that are neither.
        seed: of the bootstrap.

    Returns:
        `ratio`, the median distance of drawn ones to their nearest training drawing over that of held-out
        ones: near 1 where drawings are as new as real ones, 0 for copies; `ratio_low` and `ratio_high`, the
        ends of its 95 % bootstrap interval (percentiles of 1000 resamples of both sets; the training set
        stays); `drawn_median` and `held_out_median`; `copies`, the share of drawn ones no farther than
        `limit`, the 1 % quantile of held-out ones, and `held_out_copies`, the same of these: 0.01, or more
        where so many are copies that the limit is 0. All these are floats. `distance` is that of each drawn
        one, `neighbour` the number of its nearest training drawing, both `(n,)`; `held_out_distance` that of
        each held-out one. The ratio is NaN where half of the held-out drawings are in the training set.

    Raises:
        InputError: if one of the sets is empty or holds what is no drawing; see `ink`.
    """
    check_seed(seed)
    known = _roots(training)
    distance, neighbour = _nearest(_roots(drawn), known)
    real, _ = _nearest(_roots(held_out), known)
    rng = np.random.default_rng(seed)
    medians = [
        np.median(one[rng.integers(len(one), size=(RESAMPLES, len(one)))], axis=1) for one in (distance, real)
    ]
    low, high = np.quantile(_ratio(*medians), (0.025, 0.975))
    limit = np.quantile(real, RARE)
    return {
        "ratio": float(_ratio(np.median(distance), np.median(real))),
        "ratio_low": float(low),
        "ratio_high": float(high),
        "drawn_median": float(np.median(distance)),
        "held_out_median": float(np.median(real)),
        "copies": float((distance <= limit).mean()),
        "held_out_copies": float((real <= limit).mean()),
        "limit": float(limit),
        "distance": distance,
        "neighbour": neighbour,
        "held_out_distance": real,
    }


def _roots(drawings: Sequences) -> np.ndarray:
    """Return the roots of blurred maps of ink, vectors of length 1: `(n, cells)`."""
    maps = gaussian_filter(ink(drawings, SIZE, DIRECTIONS), (0, BLUR, BLUR, 0)).reshape(len(drawings), -1)
    return np.sqrt(maps / maps.sum(axis=1, keepdims=True))


def _nearest(roots: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's distance to the nearest of the known ones, and that one's number."""
    neighbour = np.empty(len(roots), np.int64)
    for start in range(0, len(roots), CHUNK):
        part = slice(start, start + CHUNK)
        neighbour[part] = (roots[part] @ known.T).argmax(axis=1)
    # 1 - sum(p q) would round copies to about 3e-4.
    difference = roots.astype(np.float64) - known[neighbour]
    return np.sqrt((difference**2).sum(axis=1) / 2), neighbour


def _ratio(above: Any, below: Any) -> Any:
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
