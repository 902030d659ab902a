import keras
import numpy as np
import pytest
from keras import layers

import mixtura as mx
from mixtura.training.components import ComponentUsage, ComponentWarning

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2)).astype("float32")
Y = np.where(RNG.random((40, 1)) < 0.5, -4.0, 4.0).astype("float32")


def network(family, bias=None, shape=(2,), parts=()):
    """A network whose outputs are nearly its bias, whatever the input."""
    head = mx.MDN(family, kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3))
    model = keras.Sequential([keras.Input(shape), *parts, head])
    if bias is not None:
        head.dense.bias.assign(np.asarray(bias, "float32"))
    model.compile(keras.optimizers.SGD(0.0), mx.NegativeLogLikelihood(family))
    return model


def params(*components):
    """Logits, means and scale activations of a mixture of one-dimensional normals."""
    return np.array(components).T.reshape(-1)


HEALTHY = params((0, -4, 0), (0, 4, 0))
COLLAPSED = params((0, 0, 4.0), (-20, 50, 0), (-20, -50, 0))


def texts(seen):
    return [str(warning.message) for warning in seen if warning.category is ComponentWarning]


def fit(model, usage, x=X, y=Y, epochs=3):
    model.fit(x, y, epochs=epochs, batch_size=20, verbose=0, callbacks=[usage])


def test_a_healthy_mixture_is_silent_and_its_shares_are_measured():
    family = mx.Mixture(mx.Normal(1), 2)
    model, usage = network(family, HEALTHY), ComponentUsage(X, Y)
    fit(model, usage)
    expected = family.responsibilities(model.predict(X, verbose=0), Y).mean(axis=0)
    np.testing.assert_allclose(usage.shares["mixture"], expected, rtol=1e-6)
    np.testing.assert_allclose(expected, [np.mean(Y < 0), np.mean(Y > 0)], atol=0.01)
    assert usage.effective["mixture"] == pytest.approx(np.exp(-np.sum(expected * np.log(expected))))
    assert 1.9 < usage.effective["mixture"] <= 2


def test_a_collapsed_one_warns_once_and_says_what_and_where():
    usage = ComponentUsage(X, Y)
    model = network(mx.Mixture(mx.Normal(1), 3), COLLAPSED)
    with pytest.warns(ComponentWarning) as seen:
        fit(model, usage)
    dead, dominant = texts(seen)
    assert dead == (
        "epoch 1: of the 3 components of 'mixture', next to no data falls to components 1 (0), 2 (0) "
        "(in brackets: the share). What helps: a start from the data (`initialize_head`), or fewer "
        "components (in use are 1.0)."
    )
    assert "component 0 explains nearly all data: its share is 1.0000" in dominant
    assert usage.effective["mixture"] == pytest.approx(1)
    fit(model, usage)  # named already


