import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import mixtura as mx

LINES = [
    mx.Normal(1),
    mx.Affine(mx.Mixture(mx.Normal(1), 3), 100.0, 5.0),
    mx.Mixture(mx.Laplace(1), 3),
    mx.Mixture(mx.LogNormal(1), 3),
    mx.Mixture(mx.LogitNormal(1, -1.0, 1.0), 3),
]
PLANES = [
    mx.Mixture(mx.Normal(2, "full"), 3),
    mx.Normal(2, "bivariate"),
    mx.Affine(mx.Mixture(mx.Laplace(2), 3), [100.0, 0.0], [5.0, 0.001]),
    mx.Mixture(mx.LogNormal(2), 3),
    mx.Joint(place=mx.LogitNormal(1), dt=mx.Mixture(mx.LogNormal(1), 2)),
    mx.Independent(mx.Mixture(mx.Normal(1), 2), 2),
]


@pytest.fixture
def axes():
    return Figure().subplots()


def some(family, rows=3):
    return family(np.random.default_rng(0).normal(size=(rows, family.params_size)))


@pytest.mark.parametrize("family", LINES, ids=repr)
def test_one_dimension_is_a_curve_for_each_row(family, axes):
    p = some(family)
    assert p.plot(axes) is axes
    curves = axes.get_lines()
    assert [curve.get_label() for curve in curves] == ["row 0", "row 1", "row 2"]
    for row, curve in enumerate(curves):
        y, density = curve.get_data()
        np.testing.assert_allclose(density, np.exp(p[row].log_prob(y[:, None])), rtol=1e-9)
        assert np.trapezoid(density, y) == pytest.approx(1, abs=0.02)
    assert axes.get_ylim()[0] == 0
    axes.figure.canvas.draw()


@pytest.mark.parametrize("family", PLANES, ids=repr)
def test_two_dimensions_are_shades_and_lines_around_half_and_nine_tenths(family, axes):
    p = some(family, rows=1)
    assert p.plot(axes) is axes
    mesh, lines = axes.collections
    inside = np.exp(p.log_prob(p.sample(4000, seed=1)))[:, 0, None] > lines.levels
    np.testing.assert_allclose(inside.mean(axis=0), [0.9, 0.5], atol=0.05)
    corners = mesh.get_coordinates()
    np.testing.assert_allclose(mesh.get_array(), np.exp(0.5 * p[0].log_prob(corners)), rtol=1e-9)
    axes.figure.canvas.draw()


def test_a_narrow_peak_is_not_missed(axes):
    p = mx.Mixture(mx.Normal(1, scale="exp"), 2)([0.0, 0, -500, 0.1234, 0, -9])
    p.plot(axes)
    assert axes.get_lines()[0].get_data()[1].max() == pytest.approx(
        0.5 * np.e**9 / np.sqrt(2 * np.pi), rel=0.01
    )


def test_a_long_tail_does_not_squeeze_the_rest(axes):
    p = mx.LogNormal(1)([0.0, 1.0])
    p.plot(axes)
    assert p.isf(0.01) < axes.get_xlim()[1] < 0.5 * p.isf(1e-3)


def test_a_single_row_has_no_legend(axes):
    some(mx.Normal(1), rows=1)[0].plot(axes)
    assert axes.get_legend() is None
    assert axes.get_xlabel(), axes.get_ylabel() == ("y", "density")


def test_so_many_rows_are_drawn(axes):
    assert len(some(mx.Normal(1), rows=20).plot(axes).get_lines()) == 5
    batch = mx.Normal(1)(np.zeros((2, 4, 2)))
    assert len(batch.plot(Figure().subplots(), rows=7).get_lines()) == 7


def test_new_axes_are_pyplots():
    import matplotlib.pyplot as plt

    with mpl.rc_context({"backend": "agg"}):
        first, second = (some(family).plot() for family in (LINES[0], PLANES[0]))
        assert first is not second
        assert plt.gca() is second
        plt.close("all")


@pytest.mark.parametrize(
    "family",
    [mx.Bernoulli(), mx.Categorical(3), mx.Normal(3), mx.Joint(place=mx.Normal(1), end=mx.Bernoulli())],
    ids=repr,
)
def test_other_events_cannot_be_drawn(family, axes):
    with pytest.raises(
        NotImplementedError, match=r"one or two dimensions.*plot a marginal, or a joint's part"
    ):
        some(family).plot(axes)


def test_no_rows_cannot_be_drawn(axes):
    with pytest.raises(ValueError, match="at least one row"):
        some(mx.Normal(1))[:0].plot(axes)
