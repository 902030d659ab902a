"""The contract that every family fulfils."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import keras
import numpy as np
from keras import ops
from scipy.special import ndtr

from mixtura.families import host
from mixtura.families.draws import ArrayDraws, Draws, TensorDraws
from mixtura.families.fitting import Events
from mixtura.families.seeds import check_seed
from mixtura.sampling import Samplers, resolve

if TYPE_CHECKING:
    from mixtura.families.distribution import Distribution

# Between neighbouring quantiles of these levels, and their mirror images, a density is smooth.
_LEVELS = ndtr(-0.75 * np.arange(11))

Array = Any  # a backend tensor, a NumPy array, or what NumPy makes an array of


class Family:
    """A parametric family of distributions, read from raw activations.

    Shapes: `params` is `(*batch, params_size)`, an event `y` is `(*batch, event_size)`; both broadcast.
    Methods given a tensor compute on the backend, in at least float32, and return tensors. Given only
    arrays, lists or numbers they compute with NumPy in float64 and return arrays. `entropy` of a mixture,
    `mode`, `quantile`, `isf`, `interval`, `marginal` and `condition` compute with NumPy whatever they are
    given.

    Outside a family's support the density is zero: its logarithm is -inf on arrays and -1e30 on tensors,
    which stays finite when a mask multiplies it by 0.

    A subclass validates its arguments in `__init__`, hands them to `_configure`, and writes `_log_prob`,
    `_sample` and what else it can: the methods below that begin with an underscore. They receive checked
    values and `xp`, which is `keras.ops` or its NumPy twin, so that one formula serves both. Register it
    with `keras.saving.register_keras_serializable(package="mixtura")`.
    """

    event_size: int
    params_size: int
    is_continuous: bool = True
    _config: tuple[tuple[str, Any], ...]

    # ------------------------------------------------------------------ identity

    def _configure(self, /, **config: Any) -> None:
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
        return cls(**{key: restored(value) for key, value in config.items()})

    @property
    def units(self) -> tuple[np.ndarray, np.ndarray]:
        """Shift and scale of each dimension of the events, `(event_size,)`: an `Affine`'s, or 0 and 1."""
        return np.zeros(self.event_size), np.ones(self.event_size)

    @property
    def floors(self) -> np.ndarray:
        """What `min_scale` bounds the scale of each dimension by, `(event_size,)`.

        In the events' units; for `LogNormal` and `LogitNormal` in those of the logarithm and the logit.
        """
        return np.broadcast_to(dict(self._config).get("min_scale", 0.0), (self.event_size,))

    @property
    def continuous(self) -> np.ndarray:
        """Which dimensions of an event have a density, not probabilities, `(event_size,)` of booleans."""
        return np.full(self.event_size, self.is_continuous)

    def _standardised(self, xp: Any, y: Any) -> Any:
        """Return events as the family's own parameters measure them, `(*batch, event_size)`.

        An `Affine`'s events without its units, a `LogNormal`'s as their logarithms (0 outside the support).
        """
        return y

    def _relocated(self, xp: Any, params: Any, by: Any, parts: Any = True) -> Any:
        """Return the parameters of the distribution moved so far, `(*batch, event_size)`.

        Args:
            xp: see the class.
            params: raw activations, `(*batch, params_size)`; or a flat table of them, of any columns.
            by: how far, as `_standardised` measures it.
            parts: names of a Joint's parts to move; True for all that have a density.
        """
        raise self._cannot("location to move", "Normal or Laplace, or a Mixture of them")

    # ------------------------------------------------------------------ densities

    def __call__(self, params: Array) -> Distribution:
        """Bind parameters: one distribution per row, for people to ask.

        Args:
            params: raw activations, `(*batch, params_size)`, as a network with this head outputs them.
        """
        from mixtura.families.distribution import Distribution

        return Distribution(self, params)

    def log_prob(self, params: Array, y: Array = None, *, lower: Array = None, upper: Array = None) -> Array:
        """Return the natural logarithm of the density at `y`, or of a probability, `(*batch,)`.

        Args:
            params: raw activations, `(*batch, params_size)`.
            y: the events, `(*batch, event_size)`. Constants are included; a discrete part contributes its
                probability.
            lower: in place of `y`, for targets known up to an interval: log P(lower < Y <= upper). Leave one
                out, or give infinite values, for a target censored on one side. Dimensions in which `lower`
                equals `upper` count as observed and contribute their density.
            upper: see `lower`.

        Raises:
            ValueError: for a wrong size on a last axis, for both or neither of `y` and bounds, or, on
                arrays, for a lower bound above its upper bound.
            NotImplementedError: for bounds of a normal whose dimensions are correlated.
        """
        if y is not None and lower is None and upper is None:
            return self._log_prob(*self._read(params, y))
        if y is not None or (lower is None and upper is None):
            raise ValueError("log_prob takes either y or the bounds lower and upper")
        open_end = np.full(self.event_size, np.inf)
        lower, upper = (-open_end if lower is None else lower), (open_end if upper is None else upper)
        xp, params, lower, upper = self._read(params, lower, upper)
        if xp is host and (lower > upper).any():
            raise ValueError(f"lower must not exceed upper; received {lower} and {upper}")
        return self._log_interval(xp, params, lower, upper)

    def responsibilities(self, params: Array, y: Array) -> Array:
        """Return each mixture component's share in the density at `y`, `(*batch, num_components)`."""
        raise self._cannot("responsibilities", "a Mixture")

    # ------------------------------------------------------------------ samples

    def sample(
        self,
        params: Array,
        seed: Any = None,
        sampler: Samplers | None = None,
        temperature: float | None = None,
    ) -> Array:
        """Draw one event for each row of `params`, `(*batch, event_size)`.

        Tensors are drawn by the backend; arrays by NumPy, the same on every backend for the same seed.
        Gradients flow into `params` for `Normal`, `Laplace`, `LogNormal` and `LogitNormal`, and for their
        one-dimensional mixtures (by implicit reparameterisation). Other draws have a gradient of zero.

        Args:
            params: raw activations, `(*batch, params_size)`.
            seed: an int, a `keras.random.SeedGenerator`, a JAX key, or None for fresh entropy.
            sampler: a `Sampler`; for a `Joint` also a mapping from parts' names to samplers, in which
                parts left out are drawn as they are.
            temperature: short for `Sampler.sketch_rnn(temperature)`.
        """
        xp, params = self._read(params)
        source: Draws = ArrayDraws(seed) if xp is host else TensorDraws(seed)
        return self._sample(xp, params, source, resolve(sampler, temperature), ())

    # ------------------------------------------------------------------ fitted to events alone

    def fit(self, y: Array, seed: int | None = 0) -> np.ndarray:
        r"""Return parameters of one distribution that describes events without inputs, `(params_size,)`.

        It is what a network should predict before it has seen an input (see
        `mixtura.training.initialize_head`), and the marginal distribution that its predictions have to beat.

        Maximum likelihood in closed form, then the inverse of how parameters are read. Probabilities are
        counted from half an event up. Of `Normal`, correlations are those of the events and one more that
        has none, $n / (n + 1)$ of the sample's, so that none is 1; a constant dimension has scale 1.
        `LogNormal` and `LogitNormal` first move events on or beyond an end of their support half-way
        between the end and the nearest event inside. A scale not above `min_scale` becomes 1.01 times that.

        A `Mixture` cuts events into clusters (one dimension at quantiles, several by k-means on standardised
        dimensions), fits a component to each, and counts weights from one event up. Each component also
        counts 1 + n/100 events, n being its own, that spread as all events do but K times narrower: so
        no standard deviation is below about 1 / (10 K) of the overall one, were all of a cluster's events the
        same.

        Args:
            y: events, `(rows, event_size)`; where `event_size` is 1 also `(rows,)`.
            seed: of the clusters; the same parameters for the same seed. None for fresh entropy.

        Returns:
            Raw activations in float64, computed with NumPy.

        Raises:
            ValueError: for another shape, no rows, a number that is not finite, or, where the family has
                a `Bernoulli` or `Categorical` part, one that is no probability.

        Reference: Bishop, C. M. (2006), Pattern Recognition and Machine Learning, sections 2.3.4 and 9.1.

        Example:
            >>> import mixtura as mx
            >>> mx.Normal(1, scale="exp").fit([-1.0, 1.0])  # mean 0, log scale 0
            array([0., 0.])
        """
        check_seed(seed)
        y = host.as_array(y)
        y = y[:, None] if y.ndim == 1 and self.event_size == 1 else y
        if y.ndim != 2 or y.shape[1] != self.event_size:
            raise ValueError(
                f"{self!r} is fitted to y of shape (rows, {self.event_size}); received shape {y.shape}"
            )
        if not len(y):
            raise ValueError("fit needs at least one row of y; received none")
        if not np.isfinite(y).all():
            row, column = np.argwhere(~np.isfinite(y))[0]
            raise ValueError(
                f"y must hold finite numbers; received {y[row, column]} in row {row}, column {column}"
            )
        return self._fit(Events(y, y), np.random.default_rng(seed))

    # ------------------------------------------------------------------ moments

    def mean(self, params: Array) -> Array:
        """Return the expectation, `(*batch, event_size)`."""
        return self._mean(*self._read(params))

    def variance(self, params: Array) -> Array:
        """Return the variance of each dimension, `(*batch, event_size)`."""
        return self._variance(*self._read(params))

    def covariance(self, params: Array) -> Array:
        """Return the covariance matrix, `(*batch, event_size, event_size)`."""
        return self._covariance(*self._read(params))

    def entropy(self, params: Array) -> Array:
        """Return the entropy in nats, `(*batch,)`: differential entropy for continuous parts.

        Closed form where one exists; one-dimensional mixtures and `LogitNormal` by quadrature to 1e-6;
        mixtures of several dimensions by a seeded mean over samples (see `Mixture`).
        """
        return self._entropy(*self._read(params))

    def mode(self, params: Array) -> np.ndarray:
        """Return the event of highest density, in float64, `(*batch, event_size)`.

        For a mixture: the best of the maxima that ascent reaches from the components' centres and from
        where components cross (see `modes.py`).
        """
        _, params = self._read(host.as_array(params))
        rows = params.reshape(-1, 1, self.params_size)
        return self._mixture_mode(np.zeros(rows.shape[:2]), rows).reshape(*params.shape[:-1], self.event_size)

    # ------------------------------------------------------------------ one-dimensional events

    def cdf(self, params: Array, y: Array) -> Array:
        """Return P(Y <= y) of a one-dimensional event, `(*batch,)`."""
        self._univariate("cdf")
        xp, params, y = self._read(params, y)
        return _at_most_one(xp, self._cdf(xp, params, y))

    def sf(self, params: Array, y: Array) -> Array:
        """Return P(Y > y) of a one-dimensional event, exact where 1 - cdf cancels, `(*batch,)`."""
        self._univariate("sf")
        xp, params, y = self._read(params, y)
        return _at_most_one(xp, self._sf(xp, params, y))

    def quantile(self, params: Array, q: Array) -> np.ndarray:
        """Return inf{y : cdf(y) >= q} in float64, `(*batch, 1)`; `q` broadcasts against `batch`."""
        self._univariate("quantile")
        _, params = self._read(host.as_array(params))
        return self._quantile(params, probabilities("q", q), upper=False)[..., None]

    def isf(self, params: Array, q: Array) -> np.ndarray:
        """Return inf{y : sf(y) <= q}: the quantile of 1 - q without its rounding, `(*batch, 1)`."""
        self._univariate("isf")
        _, params = self._read(host.as_array(params))
        return self._quantile(params, probabilities("q", q), upper=True)[..., None]

    def interval(self, params: Array, level: Array) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of the central interval that holds `level` of the probability."""
        tail = (1 - probabilities("level", level)) / 2
        return self.quantile(params, tail), self.isf(params, tail)

    # ------------------------------------------------------------------ several dimensions

    def marginal(self, params: Array, dims: int | Sequence[int]) -> Distribution:
        """Return the distribution of some dimensions, the others integrated out, exactly.

        Args:
            params: raw activations, `(*batch, params_size)`.
            dims: one dimension or several, in the order wanted.
        """
        raise self._cannot("marginal", "sample and keep the dimensions wanted")

    def condition(self, params: Array, dims: int | Sequence[int], values: Array) -> Distribution:
        """Return the distribution of the other dimensions, given values of some, exactly.

        Args:
            params: raw activations, `(*batch, params_size)`.
            dims: the known dimensions.
            values: what they are, `(*batch, len(dims))`.
        """
        raise self._cannot("condition", "a mixture of normals")

    # ------------------------------------------------------------------ mixtures' components

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

    # ------------------------------------------------------------------ for subclasses to write

    def _log_prob(self, xp: Any, params: Any, y: Any) -> Any:
        raise self._cannot("log_prob", "a family with a density")

    def _log_probs(self, xp: Any, table: Any, y: Any) -> Any:
        """Return the log densities of K members at `y` `(*batch, event_size)`, `(*batch, K)`.

        Args:
            xp: `keras.ops` or its NumPy twin.
            table: their parameters as a mixture lays them out, `(*batch, params_size * K)`.
            y: `(*batch, event_size)`.
        """
        shape = (*xp.shape(table)[:-1], self.params_size, table.shape[-1] // self.params_size)
        return self._log_prob(xp, xp.swapaxes(xp.reshape(table, shape), -1, -2), y[..., None, :])

    def _log_interval(self, xp: Any, params: Any, lower: Any, upper: Any) -> Any:
        raise self._cannot("log_prob of an interval", "a family whose dimensions are independent")

    def _sample(self, xp: Any, params: Any, source: Draws, sampler: Samplers, draws: tuple[int, ...]) -> Any:
        """Return events `(*draws, *batch, event_size)`."""
        raise self._cannot("sample", "a family that can be sampled")

    def _fit(self, events: Events, rng: np.random.Generator) -> np.ndarray:
        """Return parameters `(params_size,)` of one distribution that describes `events.rows`.

        Whatever could vanish with few or equal rows is to be pooled with everyone's (`Events.pooled`).
        """
        raise self._cannot("fit", "a family that can be fitted")

    def _mean(self, xp: Any, params: Any) -> Any:
        raise self._cannot("mean", "sample")

    def _variance(self, xp: Any, params: Any) -> Any:
        raise self._cannot("variance", "sample")

    def _covariance(self, xp: Any, params: Any) -> Any:
        """For families with independent dimensions; the others override it."""
        return self._variance(xp, params)[..., None] * xp.eye(self.event_size, dtype=params.dtype)

    def _entropy(self, xp: Any, params: Any) -> Any:
        raise self._cannot("entropy", "the mean of -log_prob over samples")

    def _mixture_mode(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray:
        """Return `(rows, event_size)`: the mode of mixtures of this family.

        Args:
            log_weights: `(rows, K)`.
            components: parameters, `(rows, K, params_size)`.
        """
        raise self._cannot("mode", "the best of many samples by log_prob")

    def _mixture_entropy(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray | None:
        """Return the entropy of mixtures, `(rows,)`, if it need not be integrated; else None.

        Arguments as of `_mixture_mode`.
        """
        return None

    def _cdf(self, xp: Any, params: Any, y: Any) -> Any:
        raise self._cannot("cdf", "sample")

    def _sf(self, xp: Any, params: Any, y: Any) -> Any:
        raise self._cannot("sf", "sample")

    def _quantile(self, params: np.ndarray, q: np.ndarray, upper: bool) -> np.ndarray:
        """Return the quantile, or with `upper` the inverse survival function, of the broadcast shape."""
        raise self._cannot("isf" if upper else "quantile", "sample")

    def _edges(self, params: np.ndarray) -> np.ndarray:
        """Return points, in no order, between which a one-dimensional density is smooth, `(*batch, points)`.

        Quantiles 0.75 standard deviations of a normal apart; a family made of others asks those.
        """
        rows = params[..., None, :]
        tails = self._quantile(rows, _LEVELS, False), self._quantile(rows, _LEVELS[1:], True)
        return np.concatenate(tails, axis=-1)

    # ------------------------------------------------------------------ for subclasses to use

    def _cannot(self, method: str, alternative: str) -> NotImplementedError:
        return NotImplementedError(f"{self!r} has no {method}; use {alternative}")

    def _univariate(self, method: str) -> None:
        if self.event_size != 1:
            raise NotImplementedError(
                f"{method} needs a one-dimensional event; {self!r} has events of size {self.event_size}: "
                f"{self._one_dimension}"
            )

    def _events_of(self, name: str) -> slice:
        """Return the place of a Joint's part in the event; see `_part`."""
        raise self._cannot("parts", "a Joint")

    def _part(self, name: str, params: np.ndarray) -> tuple[Family, np.ndarray]:
        """Return one part's family and parameters."""
        raise TypeError(f"{self!r} has no parts; p[{name!r}] is for a Joint")

    @property
    def _one_dimension(self) -> str:
        """How people get at one dimension of an event."""
        return "ask marginal(dim)"

    def _read(self, params: Array, *events: Array) -> tuple[Any, ...]:
        """Check sizes and return `(xp, params, *events)`.

        `xp` is `keras.ops` where a tensor is among the arguments, else its NumPy twin.
        """
        given = (params, *events)
        tensors = [value for value in given if host.is_tensor(value)]
        if tensors:
            # Not Keras's result_type, which makes float32 of float64 on JAX and PyTorch.
            wide = any(keras.backend.standardize_dtype(t.dtype) == "float64" for t in tensors)
            dtype = "float64" if wide else "float32"
            given = tuple(ops.convert_to_tensor(value, dtype=dtype) for value in given)
        else:
            given = tuple(host.as_array(value) for value in given)
        xp, shape = ops if tensors else host, tuple(given[0].shape)
        if not shape or shape[-1] != self.params_size:
            raise ValueError(
                f"{self!r} takes parameters of size {self.params_size} on the last axis; "
                f"received shape {shape}"
            )
        events = tuple(self._read_event(xp, y) for y in given[1:])
        check_batches(shape[:-1], *(tuple(y.shape)[:-1] for y in events))
        return xp, given[0], *events

    def _read_event(self, xp: Any, y: Any) -> Any:
        if len(y.shape) == 0 and self.event_size == 1:
            y = xp.reshape(y, (1,))
        if len(y.shape) == 0 or y.shape[-1] != self.event_size:
            hint = "; add the event axis: y[..., None]" if self.event_size == 1 else ""
            raise ValueError(
                f"{self!r} has events of size {self.event_size} on the last axis; "
                f"received y of shape {tuple(y.shape)}{hint}"
            )
        return y


