"""`fit`: Keras' training, in compiled epochs where it can be, in a run folder where one is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from mixtura.errors import TrainingError
from mixtura.families.seeds import check_seed
from mixtura.training import arrays, state
from mixtura.training.batches import Batches
from mixtura.training.interrupt import StopAfterEpoch
from mixtura.training.noise import DataNoise
from mixtura.training.ragged import Ragged
from mixtura.training.resuming import Resume
from mixtura.training.watch import Watch

if TYPE_CHECKING:
    from mixtura.training.run import Run

_BATCH_METHODS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
# Keras' own callbacks that have batch methods and, set like this, need none of them.
_EPOCH_WISE: dict[str, Callable[[Any], bool]] = {
    "ModelCheckpoint": lambda callback: callback.save_freq == "epoch",
    "TerminateOnNaN": lambda callback: True,  # `fit` does it
}


def fit(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: Any = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: Any = 1,
    *,
    seed: int | None = None,
    noise: DataNoise | None = None,
    run: Run | None = None,
) -> keras.callbacks.History:
    """Train a compiled Keras model: `keras.Model.fit` with the same arguments and the same losses, faster.

    On JAX, arrays lie on the device and whole epochs run inside one compiled program, which models of equal
    structure share. Everything else goes to `keras.Model.fit`: other backends, datasets and generators,
    memory-mapped files and data of more than a quarter of the memory, `steps_per_epoch`, models that run
    eagerly, and callbacks that act on batches. Where Keras would go on with an infinite or NaN loss, this
    stops.

    Ctrl-C lets the epoch finish, ends training in order, and only then raises KeyboardInterrupt.

    Under `keras.distribution.DataParallel` every process is given all the data and the same seed; a batch is
    spread over the devices where its size divides by their number, else each device computes all of it.

    Args:
        model: compiled.
        x: this and all arguments up to `validation_freq` are those of `keras.Model.fit`. `x` and
            `validation_data` may also be a `Ragged`, which has targets, weights and the batch size in it.
        y: see there.
        batch_size: see there.
        epochs: see there.
        verbose: see there.
        callbacks: see there.
        validation_split: see there.
        validation_data: see there.
        shuffle: see there.
        class_weight: see there.
        sample_weight: see there.
        initial_epoch: see there.
        steps_per_epoch: see there.
        validation_steps: see there.
        validation_batch_size: see there.
        validation_freq: see there.
        seed: of the batches' order and the noise, which then depend on nothing else. Without it they come
            from NumPy's global generator, as Keras' do.
        noise: to add to the data in every step of training.
        run: where to keep the state after every epoch (once a second where epochs are shorter). A run that
            was interrupted goes on where it stopped, with the result that it would have had.

    Returns:
        The history of losses and metrics.

    Raises:
        TrainingError: if the loss or a weight becomes infinite or NaN; it names the epoch, the step and, for
            arrays, the row and the part of the family. The model has the weights of the epoch's start (their
            averages, where the optimizer keeps some), and so has the run's `model.keras`. Also if the run's
            folder can no longer be written.
        ValueError: if `seed`, `noise` or `run` is given with data that are not arrays, or with a `Ragged`
            what it has in it.
        InputError: if the run's checkpoint does not belong to this model, these data or these callbacks.

    Example:
        >>> import mixtura as mx, keras, numpy as np
        >>> family = mx.Mixture(mx.Normal(1), 3)
        >>> model = keras.Sequential([keras.Input((1,)), mx.MDN(family)])
        >>> model.compile("adam", loss=mx.NegativeLogLikelihood(family))
        >>> x = np.linspace(-1, 1, 100)[:, None]
        >>> history = mx.training.fit(model, x, np.sin(x), epochs=2, seed=0, verbose=0)
        >>> list(history.history)
        ['loss']
    """
    is_simple = steps_per_epoch is None and isinstance(shuffle, bool)
    data: Any = arrays.read(x, y, sample_weight) if is_simple else None
    if isinstance(x, Ragged):
        others = {
            "y": y,
            "batch_size": None if batch_size == x.batch_size else batch_size,
            "validation_split": validation_split or None,
            "class_weight": class_weight,
            "sample_weight": sample_weight,
            "steps_per_epoch": steps_per_epoch,
        }
        _check_ragged(model, x, others)
        data, batch_size, shuffle = x, x.batch_size, bool(shuffle) and not x.is_ordered
    if isinstance(validation_data, Ragged):
        validation_data.check(model)
        validation_data = Batches(validation_data, validation_data.batch_size, shuffle=False)
    is_seeded = seed is not None or noise is not None or run is not None
    if data is None and is_seeded:
        raise ValueError("seed, noise and run are for arrays; other data bring their own batches")
    check_seed(seed)
    callbacks = list(keras.tree.flatten(callbacks)) if callbacks else []
    can_compile = data is not None and _can_compile(model, data, callbacks)
    loop = {
        "epochs": epochs,
        "initial_epoch": initial_epoch,
        "verbose": verbose,
        "validation_freq": validation_freq,
    }
    validation = {
        "validation_data": validation_data,
        "validation_batch_size": validation_batch_size or batch_size,
        "validation_steps": validation_steps,
    }
    with StopAfterEpoch() as interrupt:
        if data is None or not (can_compile or is_seeded or isinstance(data, Ragged)):
            return model.fit(
                x,
                y,
                batch_size,
                validation_split=validation_split,
                shuffle=shuffle,
                class_weight=class_weight,
                sample_weight=sample_weight,
                steps_per_epoch=steps_per_epoch,
                callbacks=[Watch(None), *callbacks, interrupt],
                **loop,
                **validation,
            )
        if validation_split and validation_data is None:
            data, validation["validation_data"] = arrays.split(data, validation_split)
        if class_weight is not None:
            data = arrays.weighted(data, class_weight)
        if is_seeded and seed is None:
            seed = int(np.random.randint(2**31))  # noqa: NPY002 - `keras.utils.set_random_seed` sets it
        keeper = None
        if run is not None:
            settings = {
                "training data": arrays.fingerprint(data),
                "batch_size": batch_size or 32,
                "shuffle": shuffle,
                "noise": repr(noise),
            }
            keeper = Resume(run, seed or 0, settings, callbacks, interrupt)
            seed, loop["initial_epoch"] = keeper.seed, keeper.initial_epoch(epochs)
        batches = Batches(data, batch_size or 32, shuffle, seed, noise)
        state.build(model, batches)
        callbacks += [interrupt, *(keeper.callbacks if keeper else [])]
        try:
            history = _train(model, batches, can_compile, callbacks, loop, validation)
        except TrainingError:
            if run is not None:
                with suppress(TrainingError):  # the disk may be the trouble
                    run.save(model)
            raise
        if keeper:
            keeper.finish()
    return history


def _check_ragged(model: keras.Model, x: Ragged, others: dict[str, Any]) -> None:
    """Refuse what a `Ragged` has in it, and events of other dimensions than the model's."""
    if given := [name for name, value in others.items() if value is not None]:
        raise ValueError(f"a Ragged has targets, weights and batches in it; leave out {', '.join(given)}")
    x.check(model)