def test_a_mixture_that_collapses_in_training_is_reported_in_that_epoch():
    family = mx.Mixture(mx.Normal(1), 2)
    model = network(family)
    usage = ComponentUsage(X, np.zeros_like(Y), every=2, dead=0.2, dominant=1.0)
    head = model.layers[-1].dense

    class Push(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            head.bias.assign(params((0, 0, 0.0), (-1.0 * (epoch + 1), 0, 0)))

    with pytest.warns(ComponentWarning, match=r"^epoch 4: .* falls to component 1 \(0\.018\) "):
        model.fit(X, np.zeros_like(Y), epochs=5, verbose=0, callbacks=[Push(), usage])


@pytest.mark.slow
def test_parts_of_a_joint_go_by_name_through_units_and_copies():
    healthy = mx.Mixture(mx.Normal(1), 2)
    family = mx.Joint(
        end=mx.Bernoulli(),
        offset=mx.Affine(healthy, shift=10.0, scale=2.0),
        latents=mx.Independent(healthy, 2),
        one=mx.Mixture(mx.Normal(1), 1),
    )
    dead = params((0, 0, 4.0), (-9, 50, 0))
    bias = np.concatenate([[0.0], HEALTHY, HEALTHY, dead, [0.0, 0.0, 5.0]])
    y = np.concatenate([Y > 0, 10 + 2 * Y, Y, Y, Y], axis=-1).astype("float32")
    usage = ComponentUsage(X, y)
    with pytest.warns(ComponentWarning) as seen:
        fit(network(family, bias), usage, y=y)
    assert list(usage.shares) == ["offset", "latents[0]", "latents[1]", "one"]
    for name in ("offset", "latents[0]"):
        np.testing.assert_allclose(usage.shares[name], [np.mean(Y < 0), np.mean(Y > 0)], atol=0.01)
    assert usage.shares["one"] == pytest.approx([1.0])
    assert len(texts(seen)) == 2
    assert all("of the 2 components of 'latents[1]'" in text for text in texts(seen))


@pytest.mark.parametrize("how", ["mask", "sample_weight", "both"])
def test_padding_does_not_count(how):
    x = RNG.normal(size=(6, 5, 2)).astype("float32")
    y = np.where(np.arange(5)[:, None] < 3, -4.0, 4.0) * np.ones((6, 1, 1))  # the right one is padding
    valid = np.ones((6, 5)) * (np.arange(5) < 3)
    given = {"mask": valid > 0} if how == "mask" else {"sample_weight": valid}
    if how == "both":
        given = {"mask": valid > 0, "sample_weight": np.arange(1.0, 7)}
    family = mx.Mixture(mx.Normal(1), 2)
    model = network(family, HEALTHY, (None, 2), [layers.SimpleRNN(3, return_sequences=True)])
    plain = ComponentUsage(x, y[..., 0])
    fit(model, plain, x, y, epochs=1)
    np.testing.assert_allclose(plain.shares["mixture"], [0.6, 0.4], atol=0.01)
    masked = ComponentUsage(x, y, **given)
    with pytest.warns(ComponentWarning):
        fit(model, masked, x, y, epochs=1)
    np.testing.assert_allclose(masked.shares["mixture"], [1, 0], atol=0.01)


def test_few_rows_are_drawn_and_nothing_compiles_again():
    traces = []

    class Counting(layers.Layer):
        def call(self, x):
            traces.append(x.shape)
            return x * 1.0

    family = mx.Mixture(mx.Normal(1), 2)
    x, y = np.tile(X, (20, 1)), np.tile(Y, (20, 1))
    model = network(family, HEALTHY, parts=[Counting()])
    usage = ComponentUsage(x, y, rows=300)
    fit(model, usage, x, y, epochs=1)
    first = len(traces)
    assert len(usage._y) == 300
    np.testing.assert_array_equal(usage._y, ComponentUsage(x, y, rows=300)._y)
    if keras.backend.backend() != "torch":  # which compiles nothing
        model.fit(x, y, epochs=4, initial_epoch=1, batch_size=20, verbose=0, callbacks=[usage])
        assert len(traces) == first


def test_a_lost_network_does_not_stop_here():
    model = network(mx.Mixture(mx.Normal(1), 2), np.full(6, np.nan))
    usage = ComponentUsage(X, Y)
    fit(model, usage, epochs=1)
    assert np.isnan(usage.shares["mixture"]).all()


def test_it_has_no_batch_level_methods():
    base = keras.callbacks.Callback
    names = [name for name in dir(base) if "batch" in name]
    assert names
    assert all(getattr(ComponentUsage, name) is getattr(base, name) for name in names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every must be a positive integer"),
        ({"rows": 0}, "rows must be a positive integer"),
        ({"dead": 1.0}, "dead must be 0 or more and below 1"),
        ({"dominant": 0.0}, "dominant must be above 0 and at most 1"),
        ({"mask": np.ones(3)}, "must have the same number of rows"),
    ],
)
def test_arguments_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        ComponentUsage(X, Y, **options)
    with pytest.raises(ValueError, match="must have the same number of rows"):
        ComponentUsage(X[:5], Y)


def test_a_model_or_data_that_do_not_fit_are_refused_before_training():
    family = mx.Mixture(mx.Normal(1), 2)
    with pytest.raises(ValueError, match="leave no row or step that counts"):
        fit(network(family), ComponentUsage(X, Y, mask=np.zeros(40)))
    with pytest.raises(ValueError, match="one value per row, or per step"):
        fit(network(family), ComponentUsage(X, Y, mask=np.ones((40, 3))))
    with pytest.raises(ValueError, match="must be alike but for the last axis"):
        fit(network(family), ComponentUsage(X, np.ones((40, 3, 1))))
    plain = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    plain.compile("sgd", "mse")
    with pytest.raises(ValueError, match="needs a model with an MDN layer"):
        fit(plain, ComponentUsage(X, Y))


def test_the_head_is_found_inside_other_models_and_inputs_may_be_named():
    family = mx.Mixture(mx.Normal(1), 2)
    inside = keras.Sequential([layers.Dense(3), mx.MDN(family)])
    given = {"a": keras.Input((2,), name="a"), "b": keras.Input((2,), name="b")}
    model = keras.Model(given, inside(layers.Concatenate()([given["a"], given["b"]])))
    model.compile("sgd", mx.NegativeLogLikelihood(family))
    usage = ComponentUsage({"a": X, "b": X}, Y, dead=0.0, dominant=1.0)
    fit(model, usage, {"a": X, "b": X})
    assert usage.shares["mixture"].sum() == pytest.approx(1)
