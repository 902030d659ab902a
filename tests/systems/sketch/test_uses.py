import numpy as np
import pytest
from keras import ops

import mixtura as mx
from mixtura.data.strokes import to_stroke5
from mixtura.errors import InputError
from mixtura.models.sketch_rnn import SketchRNN
from mixtura.systems import runs
from mixtura.systems.sketch import uses

pytestmark = pytest.mark.slow  # the commands, which use all of this, are tested quickly
LONGEST = 24


@pytest.fixture(scope="module")
def drawn(drawings):
    return list(drawings)


@pytest.fixture(scope="module")
def model(run):
    """Return a model with a latent vector and classes."""
    return runs.opened(run)[1]


@pytest.fixture(scope="module")
def decoder():
    """Return a decoder alone, of drawings that end with an event of their own."""
    offset = mx.Affine(mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), 2), 0.0, 20.0)
    model = SketchRNN(mx.Joint(offset=offset, pen=mx.Categorical(3)), (6,), closing=True, seed=3)
    kernel, bias = model.head.get_weights()
    bias[-1] = -2.0  # a drawing ends seldom
    model.head.set_weights([kernel, bias])
    return model


def assert_same(these, those, atol=1e-3):
    assert len(these) == len(those)
    for one, other in zip(these, those, strict=True):
        np.testing.assert_allclose(one, other, atol=atol)


def flat(copies):
    return [one for of_one in copies for one in of_one]


# ---------------------------------------------------------------------- between vectors


def test_slerp_and_lerp_start_and_end_at_the_vectors():
    a, b = np.random.default_rng(0).normal(size=(2, 7))
    for path in (uses.slerp, uses.lerp):
        np.testing.assert_allclose(path(a, b, [0.0, 1.0]), [a, b], atol=1e-12)
    np.testing.assert_allclose(uses.lerp(a, b, 0.25), 0.75 * a + 0.25 * b)


def test_slerp_keeps_length_and_goes_by_even_angles():
    rng = np.random.default_rng(1)
    a, b = (3 * v / np.linalg.norm(v) for v in rng.normal(size=(2, 5)))
    way = uses.slerp(a, b, np.linspace(0, 1, 6))
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), 3)
    angles = np.arccos((way[1:] * way[:-1]).sum(axis=1) / 9)
    np.testing.assert_allclose(angles, np.arccos(a @ b / 9) / 5)
    assert np.linalg.norm(uses.lerp(a, b, 0.5)) < 2.99


@pytest.mark.parametrize("factor", [2.0, -1.0, 0.0])
def test_slerp_of_vectors_without_an_arc_is_lerp(factor):
    a = np.array([1.0, 2.0, -0.5])
    np.testing.assert_allclose(uses.slerp(a, factor * a, [0.3]), uses.lerp(a, factor * a, [0.3]))


# ---------------------------------------------------------------------- copies


def test_copies_depend_on_the_drawing_its_class_and_the_seed(model, drawn):
    settings = {"seed": 1, "longest": LONGEST}
    copies = uses.reconstruct(model, drawn[:3], [0, 1, 2], count=2, **settings)
    assert [len(of_one) for of_one in copies] == [2, 2, 2]
    alone = uses.reconstruct(model, drawn[2:3], [2], **settings)
    assert_same(alone[0], copies[2][:1])
    # As `SketchRNN.draw` draws from the mean of q.
    context = model.context(model.encode(drawn[2:3])[0], [2])
    seed = np.random.SeedSequence(1).generate_state(1) >> np.uint32(1)
    assert_same(model.draw(None, LONGEST, context=context, seed=seed), alone[0])
    assert any(not np.array_equal(*of_one) for of_one in copies)
    for one in flat(copies):
        assert len(one) <= LONGEST
        assert one[-1, 2] == 1


@pytest.mark.parametrize("how", ["slerp", "lerp"])
def test_the_ends_of_an_interpolation_are_copies(model, drawn, how):
    settings = {"seed": 5, "temperature": 0.5, "longest": LONGEST}
    between = uses.interpolate(model, drawn[0], drawn[1], 4, [0, 1], how=how, **settings)
    copies = uses.reconstruct(model, drawn[:2], [0, 1], **settings)
    assert len(between) == 4
    assert_same([between[0], between[-1]], flat(copies))


