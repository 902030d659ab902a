"""Training Sketch-RNN: the evidence lower bound, and the published losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from mixtura.families import Family, Joint
from mixtura.losses import NegativeLogLikelihood
from mixtura.models.sketch_rnn import END, SketchRNN
from mixtura.training.trainer import Trainer


@keras.saving.register_keras_serializable(package="mixtura")
class Variational(Trainer):
    r"""A `SketchRNN` that is trained with what its context is made from: the drawing itself, and its class.

    $$-\log p(S) \le \mathbb E_{q(z \mid S)}[-\log p(S \mid z)] + \beta_n \max(K, K_{\min}), \qquad
      K = D_{KL}(q(z \mid S) \,\|\, p(z))$$
    $$\beta_n = \beta - (\beta - \beta_0) R^n$$

    after n steps of training (Kingma & Welling 2014; Ha & Eck 2017, arXiv:1704.03477, equations 10 to 12).
    K is in nats per drawing, and the floor acts on its mean over the batch. Published are, in these terms,
    $\beta = w\,N_{\max} / N_z$ and $K_{\min} = 0.2\,N_z$: the paper divides the first term by the longest
    drawing's length and the second by the size of z. In validation $\beta_n = 1$ and there is no floor: the
    loss is the bound, where padding does not count.

    Args:
        model: which; its latent vector and its classes may be absent.
        kl_weight: β.
        kl_start: β₀.
        kl_decay: R.
        kl_floor: in nats per drawing.
        seed: of the draws of z.
        **kwargs: the arguments of every Keras model.

    Shapes: takes `{"events": (batch, time, 5), "context": (batch,)}`, of which the second are labels, where
    there are classes; returns the parameters of every step, and, where there is a z, two columns more, which
    are zero after the first step: $\beta_n \max(K, K_{\min})$ and K. Train with `SketchLoss`.
    """

    def __init__(
        self,
        model: SketchRNN,
        kl_weight: float = 1.0,
        kl_start: float = 0.01,
        kl_decay: float = 0.99995,
        kl_floor: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, **kwargs)
        self.kl_weight, self.kl_start = float(kl_weight), float(kl_start)
        self.kl_decay, self.kl_floor = float(kl_decay), float(kl_floor)
        self.seed = seed
        self._noise = keras.random.SeedGenerator(seed)
        self.updates = self.add_weight((), "zeros", "float32", trainable=False, name="updates")
        self.built = True

    def call(self, data: Mapping[str, Any], training: bool = False) -> Any:
        """Return the parameters of every step, and what the latent vector costs."""
        events = ops.convert_to_tensor(data["events"], dtype=self.variable_dtype)
        parts = []
        if self.model.latent_size:
            mean, log_variance = self.model.posterior_of(events, training)
            noise = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self._noise)
            parts.append(mean + ops.exp(0.5 * log_variance) * noise)
        if self.model.num_classes:
            parts.append(self.model.classes(data["context"]))
        context = ops.concatenate(parts, axis=-1) if parts else None
        params = self.model.call(events, context=context, training=training)
        if not self.model.latent_size:
            return params
        divergence = kl_divergence(mean, log_variance)
        cost = self._cost(divergence) if training else divergence
        columns = ops.cast(ops.stack([cost, divergence], axis=-1), params.dtype)[:, None]
        rest = ops.zeros_like(params[:, 1:, :2])
        return ops.concatenate([params, ops.concatenate([columns, rest], axis=1)], axis=-1)

    def _cost(self, divergence: Any) -> Any:
        weight = self.kl_weight - (self.kl_weight - self.kl_start) * self.kl_decay**self.updates
        self.updates.assign_add(1.0)
        if not self.kl_floor:
            return weight * divergence
        floored = ops.maximum(ops.mean(divergence), self.kl_floor)
        return weight * ops.broadcast_to(floored, ops.shape(divergence))

    def compute_output_shape(self, input_shape: Mapping[str, Any]) -> Any:
        """Return the output's shape."""
        shape = self.model.compute_output_shape(input_shape["events"])
        return (*shape[:-1], shape[-1] + 2 * bool(self.model.latent_size))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("kl_weight", "kl_start", "kl_decay", "kl_floor", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def kl_divergence(mean: Any, log_variance: Any) -> Any:
    r"""Return $D_{KL}(\mathcal N(\mu, e^{\hat\sigma}) \,\|\, \mathcal N(0, 1))$ in nats, `(batch,)`.

    $-\frac12 \sum_i (1 + \hat\sigma_i - \mu_i^2 - e^{\hat\sigma_i})$ (arXiv:1704.03477, equation 11, there
    divided by the size of z).
    """
    return -0.5 * ops.sum(1 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=-1)


@keras.saving.register_keras_serializable(package="mixtura")
class SketchLoss(NegativeLogLikelihood):
    r"""The negative log-likelihood of drawings, in nats, and what the latent vector costs.

    $$L_t = -\log\bigl(p(\Delta_t) + \varepsilon\bigr) \, [\text{there is an offset}]
            - \sum_k w_k\, [\text{pen}_t = k] \log q_k + \text{cost}_t$$

    With ε = 0 and w = 1, the default, that is $-\log p$, whatever the family. Published are ε = 1e-6 (Ha &
    Eck 2017, whose density is of offsets in the family's units), and $w = (1, \sqrt{F}, F)$ with F = 200
    (Ha 2015).

    Args:
        family: of events `(dx, dy, draw, lift, end)`; a `Joint` of `offset` and `pen` for all but the
            default.
        closing: whether the event that ends a drawing has no offset, so that only its pen counts.
        floor: ε.
        pen_weights: w, of drawing on, lifting the pen and ending.
        **kwargs: see `NegativeLogLikelihood`.

    Shapes: `y_true` is `(*batch, 5)`; `y_pred` is `(*batch, params_size)`, or what `Variational` returns.

    Raises:
        ValueError: for a family without such parts.
    """

    def __init__(
        self,
        family: Family,
        closing: bool = False,
        floor: float = 0.0,
        pen_weights: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(family, **kwargs)
        self.closing, self.floor = bool(closing), float(floor)
        self.pen_weights = None if pen_weights is None else tuple(map(float, pen_weights))
        self._in_parts = self.closing or self.floor or self.pen_weights
        if self._in_parts and not (isinstance(family, Joint) and family.names == ("offset", "pen")):
            raise ValueError(f"family must be a Joint of offset and pen; received {family!r}")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each event, `(*batch,)`."""
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        params = y_pred[..., : self.family.params_size]
        loss = self._published(y_true, params) if self._in_parts else super().call(y_true, params)
        return loss + y_pred[..., -2] if y_pred.shape[-1] > self.family.params_size else loss

    def _published(self, y_true: Any, params: Any) -> Any:
        (_, offset, where, events), (_, pen, of_pen, pens) = self.family._slices()
        loss = -offset.log_prob(params[..., where], y_true[..., events])
        if self.floor:
            # Densities are of the data's units; the floor is of the family's.
            floor = np.log(self.floor) - np.log(offset.units[1]).sum()
            loss = -ops.logaddexp(-loss, ops.full_like(loss, floor))
        if self.closing:
            is_point = y_true[..., END] < 0.5
            loss = ops.where(is_point, loss, ops.zeros_like(loss))
        of_pens = -pen.log_prob(params[..., of_pen], y_true[..., pens])
        if self.pen_weights:
            of_pens = of_pens * ops.sum(y_true[..., pens] * ops.array(self.pen_weights, loss.dtype), axis=-1)
        return loss + of_pens

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("closing", "floor", "pen_weights")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="mixtura")
class KLDivergence(keras.metrics.Metric):
    """The part of a `SketchLoss` that is the divergence of z, per real step, weighed as the loss is."""

    def __init__(self, name: str = "kl", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        values = y_pred[..., -1]
        weighted = values if sample_weight is None else values * ops.cast(sample_weight, values.dtype)
        rows = ops.cast(ops.shape(values)[0], values.dtype)
        self.total.assign_add(ops.mean(weighted) * rows)
        self.count.assign_add(rows)

    def result(self) -> Any:
        """Return the mean."""
        return self.total / ops.maximum(self.count, 1.0)
