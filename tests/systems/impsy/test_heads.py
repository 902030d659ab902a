import keras
import numpy as np
import pytest

import mixtura as mx
from mixtura.systems.impsy.heads import HEADS, Units, head, nearest, patterns, start
from mixtura.systems.impsy.recorded import Recorded

UNITS = Units(controls=8, step=1 / 127, move=2.0**-5, level=0.3, dt=0.02, shortest=1e-4)


# Counted in IMPSY 1.1.0 for nine dimensions.
@pytest.mark.parametrize(
    ("units", "params"),
    [
        ((16,) * 2, 5_391),
        ((32,) * 2, 16_831),
        ((64,) * 2, 58_143),
        ((128,) * 2, 214_495),
        ((256,) * 2, 822_111),
        ((512,) * 3, 5_316_191),
    ],
    ids=["xxs", "xs", "s", "m", "l", "xl"],
)
def test_impsys_sizes(units, params, monkeypatch):
    def zeros(self, shape, dtype=None, **_):
        return np.zeros(shape, "float32")

    # The sizes are what counts; drawing orthogonal matrices takes seconds.
    for initializer in (keras.initializers.Orthogonal, keras.initializers.VarianceScaling):
        monkeypatch.setattr(initializer, "__call__", zeros)
    assert mx.MDNRNN(head("normal", UNITS, 5, 5), units).count_params() == params


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_of_events(name):
    family = head(name, UNITS, 3, 2)
    assert family.event_size == 9
    assert family.is_continuous


def test_floors_are_those_of_rounding():
    floor = UNITS.step / np.sqrt(12)
    np.testing.assert_allclose(head("normal", UNITS, 3, 2).floors, [*[floor] * 8, 1e-3 / np.sqrt(12)])
    np.testing.assert_allclose(head("tied", UNITS, 3, 2).floors[:8], floor)


def test_patterns_are_those_that_are_frequent():
    moved = np.array([[1, 0, 0]] * 3 + [[0, 0, 0]] * 5 + [[0, 2, 2]] * 2 + [[1, 1, 1]], float)
    known = patterns(moved, 3)
    assert known.astype(int).tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 1]]
    assert nearest(moved, known).tolist() == [1] * 3 + [0] * 5 + [2] * 3
    assert len(patterns(moved, 9)) == 4


@pytest.mark.parametrize("name", HEADS[1:])
def test_what_a_head_begins_with_is_what_moves(name, monkeypatch):
    monkeypatch.setattr(Recorded, "_sample", mx.Affine._sample)  # around 0, with nothing rounded
    rng = np.random.default_rng(0)
    moved = np.zeros((2000, 8))
    which = rng.integers(0, 9, 2000)  # one of eight, or none
    some = which < 8
    moved[some, which[some]] = rng.choice([-3, -1, 1, 3], some.sum()) / 127
    dt = rng.lognormal(-4, 1, 2000)
    family = head(name, UNITS, 9, 2)
    p = family(start(family, moved, dt))
    drawn = p.sample(4000, seed=0)
    stays = drawn[:, :8] == 0
    np.testing.assert_allclose(stays.mean(axis=0), 8 / 9, atol=0.03)
    assert np.median(drawn[:, 8]) == pytest.approx(np.exp(-4), rel=0.15)
    at_once = np.bincount((~stays).sum(axis=1), minlength=9) / 4000
    if name == "independent":
        assert at_once[2:].sum() > 0.15
    else:
        assert at_once[1] == pytest.approx(8 / 9, abs=0.05)


def test_shared_components_pay_where_one_control_moves_at_a_time():
    rng = np.random.default_rng(0)
    moved = np.zeros((1000, 8))
    moved[np.arange(1000), rng.integers(0, 8, 1000)] = 1 / 127
    dt = rng.lognormal(-4, 1, 1000)
    events = np.column_stack([moved, dt])
    nll = {}
    for name in HEADS[1:]:
        family = head(name, UNITS, 8, 2)
        nll[name] = -family(start(family, moved, dt)).log_prob(events).mean()
    # Eight choices of one in eight cost 8 h(1/8), one among eight log 8.
    # Every component is fitted to some of the others' too.
    saved = 8 * (np.log(8) / 8 + 7 / 8 * np.log(8 / 7)) - np.log(8)
    for name in ("tied", "together"):
        assert saved - 0.2 < nll["independent"] - nll[name] < saved
