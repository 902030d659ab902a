import keras
import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.exceptions import NotFittedError

import mixtura as mx

# A network's outputs, computed by hand.


def silu(x):
    return x / (1 + np.exp(-x))


def forward(model, data, X):
    """Return the weights `(rows, M, K)`, means and covariances of a regressor's components, in units of y.

    Its `data` are those of training.
    """
    (x_mean, x_std), (y_mean, y_std) = ((part.mean(axis=0), part.std(axis=0)) for part in data)
    asked, size = model.get_params(), model.n_outputs_
    z = (X - x_mean) / x_std
    edges = np.quantile((data[0] - x_mean) / x_std, np.linspace(0, 1, asked["n_bins"] + 1), axis=0)
    bins = (z[:, :, None] - edges[:-1].T) / np.diff(edges, axis=0).T
    x = np.concatenate([z, 2 * np.clip(bins, 0, 1).reshape(len(z), -1) - 1], axis=1)
    weights = [keras.ops.convert_to_numpy(weight) for weight in model._network_.trainable_weights]
    hidden, bias, kernel, last = (weight.astype(float) for weight in weights)
    table = silu(x @ hidden + bias) @ kernel + last  # (M, rows, parameters of a member)
    table = table.reshape(asked["ensemble"], len(X), -1, asked["n_components"])
    logits, means = table[:, :, 0], table[:, :, 1 : 1 + size]
    activations, phi = table[:, :, 1 + size : 1 + 2 * size], table[:, :, 1 + 2 * size :]
    weights = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    floor = (model.min_scale_ / y_std[-size:])[:, None]
    scales = np.where(activations > 0, activations + 1, np.exp(np.minimum(activations, 0))) + floor
    T = np.zeros((*scales.shape[:2], asked["n_components"], size, size)) + np.eye(size)
    if size == 2:
        T[..., 1, 0] = -phi[:, :, 0]
    L = np.swapaxes(scales, -1, -2)[..., None] * np.linalg.inv(T) * y_std[-size:, None]
    means = y_mean[-size:] + np.swapaxes(means, -1, -2) * y_std[-size:]
    return [np.moveaxis(part, 0, 1) for part in (weights, means, L @ np.swapaxes(L, -1, -2))]


@pytest.fixture(scope="module")
def new():
    return np.random.default_rng(5).normal(size=(7, 3))


