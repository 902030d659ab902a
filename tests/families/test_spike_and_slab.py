import itertools
import math

import numpy as np
import pytest
from keras import ops
from scipy import integrate, optimize, special, stats

import mixtura as mx
from mixtura.families import host
from mixtura.families.draws import TapeDraws, numbers_of
from mixtura.families.fitting import Events

WIDTH = 0.5
FAMILY = mx.SpikeAndSlab(mx.Laplace(), WIDTH)


class ByHand:
    """The definition, with SciPy's uniform and Laplace distributions."""

    def __init__(self, params, width=WIDTH):
        a, self.location, centre, activation = params
        self.p = 1 / (1 + math.exp(-a))
        self.spike = stats.uniform(self.location - width / 2, width)
        scale = activation + 1 if activation > 0 else math.exp(activation)
        self.slab = stats.laplace(centre, scale)

    def pdf(self, y):
        return self.p * self.spike.pdf(y) + (1 - self.p) * self.slab.pdf(y)

    def cdf(self, y):
        return self.p * self.spike.cdf(y) + (1 - self.p) * self.slab.cdf(y)

    def sf(self, y):
        return self.p * self.spike.sf(y) + (1 - self.p) * self.slab.sf(y)

    def integral(self, f):
        ends = [self.location - WIDTH / 2, self.location + WIDTH / 2, self.slab.mean(), -60, 60]
        ends = np.sort([*ends, self.slab.mean() - 2, self.slab.mean() + 2])
        return sum(integrate.quad(f, *pair, epsabs=1e-12)[0] for pair in itertools.pairwise(ends))


# Inside, outside, a slab narrower than the spike, one far from it, one beside it.
PARAMS = np.array(
    [
        [0.0, 3.0, 0.0, 0.0],
        [2.0, 0.0, 0.0, 0.5],
        [-1.0, 1.0, 1.125, -3.0],
        [5.0, -2.0, 4.0, 1.0],
        [-4.0, 0.5, 0.0, -1.0],
    ]
)
TRUTHS = [ByHand(params) for params in PARAMS]


def test_log_prob_is_the_definition(assert_exact):
    y = np.array([-2.0, -0.25, 0.0, 0.375, 1.125, 2.875, 3.125, 7.0])
    truth = [[math.log(truth.pdf(one)) for truth in TRUTHS] for one in y]
    assert_exact(FAMILY.log_prob, PARAMS, y[:, None, None], truth=truth)


def test_the_density_of_a_repeat_is_its_probability_per_step():
    p = mx.SpikeAndSlab(mx.Normal(), width=0.01)([4.0, 3.0, -40.0, 0.0])
    assert p.log_prob(3.0) == pytest.approx(math.log(1 / (1 + math.exp(-4))) - math.log(0.01), rel=1e-12)


def test_slopes_of_log_prob_are_exact(assert_slopes):
    y = np.array([[3.125], [0.125], [0.875], [3.5], [-1.0]])
    assert_slopes(FAMILY.log_prob, PARAMS, y)


def test_likelihoods_do_not_move_a_spike(slopes):
    slope = slopes(FAMILY.log_prob, PARAMS, np.array([[3.125], [0.0], [1.0], [-2.125], [0.5]]))
    np.testing.assert_array_equal(slope[:, 1], 0)
    assert (slope[:, 0] != 0).all()


def test_values_and_gradients_are_finite_at_extremes(assert_finite, tensor):
    rng = np.random.default_rng(0)
    table = rng.choice([-1e4, -30.0, 0.0, 30.0, 1e4], size=(200, 5))
    y = tensor(table[:, 4:])
    assert_finite(lambda params: FAMILY.log_prob(params, y), table[:, :4])
    upper = tensor(table[:, 4:] + rng.choice([0.0, 0.1, 1e4, np.inf], size=(200, 1)))
    assert_finite(lambda params: FAMILY.log_prob(params, lower=y, upper=upper), table[:, :4])


