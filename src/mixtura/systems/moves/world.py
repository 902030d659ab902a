"""A world of corridors and forks, a robot that walks through it, and the exact density of its walks."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

HALF_WIDTH = 0.35  # of a corridor

# Where a robot that comes to a place goes next, and how often. All ways lead from left to right.
PLACES = {
    "door": (0.0, 0.0),
    "first": (2.0, 0.0),
    "upper": (4.2, 2.0),
    "lower": (4.2, -2.0),
    "top": (6.6, 4.0),
    "high": (6.6, 2.0),
    "middle": (6.6, 0.0),
    "bottom": (6.6, -4.0),
    **{f"goal {n}": (9.0, y) for n, y in enumerate((4.9, 3.1, 2.0, 0.9, -0.9, -3.1, -4.9), 1)},
}
FORKS = {
    "door": {"first": 1.0},
    "first": {"upper": 0.5, "lower": 0.5},
    "upper": {"top": 0.5, "high": 0.3, "middle": 0.2},
    "lower": {"middle": 0.4, "bottom": 0.6},  # the middle has two ways in
    "top": {"goal 1": 0.6, "goal 2": 0.4},
    "high": {"goal 3": 1.0},
    "middle": {"goal 4": 0.7, "goal 5": 0.3},
    "bottom": {"goal 6": 0.5, "goal 7": 0.5},
}
LEVELS = np.array([2.0, 4.2, 6.6, 9.0])  # the first coordinate of the places that follow the door

EARLY = 0.2  # so far before a place the robot turns to the next one, and stops at a goal
AHEAD = 0.6  # it aims at no point that is less far ahead
GAIN = 0.6  # the share of a turn made in one step
HEADING_NOISE = 0.11  # radians
SPEED, SPEED_KEPT, SPEED_NOISE = 0.2, 0.8, 0.012  # units a step


def _routes(place: str = "door") -> list[tuple[list[str], float]]:
    """Return every way from a place to a goal, with its probability."""
    if place not in FORKS:
        return [([], 1.0)]
    return [
        ([onward, *rest], share * probability)
        for onward, share in FORKS[place].items()
        for rest, probability in _routes(onward)
    ]


ROUTES = [names for names, _ in _routes()]
SHARES = np.array([probability for _, probability in _routes()])
WAYPOINTS = np.array([[PLACES[name] for name in names] for names in ROUTES])  # (routes, levels, 2)
CORRIDORS = np.array([(PLACES[start], PLACES[end]) for start, onward in FORKS.items() for end in onward])


# ---------------------------------------------------------------------- the robot


def walk(count: int, rng: np.random.Generator) -> list[np.ndarray]:
    r"""Draw walks from the door to the goals, `(steps, 2)` positions each, the door itself left out.

    At step t the robot is at x with heading h and speed v, both known from its last move. Its target g is the
    next place of its route that is more than `EARLY` ahead:

    $$h' \sim N\bigl(h + \gamma\,(\angle(g - x) - h),\ \sigma_h^2\bigr), \qquad
      v' \sim N\bigl(\bar v + \kappa\,(v - \bar v),\ \sigma_v^2\bigr), \qquad
      x' = x + v' (\cos h', \sin h')$$

    Only the route is hidden, and there are nine: so the density of a walk is known (`log_density`).
    """
    routes = rng.choice(len(ROUTES), size=count, p=SHARES)
    position, heading, speed = np.zeros((count, 2)), np.zeros(count), np.full(count, SPEED)
    positions, lengths = [], np.zeros(count, int)
    while not lengths.all():
        is_last = _level(position) == len(LEVELS)
        mean_heading, mean_speed = _intent(position, heading, speed, routes)
        heading = rng.normal(mean_heading, HEADING_NOISE)
        speed = rng.normal(mean_speed, SPEED_NOISE)
        position = position + speed[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        positions.append(position)
        lengths = np.where((lengths == 0) & is_last, len(positions), lengths)
    whole = np.stack(positions, axis=1)
    return [path[:length] for path, length in zip(whole, lengths, strict=True)]


def log_densities(path: np.ndarray) -> np.ndarray:
    """Return the logarithm of each route's probability times the density of a walk along it, `(routes,)`.

    Args:
        path: positions after the door, `(steps, 2)`. What a walk may have next is not considered.
    """
    before = np.concatenate([np.zeros((1, 2)), path[:-1]])
    steps = _log_steps(before, path - before, _last(path[:-1]))
    return np.log(SHARES) + steps.sum(axis=1)


def log_density(path: np.ndarray) -> float:
    """Return the logarithm of a walk's density, in nats: of its moves, and of where it stops."""
    return float(logsumexp(log_densities(path)))


