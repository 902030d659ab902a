import numpy as np
import pytest
from scipy.integrate import simpson
from scipy.stats import norm

from mixtura.systems.moves import world


@pytest.fixture(scope="module")
def walks():
    return world.walk(3000, np.random.default_rng(0))


def test_shares_of_the_routes():
    assert world.SHARES.sum() == pytest.approx(1)
    at = world.ROUTES.index(["first", "upper", "middle", "goal 5"])
    assert world.SHARES[at] == pytest.approx(0.5 * 0.2 * 0.3)


def test_walks_take_every_route_as_often_as_it_says(walks):
    taken = np.array([world.route_of(walk) for walk in walks])
    on_one = taken[taken >= 0]
    assert len(on_one) > 2985
    counts, expected = np.bincount(on_one, minlength=len(world.SHARES)), len(on_one) * world.SHARES
    assert ((counts - expected) ** 2 / expected).sum() < 26.1  # chi-square, 8 degrees: 0.999


def test_walks_stay_in_corridors_and_stop_at_goals(walks):
    assert np.mean([world.in_wall(walk).any() for walk in walks]) < 0.005
    assert all(world.at_goal(walk[-1]) for walk in walks)
    assert all((walk[-2, 0] >= 8.8) and (walk[:-2, 0] < 8.8).all() for walk in walks)


def test_what_a_wall_is():
    points = np.array([[1.0, 0.34], [1.0, 0.36], [-0.34, 0.0], [-0.36, 0.0], [4.2, 0.0], [7.8, 2.34]])
    assert world.in_wall(points).tolist() == [False, True, False, True, True, False]
    # 0.3 beside the middle of the corridor from (2, 0) to (4.2, 2), and 0.4.
    aside = np.array([-2.0, 2.2]) / np.hypot(2.0, 2.2)
    assert world.in_wall(np.array([3.1, 1.0]) + np.array([[0.3], [0.4]]) * aside).tolist() == [False, True]
    assert world.in_wall(np.zeros((4, 5, 2))).shape == (4, 5)


def test_a_path_through_a_wall_or_short_of_a_goal_is_on_no_route():
    along = [(0, 0), (2, 0), (4.2, 2), (6.6, 2), (9, 2)]
    path = np.array(along, float)
    assert world.ROUTES[world.route_of(path)] == ["first", "upper", "high", "goal 3"]
    assert world.route_of(path[:-1]) == -1
    assert world.route_of(np.insert(path, 2, [4.2, 0.0], axis=0)) == -1


def test_density_of_a_walk_is_that_of_its_noise():
    # Up to the first fork there is one way: heading and speed are autoregressive, read off the moves.
    walk = world.walk(1, np.random.default_rng(1))[0][:6]
    log_density, position, heading, speed = 0.0, np.zeros(2), 0.0, 0.2
    for point in walk:
        dx, dy = point - position
        aim = np.arctan2(0.0 - position[1], 2.0 - position[0])
        log_density += norm.logpdf(np.arctan2(dy, dx), heading + 0.6 * (aim - heading), world.HEADING_NOISE)
        log_density += norm.logpdf(np.hypot(dx, dy), 0.2 + 0.8 * (speed - 0.2), world.SPEED_NOISE)
        log_density -= np.log(np.hypot(dx, dy))
        position, heading, speed = point, np.arctan2(dy, dx), np.hypot(dx, dy)
    assert world.log_density(walk) == pytest.approx(log_density)


@pytest.mark.parametrize("steps", [3, 10, 24])
def test_density_of_the_next_move_integrates_to_one(walks, steps):
    past = walks[0][:steps]
    turn, speed = np.linspace(-np.pi, np.pi, 721), np.linspace(0.05, 0.35, 301)
    moves = speed[:, None, None] * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    density = speed[:, None] * world.next_density(past, moves)  # dx dy = v dv dh
    assert simpson(simpson(density, x=turn), x=speed) == pytest.approx(1, abs=1e-6)


def test_density_of_a_walk_is_the_product_of_its_moves(walks):
    path = walks[1][:14]
    moves = np.diff(path, axis=0)
    one_by_one = [np.log(world.next_density(path[: n + 1], moves[n])) for n in range(len(moves))]
    assert sum(one_by_one) + world.log_density(path[:1]) == pytest.approx(world.log_density(path))