def test_between_two_classes_their_vectors_are_mixed(model, drawn):
    context = uses.encoded(model, drawn[:2], [0, 1], "")
    halfway = uses._between(model, *context, np.array([0.5]), "slerp")[0]
    z, vectors = np.split(context, [model.latent_size], axis=1)
    np.testing.assert_allclose(halfway[model.latent_size :], vectors.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(halfway[: model.latent_size], uses.slerp(*z, 0.5), atol=1e-6)


def test_the_corners_of_a_grid_are_copies_and_its_sides_interpolations(model, drawn):
    settings = {"seed": 2, "longest": LONGEST}
    found = uses.grid(model, drawn[:4], 3, [0, 1, 2, 0], how="lerp", **settings)
    assert len(found) == 9
    copies = flat(uses.reconstruct(model, drawn[:4], [0, 1, 2, 0], **settings))
    assert_same([found[place] for place in (0, 2, 6, 8)], copies)
    assert_same(found[6:], uses.interpolate(model, *drawn[2:4], 3, [2, 0], how="lerp", **settings))
    middle = uses.encoded(model, drawn[:4], [0, 1, 2, 0], "").mean(axis=0)[None]
    assert_same([found[4]], uses._decoded(model, middle, uses.split_seed(2, 1), None, LONGEST))


def test_a_sum_of_one_is_a_copy(model, drawn):
    settings = {"seed": 3, "longest": LONGEST, "count": 2}
    copies = uses.reconstruct(model, drawn[1:2], [1], **settings)[0]
    assert_same(uses.combine(model, [drawn[1]], [], [1], **settings), copies)
    # Another drawing and its class, once added and once taken away, change nothing.
    assert_same(uses.combine(model, [drawn[1], drawn[2]], [drawn[2]], [1, 2, 2], **settings), copies)


# ---------------------------------------------------------------------- completions


def log_likelihood(model, drawing, begun, context):
    """Add up log p of events after the first `begun`, a step at a time."""
    events, total = to_stroke5(drawing, closing=model.closing), 0.0
    before, state = model.start_event()[None], model.initial_state(1, context)
    for number, event in enumerate(events):
        params, state = model.step(model.embed(before, None, context), state, context)
        if number >= begun:
            params = ops.convert_to_numpy(params)[0].astype(float)
            if model.closing and event[4]:  # its offset does not count
                total += params[-1] - np.logaddexp.reduce(params[-3:])
            else:
                total += model.family.log_prob(params, event)
        before = np.asarray(event, "float32")[None]
    return float(total)


@pytest.mark.slow
def test_completions_begin_with_what_was_begun_and_the_best_come_first(model, decoder, drawn):
    for one, label in ((model, 2), (decoder, None)):
        begun = drawn[2][:3]
        found = uses.complete(one, begun, 6, label, candidates=6, seed=4, longest=LONGEST)
        context = None
        if label is not None:
            seen = np.array([*begun[:2], [*begun[2, :2], 1]])
            context = one.context(one.encode([seen])[0], [label])
        for drawing, nats, added, score in zip(*found, strict=True):
            if added:
                np.testing.assert_array_equal(drawing[:3], begun)
            assert len(drawing) == 3 + added
            np.testing.assert_allclose(nats, log_likelihood(one, drawing, 3, context), rtol=1e-4)
            np.testing.assert_allclose(score, nats / added**0.75 if added else -np.inf)
        assert (np.diff(found.score) <= 0).all()
        assert len(set(found.added.tolist())) > 1


def test_the_best_of_more_candidates_are_kept(decoder, drawn):
    settings = {"seed": 4, "longest": LONGEST}
    best = uses.complete(decoder, drawn[0][:2], 2, candidates=12, **settings)
    everything = uses.complete(decoder, drawn[0][:2], 12, candidates=12, **settings)
    assert_same(best.drawings, everything.drawings[:2], atol=0)
    few = uses.complete(decoder, drawn[0][:2], 3, candidates=3, **settings)
    assert few.score[0] <= best.score[0]


def test_ranks_are_by_the_sum_the_mean_or_between(decoder, drawn):
    settings = {"candidates": 12, "seed": 4, "longest": LONGEST}
    by_sum = uses.complete(decoder, drawn[0][:2], 12, power=0, **settings)
    by_mean = uses.complete(decoder, drawn[0][:2], 12, power=1, **settings)
    np.testing.assert_allclose(by_sum.log_prob, np.sort(by_mean.log_prob)[::-1])
    np.testing.assert_allclose(by_mean.score, np.sort(by_sum.log_prob / by_sum.added)[::-1])


def test_what_adds_no_point_comes_last(decoder, drawn):
    kernel, bias = decoder.head.get_weights()
    decoder.head.set_weights([kernel, bias + 4.0 * (np.arange(len(bias)) == len(bias) - 1)])
    try:
        found = uses.complete(decoder, drawn[0][:2], 12, candidates=12, seed=4, longest=LONGEST)
    finally:
        decoder.head.set_weights([kernel, bias])
    ended = found.added == 0
    assert 0 < ended.sum() < 12
    assert (np.diff(ended.astype(int)) >= 0).all()
    assert (found.score[ended] == -np.inf).all()
    assert found.log_prob[ended].min() > found.log_prob[~ended].max()


# ---------------------------------------------------------------------- temperatures


def test_columns_have_the_same_random_numbers_at_all_temperatures(model, decoder):
    for one, labels in ((model, [0, 1, 2]), (decoder, None)):
        settings = {"seed": 6, "longest": LONGEST}
        rows = uses.temperatures(one, [0.0, 1.0, 1.0], 3, labels, **settings)
        assert_same(rows[1], rows[2], atol=0)
        assert any(len(a) != len(b) or not np.array_equal(a, b) for a, b in zip(*rows[:2], strict=True))
        (alone,) = uses.temperatures(one, [1.0], 3, labels, **settings)
        assert_same(alone, rows[1], atol=0)
    still = uses.temperatures(decoder, [0.0], 3, **settings)[0]
    assert_same(still[:1] * 3, still)  # without chance nor z all are one


# ---------------------------------------------------------------------- what does not fit


def test_a_decoder_alone_says_what_it_cannot_do(decoder, drawn):
    for call, what in (
        (lambda: uses.reconstruct(decoder, drawn[:1]), "copy drawings"),
        (lambda: uses.interpolate(decoder, *drawn[:2]), "interpolate"),
        (lambda: uses.combine(decoder, drawn[:1]), "add drawings up"),
    ):
        with pytest.raises(InputError, match=f"has no latent vector and cannot {what}; it can generate"):
            call()


def test_arguments_that_do_not_fit_are_refused(model, decoder, drawn):
    broken = drawn[0].copy()
    broken[1, 0] = np.nan
    for call, message in (
        (lambda: uses.reconstruct(model, [], []), "one drawing at least"),
        (lambda: uses.reconstruct(model, [drawn[0], broken], [0, 0]), "drawing 2, point 2: dx is nan"),
        (lambda: uses.reconstruct(model, drawn[:1]), "labels must be given"),
        (lambda: uses.reconstruct(model, drawn[:1], [3]), "labels must be below 3"),
        (lambda: uses.interpolate(model, *drawn[:2], 1, [0, 1]), "steps must be 2 at least"),
        (lambda: uses.interpolate(model, *drawn[:2], 2, [0, 1], how="jump"), "how must be one of 'slerp'"),
        (lambda: uses.grid(model, drawn[:3], 2, [0, 1, 2]), "corners must be four"),
        (lambda: uses.combine(model, [], drawn[:1], [0]), "plus must have one"),
        (lambda: uses.complete(decoder, drawn[0], 1, longest=6), "at most 5"),
        (lambda: uses.complete(decoder, drawn[0], 3, candidates=2), "candidates must be 3 at least"),
        (lambda: uses.complete(decoder, drawn[0], 3, label=0), "labels must not be given"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
