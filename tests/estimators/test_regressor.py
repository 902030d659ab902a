import pickle
import re

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

import mixtura as mx
from mixtura.estimators.regressor import EXPECTED_FAILED_CHECKS

# scikit-learn's contract.

ESSENTIAL = [
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_sparse_matrix",
    "check_estimators_unfitted",
    "check_n_features_in_after_fitting",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_requires_y_none",
    "check_sample_weights_shape",
    "check_supervised_y_no_nan",
]


@pytest.mark.parametrize("name", ESSENTIAL)
def test_it_passes_the_essential_checks(name, small):
    getattr(estimator_checks, name)("MDNRegressor", small())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Can't check dok sparse matrix")
def test_it_passes_every_check_of_scikit_learn_but_the_declared_one(small):
    results = estimator_checks.check_estimator(
        small(), expected_failed_checks=EXPECTED_FAILED_CHECKS, on_skip=None, on_fail=None
    )
    by_status = {}
    for result in results:
        by_status.setdefault(result["status"], set()).add(result["check_name"])
    failed = by_status.get("failed", set())
    assert not failed
    assert by_status["xfail"] == set(EXPECTED_FAILED_CHECKS)
    assert by_status.get("skipped", set()) <= {"check_array_api_input", "check_readonly_memmap_input"}
    assert len(results) >= 50


# Its tools.


@pytest.mark.slow
def test_a_pipeline_is_searched_and_validated_by_the_log_score(small, rows):
    X, Y = rows
    model = make_pipeline(StandardScaler(), small())
    search = GridSearchCV(
        model, {"mdnregressor__max_iter": [1, 20]}, scoring=mx.scorers.log_score, cv=2, error_score="raise"
    ).fit(X, Y[:, 1])
    assert search.best_params_ == {"mdnregressor__max_iter": 20}
    validated = cross_val_score(model, X, Y[:, 1], scoring=mx.scorers.log_score, cv=2, error_score="raise")
    assert validated.mean() == pytest.approx(search.best_score_, rel=1e-12)
    by_hand = search.predict(X), search.best_estimator_[-1].predict(StandardScaler().fit_transform(X))
    np.testing.assert_allclose(*by_hand, rtol=1e-5)


def test_a_clone_has_the_parameters_and_is_not_fitted(one):
    copy = clone(one)
    assert copy.get_params() == one.get_params()
    with pytest.raises(NotFittedError, match="This MDNRegressor instance is not fitted yet"):
        copy.predict([[0.0, 0.0, 0.0]])


def test_a_pickle_predicts_the_same_and_holds_nothing_of_keras(two, rows):
    X, _ = rows
    two.predict(X)
    pickled = pickle.dumps(two)
    assert not re.search(rb"keras|jax|torch|tensorflow", pickled)
    assert len(pickled) < 1e5
    copy = pickle.loads(pickled)
    np.testing.assert_array_equal(copy.predict_distribution(X).params, two.predict_distribution(X).params)
    assert copy.family_ == two.family_
    assert copy.loss_curve_ == two.loss_curve_


def test_parameters_set_after_fit_are_for_the_next_fit(two, rows):
    X, Y = rows
    model = pickle.loads(pickle.dumps(two))
    model.set_params(
        n_components=7, ensemble=3, hidden_layer_sizes=(4, 4), n_bins=0, covariance_type="diag", min_scale=3.0
    )
    again = pickle.loads(pickle.dumps(model))
    for one in (model, again):
        np.testing.assert_array_equal(one.predict_distribution(X).params, two.predict_distribution(X).params)
        np.testing.assert_array_equal(one.predict_variance(X).epistemic, two.predict_variance(X).epistemic)
        assert one.log_score(X, Y) == two.log_score(X, Y)
        assert one.decisions() == two.decisions()


# Random states, and fits one after the other.


def test_fits_of_one_random_state_are_equal_to_the_last_bit(two, small, rows):
    X, Y = rows
    model = small(random_state=1).fit(X, Y)
    assert (model.predict(X) != two.predict(X)).any()
    # Also a second fit, of which the first is forgotten.
    model.set_params(random_state=0).fit(X, Y)
    np.testing.assert_array_equal(model.predict_distribution(X).params, two.predict_distribution(X).params)
    assert model.loss_curve_ == two.loss_curve_
    generator = [small(random_state=np.random.RandomState(5)).fit(X, Y).predict(X) for _ in range(2)]
    np.testing.assert_array_equal(*generator)


def test_fitting_neither_reads_nor_moves_numpys_global_generator(two, small, rows):
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    model = small().fit(*rows)
    assert np.random.random() == expected  # noqa: NPY002
    np.testing.assert_array_equal(model.predict(rows[0]), two.predict(rows[0]))


