"""Two networks with one body: an MDN-RNN, and one trained with squared error."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.evaluation.sequences import predictions
from mixtura.families import Affine, Bernoulli, Family, Joint, Mixture, Normal
from mixtura.families.checks import positive_int
from mixtura.families.draws import Draws
from mixtura.families.fitting import Events
from mixtura.models import MDNRNN
from mixtura.sampling import Samplers
from mixtura.training import initialize_head

MIN_SCALE = 0.01  # of a component, in standardised units


@keras.saving.register_keras_serializable(package="mixtura")
class OneSpread(Family):
    r"""A normal with a mean for every input and one standard deviation for all: squared error.

    $$-\log p(y) = \frac{\lVert y - \mu \rVert^2}{2 \sigma^2} + D \log \sigma + \tfrac D2 \log 2\pi$$

    The parameters are the means. For a given sigma the means that maximise the likelihood are those that
    minimise the squared error, whatever sigma is (Bishop 1994, section 2).

    Args:
        event_size: the number of dimensions of an event.
        spread: sigma.
    """

    def __init__(self, event_size: int = 1, spread: float = 1.0) -> None:
        self._configure(event_size=positive_int("event_size", event_size), spread=float(spread))
        if not 0 < self.spread < np.inf:
            raise ValueError(f"spread must be positive and finite; received {spread!r}")

    @property
    def params_size(self) -> int:  # type: ignore[override]
        """The number of activations that one distribution takes."""
        return self.event_size

    @property
    def _normal(self) -> Normal:
        return Normal(self.event_size, "spherical", scale="exp")

    def _full(self, xp: Any, params: Any) -> Any:
        """Return the parameters of a spherical normal."""
        log_spread = xp.zeros_like(params[..., :1]) + float(np.log(self.spread))
        return xp.concatenate([params, log_spread], axis=-1)

    def _log_prob(self, xp: Any, params: Any, y: Any) -> Any:
        return self._normal._log_prob(xp, self._full(xp, params), y)

    def _sample(self, xp: Any, params: Any, source: Draws, sampler: Samplers, draws: tuple[int, ...]) -> Any:
        return self._normal._sample(xp, self._full(xp, params), source, sampler, draws)

    def _fit(self, events: Events, rng: np.random.Generator) -> np.ndarray:
        return events.rows.mean(axis=0)

    def _mean(self, xp: Any, params: Any) -> Any:
        return xp.copy(params)

    def _variance(self, xp: Any, params: Any) -> Any:
        return xp.zeros_like(params) + self.spread**2


def mdn_rnn(training: Sequences, units: tuple[int, ...], num_components: int, seed: int) -> MDNRNN:
    """Return the MDN-RNN, its head started at the distribution of all moves.

    Args:
        training: moves with their end flags, `(steps, 3)` each.
        units: of the recurrent layers.
        num_components: of the mixture of moves.
        seed: of the head's start.
    """
    mixture = Mixture(Normal(2, "full", min_scale=MIN_SCALE), num_components)
    return _network(mixture, training, units, seed)


def squared_error(training: Sequences, units: tuple[int, ...], seed: int) -> MDNRNN:
    """Return the network that is trained with squared error of moves and cross-entropy of their flags."""
    return _network(OneSpread(2), training, units, seed)


def with_its_noise(model: MDNRNN, training: Sequences) -> MDNRNN:
    """Return a `squared_error` network with the spread that its errors have, the root of their mean square.

    Of all spreads it gives the training moves the largest likelihood. No weight changes.
    """
    family: Any = model.family
    move = family["move"]
    squares = [
        np.square(family(params)["move"].mean() - training[number][:, :2]).ravel()
        for number, params in predictions(model, training)
    ]
    spread = float(np.sqrt(np.concatenate(squares).mean())) / move.scale[0]
    config = {**model.get_config(), "family": _moves(OneSpread(2, spread), move.shift, move.scale)}
    config["family"] = keras.saving.serialize_keras_object(config["family"])
    noisy = MDNRNN.from_config(config)
    noisy.set_weights(model.get_weights())
    return noisy


def _network(move: Family, training: Sequences, units: tuple[int, ...], seed: int) -> MDNRNN:
    moves = training.data[:, :2]
    # One scale for both directions: squared error is then squared distance.
    scale = float(np.sqrt(moves.var(axis=0).mean())) or 1.0
    model = MDNRNN(_moves(move, moves.mean(axis=0), scale), units=units)
    initialize_head(model, training.data, seed=seed)
    return model


def _moves(move: Family, shift: Any, scale: Any) -> Joint:
    return Joint(move=Affine(move, shift, scale), end=Bernoulli())
