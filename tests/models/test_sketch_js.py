"""JSON files of sketch-rnn-js, written by hand and read, against what its programs compute from them."""

import base64
import json

import keras
import numpy as np
import pytest
from keras import ops
from scipy import special, stats

import mixtura as mx
from mixtura.errors import InputError
from mixtura.models.sketch_js import export_sketch_js, import_sketch_js, info_of
from mixtura.models.sketch_rnn import SketchRNN

UNITS, INNER, LATENT, COMPONENTS = 3, 2, 2, 20
COLUMNS = 3 + 6 * COMPONENTS
SCALE = 80.5
INFO = {"version": 6, "max_seq_len": 130, "name": "cat", "mode": 2, "scale_factor": SCALE}
DECODER = [(UNITS, COLUMNS), (COLUMNS,), (5, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)]
READER = [(5, 4 * INNER), (INNER, 4 * INNER), (4 * INNER,)]
DENSE = [(2 * INNER, LATENT), (LATENT,)] * 2 + [(LATENT, 2 * UNITS), (2 * UNITS,)]
AUTOENCODER = [*READER * 2, *DENSE, *DECODER[:2], (5 + LATENT, 4 * UNITS), *DECODER[3:]]
DRAWINGS = [
    np.array([[3, -2, 0], [60, 31, 1], [-80, 12, 0], [15, 5.5, 1]], float),
    np.array([[120, 40, 0], [-7, 0, 1]], float),
]


def numpy(x):
    return ops.convert_to_numpy(x)


def parts_of(shapes, **info):
    """Return the parts of a file with weights of which every one counts."""
    rng = np.random.default_rng(0)
    steps = [np.clip(rng.normal(size=shape) * 1500, -32767, 32767).astype("<i2") for shape in shapes]
    packed = [base64.b64encode(array.tobytes()).decode() for array in steps]
    return [{**INFO, **info}, [list(shape) for shape in shapes], packed]


def written(path, parts, text="{}"):
    path.write_text(text.format(json.dumps(parts, separators=(",", ":"))))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("js")


@pytest.fixture(scope="module")
def decoder(folder):
    """The parts of a file with a decoder alone, and the model."""
    parts = parts_of(DECODER)
    return parts, import_sketch_js(written(folder / "cat.gen.json", parts))


@pytest.fixture(scope="module")
def autoencoder(folder):
    parts = parts_of(AUTOENCODER, mode=0)
    return parts, import_sketch_js(written(folder / "cat.vae.json", parts))


# ------------------------------------------------------------------ what the programs compute


def weights_of(parts):
    return [
        10 * np.frombuffer(base64.b64decode(text), "<i2").reshape(shape).astype(float) / 32767
        for text, shape in zip(parts[2], parts[1], strict=True)
    ]


def lstm(arrays, x, h, c):
    w_xh, w_hh, bias = arrays
    i, j, f, o = np.split(x @ w_xh + h @ w_hh + bias, 4)
    c = special.expit(f + 1) * c + special.expit(i) * np.tanh(j)
    return special.expit(o) * np.tanh(c), c


def scaled(drawing):
    """Return the points of a drawing as the network sees them: (dx, dy, pen down, pen up, end)."""
    lifted = drawing[:, 2]
    return np.column_stack([drawing[:, :2] / SCALE, 1 - lifted, lifted, np.zeros(len(drawing))])


def encoded(weights, drawing):
    """Return mu and presig."""
    lasts = []
    for arrays, rows in ((weights[:3], scaled(drawing)), (weights[3:6], scaled(drawing)[::-1])):
        h = c = np.zeros(INNER)
        for x in rows:
            h, c = lstm(arrays, x, h, c)
        lasts.append(h)
    both = np.concatenate(lasts)
    return both @ weights[6] + weights[7], both @ weights[8] + weights[9]


def predicted(weights, drawing, z=None):
    """Return pi, mu, sigma, rho and the pen's probabilities before every point and the end."""
    output_w, output_b, *cell = weights[-5:]
    h = c = np.zeros(UNITS)
    if z is not None:
        c, h = np.split(np.tanh(z @ weights[10] + weights[11]), 2)
    found = []
    for x in [np.array([0, 0, 1, 0, 0.0]), *scaled(drawing)]:
        h, c = lstm(cell, x if z is None else np.concatenate([x, z]), h, c)
        out = h @ output_w + output_b
        pi, mu1, mu2, s1, s2, rho = np.split(out[3:], 6)
        found.append(
            (
                special.softmax(pi),
                np.stack([mu1, mu2], axis=-1),
                np.exp(np.stack([s1, s2], axis=-1)),
                np.tanh(rho),
                special.softmax(out[:3]),
            )
        )
    return [np.stack(part) for part in zip(*found, strict=True)]


