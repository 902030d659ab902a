import numpy as np
import pytest
from scipy import stats

from mixtura.data.sequences import Sequences
from mixtura.systems.impsy.baselines import fit_repeats
from mixtura.systems.impsy.heads import units_of

STEP = 1 / 127


@pytest.fixture(scope="module")
def units(played):
    return units_of(played, STEP)


def test_order_0_is_a_share_and_a_laplace_distribution(played, units):
    found = fit_repeats(played, units, 0)
    assert found.known.tolist() == [[False] * 3]
    moved = np.concatenate([np.diff(one[:, :-1], axis=0) for one in played])
    one = played[0]
    nll = found.nll(one, np.array([STEP] * 3 + [0.0]))["values"]
    wanted = np.zeros(len(one) - 1)
    rng = np.random.default_rng(1)
    for control in range(3):
        own = moved[:, control][moved[:, control] != 0]
        stays = (len(moved) - len(own) + 0.5) / (len(moved) + 1)
        centre = np.median(own)
        slab = stats.laplace(centre, np.abs(own - centre).mean())
        change = np.diff(one[:, control])[:, None] + STEP * rng.uniform(-0.5, 0.5, (1, 4000))
        density = stays / STEP * (np.abs(change) < STEP / 2) + (1 - stays) * slab.pdf(change)
        wanted -= np.log(density).mean(axis=1)
    np.testing.assert_allclose(nll.mean(), wanted.mean(), atol=0.05)


def test_order_1_knows_which_control_moved_last(played, units):
    step = np.array([STEP] * 3 + [1e-6])
    nll = [
        np.mean([fit_repeats(played, units, order).nll(one, step)["values"].mean() for one in played])
        for order in (0, 1)
    ]
    assert nll[1] < nll[0] - 0.1


def test_order_1_knows_the_last_dt():
    rng = np.random.default_rng(0)
    logs = np.zeros(3000)
    for t in range(1, 3000):
        logs[t] = 0.95 * logs[t - 1] + rng.normal(0, 0.3)
    sessions = Sequences.of([np.column_stack([rng.integers(0, 2, 3000), np.exp(logs - 4)])])
    units = units_of(sessions, 1.0)
    nll = [
        fit_repeats(sessions, units, order).nll(sessions[0], np.array([1.0, 0.0]))["dt"].mean()
        for order in (0, 1)
    ]
    # The entropy that knowing the past takes away: log of the spread's ratio, 1 / sqrt(1 - 0.95^2).
    assert nll[0] - nll[1] > 0.8 * np.log(1 / np.sqrt(1 - 0.95**2))


def test_few_rows_of_a_kind_take_all():
    sessions = Sequences.of([[[0.0, 0.1], [0.5, 0.2], [0.5, 0.3], [0.0, 0.1]]])
    found = fit_repeats(sessions, units_of(sessions, 0.5), 1)
    nll = found.nll(sessions[0], np.array([0.5, 0.0]))
    assert np.isfinite(nll["values"]).all()
    assert np.isfinite(nll["dt"]).all()
    assert len(nll["dt"]) == 3
