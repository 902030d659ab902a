"""The loss that trains every family."""

from __future__ import annotations

from typing import Any, Self

import keras
from keras import ops

from mixtura.families.base import Family, a_family
from mixtura.families.ensemble import ensemble_of, members_log_prob


@keras.saving.register_keras_serializable(package="mixtura")
class NegativeLogLikelihood(keras.losses.Loss):
    r"""Negative log-likelihood of the targets under the predicted distributions, in nats.

    $$L = -\frac1N \sum_n \log p(y_n \mid x_n)$$

    (Bishop 1994, eq. 29.) It is the log of a density, so it can be negative, and it depends on the
    targets' units: dividing them by s subtracts `event_size * log(s)`.

    One value per row (and per step, for sequences) goes to Keras, which masks, weighs and reduces them.
    Sample weights of shape `(batch,)` or `(batch, 1)` weigh all steps of a sequence.

    Args:
        family: what the network's outputs mean; the same as the head's.
        reduction: as in `keras.losses.Loss`.
        name: as in `keras.losses.Loss`.
        dtype: as in `keras.losses.Loss`.

    Shapes: `y_true` is `(*batch, event_size)`, or `(*batch,)` where `event_size` is 1; `y_pred` is
    `(*batch, family.params_size)`.

    Raises:
        TypeError: if `family` is not a family.
        ValueError: if a last axis has another size than the family's.

    Example:
        >>> import mixtura as mx, numpy as np
        >>> loss = mx.NegativeLogLikelihood(mx.Normal(1))
        >>> print(f"{float(loss(np.array([[0.0]]), np.array([[0.0, 0.0]]))):.4f}")  # log(2 pi) / 2
        0.9189
    """

    def __init__(
        self,
        family: Family,
        reduction: str = "sum_over_batch_size",
        name: str = "negative_log_likelihood",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.family = a_family("family", family)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the reduced loss."""
        if sample_weight is not None:
            sample_weight = one_per_value(sample_weight, y_pred, self.dtype)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each row, `(*batch,)`."""
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)  # Keras leaves lists
        return -self.family.log_prob(y_pred, event_axis(self.family, y_true, y_pred))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "family": keras.saving.serialize_keras_object(self.family),
            "dtype": self.dtype,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the loss from `get_config`'s dictionary."""
        return cls(**{**config, "family": keras.saving.deserialize_keras_object(config["family"])})


@keras.saving.register_keras_serializable(package="mixtura")
class EnsembleNegativeLogLikelihood(NegativeLogLikelihood):
    r"""The negative log-likelihood of each member of an ensemble, in nats, for an `EnsembleMDN` head.

    $$L = -\frac1{NM} \sum_n \sum_m w_{nm} \log p_m(y_n \mid x_n)$$

    Members do not share a likelihood, so each becomes a model of its own; weights of 0 give each its own
    rows.

    Args:
        family: what each member predicts: a `Mixture`, or an `Affine` of one.
        num_members: M, the same as the head's.
        reduction: as in `keras.losses.Loss`.
        name: as in `keras.losses.Loss`.
        dtype: as in `keras.losses.Loss`.

    Shapes: `y_true` is `(batch, event_size)`, or `(batch, 2 * event_size)`: lower and then upper bounds.
    Where these coincide the event is known and counts by its density, otherwise by the probability between
    them: a censored event, and, from -inf to inf, a missing one. Sample weights are `(batch,)` or
    `(batch, M)`.

    Raises:
        TypeError: if `family` is not a family.
        ValueError: if it is no mixture, or a last axis has another size.

    Bounds of correlated dimensions are either equal or infinite; others would be read as a density.
    """

    def __init__(
        self,
        family: Family,
        num_members: int,
        reduction: str = "sum_over_batch_size",
        name: str = "negative_log_likelihood",
        dtype: Any = None,
    ) -> None:
        super().__init__(ensemble_of(family, num_members), reduction, name, dtype)
        self.member_family, self.num_members = family, num_members

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the reduced loss."""
        if sample_weight is not None:
            sample_weight = one_per_member(sample_weight, self.num_members, self.dtype)
        return keras.losses.Loss.__call__(self, y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each row and member, `(batch, M)`."""
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        return -members_log_prob_of(self.family, y_true, y_pred, self.num_members)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        family = keras.saving.serialize_keras_object(self.member_family)
        return {**super().get_config(), "family": family, "num_members": self.num_members}


def event_axis(family: Family, y_true: Any, y_pred: Any) -> Any:
    """Return the targets with their event axis, which may be left out where events have one dimension."""
    if family.event_size == 1 and len(y_true.shape) == len(y_pred.shape) - 1:
        return ops.expand_dims(y_true, -1)
    return y_true


def one_per_value(sample_weight: Any, y_pred: Any, dtype: str) -> Any:
    """Give weights the shape of the loss values: Keras would apply `(batch,)` weights along time.

    The product with ones makes a copy, not a view: on PyTorch Keras multiplies weights by the mask in place.
    """
    target = tuple(ops.shape(ops.convert_to_tensor(y_pred)))[:-1]
    weight = ops.convert_to_tensor(sample_weight, dtype=dtype)
    while len(weight.shape) < len(target):
        weight = ops.expand_dims(weight, -1)
    while len(weight.shape) > len(target) and weight.shape[-1] == 1:
        weight = ops.squeeze(weight, -1)
    return weight * ops.ones(target, dtype=dtype)


def members_log_prob_of(family: Family, y_true: Any, y_pred: Any, num_members: int) -> Any:
    """Return each member's log density of an event, or log probability between two bounds, `(batch, M)`."""
    size, y_true = family.event_size, event_axis(family, y_true, y_pred)
    if y_true.shape[-1] == 2 * size:
        bounds = y_true[..., :size], y_true[..., size:]
        return members_log_prob(ops, family._joint_interval(ops, y_pred, *bounds), num_members)
    xp, y_pred, y_true = family._read(y_pred, y_true)
    return members_log_prob(xp, family._joint(xp, y_pred, y_true), num_members)


def one_per_member(sample_weight: Any, num_members: int, dtype: str) -> Any:
    """Return weights `(batch, M)` from `(batch,)`, `(batch, 1)` or `(batch, M)`."""
    weight = ops.convert_to_tensor(sample_weight, dtype=dtype)
    weight = weight if len(weight.shape) > 1 else ops.expand_dims(weight, -1)
    return weight * ops.ones((1, num_members), dtype=dtype)
