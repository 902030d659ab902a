"""Networks of keras-mdn-layer, saved and imported, against what they themselves compute."""

import io
import json
import sys
import zipfile

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import special, stats

import mixtura as mx
from mixtura.errors import InputError
from mixtura.models.imports import columns_of, import_mdn_rnn

h5py = pytest.importorskip("h5py")
theirs = pytest.importorskip("keras_mdn_layer")

SIZE, COUNT, UNITS = 3, 2, (4, 3)
IMPSY = "musicMDRNN-dim3-layers2-units4-mixtures2-scale10"
EVENTS = np.random.default_rng(0).random((2, 5, SIZE)).astype("float32")  # in the network's order


def training_form(at_every_step=True, name=None):
    """RoboJam's and, with functional layers, IMPSY's network as it is trained."""
    head = theirs.MDN(SIZE, COUNT)
    return keras.Sequential(
        [
            keras.Input((None, SIZE)),
            *(layers.LSTM(size, return_sequences=True) for size in UNITS),
            layers.TimeDistributed(head) if at_every_step else head,
        ],
        name=name,
    )


def performing_form(name=IMPSY):
    """IMPSY's network as it is played: one step, states go in and come out."""
    events = keras.Input((1, SIZE), name="inputs")
    states = [keras.Input((size,)) for size in UNITS for _ in "hc"]
    h, *first = layers.LSTM(UNITS[0], return_sequences=True, return_state=True, name="lstm_0")(
        events, initial_state=states[:2]
    )
    h, *second = layers.LSTM(UNITS[1], return_state=True, name="lstm_1")(h, initial_state=states[2:])
    outputs = [theirs.MDN(SIZE, COUNT, name="mdn_outputs")(h), *first, *second]
    return keras.Model([events, *states], outputs, name=name)


def numpy(x):
    return ops.convert_to_numpy(x)


def at_random(model):
    """Weights with which every part of the output counts, the same for every form."""
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) * 0.5 for w in model.get_weights()])
    return model


def parts(output):
    """Rows [mu | sigma | logits] as means, scales and weights of the components."""
    output = numpy(output).astype(float)
    mu, sigma, logits = np.split(output, [SIZE * COUNT, 2 * SIZE * COUNT], axis=-1)
    shape = (*output.shape[:-1], COUNT, SIZE)
    return mu.reshape(shape), sigma.reshape(shape), special.softmax(logits, axis=-1)


def density(expected, events):
    """The log density of events, in the units of the means and scales."""
    mu, sigma, weights = expected
    each = stats.norm.logpdf(events[..., None, :].astype(float), mu, sigma).sum(axis=-1)
    return special.logsumexp(each + np.log(weights), axis=-1)


