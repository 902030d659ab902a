import keras
import numpy as np
import pytest
from keras import ops

import mixtura as mx
from mixtura.data.alphabets import GRAVES, Alphabet
from mixtura.errors import InputError
from mixtura.models import Handwriting
from mixtura.models.handwriting import events_line, line_events
from mixtura.models.sketch_rnn import padded

RNG = np.random.default_rng(0)
ALPHABET = Alphabet("abc ")


def graves(components=20):
    offset = mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), components)
    return mx.Joint(offset=offset, end=mx.Bernoulli())


def ours(components):
    stroke = mx.Joint(offset=mx.Normal(2, "bivariate"), pen=mx.Categorical(3))
    return mx.Mixture(stroke, components)


def a_line(length, first_ends=False):
    line = np.column_stack([RNG.normal(size=(length, 2)), RNG.random(length) < 0.3]).astype(float)
    line[0] = 0, 0, first_ends
    line[-1, 2] = 1
    return line


LINES = [a_line(9), a_line(5), a_line(7)]
TEXTS = ["ab", "c", "a bc"]


def numpy(x):
    return ops.convert_to_numpy(x)


def published():
    return Handwriting(graves(2), (5, 4), ALPHABET, peephole=True, windows=3)


def own():
    return Handwriting(
        ours(2),
        (5,),
        ALPHABET,
        windows=2,
        pace=-1.0,
        shows_text=True,
        encoder_size=4,
        encoder_width=3,
        num_styles=2,
        style_size=2,
        sees_place=True,
        seed=0,
    )


@pytest.fixture(scope="module", params=[own, pytest.param(published, marks=pytest.mark.slow)])
def model(request):
    keras.utils.set_random_seed(1)
    made = request.param()
    for weight in made.trainable_weights:
        weight.assign(0.4 * RNG.normal(size=weight.shape))
    return made


def styles_of(model, count):
    return [n % 2 for n in range(count)] if model.num_styles else None


@pytest.mark.parametrize(
    ("units", "alphabet", "count"),
    [
        pytest.param((400, 400, 400), None, 3_368_121, marks=pytest.mark.slow),
        pytest.param((900,), None, 3_366_121, marks=pytest.mark.slow),
        ((400, 400, 400), GRAVES, 3_653_751),
    ],
    ids=["prediction", "prediction, one layer", "synthesis"],
)
def test_weights_are_as_many_as_published(units, alphabet, count):
    assert Handwriting(graves(), units, alphabet, peephole=True).count_params() == count


def test_step_agrees_with_call(model):
    context = model.context(TEXTS, styles_of(model, 3))
    events = padded([model.events(line) for line in LINES])
    params = numpy(model(events, context=context))
    state = model.initial_state(3, context)
    event = ops.broadcast_to(model.start_event(), (3, events.shape[-1]))
    for t in range(events.shape[1]):
        row, state = model.step(model.embed(event, context=context), state, context)
        np.testing.assert_allclose(numpy(row), params[:, t], atol=1e-5)
        event = ops.convert_to_tensor(events[:, t])


def test_a_longer_padding_of_texts_changes_nothing(model):
    events = padded([model.events(line) for line in LINES])
    short, long = (model.context(TEXTS, styles_of(model, 3), length) for length in (4, 9))
    np.testing.assert_allclose(
        numpy(model(events, context=short)), numpy(model(events, context=long)), atol=1e-5
    )


@pytest.mark.slow
def test_the_gradient_reaches_every_weight(model):
    if keras.backend.backend() != "jax":
        pytest.skip("computed with jax.grad")
    import jax

    context = model.context(["abc ", "c a", "b"], styles_of(model, 3))
    events = padded([model.events(line) for line in LINES])
    variables = model.trainable_variables

    def loss(values):
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return -ops.sum(model.family.log_prob(model(events, context=context), events))

    for variable, gradient in zip(variables, jax.grad(loss)([v.value for v in variables]), strict=True):
        assert np.abs(numpy(gradient)).max() > 0, variable.path


@pytest.mark.slow
def test_the_window_of_a_line_is_what_generating_it_saw(model):
    styles = styles_of(model, 1)
    context = model.context(["a bc"], None if styles is None else styles)
    events = model.events(LINES[0])
    weights = model.attention([LINES[0]], ["a bc"], styles)[0]
    assert weights.shape == (len(LINES[0]), 5)
    state, event = model.initial_state(1, context), model.start_event()[None]
    for t, row in enumerate(events):
        _, state = model.step(model.embed(event, context=context), state, context)
        phi = numpy(model._stack.window(state[-2]).weights(5))[0]
        np.testing.assert_allclose(weights[t + 1], phi, atol=1e-5)
        event = ops.convert_to_tensor(row[None].astype("float32"))


