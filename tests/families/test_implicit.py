"""Gradients through samples."""

import math

import keras
import numpy as np
import pytest
from keras import ops

import mixtura as mx

LINES = [mx.Normal(1), mx.Laplace(1), mx.LogNormal(1), mx.LogitNormal(1, -1.0, 3.0)]
CONTINUOUS = [
    *(mx.Mixture(leaf, 3) for leaf in LINES),
    mx.Mixture(mx.Mixture(mx.Normal(1), 2), 2),
    mx.Affine(mx.Mixture(mx.Normal(1), 3), -2.0, 4.0),
]


def draw_rows(family, count=60):
    params = 0.7 * np.random.default_rng(family.params_size).normal(size=(count, family.params_size))
    return params.astype("float32").astype(float)


def slopes_of_quantiles(family, params, y, step=1e-5):
    """Differences of the quantile at the level of y held fixed, `(rows, params_size)`."""
    moved = params[:, None] + step * np.concatenate([np.eye(family.params_size), -np.eye(family.params_size)])
    below, above = family.cdf(params, y[:, None])[:, None], family.sf(params, y[:, None])[:, None]
    quantile = np.where(  # from the nearer tail, where the level has more digits
        below < above, family.quantile(moved, below)[..., 0], family.isf(moved, above)[..., 0]
    )
    up, down = np.split(quantile, 2, axis=1)
    return (up - down) / (2 * step)


def side_by_side(families):
    """Return one event of each family, `(rows, families)`, from parameters side by side: one compilation."""
    ends = np.cumsum([0, *(family.params_size for family in families)])

    def sample(params):
        parts = zip(families, ends[:-1], ends[1:], strict=True)
        return ops.concatenate([f.sample(params[:, a:b], seed=1)[:, :1] for f, a, b in parts], axis=-1)

    return sample, ends[1:-1]


@pytest.mark.slow
def test_a_samples_gradient_is_its_quantiles(gradient):
    """With the draw's level F(y) held, y moves as the quantile does."""
    sample, cuts = side_by_side(CONTINUOUS)
    tables = [draw_rows(family) for family in CONTINUOUS]
    events, slopes = gradient(sample, np.concatenate(tables, axis=1))
    for family, params, y, slope in zip(
        CONTINUOUS, tables, events.T, np.split(slopes, cuts, axis=1), strict=True
    ):
        truth = slopes_of_quantiles(family, params, y)
        error = np.abs(slope - truth) / np.maximum(1, np.abs(truth))
        assert error.max() < 2e-5, family


def test_copies_have_their_own_gradients(gradient):
    """World Models' head: each latent by its own mixture."""
    mixture = mx.Mixture(mx.Normal(1), 3)
    family = mx.Independent(mixture, 4)
    params = draw_rows(family, 20)
    weights = np.arange(1, 5, dtype="float32")  # so that a gradient in the wrong place shows
    weighted, slope = gradient(
        lambda params: family.sample(params, seed=1) * ops.convert_to_tensor(weights), params
    )
    rows, y = params.reshape(-1, 9), (weighted / weights).ravel()
    truth = weights[:, None] * slopes_of_quantiles(mixture, rows, y).reshape(20, 4, 9)
    np.testing.assert_allclose(slope, truth.reshape(20, -1), rtol=1e-3, atol=1e-4)


