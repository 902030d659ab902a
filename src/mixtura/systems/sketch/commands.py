"""The commands `mixtura sketch ...`: a run, drawings in files, and a sheet of what comes out.

On every sheet what was given is orange, and what the model drew is black.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.data.sketches import left_out_of, read_sketches
from mixtura.data.strokes import categories_of, check
from mixtura.data.tables import counted
from mixtura.drawing import sheet
from mixtura.errors import InputError
from mixtura.files import check_output
from mixtura.models.sketch_rnn import SketchRNN
from mixtura.systems import runs
from mixtura.systems.sketch import uses
from mixtura.systems.sketch.data import LONGEST, labels_of, number_of

COPIED = "copy drawings"  # what a model without a latent vector cannot do


@dataclass(frozen=True)
class Draft:
    """A run, where its sheet goes, and how it draws.

    Attributes:
        run: as `runs.opened` takes it.
        out: the SVG file to write.
        category: of the drawings. In a file of several it picks those of this one.
        temperature: as in `SketchRNN.draw`; None for the run's own.
        seed: of the draws; None for fresh ones.
        overwrite: replace the sheet if it exists.
    """

    run: Path
    out: Path
    category: str | None = None
    temperature: float | None = None
    seed: int | None = None
    overwrite: bool = False

    def opened(self, source: Path | None = None) -> Opened:
        """Return the model of the run, or raise an InputError where the sheet cannot be written."""
        if self.out.suffix.lower() != ".svg":
            raise InputError(f"{self.out} ends in {self.out.suffix!r}; a sheet is written to .svg.")
        check_output(self.out, self.overwrite, source)
        system, model, config = runs.opened(self.run)
        if not isinstance(model, SketchRNN):
            raise InputError(
                f"{self.run} is a run of the system {system.name!r}; expected one of sketch or kanji."
            )
        facts = config["facts"]
        categories = list(facts.get("categories", ())) if model.num_classes else []
        own = facts.get("temperature") if self.temperature is None else self.temperature
        return Opened(model, facts.get("longest") or LONGEST, categories, own)


@dataclass(frozen=True)
class Opened:
    """The model of a run.

    Attributes:
        model: which.
        longest: points of a drawing at most, as in training.
        categories: the names of its classes; none where it has none.
        temperature: to draw at: the one asked for, else the run's own, which `mixtura generate` draws at too.
    """

    model: SketchRNN
    longest: int
    categories: Sequence[str]
    temperature: float | None


@dataclass(frozen=True)
class Given:
    """Drawings that were picked from a file.

    Attributes:
        drawings: `(n, 3)` of (dx, dy, end) each.
        names: what a sheet calls them: the number in the file, from 1, and the category.
        labels: of their classes, for a model with classes.
        left_out: sentences on what is broken in the file.
    """

    drawings: list[np.ndarray]
    names: list[str]
    labels: list[int] | None
    left_out: list[str]


def reconstruct(draft: Draft, source: Path, pick: Sequence[int] | None = None, count: int = 10) -> Given:
    """Draw drawings of a file, and below each the model's copy.

    Args:
        draft: the run and the sheet.
        source: the file.
        pick: numbers of drawings, from 1; by default drawn at random.
        count: how many, where none are picked.

    Raises:
        InputError: for a mistake in the input; nothing is written then.
    """
    opened = draft.opened(source)
    uses.require_latent(opened.model, COPIED)
    given = _read(source, opened, draft.category, pick, count, rng=np.random.default_rng(draft.seed))
    copies = uses.reconstruct(opened.model, given.drawings, given.labels, **_settings(draft, opened))
    columns = min(len(copies), 10)
    cells: list[np.ndarray | None] = []
    names: list[str | None] = []
    for start in range(0, len(copies), columns):
        part = slice(start, start + columns)
        empty = [None] * (columns - len(copies[part]))
        cells += [*given.drawings[part], *empty, *(one[0] for one in copies[part]), *empty]
        names += [*given.names[part], *[None] * columns, *empty]
    begun = [0 if cell is None else len(cell) * (n // columns % 2 == 0) for n, cell in enumerate(cells)]
    title = "Copies"
    sheet(cells, draft.out, columns=columns, labels=names, begun=begun, title=title)
    return given


def interpolate(
    draft: Draft, source: Path, pick: Sequence[int] | None = None, steps: int = 8, how: uses.How = "slerp"
) -> Given:
    """Draw what is between two drawings of a file, or between four as a grid.

    Args:
        draft: the run and the sheet.
        source: the file.
        pick: numbers of two drawings or four, from 1; by default the first two.
        steps: from one to another.
        how: see `uses.interpolate`.

    Raises:
        InputError: for a mistake in the input; nothing is written then.
    """
    if pick is not None and len(pick) not in (2, 4):
        raise InputError(f"To go from drawing to drawing pick two, or four for a grid; received {len(pick)}.")
    opened = draft.opened(source)
    uses.require_latent(opened.model, "interpolate")
    given = _read(source, opened, draft.category, pick, 2)
    model, drawings, labels, names = opened.model, given.drawings, given.labels, given.names
    if len(drawings) < 2:
        raise InputError(f"{source} has 1 drawing; expected two at least, to go from one to the other.")
    settings = _settings(draft, opened)
    if len(drawings) == 4:
        made = uses.grid(model, drawings, steps, labels, how=how, **settings)
        empty = [None] * (steps - 2)
        above, below = ([drawings[n], *empty, drawings[n + 1]] for n in (0, 2))
        texts = [names[0], *empty, names[1], *[None] * steps * steps, names[2], *empty, names[3]]
    else:
        made = uses.interpolate(model, drawings[0], drawings[1], steps, labels, how=how, **settings)
        above, below = [drawings[0]], [drawings[1]]
        texts = [names[0], *(f"{share:.2g}" for share in np.linspace(0, 1, steps)), names[1]]
    columns = steps if len(drawings) == 4 else steps + 2
    begun = [*_points(above), *[0] * len(made), *_points(below)]
    title = "Between drawings"
    cells = [*above, *made, *below]
    sheet(cells, draft.out, columns=columns, labels=texts, begun=begun, title=title)
    return given


def complete(
    draft: Draft,
    source: Path,
    pick: Sequence[int] | None = None,
    points: int | None = None,
    count: int = 10,
    candidates: int | None = None,
) -> Given:
    """Draw completions of a drawing that was begun, the best first.

    Args:
        draft: the run and the sheet.
        source: the file.
        pick: the number of the drawing, from 1; by default the first.
        points: how many of its points are what was begun; by default all.
        count: how many completions to show.
        candidates: how many to draw; see `uses.complete`.

    Raises:
        InputError: for a mistake in the input; nothing is written then.
    """
    if pick is not None and len(pick) != 1:
        raise InputError(f"One drawing at a time is completed; received {len(pick)}.")
    if candidates is not None and candidates < count:
        raise InputError(
            f"There must be {count} candidates at least, to show as many; received {candidates}."
        )
    opened = draft.opened(source)
    given = _read(source, opened, draft.category, pick, 1, points, 1)
    (begun,), (name,), labels = given.drawings, given.names, given.labels
    found = uses.complete(
        opened.model,
        begun,
        count,
        None if labels is None else labels[0],
        candidates=candidates,
        **_settings(draft, opened),
    )
    numbers = zip(found.log_prob, found.added, strict=True)
    texts = [name, *(f"{nats:.0f} nats, {added} pts" for nats, added in numbers)]
    title = "Completions, best first"
    sheet([begun, *found.drawings], draft.out, labels=texts, begun=len(begun), title=title)
    return given


def combine(
    draft: Draft, source: Path, plus: Sequence[int], minus: Sequence[int] = (), count: int = 4
) -> Given:
    """Add latent vectors of drawings up, and draw the terms and the result.

    Args:
        draft: the run and the sheet.
        source: the file.
        plus: numbers of drawings, from 1.
        minus: numbers of those to take away.
        count: how often to draw the result.

    Raises:
        InputError: for a mistake in the input; nothing is written then.
    """
    if not plus:
        raise InputError("A sum needs one drawing at least; received none.")
    opened = draft.opened(source)
    uses.require_latent(opened.model, "add drawings up")
    given = _read(source, opened, draft.category, [*plus, *minus], 0)
    terms = given.drawings[: len(plus)], given.drawings[len(plus) :]
    settings = _settings(draft, opened)
    made = uses.combine(opened.model, *terms, given.labels, count=count, **settings)
    signs = ["+"] * len(plus) + ["−"] * len(minus)
    texts = [f"{sign} {name}" for sign, name in zip(signs, given.names, strict=True)] + ["="] * count
    begun = [*_points(given.drawings), *[0] * count]
    columns, title = min(10, len(texts)), "Sums of drawings"
    sheet([*given.drawings, *made], draft.out, columns=columns, labels=texts, begun=begun, title=title)
    return given


def temperatures(draft: Draft, values: Sequence[float], count: int = 10) -> None:
    """Draw the same drawings at several temperatures, a row each.

    Args:
        draft: the run and the sheet; without a category each drawing has one by chance.
        values: the temperatures.
        count: how many drawings.

    Raises:
        InputError: for a mistake in the input; nothing is written then.
    """
    opened = draft.opened()
    labels = names = None
    if opened.categories:
        labels = labels_of(draft.category, opened.categories, count, draft.seed)
        names = [opened.categories[label] for label in labels]
    elif draft.category is not None:
        raise InputError(f"{draft.run} knows no categories; received {draft.category!r}.")
    rows = uses.temperatures(opened.model, values, count, labels, seed=draft.seed, longest=opened.longest)
    texts = [f"{value:g}" for value in values]
    title = "Temperatures"
    cells = [one for row in rows for one in row]
    sheet(cells, draft.out, columns=count, row_labels=texts, column_labels=names, title=title)


def _settings(draft: Draft, opened: Opened) -> dict:
    return {"temperature": opened.temperature, "seed": draft.seed, "longest": opened.longest}


def _points(drawings: Sequence[np.ndarray | None]) -> list[int]:
    return [0 if one is None else len(one) for one in drawings]


def _read(
    source: Path,
    opened: Opened,
    category: str | None,
    pick: Sequence[int] | None,
    count: int,
    points: int | None = None,
    room: int = 0,
    rng: np.random.Generator | None = None,
) -> Given:
    """Return the drawings of a file that were picked, or else the first ones that are not too long.

    Args:
        source: the file.
        opened: whose limits and categories count.
        category: see `Draft`.
        pick: numbers of drawings, from 1.
        count: how many, where none are picked.
        points: how many of each drawing's; by default all.
        room: how many points fewer than the longest drawing they may have.
        rng: draws, where none are picked; without it they are the first ones.
    """
    found = read_sketches(source)
    left_out = [f"{source}, {text}" for text in left_out_of(found)]
    words = categories_of(found)
    numbers = np.arange(1, len(found) + 1)
    if category is not None:
        if opened.categories:
            number_of(category, opened.categories)
        elif not words:
            raise InputError(f"Neither {source} nor the run knows categories; received {category!r}.")
        if words:
            numbers = numbers[np.array(words) == category]
        if not len(numbers):
            raise InputError(f"{source} has no drawing of the category {category!r}.")
    if pick is not None:
        numbers = _picked(pick, found, source)
    else:
        fits = np.minimum(found.lengths[numbers - 1], points or np.inf) <= opened.longest - room
        numbers = numbers[fits] if fits.any() else numbers
        numbers = np.sort((numbers if rng is None else rng.permutation(numbers))[:count])
    drawings, names, labels = [], [], []
    for number in numbers.tolist():
        drawing, name = found[number - 1][:points], f"{source}: drawing {number}"
        check(drawing, name, opened.longest - room)
        word = words[number - 1] if words else category
        if opened.categories:
            if word is None:
                raise InputError(
                    f"{source} does not say of which category a drawing is; "
                    f"the model has {len(opened.categories)}: give --category."
                )
            labels.append(number_of(word, opened.categories))
        drawings.append(drawing)
        names.append(f"{number} {word}" if words else f"{number}")
    return Given(drawings, names, labels if opened.categories else None, left_out)


def _picked(pick: Sequence[int], found: Sequences, source: Path) -> np.ndarray:
    for number in pick:
        if not 1 <= number <= len(found):
            amount = counted(len(found), "drawing")
            raise InputError(f"{source} has {amount}; there is no drawing {number}.")
    return np.array(pick)
