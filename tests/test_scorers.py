import pickle

import numpy as np
import pytest
from scipy import stats
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mixtura as mx
from mixtura import scorers

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 2)), RNG.normal(size=(50, 2))
ONE, TWO = mx.Affine(mx.Normal(1), 1.0, 2.0), mx.Normal(2)


class Stub(BaseEstimator):
    """Normals around the first columns of X, with the scale 1 (times 2 in one dimension)."""

    def __init__(self, outputs=1, shift=0.0):
        self.outputs, self.shift = outputs, shift

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict_distribution(self, X):
        scale = np.zeros((len(X), self.outputs))
        return (ONE if self.outputs == 1 else TWO)(np.hstack([X[:, : self.outputs] + self.shift, scale]))


MEAN = 1 + 2 * X[:, 0]


def crps_of_normal(mean, scale, y):
    z = (y - mean) / scale
    return scale * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))


def test_scores_are_those_of_scipy_with_higher_ones_better():
    y = Y[:, 0]
    low, high = stats.norm(MEAN, 2).interval(0.8)
    beyond = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    cells = stats.norm(MEAN, 2)
    expected = {
        scorers.log_score: stats.norm(MEAN, 2).logpdf(y).mean(),
        scorers.neg_crps: -crps_of_normal(MEAN, 2, y).mean(),
        scorers.neg_root_mean_squared_error: -np.sqrt(np.mean((MEAN - y) ** 2)),
        scorers.interval_score(0.8): -(high - low + 2 / 0.2 * beyond).mean(),
        scorers.discretised_log_score(0.5): np.log((cells.cdf(y + 0.25) - cells.cdf(y - 0.25)) / 0.5).mean(),
    }
    for scorer, value in expected.items():
        for shape in (y, y[:, None], y.tolist()):
            assert scorer(Stub(), X, shape) == pytest.approx(value, rel=1e-6)
        assert pickle.loads(pickle.dumps(scorer))(Stub(), X, y) == scorer(Stub(), X, y)  # for other processes


def test_several_outputs_are_scored_together():
    p, stub = stats.multivariate_normal, Stub(outputs=2)
    expected = np.mean([p(mean, np.eye(2)).logpdf(y) for mean, y in zip(X, Y, strict=True)])
    assert scorers.log_score(stub, X, Y) == pytest.approx(expected, rel=1e-9)
    rmse = scorers.neg_root_mean_squared_error(stub, X, Y)
    assert rmse == pytest.approx(-mx.scores.root_mean_squared_error(stub.predict_distribution(X), Y))
    assert scorers.neg_crps(stub, X, Y) == -mx.scores.energy_score(stub.predict_distribution(X), Y)


def test_the_last_step_of_a_pipeline_is_asked():
    scaled = StandardScaler().fit_transform(X)
    expected = scorers.log_score(Stub(), scaled, Y[:, 0])
    pipeline = make_pipeline(StandardScaler(), Stub()).fit(X, Y[:, 0])
    assert scorers.log_score(pipeline, X, Y[:, 0]) == expected
    assert scorers.log_score(make_pipeline(pipeline).fit(X, Y[:, 0]), X, Y[:, 0]) == expected


def test_a_search_takes_the_best_and_can_be_scored_itself():
    grid = {"stub__shift": [-1.0, 0.0, 1.0]}
    pipeline = make_pipeline(StandardScaler(with_std=False, with_mean=False), Stub())
    search = GridSearchCV(pipeline, grid, scoring=scorers.log_score, error_score="raise").fit(
        X, X[:, 0] * 2 + 1
    )
    assert search.best_params_ == {"stub__shift": 0.0}
    best = make_pipeline(Stub()).fit(X, Y[:, 0])
    assert scorers.log_score(search, X, Y[:, 0]) == scorers.log_score(best, X, Y[:, 0])


def test_other_estimators_are_refused():
    model = DummyRegressor().fit(X, Y)
    with pytest.raises(
        TypeError, match=r"for estimators with predict_distribution; received DummyRegressor\(\)"
    ):
        scorers.log_score(model, X, Y)


def test_the_log_score_of_missing_outputs_is_that_of_the_others():
    p = mx.Mixture(mx.Normal(2, "full"), 2)(np.random.default_rng(0).normal(size=(3, 12)))
    y = np.array([[0.1, np.nan], [np.nan, 0.2], [0.3, 0.4]])

    class Predictor:
        def predict_distribution(self, X):
            return p

    expected = [
        p[0].marginal(0).log_prob([0.1]),
        p[1].marginal(1).log_prob([0.2]),
        p[2].log_prob([0.3, 0.4]),
    ]
    np.testing.assert_allclose(mx.scorers.log_score(Predictor(), np.zeros((3, 1)), y), np.mean(expected))
