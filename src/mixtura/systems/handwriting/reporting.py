"""What is reported of a trained network: likelihoods, what it writes, and pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura.drawing import COLOURS, Paper, pages, write_pages
from mixtura.models.handwriting import Handwriting
from mixtura.systems.handwriting.data import as_lines
from mixtura.systems.handwriting.pictures import attention_picture, density_picture
from mixtura.systems.handwriting.scoring import paper_protocol, text_gain
from mixtura.systems.handwriting.writing import straight
from mixtura.systems.system import Outcome

BIASES = (0.0, 0.5, 1.0, 2.0)
SHOWN = 6  # texts on a page
X_HEIGHT = 3.0  # millimetres on it


def report(outcome: Outcome) -> dict[str, Any]:
    """Draw the pictures of a trained network, and return its numbers."""
    model, corpus, facts = outcome.model, outcome.corpus, outcome.corpus.facts
    assert isinstance(model, Handwriting)
    held_out, scores = corpus.validation, outcome.scores
    numbers: dict[str, Any] = {
        "nats_per_line": float(scores.nll.mean()),
        "nats_per_point": scores.nll_per_step,
        "nats_per_point_in_spreads": scores.nll_per_step - 2 * float(np.log(facts["spread"])),
        "points_per_line": float(scores.counts.mean()),
        "points_per_letter": facts["points_per_letter"],
        "cleaning": facts["cleaning"],
        "lines": facts["lines"],
        "paper": paper_protocol(model, held_out, scores, facts["mean"], facts["std"]),
    }
    if facts["left_out"]:
        numbers["left_out"] = "; ".join(facts["left_out"])
    outcome.figures.mkdir(parents=True, exist_ok=True)
    folder, number = outcome.figures, int(np.argsort(held_out.lengths)[len(held_out) // 2])
    line, text, style = as_lines(held_out)[number], None, None
    if model.alphabet is not None:
        if len(held_out) > 1:  # there is another text
            numbers["text_gain"] = text_gain(model, held_out, scores, corpus.step)
        text = str(held_out.fields["text"][number])
        style = int(held_out.fields["style"][number]) if model.num_styles else None
        attention_picture(model, line, text, folder / "attention.png", style)
        _written(model, outcome)
    density_picture(model, line, folder / "density.png", text, style)
    return numbers


def _written(model: Handwriting, outcome: Outcome) -> None:
    """Draw texts that were not learnt: the real line in orange, and written at several biases."""
    facts, held_out, seed = outcome.corpus.facts, outcome.corpus.validation, outcome.seed
    picked = held_out[np.random.default_rng(seed).permutation(len(held_out))[:SHOWN]]
    texts = [str(text) for text in picked.fields["text"]]
    styles = picked.fields["style"] if model.num_styles else None
    versions = [list(as_lines(picked))]
    versions += [model.write(texts, bias=bias, styles=styles, seed=seed) for bias in BIASES]
    groups = zip(texts, *versions, strict=True)
    lines = [straight(line, text) for text, *group in groups for line in group]
    colours = [COLOURS["orange"], *[COLOURS["ink"]] * len(BIASES)] * len(texts)
    paper = Paper(
        width=None, height=None, ink=colours, title=f"real, then bias {', '.join(map(str, BIASES))}"
    )
    write_pages(outcome.figures / "written.svg", pages(lines, X_HEIGHT / facts["body"], paper))
