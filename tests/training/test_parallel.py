"""Data parallelism: one process with several devices, and several processes."""

import json
import os
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="keras.distribution is for JAX")

PROGRAM = """
import json, sys
import mixtura as mx, keras, jax, numpy as np
from contextlib import nullcontext

processes, process, address, run = json.loads(sys.argv[1])
if processes > 1:
    keras.distribution.initialize(address, processes, process)
rng = np.random.default_rng(0)
x = rng.normal(size=(302, 1)).astype("float32")  # 241 to train on, an odd 49 of them in the last batch
y = np.sin(3 * x) + 0.1 * rng.normal(size=x.shape)
devices = jax.device_count()
parallel = keras.distribution.DataParallel().scope() if devices > 1 else nullcontext()
with parallel:
    keras.utils.set_random_seed(0)
    family = mx.Mixture(mx.Normal(1), 3)
    layers = [keras.layers.Dense(15, "relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.1)]
    model = keras.Sequential([keras.Input((1,)), *layers, mx.MDN(family)])
    metric = mx.metrics.NegativeLogLikelihood(family)
    model.compile(keras.optimizers.Adam(3e-3), mx.NegativeLogLikelihood(family), weighted_metrics=[metric])
    folder = run and mx.training.Run.begin(run, {}, resume=True)
    history = mx.training.fit(
        model, x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, validation_split=0.2, seed=5, run=folder
    )
weight = model.trainable_variables[0].value
print(json.dumps({
    "history": history.history,
    "devices": devices,
    "shards": len(weight.sharding.device_set),
    "weights": [np.asarray(w).tolist() for w in model.weights],
}))
"""


def start(devices=1, processes=1, process=0, address=None, run=None, batch=64, epochs=3):
    flags = f"--xla_force_host_platform_device_count={devices}"
    code = PROGRAM.replace("BATCH", str(batch)).replace("EPOCHS", str(epochs))
    return subprocess.Popen(
        [sys.executable, "-c", code, json.dumps([processes, process, address, run and str(run)])],
        env={**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": flags},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process):
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()  # one of two waits for the other for long
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def two_processes(**settings):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    both = [start(processes=2, process=number, address=address, **settings) for number in (0, 1)]
    try:
        return [result(process) for process in both]
    finally:
        for process in both:
            process.kill()


def assert_alike(one, other):
    assert one["history"].keys() == other["history"].keys()
    for name, values in one["history"].items():
        np.testing.assert_allclose(other["history"][name], values, atol=1e-5, err_msg=name)
    for a, b in zip(one["weights"], other["weights"], strict=True):
        np.testing.assert_allclose(b, a, atol=1e-5)


@pytest.fixture(scope="module")
def alone():
    return result(start())


@pytest.mark.slow
def test_two_devices_of_one_process_train_as_one(alone):
    two = result(start(devices=2))
    assert (alone["shards"], two["shards"]) == (1, 2)
    assert_alike(alone, two)


@pytest.mark.slow
def test_batches_that_do_not_divide_are_trained_on_too():
    assert_alike(result(start(batch=49)), result(start(devices=3, batch=49)))


@pytest.mark.slow
def test_two_processes_train_as_one(alone):
    first, second = two_processes()
    assert first["devices"] == first["shards"] == 2
    assert first == second
    assert_alike(alone, first)


@pytest.mark.slow
def test_a_run_of_two_processes_goes_on_as_one(alone, tmp_path):
    two_processes(run=tmp_path / "run", epochs=2)
    first, second = two_processes(run=tmp_path / "run")
    assert first == second
    assert_alike(alone, first)


@pytest.mark.slow
def test_a_model_from_outside_the_distribution_is_refused(fresh_python):
    code = """
import mixtura as mx, keras, numpy as np
family = mx.Normal(1)
model = keras.Sequential([keras.Input((1,)), mx.MDN(family)])
model.compile("adam", mx.NegativeLogLikelihood(family))
x = np.zeros((8, 1))
with keras.distribution.DataParallel().scope():
    try:
        mx.training.fit(model, x, x, verbose=0)
    except ValueError as error:
        print(error)
"""
    flags = "--xla_force_host_platform_device_count=2"
    assert "outside the distribution" in fresh_python(code, KERAS_BACKEND="jax", XLA_FLAGS=flags)
