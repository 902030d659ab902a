import itertools

import mixtura as mx

# isort: split
import keras
import numpy as np
import pytest

from mixtura.data.sequences import Sequences
from mixtura.errors import InputError, TrainingError
from mixtura.models.mdn_rnn import MDNRNN
from mixtura.training import DataNoise, Ragged, Run, fit, resuming, state
from mixtura.training.batches import Batches
from mixtura.training.ragged import bucket_lengths

JAX = keras.backend.backend() == "jax"
RNG = np.random.default_rng(0)
LENGTHS = [2, 5, 3, 2, 5, 3, 5]
SOME = Sequences.of([RNG.normal(size=(length, 2)).astype("float32") for length in LENGTHS])
FAMILY = mx.Mixture(mx.Normal(2), 2)
START = np.array([7.0, 8.0])


def network(optimizer="sgd", **options):
    keras.utils.set_random_seed(3)
    model = MDNRNN(FAMILY, units=(3,), **options)
    model.compile(optimizer, loss=mx.NegativeLogLikelihood(FAMILY))
    return model


def per_step(model, sequences=SOME):
    """Return the negative log-likelihood per real step, from each sequence by itself."""
    total = 0.0
    for sequence in sequences:
        params = keras.ops.convert_to_numpy(model(sequence[None]))
        total -= FAMILY(params[0]).log_prob(sequence).sum()
    return total / len(sequences.data)


class PerBatch(keras.callbacks.Callback):
    """Needs every batch, so that Keras trains."""

    def on_train_batch_end(self, batch, logs=None):
        self.last = batch


# How sequences lie in rows


def test_padding_by_hand():
    rows = Ragged.padded(SOME, batch_size=2, buckets=2)
    (short, y, weight), (long, _, last) = rows.parts
    assert [part[1].shape for part in rows.parts] == [(4, 3, 2), (4, 5, 2)]
    for row, number in enumerate((0, 2, 3, 5)):
        sequence = SOME[number]
        filled = [*sequence, *[sequence[-1]] * (3 - len(sequence))]
        np.testing.assert_array_equal(short["events"][row], filled)
        assert (weight[row] > 0).tolist() == [i < len(sequence) for i in range(3)]
        assert rows.name(row) == f"sequence {number}"
    assert y is short["events"]
    assert list(short) == ["events"]
    np.testing.assert_array_equal(long["events"][:3], [SOME[1], SOME[4], SOME[6]])
    assert not last[3].any()  # it fills the batch
    # A step's share of a batch's loss, which Keras divides by the number of steps, is the same for all.
    shares = {float(w) / part[1].shape[1] for part in rows.parts for w in part[2].ravel() if w}
    np.testing.assert_allclose(list(shares), 8 / 25, rtol=1e-6)
    assert (rows.steps, rows.padding) == (25, 1 - 25 / 32)
    assert repr(rows) == "Ragged(rows: 4 of 3 steps, 4 of 5 steps; batches of 2; 22% padding)"


def test_windows_by_hand():
    sequence = np.arange(7.0)[:, None] * [1, 10]
    rows = Ragged.windows([sequence, sequence[:2] + 100], 4, 2, start=START, batch_size=2)
    ((x, y, weight),) = rows.parts
    firsts = [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 6], [100, 101, 101, 101]]
    np.testing.assert_array_equal(x["events"][..., 0], firsts)
    np.testing.assert_array_equal(x["before"], [START, [1, 10], [3, 30], START])
    np.testing.assert_array_equal(weight > 0, [[1] * 4, [1] * 4, [1, 1, 1, 0], [1, 1, 0, 0]])
    np.testing.assert_allclose(weight.sum(), 16, rtol=1e-6)
    assert y is x["events"]
    names = ["sequence 0", "sequence 0 from step 2", "sequence 0 from step 4", "sequence 1"]
    assert [rows.name(row) for row in range(4)] == names
    whole = Ragged.windows([sequence], 4, start=START, batch_size=1)
    assert [whole.name(row) for row in range(2)] == ["sequence 0", "sequence 0 from step 4"]


