"""The names of the lecture and of keras-mdn-layer, on top of Mixtura's families.

`from mixtura import lecture as mdn` runs code written for either: same arguments, shapes and meaning. For
events of size D = `output_dim` and K = `num_mixes` components, a network outputs 2 D K + K numbers a row,

    [mu_1 ... mu_K | sigma_1 ... sigma_K | a_1 ... a_K]

with means and (activated) standard deviations of size D, and the logits a of the weights pi = softmax(a).
`mixtura.MDN` and `mixtura.NegativeLogLikelihood` do the same with less code, honour masks and sample weights,
and give densities, quantiles and seeded samples of all rows at once.

References: Bishop, C. M. (1994), Mixture Density Networks, Aston University NCRG/94/004. Martin, C. P.,
keras-mdn-layer 1.0.0, whose interface this is.
"""

from __future__ import annotations

import json
import zipfile
from os import PathLike
from typing import Any

import keras
import numpy as np
from keras import ops

from mixtura.families import Mixture, Normal
from mixtura.families.checks import positive_int
from mixtura.layers.mdn import at_least_float32


def elu_plus_one_plus_epsilon(x: Any) -> Any:
    """Return ELU(x) + 1 + `keras.config.epsilon()`: positive, the shape of x, a tensor."""
    return ops.elu(x) + 1 + keras.config.epsilon()


