import csv
import os
import signal

import mixtura as mx

# isort: split
import keras
import numpy as np
import pytest

from mixtura.errors import InputError
from mixtura.training import DataNoise, Run, fit, resuming

EPOCHS = 8
FAMILY = mx.Mixture(mx.Normal(1), 2)


@pytest.fixture(autouse=True)
def _every_epoch_is_kept(monkeypatch):
    monkeypatch.setattr(resuming, "INTERVAL", -1.0)


class Power(Exception):
    pass


class Cut(keras.callbacks.Callback):
    """Cuts the power, or does something else, at the end of an epoch."""

    def __init__(self, epoch=None, act=None):
        super().__init__()
        self._cut, self._act = epoch, act
        self.epochs = {}  # not a list, which a resumed run would find again

    def on_epoch_end(self, epoch, logs=None):
        self.epochs[epoch + 1] = True
        if epoch + 1 == self._cut:
            if self._act is None:
                raise Power
            self._act()


def network(optimizer, *layers, dtype=None):
    keras.utils.set_random_seed(3)
    layers = [make() for make in layers or (lambda: keras.layers.Dense(4, "tanh"),)]
    model = keras.Sequential([keras.Input((1,)), *layers, mx.MDN(FAMILY)])
    model.compile(optimizer, loss=mx.NegativeLogLikelihood(FAMILY), weighted_metrics=[])
    return model


def data(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (36, 1)).astype("float32")
    return x, np.sin(3 * x) + 0.3 * rng.standard_normal(x.shape).astype("float32")


def adam(**kwargs):
    return keras.optimizers.Adam(**{"learning_rate": 0.05, **kwargs})


# The optimiser, the layers, the callbacks and other arguments of `fit`.
CASES = {
    "plain": {},
    "momentum": {"optimizer": lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True)},
    "no state": {"optimizer": lambda: keras.optimizers.SGD(0.01)},
    "schedule": {"optimizer": lambda: adam(learning_rate=keras.optimizers.schedules.CosineDecay(0.1, 20))},
    "averaged weights": {"optimizer": lambda: adam(use_ema=True, ema_momentum=0.8)},
    "averaged weights, swapped": {
        "optimizer": lambda: adam(use_ema=True, ema_momentum=0.8),
        "callbacks": lambda: [keras.callbacks.SwapEMAWeights()],
    },
    "averaged weights, swapped every epoch": {
        "optimizer": lambda: adam(use_ema=True, ema_momentum=0.8),
        "callbacks": lambda: [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)],
    },
    "plateaus": {
        "callbacks": lambda: [keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=2, min_delta=0.05)]
    },
    "plateaus with a rest": {
        "callbacks": lambda: [keras.callbacks.ReduceLROnPlateau(patience=1, min_delta=0.2, cooldown=2)]
    },
    "scheduler": {"callbacks": lambda: [keras.callbacks.LearningRateScheduler(lambda e, rate: rate * 0.9)]},
    "early stopping": {
        "callbacks": lambda: [
            keras.callbacks.EarlyStopping(patience=3, min_delta=0.05, restore_best_weights=True)
        ]
    },
    "own history": {"callbacks": lambda: [keras.callbacks.History()]},
    "dropout": {"layers": [lambda: keras.layers.Dense(8, "tanh"), lambda: keras.layers.Dropout(0.3)]},
    "batch normalisation": {"layers": [lambda: keras.layers.Dense(4), keras.layers.BatchNormalization]},
    "noise": {"arguments": {"noise": DataNoise(0.1, 0.2)}},
    "in order": {"arguments": {"shuffle": False}},
    "validation now and then": {"arguments": {"validation_freq": 3}},
    "validation by share": {"arguments": {"validation_data": None, "validation_split": 0.25}},
}


