"""The V of World Models: a convolutional variational autoencoder of frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from mixtura.compiling import kept
from mixtura.families.checks import positive_int
from mixtura.layers.convolution import PatchConv2D, TransposedConv2D
from mixtura.models.variational import kl_divergence

Layers = Sequence[tuple[int, int, int]]

ENCODER: Layers = ((32, 4, 2), (64, 4, 2), (128, 4, 2), (256, 4, 2))
DECODER: Layers = ((128, 5, 2), (64, 5, 2), (32, 6, 2), (3, 6, 2))


@keras.saving.register_keras_serializable(package="mixtura")
class ConvVAE(keras.Model):
    r"""A convolutional variational autoencoder: what an agent sees, in a few numbers.

    $$z \sim \mathcal N(\mu(x), \operatorname{diag} e^{\lambda(x)}), \qquad
      L = \sum_i w_i (x_i - \hat x_i(z))^2 + \max\bigl(D_{KL}, k\,N_z\bigr)$$

    with x in [0, 1], summed over pixels and colours of a frame, and averaged over frames; k are "free bits",
    in nats for each dimension of z (Ha & Schmidhuber 2018, arXiv:1803.10122, appendix A.1; their code has
    k = 0.5 and w = 1). The defaults are theirs: four convolutions to 2x2x256, and a decoder that begins with
    one pixel of 1024 colours.

    What matters in a game may be a few pixels, which add little to the error: with `emphasis` a > 0,

    $$w_i = 1 + a\,\min\bigl((x_i - m_i)^2 / s_i^2,\ 10\bigr)$$

    where m and s are the mean and the standard deviation of that pixel over the frames given to `adapt`, so
    that the unusual counts.

    Args:
        shape: of a frame, `(height, width, colours)`.
        latent_size: of z.
        encoder: filters, kernel and stride of each convolution; each is followed by ReLU.
        decoder: the same of each transposed convolution; the last makes the frame and ends in a sigmoid.
        start: the grid `(height, width, channels)` that the decoder begins with; a dense layer makes it of z.
        free_bits: k.
        emphasis: a.
        seed: of the draws of z.
        **kwargs: the arguments of every Keras model.

    Shapes: takes frames `(batch, height, width, colours)` in [0, 255]; returns `frames` in [0, 1], `mean` and
    `log_variance`, `(batch, latent_size)`.

    Raises:
        ValueError: for sizes that are not positive, or layers that do not lead back to a frame.

    Example:
        >>> ConvVAE(latent_size=32).count_params(), ConvVAE(latent_size=64).count_params()
        (4348547, 4446915)
    """

    def __init__(
        self,
        shape: Sequence[int] = (64, 64, 3),
        latent_size: int = 32,
        encoder: Layers = ENCODER,
        decoder: Layers = DECODER,
        start: Sequence[int] = (1, 1, 1024),
        free_bits: float = 0.5,
        emphasis: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shape = tuple(positive_int("shape", size) for size in shape)
        self.latent_size = positive_int("latent_size", latent_size)
        self.encoder, self.decoder = _layers("encoder", encoder), _layers("decoder", decoder)
        self.start = tuple(positive_int("start", size) for size in start)
        self.free_bits, self.emphasis, self.seed = float(free_bits), float(emphasis), seed
        self._check_decoder()
        self._convolutions = [
            PatchConv2D(filters, kernel, stride, activation="relu", name=f"conv{number}")
            for number, (filters, kernel, stride) in enumerate(self.encoder, 1)
        ]
        self._mean = keras.layers.Dense(latent_size, name="mean")
        self._log_variance = keras.layers.Dense(latent_size, name="log_variance")
        self._grid = keras.layers.Dense(math.prod(self.start), name="grid")
        ends = ["relu"] * (len(self.decoder) - 1) + ["sigmoid"]
        self._transposed = [
            TransposedConv2D(filters, kernel, stride, activation=end, name=f"deconv{number}")
            for number, ((filters, kernel, stride), end) in enumerate(zip(self.decoder, ends, strict=True), 1)
        ]
        self._noise = keras.random.SeedGenerator(seed)
        if self.emphasis:
            self.usual = self.add_weight(self.shape, "zeros", trainable=False, name="usual")
            self.spread = self.add_weight(self.shape, "ones", trainable=False, name="spread")
        self._build()

    def _check_decoder(self) -> None:
        height, width, _ = self.start
        for _, kernel, stride in self.decoder:
            height, width = (stride * (size - 1) + kernel for size in (height, width))
        made = (height, width, self.decoder[-1][0])
        if made != self.shape:
            raise ValueError(f"decoder must make frames of shape {self.shape}; it makes {made}")

    def _build(self) -> None:
        shape: tuple[Any, ...] = (None, *self.shape)
        for layer in self._convolutions:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        size = math.prod(shape[1:])
        self._mean.build((None, size))
        self._log_variance.build((None, size))
        self._grid.build((None, self.latent_size))
        shape = (None, *self.start)
        for layer in self._transposed:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    # ------------------------------------------------------------------ the network

    def posterior(self, frames: Any) -> tuple[Any, Any]:
        """Return mean and log variance of z, `(batch, latent_size)`, from frames in [0, 255]."""
        x = ops.cast(frames, self.compute_dtype) / 255.0
        for layer in self._convolutions:
            x = layer(x)
        x = ops.reshape(x, (-1, math.prod(x.shape[1:])))
        return self._mean(x), self._log_variance(x)

    def frames(self, z: Any) -> Any:
        """Return frames in [0, 1], `(batch, height, width, colours)`."""
        x = ops.reshape(self._grid(z), (-1, *self.start))
        for layer in self._transposed:
            x = layer(x)
        return x

    def call(self, frames: Any, training: bool = False) -> dict[str, Any]:
        """Return frames made of a z drawn from the posterior, or of its mean outside training."""
        mean, log_variance = self.posterior(frames)
        z = mean
        if training:
            noise = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self._noise)
            z = mean + ops.exp(0.5 * log_variance) * noise
        return {"frames": self.frames(z), "mean": mean, "log_variance": log_variance}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the mean loss of a batch of frames; in validation there are no free bits."""
        made = y_pred["frames"]
        given = ops.cast(x, made.dtype) / 255.0
        error = ops.square(given - made)
        if self.emphasis:
            usual, spread = (ops.convert_to_tensor(part) for part in (self.usual, self.spread))
            unusual = ops.square((given - usual) / spread)
            error = error * (1 + self.emphasis * ops.minimum(unusual, 10.0))
        cost = kl_divergence(y_pred["mean"], y_pred["log_variance"])
        if training:
            cost = ops.maximum(cost, self.free_bits * self.latent_size)
        return ops.mean(ops.sum(error, axis=(1, 2, 3)) + cost)

    # ------------------------------------------------------------------ use

    def adapt(self, frames: np.ndarray) -> None:
        """Learn from frames in [0, 255] what is usual for each pixel, for `emphasis`."""
        scaled = frames.astype("float32") / 255.0
        self.usual.assign(scaled.mean(axis=0))
        self.spread.assign(np.maximum(scaled.std(axis=0), 0.02))

    def encode(self, frames: np.ndarray, batch_size: int = 64) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and log variance of z, `(n, latent_size)`, of frames in [0, 255]."""
        return self._in_batches("posterior", self.posterior, frames, batch_size)

    def decode(self, z: np.ndarray, batch_size: int = 64) -> np.ndarray:
        """Return frames `(n, height, width, colours)` of dtype uint8."""
        made = self._in_batches("frames", lambda z: (self.frames(z),), np.asarray(z, "float32"), batch_size)
        return np.rint(255 * made[0]).astype(np.uint8)

    def _in_batches(self, name: str, function: Any, rows: np.ndarray, batch_size: int) -> Any:
        """Compute rows in batches of one size, so that one program serves all."""
        program = kept(self, name, function, self)
        batch_size = min(batch_size, 1 << max(0, len(rows) - 1).bit_length())
        pieces = []
        for first in range(0, len(rows), batch_size):
            piece = rows[first : first + batch_size]
            padded = np.concatenate([piece, np.repeat(piece[-1:], batch_size - len(piece), axis=0)])
            made = program(padded)
            pieces.append([np.asarray(ops.convert_to_numpy(part))[: len(piece)] for part in made])
        return tuple(np.concatenate(parts) for parts in zip(*pieces, strict=True))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("shape", "latent_size", "encoder", "decoder", "start", "free_bits", "emphasis", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _layers(name: str, given: Layers) -> Layers:
    """Return filters, kernel and stride of each layer, or raise a ValueError that names the argument."""
    if not given or any(len(layer) != 3 for layer in given):
        raise ValueError(f"{name} must list (filters, kernel, stride) of each layer; received {given!r}")
    return tuple((positive_int(name, f), positive_int(name, k), positive_int(name, s)) for f, k, s in given)