# Intervals.


def test_log_prob_of_an_interval_is_a_difference_of_distribution_functions(assert_exact):
    lower = np.array([-np.inf, -3.0, 0.25, 2.875, 0.0])[:, None]
    upper = np.array([1.0, np.inf, 1.125, 3.0, 6.0])[:, None]
    truth = [
        math.log(truth.cdf(high) - truth.cdf(low))
        for truth, low, high in zip(TRUTHS, lower[:, 0], upper[:, 0], strict=True)
    ]
    assert_exact(
        lambda params, lower, upper: FAMILY.log_prob(params, lower=lower, upper=upper),
        PARAMS,
        lower,
        upper,
        truth=truth,
    )


def test_an_interval_of_no_width_is_an_observation():
    y = np.array([3.125, 0.0, 0.875, 4.0, -1.0])[:, None]
    np.testing.assert_allclose(
        FAMILY.log_prob(PARAMS, lower=y, upper=y), FAMILY.log_prob(PARAMS, y), rtol=1e-12
    )


def test_an_interval_beyond_the_spike_and_the_slab_is_impossible():
    family = mx.SpikeAndSlab(mx.LogNormal(), WIDTH)
    assert family([0.0, 3.0, 0.0, 0.0]).log_prob(lower=-2.0, upper=-1.0) == -np.inf


# Tails.


def test_tails_are_scipys(assert_exact):
    y = np.array([-3.0, -0.125, 0.5, 2.75, 3.125, 30.0])
    for method in ("cdf", "sf"):
        truth = [[getattr(truth, method)(one) for truth in TRUTHS] for one in y]
        assert_exact(getattr(FAMILY, method), PARAMS, y[:, None, None], truth=truth)


@pytest.mark.parametrize("q", [1e-12, 0.01, 0.3, 0.5, 0.77, 0.99])
def test_quantiles_invert_the_tails(q):
    for truth, y, z in zip(TRUTHS, FAMILY.quantile(PARAMS, q), FAMILY.isf(PARAMS, q), strict=True):
        assert truth.cdf(y[0]) == pytest.approx(q, rel=1e-10)
        assert truth.sf(z[0]) == pytest.approx(q, rel=1e-10)


# Moments, entropy, mode.


def test_moments_are_integrals(assert_exact):
    means = np.array([[truth.integral(lambda y, t=truth: y * t.pdf(y))] for truth in TRUTHS])
    assert_exact(FAMILY.mean, PARAMS, truth=means, float64=1e-9)
    variances = [
        [truth.integral(lambda y, t=truth, m=mean: (y - m) ** 2 * t.pdf(y))]
        for truth, mean in zip(TRUTHS, means[:, 0], strict=True)
    ]
    assert_exact(FAMILY.variance, PARAMS, truth=variances, float64=1e-9)


def test_a_slab_of_weight_zero_may_have_an_infinite_variance():
    p = mx.SpikeAndSlab(mx.Normal(scale="exp"), WIDTH)([1e4, 1.0, 0.0, 400.0])
    assert p.variance() == pytest.approx(WIDTH**2 / 12)


def test_entropy_is_an_integral():
    truth = [truth.integral(lambda y, t=truth: special.entr(t.pdf(y))) for truth in TRUTHS]
    np.testing.assert_allclose(FAMILY.entropy(PARAMS), truth, atol=1e-6)


def test_modes_are_found():
    for truth, params, mode in zip(TRUTHS, PARAMS, FAMILY.mode(PARAMS), strict=True):
        grid = np.concatenate(
            [
                truth.location + WIDTH * np.linspace(-0.5 + 1e-9, 0.5 - 1e-9, 20_001),
                truth.slab.mean() + np.linspace(-5, 5, 20_001),
            ]
        )
        assert FAMILY(params).log_prob(mode) >= np.log(truth.pdf(grid).max()) - 1e-8