class Training:
    """A training that can be started again and again, as a program is."""

    def __init__(self, path, optimizer=adam, layers=(), callbacks=list, arguments=None):
        self.path, self._optimizer, self._layers, self._callbacks = path, optimizer, layers, callbacks
        self._arguments = {"validation_data": data(1), "verbose": 0} | (arguments or {})

    def start(self, *cut, folder="run", epochs=EPOCHS, **changes):
        self.model = network(self._optimizer(), *self._layers)
        self.cut = Cut(*cut)
        self.callbacks = [*self._callbacks(), self.cut]
        self.run = Run.begin(self.path / folder, {"a": 1}, resume=True)
        arguments = {"seed": 5, **self._arguments, **changes}
        x, y = arguments.pop("data", data())
        self.history = fit(self.model, x, y, 8, epochs, callbacks=self.callbacks, run=self.run, **arguments)
        return self.result()

    def result(self):
        variables = [*self.model.variables, *self.model.optimizer.variables]
        return {
            "history": self.history.history,
            "epoch": self.history.epoch,
            "variables": [keras.ops.convert_to_numpy(variable) for variable in variables],
        }


def check_history_file(training):
    with (training.path / "run" / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    history = training.history.history
    assert [row.pop("epoch") for row in rows] == [str(1 + epoch) for epoch in training.history.epoch]
    columns = {name: [float(row[name]) for row in rows if row[name]] for name in rows[0]}
    assert columns == history


QUICK = ["averaged weights, swapped", "early stopping", "dropout", "validation now and then"]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name, marks=() if name in QUICK else pytest.mark.slow)
        for name, case in CASES.items()
    ],
)
def test_a_run_that_broke_off_ends_as_if_it_had_not(tmp_path, case):
    training = Training(tmp_path, **case)
    expected = training.start(folder="whole")
    for epoch in 1, 4, 6:
        if epoch <= len(expected["epoch"]):
            with pytest.raises(Power):
                training.start(epoch)
    np.testing.assert_equal(training.start(), expected)
    assert max(training.cut.epochs) == len(expected["epoch"])
    assert min(training.cut.epochs) > 3  # it did not begin anew
    check_history_file(training)
    np.testing.assert_equal(mx.load(tmp_path / "run").get_weights(), training.model.get_weights())
    assert sorted(os.listdir(tmp_path / "run")) == [
        "checkpoint.npz",
        "config.json",
        "history.csv",
        "model.keras",
    ]


def test_it_stops_early_in_the_same_epoch_wherever_it_broke_off(tmp_path):
    training = Training(tmp_path, **CASES["early stopping"])
    expected = training.start(folder="whole", epochs=40)
    last = len(expected["epoch"])
    assert 5 < last < 40
    waits = []
    for epoch in range(last - 4, last + 1):
        with pytest.raises(Power):
            training.start(epoch, folder=f"run{epoch}", epochs=40)
        waits.append(training.callbacks[0].wait)
        np.testing.assert_equal(training.start(folder=f"run{epoch}", epochs=40), expected)
    assert set(waits) >= {1, 2, 3}


def test_epochs_that_were_not_kept_are_repeated(tmp_path, monkeypatch):
    training = Training(tmp_path, **CASES["dropout"])
    expected = training.start(folder="whole")
    monkeypatch.setattr(resuming, "INTERVAL", 1e9)
    for epoch in 5, 5:
        with pytest.raises(Power):
            training.start(epoch)
        assert not (tmp_path / "run" / "checkpoint.npz").exists() or training.run.checkpoint().epochs == 1
    np.testing.assert_equal(training.start(), expected)


@pytest.mark.parametrize("case", ["dropout", "averaged weights, swapped"])
def test_more_epochs_than_first_asked_for(tmp_path, case):
    training = Training(tmp_path, **CASES[case])
    expected = training.start(folder="whole")
    training.start(epochs=3)
    np.testing.assert_equal(training.start(), expected)
    assert list(training.cut.epochs) == [4, 5, 6, 7, 8]
    check_history_file(training)


@pytest.mark.parametrize("case", ["dropout", "early stopping", "averaged weights, swapped"])
def test_a_finished_run_is_not_trained_again(tmp_path, case):
    training = Training(tmp_path, **CASES[case])
    expected = training.start(epochs=40 if case == "early stopping" else 3)
    loaded = mx.load(tmp_path / "run").get_weights()
    again = training.start(epochs=len(expected["epoch"]) + (case == "early stopping"))
    np.testing.assert_equal(again, expected)
    assert not training.cut.epochs
    np.testing.assert_equal(mx.load(tmp_path / "run").get_weights(), loaded)


