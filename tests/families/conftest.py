"""Independent truths, written from the docstrings with NumPy, SciPy and mpmath, and comparisons with them."""

import contextlib

import keras
import mpmath
import numpy as np
import pytest
from keras import ops
from scipy import stats

ACTIVATIONS = {
    "elu": lambda a: np.where(a > 0, a + 1, np.exp(np.minimum(a, 0))),
    "softplus": lambda a: np.log1p(np.exp(-np.abs(a))) + np.maximum(a, 0),
    "exp": np.exp,
}

# Every way to write a scale.
OPTIONS = [{"scale": scale, "min_scale": floor} for scale in ACTIVATIONS for floor in (0.0, 0.05)]


def read_normal(params, size, covariance, scale="elu", min_scale=0.0):
    """Return the mean (D,) and the covariance (D, D) of one Normal."""
    params = list(params)
    mean = np.array([params.pop(0) for _ in range(size)])
    activations = np.array([params.pop(0) for _ in range(1 if covariance == "spherical" else size)])
    sigma = (ACTIVATIONS[scale](activations) + min_scale) * np.ones(size)
    T = np.eye(size)
    if covariance == "full":
        for i in range(size):
            for j in range(i):
                T[i, j] = -params.pop(0)
    L = np.diag(sigma) @ np.linalg.inv(T)
    if covariance == "bivariate":
        rho = np.tanh(params.pop(0))
        L = np.diag(sigma) @ np.array([[1.0, 0.0], [rho, np.sqrt(1 - rho**2)]])
    assert not params
    return mean, L @ L.T


def read_mixture(params, num_components, size, covariance, **options):
    """Return the weights (K,), means (K, D) and covariances (K, D, D) of one Mixture of Normals."""
    table = np.reshape(params, (-1, num_components))
    weights = np.exp(table[0]) / np.exp(table[0]).sum()
    parts = [read_normal(column, size, covariance, **options) for column in table[1:].T]
    return weights, np.array([mean for mean, _ in parts]), np.array([cov for _, cov in parts])


@pytest.fixture
def normal_by_hand():
    return read_normal


@pytest.fixture
def mixture_by_hand():
    return read_mixture


@pytest.fixture
def normal_log_density():
    """Return SciPy's log densities at x `(rows, D)`, for parameters `(rows, params_size)`."""

    def log_density(params, x, covariance, **options):
        rows = [read_normal(row, x.shape[-1], covariance, **options) for row in params]
        return np.array([stats.multivariate_normal(*row).logpdf(at) for row, at in zip(rows, x, strict=True)])

    return log_density


@pytest.fixture
def scale_by_hand():
    """Return scales from activations."""
    return lambda activation, scale="elu", min_scale=0.0: ACTIVATIONS[scale](activation) + min_scale


@pytest.fixture
def every_option():
    return OPTIONS


@pytest.fixture
def two_options():
    """Two of them, for families that read scales as those do that are tested with all."""
    return OPTIONS[::3]


# Numbers of 50 digits.


@pytest.fixture
def mp():
    with mpmath.workdps(50):
        yield mpmath.mp


@pytest.fixture
def exact_scale(mp):
    """Return one scale with 50 digits."""

    def scale_of(activation, scale="elu", min_scale=0.0):
        a = mp.mpf(activation)
        if scale == "softplus":
            value = mp.log1p(mp.exp(a))
        else:
            value = a + 1 if scale == "elu" and a > 0 else mp.exp(a)
        return value + mp.mpf(min_scale)

    return scale_of


@pytest.fixture
def exact_mass(mp):
    """Return the standard normal's probability between two ends, either of which may be infinite."""

    def mass(low, high):
        low, high = (-high, -low) if low > 0 else (low, high)
        return mp.ncdf(high) - mp.ncdf(low)

    return mass


