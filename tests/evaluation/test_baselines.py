import pickle

import numpy as np
import pytest
from scipy import stats

from mixtura.evaluation import Baselines, Linear, marginal


def test_the_density_for_all_rows_is_close_to_the_true_one():
    rng = np.random.default_rng(0)
    y = np.where(rng.random(4000) < 0.3, rng.normal(100, 2, 4000), rng.normal(120, 5, 4000))
    p = marginal(y)
    assert p.batch_shape == ()
    grid = np.linspace(90, 140, 51)
    truth = 0.3 * stats.norm.pdf(grid, 100, 2) + 0.7 * stats.norm.pdf(grid, 120, 5)
    np.testing.assert_allclose(np.exp(p.log_prob(grid[:, None])), truth, atol=0.008)


def test_the_density_of_several_outputs_knows_their_correlation():
    rng = np.random.default_rng(0)
    y = rng.multivariate_normal([1e3, -2], [[100, 9], [9, 1]], size=2000)
    p = marginal(y)
    np.testing.assert_allclose(p.covariance(), np.cov(y.T), rtol=0.05)
    truth = stats.multivariate_normal([1e3, -2], [[100, 9], [9, 1]])
    assert abs(p.log_prob(y).mean() - truth.logpdf(y).mean()) < 0.03


def test_components_are_as_wide_as_the_recording_step_allows():
    y = np.repeat([3.0, 4.0, 5.0], 100)
    assert marginal(y, step=1.0).scales.min() >= 0.5
    np.testing.assert_allclose(marginal(np.full(30, 7.0), step=0.5).mean(), [7.0])


@pytest.mark.parametrize("y", [[2.5], [2.5, 2.5, 2.5], [1.0, 2.0]])
def test_a_density_of_few_or_equal_values(y):
    p = marginal(np.array(y))
    assert np.isfinite(p.log_prob(np.array(y)[:, None])).all()


def test_the_linear_model_finds_the_line_and_the_spread():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 3)) * [1, 100, 0.01] + [0, 1e4, 0]
    weights = np.array([[2.0, 0.0], [0.01, -0.02], [100.0, 300.0]])
    covariance = np.array([[1.0, 0.6], [0.6, 2.0]])
    y = X @ weights + [5, -7] + rng.multivariate_normal([0, 0], covariance, size=2000)
    linear = Linear.fit(X, y)
    np.testing.assert_allclose(linear.coefficients, weights, rtol=0.05, atol=0.05)
    p = linear.predict_distribution(X[:4])
    np.testing.assert_allclose(p.mean(), X[:4] @ weights + [5, -7], atol=0.2)
    np.testing.assert_allclose(p.covariance()[0], covariance, rtol=0.1)
    np.testing.assert_allclose(p.covariance(), np.broadcast_to(linear.covariance, (4, 2, 2)))


def test_errors_are_those_of_rows_left_out(monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 3)), rng.normal(size=12)
    monkeypatch.setattr("mixtura.evaluation.baselines.PENALTIES", np.array([0.3]))
    centre, spread = X.mean(axis=0), X.std(axis=0)
    z, left_out = (X - centre) / spread, []
    for row in range(12):  # the intercept is not penalised
        kept = np.arange(12) != row
        design = np.column_stack([np.ones(12), z])
        penalty = 0.3 * 12 * np.diag([0.0, 1, 1, 1])
        solution = np.linalg.solve(design[kept].T @ design[kept] + penalty, design[kept].T @ y[kept])
        left_out.append(y[row] - design[row] @ solution)
    found = Linear.fit(X, y)
    np.testing.assert_allclose(found.covariance[0, 0], np.mean(np.square(left_out)), rtol=1e-6)


def test_constant_columns_copies_and_more_columns_than_rows_do_no_harm():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1))
    y = 3 * x[:, 0] + 0.1 * rng.normal(size=200)
    plain = Linear.fit(x, y)
    useless = Linear.fit(np.hstack([x, x, np.full((200, 1), 7.0)]), y)
    np.testing.assert_allclose(useless.covariance, plain.covariance, rtol=1e-3)
    moved = np.hstack([x, x, np.full((200, 1), 8.0)])
    means = [plain.predict_distribution(x).mean(), useless.predict_distribution(moved).mean()]
    np.testing.assert_allclose(*means, atol=1e-3)

    wide, noise = rng.normal(size=(20, 50)), rng.normal(size=20)
    assert Linear.fit(wide, noise).covariance[0, 0] > 0.5 * noise.var()  # no row is explained by chance


@pytest.mark.parametrize("rows", [1, 2])
def test_a_linear_model_of_few_rows(rows):
    p = Linear.fit(np.ones((rows, 2)), np.ones(rows)).predict_distribution(np.zeros((3, 2)))
    np.testing.assert_allclose(p.mean(), np.ones((3, 1)))
    assert (p.variance() > 0).all()


def test_both_together_leave_out_incomplete_rows_and_survive_pickling():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), rng.normal(size=(60, 2))
    y[:10, 1] = np.nan
    fitted = pickle.loads(pickle.dumps(Baselines.fit(X, y)))
    alone = Baselines.fit(X[10:], y[10:])
    for name, p in fitted.predict(X).items():
        np.testing.assert_array_equal(p.params, alone.predict(X)[name].params)
        assert p.batch_shape == (60,)
    assert list(Baselines.fit(None, y).predict(None, rows=5)) == ["marginal"]


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((3, 2)), np.zeros(4), "X has 3 rows and y 4"),
        (np.zeros(4), np.zeros(4), "needs X of shape"),
        ([[0.0, np.inf]], [1.0], "row 0, column 1"),
        (np.zeros((2, 1)), [np.nan, np.nan], "without missing values"),
    ],
)
def test_mistakes_are_named(X, y, message):
    with pytest.raises(ValueError, match=message):
        Baselines.fit(X, np.array(y))


def test_the_columns_of_predictions_must_be_those_of_the_fit():
    with pytest.raises(ValueError, match="must have 2 columns"):
        Linear.fit(np.zeros((3, 2)), np.arange(3)).predict_distribution(np.zeros((3, 4)))
