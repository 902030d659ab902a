import sys

import keras
import numpy as np
import pytest

from mixtura.errors import InputError
from mixtura.training import TensorBoard, fit


def test_every_epoch_is_a_scalar_also_where_training_goes_on(tmp_path):
    pytest.importorskip("tensorboardX")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", loss="mse")
    x = np.ones((8, 1))
    for first, last in ((0, 2), (2, 3)):
        callback = TensorBoard(tmp_path / "logs")
        fit(model, x, x, initial_epoch=first, epochs=last, verbose=0, callbacks=[callback])
    events = b"".join(file.read_bytes() for file in (tmp_path / "logs").iterdir())
    assert events.count(b"epoch/loss") == 3


def test_without_tensorboardx_training_does_not_begin(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(InputError, match=r"pip install 'mixtura\[tensorboard\]'"):
        TensorBoard(tmp_path)
