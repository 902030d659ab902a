"""Files of the published experiments, against NumPy readings of the programs that wrote them."""

import json

import numpy as np
import pytest
from keras import ops

import mixtura as mx
from mixtura.errors import InputError
from mixtura.systems.world.formats import (
    read_controller,
    read_memory,
    read_record,
    read_series,
    read_starts,
    read_vision,
)

UNITS, LATENT = 4, 2


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def drawn(*shapes, seed=0):
    """Return arrays as such files hold them: integers, 10 000 times the weights."""
    rng = np.random.default_rng(seed)
    return [rng.integers(-6000, 6000, size=shape) for shape in shapes]


@pytest.fixture
def written(tmp_path):
    """Write a value as JSON, arrays as nested lists; return the file."""

    def write(value):
        path = tmp_path / "file.json"
        path.write_text(json.dumps([one.tolist() if hasattr(one, "tolist") else one for one in value]))
        return path

    return write


# Networks.

VISION = [
    *((4, 4, 3, 2), (2,), (4, 4, 2, 3), (3,)),  # 14x14 to 6x6 to 2x2
    *((12, LATENT), (LATENT,), (12, LATENT), (LATENT,), (LATENT, 7), (7,)),
    *((5, 5, 4, 7), (4,), (6, 6, 3, 4), (3,)),  # 1x1 to 5x5 to 14x14
]


def convolved(x, kernel, bias):
    size = (len(x) - len(kernel)) // 2 + 1
    out = np.zeros((size, size, kernel.shape[3]))
    for i, j in np.ndindex(size, size):
        patch = x[2 * i : 2 * i + len(kernel), 2 * j : 2 * j + len(kernel)]
        out[i, j] = np.einsum("uvc,uvco->o", patch, kernel) + bias
    return out


def painted(x, kernel, bias):
    size = 2 * (len(x) - 1) + len(kernel)
    out = np.zeros((size, size, kernel.shape[2])) + bias
    for i, j in np.ndindex(*x.shape[:2]):
        out[2 * i : 2 * i + len(kernel), 2 * j : 2 * j + len(kernel)] += np.einsum(
            "c,uvoc->uvo", x[i, j], kernel
        )
    return out


def test_v_sees_and_draws_as_the_program_does(written):
    arrays = drawn(*VISION)
    model = read_vision(written(arrays))
    k1, b1, k2, b2, km, bm, kv, bv, kd, bd, t1, c1, t2, c2 = (one / 10_000 for one in arrays)
    frame = np.random.default_rng(1).integers(256, size=(14, 14, 3), dtype=np.uint8)
    h = np.maximum(convolved(np.maximum(convolved(frame / 255, k1, b1), 0), k2, b2), 0).ravel()
    mean, log_variance = model.encode(frame[None])
    np.testing.assert_allclose(mean[0], h @ km + bm, rtol=1e-4)
    np.testing.assert_allclose(log_variance[0], h @ kv + bv, rtol=1e-4)
    z = np.array([0.5, -1.5])
    h = painted(np.maximum(painted((z @ kd + bd)[None, None], t1, c1), 0), t2, c2)
    np.testing.assert_allclose(model.decode(z[None])[0], 255 * sigmoid(h), atol=0.51)


def program(arrays, inputs):
    """Return the outputs of the program's LSTM and last layer, `(steps, columns)`."""
    kernel, bias, output, offset = (one / 10_000 for one in arrays)
    c = h = np.zeros(UNITS)
    made = []
    for x in inputs:
        i, j, f, o = np.split(np.concatenate([x, h]) @ kernel + bias, 4)
        c = c * sigmoid(f + 1) + sigmoid(i) * np.tanh(j)
        h = np.tanh(c) * sigmoid(o)
        made.append(h @ output + offset)
    return np.array(made)


def density(columns, z):
    """Return log p(z) of one step: five normals for each number, as the program's columns say."""
    logits, means, logs = columns.reshape(LATENT, 3, 5).swapaxes(0, 1)
    logits = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    each = logits - 0.5 * ((z[:, None] - means) / np.exp(logs)) ** 2 - logs - 0.5 * np.log(2 * np.pi)
    return np.log(np.exp(each).sum(axis=1)).sum()


def teacher_forced(model, events, actions):
    """Return M's parameters of what follows each event and action."""
    before = events[None, 0].astype("float32")
    following = np.concatenate([events[1:], events[:1]])[None].astype("float32")
    return ops.convert_to_numpy(model(following, actions[None].astype("float32"), before=before))[0]


