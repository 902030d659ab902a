import numpy as np
import pytest

import mixtura as mx
from mixtura.estimators.fitting import filled, padded, validation_rows

NAN = np.nan


# Rows.


@pytest.mark.parametrize(
    ("rows", "members", "share"), [(100, 8, 0.1), (57, 5, 0.1), (10, 20, 0.3), (2, 3, 0.1)]
)
def test_members_are_validated_on_rows_in_turn(rows, members, share):
    held_out = validation_rows(rows, members, share, seed=3)
    assert held_out.shape == (rows, members)
    assert set(held_out.ravel()) <= {0.0, 1.0}
    count = max(1, round(share * rows))
    assert (held_out.sum(axis=0) == count).all()
    assert (held_out.sum(axis=0) < rows).all()
    # Every row has its turn before one has a second.
    turns = held_out.sum(axis=1)
    assert turns.max() - turns.min() <= 1
    np.testing.assert_array_equal(held_out, validation_rows(rows, members, share, seed=3))


def test_ten_members_of_a_tenth_each_partition_the_rows():
    held_out = validation_rows(200, 10, 0.1, seed=0)
    np.testing.assert_array_equal(held_out.sum(axis=1), 1)
    assert (held_out != validation_rows(200, 10, 0.1, seed=1)).any()
    everything_but_one = validation_rows(5, 2, 0.999, seed=0)
    np.testing.assert_array_equal(everything_but_one.sum(axis=0), 4)


def test_rows_are_filled_up_to_few_numbers():
    sizes = np.arange(2, 20_000)
    filled_up = np.array([padded(int(rows)) for rows in sizes])
    assert (filled_up >= sizes).all()
    assert (filled_up - sizes <= np.maximum(sizes / 8, 15)).all()
    assert len(set(filled_up)) < 100
    batch = np.clip(2 ** np.round(np.log2(np.maximum(1, sizes / 30))), 16, 256)
    assert (filled_up % batch == 0).all()


def test_what_is_filled_in_is_zero():
    values = np.random.default_rng(0).normal(size=(3, 2))
    out = filled(values, 5)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out[:3], values.astype("float32"))
    np.testing.assert_array_equal(out[3:], 0)


# Weights.


def test_a_weight_of_zero_is_as_if_the_row_were_not_there(one, small, rows):
    X, Y = rows
    rng = np.random.default_rng(0)
    odd = np.vstack([X, 1e6 * rng.normal(size=(9, 3))])
    y, weight = np.append(Y[:, 1], 1e6 * rng.normal(size=9)), np.append(np.ones(60), np.zeros(9))
    model = small().fit(odd, y, sample_weight=weight)
    np.testing.assert_array_equal(model.predict_distribution(X).params, one.predict_distribution(X).params)
    assert model.family_ == one.family_
    assert model.loss_curve_ == one.loss_curve_
    for name, p in one.baseline_distributions(X).items():
        np.testing.assert_array_equal(model.baseline_distributions(X)[name].params, p.params)


def test_only_ratios_of_weights_count(one, small, rows):
    X, Y = rows
    model = small().fit(X, Y[:, 1], sample_weight=np.full(60, 8.0))
    np.testing.assert_allclose(model.predict(X), one.predict(X), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_weights_shift_the_balance_of_a_mixture(small):
    rng = np.random.default_rng(0)
    side = np.arange(60) % 2
    y = np.where(side, 3.0, -3.0) + 0.5 * rng.normal(size=60)
    options = {"max_iter": 60, "learning_rate_init": 0.01, "min_scale": 0.3}
    x = rng.normal(size=(60, 3))
    above = [
        small(**options)
        .fit(x, y, sample_weight=np.where(side, weight, 1.0))
        .predict_distribution(x)
        .sf(np.zeros((60, 1)))
        for weight in (1.0, 4.0)
    ]
    assert np.median(above[0]) == pytest.approx(0.5, abs=0.12)
    assert np.median(above[1]) == pytest.approx(0.8, abs=0.12)


# Mistakes, each of which is said before training.


def with_cell(array, value, place):
    array = np.array(array)
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (
            lambda X, y: (with_cell(X, NAN, (7, 2)), y),
            ValueError,
            r"Input X contains NaN: nan in row 7, column 2$",
        ),
        (
            lambda X, y: (with_cell(X, np.inf, (7, 2)), y),
            ValueError,
            r"X contains infinity.* in row 7, column 2$",
        ),
        (lambda X, y: (X, with_cell(y, NAN, 9)), ValueError, r"Input y contains NaN: nan in row 9$"),
        (lambda X, y: (X[:-1], y), ValueError, r"inconsistent numbers of samples: X has 59, y 60"),
        (lambda X, y: (X[:1], y[:1]), ValueError, r"1 sample"),
        (lambda X, y: (X[:0], y[:0]), ValueError, r"0 sample"),
        (lambda X, y: (X[:, 0], y), ValueError, r"Expected 2D array, got 1D array instead"),
        (lambda X, y: (X[None], y), ValueError, r"dim 3"),
        (lambda X, y: (X, np.full(60, 2.0)), ValueError, r"y is 2 in every row; a target must vary"),
        (lambda X, y: (X, None), ValueError, r"requires y to be passed, but the target y is None"),
        (
            lambda X, y: (X, y.astype(str).astype(object) + "x"),
            ValueError,
            r"could not convert string to float",
        ),
        (lambda X, y: (X, y + 1j), ValueError, r"Complex data not supported"),
        (lambda X, y: (X, y, -np.ones(60)), ValueError, r"Negative values in data passed to"),
        (lambda X, y: (X, y, np.zeros(60)), ValueError, r"[Ww]eight"),
        (lambda X, y: (X, y, np.eye(60)[0]), ValueError, r"1 sample.*positive weight while a minimum of 2"),
        (lambda X, y: (X, y, np.ones(59)), ValueError, r"sample_weight"),
        (
            lambda X, y: (X, y, with_cell(np.ones(60), NAN, 3)),
            ValueError,
            r"[Ii]nput sample_weight contains NaN",
        ),
    ],
)
def test_bad_data_are_said(change, error, sentence, small, rows):
    with pytest.raises(error, match=sentence):
        small().fit(*change(rows[0], rows[1][:, 1]))


