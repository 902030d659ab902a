from collections import Counter, defaultdict

import numpy as np
import pytest

from mixtura.systems.characters.ngram import KneserNey

RNG = np.random.default_rng(0)
VOCABULARY = 4
CHAIN = RNG.dirichlet([0.5] * VOCABULARY, size=(VOCABULARY, VOCABULARY))


def drawn(length):
    sequence = [0, 1]
    while len(sequence) < length:
        sequence.append(RNG.choice(VOCABULARY, p=CHAIN[sequence[-2], sequence[-1]]))
    return np.array(sequence)


TRAINING, VALIDATION = [drawn(60), drawn(25)], [drawn(50)]


def by_the_book(training, discounts, order, context, symbol):
    """Chen & Goodman's recursion, symbol by symbol."""
    counts = [defaultdict(Counter) for _ in range(order)]
    padded = [(VOCABULARY,) * (order - 1) + tuple(sequence.tolist()) for sequence in training]
    grams = Counter(one[end - order : end] for one in padded for end in range(order, len(one) + 1))
    for gram, count in grams.items():
        counts[order - 1][gram[:-1]][gram[-1]] = count
    for size in range(order - 1, 0, -1):
        for gram in {gram[order - size - 1 :] for gram in grams}:
            counts[size - 1][gram[1:-1]][gram[-1]] += 1

    def p(size, context):
        if size == 0:
            return 1 / VOCABULARY
        own = counts[size - 1][tuple(context)]
        if not own:
            return p(size - 1, context[1:])
        taken = [discounts[size - 1][min(count, 3) - 1] for count in own.values()]
        kept = max(own[symbol] - discounts[size - 1][min(own[symbol], 3) - 1], 0) if own[symbol] else 0
        return (kept + sum(taken) * p(size - 1, context[1:])) / sum(own.values())

    return p(order, context)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_is_the_recursion_of_the_paper(order):
    model = KneserNey(TRAINING, VALIDATION, VOCABULARY, order)
    sequence = VALIDATION[0][:12]
    padded = [VOCABULARY] * (order - 1) + sequence.tolist()
    wanted = [
        by_the_book(TRAINING, model.discounts, order, tuple(padded[end - order + 1 : end]), padded[end])
        for end in range(order - 1, len(padded))
    ]
    np.testing.assert_allclose(np.exp(-model.nll(sequence)), wanted, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 3])
def test_probabilities_add_up_to_one(order):
    model = KneserNey(TRAINING, VALIDATION, VOCABULARY + 1, order)  # one symbol that never occurs
    for context in ([], [0], [2, 3, 1], [4, 4], [1, 4]):
        each = [model.nll(np.array([*context, symbol]))[-1] for symbol in range(VOCABULARY + 1)]
        assert np.exp(-np.array(each)).sum() == pytest.approx(1.0, abs=1e-12)


def test_discounts_are_fitted_to_the_validation_sequences():
    model = KneserNey(TRAINING, VALIDATION, VOCABULARY, 3)
    best = model.nll(VALIDATION[0]).mean()
    assert ((model.discounts > 0) & (model.discounts < [1, 2, 3])).all()
    found = model.discounts
    for place in np.ndindex(3, 3):
        for change in (0.95, 1.05):
            model.discounts = found.copy()
            model.discounts[place] = np.minimum(found[place] * change, place[1] + 0.99)
            assert model.nll(VALIDATION[0]).mean() >= best - 1e-5


def test_more_context_predicts_better():
    training, validation, test = [drawn(4000)], [drawn(500)], drawn(2000)
    scores = [KneserNey(training, validation, VOCABULARY, n).nll(test).mean() for n in (1, 2, 3, 5)]
    limit = -np.mean([np.log(CHAIN[a, b, c]) for a, b, c in zip(test, test[1:], test[2:], strict=False)])
    assert scores[0] > scores[1] > scores[2]
    assert scores[2] == pytest.approx(limit, abs=0.03)
    assert scores[3] == pytest.approx(scores[2], abs=0.03)  # no more to be known, and little lost


@pytest.mark.parametrize("order", [0, 11])
def test_orders_that_cannot_be(order):
    with pytest.raises(ValueError, match=f"order must be from 1 to 9; received {order}"):
        KneserNey(TRAINING, VALIDATION, 100, order)