def test_m_of_the_car_predicts_as_the_program_does(written):
    """The last layer was made first; three numbers are an action."""
    cell = drawn((LATENT + 3 + UNITS, 4 * UNITS), (4 * UNITS,))
    head = drawn((UNITS, 15 * LATENT), (15 * LATENT,), seed=1)
    model = read_memory(written([*head, *cell]))
    assert (model.family.names, model.inputs_size) == (("latent",), 3)
    rng = np.random.default_rng(2)
    z, actions = rng.normal(size=(6, LATENT)), rng.uniform(-1, 1, size=(6, 3))
    expected = program([*cell, *head], np.concatenate([z, actions], axis=1))
    params = teacher_forced(model, z, actions)
    np.testing.assert_allclose(params, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        model.family(params[:5]).log_prob(z[1:]),
        [density(columns, y) for columns, y in zip(expected[:5], z[1:], strict=True)],
        rtol=1e-4,
    )


@pytest.mark.slow
def test_m_of_doom_predicts_as_the_program_does(written):
    """The cell was made first; a flag follows the action, and the end's logit comes before the mixtures."""
    cell = drawn((LATENT + 2 + UNITS, 4 * UNITS), (4 * UNITS,))
    head = drawn((UNITS, 15 * LATENT + 1), (15 * LATENT + 1,), seed=1)
    model = read_memory(written([*cell, *head]))
    assert (model.family.names, model.inputs_size) == (("latent", "done"), 1)
    rng = np.random.default_rng(2)
    z, actions = rng.normal(size=(6, LATENT)), rng.uniform(-1, 1, size=(6, 1))
    flags = np.zeros((6, 1))
    expected = program([*cell, *head], np.concatenate([z, actions, flags], axis=1))
    params = teacher_forced(model, np.concatenate([z, flags], axis=1), actions)
    np.testing.assert_allclose(params, np.roll(expected, -1, axis=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.family(params)["done"].mean()[:, 0], sigmoid(expected[:, 0]), rtol=1e-4)


@pytest.mark.parametrize(
    ("shapes", "count"),
    [
        ([(256, 480), (480,), (35 + 256, 1024), (1024,)], 422_368),
        pytest.param([(66 + 512, 2048), (2048,), (512, 961), (961,)], 1_678_785, marks=pytest.mark.slow),
    ],
)
def test_published_sizes_are_read(written, shapes, count):
    """As many parameters as the programs print."""
    assert read_memory(written([np.zeros(shape, int) for shape in shapes])).count_params() == count


def test_c_of_doom_decides_as_the_program_does(written):
    """It is given z, c and h in that order, and has no bias."""
    rng = np.random.default_rng(0)
    given = rng.normal(size=LATENT + 2 * UNITS).round(4)
    form, params = read_controller(written([given, 958.5]), LATENT, UNITS, 1, "zhc", bias=False)
    z, h, c = (
        np.random.default_rng(seed).normal(size=size) for seed, size in ((1, LATENT), (2, UNITS), (3, UNITS))
    )
    expected = np.concatenate([z, c, h]) @ given
    made = form(np, params[None], np.concatenate([z, h, c])[None, None])
    np.testing.assert_allclose(made[0, 0], [expected])


@pytest.mark.parametrize("hidden", [0, 3])
def test_c_of_the_car_decides_as_the_program_does(written, hidden):
    """Biases come before weights, in a hidden layer too."""
    inputs = LATENT + UNITS
    sizes = [(hidden, inputs), (3, hidden)] if hidden else [(3, inputs)]
    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=columns), rng.normal(size=(rows, columns))) for columns, rows in sizes]
    path = written([np.concatenate([part.ravel() for layer in layers for part in layer]), 900.0])
    form, params = read_controller(path, LATENT, UNITS, 3, hidden=hidden)
    x = features = rng.normal(size=inputs)
    for number, (bias, weights) in enumerate(layers):
        x = np.tanh(x) if number else x
        x = x @ weights + bias
    np.testing.assert_allclose(form(np, params[None], features[None, None])[0, 0], x)


def test_starts(written):
    mean, log_variance = read_starts(written(drawn((5, LATENT), (5, LATENT))))
    expected = drawn((5, LATENT), (5, LATENT))
    np.testing.assert_allclose(mean, expected[0] / 10_000, rtol=1e-6)
    np.testing.assert_allclose(log_variance, expected[1] / 10_000, rtol=1e-6)


# Recordings.


def test_a_record_is_an_episode(tmp_path):
    path = tmp_path / "1234567.npz"
    rng = np.random.default_rng(0)
    frames = rng.integers(256, size=(6, 8, 8, 3), dtype=np.uint8)
    actions = rng.uniform(-1, 1, size=6).astype(np.float16)
    np.savez_compressed(path, obs=frames, action=actions)
    cut = read_record(path, limit=6)
    np.testing.assert_array_equal(cut.observations, frames)
    np.testing.assert_array_equal(cut.actions, actions[:5, None].astype(np.float32))
    assert (cut.seed, cut.terminated, cut.total) == (1234567, False, 5.0)
    ended = read_record(path, limit=7, reward=0.5)
    np.testing.assert_array_equal(ended.observations, np.concatenate([frames, frames[-1:]]))
    assert (len(ended), ended.terminated, ended.total) == (6, True, 3.0)
    assert not read_record(path).terminated


