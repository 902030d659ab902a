import keras
import numpy as np
import pytest
from keras import ops

import mixtura as mx
from mixtura.models import tabular_ensemble
from mixtura.training import KeepBestMembers, Run, fit, resuming

MEMBER = mx.Mixture(mx.Normal(1), 2)
M = 3


class Metric:
    """Says what it is told."""

    num_members = M

    def __init__(self):
        self.told = np.zeros(M)

    def values(self):
        return ops.convert_to_tensor(self.told)


class Model:
    """Has one weight, a slice for each member."""

    def __init__(self):
        self.metric = Metric()
        self.trainable_weights = [keras.Variable(np.zeros((M, 2), "float32")) for _ in range(2)]
        self._compile_metrics = type("Compiled", (), {"metrics": [object(), self.metric]})()
        self.stop_training = False


def live(losses, patience=100):
    """Go through epochs in which all weights are the epoch's number; return the callback and the model."""
    model, callback = Model(), KeepBestMembers(patience)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, told in enumerate(losses):
        for weight in model.trainable_weights:
            weight.assign(np.full((M, 2), float(epoch)))
        model.metric.told = np.array(told, "float32")
        callback.on_epoch_end(epoch)
        if model.stop_training:
            break
    callback.on_train_end()
    return callback, model


LOSSES = [[3, 1, 5], [2, 2, 5], [4, 3, 5], [1.5, 4, 2], [9, 9, 9]]


def test_every_member_keeps_its_own_best_epoch():
    callback, model = live(LOSSES)
    np.testing.assert_array_equal(callback.best, [1.5, 1, 2])
    np.testing.assert_array_equal(callback.best_epochs, [3, 0, 3])
    for weight in model.trainable_weights:
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), [[3, 3], [0, 0], [3, 3]])


def test_equal_losses_keep_the_first_and_nan_is_never_better():
    callback, model = live([[1, np.nan, 1], [1, 2, np.nan], [1, 2, np.nan]])
    np.testing.assert_array_equal(callback.best_epochs, [0, 1, 0])
    kept = ops.convert_to_numpy(model.trainable_weights[0])[:, 0]
    np.testing.assert_array_equal(kept, [0, 1, 0])


def test_training_stops_when_no_member_has_improved_for_so_long():
    callback, model = live([*LOSSES, *[[9, 9, 9]] * 20], patience=4)
    assert model.stop_training
    assert ops.convert_to_numpy(model.trainable_weights[0])[0, 0] == 3
    # One member that goes on keeps all going.
    callback, model = live([[1, 1, 10 - epoch] for epoch in range(10)], patience=4)
    assert not model.stop_training
    np.testing.assert_array_equal(callback.best_epochs, [0, 0, 9])


def test_it_forgets_what_another_training_has_kept():
    callback, model = live(LOSSES)
    callback.on_train_begin()
    model.metric.told = np.full(M, 100.0, "float32")
    model.trainable_weights[0].assign(np.full((M, 2), 7.0))
    callback.on_epoch_end(0)
    callback.on_train_end()
    np.testing.assert_array_equal(ops.convert_to_numpy(model.trainable_weights[0]), 7)


def test_the_metric_must_be_there():
    model = keras.Sequential([keras.Input((1,)), mx.MDN(MEMBER)])
    model.compile("sgd", mx.NegativeLogLikelihood(MEMBER))
    with pytest.raises(ValueError, match="needs a model compiled with the metric EnsembleLikelihoods"):
        model.fit(np.zeros((2, 1)), np.zeros((2, 1)), callbacks=[KeepBestMembers(3)], verbose=0)


# In training.

EPOCHS = 12


def data():
    """Noise, which members soon know by heart, and different rows to validate them on."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 2)).astype("float32"), rng.normal(size=(32, 1)).astype("float32")
    held_out = (np.arange(32)[:, None] % M == np.arange(M)).astype("float32")
    return x, y, 1 - held_out, held_out


def network():
    return tabular_ensemble(2, MEMBER, num_members=M, hidden=(16,), learning_rate=0.05, seed=0)


def train(model, callback, **options):
    x, y, trained, held_out = data()
    callbacks = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True), callback, *options.pop("callbacks", [])]
    return fit(
        model,
        x,
        y,
        sample_weight=trained,
        validation_data=(x, y, held_out),
        batch_size=16,
        epochs=EPOCHS,
        seed=0,
        verbose=0,
        callbacks=callbacks,
        **options,
    ).history


def member_losses(model):
    """Each member's loss on its rows, computed with NumPy."""
    x, y, _, held_out = data()
    table = ops.convert_to_numpy(model(x)).astype(float).reshape(32, 3, M, 2)
    members = [MEMBER(table[:, :, m].reshape(32, -1)).log_prob(y) for m in range(M)]
    return [-np.average(values, weights=held_out[:, m]) for m, values in enumerate(members)]


@pytest.fixture(scope="module")
def trained():
    model, callback = network(), KeepBestMembers(100)
    keras.utils.set_random_seed(0)
    return model, callback, train(model, callback)


def test_the_models_members_are_as_good_as_they_ever_were(trained):
    model, callback, history = trained
    assert member_losses(model) == pytest.approx(callback.best, rel=1e-4)
    assert callback.best.mean() <= min(history["val_member_likelihoods"])
    assert len(set(callback.best_epochs)) > 1
    assert callback.best_epochs.max() < EPOCHS


class Stop(Exception):
    pass


class Cut(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self._cut = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self._cut:
            raise Stop


@pytest.mark.parametrize("cut", [3, 8])
def test_an_interrupted_run_goes_on_to_the_same_members(cut, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(resuming, "INTERVAL", -1.0)
    model, callback, history = trained
    run = Run.begin(tmp_path / "run", {})
    with pytest.raises(Stop):
        train(network(), KeepBestMembers(100), run=run, callbacks=[Cut(cut)])
    run = Run.begin(tmp_path / "run", {}, resume=True)
    again, kept = network(), KeepBestMembers(100)
    assert train(again, kept, run=run, callbacks=[Cut(None)]) == history
    np.testing.assert_array_equal(kept.best, callback.best)
    np.testing.assert_array_equal(kept.best_epochs, callback.best_epochs)
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # A run that is over has them too.
    run = Run.begin(tmp_path / "run", {}, resume=True)
    finished = network()
    train(finished, KeepBestMembers(100), run=run, callbacks=[Cut(None)])
    for one, other in zip(finished.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