def test_the_text_is_written_when_the_window_is_past_it():
    model = published()
    context = model.context(["ab", "a"])
    state = model.initial_state(2, context)
    for kappa, expected in ((1.0, [False, False]), (2.3, [False, True]), (2.7, [True, True])):
        one = np.concatenate([np.ones((2, 6)), np.full((2, 3), kappa)], axis=1).astype("float32")
        state[-2] = ops.convert_to_tensor(one)
        stopped = numpy(model.stop(None, ops.zeros((2, 3)), state, context))
        u = np.arange(1, 4)
        phi = 3 * np.exp(-((kappa - u) ** 2))
        assert (phi[2] > phi[:2].max()) == expected[0]  # equation of section 5.3, by hand
        np.testing.assert_array_equal(stopped, expected)


def test_texts_are_written_and_end(model):
    styles = styles_of(model, 3)
    lines = model.write(TEXTS, bias=0.5, styles=styles, seed=2, longest=40)
    assert len(lines) == 3
    for line in lines:
        assert line.shape[1] == 3
        assert line[0].tolist()[:2] == [0, 0]
        assert line[-1, 2] == 1
    again = model.write(TEXTS, bias=0.5, styles=styles, seed=2, longest=40)
    assert all(np.array_equal(*pair) for pair in zip(lines, again, strict=True))
    alone = model.write(TEXTS[:1], bias=0.5, styles=styles and styles[:1], seed=2, longest=40)
    np.testing.assert_allclose(alone[0], lines[0], atol=1e-4)


def test_a_primed_line_goes_on_from_the_given_one(model):
    styles = None if not model.num_styles else 1
    primed = model.write(["b", "ca"], primed=(LINES[0], "ab"), styles=styles, seed=1, longest=10)
    assert len(primed) == 2
    assert all(len(line) <= 11 for line in primed)
    context = model.context(["ab b"], styles)
    whole = model.generate(
        10,
        context=context,
        prompt=model.events(LINES[0], whole=False),
        sampler=mx.Sampler.graves(0.0),
        seed=1,
    )[0]
    after = events_line(whole[len(model.events(LINES[0])) + 1 :])
    np.testing.assert_allclose(primed[0], after[: len(primed[0])], atol=1e-5)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("first_ends", [False, True], ids=["", "a dot first"])
def test_events_are_the_line_again(size, first_ends):
    line = a_line(6, first_ends)
    events = line_events(line, size)
    assert len(events) == 5 + first_ends
    again = events_line(events)
    if first_ends:  # the pen stays where it is
        np.testing.assert_array_equal(again[0], [0, 0, 0])
        again = again[1:]
    np.testing.assert_allclose(again, line)
    if size == 5:
        assert events[-1, 4] == 1
        assert line_events(line, 5, whole=False)[-1, 3] == 1


@pytest.mark.slow
def test_new_symbols_and_styles_leave_what_is_known(model):
    styles = model.num_styles + 1 if model.num_styles else None
    more = model.extended(Alphabet("abc á-"), styles)
    lines = [one.write(TEXTS, styles=styles_of(model, 3), seed=0, longest=20) for one in (model, more)]
    for old, new in zip(*lines, strict=True):
        np.testing.assert_allclose(new, old, atol=1e-5)
    same = [more.write([text], styles=styles and 0, seed=0, longest=20)[0] for text in ("a", "á")]
    np.testing.assert_allclose(same[0], same[1], atol=1e-5)  # begins as the letter without its accent
    with pytest.raises(ValueError, match="begin with the old one"):
        model.extended(Alphabet("bca "))


def test_saved_and_loaded_it_writes_the_same(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    styles = styles_of(model, 1)
    first, second = (one.write(["cab"], styles=styles, seed=5, longest=15)[0] for one in (model, loaded))
    np.testing.assert_array_equal(first, second)
    assert loaded.alphabet == ALPHABET


def test_what_is_not_in_the_alphabet_is_named(model):
    with pytest.raises(InputError, match=r"no 'B' \(nearest: 'b'\), '!'; it has 'abc '"):
        model.write(["aB!"], styles=styles_of(model, 1))
    with pytest.raises(InputError, match="the text is empty"):
        model.write([" "], styles=styles_of(model, 1))


def test_a_precision_is_that_of_generate(model):
    with pytest.raises(ValueError, match="precision must be one of"):
        model.write(["a"], styles=styles_of(model, 1), precision="half")


def test_prediction_knows_no_texts():
    model = Handwriting(graves(2), (4,))
    with pytest.raises(ValueError, match="only predicts"):
        model.context(["a"])
    assert model.generate(5, seed=0).events.shape == (1, 5, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": mx.Normal(2)}, "events must be"),
        ({"family": ours(2), "num_styles": 2}, "style_size"),
        ({"family": graves(2), "sees_place": True}, "sees_place"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Handwriting(**{"units": (4,), "alphabet": ALPHABET, **arguments})


def test_a_style_must_be_one_that_there_is():
    model = own()
    for styles, message in ((None, "must be given"), (2, "below 2")):
        with pytest.raises(ValueError, match=message):
            model.write(["a"], styles=styles)
    with pytest.raises(ValueError, match="not be given"):
        published().write(["a"], styles=0)
