"""What one does with a trained Sketch-RNN: copy drawings, go from one to another, complete them, add them up.

Ha & Eck 2017, arXiv:1704.03477, sections 3.3 and 4. Wherever drawings are to be compared, they are drawn
with the same random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from mixtura.data.strokes import check
from mixtura.errors import InputError
from mixtura.families.checks import one_of, positive_int
from mixtura.families.seeds import split_seed
from mixtura.models.sketch_rnn import SketchRNN
from mixtura.systems.sketch.data import LONGEST, whole
from mixtura.systems.sketch.scoring import log_prob

How = Literal["slerp", "lerp"]
PER_KEPT = 4  # completions drawn for each that is kept
POWER = 0.75  # of their length


class Completions(NamedTuple):
    """Completed drawings, the best first.

    Attributes:
        drawings: `(n, 3)` each; they begin with what was begun.
        log_prob: of what was added, given what was begun, in nats: `(count,)`.
        added: how many points were: `(count,)`.
        score: what they are ranked by; -inf where no point was added: `(count,)`.
    """

    drawings: list[np.ndarray]
    log_prob: np.ndarray
    added: np.ndarray
    score: np.ndarray


def reconstruct(
    model: SketchRNN,
    drawings: Sequence[np.ndarray],
    labels: Any = None,
    *,
    count: int = 1,
    temperature: float | None = None,
    seed: int | None = None,
    longest: int = LONGEST,
) -> list[list[np.ndarray]]:
    r"""Return copies: $S' \sim p(S \mid z = \mu)$, with $\mu$ the mean of $q(z \mid S)$ (section 4.1).

    Args:
        model: with a latent vector.
        drawings: `(n, 3)` of (dx, dy, end) each.
        labels: of each drawing's class, for a model with classes.
        count: how many of each.
        temperature: as in `SketchRNN.draw`.
        seed: copy i of every drawing has the same random numbers.
        longest: points of a copy at most.

    Returns:
        For each drawing, its copies.

    Raises:
        ValueError: for a model without a latent vector, labels that do not fit it, or what is no drawing.
    """
    context = encoded(model, drawings, labels, "copy drawings")
    seeds = split_seed(seed, positive_int("count", count))
    flat = _decoded(model, context, seeds, temperature, longest)
    return [flat[start : start + count] for start in range(0, len(flat), count)]


def interpolate(
    model: SketchRNN,
    first: np.ndarray,
    second: np.ndarray,
    steps: int = 8,
    labels: Any = None,
    *,
    how: How = "slerp",
    temperature: float | None = None,
    seed: int | None = None,
    longest: int = LONGEST,
) -> list[np.ndarray]:
    """Return drawings on the way from one to another, copies of both at the ends (section 4.2).

    Their z are at even shares of the way between both means; the vectors of two classes are mixed linearly.

    Args:
        model: with a latent vector.
        first: `(n, 3)` of (dx, dy, end).
        second: another.
        steps: how many drawings, 2 at least.
        labels: of the classes of both, for a model with classes.
        how: `slerp` or `lerp`.
        temperature: as in `SketchRNN.draw`.
        seed: all have the same random numbers.
        longest: points of a drawing at most.

    Raises:
        ValueError: as `reconstruct`, and for fewer than 2 steps.
    """
    ends = encoded(model, [first, second], labels, "interpolate")
    context = _between(model, ends[0], ends[1], _shares(steps), how)
    return _decoded(model, context, split_seed(seed, 1), temperature, longest)


def grid(
    model: SketchRNN,
    corners: Sequence[np.ndarray],
    steps: int = 8,
    labels: Any = None,
    *,
    how: How = "slerp",
    temperature: float | None = None,
    seed: int | None = None,
    longest: int = LONGEST,
) -> list[np.ndarray]:
    """Return `steps * steps` drawings between four, row by row: along two sides, then from side to side.

    With `lerp` that is bilinear. See `interpolate`.

    Args:
        model: with a latent vector.
        corners: top left, top right, bottom left and bottom right.
        steps: how many drawings a side has, 2 at least.
        labels: of the classes of the corners, for a model with classes.
        how: `slerp` or `lerp`.
        temperature: as in `SketchRNN.draw`.
        seed: all have the same random numbers.
        longest: points of a drawing at most.

    Raises:
        ValueError: as `interpolate`, and for other than four corners.
    """
    if len(corners) != 4:
        raise ValueError(f"corners must be four drawings; received {len(corners)}")
    ends, shares = encoded(model, corners, labels, "interpolate"), _shares(steps)
    top, bottom = (_between(model, ends[n], ends[n + 1], shares, how) for n in (0, 2))
    columns = [_between(model, above, below, shares, how) for above, below in zip(top, bottom, strict=True)]
    context = np.stack(columns, axis=1).reshape(steps * steps, -1)
    return _decoded(model, context, split_seed(seed, 1), temperature, longest)


def combine(
    model: SketchRNN,
    plus: Sequence[np.ndarray],
    minus: Sequence[np.ndarray] = (),
    labels: Any = None,
    *,
    count: int = 1,
    temperature: float | None = None,
    seed: int | None = None,
    longest: int = LONGEST,
) -> list[np.ndarray]:
    r"""Return drawings of $z = \sum_i \mu(S_i^+) - \sum_j \mu(S_j^-)$ (section 4.3).

    A cat's head and the difference between a pig and a pig's head make a cat. The vectors of classes are
    added up as well.

    Args:
        model: with a latent vector.
        plus: `(n, 3)` of (dx, dy, end) each; one at least.
        minus: others.
        labels: of the classes of plus, then of minus, for a model with classes.
        count: how many drawings.
        temperature: as in `SketchRNN.draw`.
        seed: of the draws.
        longest: points of a drawing at most.

    Raises:
        ValueError: as `reconstruct`.
    """
    if not len(plus):
        raise ValueError("plus must have one drawing at least")
    terms = encoded(model, [*plus, *minus], labels, "add drawings up")
    context = terms[: len(plus)].sum(axis=0) - terms[len(plus) :].sum(axis=0)
    return _decoded(model, context[None], split_seed(seed, count), temperature, longest)


def complete(
    model: SketchRNN,
    begun: np.ndarray,
    count: int = 8,
    label: int | None = None,
    *,
    candidates: int | None = None,
    power: float = POWER,
    temperature: float | None = None,
    seed: int | None = None,
    longest: int = LONGEST,
) -> Completions:
    r"""Go on with a drawing that was begun, and keep the likeliest of what comes out (section 4.4).

    Candidates are drawn together and ranked by what the model itself, at temperature 1, says of the n points
    that were added to the m that were there, the end included:

    $$n^{-\alpha} \log p(S_{m+1}, \dots, S_{m+n} \mid S_1, \dots, S_m, z)$$

    The sum, with α = 0, is largest where a drawing ends soon; the mean, with α = 1, where a pen scribbles on
    and never ends, as short moves have high densities. Translations of different lengths are ranked with an α
    in between too (Wu et al. 2016, arXiv:1609.08144, equation 14). What adds no point comes last.

    A decoder's likelihood is exact. A latent vector is the mean of $q(z \mid S_{1..m})$.

    Args:
        model: which.
        begun: `(m, 3)` of (dx, dy, end); where the last end is 0 the pen is still on the paper.
        count: how many to keep.
        label: of its class, for a model with classes.
        candidates: how many to draw; by default four for each that is kept.
        power: α.
        temperature: of the draws.
        seed: of the draws.
        longest: points of a drawing at most, those begun included; what has not ended by then is cut.

    Raises:
        ValueError: for labels that do not fit the model, what is no drawing, one that leaves no point to
            add, or fewer candidates than are to be kept.
    """
    check(begun, "begun", longest - 1)
    candidates = PER_KEPT * positive_int("count", count) if candidates is None else candidates
    if candidates < count:
        raise ValueError(f"candidates must be {count} at least, as many as are kept; received {candidates}")
    begun, latent = np.asarray(begun, np.float64), None
    if model.latent_size:
        latent, _ = model.encode([whole(begun)])
    context = model.context(latent, None if label is None else [label])
    if context is not None:
        context = np.repeat(context, candidates, axis=0)
    settings: dict[str, Any] = {"temperature": temperature, "seed": split_seed(seed, candidates)}
    drawn = model.draw(candidates, longest, context=context, begun=begun, **settings)
    added = np.array([len(one) - len(begun) for one in drawn])
    nats = log_prob(model, drawn, context, len(begun))
    score = np.where(added > 0, nats / np.maximum(added, 1) ** power, -np.inf)
    best = np.argsort(-score, kind="stable")[:count]
    return Completions([drawn[number] for number in best], nats[best], added[best], score[best])


def temperatures(
    model: SketchRNN,
    values: Sequence[float],
    count: int = 8,
    labels: Any = None,
    *,
    seed: int | None = None,
    longest: int = LONGEST,
) -> list[list[np.ndarray]]:
    r"""Return the same drawings at several temperatures (section 3.3).

    Drawing i has at all temperatures the same random numbers, for z and for what is drawn.

    Args:
        model: which.
        values: the temperatures.
        count: how many drawings at each.
        labels: of each drawing's class, for a model with classes.
        seed: of z and the draws.
        longest: points of a drawing at most.

    Returns:
        For each temperature, its drawings.

    Raises:
        ValueError: for labels that do not fit the model, or a temperature that is none.
    """
    own, *seeds = split_seed(seed, 1 + positive_int("count", count))
    drawn = []
    for value in values:
        context = model.context(model.draw_latent(count, labels, own, value), labels)
        drawn.append(model.draw(count, longest, context=context, seed=seeds, temperature=value))
    return drawn


# ---------------------------------------------------------------------- between two vectors


def lerp(first: np.ndarray, second: np.ndarray, share: Any) -> np.ndarray:
    """Return $(1 - t) a + t b$.

    Args:
        first: a, `(size,)`.
        second: b.
        share: t, one or `(n,)` of them.

    Returns:
        `(size,)`, or `(n, size)`.
    """
    share = np.asarray(share, np.float64)[..., None]
    return (1 - share) * first + share * second


def slerp(first: np.ndarray, second: np.ndarray, share: Any) -> np.ndarray:
    r"""Return what is on the arc between two vectors, as Sketch-RNN's authors do (Shoemake 1985).

    $$\frac{\sin((1 - t)\,\Omega)}{\sin \Omega}\, a + \frac{\sin(t\,\Omega)}{\sin \Omega}\, b, \qquad
      \cos \Omega = \frac{a \cdot b}{|a| |b|}$$

    Vectors of one length keep it on the way, as draws from $\mathcal N(0, 1)$ of many dimensions have about
    one length. Parallel and opposite vectors, and zeros, have no such arc; `lerp` joins them.

    Args:
        first: a, `(size,)`.
        second: b.
        share: t, one or `(n,)` of them.

    Returns:
        `(size,)`, or `(n, size)`.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    angle = np.arccos(np.clip(first @ second / lengths, -1, 1)) if lengths > 0 else 0.0
    if np.sin(angle) < 1e-6:
        return lerp(first, second, share)
    share = np.asarray(share, np.float64)[..., None]
    return (np.sin((1 - share) * angle) * first + np.sin(share * angle) * second) / np.sin(angle)