def test_the_mode_of_a_mixture_may_lie_where_spikes_overlap():
    family = mx.Mixture(mx.SpikeAndSlab(mx.Normal(), 1.0), 2)
    p = family([0.0, 0.0, 1.0, 1.0, 0.0, 0.75, 0.5, 0.5, 0.0, 0.0])
    best = optimize.minimize_scalar(lambda y: -p.log_prob(y), bounds=(0.25, 0.5), method="bounded")
    assert p.log_prob(p.mode()) == pytest.approx(-best.fun, abs=1e-6)


# Samples.


def test_a_draw_of_the_spike_is_its_location(draw):
    x = draw(FAMILY, [1.0, 3.1, 0.0, 0.5])[:, 0]
    stays = np.isclose(x, 3.1, rtol=1e-7, atol=0)
    assert len(np.unique(x[stays])) == 1
    assert stays.mean() == pytest.approx(1 / (1 + math.exp(-1)), abs=0.006)
    assert stats.kstest(x[~stays], stats.laplace(0, 1.5).cdf).pvalue > 1e-4


def test_samplers_temper_the_choice_and_the_slab(draw):
    ways = [{"sampler": mx.Sampler(weights=0.0)}, {"sampler": mx.Sampler(scale=0.0)}]
    greedy, centred = draw(FAMILY, [-1.0, 3.0, 0.25, 0.5], *ways, n=200)
    assert (greedy != 3).all()
    assert set(np.unique(centred)) == {0.25, 3.0}
    [stays] = draw(FAMILY, [1.0, 3.0, 0.25, 0.5], {"temperature": 0.0}, n=5)
    np.testing.assert_array_equal(stays, 3.0)


@pytest.mark.slow
def test_draws_from_a_tape(tensor):
    family = mx.Independent(mx.SpikeAndSlab(mx.Mixture(mx.Normal(), 2), WIDTH), 2)
    assert numbers_of(family) == 6  # of both copies: whether it stays, which component, how far
    tape = np.tile([0.9, 0.1, 0.1, 0.9, 0.1, 0.5], (3, 1))  # the first copy stays
    one = [0.0, 5.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0]
    y = family._sample(ops, tensor([one + one] * 3), TapeDraws(tensor(tape)), mx.Sampler(), ())
    np.testing.assert_allclose(ops.convert_to_numpy(y), [[5.0, 2.0]] * 3, atol=1e-6)


# Fitting.


def test_fit_counts_what_stays_and_fits_the_slab_to_the_rest():
    y = np.array([2.0] * 6 + [0.0, 1.0, 4.0])
    params = FAMILY.fit(y)
    assert 1 / (1 + math.exp(-params[0])) == pytest.approx(6.5 / 10)
    assert params[1] == 2
    np.testing.assert_allclose(params[2:], mx.Laplace().fit(y[6:]))


def test_fit_to_one_value_alone_is_a_start():
    params = FAMILY.fit([1.0, 1.0, 1.0])
    assert np.isfinite(params).all()
    assert params[:2] == pytest.approx([math.log(7), 1])


def test_components_that_take_what_moved_have_the_same_spike():
    y = np.repeat([0.0, 3.0, 4.0], [50, 30, 20])
    params = FAMILY._fit(Events(y[50:, None], y[:, None], 2), np.random.default_rng(0))
    assert params[1] == 0
    assert 1 / (1 + math.exp(-params[0])) < 0.03


def test_a_mixture_is_fitted():
    y = np.random.default_rng(0).normal(size=1000)
    y[::2] = 0.0
    one = mx.SpikeAndSlab(mx.Laplace(), 0.01)
    scores = [f(f.fit(y)).log_prob(y[:, None]).mean() for f in (mx.Laplace(), one, mx.Mixture(one, 3))]
    # Half is a spike of density 1 / 0.01, half a standard normal's.
    best = 0.5 * math.log(0.5 / 0.01) + 0.5 * math.log(0.5) - 0.25 * math.log(2 * math.pi * math.e)
    assert scores[0] < 0
    assert scores[1] == pytest.approx(best, abs=0.06)
    assert scores[2] > best - 0.3


