"""A system of your own, for sequences of numbers in a CSV file: an MDN-RNN on hand movements.

    mixtura train gestures.py --data gestures.csv --preset tiny --out run
    mixtura generate run --system gestures.py --count 9 --out drawn.csv
    mixtura evaluate run --system gestures.py --data other.csv

`gestures.csv` has a row for every step: a column `sequence` that says which gesture it belongs to, and the
columns `x` and `y`. Splitting, training, resuming, scoring and writing files come with `System`.
"""

from typing import ClassVar

import mixtura as mx
from mixtura.drawing import new_figure, save_figure
from mixtura.systems.system import Corpus, Outcome, Preset, System


class Gestures(System):
    """Hand movements, position by position."""

    name = "gestures"
    about = "hand movements from a CSV file"
    presets: ClassVar = {
        "small": Preset({"units": (128, 128), "components": 8}, epochs=150, batch_size=4),
        "tiny": Preset({"units": (32,), "components": 3}, epochs=10, batch_size=8),
    }

    def build(self, preset: Preset, corpus: Corpus, seed: int) -> mx.SequenceModel:
        """Return a network whose family is in the units of the file."""
        events = corpus.training.data
        mean, scale = events.mean(axis=0), events.std(axis=0)
        scale[scale == 0] = 1.0  # a column that never changes
        # Positions are predicted relative to the last one (`relative`), and no density is sharper than half
        # a step of the grid they were recorded on.
        floor = 0.5 * corpus.training.recording_step() / scale
        mixture = mx.Mixture(
            mx.Normal(events.shape[1], min_scale=floor.tolist()), preset.network["components"]
        )
        return mx.MDNRNN(mx.Affine(mixture, mean, scale), preset.network["units"], relative=True)

    def report(self, outcome: Outcome) -> dict:
        """Draw real movements and generated ones side by side."""
        steps, recorded = outcome.corpus.facts["length"], outcome.corpus.validation
        drawn = outcome.model.generate(steps, batch_size=9, seed=outcome.seed)
        figure, panels = new_figure(2, sharex=True, sharey=True)
        for axes, name, paths in zip(panels, ("recorded", "generated"), (recorded, drawn), strict=True):
            for path, _ in zip(paths, range(9), strict=False):
                axes.plot(path[:, 0], path[:, 1])
            axes.set_title(name)
        save_figure(figure, outcome.figures / "gestures.png")
        return {}