def test_predictions_are_the_networks_by_hand(one, two, new, rows):
    for model in (one, two):
        p, (weights, means, covariances) = model.predict_distribution(new), forward(model, rows, new)
        size = model.n_outputs_
        np.testing.assert_allclose(p.weights, weights.reshape(7, 4) / 2, rtol=1e-4)
        np.testing.assert_allclose(p.means, means.reshape(7, 4, size), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(p.covariances, covariances.reshape(7, 4, size, size), rtol=1e-3, atol=1e-4)


def test_an_ensembles_density_is_the_average_of_its_members(two, new, rows):
    weights, means, covariances = forward(two, rows, new)
    y = rows[1][:7]
    members = np.array(
        [
            [
                sum(
                    w * stats.multivariate_normal(mean, covariance).pdf(event)
                    for w, mean, covariance in zip(weights[n, m], means[n, m], covariances[n, m], strict=True)
                )
                for m in range(2)
            ]
            for n, event in enumerate(y)
        ]
    )
    p = two.predict_distribution(new)
    assert (np.ptp(np.log(members), axis=1) > 1e-3).all()
    np.testing.assert_allclose(p.log_prob(y), np.log(members.mean(axis=1)), rtol=1e-3, atol=1e-3)


# Points, quantiles and intervals.


def mixtures(p):
    """Yield the cdf and the density of each row, from SciPy's normals."""
    for weights, means, scales in zip(p.weights, p.means[..., 0], p.scales[..., 0], strict=True):
        normals = stats.norm(means, scales)
        yield (
            lambda y, n=normals, w=weights: float(np.sum(w * n.cdf(y))),
            lambda y, n=normals, w=weights: float(np.sum(w * n.pdf(y))),
            (means, scales),
        )


def test_means_quantiles_intervals_and_modes_are_scipys(one, new):
    p = one.predict_distribution(new)
    low, high = one.predict_interval(new, 0.8)
    quartiles = one.predict_quantile(new, [0.25, 0.75])
    median = one.predict_quantile(new)
    for n, (cdf, pdf, (means, scales)) in enumerate(mixtures(p)):
        assert one.predict(new)[n] == pytest.approx(np.sum(p.weights[n] * means), rel=1e-12)
        for level, at in [(0.1, low[n]), (0.9, high[n]), (0.25, quartiles[0][n]), (0.75, quartiles[1][n])]:
            assert cdf(at) == pytest.approx(level, abs=1e-9)
        assert cdf(median[n]) == pytest.approx(0.5, abs=1e-9)
        line = np.linspace((means - 3 * scales).min(), (means + 3 * scales).max(), 2001)
        best = line[np.argmax([pdf(y) for y in line])]
        found = optimize.minimize_scalar(
            lambda y, pdf=pdf: -pdf(y), bounds=(best - scales.min(), best + scales.min()), method="bounded"
        )
        assert pdf(one.predict_mode(new)[n]) == pytest.approx(-found.fun, rel=1e-9)


def test_several_outputs_have_their_own_quantiles(two, new):
    p = two.predict_distribution(new)
    low, high = two.predict_interval(new, 0.5)
    quartiles = two.predict_quantile(new, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles[0], low, rtol=1e-9)
    np.testing.assert_allclose(quartiles[2], high, rtol=1e-9)
    for d in range(2):
        marginal = p.marginal(d)
        for n, (cdf, *_) in enumerate(mixtures(marginal)):
            assert cdf(quartiles[1][n, d]) == pytest.approx(0.5, abs=1e-9)
    mode = two.predict_mode(new)
    for event in (two.predict(new), mode + np.array([0.05, 0]), mode - 0.05):
        assert (p.log_prob(mode) >= p.log_prob(event)).all()


def test_samples_have_the_predicted_moments(two, new):
    drawn = two.sample(new, 20_000, random_state=0)
    p = two.predict_distribution(new)
    error = np.sqrt(p.variance() / 20_000)
    assert (np.abs(drawn.mean(axis=0) - p.mean()) < 5 * error).all()
    np.testing.assert_allclose(drawn.var(axis=0), p.variance(), rtol=0.1)
    np.testing.assert_array_equal(two.sample(new, 3, random_state=1), two.sample(new, 3, random_state=1))
    assert (two.sample(new) != two.sample(new)).all()


# Variances by their sources.


def test_variances_are_the_members_own_and_add_up(one, two, new):
    for model in (one, two):
        p, v = model.predict_distribution(new), model.predict_variance(new)
        total = p.variance() if model.n_outputs_ > 1 else p.variance()[:, 0]
        np.testing.assert_allclose(v.aleatoric + v.epistemic, total, rtol=1e-12)
        np.testing.assert_array_equal(v.total, v.aleatoric + v.epistemic)
        shape = (7, 2, 2)
        within = 2 * p.weights.reshape(shape)[..., None]
        means, scales = p.means.reshape(*shape, -1), p.scales.reshape(*shape, -1)
        mean = (within * means).sum(axis=2)
        noise = (within * (scales**2 + (means - mean[:, :, None]) ** 2)).sum(axis=2).mean(axis=1)
        np.testing.assert_allclose(v.aleatoric, noise.reshape(v.aleatoric.shape), rtol=1e-5)
        np.testing.assert_allclose(v.epistemic, mean.var(axis=1).reshape(v.epistemic.shape), rtol=1e-4)
        assert (v.epistemic > 0).all()


@pytest.mark.slow
def test_one_member_knows_no_disagreement(small, rows):
    model = small(ensemble=1).fit(rows[0], rows[1][:, 1])
    v = model.predict_variance(rows[0])
    assert (v.epistemic < 1e-24 * v.aleatoric).all()  # roundings


# Shapes.


def test_predictions_have_the_shape_of_y(one, two, small, rows, new):
    X, Y = rows
    column = small().fit(X, Y[:, 1:])
    np.testing.assert_array_equal(column.predict(new)[:, 0], one.predict(new))
    for model, shape in ((one, (7,)), (column, (7, 1)), (two, (7, 2))):
        shapes = [
            model.predict(new),
            model.predict_mode(new),
            model.predict_quantile(new, 0.3),
            *model.predict_interval(new),
            *model.predict_variance(new),
        ]
        assert {values.shape for values in shapes} == {shape}
        assert model.predict_quantile(new, [0.1, 0.5, 0.9]).shape == (3, *shape)
        assert model.sample(new, 4).shape == (4, *shape)
        assert model.predict_distribution(new).batch_shape == (7,)
    low, high = column.predict_quantile(new, [0.1, 0.9])
    assert (low < high).all()


def test_one_row_predicts_the_same_alone(two, new):
    np.testing.assert_allclose(two.predict(new[:1]), two.predict(new)[:1], rtol=1e-5)


# Scores and baselines.


def test_the_log_score_is_the_mean_log_density(one, two, rows):
    X, Y = rows
    weight = np.arange(60.0)
    for model, y in ((one, Y[:, 1]), (two, Y)):
        values = model.predict_distribution(X).log_prob(y.reshape(60, -1))
        assert model.log_score(X, y) == pytest.approx(values.mean(), rel=1e-12)
        assert model.log_score(X, y, weight) == pytest.approx(np.average(values, weights=weight), rel=1e-12)
    assert one.score(X, Y[:, 1]) > 0.3  # scikit-learn's R^2
    assert two.score(X, Y) > 0.3


def test_the_network_beats_the_baselines_of_all_rows(two, rows):
    X, Y = rows
    baselines = two.baseline_distributions(X)
    assert set(baselines) == {"marginal", "linear"}
    assert two.log_score(X, Y) > baselines["marginal"].log_prob(Y).mean()
    p = baselines["linear"]
    expected = (
        np.column_stack([np.ones(60), X])
        @ np.linalg.lstsq(np.column_stack([np.ones(60), X]), Y, rcond=None)[0]
    )
    np.testing.assert_allclose(p.mean(), expected, atol=0.1 * Y.std())


def test_a_report_takes_the_regressor(one, rows):
    assert mx.report(one, rows[0], rows[1][:, 1])


def test_a_generator_of_numpy_goes_on_from_sample_to_sample(one, new):
    generator = np.random.RandomState(0)
    first, second = (one.sample(new, 2, random_state=generator) for _ in range(2))
    assert not np.array_equal(first, second)
    again = one.sample(new, 2, random_state=np.random.RandomState(0))
    np.testing.assert_array_equal(again, first)


# Mistakes.


@pytest.mark.parametrize("level", [0, 1, -0.5, 90, np.nan])
def test_levels_lie_between_zero_and_one(level, one, new):
    with pytest.raises(ValueError, match=r"level must lie between 0 and 1; received"):
        one.predict_interval(new, level)


def test_other_mistakes_are_said(one, two, rows, new):
    X, Y = rows
    with pytest.raises(ValueError, match=r"q must lie in \[0, 1\]"):
        one.predict_quantile(new, [0.5, 1.5])
    with pytest.raises(NotFittedError, match="need `calibrate`, on rows that MDNRegressor was not fitted to"):
        one.predict_interval(new, conformal=True)
    with pytest.raises(ValueError, match=r"level must lie between 0 and 1; received \[0.5\]"):
        one.predict_interval(new, [0.5])
    with pytest.raises(ValueError, match=r"y must have 2 output\(s\), as in fit; received 1"):
        two.log_score(X, Y[:, 0])
    with pytest.raises(ValueError, match=r"y must have 1 output\(s\), as in fit; received 2"):
        one.calibrate(X, Y)
    with pytest.raises(ValueError, match=r"X has 60, y 59"):
        one.log_score(X, Y[1:, 0])
    with pytest.raises(ValueError, match=r"X has 2 features, but MDNRegressor is expecting 3 features"):
        one.predict(new[:, :2])
    for weight in (np.zeros(60), -np.ones(60)):
        with pytest.raises(ValueError, match=r"[Ww]eight"):
            one.log_score(X, Y[:, 0], weight)
    for method in ("predict", "predict_distribution", "predict_variance", "predict_interval", "sample"):
        with pytest.raises(NotFittedError):
            getattr(mx.MDNRegressor(), method)(new)
    for method in ("calibrate", "log_score", "score"):
        with pytest.raises(NotFittedError):
            getattr(mx.MDNRegressor(), method)(X, Y)