def test_sparse_matrices_are_refused(small, rows):
    scipy = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"[Ss]parse data was passed"):
        small().fit(scipy.csr_matrix(rows[0]), rows[1])


@pytest.mark.parametrize(
    "options",
    [
        {"covariance_type": "tied"},
        {"n_components": 0},
        {"ensemble": 1.5},
        {"min_scale": -1.0},
        {"min_scale": "small"},
        {"min_scale": NAN},
        {"learning_rate_init": 0.0},
        {"validation_fraction": 1.0},
        {"validation_fraction": 0.0},
        {"batch_size": 0},
        {"dropout": 1.0},
        {"missing_targets": "drop"},
        {"early_stopping": "yes"},
        {"categorical_features": "all"},
        {"n_bins": -1},
    ],
    ids=str,
)
def test_bad_parameters_are_said_by_scikit_learn(options, small, rows):
    (name,) = options
    with pytest.raises(ValueError, match=rf"The '{name}' parameter of MDNRegressor must be .*Got .* instead"):
        small(**options).fit(*rows)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"min_scale": [0.1, 0.2, 0.3]},
            r"min_scale must be one number, 0 or more, or one for each of 2 outputs",
        ),
        ({"min_scale": [0.0, 0.2]}, r"min_scale must be positive for all dimensions or for none"),
        ({"hidden_layer_sizes": ()}, r"hidden_layer_sizes must hold a positive whole number.*received \(\)"),
        ({"hidden_layer_sizes": (8, 0)}, r"hidden_layer_sizes must hold.*received \(8, 0\)"),
        ({"hidden_layer_sizes": (8.5,)}, r"hidden_layer_sizes must hold.*received \(8.5,\)"),
        ({"activation": "sigmund"}, r"sigmund"),
        ({"categorical_features": [3]}, r"categorical_features names columns.*received 3"),
    ],
)
def test_other_bad_parameters_are_said(options, sentence, small, rows):
    with pytest.raises(ValueError, match=sentence):
        small(**options).fit(*rows)


@pytest.mark.slow
def test_every_parameter_trains(small, rows):
    X, Y = rows
    model = small(
        max_iter=3,
        covariance_type="spherical",
        hidden_layer_sizes=(8, 4),
        activation="tanh",
        n_bins=0,
        dropout=0.2,
        alpha=0.01,
        input_noise=0.1,
        min_scale=[0.5, 1.0],
        batch_size=7,
    )
    assert np.isfinite(model.fit(X, Y).log_score(X, Y))
    assert (model.predict_distribution(X).scales >= [0.5, 1.0]).all()
    np.testing.assert_array_equal(model.predict(X), small(**model.get_params()).fit(X, Y).predict(X))
    assert small(max_iter=1, hidden_layer_sizes=8).fit(X, Y).n_iter_ == 1


@pytest.mark.slow
def test_two_rows_are_enough():
    model = mx.MDNRegressor(ensemble=2, max_iter=2, random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])
    assert np.isfinite(model.predict([[0.5]])).all()
