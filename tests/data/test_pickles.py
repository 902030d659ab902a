import io
import os
import pickle
import zipfile
from contextlib import suppress

import numpy as np
import pytest

from mixtura.data import pickles as module
from mixtura.data.pickles import read_object_arrays
from mixtura.errors import InputError

RNG = np.random.default_rng(0)
ARRAYS = [
    RNG.normal(size=(3, 4)).astype("float32"),
    RNG.normal(size=(5, 4)),
    np.asfortranarray(RNG.integers(-9, 9, (2, 4)).astype("int16")),
    RNG.normal(size=(1, 4)).astype(">f8"),
    np.zeros((0, 4), bool),
    RNG.normal(size=7).astype("float16"),
]


def of_objects(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def npy(pickled, shape=(1,), descr="|O"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue() + pickled


@pytest.fixture
def read(tmp_path):
    """Put members into an npz file and read it."""

    def write_and_read(**members):
        with zipfile.ZipFile(tmp_path / "some.npz", "w") as stored:
            for name, content in members.items():
                stored.writestr(f"{name}.npy", content)
        return read_object_arrays(tmp_path / "some.npz")

    return write_and_read


@pytest.fixture
def refused(read):
    def check(message, pickled, shape=(1,)):
        with pytest.raises(InputError, match=message) as caught:
            read(train=npy(pickled, shape))
        assert "some.npz: 'train' " in str(caught.value)
        assert "\n" not in str(caught.value)

    return check


def same(found, wanted):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


# What is read


@pytest.mark.parametrize("protocol", range(5))
def test_arrays_of_any_numbers_and_protocol(read, protocol):
    found = read(train=npy(pickle.dumps(of_objects(ARRAYS), protocol), (len(ARRAYS),)))
    assert list(found) == ["train"]
    same(found["train"], ARRAYS)


@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_what_python_2_pickled(read, core):
    values = np.array([1.5, -2.0], "<f4")
    array = b"h\x00h\x01K\x00\x85U\x01b\x87R"  # memo 0 is _reconstruct, 1 is ndarray
    dtype = b"cnumpy\ndtype\nU\x02%sK\x00K\x01\x87R(K\x03U\x01%sNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    pickled = b"".join(
        [
            b"\x80\x02c" + core + b".multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01",
            *(array, b"(K\x01K\x01\x85", dtype % (b"O8", b"|"), b"\x89]"),
            *(array, b"(K\x01K\x02\x85", dtype % (b"f4", b"<"), b"\x89U\x08", values.tobytes(), b"tb"),
            b"atb.",
        ]
    )
    same(read(train=npy(pickled))["train"], [values])


def test_what_numpy_writes(tmp_path):
    labels = np.array(["a", "bc"])
    np.savez_compressed(tmp_path / "a.npz", perfs=of_objects(ARRAYS), labels=labels, x=ARRAYS[0], f=ARRAYS[2])
    found = read_object_arrays(tmp_path / "a.npz")
    same(found["perfs"], ARRAYS)
    same([found["labels"], found["x"], found["f"]], [labels, ARRAYS[0], ARRAYS[2]])
    np.save(tmp_path / "a.npy", of_objects(ARRAYS), allow_pickle=True)
    same(read_object_arrays(str(tmp_path / "a.npy"))["arr_0"], ARRAYS)


@pytest.mark.parametrize("protocol", [2, 4])
def test_arrays_of_one_shape_come_as_one(read, protocol):
    # NumPy makes of one array, or of arrays of one shape, an array of Python's numbers.
    one = np.array([ARRAYS[0]], dtype=object)
    found = read(train=npy(pickle.dumps(one, protocol), one.shape))["train"]
    same([found], [one.astype("float64")])
    scalars = of_objects([np.float32(0.5), np.int64(3), 2, True])
    found = read(train=npy(pickle.dumps(scalars, protocol), (4,)))["train"]
    assert found.tolist() == [0.5, 3, 2, 1]


def test_an_array_that_is_there_twice(read):
    found = read(train=npy(pickle.dumps(of_objects([ARRAYS[0]] * 3), 4), (3,)))["train"]
    same(found, [ARRAYS[0]] * 3)
    assert read(train=npy(pickle.dumps(of_objects([]), 4), (0,)))["train"] == []


def test_a_header_of_python_2(read):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1L,), }".ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + np.array([2.5]).tobytes()
    assert read(train=content)["train"].tolist() == [2.5]


# What is refused. Nothing may be run: where an attack succeeds, a folder appears.


class Attack:
    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.reduced


