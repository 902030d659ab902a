import io

import keras
import numpy as np
from rich.console import Console
from rich.progress import Progress, TextColumn

from mixtura.training import EpochProgress, progress_bar


def test_progress_shows_losses_in_the_datas_units_and_ends_full():
    screen = io.StringIO()
    columns = (TextColumn("{task.description} {task.completed}/{task.total} {task.fields[loss]}"),)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", loss="mse")
    x = np.zeros((8, 1))
    with Progress(*columns, console=Console(file=screen, width=80)) as progress:
        callback = EpochProgress(progress, "net", offset=10.0)
        stop = keras.callbacks.EarlyStopping("loss", patience=1)
        model.fit(x, x, epochs=9, validation_split=0.5, verbose=0, callbacks=[callback, stop])
    assert screen.getvalue().strip() == "net 2/2 loss 10.000 val 10.000"


def test_progress_shows_the_metric_that_is_asked_for():
    screen = io.StringIO()
    columns = (TextColumn("{task.fields[loss]}"),)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", loss="mse", metrics=["mae"])
    with Progress(*columns, console=Console(file=screen, width=80)) as progress:
        callback = EpochProgress(progress, "net", metric="mae")
        model.fit(np.zeros((8, 1)), np.full((8, 1), 2.0), verbose=0, callbacks=[callback])
    assert screen.getvalue().strip() == "loss 2.000"


def test_the_bar_goes_to_standard_error(capsys):
    with progress_bar() as progress:
        progress.add_task("training", total=1, loss="")
    out, err = capsys.readouterr()
    assert out == ""
    assert "training" in err