def test_warm_start_goes_on(small, rows):
    X, Y = rows
    model = small(warm_start=True).fit(X, Y)
    first, units = model.loss_curve_, model.family_
    model.fit(X, Y)
    assert len(model.loss_curve_) == model.n_iter_ == 20
    assert model.loss_curve_[0] < np.mean(first[:10])
    assert model.loss_curve_[-1] < first[-1] - 0.05
    shifted = Y + 1.0
    assert model.fit(X, shifted).family_ == units  # the units of the first fit


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"ensemble": 3}, r"warm_start goes on with the network of ensemble=2; received 3"),
        ({"hidden_layer_sizes": (9,)}, r"hidden_layer_sizes=\(8,\); received \(9,\)"),
        ({"covariance_type": "diag"}, r"covariance_type='full'; received 'diag'"),
        ({"min_scale": 0.5}, r"min_scale='auto'; received 0.5"),
    ],
)
def test_warm_start_refuses_another_network_and_keeps_the_old_one(options, sentence, two, rows):
    X, Y = rows
    model = pickle.loads(pickle.dumps(two)).set_params(warm_start=True, **options)
    with pytest.raises(ValueError, match=sentence):
        model.fit(X, Y)
    model = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(model.predict(X), two.predict(X))


def test_warm_start_refuses_other_columns(two, rows):
    X, Y = rows
    model = pickle.loads(pickle.dumps(two)).set_params(warm_start=True)
    for other in (X[:, :2], np.hstack([X, X])):
        with pytest.raises(ValueError, match=f"X has {other.shape[1]} features, but.* is expecting 3"):
            model.fit(other, Y)
    with pytest.raises(ValueError, match=r"warm_start goes on with 2 output\(s\); received y with 1"):
        model.fit(X, Y[:, 0])


def test_attributes_say_how_training_went(one, two):
    assert len(one.loss_curve_) == len(one.validation_loss_curve_) == one.n_iter_ == 20
    assert one.loss_curve_[-1] < one.loss_curve_[0]
    assert (one.n_features_in_, one.n_outputs_, two.n_outputs_) == (3, 1, 2)
    assert not hasattr(mx.MDNRegressor(), "min_scale_")


def test_training_stops_when_no_member_gets_better(small, rows):
    X, Y = rows
    rng = np.random.default_rng(0)
    model = small(max_iter=200, n_iter_no_change=3, learning_rate_init=0.05).fit(X, rng.permutation(Y[:, 1]))
    assert model.n_iter_ < 100
    assert model.n_iter_ == len(model.loss_curve_)


def test_without_early_stopping_all_rows_are_trained_on(small, rows):
    X, Y = rows
    model = small(early_stopping=False, max_iter=3).fit(X, Y[:, 1])
    assert model.n_iter_ == 3
    assert not hasattr(model, "validation_loss_curve_")


def test_nothing_is_left_of_a_fit_before(one, rows):
    X, Y = rows
    model = pickle.loads(pickle.dumps(one)).set_params(early_stopping=False, max_iter=3).fit(X, Y[:, 1])
    assert not hasattr(model, "validation_loss_curve_")
    assert not hasattr(model, "validation_loss_")


def test_outputs_that_share_a_scale_share_its_floor(small, rows):
    X, Y = rows
    model = small(covariance_type="spherical", min_scale=[0.1, 0.2])
    model._plan(X, Y)
    std = Y.std(axis=0)
    np.testing.assert_allclose(model.min_scale_, max(0.1 / std[0], 0.2 / std[1]) * std)


def test_threads_that_predict_first_wait_for_the_weights(one, rows, monkeypatch):
    X = rows[0]
    model, build = pickle.loads(pickle.dumps(one)), mx.MDNRegressor._build
    seen = []

    def slowly(self, seed):
        network = build(self, seed)
        weights = network.set_weights

        def late(values):
            seen.append(getattr(self, "_network", None))  # what another thread would find
            weights(values)

        monkeypatch.setattr(network, "set_weights", late)
        return network

    monkeypatch.setattr(mx.MDNRegressor, "_build", slowly)
    np.testing.assert_array_equal(model.predict(X), one.predict(X))
    assert seen == [None]


def test_verbose_says_what_was_decided_and_shows_progress(small, rows, capsys):
    X, Y = rows
    small(verbose=1, min_scale=0.25).fit(X, Y[:, 1])
    printed = capsys.readouterr()
    assert printed.out == "No component's scale is below 0.25 (as asked).\n"
    assert "MDNRegressor" in printed.err
    assert "20/20" in printed.err
    small().fit(X, Y[:, 1])
    assert capsys.readouterr() == ("", "")


# The lecture's problem.


@pytest.mark.slow
def test_the_defaults_come_near_the_limit_of_the_inverse_sine():
    from mixtura.systems.demo.data import inverse_sine, limits

    model = mx.MDNRegressor(random_state=0).fit(*inverse_sine(3000, np.random.default_rng(0)))
    nll = -model.log_score(*inverse_sine(10_000, np.random.default_rng(1)))
    assert limits().conditional_entropy - 0.03 < nll <= 1.36