def assert_same(p, expected, scale=1.0, order=slice(None)):
    mu, sigma, weights = expected
    np.testing.assert_allclose(p.means, mu[..., order] / scale, atol=1e-5)
    np.testing.assert_allclose(p.scales, sigma[..., order] / scale, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(p.weights, weights, atol=1e-5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("imports")


@pytest.fixture(scope="module")
def trained(folder):
    """A network in the form for training, and its file."""
    model = at_random(training_form())
    model.save(folder / "touches.keras")
    return model, folder / "touches.keras"


@pytest.fixture(scope="module")
def played(folder):
    """A network in the form for playing, and its file."""
    model = at_random(performing_form())
    model.save(folder / "played.keras")
    return model, folder / "played.keras"


# ------------------------------------------------------------------ the same distributions


@pytest.mark.slow
def test_a_network_as_trained_predicts_the_same_distributions(trained):
    network, path = trained
    model = import_mdn_rnn(path, scale=10)
    assert model.family == mx.Affine(mx.Mixture(mx.Normal(SIZE), COUNT), 0.0, 0.1)
    assert model.cell.units == UNITS
    assert model.count_params() == network.count_params()
    before = np.concatenate([np.zeros((2, 1, SIZE)), EVENTS[:, :-1]], axis=1)
    expected = parts(network(10 * before))
    p = model.family(numpy(model(EVENTS)))
    assert_same(p, expected, scale=10)
    log_prob = density(expected, 10 * EVENTS) + SIZE * np.log(10)
    np.testing.assert_allclose(p.log_prob(EVENTS), log_prob, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_network_as_played_takes_the_same_steps(played):
    network, path = played
    model = import_mdn_rnn(path)
    order = [1, 2, 0]  # the time comes last
    events = EVENTS[..., order]
    state, states = model.initial_state(2), [np.zeros((2, size)) for size in UNITS for _ in "hc"]
    given, before = [], np.zeros((2, SIZE))
    for step in range(3):
        output, *states = network([ops.convert_to_tensor(x) for x in (10 * before[:, None], *states)])
        params, state = model.step(model.embed(before[:, order].astype("float32")), state)
        assert_same(model.family(numpy(params)), parts(output), 10, order)
        for own, expected in zip(state, states, strict=True):
            np.testing.assert_allclose(numpy(own), numpy(expected), atol=1e-5)
        given.append(parts(output))
        before = EVENTS[:, step]
    expected = [np.stack(part, axis=1) for part in zip(*given, strict=True)]
    p = model.family(numpy(model(events))[:, :3])
    assert_same(p, expected, 10, order)
    log_prob = density(expected, 10 * EVENTS[:, :3]) + SIZE * np.log(10)
    np.testing.assert_allclose(p.log_prob(events[:, :3]), log_prob, rtol=1e-5, atol=1e-5)


def weights(model):
    return [numpy(weight) for weight in model.weights]


def assert_equal(one, other):
    for a, b in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_all_forms_become_the_same_model(trained, played, folder):
    for number, network in enumerate((training_form(at_every_step=False), performing_form("other"))):
        network.set_weights(trained[0].get_weights())
        network.save(folder / f"form{number}.keras")
        assert_equal(import_mdn_rnn(folder / f"form{number}.keras"), import_mdn_rnn(trained[1]))


def test_a_compiled_network_and_the_lectures_head_are_read_too(trained, folder):
    network = keras.Sequential(
        [keras.Input((5, SIZE)), layers.LSTM(UNITS[0], return_sequences=True), mx.lecture.MDN(SIZE, COUNT)]
    )
    network.compile("adam", loss=mx.lecture.get_mixture_loss_func(SIZE, COUNT))
    network.save(folder / "lecture.keras")
    model = import_mdn_rnn(folder / "lecture.keras")
    np.testing.assert_array_equal(numpy(model.cell.cells[0].kernel), network.get_weights()[0])


@pytest.mark.parametrize(
    ("model_name", "stem", "arguments", "scale", "moved"),
    [
        (IMPSY, "file", {}, 10, True),
        ("other", f"{IMPSY}-E7", {}, 10, True),
        ("other", "robojam-units512-scale10-E30-VL-5.65", {}, 10, False),
        ("other", "rescale3", {}, 1, False),
        (IMPSY, "file", {"scale": 2.5, "columns": "robojam"}, 2.5, False),
        ("other", "file", {"columns": "impsy"}, 1, True),
    ],
)
def test_names_say_the_scale_and_the_columns(played, folder, model_name, stem, arguments, scale, moved):
    def rename(config, _):
        config["config"]["name"] = model_name

    path = edited(played[1], folder / f"{stem}.keras", rename)
    model = import_mdn_rnn(path, **arguments)
    assert model.family.scale == pytest.approx((1 / scale,) * SIZE)
    kernel = played[0].get_weights()[0]
    np.testing.assert_array_equal(numpy(model.cell.cells[0].kernel), kernel[[1, 2, 0]] if moved else kernel)
    if not arguments:
        assert columns_of(path) == ("impsy" if moved else "robojam")


# ------------------------------------------------------------------ files that are made by hand


def edited(path, target, change):
    """Write a `.keras` file as another is after a change of its configuration and weights."""
    with zipfile.ZipFile(path) as archive:
        config, buffer = json.loads(archive.read("config.json")), io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(buffer, "r+") as file:
        change(config, file)
    return written(target, config, buffer.getvalue())


def written(target, config, weights):
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights)
    return target


def keras_2(arrays, names, size=SIZE, count=COUNT):
    """Configuration and weights as Keras 2 writes them; `names` are those of the groups, the MDN's last."""
    units = [array.shape[0] for array in arrays[1:-6:3]]

    def layer(kind, name, below, module="keras.layers", **settings):
        nodes = [[[other, 0, 0, {}] for other in below]] if below else []
        config = {"name": name, "dtype": "float32", **settings}
        return {
            "module": module,
            "class_name": kind,
            "config": config,
            "registered_name": None,
            "name": name,
            "inbound_nodes": nodes,
        }

    described = [layer("InputLayer", "inputs", [], batch_input_shape=[None, 1, size])]
    below = "inputs"
    for number, width in enumerate(units):
        states = [f"state_{letter}_{number}" for letter in "hc"]
        described += [layer("InputLayer", name, [], batch_input_shape=[None, width]) for name in states]
        activations = {"activation": "tanh", "recurrent_activation": "sigmoid"}
        flags = {"use_bias": True, "go_backwards": False, "time_major": False}
        name = f"lstm_{number}"
        described.append(layer("LSTM", name, [below, *states], units=width, **activations, **flags))
        below = name
    head = {"output_dimension": size, "num_mixtures": count}
    described.append(layer("MDN", "mdn_outputs", [below], "keras_mdn_layer", **head))
    config = {
        "module": "keras.src.engine.functional",
        "class_name": "Functional",
        "config": {"name": f"musicMDRNN-dim{size}-scale10", "layers": described},
        "registered_name": "Functional",
    }
    *lstms, mdn = names
    slash = "\\" if "\\" in mdn else "/"
    places = [f"{name}{slash}cell/vars/{i}" for name in lstms for i in range(3)]
    places += [
        f"{mdn}{slash}{part}/vars/{i}" for part in ("mdn_mus", "mdn_sigmas", "mdn_pi") for i in range(2)
    ]
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for place, array in zip(places, arrays, strict=True):
            file[place] = array
    return config, buffer.getvalue()


@pytest.mark.parametrize(
    "names",
    [
        ("layers/lstm", "layers/lstm_1", "layers/mdn"),
        tuple(f"_layer_checkpoint_dependencies/{name}" for name in ("lstm", "lstm_2", "mdn")),
        tuple(f"_layer_checkpoint_dependencies\\{name}" for name in ("lstm", "lstm_2", "mdn")),
    ],
    ids=["2.15", "before", "before, on Windows"],
)
def test_files_of_keras_2_hold_the_same_model(played, tmp_path, names):
    arrays = [array.astype("float32") for array in played[0].get_weights()]
    path = written(tmp_path / "old.keras", *keras_2(arrays, names))
    assert_equal(import_mdn_rnn(path), import_mdn_rnn(played[1]))


def test_layers_are_read_in_the_order_of_the_chain(played, tmp_path):
    def swap(config, file):  # the upper layer first, as Keras may describe a graph
        described = config["config"]["layers"]
        lower, upper = (n for n, layer in enumerate(described) if layer["class_name"] == "LSTM")
        described[lower], described[upper] = described[upper], described[lower]
        for old, new in (("lstm", "other"), ("lstm_1", "lstm"), ("other", "lstm_1")):
            file["layers"].move(old, new)

    path = edited(played[1], tmp_path / "swapped.keras", swap)
    assert_equal(import_mdn_rnn(path), import_mdn_rnn(played[1]))


@pytest.mark.parametrize(
    ("size", "units", "expected"),
    [
        (9, (16, 16), 5_391),
        (9, (32, 32), 16_831),
        (9, (64, 64), 58_143),
        (9, (128, 128), 214_495),
        (9, (256, 256), 822_111),
        (9, (512, 512, 512), 5_316_191),
        (3, (512, 512), 3_173_923),
    ],
    ids=["xxs", "xs", "s", "m", "l", "xl", "RoboJam"],
)
def test_published_sizes_are_read_whole(size, units, expected, tmp_path, monkeypatch):
    def zeros(self, shape, dtype=None, **_):
        return np.zeros(shape, "float32")

    for initializer in (keras.initializers.Orthogonal, keras.initializers.VarianceScaling):
        monkeypatch.setattr(initializer, "__call__", zeros)  # which would take seconds
    shapes = []
    for below, width in zip((size, *units), units, strict=False):
        shapes += [(below, 4 * width), (width, 4 * width), (4 * width,)]
    for width in (5 * size, 5 * size, 5):
        shapes += [(units[-1], width), (width,)]
    arrays = [np.full(shape, 0.5, "float32") for shape in shapes]
    names = [f"layers/lstm_{n}" if n else "layers/lstm" for n in range(len(units))] + ["layers/mdn"]
    model = import_mdn_rnn(written(tmp_path / "published.keras", *keras_2(arrays, names, size, 5)))
    assert model.count_params() == sum(array.size for array in arrays) == expected
    assert all((array == 0.5).all() for array in weights(model))


# ------------------------------------------------------------------ what is refused


def layer_of(config, kind):
    return next(layer for layer in config["config"]["layers"] if layer["class_name"] == kind)


def with_setting(name, value, kind="LSTM"):
    def change(config, _):
        layer_of(config, kind)["config"][name] = value

    return change


def with_class(kind, module="keras.layers"):
    def change(config, _):
        layer_of(config, "LSTM").update(class_name=kind, module=module)

    return change


def without_lstms(config, _):
    config["config"]["layers"] = [x for x in config["config"]["layers"] if x["class_name"] != "LSTM"]
    layer_of(config, "MDN")["inbound_nodes"] = [[["inputs", 0, 0, {}]]]


def without_an_mdn(config, _):
    config["config"]["layers"] = [x for x in config["config"]["layers"] if x["class_name"] != "MDN"]


def called_with(kind, *sources):
    def change(config, _):
        layer_of(config, kind)["inbound_nodes"] = [[[name, 0, output, {}] for name, output in sources]]

    return change


def with_weights(place, array):
    def change(_, file):
        del file[place]
        if array is not None:
            file[place] = array

    return change


def linked_elsewhere(_, file):
    del file["layers/lstm/cell/vars/0"]
    file["layers/lstm/cell/vars/0"] = h5py.ExternalLink("/etc/hostname", "/secret")


def stored_elsewhere(_, file):
    del file["layers/lstm/cell/vars/2"]
    outside = [("/etc/passwd", 0, 64)]
    file["layers/lstm/cell/vars"].create_dataset("2", (16,), "float32", external=outside)


def never_stored(_, file):
    for place, shape in enumerate([(SIZE, 1 << 32), (1 << 30, 1 << 32), (1 << 32,)]):
        del file[f"layers/lstm/cell/vars/{place}"]
        file["layers/lstm/cell/vars"].create_dataset(str(place), shape, "float32", chunks=True)


def huge(config, file):
    never_stored(config, file)
    layer_of(config, "LSTM")["config"]["units"] = 1 << 30


KERNEL, BIAS = "layers/lstm/cell/vars/0", "layers/lstm_1/cell/vars/2"
CHAIN = "expected LSTM layers, each on the one before"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (with_class("GRU"), f"'lstm_0' is a GRU; {CHAIN}"),
        (with_class("Bidirectional"), "'lstm_0' is a Bidirectional"),
        (with_class("Dense"), "'lstm_0' is a Dense"),
        (with_class("LSTM", "elsewhere"), r"'lstm_0' is a elsewhere\.LSTM"),
        (with_setting("activation", "relu"), "LSTM 'lstm_0' has activation='relu'; expected 'tanh'"),
        (with_setting("recurrent_activation", "hard_sigmoid"), "='hard_sigmoid'; expected 'sigmoid'"),
        (with_setting("use_bias", False), "has use_bias=False; expected True"),
        (with_setting("go_backwards", True), "has go_backwards=True; expected False"),
        (with_setting("units", 0), "'lstm_0' has units=0; expected a positive integer"),
        (with_setting("num_mixtures", "2", "MDN"), "'mdn_outputs' has num_mixtures='2'"),
        (without_an_mdn, "has no MDN layer"),
        (without_lstms, "has no LSTM layer"),
        (called_with("MDN", ("lstm_0", 0)), "the layer 'lstm_1' is beside the others"),
        (called_with("MDN", ("lstm_1", 1)), "the layer 'mdn_outputs' has other inputs"),
        (called_with("LSTM", ("lstm_1", 0)), "the layer 'lstm_1' follows itself"),
        (called_with("LSTM", ("inputs", 0), ("lstm_1", 1), ("lstm_1", 2)), "'lstm_0' has other inputs"),
        (with_weights("layers/lstm/cell", None), "has the weights of 1 LSTM layer; expected 2"),
        (with_weights(BIAS, None), "the bias of 'lstm_1' is missing"),
        (with_weights("layers/mdn/mdn_pi", None), "the kernel of 'mdn_pi' is missing"),
        (with_weights(BIAS, np.zeros(13)), r"bias of 'lstm_1' has the shape \(13,\); expected \(12\)"),
        (with_weights(KERNEL, np.zeros((5, 16))), "predicts 3 numbers from 5; expected events of one size"),
        (
            with_weights(KERNEL, np.full((3, 16), np.nan)),
            "kernel of 'lstm_0' has numbers that are not finite",
        ),
        (with_weights(KERNEL, np.zeros((3, 16), int)), "is not stored as floating-point numbers"),
        (linked_elsewhere, "the kernel of 'lstm_0' is missing"),
        (stored_elsewhere, "the bias of 'lstm_0' is not stored as floating-point numbers"),
        (huge, "the kernel of 'lstm_0' is not stored as floating-point numbers"),
        (lambda config, _: config.pop("config"), r"cannot be read as a \.keras file \(config\)"),
    ],
)
def test_what_is_another_network_is_refused_in_one_sentence(played, tmp_path, change, sentence):
    path = edited(played[1], tmp_path / "other.keras", change)
    with pytest.raises(InputError, match=sentence) as caught:
        import_mdn_rnn(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_file_names_is_not_run(trained, tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text("raise SystemExit\nclass LSTM: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    code = keras.Sequential([keras.Input((2,)), layers.Lambda(lambda x: 1 / 0, output_shape=(2,))])
    written_lambda = code.get_config()["layers"][-1]

    def with_lambda(config, _):
        config["config"]["layers"].insert(1, written_lambda)

    def planted(config, _):
        layer_of(config, "LSTM").update(module="planted")

    def planted_loss(config, _):
        config["compile_config"] = {"loss": {"module": "planted", "class_name": "LSTM", "config": {}}}

    with pytest.raises(InputError, match="'lambda' is a Lambda"):
        import_mdn_rnn(edited(trained[1], tmp_path / "lambda.keras", with_lambda))
    with pytest.raises(InputError, match=r"is a planted\.LSTM"):
        import_mdn_rnn(edited(trained[1], tmp_path / "planted.keras", planted))
    import_mdn_rnn(edited(trained[1], tmp_path / "loss.keras", planted_loss))
    assert "planted" not in sys.modules


def test_a_layer_at_every_step_is_the_mdn(trained, tmp_path):
    def within(config, _):
        lstm = layer_of(config, "LSTM")
        layer_of(config, "TimeDistributed")["config"]["layer"] = lstm

    with pytest.raises(InputError, match="'time_distributed' is a TimeDistributed"):
        import_mdn_rnn(edited(trained[1], tmp_path / "within.keras", within))

    def upside_down(config, _):
        config["config"]["layers"].reverse()

    with pytest.raises(InputError, match="the layer 'time_distributed' is out of place"):
        import_mdn_rnn(edited(trained[1], tmp_path / "upside_down.keras", upside_down))


def test_what_is_no_keras_file_is_refused(tmp_path, trained):
    for name in ("model.h5", "model.hdf5", "model.tflite"):
        with pytest.raises(InputError, match=r"convert it where it was made: model\.save\('name\.keras'\)"):
            import_mdn_rnn(tmp_path / name)
    with pytest.raises(InputError, match="does not exist"):
        import_mdn_rnn(tmp_path / "missing.keras")
    with pytest.raises(InputError, match="is not a file"):
        import_mdn_rnn(tmp_path)
    (tmp_path / "text.keras").write_text("not a model")
    with pytest.raises(InputError, match=r"cannot be read as a \.keras file \(File is not a zip file\)"):
        import_mdn_rnn(tmp_path / "text.keras")
    config, _ = keras_2([np.zeros((2, 2))] * 9, ["lstm", "mdn"])
    for weights in (b"", b"not HDF5"):
        with pytest.raises(InputError, match=r"cannot be read as a \.keras file"):
            import_mdn_rnn(written(tmp_path / "damaged.keras", config, weights))
    model = keras.Sequential([keras.Input((None, 3)), layers.Dense(3, name="dense")])
    model.save(tmp_path / "dense.keras")
    with pytest.raises(InputError, match="'dense' is a Dense"):
        import_mdn_rnn(tmp_path / "dense.keras")


def test_arguments_are_checked(trained):
    for scale in (0, -1, np.nan, "10"):
        with pytest.raises(ValueError, match="scale must be"):
            import_mdn_rnn(trained[1], scale=scale)
    with pytest.raises(ValueError, match="columns must be one of 'impsy', 'robojam'"):
        import_mdn_rnn(trained[1], columns="other")