_PATHS: dict[str, Callable[..., np.ndarray]] = {"slerp": slerp, "lerp": lerp}


def _between(model: SketchRNN, first: np.ndarray, second: np.ndarray, shares: Any, how: How) -> np.ndarray:
    path, size = _PATHS[one_of("how", how, tuple(_PATHS))], model.latent_size
    parts = path(first[:size], second[:size], shares), lerp(first[size:], second[size:], shares)
    return np.concatenate(parts, axis=-1)


def _shares(steps: int) -> np.ndarray:
    if positive_int("steps", steps) < 2:
        raise ValueError(f"steps must be 2 at least, one for each end; received {steps}")
    return np.linspace(0.0, 1.0, steps)


# ---------------------------------------------------------------------- drawings and contexts


def require_latent(model: SketchRNN, what: str) -> None:
    """Raise an InputError if a model has no latent vector, without which it cannot do something."""
    if not model.latent_size:
        raise InputError(
            f"This model has no latent vector and cannot {what}; it can generate and complete drawings, "
            "and draw at several temperatures."
        )


def encoded(model: SketchRNN, drawings: Sequence[np.ndarray], labels: Any, what: str) -> np.ndarray:
    """Return the contexts that make copies of drawings: the means of z, and the vectors of classes."""
    require_latent(model, what)
    if not len(drawings):
        raise ValueError("there must be one drawing at least")
    for number, drawing in enumerate(drawings, 1):
        check(drawing, f"drawing {number}")
    context = model.context(model.encode(drawings)[0], labels)
    assert context is not None
    return context


def _decoded(
    model: SketchRNN, context: np.ndarray, seeds: list[int], temperature: float | None, longest: int
) -> list[np.ndarray]:
    """Return a drawing for each context and seed, all drawn together."""
    repeated = np.repeat(context, len(seeds), axis=0)
    return model.draw(None, longest, context=repeated, seed=seeds * len(context), temperature=temperature)