@pytest.mark.parametrize("lengths", [(4, 6, 3), (5, 5, 5)])
def test_series_of_any_lengths(tmp_path, lengths):
    rng = np.random.default_rng(0)
    parts = [[rng.normal(size=(length, LATENT)).astype(np.float16) for length in lengths] for _ in range(2)]
    actions = [rng.uniform(-1, 1, size=length).astype(np.float16) for length in lengths]
    arrays = {}
    for name, several in zip(("mu", "logvar", "action"), (*parts, actions), strict=True):
        arrays[name] = np.empty(len(lengths), object)
        arrays[name][:] = several
        if len({*lengths}) == 1:
            arrays[name] = np.array(several)
    np.savez_compressed(tmp_path / "series.npz", **arrays)
    series = read_series(tmp_path / "series.npz", limit=6)
    for one, mean, log_variance, action in zip(series, *parts, actions, strict=True):
        count = len(action) if one.terminated else len(action) - 1
        assert one.terminated == (len(action) < 6)
        assert len(one.mean) == len(one.log_variance) == count + 1
        np.testing.assert_array_equal(one.mean[: len(mean)], mean)
        np.testing.assert_array_equal(one.log_variance[: len(mean)], log_variance)
        np.testing.assert_array_equal(one.actions, action[:count, None])
        np.testing.assert_array_equal(one.rewards, np.ones(count))


# Mistakes.


@pytest.mark.parametrize(
    ("read", "value", "shown"),
    [
        (read_vision, [[1.0]], "is no V"),
        (read_vision, drawn(*VISION[:-2], (6, 6, 4, 4), (3,)), "is no V|arrays of shapes"),
        (read_vision, drawn(*VISION[:4], (11, 2), *VISION[5:]), "has arrays of shapes"),
        (read_memory, drawn((3, 4)), "expected two matrices, each with a bias"),
        (read_memory, drawn((3, 4), (4,), (5, 6), (6,)), "its matrices are"),
        (read_memory, [["a"]], "must be a list of arrays of integers"),
        (read_memory, {}, "must be a list of arrays of integers"),
        (read_starts, drawn((5, 2), (5, 3)), "two tables of one shape"),
        (lambda path: read_controller(path, 2, 4, 1), [[1.0, 2.0]], r"has parameters of shape \(2,\)"),
        (lambda path: read_controller(path, 2, 4, 1), {"a": 1}, "is no controller"),
    ],
)
def test_other_files_are_one_sentence(written, read, value, shown):
    with pytest.raises(InputError, match=shown):
        read(written(value))


def test_files_that_are_no_json(tmp_path):
    with pytest.raises(InputError, match="is no JSON file"):
        read_memory(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("read", "arrays", "shown"),
    [
        (read_record, {"obs": np.zeros((3, 2))}, "has no 'action'"),
        (read_record, {"obs": np.zeros((3, 2)), "action": np.zeros(2)}, "a row for each decision"),
        (read_series, {"mu": np.zeros((2, 3, 2)), "logvar": np.zeros((2, 3, 2))}, "has no 'action'"),
        (
            read_series,
            {"mu": np.zeros((2, 3, 2)), "logvar": np.zeros((2, 3, 2)), "action": np.zeros((2, 4))},
            "episode 0 must have",
        ),
        (
            read_series,
            {"mu": np.zeros((2, 3, 2)), "logvar": np.zeros((1, 3, 2)), "action": np.zeros((2, 3))},
            "equally many episodes",
        ),
    ],
)
def test_other_recordings_are_one_sentence(tmp_path, read, arrays, shown):
    np.savez(tmp_path / "file.npz", **arrays)
    with pytest.raises(InputError, match=shown):
        read(tmp_path / "file.npz")


def test_an_imported_memory_dreams(written):
    """What was read is a model like any other."""
    cell = drawn((LATENT + 1 + 1 + UNITS, 4 * UNITS), (4 * UNITS,))
    head = drawn((UNITS, 15 * LATENT + 1), (15 * LATENT + 1,), seed=1)
    drawn_events = read_memory(written([*cell, *head])).generate(
        5, inputs=np.zeros((5, 1)), seed=1, sampler=mx.Sampler.world_models(1.25)
    )
    assert drawn_events.events.shape == (1, 5, LATENT + 1)
