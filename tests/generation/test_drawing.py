"""What is drawn: the same for the same seed, whatever the batch, the lengths and the pieces."""

import numpy as np
import pytest
from keras import ops

import mixtura as mx
from mixtura.generation import drawing

INPUTS = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
CONTEXT = np.array([[0.7]], "float32")


def test_a_sequence_depends_on_its_seed_alone(model, close):
    alone = model.generate(50, seed=7)
    assert alone.events.shape == (1, 50, 2)
    assert alone.events.dtype == np.float32
    for batch_size in (3, 64):
        together = model.generate(50, seed=7, batch_size=batch_size)
        close(together.events[0], alone.events[0])
        assert len(np.unique(together.events[:, 0, 0])) == batch_size
    listed = model.generate(50, seed=[9, 7, 9])
    close(listed.events[1], alone.events[0])
    close(listed.events[0], listed.events[2])
    np.testing.assert_array_equal(listed.lengths, 50)
    assert not listed.ended.any()
    assert len(listed) == 3
    assert listed[1].shape == (50, 2)


def test_without_a_seed_it_is_another_one_each_time(model):
    first, second = (model.generate(20).events for _ in range(2))
    assert (first != second).all()


def test_less_is_the_beginning_of_more(model, close):
    more = model.generate(50, seed=7).events
    for steps in (1, 20):
        close(model.generate(steps, seed=7).events, more[:, :steps])


def test_what_was_drawn_has_the_probability_that_the_model_gives_it(model, close):
    """Teacher forcing on what was drawn ends in the same state."""
    drawn = model.generate(50, seed=7)
    close(model.unroll(drawn.events)[1], drawn.state)


# Prompts.


def test_a_prompt_is_kept_and_gone_on_from(model, close):
    whole = model.generate(20, seed=7).events
    prompted = model.generate(12, seed=7, prompt=whole[0, :8])
    np.testing.assert_array_equal(prompted.events[0, :8], whole[0, :8])
    close(prompted.events, whole)
    other = model.generate(12, seed=7, prompt=whole[0, :8] + 1)
    np.testing.assert_array_equal(other.events[0, :8], whole[0, :8] + 1)
    assert (np.abs(other.events[0, 8:] - whole[0, 8:]) > 1e-4).any()


def test_prompts_of_different_lengths(model, close):
    whole = model.generate(16, seed=[1, 2, 3]).events
    prompts = [whole[0, :2], whole[1, :5], np.zeros((0, 2))]
    drawn = model.generate(10, prompt=prompts, seed=[1, 2, 3])
    np.testing.assert_array_equal(drawn.lengths, [12, 15, 10])
    np.testing.assert_array_equal(drawn.taken, drawn.lengths)
    assert not drawn.ended.any()
    for row, length in enumerate(drawn.lengths):
        close(drawn[row], whole[row, :length])
        np.testing.assert_array_equal(drawn.events[row, length:], 0)
    # Nothing has moved on beyond a sequence's end.
    more = model.generate(1, after=drawn, seed=[1, 2, 3])
    close(more.events[:, 0], np.stack([whole[0, 12], whole[1, 15], whole[2, 10]]))
    np.testing.assert_array_equal(more.taken, drawn.lengths + 1)


def test_one_prompt_for_all(model):
    prompt = np.ones((4, 2), "float32")
    shared = model.generate(10, prompt=prompt, seed=[1, 2, 3]).events
    assert (shared[:, :4] == 1).all()
    np.testing.assert_array_equal(
        model.generate(10, prompt=np.stack([prompt] * 3), seed=[1, 2, 3]).events, shared
    )
    np.testing.assert_array_equal(model.generate(10, prompt=prompt.tolist(), seed=[1, 2, 3]).events, shared)


# Going on.


def test_sequences_are_gone_on_with(driven, close):
    settings = {"context": CONTEXT, "seed": 3}
    whole = driven.generate(30, inputs=INPUTS, **settings)
    first = driven.generate(12, inputs=INPUTS, **settings)
    second = driven.generate(18, inputs=INPUTS[12:], after=first, **settings)
    close(np.concatenate([first.events, second.events], axis=1), whole.events)
    close(second.state, whole.state)
    np.testing.assert_array_equal([second.lengths, second.taken], [[18], [30]])
    # A prompt may come after something drawn.
    third = driven.generate(8, inputs=INPUTS[12:], after=first, prompt=second.events[0, :10], **settings)
    close(third.events, second.events)