def _train(
    model: keras.Model,
    batches: Batches,
    can_compile: bool,
    callbacks: list[keras.callbacks.Callback],
    loop: dict[str, Any],
    validation: dict[str, Any],
) -> keras.callbacks.History:
    """Train on arrays, by compiled epochs or by Keras."""
    if not can_compile:
        callbacks = [Watch(batches), *callbacks]
        batches.rewind()  # TensorFlow reads off the first two which axes have one length
        return model.fit(batches, shuffle=False, callbacks=callbacks, **loop, **validation)
    from mixtura.training import compiled  # JAX only

    validate = compiled.evaluation(model, *validation.values())
    return compiled.fit(model, batches, callbacks=callbacks, validate=validate, **loop)


def _can_compile(model: keras.Model, data: Any, callbacks: Sequence[keras.callbacks.Callback]) -> bool:
    """Tell whether a compiled epoch can do what `keras.Model.fit` would."""
    if keras.backend.backend() != "jax" or not model.compiled or model.run_eagerly or not model.jit_compile:
        return False
    if keras.config.max_epochs() or keras.config.max_steps_per_epoch():
        return False
    from mixtura.training.compiled import fits_on_device

    return all(map(_is_epoch_wise, callbacks)) and fits_on_device(data)


def _is_epoch_wise(callback: keras.callbacks.Callback) -> bool:
    """Tell whether a callback needs nothing between the steps of an epoch."""
    known = _EPOCH_WISE.get(type(callback).__name__)
    if known and type(callback).__module__.startswith("keras."):
        return known(callback)
    return all(
        getattr(getattr(callback, name), "__func__", None) is getattr(keras.callbacks.Callback, name)
        for name in _BATCH_METHODS
    )
