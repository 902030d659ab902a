"""Likelihoods of handwriting: in the data's units, by the paper's protocol, and what the text tells."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.evaluation.sequences import SequenceScores, predictions, score_sequences
from mixtura.families import Distribution
from mixtura.models.handwriting import Handwriting


def context_of(model: Handwriting, lines: Sequences, length: int | None = None) -> np.ndarray | None:
    """Return what the network is given of lines: their texts and styles, None without an alphabet.

    Args:
        model: which.
        lines: with the fields `text` and, where there are styles, `style`.
        length: of the codes.
    """
    if model.alphabet is None:
        return None
    texts = [str(text) for text in lines.fields["text"]]
    styles = lines.fields["style"] if model.num_styles else None
    return model.context(texts, styles, length)


def score_lines(model: Handwriting, events: Sequences, step: Any) -> SequenceScores:
    """Return the scores of lines, given their texts."""
    return score_sequences(model, events, step, context=context_of(model, events))


def text_gain(model: Handwriting, events: Sequences, scores: SequenceScores, step: Any) -> float:
    """Return by how many nats a letter the right text is better than another of about its length.

    It needs no recogniser, and is near 0 for a network that does not look at its text.
    """
    context = context_of(model, events)
    assert context is not None
    codes = model.codes_of(context)
    letters = (codes != 0).sum(axis=1)
    order = np.argsort(letters, kind="stable")
    other = np.empty(len(order), int)
    other[order] = np.roll(order, max(1, len(order) // 50))
    wrong = np.concatenate([context[:, : bool(model.num_styles)], codes[other]], axis=1)
    nll = score_sequences(model, events, step, context=wrong, draws=1).nll
    return float((nll - scores.nll).sum() / letters.sum())


def paper_protocol(
    model: Handwriting, events: Sequences, scores: SequenceScores, mean: Any, std: Any
) -> dict[str, float]:
    r"""Return the numbers of the paper's tables (Graves 2013, tables 2 and 3), lower is better.

    Values as they were recorded, offsets with mean 0 and standard deviation 1 in each direction: a line's
    loss in nats is that in the data's units less $\ln s_x s_y$ a point. The error of a point is
    $|\Delta - \hat\Delta|^2$, with the mean of the predicted distribution for $\hat\Delta$.

    Args:
        model: which.
        events: the lines.
        scores: of them.
        mean: of the offsets of training.
        std: of these, for each direction.
    """
    mean, std = np.asarray(mean), np.asarray(std)
    losses = scores.raw_nll - np.log(std).sum() * scores.counts
    error, points = 0.0, 0
    for number, params in predictions(model, events, context=context_of(model, events)):
        expected = np.asarray(Distribution(model.family, params).mean())[:, :2]
        error += float((((events[number][:, :2] - expected) / std) ** 2).sum())
        points += len(params)
    return {
        "nats_per_line": float(losses.mean()),
        "standard_error": float(losses.std() / np.sqrt(max(1, len(losses) - 1))),
        "nats_per_point": float(losses.sum() / scores.counts.sum()),
        "points_per_line": float(scores.counts.mean()),
        "sum_squared_error": error / points,
    }
