"""The system `kanji`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from mixtura.systems.sketch.drawings import OURS, PUBLISHED, Drawings
from mixtura.systems.sketch.reporting import report
from mixtura.systems.system import Outcome, Preset

IMPORTANCE = 200.0  # F, the stroke importance factor of Ha's code


class Kanji(Drawings):
    """A decoder alone, which draws characters that there are none of (Ha 2015)."""

    name = "kanji"
    about = "characters that there are none of, stroke by stroke"
    data_name = "sketch/short_kanji.npz"
    presets: ClassVar[Mapping[str, Preset]] = {
        # Ha's code: two layers, the pen's loss weighed, x and y stretched by up to 30 %. Left out are its
        # dropout of outputs, and characters that follow each other in one sequence.
        "paper": Preset(
            network={
                "head": "parts",
                "components": 24,
                "units": (256, 256),
                "recipe": "2015",
                "pen_weights": (1.0, float(np.sqrt(IMPORTANCE)), IMPORTANCE),
                "stretch": 0.3,
                "copies": 10,
            },
            epochs=50,
            batch_size=100,
            patience=50,
        ),
        # The decoder of Sketch-RNN alone (Ha & Eck 2017).
        "decoder": Preset(network=PUBLISHED, epochs=50, batch_size=100, buckets=1, patience=50),
        "small": Preset(network=OURS, epochs=10, batch_size=32, learning_rate=5e-3),
        "tiny": Preset(
            network={"head": "strokes", "components": 2, "units": (8,), "sees_place": True},
            epochs=2,
            batch_size=4,
            buckets=1,
        ),
    }

    def report(self, outcome: Outcome) -> dict[str, Any]:
        """Draw the sheets, and return the numbers; see `reporting.report`."""
        return report(outcome)