@keras.saving.register_keras_serializable(package="mixtura", name="LectureMDN")
class MDN(keras.layers.Layer):
    """The lecture's mixture layer: three `Dense` side by side, for mu, sigma and pi.

    Under every mixed-precision policy it computes in float32.

    Args:
        output_dimension: D, the size of an event.
        num_mixtures: K, the number of components.
        dtype: as in every Keras layer.
        **kwargs: the other arguments of every Keras layer.

    Input shape: `(*batch, features)`. Output shape: `(*batch, 2 * D * K + K)`. Masks pass through.

    Raises:
        ValueError: if a size is not a positive integer.
    """

    def __init__(self, output_dimension: int, num_mixtures: int, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(dtype=at_least_float32(dtype), **kwargs)
        self.output_dim = positive_int("output_dimension", output_dimension)
        self.num_mix = positive_int("num_mixtures", num_mixtures)
        size, policy = self.output_dim * self.num_mix, self.dtype_policy
        # Files of weights know the three by the names of these attributes.
        self.mdn_mus = keras.layers.Dense(size, name="mdn_mus", dtype=policy)
        self.mdn_sigmas = keras.layers.Dense(
            size, activation=elu_plus_one_plus_epsilon, name="mdn_sigmas", dtype=policy
        )
        self.mdn_pi = keras.layers.Dense(self.num_mix, name="mdn_pi", dtype=policy)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        for dense in (self.mdn_mus, self.mdn_sigmas, self.mdn_pi):
            dense.build(input_shape)
        self.built = True

    def call(self, x: Any, mask: Any = None) -> Any:
        """Return [mu | sigma | logits]."""
        return ops.concatenate([self.mdn_mus(x), self.mdn_sigmas(x), self.mdn_pi(x)], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the output's shape."""
        return (*input_shape[:-1], (2 * self.output_dim + 1) * self.num_mix)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        sizes = {"output_dimension": self.output_dim, "num_mixtures": self.num_mix}
        return {**super().get_config(), **sizes}


def get_mixture_loss_func(output_dim: int, num_mixes: int) -> Any:
    r"""Return the function `mdn_loss_func(y_true, y_pred)`: the mean negative log-likelihood, in nats.

    $$L = -\frac1N \sum_n \log \sum_k \pi_k(x_n) \prod_d N(y_{nd}; \mu_{kd}(x_n), \sigma_{kd}(x_n)^2)$$

    (Bishop 1994, eqs. 22 and 29.) It is one number for all rows and steps, so masks and sample weights
    cannot act on single ones.

    Shapes: `y_true` is `(*batch, D)`, `y_pred` is `(*batch, 2 * D * K + K)`; the loss is a scalar.

    Raises:
        ValueError: if a size is not a positive integer; when called, if `y_pred` has another last axis.

    Example:
        >>> from mixtura import lecture as mdn
        >>> loss = mdn.get_mixture_loss_func(1, 1)
        >>> print(f"{float(loss([[0.0]], [[0.0, 1.0, 0.0]])):.4f}")  # log(2 pi) / 2
        0.9189
    """
    return _Loss(output_dim, num_mixes)


def get_mixture_sampling_fun(output_dim: int, num_mixes: int) -> Any:
    """Return a function that draws one event for each row of a network's output, on the Keras backend.

    It is a Keras layer with a random state of its own, so that it can end a model, as in
    `keras.Model(net.inputs, sampling_func(net.output))`, and every batch gets fresh samples.

    Shapes: it takes `(*batch, 2 * D * K + K)` and returns `(rows, D)`, the axes of `batch` made one.
    It raises as the loss does.
    """
    return _Sampler(output_dim, num_mixes)


def get_mixture_mse_accuracy(output_dim: int, num_mixes: int) -> Any:
    """Return the function `mse_func(y_true, y_pred)`: the squared error of one sample for each row.

    It judges a sample, not a prediction: under a perfect model it is twice the variance. As a compiled
    metric it cannot take masks, and on JAX it uses the same noise for every batch.

    Shapes: `y_true` is `(*batch, D)`, `y_pred` is `(*batch, 2 * D * K + K)`; the result is `(rows,)`.
    It raises as the loss does.
    """
    sampling_func = get_mixture_sampling_fun(output_dim, num_mixes)

    def mse_func(y_true: Any, y_pred: Any) -> Any:
        error = sampling_func.call(y_pred) - ops.reshape(y_true, (-1, output_dim))
        return ops.mean(ops.square(error), axis=-1)

    return mse_func


def split_mixture_params(params: Any, output_dim: int, num_mixes: int) -> tuple[Any, Any, Any]:
    """Return mus `(D K,)`, sigmas `(D K,)` and logits `(K,)`: the parts of one output row.

    Raises:
        AssertionError: if `params`, a list or an array, does not have 2 D K + K numbers.
    """
    expected = (2 * output_dim + 1) * num_mixes
    if len(params) != expected:
        raise AssertionError(
            f"{num_mixes} components of size {output_dim} take {expected} parameters; received {len(params)}"
        )
    end = output_dim * num_mixes
    return params[:end], params[end : 2 * end], params[2 * end :]


def softmax(w: Any, t: float = 1.0) -> np.ndarray:
    """Return the softmax of logits, a list or an array, divided by the temperature t."""
    scaled = np.array(w) / t
    weights = np.exp(scaled - scaled.max())
    return weights / weights.sum()


def sample_from_categorical(dist: Any, *, rng: np.random.Generator | None = None) -> int:
    """Draw an index from an array of probabilities; -1 where they sum to less than the number drawn.

    Randomness comes from `rng`, or else from NumPy's global state (`numpy.random.seed`).
    """
    reached = np.flatnonzero(np.cumsum(dist) >= (rng or np.random).uniform())
    return int(reached[0]) if reached.size else -1


def sample_from_output(
    params: Any,
    output_dim: int,
    num_mixes: int,
    temp: float = 1.0,
    sigma_temp: float = 1.0,
    *,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    r"""Draw one event from one output row with NumPy, `(D,)`: seed for seed what keras-mdn-layer draws.

    First a component k from softmax(logits / temp), then $N(\mu_k, \text{sigma\_temp} \cdot
    \mathrm{diag}(\sigma_k^2))$. As `sigma_temp` multiplies the covariance, it widens by its square root;
    0 gives the component's mean. Randomness comes as in `sample_from_categorical`.

    Raises:
        AssertionError: if `params`, a list or an array, does not have 2 D K + K numbers.
        ValueError: if the weights are not finite, as with `temp=0`.
    """
    mus, sigmas, logits = split_mixture_params(params, output_dim, num_mixes)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = softmax(np.asarray(logits, dtype=np.float64), temp)
    if not np.isfinite(weights).all():
        raise ValueError(f"no finite weights from logits {logits} at temp={temp}")
    # Where rounding leaves -1, the remainder makes it the last component.
    k = sample_from_categorical(weights, rng=rng) % num_mixes
    chosen = slice(k * output_dim, (k + 1) * output_dim)
    variance = sigma_temp * np.square(np.asarray(sigmas[chosen], dtype=np.float64))
    return (rng or np.random).multivariate_normal(mus[chosen], np.diag(variance))


def load_model(path: str | PathLike[str], **kwargs: Any) -> Any:
    """Load a `.keras` file with the lecture's MDN layers, saved by this module or by keras-mdn-layer.

    D and K are read from the file, inside nested models and wrappers too. The loss comes along where the
    model was compiled and its MDN layers have one size; with several sizes it is loaded uncompiled.

    Args:
        path: the file.
        **kwargs: as in `keras.models.load_model`; `custom_objects` are added to the lecture's.

    Raises:
        ValueError: if the file is no `.keras` file, holds no MDN layer, or was written by Keras 2.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config, metadata = (json.loads(archive.read(f"{name}.json")) for name in ("config", "metadata"))
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{path} is not a .keras file") from error
    sizes = _mdn_sizes(config)
    if not sizes:
        raise ValueError(f"{path} holds no MDN layer of keras-mdn-layer or mixtura.lecture")
    if metadata["keras_version"].startswith("2."):
        raise ValueError(
            f"Keras 2 wrote {path} and Keras 3 reads only its weights: of LSTM layers with an MDN, "
            "mixtura.import_mdn_rnn makes an MDNRNN; else rebuild the network, with "
            f"MDN(output_dimension, num_mixtures) of {sorted(sizes)}, and call model.load_weights(path)"
        )
    objects: dict[str, Any] = {"MDN": MDN}
    if len(sizes) > 1:
        kwargs.setdefault("compile", False)
    else:
        [size] = sizes
        objects["mdn_loss_func"] = get_mixture_loss_func(*size)
        objects["mse_func"] = get_mixture_mse_accuracy(*size)
    objects |= kwargs.pop("custom_objects", None) or {}
    return keras.models.load_model(path, custom_objects=objects, **kwargs)


@keras.saving.register_keras_serializable(package="mixtura", name="LectureLoss")
class _Loss:
    """A function, in a form that Keras saves and loads by itself."""

    __name__ = "mdn_loss_func"

    def __init__(self, output_dim: int, num_mixes: int) -> None:
        self.family = Mixture(Normal(output_dim, scale="exp"), num_mixes)

    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        y_true = ops.reshape(y_true, (-1, self.family.event_size))
        return -ops.mean(self.family.log_prob(_params(self.family, y_pred), y_true))

    def get_config(self) -> dict[str, Any]:
        return {"output_dim": self.family.event_size, "num_mixes": self.family.num_components}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> _Loss:
        return cls(**config)


@keras.saving.register_keras_serializable(package="mixtura", name="LectureSampler")
class _Sampler(keras.layers.Layer):
    def __init__(self, output_dim: int, num_mixes: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.family = Mixture(Normal(output_dim, scale="exp"), num_mixes)
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, y_pred: Any) -> Any:
        return self.family.sample(_params(self.family, y_pred), self.seed_generator)


def _params(family: Mixture, y_pred: Any) -> Any:
    """Turn rows [mu | sigma | logits] into rows of the family's parameters, [logits | mu | log sigma].

    A component's dimensions lie together on the way in, a dimension's components on the way out.
    """
    size, count = family.event_size, family.num_components
    _, y_pred = family._read(ops.convert_to_tensor(y_pred))
    rows = ops.reshape(y_pred, (-1, family.params_size))
    mus, sigmas, logits = ops.split(rows, (size * count, 2 * size * count), axis=-1)

    def transpose(part: Any) -> Any:
        return ops.reshape(ops.swapaxes(ops.reshape(part, (-1, count, size)), 1, 2), (-1, size * count))

    return ops.concatenate([logits, transpose(mus), transpose(ops.log(sigmas))], axis=-1)


def _mdn_sizes(config: Any) -> set[tuple[int, int]]:
    """Return (D, K) of every MDN layer anywhere in a model's configuration."""
    parts = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    sizes = set().union(*map(_mdn_sizes, parts))
    match config:
        case {"class_name": "MDN", "config": {"output_dimension": output_dim, "num_mixtures": num_mixes}}:
            sizes.add((output_dim, num_mixes))
    return sizes