def check_batches(params: tuple[Any, ...], *events: tuple[Any, ...]) -> None:
    """Raise a ValueError if batch shapes, as far as they are known, do not broadcast."""
    known = [tuple(n if isinstance(n, int) else 1 for n in batch) for batch in (params, *events)]
    try:
        np.broadcast_shapes(*known)
    except ValueError:
        raise ValueError(
            f"parameters of batch shape {params} do not fit events of batch shape "
            f"{' and '.join(map(str, events))}"
        ) from None


def _at_most_one(xp: Any, probability: Any) -> Any:
    """Return probabilities without the rounding by which weights can add up to more than 1."""
    return xp.where(probability > 1, 1.0, probability)


def restored(value: Any) -> Any:
    """Return a constructor's argument from what Keras made of it in a file."""
    return value if isinstance(value, Family) else keras.saving.deserialize_keras_object(value)


def a_family(name: str, value: Any) -> Family:
    """Return a family, or raise a TypeError that names the argument."""
    if not isinstance(value, Family):
        raise TypeError(f"{name} must be a mixtura family, such as Normal(1); received {value!r}")
    return value


def probabilities(name: str, value: Array) -> np.ndarray:
    """Return probabilities as a float64 array, or raise a ValueError that names the argument."""
    value = host.as_array(value)
    if not ((value >= 0) & (value <= 1)).all():
        raise ValueError(f"{name} must lie in [0, 1]; received {value}")
    return value