def assert_same(model, drawing, expected, context=None):
    """Compare every step's parameters, and the density of what was drawn, in the data's units."""
    pi, mu, sigma, rho, pen = expected
    events = model.events(drawing)[None].astype("float32")
    p = model.family(numpy(model(events, context=context))[0])
    offset = p["offset"]
    np.testing.assert_allclose(offset.weights, pi, atol=1e-5)
    np.testing.assert_allclose(offset.means / SCALE, mu, atol=1e-5)
    np.testing.assert_allclose(p["pen"].mean(), pen, atol=1e-5)
    covariances = offset.covariances / SCALE**2
    np.testing.assert_allclose(np.sqrt(covariances[..., (0, 1), (0, 1)]), sigma, rtol=2e-5)
    np.testing.assert_allclose(covariances[..., 0, 1] / sigma.prod(axis=-1), rho, atol=1e-5)
    densities = []
    for t, row in enumerate(events[0].astype(float)):
        each = []
        for k in range(COMPONENTS):
            (sx, sy), r = SCALE * sigma[t, k], rho[t, k]
            normal = stats.multivariate_normal(SCALE * mu[t, k], [[sx**2, r * sx * sy], [r * sx * sy, sy**2]])
            each.append(np.log(pi[t, k]) + normal.logpdf(row[:2]))
        densities.append(special.logsumexp(each) + np.log(pen[t] @ row[2:]))
    np.testing.assert_allclose(p.log_prob(events[0]), densities, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("which", [0, 1])
def test_a_decoder_predicts_what_the_programs_do(decoder, which):
    parts, model = decoder
    assert_same(model, DRAWINGS[which], predicted(weights_of(parts), DRAWINGS[which]))


def test_an_autoencoder_predicts_what_the_programs_do(autoencoder):
    parts, model = autoencoder
    z = np.array([0.7, -1.3])
    context = model.context(latent=z[None])
    assert_same(model, DRAWINGS[0], predicted(weights_of(parts), DRAWINGS[0], z), context)


def test_it_encodes_what_the_programs_do(autoencoder):
    parts, model = autoencoder
    mean, log_variance = model.encode(DRAWINGS)
    expected = [encoded(weights_of(parts), drawing) for drawing in DRAWINGS]
    np.testing.assert_allclose(mean, [mu for mu, _ in expected], atol=1e-5)
    np.testing.assert_allclose(log_variance, [presig for _, presig in expected], atol=1e-5)


def test_a_model_is_as_its_file_says(decoder, autoencoder, folder):
    offset = mx.Affine(mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), COMPONENTS), 0.0, SCALE)
    family = mx.Joint(offset=offset, pen=mx.Categorical(3))
    for model, latent_size in ((decoder[1], 0), (autoencoder[1], LATENT)):
        assert model.family == family
        assert model.closing
        assert model.latent_size == latent_size
    assert autoencoder[1].encoder_units == INNER
    assert decoder[1].count_params() == sum(int(np.prod(shape)) for shape in DECODER)
    assert autoencoder[1].count_params() == sum(int(np.prod(shape)) for shape in AUTOENCODER)
    assert info_of(folder / "cat.gen.json") == INFO


def test_what_assigns_the_text_to_a_variable_is_read_too(decoder, folder):
    path = written(folder / "cat.gen.js", decoder[0], "var model_raw_data='{}';\n")
    for one, other in zip(import_sketch_js(path).weights, decoder[1].weights, strict=True):
        np.testing.assert_array_equal(numpy(one), numpy(other))


def test_another_number_of_components_is_read(folder):
    shapes = [(UNITS, 15), (15,), *DECODER[2:]]
    model = import_sketch_js(written(folder / "few.json", parts_of(shapes)))
    assert model.family["offset"].family.num_components == 2


# ------------------------------------------------------------------ writing


@pytest.mark.parametrize("kind", ["decoder", "autoencoder"])
def test_a_file_that_was_read_is_written_the_same(kind, request, folder):
    parts, model = request.getfixturevalue(kind)
    path = folder / f"{kind}.json"
    assert export_sketch_js(model, path, "cat", 130) == 0
    info, dimensions, weights = json.loads(path.read_text())
    assert (dimensions, weights) == (parts[1], parts[2])
    assert info == parts[0]


def test_what_was_trained_is_read_again_to_a_step(folder, monkeypatch):
    offset = mx.Affine(mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), COMPONENTS), 0.0, 0.1 + 0.2)
    family = mx.Joint(offset=offset, pen=mx.Categorical(3))
    model = SketchRNN(family, (UNITS,), latent_size=LATENT, encoder_units=INNER, closing=True)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape) * 2)
    bias = numpy(model.cell.cells[0].bias).copy()
    bias[:2] = 12.5, -11.0
    model.cell.cells[0].bias.assign(bias)
    assert export_sketch_js(model, folder / "trained.json") == 2
    again = import_sketch_js(folder / "trained.json")
    assert again.family == family
    bias[:2] = 10, -10
    model.cell.cells[0].bias.assign(bias)
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_allclose(numpy(one), numpy(other), atol=5.001 / 32767)


