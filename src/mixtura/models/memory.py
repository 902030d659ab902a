"""The M of World Models: an MDN-RNN that expects what an agent sees next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mixtura.families import Family, Joint
from mixtura.layers.recurrent import CellType
from mixtura.losses import NegativeLogLikelihood
from mixtura.models.mdn_rnn import MDNRNN

FEATURES = ("z", "zh", "zhc")


@keras.saving.register_keras_serializable(package="mixtura")
class Memory(MDNRNN):
    r"""What follows an action: the next z, the reward and the end, given z, the action and a memory h.

    $$p(z_{t+1}, r_t, d_t \mid z_t, a_t, h_t), \qquad h_{t+1} = \operatorname{LSTM}(z_t, a_t; h_t)$$

    (Ha & Schmidhuber 2018, arXiv:1803.10122, section 3.2 and appendix A.2.) An event is what follows, and
    the action is the input of its step. Of the event before, the network sees z alone: reward and end are
    predicted, not given. (Their inputs are zero and are there for the published number of weights: the
    published network of Doom has one for the end.)

    Args:
        family: of events: a `Joint` whose part `latent` comes first, with `reward` and `done` where these are
            predicted. Published is `Independent(Mixture(Normal(1, scale="exp"), 5), z)` for `latent`: each
            number of z has a mixture of its own.
        units: of the recurrent layers.
        actions: the size of an action.
        cell: "lstm" or "gru"; see `MDNRNN`.
        relative: whether z is predicted as a distance from the z before; see `MDNRNN`.
        seed: see there.
        **kwargs: the arguments of every Keras model.

    Raises:
        ValueError: if the family is no such Joint, and as `MDNRNN`.

    Example:
        >>> import mixtura as mx
        >>> latent = mx.Independent(mx.Mixture(mx.Normal(1, scale="exp"), 5), 64)
        >>> Memory(mx.Joint(latent=latent, done=mx.Bernoulli()), (512,), actions=1).count_params()
        1678785
    """

    def __init__(
        self,
        family: Family,
        units: Sequence[int] = (256,),
        actions: int = 1,
        cell: CellType = "lstm",
        relative: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        known = ("latent", "reward", "done")
        if not isinstance(family, Joint) or family.names != tuple(n for n in known if n in family.names):
            raise ValueError(
                f"family must be a Joint of latent, reward and done, in this order; received {family!r}"
            )
        if "latent" not in family.names:
            raise ValueError(f"family must have a part latent; received {family!r}")
        if cell not in ("lstm", "gru"):
            raise ValueError(f"cell must be lstm or gru; received {cell!r}")
        moved = ("latent",) if relative else False
        super().__init__(family, units, cell, inputs_size=actions, relative=moved, seed=seed, **kwargs)

    @property
    def latent_size(self) -> int:
        """The size of z."""
        return self.family["latent"].event_size  # type: ignore[index]

    def embed(self, event: Any, inputs: Any = None, context: Any = None) -> Any:
        """Return z, standardised, zeros for the rest of the event, and the action, side by side."""
        x = super().embed(event, inputs, context)
        size, end = self.latent_size, self.family.event_size
        if size == end:
            return x
        rest = ops.zeros_like(x[..., size:end])
        return ops.concatenate([x[..., :size], rest, x[..., end:]], axis=-1)

    def event(self, z: Any) -> Any:
        """Return z as an event with no reward that is not the end, `(*batch, event_size)`."""
        rest = self.family.event_size - self.latent_size
        return ops.pad(z, [[0, 0]] * (len(z.shape) - 1) + [[0, rest]])

    def begun(self, batch_size: int) -> Any:
        """Return the state before the first decision: it has seen that an episode begins."""
        start = ops.broadcast_to(self.start_event(), (batch_size, self.family.event_size))
        still = ops.zeros((batch_size, self.inputs_size), dtype=self.variable_dtype)
        return self.step(self.embed(start, still), self.initial_state(batch_size))[1]

    def features_size(self, features: str) -> int:
        """Return how many numbers `features_of` returns.

        Raises:
            ValueError: for features that are none of `FEATURES`, or a cell that a GRU has not.
        """
        known = FEATURES if self.cell.cell == "lstm" else FEATURES[:2]
        if features not in known:
            raise ValueError(
                f"features must be one of {', '.join(known)} for a {self.cell.cell}; received {features!r}"
            )
        return self.latent_size + (len(features) - 1) * self.cell.units[-1]

    def features_of(self, features: str, z: Any, state: Any) -> Any:
        """Return what a controller is given, `(batch, size)`.

        Args:
            features: z alone, with the output h of the last layer, or with its cell c too ("zhc").
            z: `(batch, latent_size)`.
            state: of this model.
        """
        last = keras.tree.flatten(state)[-self.cell.cells[-1].num_states :]
        parts = {"z": z, **dict(zip("hc", last, strict=False))}
        return ops.concatenate([parts[name] for name in features], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        kept = ("family", "units", "cell", "seed", "name", "trainable", "dtype")
        return {
            **{name: config[name] for name in kept if name in config},
            "actions": self.inputs_size,
            "relative": bool(self.relative),
        }


@keras.saving.register_keras_serializable(package="mixtura")
class MemoryLoss(NegativeLogLikelihood):
    r"""The loss of `Memory`: z for each of its numbers, and the end with a weight of its own.

    $$L_t = -\frac{1 - d_t}{N_z} \log p(z_{t+1}) - \log p(r_t) - w \log p(d_t)$$

    The density of z is as sharp as the game is predictable, and its sum over N_z dimensions would drown the
    end d, which is rare. So it is their mean, as published, and w is large. Unlike a weight on the ends
    alone (10 in the published code) w leaves the predicted hazard a probability. After the end there is no z
    to predict.

    Args:
        family: of the events.
        done_weight: w.
        **kwargs: see `NegativeLogLikelihood`.
    """

    def __init__(self, family: Family, done_weight: float = 10.0, **kwargs: Any) -> None:
        super().__init__(family, **kwargs)
        self.done_weight = float(done_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each event, `(*batch,)`."""
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        loss: Any = 0.0
        joint: Any = self.family
        for name, family, params, events in joint._slices():
            own = -family.log_prob(y_pred[..., params], y_true[..., events])
            if name == "latent":
                own = own / family.event_size
                if "done" in joint.names:
                    own = own * (1 - y_true[..., -1])
            loss = loss + (self.done_weight * own if name == "done" else own)
        return loss

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "done_weight": self.done_weight}