# Intervals in units of a scale around 0, for a location of -shift. Narrow ones lie at 0, where float32 holds
# their ends.
INF = np.inf
INTERVALS = np.array(
    [
        # shift, low, high
        [0, -1, 1],
        [0, -0.25, 2],
        [0.5, -0.125, 0.25],
        [0, -40, 40],
        [0, -INF, INF],
        [0, -INF, 0.5],
        [0, -INF, -3],
        [0, 0.5, INF],
        [0, 5, INF],
        [0, -30, -29],
        [0, 29, 30],
        [0, 30, INF],
        [0, -INF, -30],
        [0, -INF, 30],
        [0, -12.5, -11.5],
        [0, 11, 13],
        [0, -13, 1],
        [0, -1e-8, 2e-8],
        [0.5, 0, 1e-8],
        [-5, -1e-8, 0],
        [12, 0, 1e-8],
        [-30, 0, 1e-8],
        [30, -1e-8, 1e-8],
        [30, 0, 1],
        [-1e4, 0, 1],
        [1e4, -1, INF],
    ]
)


@pytest.fixture
def intervals():
    return INTERVALS


# Comparisons.


@contextlib.contextmanager
def width(dtype):
    """Allow float64 tensors where they need leave."""
    if keras.backend.backend() == "jax" and dtype == "float64":
        import jax

        with jax.enable_x64(True):
            yield
    else:
        yield


def compiled_by_jax(f, dtype):
    """Compile, in float64 with fewer optimisations: that is quicker, and those of interest are float32's."""
    import jax

    options = {"xla_backend_optimization_level": 0} if dtype == "float64" else None
    return jax.jit(f, compiler_options=options)


def as_tensors(dtype, arrays):
    return [None if a is None else ops.convert_to_tensor(a, dtype=dtype) for a in arrays]


@pytest.fixture
def on_tensors():
    """Return `f(*tensors)` as a float64 array, or a list of them, computed in a dtype."""

    def compute(f, *arrays, dtype="float32"):
        with width(dtype):
            if keras.backend.backend() == "jax":
                f = compiled_by_jax(f, dtype)
            values = f(*as_tensors(dtype, arrays))
            for value in values if isinstance(values, list) else [values]:
                assert ops.is_tensor(value)
                assert keras.backend.standardize_dtype(value.dtype) == dtype
            return keras.tree.map_structure(lambda v: ops.convert_to_numpy(v).astype("float64"), values)

    return compute


@pytest.fixture
def slopes():
    """Return the gradient of the sum of `f(x, *others)` with respect to x, as a float64 array."""

    def compute(f, x, *others, dtype="float32"):
        with width(dtype):
            x, *others = as_tensors(dtype, [x, *others])
            backend = keras.backend.backend()
            if backend == "jax":
                import jax

                total = jax.grad(lambda x, *others: ops.sum(f(x, *others)))
                slope = compiled_by_jax(total, dtype)(x, *others)
            elif backend == "torch":
                x.requires_grad_(True)
                ops.sum(f(x, *others)).backward()
                slope = x.grad
            else:
                import tensorflow as tf

                with tf.GradientTape() as tape:
                    tape.watch(x)
                    total = ops.sum(f(x, *others))
                slope = tape.gradient(total, x)
            return ops.convert_to_numpy(slope).astype("float64")

    return compute


@pytest.fixture
def assert_exact(on_tensors):
    """Assert that `f(*arrays)`, an array or a list of arrays, is the truth, on arrays and on tensors.

    The error may be so many times max(1, |truth|): 1e-11 in float64, 2e-5 in float32. Give numbers that
    float32 holds exactly.
    """

    def check(f, *arrays, truth, float64=1e-11, float32=2e-5):
        for actual, digits in (
            (f(*arrays), float64),
            (on_tensors(f, *arrays, dtype="float64"), float64),
            (on_tensors(f, *arrays, dtype="float32"), float32),
        ):
            error = np.abs(np.array(actual) - truth) / np.maximum(1, np.abs(truth))
            assert error.max() <= digits, f"{error.max()} at {np.unravel_index(error.argmax(), error.shape)}"

    return check


