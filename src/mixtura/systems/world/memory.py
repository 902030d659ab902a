"""M: what happens next, learnt from recorded episodes that V has put into latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops
from scipy.special import expit

from mixtura.families import Affine, Bernoulli, Family, Independent, Joint, Mixture, Normal
from mixtura.models.memory import Memory
from mixtura.training.initialisation import begin_at
from mixtura.training.ragged import Ragged


class Series(NamedTuple):
    """An episode of T decisions in latents.

    Attributes:
        mean: of z before each decision and after the last, `(T + 1, z)`.
        log_variance: of z; -inf where z is known, as a state is.
        actions: the codes, `(T, size)`.
        rewards: `(T,)`.
        terminated: whether it ended by itself.
    """

    mean: np.ndarray
    log_variance: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: bool

    def drawn(self, rng: np.random.Generator) -> np.ndarray:
        """Draw z of every moment from V's posterior, `(T + 1, z)`."""
        noise = rng.standard_normal(self.mean.shape, np.float32)
        return self.mean + np.exp(0.5 * self.log_variance) * noise


class Layout(NamedTuple):
    """What an event of M says of a moment: z, the reward that led to it if M predicts any, and the end.

    Attributes:
        latent: the size of z.
        reward: whether rewards are part of it: where they are always the same they need not be.
        done: whether the end is.
    """

    latent: int
    reward: bool
    done: bool

    @classmethod
    def of(cls, series: Sequence[Series]) -> tuple[Layout, float]:
        """Return what recorded episodes ask for, and the reward where it is always the same.

        The last reward of an episode may be a part of it, as where the end comes before all skipped steps.
        """
        rewards = np.concatenate([one.rewards[:-1] for one in series])
        reward = float(rewards[0]) if len(rewards) else 0.0
        low, high = sorted((0.0, reward))
        is_constant = (rewards == reward).all() and all(low <= one.rewards[-1] <= high for one in series)
        layout = cls(series[0].mean.shape[1], not is_constant, any(one.terminated for one in series))
        return layout, reward if is_constant else 0.0

    def events(self, series: Series, z: np.ndarray) -> np.ndarray:
        """Return the events of an episode, `(T + 1, event_size)`: the first is where it begins."""
        parts = [z]
        if self.reward:
            parts.append(np.concatenate([[0.0], series.rewards])[:, None])
        if self.done:
            done = np.zeros((len(z), 1))
            done[-1] = series.terminated
            parts.append(done)
        return np.concatenate(parts, axis=1).astype(np.float32)


def family_of(
    layout: Layout, series: Sequence[Series], components: int = 5, min_scale: float = 0.0, units: bool = True
) -> Family:
    """Return the family of M's events: each number of z is a mixture of normals of its own.

    Args:
        layout: what an event is made of.
        series: what units are taken from.
        components: of each mixture.
        min_scale: the floor of the scale, in the units of each number.
        units: whether z and rewards are standardised; as published they are not.
    """
    normal = Mixture(Normal(1, scale="exp", min_scale=min_scale), components)
    latent: Family = Independent(normal, layout.latent)
    reward: Family = Mixture(Normal(1, min_scale=max(min_scale, 1e-2)), components)
    if units:
        z = np.concatenate([one.mean for one in series])
        latent = Affine(latent, z.mean(axis=0), np.maximum(z.std(axis=0), 1e-3))
        rewards = np.concatenate([one.rewards for one in series])
        reward = Affine(reward, rewards.mean(), max(rewards.std(), 1e-3))
    parts = {"latent": latent}
    if layout.reward:
        parts["reward"] = reward
    if layout.done:
        parts["done"] = Bernoulli()
    return Joint(**parts)


def rows(
    layout: Layout,
    series: Sequence[Series],
    start: Any,
    length: int,
    batch_size: int,
    seed: int,
    drawn: bool = False,
) -> Ragged:
    """Return windows of the episodes.

    An action enters M together with the z that it answers, and the event after it is predicted: inputs are
    moved by one, and the first event of an episode, where it begins, is preceded by `start`.

    Args:
        layout: of the events.
        series: the episodes.
        start: the model's `start_event()`.
        length: of the windows.
        batch_size: of training.
        seed: of the draws.
        drawn: whether z is drawn anew from what V says of it; else it is its mean.
    """
    rng = np.random.default_rng(seed)
    events = [layout.events(one, one.drawn(rng) if drawn else one.mean) for one in series]
    inputs = [np.concatenate([np.zeros_like(one.actions[:1]), one.actions]) for one in series]
    return Ragged.windows(events, length, start=start, batch_size=batch_size, inputs=inputs)


def begin(model: Memory, layout: Layout, series: Sequence[Series], seed: int) -> None:
    """Start M's head at the distribution of what it predicts, whatever it sees."""
    rng = np.random.default_rng(seed)
    size = layout.latent
    parts = []
    for number in rng.permutation(len(series))[:50]:
        events = layout.events(series[number], series[number].mean)
        moved = events[1:].copy()
        if model.relative:  # a distance of 0 is the middle of the head's units
            moved[:, :size] += model.family.units[0][:size] - events[:-1, :size]
        parts.append(moved)
    begin_at(model, model.family.fit(np.concatenate(parts)[:4000], seed))


class Hazard(NamedTuple):
    """The probability of the end that M gave every moment, and whether it came."""

    predicted: np.ndarray
    observed: np.ndarray


def hazard(model: Memory, layout: Layout, series: Sequence[Series]) -> Hazard:
    """Return what M said of the end of held-out episodes, step by step, given all before."""
    longest = max(len(one.mean) for one in series)
    table = rows(layout, series, model.start_event(), longest, 32, 0)
    predicted, observed = [], []
    [(x, y, weight)] = table.parts
    for first in range(0, len(y), 32):
        part = {name: value[first : first + 32] for name, value in x.items()}
        params = np.asarray(ops.convert_to_numpy(model.program("call", model.call)(part)))
        logit = params[..., -1]
        counts = weight[first : first + 32] > 0
        predicted.append(expit(logit)[counts])
        observed.append(y[first : first + 32, :, -1][counts])
    return Hazard(np.concatenate(predicted), np.concatenate(observed))
