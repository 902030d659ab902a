"""What the two networks do at forks, beside the robot itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.evaluation.sequences import predictions
from mixtura.generation import StopAfterTotal
from mixtura.models import SequenceModel
from mixtura.sampling import Samplers
from mixtura.systems.moves import world
from mixtura.systems.moves.paths import moves_of, positions_of

GIVEN = 5  # moves of a held-out path that a drawn one begins with: they end before the first fork
STOP = StopAfterTotal(2, 0.5)  # a path ends with the move whose flag says that it is the last

Paths = Sequence[np.ndarray]


def continued(
    model: SequenceModel,
    held_out: Sequences,
    origin: np.ndarray,
    steps: int,
    seed: int,
    sampler: Samplers | None = None,
) -> list[np.ndarray]:
    """Return as many paths as are held out, each going on from the first moves of one of them."""
    prompt = [one[: min(GIVEN, len(one) - 1)] for one in held_out]
    drawn = model.generate(steps, prompt=prompt, stop=STOP, seed=seed, sampler=sampler)
    return positions_of((drawn[row] for row in range(len(drawn))), origin)


def judged(paths: Paths) -> dict[str, Any]:
    """Return what is known of paths through the world.

    `steps_in_walls` and `paths_in_walls` are shares of the steps, and of the paths with any such step;
    `paths_to_goals` that of paths whose last step is at a goal. `routes` has the shares of the world's
    routes, taken without touching a wall up to the goal; `distance` is their total variation from the true
    ones, half the sum of all differences, what is on no route included.
    """
    hits = [world.in_wall(one) for one in paths]
    routes = np.array([world.route_of(one) for one in paths])
    shares = np.bincount(routes[routes >= 0], minlength=len(world.ROUTES)) / len(paths)
    lost = 1 - shares.sum()
    return {
        "steps_in_walls": float(np.concatenate(hits).mean()),
        "paths_in_walls": float(np.mean([hit.any() for hit in hits])),
        "paths_to_goals": float(np.mean([world.at_goal(one[-1]) for one in paths])),
        "routes": shares.tolist(),
        "distance": float(0.5 * (np.abs(shares - world.SHARES).sum() + lost)),
    }


def lower_limit(paths: Paths) -> float:
    """Return the negative log density of walks through the world, in nats per step: no model does better.

    On given walks a model may come out lower by chance, not on average.
    """
    return -sum(map(world.log_density, paths)) / sum(map(len, paths))


def before_fork(paths: Paths, place: str) -> np.ndarray:
    """Return the beginning of the first path that goes through a place, up to where the robot turns."""
    for one in paths:
        number = world.route_of(one)
        if number >= 0 and place in world.ROUTES[number]:
            turn = world.PLACES[place][0] - world.EARLY
            return one[: 1 + int(np.argmax(one[:, 0] >= turn))]
    raise ValueError(f"no path goes through {place!r}")


def next_moves(model: SequenceModel, pasts: Sequence[np.ndarray]) -> list[Any]:
    """Return the distributions of the moves that follow walks so far, each `(steps, 2)` positions."""
    # The event to be predicted is unknown, and its parameters do not depend on it.
    events = [np.concatenate([moves, np.zeros((1, 3))]) for moves in moves_of(pasts, np.zeros(2))]
    for one in events:
        one[:, 2] = 0.0  # none of these moves was the last
    found = dict(predictions(model, events))
    family: Any = model.family
    return [family(found[number][-1])["move"] for number in range(len(pasts))]
