import keras
import numpy as np
import pytest

import mixtura as mx
from mixtura.data.alphabets import Alphabet
from mixtura.models import Handwriting
from mixtura.training import Run

POINTS, ADVANCE = 8, 0.1  # of a letter, and of a point


def clockwork(styles=0, pace=1 / POINTS):
    """Return a network whose window moves by `pace` letters at each point, and whose pen by 0.1."""
    offset = mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), 1)
    model = Handwriting(
        mx.Joint(offset=offset, end=mx.Bernoulli()),
        (3,),
        Alphabet("abcdefgh ."),
        windows=1,
        pace=np.log(pace),
        narrowness=1.0,
        num_styles=styles,
        style_size=2 * bool(styles),
        seed=1,
    )
    for layer in (model.head, model.cell.aim):
        for weight in layer.weights:
            if weight.path.endswith("kernel"):
                weight.assign(np.zeros(weight.shape))
    # The component's logit, means, logarithms of scales and correlation; then the logit of a stroke's end.
    bias = next(weight for weight in model.head.weights if weight.path.endswith("bias"))
    bias.assign([0.0, ADVANCE, 0.0, -5.0, -2.0, 0.0, -2.0])
    return model


FACTS = {
    "points_per_letter": POINTS,
    "mean": [ADVANCE, 0.0],
    "body": 0.5,
    "bias": 0.5,
    "event_size": 3,
    "alphabet": ["abcdefgh .", False],
}


@pytest.fixture(scope="session")
def model():
    keras.utils.set_random_seed(1)
    return clockwork()


@pytest.fixture(scope="session")
def make_clockwork():
    return clockwork


@pytest.fixture(scope="session")
def facts():
    return FACTS


@pytest.fixture(scope="session")
def handwriting_runs(model, tmp_path_factory):
    """Save two networks as runs: one without styles, one with two."""
    folder = tmp_path_factory.mktemp("handwriting")
    about = {"system": "handwriting", "recording_step": [0, 0, 0], "start": None}
    Run.begin(folder / "plain", {**about, "facts": FACTS}).save(model)
    styled = {**FACTS, "styles": ["round", "steep"]}
    Run.begin(folder / "styled", {**about, "facts": styled}).save(clockwork(2))
    return folder
