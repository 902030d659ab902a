"""Keras metrics of predicted distributions, for `compile(weighted_metrics=...)` and `evaluate`.

An epoch's `loss` is a mean of batch means, which differs from the mean over all steps where sequences have
different lengths. A metric is the exact mean over all rows and valid steps.

One exception: on JAX, Keras (3.15) hands every metric, its own too, the outputs of a training step without
their mask. There padding counts in what `fit` prints for training data, unless sample weights of 0 exclude
it; `evaluate` and validation are exact.
"""

from __future__ import annotations

import math
from typing import Any, Self

import keras
from keras import ops

from mixtura.families.base import Family, a_family
from mixtura.families.ensemble import ensemble_of
from mixtura.losses import event_axis, members_log_prob_of, one_per_member, one_per_value
from mixtura.scores import crps_of_normals, is_mixture_of_normals


class DistributionMetric(keras.metrics.MeanMetricWrapper):
    """The mean over rows and valid steps of one value for each predicted distribution.

    Masks and sample weights act as in `NegativeLogLikelihood`: weights of shape `(batch,)` weigh all steps of
    a sequence. A subclass writes `values`.

    Args:
        family: what the network's outputs mean; the same as the head's.
        name: as in every Keras metric.
        dtype: as in every Keras metric.

    Raises:
        TypeError: if `family` is not a family.
    """

    def __init__(self, family: Family, name: str | None = None, dtype: Any = None) -> None:
        self.family = a_family("family", family)
        super().__init__(self._values, name=name, dtype=dtype)

    def values(self, y_true: Any, y_pred: Any) -> Any:
        """Return one value for each row (and step), `(*batch,)`."""
        raise NotImplementedError

    def _values(self, y_true: Any, y_pred: Any) -> Any:
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        return self.values(event_axis(self.family, y_true, y_pred), y_pred)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add the values of a batch."""
        weight = one_per_value(1.0 if sample_weight is None else sample_weight, y_pred, self.dtype)
        # Keras takes means over time before it sums over rows. Multiplied by the number of steps they are
        # sums, in which a step counts the same however long its batch was.
        for steps in tuple(ops.shape(ops.convert_to_tensor(y_pred)))[1:-1]:
            weight = weight * ops.cast(steps, self.dtype)
        return super().update_state(y_true, y_pred, weight)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        family = keras.saving.serialize_keras_object(self.family)
        return {"name": self.name, "dtype": self.dtype, "family": family}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the metric from `get_config`'s dictionary."""
        return cls(**{**config, "family": keras.saving.deserialize_keras_object(config["family"])})


@keras.saving.register_keras_serializable(package="mixtura", name="NegativeLogLikelihoodMetric")
class NegativeLogLikelihood(DistributionMetric):
    """The mean of -log p(y), in nats.

    Example:
        >>> import mixtura as mx, numpy as np
        >>> metric = mx.metrics.NegativeLogLikelihood(mx.Normal(1))
        >>> print(f"{float(metric(np.array([[0.0]]), np.array([[0.0, 0.0]]))):.4f}")  # log(2 pi) / 2
        0.9189
    """

    _direction = "down"

    def __init__(self, family: Family, name: str = "negative_log_likelihood", dtype: Any = None) -> None:
        super().__init__(family, name, dtype)

    def values(self, y_true: Any, y_pred: Any) -> Any:
        """Return -log p(y)."""
        return -self.family.log_prob(y_pred, y_true)


@keras.saving.register_keras_serializable(package="mixtura")
class BitsPerDimension(DistributionMetric):
    """The mean of -log2 p(y), divided by the event's size."""

    _direction = "down"

    def __init__(self, family: Family, name: str = "bits_per_dimension", dtype: Any = None) -> None:
        super().__init__(family, name, dtype)

    def values(self, y_true: Any, y_pred: Any) -> Any:
        """Return -log2 p(y) / event_size."""
        return -self.family.log_prob(y_pred, y_true) / (self.family.event_size * math.log(2))


