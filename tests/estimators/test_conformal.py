"""Coverage is counted over many draws of calibration rows and new rows, with a model that is wrong."""

import numpy as np
import pytest
from scipy import stats
from sklearn.base import BaseEstimator

import mixtura as mx
from mixtura.estimators.conformal import conformal_tail, tails
from mixtura.estimators.predictions import DistributionRegressor
from mixtura.estimators.targets import Targets

DRAWS = 20_000


@pytest.mark.parametrize(
    ("n", "level", "rank"),
    [(9, 0.9, 1), (19, 0.9, 2), (99, 0.9, 10), (8, 0.9, 0), (50, 0.8, 10), (5, 1e-12, 5)],
)
def test_the_tail_has_the_promised_rank(n, level, rank):
    calibration = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))[:, None] / 100
    assert conformal_tail(calibration, level) == pytest.approx([rank / 100])


def test_tails_are_the_smaller_probability_beyond_an_outcome():
    y = np.array([-3.0, -0.5, 0.0, 0.5, 4.0])
    p = mx.Normal(1)(np.zeros((5, 2)))
    np.testing.assert_allclose(tails(p, y), stats.norm.sf(np.abs(y)), rtol=1e-9)


@pytest.mark.parametrize("level", [0.5, 0.9])
@pytest.mark.parametrize("n", [9, 19, 50])
def test_coverage_is_at_least_the_level_however_wrong_the_model(n, level):
    """Outcomes are exponential; the model says normal, off and too narrow."""
    rng = np.random.default_rng([n, int(10 * level)])
    y = rng.exponential(size=(DRAWS, n + 1))
    wrong = stats.norm(0.3, 0.4)
    tail = np.minimum(wrong.cdf(y), wrong.sf(y))
    # All draws at once: they are what `conformal_tail` calls outputs.
    learned = conformal_tail(tail[:, :n].T, level)
    new = y[:, -1]
    inside = (wrong.ppf(learned) <= new) & (new <= wrong.isf(learned))
    error = np.sqrt(level * (1 - level) / DRAWS)
    assert inside.mean() > level - 4 * error
    if (n + 1) * (1 - level) >= 1:  # and no wider than a row more would allow
        assert inside.mean() < level + 1 / (n + 1) + 4 * error
    plain = (np.abs(new - 0.3) <= 0.4 * stats.norm.isf((1 - level) / 2)).mean()
    assert plain < level - 0.05


class Wrong(DistributionRegressor, BaseEstimator):
    """Predicts the same normals for all rows."""

    def __init__(self, outputs):
        self.n_outputs_, self.missing_targets = outputs, "error"
        self._targets = Targets(outputs == 1, *[(1.0,) * outputs] * 4)
        self.family = mx.Normal(outputs)

    def predict_distribution(self, X):
        row = [0.3] * self.n_outputs_ + [np.log(0.4)] * self.n_outputs_
        return self.family(np.tile(row, (len(X), 1)))

    def _read(self, X, reset):
        return np.asarray(X)

    def fit(self, X, y):
        return self

    def __sklearn_is_fitted__(self):
        return True


def test_every_output_has_its_own_promise():
    rng = np.random.default_rng(0)
    y = np.column_stack([rng.exponential(size=4000), 3 * rng.normal(size=4000)])
    X = np.zeros((4000, 1))
    model = Wrong(2).calibrate(X[:500], y[:500])
    low, high = model.predict_interval(X[500:], 0.8, conformal=True)
    inside = ((low <= y[500:]) & (y[500:] <= high)).mean(axis=0)
    assert inside == pytest.approx([0.8, 0.8], abs=0.06)
    low, high = model.predict_interval(X[500:], 0.8)
    assert (((low <= y[500:]) & (y[500:] <= high)).mean(axis=0) < 0.6).all()
    # The second's promise costs the first nothing.
    alone = Wrong(1).calibrate(X[:500], y[:500, 0]).predict_interval(X[500:], 0.8, conformal=True)
    np.testing.assert_allclose(alone[0], model.predict_interval(X[500:], 0.8, conformal=True)[0][:, 0])


def test_too_few_rows_can_only_promise_everything():
    y = np.random.default_rng(0).normal(size=8)
    model = Wrong(1).calibrate(np.zeros((8, 1)), y)
    low, high = model.predict_interval(np.zeros((3, 1)), 0.9, conformal=True)
    assert (low == -np.inf).all()
    assert (high == np.inf).all()
    low, high = model.predict_interval(np.zeros((3, 1)), 0.85, conformal=True)
    assert np.isfinite([low, high]).all()


def test_calibration_rows_lie_inside_as_often_as_their_ranks_say(one, rows):
    X, Y = rows
    model = mx.MDNRegressor(**one.get_params()).fit(X, Y[:, 1])
    rng = np.random.default_rng(1)
    new = rng.normal(size=(99, 3))
    y = 50 * rng.normal(size=99)  # nothing like what was trained on
    low, high = model.calibrate(new, y).predict_interval(new, 0.9, conformal=True)
    # Nine rows have a smaller tail than the tenth smallest, which lies on an end.
    assert 89 <= ((low <= y) & (y <= high)).sum() <= 90
    assert model.calibrate(new, y) is model
    refitted = model.fit(X, Y[:, 1])
    with pytest.raises(ValueError, match="need `calibrate`"):
        refitted.predict_interval(new, conformal=True)
    with pytest.raises(ValueError, match=r"Input y contains NaN: nan in row 0"):
        model.calibrate(new[:2], [np.nan, 1.0])