def test_streams_by_hand():
    long, short = np.arange(9.0)[:, None] * [1, 10], np.arange(100.0, 103.0)[:, None] * [1, 10]
    rows = Ragged.streams([long, short], 2, start=START, batch_size=2)
    assert rows.is_ordered
    ((x, _, weight),) = rows.parts
    # Lane 0: steps 0-7 of the long sequence; lane 1: its last step, the short one, and a row that fills.
    lanes = x["events"][..., 0].reshape(4, 2, 2)
    assert lanes[:, 0].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert lanes[:3, 1].tolist() == [[8, 8], [100, 101], [102, 102]]
    assert x["fresh"].reshape(4, 2).tolist() == [[True, True], [False, True], [False, False], [False, True]]
    np.testing.assert_array_equal(x["before"].reshape(4, 2, 2)[:3, 1], [[7, 70], START, [101, 1010]])
    np.testing.assert_array_equal((weight > 0).reshape(4, 2, 2)[:, 1], [[1, 0], [1, 1], [1, 0], [0, 0]])


def test_what_belongs_to_the_steps_and_the_sequences():
    actions = SOME.map(lambda events: events[:, :1] * 2)
    given = [np.arange(length) > 0 for length in LENGTHS]
    rows = Ragged.padded(SOME, 3, 2, inputs=actions, context=np.arange(7)[:, None], weights=given)
    for x, _, weight in rows.parts:
        np.testing.assert_array_equal(x["inputs"], x["events"][..., :1] * 2)
        assert x["context"].shape == (len(weight), 1)
        assert not weight[:, 0].any()
    assert rows.steps == 25 - 7
    assert rows.parts[0][0]["context"][:4, 0].tolist() == [0, 2, 3, 5]
    assert rows.parts[0][0]["context"].dtype.kind == "i"


