import keras
import numpy as np
import pytest

from mixtura.data.sequences import Sequences
from mixtura.errors import InputError
from mixtura.systems.robojam.heads import head, network
from mixtura.systems.robojam.responding import (
    LONGEST,
    Responder,
    perform,
    prepared,
    whole,
    within,
)

CALL = np.array([[0.0, 0.5, 0.0, 0.0], [0.1, 0.5, 0.02, 1.0], [1.0, 1.0, 0.4, 0.0]])


@pytest.fixture(scope="module")
def responder():
    keras.utils.set_random_seed(0)
    return Responder(network(head("touch, change", 2), (4,)))


def test_answers_last_so_long_and_no_longer(responder):
    answers = responder.respond(CALL, count=2, duration=1.5, seed=0)
    for answer in answers:
        assert answer[:, 2].sum() <= 1.5
        assert len(answer) <= LONGEST
        assert answer[0, 3] == 0
    longer = responder.respond(CALL, count=2, duration=3.0, seed=0)
    for short, long in zip(answers, longer, strict=True):
        assert len(short) < len(long)
        np.testing.assert_allclose(long[: len(short)], short)


def test_answers_depend_on_their_seed_and_number_alone(responder):
    several = responder.respond(CALL, count=2, duration=0.5, seed=3)
    alone = responder.respond(CALL, count=1, duration=0.5, seed=3)
    np.testing.assert_allclose(several[0], alone[0], atol=1e-5)
    assert len(several) == 2
    assert not np.array_equal(several[0][:2], several[1][:2])
    other = responder.respond(CALL, duration=0.5, seed=4)
    assert not np.array_equal(other[0][:2], alone[0][:2])


def test_answers_are_what_the_model_goes_on_with(responder):
    answer = responder.respond(CALL, duration=0.5, seed=7)[0]
    heard = prepared(Sequences.of([CALL]))[0]
    drawn = responder.model.generate(len(answer), prompt=heard, seed=7)[0][len(heard) :]
    np.testing.assert_allclose(answer[:, :3], drawn[:, :3], atol=1e-6)
    np.testing.assert_array_equal(answer[1:, 3], drawn[1:, 3])


def test_performances_keep_their_prompt(responder):
    prompts = [CALL[1:], CALL[1:2]]
    performances = perform(responder.model, 0.5, prompt=prompts, seed=0)
    for one, prompt in zip(performances, prompts, strict=True):
        np.testing.assert_allclose(one[: len(prompt)], prompt, atol=1e-6)
        assert one[len(prompt) :, 2].sum() <= 0.5


def test_one_touch_is_kept_however_late_it_comes():
    late = np.array([[0.5, 1.2, 9.0, 0.0], [0.5, 0.5, 7.0, 0.0]])
    np.testing.assert_array_equal(within(late, 5.0), [[0.5, 1.0, 0.0, 0.0]])  # the first begins
    np.testing.assert_array_equal(within(late, 5.0, start=1), [[0.5, 1.0, 9.0, 0.0], [0.5, 0.5, 5.0, 0.0]])


def test_what_a_gaussian_head_draws_is_moved_to_where_a_screen_is():
    odd = np.array([[-0.1, 0.5, -0.2, 1.0], [0.4, 1.7, 0.5, 0.6]], "float32")
    kept = within(odd, 5.0)
    np.testing.assert_allclose(kept[:, :3], [[0.0, 0.5, 0.0], [0.4, 1.0, 0.5]], atol=1e-7)
    np.testing.assert_array_equal(whole(kept)[:, 3], [0, 1])
    np.testing.assert_array_equal(whole(kept[:, :3])[:, 3], [0, 0])  # 0.5 s is a new touch


def test_a_model_without_moving_answers_by_the_rule_of_thumb():
    responder = Responder(network(head("2021", 2), (4,)))
    answer = responder.respond(CALL, duration=0.5, seed=0)[0]
    np.testing.assert_array_equal(answer[1:, 3], answer[1:, 2] <= 0.1)


def test_mistakes_are_one_sentence(responder):
    for message, arguments in {
        "The call is empty": (CALL[:0],),
        r"The call has the shape \(3, 3\); expected \(touches, 4\), of x, y, dt, moving": (CALL[:, :3],),
        "The call has 1001 touches; expected at most 1000": (np.repeat(CALL[1:2], 1001, axis=0),),
        "The number of answers must be 1 or more; received 0": (CALL, 0),
        "The duration must be a positive number of seconds; received -1": (CALL, 1, -1),
    }.items():
        with pytest.raises(InputError, match=message):
            responder.respond(*arguments)
    import mixtura as mx

    with pytest.raises(InputError, match="events of 9 dimensions; expected those of touches"):
        Responder(mx.MDNRNN(mx.Mixture(mx.Normal(9), 1), (2,)))
