"""Adaptive weight noise: a network trained with a distribution over its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from mixtura.families.checks import positive_int
from mixtura.families.seeds import split_seed


@keras.saving.register_keras_serializable(package="mixtura")
class AdaptiveWeightNoise(keras.optimizers.Optimizer):
    r"""Trains a normal distribution over every weight, by way of another optimizer.

    Each weight has a posterior $q = N(\mu, \sigma^2)$; all share one prior $p = N(\mu_p, \sigma_p^2)$. What
    is minimised is the description length of data and weights, here per example:

    $$E_{w \sim q}[L(w)] + \tfrac1N \mathrm{KL}(q \,\|\, p)$$

    L is the loss that Keras minimises, a mean of negative log-likelihoods. Weights keep as much precision as
    the data pay for, and the network does not overfit. After every batch of B examples, whose loss has the
    gradient g at the noisy weights:

    $$\mu_p = \overline{\mu}, \qquad \sigma_p^2 = \overline{\sigma^2 + (\mu - \mu_p)^2}$$
    $$\frac{1}{\sigma^2} \leftarrow (1 - r)\, \frac{1}{\sigma^2}
      + r \Bigl(N B g^2 + \frac{1}{\sigma_p^2}\Bigr)$$
    $$\frac{\partial}{\partial\mu} = g + \frac{\mu - \mu_p}{N \sigma_p^2}$$

    The last goes to the inner optimizer, which moves the means; the next noisy weights are
    $\mu + \sigma\varepsilon$. The prior is the best one for the posterior (the bar is a mean over all
    weights).

    Start from a trained network: train with any optimizer, `compile` again with this one, and train on, as
    Graves did (2013, section 4.2). From random weights, or with fewer examples than weights, the shortest
    description may be that of a network whose weights are all prior, which predicts the same for every
    input, and from there it does not come back. A larger `num_examples` than there are weakens the prior.

    The variance. Graves' derivative with respect to $\sigma^2$, per example,
    $\tfrac12 \overline{g_i^2} + \tfrac{1}{2N}(1/\sigma_p^2 - 1/\sigma^2)$, takes squared gradients of single
    examples for the second derivative of L. Keras gives the gradient of a batch's mean, whose square is B
    times smaller on average where the derivatives of the loss at the means vanish: hence $B g^2$. Far from
    there it is larger, and the noise smaller, than it should be. The derivative is zero where $1/\sigma^2$ is
    the mean of the term in brackets; a running mean leads there from every start, keeps variances positive,
    and has no step size in units of the loss. With r = 0.01 it forgets in a hundred batches and leaves
    $\sigma$ a relative error of about 5 %.

    The optimizer's weights hold means, precisions and the state of the noise; copied or saved with the
    model's weights they continue the same training exactly. While it trains, the model holds noisy weights.
    `fit` puts the means into it at the end. For validation before that use
    `keras.callbacks.SwapEMAWeights()`, and for callbacks that read the model at an epoch's end
    `SwapEMAWeights(swap_on_epoch=True)`, placed before them: the means stand where Keras keeps its moving
    averages. What such callbacks save is for prediction; while swapped, the optimizer holds the noisy
    weights for means, and training does not resume from it. With `EarlyStopping` ask for
    `restore_best_weights=True`: where training ends before the last epoch planned, Keras (3.15) otherwise
    leaves swapped, noisy weights in the model.

    Arguments of the inner optimizer that clip or accumulate gradients, or decay weights, act on the means.
    The posterior is as wide as the loss says: a loss with another scale than a negative log-likelihood in
    nats, or a sum in place of a mean, gives another width. One device; not `tf.distribute`.

    Args:
        optimizer: moves the means; an optimizer, its name or its configuration.
        num_examples: N, how many examples there are in training. An example is what the loss is a mean
            over: for sequences, a step.
        batch_size: B, how many of them there are in a batch.
        initial_std: $\sigma$ at the start, in units of the weights; 0.075 is Graves'.
        rate: r, the share of a batch in the running mean of $1/\sigma^2$, between 0 and 1.
        seed: of the noise, an int.
        name: as in every Keras optimizer.

    Raises:
        ValueError: if an argument is outside its range, or the inner optimizer averages weights or scales
            the loss.

    Reference: Graves, A. (2011), Practical Variational Inference for Neural Networks, NIPS 24; and
    (2013), Generating Sequences With Recurrent Neural Networks, arXiv:1308.0850, section 4.2.

    Example:
        >>> import keras, mixtura.training.weight_noise
        >>> optimizer = mixtura.training.weight_noise.AdaptiveWeightNoise("adam", 1000, batch_size=32)
        >>> optimizer.initial_std
        0.075
    """

    def __init__(
        self,
        optimizer: Any,
        num_examples: int,
        batch_size: int,
        initial_std: float = 0.075,
        rate: float = 0.01,
        seed: int = 0,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        inner = keras.optimizers.get(optimizer)
        if isinstance(inner, keras.optimizers.LossScaleOptimizer) or inner.loss_scale_factor is not None:
            raise ValueError("the inner optimizer must not scale the loss: wrap this one in it instead")
        if inner.use_ema:
            raise ValueError("the inner optimizer must not have use_ema: the means take the averages' place")
        if not 0 < initial_std < np.inf:
            raise ValueError(f"initial_std must be a positive finite number; received {initial_std!r}")
        if not 0 < rate <= 1:
            raise ValueError(f"rate must be above 0 and at most 1; received {rate!r}")
        super().__init__(learning_rate=0.0, name=name, **kwargs)
        # Not `inner_optimizer`: by that name SwapEMAWeights knows a loss scaler, and looks for means inside.
        self.optimizer = inner
        self.num_examples = positive_int("num_examples", num_examples)
        self.batch_size = positive_int("batch_size", batch_size)
        self.initial_std = float(initial_std)
        self.rate = float(rate)
        self.seed = int(seed)
        self._noise = keras.random.SeedGenerator(split_seed(self.seed, 1)[0])
        self._track_variable(self._noise.state)

    def build(self, variables: Sequence[Any]) -> None:
        """Create the means, equal to the weights, and the precisions."""
        if self.built:
            return
        super().build(list(variables))

        def copy_of(variable: Any) -> Any:
            return lambda shape, dtype: ops.copy(ops.cast(variable, dtype))

        # Keras' SwapEMAWeights looks for them under this name, and for `use_ema`.
        self._model_variables_moving_average = [
            self.add_variable_from_reference(v, "mean", initializer=copy_of(v)) for v in variables
        ]
        self.use_ema = True
        start = keras.initializers.Constant(self.initial_std**-2)
        self._precisions = [self.add_variable_from_reference(v, "precision", start) for v in variables]
        self.optimizer.build(self._model_variables_moving_average)
        for variable in self.optimizer.variables:
            self._track_variable(variable)

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Move means and variances by the gradients at the noisy weights, and draw the next ones."""
        if not self.built:
            self.build(list(trainable_variables or ()))
        weights, means = self._trainable_variables, self._model_variables_moving_average
        given = weights if trainable_variables is None else list(trainable_variables)
        if len(given) != len(weights) or any(a is not b for a, b in zip(given, weights, strict=True)):
            raise ValueError("the optimizer takes gradients of all weights that it was built with, in order")
        # Weights may have been loaded since the means were made.
        is_first = ops.equal(self.iterations, 0)
        for weight, mean in zip(weights, means, strict=True):
            self.assign(mean, ops.where(is_first, *map(ops.convert_to_tensor, (weight, mean))))
        center, variance = self.prior()
        slopes: list[Any] = []
        for grad, mean, precision in zip(grads, means, self._precisions, strict=True):
            if grad is None:  # of a weight that the loss does not depend on; Keras warns
                slopes.append(None)
                continue
            slopes.append(grad + (mean - center) / (self.num_examples * variance))
            # TensorFlow's gradient of an embedding is a list of rows.
            dense = grad + ops.zeros(mean.shape, dtype=mean.dtype)
            target = float(self.num_examples * self.batch_size) * ops.square(dense) + 1 / variance
            self.assign(precision, precision + self.rate * (target - precision))
        self.optimizer.apply(slopes, means)
        for weight, mean in zip(weights, means, strict=True):
            if weight.constraint is not None:
                self.assign(mean, weight.constraint(mean))
        self._draw()
        self.assign_add(self.iterations, 1)

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """Put the means into the model."""
        # Copies: on JAX Keras' own would make two variables of one buffer, and the next `fit` donates both.
        for weight, mean in zip(var_list, self._model_variables_moving_average, strict=True):
            self.assign(weight, ops.copy(ops.convert_to_tensor(mean)))

    def prior(self) -> tuple[Any, Any]:
        """Return the shared prior's mean and variance, the best for the posterior."""
        means, count = self._model_variables_moving_average, self._count()
        center = sum(ops.sum(mean) for mean in means) / count
        spread = [
            ops.sum(1 / precision + ops.square(mean - center))
            for mean, precision in zip(means, self._precisions, strict=True)
        ]
        return center, sum(spread) / count

    def posterior(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return mean and standard deviation of every weight, as arrays, in the order of the weights."""
        pairs = zip(self._model_variables_moving_average, self._precisions, strict=True)
        return [(ops.convert_to_numpy(mean), ops.convert_to_numpy(p) ** -0.5) for mean, p in pairs]

    def _count(self) -> int:
        return sum(int(np.prod(mean.shape)) for mean in self._model_variables_moving_average)

    def _draw(self) -> None:
        """Put a sample of the posterior into the model."""
        noise, start = keras.random.normal((self._count(),), seed=self._noise), 0
        pairs = zip(self._model_variables_moving_average, self._precisions, strict=True)
        for weight, (mean, precision) in zip(self._trainable_variables, pairs, strict=True):
            stop = start + int(np.prod(mean.shape))
            own = ops.cast(ops.reshape(noise[start:stop], mean.shape), mean.dtype)
            self.assign(weight, mean + own * ops.rsqrt(precision))
            start = stop

    @property
    def learning_rate(self) -> Any:
        """The inner optimizer's."""
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.optimizer.learning_rate = value

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "num_examples": self.num_examples,
            "batch_size": self.batch_size,
            "initial_std": self.initial_std,
            "rate": self.rate,
            "seed": self.seed,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Build the optimizer from `get_config`'s dictionary."""
        inner = keras.saving.deserialize_keras_object(config["optimizer"], custom_objects=custom_objects)
        return cls(**{**config, "optimizer": inner})
