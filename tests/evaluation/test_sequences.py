import keras
import numpy as np
import pytest
from keras import ops

import mixtura as mx
from mixtura.data.sequences import Sequences
from mixtura.errors import InputError
from mixtura.evaluation import sequences as module
from mixtura.evaluation.sequences import predictions, score_sequences
from mixtura.scores import dequantised_nll

OFFSET = mx.Affine(mx.Mixture(mx.Normal(2, min_scale=0.1), 2), [1.0, 2.0], [2.0, 3.0])
FAMILY = mx.Joint(offset=OFFSET, end=mx.Bernoulli())


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return mx.MDNRNN(FAMILY, units=(4,))


@pytest.fixture(scope="module")
def recorded():
    rng = np.random.default_rng(0)
    return Sequences.of(
        [
            np.concatenate([rng.integers(-3, 6, (n, 2)), rng.integers(0, 2, (n, 1))], axis=1)
            for n in (3, 40, 9, 2)
        ]
    )


def distributions(model, events):
    return FAMILY(ops.convert_to_numpy(model(events[None].astype("float32")))[0])


@pytest.mark.slow
def test_scores_are_those_of_each_sequence_alone(model, recorded):
    scores = score_sequences(model, recorded)
    for number, events in enumerate(recorded):
        p = distributions(model, events)
        np.testing.assert_allclose(scores.raw_nll[number], -p.log_prob(events).sum(), rtol=1e-5)
    assert scores.counts.tolist() == recorded.lengths.tolist()
    alone = score_sequences(model, recorded[1:2], seed=0)
    np.testing.assert_allclose(alone.raw_nll[0], scores.raw_nll[1], rtol=1e-5)


def test_long_sequences_go_through_in_pieces(model, recorded, monkeypatch):
    whole = dict(predictions(model, recorded))
    monkeypatch.setattr(module, "STEPS", 8)
    monkeypatch.setattr(module, "ROWS", 2)
    for number, params in predictions(model, recorded):
        np.testing.assert_allclose(params, whole[number], atol=1e-5)


@pytest.mark.slow
def test_dimensions_are_scored_with_the_others_integrated_out(model, recorded):
    weights = [np.arange(len(one)) > 0 for one in recorded]
    scores = score_sequences(model, recorded, weights=weights, dims=[1, 2])
    assert scores.recording_step == (1.0, 0.0)
    assert scores.counts.tolist() == (recorded.lengths - 1).tolist()
    for number, events in enumerate(recorded):
        p = distributions(model, events)
        surprise = p["offset"].marginal(1).log_prob(events[:, 1:2]) + p["end"].log_prob(events[:, 2:])
        np.testing.assert_allclose(scores.raw_nll[number], -surprise[1:].sum(), rtol=1e-5)


def test_values_recorded_in_steps_are_dequantised_and_discrete_parts_are_not(model, recorded):
    scores = score_sequences(model, recorded, draws=64)
    assert scores.recording_step == (1.0, 1.0, 0.0)
    events = recorded[1]
    p = distributions(model, events)
    expected = dequantised_nll(p["offset"], events[:, :2], 1.0, draws=4000) * len(events)
    # The noise of 64 draws and 40 steps, against that of many more.
    assert abs(scores.parts["offset"][1] - expected) < 0.5
    np.testing.assert_allclose(scores.parts["end"][1], -p["end"].log_prob(events[:, 2:]).sum(), rtol=1e-5)
    np.testing.assert_allclose(scores.nll, scores.parts["offset"] + scores.parts["end"])
    assert [len(one) for one in scores.surprise] == recorded.lengths.tolist()
    np.testing.assert_allclose([one.sum() for one in scores.surprise], scores.nll)
    continuous = score_sequences(model, recorded, step=0.0)
    np.testing.assert_allclose(continuous.nll, continuous.raw_nll)


def test_the_same_noise_for_the_same_seed_and_place(model, recorded):
    first, again, other = (score_sequences(model, recorded, seed=seed) for seed in (3, 3, 4))
    assert first.nll.tolist() == again.nll.tolist() != other.nll.tolist()


def test_what_is_reported(model, recorded):
    found = score_sequences(model, recorded).to_dict()
    assert (found["sequences"], found["steps"]) == (4, 54)
    assert found["min_scale"] == [0.2, pytest.approx(0.3), 0.0]
    np.testing.assert_allclose(found["nll_per_sequence"] * 4, found["nll_per_step"] * 54)
    np.testing.assert_allclose(sum(found["nll_per_part"].values()), found["nll_per_step"])
    one = score_sequences(model, recorded[:1]).to_dict()
    assert one["standard_error"] is None
    assert one["bits_per_step"] is None


def test_the_standard_error_is_that_of_a_ratio():
    rng = np.random.default_rng(1)
    counts = rng.integers(5, 50, 4000)
    nll = counts * rng.normal(2.0, 0.3, 4000)
    scores = module.SequenceScores(nll, nll, {}, counts, (0.0,), (0.0,), False, 8, 0)
    picks = rng.integers(0, 4000, (500, 4000))
    bootstrap = (nll[picks].sum(axis=1) / counts[picks].sum(axis=1)).std()
    np.testing.assert_allclose(scores.standard_error, bootstrap, rtol=0.12)


def test_given_steps_are_not_scored(model, recorded):
    weights = [np.r_[0, np.ones(length - 1)] for length in recorded.lengths]
    scores = score_sequences(model, recorded, step=0.0, weights=weights)
    p = distributions(model, recorded[0])
    np.testing.assert_allclose(scores.nll[0], -p.log_prob(recorded[0])[1:].sum(), rtol=1e-5)
    assert scores.counts.tolist() == (recorded.lengths - 1).tolist()


@pytest.mark.slow
def test_inputs_and_context_reach_the_model():
    model = mx.MDNRNN(mx.Normal(1), units=(3,), inputs_size=2, context_size=1)
    rng = np.random.default_rng(0)
    events = [rng.normal(size=(n, 1)) for n in (4, 6, 5)]
    inputs, context = [rng.normal(size=(len(y), 2)) for y in events], rng.normal(size=(3, 1))
    for number, params in predictions(model, events, inputs=inputs, context=context):
        alone = model(events[number][None], inputs[number][None], context[number : number + 1])
        np.testing.assert_allclose(params, ops.convert_to_numpy(alone)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([np.zeros((3, 2))], "dimension"),
        ([np.full((3, 3), np.nan)], "nan"),
        ([np.zeros((0, 3))], "empty|no steps|0 steps"),
    ],
)
def test_bad_sequences(model, sequences, message):
    with pytest.raises(InputError, match=message):
        score_sequences(model, sequences)