@pytest.fixture
def assert_slopes(slopes, on_tensors):
    """Assert that gradients on float64 tensors are those of central differences.

    Differences are taken of arrays, or, for what exists on tensors only, of tensors.
    """

    def check(f, x, *others, tensors=False, step=1e-5, tolerance=1e-6):
        x = np.asarray(x, float)
        moved = [x + sign * step * unit for unit in np.eye(x.shape[-1]) for sign in (1, -1)]
        if tensors:
            values = on_tensors(lambda *moved: [f(x, *others) for x in moved], *moved, dtype="float64")
        else:
            values = [f(x, *others) for x in moved]
        truth = (np.stack(values[::2], axis=-1) - np.stack(values[1::2], axis=-1)) / (2 * step)
        error = np.abs(slopes(f, x, *others, dtype="float64") - truth) / np.maximum(1, np.abs(truth))
        assert error.max() <= tolerance, f"{error.max()} at {np.unravel_index(error.argmax(), error.shape)}"

    return check


@pytest.fixture
def assert_finite(gradient):
    """Assert that values and gradients on float32 tensors are finite."""

    def check(f, x):
        for numbers in gradient(f, x):
            assert np.isfinite(numbers).all()

    return check


# Samples.


@pytest.fixture(params=["arrays", "tensors"])
def draw(request, on_tensors):
    """Return n events of one distribution, drawn by NumPy or by the backend.

    Returns a list if several ways to draw are given, each the keywords of `sample`.
    """

    def draw(family, params, *ways, n=100_000):
        if request.param == "arrays":
            drawn = [family(params).sample(n, **{"seed": 0, **way}) for way in ways or [{}]]
        else:
            rows = np.broadcast_to(np.asarray(params), (n, len(params)))
            drawn = on_tensors(
                lambda rows: [family.sample(rows, **{"seed": 0, **way}) for way in ways or [{}]], rows
            )
        return drawn if ways else drawn[0]

    return draw


@pytest.fixture
def assert_follow():
    """Assert that samples follow a distribution function, and not one whose scale is 2 % off.

    Of 100,000 samples, the Kolmogorov-Smirnov test sees 2 % only as p = 0.02: the functions differ by
    0.005 where it can tell 0.007. So it is joined by a test made for scales: the normal scores of the
    samples have a sum of squares that is chi-square distributed. There 2 % are 6 (Laplace) to 9 (normal)
    standard deviations, and p < 1e-4 needs 3.9.
    """

    def p_values(u):
        below = stats.chi2(len(u)).cdf(np.sum(np.square(stats.norm.ppf(u))))
        return stats.kstest(u, "uniform").pvalue, 2 * min(below, 1 - below)

    def check(samples, cdf, *wrong_cdfs):
        assert min(p_values(cdf(samples))) > 1e-4
        for wrong_cdf in wrong_cdfs:
            assert min(p_values(wrong_cdf(samples))) < 1e-4

    return check


@pytest.fixture
def assert_dimensions_mix(assert_exact):
    """Compare intervals of three independent dimensions, the first of no length, with single ones."""

    def compare(family, one, params, lower, upper):
        ones = [one(params[:, [d, 3 + d]]) for d in range(3)]
        truth = ones[0].log_prob(lower[:, :1]) + sum(
            ones[d].log_prob(lower=lower[:, d : d + 1], upper=upper[:, d : d + 1]) for d in (1, 2)
        )
        np.testing.assert_array_equal(lower[:, 0], upper[:, 0])
        assert_exact(
            lambda params, lower, upper: family.log_prob(params, lower=lower, upper=upper),
            params,
            lower,
            upper,
            truth=truth,
        )

    return compare


@pytest.fixture
def assert_same_answers():
    """Assert that two distributions of one-dimensional events answer alike."""

    def check(one, plain):
        for method in ("mean", "variance", "covariance", "entropy", "mode"):
            np.testing.assert_array_equal(getattr(one, method)(), getattr(plain, method)())
        for method in ("log_prob", "cdf", "sf"):
            np.testing.assert_array_equal(getattr(one, method)(1.0), getattr(plain, method)(1.0))
        for method in ("quantile", "isf", "interval"):
            np.testing.assert_array_equal(getattr(one, method)(0.9), getattr(plain, method)(0.9))

    return check
