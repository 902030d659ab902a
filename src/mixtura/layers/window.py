"""Recurrent layers that read a text through a soft window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from mixtura.families.checks import positive_int
from mixtura.layers.recurrent import RecurrentStack


class Window(NamedTuple):
    """Where the window is: K normals along the text, `(..., K)` each.

    Attributes:
        importance: alpha.
        width: beta, the larger the narrower.
        place: kappa, in letters from the beginning of the text; the first letter's place is 1.
    """

    importance: Any
    width: Any
    place: Any

    def weights(self, letters: int) -> Any:
        r"""Return $\phi(u)$ for u from 1 to `letters`, `(..., letters)`."""
        u = ops.arange(1, letters + 1, dtype=self.place.dtype)
        far = ops.square(self.place[..., None] - u)
        return ops.sum(self.importance[..., None] * ops.exp(-self.width[..., None] * far), axis=-2)


class WindowStack(RecurrentStack):
    r"""One step of several recurrent layers above a soft window onto a text.

    Over the text's vectors $c_1, \dots, c_U$ there lie K normals, whose parameters the first layer chooses,
    and which only move forwards (Graves 2013, arXiv:1308.0850, equations 46 to 51):

    $$(\hat\alpha, \hat\beta, \hat\kappa) = W h^1_t + b, \qquad
      \alpha_t = e^{\hat\alpha}, \quad \beta_t = e^{\hat\beta}, \quad
      \kappa_t = \kappa_{t-1} + e^{\hat\kappa}$$
    $$\phi(t, u) = \sum_k \alpha_t^k \exp\bigl(-\beta_t^k (\kappa_t^k - u)^2\bigr), \qquad
      w_t = \sum_u \phi(t, u)\, c_u$$

    $w_{t-1}$ enters the first layer, $w_t$ those above it. There are skip connections: every layer sees the
    input, and the output has the hidden states of all.

    The state is that of the layers, then $w$, the window, and the text itself, which no step changes.

    Args:
        units: the size of each recurrent layer, from the bottom up.
        text_size: of the vectors c.
        windows: K.
        normalised: whether $\phi$ is divided by its sum over the text, so that w is a mean of letters.
        shows_text: whether the output has $w_t$ too, beside the hidden states.
        pace: $\hat\kappa$'s bias at the start: 0 is a letter a point, as published; -2.5 a twelfth.
        narrowness: $\hat\beta$'s.
        **kwargs: the arguments of `RecurrentStack`.

    Input shape: `(batch, features)`. Output shape: `(batch, output_size)`; the last 3 K are $\alpha$,
    $\beta$ and $\kappa$, which `window` reads.
    """

    def __init__(
        self,
        units: Sequence[int],
        text_size: int,
        windows: int = 10,
        normalised: bool = False,
        shows_text: bool = False,
        pace: float = 0.0,
        narrowness: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, skips=True, **kwargs)
        self.text_size, self.windows = positive_int("text_size", text_size), positive_int("windows", windows)
        self.normalised, self.shows_text = bool(normalised), bool(shows_text)
        self.pace, self.narrowness = float(pace), float(narrowness)

        def bias(shape: Any, dtype: Any = None) -> Any:
            starts = (0.0, self.narrowness, self.pace)
            return ops.concatenate([ops.full((self.windows,), start, dtype=dtype) for start in starts])

        self.aim = keras.layers.Dense(3 * self.windows, bias_initializer=bias, dtype=self.dtype_policy)

    @property
    def state_size(self) -> list[int]:
        """The size of every state; of the text's that of its vectors."""
        return [*super().state_size, self.text_size, 3 * self.windows, self.text_size]

    @property
    def hidden_size(self) -> int:
        """How much of the output is for the head."""
        return sum(self.units) + self.shows_text * self.text_size

    @property
    def output_size(self) -> int:
        """The size of the output."""
        return self.hidden_size + 3 * self.windows

    def build(self, input_shape: Any) -> None:
        """Create the weights.

        Args:
            input_shape: ends with the number of features, without masks.
        """
        self.features = input_shape[-1]
        below = 0
        for cell, size in zip(self.cells, self.units, strict=True):
            cell.build((None, self.features + below + self.text_size))
            below = size
        self.aim.build((None, self.units[0]))
        self.built = True

    def call(self, inputs: Any, states: Sequence[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Return the output and the new states.

        Args:
            inputs: `(batch, features)`, or with the masks of `with_dropout` beside them.
            states: as `state_size` says, the text `(batch, letters, text_size)`.
            training: not used; masks come with the input.
        """
        x, masks = self._parts(inputs)
        *states, seen, before, text = states
        outputs: list[Any] = []
        after: list[Any] = []
        window = None
        for cell, mask in zip(self.cells, masks, strict=True):
            own, states = states[: cell.num_states], states[cell.num_states :]
            h, own = cell(ops.concatenate([x, *outputs[-1:], seen], axis=-1), own, keep=mask)
            outputs.append(h)
            after += own
            if window is None:
                importance, width, step = ops.split(ops.exp(self.aim(h)), 3, axis=-1)
                window = Window(importance, width, self.window(before).place + step)
                seen = self._look(window, text)
        shown = [seen] if self.shows_text else []
        parameters = ops.concatenate(window, axis=-1)
        return ops.concatenate([*outputs, *shown, parameters], axis=-1), [*after, seen, parameters, text]

    def _look(self, window: Window, text: Any) -> Any:
        """Return w."""
        weights = window.weights(text.shape[1])
        if self.normalised:
            weights = weights / (ops.sum(weights, axis=-1, keepdims=True) + 1e-6)
        return ops.squeeze(ops.matmul(weights[:, None], text), axis=1)

    def window(self, features: Any) -> Window:
        """Return where the window is, from the state of that name, or the output of a step or all steps."""
        return Window(*ops.split(features[..., -3 * self.windows :], 3, axis=-1))

    def get_initial_state(self, batch_size: Any = None, text: Any = None) -> list[Any]:
        """Return states of zeros; the window before the text, which is one empty letter if not given."""
        sizes = self.state_size
        states = [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in sizes[:-1]]
        if text is None:
            text = ops.zeros((batch_size, 1, self.text_size), dtype=self.compute_dtype)
        return [*states, text]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        config.pop("skips")
        names = ("text_size", "windows", "normalised", "shows_text", "pace", "narrowness")
        return {**config, **{name: getattr(self, name) for name in names}}


def window_in(state: Sequence[Any]) -> Window:
    """Return where the window is, from the state of a `WindowStack` or of a cell around it."""
    return Window(*ops.split(state[-2], 3, axis=-1))


def with_text(state: Sequence[Any], text: Any, letters: int) -> list[Any]:
    """Return the state of a sequence that goes on with another text.

    Args:
        state: of a `WindowStack` or of a cell around it.
        text: the vectors of the other text, `(batch, letters, text_size)`.
        letters: by how many the window moves back: those that stood before and are not in this text.
    """
    *rest, _, _ = state
    importance, width, place = window_in(state)
    return [*rest, ops.concatenate([importance, width, place - letters], axis=-1), text]
