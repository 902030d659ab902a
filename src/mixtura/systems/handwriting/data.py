"""Lines of handwriting as a corpus: read, cleaned, split, and copies to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from mixtura.data.alphabets import GRAVES, Alphabet
from mixtura.data.cleaning import Cleaning, body, cleaned
from mixtura.data.handwriting import read_handwriting
from mixtura.data.sequences import Sequences
from mixtura.data.sketches import left_out_of
from mixtura.data.strokes import spread
from mixtura.data.tables import counted
from mixtura.errors import InputError
from mixtura.models.handwriting import events_line, line_events

FEWEST = 3  # points of a line
SMOOTHED = 5  # points whose mean a point becomes before points are left out
LEARNT_FROM, HELD_OUT = (0, 2, 3), (1,)  # of IAM-OnDB's official sets, as in the paper (section 4.2)
BODIES = 200  # lines that the height of letters is measured on


def lines_of(path: Path, facts: Mapping[str, Any]) -> Sequences:
    """Return the lines of a file, cleaned as those of a run were, their styles numbered as in it.

    Lines without a style are, where the run has learnt somebody's own hand, of that one.

    Args:
        path: what `read_handwriting` reads.
        facts: of the run.

    Raises:
        InputError: as `read_handwriting` and `with_styles`.
    """
    found = cleaned(read_handwriting(path), Cleaning(**facts["cleaning"]))
    found = found[found.lengths >= FEWEST]
    styles = facts.get("styles")
    if styles is None:
        return found
    if facts.get("hand") and "style" not in found.fields:
        return in_style(found, len(styles) - 1)
    return with_styles(found, styles, path)


def corpus_lines(
    data: Path, network: Mapping[str, Any], seed: int, base: Mapping[str, Any] | None = None
) -> tuple[Sequences, Sequences, dict[str, Any]]:
    """Return lines to learn from, lines that are held out, and the facts of both.

    Args:
        data: what `read_handwriting` reads.
        network: of the preset. With `hand`, lines are somebody's own, from another pen and in another unit:
            they are made like the run's, in a style of their own, and what the alphabet lacks is added to it.
            Else lines are like those that the run was trained on.
        seed: of the split, where the data have none.
        base: the facts of a run that is trained on.

    Raises:
        InputError: if there are too few lines.
    """
    found = read_handwriting(data)
    is_hand = bool(network.get("hand"))
    if base is None:
        cleaning = _cleaning(network, found)
    else:
        cleaning = like_the_runs(found, base) if is_hand else Cleaning(**base["cleaning"])
    lines = cleaned(found, cleaning)
    limit = network.get("longest")
    long = lines.lengths > limit if limit else np.zeros(len(lines), bool)
    lines = lines[~long & (lines.lengths >= FEWEST)]
    if len(lines) < 2:
        raise InputError(f"{data} has {counted(len(lines), 'line')} to learn from; expected at least 2.")
    styles = None if base is None else base.get("styles")
    if styles and is_hand:  # one more
        lines = in_style(lines, len(styles))
        styles = [*styles, _another(data.stem, styles)]
    elif styles:
        lines = with_styles(lines, styles, data)
    training, held_out = _parts(lines, seed, share=1 / 5 if is_hand else 1 / 18)
    texts = [str(text) for text in lines.fields["text"]]
    letters = sum(map(len, texts))
    step = _step(found, cleaning)
    facts = {
        "cleaning": asdict(cleaning),
        "spread": spread(training),
        "mean": training.data[:, :2].mean(axis=0, dtype=np.float64).tolist(),
        "std": training.data[:, :2].std(axis=0, dtype=np.float64).tolist(),
        "step": max(step),
        "steps": step,
        "body": float(np.median([body(one)[1] for one in training[:BODIES]])),
        "points_per_letter": float(lines.lengths.sum() / letters),
        "longest_text": max(map(len, texts)),
        "too_long": int(long.sum()),
        "left_out": left_out_of(found),
        "lines": {"training": len(training), "held out": len(held_out)},
    }
    if "styles" in lines.facts:
        facts["styles"] = [str(name) for name in lines.facts["styles"]]
    alphabet = GRAVES if network.get("alphabet") == "graves" else Alphabet.of(texts)
    if base is not None:  # the units are the network's, and so is what it knows
        for name in ("spread", "mean", "std", "step", "body"):
            facts[name] = base[name]
        facts["longest_text"] = max(base["longest_text"], facts["longest_text"])
        known = Alphabet(*base["alphabet"])
        alphabet = known.extended(texts) if is_hand or any(map(known.unknown, texts)) else known
        facts.pop("styles", None)
        facts |= {"hand": is_hand, **({"styles": styles} if styles else {})}
    facts["alphabet"] = [alphabet.symbols, alphabet.other]
    return training, held_out, facts


def like_the_runs(lines: Sequences, facts: Mapping[str, Any]) -> Cleaning:
    """Return what makes lines of another pen and unit like a run's: as high, as many points a letter.

    Args:
        lines: with texts.
        facts: of the run.
    """
    thinned = _cleaning({"points_per_letter": facts["points_per_letter"]}, lines)
    return replace(thinned, height=facts["body"])


def _cleaning(network: Mapping[str, Any], lines: Sequences) -> Cleaning:
    """Return what the preset does to lines; where it wants so many points a letter, thinned to about that."""
    settings = dict(network.get("cleaning", {}))
    if wanted := network.get("points_per_letter"):
        letters = sum(len(str(text)) for text in lines.fields["text"])
        thin = max(1, round(len(lines.data) / letters / wanted))
        settings = {"smooth": SMOOTHED if thin > 1 else 0, **settings, "thin": thin}
    return Cleaning(**settings)


def _step(found: Sequences, cleaning: Cleaning) -> list[float]:
    """Return the recording step of the offsets; a mean of points has a grid as much finer."""
    if cleaning.height or cleaning.baseline or cleaning.slant or cleaning.savgol:
        return [0.0, 0.0]
    # Files hold float32, whose decimals are seen in that type alone.
    recorded = replace(found, data=found.data[:, :2].astype(np.float32)).recording_step()
    return [float(one) / max(1, cleaning.smooth) for one in recorded]


def _parts(lines: Sequences, seed: int, share: float) -> tuple[Sequences, Sequences]:
    """Return lines to learn from and others: as IAM-OnDB's lists or a field `split` say, or by text."""
    sets = lines.fields.get("iam_set")
    if sets is not None and np.isin(sets, HELD_OUT).any() and np.isin(sets, LEARNT_FROM).any():
        return lines[np.isin(sets, LEARNT_FROM)], lines[np.isin(sets, HELD_OUT)]
    if (split := lines.fields.get("split")) is not None and 0 < (split == 0).sum() < len(lines):
        return lines[split == 0], lines[split != 0]
    texts, number = np.unique(lines.fields["text"], return_inverse=True)
    count = max(1, round(share * len(texts)))  # that are never learnt
    if len(texts) < 2:
        raise InputError(f"there is one text, {str(texts[0])!r}; expected at least 2, one to hold out.")
    held = np.isin(number, np.random.default_rng(seed).permutation(len(texts))[:count])
    return lines[~held], lines[held]