def test_the_tape_is_made_in_pieces(model, driven, monkeypatch, close):
    settings = {"prompt": [np.ones((9, 2)), np.ones((2, 2))], "seed": [1, 2]}
    whole = model.generate(20, **settings)
    monkeypatch.setattr(drawing, "TAPE", 50)  # 6 numbers a step: pieces of 8 steps
    pieces = model.generate(20, **settings)
    close(pieces.events, whole.events)
    close(pieces.state, whole.state)
    np.testing.assert_array_equal(pieces.lengths, whole.lengths)


# Inputs and policies.


def test_inputs_and_context_enter_at_their_steps(driven, close):
    drawn = driven.generate(
        20, inputs=np.stack([INPUTS[:20], -INPUTS[:20]]), context=[[0.7], [-0.2]], seed=[3, 3]
    )
    for row, (inputs, context) in enumerate(((INPUTS, 0.7), (-INPUTS, -0.2))):
        alone = driven.generate(20, inputs=inputs, context=[[context]], seed=3)
        close(drawn.events[row], alone.events[0])
        state = driven.unroll(alone.events, inputs[None, :20], np.array([[context]], "float32"))[1]
        close(state, alone.state)


def test_a_policy_chooses_inputs_from_what_it_sees(driven, close):
    def policy(event, state):
        return ops.tanh(event[:, :2] + state[0][:, :2])

    drawn = driven.generate(20, policy=policy, context=CONTEXT, seed=3)
    event, state = driven.start_event()[None], driven.initial_state(1)
    chosen = []
    for t in range(4):
        chosen.append(ops.convert_to_numpy(policy(event, state))[0])
        _, state = driven.step(driven.embed(event, chosen[-1][None], CONTEXT), state)
        event = ops.convert_to_tensor(drawn.events[:, t])
    close(driven.generate(4, inputs=np.stack(chosen), context=CONTEXT, seed=3).events, drawn.events[:, :4])


# Streams.


def test_a_stream_is_what_generate_draws(model, driven, ending, close):
    whole = model.generate(20, seed=7).events[0]
    close(np.stack(list(model.stream(12, seed=7))), whole[:12])
    close(np.stack(list(model.stream(12, seed=7, prompt=whole[:8]))), whole[8:])
    settings = {"inputs": INPUTS[:20], "context": CONTEXT, "seed": 3}
    close(np.stack(list(driven.stream(**settings))), driven.generate(20, **settings).events[0])
    ended = ending.generate(20, seed=[7])
    assert 2 < ended.lengths[0] < 20
    close(np.stack(list(ending.stream(seed=[7]))), ended[0])
    assert list(ending.stream(5, seed=[7], after=ended)) == []


# Samplers.


def test_greedy_is_the_path_of_the_likeliest_centres(model, close):
    settings = {"prompt": np.linspace([[-3, -4]], [[5, -2]], 8), "sampler": mx.Sampler.greedy()}
    drawn = model.generate(20, seed=1, **settings).events
    close(model.generate(20, seed=2, **settings).events, drawn)
    p = model.family(ops.convert_to_numpy(model(drawn)))
    likeliest = p.weights.argmax(axis=-1)[..., None, None]
    assert len(np.unique(likeliest)) > 1
    close(np.take_along_axis(p.means, likeliest, axis=-2)[:, 1:, 0], drawn[:, 1:])


def test_parts_have_samplers_of_their_own(driven, close):
    settings = {"inputs": INPUTS, "context": CONTEXT, "seed": 3}
    plain = driven.generate(20, **settings).events
    params = ops.convert_to_numpy(driven(plain, INPUTS[None, :20], CONTEXT))
    greedy = mx.Sampler.greedy()
    mixed = driven.generate(1, sampler={"pen": greedy}, **settings).events
    close(mixed[0, 0, :2], plain[0, 0, :2])
    assert mixed[0, 0, 2] == (driven.family(params)["pen"].mean()[0, 0, 0] > 0.5)
    mixed = driven.generate(1, sampler={"pen": greedy, "place": greedy}, **settings).events
    close(mixed, driven.generate(1, sampler=greedy, **settings).events)
    close(driven.generate(20, sampler={}, **settings).events, plain)
    close(
        driven.generate(20, temperature=0.5, **settings).events,
        driven.generate(20, sampler=mx.Sampler.sketch_rnn(0.5), **settings).events,
    )


