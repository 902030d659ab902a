"""What every test shares. Nothing here or below names a backend, except to differentiate on it."""

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

# Most of the time goes to compiling: both workers, new processes and the next run take programs from here.
CACHE = Path(__file__).parents[1] / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# Compiled programs are millions of objects that stay: looking through them for garbage as often as usual
# takes a quarter of the time.
gc.set_threshold(100_000, 50, 100)

import mixtura  # before Keras: it picks the backend

# isort: split
import keras
import numpy as np
import pytest
from keras import ops


def pytest_configure(config):
    # Quick tests spend a quarter less on compiling, and run a little slower; slow ones compile as users do.
    if config.option.markexpr == "not slow" and keras.backend.backend() == "jax":
        flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
        os.environ.setdefault("XLA_FLAGS", flags)
    # A shell's background jobs ignore Ctrl-C, which tests press and wait for.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Keras reads PyTorch's tensors through an `__array__` that NumPy 2 calls outdated.
    ignored = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    config.addinivalue_line("filterwarnings", ignored)
    # One worker may read what the other is writing, and then compiles.
    config.addinivalue_line("filterwarnings", "ignore:Error (reading|writing) persistent compilation cache")


@pytest.fixture(autouse=True)
def _same_initial_weights_every_time():
    keras.utils.set_random_seed(0)


@pytest.fixture
def tensor():
    """Make a float32 tensor of the backend."""
    return lambda value, dtype="float32": ops.convert_to_tensor(value, dtype=dtype)


@pytest.fixture
def compiled():
    """Return `f(*tensors)` as a float64 array, computed in one program where the backend compiles."""

    def compute(f, *arrays, dtype="float32"):
        tensors = [ops.convert_to_tensor(array, dtype=dtype) for array in arrays]
        if keras.backend.backend() == "jax":
            import jax

            f = jax.jit(f)
        elif keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            f = tf.function(f)
        value = f(*tensors)
        assert ops.is_tensor(value)
        assert keras.backend.standardize_dtype(value.dtype) == "float32"
        return ops.convert_to_numpy(value).astype("float64")

    return compute


@pytest.fixture
def gradient():
    """Return `f(x)`, one value per row, and the gradient of its sum: both as float64 arrays."""

    def values_and_gradient(f, x):
        x = np.asarray(x, "float32")
        if keras.backend.backend() == "jax":
            import jax

            def total(x):
                values = f(x)
                return values.sum(), values

            (_, values), slope = jax.jit(jax.value_and_grad(total, has_aux=True))(x)
        elif keras.backend.backend() == "torch":
            import torch

            x = torch.tensor(x, requires_grad=True)
            values = f(x)
            values.sum().backward()
            slope = x.grad
        elif keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            x = tf.constant(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                values = f(x)
            slope = tape.gradient(values, x)
        else:
            pytest.skip(f"no gradients on {keras.backend.backend()}")
        return tuple(ops.convert_to_numpy(a).astype("float64") for a in (values, slope))

    return values_and_gradient


@pytest.fixture
def fresh_python(tmp_path):
    """Run code in a new process with its own Keras home; return what it prints."""

    def run(code, home=tmp_path, **environment):
        given = {key: value for key, value in os.environ.items() if not key.startswith("KERAS_")}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**given, "KERAS_HOME": str(home), **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


assert mixtura.backend.chosen.name == keras.backend.backend()