def test_a_mixture_among_a_joints_parts_keeps_its_gradient(gradient):
    mixture = mx.Mixture(mx.Normal(1), 2)
    family = mx.Joint(pen=mx.Bernoulli(), offset=mixture)
    params = draw_rows(family, 50)
    y, slope = gradient(lambda params: family.sample(params, seed=1)[..., 1], params)
    np.testing.assert_array_equal(slope[:, 0], 0)
    truth = slopes_of_quantiles(mixture, params[:, 1:], y)
    np.testing.assert_allclose(slope[:, 1:], truth, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("power", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("leaf", [mx.Normal(1), mx.Laplace(1)], ids=repr)
def test_gradients_of_expectations_are_not_biased(leaf, power, gradient):
    """The mean over many samples of the gradient of y ** power is that of its expectation."""
    family = mx.Mixture(leaf, 2)
    params = np.array([0.5, -0.25, -1.0, 1.5, -0.5, 0.75])
    n = 100_000
    _, slope = gradient(
        lambda params: family.sample(params, seed=2)[..., 0] ** power, np.broadcast_to(params, (n, 6))
    )

    def expectation(params):
        mean = family.mean(params)[..., 0]
        return mean if power == 1 else family.variance(params)[..., 0] + mean**2

    step = 1e-5 * np.eye(6)
    truth = (expectation(params + step) - expectation(params - step)) / 2e-5
    error = slope.std(axis=0) / math.sqrt(n)
    assert (np.abs(slope.mean(axis=0) - truth) < 5 * error + 1e-5).all()


@pytest.mark.slow
def test_other_draws_pass_no_gradient(gradient):
    """None, rather than that of the chosen component, which would be wrong."""
    families = [
        mx.Mixture(mx.Normal(2), 3),
        mx.Mixture(mx.LogNormal(2, "full"), 2),
        mx.Mixture(mx.Bernoulli(), 2),
        mx.Mixture(mx.Categorical(3), 2),
        mx.Categorical(3),
        mx.Bernoulli(2),
        mx.Mixture(mx.Joint(a=mx.Normal(1), b=mx.Bernoulli()), 2),
    ]
    params = np.concatenate([draw_rows(family, 20) for family in families], axis=1)
    sample, _ = side_by_side(families)
    _, slope = gradient(lambda params: sample(params) + 0.0 * params[:, :1], params)  # the 0 gives it one
    np.testing.assert_array_equal(slope, 0)


@pytest.mark.parametrize("sampler", [mx.Sampler(weights=0.5), mx.Sampler(scale=0.5)], ids=repr)
def test_a_tempered_mixtures_draws_pass_no_gradient(sampler, gradient):
    """They follow another distribution than the one whose F would be differentiated."""
    family = mx.Mixture(mx.Normal(1), 3)
    _, slope = gradient(
        lambda params: family.sample(params, 1, sampler)[..., 0] + 0.0 * params[:, 0], draw_rows(family)
    )
    np.testing.assert_array_equal(slope, 0)


@pytest.mark.parametrize("leaf", [mx.Normal(2, "full"), mx.Laplace(2), mx.LogNormal(1)], ids=repr)
def test_one_component_passes_its_own_gradient(leaf, gradient):
    family = mx.Mixture(leaf, 1)
    params = draw_rows(family, 20)

    def drawn(params):
        return ops.sum(family.sample(params, seed=1), axis=-1)

    y, slope = gradient(drawn, params)
    np.testing.assert_array_equal(slope[:, 0], 0)
    # The first parameter moves the first dimension: by as much, or by as many parts.
    expected = y if isinstance(leaf, mx.LogNormal) else np.ones(20)
    np.testing.assert_allclose(slope[:, 1], expected, rtol=1e-5)
    assert (slope[:, 1 + leaf.event_size :] != 0).all()


@pytest.mark.slow
def test_gradients_are_finite_at_extremes(gradient):
    rng = np.random.default_rng(0)
    families = [mx.Mixture(leaf, 3) for leaf in LINES]
    params = rng.choice([-1e4, -10.0, 0.0, 2.0, 10.0], size=(300, 4, 9))
    params[:, :, 6:] = np.minimum(params[:, :, 6:], 2.0)  # a LogNormal's own draws overflow with more
    y, slope = gradient(side_by_side(families)[0], params.reshape(300, -1))
    assert np.isfinite(y).all()
    assert np.isfinite(slope).all()


def test_a_component_of_weight_zero_gets_no_gradient(gradient):
    family = mx.Mixture(mx.Normal(1), 2)
    params = np.broadcast_to([0.0, -1e4, 1.0, 3.0, 0.5, 0.5], (100, 6))
    y, slope = gradient(lambda params: family.sample(params, seed=1)[..., 0], params)
    np.testing.assert_array_equal(slope[:, [1, 3, 5]], 0)
    np.testing.assert_allclose(slope[:, 2], 1, rtol=1e-5)
    np.testing.assert_allclose(slope[:, 4], (y - 1) / 1.5, rtol=1e-3, atol=1e-5)


def test_what_is_drawn_does_not_depend_on_whether_a_gradient_is_taken(gradient, compiled):
    family = mx.Mixture(mx.Normal(1), 3)
    params = draw_rows(family)
    y, _ = gradient(lambda params: family.sample(params, seed=1)[..., 0], params)
    drawn = compiled(lambda params: family.sample(params, seed=1)[..., 0], params)
    np.testing.assert_allclose(drawn, y, rtol=1e-5, atol=1e-6)


def test_a_program_that_only_draws_does_not_compute_tails(gradient, compiled, monkeypatch):
    if keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow does not tell whether a gradient is taken")
    family = mx.Mixture(mx.Normal(1), 3)
    params = draw_rows(family, 2)
    monkeypatch.setattr(mx.Mixture, "_cdf", None)
    compiled(lambda params: family.sample(params, seed=1), params)
    with pytest.raises(TypeError, match="NoneType"):
        gradient(lambda params: family.sample(params, seed=1)[..., 0], params)