def next_density(path: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Return the density of the next move after a walk's beginning, `(*batch,)`.

    Args:
        path: positions so far, after the door, `(steps, 2)`, at least one.
        moves: `(*batch, 2)`.
    """
    posterior = log_densities(path)
    flat = moves.reshape(-1, 2)
    heading, speed = (np.full(len(flat), value[-1]) for value in _last(path))
    each = _log_steps(np.broadcast_to(path[-1], flat.shape), flat, (heading, speed))
    mixed = logsumexp(posterior[:, None] - logsumexp(posterior) + each, axis=0)
    return np.exp(mixed).reshape(moves.shape[:-1])


def _level(position: np.ndarray) -> np.ndarray:
    """Return which level's place the robot heads for; the number of levels where it stops."""
    return np.searchsorted(LEVELS - EARLY, position[..., 0], side="right")


def _intent(position: np.ndarray, heading: np.ndarray, speed: np.ndarray, route: np.ndarray) -> tuple:
    """Return the means of the next heading and speed."""
    target = WAYPOINTS[route, np.minimum(_level(position), len(LEVELS) - 1)]
    ahead, aside = np.moveaxis(target - position, -1, 0)
    aim = np.arctan2(aside, np.maximum(ahead, AHEAD))
    return heading + GAIN * (aim - heading), SPEED + SPEED_KEPT * (speed - SPEED)


def _last(path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return heading and speed at the door and after each step of a path, `(steps + 1,)` each."""
    moves = np.diff(path, axis=0, prepend=np.zeros((1, 2)))
    heading, speed = np.arctan2(moves[:, 1], moves[:, 0]), np.hypot(moves[:, 0], moves[:, 1])
    return np.append(0.0, heading), np.append(SPEED, speed)


def _log_steps(position: np.ndarray, move: np.ndarray, last: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the log density of moves `(n, 2)` from positions, for each route, `(routes, n)`."""
    routes = np.arange(len(ROUTES))[:, None]
    mean_heading, mean_speed = _intent(position[None], *last, routes)
    speed = np.hypot(move[:, 0], move[:, 1])
    turn = np.arctan2(move[:, 1], move[:, 0]) - mean_heading
    turn = (turn + np.pi) % (2 * np.pi) - np.pi
    squares = (turn / HEADING_NOISE) ** 2 + ((speed - mean_speed) / SPEED_NOISE) ** 2
    # Polar coordinates: dx dy = v dv dh.
    return -0.5 * squares - np.log(2 * np.pi * HEADING_NOISE * SPEED_NOISE * speed)


# ---------------------------------------------------------------------- what is known of any path


def in_wall(points: np.ndarray) -> np.ndarray:
    """Return which points `(*batch, 2)` are outside every corridor."""
    return _distances(points, CORRIDORS).min(axis=0) > HALF_WIDTH


def at_goal(points: np.ndarray) -> np.ndarray:
    """Return which points `(*batch, 2)` are at a goal."""
    return np.linalg.norm(points[..., None, :] - WAYPOINTS[:, -1], axis=-1).min(axis=-1) <= HALF_WIDTH


def route_of(path: np.ndarray) -> int:
    """Return the number of the route along which a path stays in the corridors up to the goal, or -1."""
    starts = np.concatenate([np.zeros((len(ROUTES), 1, 2)), WAYPOINTS[:, :-1]], axis=1)
    legs = np.stack([starts, WAYPOINTS], axis=2)  # (routes, levels, 2 ends, 2)
    away = np.array([_distances(path, own).min(axis=0).max() for own in legs])
    away[np.linalg.norm(path[-1] - WAYPOINTS[:, -1], axis=-1) > HALF_WIDTH] = np.inf
    return int(away.argmin()) if away.min() <= HALF_WIDTH else -1


def _distances(points: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Return the distances of points `(*batch, 2)` from segments `(n, 2, 2)`, `(n, *batch)`."""
    start, end = (segments[:, side].reshape(-1, *[1] * (points.ndim - 1), 2) for side in range(2))
    along = end - start
    share = ((points - start) * along).sum(axis=-1) / (along**2).sum(axis=-1)
    nearest = start + np.clip(share, 0.0, 1.0)[..., None] * along
    return np.linalg.norm(points - nearest, axis=-1)
