"""Sketch-RNN: drawings as sequences of pen strokes, with or without a latent vector behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from mixtura.data.sequences import Sequences
from mixtura.data.strokes import to_stroke5
from mixtura.families import Family
from mixtura.families.checks import natural
from mixtura.families.seeds import split_seed
from mixtura.layers.pen import PenCell, places
from mixtura.layers.recurrent import CellType, RecurrentStack
from mixtura.models.sequence import SequenceModel
from mixtura.sampling import Sampler

LIFT, END = 3, 4  # columns of an event


@keras.saving.register_keras_serializable(package="mixtura")
class SketchRNN(SequenceModel):
    r"""A recurrent network that draws: Ha's Kanji decoder (2015) and Sketch-RNN (Ha & Eck 2017).

    Events are `(dx, dy, draw, lift, end)`: the pen moves by (dx, dy) to a point, and one of the others is 1:
    it goes on drawing, it is lifted for a new stroke, or the drawing is done (arXiv:1704.03477, section 3.1).

    Without a latent vector it is a decoder alone, $p(S) = \prod_t p(S_t \mid S_{<t})$. With one it is a
    variational autoencoder (section 3.2):

    $$z \sim \mathcal N(\mu, \operatorname{diag} \exp \hat\sigma), \quad
      (\mu, \hat\sigma) = W [h_\to; h_\gets] + b, \qquad
      [h_0; c_0; \dots] = \tanh(W_z z + b_z), \qquad x_t = [S_{t-1}; z]$$

    with $h_\to$ and $h_\gets$ the last states of two recurrent layers that read the drawing forwards and
    backwards. Classes have learnt vectors, which stand beside z. `context` makes what the decoder is given
    (`call` and `generate` take it as `context`), `encode` reads drawings.

    With classes, z and the class say much of the same, and a z drawn without regard to the class contradicts
    it. So each class has a prior of its own, $z \sim \mathcal N(m_c, \operatorname{diag} s^2)$, fitted after
    training to what the encoder makes of each class's drawings (`fit_prior`; Ghosh et al. 2020,
    arXiv:1903.12436, section 4, for all classes together). Until then it is the standard normal.

    Args:
        family: of an event: `Joint(offset=Mixture(Normal(2, "bivariate"), 20), pen=Categorical(3))` as
            published, offsets in the data's units (see `Affine`).
        units: the size of each recurrent layer of the decoder, from the bottom up.
        cell: of the decoder, see `RecurrentStack`; the encoder's are LSTMs.
        layer_norm: see there; of the decoder.
        recurrent_dropout: see there; of both.
        latent_size: of z; 0 for a decoder alone.
        encoder_units: the size of the encoder's layer in each direction.
        num_classes: how many classes there are; 0 for none.
        class_size: of a class's vector.
        closing: how a drawing ends: with an event of its own, whose offset means nothing (2017), or with its
            last point (2015).
        sees_place: whether the network sees where the pen is and where the stroke began; see `PenCell`.
        seed: of dropout's masks.
        **kwargs: the arguments of every Keras model.

    Raises:
        TypeError: if `family` is not a family.
        ValueError: if its events have not five dimensions; for sizes that are negative, or classes without a
            size; as `RecurrentStack`.

    Example:
        >>> import mixtura as mx
        >>> offset = mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), 20)
        >>> family = mx.Joint(offset=offset, pen=mx.Categorical(3))
        >>> model = SketchRNN(family, (16,), latent_size=4, encoder_units=8)
        >>> z = model.draw_latent(2, seed=0)
        >>> len(model.draw(longest=20, context=model.context(z), seed=0))
        2
    """

    def __init__(
        self,
        family: Family,
        units: Sequence[int] = (512,),
        cell: CellType = "lstm",
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        latent_size: int = 0,
        encoder_units: int = 256,
        num_classes: int = 0,
        class_size: int = 0,
        closing: bool = False,
        sees_place: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(family, Family) and family.event_size != 5:
            raise ValueError(f"events must be (dx, dy, draw, lift, end); {family!r} has {family.event_size}")
        # Equal seeds would drop the same units in both directions.
        seeds = [None] * 4 if seed is None else split_seed(seed, 4)
        shared: dict[str, Any] = {"recurrent_dropout": recurrent_dropout, "dtype": kwargs.get("dtype")}
        stack = RecurrentStack(units, cell, layer_norm=layer_norm, seed=seeds[0], name="stack", **shared)
        decoder = PenCell(stack, dtype=kwargs.get("dtype"), name="pen") if sees_place else stack
        super().__init__(family, decoder, **kwargs)
        self.latent_size = natural("latent_size", latent_size)
        self.num_classes = natural("num_classes", num_classes)
        self.class_size = natural("class_size", class_size)
        if bool(self.num_classes) != bool(self.class_size):
            raise ValueError(
                "num_classes and class_size must both be given or neither; "
                f"received {num_classes} and {class_size}"
            )
        self.context_size = self.latent_size + self.class_size
        self.closing, self.sees_place, self.encoder_units = bool(closing), bool(sees_place), encoder_units
        self._stack, self.seed = stack, seed
        width = 5 + self.context_size
        self.rnn.build((None, None, width))
        self.head.build((None, stack.output_size))
        if self.context_size:
            self.begin = keras.layers.Dense(sum(stack.state_size), "tanh", name="begin")
            self.begin.build((None, self.context_size))
        if self.num_classes:
            self.classes = keras.layers.Embedding(self.num_classes, self.class_size, name="classes")
            self.classes.build((None,))
        if self.latent_size:
            seen = 5 + (2 if sees_place else 0)
            self.readers = []
            for name, own_seed in zip(("forwards", "backwards"), seeds[1:3], strict=True):
                layer = RecurrentStack((encoder_units,), seed=own_seed, **shared)
                self.readers.append(keras.layers.RNN(layer, go_backwards=name == "backwards", name=name))
                self.readers[-1].build((None, None, seen))
            small = keras.initializers.RandomNormal(stddev=1e-3, seed=seeds[3])
            self.posterior = keras.layers.Dense(
                2 * self.latent_size, kernel_initializer=small, name="posterior"
            )
            self.posterior.build((None, 2 * encoder_units))
        if self.latent_size and self.num_classes:
            fixed: dict[str, Any] = {"initializer": "zeros", "trainable": False}
            self._prior = [
                self.add_weight((self.num_classes, self.latent_size), name="prior_mean", **fixed),
                self.add_weight((self.latent_size,), name="prior_log_variance", **fixed),
            ]
        self.built = True

    # ------------------------------------------------------------------ the decoder

    def start_event(self) -> Any:
        """Return what precedes the first event: the pen on the paper, at the origin."""
        return ops.convert_to_tensor([0.0, 0.0, 1.0, 0.0, 0.0], dtype=self.variable_dtype)

    def initial_state(self, batch_size: Any, context: Any = None) -> Any:
        """Return the state before the first step: zeros, or made of the context."""
        states = self.cell.get_initial_state(batch_size)
        if not self.context_size:
            return states
        sizes = self._stack.state_size
        own = ops.split(self.begin(context), np.cumsum(sizes)[:-1].tolist(), axis=-1)
        return [*states[: len(states) - len(own)], *own]

    def embed(self, event: Any, inputs: Any = None, context: Any = None) -> Any:
        """Return event and context side by side, or raise a ValueError where a size is another."""
        received = 0 if context is None else context.shape[-1]
        if received != self.context_size or inputs is not None:
            raise ValueError(
                f"context must be of size {self.context_size}, and there are no inputs; "
                f"received {received or 'none'}"
            )
        return super().embed(event, None, context)

    def stop(self, params: Any, event: Any, state: Any, context: Any = None) -> Any:
        """Return which drawings are done with this event."""
        return event[:, END] > 0.5

    # ------------------------------------------------------------------ what it is given

    def posterior_of(self, events: Any, training: bool = False) -> tuple[Any, Any]:
        r"""Return the mean and the logarithm of the variance of $q(z \mid S)$, `(batch, latent_size)` each.

        Args:
            events: `(batch, time, 5)`; what comes after the end is not read.
            training: whether dropout is on.
        """
        ended = ops.cumsum(events[..., END], axis=1)
        before = ended if self.closing else ended - events[..., END]
        is_read = before < 0.5
        seen = self.family._standardised(ops, events)
        if self.sees_place:
            seen = ops.concatenate([seen, places(seen[..., :2])], axis=-1)
        features = []
        for reader in self.readers:
            x = reader.cell.with_dropout(seen) if training else seen
            features.append(reader(x, mask=is_read))
        mean, log_variance = ops.split(self.posterior(ops.concatenate(features, axis=-1)), 2, axis=-1)
        return mean, log_variance

    def encode(self, drawings: Sequences | Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        r"""Return the mean and the logarithm of the variance of $q(z \mid S)$ of drawings.

        Args:
            drawings: `(n, 3)` of (dx, dy, end) each.

        Raises:
            ValueError: if there is no latent vector.
        """
        if not self.latent_size:
            raise ValueError("this model has no latent vector: it is a decoder alone")
        run = self.program("encode", self.posterior_of)
        events = [self.events(one) for one in drawings]
        found = np.zeros((2, len(events), self.latent_size), np.float32)
        order = np.argsort([len(one) for one in events], kind="stable")
        for start in range(0, len(order), ROWS):
            some = order[start : start + ROWS]
            rows = 1 << (len(some) - 1).bit_length()
            read = run(padded([events[number] for number in some], rows))
            found[:, some] = [ops.convert_to_numpy(part)[: len(some)] for part in read]
        return found[0], found[1]

    def prior_of(self, labels: Any = None) -> tuple[Any, Any]:
        """Return the mean and the logarithm of the variance of z before its drawing is seen.

        Args:
            labels: the number of each drawing's class, `(batch,)`, where there are classes.

        Returns:
            `(batch, latent_size)`, or zero, and `(latent_size,)`, or zero.
        """
        if not self.num_classes:
            return ops.zeros((1, self.latent_size)), ops.zeros((self.latent_size,))
        mean, log_variance = (ops.convert_to_tensor(weight) for weight in self._prior)
        return ops.take(mean, labels, axis=0), log_variance

    def draw_latent(
        self, count: int, labels: Any = None, seed: int | None = None, temperature: float | None = None
    ) -> np.ndarray | None:
        """Return vectors from the prior, `(count, latent_size)`; None if there are none.

        Args:
            count: how many.
            labels: of each one's class, where there are classes.
            seed: of the draws.
            temperature: by what the variance is multiplied.
        """
        if not self.latent_size:
            return None
        mean, log_variance = (ops.convert_to_numpy(part) for part in self.prior_of(labels))
        scale = np.exp(0.5 * log_variance) * (1.0 if temperature is None else temperature) ** 0.5
        return mean + scale * np.random.default_rng(seed).standard_normal((count, self.latent_size))

    def fit_prior(self, drawings: Sequences | Sequence[np.ndarray], labels: Any) -> None:
        r"""Give each class the prior of what the encoder makes of its drawings.

        $$s_i^2 = w_i^2 + \overline{e^{\hat\sigma_i}}, \qquad
          m_{ci} = \bar\mu_i + \frac{b_i^2}{b_i^2 + w_i^2 / n_c} (\bar\mu_{ci} - \bar\mu_i)$$

        with w² and b² the variances of posterior means within classes and between them: the fewer drawings a
        class has, the nearer its mean is to that of all (James & Stein 1961).

        Args:
            drawings: `(n, 3)` each.
            labels: the number of each one's class.
        """
        mean, log_variance = (part.astype(np.float64) for part in self.encode(drawings))
        labels = np.asarray(labels)
        counts = np.bincount(labels, minlength=self.num_classes)[:, None]
        sums = np.zeros((self.num_classes, self.latent_size))
        np.add.at(sums, labels, mean)
        own = np.where(counts > 0, sums / np.maximum(counts, 1), mean.mean(axis=0))
        some = counts[:, 0] > 0
        within = ((mean - own[labels]) ** 2).sum(axis=0) / max(1, len(mean) - some.sum())
        between = own[some].var(axis=0) - within * np.mean(1 / counts[some])
        between = np.maximum(between, 1e-6)
        share = between * counts / (between * counts + within + 1e-9)
        self._prior[0].assign(mean.mean(axis=0) + share * (own - mean.mean(axis=0)))
        self._prior[1].assign(np.log(within + np.exp(log_variance).mean(axis=0)))

    def context(self, latent: Any = None, labels: Any = None) -> np.ndarray | None:
        """Return what the decoder is given, `(batch, latent_size + class_size)`; None if it takes nothing.

        Args:
            latent: z, `(batch, latent_size)`.
            labels: the number of each drawing's class, `(batch,)`.

        Raises:
            ValueError: if one is missing, or there is no place for it.
        """
        wanted = (("latent", latent, self.latent_size), ("labels", labels, self.num_classes))
        for name, value, size in wanted:
            if (value is None) == bool(size):
                raise ValueError(f"{name} must {'' if size else 'not '}be given to this model")
        parts = []
        if latent is not None:
            parts.append(np.asarray(latent, self.variable_dtype))
        if labels is not None:
            labels = np.asarray(labels)
            if len(labels) and not (labels.min() >= 0 and labels.max() < self.num_classes):
                raise ValueError(f"labels must be below {self.num_classes}; received {labels.max()}")
            parts.append(np.asarray(ops.convert_to_numpy(self.classes.embeddings))[labels])
        return np.concatenate(parts, axis=-1) if parts else None

    def events(self, drawing: np.ndarray) -> np.ndarray:
        """Return a whole drawing `(n, 3)` as events."""
        return to_stroke5(drawing, closing=self.closing)

    # ------------------------------------------------------------------ drawing

    def draw(
        self,
        count: int | None = None,
        longest: int = 250,
        *,
        context: np.ndarray | None = None,
        begun: np.ndarray | Sequence[np.ndarray] | None = None,
        temperature: float | None = None,
        **settings: Any,
    ) -> list[np.ndarray]:
        """Return drawings `(n, 3)` of (dx, dy, end), a begun one included.

        Args:
            count: how many; by default as many as contexts, else 1.
            longest: points at most; a drawing that has not ended by then is cut.
            context: of each; see there.
            begun: what all begin with, `(n, 3)`, or what each does, a list.
            temperature: as in Magenta.js (`Sampler.magenta_js`). By the paper's convention, which sharpens
                the choice of a component and of the pen as much as the offset, a cool pen is hardly ever
                lifted, and scribbles on. At 0 nothing is left to chance.
            **settings: of `mixtura.generation.generate`: `seed`, `sampler`.
        """
        if temperature is not None:
            settings["sampler"] = Sampler.magenta_js(temperature) if temperature else Sampler.greedy()
        steps = longest + self.closing
        if begun is not None:
            several = [begun] if isinstance(begun, np.ndarray) else begun
            prompts = [opened(one) for one in several]
            settings["prompt"] = prompts[0] if isinstance(begun, np.ndarray) else prompts
            steps = max(1, steps - min(map(len, prompts)))
        found = self.generate(steps, batch_size=count, context=context, **settings)
        return [self.drawing(found[row], longest) for row in range(len(found))]

    def drawing(self, events: np.ndarray, longest: int | None = None) -> np.ndarray:
        """Return events that were drawn as a drawing `(n, 3)`: up to its end, or cut where they stop.

        Args:
            events: `(steps, 5)`.
            longest: points at most.
        """
        ends = np.flatnonzero(events[:, END] > 0.5)
        events = events[: ends[0] + (not self.closing)] if len(ends) else events
        events = events[:longest]
        if not len(events):  # ended before it began
            return np.array([[0.0, 0.0, 1.0]])
        drawing = np.column_stack([events[:, :2], events[:, LIFT] > 0.5]).astype(float)
        drawing[-1, 2] = 1
        return drawing

    # ------------------------------------------------------------------ storage

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        stack = {
            name: getattr(self._stack, name) for name in ("units", "cell", "layer_norm", "recurrent_dropout")
        }
        names = ("latent_size", "encoder_units", "num_classes", "class_size", "closing", "sees_place", "seed")
        return {
            **super().get_config(),
            "family": keras.saving.serialize_keras_object(self.family),
            **stack,
            **{name: getattr(self, name) for name in names},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Build the model from `get_config`'s dictionary."""
        return cls(**{**config, "family": keras.saving.deserialize_keras_object(config["family"])})


ROWS = 64  # drawings that go through the network together


def opened(drawing: np.ndarray) -> np.ndarray:
    """Return a drawing that has only begun as events: its last point does not end it."""
    return to_stroke5(drawing, closing=True)[:-1]


def padded(events: Sequence[np.ndarray], rows: int | None = None, time: int | None = None) -> np.ndarray:
    """Return events `(rows, time, 5)`, each drawing's last one repeated; rows missing are the first again.

    By default the time is the next power of two.
    """
    longest = max(map(len, events))
    time = max(8, 1 << (longest - 1).bit_length()) if time is None else time
    table = np.stack([one[np.minimum(np.arange(time), len(one) - 1)] for one in events])
    if rows is not None and len(table) < rows:
        table = np.concatenate([table, np.repeat(table[:1], rows - len(table), axis=0)])
    return table.astype("float32")