def published(**settings):
    settings = {"components": COMPONENTS, "scale": "exp", "units": (2,), "closing": True, **settings}
    offset = mx.Mixture(mx.Normal(2, "bivariate", scale=settings.pop("scale")), settings.pop("components"))
    family = mx.Joint(offset=mx.Affine(offset, settings.pop("shift", 0.0), SCALE), pen=mx.Categorical(3))
    return SketchRNN(family, **settings)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cell": "gru"}, "holds models of cell='lstm'; received 'gru'"),
        ({"cell": "hyper"}, "holds models of cell='lstm'; received 'hyper'"),
        ({"layer_norm": True}, "holds models of layer_norm=False; received True"),
        ({"num_classes": 2, "class_size": 1}, "holds models of num_classes=0; received 2"),
        ({"sees_place": True}, "holds models of sees_place=False; received True"),
        ({"closing": False}, "holds models of closing=True; received False"),
        ({"units": (2, 3)}, r"holds models of one layer; received units=\(2, 3\)"),
        ({"components": 3}, "holds models of the family .*, 20.*; received .*, 3"),
        ({"scale": "softplus"}, "holds models of the family .*'exp'.*; received .*'softplus'"),
        ({"shift": 1.0}, "holds models of the family"),
    ],
)
def test_what_the_programs_cannot_hold_is_not_written(settings, message, folder):
    path = folder / "never.json"
    with pytest.raises(ValueError, match=message):
        export_sketch_js(published(**settings), path)
    assert not path.exists()


def test_other_models_and_numbers_are_not_written(folder):
    path = folder / "never.json"
    with pytest.raises(TypeError, match="model must be a SketchRNN; received Dense"):
        export_sketch_js(keras.layers.Dense(1), path)
    model = published()
    with pytest.raises(ValueError, match="longest must be a positive integer; received 0"):
        export_sketch_js(model, path, longest=0)
    model.head.dense.bias.assign(np.full(COLUMNS, np.nan))
    with pytest.raises(ValueError, match="weights that are not finite"):
        export_sketch_js(model, path)
    assert not path.exists()


# ------------------------------------------------------------------ what is refused


def changed(part, place, value, shapes=DECODER, **info):
    parts = parts_of(shapes, **info)
    parts[part][place] = value
    return json.dumps(parts)


UNREADABLE = r"bad\.json cannot be read; expected the JSON text \[info, dimensions, weights\]"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", UNREADABLE),
        ("no JSON", UNREADABLE),
        ("[" * 100_000, UNREADABLE),
        ("[" * 100_000 + "]" * 100_000, UNREADABLE),
        (json.dumps(parts_of(DECODER))[:-9], UNREADABLE),
        ("[1, 2, 3]", UNREADABLE),
        ("[{}, []]", UNREADABLE),
        (changed(0, "scale_factor", 0), "has scale_factor=0; expected a positive number"),
        (changed(0, "scale_factor", "80"), "has scale_factor='80'; expected a positive number"),
        (changed(0, "scale_factor", float("nan")), "has scale_factor=nan; expected a positive number"),
        (changed(0, "scale_factor", 10**400), "has scale_factor=10*; expected a positive number"),
        ("[{}, [], []]", "has scale_factor=None"),
        (json.dumps(parts_of(DECODER[:4])), "has 4 dimensions of 4 arrays; expected 5 of a decoder or 17"),
        (changed(1, 0, [UNITS, 0]), r"output_w has the dimensions \[3, 0\]; expected two sizes"),
        (changed(1, 0, "3"), "output_w has the dimensions '3'; expected two sizes"),
        (changed(1, 0, [UNITS, 10]), "output_w has 10 columns; expected 3 and 6 for each component"),
        (changed(1, 1, [12]), r"output_b has the dimensions \[12\]; expected \[123\]"),
        (changed(1, 2, [7, 12]), r"W_xh has the dimensions \[7, 12\]; expected \[5, 12\]"),
        (changed(1, 3, [12, 3]), r"W_hh has the dimensions \[12, 3\]; expected \[3, 12\]"),
        (changed(1, 6, [4, 3], AUTOENCODER), r"mu_b has the dimensions \[2\]; expected \[3\]"),
        (
            changed(1, 3, [4, 8], AUTOENCODER),
            r"W_xh \(backwards\) has the dimensions \[4, 8\]; expected \[5, 8\]",
        ),
        (
            changed(0, "version", 5, AUTOENCODER),
            "autoencoder of version 5, whose first state is made of tanh",
        ),
        (changed(2, 1, "AAA*"), "output_b is not in base64"),
        (changed(2, 1, 5), "output_b is not in base64"),
        (changed(2, 4, "AAAA"), "bias has 3 bytes; expected 24"),
    ],
)
def test_other_files_are_refused(text, sentence, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        import_sketch_js(path)


def test_missing_files_and_folders_are_refused(tmp_path):
    for path, what in ((tmp_path, "is not a file"), (tmp_path / "none.json", "does not exist")):
        with pytest.raises(InputError, match=what):
            import_sketch_js(path)
    (tmp_path / "picture.json").write_bytes(b"\x89PNG[\xff]")
    with pytest.raises(InputError, match="cannot be read"):
        import_sketch_js(tmp_path / "picture.json")