@pytest.mark.parametrize("case", ["plain", "early stopping", "averaged weights, swapped"])
@pytest.mark.parametrize("epoch", [3, EPOCHS])
def test_control_c_keeps_the_epoch_and_goes_on(tmp_path, case, epoch, capsys):
    training = Training(tmp_path, **CASES[case])
    expected = training.start(folder="whole")
    epoch = min(epoch, len(expected["epoch"]))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        training.start(epoch, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert "Stopping after this epoch" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before
    assert training.run.checkpoint().epochs == epoch
    np.testing.assert_equal(training.start(), expected)
    np.testing.assert_equal(mx.load(tmp_path / "run").get_weights(), training.model.get_weights())


def test_a_run_has_its_own_seed(tmp_path):
    training = Training(tmp_path)
    expected = training.start(folder="whole")
    with pytest.raises(Power):
        training.start(4)
    np.testing.assert_equal(training.start(seed=6), expected)
    other = Training(tmp_path).start(folder="other", seed=6)
    assert other["history"] != expected["history"]


def test_a_run_without_a_seed_draws_one_and_keeps_it(tmp_path):
    training = Training(tmp_path)
    expected = training.start(folder="whole", seed=None)
    with pytest.raises(Power):
        training.start(4, seed=None)
    np.random.seed(99)  # noqa: NPY002 - it must not matter any more
    np.testing.assert_equal(training.start(seed=None), expected)


@pytest.mark.slow
def test_bfloat16_and_its_best_weights(tmp_path):
    keras.config.set_dtype_policy("bfloat16")
    try:
        training = Training(tmp_path, **CASES["early stopping"])
        expected = training.start(folder="whole", epochs=40)
        with pytest.raises(Power):
            training.start(len(expected["epoch"]), epochs=40)
        np.testing.assert_equal(training.start(epochs=40), expected)
        assert any(keras.backend.standardize_dtype(v.dtype) == "bfloat16" for v in training.model.variables)
    finally:
        keras.config.set_dtype_policy("float32")


def test_callbacks_keep_what_training_changes_and_not_how_they_were_made(tmp_path):
    class Own(keras.callbacks.Callback):
        def __init__(self, path):
            super().__init__()
            self.path, self.lines, self.best, self.seen = path, ["start"], None, []

        def on_train_begin(self, logs=None):
            self.handle = self.path + "!"

        def on_epoch_end(self, epoch, logs=None):
            self.best, self.seen = np.float32(0.1) * epoch, [*self.seen, np.arange(epoch)]
            self.lines.append(f"epoch {epoch}")

    training = Training(tmp_path, callbacks=lambda: [Own("old")])
    training.start(folder="whole")
    whole = vars(training.callbacks[0])
    with pytest.raises(Power):
        training.start(4)
    training = Training(tmp_path, callbacks=lambda: [Own("new")])
    training.start()
    own = vars(training.callbacks[0])
    assert (own["path"], own["handle"]) == ("new", "new!")
    for name in "lines", "best", "seen":
        np.testing.assert_equal(own[name], whole[name])


OTHERS = {
    "data": ({"changes": {"data": data(2)}}, "begun with training data"),
    "fewer data": ({"changes": {"data": tuple(part[:20] for part in data())}}, "begun with training data"),
    "network": ({"layers": [lambda: keras.layers.Dense(5)]}, "another network or optimizer"),
    "deeper network": ({"layers": [lambda: keras.layers.Dense(4)] * 2}, "another network or optimizer"),
    "optimizer": ({"optimizer": lambda: keras.optimizers.SGD(0.1)}, "another network or optimizer"),
    "similar optimizer": ({"optimizer": lambda: keras.optimizers.Adamax()}, "another network or optimizer"),
    "callbacks": (
        {"callbacks": lambda: [keras.callbacks.EarlyStopping()]},
        r"the callbacks \['Cut'\]; received \['EarlyStopping', 'Cut'\]",
    ),
}


@pytest.mark.parametrize(("other", "message"), OTHERS.values(), ids=OTHERS)
def test_another_training_cannot_go_on(tmp_path, other, message):
    training = Training(tmp_path)
    with pytest.raises(Power):
        training.start(4)
    files = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    changes = other.get("changes", {})
    with pytest.raises(InputError, match=message) as error:
        Training(tmp_path, **{k: v for k, v in other.items() if k != "changes"}).start(**changes)
    assert str(tmp_path / "run") in str(error.value)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == files