# Moved.


def test_moving_sets_the_spike_and_moves_the_slab(on_tensors):
    by = np.array([[0.3], [7.0], [0.0], [-1.0], [100.0]])
    moved = FAMILY._relocated(host, PARAMS, by)
    np.testing.assert_array_equal(moved[:, 1:2], by)
    np.testing.assert_array_equal(moved[:, [0, 3]], PARAMS[:, [0, 3]])
    np.testing.assert_array_equal(moved[:, 2:3], PARAMS[:, 2:3] + by)


def test_all_copies_of_all_components_are_moved():
    family = mx.Mixture(mx.Independent(FAMILY, 2), 3)
    params = np.random.default_rng(0).normal(size=family.params_size)
    p = family(family._relocated(host, params, np.array([10.0, 20.0])))
    q = family(family._relocated(host, params, np.array([0.0, 0.0])))
    y, by = q.sample(50, seed=0), np.array([10.0, 20.0])
    np.testing.assert_allclose(p.log_prob(y + by), q.log_prob(y), rtol=1e-9)
    assert (p.sample(500, seed=0) == by).any(axis=0).all()


def test_an_affine_moves_it_by_standardised_events():
    family = mx.Affine(FAMILY, 1.0, 4.0)
    params = family._relocated(host, PARAMS[0], family._standardised(host, np.array([3.0])))
    assert (family(params).sample(100, seed=0) == 3).any()


def test_a_slab_with_units_cannot_be_moved():
    family = mx.SpikeAndSlab(mx.LogNormal(), WIDTH)
    with pytest.raises(NotImplementedError, match="has no location to move; use a slab without units"):
        mx.MDNRNN(family, units=(2,), relative=True)


@pytest.fixture(scope="module")
def model():
    inner = mx.Mixture(mx.Independent(mx.SpikeAndSlab(mx.Laplace(), 0.5), 3), 2)
    family = mx.Joint(values=mx.Affine(inner, 0.0, 0.25), dt=mx.Mixture(mx.LogNormal(), 2))
    return mx.MDNRNN(family, units=(4,), relative=("values",))


def test_generated_values_repeat_exactly(model):
    values = model.generate(60, batch_size=2, seed=0).events[..., :3]
    stays = (np.diff(values, axis=1) == 0).mean()
    assert 0.3 < stays < 0.7


def test_a_model_repeats_what_it_is_given(model):
    events = np.random.default_rng(0).normal(size=(1, 7, 4)).astype("float32") ** 2
    drawn = model.generate(1, prompt=list(np.repeat(events, 16, axis=0)), seed=0).events[:, -1]
    assert (drawn[:, :3] == events[:, -1, :3]).any(axis=0).all()


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((mx.Normal(2), 1.0), ValueError, "slab must be continuous, of one dimension; received Normal"),
        ((mx.Bernoulli(), 1.0), ValueError, "slab must be continuous, of one dimension; received Bernoulli"),
        (("Normal", 1.0), TypeError, "slab must be a mixtura family, such as Normal"),
        ((mx.Normal(), 0.0), ValueError, "width must be positive; received 0.0"),
        ((mx.Normal(), math.inf), ValueError, "width must be a finite number; received inf"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        mx.SpikeAndSlab(*arguments)


def test_it_is_its_own_marginal():
    p = FAMILY(PARAMS)
    np.testing.assert_array_equal(p.marginal(0).cdf(1.0), p.cdf(1.0))
    pair = mx.Independent(FAMILY, 2)(np.concatenate([PARAMS[0], PARAMS[1]]))
    assert pair.marginal(1).cdf(0.0) == p[1].cdf(0.0)