class Plain:
    def __init__(self):
        self.x = ARRAYS[0]


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "trace"
    yield path
    assert not path.exists()


@pytest.mark.parametrize("protocol", range(5))
def test_functions_are_not_called(refused, trace, protocol):
    system = Attack(os.system, f"mkdir {trace}")
    code = Attack(exec, f"import os; os.mkdir({str(trace)!r})")
    folder = Attack(os.mkdir, str(trace))
    for attack, name in ((system, "(posix|nt).system"), (code, "exec"), (folder, "(posix|nt).mkdir")):
        message = rf"'train' asks for [a-z_.]*{name}; expected arrays of numbers"
        refused(message, pickle.dumps(attack, protocol))
        refused(message, pickle.dumps(of_objects([ARRAYS[0], attack]), protocol), (2,))
        # In the place of an array's class, its type, and its state.
        rebuild = np.zeros(1).__reduce__()[0]
        refused(message, pickle.dumps(Attack(rebuild, attack, (0,), b"b"), protocol))
        refused(message, pickle.dumps(Attack(rebuild, np.ndarray, attack, b"b"), protocol))
        state = (1, (1,), np.dtype(object), False, [attack])
        refused(message, pickle.dumps(Attack(rebuild, np.ndarray, (0,), b"b", state=state), protocol))
    pickle.loads(pickle.dumps(folder, protocol))
    trace.rmdir()  # it was an attack


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Plain(), "asks for .*(Plain|_reconstructor)"),
        (np.ma.MaskedArray([1.0]), "asks for numpy.ma"),
        (np.array([1.0]).view(np.recarray), "asks for numpy.*recarray"),
        (np.ndarray.sum, "asks for .*getattr"),
        (os.path, "asks for"),
        ({"a": 1}, "uses (EMPTY_DICT|DICT), of which"),
        ({1}, "asks for .*set|uses EMPTY_SET"),
        ("text", "of type str at position 0"),
        (None, "of type NoneType at position 0"),
        ([ARRAYS[0]], "of type list at position 0"),
        (1j, "asks for .*complex"),
        (of_objects([ARRAYS[0]]), "holds an array inside an array that is none of numbers"),
        (np.array(["a"]), "holds values of dtype 'U1'"),
        (np.array([1j]), "holds values of dtype 'c16'"),
        (np.array([(1.0, 2)], "f8,i4"), "uses (EMPTY_)?DICT"),
        (np.array(["2000-01-01"], "M8[s]"), "of dtype 'M8'|uses (EMPTY_)?DICT"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_what_is_no_array_of_numbers(refused, value, message, protocol):
    if value is os.path:
        value = Attack(__import__, "os")
    refused(message, pickle.dumps(of_objects([value]), protocol))


RECONSTRUCTED = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (b"cnumpy.core.multiarray\n_reconstruct\n}b.", "uses EMPTY_DICT"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(N(tb.", "sets the state of what is no array"),
        (b"cnumpy\ndtype\n(I3\nS'<'\nNNNtb.", "sets the state of what is no array"),
        (b"cnumpy\nndarray\n(I99\ntR.", "calls what is no function"),
        (b"cnumpy\nndarray\n(I99\nt\x81.", "uses NEWOBJ, of which arrays have no need"),
        (b"(cposix\nsystem\nS'mkdir trace'\no.", "asks for posix.system"),
        (b"(S'mkdir trace'\niposix\nsystem\n.", "uses INST"),
        (b"Pone\n.", "uses PERSID"),
        (b"N\x51.", "uses BINPERSID"),
        (b"\x82\x01.", "uses EXT1"),
        (b"\x80\x05\x97.", "uses NEXT_BUFFER"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0eload.__class__\x93.", "asks for numpy.load.__class__"),
        (b"c_codecs\nencode\n(Va\nS'rot13'\ntR.", "encodes what is not bytes"),
        (b"c__builtin__\nbytes\n(I9999999999\ntR.", "is damaged"),
        (b"I1\n.", "holds an object that is no array of objects"),
        (RECONSTRUCTED + b".", "holds an object that is no array of objects"),
        (RECONSTRUCTED + b"(I1\n(I1\ntN" + b"I00\n(ltb.", "without a shape or dtype"),
        (RECONSTRUCTED + b"(I1\n(I-1\ntcnumpy\ndtype\n(S'O8'\ntRI00\n(ltb.", "an impossible shape"),
        (RECONSTRUCTED + b"(I1\n(I1\ntcnumpy\ndtype\n(S'O8'\ntRI00\n(ltb.", "and 0 objects"),
        (
            RECONSTRUCTED + b"(I1\n(I1\ntcnumpy\ndtype\n(S'O8'\ntRI00\n(lp0\ng0\natb.",
            "type list at position 0",
        ),
        (b"", "is damaged"),
        (b"N", "is damaged"),
        (b".", "is damaged"),
        (b"R.", "is damaged"),
        (b"(R.", "is damaged"),
        (b"t.", "is damaged"),
        (b"(N(0b.", "uses POP"),
        (b"NNb.", "sets the state of what is no array"),
        (b"(lN\x85a.", "holds an object that"),
        (b"Na.", "is damaged"),
        (b"g7\n.", "is damaged"),
        (b"\xff.", "is damaged"),
        (b"L" + b"9" * 10_000 + b"L\n.", "is damaged"),
        (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f" + b"a.", "is damaged"),
        (b"N" + b"\x85" * 200_000 + b".", "holds an object that is no array of objects"),
        (b"(" * 200_000 + b"." * 10, "is damaged"),
        (b"Nr\xff\xff\xff\xff.", "holds an object that is no array of objects"),
    ],
)
def test_pickles_by_hand(refused, trace, monkeypatch, tmp_path, pickled, message):
    monkeypatch.chdir(tmp_path)
    refused(message, pickled)


def test_sizes_that_lie(read, refused, monkeypatch):
    pickled = pickle.dumps(of_objects(ARRAYS), 4)
    refused(r"has the shape \(1000000000000,\) in its header and 6 objects", pickled, (10**12,))
    for length in range(0, len(pickled), 37):
        refused("is damaged", pickled[:length], (6,))
    with pytest.raises(InputError, match="'train' has 8 bytes for an array of 8000000000000"):
        read(train=npy(b"\0" * 8, (10**12,), "<f8"))
    rebuild = np.zeros(1).__reduce__()[0]
    for shape in ((10**9,), (3,), (0,), (2**31, 2**31), (1,) * 65):
        state = (1, shape, np.dtype("f8"), False, b"\0" * 16)
        lie = Attack(rebuild, np.ndarray, (0,), b"b", state=state)
        refused("has 16 bytes for an array of|impossible shape", pickle.dumps(of_objects([lie]), 4))
    with pytest.raises(InputError, match="'train' has 0 bytes for an array of 0"):
        read(train=npy(b"", (10**12,), "|S0"))
    monkeypatch.setattr(module, "LONGEST", 1000)
    refused("is a pickle of more than 1000 steps", b"]" * 2000 + b".")
    monkeypatch.setattr(module, "LARGEST", 10_000)
    many = pickle.dumps(of_objects([np.zeros(100)] * 50), 4)
    refused("holds 40000 bytes, and 10000 are read at most", many, (50,))
    with pytest.raises(InputError, match=r"some.npz holds 16256 bytes, and 10000 are read at most"):
        read(train=npy(b"\0" * 8000, (1000,), "<f8"), test=npy(b"\0" * 8000, (1000,), "<f8"))


def test_files_that_are_none(tmp_path, read):
    path = tmp_path / "some.npz"
    with pytest.raises(InputError, match=r"some.npz does not exist; expected an .npz or .npy file"):
        read_object_arrays(path)
    with pytest.raises(InputError, match="is damaged or no file of NumPy's"):
        read_object_arrays(tmp_path)
    for content in (b"", b"PK no zip", b"\x93NUMPY\x09\x00", b"\x93NUMPY\x01\x00\xff\xff{"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"is damaged or no file|has version \(9, 0\) of the npy format"):
            read_object_arrays(path)
    with pytest.raises(InputError, match="'notes' is damaged"):
        read(notes=b"no array")
    with pytest.raises(InputError, match="'train' holds values of dtype"):
        read(train=npy(b"", (0,), [("a", "O")]))
    np.savez_compressed(path, train=np.arange(1000))
    content = bytearray(path.read_bytes())
    content[300:310] = b"\xff" * 10
    path.write_bytes(content)
    with pytest.raises(InputError, match="'train' is damaged"):
        read_object_arrays(path)


def test_damage_anywhere_is_an_input_error_or_none(read):
    random = np.random.default_rng(1)
    whole = [pickle.dumps(of_objects(ARRAYS[:3]), protocol) for protocol in (0, 2, 4)]
    for _ in range(300):
        content = bytearray(whole[random.integers(3)])
        for place in random.integers(len(content), size=random.integers(1, 4)):
            content[place] = random.integers(256)
        with suppress(InputError):
            read(train=npy(bytes(content), (3,)))
