import keras
import numpy as np
import pytest

from mixtura.training import DataNoise, fit, state
from mixtura.training.batches import Batches

X = np.arange(20, dtype="float32")[:, None]


def orders(epochs=2, **options):
    batches = Batches((X,), 8, **options)
    drawn = []
    for epoch in range(epochs):
        batches.start(epoch)
        drawn.append(batches.order.tolist())
    return drawn


def test_the_order_depends_on_seed_and_epoch_alone():
    np.random.seed(1)  # noqa: NPY002 - no influence
    first, second = orders(seed=7)
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    np.random.seed(2)  # noqa: NPY002
    assert orders(seed=7) == [first, second]
    assert orders(seed=8)[0] not in (first, second)
    late = Batches((np.zeros(20),), 3, seed=7)  # other data, other batches, another first epoch
    late.start(1)
    assert late.order.tolist() == second


def test_the_order_is_the_same_on_every_backend_and_in_every_version():
    assert orders(1, seed=0)[0][:6] == [4, 19, 0, 7, 14, 8]


def test_without_a_seed_the_order_is_numpys():
    np.random.seed(3)  # noqa: NPY002 - as Keras draws it
    expected = [np.random.permutation(20).tolist() for _ in range(2)]  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    assert orders() == expected


@pytest.mark.parametrize("seed", [None, 0])
def test_the_order_stays_if_not_shuffled(seed):
    assert orders(seed=seed, shuffle=False) == [list(range(20))] * 2


def test_every_row_is_in_one_batch():
    batches = Batches((X, {"y": X * 2}), 8, seed=0)
    batches.start(0)
    assert len(batches) == 3
    parts = [batches[step] for step in range(3)]
    assert [len(x) for x, _ in parts] == [8, 8, 4]
    x = np.concatenate([x for x, _ in parts])
    assert x[:, 0].tolist() == batches.order.tolist()
    np.testing.assert_array_equal(np.concatenate([y["y"] for _, y in parts]), 2 * x)
    np.testing.assert_array_equal(np.concatenate([batches.where(step) for step in range(3)]), batches.order)


@pytest.mark.parametrize(("size", "whole", "rest"), [(8, (2, 8), 4), (5, (4, 5), 0), (64, (0, 64), 20)])
def test_splits_into_whole_batches_and_the_rest(size, whole, rest):
    batches = Batches((X,), size, seed=0)
    batches.start(0)
    parts = batches.split()
    assert parts[0].shape == whole
    assert parts[1].shape == (rest,)
    assert [*parts[0].ravel(), *parts[1]] == batches.order.tolist()


def test_there_must_be_rows():
    with pytest.raises(ValueError, match="no rows"):
        Batches((X[:0],), 8)


def test_noise_depends_on_seed_epoch_and_step():
    def noisy(seed, epoch, step):
        batches = Batches((np.zeros_like(X),), 4, seed=seed, noise=DataNoise(1.0))
        batches.start(epoch)
        return keras.ops.convert_to_numpy(batches[step][0]).tobytes()

    places = [(seed, epoch, step) for seed in (0, 1) for epoch in (0, 1) for step in (0, 1)]
    drawn = {place: noisy(*place) for place in places}
    assert len(set(drawn.values())) == len(places)
    assert all(noisy(*place) == drawn[place] for place in places)


def test_training_meets_the_batches_of_its_epoch():
    """Keras may fetch batches ahead; every epoch must have its own order all the same."""

    def network():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(1e-3), "mse")
        return model

    model, by_hand = network(), network()
    fit(model, X, X, batch_size=8, epochs=4, seed=5, verbose=0)
    batches = Batches((X, X), 8, seed=5)
    state.build(by_hand, batches)
    for epoch in range(4):
        batches.start(epoch)
        for step in range(len(batches)):
            by_hand.train_on_batch(*batches[step])
    for found, wanted in zip(model.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    other = network()
    fit(other, X, X, batch_size=8, epochs=4, seed=6, verbose=0)
    assert not np.allclose(other.get_weights()[0], model.get_weights()[0], rtol=1e-5)
