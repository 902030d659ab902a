import keras
import numpy as np
import pytest
from keras import ops
from keras.src.trainers.data_adapters import data_adapter_utils

from mixtura.training import arrays

X = np.arange(12.0).reshape(6, 2)
Y = np.arange(6)


def test_reads_as_many_parts_as_there_are():
    assert [len(arrays.read(*given)) for given in ((X,), (X, Y), (X, Y, Y))] == [1, 2, 3]
    x, y, weight = arrays.read(X, None, X[:, 0])
    assert y is None
    assert len(x) == len(weight) == 6


def test_reads_real_numbers_in_keras_precision_and_others_as_they_are():
    kinds = {"float64": "float32", "float16": "float32", "int64": "int64", "uint8": "uint8", "bool": "bool"}
    for given, expected in kinds.items():
        (x,) = arrays.read(X.astype(given))
        assert x.dtype == expected
    same = X.astype("float32")
    assert arrays.read(same)[0] is same  # not copied


def test_keeps_the_structure():
    x, y = arrays.read({"a": X, "b": (X, Y)}, [Y, None])
    assert list(x) == ["a", "b"]
    assert isinstance(x["b"], tuple)
    assert y[1] is None


def test_reads_tensors_of_the_backend():
    (x,) = arrays.read(ops.convert_to_tensor(X, dtype="float32"))
    assert isinstance(x, np.ndarray)
    np.testing.assert_array_equal(x, X)


class Series:
    """Looks like one of pandas'."""

    shape, dtype = (6,), np.dtype("float64")

    def __array__(self, dtype=None, copy=None):
        return X[:, 0]

    def __len__(self):
        return 6


@pytest.mark.parametrize("given", [(X, Y[:3]), (X, Y, Y[:3])])
def test_rows_are_equally_many(given):
    with pytest.raises(ValueError, match="equally many rows; received"):
        arrays.read(*given)


def test_several_targets_share_weights_or_have_one_each():
    y = {"a": Y, "b": Y}
    assert list(arrays.read(X, y, Y)[2]) == ["a", "b"]
    assert arrays.read(X, y, {"a": Y, "b": Y}) is not None
    with pytest.raises(ValueError, match="nested as y is"):
        arrays.read(X, y, {"a": Y})


def test_a_series_is_one_column():
    np.testing.assert_array_equal(arrays.read(X, Series())[1], X[:, :1])


@pytest.mark.parametrize(
    "given",
    [
        (None,),
        ([[1.0], [2.0]],),
        ((X for _ in range(2)),),
        (keras.utils.PyDataset(),),
        (X, 1.0),
        (np.float32(1),),
        (np.array(["a", None], object),),
    ],
)
def test_leaves_the_rest_to_keras(given):
    assert arrays.read(*given) is None


def test_memory_mapped_files_and_sparse_matrices_are_not_loaded(tmp_path):
    from scipy.sparse import csr_matrix

    mapped = np.memmap(tmp_path / "x", "float32", "w+", shape=(6, 2))
    assert arrays.read(mapped) is None
    assert arrays.read(X, mapped) is None
    assert arrays.read(csr_matrix(X)) is None


def test_counts_and_takes_rows():
    data = ({"a": X, "b": None}, Y)
    assert arrays.rows(data) == 6
    assert arrays.rows((None, Y)) == 6
    x, y = arrays.take(data, np.array([4, 1]))
    np.testing.assert_array_equal(x["a"], X[[4, 1]])
    assert x["b"] is None
    np.testing.assert_array_equal(y, [4, 1])
    assert arrays.size(data) == X.nbytes + Y.nbytes


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7])
def test_splits_as_keras(share):
    from keras.src.trainers.data_adapters.array_slicing import train_validation_split

    expected = train_validation_split((X, Y), share)
    for found, wanted in zip(arrays.split((X, Y), share), expected, strict=True):
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("share", [0.01, 0.99, 1.0])
def test_both_parts_have_rows_or_it_says_so(share):
    if share == 0.01:
        assert arrays.rows(arrays.split((X,), share)[1]) == 1
        return
    with pytest.raises(ValueError, match=r"validation_split=.* of 6 rows leaves one part empty"):
        arrays.split((X,), share)


@pytest.mark.parametrize(
    "y",
    [Y % 3, (Y % 3)[:, None], np.eye(3)[Y % 3], (Y % 3).astype("float32"), Y % 2 == 1, (Y % 3) - 1],
    ids=["numbers", "column", "one_hot", "real", "bool", "negative"],
)
def test_weighs_classes_as_keras(y):
    weights = {0: 2.0, 1: 0.5}
    x, same, found = arrays.weighted((X, y), weights)
    assert x is X
    assert same is y
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, data_adapter_utils.class_weight_to_sample_weights(y, weights))


def test_weighs_the_classes_of_steps():
    y = np.array([[0, 1], [1, 1], [2, 0]])
    expected = np.array([[2, 0.5], [0.5, 0.5], [1, 2]])
    np.testing.assert_array_equal(arrays.weighted((X[:3], y[..., None]), {0: 2.0, 1: 0.5})[2], expected)


@pytest.mark.parametrize("data", [(X,), (X, Y, Y), (X, {"a": Y})])
def test_class_weights_are_for_one_output_without_weights(data):
    with pytest.raises(ValueError, match="one output"):
        arrays.weighted(data, {0: 1.0})


def test_other_data_have_another_fingerprint():
    data = [
        (X,),
        (X + 1e-9,),
        (X.astype("float32"),),
        (X.reshape(2, 6),),
        (X, Y),
        (Y, X),
        (X, Y, None),
        (X[::-1],),
    ]
    marks = [arrays.fingerprint(one) for one in data]
    assert len(set(marks)) == len(marks) - 1
    assert marks[4] == marks[6]  # nothing is nothing
    assert arrays.fingerprint((X.copy(order="F"),)) == marks[0]
