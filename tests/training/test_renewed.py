"""Training on new data for every epoch: cut off and gone on with, it is the same, bit for bit."""

import keras
import numpy as np
import pytest
from keras import ops

from mixtura.errors import InputError
from mixtura.training import Run, load
from mixtura.training.renewed import fit_renewed

CONFIG = {"system": "test"}


@keras.saving.register_keras_serializable(package="mixtura-tests")
class Copier(keras.Model):
    """Learns to be what it is given, with noise: a model whose loss needs no targets."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(2)
        self.dropout = keras.layers.Dropout(0.5, seed=1)
        self.dense.build((None, 2))
        self.built = True

    def call(self, x, training=False):
        return self.dense(self.dropout(x, training=training))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return ops.mean(ops.square(x - y_pred))


def new_model():
    keras.utils.set_random_seed(3)
    made = Copier()
    made.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 8)))
    return made


def data(epoch):
    return np.random.default_rng(epoch).normal(size=(8, 2)).astype("float32")


def train(folder, make=data, epochs=4, seed=5, progress=None):
    model = new_model()
    run = Run.begin(folder, CONFIG, resume=True)
    history = fit_renewed(model, make, epochs=epochs, seed=seed, run=run, batch_size=4, progress=progress)
    return history, [ops.convert_to_numpy(weight) for weight in model.weights]


def same(one, other):
    assert one[0] == other[0]
    for mine, yours in zip(one[1], other[1], strict=True):
        np.testing.assert_array_equal(mine, yours)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(tmp_path_factory.mktemp("renewed") / "run")


def test_every_epoch_has_data_of_its_own_and_is_told(tmp_path, whole):
    asked, told = [], []

    def make(epoch):
        asked.append(epoch)
        return data(epoch)

    found = train(tmp_path / "run", make, progress=lambda number, row: told.append((number, row["loss"])))
    same(found, whole)
    assert asked == [0, 1, 2, 3]
    assert told == list(enumerate(whole[0]["loss"], start=1))
    assert (tmp_path / "run" / "history.csv").read_text().count("\n") == 5


@pytest.mark.parametrize("after", [0, 2])
def test_what_was_cut_off_goes_on_bit_for_bit(tmp_path, whole, after):
    def make(epoch):
        if epoch == after:
            raise KeyboardInterrupt
        return data(epoch)

    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(folder, make)
    kept = Run(folder).checkpoint()
    assert (kept is None) == (after == 0)
    assert kept is None or (kept.epochs, kept.is_final) == (after, False)
    asked, told = [], []

    def rest(epoch):
        asked.append(epoch)
        return data(epoch)

    same(train(folder, rest, progress=lambda number, _: told.append(number)), whole)
    assert asked == [*range(after, 4)]
    assert told == [1, 2, 3, 4]


def test_a_finished_run_is_read(tmp_path, whole):
    folder = tmp_path / "run"
    same(train(folder), whole)

    def never(epoch):
        raise AssertionError("what is finished was made again")

    same(train(folder, never), whole)
    for one, other in zip(load(folder).weights, whole[1], strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), other)


@pytest.mark.parametrize("changes", [{"epochs": 5}, {"seed": 6}])
def test_other_settings_are_refused(tmp_path, changes):
    folder = tmp_path / "run"
    train(folder, epochs=1)
    with pytest.raises(InputError, match="was begun with seed 5 and"):
        train(folder, **{"epochs": 1, **changes})
