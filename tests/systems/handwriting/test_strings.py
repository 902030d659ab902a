import string
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from mixtura.systems.handwriting.strings import LONGEST, SHORTEST, SYMBOLS, texts


@pytest.fixture(scope="module")
def lines():
    return texts(6000, seed=0)


def test_the_same_seed_gives_the_same_texts(lines):
    assert texts(50, seed=3) == texts(50, seed=3) != texts(50, seed=4)
    assert texts(0, seed=0) == []
    assert len(set(lines)) > 0.9 * len(lines)


def test_lines_have_the_lengths_of_lines(lines):
    lengths = np.array([len(line) for line in lines])
    assert lengths.min() >= SHORTEST
    assert lengths.max() <= LONGEST
    assert 17 <= np.median(lengths) <= 22


def test_there_are_no_spaces_too_many(lines):
    assert all(line == " ".join(line.split()) for line in lines)


def test_every_symbol_occurs_often_enough(lines):
    assert set().union(*lines) == set(SYMBOLS)
    shares = {symbol: np.mean([symbol in line for line in lines]) for symbol in SYMBOLS}
    assert min(shares.values()) > 0.018, min(shares, key=shares.get)


def test_every_pair_of_letters_occurs(lines):
    pairs = Counter(first + second for line in lines for first, second in pairwise(line))
    lower = string.ascii_lowercase
    assert min(pairs[first + second] for first in lower for second in lower) > 0
    # and nearly every capital stands before every letter
    starts = [pairs[first + second] > 0 for first in string.ascii_uppercase for second in lower]
    assert np.mean(starts) > 0.8