@pytest.mark.slow
def test_a_joint_within_a_joint_too():
    inner = mx.Joint(a=mx.Normal(1), b=mx.Normal(1))
    model = mx.MDNRNN(mx.Joint(c=mx.Normal(1), pair=inner), (2,))
    p = model.family(ops.convert_to_numpy(model(np.zeros((1, 1, 3)))))
    drawn = model.generate(1, seed=1, sampler={"pair": {"b": mx.Sampler.greedy()}}).events
    is_mean = np.isclose(drawn, p.mean(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(is_mean, [[[False, False, True]]])


# Mistakes.


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps must be a positive integer; received 0"),
        ({"steps": 1.5}, ValueError, "steps must be a positive integer; received 1.5"),
        ({"seed": -1}, ValueError, "seed must be 0 or more; received -1"),
        ({"seed": [1, -2]}, ValueError, "seed must be 0 or more; received -2"),
        ({"seed": 1.5}, TypeError, "seed must be an integer, one for each sequence, or None; received 1.5"),
        ({"seed": ["a"]}, TypeError, "seed must be an integer, one for each sequence, or None; received 'a'"),
        ({"seed": []}, ValueError, "batch_size must be a positive integer; received 0"),
        ({"batch_size": 2.5}, ValueError, "batch_size must be a positive integer; received 2.5"),
        ({"batch_size": 2, "seed": [1]}, ValueError, "equally many sequences; received batch_size 2, seed 1"),
        ({"prompt": np.ones((3, 3))}, ValueError, r"a prompt must be \(length, 2\) for .*shape \(3, 3\)$"),
        (
            {"prompt": [np.ones((3, 2)), np.ones((3, 1))]},
            ValueError,
            r"received shape \(3, 1\) for sequence 1",
        ),
        ({"prompt": [1.0, 2.0]}, ValueError, r"a prompt must be .* received shape \(2,\)$"),
        ({"prompt": [[0, 0], [0, np.nan]]}, ValueError, "a prompt must be finite; received nan at step 1"),
        ({"inputs": np.ones(3)}, ValueError, r"inputs must be \(batch, steps, size\) or .* received \(3,\)"),
        ({"inputs": INPUTS[:2]}, ValueError, "inputs must have a row for each of 3 steps.* received 2"),
        ({"inputs": INPUTS, "policy": abs}, ValueError, "give inputs or a policy .*, not both"),
        ({"policy": 5}, TypeError, "policy must be callable; received 5"),
        (
            {"precision": "half"},
            ValueError,
            "precision must be one of 'float32', 'bfloat16'; received 'half'",
        ),
        ({"stop": 5}, TypeError, "stop must be a Stop; received 5"),
        ({"after": 5}, TypeError, "after must be a Generated; received 5"),
        ({"sampler": 5}, TypeError, "sampler must be a mixtura Sampler"),
        ({"sampler": {"pen": mx.Sampler()}}, TypeError, "a mapping of samplers is for the parts of a Joint"),
        ({"sampler": mx.Sampler(), "temperature": 1}, ValueError, "give sampler or temperature, not both"),
        ({"temperature": -1}, ValueError, "tau must be a finite number, 0 or more; received -1"),
    ],
)
def test_mistakes_are_named_before_anything_runs(model, settings, error, message):
    steps = settings.get("steps", 3)
    given = {key: value for key, value in settings.items() if key != "steps"}
    with pytest.raises(error, match=message):
        model.generate(steps, **given)
    with pytest.raises(error, match=message):
        model.stream(steps, **given)  # at the call, not at the first event


def test_other_mistakes_are_named(model, driven):
    with pytest.raises(ValueError, match="sampler names the part 'ink'; the parts are place, pen"):
        driven.generate(3, sampler={"ink": mx.Sampler()})
    with pytest.raises(TypeError, match="stream takes the settings of generate; received speed"):
        model.stream(3, speed=1)
    with pytest.raises(ValueError, match="stream draws one sequence; received 2"):
        model.stream(3, seed=[1, 2])
    drawn = model.generate(20, seed=7)
    with pytest.raises(ValueError, match="equally many sequences; received batch_size 2, after 1"):
        model.generate(3, after=drawn, batch_size=2)