@pytest.mark.parametrize("batch_size", [1, 3])
def test_padded_lengths_leave_the_fewest_steps(batch_size):
    def cost(lengths, ends):
        bucket = np.searchsorted(ends, lengths)
        return sum(-(-(bucket == k).sum() // batch_size) * batch_size * end for k, end in enumerate(ends))

    for seed in range(20):
        rng = np.random.default_rng(seed)
        lengths = rng.geometric(0.2, size=rng.integers(1, 12))
        for buckets in (1, 2, 3, 20):
            known = np.unique(lengths)[:-1]
            every = [
                sorted([*inner, lengths.max()])
                for count in range(min(buckets, len(known) + 1))
                for inner in itertools.combinations(known, count)
            ]
            found = bucket_lengths(lengths, buckets, batch_size)
            assert len(found) <= buckets
            assert cost(lengths, found) == min(cost(lengths, ends) for ends in every)


# Batches


def test_every_row_is_in_one_batch_and_parts_mix():
    batches = Batches(Ragged.padded(SOME, 1, 3), 32, seed=0)
    orders = []
    for epoch in range(2):
        batches.start(epoch)
        parts = [batches[step][1].shape[1] for step in range(len(batches))]
        assert parts != sorted(parts)
        orders.append(batches.order.tolist())
        assert sorted(orders[-1]) == list(range(7))
    assert orders[0] != orders[1]
    batches.start(0)
    assert batches.order.tolist() == orders[0]
    unshuffled = Batches(Ragged.padded(SOME, 1, 3), 32, shuffle=False)
    unshuffled.start(1)
    assert [unshuffled[step][1].shape[1] for step in range(7)] == [2, 3, 5, 2, 3, 5, 5]


def test_segments_are_the_batches():
    batches = Batches(Ragged.padded(SOME, 2, 2), 32, seed=0)
    batches.start(0)
    for step, (part, first, whole, rest) in enumerate(batches.segments()):
        assert (first, whole.shape) == (step, (0, 2))
        np.testing.assert_array_equal(batches.parts[part][1][rest], batches[step][1])
    assert step == 3
    assert [batches.split(part)[0].shape for part in (0, 1)] == [(2, 2), (2, 2)]
    assert sorted(batches.split(1)[0].ravel()) == [0, 1, 2, 3]


# Training


@pytest.mark.slow
def test_the_loss_is_the_negative_log_likelihood_per_real_step():
    rows = Ragged.padded(SOME, 2, 2)
    model = network(keras.optimizers.SGD(0.0))
    history = fit(model, rows, validation_data=rows, seed=0, verbose=0).history
    np.testing.assert_allclose([*history["loss"], *history["val_loss"]], per_step(model), rtol=1e-5)


def test_a_gradient_does_not_depend_on_neighbours_and_padding():
    """A batch moves the weights by what its sequences, each alone and unpadded, move them by."""
    chosen = SOME[:2]

    def moved(sequences):
        model = network(keras.optimizers.SGD(1.0))
        before = model.get_weights()
        fit(model, Ragged.padded(sequences, 2, 1), verbose=0)
        return [new - old for new, old in zip(model.get_weights(), before, strict=True)]

    together = moved(chosen)
    alone = [moved(chosen[[number]]) for number in range(2)]
    for place, found in enumerate(together):
        parts = zip(alone, chosen.lengths, strict=True)
        expected = sum(move[place] * length for move, length in parts) / chosen.lengths.sum()
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_windows_are_trained_on_with_the_event_before():
    rows = Ragged.windows(SOME, 2, 1, start=network().start_event(), batch_size=4)
    model = network(keras.optimizers.SGD(0.0))
    loss = fit(model, rows, seed=0, verbose=0).history["loss"][0]
    ((x, y, weight),) = rows.parts
    params = keras.ops.convert_to_numpy(model(x))
    log_prob = FAMILY(params).log_prob(y)
    np.testing.assert_allclose(loss, -log_prob[weight > 0].mean(), rtol=1e-5)


@pytest.mark.slow
def test_keras_meets_the_same_batches():
    """Keras trains where a callback needs every batch, and off JAX."""
    rows = Ragged.padded(SOME, 2, 2)

    def losses(*callbacks, seed=1):
        options = {"validation_data": rows, "seed": seed, "verbose": 0}
        return fit(network(), rows, epochs=2, callbacks=list(callbacks), **options).history

    first = losses()
    again = losses(PerBatch())
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(again[name], first[name], rtol=1e-5)
    assert losses() == first
    assert losses(seed=2)["loss"] != first["loss"]


@pytest.mark.skipif(not JAX, reason="compiled epochs are JAX's")
def test_a_part_compiles_once(monkeypatch):
    from mixtura.training import programs

    monkeypatch.setattr(programs, "_shared", type(programs._shared)())
    rows = Ragged.padded(SOME, 2, 2)
    model = network()
    fit(model, rows, epochs=3, seed=0, verbose=0, validation_data=rows)
    own = programs.programs(model, None)
    assert (own.train._compiled._cache_size(), own.test._compiled._cache_size()) == (2, 2)


class Power(Exception):
    pass


class Cut(keras.callbacks.Callback):
    """Cuts the power at the end of an epoch."""

    def __init__(self, epoch=None):
        super().__init__()
        self._cut = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self._cut:
            raise Power


@pytest.mark.slow
def test_a_resumed_run_is_an_uninterrupted_one(tmp_path, monkeypatch):
    monkeypatch.setattr(resuming, "INTERVAL", -1.0)
    rows = Ragged.padded(SOME, 2, 2)

    def train(folder, cut=None, rows=rows):
        model = network()
        run = Run.begin(tmp_path / folder, {}, resume=True)
        options = {"validation_data": rows, "noise": DataNoise(0.1), "seed": 4, "verbose": 0}
        history = fit(model, rows, epochs=4, run=run, callbacks=[Cut(cut)], **options)
        return history.history, model.get_weights()

    whole = train("whole")
    with pytest.raises(Power):
        train("cut", 2)
    np.testing.assert_equal(train("cut"), whole)
    with pytest.raises(InputError, match="was begun with training data"):
        train("cut", rows=Ragged.padded(SOME, 2, 1))
    loaded = mx.load(tmp_path / "cut")
    np.testing.assert_equal(loaded.get_weights(), whole[1])


@pytest.mark.slow
def test_a_lost_loss_names_the_sequence(monkeypatch):
    if JAX:  # neither use programs that are there nor leave some
        from mixtura.training import programs

        monkeypatch.setattr(programs, "_shared", type(programs._shared)())
    log_prob = mx.Mixture._log_prob

    def partly(self, xp, params, y):
        return log_prob(self, xp, params, y) + xp.where(y[..., 0] > 50, np.float32(np.nan), np.float32(0))

    monkeypatch.setattr(mx.Mixture, "_log_prob", partly)
    data = SOME.data.copy()
    data[SOME.offsets[4] + 1] = 60
    rows = Ragged.padded(Sequences(data, SOME.offsets), 3, 2)
    model = network()
    with pytest.raises(TrainingError, match=r"sequence 4 alone causes it.* at time step 1"):
        fit(model, rows, seed=0, verbose=0)
    for found, wanted in zip(model.get_weights(), network().get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_building_needs_no_batch_of_each_part():
    model = network()
    state.build(model, Batches(Ragged.padded(SOME, 2, 2), 2, seed=0))
    assert model.optimizer.built


# Mistakes


@pytest.mark.parametrize(
    ("layout", "error", "message"),
    [
        (lambda: Ragged.padded([]), ValueError, "there are no sequences"),
        (
            lambda: Ragged.padded([np.full((2, 1), np.nan)]),
            InputError,
            "sequence 0, step 0, dimension 0 is nan",
        ),
        (lambda: Ragged.padded(SOME, 0), ValueError, "batch_size"),
        (lambda: Ragged.padded(SOME, buckets=0), ValueError, "buckets"),
        (lambda: Ragged.padded(SOME, inputs=SOME[:3]), ValueError, "inputs must have as many sequences"),
        (
            lambda: Ragged.padded(SOME, context=np.zeros((3, 1))),
            ValueError,
            r"context must have one entry for each of 7 sequences; received the shape \(3, 1\)",
        ),
        (
            lambda: Ragged.padded(SOME, weights=[np.zeros(length) for length in LENGTHS]),
            ValueError,
            "every step has the weight 0",
        ),
        (
            lambda: Ragged.padded(SOME, weights=[np.full(length, -1.0) for length in LENGTHS]),
            ValueError,
            "weights must be 0 or more; received -1",
        ),
        (lambda: Ragged.windows(SOME, 3, 4, start=START), ValueError, "stride must be at most length, 3"),
        (
            lambda: Ragged.windows(SOME, 3, start=[0.0]),
            ValueError,
            r"start must have the shape \(2,\); received \(1,\)",
        ),
        (lambda: Ragged.streams(SOME, 0, start=START), ValueError, "length"),
    ],
)
def test_what_cannot_be_laid_out(layout, error, message):
    with pytest.raises(error, match=message):
        layout()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"y": SOME.data}, "leave out y"),
        ({"batch_size": 4, "validation_split": 0.1}, "leave out batch_size, validation_split"),
        ({"steps_per_epoch": 2}, "leave out steps_per_epoch"),
    ],
)
def test_what_a_ragged_has_in_it(options, message):
    with pytest.raises(ValueError, match=message):
        fit(network(), Ragged.padded(SOME, 2), **options)


def test_events_of_other_dimensions():
    other = Ragged.padded([np.zeros((3, 1))])
    with pytest.raises(InputError, match="the model's events have 2 dimensions, the sequences 1"):
        fit(network(), other)
    with pytest.raises(InputError, match="the model's events have 2 dimensions, the sequences 1"):
        fit(network(), Ragged.padded(SOME), validation_data=other)


def test_targets_are_dithered_and_inputs_are_not():
    rows = Ragged.padded([np.ones((400, 2)), np.ones((3, 2))], batch_size=1, buckets=2)
    noisy = rows.dithered([0.5, 0.0], seed=1)
    for (x, y, weight), (x_before, y_before, weight_before) in zip(noisy.parts, rows.parts, strict=True):
        assert x is x_before
        assert weight is weight_before
        np.testing.assert_array_equal(y[..., 1], y_before[..., 1])
        assert y.dtype == y_before.dtype
    noise = noisy.parts[1][1][0, :, 0] - 1
    assert abs(noise).max() <= 0.25
    np.testing.assert_allclose(noise.var(), 0.25 / 12, rtol=0.2)
    np.testing.assert_array_equal(noisy.parts[1][1], rows.dithered([0.5, 0.0], seed=1).parts[1][1])