@keras.saving.register_keras_serializable(package="mixtura")
class CRPS(DistributionMetric):
    """The mean continuous ranked probability score of mixtures of normals, in the units of y.

    Raises:
        NotImplementedError: for other families, or events of several dimensions; `mixtura.scores` has those.
    """

    _direction = "down"

    def __init__(self, family: Family, name: str = "crps", dtype: Any = None) -> None:
        super().__init__(family, name, dtype)
        if family.event_size != 1 or not is_mixture_of_normals(family):
            raise NotImplementedError(
                f"the metric CRPS is for one-dimensional mixtures of normals; received {family!r}: "
                "use scores.crps or scores.energy_score"
            )

    def values(self, y_true: Any, y_pred: Any) -> Any:
        """Return the CRPS."""
        xp, params, y = self.family._read(y_pred, y_true)
        return crps_of_normals(xp, self.family, params, y)


@keras.saving.register_keras_serializable(package="mixtura")
class IntervalCoverage(DistributionMetric):
    """The share of one-dimensional events inside the central interval that holds `level` of the probability.

    Args:
        family: what the network's outputs mean.
        level: the interval's probability, between 0 and 1.
        name: as in every Keras metric.
        dtype: as in every Keras metric.

    Raises:
        ValueError: if `level` is not between 0 and 1.
        NotImplementedError: for events of several dimensions, or discrete ones.
    """

    def __init__(
        self, family: Family, level: float = 0.9, name: str = "interval_coverage", dtype: Any = None
    ) -> None:
        super().__init__(family, name, dtype)
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1; received {level!r}")
        if family.event_size != 1 or not family.is_continuous:
            raise NotImplementedError(
                f"interval coverage is for one-dimensional continuous events; received {family!r}"
            )
        self.level = level

    def values(self, y_true: Any, y_pred: Any) -> Any:
        """Return 1 where the event lies inside, else 0."""
        tail = (1 - self.level) / 2
        below, above = self.family.cdf(y_pred, y_true), self.family.sf(y_pred, y_true)
        return ops.cast((below >= tail) & (above >= tail), below.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "level": self.level}


@keras.saving.register_keras_serializable(package="mixtura")
class EnsembleLikelihoods(keras.metrics.Metric):
    """Each ensemble member's mean of -log p(y), in nats; as one number, their mean.

    Weights of 0 leave rows out, for each member its own: that is how members are validated on rows that they
    have not seen. `values()` has one number for each member.

    Args:
        family: what each member predicts: a `Mixture`, or an `Affine` of one.
        num_members: M, the same as the head's.
        name: as in every Keras metric.
        dtype: as in every Keras metric.
    """

    _direction = "down"

    def __init__(
        self, family: Family, num_members: int, name: str = "member_likelihoods", dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.family = ensemble_of(family, num_members)
        self.member_family, self.num_members = family, num_members
        self.total = self.add_variable((num_members,), "zeros", name="total")
        self.count = self.add_variable((num_members,), "zeros", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the values of a batch."""
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        weight = one_per_member(
            ops.ones_like(y_pred[:, 0]) if sample_weight is None else sample_weight,
            self.num_members,
            self.dtype,
        )
        values = members_log_prob_of(self.family, y_true, y_pred, self.num_members)
        self.total.assign(self.total - ops.sum(ops.cast(values, self.dtype) * weight, axis=0))
        self.count.assign(self.count + ops.sum(weight, axis=0))

    def values(self) -> Any:
        """Return each member's mean, `(num_members,)`; NaN for one without rows."""
        return self.total / self.count

    def result(self) -> Any:
        """Return the mean over members."""
        return ops.mean(ops.divide_no_nan(self.total, self.count))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        family = keras.saving.serialize_keras_object(self.member_family)
        return {"name": self.name, "dtype": self.dtype, "family": family, "num_members": self.num_members}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the metric from `get_config`'s dictionary."""
        return cls(**{**config, "family": keras.saving.deserialize_keras_object(config["family"])})
