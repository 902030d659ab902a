"""Drawings as the events of a Sketch-RNN, their parts, their categories, and copies to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.data.strokes import categories_of, stretched, thinned, to_stroke5
from mixtura.data.tables import counted
from mixtura.errors import InputError
from mixtura.systems.system import Preset, split_in_tenths

LONGEST = 250  # points of a drawing, as Sketch-RNN's data sets have at most


def as_events(drawings: Sequences) -> Sequences:
    """Return drawings `(dx, dy, end)` as events, the last point of each the one that ends it."""
    return drawings.map(lambda one: to_stroke5(one, closing=False))


def as_drawings(events: Sequences) -> Sequences:
    """Return events as drawings `(dx, dy, end)`."""
    is_end = events.data[:, 2] < 0.5
    return replace(events, data=np.column_stack([events.data[:, :2], is_end]))


def as_drawing(events: np.ndarray) -> np.ndarray:
    """Return the events of one drawing as a drawing."""
    return as_drawings(Sequences.of([events]))[0]


def whole(drawing: np.ndarray) -> np.ndarray:
    """Return a drawing that has only begun as one that is done."""
    done = np.array(drawing)
    done[-1, 2] = 1
    return done


def augmented(drawings: Sequences, preset: Preset, seed: int) -> Sequences:
    """Return each drawing so many times, each time stretched, mirrored and thinned by chance of its own."""
    network, rng = preset.network, np.random.default_rng(seed)
    stretch, thinning = network.get("stretch", 0.0), network.get("thinning", 0.0)
    copies = drawings[np.tile(np.arange(len(drawings)), network.get("copies", 1))]
    if stretch:
        copies = copies.map(lambda one: stretched(one, rng, stretch))
    if network.get("mirrored"):
        copies = copies.map(lambda one: one * (rng.choice([-1, 1]), 1, 1))
    return copies.map(lambda one: thinned(one, rng, thinning)) if thinning else copies


def number_of(category: str, categories: Sequence[str]) -> int:
    """Return the number of a category.

    Raises:
        InputError: if there is none of that name; it offers the nearest ones.
    """
    if category not in categories:
        near = get_close_matches(category, categories, 3, 0.5) or list(categories)[:3]
        raise InputError(
            f"there is no category {category!r} among the {len(categories)}; near it are {', '.join(near)}."
        )
    return list(categories).index(category)


def labels_of(
    category: str | Sequence[str] | None, categories: Sequence[str], count: int, seed: int | None
) -> np.ndarray:
    """Return the numbers of so many categories.

    Args:
        category: of all, or of each; None for any, by chance.
        categories: the names.
        count: how many.
        seed: of chance.

    Raises:
        InputError: as `number_of`.
    """
    if category is None:
        return np.random.default_rng(seed).integers(len(categories), size=count)
    named = [category] * count if isinstance(category, str) else category
    return np.array([number_of(name, categories) for name in named])


def labelled(drawings: Sequences, categories: Sequence[str], path: Path) -> Sequences:
    """Return drawings whose labels, if they have some, are numbers of these categories."""
    if not (names := categories_of(drawings)):
        return drawings
    known = {name: number for number, name in enumerate(categories)}
    if unknown := [name for name in names if name not in known]:
        number_of(unknown[0], categories)  # raises
    labels = np.array([known[name] for name in names])
    facts = {**drawings.facts, "categories": np.array(categories)}
    return replace(drawings, fields={**drawings.fields, "label": labels}, facts=facts)


def in_parts(drawings: Sequences, seed: int, data: Path) -> tuple[Sequences, ...]:
    """Return training, validation and test drawings: as the file says, or by tenths.

    A file that has no validation or test drawings gives up a tenth of its training drawings for them.
    """
    if (parts := drawings.fields.get("split")) is None:
        return split_in_tenths(drawings, seed, data)
    training, *held_out = (drawings[parts == number] for number in range(3))
    for number, part in enumerate(held_out):
        if len(part):
            continue
        if len(training) < 2:
            amount = counted(len(training), "training drawing")
            raise InputError(f"{data} has {amount} by its field split; expected at least 2.")
        training, held_out[number] = training.split(max(0.1, 1 / len(training)), seed)
    return training, *held_out


def ended(events: Sequences) -> Sequences:
    """Return events with one more at the end, which ends the drawing in the last point's stead."""
    return as_drawings(events).map(lambda one: to_stroke5(one, closing=True))
