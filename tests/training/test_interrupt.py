import os
import signal
import threading
import time

import keras
import numpy as np
import pytest

from mixtura.training import fit
from mixtura.training.interrupt import StopAfterEpoch

JAX = keras.backend.backend() == "jax"
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(16, 2)).astype("float32"), RNG.normal(size=(16, 1)).astype("float32")


def press():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)  # Python calls the handler soon, not at once


def network(rate=0.01):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model


class Press(keras.callbacks.Callback):
    """Presses Ctrl-C at the start of an epoch, and notes what happens from then on."""

    def __init__(self, epoch, times=1):
        super().__init__()
        self.epoch, self.times, self.events = epoch, times, []

    def on_epoch_begin(self, epoch, logs=None):
        self.events.append(f"begin {epoch}")
        if epoch == self.epoch:
            for _ in range(self.times):
                press()

    def on_epoch_end(self, epoch, logs=None):
        self.events.append(f"end {epoch}")

    def on_train_end(self, logs=None):
        self.events.append("train end")


class Counter(keras.callbacks.Callback):
    """Needs every batch, so that Keras trains."""

    def on_train_batch_end(self, batch, logs=None):
        self.last = batch


PATHS = [
    pytest.param([], id="compiled", marks=pytest.mark.skipif(not JAX, reason="only JAX compiles epochs")),
    pytest.param([Counter], id="by_keras"),
]


@pytest.mark.parametrize("others", PATHS)
@pytest.mark.parametrize("seed", [None, 0])
def test_the_epoch_and_training_end_in_order(others, seed, capsys):
    before = signal.getsignal(signal.SIGINT)
    model, pressed = network(), Press(1)
    callbacks = [pressed, *[other() for other in others]]
    with pytest.raises(KeyboardInterrupt):
        fit(model, X, Y, epochs=9, callbacks=callbacks, seed=seed, verbose=0)
    assert pressed.events == ["begin 0", "end 0", "begin 1", "end 1", "train end"]
    assert model.history.epoch == [0, 1]
    assert model.optimizer.iterations == 2
    assert signal.getsignal(signal.SIGINT) is before
    assert "Stopping after this epoch" in capsys.readouterr().err


def test_early_stopping_restores_the_best_weights():
    class First(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                self.weights = self.model.get_weights()

    model, first = network(rate=2.0), First()  # worse in every epoch
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=9, restore_best_weights=True)
    with pytest.raises(KeyboardInterrupt):
        fit(model, X, Y, epochs=9, validation_data=(X, Y), callbacks=[first, stopping, Press(3)], verbose=0)
    assert stopping.best_epoch == 0
    assert len(model.history.epoch) == 4
    assert all(map(np.array_equal, model.get_weights(), first.weights))


def test_pressed_while_the_last_epoch_runs_it_is_raised_too():
    pressed = Press(1)
    with pytest.raises(KeyboardInterrupt):
        fit(network(), X, Y, epochs=2, callbacks=[pressed], verbose=0)
    assert pressed.events[-2:] == ["end 1", "train end"]


def test_from_a_timer():
    class Slow(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            time.sleep(0.01)

    model = network()
    timer = threading.Timer(1.0, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        fit(model, X, Y, epochs=100_000, callbacks=[Slow()], verbose=0)
    assert 0 < len(model.history.epoch) < 100_000
    assert model.optimizer.iterations == len(model.history.epoch)


def test_the_second_stops_at_once():
    before = signal.getsignal(signal.SIGINT)
    model, pressed = network(), Press(1, times=2)
    with pytest.raises(KeyboardInterrupt):
        fit(model, X, Y, epochs=9, callbacks=[pressed], verbose=0)
    assert pressed.events == ["begin 0", "end 0", "begin 1"]
    assert signal.getsignal(signal.SIGINT) is before
    assert np.isfinite(model.get_weights()[0]).all()
    fit(model, X, Y, verbose=0)  # it can go on


def test_an_error_is_not_covered_up():
    before = signal.getsignal(signal.SIGINT)

    def fail():
        press()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), StopAfterEpoch():
        fail()
    assert signal.getsignal(signal.SIGINT) is before


def test_where_ctrl_c_is_ignored_it_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        pressed = Press(0)
        fit(network(), X, Y, epochs=2, callbacks=[pressed], verbose=0)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed.events[-1] == "train end"


def test_in_another_thread_nothing_happens():
    before, results = signal.getsignal(signal.SIGINT), []

    def train():
        results.append(fit(network(), X, Y, epochs=2, verbose=0).epoch)
        results.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert results == [[0, 1], before]


def test_training_that_something_else_has_stopped_is_not_taken_for_interrupted():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    model = network()
    with pytest.raises(KeyboardInterrupt), StopAfterEpoch() as interrupt:
        model.fit(X, Y, epochs=3, callbacks=[Press(0), Stop(), interrupt], verbose=0)
    assert not interrupt.stopped
    with pytest.raises(KeyboardInterrupt), StopAfterEpoch() as interrupt:
        model.fit(X, Y, epochs=3, callbacks=[Press(0), interrupt], verbose=0)
    assert interrupt.stopped
