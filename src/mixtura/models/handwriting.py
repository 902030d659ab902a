"""Handwriting: networks that predict the next point of the pen, and write a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from mixtura.data.alphabets import PADDING, Alphabet
from mixtura.data.strokes import to_stroke5
from mixtura.families import Family
from mixtura.families.checks import natural
from mixtura.generation.request import Precision
from mixtura.layers.clipping import ClipGradient
from mixtura.layers.pen import PenCell
from mixtura.layers.recurrent import RecurrentStack
from mixtura.layers.window import WindowStack, window_in
from mixtura.models.sequence import SequenceModel
from mixtura.models.sketch_rnn import padded
from mixtura.sampling import Sampler

LETTER = 60  # points of a letter at most, unless told otherwise


@keras.saving.register_keras_serializable(package="mixtura")
class Handwriting(SequenceModel):
    r"""The networks of Graves (2013, arXiv:1308.0850): handwriting predicted, and written from a text.

    Events are `(dx, dy, end)`: the pen moves by (dx, dy) to a point, and `end` is 1 at the last point of a
    stroke; or `(dx, dy, draw, lift, end)`, of whose last three one is 1: the pen draws on, is lifted, or the
    text is written. A line of handwriting begins at its first point, which is given: the first event is the
    second point.

    Without an alphabet it is the prediction network (section 4), recurrent layers with skip connections.
    With one it is the synthesis network (section 5): a soft window slides along a text; see `WindowStack`.
    The text's vectors are one-hot as published, or an encoder's: learnt vectors and a convolution, so that a
    letter knows its neighbours. The context of a sequence is its text in codes, `(letters,)`, padded with 0
    (see `context`); where there are styles, the number of one stands before it.

    Writing stops when the window is past the last letter, $\phi(t, U + 1) > \phi(t, u)$ for all u up to U
    (section 5.3). Where events have an end, it stops with that too, if the window is at the last letter;
    before, it ends but a stroke.

    Args:
        family: of an event: as published `Joint(offset=Mixture(Normal(2, "bivariate", scale="exp"), 20),
            end=Bernoulli())`, offsets in the data's units (see `Affine`).
        units: the size of each recurrent layer.
        alphabet: of the texts; None for prediction alone.
        peephole: whether the LSTMs' gates see their cell states, as published.
        windows: how many normals the window has.
        normalised: see `WindowStack`; and so on for the next three.
        shows_text: see there.
        pace: see there.
        narrowness: see there.
        encoder_size: of the encoder's vectors; 0 for one-hot ones.
        encoder_width: how many letters its convolution sees at once.
        num_styles: how many styles there are.
        style_size: of a style's learnt vector, which enters at every step.
        sees_place: whether the network sees how high the pen is and where the stroke began; see `PenCell`.
        recurrent_dropout: see `RecurrentStack`.
        clip: the largest absolute derivatives of the loss with respect to the outputs and to the gates' sums
            of the LSTMs; Graves' are 100 and 10 for the loss of a line. 0 for no limit.
        seed: of dropout's masks.
        **kwargs: the arguments of every Keras model.

    Raises:
        TypeError: if `family` is not a family.
        ValueError: if its events have neither three nor five dimensions; for styles without a size or the
            other way round; as `WindowStack`.

    Example:
        >>> import mixtura as mx
        >>> from mixtura.data.alphabets import Alphabet
        >>> offset = mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), 20)
        >>> family = mx.Joint(offset=offset, end=mx.Bernoulli())
        >>> model = Handwriting(family, (16, 16), Alphabet("abc"), peephole=True)
        >>> line = model.write(["cab"], seed=0, longest=30)[0]
        >>> line.shape[1]
        3
    """

    def __init__(
        self,
        family: Family,
        units: Sequence[int] = (400, 400, 400),
        alphabet: Alphabet | None = None,
        peephole: bool = False,
        windows: int = 10,
        normalised: bool = False,
        shows_text: bool = False,
        pace: float = 0.0,
        narrowness: float = 0.0,
        encoder_size: int = 0,
        encoder_width: int = 5,
        num_styles: int = 0,
        style_size: int = 0,
        sees_place: bool = False,
        recurrent_dropout: float = 0.0,
        clip: Sequence[float] = (0.0, 0.0),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(family, Family) and family.event_size not in (3, 5):
            raise ValueError(
                f"events must be (dx, dy, end) or (dx, dy, draw, lift, end); {family!r} has "
                f"{family.event_size} dimensions"
            )
        self._stack_settings: dict[str, Any] = {
            "peephole": peephole,
            "recurrent_dropout": recurrent_dropout,
            "seed": seed,
        }
        settings = {**self._stack_settings, "clip": clip[1], "dtype": kwargs.get("dtype"), "name": "stack"}
        self._window_settings: dict[str, Any] = {
            "windows": windows,
            "normalised": normalised,
            "shows_text": shows_text,
            "pace": pace,
            "narrowness": narrowness,
        }
        if alphabet is None:
            stack = RecurrentStack(units, skips=True, **settings)
        else:
            text_size = natural("encoder_size", encoder_size) or len(alphabet)
            stack = WindowStack(units, text_size, **self._window_settings, **settings)
        cell = stack
        if sees_place:
            if not isinstance(family, Family) or family.event_size != 5:
                raise ValueError("sees_place is for events (dx, dy, draw, lift, end)")
            cell = PenCell(stack, axes=(1,), begun=True, dtype=kwargs.get("dtype"), name="pen")
        super().__init__(family, cell, **kwargs)
        self.alphabet, self.sees_place = alphabet, bool(sees_place)
        self.encoder_size, self.encoder_width = encoder_size, encoder_width
        self.num_styles, self.style_size = (
            natural("num_styles", num_styles),
            natural("style_size", style_size),
        )
        if bool(num_styles) != bool(style_size):
            raise ValueError(
                f"num_styles and style_size must both be given or neither; received {num_styles} and "
                f"{style_size}"
            )
        self.clip = tuple(map(float, clip))
        self._stack = stack
        self._clipped = ClipGradient(clip[0], name="clipped") if clip[0] else None
        self.rnn.build((None, None, family.event_size + self.style_size))
        self.head.build((None, self._hidden_size))
        if self.encoder_size:
            self.letters = keras.layers.Embedding(len(alphabet or "") + 1, encoder_size, name="letters")
            self.letters.build((None,))
            self.encoder = keras.layers.Conv1D(encoder_size, encoder_width, padding="same", name="encoder")
            self.encoder.build((None, None, encoder_size))
        if self.num_styles:
            self.styles = keras.layers.Embedding(self.num_styles, self.style_size, name="styles")
            self.styles.build((None,))
        self.built = True

    @property
    def _hidden_size(self) -> int:
        """How much of the cell's output is for the head."""
        return self._stack.hidden_size if self.alphabet else self._stack.output_size

    # ------------------------------------------------------------------ one step

    def start_event(self) -> Any:
        """Return what precedes the first event: the first point, from which the pen draws on."""
        start = [0.0, 0.0, 0.0] if self.family.event_size == 3 else [0.0, 0.0, 1.0, 0.0, 0.0]
        return ops.convert_to_tensor(start, dtype=self.variable_dtype)

    def initial_state(self, batch_size: Any, context: Any = None) -> Any:
        """Return the state before the first step, the text in it."""
        states = self.cell.get_initial_state(batch_size)
        if self.alphabet is not None:
            if context is None:
                raise ValueError("context must be the texts in codes; received none")
            states[-1] = ops.cast(self.text_of(context), self.compute_dtype)
        return states

    def text_of(self, context: Any) -> Any:
        """Return the vectors of texts, `(batch, letters, size)`, zero on padding."""
        codes = ops.cast(self.codes_of(context), "int32")
        if not self.encoder_size:
            return ops.one_hot(codes, len(self.alphabet or "") + 1)[..., 1:]
        is_letter = ops.cast(ops.not_equal(codes, PADDING), self.compute_dtype)[..., None]
        own = self.letters(codes) * is_letter
        return (own + ops.tanh(self.encoder(own))) * is_letter

    def embed(self, event: Any, inputs: Any = None, context: Any = None) -> Any:
        """Return the event, standardised, and the style's vector beside it."""
        if (context is not None) != (self.alphabet is not None or self.num_styles > 0) or inputs is not None:
            raise ValueError("context must be the texts in codes where there is an alphabet; no inputs")
        style = self.styles(ops.cast(context, "int32")[:, 0]) if self.num_styles else None
        if self.family.event_size == 5:  # an end that did not end the text is that of a stroke
            event = ops.convert_to_tensor(event)
            lift = event[..., 3:4] + event[..., 4:]
            event = ops.concatenate([event[..., :3], lift, ops.zeros_like(lift)], axis=-1)
        return super().embed(event, None, style)

    def read(self, features: Any, x: Any) -> Any:
        """Return the parameters from the hidden states."""
        params = super().read(features[..., : self._hidden_size], x)
        return params if self._clipped is None else self._clipped(params)

    def stop(self, params: Any, event: Any, state: Any, context: Any = None) -> Any:
        """Return which texts are written with this event."""
        is_end = event[:, -1] > 0.5  # where there are five
        if self.alphabet is None:
            return is_end if self.family.event_size == 5 else None
        codes = ops.cast(self.codes_of(context), "int32")
        letters = ops.sum(ops.cast(ops.not_equal(codes, PADDING), "int32"), axis=1)
        weights = window_in(state).weights(codes.shape[1] + 1)
        of_text = ops.arange(codes.shape[1] + 1)[None] <= letters[:, None]
        looked_at = ops.argmax(ops.where(of_text, weights, -ops.ones_like(weights)), axis=1)
        is_past = ops.equal(ops.cast(looked_at, "int32"), letters)
        if self.family.event_size == 3:
            return is_past
        is_at_last = ops.cast(looked_at, "int32") >= letters - 1
        return ops.logical_or(ops.logical_and(is_end, is_at_last), is_past)

    # ------------------------------------------------------------------ texts

    def context(self, texts: Sequence[str], styles: Any = None, length: int | None = None) -> np.ndarray:
        """Return what the network is given of texts: codes `(texts, length)`, the style's number before.

        Args:
            texts: what to write.
            styles: the number of each one's style, or of all, where there are styles.
            length: of the codes; by default the longest text's.

        Raises:
            InputError: for a text that is empty or has characters that are not in the alphabet.
            ValueError: if there is no alphabet, a style is missing or unknown, or there are none.
        """
        if self.alphabet is None:
            raise ValueError("this network only predicts: it knows no texts")
        codes = self.alphabet.batch(texts, length)
        if (styles is None) == bool(self.num_styles):
            raise ValueError(f"styles must {'' if self.num_styles else 'not '}be given to this model")
        if styles is None:
            return codes
        numbers = np.broadcast_to(np.asarray(styles, np.int32), (len(codes),))
        if numbers.min() < 0 or numbers.max() >= self.num_styles:
            raise ValueError(f"styles must be below {self.num_styles}; received {numbers.max()}")
        return np.concatenate([numbers[:, None], codes], axis=1)

    def codes_of(self, context: Any) -> Any:
        """Return the codes of a context's texts, without the styles before them."""
        return context[:, bool(self.num_styles) :]

    def events(self, drawing: np.ndarray, whole: bool = True) -> np.ndarray:
        """Return a line `(n, 3)` as events; see `line_events`."""
        return line_events(drawing, self.family.event_size, whole)

    # ------------------------------------------------------------------ writing

    def write(
        self,
        texts: Sequence[str],
        *,
        bias: float = 0.0,
        styles: Any = None,
        primed: tuple[np.ndarray, str] | None = None,
        longest: int | None = None,
        seed: int | None = None,
        precision: Precision = "float32",
    ) -> list[np.ndarray]:
        r"""Return texts as lines of handwriting `(n, 3)` of (dx, dy, end), all written at once.

        Args:
            texts: what to write.
            bias: b, which makes neater writing: logits of the components times 1 + b, scales times
                $e^{-b}$ (equations 61 and 62).
            styles: see `context`.
            primed: a line and its text: the network first follows this line, then goes on in its style
                (section 5.5).
            longest: points at most; by default 60 a letter.
            seed: of the draws.
            precision: as in `mixtura.generation.generate`: "bfloat16" writes many lines faster.

        Raises:
            InputError: see `context`.
            ValueError: see there.
        """
        before, prompt, begun = "", None, 0
        if primed is not None:
            space = " " if self.alphabet is not None and " " in self.alphabet.symbols else ""
            before, prompt = primed[1] + space, self.events(primed[0], whole=False)
            begun = len(prompt)
        found = self.generate(
            longest or LETTER * max(map(len, texts)),
            context=self.context([before + text for text in texts], styles),
            prompt=prompt,
            sampler=Sampler.graves(bias),
            seed=seed,
            precision=precision,
        )
        return [events_line(found[row][begun + (begun > 0) :]) for row in range(len(found))]

    def attention(
        self, drawings: Sequence[np.ndarray], texts: Sequence[str], styles: Any = None
    ) -> list[np.ndarray]:
        r"""Return the window of lines that are there: $\phi(t, u)$ for u from 1 to U + 1, `(n, U + 1)` each.

        Row t is of point t, where the window is once the network has seen the points before it; the first
        point is given, and has the row of the second.

        Args:
            drawings: the lines `(n, 3)`.
            texts: of each.
            styles: see `context`.

        Raises:
            InputError: see `context`.
            ValueError: see there.
        """
        context = self.context(texts, styles)
        events = padded([self.events(one) for one in drawings])
        letters = max(map(len, texts)) + 1

        def window(events: Any, context: Any) -> Any:
            features, _, _ = self.features(events, context=context)
            return self._stack.window(features).weights(letters)

        weights = ops.convert_to_numpy(self.program(f"window of {letters}", window)(events, context))
        found = []
        for row, (drawing, text) in enumerate(zip(drawings, texts, strict=True)):
            own = weights[row, : len(self.events(drawing)), : len(text) + 1]
            found.append(np.concatenate([own[:1], own])[-len(drawing) :])
        return found

    def extended(self, alphabet: Alphabet, num_styles: int | None = None) -> Handwriting:
        """Return this network for an alphabet with more symbols, or more styles, what it has learnt kept.

        A new symbol begins as the one that stood for it, else as the nearest old one (see
        `Alphabet.substitute`), else as the mean of all; a new style as the mean of all.

        Args:
            alphabet: has the symbols of the old one first.
            num_styles: how many styles there are to be, the old ones first.

        Raises:
            ValueError: if it has not.
        """
        old = self.alphabet
        if old is None or not alphabet.symbols.startswith(old.symbols):
            raise ValueError(f"the alphabet must begin with the old one; received {alphabet!r}")
        styles = self.num_styles if num_styles is None else num_styles
        arguments = {**self._arguments(), "family": self.family, "num_styles": styles}
        model = type(self)(**arguments, alphabet=alphabet)
        rows = []  # of old symbols, whose mean a new one begins with
        for symbol in alphabet.symbols[len(old) :]:
            stood_for = old.symbols[-1:] if old.other else old.substitute(symbol)
            near = [one for one in stood_for if one in old.symbols] or list(old.symbols)
            rows.append([old.symbols.index(one) for one in near])
        size = len(old)
        for mine, other in zip(self.weights, model.weights, strict=True):
            value = ops.convert_to_numpy(mine)
            if mine.shape != other.shape:  # the text's rows are the last
                is_style = mine.path.startswith("styles")
                table = value if is_style else value[-size:]
                means = [range(len(value))] * (styles - self.num_styles) if is_style else rows
                value = np.concatenate([value, *(table[list(one)].mean(axis=0)[None] for one in means)])
            other.assign(value)
        return model

    # ------------------------------------------------------------------ storage

    def _arguments(self) -> dict[str, Any]:
        names = ("encoder_size", "encoder_width", "num_styles", "style_size", "sees_place")
        return {
            "units": self._stack.units,
            **self._stack_settings,
            **self._window_settings,
            **{name: getattr(self, name) for name in names},
            "clip": list(self.clip),
        }

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        alphabet = None if self.alphabet is None else [self.alphabet.symbols, self.alphabet.other]
        family = keras.saving.serialize_keras_object(self.family)
        return {**super().get_config(), "family": family, **self._arguments(), "alphabet": alphabet}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Build the model from `get_config`'s dictionary."""
        alphabet = None if config["alphabet"] is None else Alphabet(*config["alphabet"])
        family = keras.saving.deserialize_keras_object(config["family"])
        return cls(**{**config, "family": family, "alphabet": alphabet})


def line_events(line: np.ndarray, size: int, whole: bool = True) -> np.ndarray:
    """Return a line of handwriting `(n, 3)` as events, of all points but the first.

    If the first stroke is a dot, the pen stays where it is for a first event that is lifted.

    Args:
        line: of (dx, dy, end).
        size: of an event: 3 for `(dx, dy, end)`, 5 for `(dx, dy, draw, lift, end)`.
        whole: whether the text ends with it; else it goes on.
    """
    points = np.array(line, np.float64)
    points[0, :2] = 0
    if points[0, 2] == 0:
        points = points[1:]
    return points if size == 3 else to_stroke5(points, closing=not whole)[: len(points)]


def events_line(events: np.ndarray) -> np.ndarray:
    """Return events as a line of handwriting `(n, 3)`, the first point before them."""
    ends = events[:, 2] if events.shape[1] == 3 else events[:, 3:].max(axis=1, initial=0.0)
    points = np.column_stack([events[:, :2], ends > 0.5]).astype(float)
    points = np.concatenate([np.zeros((1, 3)), points])
    points[-1, 2] = 1
    return points