def _another(name: str, names: Sequence[str]) -> str:
    """Return a name that is not among those there are."""
    number, found = 1, name
    while found in names:
        number += 1
        found = f"{name}-{number}"
    return found


def augmented(lines: Sequences, network: Mapping[str, Any], seed: int) -> Sequences:
    """Return so many copies of each line, each stretched and sheared by chance of its own."""
    copies, by = network.get("copies", 1), network.get("stretch", 0.0)
    several = lines[np.tile(np.arange(len(lines)), copies)]
    if not by:
        return several
    rng = np.random.default_rng(seed)

    def changed(line: np.ndarray) -> np.ndarray:
        width, height = rng.uniform(1 - by, 1 + by, 2)
        return line @ np.array([[width, 0, 0], [rng.normal(0, by), height, 0], [0, 0, 1]])

    return several.map(changed)


def as_events(lines: Sequences, size: int) -> Sequences:
    """Return lines as events of so many dimensions, see `mixtura.models.handwriting.line_events`."""
    return lines.map(lambda one: line_events(one, size))


def as_lines(events: Sequences) -> Sequences:
    """Return events as lines `(n, 3)`."""
    return events.map(events_line)


def with_styles(lines: Sequences, styles: Sequence[str], path: Path) -> Sequences:
    """Return lines whose styles are numbered as in a run.

    Raises:
        InputError: if the lines have no styles, or one that the run does not know.
    """
    if "style" not in lines.fields:
        raise InputError(f"{path} does not say in which style lines are; expected the field `style`.")
    names = [str(lines.facts["styles"][number]) for number in lines.fields["style"]]
    return in_style(lines, [style_number(name, styles) for name in names])


def in_style(lines: Sequences, numbers: int | Sequence[int]) -> Sequences:
    """Return lines in one style, or each in its own."""
    return replace(lines, fields={**lines.fields, "style": np.broadcast_to(numbers, len(lines))})


def style_number(name: str, styles: Sequence[str]) -> int:
    """Return the number of a style.

    Raises:
        InputError: if there is none of that name; it lists them.
    """
    if name not in styles:
        raise InputError(f"there is no style {name!r}; expected one of {', '.join(styles)}.")
    return list(styles).index(name)


def together(first: Sequences, second: Sequences) -> Sequences:
    """Return the lines of both, with the fields and facts that the first has."""
    fields = {
        name: np.concatenate([value, second.fields[name]])
        for name, value in first.fields.items()
        if name in second.fields
    }
    return replace(Sequences.of([*first, *second], **fields), facts=first.facts)
