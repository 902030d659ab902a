"""The contract that every family fulfils."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Self

import keras
from keras import ops

from mixtura.families import host

if TYPE_CHECKING:
    import numpy as np

    from mixtura.families.distribution import Distribution

Array = Any  # a backend tensor, a NumPy array, or what NumPy makes an array of


class Family:
    """A parametric family of distributions, read from raw activations.

    Shapes: `params` is `(*batch, params_size)`, an event `y` is `(*batch, event_size)`; both broadcast.
    Methods given a tensor compute on the backend, in at least float32, and return tensors. Given only
    arrays, lists or numbers they compute with NumPy in float64 and return arrays.

    A subclass validates its arguments in `__init__`, hands them to `_configure`, and overrides what it
    can: `log_prob`, `sample` and `mean` at least. Register it with
    `keras.saving.register_keras_serializable(package="mixtura")`.
    """

    event_size: int
    params_size: int
    _config: tuple[tuple[str, Any], ...]

    # ------------------------------------------------------------------ identity

    def _configure(self, **config: Any) -> None:
        """Store the constructor's arguments, once."""
        object.__setattr__(self, "_config", tuple(config.items()))

    def __getattr__(self, name: str) -> Any:
        if name != "_config":
            for key, value in self._config:
                if key == name:
                    return value
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable; build a new one to change {name!r}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._config == other._config

    def __hash__(self) -> int:
        return hash((type(self), self._config))

    def __repr__(self) -> str:
        parameters = inspect.signature(type(self)).parameters
        shown = []
        for key, value in self._config:
            if parameters[key].default is inspect.Parameter.empty:
                shown.append(repr(value))
            elif value != parameters[key].default:
                shown.append(f"{key}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; Keras saves them with the model."""
        return dict(self._config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the family from `get_config`'s dictionary, families inside it included."""
        read = keras.saving.deserialize_keras_object
        return cls(**{k: v if isinstance(v, Family) else read(v) for k, v in config.items()})

    # ------------------------------------------------------------------ what a family can do

    def __call__(self, params: Array) -> Distribution:
        """Bind parameters: one distribution per row, for people to ask.

        Args:
            params: raw activations, `(*batch, params_size)`, as a network with this head outputs them.
        """
        from mixtura.families.distribution import Distribution

        return Distribution(self, params)

    def log_prob(self, params: Array, y: Array) -> Array:
        """Return the natural logarithm of the density (constants included) at `y`, `(*batch,)`."""
        raise self._cannot("log_prob", "a family with a density")

    def sample(self, params: Array, seed: Any = None) -> Array:
        """Draw one event for each row of `params`, `(*batch, event_size)`.

        Args:
            params: raw activations, `(*batch, params_size)`.
            seed: an int, a `keras.random.SeedGenerator`, a JAX key, or None for fresh entropy.
        """
        raise self._cannot("sample", "a family that can be sampled")

    def mean(self, params: Array) -> Array:
        """Return the expectation, `(*batch, event_size)`."""
        raise self._cannot("mean", "sample")

    def variance(self, params: Array) -> Array:
        """Return the variance of each dimension, `(*batch, event_size)`."""
        raise self._cannot("variance", "sample")

    def covariance(self, params: Array) -> Array:
        """Return the covariance matrix, `(*batch, event_size, event_size)`."""
        raise self._cannot("covariance", "sample")

    def cdf(self, params: Array, y: Array) -> Array:
        """Return P(Y <= y) of a one-dimensional event, `(*batch,)`."""
        raise self._cannot("cdf", "sample")

    def sf(self, params: Array, y: Array) -> Array:
        """Return P(Y > y), exact in the upper tail where 1 - cdf cancels, `(*batch,)`."""
        raise self._cannot("sf", "sample")

    def quantile(self, params: Array, q: Array) -> np.ndarray:
        """Return inf{y : cdf(y) >= q} in float64, `(*batch, 1)`; `q` broadcasts against `batch`."""
        raise self._cannot("quantile", "sample")

    def isf(self, params: Array, q: Array) -> np.ndarray:
        """Return inf{y : sf(y) <= q} in float64, `(*batch, 1)`, exact in the upper tail."""
        raise self._cannot("isf", "sample")

    def weights(self, params: Array) -> Array:
        """Return a mixture's weights, `(*batch, num_components)`."""
        raise self._cannot("weights", "a Mixture")

    def means(self, params: Array) -> Array:
        """Return the components' means, `(*batch, num_components, event_size)`."""
        raise self._cannot("means", "mean")

    def scales(self, params: Array) -> Array:
        """Return the components' standard deviations, `(*batch, num_components, event_size)`."""
        raise self._cannot("scales", "variance")

    def covariances(self, params: Array) -> Array:
        """Return the components' covariances, `(*batch, num_components, event_size, event_size)`."""
        raise self._cannot("covariances", "covariance")

    # ------------------------------------------------------------------ for subclasses

    def _cannot(self, method: str, alternative: str) -> NotImplementedError:
        return NotImplementedError(f"{self!r} has no {method}; use {alternative}")

    def _univariate(self, method: str) -> None:
        if self.event_size != 1:
            raise NotImplementedError(
                f"{method} needs a one-dimensional event; {self!r} has events of size {self.event_size}"
            )

    def _read(self, params: Array, y: Array = None) -> tuple[Any, ...]:
        """Check sizes and return `(xp, params)` or `(xp, params, y)`.

        `xp` is `keras.ops` where a tensor is among the arguments, else its NumPy twin.
        """
        tensors = [value for value in (params, y) if host.is_tensor(value)]
        if tensors:
            dtype = keras.backend.result_type(
                *(keras.backend.standardize_dtype(t.dtype) for t in tensors), "float32"
            )
            params = ops.convert_to_tensor(params, dtype=dtype)
        else:
            params = host.as_array(params)
        xp = ops if tensors else host
        if len(params.shape) == 0 or params.shape[-1] != self.params_size:
            raise ValueError(
                f"{self!r} takes parameters of size {self.params_size} on the last axis; "
                f"received shape {tuple(params.shape)}"
            )
        if y is None:
            return xp, params
        y = ops.convert_to_tensor(y, dtype=dtype) if tensors else host.as_array(y)
        if len(y.shape) == 0 and self.event_size == 1:
            y = xp.reshape(y, (1,))
        if len(y.shape) == 0 or y.shape[-1] != self.event_size:
            hint = "; add the event axis: y[..., None]" if self.event_size == 1 else ""
            raise ValueError(
                f"{self!r} has events of size {self.event_size} on the last axis; "
                f"received y of shape {tuple(y.shape)}{hint}"
            )
        return xp, params, y


def positive_int(name: str, value: Any) -> int:
    """Return a count as an int, or raise a ValueError that names the argument."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < 1:
        raise ValueError(f"{name} must be a positive integer; received {value!r}")
    return value.__index__()


def one_of(name: str, value: Any, options: tuple[str, ...]) -> str:
    """Return an option, or raise a ValueError that names the argument and its choices."""
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}; received {value!r}")
    return value


def a_family(name: str, value: Any) -> Family:
    """Return a family, or raise a TypeError that names the argument."""
    if not isinstance(value, Family):
        raise TypeError(f"{name} must be a mixtura family, such as Normal(1); received {value!r}")
    return value
