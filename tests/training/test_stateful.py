import mixtura as mx

# isort: split
import keras
import numpy as np
import pytest

from mixtura.errors import TrainingError
from mixtura.models.mdn_rnn import MDNRNN
from mixtura.training import Ragged, Run, Stateful, fit, resuming

RNG = np.random.default_rng(0)
SOME = [RNG.normal(size=(length, 2)).astype("float32") for length in (5, 4, 5, 4)]
FAMILY = mx.Mixture(mx.Normal(2), 2)


def network(**options):
    keras.utils.set_random_seed(3)
    return MDNRNN(FAMILY, units=(3,), **options)


def stateful(model=None, batch_size=2, optimizer="sgd"):
    model = Stateful(network() if model is None else model, batch_size)
    model.compile(optimizer, loss=mx.NegativeLogLikelihood(FAMILY))
    return model


def streams(sequences=SOME, length=2, batch_size=2, **options):
    start = network().start_event()
    return Ragged.streams(sequences, length, start=start, batch_size=batch_size, **options)


def batches(rows):
    ((x, y, weight),) = rows.parts
    for first in range(0, len(y), rows.batch_size):
        where = slice(first, first + rows.batch_size)
        yield {name: value[where] for name, value in x.items()}, y[where], weight[where]


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.slow
def test_the_carried_forward_pass_is_that_of_whole_sequences():
    """Two lanes of five chunks: sequences 0 and 1, and 2 and 3."""
    labels = RNG.normal(size=(4, 1)).astype("float32")
    inner = network(context_size=1)
    model = stateful(inner)
    params = [numbers(model(x, training=True)) for x, _, _ in batches(streams(context=labels))]
    for lane, own in ((0, (0, 1)), (1, (2, 3))):
        found = np.concatenate([step[lane] for step in params])
        first = 0
        for number in own:
            whole = numbers(inner(SOME[number][None], context=labels[[number]]))[0]
            np.testing.assert_allclose(found[first : first + len(whole)], whole, atol=1e-5)
            first += 2 * -(-len(whole) // 2)


def test_a_lane_that_begins_within_a_sequence_starts_anew_after_the_event_before():
    inner, sequence = network(), SOME[0]
    params = [numbers(stateful(inner)(x, training=True)) for x, _, _ in batches(streams([sequence], 3))]
    expected = numbers(inner(sequence[None, 3:], before=sequence[None, 2]))[0]
    np.testing.assert_allclose(params[0][1][:2], expected, atol=1e-5)


@pytest.mark.slow
def test_the_gradient_is_truncated_where_a_chunk_begins():
    """By hand: the second chunk's loss with the state of the first as a constant."""
    sequence, rate = SOME[0][:4], 0.1
    model = stateful(batch_size=1, optimizer=keras.optimizers.SGD(rate))
    fit(model, streams([sequence], batch_size=1), verbose=0)

    hand = network()
    hand.compile(keras.optimizers.SGD(rate), loss=mx.NegativeLogLikelihood(FAMILY))
    first, second = sequence[None, :2], sequence[None, 2:]
    carried = keras.tree.map_structure(numbers, hand.unroll(first)[1])
    hand.train_on_batch({"events": first}, first)
    hand.train_on_batch({"events": second, "before": first[:, 1], "state": carried}, second)
    for found, wanted in zip(model.model.get_weights(), hand.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_losses_are_per_real_step_of_whole_sequences_in_validation_too():
    model = stateful(optimizer=keras.optimizers.SGD(0.0))
    history = fit(model, streams(), validation_data=streams(), epochs=2, verbose=0).history
    total = sum(FAMILY(numbers(model.model(s[None]))[0]).log_prob(s).sum() for s in SOME)
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(history[name], [-total / sum(map(len, SOME))] * 2, rtol=1e-5)


def test_one_row_alone_leaves_the_state():
    model = stateful()
    x, *_ = next(batches(streams()))
    model(x, training=True)
    state = [numbers(part) for part in model.carried]
    assert all(np.abs(part).min() > 0 for part in state)
    model({name: value[:1] for name, value in x.items()}, training=True)  # one row is none of the lanes
    for part, before in zip(model.carried, state, strict=True):
        np.testing.assert_array_equal(numbers(part), before)


@pytest.mark.slow
def test_a_lost_loss_names_the_place(monkeypatch):
    if keras.backend.backend() == "jax":  # neither use programs that are there nor leave some
        from mixtura.training import programs

        monkeypatch.setattr(programs, "_shared", type(programs._shared)())
    log_prob = mx.Mixture._log_prob

    def partly(self, xp, params, y):
        return log_prob(self, xp, params, y) + xp.where(y[..., 0] > 50, np.float32(np.nan), np.float32(0))

    monkeypatch.setattr(mx.Mixture, "_log_prob", partly)
    far = [sequence.copy() for sequence in SOME]
    far[2][3] = 60
    model = stateful()
    with pytest.raises(TrainingError, match=r"step 2: sequence 2 from step 2 alone causes it"):
        fit(model, streams(far), verbose=0)


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


def test_a_resumed_run_is_an_uninterrupted_one(tmp_path, monkeypatch):
    monkeypatch.setattr(resuming, "INTERVAL", -1.0)

    def train(folder, cut=None):
        model = stateful()
        run = Run.begin(tmp_path / folder, {}, resume=True)
        history = fit(model, streams(), epochs=3, run=run, callbacks=[Cut(cut)], seed=0, verbose=0)
        return history.history, model.get_weights()

    whole = train("whole")
    with pytest.raises(Power):
        train("cut", 2)
    np.testing.assert_equal(train("cut"), whole)
    loaded = mx.load(tmp_path / "cut")  # the model itself, without what training carries
    np.testing.assert_equal(loaded.get_weights(), whole[1][-len(loaded.weights) :])


def test_the_wrapped_model_need_not_be_compiled_and_may_be(tmp_path):
    inner = network()
    inner.compile("adam", loss=mx.NegativeLogLikelihood(FAMILY))
    model = stateful(inner)
    x, *_ = next(batches(streams()))
    model(x)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert (loaded.batch_size, loaded.family) == (2, FAMILY)
    np.testing.assert_equal(loaded.get_weights(), model.get_weights())
    with pytest.raises(ValueError, match="batch_size"):
        Stateful(inner, 0)
