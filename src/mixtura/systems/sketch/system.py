"""The system `sketch`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mixtura.systems.sketch.data import LONGEST
from mixtura.systems.sketch.drawings import OURS, PUBLISHED, Drawings
from mixtura.systems.sketch.reporting import report
from mixtura.systems.system import Outcome, Preset

LATENT = 128  # the size of z in the paper


class Sketch(Drawings):
    """A variational autoencoder of drawings (Ha & Eck 2017), of one kind or of many categories."""

    name = "sketch"
    about = "drawings, of categories by name: invented, copied, mixed and completed"
    data_name = "sketch/quickdraw_345_simplified.npz"
    presets: ClassVar[Mapping[str, Preset]] = {
        # The paper's, its losses in nats per drawing (see `Variational`).
        "paper": Preset(
            network={
                **PUBLISHED,
                "encoder_units": 256,
                "latent_size": LATENT,
                "kl_weight": 0.5 * LONGEST / LATENT,
                "kl_start": 0.01 * LONGEST / LATENT,
                "kl_floor": 0.2 * LATENT,
            },
            epochs=50,
            batch_size=100,
            buckets=1,
            patience=50,
        ),
        # z is to say something: 16 nats of it cost nothing.
        "small": Preset(
            network={
                **OURS,
                "encoder_units": 96,
                "latent_size": 32,
                "class_size": 32,
                "recurrent_dropout": 0.1,
                "kl_floor": 16.0,
                "mirrored": True,
                "kl_decay": 0.999,
            },
            epochs=6,
            batch_size=32,
            learning_rate=4e-3,
        ),
        "tiny": Preset(
            network={
                "head": "strokes",
                "components": 2,
                "units": (8,),
                "encoder_units": 4,
                "latent_size": 2,
                "class_size": 2,
                "sees_place": True,
                "recogniser_epochs": 0,
            },
            epochs=2,
            batch_size=4,
            buckets=1,
        ),
    }

    def report(self, outcome: Outcome) -> dict[str, Any]:
        """Draw the sheets, and return the numbers; see `reporting.report`."""
        return report(outcome)
