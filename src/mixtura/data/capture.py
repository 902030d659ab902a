"""A page on which one writes some sentences by hand, and that saves them as a file of ink."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mixtura.errors import InputError
from mixtura.files import replacing

# All letters of the alphabet, small and large, all digits, and the commonest punctuation.
SENTENCES = (
    "Just before dawn a fox came by quietly.",
    "Who knows? Zoe packed her violin (again).",
    "Arrive at 7:45, or call 360-1289.",
    '"Yes," said Uncle Greg; "it\'s on Friday!"',
    "Nine lamps & six jugs: 52 + 4 euros.",
    "Quick, Xaver! Tea is ready in the hall.",
    "Please leave box #8 and/or key at Bob's.",
    "Dr. Ito and Ms. Vu met Harry in Rome.",
    "Lazy Sundays: a hammock, a jazz record.",
    "Every child in Kiel or Oslo likes Clowns.",
)
PAGE = Path(__file__).with_name("capture.html")


def write_capture(path: Path, texts: Sequence[str] = SENTENCES) -> None:
    """Write a web page that asks for some texts in one's own hand.

    It is one file that needs no network, and takes a pen, a finger or a mouse. What it saves,
    `read_handwriting` reads. It is there whole or not at all.

    Args:
        path: ends in .html.
        texts: what is to be written, each on a line.

    Raises:
        InputError: for another ending, or if there is no text.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path} ends in {path.suffix!r}; the page is written to .html.")
    known = [" ".join(text.split()) for text in texts if text.strip()]
    if not known:
        raise InputError("there is no text for the page to ask for; expected a sentence on each line")
    held = json.dumps(known, ensure_ascii=False).replace("</", "<\\/")  # no end of the script
    page = PAGE.read_text(encoding="utf-8").replace("{{texts}}", held)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
